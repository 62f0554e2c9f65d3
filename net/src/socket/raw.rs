//! Sockets below UDP: pings, and IP payloads of any protocol.
use crate::{
    error::Error,
    socket::{
        tcp::{ListenerWakers, StreamWakers},
        udp::UdpSocket,
    },
    stack::Stack,
    tcp::Storage,
    udp::Kind,
};
use airglow_device::{NetDevice, Timer, UdpSocket as _};
use core::net::{IpAddr, SocketAddr};

/// Sends echo requests and hears their answers (RFC 792, RFC 4443 section 4).
pub struct PingSocket<'a, 'm, D: NetDevice, T: Timer, S, const N: usize = 1>(UdpSocket<'a, 'm, D, T, S, N>)
where
    S: Storage<Connection = StreamWakers, Listener = ListenerWakers>;

/// Sends and receives IP payloads of one protocol.
pub struct RawSocket<'a, 'm, D: NetDevice, T: Timer, S, const N: usize = 1>(UdpSocket<'a, 'm, D, T, S, N>)
where
    S: Storage<Connection = StreamWakers, Listener = ListenerWakers>;

impl<'m, D, T, S, const N: usize> Stack<'m, D, T, S, N>
where
    D: NetDevice,
    T: Timer,
    S: Storage<Connection = StreamWakers, Listener = ListenerWakers>,
{
    /// A socket for pings, with an identifier of its own. It takes one of the stack's places for UDP sockets.
    ///
    /// # Errors
    /// [`Error::TableFull`].
    pub fn ping_socket(&self) -> Result<PingSocket<'_, 'm, D, T, S, N>, Error> {
        Ok(PingSocket(self.open_socket(Kind::Ping, 0.into())?))
    }

    /// A socket that hears all packets of an IP protocol to our addresses and groups, and sends such. What the stack speaks itself it
    /// goes on speaking; of protocols that only raw sockets hear it reports none as unreachable. It takes one of the
    /// places for UDP sockets.
    ///
    /// # Errors
    /// [`Error::TableFull`].
    pub fn raw_socket(&self, protocol: u8) -> Result<RawSocket<'_, 'm, D, T, S, N>, Error> {
        Ok(RawSocket(self.open_socket(Kind::Raw, u16::from(protocol).into())?))
    }
}

impl<D, T, S, const N: usize> PingSocket<'_, '_, D, T, S, N>
where
    D: NetDevice,
    T: Timer,
    S: Storage<Connection = StreamWakers, Listener = ListenerWakers>,
{
    /// Sends an echo request with `data`, in fragments if need be, waiting for room.
    ///
    /// # Errors
    /// [`Error::NoRoute`], [`Error::MessageTooLong`], [`Error::InvalidInput`].
    pub async fn send_to(&self, to: IpAddr, sequence: u16, data: &[u8]) -> Result<(), Error> {
        self.0
            .send_with(|core, now, socket, link| core.ping_send(now, socket, data, to, sequence, link))
            .await
    }

    /// The next answer: how much of its data is in `buf`, who sent it, its sequence number. Cancel-safe.
    ///
    /// # Errors
    /// None that concern one peer; see [`take_error`](Self::take_error).
    pub async fn recv_from(&self, buf: &mut [u8]) -> Result<(usize, IpAddr, u16), Error> {
        let (len, from) = self.0.recv_from(buf).await?;
        Ok((len, from.ip(), from.port()))
    }

    /// The last ICMP error about a ping, once: to whom that went, its sequence number, what happened.
    pub fn take_error(&self) -> Option<(IpAddr, u16, Error)> {
        self.0.take_error().map(|(to, error)| (to.ip(), to.port(), error))
    }
}

impl<D, T, S, const N: usize> RawSocket<'_, '_, D, T, S, N>
where
    D: NetDevice,
    T: Timer,
    S: Storage<Connection = StreamWakers, Listener = ListenerWakers>,
{
    /// Sends an IP payload, in fragments if need be, waiting for room. The checksums of TCP, UDP and ICMPv6, which cover IP
    /// addresses, are filled in; others are the caller's.
    ///
    /// # Errors
    /// [`Error::NoRoute`], [`Error::MessageTooLong`], [`Error::InvalidInput`] for an empty payload.
    pub async fn send_to(&self, to: IpAddr, payload: &[u8]) -> Result<(), Error> {
        self.0.send_with(|core, now, socket, link| core.raw_send(now, socket, payload, to, link)).await
    }

    /// The next packet: how much of its payload is in `buf`, and who sent it. Cancel-safe.
    ///
    /// # Errors
    /// None.
    pub async fn recv_from(&self, buf: &mut [u8]) -> Result<(usize, IpAddr), Error> {
        let (len, from): (usize, SocketAddr) = self.0.recv_from(buf).await?;
        Ok((len, from.ip()))
    }

    /// Begins to listen to a group; see [`UdpSocket::join`](crate::UdpSocket::join).
    ///
    /// # Errors
    /// As there.
    pub fn join(&self, interface: usize, group: IpAddr) -> Result<(), Error> {
        self.0.join(interface, group)
    }
}
