//! Secrets for those who watch their own traffic: the format of SSLKEYLOGFILE (RFC 9850).
use core::fmt;

/// Takes the secrets of connections, so that a packet analyser can read them. Whoever has them can too: set one
/// only where that is wanted.
pub trait KeyLog {
    /// `label` is one of RFC 9850's, `client_random` tells the connection.
    fn log(&self, label: &str, client_random: &[u8; 32], secret: &[u8]);
}

/// One line of an SSLKEYLOGFILE, without its end.
#[derive(Clone, Copy)]
pub struct KeyLogLine<'a> {
    /// What the secret is for.
    pub label: &'a str,
    /// The connection.
    pub client_random: &'a [u8; 32],
    /// The secret.
    pub secret: &'a [u8],
}

impl fmt::Display for KeyLogLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.label)?;
        self.client_random.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(" ")?;
        self.secret.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_analysers_read() {
        let line =
            KeyLogLine { label: "CLIENT_TRAFFIC_SECRET_0", client_random: &[0xa; 32], secret: &[1, 0xff] };
        let expected = std::format!("CLIENT_TRAFFIC_SECRET_0 {} 01ff", "0a".repeat(32));
        assert_eq!(std::format!("{line}"), expected);
    }
}
