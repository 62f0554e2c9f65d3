//! A website about airglow, served by airglow.
//!
//! | boot parameter | what it is |
//! |---|---|
//! | `port=` | the TCP port; 8080 on a host's sockets, where 80 needs rights, and 80 everywhere else |
//! | `folder=` | on Unix: a folder to serve instead of the site that is compiled in |
//! | `tls=on` | on Unix: HTTPS, with the certificate chain of `cert=` and the key of `key=`, PEM or DER files as `cargo airglow cert` makes them; the port is then 8443 or 443 |
//! | `hsts=on` | with `tls=on`: tells browsers to use HTTPS only, for a year (RFC 6797) |
//! | `tls12=on` | with `tls=on`: serves clients that know nothing newer than TLS 1.2 too |
//! | `early=on` | with `tls=on`: answers requests that come with a client's hello (0-RTT); whoever saw them can play them again, which does a page no harm |
//! | `redirect=` | with `tls=on`: a port for plain HTTP, where everything is sent to HTTPS |
#![cfg_attr(not(unix), no_std)]
#![forbid(unsafe_code)]

use airglow::{
    device::{KeyValue, Listener, ParameterError, Parameters, Platform, Tcp},
    runtime::yield_now,
};
use airglow_http::{Limits, Server, files};
use airglow_store::Store;
use core::fmt;

#[cfg(unix)]
mod https;

/// The folder `site/`, compiled in.
pub static SITE: Store = airglow_store::embedded!("site");

/// Whether this is the image of a board with little memory.
const BOARD: bool = cfg!(all(target_os = "none", target_arch = "arm"));
/// Connections at once; more wait in the listener's backlog.
const CONNECTIONS: usize = if BOARD {
    4
} else if cfg!(all(target_os = "none", target_arch = "aarch64")) {
    32
} else {
    16_384
};
/// Octets of a connection's buffer for a request's head.
const HEAD: usize = if BOARD { 1_024 } else { 2_048 };
/// Octets of a connection's buffer for an answer.
const OUT: usize = if BOARD { 512 } else { 4_096 };

/// Why the website stopped.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failed<'p> {
    /// A boot parameter is wrong.
    Parameter(ParameterError<'p>),
    /// The port could not be opened.
    Port(u16),
}

impl fmt::Display for Failed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter(error) => error.fmt(f),
            Self::Port(port) => {
                write!(
                    f,
                    "TCP port {port} cannot be opened: it is taken, or it needs rights; `port=8081` takes another"
                )
            }
        }
    }
}

impl core::error::Error for Failed<'_> {}

/// Serves `site` until the platform stops it, within the default [`Limits`] for each phase of a request.
///
/// # Errors
/// A wrong boot parameter, or a port that is taken.
pub async fn run<'p, P: Platform, K: KeyValue>(platform: &'p P, site: &K) -> Result<(), Failed<'p>> {
    let parameters = platform.parameters();
    #[cfg(unix)]
    let tls = https::Options::read(parameters).map_err(Failed::Parameter)?;
    #[cfg(unix)]
    let secure = tls.is_some();
    #[cfg(not(unix))]
    let secure = false;
    let port = port(parameters, secure).map_err(Failed::Parameter)?;
    #[cfg(unix)]
    if let Some(path) = parameters.text("folder") {
        let folder = airglow_store::Folder::open(path).map_err(|_| {
            let word = parameters.words().split_ascii_whitespace().rfind(|word| word.starts_with("folder="));
            let expected = "the path of a folder that is there and may be read";
            Failed::Parameter(ParameterError { word: word.unwrap_or_default(), expected })
        })?;
        return match tls {
            Some(tls) => https::serve(platform, port, &folder, &tls).await,
            None => serve(platform, port, &folder).await,
        };
    }
    #[cfg(unix)]
    if let Some(tls) = tls {
        return https::serve(platform, port, site, &tls).await;
    }
    serve(platform, port, site).await
}

/// The port to listen on.
fn port<'p>(parameters: &Parameters<'p>, secure: bool) -> Result<u16, ParameterError<'p>> {
    let host_sockets = cfg!(unix) && matches!(parameters.text("net"), None | Some("host"));
    let port = parameters.get("port", "a port number (1 to 65535)")?;
    Ok(port.unwrap_or(match (host_sockets, secure) {
        (true, false) => 8080,
        (true, true) => 8443,
        (false, false) => 80,
        (false, true) => 443,
    }))
}

async fn serve<'p, P: Platform, K: KeyValue>(platform: &'p P, port: u16, site: &K) -> Result<(), Failed<'p>> {
    let listener = platform.tcp().listen(port).await.map_err(|_| Failed::Port(port))?;
    announce(platform, &listener, "http", port).await;
    let server = Server::<HEAD, OUT>::sized(Limits::DEFAULT).wall_clock(platform.wall_clock());
    server.serve::<CONNECTIONS, _, _>(&listener, &files(site), platform.timer()).await;
    Ok(())
}

/// Says where the site is.
async fn announce(platform: &impl Platform, listener: &impl Listener, scheme: &str, port: u16) {
    // Every parameter is read: here the platform refuses words that nobody asked for, before we say that we serve.
    yield_now().await;
    let address = platform.parameters().text("ipv4").and_then(|network| network.split('/').next());
    let address = address.unwrap_or("localhost");
    match (listener.local().map_or(port, |local| local.port()), scheme) {
        (80, "http") | (443, "https") => log::info!("serving at {scheme}://{address}/"),
        (port, _) => log::info!("serving at {scheme}://{address}:{port}/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_depends_on_whose_sockets_these_are() {
        for (words, expected) in [
            ("", 8080),
            ("net=host", 8080),
            ("net=tap device=tap0 ipv4=10.0.0.2/24", 80),
            ("net=packet port=8081", 8081),
        ] {
            assert_eq!(port(&Parameters::new(words), false), Ok(expected), "{words}");
        }
        assert_eq!(port(&Parameters::new(""), true), Ok(8443));
        assert_eq!(port(&Parameters::new("net=tap"), true), Ok(443));
        assert!(port(&Parameters::new("port=http"), false).is_err_and(|error| error.word == "port=http"));
    }

    #[test]
    fn the_site_is_compiled_in() {
        let page = SITE.lend("index.html").unwrap();
        assert!(page.starts_with(b"<!DOCTYPE html>"));
        assert!(SITE.lend("index.html.br").unwrap().len() < page.len() / 2);
        assert!(SITE.lend("index.html.gz").is_some() && SITE.lend("style.css.gz").is_some());
        assert!(SITE.lend("sky.png").unwrap().starts_with(b"\x89PNG"));
        assert!(SITE.lend("sky.png.gz").is_none(), "a picture does not get smaller");
    }

    #[test]
    fn every_link_within_the_site_leads_somewhere() {
        let pages = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/site")).unwrap();
        let mut links = 0;
        for page in pages
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "html"))
        {
            let text = std::fs::read_to_string(&page).unwrap();
            for attribute in ["href=\"", "src=\""] {
                for link in
                    text.split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap_or_default())
                {
                    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
                    if link.contains("://") || (file.is_empty() && text.contains(&format!("id=\"{anchor}\"")))
                    {
                        continue;
                    }
                    assert!(SITE.lend(file).is_some(), "{}: {link}", page.display());
                    links += 1;
                }
            }
        }
        assert!(links > 50);
    }
}
