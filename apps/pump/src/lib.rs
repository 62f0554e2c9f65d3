//! Takes and gives bytes: the appliance that tests and benchmarks of stacks talk to.
//!
//! | port | parameter | what it does |
//! |---|---|---|
//! | 80 | `port=` | HTTP: `GET /page` gives 4 KiB, `GET /bytes/N` gives N bytes of [`fill`], `POST /sha256` answers with the digest of what comes |
//! | 7 | `echo=` | UDP: sends datagrams back (RFC 862) |
//! | 9 | `discard=` | reads and drops (RFC 863) |
//! | 19 | `source=` | sends without end (RFC 864, with one byte over and over) |
#![no_std]
#![forbid(unsafe_code)]

mod bytes;
mod service;

pub use bytes::fill;

use airglow::{
    device::{Listener, Parameters, Platform, Stream, Tcp, Timer, Udp},
    runtime::{Either, for_each_connection, join, select},
};
use airglow_http::{Limits, Server};
use core::{fmt, time::Duration};

/// HTTP connections at once.
const CLIENTS: usize = 20_000;
/// Connections of each of the other services at once.
const CONNECTIONS: usize = 64;

/// Why the pump stopped.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failed<'p> {
    /// A boot parameter is wrong.
    Parameter(airglow::device::ParameterError<'p>),
    /// A port could not be opened.
    Port(u16),
}

impl fmt::Display for Failed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter(error) => error.fmt(f),
            Self::Port(port) => {
                write!(f, "port {port} cannot be opened: it is taken, or this needs rights")
            }
        }
    }
}

/// Serves until it is stopped.
///
/// # Errors
/// A wrong boot parameter, or a port that is taken.
pub async fn run<P: Platform>(platform: &P) -> Result<(), Failed<'_>> {
    let parameters = platform.parameters();
    let http_port = port(parameters, "port", 80)?;
    let (discard_port, source_port) = (port(parameters, "discard", 9)?, port(parameters, "source", 19)?);
    let http = platform.tcp().listen(http_port).await.map_err(|_| Failed::Port(http_port))?;
    let discard = platform.tcp().listen(discard_port).await.map_err(|_| Failed::Port(discard_port))?;
    let source = platform.tcp().listen(source_port).await.map_err(|_| Failed::Port(source_port))?;
    // On a host's sockets nobody may need it, and the port takes rights: only what is asked for.
    let default_echo = if cfg!(unix) { 0 } else { 7 };
    let echo_port = port(parameters, "echo", default_echo)?;
    log::info!("listening: HTTP on port {http_port}, discard on {discard_port}, source on {source_port}");
    let mut limits = Limits::DEFAULT;
    limits.content = u64::MAX;
    limits.requests = u32::MAX;
    limits.idle_timeout = Duration::from_secs(300);
    let server = Server::<1024, 4608>::sized(limits);
    let timer = platform.timer();
    let pumps = join(take(&discard, timer), give(&source, timer));
    let streams = join(server.serve::<CLIENTS, _, _>(&http, &service::answer, timer), pumps);
    if echo_port == 0 {
        streams.await;
        return Ok(());
    }
    let echo = platform.udp().respond(echo_port, |_, datagram, reply| {
        let length = datagram.len().min(reply.len());
        reply.get_mut(..length)?.copy_from_slice(datagram.get(..length)?);
        Some(length)
    });
    match select(echo, streams).await {
        Either::Left(Ok(never)) => match never {},
        Either::Left(Err(_)) => Err(Failed::Port(echo_port)),
        Either::Right(_) => Ok(()),
    }
}

fn port<'p>(parameters: &Parameters<'p>, key: &str, default: u16) -> Result<u16, Failed<'p>> {
    let port = parameters.get(key, "a port number (0 to 65535)").map_err(Failed::Parameter)?;
    Ok(port.unwrap_or(default))
}

/// Reads and drops whatever comes, in place.
async fn take(listener: &impl Listener, timer: &impl Timer) {
    for_each_connection::<CONNECTIONS, _>(listener, timer, async |mut stream| {
        while stream.read_with(|bytes| (bytes.len(), bytes.len())).await.is_ok_and(|n| n > 0) {}
        let _ = stream.close().await;
    })
    .await;
}

/// Sends until the peer has enough.
async fn give(listener: &impl Listener, timer: &impl Timer) {
    static BYTES: [u8; 64 * 1024] = [0x55; 64 * 1024];
    for_each_connection::<CONNECTIONS, _>(listener, timer, async |mut stream| {
        while stream.write_static(&BYTES).await.is_ok() {}
    })
    .await;
}
