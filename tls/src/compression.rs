//! Certificates that travel compressed: RFC 8879, with zlib (RFC 1950).
use crate::{
    Alert,
    wire::{ExtensionType, Message, NoRoom, Writer},
};
#[cfg(feature = "certificate-compression")]
use crate::{
    Certificate,
    wire::{CertificateList, HandshakeType, Reader, U16List},
};
#[cfg(feature = "certificate-compression")]
use alloc::{boxed::Box, vec, vec::Vec};
#[cfg(feature = "certificate-compression")]
use core::fmt;
use zeroize::zeroize_bytes;

/// RFC 8879 section 7.3.
const ZLIB: u16 = 1;
/// Of the same list. It is packed and never unpacked: a peer may say that its window, which must be kept, is 16 MiB.
#[cfg(feature = "certificate-compression")]
const BROTLI: u16 = 2;

/// Where a Certificate message is unpacked.
#[cfg(feature = "certificate-compression")]
pub(crate) type Unpacked = Vec<u8>;
#[cfg(not(feature = "certificate-compression"))]
pub(crate) type Unpacked = [u8; 0];

/// What a peer can unpack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unpacks {
    #[cfg(feature = "certificate-compression")]
    zlib: bool,
    #[cfg(feature = "certificate-compression")]
    brotli: bool,
}

impl Unpacks {
    pub(crate) const NOTHING: Self = Self {
        #[cfg(feature = "certificate-compression")]
        zlib: false,
        #[cfg(feature = "certificate-compression")]
        brotli: false,
    };
}

/// A [`Certificate`]'s message, compressed ahead of its connections: with its OCSP response, and without.
#[cfg(feature = "certificate-compression")]
pub struct CompressedCertificate {
    zlib: Packed,
    brotli: Option<Packed>,
}

#[cfg(feature = "certificate-compression")]
struct Packed {
    plain: Vec<u8>,
    with_ocsp: Option<Vec<u8>>,
}

#[cfg(feature = "certificate-compression")]
impl fmt::Debug for CompressedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.zlib.plain.len();
        f.debug_struct("CompressedCertificate").field("len", &len).finish_non_exhaustive()
    }
}

#[cfg(feature = "certificate-compression")]
impl Packed {
    fn new(
        certificate: &Certificate<'_>,
        algorithm: u16,
        compress: impl Fn(&[u8]) -> Vec<u8>,
    ) -> Option<Self> {
        let message = |ocsp: Option<&[u8]>| {
            let bytes = certificate.chain.iter().map(|one| one.len() + 5).sum::<usize>();
            let mut body = vec![0; 64 + bytes + ocsp.map_or(0, <[u8]>::len)];
            let mut writer = Writer::new(&mut body);
            CertificateList::emit(&mut writer, &[], certificate.chain, ocsp).ok()?;
            let list = writer.since(0);
            let packed = compress(list);
            let mut message = vec![0; packed.len() + 8];
            let mut writer = Writer::new(&mut message);
            writer.u16(algorithm).ok()?;
            writer.bytes(u32::try_from(list.len()).ok()?.to_be_bytes().get(1..)?).ok()?;
            let block = writer.block(3).ok()?;
            writer.bytes(&packed).ok()?;
            writer.end(block).ok()?;
            Some(message).filter(|message| message.len() < list.len() && list.len() < 1 << 24)
        };
        let with_ocsp = match certificate.ocsp {
            Some(ocsp) => Some(message(Some(ocsp))?),
            None => None,
        };
        Some(Self { plain: message(None)?, with_ocsp })
    }
}

#[cfg(feature = "certificate-compression")]
impl CompressedCertificate {
    /// Compresses with zlib, which takes a while: once for each certificate, not for each connection. `None` when nothing is
    /// gained by it, or when a chain is longer than any message.
    pub fn new(certificate: &Certificate<'_>) -> Option<Self> {
        let compress = |list: &[u8]| miniz_oxide::deflate::compress_to_vec_zlib(list, 10);
        Some(Self { zlib: Packed::new(certificate, ZLIB, compress)?, brotli: None })
    }
    /// The same certificate compressed with brotli (RFC 7932) too, by the caller's `compress`: all that browsers made of
    /// Chromium can unpack. Left out when nothing is gained by it.
    #[must_use]
    pub fn with_brotli(self, certificate: &Certificate<'_>, compress: impl Fn(&[u8]) -> Vec<u8>) -> Self {
        Self { brotli: Packed::new(certificate, BROTLI, compress), ..self }
    }
    /// The body of a CompressedCertificate message that the peer can unpack, the shorter way first.
    pub(crate) fn body(&self, ocsp: bool, unpacks: Unpacks) -> Option<&[u8]> {
        let brotli = self.brotli.as_ref().filter(|_| unpacks.brotli);
        let packed = brotli.or(Some(&self.zlib).filter(|_| unpacks.zlib))?;
        if ocsp { packed.with_ocsp.as_deref() } else { Some(&packed.plain) }
    }
}

/// Asks for what we can unpack.
pub(crate) fn offer(out: &mut Writer<'_>) -> Result<(), NoRoom> {
    out.u16(ExtensionType::COMPRESS_CERTIFICATE.0)?;
    out.u16(3)?;
    out.u8(2)?;
    out.u16(ZLIB)
}

/// What the peer says that it can unpack.
#[cfg(feature = "certificate-compression")]
pub(crate) fn unpacks(data: Option<&[u8]>) -> Result<Unpacks, Alert> {
    let Some(data) = data else { return Ok(Unpacks::NOTHING) };
    let list = U16List::parse8(data)?;
    Ok(Unpacks { zlib: list.contains(ZLIB), brotli: list.contains(BROTLI) })
}
#[cfg(not(feature = "certificate-compression"))]
pub(crate) const fn unpacks(_: Option<&[u8]>) -> Result<Unpacks, Alert> {
    Ok(Unpacks::NOTHING)
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
