//! What a CertificateVerify signs: RFC 8446 section 4.4.3.
use crate::wire::Writer;

pub(crate) const SERVER_CONTEXT: &[u8] = b"TLS 1.3, server CertificateVerify";

/// 64 spaces, a context string of 33 bytes, a zero, a hash of at most 48 bytes.
pub(crate) struct SignedContent {
    bytes: [u8; 64 + 33 + 1 + 48],
    len: usize,
}

impl SignedContent {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

pub(crate) fn signed_content(context: &[u8], hash: &[u8]) -> SignedContent {
    let mut content = SignedContent { bytes: [b' '; 64 + 33 + 1 + 48], len: 0 };
    let mut out = Writer::new(&mut content.bytes);
    // Everything fits: the sizes above are the longest there are.
    let written = out.room(64).map(|_| ()).and_then(|()| out.bytes(context));
    let _ = written.and_then(|()| out.u8(0)).and_then(|()| out.bytes(hash));
    content.len = out.len();
    content
}
