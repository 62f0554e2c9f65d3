//! The names that both sides agree on.

/// A cipher suite (RFC 8446 appendix B.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CipherSuite(pub u16);

impl CipherSuite {
    /// AES-128 in Galois/Counter Mode, SHA-256.
    pub const TLS_AES_128_GCM_SHA256: Self = Self(0x1301);
    /// AES-256 in Galois/Counter Mode, SHA-384.
    pub const TLS_AES_256_GCM_SHA384: Self = Self(0x1302);
    /// ChaCha20 and Poly1305, SHA-256.
    pub const TLS_CHACHA20_POLY1305_SHA256: Self = Self(0x1303);

    /// Its hash.
    pub const fn hash(self) -> Hash {
        if self.0 == Self::TLS_AES_256_GCM_SHA384.0 { Hash::Sha384 } else { Hash::Sha256 }
    }
    /// Bytes of its key.
    pub const fn key_len(self) -> usize {
        if self.0 == Self::TLS_AES_128_GCM_SHA256.0 { 16 } else { 32 }
    }
    /// Records after which the sender changes its key (RFC 8446 section 5.5: 2^24.5 for AES-GCM).
    pub const fn records_per_key(self) -> u64 {
        if self.0 == Self::TLS_CHACHA20_POLY1305_SHA256.0 { 1 << 48 } else { 1 << 24 }
    }
}

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hash {
    /// 32 bytes.
    Sha256,
    /// 48 bytes.
    Sha384,
}

impl Hash {
    /// Bytes of its output.
    pub const fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }
    /// Never: for the sake of [`len`](Self::len).
    pub const fn is_empty(self) -> bool {
        false
    }
}

/// A group for key exchange (RFC 8446 section 4.2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NamedGroup(pub u16);

impl NamedGroup {
    /// NIST P-256.
    pub const SECP256R1: Self = Self(0x0017);
    /// NIST P-384.
    pub const SECP384R1: Self = Self(0x0018);
    /// X25519 (RFC 7748).
    pub const X25519: Self = Self(0x001d);
    /// ML-KEM-768 and X25519 together (draft-ietf-tls-ecdhe-mlkem).
    pub const X25519MLKEM768: Self = Self(0x11ec);
}

/// A signature scheme (RFC 8446 section 4.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SignatureScheme(pub u16);

impl SignatureScheme {
    /// ECDSA over P-256 with SHA-256.
    pub const ECDSA_SECP256R1_SHA256: Self = Self(0x0403);
    /// ECDSA over P-384 with SHA-384.
    pub const ECDSA_SECP384R1_SHA384: Self = Self(0x0503);
    /// RSASSA-PSS with SHA-256 and a key that is for RSA of any kind.
    pub const RSA_PSS_RSAE_SHA256: Self = Self(0x0804);
    /// The same with SHA-384.
    pub const RSA_PSS_RSAE_SHA384: Self = Self(0x0805);
    /// The same with SHA-512.
    pub const RSA_PSS_RSAE_SHA512: Self = Self(0x0806);
    /// RSASSA-PKCS1-v1_5 with SHA-256: in certificates only (RFC 8446 section 4.2.3).
    pub const RSA_PKCS1_SHA256: Self = Self(0x0401);
    /// The same with SHA-384.
    pub const RSA_PKCS1_SHA384: Self = Self(0x0501);
    /// The same with SHA-512.
    pub const RSA_PKCS1_SHA512: Self = Self(0x0601);
    /// Ed25519 (RFC 8032).
    pub const ED25519: Self = Self(0x0807);

    /// Its hash, unless that is none of the suites'.
    #[cfg(feature = "tls12")]
    pub(crate) const fn hash(self) -> Option<Hash> {
        match self {
            Self::ECDSA_SECP256R1_SHA256 | Self::RSA_PSS_RSAE_SHA256 | Self::RSA_PKCS1_SHA256 => {
                Some(Hash::Sha256)
            }
            Self::ECDSA_SECP384R1_SHA384 | Self::RSA_PSS_RSAE_SHA384 | Self::RSA_PKCS1_SHA384 => {
                Some(Hash::Sha384)
            }
            _ => None,
        }
    }
    /// Whether it takes an RSA key.
    #[cfg(feature = "tls12")]
    pub(crate) const fn is_rsa(self) -> bool {
        !matches!(self, Self::ECDSA_SECP256R1_SHA256 | Self::ECDSA_SECP384R1_SHA384 | Self::ED25519)
    }

    /// Whether TLS 1.3 allows it in a CertificateVerify.
    pub const fn signs_handshakes(self) -> bool {
        !matches!(self, Self::RSA_PKCS1_SHA256 | Self::RSA_PKCS1_SHA384 | Self::RSA_PKCS1_SHA512)
    }
}
