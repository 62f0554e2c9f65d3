//! One page over HTTPS, with a certificate that is compiled in: the smallest TLS server.
//!
//! | boot parameter | meaning | default |
//! |---|---|---|
//! | `port=N` | the TCP port | 443 (8443 on a host's sockets); without the feature `tls` 80 (8080) |
//! | `seed=once` | Cortex-M: keys are made of the image's own seed | such a board without a generator refuses TLS |
//!
//! The certificate is the file that `AIRGLOW_CERTIFICATE` names while this is compiled, its key the one that `AIRGLOW_KEY` names;
//! without them it is one for localhost that nobody trusts.
#![cfg_attr(not(unix), no_std)]
#![forbid(unsafe_code)]

use airglow::device::{Listener, ParameterError, Platform, Tcp};
use airglow_http::{Error, Exchange, Limits, Method, Router, Server, Status};
use core::fmt;

#[cfg(feature = "tls")]
mod secure;
#[cfg(all(feature = "tls", target_os = "none", target_arch = "arm"))]
pub mod seed;

/// Whether this is the image of a board with little memory.
const BOARD: bool = cfg!(all(target_os = "none", target_arch = "arm"));
/// Connections at once; more wait in the listener's backlog.
const CONNECTIONS: usize = if BOARD { 1 } else { 16 };
/// Octets of a connection's buffers for a request's head and for an answer.
const HEAD: usize = 1_024;
const OUT: usize = 512;

const PAGE: &str = "<!DOCTYPE html>\n<html lang=\"en\"><title>airglow</title><p>A page of an image that is all there is.</html>\n";

/// Why the server stopped.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failed<'p> {
    /// A boot parameter is wrong.
    Parameter(ParameterError<'p>),
    /// The port could not be opened.
    Port(u16),
    /// The key that was compiled in is none, which the build does not let happen.
    Key,
    /// There is no seed to make keys of.
    Seed,
}

impl fmt::Display for Failed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter(error) => error.fmt(f),
            Self::Port(port) => write!(f, "port {port} cannot be opened: it is taken, or this needs rights"),
            Self::Key => f.write_str("the key that was compiled in is damaged"),
            Self::Seed => f.write_str("the image has no seed; `cargo airglow run` writes one"),
        }
    }
}
impl core::error::Error for Failed<'_> {}

/// Serves until the platform stops it.
///
/// # Errors
/// A wrong boot parameter, or a port that is taken.
pub async fn run<P: Platform>(platform: &P) -> Result<(), Failed<'_>> {
    let port = platform.parameters().get("port", "a port number (1 to 65535)").map_err(Failed::Parameter)?;
    let port = port.unwrap_or(match (cfg!(unix), cfg!(feature = "tls")) {
        (true, true) => 8443,
        (true, false) => 8080,
        (false, true) => 443,
        (false, false) => 80,
    });
    let listener = platform.tcp().listen(port).await.map_err(|_| Failed::Port(port))?;
    log::info!("serving at port {port}");
    #[cfg(feature = "tls")]
    let served = secure::serve(platform, listener).await;
    #[cfg(not(feature = "tls"))]
    let served = Ok(serve(platform, &listener).await);
    served
}

async fn serve<P: Platform>(platform: &P, listener: &impl Listener) {
    let router = Router::new().route(Method::Get, "/", page);
    let server = Server::<HEAD, OUT>::sized(Limits::DEFAULT);
    server.serve::<CONNECTIONS, _, _>(listener, &router, platform.timer()).await;
}

async fn page(exchange: &mut Exchange<'_>) -> Result<(), Error> {
    exchange.respond(Status::OK).content_type("text/html; charset=utf-8").send(PAGE.as_bytes()).await
}
