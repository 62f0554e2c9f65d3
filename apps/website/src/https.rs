//! The site over TLS.
use crate::{CONNECTIONS, Failed, HEAD, OUT, announce};
use airglow::{
    device::{KeyValue, Listener, ParameterError, Parameters, Platform, Tcp},
    runtime::join,
};
use airglow_http::{Error, Exchange, Limits, Server, Status, files};
use airglow_tls::{
    Acceptor, Certificate, CompressedCertificate, EarlyData, ServerConfig, TicketKeys, Version,
    crypto::{PrivateKey, RustCrypto},
    pem,
};
use core::time::Duration;
use std::{format, fs, string::String, vec::Vec};

/// For how long a session may be resumed.
const TICKETS: Duration = Duration::from_secs(12 * 3_600);
/// Octets of requests that come early: a browser's are shorter.
const EARLY: u32 = 8_192;
/// RFC 6797 section 6.1: a year.
const HSTS: (&str, &str) = ("Strict-Transport-Security", "max-age=31536000");
/// Files are what their names say and belong into no other site's frame.
const NO_SNIFFING: (&str, &str) = ("X-Content-Type-Options", "nosniff");
const NO_FRAMES: (&str, &str) = ("X-Frame-Options", "DENY");
/// Requests for plain HTTP at once.
const REDIRECTS: usize = 1_024;

/// What `tls=on` comes with.
pub(crate) struct Options {
    chain: Vec<Vec<u8>>,
    key: PrivateKey,
    hsts: bool,
    oldest: Version,
    early_data: EarlyData,
    redirect: Option<u16>,
}

impl Options {
    /// `None` without `tls=on`.
    pub(crate) fn read<'p>(parameters: &Parameters<'p>) -> Result<Option<Self>, ParameterError<'p>> {
        let on = parameters.switch("tls")?.unwrap_or(false);
        let word = |key: &str| {
            let mut words = parameters.words().split_ascii_whitespace();
            words.rfind(|word| word.split('=').next() == Some(key)).unwrap_or(parameters.words())
        };
        if !on {
            for key in ["cert", "key", "hsts", "tls12", "early", "redirect"] {
                if parameters.text(key).is_some() {
                    return Err(ParameterError {
                        word: word(key),
                        expected: "nothing of TLS without tls=on",
                    });
                }
            }
            return Ok(None);
        }
        let read = |key| parameters.text(key).and_then(|path| fs::read(path).ok());
        let chain = read("cert").and_then(|file| pem::certificates(&file));
        let expected = "cert=FILE, certificates in PEM or DER, the server's own first";
        let chain = chain.ok_or(ParameterError { word: word("cert"), expected })?;
        let key = read("key").and_then(|file| pem::private_key(&file));
        let expected = "key=FILE, the certificate's key: ECDSA over P-256 or P-384 or Ed25519, in PEM or DER";
        let key = key.ok_or(ParameterError { word: word("key"), expected })?;
        let hsts = parameters.switch("hsts")?.unwrap_or(false);
        let tls12 = parameters.switch("tls12")?.unwrap_or(false);
        let oldest = if tls12 { Version::Tls12 } else { Version::Tls13 };
        let early = parameters.switch("early")?.unwrap_or(false);
        let early_data = if early { EarlyData::Replayable(EARLY) } else { EarlyData::Refused };
        let redirect = parameters.get("redirect", "a port number (1 to 65535)")?;
        Ok(Some(Self { chain, key, hsts, oldest, early_data, redirect }))
    }
}

/// Serves `site` over TLS, and where plain HTTP is asked for, redirects.
pub(crate) async fn serve<'p, P: Platform, K: KeyValue>(
    platform: &'p P,
    port: u16,
    site: &K,
    options: &Options,
) -> Result<(), Failed<'p>> {
    let chain: Vec<&[u8]> = options.chain.iter().map(Vec::as_slice).collect();
    let mut certificates = [Certificate::new(&chain, &options.key, &[])];
    let compressed = CompressedCertificate::new(&certificates[0]);
    certificates[0].compressed = compressed.as_ref();
    let (timer, entropy) = (platform.timer(), platform.entropy());
    let tickets = TicketKeys::<_, 1_024>::new(RustCrypto, timer, entropy, TICKETS);
    let config = ServerConfig {
        protocols: &[b"http/1.1"],
        tickets: Some(&tickets),
        minimum_version: options.oldest,
        early_data: options.early_data,
        ..ServerConfig::new(RustCrypto, &certificates)
    };
    let listener = platform.tcp().listen(port).await.map_err(|_| Failed::Port(port))?;
    let plain = match options.redirect {
        Some(port) => Some(platform.tcp().listen(port).await.map_err(|_| Failed::Port(port))?),
        None => None,
    };
    announce(platform, &listener, "https", port).await;
    let port = listener.local().map_or(port, |local| local.port());
    let acceptor =
        Acceptor { listener, config: &config, timer, entropy, limits: airglow_tls::Limits::default() };
    let site = files(site).headers(if options.hsts {
        &[NO_SNIFFING, NO_FRAMES, HSTS]
    } else {
        &[NO_SNIFFING, NO_FRAMES]
    });
    let server = Server::<HEAD, OUT>::sized(Limits::DEFAULT).wall_clock(platform.wall_clock());
    let secure = server.serve::<CONNECTIONS, _, _>(&acceptor, &site, timer);
    let redirects = async {
        if let Some(plain) = &plain {
            let server = Server::<HEAD, OUT>::sized(Limits::DEFAULT).wall_clock(platform.wall_clock());
            let redirect = async |exchange: &mut Exchange<'_>| redirect(exchange, port).await;
            server.serve::<REDIRECTS, _, _>(plain, &redirect, timer).await;
        }
    };
    join(secure, redirects).await;
    Ok(())
}

/// The same page over HTTPS.
async fn redirect(exchange: &mut Exchange<'_>, port: u16) -> Result<(), Error> {
    let head = *exchange.head();
    let location = location(head.host(), port, head.path, head.query);
    exchange.respond(Status::MOVED_PERMANENTLY).header("Location", location).empty().await
}

fn location(host: &str, port: u16, path: &str, query: Option<&str>) -> String {
    // The port of plain HTTP, behind the colon that is not part of an IPv6 address.
    let bare = match host.rfind(':') {
        Some(colon) if !host.ends_with(']') => host.get(..colon).unwrap_or(host),
        _ => host,
    };
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("https://{bare}{port}{path}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_to_the_same_page() {
        for (host, port, expected) in [
            ("a.example", 443, "https://a.example/x?y"),
            ("a.example:80", 443, "https://a.example/x?y"),
            ("a.example:8080", 8443, "https://a.example:8443/x?y"),
            ("[::1]", 443, "https://[::1]/x?y"),
            ("[::1]:80", 8443, "https://[::1]:8443/x?y"),
        ] {
            assert_eq!(location(host, port, "/x", Some("y")), expected);
        }
        assert_eq!(location("a", 443, "/", None), "https://a/");
    }

    #[test]
    fn what_is_missing_is_named() {
        for (words, wrong) in [
            ("tls=on", "tls=on"),
            ("tls=on cert=/none key=/none", "cert=/none"),
            ("cert=a", "cert=a"),
            ("hsts=on tls=off", "hsts=on"),
            ("early=on", "early=on"),
            ("tls=perhaps", "tls=perhaps"),
        ] {
            let error = Options::read(&Parameters::new(words)).err();
            assert_eq!(error.map(|error| error.word), Some(wrong), "{words}");
        }
        assert!(Options::read(&Parameters::new("port=80")).is_ok_and(|options| options.is_none()));
    }
}
