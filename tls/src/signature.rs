//! What a CertificateVerify signs: RFC 8446 section 4.4.3.
use crate::{
    Alert,
    certificate_type::CertificateType,
    crypto::{
        Hash, MAX_PUBLIC_KEY, Provider, SignatureScheme, Signer, Transcript, is_public_key,
        subject_public_key_info,
    },
    wire::{CertificateList, CertificateVerify, Writer},
};

pub(crate) const SERVER_CONTEXT: &[u8] = b"TLS 1.3, server CertificateVerify";
pub(crate) const CLIENT_CONTEXT: &[u8] = b"TLS 1.3, client CertificateVerify";

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

/// A Certificate's public key, kept until its CertificateVerify.
pub(crate) struct PublicKey {
    spki: [u8; MAX_PUBLIC_KEY],
    len: u16,
}

impl PublicKey {
    /// The key of the first certificate; the one there is if it comes bare.
    pub(crate) fn of(list: CertificateList<'_>, kind: CertificateType) -> Result<Self, Alert> {
        let (first, _) = list.entries().next().ok_or(Alert::DECODE_ERROR)?;
        let key = if kind.is_raw() {
            Some(first).filter(|key| is_public_key(key) && list.entries().count() == 1)
        } else {
            subject_public_key_info(first)
        };
        let key = key.ok_or(Alert::BAD_CERTIFICATE)?;
        let mut public = Self { spki: [0; MAX_PUBLIC_KEY], len: key.len() as u16 };
        public.spki.get_mut(..key.len()).ok_or(Alert::UNSUPPORTED_CERTIFICATE)?.copy_from_slice(key);
        Ok(public)
    }
    /// What names the key's owner in tickets: the pin of RFC 7469.
    pub(crate) fn pin<P: Provider>(&self, provider: &P) -> [u8; 32] {
        let mut hash = provider.hash(Hash::Sha256);
        hash.update(self.spki());
        hash.current().first_chunk().copied().unwrap_or_default()
    }
    pub(crate) fn spki(&self) -> &[u8] {
        self.spki.get(..self.len.into()).unwrap_or_default()
    }
    /// Checks the body of a CertificateVerify by this key's owner.
    pub(crate) fn check<P: Provider>(
        &self,
        provider: &P,
        context: &[u8],
        transcript: &[u8],
        body: &[u8],
    ) -> Result<(), Alert> {
        let verify = CertificateVerify::parse(body)?;
        let scheme = SignatureScheme(verify.algorithm);
        if !scheme.signs_handshakes() || !provider.signature_schemes().contains(&scheme) {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        let content = signed_content(context, transcript);
        if provider.verify(scheme, self.spki(), content.bytes(), verify.signature) {
            Ok(())
        } else {
            Err(Alert::DECRYPT_ERROR)
        }
    }
}

/// Writes the body of a CertificateVerify.
pub(crate) fn emit_certificate_verify(
    out: &mut Writer<'_>,
    key: &dyn Signer,
    scheme: SignatureScheme,
    context: &[u8],
    transcript: &[u8],
) -> Result<(), Alert> {
    let content = signed_content(context, transcript);
    emit_signature(out, scheme, |out| key.sign(scheme, content.bytes(), out))
}

/// Writes a scheme and the signature that `sign` makes with it.
pub(crate) fn emit_signature(
    out: &mut Writer<'_>,
    scheme: SignatureScheme,
    sign: impl FnOnce(&mut [u8]) -> Option<usize>,
) -> Result<(), Alert> {
    out.u16(scheme.0)?;
    let block = out.block(2)?;
    let len = sign(out.spare());
    out.room(len.ok_or(Alert::INTERNAL_ERROR)?)?;
    Ok(out.end(block)?)
}
