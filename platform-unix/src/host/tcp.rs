//! TCP over the host's sockets.
use super::{address, queue::Shared};
use crate::{
    reactor::{Reactor, SCRATCH},
    source::{Direction, Source},
};
use airglow_device::{Endpoint, ErrorType, Listener, Read, Stream, Tcp, Write};
use rustix::{
    io::Errno,
    net::{self, AddressFamily, RecvFlags, Shutdown, SocketType, sockopt},
};
use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    os::fd::{BorrowedFd, OwnedFd},
    rc::Rc,
    time::Duration,
};

/// Connections that may wait to be accepted; the kernel's own limit (`somaxconn`) may be lower.
const BACKLOG: i32 = 4096;

/// TCP over the host's sockets.
///
/// ```no_run
/// # async fn example() -> std::io::Result<()> {
/// use airglow_device::{Listener as _, Read as _, Tcp as _};
/// use airglow_platform_unix::{HostTcp, Reactor};
///
/// let tcp = HostTcp::new(&Reactor::new()?);
/// let listener = tcp.listen(8080).await?;
/// let mut stream = listener.accept().await?;
/// let count = stream.read(&mut [0; 512]).await?;
/// # let _ = count; Ok(()) }
/// ```
#[derive(Clone)]
pub struct HostTcp {
    reactor: Reactor,
    reuse_port: bool,
}

impl HostTcp {
    /// TCP whose sockets `reactor` watches.
    pub fn new(reactor: &Reactor) -> Self {
        Self { reactor: reactor.clone(), reuse_port: false }
    }

    /// Ports opened from here on may be opened again by other processes of the same user with the same setting
    /// (`SO_REUSEPORT`), and the kernel shares the connections out among them: one process per core.
    pub fn with_reuse_port(self, reuse_port: bool) -> Self {
        Self { reuse_port, ..self }
    }
}

impl Tcp for HostTcp {
    type Error = io::Error;
    type Stream<'a> = HostStream;
    type Listener<'a> = HostListener;

    async fn listen(&self, on: impl Into<Endpoint>) -> io::Result<HostListener> {
        let fd = address::bind(on.into(), SocketType::STREAM, self.reuse_port)?;
        net::listen(&fd, BACKLOG)?;
        let local = address::canonical(address::local(&fd)?);
        Ok(HostListener { shared: Shared::new(self.reactor.clone(), Source::new(fd)), local })
    }

    async fn connect(&self, to: SocketAddr) -> io::Result<HostStream> {
        let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let fd = address::open(family, SocketType::STREAM)?;
        let result = net::connect(&fd, &to);
        let stream = HostStream::new(self.reactor.clone(), fd, to);
        match result {
            Ok(()) => return Ok(stream),
            Err(Errno::INPROGRESS | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        stream.source.would_block(&self.reactor, Direction::Write)?;
        let connected = stream.source.clone();
        poll_fn(|cx| {
            connected.poll_io(&self.reactor, cx, Direction::Write, |fd| {
                sockopt::socket_error(fd)??;
                // An edge may come before the end of the handshake (HUP of a socket that is not connected yet).
                match net::getpeername(fd) {
                    Err(Errno::NOTCONN) => Err(Errno::AGAIN),
                    other => other.map(drop),
                }
            })
        })
        .await?;
        Ok(stream)
    }
}

/// An open port of the host.
///
/// When the process has no descriptor left, [`accept`](Listener::accept) fails with the system's error
/// ("too many open files") and leaves the connection in the backlog; wait a little before the next call.
pub struct HostListener {
    shared: Shared,
    local: SocketAddr,
}

impl Listener for HostListener {
    type Error = io::Error;
    type Stream<'a> = HostStream;

    async fn accept(&self) -> io::Result<HostStream> {
        loop {
            match self.shared.read(accept).await {
                Ok((fd, peer)) => return Ok(HostStream::new(self.shared.reactor().clone(), fd, peer)),
                // The peer left between its handshake and this call.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn local(&self) -> Option<SocketAddr> {
        Some(self.local)
    }
}

fn accept(fd: BorrowedFd<'_>) -> Result<(OwnedFd, SocketAddr), Errno> {
    #[cfg(target_os = "linux")]
    let (stream, peer) = net::acceptfrom_with(fd, net::SocketFlags::NONBLOCK | net::SocketFlags::CLOEXEC)?;
    #[cfg(not(target_os = "linux"))]
    let (stream, peer) = {
        let (stream, peer) = net::acceptfrom(fd)?;
        address::prepare(&stream)?;
        (stream, peer)
    };
    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok()).ok_or(Errno::CONNABORTED)?;
    Ok((stream, address::canonical(peer)))
}

/// A TCP connection of the host.
///
/// What is written is held until the tasks of this turn have run (or 16 KiB have gathered, or
/// [`flush`](Write::flush)), so that a head and a body leave together.
pub struct HostStream {
    reactor: Reactor,
    source: Rc<Source>,
    peer: SocketAddr,
    // Bytes that `read_with` lent and nobody has used up yet. No capacity while empty.
    unread: Vec<u8>,
    // The last `read_with` used nothing of `unread`.
    stalled: bool,
    ended: bool,
    closed: bool,
}

impl HostStream {
    fn new(reactor: Reactor, fd: OwnedFd, peer: SocketAddr) -> Self {
        let source = Source::new(fd);
        Self { reactor, source, peer, unread: Vec::new(), stalled: false, ended: false, closed: false }
    }

    /// Receives once into `buf`, as soon as there is something.
    async fn receive(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Self { reactor, source, .. } = self;
        let count = poll_fn(|cx| {
            source.poll_io(reactor, cx, Direction::Read, |fd| {
                net::recv(fd, &mut *buf, RecvFlags::empty()).map(|(count, _)| count)
            })
        })
        .await?;
        self.received(count, buf.len());
        Ok(count)
    }

    fn received(&mut self, count: usize, room: usize) {
        if count == 0 {
            self.ended = true;
        } else if count < room {
            self.source.came_short(Direction::Read);
        }
    }
}

impl Drop for HostStream {
    fn drop(&mut self) {
        if !self.closed {
            self.source.discard_output(&self.reactor);
            // Closing with a linger time of zero resets the connection. Failure means that it is gone already.
            let _ = sockopt::set_socket_linger(self.source.fd(), Some(Duration::ZERO));
        } else if !self.ended {
            return self.reactor.linger(self.source.clone());
        }
        self.reactor.remove(&self.source);
    }
}

impl ErrorType for HostStream {
    type Error = io::Error;
}

impl Read for HostStream {
    async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if !self.unread.is_empty() {
            let count = buf.len().min(self.unread.len());
            buf[..count].copy_from_slice(&self.unread[..count]);
            self.use_up(count);
            return Ok(count);
        }
        if self.ended || buf.is_empty() {
            return Ok(0);
        }
        self.receive(buf).await
    }
}

impl HostStream {
    /// Takes `count` bytes off the front of `unread`, and its memory with the last of them.
    fn use_up(&mut self, count: usize) {
        self.stalled = count == 0;
        if count >= self.unread.len() {
            self.unread = Vec::new();
        } else {
            self.unread.drain(..count);
        }
    }

    /// Adds to `unread` what comes next; nothing when it is full or the stream has ended.
    async fn receive_more(&mut self) -> io::Result<()> {
        let (start, room) = (self.unread.len(), SCRATCH - self.unread.len());
        if room == 0 || self.ended {
            return Ok(());
        }
        let Self { reactor, source, unread, .. } = self;
        let count = poll_fn(|cx| {
            source.poll_io(reactor, cx, Direction::Read, |fd| {
                reactor.with_scratch(|scratch| {
                    let (count, _) = net::recv(fd, &mut scratch[..room], RecvFlags::empty())?;
                    unread.extend_from_slice(&scratch[..count]);
                    Ok(count)
                })
            })
        })
        .await?;
        debug_assert_eq!(self.unread.len(), start + count);
        self.received(count, room);
        Ok(())
    }
}

impl Stream for HostStream {
    async fn read_with<R>(&mut self, mut f: impl FnMut(&mut [u8]) -> (usize, R)) -> io::Result<R> {
        if !self.unread.is_empty() {
            if self.stalled {
                self.receive_more().await?;
            }
            let (used, result) = f(&mut self.unread);
            self.use_up(used);
            return Ok(result);
        }
        if self.ended {
            return Ok(f(&mut []).1);
        }
        // Nothing is left over: lend the shared buffer, and keep a copy only of what is not used up.
        let Self { reactor, source, unread, stalled, .. } = self;
        let (count, result) = poll_fn(|cx| {
            source.poll_io(reactor, cx, Direction::Read, |fd| {
                reactor.with_scratch(|scratch| {
                    let (count, _) = net::recv(fd, &mut *scratch, RecvFlags::empty())?;
                    let (used, result) = f(&mut scratch[..count]);
                    unread.extend_from_slice(scratch[..count].get(used..).unwrap_or_default());
                    *stalled = used == 0;
                    Ok((count, result))
                })
            })
        })
        .await?;
        self.received(count, SCRATCH);
        Ok(result)
    }

    async fn write_static(&mut self, bytes: &'static [u8]) -> io::Result<usize> {
        self.check_open()?;
        poll_fn(|cx| self.source.poll_write_static(&self.reactor, cx, bytes)).await
    }

    async fn close(&mut self) -> io::Result<()> {
        if !self.closed {
            self.flush().await?;
            self.closed = true;
            match net::shutdown(self.source.fd(), Shutdown::Write) {
                // The peer has reset the connection: nothing is left to end.
                Err(Errno::NOTCONN) => {}
                result => result?,
            }
        }
        Ok(())
    }

    fn peer(&self) -> Option<SocketAddr> {
        Some(self.peer)
    }

    fn local(&self) -> Option<SocketAddr> {
        address::local(self.source.fd()).ok().map(address::canonical)
    }

    fn set_nodelay(&mut self, nodelay: bool) {
        // Fails only on a connection that is gone.
        let _ = sockopt::set_tcp_nodelay(self.source.fd(), nodelay);
    }

    fn set_keep_alive(&mut self, idle: Option<Duration>) {
        let fd = self.source.fd();
        // Each fails only on a connection that is gone; the kernel counts whole seconds, at least one.
        if let Some(idle) = idle {
            let _ = sockopt::set_tcp_keepidle(fd, idle.max(Duration::from_secs(1)));
        }
        let _ = sockopt::set_socket_keepalive(fd, idle.is_some());
    }
}

impl HostStream {
    fn check_open(&self) -> io::Result<()> {
        if self.closed { Err(Errno::PIPE.into()) } else { Ok(()) }
    }
}

impl Write for HostStream {
    async fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.check_open()?;
        poll_fn(|cx| self.source.poll_write(&self.reactor, cx, buf)).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.source.poll_flush(&self.reactor, cx)).await
    }
}
