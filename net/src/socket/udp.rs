//! The async shell of UDP: `airglow_device`'s `Udp` and `UdpSocket` over a stack.
use crate::{
    error::Error,
    ip::Core,
    link::Link,
    multicast::Owner,
    socket::tcp::{ListenerWakers, StreamWakers},
    stack::{Stack, set_waker},
    tcp::Storage,
    udp::{Kind, UdpSendError},
};
use airglow_device::{Endpoint, Instant, NetDevice, Timer, Udp};
use core::{
    convert::Infallible,
    future::poll_fn,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    task::Poll,
};

/// A bound UDP port of a [`Stack`]. Dropping it closes the port. One task at a time may wait in `recv_from`, any number in
/// `send_to`.
pub struct UdpSocket<'a, 'm, D: NetDevice, T: Timer, S, const N: usize = 1>
where
    S: Storage<Connection = StreamWakers, Listener = ListenerWakers>,
{
    stack: &'a Stack<'m, D, T, S, N>,
    socket: usize,
    local: SocketAddr,
}

impl<'m, D, T, S, const N: usize> Stack<'m, D, T, S, N>
where
    D: NetDevice,
    T: Timer,
    S: Storage<Connection = StreamWakers, Listener = ListenerWakers>,
{
    fn bind_udp(&self, on: Endpoint) -> Result<UdpSocket<'_, 'm, D, T, S, N>, Error> {
        self.open_socket(Kind::Udp, on)
    }

    pub(crate) fn open_socket(
        &self,
        kind: Kind,
        on: Endpoint,
    ) -> Result<UdpSocket<'_, 'm, D, T, S, N>, Error> {
        let mut inner = self.inner.borrow_mut();
        let socket = inner.core.socket_open(kind, on)?;
        let port = inner.core.sockets.get(socket).map_or(on.port, |s| s.port);
        let local = SocketAddr::new(on.addr.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)), port);
        Ok(UdpSocket { stack: self, socket, local })
    }
}

impl<'m, D, T, S, const N: usize> Udp for Stack<'m, D, T, S, N>
where
    D: NetDevice,
    T: Timer,
    S: Storage<Connection = StreamWakers, Listener = ListenerWakers>,
{
    type Error = Error;
    type Socket<'a>
        = UdpSocket<'a, 'm, D, T, S, N>
    where
        Self: 'a;

    async fn bind(&self, on: impl Into<Endpoint>) -> Result<Self::Socket<'_>, Error> {
        self.bind_udp(on.into())
    }

    /// While it lives, the first of a stack's responders drives the stack in the place of [`Stack::run`], so that `answer` writes into the
    /// transmit ring while the question is still in the receive ring; questions to further responders pass through their
    /// queues. `answer` must not call the stack: it is borrowed meanwhile.
    async fn respond(
        &self,
        on: impl Into<Endpoint>,
        mut answer: impl FnMut(SocketAddr, &[u8], &mut [u8]) -> Option<usize>,
    ) -> Result<Infallible, Error> {
        let socket = self.bind_udp(on.into())?;
        let end = poll_fn(|cx| {
            self.poll_respond(cx, socket.socket, &mut answer);
            Poll::Pending
        });
        Ok(end.await)
    }
}

impl<D, T, S, const N: usize> UdpSocket<'_, '_, D, T, S, N>
where
    D: NetDevice,
    T: Timer,
    S: Storage<Connection = StreamWakers, Listener = ListenerWakers>,
{
    /// Talks to `peer` alone from now on: datagrams from others are refused, and ICMP errors about datagrams to it (port
    /// unreachable: [`Error::ConnectionRefused`]; host or network: [`Error::Unreachable`]; a narrower path, which later
    /// datagrams are cut to: [`Error::MessageTooLong`]) are returned by the next `recv_from`. `None`: all peers again.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for port 0, a group, or the unspecified address.
    pub fn connect(&self, peer: Option<SocketAddr>) -> Result<(), Error> {
        self.stack.inner.borrow_mut().core.udp_connect(self.socket, peer)
    }

    /// Begins to listen to a group on an interface, and tells routers and switches so (IGMP, MLD); ends with [`leave`](Self::leave) or
    /// when the socket is dropped. Datagrams to a group that anyone here has joined reach the socket of their port.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when it is no group, [`Error::AddrInUse`] when this socket listens to it already, [`Error::NoInterface`],
    /// [`Error::TableFull`].
    pub fn join(&self, interface: usize, group: IpAddr) -> Result<(), Error> {
        let owner = Owner::Socket(self.socket);
        let result = self.stack.with_core(|core, now, _| core.join(now, interface, group, owner));
        self.stack.poke();
        result
    }

    /// Ends listening to a group.
    ///
    /// # Errors
    /// [`Error::AddrNotAvailable`] when this socket does not listen to it.
    pub fn leave(&self, interface: usize, group: IpAddr) -> Result<(), Error> {
        let owner = Owner::Socket(self.socket);
        let result = self.stack.with_core(|core, now, _| core.leave(now, interface, group, owner));
        self.stack.poke();
        result
    }

    /// How many hops datagrams to groups may go; 1 at the start, which keeps them on the link.
    pub fn set_group_hops(&self, hops: u8) {
        if let Some(slot) = self.stack.inner.borrow_mut().core.sockets.get_mut(self.socket) {
            slot.group_hops = hops;
        }
    }

    /// The last ICMP error about a datagram of this socket and to whom that went, once. For sockets that are not connected,
    /// whose `recv_from` returns no such errors, since one peer could then disturb the others'.
    pub fn take_error(&self) -> Option<(SocketAddr, Error)> {
        self.stack.inner.borrow_mut().core.udp_take_error(self.socket)
    }
}

impl<D, T, S, const N: usize> airglow_device::UdpSocket for UdpSocket<'_, '_, D, T, S, N>
where
    D: NetDevice,
    T: Timer,
    S: Storage<Connection = StreamWakers, Listener = ListenerWakers>,
{
    type Error = Error;

    async fn recv_from(&self, buf: &mut [u8]) -> Result<(usize, SocketAddr), Error> {
        poll_fn(|cx| {
            let mut inner = self.stack.inner.borrow_mut();
            if let Some(received) = inner.core.udp_receive(self.socket, buf) {
                return Poll::Ready(Ok(received));
            }
            if let Some(error) = inner.core.udp_pending_error(self.socket) {
                return Poll::Ready(Err(error));
            }
            if let Some(wakers) = inner.wakers.get_mut(self.socket) {
                set_waker(&mut wakers.receive, cx);
            }
            Poll::Pending
        })
        .await
    }

    async fn send_to(&self, datagram: &[u8], to: SocketAddr) -> Result<(), Error> {
        self.send_with(|core, now, socket, link| core.udp_send(now, socket, datagram, to, link)).await
    }

    fn local(&self) -> SocketAddr {
        self.local
    }
}

impl<'m, D, T, S, const N: usize> UdpSocket<'_, 'm, D, T, S, N>
where
    D: NetDevice,
    T: Timer,
    S: Storage<Connection = StreamWakers, Listener = ListenerWakers>,
{
    /// Sends by `send`, waiting for room.
    pub(crate) async fn send_with(
        &self,
        send: impl Fn(&mut Core<'m>, Instant, usize, &mut dyn Link) -> Result<(), UdpSendError>,
    ) -> Result<(), Error> {
        poll_fn(|cx| {
            let sent = self.stack.with_core(|core, now, link| send(core, now, self.socket, link));
            self.stack.poke();
            match sent {
                Ok(()) => Poll::Ready(Ok(())),
                Err(UdpSendError::Failed(error)) => Poll::Ready(Err(error)),
                Err(UdpSendError::Full) => {
                    let mut inner = self.stack.inner.borrow_mut();
                    // Another task that waits here as well tries again, so that none is forgotten.
                    if let Some(wakers) = inner.wakers.get_mut(self.socket)
                        && let Some(other) = wakers.send.replace(cx.waker().clone())
                        && !other.will_wake(cx.waker())
                    {
                        other.wake();
                    }
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl<D, T, S, const N: usize> Drop for UdpSocket<'_, '_, D, T, S, N>
where
    D: NetDevice,
    T: Timer,
    S: Storage<Connection = StreamWakers, Listener = ListenerWakers>,
{
    fn drop(&mut self) {
        self.stack.close_udp(self.socket);
    }
}
