//! Where a name server is, and how it is spoken to.
use alloc::sync::Arc;
use core::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

/// The port of DNS (RFC 1035 section 4.2), and that of DNS over TLS (RFC 7858 section 3.1).
const PORT: u16 = 53;
const TLS_PORT: u16 = 853;

/// Another name server. Written `ADDRESS`, `ADDRESS:PORT` or `[ADDRESS]:PORT`, port 53 unless said; over TLS it is
/// `ADDRESS#NAME` or `ADDRESS:PORT#NAME`, port 853 unless said, and its certificate must be one for NAME.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameServer {
    /// Where it listens.
    pub address: SocketAddr,
    /// It is spoken to over TLS (RFC 7858, and 9103 for transfers) and nothing else, and is called so in its certificate (the
    /// authentication domain name of RFC 8310).
    pub tls: Option<Arc<str>>,
}

impl From<SocketAddr> for NameServer {
    fn from(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }
}

/// The text is no address of a name server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoNameServer;

impl fmt::Display for NoNameServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "expected an address, as 192.0.2.1, 192.0.2.1:5353 or [2001:db8::1]:53, and for TLS the certificate's name, as 192.0.2.1#ns.example",
        )
    }
}
impl core::error::Error for NoNameServer {}

impl FromStr for NameServer {
    type Err = NoNameServer;
    fn from_str(text: &str) -> Result<Self, NoNameServer> {
        let (place, tls) = match text.split_once('#') {
            Some((_, "")) => return Err(NoNameServer),
            Some((place, name)) => (place, Some(name.into())),
            None => (text, None),
        };
        let port = if tls.is_some() { TLS_PORT } else { PORT };
        let alone = || place.parse::<IpAddr>().map(|address| SocketAddr::new(address, port));
        let address = place.parse().or_else(|_| alone()).map_err(|_| NoNameServer)?;
        Ok(Self { address, tls })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};

    #[test]
    fn texts() {
        let rows = [
            ("192.0.2.1", Some("192.0.2.1:53 -")),
            ("192.0.2.1:5353", Some("192.0.2.1:5353 -")),
            ("2001:db8::1", Some("[2001:db8::1]:53 -")),
            ("[2001:db8::1]:54", Some("[2001:db8::1]:54 -")),
            ("192.0.2.1#ns.example", Some("192.0.2.1:853 ns.example")),
            ("[2001:db8::1]:8853#ns.example", Some("[2001:db8::1]:8853 ns.example")),
            ("192.0.2.1#", None),
            ("192.0.2.1:#ns.example", None),
            ("#ns.example", None),
            ("ns.example", None),
            ("", None),
        ];
        for (text, wanted) in rows {
            let read = text.parse::<NameServer>().ok();
            let said =
                read.map(|server| server.address.to_string() + " " + server.tls.as_deref().unwrap_or("-"));
            assert_eq!(said, wanted.map(String::from), "{text}");
        }
    }
}
