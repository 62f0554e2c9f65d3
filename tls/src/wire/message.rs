//! Handshake messages: RFC 8446 section 4.
use super::{Extensions, Malformed, Reader};

/// What a handshake message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeType(pub u8);

impl HandshakeType {
    /// RFC 5246 section 7.4.1.1.
    pub const HELLO_REQUEST: Self = Self(0);
    /// Section 4.1.2.
    pub const CLIENT_HELLO: Self = Self(1);
    /// Section 4.1.3; a HelloRetryRequest too.
    pub const SERVER_HELLO: Self = Self(2);
    /// Section 4.6.1.
    pub const NEW_SESSION_TICKET: Self = Self(4);
    /// Section 4.5.
    pub const END_OF_EARLY_DATA: Self = Self(5);
    /// Section 4.3.1.
    pub const ENCRYPTED_EXTENSIONS: Self = Self(8);
    /// Section 4.4.2.
    pub const CERTIFICATE: Self = Self(11);
    /// RFC 5246 section 7.4.3.
    pub const SERVER_KEY_EXCHANGE: Self = Self(12);
    /// Section 4.3.2.
    pub const CERTIFICATE_REQUEST: Self = Self(13);
    /// RFC 5246 section 7.4.5.
    pub const SERVER_HELLO_DONE: Self = Self(14);
    /// Section 4.4.3.
    pub const CERTIFICATE_VERIFY: Self = Self(15);
    /// RFC 5246 section 7.4.7.
    pub const CLIENT_KEY_EXCHANGE: Self = Self(16);
    /// Section 4.4.4.
    pub const FINISHED: Self = Self(20);
    /// RFC 6066 section 8.
    pub const CERTIFICATE_STATUS: Self = Self(22);
    /// Section 4.6.3.
    pub const KEY_UPDATE: Self = Self(24);
    /// RFC 8879 section 4.
    pub const COMPRESSED_CERTIFICATE: Self = Self(25);
    /// Stands for the first ClientHello in the transcript after a HelloRetryRequest (section 4.4.1).
    pub const MESSAGE_HASH: Self = Self(254);
}

/// One whole handshake message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// What it is.
    pub kind: HandshakeType,
    /// What follows its header of four bytes.
    pub body: &'a [u8],
    /// Header and body, as they enter the transcript.
    pub whole: &'a [u8],
}

impl<'a> Message<'a> {
    /// The message at the front of `bytes`; `None` while it is not whole.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let kind = HandshakeType(reader.u8().ok()?);
        let body = reader.vector24().ok()?;
        Some(Self { kind, body, whole: bytes.get(..4 + body.len())? })
    }
    /// How long the message at the front of `bytes` says it is, header included; `None` before four bytes.
    pub fn announced(bytes: &[u8]) -> Option<usize> {
        let mut reader = Reader::new(bytes);
        reader.u8().ok()?;
        Some(4 + reader.u24().ok()?)
    }
}

/// A NewSessionTicket (RFC 8446 section 4.6.1).
#[derive(Clone, Copy, Debug)]
pub struct NewSessionTicket<'a> {
    /// Seconds for which it is good.
    pub ticket_lifetime: u32,
    /// Hides its age.
    pub ticket_age_add: u32,
    /// Makes its key another than that of other tickets.
    pub ticket_nonce: &'a [u8],
    /// The ticket.
    pub ticket: &'a [u8],
    /// The extensions.
    pub extensions: Extensions<'a>,
}

impl<'a> NewSessionTicket<'a> {
    /// Reads the body of a NewSessionTicket message.
    ///
    /// # Errors
    /// It is not one.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let ticket_lifetime = u32::from_be_bytes(*reader.array()?);
        let ticket_age_add = u32::from_be_bytes(*reader.array()?);
        let (ticket_nonce, ticket) = (reader.vector8()?, reader.vector16()?);
        let extensions = Extensions::parse(reader.vector16()?)?;
        reader.end()?;
        if ticket.is_empty() {
            return Err(Malformed);
        }
        Ok(Self { ticket_lifetime, ticket_age_add, ticket_nonce, ticket, extensions })
    }
}
