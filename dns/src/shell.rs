//! The thin asynchronous part: a [`Server`] over any [`Udp`] and any [`Stream`].
mod connections;
mod copies;
mod dial;
mod forward;
mod replication;
mod resolver;
mod turn;
mod update;

pub use copies::Copies;
pub use dial::{Dial, DialError};
pub use forward::serve_udp_forwarding;
pub use replication::{Event, Failure, Replication};
pub use resolver::{ResolveError, Resolver, ResolverConfig};
pub use update::{Updates, serve_udp_with_updates};

use crate::{
    server::{Now, Origin, Server, Transfer, Transport},
    wire::{Message, Opcode},
};
use airglow_device::{BlockDevice, Endpoint, Entropy, Stream, Timer, Udp, WallClock};
use airglow_runtime::timeout;
use alloc::vec::Vec;
use core::{cell::RefCell, convert::Infallible, net::SocketAddr, time::Duration};

/// Bounds for a stream (RFC 7766).
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a connection may be silent between queries, or take over one.
    pub idle: Duration,
    /// How long one reply may take to go out.
    pub write: Duration,
    /// Longest query in bytes; a longer one ends the connection.
    pub query: usize,
    /// The stream is encrypted: [`Transport::Tls`].
    pub encrypted: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { idle: Duration::from_secs(10), write: Duration::from_secs(30), query: 4096, encrypted: false }
    }
}

/// Why a connection ended before its client closed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// The client was silent, or did not take a reply, for too long.
    TimedOut,
    /// The client closed or reset the connection in the middle of a message.
    Broken,
    /// What came is no DNS query, or one longer than [`Limits::query`].
    NoQuery,
}

/// Of one in so many answers over UDP the time is taken.
const TIMED: u32 = 64;

/// Answers datagrams on a port, in place and in batches, until that fails.
///
/// # Errors
/// The stack's, as when the port is taken.
pub async fn serve_udp<U: Udp>(
    udp: &U,
    on: impl Into<Endpoint>,
    server: &RefCell<Server<'_>>,
    timer: &impl Timer,
    wall_clock: &impl WallClock,
) -> Result<Infallible, U::Error> {
    let respond = |_: SocketAddr, origin: &Origin<'_>, query: &[u8], reply: &mut [u8]| {
        server.borrow_mut().respond_to(origin, query, reply)
    };
    udp.respond(on, answering(server, respond, timer, wall_clock)).await
}

/// What [`Udp::respond`] does with each datagram, with the replies that `respond` writes; `server` only hears how long they took.
pub fn answering(
    server: &RefCell<Server<'_>>,
    mut respond: impl FnMut(SocketAddr, &Origin<'_>, &[u8], &mut [u8]) -> Option<usize>,
    timer: &impl Timer,
    wall_clock: &impl WallClock,
) -> impl FnMut(SocketAddr, &[u8], &mut [u8]) -> Option<usize> {
    let mut number = 0_u32;
    move |peer, query, reply| {
        let now = || Now { monotonic: timer.now(), unix: wall_clock.unix_now() };
        let origin = Origin { peer: Some(peer.ip()), transport: Transport::Udp, now: &now };
        // A look at the clock takes a good part of the time of an answer.
        let begun = number.is_multiple_of(TIMED).then(|| timer.now());
        number = number.wrapping_add(1);
        let length = respond(peer, &origin, query, reply);
        if let Some(begun) = begun {
            server.borrow_mut().observe(timer.now().since(begun));
        }
        length
    }
}

/// What goes out for a query over a stream.
#[allow(clippy::large_enum_variant, reason = "there is one a connection, and not for long")]
pub enum Reply {
    /// One message, behind its two bytes of length.
    Framed(Vec<u8>),
    /// A whole zone or what has changed in it.
    Zone(Transfer),
}

/// A message behind its two bytes of length (RFC 1035 section 4.2.2); `None` when it is too long for that.
pub fn framed(message: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(message.len()).ok()?;
    Some([&length.to_be_bytes()[..], message].concat())
}

impl Reply {
    /// The reply of `server`, a transfer where one may be given; `None` when there is none to send.
    pub fn of(server: &RefCell<Server<'_>>, origin: &Origin<'_>, query: &[u8]) -> Option<Self> {
        let transfer = server.borrow().transfer(origin, query);
        match transfer {
            Some(transfer) => Some(Self::Zone(transfer)),
            None => server.borrow_mut().respond_framed(origin, query).map(Self::Framed),
        }
    }
}

/// Answers the queries of one connection in order, pipelined ones too, until it ends or a limit is passed.
/// A transfer is given to those whom the server's configuration allows it.
///
/// # Errors
/// Why it ended, unless the client closed it.
pub async fn serve_stream(
    stream: impl Stream,
    server: &RefCell<Server<'_>>,
    timer: &impl Timer,
    wall_clock: &impl WallClock,
    limits: &Limits,
) -> Result<(), Ended> {
    let respond = async |origin: &Origin<'_>, query: &[u8]| Reply::of(server, origin, query);
    serve_stream_by(stream, respond, timer, wall_clock, limits).await
}

/// As [`serve_stream`], with updates.
///
/// # Errors
/// Why it ended, unless the client closed it.
pub async fn serve_stream_with_updates<B: BlockDevice, E: Entropy>(
    stream: impl Stream,
    server: &RefCell<Server<'_>>,
    updates: &Updates<'_, B, E>,
    timer: &impl Timer,
    wall_clock: &impl WallClock,
    limits: &Limits,
) -> Result<(), Ended> {
    let respond = async |origin: &Origin<'_>, query: &[u8]| {
        if Message::new(query).is_ok_and(|message| message.flags().opcode() == Opcode::UPDATE) {
            let mut framed = alloc::vec![0; 2 + 4096];
            let length = updates.respond(server, origin, query, framed.get_mut(2..)?).await?;
            framed[..2].copy_from_slice(&(length as u16).to_be_bytes());
            framed.truncate(2 + length);
            return Some(Reply::Framed(framed));
        }
        Reply::of(server, origin, query)
    };
    serve_stream_by(stream, respond, timer, wall_clock, limits).await
}

/// As [`serve_stream`], with the replies of `respond`; where that has none, the connection ends.
///
/// # Errors
/// Why it ended, unless the client closed it.
pub async fn serve_stream_by(
    mut stream: impl Stream,
    respond: impl AsyncFn(&Origin<'_>, &[u8]) -> Option<Reply>,
    timer: &impl Timer,
    wall_clock: &impl WallClock,
    limits: &Limits,
) -> Result<(), Ended> {
    stream.set_nodelay(true);
    let now = || Now { monotonic: timer.now(), unix: wall_clock.unix_now() };
    let peer = stream.peer().map(|peer| peer.ip());
    let transport = if limits.encrypted { Transport::Tls } else { Transport::Tcp };
    let origin = Origin { peer, transport, now: &now };
    let mut query = Vec::new();
    loop {
        let mut length = [0; 2];
        if !read_exact(&mut stream, &mut length, timer, limits).await? {
            return stream.close().await.map_err(|_| Ended::Broken);
        }
        let length = usize::from(u16::from_be_bytes(length));
        if length > limits.query {
            return Err(Ended::NoQuery);
        }
        query.resize(length, 0);
        if length > 0 && !read_exact(&mut stream, &mut query, timer, limits).await? {
            return Err(Ended::Broken);
        }
        match respond(&origin, &query).await.ok_or(Ended::NoQuery)? {
            Reply::Framed(reply) => write(&mut stream, &reply, timer, limits).await?,
            #[cfg(not(feature = "transfers"))]
            Reply::Zone(_) => return Err(Ended::NoQuery),
            #[cfg(feature = "transfers")]
            Reply::Zone(transfer) => send_zone(&mut stream, transfer, timer, limits).await?,
        }
    }
}

#[cfg(feature = "transfers")]
async fn send_zone(
    stream: &mut impl Stream,
    mut transfer: Transfer,
    timer: &impl Timer,
    limits: &Limits,
) -> Result<(), Ended> {
    // Messages of 16 KiB let every compression pointer reach every name (RFC 5936 section 3.4 leaves the size open).
    let mut buffer = alloc::vec![0; 2 + 16_384];
    while let Some(written) = transfer.next_message(&mut buffer[2..]) {
        let length = match written {
            Ok(length) => length,
            // A record larger than that: once more with all the room there is.
            Err(_) if buffer.len() < 65_537 => {
                buffer.resize(65_537, 0);
                continue;
            }
            Err(_) => return Err(Ended::Broken),
        };
        let (head, _) = buffer.split_at_mut(2);
        head.copy_from_slice(&(length as u16).to_be_bytes());
        write(stream, &buffer[..2 + length], timer, limits).await?;
    }
    Ok(())
}

async fn write(
    stream: &mut impl Stream,
    bytes: &[u8],
    timer: &(impl Timer + ?Sized),
    limits: &Limits,
) -> Result<(), Ended> {
    let written = timeout(timer, limits.write, stream.write_all(bytes)).await;
    written.map_err(|_| Ended::TimedOut)?.map_err(|_| Ended::Broken)
}

/// Fills `out`; `false` when the stream ends before its first byte.
async fn read_exact(
    stream: &mut impl Stream,
    out: &mut [u8],
    timer: &(impl Timer + ?Sized),
    limits: &Limits,
) -> Result<bool, Ended> {
    let whole = async {
        let mut at = 0;
        while at < out.len() {
            match stream.read(&mut out[at..]).await {
                Ok(0) if at == 0 => return Ok(false),
                Ok(0) | Err(_) => return Err(Ended::Broken),
                Ok(count) => at += count,
            }
        }
        Ok(true)
    };
    timeout(timer, limits.idle, whole).await.map_err(|_| Ended::TimedOut)?
}
