//! Ping and raw IP sockets. They live in the table of UDP's sockets, whose queues and wakers they share.
use crate::{
    error::Error,
    icmp::Reported,
    ip::Core,
    ipv4::Received,
    link::Link,
    output::{Outgoing, SendError},
    tcp::IcmpError,
    udp::{Kind, UdpSendError, peer},
    wire::{icmpv4, icmpv6, protocol},
};
use airglow_device::Instant;
use core::net::{IpAddr, SocketAddr};

impl From<SendError> for UdpSendError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Full => Self::Full,
            SendError::NoRoute => Self::Failed(Error::NoRoute),
            SendError::TooLong => Self::Failed(Error::MessageTooLong),
        }
    }
}

impl Core<'_> {
    /// Sends an echo request from a ping socket.
    pub(crate) fn ping_send(
        &mut self,
        now: Instant,
        socket: usize,
        data: &[u8],
        to: IpAddr,
        sequence: u16,
        link: &mut dyn Link,
    ) -> Result<(), UdpSendError> {
        let (path, source, identifier) = self.raw_way(now, socket, to)?;
        let (protocol, head) = if to.is_ipv4() {
            (protocol::ICMP, icmpv4::Repr::EchoRequest { identifier, sequence, data }.header())
        } else {
            (protocol::ICMPV6, icmpv6::Repr::EchoRequest { identifier, sequence, data }.header())
        };
        let packet = Outgoing::new(source, to, protocol, 0).on(path);
        Ok(self.send_parts(now, link, &packet, head, data)?)
    }

    /// Sends an IP payload from a raw socket.
    pub(crate) fn raw_send(
        &mut self,
        now: Instant,
        socket: usize,
        payload: &[u8],
        to: IpAddr,
        link: &mut dyn Link,
    ) -> Result<(), UdpSendError> {
        let (interface, source, protocol) = self.raw_way(now, socket, to)?;
        let packet = Outgoing::new(source, to, protocol as u8, payload.len()).on(interface);
        match payload.split_first_chunk::<8>() {
            Some((head, body)) => Ok(self.send_parts(now, link, &packet, *head, body)?),
            None if payload.is_empty() => Err(UdpSendError::Failed(Error::InvalidInput)),
            None => Ok(self.send_packet(now, link, &packet, &mut |room| {
                room.copy_from_slice(payload);
                payload.len()
            })?),
        }
    }

    /// Interface, source address, and the socket's number.
    fn raw_way(
        &mut self,
        now: Instant,
        socket: usize,
        to: IpAddr,
    ) -> Result<(usize, IpAddr, u16), UdpSendError> {
        let number = self.sockets.get(socket).ok_or(UdpSendError::Failed(Error::NotConnected))?.port;
        if to.is_unspecified() {
            return Err(UdpSendError::Failed(Error::InvalidInput));
        }
        let path = self.path(now, to, None).ok_or(SendError::NoRoute)?;
        let source = self.source(now, path.interface, to).ok_or(SendError::NoRoute)?;
        Ok((path.interface, source, number))
    }

    /// An echo reply came.
    pub(crate) fn ping_receive(
        &mut self,
        received: &Received<'_>,
        identifier: u16,
        sequence: u16,
        data: &[u8],
    ) {
        if !crate::RAW {
            return;
        }
        let asked = |s: &crate::udp::UdpSlot| s.open && s.kind == Kind::Ping && s.port == identifier;
        if let Some(index) = self.sockets.iter().position(asked) {
            self.socket_push(index, peer(received, sequence), data);
        }
    }

    /// An ICMP error came about an echo request of ours.
    pub(crate) fn ping_error(&mut self, now: Instant, reported: &Reported<'_>) {
        if !crate::RAW {
            return;
        }
        let Some(&[8 | 128, 0, _, _, a, b, c, d]) = reported.quoted.first_chunk::<8>() else { return };
        let (identifier, sequence) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let asked = |s: &&mut crate::udp::UdpSlot| s.open && s.kind == Kind::Ping && s.port == identifier;
        let Some(slot) = self.sockets.iter_mut().find(asked) else { return };
        let error = match reported.error {
            IcmpError::TooBig(mtu) => {
                if !self.path_mtus.shrink(now, reported.dst, mtu, reported.len) {
                    return;
                }
                Error::MessageTooLong
            }
            _ => Error::Unreachable,
        };
        (slot.error, slot.ready) = (Some((SocketAddr::new(reported.dst, sequence), error)), true);
        self.any_ready = true;
    }

    /// Some raw socket hears `protocol`.
    pub(crate) fn is_heard(&self, protocol: u8) -> bool {
        self.sockets.iter().any(|s| s.open && s.kind == Kind::Raw && s.port == u16::from(protocol))
    }

    /// Gives a packet to the raw sockets that hear its protocol; whether there are any.
    pub(crate) fn raw_receive(&mut self, protocol: u8, received: &Received<'_>) -> bool {
        let mut heard = false;
        for index in 0..self.sockets.len() {
            let hears =
                |s: &crate::udp::UdpSlot| s.open && s.kind == Kind::Raw && s.port == u16::from(protocol);
            if self.sockets.get(index).is_some_and(hears) {
                heard = true;
                self.socket_push(index, peer(received, 0), received.payload);
            }
        }
        heard
    }
}
