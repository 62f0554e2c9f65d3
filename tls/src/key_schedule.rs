//! The key schedule: RFC 8446 section 7.
use crate::crypto::{Hash, Provider, Secret, Transcript};

/// `HKDF-Expand-Label` (RFC 8446 section 7.1) into `out`, at most one hash long: keys, IVs and secrets all are.
pub fn expand_label<P: Provider>(
    provider: &P,
    hash: Hash,
    secret: &[u8],
    label: &[u8],
    context: &[u8],
    len: usize,
) -> Secret {
    let len = len.min(hash.len());
    let output = provider.hmac(
        hash,
        secret,
        &[
            &[0, len as u8, 6_u8.wrapping_add(label.len() as u8)],
            b"tls13 ",
            label,
            &[context.len() as u8],
            context,
            // HKDF-Expand's first block (RFC 5869 section 2.3).
            &[1],
        ],
    );
    Secret::new(output.get(..len).unwrap_or_default())
}

/// The `verify_data` of a Finished under a side's traffic secret (RFC 8446 section 4.4.4).
pub fn finished<P: Provider>(provider: &P, hash: Hash, traffic_secret: &[u8], transcript: &[u8]) -> Secret {
    let key = expand_label(provider, hash, traffic_secret, b"finished", &[], hash.len());
    provider.hmac(hash, &key, &[transcript])
}

/// The secret the schedule has come to: Early, Handshake, Main.
#[derive(Debug)]
pub struct KeySchedule<P> {
    provider: P,
    hash: Hash,
    current: Secret,
}

impl<P: Provider> KeySchedule<P> {
    /// The Early Secret of a pre-shared key; of as many zeros when there is none.
    pub fn early(provider: P, hash: Hash, psk: Option<&[u8]>) -> Self {
        let zeros = Secret::zeros(hash.len());
        let current = provider.hmac(hash, &zeros, &[psk.unwrap_or(&zeros)]);
        Self { provider, hash, current }
    }

    fn advance(&mut self, input: &[u8]) {
        let empty = self.provider.hash(self.hash).current();
        let salt = self.derive(b"derived", &empty);
        self.current = self.provider.hmac(self.hash, &salt, &[input]);
    }
    /// On to the Handshake Secret with what the key exchange gave.
    pub fn handshake(&mut self, shared: &[u8]) {
        self.advance(shared);
    }
    /// On to the Main Secret.
    pub fn main(&mut self) {
        self.advance(&Secret::zeros(self.hash.len()));
    }
    /// `Derive-Secret` with a transcript's hash.
    pub fn derive(&self, label: &[u8], transcript: &[u8]) -> Secret {
        expand_label(&self.provider, self.hash, &self.current, label, transcript, self.hash.len())
    }
    /// The `verify_data` of a Finished under a side's handshake traffic secret (RFC 8446 section 4.4.4).
    pub fn finished(&self, traffic_secret: &[u8], transcript: &[u8]) -> Secret {
        finished(&self.provider, self.hash, traffic_secret, transcript)
    }
}
