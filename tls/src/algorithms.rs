//! The signatures in certificates, as path validation wants them.
use crate::crypto::{SignatureScheme, verify_with_key};
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};

/// Every one that a certificate may be signed with.
pub(crate) const ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    &Algorithm {
        key: alg_id::ECDSA_P256,
        signature: alg_id::ECDSA_SHA256,
        scheme: SignatureScheme::ECDSA_SECP256R1_SHA256,
    },
    &Algorithm { key: alg_id::ED25519, signature: alg_id::ED25519, scheme: SignatureScheme::ED25519 },
    #[cfg(feature = "p384")]
    &Algorithm {
        key: alg_id::ECDSA_P384,
        signature: alg_id::ECDSA_SHA384,
        scheme: SignatureScheme::ECDSA_SECP384R1_SHA384,
    },
    #[cfg(feature = "p384")]
    &Mixed { p384: false },
    #[cfg(feature = "p384")]
    &Mixed { p384: true },
    #[cfg(feature = "rsa")]
    &Algorithm {
        key: alg_id::RSA_ENCRYPTION,
        signature: alg_id::RSA_PKCS1_SHA256,
        scheme: SignatureScheme::RSA_PKCS1_SHA256,
    },
    #[cfg(feature = "rsa")]
    &Algorithm {
        key: alg_id::RSA_ENCRYPTION,
        signature: alg_id::RSA_PKCS1_SHA384,
        scheme: SignatureScheme::RSA_PKCS1_SHA384,
    },
    #[cfg(feature = "rsa")]
    &Algorithm {
        key: alg_id::RSA_ENCRYPTION,
        signature: alg_id::RSA_PKCS1_SHA512,
        scheme: SignatureScheme::RSA_PKCS1_SHA512,
    },
    #[cfg(feature = "rsa")]
    &Algorithm {
        key: alg_id::RSA_ENCRYPTION,
        signature: alg_id::RSA_PSS_SHA256,
        scheme: SignatureScheme::RSA_PSS_RSAE_SHA256,
    },
    #[cfg(feature = "rsa")]
    &Algorithm {
        key: alg_id::RSA_ENCRYPTION,
        signature: alg_id::RSA_PSS_SHA384,
        scheme: SignatureScheme::RSA_PSS_RSAE_SHA384,
    },
    #[cfg(feature = "rsa")]
    &Algorithm {
        key: alg_id::RSA_ENCRYPTION,
        signature: alg_id::RSA_PSS_SHA512,
        scheme: SignatureScheme::RSA_PSS_RSAE_SHA512,
    },
];

#[derive(Debug)]
struct Algorithm {
    key: AlgorithmIdentifier,
    signature: AlgorithmIdentifier,
    scheme: SignatureScheme,
}

impl SignatureVerificationAlgorithm for Algorithm {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        verify_with_key(self.scheme, key, message, signature).ok_or(InvalidSignature)
    }
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.key
    }
    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }
}

/// P-384 with SHA-256, or P-256 with SHA-384: authorities do that.
#[cfg(feature = "p384")]
#[derive(Debug)]
struct Mixed {
    p384: bool,
}

#[cfg(feature = "p384")]
impl SignatureVerificationAlgorithm for Mixed {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        use sha2::{Digest, Sha256, Sha384};
        let outcome = if self.p384 {
            crate::crypto::verify_hash(true, key, &Sha256::digest(message), signature)
        } else {
            crate::crypto::verify_hash(false, key, &Sha384::digest(message), signature)
        };
        outcome.ok_or(InvalidSignature)
    }
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        if self.p384 { alg_id::ECDSA_P384 } else { alg_id::ECDSA_P256 }
    }
    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        if self.p384 { alg_id::ECDSA_SHA256 } else { alg_id::ECDSA_SHA384 }
    }
}
