//! The record layer: RFC 8446 section 5.
use super::Reader;

/// Bytes of a record's header.
pub const RECORD_HEADER: usize = 5;
/// Most bytes of one record's content (RFC 8446 section 5.1).
pub const MAX_PLAINTEXT: usize = 1 << 14;
/// Most bytes of one protected record's payload (RFC 8446 section 5.2).
pub const MAX_CIPHERTEXT: usize = MAX_PLAINTEXT + 256;

/// What a record carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentType(pub u8);

impl ContentType {
    /// A middlebox's comfort, of no meaning (RFC 8446 appendix D.4).
    pub const CHANGE_CIPHER_SPEC: Self = Self(20);
    /// An alert.
    pub const ALERT: Self = Self(21);
    /// Handshake messages, or parts of them.
    pub const HANDSHAKE: Self = Self(22);
    /// The application's bytes; every protected record says so outside.
    pub const APPLICATION_DATA: Self = Self(23);
}

/// A record says it is longer than any may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordOverflow;

/// A record's first five bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// What it says it carries.
    pub content_type: ContentType,
    /// Bytes that follow the header.
    pub len: usize,
}

impl RecordHeader {
    /// Reads a header; `None` when there are fewer than five bytes. The version is ignored, as
    /// RFC 8446 section 5.1 says of `legacy_record_version`.
    ///
    /// # Errors
    /// The length is beyond the limit for its kind.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, RecordOverflow> {
        let mut reader = Reader::new(bytes);
        let (Ok(content_type), Ok(_), Ok(len)) = (reader.u8(), reader.u16(), reader.u16()) else {
            return Ok(None);
        };
        let (content_type, len) = (ContentType(content_type), usize::from(len));
        let most = if content_type == ContentType::APPLICATION_DATA { MAX_CIPHERTEXT } else { MAX_PLAINTEXT };
        if len > most { Err(RecordOverflow) } else { Ok(Some(Self { content_type, len })) }
    }

    /// The five bytes; a length beyond 65,535 is cut off, callers stay below [`MAX_CIPHERTEXT`].
    pub const fn emit(self) -> [u8; RECORD_HEADER] {
        let [high, low] = (self.len as u16).to_be_bytes();
        [self.content_type.0, 3, 3, high, low]
    }
}
