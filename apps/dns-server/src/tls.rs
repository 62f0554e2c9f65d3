//! The boot parameters `tls=`, `cert=` and `certkey=`: DNS over TLS (RFC 7858), for transfers too (RFC 9103).
use airglow::device::{Parameters, Platform};
use airglow_tls::{
    Acceptor, Certificate, ServerConfig, TicketKeys,
    crypto::{PrivateKey, RustCrypto},
    pem,
};
use core::time::Duration;
use std::{fs, string::String, vec::Vec};

/// For how long a session may be resumed.
const TICKETS: Duration = Duration::from_secs(12 * 3_600);

/// The certificate and the port.
pub(crate) struct Options {
    pub(crate) port: u16,
    chain: Vec<Vec<u8>>,
    key: PrivateKey,
}

impl Options {
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

/// Gives each connection of `listener`, as a stream of plain text, to what `serve` makes of the acceptor; until that ends.
pub(crate) async fn accept<P: Platform, L, R>(
    platform: &P,
    options: &Options,
    listener: L,
    serve: impl AsyncFnOnce(&Acceptor<'_, L, RustCrypto, P::Timer, P::Entropy>) -> R,
) -> R {
    let chain: Vec<&[u8]> = options.chain.iter().map(Vec::as_slice).collect();
    let certificates = [Certificate::new(&chain, &options.key, &[])];
    let (timer, entropy) = (platform.timer(), platform.entropy());
    let tickets = TicketKeys::<_, 1_024>::new(RustCrypto, timer, entropy, TICKETS);
    let config = ServerConfig {
        // The name of RFC 7858 in ALPN; transfers insist on it (RFC 9103 section 7.1).
        protocols: &[b"dot"],
        tickets: Some(&tickets),
        ..ServerConfig::new(RustCrypto, &certificates)
    };
    serve(&Acceptor { listener, config: &config, timer, entropy, limits: airglow_tls::Limits::default() })
        .await
}
