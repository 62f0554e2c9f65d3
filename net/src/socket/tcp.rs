//! The async shell of TCP: `airglow_device`'s `Tcp`, `Listener` and `Stream` over a [`Stack`].
use crate::{
    Error, Stack,
    stack::set_waker,
    tcp::{self, Handle, ListenerHandle, State, Storage},
};
use airglow_device::{Endpoint, ErrorType, NetDevice, Read, Timer, Write};
use core::{
    future::poll_fn,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    task::{Context, Poll, Waker},
    time::Duration,
};

/// The wakers of one connection.
#[derive(Debug, Default)]
pub struct StreamWakers {
    read: Option<Waker>,
    write: Option<Waker>,
}

impl StreamWakers {
    /// Wakes whoever waits for the connection; whether one of them waited to read.
    pub fn wake(&mut self) -> bool {
        let reads = self.read.is_some();
        for waker in [self.read.take(), self.write.take()].into_iter().flatten() {
            waker.wake();
        }
        reads
    }
}

/// More tasks than this at one listener take turns in waking each other.
#[cfg(feature = "alloc")]
const MOST_WAKERS: usize = 4096;
#[cfg(feature = "alloc")]
type Wakers = alloc::vec::Vec<Waker>;
/// Without an allocator, eight tasks wait at one listener at ease; more take turns in waking each other.
#[cfg(not(feature = "alloc"))]
type Wakers = heapless::Vec<Waker, 8>;

/// The wakers of one listener: of every task that waits to accept.
#[derive(Debug, Default)]
pub struct ListenerWakers(Wakers);

impl ListenerWakers {
    /// Wakes whoever waits for a connection.
    pub fn wake(&mut self) {
        self.0.drain(..).for_each(Waker::wake);
    }

    fn register(&mut self, cx: &Context<'_>) {
        if self.0.iter().any(|waker| waker.will_wake(cx.waker())) {
            return;
        }
        let waker = cx.waker().clone();
        #[cfg(feature = "alloc")]
        {
            // Of tasks that gave up waiting a waker may be left.
            if self.0.len() >= MOST_WAKERS {
                self.0.remove(0).wake();
            }
            self.0.push(waker);
        }
        #[cfg(not(feature = "alloc"))]
        if let Err(waker) = self.0.push(waker) {
            self.0.remove(0).wake();
            let _ = self.0.push(waker);
        }
    }
}

/// What the shell needs of a stack.
type Shared<'a, 'm, D, T, S, const N: usize> = &'a Stack<'m, D, T, S, N>;

impl<'m, D, T, S, const N: usize> airglow_device::Tcp for Stack<'m, D, T, S, N>
where
    D: NetDevice,
    T: Timer,
    S: Storage<Connection = StreamWakers, Listener = ListenerWakers>,
{
    type Error = Error;
    type Stream<'a>
        = Stream<'a, 'm, D, T, S, N>
    where
        Self: 'a;
    type Listener<'a>
        = Listener<'a, 'm, D, T, S, N>
    where
        Self: 'a;

    async fn listen(&self, on: impl Into<Endpoint>) -> Result<Listener<'_, 'm, D, T, S, N>, Error> {
        let on = on.into();
        let handle = self.with_tcp(|tcp, _, _| tcp.listen(on, tcp.config().backlog))?;
        Ok(Listener { stack: self, handle })
    }

    async fn connect(&self, to: SocketAddr) -> Result<Stream<'_, 'm, D, T, S, N>, Error> {
        let handle = self.with_tcp(|tcp, now, out| tcp.connect(now, to, out))?;
        // Dropping the future drops the stream, which gives up.
        let stream = Stream { stack: self, handle, declined: 0 };
        poll_fn(|cx| {
            stream.stack.with_tcp(|tcp, _, _| match tcp.state(handle) {
                Ok(State::SynSent | State::SynReceived) => {
                    register(tcp, handle, cx, Side::Read);
                    Poll::Pending
                }
                Ok(_) => Poll::Ready(Ok(())),
                Err(error) => Poll::Ready(Err(error)),
            })
        })
        .await?;
        Ok(stream)
    }
}

enum Side {
    Read,
    Write,
}

fn register<S>(tcp: &mut tcp::Tcp<S>, handle: Handle, cx: &Context<'_>, side: Side)
where
    S: Storage<Connection = StreamWakers>,
{
    if let Some(wakers) = tcp.user(handle) {
        match side {
            Side::Read => set_waker(&mut wakers.read, cx),
            Side::Write => set_waker(&mut wakers.write, cx),
        }
    }
}

/// An open port of a [`Stack`]. Dropping it closes the port and resets what nobody accepted.
pub struct Listener<'a, 'm, D, T, S, const N: usize>
where
    D: NetDevice,
    T: Timer,
    S: Storage<Connection = StreamWakers, Listener = ListenerWakers>,
{
    stack: Shared<'a, 'm, D, T, S, N>,
    handle: ListenerHandle,
}

impl<'a, 'm, D, T, S, const N: usize> airglow_device::Listener for Listener<'a, 'm, D, T, S, N>
where
    D: NetDevice,
    T: Timer,
    S: Storage<Connection = StreamWakers, Listener = ListenerWakers>,
{
    type Error = Error;
    type Stream<'b>
        = Stream<'a, 'm, D, T, S, N>
    where
        Self: 'b;

    async fn accept(&self) -> Result<Stream<'a, 'm, D, T, S, N>, Error> {
        poll_fn(|cx| {
            self.stack.with_tcp(|tcp, _, _| {
                if let Some(handle) = tcp.accept(self.handle) {
                    return Poll::Ready(Ok(Stream { stack: self.stack, handle, declined: 0 }));
                }
                match tcp.listener_user(self.handle) {
                    Some(wakers) => wakers.register(cx),
                    None => return Poll::Ready(Err(Error::NotConnected)),
                }
                Poll::Pending
            })
        })
        .await
    }

    fn local(&self) -> Option<SocketAddr> {
        let on = self.stack.with_tcp(|tcp, _, _| tcp.listening(self.handle))?;
        Some(SocketAddr::new(on.addr.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)), on.port))
    }
}

impl<'a, 'm, D, T, S, const N: usize> Drop for Listener<'a, 'm, D, T, S, N>
where
    D: NetDevice,
    T: Timer,
    S: Storage<Connection = StreamWakers, Listener = ListenerWakers>,
{
    fn drop(&mut self) {
        self.stack.with_tcp(|tcp, now, _| tcp.unlisten(now, self.handle));
    }
}

/// A connection of a [`Stack`].
pub struct Stream<'a, 'm, D, T, S, const N: usize>
where
    D: NetDevice,
    T: Timer,
    S: Storage<Connection = StreamWakers, Listener = ListenerWakers>,
{
    stack: Shared<'a, 'm, D, T, S, N>,
    handle: Handle,
    /// How many bytes `read_with`'s user saw last time and used none of.
    declined: usize,
}

impl<'a, 'm, D, T, S, const N: usize> Stream<'a, 'm, D, T, S, N>
where
    D: NetDevice,
    T: Timer,
    S: Storage<Connection = StreamWakers, Listener = ListenerWakers>,
{
    /// RFC 9293's name for where the connection is, or why it failed.
    pub fn state(&self) -> Result<State, Error> {
        self.stack.with_tcp(|tcp, _, _| tcp.state(self.handle))
    }

    /// The connection's statistics at this moment; `None` when it is over.
    pub fn info(&self) -> Option<tcp::Info> {
        self.stack.with_tcp(|tcp, _, _| tcp.info(self.handle))
    }

    /// Traces the connection or no longer does; [`Stack::next_sample`] has what is seen.
    #[cfg(feature = "trace")]
    pub fn set_trace(&self, on: bool) {
        self.stack.with_tcp(|tcp, _, _| tcp.trace(self.handle, on));
    }

    /// How long data that the peer does not acknowledge is sent again before the connection fails; `None`, the start: as
    /// [`tcp::Config::user_timeout`] says.
    pub fn set_user_timeout(&mut self, timeout: Option<Duration>) {
        self.stack.with_tcp(|tcp, _, _| tcp.set_user_timeout(self.handle, timeout));
    }

    /// The Differentiated Services code point (RFC 2474) of what is sent from now on; 0 at first.
    pub fn set_dscp(&mut self, code_point: u8) {
        self.stack.with_tcp(|tcp, _, _| tcp.set_dscp(self.handle, code_point));
    }

    async fn push(
        &self,
        mut write: impl FnMut(&mut tcp::Tcp<S>, airglow_device::Instant) -> Result<usize, Error>,
    ) -> Result<usize, Error> {
        poll_fn(|cx| {
            self.stack.with_tcp(|tcp, now, _| match write(tcp, now) {
                Ok(0) => {
                    register(tcp, self.handle, cx, Side::Write);
                    Poll::Pending
                }
                done => Poll::Ready(done),
            })
        })
        .await
    }
}

impl<D, T, S, const N: usize> ErrorType for Stream<'_, '_, D, T, S, N>
where
    D: NetDevice,
    T: Timer,
    S: Storage<Connection = StreamWakers, Listener = ListenerWakers>,
{
    type Error = Error;
}

impl<D, T, S, const N: usize> Read for Stream<'_, '_, D, T, S, N>
where
    D: NetDevice,
    T: Timer,
    S: Storage<Connection = StreamWakers, Listener = ListenerWakers>,
{
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.declined = 0;
        airglow_device::Stream::read_with(self, |bytes| {
            let n = bytes.len().min(buf.len());
            buf[..n].copy_from_slice(&bytes[..n]);
            (n, n)
        })
        .await
    }
}

impl<D, T, S, const N: usize> Write for Stream<'_, '_, D, T, S, N>
where
    D: NetDevice,
    T: Timer,
    S: Storage<Connection = StreamWakers, Listener = ListenerWakers>,
{
    async fn write(&mut self, buf: &[u8]) -> Result<usize, Error> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.push(|tcp, now| tcp.write(now, self.handle, buf)).await
    }

    async fn flush(&mut self) -> Result<(), Error> {
        self.state().map(|_| ())
    }
}

impl<D, T, S, const N: usize> airglow_device::Stream for Stream<'_, '_, D, T, S, N>
where
    D: NetDevice,
    T: Timer,
    S: Storage<Connection = StreamWakers, Listener = ListenerWakers>,
{
    async fn read_with<R>(&mut self, mut f: impl FnMut(&mut [u8]) -> (usize, R)) -> Result<R, Error> {
        let (handle, declined) = (self.handle, self.declined);
        let mut seen = (0, 0);
        let result = poll_fn(|cx| {
            self.stack.with_tcp(|tcp, now, _| {
                let lent = tcp.read_with(now, handle, declined, |bytes| {
                    let len = bytes.len();
                    let (used, result) = f(bytes);
                    seen = (len, used);
                    (used, result)
                });
                match lent {
                    Ok(Some(result)) => Poll::Ready(Ok(result)),
                    Ok(None) => {
                        register(tcp, handle, cx, Side::Read);
                        Poll::Pending
                    }
                    Err(error) => Poll::Ready(Err(error)),
                }
            })
        })
        .await;
        self.declined = if seen.1 == 0 { seen.0 } else { 0 };
        result
    }

    async fn write_static(&mut self, bytes: &'static [u8]) -> Result<usize, Error> {
        if bytes.is_empty() {
            return Ok(0);
        }
        self.push(|tcp, now| tcp.write_static(now, self.handle, bytes)).await
    }

    async fn close(&mut self) -> Result<(), Error> {
        self.stack.with_tcp(|tcp, now, _| tcp.close(now, self.handle))
    }

    fn peer(&self) -> Option<SocketAddr> {
        self.stack.with_tcp(|tcp, _, _| tcp.addresses(self.handle)).map(|(_, peer)| peer)
    }
    fn local(&self) -> Option<SocketAddr> {
        self.stack.with_tcp(|tcp, _, _| tcp.addresses(self.handle)).map(|(local, _)| local)
    }
    fn set_nodelay(&mut self, nodelay: bool) {
        self.stack.with_tcp(|tcp, now, _| tcp.set_nodelay(now, self.handle, nodelay));
    }
    fn set_keep_alive(&mut self, idle: Option<Duration>) {
        self.stack.with_tcp(|tcp, now, _| tcp.set_keep_alive(now, self.handle, idle));
    }
}

impl<D, T, S, const N: usize> Drop for Stream<'_, '_, D, T, S, N>
where
    D: NetDevice,
    T: Timer,
    S: Storage<Connection = StreamWakers, Listener = ListenerWakers>,
{
    fn drop(&mut self) {
        self.stack.with_tcp(|tcp, now, _| tcp.release(now, self.handle));
    }
}
