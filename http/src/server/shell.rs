//! The async shell: one connection's bytes between a stream and the core.
use crate::{
    Error, Limits,
    deadline::before,
    server::{
        Statistics,
        buffers::{Lease, Pool, apart},
        connection::Between,
        exchange::Exchange,
        statistics::{Counters, add},
    },
    wire::{Method, Status},
};
use airglow_device::{Instant, Listener, Stream, Timer, WallClock};
use core::{cell::Cell, convert::Infallible, net::SocketAddr, pin::pin, time::Duration};

/// Answers requests: a folder of files, a [`Router`](crate::Router), an `async fn(&mut Exchange<'_>) ->
/// Result<(), Error>`.
pub trait Handler {
    /// Answers one request. See [`Exchange`] and [`Error`] for what becomes of one that is not answered, or
    /// not to its end.
    async fn handle(&self, exchange: &mut Exchange<'_>) -> Result<(), Error>;
}

impl<F: AsyncFn(&mut Exchange<'_>) -> Result<(), Error>> Handler for F {
    async fn handle(&self, exchange: &mut Exchange<'_>) -> Result<(), Error> {
        self(exchange).await
    }
}

/// A line for an access log.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Access<'a> {
    /// Who asked.
    pub peer: Option<SocketAddr>,
    /// The method; [`Method::Other`] when the request could not be read.
    pub method: Method,
    /// The path as it was sent; empty when the request could not be read.
    pub path: &'a str,
    /// What was answered.
    pub status: Status,
    /// Octets of content in the answer.
    pub content: u64,
    /// From the end of the request's head to the end of the answer's handling.
    pub duration: Duration,
}

/// `Date: Sun, 06 Nov 1994 08:49:37 GMT` CR LF.
type DateLine = [u8; 37];

#[derive(Clone, Copy)]
pub(super) struct Now {
    pub line: DateLine,
    /// 0 without a clock.
    pub len: usize,
    pub unix: Option<Duration>,
    good_until: Instant,
}

/// A server: limits, the buffer sizes of each connection, and counters. `HEAD` octets hold a request's head
/// and
/// whatever follows it, at least 256; `OUT` octets gather the answer, at least 256. The defaults suit
/// hosts; a board might
/// take `Server::<1024, 1024>::sized(..)`. With the feature `alloc` a connection holds its buffers, and the memory that its
/// handler's future takes, only while it has a request; up to 32 pairs of buffers
/// are kept for the next ones. Without it each connection has its own for as long as it is open.
pub struct Server<'s, const HEAD: usize = 4096, const OUT: usize = 8192> {
    pub(super) limits: Limits,
    wall_clock: Option<&'s dyn WallClock>,
    pub(super) log: Option<&'s dyn Fn(&Access<'_>)>,
    pub(super) counters: Counters,
    now: Cell<Now>,
    pool: Pool<HEAD, OUT>,
}

impl<'s> Server<'s> {
    /// A server with buffers for hosts.
    pub fn new(limits: Limits) -> Self {
        Self::sized(limits)
    }
}

/// How a connection's last answer was left.
pub(super) enum Ending {
    /// Everything is said and the peer has nothing more to say.
    Close,
    /// Everything is said, and another request may come.
    Idle,
    /// The peer may still be sending.
    Linger,
    /// The stream failed, or an answer was cut short: no orderly end.
    Abort,
}

impl<'s, const HEAD: usize, const OUT: usize> Server<'s, HEAD, OUT> {
    /// A server whose connections have buffers of the sizes that the type names.
    pub fn sized(limits: Limits) -> Self {
        const { assert!(HEAD >= 256 && OUT >= 256, "the buffers of a connection are at least 256 octets each") };
        let line = *b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
        Self {
            limits,
            wall_clock: None,
            log: None,
            counters: Counters::default(),
            pool: Pool::new(),
            now: Cell::new(Now { line, len: 0, unix: None, good_until: Instant::ZERO }),
        }
    }
    /// With a time of day, for `Date` fields (feature `dates`). Without one, or as long as it does not know the time, there
    /// are none.
    pub fn wall_clock(mut self, clock: &'s dyn WallClock) -> Self {
        self.wall_clock = Some(clock);
        self
    }
    /// With a function that is told of every answer.
    pub fn access_log(mut self, log: &'s dyn Fn(&Access<'_>)) -> Self {
        self.log = Some(log);
        self
    }
    /// What has been done so far.
    pub fn statistics(&self) -> Statistics {
        self.counters.snapshot()
    }

    /// The time of day, asked of the clock once a second.
    pub(super) fn now(&self, now: Instant) -> Now {
        let mut cached = self.now.get();
        let Some(clock) = self.wall_clock else { return cached };
        if now >= cached.good_until {
            cached.unix = clock.unix_now();
            cached.len = 0;
            cached.good_until = now + Duration::from_secs(1);
            if let Some(unix) = cached.unix {
                cached.good_until =
                    now + (Duration::from_secs(1) - Duration::from_nanos(unix.subsec_nanos().into()));
                if cfg!(feature = "dates")
                    && let Some(date) = crate::wire::format_date(unix)
                {
                    if let Some(place) = cached.line.get_mut(6..35) {
                        place.copy_from_slice(&date);
                    }
                    cached.len = cached.line.len();
                }
            }
            self.now.set(cached);
        }
        cached
    }

    /// Serves one connection until it ends: by the peer, by a limit, or by a failure of the stream.
    pub async fn serve_connection<S: Stream, H: Handler>(
        &self,
        mut stream: S,
        handler: &H,
        timer: &dyn Timer,
    ) {
        add(&self.counters.connections, 1);
        add(&self.counters.open, 1);
        let open = Open(&self.counters);
        stream.set_nodelay(true);
        let mut between = Between::default();
        let mut lease = Lease::new();
        let ending = loop {
            match self.next(&mut stream, timer, &mut between, &mut lease, None).await {
                None => break Ending::Close,
                Some(received) => {
                    let buffers = lease.take(&self.pool);
                    let requests =
                        self.requests(&mut stream, handler, timer, &mut between, buffers, received);
                    let ending = apart(requests).await;
                    lease.release(&self.pool);
                    if !matches!(ending, Ending::Idle) {
                        break ending;
                    }
                }
            }
        };
        apart(self.end(&mut stream, timer, &mut between, &mut lease, ending)).await;
        drop(open);
    }

    /// Waits, without any buffer, for the first octets of a request, which are then at the front of the head buffer; where the connection
    /// `lingers` until an instant, for octets to be dropped. `None` when nothing more comes, or not in time.
    async fn next<S: Stream>(
        &self,
        stream: &mut S,
        timer: &dyn Timer,
        between: &mut Between,
        lease: &mut Lease<HEAD, OUT>,
        lingers: Option<Instant>,
    ) -> Option<usize> {
        let receiving = pin!(stream.read_with(|octets| {
            let n = if lingers.is_some() { octets.len() } else { octets.len().min(HEAD) };
            if n == 0 || lingers.is_some() {
                return (n, n);
            }
            let head = &mut lease.take(&self.pool).head;
            if let Some((octets, place)) = octets.get(..n).zip(head.get_mut(..n)) {
                place.copy_from_slice(octets);
            }
            (n, n)
        }));
        let deadline = &mut |now| lingers.unwrap_or_else(|| between.deadline(now, &self.limits));
        let Ok((Ok(n @ 1..), _)) = before(timer, deadline, receiving).await else { return None };
        add(&self.counters.octets_in, n as u64);
        Some(n)
    }

    /// Serves every connection of `listener`, at most `N` at once; further ones wait in the listener's
    /// backlog. Runs until it is
    /// dropped, and all connections with it.
    pub async fn serve<const N: usize, L: Listener, H: Handler>(
        &self,
        listener: &L,
        handler: &H,
        timer: &impl Timer,
    ) -> Infallible {
        // Lent, and out of the block's own capture: a stream with buffers of its own would else be in the futures between here
        // and there as often as it is handed on.
        let serve = |mut stream| async move { self.serve_connection(&mut stream, handler, timer).await };
        airglow_runtime::for_each_connection::<N, L>(listener, timer, serve).await
    }

    /// Closes the stream, unless it is to be cut.
    async fn end<S: Stream>(
        &self,
        stream: &mut S,
        timer: &dyn Timer,
        between: &mut Between,
        lease: &mut Lease<HEAD, OUT>,
        ending: Ending,
    ) {
        if let Ending::Abort = ending {
            return add(&self.counters.aborted, 1);
        }
        let closed = {
            let closing = pin!(async { stream.close().await.map(|()| 0) });
            before(timer, &mut |now| now + self.limits.write_timeout, closing).await
        };
        //= https://www.rfc-editor.org/rfc/rfc9112#section-9.6
        //# To avoid the TCP reset problem, servers typically close a connection
        //# in stages.  First, the server performs a half-close by closing only
        //# the write side of the read/write connection.  The server then
        //# continues to read from the connection until it receives a
        //# corresponding close by the client, or until the server is reasonably
        //# certain that its own TCP stack has received the client's
        //# acknowledgement of the packet(s) containing the server's last
        //# response.
        if let (Ending::Linger, Ok((Ok(_), _))) = (ending, closed) {
            let until = timer.now() + self.limits.linger;
            let mut left = self.limits.discard.saturating_mul(4).max(64 << 10);
            while let Some(n) = self.next(stream, timer, between, lease, Some(until)).await {
                left = left.saturating_sub(n as u64);
                if left == 0 || timer.now() >= until {
                    break;
                }
            }
        }
    }
}

struct Open<'s>(&'s Counters);
impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get().saturating_sub(1));
    }
}
