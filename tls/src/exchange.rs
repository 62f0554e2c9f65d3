//! What both sides write and compute alike.
use crate::{
    Alert,
    crypto::{CipherSuite, Provider, Secret, Transcript},
    wire::{ExtensionType, HandshakeType, NoRoom, Reader, Writer},
};
use zeroize::Zeroizing;

/// TLS 1.3 on the wire.
pub(crate) const TLS13: u16 = 0x0304;

/// A key pair from a seed; the rare seed that is no key leads to another.
pub(crate) fn from_seed<P: Provider, T>(
    provider: &P,
    seed: &[u8; 32],
    mut make: impl FnMut(&[u8; 32]) -> Option<T>,
) -> Option<T> {
    let mut seed = Zeroizing::new(*seed);
    for _ in 0..4 {
        if let Some(made) = make(&seed) {
            return Some(made);
        }
        let next = provider.hmac(crate::crypto::Hash::Sha256, &*seed, &[b"another key"]);
        *seed = *next.first_chunk()?;
    }
    None
}

/// The peer's `record_size_limit` (RFC 8449 section 4), as bytes of content.
pub(crate) fn record_size_limit(data: &[u8]) -> Result<usize, Alert> {
    let mut reader = Reader::new(data);
    let limit = reader.u16()?;
    reader.end()?;
    // Below 64 is illegal; one byte is the content type's.
    if limit < 64 { Err(Alert::ILLEGAL_PARAMETER) } else { Ok(usize::from(limit) - 1) }
}

/// Writes our own `record_size_limit` for a buffer of `room` bytes, where a record has `overhead` bytes that the limit
/// does not count; at `most`, which is what the version allows (RFC 8449 section 4).
pub(crate) fn emit_record_size_limit(
    out: &mut Writer<'_>,
    room: usize,
    overhead: usize,
    most: usize,
) -> Result<(), NoRoom> {
    let limit = room.saturating_sub(overhead).clamp(64, most);
    out.u16(ExtensionType::RECORD_SIZE_LIMIT.0)?;
    out.u16(2)?;
    out.u16(limit as u16)
}

pub(crate) fn emit_protocols(out: &mut Writer<'_>, protocols: &[&[u8]]) -> Result<(), NoRoom> {
    out.u16(ExtensionType::APPLICATION_LAYER_PROTOCOL_NEGOTIATION.0)?;
    let (data, list) = (out.block(2)?, out.block(2)?);
    for protocol in protocols {
        let name = out.block(1)?;
        out.bytes(protocol)?;
        out.end(name)?;
    }
    out.end(list)?;
    out.end(data)
}

/// Writes an extension that is one list of 16-bit numbers.
pub(crate) fn emit_numbers(
    out: &mut Writer<'_>,
    kind: ExtensionType,
    numbers: impl Iterator<Item = u16>,
) -> Result<(), NoRoom> {
    out.u16(kind.0)?;
    let (data, list) = (out.block(2)?, out.block(2)?);
    for number in numbers {
        out.u16(number)?;
    }
    out.end(list)?;
    out.end(data)
}

/// Checks the body of a Finished, which should be `expected`.
pub(crate) fn check_finished(expected: &Secret, body: &[u8]) -> Result<(), Alert> {
    if body.len() != expected.len() {
        return Err(Alert::DECODE_ERROR);
    }
    //= https://www.rfc-editor.org/rfc/rfc8446#section-4.4.4
    //# Recipients of Finished messages MUST verify that the contents are
    //# correct and if incorrect MUST terminate the connection with a
    //# "decrypt_error" alert.
    if expected.matches(body) { Ok(()) } else { Err(Alert::DECRYPT_ERROR) }
}

/// The transcript after a HelloRetryRequest starts with this, of the hash of the first ClientHello (RFC 8446
/// section 4.4.1).
pub(crate) fn message_hash<P: Provider>(provider: &P, suite: CipherSuite, first: &[u8]) -> P::Transcript {
    let mut transcript = provider.hash(suite.hash());
    transcript.update(&[HandshakeType::MESSAGE_HASH.0, 0, 0, suite.hash().len() as u8]);
    transcript.update(first);
    transcript
}
