use crate::Alert;
use core::fmt;

/// Why a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The peer broke the protocol, or nothing fits both sides; this alert was sent to it.
    Sent(Alert),
    /// The peer gave up and said why.
    Received(Alert),
    /// The stream ended without a close_notify: what came may have been cut off (RFC 8446 section 6.1).
    Truncated,
    /// The handshake took longer than its limit.
    TimedOut,
    /// The caller's buffer is too short for what must be sent or received.
    NoRoom,
    /// Writing after `close`.
    Closed,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent(alert) => write!(f, "the TLS peer was refused: {alert}"),
            Self::Received(alert) => write!(f, "the TLS peer refused: {alert}"),
            Self::Truncated => f.write_str("the TLS stream was cut off: it ended without close_notify"),
            Self::TimedOut => f.write_str("the TLS handshake took too long"),
            Self::NoRoom => f.write_str("the TLS buffer is too short"),
            Self::Closed => f.write_str("the TLS stream was closed for writing"),
        }
    }
}

impl core::error::Error for Error {}

impl From<Alert> for Error {
    fn from(alert: Alert) -> Self {
        Self::Sent(alert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_two_bytes() {
        assert_eq!(size_of::<Error>(), 2);
        assert_eq!(
            std::format!("{}", Error::Sent(Alert::DECODE_ERROR)),
            "the TLS peer was refused: decode_error"
        );
    }
}
