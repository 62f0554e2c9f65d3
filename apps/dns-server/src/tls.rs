//! The boot parameters `tls=`, `cert=`, `certkey=` and `ca=`: DNS over TLS (RFC 7858), for transfers too (RFC 9103), as
//! server and as a secondary.
use crate::service::Service;
use airglow::device::{Parameters, Platform, Tcp};
use airglow_dns::shell::{Dial, DialError};
use airglow_tls::{
    Acceptor, Authorities, Certificate, Client, ClientConfig, Connection, Limits, ServerConfig, SessionCache,
    TicketKeys, TlsStream,
    crypto::{PrivateKey, RustCrypto},
    pem,
};
use core::{convert::Infallible, net::SocketAddr, time::Duration};
use std::{
    borrow::ToOwned,
    format, fs,
    string::{String, ToString},
    vec,
    vec::Vec,
};

/// For how long a session may be resumed.
const TICKETS: Duration = Duration::from_secs(12 * 3_600);

/// The name of DNS over TLS in ALPN (RFC 7858 section 3.1); transfers insist on it (RFC 9103 section 7.1).
const DOT: &[u8] = b"dot";
/// Sessions with other servers that are remembered.
const SESSIONS: usize = 64;

/// The certificate and the port.
pub struct Options {
    port: u16,
    chain: Vec<Vec<u8>>,
    key: PrivateKey,
}

impl Options {
    /// The chain as a list of certificates.
    fn chain(&self) -> Vec<&[u8]> {
        self.chain.iter().map(Vec::as_slice).collect()
    }

    /// `None` without `tls=`.
    pub(crate) fn read(parameters: &Parameters<'_>) -> Result<Option<Self>, String> {
        let (tls, cert, key) = (parameters.text("tls"), parameters.text("cert"), parameters.text("certkey"));
        let port = match tls {
            None | Some("off") if cert.is_none() && key.is_none() => return Ok(None),
            None | Some("off") => {
                return Err("boot parameters `cert`, `certkey`: nothing without `tls`".into());
            }
            Some("on" | "") if parameters.text("net").is_none_or(|net| net == "host") => 8853,
            Some("on" | "") => 853,
            Some(port) => port
                .parse()
                .map_err(|_| format!("boot parameter `tls`: `{port}`: expected `on` or a port"))?,
        };
        let read = |key, path: Option<&str>| {
            let path = path.ok_or_else(|| format!("boot parameter `tls`: wants `{key}=FILE` too"))?;
            fs::read(path).map_err(|error| format!("{key}={path}: {error}"))
        };
        let chain = pem::certificates(&read("cert", cert)?)
            .ok_or("boot parameter `cert`: expected certificates in PEM or DER, the server's own first")?;
        let key = pem::private_key(&read("certkey", key)?).ok_or(
            "boot parameter `certkey`: expected a key for ECDSA over P-256 or P-384 or for Ed25519, in PEM or DER",
        )?;
        Ok(Some(Self { port, chain, key }))
    }
}

/// Answers over TLS on its port.
pub(crate) async fn answer<P: Platform, D: Dial>(
    options: &Options,
    service: &Service<'_, '_, P, D>,
) -> Result<Infallible, String> {
    let (platform, port) = (service.platform, options.port);
    let listener = platform.tcp().listen(port).await;
    let listener = listener.map_err(|error| format!("TCP port {port}: {error}"))?;
    log::info!("TLS on port {port}");
    let chain = options.chain();
    let certificates = [Certificate::new(&chain, &options.key, &[])];
    let (timer, entropy) = (platform.timer(), platform.entropy());
    let tickets = TicketKeys::<_, 1_024>::new(RustCrypto, timer, entropy, TICKETS);
    let config = ServerConfig {
        protocols: &[DOT],
        tickets: Some(&tickets),
        ..ServerConfig::new(RustCrypto, &certificates)
    };
    let acceptor = Acceptor { listener, config: &config, timer, entropy, limits: Limits::default() };
    Ok(service.streams(&acceptor, true).await)
}

/// What becomes of `ca=FILE`: whom the authorities in it vouch for is believed to be who it says.
///
/// # Errors
/// One line that says what is wrong with the file.
pub fn authorities<'p, P: Platform>(
    platform: &'p P,
) -> Result<Option<Authorities<'p, P::WallClock>>, String> {
    let Some(path) = platform.parameters().text("ca") else { return Ok(None) };
    let wrong = |why: String| format!("boot parameter `ca={path}`: {why}");
    let file = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let roots = pem::certificates(&file).ok_or_else(|| wrong("no certificates in PEM or DER".to_owned()))?;
    let roots: Vec<&[u8]> = roots.iter().map(Vec::as_slice).collect();
    Authorities::new(&roots, platform.wall_clock()).map(Some).map_err(|error| wrong(error.to_string()))
}

/// How other servers are believed.
type Config<'d, P> = ClientConfig<'d, RustCrypto, &'d Authorities<'d, <P as Platform>::WallClock>>;

/// Opens streams to other servers; over TLS where there are `authorities`. To those that want to know who asks it shows the
/// server's own certificate, if there is one.
pub async fn dialing<P: Platform, R>(
    platform: &P,
    authorities: Option<&Authorities<'_, P::WallClock>>,
    options: Option<&Options>,
    work: impl AsyncFnOnce(&Dialer<'_, P>) -> R,
) -> R {
    let chain = options.map(Options::chain).unwrap_or_default();
    let certificate = options.map(|options| Certificate::new(&chain, &options.key, &[]));
    let sessions = SessionCache::new(platform.timer(), SESSIONS);
    let config = authorities.map(|authorities| ClientConfig {
        protocols: &[DOT],
        certificate,
        sessions: Some(&sessions),
        ..ClientConfig::new(RustCrypto, authorities)
    });
    work(&Dialer { platform, config: config.as_ref() }).await
}

/// Opens streams to other servers.
pub struct Dialer<'d, P: Platform> {
    platform: &'d P,
    config: Option<&'d Config<'d, P>>,
}

impl<P: Platform> Dial for Dialer<'_, P> {
    type Plain<'a>
        = <P::Tcp as Tcp>::Stream<'a>
    where
        Self: 'a;
    type Secure<'a>
        = TlsStream<
        'a,
        <P::Tcp as Tcp>::Stream<'a>,
        Client<'a, RustCrypto, &'a Authorities<'a, P::WallClock>>,
        RustCrypto,
        Vec<u8>,
        P::Timer,
    >
    where
        Self: 'a;

    async fn plain(&self, to: SocketAddr) -> Result<Self::Plain<'_>, DialError> {
        self.platform.tcp().plain(to).await
    }
    async fn secure<'a>(&'a self, to: SocketAddr, name: &'a str) -> Result<Self::Secure<'a>, DialError> {
        let insecure = |error: &dyn core::fmt::Display| DialError::Insecure(error.to_string());
        let config = self.config.ok_or_else(|| insecure(&"no `ca=FILE` says whom to believe"))?;
        let transport = self.platform.tcp().plain(to).await?;
        let limits = Limits::default();
        let (incoming, outgoing) = (vec![0; limits.incoming], vec![0; limits.outgoing]);
        let tls = Connection::client(config, name, self.platform.entropy(), incoming, outgoing)
            .map_err(|error| insecure(&error))?;
        let mut stream = TlsStream::new(transport, tls, self.platform.timer(), limits.handshake);
        stream.handshake().await.map_err(|error| insecure(&error))?;
        match stream.protocol() {
            Some(DOT) => Ok(stream),
            _ => Err(insecure(&"it does not speak DNS over TLS: no `dot` in ALPN")),
        }
    }
}
