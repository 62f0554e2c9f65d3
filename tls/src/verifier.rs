//! Whether a server is who it says.
use crate::{
    Alert,
    crypto::{Hash, Provider, RustCrypto, Transcript, subject_public_key_info},
    wire::CertificateEntries,
};

/// Says whether a server's certificates are good for a name. That the server has the key is checked elsewhere.
pub trait Verifier {
    /// `certificates`: the end entity's first.
    ///
    /// # Errors
    /// The alert that ends the connection.
    fn verify(&self, server_name: &str, certificates: CertificateEntries<'_>) -> Result<(), Alert>;
    /// Whether servers are asked for an OCSP response with their certificate (RFC 6066 section 8), which is then the
    /// `status_request` among its extensions.
    fn wants_status(&self) -> bool {
        false
    }
    /// The same for a server that shows a raw public key (RFC 7250): `key` is its SubjectPublicKeyInfo, DER. Nobody is
    /// known by it unless this says so.
    ///
    /// # Errors
    /// The alert that ends the connection.
    fn verify_key(&self, server_name: &str, key: &[u8]) -> Result<(), Alert> {
        let _ = (server_name, key);
        Err(Alert::UNSUPPORTED_CERTIFICATE)
    }
}

/// Says whether a client's certificates are good. That the client has the key is checked elsewhere.
pub trait ClientVerifier {
    /// `certificates`: the end entity's first; there is one.
    ///
    /// # Errors
    /// The alert that ends the connection.
    fn verify_client(&self, certificates: CertificateEntries<'_>) -> Result<(), Alert>;
    /// The same for a client that shows a raw public key: see [`Verifier::verify_key`].
    ///
    /// # Errors
    /// The alert that ends the connection.
    fn verify_client_key(&self, key: &[u8]) -> Result<(), Alert> {
        let _ = key;
        Err(Alert::UNSUPPORTED_CERTIFICATE)
    }
}

/// Accepts peers by their public keys, whatever the certificates around them say: needs neither a wall clock
/// nor an allocator.
#[derive(Clone, Copy, Debug)]
pub struct PinnedKeys<'c>(
    /// SHA-256 of each SubjectPublicKeyInfo (the pins of RFC 7469 section 2.4).
    pub &'c [[u8; 32]],
);

impl Verifier for PinnedKeys<'_> {
    fn verify(&self, _: &str, mut certificates: CertificateEntries<'_>) -> Result<(), Alert> {
        let key = certificates.next().and_then(|(certificate, _)| subject_public_key_info(certificate));
        self.verify_key("", key.ok_or(Alert::BAD_CERTIFICATE)?)
    }
    fn verify_key(&self, _: &str, key: &[u8]) -> Result<(), Alert> {
        let mut hash = RustCrypto.hash(Hash::Sha256);
        hash.update(key);
        let pin = hash.current();
        if self.0.iter().any(|known| pin.matches(known)) { Ok(()) } else { Err(Alert::UNKNOWN_CA) }
    }
}

impl ClientVerifier for PinnedKeys<'_> {
    fn verify_client(&self, certificates: CertificateEntries<'_>) -> Result<(), Alert> {
        self.verify("", certificates)
    }
    fn verify_client_key(&self, key: &[u8]) -> Result<(), Alert> {
        self.verify_key("", key)
    }
}

impl<V: Verifier + ?Sized> Verifier for &V {
    fn verify(&self, server_name: &str, certificates: CertificateEntries<'_>) -> Result<(), Alert> {
        (**self).verify(server_name, certificates)
    }
    fn wants_status(&self) -> bool {
        (**self).wants_status()
    }
    fn verify_key(&self, server_name: &str, key: &[u8]) -> Result<(), Alert> {
        (**self).verify_key(server_name, key)
    }
}
