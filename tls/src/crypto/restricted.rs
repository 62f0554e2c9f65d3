use super::{CipherSuite, Hash, NamedGroup, Provider, Secret, SignatureScheme};

/// A provider of which less is used, in an order of its own.
#[derive(Clone, Copy, Debug)]
pub struct Restricted<P> {
    /// Who does the work.
    pub provider: P,
    /// The suites that are used, best first.
    pub cipher_suites: &'static [CipherSuite],
    /// The groups that are used, best first.
    pub groups: &'static [NamedGroup],
}

impl<P: Provider> Provider for Restricted<P> {
    type Transcript = P::Transcript;
    type Aead = P::Aead;
    type KeyExchange = P::KeyExchange;
    fn cipher_suites(&self) -> &[CipherSuite] {
        self.cipher_suites
    }
    fn groups(&self) -> &[NamedGroup] {
        self.groups
    }
    fn signature_schemes(&self) -> &[SignatureScheme] {
        self.provider.signature_schemes()
    }
    fn hash(&self, hash: Hash) -> Self::Transcript {
        self.provider.hash(hash)
    }
    fn hmac(&self, hash: Hash, key: &[u8], parts: &[&[u8]]) -> Secret {
        self.provider.hmac(hash, key, parts)
    }
    fn aead(&self, suite: CipherSuite, key: &[u8]) -> Option<Self::Aead> {
        self.provider.aead(suite, key)
    }
    fn key_exchange(&self, group: NamedGroup, random: &[u8; 32]) -> Option<Self::KeyExchange> {
        self.provider.key_exchange(group, random)
    }
    fn answer(
        &self,
        group: NamedGroup,
        random: &[u8; 32],
        peer: &[u8],
        out: &mut [u8],
    ) -> Option<(usize, Secret)> {
        self.provider.answer(group, random, peer, out)
    }
    fn verify(&self, scheme: SignatureScheme, spki: &[u8], message: &[u8], signature: &[u8]) -> bool {
        self.provider.verify(scheme, spki, message, signature)
    }
    #[cfg(feature = "tls12")]
    fn verify_hash(&self, scheme: SignatureScheme, spki: &[u8], hash: &[u8], signature: &[u8]) -> bool {
        self.provider.verify_hash(scheme, spki, hash, signature)
    }
}
