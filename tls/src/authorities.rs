//! Path validation: RFC 5280 through `rustls-webpki`.
use crate::{
    Alert,
    algorithms::ALGORITHMS,
    verifier::{ClientVerifier, Verifier},
    wire::CertificateEntries,
};
use airglow_device::WallClock;
use alloc::vec::Vec;
use core::fmt;
use rustls_pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList,
    RevocationOptionsBuilder, anchor_from_trusted_cert,
};

#[cfg(feature = "ocsp")]
mod ocsp;
#[cfg(feature = "ocsp")]
pub use ocsp::Stapling;

/// Most certificates that a server may send.
const MAX_CHAIN: usize = 10;

/// Accepts peers that an authority vouches for: the chain of signatures, validity in time, name constraints,
/// key usage, a server's name, and revocation if there are lists. ECDSA over P-256 and Ed25519, with the features of
/// their names P-384 and RSA.
#[derive(Debug)]
pub struct Authorities<'c, W> {
    roots: Vec<TrustAnchor<'static>>,
    revoked: Vec<CertRevocationList<'static>>,
    #[cfg(feature = "ocsp")]
    stapling: Option<Stapling>,
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
    /// The revocation list of this index is none.
    BadRevocationList(usize),
}

impl fmt::Display for AuthoritiesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoWallClock => f.write_str(
                "certificates cannot be checked: this platform does not know the time of day; set it, or pin keys",
            ),
            Self::BadRoot(index) => write!(f, "root certificate {index} is no X.509 certificate in DER"),
            Self::BadRevocationList(index) => write!(f, "revocation list {index} is no X.509 CRL in DER"),
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
        let roots = roots.iter().enumerate().map(anchor).collect::<Result<_, _>>()?;
        Ok(Self {
            roots,
            revoked: Vec::new(),
            #[cfg(feature = "ocsp")]
            stapling: None,
            clock,
        })
    }
    /// Asks servers for OCSP responses (RFC 6960) and refuses certificates of which a response is not good. Responses
    /// without `nextUpdate` are not: nobody could say how old they may be.
    #[cfg(feature = "ocsp")]
    pub fn with_stapling(self, stapling: Stapling) -> Self {
        Self { stapling: Some(stapling), ..self }
    }
    /// Refuses certificates in these revocation lists (RFC 5280 section 5, DER), and from then on every certificate
    /// whose issuer has no list in time among them.
    ///
    /// # Errors
    /// One is no revocation list.
    pub fn with_revocation_lists(mut self, lists: &[&[u8]]) -> Result<Self, AuthoritiesError> {
        for (index, list) in lists.iter().enumerate() {
            let list = OwnedCertRevocationList::from_der(list);
            let list = list.map_err(|_| AuthoritiesError::BadRevocationList(index))?;
            self.revoked.push(CertRevocationList::Owned(list));
        }
        Ok(self)
    }
}

impl<W: WallClock> Authorities<'_, W> {
    /// Checks the chain, and the name if there is one.
    fn check(
        &self,
        certificates: CertificateEntries<'_>,
        usage: KeyUsage,
        server_name: Option<&str>,
    ) -> Result<(), Alert> {
        let now = UnixTime::since_unix_epoch(self.clock.unix_now().ok_or(Alert::INTERNAL_ERROR)?);
        let stapled = certificates.clone().next().map(|(_, extensions)| extensions).unwrap_or_default();
        let chain: Vec<_> =
            certificates.take(MAX_CHAIN + 1).map(|(der, _)| CertificateDer::from(der)).collect();
        let (first, intermediates) = chain.split_first().ok_or(Alert::DECODE_ERROR)?;
        if chain.len() > MAX_CHAIN {
            return Err(Alert::BAD_CERTIFICATE);
        }
        let end_entity = EndEntityCert::try_from(first).map_err(alert)?;
        let lists: Vec<_> = self.revoked.iter().collect();
        let revocation = RevocationOptionsBuilder::new(&lists)
            .ok()
            .map(|options| options.with_expiration_policy(ExpirationPolicy::Enforce).build());
        let path = end_entity
            .verify_for_usage(ALGORITHMS, &self.roots, intermediates, now, usage, revocation, None)
            .map_err(alert)?;
        let Some(server_name) = server_name else { return Ok(()) };
        #[cfg(feature = "ocsp")]
        if let Some(stapling) = self.stapling {
            ocsp::check(stapling, &path, stapled, now)?;
        }
        #[cfg(not(feature = "ocsp"))]
        let (_, _) = (path, stapled);
        let name = ServerName::try_from(server_name).map_err(|_| Alert::BAD_CERTIFICATE)?;
        end_entity.verify_is_valid_for_subject_name(&name).map_err(alert)
    }
}

impl<W: WallClock> Verifier for Authorities<'_, W> {
    fn verify(&self, server_name: &str, certificates: CertificateEntries<'_>) -> Result<(), Alert> {
        self.check(certificates, KeyUsage::server_auth(), Some(server_name))
    }
    #[cfg(feature = "ocsp")]
    fn wants_status(&self) -> bool {
        self.stapling.is_some()
    }
}

impl<W: WallClock> ClientVerifier for Authorities<'_, W> {
    fn verify_client(&self, certificates: CertificateEntries<'_>) -> Result<(), Alert> {
        self.check(certificates, KeyUsage::client_auth(), None)
    }
}

fn alert(error: webpki::Error) -> Alert {
    use webpki::Error;
    match error {
        Error::CertExpired { .. } | Error::CertNotValidYet { .. } => Alert::CERTIFICATE_EXPIRED,
        Error::UnknownIssuer => Alert::UNKNOWN_CA,
        Error::CertRevoked => Alert::CERTIFICATE_REVOKED,
        _ => Alert::BAD_CERTIFICATE,
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
        CertificateList::emit(&mut writer, &[], chain, None).unwrap();
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

    #[cfg(all(feature = "p384", feature = "rsa"))]
    #[test]
    fn authorities_sign_in_many_ways() {
        const P384: &[u8] = include_bytes!("../tests/keys/p384-ca.der");
        const RSA: &[u8] = include_bytes!("../tests/keys/rsa-ca.der");
        for (root, leaf) in [
            (P384, &include_bytes!("../tests/keys/kept.der")[..]),
            // P-384 with SHA-256.
            (P384, include_bytes!("../tests/keys/mixed.der")),
            (RSA, include_bytes!("../tests/keys/rsa-signed.der")),
            (RSA, include_bytes!("../tests/keys/pss-signed.der")),
        ] {
            assert_eq!(check(root, NOW, "leaf.example", &[leaf]), Ok(()));
            let other = if root == RSA { P384 } else { RSA };
            assert_eq!(check(other, NOW, "leaf.example", &[leaf]), Err(Alert::UNKNOWN_CA));
            let mut forged = leaf.to_vec();
            *forged.last_mut().unwrap() ^= 1;
            assert!(check(root, NOW, "leaf.example", &[&forged]).is_err());
        }
    }

    #[cfg(feature = "p384")]
    #[test]
    fn what_an_authority_took_back_is_refused() {
        const CA: &[u8] = include_bytes!("../tests/keys/p384-ca.der");
        let list = &include_bytes!("../tests/keys/p384-ca.crl")[..];
        let check = |leaf: &[u8], root: &[u8], now| {
            let mut out = vec![0; 20_000];
            let mut writer = Writer::new(&mut out);
            CertificateList::emit(&mut writer, &[], &[leaf], None).unwrap();
            let entries = CertificateList::parse(writer.since(0)).unwrap();
            let clock = At(Some(now));
            let authorities =
                Authorities::new(&[root], &clock).unwrap().with_revocation_lists(&[list]).unwrap();
            let client = authorities.verify_client(entries.entries());
            assert_eq!(client, authorities.verify("leaf.example", entries.entries()));
            client
        };
        assert_eq!(check(include_bytes!("../tests/keys/kept.der"), CA, NOW), Ok(()));
        let revoked = include_bytes!("../tests/keys/revoked.der");
        assert_eq!(check(revoked, CA, NOW), Err(Alert::CERTIFICATE_REVOKED));
        assert_eq!(super::tests::check(CA, NOW, "leaf.example", &[revoked]), Ok(()), "without the list");
        // An authority that has no list.
        let other = include_bytes!("../tests/keys/rsa-ca.der");
        let unknown = check(include_bytes!("../tests/keys/rsa-signed.der"), other, NOW);
        assert_eq!(unknown, Err(Alert::BAD_CERTIFICATE));
        let bad =
            Authorities::new(&[CA], &At(Some(NOW))).unwrap().with_revocation_lists(&[b"?"]).unwrap_err();
        assert_eq!(bad, AuthoritiesError::BadRevocationList(0));
    }
}
