//! OpenFlow connections over TLS (OpenFlow 1.3 section 6.3.3): both ends show a certificate of the site's own authority.
//!
//! | boot parameter | meaning |
//! |---|---|
//! | `cert=FILE` | one's own certificate, with those that lead to the authority's |
//! | `key=FILE` | its key: ECDSA over P-256 or P-384, or Ed25519 |
//! | `ca=FILE` | the authority's certificates: whom they vouch for is let in |
//!
//! All in PEM or DER, as `ovs-pki` or `cargo airglow cert` make them. As with Open vSwitch, the authority is the site's, and
//! what it has signed is good under any name: OpenFlow gives switches and controllers addresses, not names.
#![forbid(unsafe_code)]

use airglow::{
    device::{Listener, Parameters, Platform, Stream},
    runtime::for_each_connection,
};
use airglow_tls::{
    Acceptor, Alert, Authorities, Certificate, ClientAuthentication, ClientConfig, ClientVerifier,
    Connection, Limits, ServerConfig, TlsStream, Verifier,
    crypto::{PrivateKey, RustCrypto},
    pem,
    wire::CertificateEntries,
};
use core::convert::Infallible;
use std::{format, fs, string::String, vec, vec::Vec};

/// Who one is and whom one trusts.
pub struct Identity {
    chain: Vec<Vec<u8>>,
    key: PrivateKey,
    roots: Vec<Vec<u8>>,
}

/// What is said on a stream, whatever stream it is.
pub trait Speak {
    /// Speaks until the conversation is over.
    fn speak(&self, stream: impl Stream) -> impl Future<Output = ()>;
}

/// Whom the site's authority vouches for.
struct Site<'a, V>(&'a V);

impl<V: ClientVerifier> Verifier for Site<'_, V> {
    fn verify(&self, _: &str, certificates: CertificateEntries<'_>) -> Result<(), Alert> {
        self.0.verify_client(certificates)
    }
}

impl Identity {
    /// Reads the files that the boot parameters name.
    ///
    /// # Errors
    /// One line that says which is missing or is none.
    pub fn read(parameters: &Parameters<'_>) -> Result<Self, String> {
        let file = |key: &str, what: &str| {
            let path = parameters
                .text(key)
                .ok_or_else(|| format!("boot parameter `{key}=FILE` is missing: {what}"))?;
            fs::read(path).map_err(|error| format!("boot parameter `{key}={path}`: {error}"))
        };
        let certificates = |key: &str, what: &str| {
            let read = pem::certificates(&file(key, what)?);
            read.ok_or_else(|| format!("boot parameter `{key}=`: the file has no certificates in PEM or DER"))
        };
        let key = pem::private_key(&file("key", "the certificate's key")?);
        Ok(Self {
            chain: certificates("cert", "one's own certificate")?,
            key: key.ok_or(
                "boot parameter `key=`: neither ECDSA over P-256 or P-384 nor Ed25519, in PEM or DER",
            )?,
            roots: certificates("ca", "the certificates of the site's authority")?,
        })
    }

    /// Hands a listener's connections to `speaker` over TLS, `MOST` at once. Returns only with an error.
    ///
    /// # Errors
    /// The authority's certificate is none, or the platform does not know the time of day.
    pub async fn listen<const MOST: usize, P: Platform>(
        &self,
        platform: &P,
        listener: impl Listener,
        speaker: &impl Speak,
    ) -> Result<Infallible, String> {
        let roots: Vec<&[u8]> = self.roots.iter().map(Vec::as_slice).collect();
        let authorities =
            Authorities::new(&roots, platform.wall_clock()).map_err(|error| format!("ca=: {error}"))?;
        let chain: Vec<&[u8]> = self.chain.iter().map(Vec::as_slice).collect();
        let certificates = [Certificate::new(&chain, &self.key, &[])];
        let clients = Some(ClientAuthentication { verifier: &authorities, required: true });
        let config = ServerConfig { clients, ..ServerConfig::new(RustCrypto, &certificates) };
        let (timer, entropy) = (platform.timer(), platform.entropy());
        let acceptor = Acceptor { listener, config: &config, timer, entropy, limits: Limits::default() };
        let each = async |stream| speaker.speak(stream).await;
        Ok(for_each_connection::<MOST, _>(&acceptor, timer, each).await)
    }

    /// Speaks TLS on a stream as the end that has connected, makes the handshake, and hands what is inside to `speaker`.
    ///
    /// # Errors
    /// As [`listen`](Self::listen); or why the handshake failed.
    pub async fn connect<P: Platform>(
        &self,
        platform: &P,
        transport: impl Stream,
        speaker: &impl Speak,
    ) -> Result<(), String> {
        let roots: Vec<&[u8]> = self.roots.iter().map(Vec::as_slice).collect();
        let authorities =
            Authorities::new(&roots, platform.wall_clock()).map_err(|error| format!("ca=: {error}"))?;
        let chain: Vec<&[u8]> = self.chain.iter().map(Vec::as_slice).collect();
        let site = Site(&authorities);
        let certificate = Some(Certificate::new(&chain, &self.key, &[]));
        let config = ClientConfig { certificate, ..ClientConfig::new(RustCrypto, &site) };
        let limits = Limits::default();
        let (incoming, outgoing) = (vec![0; limits.incoming], vec![0; limits.outgoing]);
        let name = "controller";
        let tls = Connection::client(&config, name, platform.entropy(), incoming, outgoing)
            .map_err(|error| format!("{error}"))?;
        let mut stream = TlsStream::new(transport, tls, platform.timer(), limits.handshake);
        stream.handshake().await.map_err(|error| format!("{error:?}"))?;
        speaker.speak(stream).await;
        Ok(())
    }
}
