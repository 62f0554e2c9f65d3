//! The provider made of the RustCrypto and dalek crates.
use super::{
    Aead, CipherSuite, Hash, KeyExchange, MAX_KEY_SHARE, NamedGroup, Provider, Secret, SignatureScheme,
    Signer, TAG, Transcript,
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

/// AES-GCM and ChaCha20-Poly1305, X25519 and P-256, ECDSA over P-256 and Ed25519, in portable Rust; AES
/// instructions where the processor and the operating system are known to have them.
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
        &[NamedGroup::X25519, NamedGroup::SECP256R1]
    }
    fn signature_schemes(&self) -> &[SignatureScheme] {
        &[SignatureScheme::ECDSA_SECP256R1_SHA256, SignatureScheme::ED25519]
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
            _ => None,
        }
    }
    fn verify(&self, scheme: SignatureScheme, spki: &[u8], message: &[u8], signature: &[u8]) -> bool {
        verify(scheme, spki, message, signature).is_some()
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
    let expected = match kind {
        KeyKind::EcdsaP256 => SignatureScheme::ECDSA_SECP256R1_SHA256,
        KeyKind::Ed25519 => SignatureScheme::ED25519,
    };
    Some(()).filter(|()| scheme == expected)?;
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
            let signature = ecdsa::Signature::from_slice(&der::parse_signature(signature)?).ok()?;
            ecdsa::signature::Verifier::verify(&key, message, &signature).ok()
        }
        SignatureScheme::ED25519 => {
            let key = ed25519_dalek::VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
            let signature = ed25519_dalek::Signature::from_slice(signature).ok()?;
            key.verify_strict(message, &signature).ok()
        }
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

/// The secret half of a key exchange; wiped when dropped.
pub enum EphemeralKey {
    /// X25519.
    X25519(x25519_dalek::StaticSecret),
    /// P-256.
    P256(p256::SecretKey),
}

impl KeyExchange for EphemeralKey {
    fn group(&self) -> NamedGroup {
        match self {
            Self::X25519(_) => NamedGroup::X25519,
            Self::P256(_) => NamedGroup::SECP256R1,
        }
    }
    fn public(&self, out: &mut [u8; MAX_KEY_SHARE]) -> usize {
        fn write(out: &mut [u8; MAX_KEY_SHARE], bytes: &[u8]) -> usize {
            out.iter_mut().zip(bytes).map(|(place, byte)| *place = *byte).count()
        }
        match self {
            Self::X25519(key) => write(out, x25519_dalek::PublicKey::from(key).as_bytes()),
            Self::P256(key) => write(out, key.public_key().to_sec1_point(false).as_bytes()),
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
        }
    }
}

/// A private key in memory, wiped when dropped.
pub enum PrivateKey {
    /// ECDSA over P-256; nonces are made as RFC 6979 says, so signing needs no randomness.
    EcdsaP256(ecdsa::SigningKey),
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
            KeyKind::Ed25519 => Self::Ed25519(secret.into()),
        })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EcdsaP256(_) => "PrivateKey(ECDSA P-256)",
            Self::Ed25519(_) => "PrivateKey(Ed25519)",
        })
    }
}

impl Signer for PrivateKey {
    fn schemes(&self) -> &[SignatureScheme] {
        match self {
            Self::EcdsaP256(_) => &[SignatureScheme::ECDSA_SECP256R1_SHA256],
            Self::Ed25519(_) => &[SignatureScheme::ED25519],
        }
    }
    fn sign(&self, scheme: SignatureScheme, message: &[u8], out: &mut [u8]) -> Option<usize> {
        match (self, scheme) {
            (Self::EcdsaP256(key), SignatureScheme::ECDSA_SECP256R1_SHA256) => {
                let signature: ecdsa::Signature = ecdsa::signature::Signer::try_sign(key, message).ok()?;
                der::emit_signature(&signature.to_bytes().into(), out)
            }
            (Self::Ed25519(key), SignatureScheme::ED25519) => {
                let signature = ed25519_dalek::Signer::try_sign(key, message).ok()?.to_bytes();
                out.get_mut(..signature.len())?.copy_from_slice(&signature);
                Some(signature.len())
            }
            _ => None,
        }
    }
}
