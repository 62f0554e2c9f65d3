//! TLS 1.2's record protection: RFC 5246 section 6.2.3.3, with the nonces of RFC 5288 and RFC 7905.
use super::Protection;
use crate::{
    Alert,
    crypto::{Aead, CipherSuite, Provider, Secret, TAG},
    wire::{ContentType, MAX_PLAINTEXT, NoRoom, RECORD_HEADER, RecordHeader},
};
use zeroize::Zeroizing;

/// Most bytes that protection adds to a record's content: header, explicit nonce, tag.
pub(crate) const OVERHEAD: usize = RECORD_HEADER + 8 + TAG;

/// The additional data: number, type and version as on the wire, length of the content.
fn additional_data(sequence: u64, header: &[u8; RECORD_HEADER], len: usize) -> [u8; 13] {
    let mut data = [0; 13];
    let len = (len as u16).to_be_bytes();
    let parts = sequence.to_be_bytes().into_iter().chain(header.iter().copied().take(3)).chain(len);
    data.iter_mut().zip(parts).for_each(|(place, byte)| *place = byte);
    data
}

impl<P: Provider> Protection<P> {
    /// The keys of a key block. `iv` is the part of the nonce that both sides know: four bytes for AES-GCM, all twelve
    /// for ChaCha20-Poly1305. `None` when the provider lacks the suite.
    pub(crate) fn tls12(provider: &P, suite: CipherSuite, key: &[u8], iv: &[u8]) -> Option<Self> {
        let mut base = Zeroizing::new([0; 12]);
        base.get_mut(..iv.len())?.copy_from_slice(iv);
        let aead = provider.aead(suite, key)?;
        Some(Self {
            suite,
            secret: Secret::zeros(0),
            aead,
            iv: Secret::new(&*base),
            sequence: 0,
            tls12: true,
        })
    }

    /// As [`seal`](Self::seal), but the content lies behind room for the explicit part of the nonce too.
    pub(super) fn seal_tls12(
        &mut self,
        content_type: ContentType,
        record: &mut [u8],
        len: usize,
    ) -> Result<usize, NoRoom> {
        let explicit = self.explicit_nonce();
        let record = record.get_mut(..RECORD_HEADER + explicit + len + TAG).ok_or(NoRoom)?;
        let (header, payload) = record.split_first_chunk_mut::<RECORD_HEADER>().ok_or(NoRoom)?;
        *header = RecordHeader { content_type, len: payload.len() }.emit();
        let (place, payload) = payload.split_at_mut_checked(explicit).ok_or(NoRoom)?;
        let (text, tag) = payload.split_last_chunk_mut::<TAG>().ok_or(NoRoom)?;
        let data = additional_data(self.sequence, header, len);
        let nonce = self.nonce().ok_or(NoRoom)?;
        // The number itself, as it never comes twice under a key (RFC 5288 section 3).
        place.copy_from_slice(nonce.get(12 - explicit..).ok_or(NoRoom)?);
        *tag = self.aead.seal(&nonce, &data, text).ok_or(NoRoom)?;
        Ok(RECORD_HEADER + explicit + len + TAG)
    }

    /// Deprotects one whole record in place, its explicit nonce taken out: the content's length; it lies behind the header.
    ///
    /// # Errors
    /// The alert to send.
    pub(crate) fn open_tls12(
        &mut self,
        explicit: Option<[u8; 8]>,
        record: &mut [u8],
    ) -> Result<usize, Alert> {
        let (header, payload) =
            record.split_first_chunk_mut::<RECORD_HEADER>().ok_or(Alert::INTERNAL_ERROR)?;
        let (text, tag) = payload.split_last_chunk_mut::<TAG>().ok_or(Alert::BAD_RECORD_MAC)?;
        let data = additional_data(self.sequence, header, text.len());
        let mut nonce = self.nonce().ok_or(Alert::INTERNAL_ERROR)?;
        if let (Some(explicit), Some(place)) = (explicit, nonce.last_chunk_mut()) {
            *place = explicit;
        }
        self.aead.open(&nonce, &data, text, tag).ok_or(Alert::BAD_RECORD_MAC)?;
        if text.len() > MAX_PLAINTEXT { Err(Alert::RECORD_OVERFLOW) } else { Ok(text.len()) }
    }
}
