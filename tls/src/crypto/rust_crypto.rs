//! The provider made of the RustCrypto and dalek crates.
#[cfg(feature = "post-quantum")]
use super::hybrid::HybridKey;
use super::{
    Aead, CipherSuite, Hash, KeyExchange, NamedGroup, Provider, Secret, SignatureScheme, Signer, TAG,
    Transcript,
    der::{self, KeyKind},
};
use aes_gcm::{
    Aes128Gcm, Aes256Gcm,
    aead::{AeadInOut, KeyInit, inout::InOutBuf},
};
use chacha20poly1305::ChaCha20Poly1305;
use core::fmt;
use hmac::{Hmac, Mac};
use p256::{ecdsa, elliptic_curve::sec1::ToSec1Point};
use sha2::{Digest, Sha256, Sha384};
use zeroize::Zeroize;

/// AES-GCM and ChaCha20-Poly1305, X25519 and P-256, ECDSA over P-256 and Ed25519, with the features of their names
/// X25519MLKEM768, P-384 and verification of RSA, in portable Rust; AES instructions where the processor and the
/// operating system are known to have them.
#[derive(Clone, Copy, Debug, Default)]
pub struct RustCrypto;

impl Provider for RustCrypto {
    type Transcript = RunningHash;
    type Aead = RecordCipher;
    type KeyExchange = EphemeralKey;

    fn cipher_suites(&self) -> &[CipherSuite] {
        &[
            CipherSuite::TLS_AES_128_GCM_SHA256,
            CipherSuite::TLS_AES_256_GCM_SHA384,
            CipherSuite::TLS_CHACHA20_POLY1305_SHA256,
        ]
    }
    fn groups(&self) -> &[NamedGroup] {
        &[
            #[cfg(feature = "post-quantum")]
            NamedGroup::X25519MLKEM768,
            NamedGroup::X25519,
            NamedGroup::SECP256R1,
            #[cfg(feature = "p384")]
            NamedGroup::SECP384R1,
        ]
    }
    fn signature_schemes(&self) -> &[SignatureScheme] {
        &[
            SignatureScheme::ECDSA_SECP256R1_SHA256,
            SignatureScheme::ED25519,
            #[cfg(feature = "p384")]
            SignatureScheme::ECDSA_SECP384R1_SHA384,
            #[cfg(feature = "rsa")]
            SignatureScheme::RSA_PSS_RSAE_SHA256,
            #[cfg(feature = "rsa")]
            SignatureScheme::RSA_PSS_RSAE_SHA384,
            #[cfg(feature = "rsa")]
            SignatureScheme::RSA_PSS_RSAE_SHA512,
            #[cfg(feature = "rsa")]
            SignatureScheme::RSA_PKCS1_SHA256,
            #[cfg(feature = "rsa")]
            SignatureScheme::RSA_PKCS1_SHA384,
            #[cfg(feature = "rsa")]
            SignatureScheme::RSA_PKCS1_SHA512,
        ]
    }
    fn hash(&self, hash: Hash) -> RunningHash {
        match hash {
            Hash::Sha256 => RunningHash::Sha256(Sha256::new()),
            Hash::Sha384 => RunningHash::Sha384(Sha384::new()),
        }
    }
    fn hmac(&self, hash: Hash, key: &[u8], parts: &[&[u8]]) -> Secret {
        match hash {
            Hash::Sha256 => mac::<Hmac<Sha256>>(key, parts),
            Hash::Sha384 => mac::<Hmac<Sha384>>(key, parts),
        }
    }
    fn aead(&self, suite: CipherSuite, key: &[u8]) -> Option<RecordCipher> {
        Some(match suite {
            CipherSuite::TLS_AES_128_GCM_SHA256 => RecordCipher::Aes128(Aes128Gcm::new_from_slice(key).ok()?),
            CipherSuite::TLS_AES_256_GCM_SHA384 => RecordCipher::Aes256(Aes256Gcm::new_from_slice(key).ok()?),
            CipherSuite::TLS_CHACHA20_POLY1305_SHA256 => {
                RecordCipher::ChaCha20(ChaCha20Poly1305::new_from_slice(key).ok()?)
            }
            _ => return None,
        })
    }
    fn key_exchange(&self, group: NamedGroup, random: &[u8; 32]) -> Option<EphemeralKey> {
        match group {
            NamedGroup::X25519 => Some(EphemeralKey::X25519((*random).into())),
            NamedGroup::SECP256R1 => Some(EphemeralKey::P256(p256::SecretKey::from_slice(random).ok()?)),
            #[cfg(feature = "p384")]
            NamedGroup::SECP384R1 => {
                let scalar = self.hmac(Hash::Sha384, random, &[b"P-384"]);
                Some(EphemeralKey::P384(p384::SecretKey::from_slice(&scalar).ok()?))
            }
            #[cfg(feature = "post-quantum")]
            NamedGroup::X25519MLKEM768 => Some(EphemeralKey::Hybrid(HybridKey::new(random))),
            _ => None,
        }
    }
    fn answer(
        &self,
        group: NamedGroup,
        random: &[u8; 32],
        peer: &[u8],
        out: &mut [u8],
    ) -> Option<(usize, Secret)> {
        #[cfg(feature = "post-quantum")]
        if group == NamedGroup::X25519MLKEM768 {
            return super::hybrid::answer(random, peer, out);
        }
        let exchange = self.key_exchange(group, random)?;
        let shared = exchange.agree(peer)?;
        Some((exchange.public(out)?, shared))
    }
    fn verify(&self, scheme: SignatureScheme, spki: &[u8], message: &[u8], signature: &[u8]) -> bool {
        verify(scheme, spki, message, signature).is_some()
    }
    #[cfg(feature = "tls12")]
    fn verify_hash(&self, scheme: SignatureScheme, spki: &[u8], hash: &[u8], signature: &[u8]) -> bool {
        let outcome = der::public_key(spki).and_then(|(kind, key)| match kind {
            KeyKind::EcdsaP256 | KeyKind::EcdsaP384 if !scheme.is_rsa() => {
                verify_hash(kind == KeyKind::EcdsaP384, key, hash, signature)
            }
            #[cfg(feature = "rsa")]
            KeyKind::Rsa => super::rsa::verify_hash(scheme, key, hash, signature),
            _ => None,
        });
        outcome.is_some()
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Secret {
    // HMAC takes keys of any length.
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else { return Secret::zeros(0) };
    for part in parts {
        mac.update(part);
    }
    let mut output = mac.finalize().into_bytes();
    let secret = Secret::new(&output);
    output.as_mut_slice().zeroize();
    secret
}

fn verify(scheme: SignatureScheme, spki: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    let (kind, key) = der::public_key(spki)?;
    let fits = match scheme {
        SignatureScheme::ECDSA_SECP256R1_SHA256 => kind == KeyKind::EcdsaP256,
        SignatureScheme::ED25519 => kind == KeyKind::Ed25519,
        #[cfg(feature = "p384")]
        SignatureScheme::ECDSA_SECP384R1_SHA384 => kind == KeyKind::EcdsaP384,
        #[cfg(feature = "rsa")]
        _ => kind == KeyKind::Rsa,
        #[cfg(not(feature = "rsa"))]
        _ => false,
    };
    Some(()).filter(|()| fits)?;
    verify_with_key(scheme, key, message, signature)
}

/// Whether `signature` is by `key`, the bare bits of a `subjectPublicKey`.
pub(crate) fn verify_with_key(
    scheme: SignatureScheme,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Option<()> {
    match scheme {
        SignatureScheme::ECDSA_SECP256R1_SHA256 => {
            let key = ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
            let signature = ecdsa::Signature::from_slice(&der::parse_signature::<64>(signature)?).ok()?;
            ecdsa::signature::Verifier::verify(&key, message, &signature).ok()
        }
        #[cfg(feature = "p384")]
        SignatureScheme::ECDSA_SECP384R1_SHA384 => {
            let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
            let signature =
                p384::ecdsa::Signature::from_slice(&der::parse_signature::<96>(signature)?).ok()?;
            ecdsa::signature::Verifier::verify(&key, message, &signature).ok()
        }
        SignatureScheme::ED25519 => {
            let key = ed25519_dalek::VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
            let signature = ed25519_dalek::Signature::from_slice(signature).ok()?;
            key.verify_strict(message, &signature).ok()
        }
        #[cfg(feature = "rsa")]
        _ => super::rsa::verify(scheme, key, message, signature),
        #[cfg(not(feature = "rsa"))]
        _ => None,
    }
}

/// SHA-256 or SHA-384 in progress.
#[derive(Clone)]
pub enum RunningHash {
    /// SHA-256.
    Sha256(Sha256),
    /// SHA-384.
    Sha384(Sha384),
}

impl Transcript for RunningHash {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha384(hash) => hash.update(bytes),
        }
    }
    fn current(&self) -> Secret {
        match self {
            Self::Sha256(hash) => Secret::new(&hash.clone().finalize()),
            Self::Sha384(hash) => Secret::new(&hash.clone().finalize()),
        }
    }
}

/// An AEAD with its expanded key.
// The caller's buffers are hundreds of times larger, and there may be no allocator to box with.
#[allow(clippy::large_enum_variant)]
pub enum RecordCipher {
    /// AES-128-GCM.
    Aes128(Aes128Gcm),
    /// AES-256-GCM.
    Aes256(Aes256Gcm),
    /// ChaCha20-Poly1305.
    ChaCha20(ChaCha20Poly1305),
}

impl Aead for RecordCipher {
    fn seal(&self, nonce: &[u8; 12], associated_data: &[u8], text: &mut [u8]) -> Option<[u8; TAG]> {
        let (nonce, text) = (&(*nonce).into(), InOutBuf::from(text));
        let tag = match self {
            Self::Aes128(aead) => aead.encrypt_inout_detached(nonce, associated_data, text),
            Self::Aes256(aead) => aead.encrypt_inout_detached(nonce, associated_data, text),
            Self::ChaCha20(aead) => aead.encrypt_inout_detached(nonce, associated_data, text),
        };
        tag.ok().map(Into::into)
    }
    fn open(&self, nonce: &[u8; 12], associated_data: &[u8], text: &mut [u8], tag: &[u8; TAG]) -> Option<()> {
        let (nonce, tag, text) = (&(*nonce).into(), &(*tag).into(), InOutBuf::from(text));
        match self {
            Self::Aes128(aead) => aead.decrypt_inout_detached(nonce, associated_data, text, tag),
            Self::Aes256(aead) => aead.decrypt_inout_detached(nonce, associated_data, text, tag),
            Self::ChaCha20(aead) => aead.decrypt_inout_detached(nonce, associated_data, text, tag),
        }
        .ok()
    }
}

/// Whether `signature` is by `key`, a point on P-256 or P-384, over the `hash` of a message: pairs of curve and hash that
/// TLS 1.3 does not know and certificates use.
#[cfg(all(feature = "p384", any(feature = "alloc", feature = "tls12")))]
pub(crate) fn verify_hash(p384: bool, key: &[u8], hash: &[u8], signature: &[u8]) -> Option<()> {
    use ecdsa::signature::hazmat::PrehashVerifier;
    if p384 {
        let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
        let signature = p384::ecdsa::Signature::from_slice(&der::parse_signature::<96>(signature)?).ok()?;
        key.verify_prehash(hash, &signature).ok()
    } else {
        let key = ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
        let signature = ecdsa::Signature::from_slice(&der::parse_signature::<64>(signature)?).ok()?;
        key.verify_prehash(hash, &signature).ok()
    }
}

/// The secret half of a key exchange; wiped when dropped.
pub enum EphemeralKey {
    /// X25519.
    X25519(x25519_dalek::StaticSecret),
    /// P-256.
    P256(p256::SecretKey),
    /// P-384.
    #[cfg(feature = "p384")]
    P384(p384::SecretKey),
    /// X25519MLKEM768.
    #[cfg(feature = "post-quantum")]
    Hybrid(HybridKey),
}

impl KeyExchange for EphemeralKey {
    fn group(&self) -> NamedGroup {
        match self {
            Self::X25519(_) => NamedGroup::X25519,
            Self::P256(_) => NamedGroup::SECP256R1,
            #[cfg(feature = "p384")]
            Self::P384(_) => NamedGroup::SECP384R1,
            #[cfg(feature = "post-quantum")]
            Self::Hybrid(_) => NamedGroup::X25519MLKEM768,
        }
    }
    fn public(&self, out: &mut [u8]) -> Option<usize> {
        fn write(out: &mut [u8], bytes: &[u8]) -> Option<usize> {
            out.get_mut(..bytes.len())?.copy_from_slice(bytes);
            Some(bytes.len())
        }
        match self {
            Self::X25519(key) => write(out, x25519_dalek::PublicKey::from(key).as_bytes()),
            Self::P256(key) => write(out, key.public_key().to_sec1_point(false).as_bytes()),
            #[cfg(feature = "p384")]
            Self::P384(key) => write(out, key.public_key().to_sec1_point(false).as_bytes()),
            #[cfg(feature = "post-quantum")]
            Self::Hybrid(key) => key.public(out),
        }
    }
    fn agree(&self, peer: &[u8]) -> Option<Secret> {
        match self {
            Self::X25519(key) => {
                let peer: [u8; 32] = peer.try_into().ok()?;
                let shared = key.diffie_hellman(&peer.into());
                //= https://www.rfc-editor.org/rfc/rfc8446#section-7.4.2
                //# Implementations MUST check whether
                //# the computed Diffie-Hellman shared secret is the all-zero value and abort if so
                shared.was_contributory().then(|| Secret::new(shared.as_bytes()))
            }
            Self::P256(key) => {
                // Uncompressed points only (RFC 8446 section 4.2.8.2).
                let peer = Some(peer).filter(|peer| peer.len() == 65 && peer.first() == Some(&4))?;
                let peer = p256::PublicKey::from_sec1_bytes(peer).ok()?;
                Some(Secret::new(key.diffie_hellman(&peer).raw_secret_bytes()))
            }
            #[cfg(feature = "p384")]
            Self::P384(key) => {
                let peer = Some(peer).filter(|peer| peer.len() == 97 && peer.first() == Some(&4))?;
                let peer = p384::PublicKey::from_sec1_bytes(peer).ok()?;
                Some(Secret::new(key.diffie_hellman(&peer).raw_secret_bytes()))
            }
            #[cfg(feature = "post-quantum")]
            Self::Hybrid(key) => key.agree(peer),
        }
    }
}

/// A private key in memory, wiped when dropped.
pub enum PrivateKey {
    /// ECDSA over P-256; nonces are made as RFC 6979 says, so signing needs no randomness.
    EcdsaP256(ecdsa::SigningKey),
    /// ECDSA over P-384, the same.
    #[cfg(feature = "p384")]
    EcdsaP384(p384::ecdsa::SigningKey),
    /// Ed25519.
    Ed25519(ed25519_dalek::SigningKey),
}

impl PrivateKey {
    /// Reads PKCS #8 (`BEGIN PRIVATE KEY`) or SEC 1 (`BEGIN EC PRIVATE KEY`), both as DER; `None` when it is
    /// neither, or of another kind of key.
    pub fn from_der(der: &[u8]) -> Option<Self> {
        let (kind, secret) = der::private_key(der)?;
        Some(match kind {
            KeyKind::EcdsaP256 => Self::EcdsaP256(ecdsa::SigningKey::from_slice(secret).ok()?),
            #[cfg(feature = "p384")]
            KeyKind::EcdsaP384 => Self::EcdsaP384(p384::ecdsa::SigningKey::from_slice(secret).ok()?),
            KeyKind::Ed25519 => Self::Ed25519(ed25519_dalek::SigningKey::from_bytes(secret.try_into().ok()?)),
            // Signing in a time that does not tell the key is more than the crate promises.
            #[cfg(feature = "rsa")]
            KeyKind::Rsa => return None,
        })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EcdsaP256(_) => "PrivateKey(ECDSA P-256)",
            #[cfg(feature = "p384")]
            Self::EcdsaP384(_) => "PrivateKey(ECDSA P-384)",
            Self::Ed25519(_) => "PrivateKey(Ed25519)",
        })
    }
}

impl Signer for PrivateKey {
    fn schemes(&self) -> &[SignatureScheme] {
        match self {
            Self::EcdsaP256(_) => &[SignatureScheme::ECDSA_SECP256R1_SHA256],
            #[cfg(feature = "p384")]
            Self::EcdsaP384(_) => &[SignatureScheme::ECDSA_SECP384R1_SHA384],
            Self::Ed25519(_) => &[SignatureScheme::ED25519],
        }
    }
    fn sign(&self, scheme: SignatureScheme, message: &[u8], out: &mut [u8]) -> Option<usize> {
        match (self, scheme) {
            (Self::EcdsaP256(key), SignatureScheme::ECDSA_SECP256R1_SHA256) => {
                let signature: ecdsa::Signature = ecdsa::signature::Signer::try_sign(key, message).ok()?;
                der::emit_signature(&signature.to_bytes(), out)
            }
            #[cfg(feature = "p384")]
            (Self::EcdsaP384(key), SignatureScheme::ECDSA_SECP384R1_SHA384) => {
                let signature: p384::ecdsa::Signature =
                    ecdsa::signature::Signer::try_sign(key, message).ok()?;
                der::emit_signature(&signature.to_bytes(), out)
            }
            (Self::Ed25519(key), SignatureScheme::ED25519) => {
                let signature = ed25519_dalek::Signer::try_sign(key, message).ok()?.to_bytes();
                out.get_mut(..signature.len())?.copy_from_slice(&signature);
                Some(signature.len())
            }
            _ => None,
        }
    }
    #[cfg(feature = "tls12")]
    fn sign_hash(&self, scheme: SignatureScheme, hash: &[u8], out: &mut [u8]) -> Option<usize> {
        use ecdsa::signature::hazmat::PrehashSigner;
        match (self, scheme) {
            (Self::EcdsaP256(key), SignatureScheme::ECDSA_SECP256R1_SHA256) => {
                let signature: ecdsa::Signature = key.sign_prehash(hash).ok()?;
                der::emit_signature(&signature.to_bytes(), out)
            }
            (Self::EcdsaP384(key), SignatureScheme::ECDSA_SECP384R1_SHA384) => {
                let signature: p384::ecdsa::Signature = key.sign_prehash(hash).ok()?;
                der::emit_signature(&signature.to_bytes(), out)
            }
            _ => None,
        }
    }
}
