//! Record protection: RFC 8446 section 5.2.
use crate::{
    Alert,
    crypto::{Aead, CipherSuite, Provider, Secret, TAG},
    key_schedule::expand_label,
    wire::{ContentType, MAX_PLAINTEXT, NoRoom, RECORD_HEADER, RecordHeader},
};
use core::fmt;

#[cfg(feature = "tls12")]
mod tls12;
#[cfg(feature = "tls12")]
pub(crate) use tls12::OVERHEAD as MAX_OVERHEAD;

/// Bytes that protection adds to a record's content: header, content type, tag.
pub const OVERHEAD: usize = RECORD_HEADER + 1 + TAG;
/// The most of any version.
#[cfg(not(feature = "tls12"))]
pub(crate) const MAX_OVERHEAD: usize = OVERHEAD;

/// One direction's keys.
pub struct Protection<P: Provider> {
    suite: CipherSuite,
    secret: Secret,
    aead: P::Aead,
    iv: Secret,
    sequence: u64,
    #[cfg(feature = "tls12")]
    tls12: bool,
}

impl<P: Provider> Protection<P> {
    /// The keys of a traffic secret; `None` when the provider lacks the suite.
    pub fn new(provider: &P, suite: CipherSuite, secret: Secret) -> Option<Self> {
        let expand = |label: &[u8], len| expand_label(provider, suite.hash(), &secret, label, &[], len);
        let (key, iv) = (expand(b"key", suite.key_len()), expand(b"iv", 12));
        Some(Self {
            suite,
            aead: provider.aead(suite, &key)?,
            iv,
            sequence: 0,
            secret,
            #[cfg(feature = "tls12")]
            tls12: false,
        })
    }
    /// The traffic secret.
    pub const fn secret(&self) -> &Secret {
        &self.secret
    }
    /// The keys after a KeyUpdate (RFC 8446 section 7.2).
    ///
    /// # Errors
    /// The provider lacks the suite.
    pub fn update(&mut self, provider: &P) -> Result<(), Alert> {
        let hash = self.suite.hash();
        let secret = expand_label(provider, hash, &self.secret, b"traffic upd", &[], hash.len());
        *self = Self::new(provider, self.suite, secret).ok_or(Alert::INTERNAL_ERROR)?;
        Ok(())
    }
    /// Bytes of the nonce that lie between a record's header and its content: none in TLS 1.3.
    pub(crate) fn explicit_nonce(&self) -> usize {
        let explicit = self.is_tls12() && self.suite != CipherSuite::TLS_CHACHA20_POLY1305_SHA256;
        if explicit { 8 } else { 0 }
    }
    /// Whether they are TLS 1.2's.
    pub(crate) const fn is_tls12(&self) -> bool {
        #[cfg(feature = "tls12")]
        return self.tls12;
        #[cfg(not(feature = "tls12"))]
        false
    }
    /// Whether so many records were protected that it is time for new keys (RFC 8446 section 5.5).
    pub const fn is_worn(&self) -> bool {
        self.sequence >= self.suite.records_per_key()
    }
    #[cfg(test)]
    pub(crate) const fn wear(&mut self, sequence: u64) {
        self.sequence = sequence;
    }
    #[cfg(test)]
    pub(crate) const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The nonce (RFC 8446 section 5.3) for the present number; the number then goes up.
    fn nonce(&mut self) -> Option<[u8; 12]> {
        let mut nonce = [0; 12];
        let next = self.sequence.checked_add(1)?;
        let number = u128::from(self.sequence).to_be_bytes();
        for (place, (iv, digit)) in nonce.iter_mut().zip(self.iv.iter().zip(number.iter().skip(4))) {
            *place = iv ^ digit;
        }
        self.sequence = next;
        Some(nonce)
    }

    /// Protects the `len` bytes that lie in `record` after room for a header: header before, content type and
    /// tag after. Returns the record's length, in TLS 1.3 `len` + [`OVERHEAD`].
    ///
    /// # Errors
    /// `record` is too short, `len` is above [`MAX_PLAINTEXT`], or the numbers are used up.
    pub fn seal(
        &mut self,
        content_type: ContentType,
        record: &mut [u8],
        len: usize,
    ) -> Result<usize, NoRoom> {
        if len > MAX_PLAINTEXT {
            return Err(NoRoom);
        }
        #[cfg(feature = "tls12")]
        if self.tls12 {
            return self.seal_tls12(content_type, record, len);
        }
        let record = record.get_mut(..len + OVERHEAD).ok_or(NoRoom)?;
        let (header, payload) = record.split_first_chunk_mut::<RECORD_HEADER>().ok_or(NoRoom)?;
        let (text, tag) = payload.split_last_chunk_mut::<TAG>().ok_or(NoRoom)?;
        *header = RecordHeader { content_type: ContentType::APPLICATION_DATA, len: text.len() + TAG }.emit();
        *text.last_mut().ok_or(NoRoom)? = content_type.0;
        let nonce = self.nonce().ok_or(NoRoom)?;
        *tag = self.aead.seal(&nonce, header, text).ok_or(NoRoom)?;
        Ok(len + OVERHEAD)
    }

    /// Deprotects one whole record in place: the content's type and length; the content lies behind the header.
    ///
    /// # Errors
    /// The alert to send. After `bad_record_mac` the number has not gone up, so that early data may be skipped.
    pub fn open(&mut self, record: &mut [u8]) -> Result<(ContentType, usize), Alert> {
        let (header, payload) =
            record.split_first_chunk_mut::<RECORD_HEADER>().ok_or(Alert::INTERNAL_ERROR)?;
        let (text, tag) = payload.split_last_chunk_mut::<TAG>().ok_or(Alert::BAD_RECORD_MAC)?;
        let nonce = self.nonce().ok_or(Alert::INTERNAL_ERROR)?;
        if self.aead.open(&nonce, header, text, tag).is_none() {
            self.sequence -= 1;
            return Err(Alert::BAD_RECORD_MAC);
        }
        //= https://www.rfc-editor.org/rfc/rfc8446#section-5.4
        //# If a receiving implementation does not find a non-zero octet in the cleartext, it MUST
        //# terminate the connection with an "unexpected_message" alert.
        let at = text.iter().rposition(|byte| *byte != 0).ok_or(Alert::UNEXPECTED_MESSAGE)?;
        if at > MAX_PLAINTEXT {
            return Err(Alert::RECORD_OVERFLOW);
        }
        Ok((ContentType(text.get(at).copied().unwrap_or_default()), at))
    }
}

impl<P: Provider> fmt::Debug for Protection<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Protection")
            .field("suite", &self.suite)
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}
