//! Path validation: RFC 5280 through `rustls-webpki`.
use crate::{
    Alert,
    crypto::{SignatureScheme, verify_with_key},
    verifier::Verifier,
    wire::CertificateEntries,
};
use airglow_device::WallClock;
use alloc::vec::Vec;
use core::fmt;
use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, ServerName, SignatureVerificationAlgorithm,
    TrustAnchor, UnixTime, alg_id,
};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// Most certificates that a server may send.
const MAX_CHAIN: usize = 10;

/// Accepts servers that an authority vouches for: the chain of signatures, validity in time, name constraints,
/// key usage, and the server's name. ECDSA over P-256 and Ed25519 only, the whole chain; no revocation.
#[derive(Debug)]
pub struct Authorities<'c, W> {
    roots: Vec<TrustAnchor<'static>>,
    clock: &'c W,
}

/// Why there are no [`Authorities`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthoritiesError {
    /// This platform does not know the time of day, so that expired certificates could not be told.
    NoWallClock,
    /// The root certificate of this index is none.
    BadRoot(usize),
}

impl fmt::Display for AuthoritiesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoWallClock => f.write_str(
                "certificates cannot be checked: this platform does not know the time of day; set it, or pin keys",
            ),
            Self::BadRoot(index) => write!(f, "root certificate {index} is no X.509 certificate in DER"),
        }
    }
}

impl core::error::Error for AuthoritiesError {}

impl<'c, W: WallClock> Authorities<'c, W> {
    /// Trusts these root certificates, DER.
    ///
    /// # Errors
    /// The clock has no time, or a root is no certificate.
    pub fn new(roots: &[&[u8]], clock: &'c W) -> Result<Self, AuthoritiesError> {
        clock.unix_now().ok_or(AuthoritiesError::NoWallClock)?;
        let anchor = |(index, root): (usize, &&[u8])| {
            let root = CertificateDer::from(*root);
            let anchor = anchor_from_trusted_cert(&root).map(|anchor| anchor.to_owned());
            anchor.map_err(|_| AuthoritiesError::BadRoot(index))
        };
        Ok(Self { roots: roots.iter().enumerate().map(anchor).collect::<Result<_, _>>()?, clock })
    }
}

impl<W: WallClock> Verifier for Authorities<'_, W> {
    fn verify(&self, server_name: &str, certificates: CertificateEntries<'_>) -> Result<(), Alert> {
        let now = UnixTime::since_unix_epoch(self.clock.unix_now().ok_or(Alert::INTERNAL_ERROR)?);
        let chain: Vec<_> =
            certificates.take(MAX_CHAIN + 1).map(|(der, _)| CertificateDer::from(der)).collect();
        let (first, intermediates) = chain.split_first().ok_or(Alert::DECODE_ERROR)?;
        if chain.len() > MAX_CHAIN {
            return Err(Alert::BAD_CERTIFICATE);
        }
        let end_entity = EndEntityCert::try_from(first).map_err(alert)?;
        end_entity
            .verify_for_usage(
                &[&EcdsaP256Sha256, &Ed25519],
                &self.roots,
                intermediates,
                now,
                KeyUsage::server_auth(),
                None,
                None,
            )
            .map_err(alert)?;
        let name = ServerName::try_from(server_name).map_err(|_| Alert::BAD_CERTIFICATE)?;
        end_entity.verify_is_valid_for_subject_name(&name).map_err(alert)
    }
}

fn alert(error: webpki::Error) -> Alert {
    use webpki::Error;
    match error {
        Error::CertExpired { .. } | Error::CertNotValidYet { .. } => Alert::CERTIFICATE_EXPIRED,
        Error::UnknownIssuer => Alert::UNKNOWN_CA,
        _ => Alert::BAD_CERTIFICATE,
    }
}

#[derive(Debug)]
struct EcdsaP256Sha256;
#[derive(Debug)]
struct Ed25519;

fn verify(
    scheme: SignatureScheme,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), InvalidSignature> {
    verify_with_key(scheme, key, message, signature).ok_or(InvalidSignature)
}

impl SignatureVerificationAlgorithm for EcdsaP256Sha256 {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        verify(SignatureScheme::ECDSA_SECP256R1_SHA256, key, message, signature)
    }
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P256
    }
    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_SHA256
    }
}

impl SignatureVerificationAlgorithm for Ed25519 {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        verify(SignatureScheme::ED25519, key, message, signature)
    }
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ED25519
    }
    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ED25519
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{CertificateList, Writer};
    use core::time::Duration;
    use std::vec;

    const CA: &[u8] = include_bytes!("../tests/keys/ca.der");
    const INTERMEDIATE: &[u8] = include_bytes!("../tests/keys/intermediate.der");
    const LEAF: &[u8] = include_bytes!("../tests/keys/leaf.der");
    const CLIENT_LEAF: &[u8] = include_bytes!("../tests/keys/client-leaf.der");
    const OTHER: &[u8] = include_bytes!("../tests/keys/p256.der");
    /// 2027-01-15.
    const NOW: u64 = 1_800_000_000;

    #[derive(Debug)]
    struct At(Option<u64>);
    impl WallClock for At {
        fn unix_now(&self) -> Option<Duration> {
            self.0.map(Duration::from_secs)
        }
    }

    fn check(root: &[u8], now: u64, name: &str, chain: &[&[u8]]) -> Result<(), Alert> {
        let mut out = vec![0; 20_000];
        let mut writer = Writer::new(&mut out);
        CertificateList::emit(&mut writer, chain).unwrap();
        let list = CertificateList::parse(writer.since(0)).unwrap();
        Authorities::new(&[root], &At(Some(now))).unwrap().verify(name, list.entries())
    }

    #[test]
    fn a_chain_holds_for_its_names_and_its_time() {
        let chain = &[LEAF, INTERMEDIATE][..];
        for name in ["leaf.example", "192.0.2.1"] {
            assert_eq!(check(CA, NOW, name, chain), Ok(()));
        }
        for name in ["other.example", "192.0.2.2", "a.leaf.example", "", "a b"] {
            assert_eq!(check(CA, NOW, name, chain), Err(Alert::BAD_CERTIFICATE), "{name}");
        }
        for now in [0, 4_000_000_000] {
            assert_eq!(check(CA, now, "leaf.example", chain), Err(Alert::CERTIFICATE_EXPIRED));
        }
    }

    #[test]
    fn a_chain_that_leads_nowhere_is_refused() {
        for (root, chain) in [(CA, &[LEAF][..]), (OTHER, &[LEAF, INTERMEDIATE]), (CA, &[OTHER])] {
            assert_eq!(check(root, NOW, "leaf.example", chain), Err(Alert::UNKNOWN_CA));
        }
        let client = &[CLIENT_LEAF, INTERMEDIATE][..];
        assert_eq!(check(CA, NOW, "leaf.example", client), Err(Alert::BAD_CERTIFICATE));
        let mut forged = LEAF.to_vec();
        *forged.last_mut().unwrap() ^= 1;
        assert!(check(CA, NOW, "leaf.example", &[&forged, INTERMEDIATE]).is_err());
        let long = [LEAF, INTERMEDIATE, CA, CA, CA, CA, CA, CA, CA, CA, CA];
        assert_eq!(check(CA, NOW, "leaf.example", &long), Err(Alert::BAD_CERTIFICATE));
    }

    #[test]
    fn without_a_clock_there_are_no_authorities() {
        let error = Authorities::new(&[CA], &At(None)).unwrap_err();
        assert_eq!(error, AuthoritiesError::NoWallClock);
        assert!(std::format!("{error}").contains("time of day"));
        let bad = Authorities::new(&[CA, b"pem?"], &At(Some(NOW))).unwrap_err();
        assert_eq!(bad, AuthoritiesError::BadRoot(1));
    }
}
