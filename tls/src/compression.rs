//! Certificates that travel compressed: RFC 8879, with zlib (RFC 1950).
use crate::{
    Alert,
    wire::{ExtensionType, Message, NoRoom, U16List, Writer},
};
#[cfg(feature = "certificate-compression")]
use crate::{
    Certificate,
    wire::{CertificateList, HandshakeType, Reader},
};
#[cfg(feature = "certificate-compression")]
use alloc::{boxed::Box, vec, vec::Vec};
#[cfg(feature = "certificate-compression")]
use core::fmt;
use zeroize::zeroize_bytes;

/// RFC 8879 section 7.3.
const ZLIB: u16 = 1;

/// Where a Certificate message is unpacked.
#[cfg(feature = "certificate-compression")]
pub(crate) type Unpacked = Vec<u8>;
#[cfg(not(feature = "certificate-compression"))]
pub(crate) type Unpacked = [u8; 0];

/// A [`Certificate`]'s message, compressed ahead of its connections: with its OCSP response, and without.
#[cfg(feature = "certificate-compression")]
pub struct CompressedCertificate {
    plain: Vec<u8>,
    with_ocsp: Option<Vec<u8>>,
}

#[cfg(feature = "certificate-compression")]
impl fmt::Debug for CompressedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompressedCertificate").field("len", &self.plain.len()).finish_non_exhaustive()
    }
}

#[cfg(feature = "certificate-compression")]
impl CompressedCertificate {
    /// Compresses, which takes a while: once for each certificate, not for each connection. `None` when nothing is gained
    /// by it, or when a chain is longer than any message.
    pub fn new(certificate: &Certificate<'_>) -> Option<Self> {
        let compress = |ocsp: Option<&[u8]>| {
            let bytes = certificate.chain.iter().map(|one| one.len() + 5).sum::<usize>();
            let mut body = vec![0; 64 + bytes + ocsp.map_or(0, <[u8]>::len)];
            let mut writer = Writer::new(&mut body);
            CertificateList::emit(&mut writer, &[], certificate.chain, ocsp).ok()?;
            let list = writer.since(0);
            let packed = miniz_oxide::deflate::compress_to_vec_zlib(list, 10);
            let mut message = vec![0; packed.len() + 8];
            let mut writer = Writer::new(&mut message);
            writer.u16(ZLIB).ok()?;
            writer.bytes(u32::try_from(list.len()).ok()?.to_be_bytes().get(1..)?).ok()?;
            let block = writer.block(3).ok()?;
            writer.bytes(&packed).ok()?;
            writer.end(block).ok()?;
            Some(message).filter(|message| message.len() < list.len() && list.len() < 1 << 24)
        };
        let with_ocsp = match certificate.ocsp {
            Some(ocsp) => Some(compress(Some(ocsp))?),
            None => None,
        };
        Some(Self { plain: compress(None)?, with_ocsp })
    }
    /// The body of a CompressedCertificate message.
    pub(crate) fn body(&self, ocsp: bool) -> Option<&[u8]> {
        if ocsp { self.with_ocsp.as_deref() } else { Some(&self.plain) }
    }
}

/// Asks for what we can unpack.
pub(crate) fn offer(out: &mut Writer<'_>) -> Result<(), NoRoom> {
    out.u16(ExtensionType::COMPRESS_CERTIFICATE.0)?;
    out.u16(3)?;
    out.u8(2)?;
    out.u16(ZLIB)
}

/// Whether the peer can unpack what we have packed.
pub(crate) fn is_wanted(data: Option<&[u8]>) -> Result<bool, Alert> {
    let list = data.filter(|_| cfg!(feature = "certificate-compression")).map(U16List::parse8).transpose()?;
    Ok(list.is_some_and(|list| list.contains(ZLIB)))
}

/// Does `f` with the Certificate that a CompressedCertificate holds, if we have `asked` for such; with any other message as
/// it is. What is packed may be `room` bytes long, as what is not may; it is wiped.
pub(crate) fn with_unpacked<R>(
    message: Message<'_>,
    asked: bool,
    room: usize,
    f: impl FnOnce(Message<'_>) -> Result<R, Alert>,
) -> Result<R, Alert> {
    let mut memory = Unpacked::default();
    let outcome = unpack(message, asked, room, &mut memory).and_then(f);
    zeroize_bytes(memory.as_mut_slice());
    outcome
}

#[cfg(feature = "certificate-compression")]
pub(crate) fn unpack<'m>(
    message: Message<'m>,
    asked: bool,
    room: usize,
    memory: &'m mut Unpacked,
) -> Result<Message<'m>, Alert> {
    use miniz_oxide::inflate::{
        TINFLStatus,
        core::{DecompressorOxide, decompress, inflate_flags},
    };
    if message.kind != HandshakeType::COMPRESSED_CERTIFICATE || !asked {
        return Ok(message);
    }
    let mut reader = Reader::new(message.body);
    let (algorithm, len, packed) = (reader.u16()?, reader.u24()?, reader.vector24()?);
    reader.end()?;
    if packed.is_empty() {
        return Err(Alert::DECODE_ERROR);
    }
    //= https://www.rfc-editor.org/rfc/rfc8879#section-4
    //# If the received
    //# CompressedCertificate message cannot be decompressed, the connection
    //# MUST be terminated with the "bad_certificate" alert.
    if algorithm != ZLIB {
        return Err(Alert::ILLEGAL_PARAMETER);
    }
    if len > room {
        return Err(Alert::BAD_CERTIFICATE);
    }
    *memory = vec![0; len];
    let flags =
        inflate_flags::TINFL_FLAG_PARSE_ZLIB_HEADER | inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let mut state = Box::<DecompressorOxide>::default();
    let (status, used, made) = decompress(&mut state, packed, memory, 0, flags);
    //= https://www.rfc-editor.org/rfc/rfc8879#section-4
    //# If, after decompression, the specified length does not match
    //# the actual length, the party receiving the invalid message MUST abort
    //# the connection with the "bad_certificate" alert.
    if status != TINFLStatus::Done || used != packed.len() || made != len {
        return Err(Alert::BAD_CERTIFICATE);
    }
    Ok(Message { kind: HandshakeType::CERTIFICATE, body: memory, whole: message.whole })
}

#[cfg(not(feature = "certificate-compression"))]
pub(crate) fn unpack<'m>(
    message: Message<'m>,
    _: bool,
    _: usize,
    _: &'m mut Unpacked,
) -> Result<Message<'m>, Alert> {
    Ok(message)
}
