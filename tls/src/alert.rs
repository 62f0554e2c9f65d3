//! Alerts: RFC 8446 section 6.
use core::fmt;

/// What an alert says (RFC 8446 section 6.2); a number that this page does not name is kept as it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Alert(pub u8);

macro_rules! alerts {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        impl Alert {
            $($(#[$doc])* pub const $name: Self = Self($number);)*
        }
        impl fmt::Display for Alert {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    $($number => f.write_str($text),)*
                    number => write!(f, "alert {number}"),
                }
            }
        }
    };
}

alerts! {
    /// The sender will send no more.
    CLOSE_NOTIFY = 0, "close_notify";
    /// A message that does not belong here.
    UNEXPECTED_MESSAGE = 10, "unexpected_message";
    /// A record that cannot be deprotected.
    BAD_RECORD_MAC = 20, "bad_record_mac";
    /// A record longer than allowed.
    RECORD_OVERFLOW = 22, "record_overflow";
    /// No set of parameters both sides accept.
    HANDSHAKE_FAILURE = 40, "handshake_failure";
    /// A certificate that is broken.
    BAD_CERTIFICATE = 42, "bad_certificate";
    /// A certificate of a kind that is not supported.
    UNSUPPORTED_CERTIFICATE = 43, "unsupported_certificate";
    /// A certificate that its issuer took back.
    CERTIFICATE_REVOKED = 44, "certificate_revoked";
    /// A certificate that is past its time, or before it.
    CERTIFICATE_EXPIRED = 45, "certificate_expired";
    /// A certificate that is unacceptable for another reason.
    CERTIFICATE_UNKNOWN = 46, "certificate_unknown";
    /// A field out of range or inconsistent with others.
    ILLEGAL_PARAMETER = 47, "illegal_parameter";
    /// A certificate chain that leads to no trusted authority.
    UNKNOWN_CA = 48, "unknown_ca";
    /// A valid certificate without the right.
    ACCESS_DENIED = 49, "access_denied";
    /// A message that is not what its syntax says.
    DECODE_ERROR = 50, "decode_error";
    /// A signature, a Finished or a binder that is wrong.
    DECRYPT_ERROR = 51, "decrypt_error";
    /// A protocol version that is known but not supported.
    PROTOCOL_VERSION = 70, "protocol_version";
    /// The server requires safer parameters.
    INSUFFICIENT_SECURITY = 71, "insufficient_security";
    /// A failure that has nothing to do with the peer.
    INTERNAL_ERROR = 80, "internal_error";
    /// A fallback that should not have been (RFC 7507).
    INAPPROPRIATE_FALLBACK = 86, "inappropriate_fallback";
    /// The user gives up; a close_notify follows.
    USER_CANCELED = 90, "user_canceled";
    /// A handshake within a connection that is not wanted; a warning (RFC 5246 section 7.2.2).
    NO_RENEGOTIATION = 100, "no_renegotiation";
    /// An extension that this message must have is not there.
    MISSING_EXTENSION = 109, "missing_extension";
    /// An extension that this message must not have.
    UNSUPPORTED_EXTENSION = 110, "unsupported_extension";
    /// No server of that name (RFC 6066).
    UNRECOGNIZED_NAME = 112, "unrecognized_name";
    /// An OCSP answer that is not acceptable.
    BAD_CERTIFICATE_STATUS_RESPONSE = 113, "bad_certificate_status_response";
    /// No such pre-shared key.
    UNKNOWN_PSK_IDENTITY = 115, "unknown_psk_identity";
    /// The server wants a client certificate.
    CERTIFICATE_REQUIRED = 116, "certificate_required";
    /// No application protocol in common (RFC 7301).
    NO_APPLICATION_PROTOCOL = 120, "no_application_protocol";
}

impl fmt::Debug for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} ({})", self.0)
    }
}
