//! What a network stack offers to an application; airglow's own stack and the host's sockets alike.
use core::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use embedded_io_async::{Error, ErrorType, Read, Write};

/// Where a service listens: a port, on one of the stack's addresses or on all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The local address; `None` for every address of the stack, of both IP versions.
    pub addr: Option<IpAddr>,
    /// The local port; 0 lets the stack choose.
    pub port: u16,
}

impl From<u16> for Endpoint {
    fn from(port: u16) -> Self {
        Self { addr: None, port }
    }
}
impl From<SocketAddr> for Endpoint {
    fn from(addr: SocketAddr) -> Self {
        let ip = Some(addr.ip()).filter(|ip| !ip.is_unspecified());
        Self { addr: ip, port: addr.port() }
    }
}

/// Reliable byte streams: RFC 9293's user interface.
pub trait Tcp {
    /// Why a call failed.
    type Error: Error;
    /// A connection this side opened.
    type Stream<'a>: Stream<Error = Self::Error>
    where
        Self: 'a;
    /// An open port.
    type Listener<'a>: Listener<Error = Self::Error>
    where
        Self: 'a;

    /// Opens a port for connections (passive OPEN). `AddrInUse` when it is taken.
    async fn listen(&self, on: impl Into<Endpoint>) -> Result<Self::Listener<'_>, Self::Error>;
    /// Opens a connection (active OPEN); returns when it is established. Dropping the future gives up.
    async fn connect(&self, to: SocketAddr) -> Result<Self::Stream<'_>, Self::Error>;
}

/// A source of connections: a TCP port, a TLS acceptor over one, a vchan server.
pub trait Listener {
    /// Why a call failed.
    type Error: Error;
    /// A connection that a peer opened.
    type Stream<'a>: Stream<Error = Self::Error>
    where
        Self: 'a;

    /// The next established connection from the backlog. Several tasks may wait at once; each
    /// connection goes to one of them. Cancel-safe: a dropped future loses no connection.
    ///
    /// An error concerns the listener or a shortage, not one peer; after it a caller may call again.
    async fn accept(&self) -> Result<Self::Stream<'_>, Self::Error>;
    /// Where it listens, with the port that the stack chose; `None` when the transport has no such address.
    fn local(&self) -> Option<SocketAddr> {
        None
    }
}

/// A reliable byte stream in both directions: TCP, TLS, vchan.
///
/// # Contract
/// - [`Read::read`] returns `Ok(0)` for a non-empty buffer when the peer has closed its direction, and keeps
///   returning it. [`Write::write`] takes at least one byte or waits.
/// - `read` and `write` are cancel-safe: a dropped future has transferred nothing.
/// - [`Write::flush`] returns when everything written is with the stack; it does not wait for the peer.
/// - A stream that is dropped after `close` goes on delivering what was written, in the background and within
///   the stack's time limits. One that is dropped **without `close` is aborted** (a TCP reset),
///   so that a peer never takes half an answer for a whole one.
pub trait Stream: Read + Write + ErrorType {
    /// Lends the bytes received so far, in place, at least one or none at the end of the stream; `f`
    /// says how many it has used up, and the rest stays. Waits as `read` does. If `f` uses none, the
    /// next call waits until there are more bytes, the buffer is full, or the stream ends.
    async fn read_with<R>(&mut self, f: impl FnMut(&mut [u8]) -> (usize, R)) -> Result<R, Self::Error>;

    /// Like [`Write::write`] for bytes that never change: a stack may queue and retransmit them from
    /// where they lie instead of copying. The default copies.
    async fn write_static(&mut self, bytes: &'static [u8]) -> Result<usize, Self::Error> {
        self.write(bytes).await
    }

    /// Ends this side's direction after what was written (TCP's FIN, TLS's close_notify); reading goes on.
    /// Returns when the end is with the stack. Closing twice does nothing.
    async fn close(&mut self) -> Result<(), Self::Error>;

    /// Who is at the other end; `None` when the transport has no such address.
    fn peer(&self) -> Option<SocketAddr> {
        None
    }
    /// This side's address.
    fn local(&self) -> Option<SocketAddr> {
        None
    }
    /// `true`: send small writes at once; `false`: gather them (Nagle, RFC 9293 section 3.7.4). A transport without the
    /// choice does nothing. Streams start with `false`.
    fn set_nodelay(&mut self, nodelay: bool) {
        let _ = nodelay;
    }
    /// Probe a silent peer after this long and fail the stream when it does not answer
    /// (RFC 9293 section 3.8.4). `None`, the start, never probes.
    fn set_keep_alive(&mut self, idle: Option<Duration>) {
        let _ = idle;
    }
}

/// Datagrams: RFC 768.
pub trait Udp {
    /// Why a call failed.
    type Error: Error;
    /// A bound port.
    type Socket<'a>: UdpSocket<Error = Self::Error>
    where
        Self: 'a;

    /// Opens a port.
    async fn bind(&self, on: impl Into<Endpoint>) -> Result<Self::Socket<'_>, Self::Error>;

    /// Serves a port in place and in batches: for every datagram `answer` gets the peer, the question where
    /// it lies in the receive ring, and room for a reply in the transmit ring (as long as the path allows,
    /// at least 1,232 bytes). It returns the reply's length, or `None` to say nothing.
    /// Runs until it fails or is dropped.
    async fn respond(
        &self,
        on: impl Into<Endpoint>,
        answer: impl FnMut(SocketAddr, &[u8], &mut [u8]) -> Option<usize>,
    ) -> Result<Infallible, Self::Error>;
}

/// A bound UDP port. Datagrams that arrive while its bounded queue is full are dropped and counted.
pub trait UdpSocket {
    /// Why a call failed.
    type Error: Error;

    /// The next datagram: its length and sender. What does not fit `buf` is cut off. Cancel-safe.
    async fn recv_from(&self, buf: &mut [u8]) -> Result<(usize, SocketAddr), Self::Error>;
    /// Sends one datagram, waiting for room.
    async fn send_to(&self, datagram: &[u8], to: SocketAddr) -> Result<(), Self::Error>;
    /// Where it is bound.
    fn local(&self) -> SocketAddr;
}

impl<T: Listener + ?Sized> Listener for &T {
    type Error = T::Error;
    type Stream<'a>
        = T::Stream<'a>
    where
        Self: 'a;
    async fn accept(&self) -> Result<Self::Stream<'_>, Self::Error> {
        (**self).accept().await
    }
    fn local(&self) -> Option<SocketAddr> {
        (**self).local()
    }
}

impl<T: Stream + ?Sized> Stream for &mut T {
    async fn read_with<R>(&mut self, f: impl FnMut(&mut [u8]) -> (usize, R)) -> Result<R, Self::Error> {
        (**self).read_with(f).await
    }
    async fn write_static(&mut self, bytes: &'static [u8]) -> Result<usize, Self::Error> {
        (**self).write_static(bytes).await
    }
    async fn close(&mut self) -> Result<(), Self::Error> {
        (**self).close().await
    }
    fn peer(&self) -> Option<SocketAddr> {
        (**self).peer()
    }
    fn local(&self) -> Option<SocketAddr> {
        (**self).local()
    }
    fn set_nodelay(&mut self, nodelay: bool) {
        (**self).set_nodelay(nodelay);
    }
    fn set_keep_alive(&mut self, idle: Option<Duration>) {
        (**self).set_keep_alive(idle);
    }
}
