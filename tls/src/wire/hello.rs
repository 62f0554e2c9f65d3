//! ClientHello and ServerHello: RFC 8446 sections 4.1.2 and 4.1.3.
use super::{Extensions, Malformed, NoRoom, Reader, U16List, Writer};

/// The `random` that makes a ServerHello a HelloRetryRequest: SHA-256 of "HelloRetryRequest".
pub const HELLO_RETRY_REQUEST: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// A ClientHello.
#[derive(Clone, Copy, Debug)]
pub struct ClientHello<'a> {
    /// The newest version of those who know no `supported_versions`.
    pub legacy_version: u16,
    /// Fresh randomness.
    pub random: &'a [u8; 32],
    /// Echoed by the server; at most 32 bytes.
    pub legacy_session_id: &'a [u8],
    /// What the client can do, in its order.
    pub cipher_suites: U16List<'a>,
    /// One zero byte in TLS 1.3.
    pub legacy_compression_methods: &'a [u8],
    /// The extensions; none in very old hellos.
    pub extensions: Extensions<'a>,
}

impl<'a> ClientHello<'a> {
    /// Reads the body of a ClientHello message.
    ///
    /// # Errors
    /// It is not one.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let legacy_version = reader.u16()?;
        let random = reader.array()?;
        let legacy_session_id = reader.vector8()?;
        let cipher_suites = U16List::new(reader.vector16()?)?;
        let legacy_compression_methods = reader.vector8()?;
        if legacy_session_id.len() > 32 || legacy_compression_methods.is_empty() {
            return Err(Malformed);
        }
        let extensions = match reader.is_empty() {
            true => Extensions::default(),
            false => Extensions::parse(reader.vector16()?)?,
        };
        reader.end()?;
        Ok(Self {
            legacy_version,
            random,
            legacy_session_id,
            cipher_suites,
            legacy_compression_methods,
            extensions,
        })
    }
}

/// A ServerHello, or a HelloRetryRequest.
#[derive(Clone, Copy, Debug)]
pub struct ServerHello<'a> {
    /// The version, unless `supported_versions` says another.
    pub legacy_version: u16,
    /// Fresh randomness, or [`HELLO_RETRY_REQUEST`].
    pub random: &'a [u8; 32],
    /// The client's `legacy_session_id`.
    pub legacy_session_id_echo: &'a [u8],
    /// What the server chose.
    pub cipher_suite: u16,
    /// Zero in TLS 1.3.
    pub legacy_compression_method: u8,
    /// The extensions.
    pub extensions: Extensions<'a>,
}

impl<'a> ServerHello<'a> {
    /// Reads the body of a ServerHello message.
    ///
    /// # Errors
    /// It is not one.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let legacy_version = reader.u16()?;
        let random = reader.array()?;
        let legacy_session_id_echo = reader.vector8()?;
        let cipher_suite = reader.u16()?;
        let legacy_compression_method = reader.u8()?;
        if legacy_session_id_echo.len() > 32 {
            return Err(Malformed);
        }
        let extensions = match reader.is_empty() {
            true => Extensions::default(),
            false => Extensions::parse(reader.vector16()?)?,
        };
        reader.end()?;
        Ok(Self {
            legacy_version,
            random,
            legacy_session_id_echo,
            cipher_suite,
            legacy_compression_method,
            extensions,
        })
    }

    /// Writes everything before the extensions.
    ///
    /// # Errors
    /// No room.
    pub fn emit_head(
        out: &mut Writer<'_>,
        random: &[u8; 32],
        session_id: &[u8],
        cipher_suite: u16,
    ) -> Result<(), NoRoom> {
        out.u16(0x0303)?;
        out.bytes(random)?;
        let block = out.block(1)?;
        out.bytes(session_id)?;
        out.end(block)?;
        out.u16(cipher_suite)?;
        out.u8(0)
    }
}
