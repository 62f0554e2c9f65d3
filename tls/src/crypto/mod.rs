//! What TLS needs of cryptography: a [`Provider`] is a value that is passed in, [`RustCrypto`] by default.
pub(crate) mod der;
#[cfg(feature = "post-quantum")]
mod hybrid;
mod restricted;
#[cfg(feature = "rsa")]
mod rsa;
mod rust_crypto;
mod secret;
mod suite;

pub(crate) use der::is_public_key;
pub use der::subject_public_key_info;
pub use restricted::Restricted;
#[cfg(all(feature = "alloc", feature = "p384"))]
pub(crate) use rust_crypto::verify_hash;
#[cfg(feature = "alloc")]
pub(crate) use rust_crypto::verify_with_key;
pub use rust_crypto::{PrivateKey, RustCrypto};
pub use secret::Secret;
pub use suite::{CipherSuite, Hash, NamedGroup, SignatureScheme};

/// Most bytes of a public key share: a client's for X25519MLKEM768.
pub const MAX_KEY_SHARE: usize = 1_216;
/// Most bytes of a SubjectPublicKeyInfo whose signatures are looked at: RSA with 4096 bits, else P-384.
pub const MAX_PUBLIC_KEY: usize = if cfg!(feature = "rsa") { 560 } else { 128 };
/// Bytes of a record's authentication tag; the same for every suite here.
pub const TAG: usize = 16;

/// The primitives: hashes, AEADs, key exchanges, signature verification.
pub trait Provider {
    /// A running hash.
    type Transcript: Transcript;
    /// An AEAD with its key.
    type Aead: Aead;
    /// The secret half of a key exchange.
    type KeyExchange: KeyExchange;

    /// The suites it can do, best first.
    fn cipher_suites(&self) -> &[CipherSuite];
    /// The groups it can do, best first.
    fn groups(&self) -> &[NamedGroup];
    /// The signatures it can verify, best first.
    fn signature_schemes(&self) -> &[SignatureScheme];
    /// Starts a hash.
    fn hash(&self, hash: Hash) -> Self::Transcript;
    /// HMAC (RFC 2104) of the concatenated `parts`.
    fn hmac(&self, hash: Hash, key: &[u8], parts: &[&[u8]]) -> Secret;
    /// Expands a key of the suite's length; `None` when it cannot do the suite or the length is wrong.
    fn aead(&self, suite: CipherSuite, key: &[u8]) -> Option<Self::Aead>;
    /// A client's key pair made from 32 random bytes; `None` when it cannot do the group, or for the few bytes
    /// in 2^32 that are no key: draw again.
    fn key_exchange(&self, group: NamedGroup, random: &[u8; 32]) -> Option<Self::KeyExchange>;
    /// A server's answer to a client's share `peer`, made from 32 random bytes: writes our share to the front of
    /// `out`; its length and the shared secret. `None` when `peer` is no valid share or `out` is too short.
    fn answer(
        &self,
        group: NamedGroup,
        random: &[u8; 32],
        peer: &[u8],
        out: &mut [u8],
    ) -> Option<(usize, Secret)> {
        let exchange = self.key_exchange(group, random)?;
        let shared = exchange.agree(peer)?;
        Some((exchange.public(out)?, shared))
    }
    /// Whether `signature` of `message` is by the key with this SubjectPublicKeyInfo (DER).
    fn verify(&self, scheme: SignatureScheme, spki: &[u8], message: &[u8], signature: &[u8]) -> bool;
    /// The same of a message of which only the scheme's hash is known. As TLS 1.2 means the schemes, ECDSA's do not say
    /// which curve (RFC 5246 section 7.4.1.4.1). Providers that cannot have no TLS 1.2.
    #[cfg(feature = "tls12")]
    fn verify_hash(&self, scheme: SignatureScheme, spki: &[u8], hash: &[u8], signature: &[u8]) -> bool {
        let (_, _, _, _) = (scheme, spki, hash, signature);
        false
    }
}

/// A running hash.
pub trait Transcript: Clone {
    /// Adds bytes.
    fn update(&mut self, bytes: &[u8]);
    /// The hash of all bytes so far.
    fn current(&self) -> Secret;
}

/// An AEAD with its key: encrypts and decrypts in place.
pub trait Aead {
    /// Encrypts `text` in place and returns the tag; `None` when it refuses (it must not, below 2^14 + 1 bytes).
    fn seal(&self, nonce: &[u8; 12], associated_data: &[u8], text: &mut [u8]) -> Option<[u8; TAG]>;
    /// Decrypts `text` in place; `None` when the tag is wrong.
    #[must_use]
    fn open(&self, nonce: &[u8; 12], associated_data: &[u8], text: &mut [u8], tag: &[u8; TAG]) -> Option<()>;
}

/// The secret half of a key exchange.
pub trait KeyExchange {
    /// The group.
    fn group(&self) -> NamedGroup;
    /// Writes the public share to the front of `out`; its length, at most [`MAX_KEY_SHARE`]. `None` when `out`
    /// is too short.
    fn public(&self, out: &mut [u8]) -> Option<usize>;
    /// The secret shared with the owner of `peer`; `None` when that is no valid share.
    fn agree(&self, peer: &[u8]) -> Option<Secret>;
}

/// A private key that signs; the key itself may be elsewhere.
pub trait Signer {
    /// What it can make.
    fn schemes(&self) -> &[SignatureScheme];
    /// Signs `message` into the front of `out`; the length, or `None` when it cannot.
    fn sign(&self, scheme: SignatureScheme, message: &[u8], out: &mut [u8]) -> Option<usize>;
    /// The same of a message of which only the scheme's hash is known: a client needs it in TLS 1.2, and shows no
    /// certificate to servers of that version when it cannot.
    #[cfg(feature = "tls12")]
    fn sign_hash(&self, scheme: SignatureScheme, hash: &[u8], out: &mut [u8]) -> Option<usize> {
        let (_, _, _) = (scheme, hash, out);
        None
    }
}

impl<P: Provider> Provider for &P {
    type Transcript = P::Transcript;
    type Aead = P::Aead;
    type KeyExchange = P::KeyExchange;
    fn cipher_suites(&self) -> &[CipherSuite] {
        (**self).cipher_suites()
    }
    fn groups(&self) -> &[NamedGroup] {
        (**self).groups()
    }
    fn signature_schemes(&self) -> &[SignatureScheme] {
        (**self).signature_schemes()
    }
    fn hash(&self, hash: Hash) -> Self::Transcript {
        (**self).hash(hash)
    }
    fn hmac(&self, hash: Hash, key: &[u8], parts: &[&[u8]]) -> Secret {
        (**self).hmac(hash, key, parts)
    }
    fn aead(&self, suite: CipherSuite, key: &[u8]) -> Option<Self::Aead> {
        (**self).aead(suite, key)
    }
    fn key_exchange(&self, group: NamedGroup, random: &[u8; 32]) -> Option<Self::KeyExchange> {
        (**self).key_exchange(group, random)
    }
    fn answer(
        &self,
        group: NamedGroup,
        random: &[u8; 32],
        peer: &[u8],
        out: &mut [u8],
    ) -> Option<(usize, Secret)> {
        (**self).answer(group, random, peer, out)
    }
    fn verify(&self, scheme: SignatureScheme, spki: &[u8], message: &[u8], signature: &[u8]) -> bool {
        (**self).verify(scheme, spki, message, signature)
    }
    #[cfg(feature = "tls12")]
    fn verify_hash(&self, scheme: SignatureScheme, spki: &[u8], hash: &[u8], signature: &[u8]) -> bool {
        (**self).verify_hash(scheme, spki, hash, signature)
    }
}

#[cfg(test)]
mod tests;

#[cfg(all(test, feature = "std"))]
mod wycheproof;
