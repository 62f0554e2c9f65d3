//! What each side has and wants.
use crate::{
    crypto::{SignatureScheme, Signer},
    key_log::KeyLog,
    sessions::Sessions,
    tickets::Tickets,
    verifier::ClientVerifier,
    wire::U16List,
};
use core::fmt;

/// A certificate chain, its key, and the names it is for.
#[derive(Clone, Copy)]
pub struct Certificate<'c> {
    /// DER, the end entity's first, each next one certifying the one before; without the root.
    pub chain: &'c [&'c [u8]],
    /// The end entity's private key.
    pub key: &'c dyn Signer,
    /// The host names it is for, in lower case; `*.` in front stands for one label. The first certificate
    /// of a configuration also serves names that none is for.
    pub names: &'c [&'c str],
    /// An OCSP response (RFC 6960, DER) that the end entity's certificate is not revoked, for clients that ask.
    pub ocsp: Option<&'c [u8]>,
}

impl fmt::Debug for Certificate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("names", &self.names).finish_non_exhaustive()
    }
}

impl<'c> Certificate<'c> {
    /// Without an OCSP response.
    pub const fn new(chain: &'c [&'c [u8]], key: &'c dyn Signer, names: &'c [&'c str]) -> Self {
        Self { chain, key, names, ocsp: None }
    }
    pub(crate) fn is_for(&self, host: &[u8]) -> bool {
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            None => name.as_bytes().eq_ignore_ascii_case(host),
            Some(parent) => {
                let dot = host.iter().position(|byte| *byte == b'.').filter(|dot| *dot > 0);
                let rest = dot.and_then(|dot| host.get(dot + 1..));
                rest.is_some_and(|rest| rest.eq_ignore_ascii_case(parent.as_bytes()))
            }
        })
    }
    pub(crate) fn scheme(&self, offered: U16List<'_>) -> Option<SignatureScheme> {
        self.key.schemes().iter().copied().find(|scheme| offered.contains(scheme.0))
    }
}

/// What a server has and wants; shared by its connections.
#[derive(Clone, Copy)]
pub struct ServerConfig<'c, P> {
    /// The primitives; its order of suites and groups is the server's preference.
    pub provider: P,
    /// At least one.
    pub certificates: &'c [Certificate<'c>],
    /// Application protocols (RFC 7301), best first. When there are some and the client names none of
    /// them, the handshake fails; a client that names none at all is served without.
    pub protocols: &'c [&'c [u8]],
    /// Makes the tickets with which clients resume their sessions; without it each handshake is a whole one.
    pub tickets: Option<&'c dyn Tickets>,
    /// Asks clients for certificates.
    pub clients: Option<ClientAuthentication<'c>>,
    /// Tells the secrets of every connection: for debugging.
    pub key_log: Option<&'c dyn KeyLog>,
}

impl<'c, P> ServerConfig<'c, P> {
    /// These certificates, and nothing that is optional.
    pub const fn new(provider: P, certificates: &'c [Certificate<'c>]) -> Self {
        Self { provider, certificates, protocols: &[], tickets: None, clients: None, key_log: None }
    }
}

impl<P> fmt::Debug for ServerConfig<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConfig").field("certificates", &self.certificates).finish_non_exhaustive()
    }
}

/// How a server asks for client certificates (RFC 8446 section 4.3.2).
#[derive(Clone, Copy)]
pub struct ClientAuthentication<'c> {
    /// Whose are good.
    pub verifier: &'c dyn ClientVerifier,
    /// Whether a client that shows none is refused.
    pub required: bool,
}

impl fmt::Debug for ClientAuthentication<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuthentication").field("required", &self.required).finish_non_exhaustive()
    }
}

/// What a client wants; shared by its connections.
#[derive(Clone, Copy)]
pub struct ClientConfig<'c, P, V> {
    /// The primitives; its order of suites and groups is the client's preference.
    pub provider: P,
    /// Says whether a server's certificates are good.
    pub verifier: V,
    /// Application protocols to offer (RFC 7301), best first.
    pub protocols: &'c [&'c [u8]],
    /// What is shown to servers that ask for a certificate; its names mean nothing here.
    pub certificate: Option<Certificate<'c>>,
    /// Keeps sessions to resume.
    pub sessions: Option<&'c dyn Sessions>,
    /// Tells the secrets of every connection: for debugging.
    pub key_log: Option<&'c dyn KeyLog>,
}

impl<P, V> ClientConfig<'_, P, V> {
    /// Nothing that is optional.
    pub const fn new(provider: P, verifier: V) -> Self {
        Self { provider, verifier, protocols: &[], certificate: None, sessions: None, key_log: None }
    }
}

impl<P, V> fmt::Debug for ClientConfig<'_, P, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}
