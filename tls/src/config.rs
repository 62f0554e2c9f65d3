//! What each side has and wants.
#[cfg(feature = "certificate-compression")]
use crate::compression::CompressedCertificate;
use crate::{
    certificate_type::{CertificateType, X509},
    compression::Unpacks,
    cookie::CookieKey,
    crypto::{SignatureScheme, Signer},
    key_log::KeyLog,
    sessions::Sessions,
    tickets::Tickets,
    verifier::ClientVerifier,
    wire::U16List,
};
use core::fmt;

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// RFC 5246, with ephemeral keys, AEAD and the extended master secret only.
    #[cfg(feature = "tls12")]
    Tls12,
    /// RFC 8446.
    Tls13,
}

impl Version {
    /// Whether TLS 1.2 is spoken when this is the oldest version.
    pub(crate) const fn lets_tls12(self) -> bool {
        !matches!(self, Self::Tls13)
    }
    /// Whether TLS 1.3 is spoken when this is the newest version.
    pub(crate) const fn lets_tls13(self) -> bool {
        matches!(self, Self::Tls13)
    }
}

/// What a configuration has, or does without where there is no such field.
macro_rules! optional {
    ($(#[$doc:meta])* $name:ident: $type:ty = $field:ident, $feature:literal, $without:expr) => {
        $(#[$doc])*
        pub(crate) const fn $name(&self) -> $type {
            #[cfg(feature = $feature)]
            return self.$field;
            #[cfg(not(feature = $feature))]
            $without
        }
    };
}

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
    /// The same compressed, for peers that ask (RFC 8879); made of this certificate and none other.
    #[cfg(feature = "certificate-compression")]
    pub compressed: Option<&'c CompressedCertificate>,
}

impl fmt::Debug for Certificate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("names", &self.names).finish_non_exhaustive()
    }
}

impl<'c> Certificate<'c> {
    /// Without an OCSP response.
    pub const fn new(chain: &'c [&'c [u8]], key: &'c dyn Signer, names: &'c [&'c str]) -> Self {
        Self {
            chain,
            key,
            names,
            ocsp: None,
            #[cfg(feature = "certificate-compression")]
            compressed: None,
        }
    }
    /// The body of its CompressedCertificate message.
    pub(crate) fn compressed(&self, ocsp: bool, unpacks: Unpacks) -> Option<&'c [u8]> {
        #[cfg(feature = "certificate-compression")]
        return self.compressed?.body(ocsp, unpacks);
        #[cfg(not(feature = "certificate-compression"))]
        {
            let (_, _) = (ocsp, unpacks);
            None
        }
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
    /// The oldest version that clients may have: TLS 1.3 unless it is said here.
    pub minimum_version: Version,
    /// The newest version that is spoken with them.
    pub maximum_version: Version,
    /// Asks clients for certificates.
    pub clients: Option<ClientAuthentication<'c>>,
    /// Clients that say that they may be are asked for certificates after the handshake, whenever
    /// [`request_certificate`](crate::Connection::request_certificate) is called. Such a connection remembers its handshake.
    #[cfg(feature = "post-handshake-authentication")]
    pub post_handshake_clients: Option<ClientAuthentication<'c>>,
    /// Tells the secrets of every connection: for debugging.
    pub key_log: Option<&'c dyn KeyLog>,
    /// What is done with early data (0-RTT); it needs [`tickets`](Self::tickets).
    #[cfg(feature = "early-data")]
    pub early_data: EarlyData,
    /// Makes cookies, for which every client is asked.
    #[cfg(feature = "cookies")]
    pub cookies: Option<&'c CookieKey<'c>>,
    /// With what the server shows who it is, best first; X.509 at first. A chain may be a mere SubjectPublicKeyInfo where
    /// raw public keys are all there is.
    #[cfg(feature = "raw-public-keys")]
    pub certificate_types: &'c [CertificateType],
    /// With what clients may show who they are, best first; X.509 at first.
    #[cfg(feature = "raw-public-keys")]
    pub client_certificate_types: &'c [CertificateType],
    /// Asks clients to compress their certificates (RFC 8879).
    #[cfg(feature = "certificate-compression")]
    pub wants_compressed: bool,
}

impl<'c, P> ServerConfig<'c, P> {
    /// These certificates, and nothing that is optional.
    pub const fn new(provider: P, certificates: &'c [Certificate<'c>]) -> Self {
        Self {
            provider,
            certificates,
            protocols: &[],
            tickets: None,
            minimum_version: Version::Tls13,
            maximum_version: Version::Tls13,
            clients: None,
            #[cfg(feature = "post-handshake-authentication")]
            post_handshake_clients: None,
            key_log: None,
            #[cfg(feature = "early-data")]
            early_data: EarlyData::Refused,
            #[cfg(feature = "cookies")]
            cookies: None,
            #[cfg(feature = "raw-public-keys")]
            certificate_types: X509,
            #[cfg(feature = "raw-public-keys")]
            client_certificate_types: X509,
            #[cfg(feature = "certificate-compression")]
            wants_compressed: false,
        }
    }
    optional!(wants_compressed: bool = wants_compressed, "certificate-compression", false);
    optional!(cookies: Option<&'c CookieKey<'c>> = cookies, "cookies", None);
    /// Of the server and of clients.
    pub(crate) const fn certificate_types(&self) -> [&'c [CertificateType]; 2] {
        #[cfg(feature = "raw-public-keys")]
        return [self.certificate_types, self.client_certificate_types];
        #[cfg(not(feature = "raw-public-keys"))]
        [X509; 2]
    }
    pub(crate) const fn early_data_is_replayable(&self) -> bool {
        #[cfg(feature = "early-data")]
        return matches!(self.early_data, EarlyData::Replayable(_));
        #[cfg(not(feature = "early-data"))]
        false
    }
    /// Bytes of early data of one connection.
    pub(crate) const fn max_early_data(&self) -> u32 {
        #[cfg(feature = "early-data")]
        if let EarlyData::OnRequest(most) | EarlyData::Replayable(most) = self.early_data {
            return most;
        }
        0
    }
}

/// Where it is false there is no code for early data but what passes them over.
pub(crate) const EARLY_DATA: bool = cfg!(feature = "early-data");

/// What a server does with early data (0-RTT; RFC 8446 sections 2.3 and 8): what a client that resumes a session sends
/// along with its hello, and what a server may answer a round trip earlier.
///
/// Early data may be **replayed** by whoever saw them pass. Accepted are only those with a ticket that names the same
/// suite, protocol and host, that is as old as the client says (10 s more or less), and that was not used before: with
/// [`TicketKeys`](crate::TicketKeys) each ticket is good once and its keys die with this machine's memory, so that one
/// first flight is taken once at most. Other [`Tickets`], shared by several machines say, must see to
/// that themselves. What remains: an attacker can hold a first flight back for some seconds, and a client that is refused
/// will say the same again. So act on early data only where doing things twice does no harm.
///
/// The limits are bytes of one connection; half of its incoming buffer is the most.
#[cfg(feature = "early-data")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlyData {
    /// Never offered; what a client sends all the same is passed over.
    Refused,
    /// So many bytes, early for those who ask: [`Event::EarlyData`](crate::Event::EarlyData),
    /// [`TlsStream::read_early`](crate::TlsStream::read_early). To others they come as ordinary data when the handshake is
    /// done, by when it is known that this client has said them now (as RFC 8470 section 3 advises).
    OnRequest(u32),
    /// So many bytes, with which the reads of a stream begin before the handshake is done: for services whose every
    /// request may be repeated, as GET of a page may.
    Replayable(u32),
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
    /// The oldest version that servers may have: TLS 1.3 unless it is said here.
    pub minimum_version: Version,
    /// The newest version that is spoken with them.
    pub maximum_version: Version,
    /// Keeps sessions to resume.
    pub sessions: Option<&'c dyn Sessions>,
    /// Tells servers that they may ask for the [certificate](Self::certificate) after the handshake too, at any time: what is
    /// sent before they do says nothing of who we are. Such a connection remembers its handshake.
    #[cfg(feature = "post-handshake-authentication")]
    pub post_handshake_auth: bool,
    /// Tells the secrets of every connection: for debugging.
    pub key_log: Option<&'c dyn KeyLog>,
    /// Offers early data (0-RTT) whenever a session allows them, for `write_early`. Servers may see them twice:
    /// see [`EarlyData`].
    #[cfg(feature = "early-data")]
    pub early_data: bool,
    /// With what servers may show who they are, best first; X.509 at first. Raw public keys need a verifier that knows keys.
    #[cfg(feature = "raw-public-keys")]
    pub server_certificate_types: &'c [CertificateType],
    /// With what the client shows who it is, best first; X.509 at first. The certificate's chain may be a mere
    /// SubjectPublicKeyInfo where raw public keys are all there is.
    #[cfg(feature = "raw-public-keys")]
    pub certificate_types: &'c [CertificateType],
    /// Asks servers to compress their certificates (RFC 8879): fewer bytes on the wire for as many bytes of memory more
    /// as the certificates have, and 11 KiB, until they are looked at.
    #[cfg(feature = "certificate-compression")]
    pub wants_compressed: bool,
}

impl<P, V> ClientConfig<'_, P, V> {
    /// Nothing that is optional.
    pub const fn new(provider: P, verifier: V) -> Self {
        Self {
            provider,
            verifier,
            protocols: &[],
            certificate: None,
            minimum_version: Version::Tls13,
            maximum_version: Version::Tls13,
            sessions: None,
            #[cfg(feature = "post-handshake-authentication")]
            post_handshake_auth: false,
            key_log: None,
            #[cfg(feature = "early-data")]
            early_data: false,
            #[cfg(feature = "raw-public-keys")]
            server_certificate_types: X509,
            #[cfg(feature = "raw-public-keys")]
            certificate_types: X509,
            #[cfg(feature = "certificate-compression")]
            wants_compressed: false,
        }
    }
    optional!(wants_compressed: bool = wants_compressed, "certificate-compression", false);
    optional!(
        post_handshake_auth: bool = post_handshake_auth,
        "post-handshake-authentication",
        false
    );
    /// Of servers and of the client.
    pub(crate) const fn certificate_types(&self) -> [&[CertificateType]; 2] {
        #[cfg(feature = "raw-public-keys")]
        return [self.server_certificate_types, self.certificate_types];
        #[cfg(not(feature = "raw-public-keys"))]
        [X509; 2]
    }
    optional!(offers_early_data: bool = early_data, "early-data", false);
}

impl<P, V> fmt::Debug for ClientConfig<'_, P, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}
