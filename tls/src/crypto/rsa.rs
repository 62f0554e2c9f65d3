//! RSA signatures, verified only: the `rsa` crate's private operations are not used, and so not their timing either.
use super::SignatureScheme;
use rsa::{BoxedUint, PublicKey};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// Bits of a modulus that is still taken, and of one that still is.
const BITS: core::ops::RangeInclusive<usize> = 2_048..=4_096;

/// Whether `signature` is by `key`, an RSAPublicKey (RFC 8017 appendix A.1.1). For PSS the salt is as long as the hash
/// (RFC 8446 section 4.2.3).
pub(super) fn verify(scheme: SignatureScheme, key: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    match scheme {
        SignatureScheme::RSA_PSS_RSAE_SHA256 | SignatureScheme::RSA_PKCS1_SHA256 => {
            verify_hash(scheme, key, &Sha256::digest(message), signature)
        }
        SignatureScheme::RSA_PSS_RSAE_SHA384 | SignatureScheme::RSA_PKCS1_SHA384 => {
            verify_hash(scheme, key, &Sha384::digest(message), signature)
        }
        SignatureScheme::RSA_PSS_RSAE_SHA512 | SignatureScheme::RSA_PKCS1_SHA512 => {
            verify_hash(scheme, key, &Sha512::digest(message), signature)
        }
        _ => None,
    }
}

/// The same of a message whose hash is known.
pub(super) fn verify_hash(scheme: SignatureScheme, key: &[u8], hash: &[u8], signature: &[u8]) -> Option<()> {
    let (modulus, exponent) = super::der::rsa_public_key(key)?;
    let number = |bytes: &[u8]| BoxedUint::from_be_slice(bytes, (bytes.len() * 8) as u32).ok();
    let key = PublicKey::new_with_size_limits(number(modulus)?, number(exponent)?, BITS).ok()?;
    match scheme {
        SignatureScheme::RSA_PSS_RSAE_SHA256 => key.pss_verify_prehash::<Sha256>(hash, signature),
        SignatureScheme::RSA_PSS_RSAE_SHA384 => key.pss_verify_prehash::<Sha384>(hash, signature),
        SignatureScheme::RSA_PSS_RSAE_SHA512 => key.pss_verify_prehash::<Sha512>(hash, signature),
        SignatureScheme::RSA_PKCS1_SHA256 => key.pkcs1v15_verify_prehash::<Sha256>(hash, signature),
        SignatureScheme::RSA_PKCS1_SHA384 => key.pkcs1v15_verify_prehash::<Sha384>(hash, signature),
        SignatureScheme::RSA_PKCS1_SHA512 => key.pkcs1v15_verify_prehash::<Sha512>(hash, signature),
        _ => return None,
    }
    .ok()
}
