//! The thin asynchronous part: a TLS stream over any stream, a TLS listener over any listener.
use crate::{
    Error,
    buffer::Buffer,
    config::ServerConfig,
    connection::{Connection, Event, Role},
    crypto::Provider,
    server::Server,
};
#[cfg(feature = "early-data")]
use crate::{client::Client, verifier::Verifier};
use airglow_device::{Entropy, Instant, Listener, Stream, Timer};
use airglow_runtime::timeout_at;
#[cfg(feature = "alloc")]
use alloc::{vec, vec::Vec};
use core::{
    fmt,
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};

/// How long a peer that is refused has to take the alert.
const PARTING: Duration = Duration::from_secs(1);
/// Bytes of the incoming buffer while nothing is under way: what comes next begins there.
const RESTING: usize = 512;

/// Why a [`TlsStream`] failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamError<E> {
    /// TLS did.
    Tls(Error),
    /// The stream below did.
    Transport(E),
}

impl<E: fmt::Display> fmt::Display for StreamError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls(error) => error.fmt(f),
            Self::Transport(error) => error.fmt(f),
        }
    }
}

impl<E: core::error::Error> core::error::Error for StreamError<E> {}

impl<E: embedded_io_async::Error> embedded_io_async::Error for StreamError<E> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Tls(Error::Truncated) => ErrorKind::ConnectionAborted,
            Self::Tls(Error::TimedOut) => ErrorKind::TimedOut,
            Self::Tls(Error::Closed) => ErrorKind::BrokenPipe,
            Self::Tls(Error::NoRoom) => ErrorKind::OutOfMemory,
            Self::Tls(_) => ErrorKind::InvalidData,
            Self::Transport(error) => error.kind(),
        }
    }
}

impl<E> From<Error> for StreamError<E> {
    fn from(error: Error) -> Self {
        Self::Tls(error)
    }
}

/// TLS over a stream, as a stream. While it waits for its peer and nothing is under way, buffers that can
/// ([`Buffer`]) give their memory back. The first read or write makes the handshake; a stream that ends without
/// close_notify fails with [`Error::Truncated`] instead of ending; dropped without `close` it is aborted.
pub struct TlsStream<'t, S, R, P: Provider, B: AsMut<[u8]>, T> {
    transport: S,
    tls: Connection<R, P, B>,
    timer: &'t T,
    deadline: Instant,
    capacity: [usize; 2],
    stalled: bool,
    closed: bool,
    parted: bool,
}

impl<'t, S, R, P, B, T> TlsStream<'t, S, R, P, B, T>
where
    S: Stream,
    R: Role<P>,
    P: Provider,
    B: Buffer,
    T: Timer,
{
    /// `tls` over `transport`; its handshake must be done within `limit` from now.
    pub fn new(transport: S, tls: Connection<R, P, B>, timer: &'t T, limit: Duration) -> Self {
        let (deadline, capacity) = (timer.now() + limit, tls.capacity());
        Self { transport, tls, timer, deadline, capacity, stalled: false, closed: false, parted: false }
    }
    /// The application protocol that both sides chose (RFC 7301), once the handshake is done.
    pub fn protocol(&self) -> Option<&[u8]> {
        self.tls.protocol()
    }

    /// The stream below, for its own settings; bytes that pass here by hand break the connection.
    pub const fn transport_mut(&mut self) -> &mut S {
        &mut self.transport
    }

    /// Makes the handshake, unless it is done. Cancel-safe.
    ///
    /// # Errors
    /// It failed or took too long; from then on always so.
    pub async fn handshake(&mut self) -> Result<(), StreamError<S::Error>> {
        self.handshake_until(|tls| tls.is_connected()).await
    }

    /// Goes on with the handshake until `enough` has happened.
    async fn handshake_until(
        &mut self,
        enough: impl Fn(&mut Connection<R, P, B>) -> bool,
    ) -> Result<(), StreamError<S::Error>> {
        if enough(&mut self.tls) {
            return Ok(());
        }
        let (timer, deadline) = (self.timer, self.deadline);
        let steps = async {
            loop {
                let event = self.process().await?;
                if enough(&mut self.tls) {
                    return self.push().await;
                }
                match event {
                    Event::Closed => return Err(Error::Truncated.into()),
                    Event::EarlyData => {}
                    Event::Idle if self.tls.space().is_empty() => return Err(Error::NoRoom.into()),
                    Event::Idle | Event::Data => self.exchange().await?,
                }
            }
        };
        timeout_at(timer, deadline, steps).await.unwrap_or(Err(Error::TimedOut.into()))
    }

    /// A server: reads what the client sent before it heard from us (0-RTT), when the configuration accepts that
    /// ([`EarlyData`](crate::EarlyData)): how much of it is now at the front of `buf`. 0 when the handshake is done:
    /// what there is from then on, [`read`](Read::read) gives. Cancel-safe.
    ///
    /// # Errors
    /// As [`handshake`](Self::handshake).
    #[cfg(feature = "early-data")]
    pub async fn read_early(&mut self, buf: &mut [u8]) -> Result<usize, StreamError<S::Error>> {
        self.handshake_until(|tls| tls.is_connected() || !tls.early_data().is_empty()).await?;
        Ok(if self.tls.is_connected() { 0 } else { self.take(buf) })
    }
    /// Whether the server has accepted the client's early data; see [`Connection::early_data_accepted`].
    #[cfg(feature = "early-data")]
    pub fn early_data_accepted(&self) -> bool {
        self.tls.early_data_accepted()
    }

    /// The application's bytes that were opened, early ones before the handshake is done.
    fn opened(&mut self) -> &mut [u8] {
        if self.tls.is_connected() { self.tls.plaintext() } else { self.tls.early_data() }
    }
    /// Fills `buf` with what there is.
    fn take(&mut self, buf: &mut [u8]) -> usize {
        let bytes = self.opened();
        let count = bytes.len().min(buf.len());
        for (place, byte) in buf.iter_mut().zip(bytes) {
            *place = *byte;
        }
        self.tls.consume(count);
        count
    }

    async fn process(&mut self) -> Result<Event, StreamError<S::Error>> {
        self.tls.wake(self.capacity);
        match self.tls.process() {
            Ok(event) => Ok(event),
            Err(error) => {
                if !self.parted {
                    self.parted = true;
                    // The alert and an orderly end, so that the peer gets to read it.
                    let (timer, deadline) = (self.timer, self.timer.now() + PARTING);
                    let parting = async {
                        self.drain().await?;
                        self.transport.close().await.map_err(StreamError::Transport)
                    };
                    let _ = timeout_at(timer, deadline, parting).await;
                }
                Err(error.into())
            }
        }
    }

    /// Sends what waits as far as the transport takes it now.
    fn poll_push(&mut self, cx: &mut Context<'_>) -> Result<(), S::Error> {
        let mut wrote = false;
        while !self.tls.output().is_empty() {
            let count = match pin!(self.transport.write(self.tls.output())).poll(cx) {
                Poll::Ready(count) => count?,
                Poll::Pending => return Ok(()),
            };
            self.tls.sent(count);
            wrote = true;
        }
        if wrote && let Poll::Ready(flushed) = pin!(self.transport.flush()).poll(cx) {
            flushed?;
        }
        Ok(())
    }
    async fn push(&mut self) -> Result<(), StreamError<S::Error>> {
        poll_fn(|cx| Poll::Ready(self.poll_push(cx))).await.map_err(StreamError::Transport)
    }
    /// Sends some of what waits, where nothing more fits behind it.
    async fn make_room(&mut self) -> Result<(), StreamError<S::Error>> {
        if self.tls.output().is_empty() {
            return Err(Error::NoRoom.into());
        }
        let count = self.transport.write(self.tls.output()).await.map_err(StreamError::Transport)?;
        self.tls.sent(count);
        Ok(())
    }
    /// Sends everything that waits.
    async fn drain(&mut self) -> Result<(), StreamError<S::Error>> {
        while !self.tls.output().is_empty() {
            let count = self.transport.write(self.tls.output()).await.map_err(StreamError::Transport)?;
            self.tls.sent(count);
        }
        Ok(())
    }
    /// Waits for bytes from the peer, and sends meanwhile. A peer that reads nothing before it has been
    /// read from does not stop us.
    async fn exchange(&mut self) -> Result<(), StreamError<S::Error>> {
        let received = poll_fn(|cx| {
            if let Err(error) = self.poll_push(cx) {
                return Poll::Ready(Err(error));
            }
            let received = pin!(self.transport.read(self.tls.space())).poll(cx);
            if received.is_pending() {
                // Whoever is silent now may be so for long: less memory, and asked again for the waker's sake.
                self.tls.rest(RESTING);
                return pin!(self.transport.read(self.tls.space())).poll(cx);
            }
            received
        });
        match received.await.map_err(StreamError::Transport)? {
            0 => Ok(self.tls.received_end()?),
            count => {
                self.tls.received(count);
                Ok(())
            }
        }
    }

    /// Waits until there is more plaintext than before, or the buffer is full; `false` at the end.
    async fn more(&mut self) -> Result<bool, StreamError<S::Error>> {
        let known = if self.stalled { self.tls.early_data().len() } else { 0 };
        let early = |tls: &mut Connection<R, P, B>| {
            tls.role.early_data_is_replayable() && tls.early_data().len() > known
        };
        self.handshake_until(|tls| tls.is_connected() || early(tls)).await?;
        if self.tls.is_connected() && (self.tls.plaintext().is_empty() || self.stalled) {
            loop {
                match self.process().await? {
                    Event::Data | Event::EarlyData => break,
                    Event::Closed => return Ok(!self.tls.plaintext().is_empty()),
                    Event::Idle if self.tls.space().is_empty() => break,
                    Event::Idle => self.exchange().await?,
                }
            }
        }
        self.stalled = false;
        Ok(true)
    }
}

#[cfg(feature = "post-handshake-authentication")]
impl<S, P, B, T> TlsStream<'_, S, Server<'_, P>, P, B, T>
where
    S: Stream,
    P: Provider,
    B: Buffer,
    T: Timer,
{
    /// Asks the client for a certificate after the handshake and waits for its answer, at most for `limit`: SHA-256 of the
    /// SubjectPublicKeyInfo of whoever the client has shown to be by then, as [`Connection::peer`]. A client that cannot be
    /// asked ([`Connection::request_certificate`]) is not. What comes meanwhile is kept for the next reads, as far as
    /// there is room.
    ///
    /// # Errors
    /// The client is refused, does not answer in time, or says more than there is room for before it does.
    pub async fn request_certificate(
        &mut self,
        limit: Duration,
    ) -> Result<Option<[u8; 32]>, StreamError<S::Error>> {
        self.handshake().await?;
        self.drain().await?;
        self.tls.wake(self.capacity);
        let (timer, deadline) = (self.timer, self.timer.now() + limit);
        let _ = self.tls.request_certificate()?;
        let steps = async {
            while self.tls.awaits_certificate() {
                match self.process().await? {
                    Event::Closed => return Err(Error::Truncated.into()),
                    Event::Idle if !self.tls.awaits_certificate() => {}
                    Event::Idle if self.tls.space().is_empty() => return Err(Error::NoRoom.into()),
                    Event::Idle => self.exchange().await?,
                    Event::Data | Event::EarlyData => {}
                }
            }
            Ok(self.tls.peer().copied())
        };
        timeout_at(timer, deadline, steps).await.unwrap_or(Err(Error::TimedOut.into()))
    }
}

#[cfg(feature = "early-data")]
impl<S, P, V, B, T> TlsStream<'_, S, Client<'_, P, V>, P, B, T>
where
    S: Stream,
    P: Provider,
    V: Verifier,
    B: Buffer,
    T: Timer,
{
    /// A client: sends bytes before anything was heard from the server (0-RTT), when the configuration offers early data
    /// and a session allows it: how many. 0 when no more are taken. Whether the server accepted them is
    /// [known](Self::early_data_accepted) after the [handshake](Self::handshake); if it did not, they must be written again.
    ///
    /// # Errors
    /// As of [`write`](Write::write).
    pub async fn write_early(&mut self, buf: &[u8]) -> Result<usize, StreamError<S::Error>> {
        while self.tls.early_data_left() > 0 && !buf.is_empty() {
            let count = self.tls.write_early(buf)?;
            if count > 0 {
                self.push().await?;
                return Ok(count);
            }
            self.make_room().await?;
        }
        Ok(0)
    }
}

impl<S: ErrorType, R, P: Provider, B: AsMut<[u8]>, T> ErrorType for TlsStream<'_, S, R, P, B, T> {
    type Error = StreamError<S::Error>;
}

impl<S, R, P, B, T> Read for TlsStream<'_, S, R, P, B, T>
where
    S: Stream,
    R: Role<P>,
    P: Provider,
    B: Buffer,
    T: Timer,
{
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Self::Error> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.stalled = false;
        if !self.more().await? {
            return Ok(0);
        }
        Ok(self.take(buf))
    }
}

impl<S, R, P, B, T> Write for TlsStream<'_, S, R, P, B, T>
where
    S: Stream,
    R: Role<P>,
    P: Provider,
    B: Buffer,
    T: Timer,
{
    async fn write(&mut self, buf: &[u8]) -> Result<usize, Self::Error> {
        if self.closed {
            return Err(Error::Closed.into());
        }
        self.handshake_until(|tls| tls.is_agreed()).await?;
        if buf.is_empty() {
            return Ok(0);
        }
        self.tls.wake(self.capacity);
        loop {
            let count = self.tls.write(buf)?;
            if count > 0 {
                // Nothing waits from here on, so that a dropped future has taken nothing.
                self.push().await?;
                return Ok(count);
            }
            self.make_room().await?;
        }
    }
    async fn flush(&mut self) -> Result<(), Self::Error> {
        self.drain().await?;
        self.transport.flush().await.map_err(StreamError::Transport)
    }
}

impl<S, R, P, B, T> Stream for TlsStream<'_, S, R, P, B, T>
where
    S: Stream,
    R: Role<P>,
    P: Provider,
    B: Buffer,
    T: Timer,
{
    async fn read_with<X>(&mut self, mut f: impl FnMut(&mut [u8]) -> (usize, X)) -> Result<X, Self::Error> {
        self.more().await?;
        let (used, result) = f(self.opened());
        self.tls.consume(used);
        self.stalled = used == 0;
        Ok(result)
    }
    async fn close(&mut self) -> Result<(), Self::Error> {
        if !self.closed {
            self.tls.wake(self.capacity);
            self.tls.close();
            self.flush().await?;
            self.transport.close().await.map_err(StreamError::Transport)?;
            self.closed = true;
        }
        Ok(())
    }
    fn peer(&self) -> Option<SocketAddr> {
        self.transport.peer()
    }
    fn local(&self) -> Option<SocketAddr> {
        self.transport.local()
    }
    fn set_nodelay(&mut self, nodelay: bool) {
        self.transport.set_nodelay(nodelay);
    }
    fn set_keep_alive(&mut self, idle: Option<Duration>) {
        self.transport.set_keep_alive(idle);
    }
}

/// Bounds for the connections of an `Acceptor`.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the connection's opening to the end of the handshake.
    pub handshake: Duration,
    /// Bytes of each connection's incoming buffer: see [`Connection::server`].
    pub incoming: usize,
    /// Bytes of each connection's outgoing buffer: the certificate chain and one KiB, or more.
    pub outgoing: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { handshake: Duration::from_secs(10), incoming: crate::BUFFER, outgoing: 16_384 + 512 }
    }
}

/// A TLS listener over any listener: what was served over TCP is served over TLS, unchanged.
///
/// `accept` returns at once; each connection makes its handshake when it is first read or written, so that a
/// slow peer keeps nobody waiting.
#[cfg(feature = "alloc")]
pub struct Acceptor<'c, L, P, T, E> {
    /// Where connections come from.
    pub listener: L,
    /// Certificates and protocols.
    pub config: &'c ServerConfig<'c, P>,
    /// The clock for the handshake's limit.
    pub timer: &'c T,
    /// The source of keys.
    pub entropy: &'c E,
    /// Time and memory of each connection.
    pub limits: Limits,
}

#[cfg(feature = "alloc")]
impl<'c, L: Listener, P: Provider, T: Timer, E: Entropy> Listener for Acceptor<'c, L, P, T, E> {
    type Error = StreamError<L::Error>;
    type Stream<'a>
        = TlsStream<'c, L::Stream<'a>, Server<'c, P>, P, Vec<u8>, T>
    where
        Self: 'a;

    async fn accept(&self) -> Result<Self::Stream<'_>, Self::Error> {
        let transport = self.listener.accept().await.map_err(StreamError::Transport)?;
        let (incoming, outgoing) = (vec![0; self.limits.incoming], vec![0; self.limits.outgoing]);
        let tls = Connection::server(self.config, self.entropy, incoming, outgoing);
        Ok(TlsStream::new(transport, tls, self.timer, self.limits.handshake))
    }
    fn local(&self) -> Option<SocketAddr> {
        self.listener.local()
    }
}

/// An `Acceptor` without an allocator: each connection has two arrays of `N` bytes for its buffers.
///
/// `N` must hold the certificate chain and two KiB more; the records of a client that does not know RFC 8449 must fit too,
/// or the connection ends with record_overflow.
pub struct FixedAcceptor<'c, L, P, T, E, const N: usize> {
    /// Where connections come from.
    pub listener: L,
    /// Certificates and protocols.
    pub config: &'c ServerConfig<'c, P>,
    /// The clock for the handshake's limit.
    pub timer: &'c T,
    /// The source of keys.
    pub entropy: &'c E,
    /// From a connection's opening to the end of its handshake.
    pub limit: Duration,
}

impl<'c, L: Listener, P: Provider, T: Timer, E: Entropy, const N: usize> Listener
    for FixedAcceptor<'c, L, P, T, E, N>
{
    type Error = StreamError<L::Error>;
    type Stream<'a>
        = TlsStream<'c, L::Stream<'a>, Server<'c, P>, P, [u8; N], T>
    where
        Self: 'a;

    async fn accept(&self) -> Result<Self::Stream<'_>, Self::Error> {
        let transport = self.listener.accept().await.map_err(StreamError::Transport)?;
        let tls = Connection::server(self.config, self.entropy, [0; N], [0; N]);
        Ok(TlsStream::new(transport, tls, self.timer, self.limit))
    }
    fn local(&self) -> Option<SocketAddr> {
        self.listener.local()
    }
}
