//! Codecs of RFC 8446: views that cannot panic once parsed, and writers into the caller's memory.
mod certificate;
mod extension;
mod hello;
mod message;
mod reader;
mod record;
mod writer;

pub use certificate::{CertificateEntries, CertificateList, CertificateVerify};
pub use extension::{Extension, ExtensionType, Extensions, KeyShares, OfferedPsks, ProtocolNames, U16List};
pub use hello::{ClientHello, HELLO_RETRY_REQUEST, ServerHello};
pub use message::{HandshakeType, Message, NewSessionTicket};
pub use reader::Reader;
pub use record::{ContentType, MAX_CIPHERTEXT, MAX_PLAINTEXT, RECORD_HEADER, RecordHeader, RecordOverflow};
pub use writer::{Block, Writer};

/// The bytes are not what their type says: they end early, go on too long, or a length is out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The buffer is too short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

impl From<Malformed> for crate::Alert {
    fn from(_: Malformed) -> Self {
        Self::DECODE_ERROR
    }
}

impl From<NoRoom> for crate::Alert {
    fn from(_: NoRoom) -> Self {
        Self::INTERNAL_ERROR
    }
}

#[cfg(test)]
mod tests;
