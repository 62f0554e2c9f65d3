//! UDP (RFC 768): sockets, their bounded queues, and services that answer in place.
use crate::{
    error::Error,
    ip::Core,
    ipv4::Received,
    link::Link,
    output::{Outgoing, SendError, ip_header_len},
    tcp::IcmpError,
    wire::{protocol, udp},
};
use airglow_device::{Endpoint, Instant};
use core::net::{IpAddr, SocketAddr, SocketAddrV6};

/// What a socket's datagrams are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The port is a UDP port.
    Udp,
    /// The port is the identifier of echo requests.
    Ping,
    /// The port is an IP protocol's number.
    Raw,
}

/// One socket or responder.
pub(crate) struct UdpSlot {
    pub open: bool,
    pub kind: Kind,
    /// Hop limit of datagrams to groups.
    pub group_hops: u8,
    pub addr: Option<IpAddr>,
    pub port: u16,
    /// The only peer, when the socket is connected.
    pub peer: Option<SocketAddr>,
    /// The last ICMP error about a datagram of this socket, and to whom that went.
    pub error: Option<(SocketAddr, Error)>,
    /// A datagram or an error came since the shell last looked.
    pub ready: bool,
    queue: Queue,
    #[cfg(feature = "alloc")]
    own: alloc::vec::Vec<u8>,
}

impl UdpSlot {
    pub const CLOSED: Self = Self {
        open: false,
        kind: Kind::Udp,
        // RFC 1112 section 6.1: a datagram to a group stays on the link unless the application says otherwise.
        group_hops: 1,
        addr: None,
        port: 0,
        peer: None,
        error: None,
        ready: false,
        queue: Queue::EMPTY,
        #[cfg(feature = "alloc")]
        own: alloc::vec::Vec::new(),
    };
}

impl UdpSlot {
    fn is_udp(&self, port: u16) -> bool {
        self.open && self.kind == Kind::Udp && self.port == port
    }
}

/// The service that answers in place while it drives the stack.
pub struct Responder<'a> {
    pub(crate) socket: usize,
    pub(crate) answer: &'a mut Answer<'a>,
}

/// Peer, question, room for the reply; the reply's length or `None` to say nothing.
pub(crate) type Answer<'a> = dyn FnMut(SocketAddr, &[u8], &mut [u8]) -> Option<usize> + 'a;

/// A queue of datagrams in a caller's buffer, each in one piece: header, then payload.
#[derive(Clone, Copy, Debug)]
struct Queue {
    head: usize,
    tail: usize,
    /// Where the upper part ends while the tail has gone round and is below the head.
    end: usize,
    count: usize,
}

/// Length and port (2 each), interface (4), address (16).
const RECORD: usize = 24;

impl Queue {
    const EMPTY: Self = Self { head: 0, tail: 0, end: 0, count: 0 };

    /// Appends; `false` when there is no room.
    fn push(&mut self, buffer: &mut [u8], from: SocketAddr, payload: &[u8]) -> bool {
        let need = RECORD + payload.len();
        let Ok(len) = u16::try_from(payload.len()) else { return false };
        if self.count == 0 {
            *self = Self::EMPTY;
        }
        let at = if self.count == 0 || self.tail > self.head {
            if buffer.len() - self.tail >= need {
                self.tail
            } else if self.head >= need {
                self.end = self.tail;
                0
            } else {
                return false;
            }
        } else if self.head - self.tail >= need {
            self.tail
        } else {
            return false;
        };
        let Some(record) = buffer.get_mut(at..at + need) else { return false };
        let (header, body) = record.split_at_mut(RECORD);
        let (addr, scope) = match from {
            SocketAddr::V4(from) => (from.ip().to_ipv6_mapped(), 0),
            SocketAddr::V6(from) => (*from.ip(), from.scope_id()),
        };
        header[..2].copy_from_slice(&len.to_ne_bytes());
        header[2..4].copy_from_slice(&from.port().to_ne_bytes());
        header[4..8].copy_from_slice(&scope.to_ne_bytes());
        header[8..].copy_from_slice(&addr.octets());
        body.copy_from_slice(payload);
        self.tail = at + need;
        self.count += 1;
        true
    }

    /// The oldest datagram.
    fn front<'b>(&self, buffer: &'b [u8]) -> Option<(SocketAddr, &'b [u8])> {
        if self.count == 0 {
            return None;
        }
        let (header, rest) = buffer.get(self.head..)?.split_first_chunk::<RECORD>()?;
        let payload = rest.get(..usize::from(u16::from_ne_bytes([header[0], header[1]])))?;
        let port = u16::from_ne_bytes([header[2], header[3]]);
        let scope = u32::from_ne_bytes([header[4], header[5], header[6], header[7]]);
        let addr = core::net::Ipv6Addr::from(*header.last_chunk::<16>()?);
        let from = match addr.to_ipv4_mapped() {
            Some(addr) => SocketAddr::from((addr, port)),
            None => SocketAddr::V6(SocketAddrV6::new(addr, port, 0, scope)),
        };
        Some((from, payload))
    }

    /// Removes the oldest, whose payload has `len` bytes.
    fn pop(&mut self, len: usize) {
        self.head += RECORD + len;
        self.count = self.count.saturating_sub(1);
        if self.count == 0 {
            *self = Self::EMPTY;
        } else if self.tail <= self.head && self.head == self.end {
            self.head = 0;
        }
    }
}

/// A peer's address, with the interface as scope where the address is of the link only.
pub(crate) fn peer(received: &Received<'_>, port: u16) -> SocketAddr {
    match received.src {
        IpAddr::V6(addr) if addr.is_unicast_link_local() => {
            SocketAddr::V6(SocketAddrV6::new(addr, port, 0, received.interface as u32 + 1))
        }
        addr => SocketAddr::new(addr, port),
    }
}

/// The interface that the scope of a link-local address or a group names.
pub(crate) fn scope_interface(addr: SocketAddr) -> Option<usize> {
    match addr {
        SocketAddr::V6(addr) if addr.ip().is_unicast_link_local() || addr.ip().is_multicast() => {
            (addr.scope_id() as usize).checked_sub(1)
        }
        _ => None,
    }
}

impl Core<'_> {
    fn queue_buffer(&mut self, socket: usize) -> Option<(&mut Queue, &mut [u8])> {
        let slot = self.sockets.get_mut(socket)?;
        #[cfg(feature = "alloc")]
        if self.datagrams.is_empty() {
            return Some((&mut slot.queue, &mut slot.own));
        }
        let start = socket * self.datagrams_len;
        Some((&mut slot.queue, self.datagrams.get_mut(start..start + self.datagrams_len)?))
    }

    /// Opens a port; the socket's number.
    #[cfg(test)]
    pub(crate) fn udp_bind(&mut self, on: Endpoint) -> Result<usize, Error> {
        self.socket_open(Kind::Udp, on)
    }

    /// Opens a socket of any kind.
    pub(crate) fn socket_open(&mut self, kind: Kind, on: Endpoint) -> Result<usize, Error> {
        if let Some(addr) = on.addr
            && !addr.is_loopback()
            && !self.addresses.iter().flatten().any(|a| a.cidr.addr == addr)
        {
            return Err(Error::AddrNotAvailable);
        }
        let taken = |sockets: &[UdpSlot], port| {
            sockets.iter().any(|s| {
                s.open
                    && s.kind == kind
                    && s.port == port
                    && (s.addr.is_none() || on.addr.is_none() || s.addr == on.addr)
            })
        };
        let port = if kind == Kind::Raw {
            // Several may hear the same protocol.
            Some(on.port)
        } else if on.port != 0 {
            Some(on.port).filter(|port| !taken(&self.sockets, *port))
        } else {
            // RFC 6056 section 3.3.1: a random port of the dynamic range, then the next ones.
            const RANGE: u16 = 16_384;
            let start = self.random.below(u64::from(RANGE)) as u16;
            (0..RANGE)
                .map(|n| 49_152 + start.wrapping_add(n) % RANGE)
                .find(|port| !taken(&self.sockets, *port))
        };
        let port = port.ok_or(Error::AddrInUse)?;
        let index = self.sockets.iter().position(|s| !s.open).ok_or(Error::TableFull)?;
        self.raw_sockets += usize::from(kind == Kind::Raw);
        self.sockets_end = self.sockets_end.max(index + 1);
        let slot = &mut self.sockets[index];
        *slot = UdpSlot { open: true, kind, addr: on.addr, port, ..UdpSlot::CLOSED };
        #[cfg(feature = "alloc")]
        if self.datagrams.is_empty() {
            slot.own = alloc::vec![0; self.datagrams_len];
        }
        Ok(index)
    }

    pub(crate) fn udp_close(&mut self, socket: usize) {
        if let Some(slot) = self.sockets.get_mut(socket) {
            if slot.open && slot.kind == Kind::Raw {
                self.raw_sockets = self.raw_sockets.saturating_sub(1);
            }
            *slot = UdpSlot::CLOSED;
        }
    }

    /// Talks to `peer` alone from now on, and hears of errors on the way to it; `None`: to all again.
    pub(crate) fn udp_connect(&mut self, socket: usize, peer: Option<SocketAddr>) -> Result<(), Error> {
        if peer.is_some_and(|p| p.port() == 0 || p.ip().is_unspecified() || p.ip().is_multicast()) {
            return Err(Error::InvalidInput);
        }
        let slot = self.sockets.get_mut(socket).ok_or(Error::NotConnected)?;
        (slot.peer, slot.error) = (peer, None);
        Ok(())
    }

    /// The last error about a datagram to anyone, once.
    pub(crate) fn udp_take_error(&mut self, socket: usize) -> Option<(SocketAddr, Error)> {
        self.sockets.get_mut(socket)?.error.take()
    }

    /// The error that a connected socket's next call returns, once.
    pub(crate) fn udp_pending_error(&mut self, socket: usize) -> Option<Error> {
        let slot = self.sockets.get_mut(socket)?;
        slot.peer?;
        slot.error.take().map(|(_, error)| error)
    }

    /// An ICMP error came about a datagram of `len` bytes, IP header included, from one of our ports to `remote`.
    pub(crate) fn udp_error(
        &mut self,
        now: Instant,
        local: IpAddr,
        port: u16,
        remote: SocketAddr,
        error: IcmpError,
        len: usize,
    ) {
        // RFC 8085 section 5.2 asks to check that the quoted packet is one of ours as far as that can be seen.
        let ours = |s: &&mut UdpSlot| {
            let peer = s.peer.is_none_or(|p| p.ip() == remote.ip() && p.port() == remote.port());
            s.is_udp(port) && s.addr.is_none_or(|addr| addr == local) && peer
        };
        let Some(slot) = self.sockets.iter_mut().find(ours) else { return };
        let error = match error {
            IcmpError::Hard => Error::ConnectionRefused,
            IcmpError::Soft => Error::Unreachable,
            IcmpError::TooBig(mtu) => {
                // What is sent from now on is cut to the new size; only a caller who counts on one packet need know.
                if !self.path_mtus.shrink(now, remote.ip(), mtu, len) {
                    return;
                }
                Error::MessageTooLong
            }
        };
        (slot.error, slot.ready) = (Some((remote, error)), true);
        self.any_ready = true;
    }

    /// Takes the oldest datagram: its length and sender. What does not fit `buf` is cut off.
    pub(crate) fn udp_receive(&mut self, socket: usize, buf: &mut [u8]) -> Option<(usize, SocketAddr)> {
        let (queue, buffer) = self.queue_buffer(socket)?;
        let (from, payload) = queue.front(buffer)?;
        let len = payload.len().min(buf.len());
        let (to, from_bytes) = (buf.get_mut(..len)?, payload.get(..len)?);
        to.copy_from_slice(from_bytes);
        let whole = payload.len();
        queue.pop(whole);
        Some((len, from))
    }

    /// Sends one datagram.
    pub(crate) fn udp_send(
        &mut self,
        now: Instant,
        socket: usize,
        payload: &[u8],
        to: SocketAddr,
        link: &mut dyn Link,
    ) -> Result<(), UdpSendError> {
        if to.port() == 0 || to.ip().is_unspecified() {
            return Err(UdpSendError::Failed(Error::InvalidInput));
        }
        let slot = self.sockets.get(socket).ok_or(UdpSendError::Failed(Error::NotConnected))?;
        let (bound, src_port, group_hops) = (slot.addr, slot.port, slot.group_hops);
        let no_route = UdpSendError::Failed(Error::NoRoute);
        let path = self.path(now, to.ip(), scope_interface(to)).ok_or(no_route)?;
        let source = bound.or_else(|| self.source(now, path.interface, to.ip())).ok_or(no_route)?;
        if source.is_ipv4() != to.is_ipv4() {
            return Err(no_route);
        }
        let header = udp::Repr { src_port, dst_port: to.port(), payload_len: payload.len() };
        let mut packet = Outgoing::new(source, to.ip(), protocol::UDP, 0).along(path);
        packet.hop_limit = to.ip().is_multicast().then_some(group_hops);
        let mut head = [0; udp::HEADER_LEN];
        let sent = match header.emit(&mut head) {
            Ok(_) => self.send_parts(now, link, &packet, head, payload),
            Err(_) => Err(SendError::TooLong),
        };
        Ok(sent?)
    }

    pub(crate) fn receive_udp(
        &mut self,
        now: Instant,
        received: &Received<'_>,
        datagram: &udp::Datagram<'_>,
        link: &mut dyn Link,
        responder: Option<&mut Responder<'_>>,
    ) {
        if self.receive_dhcp(now, received, datagram) {
            return;
        }
        #[cfg(feature = "dhcpv6")]
        if self.receive_dhcpv6(now, received, datagram) {
            return;
        }
        let (dst, port) = (received.dst, datagram.dst_port());
        // A datagram to a group goes to the first socket of the port; one address of ours beats all.
        let sockets = self.sockets.get(..self.sockets_end).unwrap_or(&[]);
        let index = sockets
            .iter()
            .position(|s| s.is_udp(port) && s.addr == Some(dst))
            .or_else(|| sockets.iter().position(|s| s.is_udp(port) && s.addr.is_none()));
        let connected =
            |s: &UdpSlot| s.peer.is_none_or(|p| p.ip() == received.src && p.port() == datagram.src_port());
        let Some(index) = index.filter(|i| self.sockets.get(*i).is_some_and(connected)) else {
            self.stats.no_port += 1;
            //= https://www.rfc-editor.org/rfc/rfc1122#section-4.1.3.1
            //# If a datagram arrives addressed to a UDP port for which
            //# there is no pending LISTEN call, UDP SHOULD send an ICMP
            //# Port Unreachable message.
            self.send_port_unreachable(now, received, link);
            return;
        };
        let from = peer(received, datagram.src_port());
        // RFC 1122 section 3.2.1.3: who has no address yet speaks to all, as a DHCP client does to servers.
        let nobody = received.src.is_unspecified();
        if datagram.src_port() == 0 || (nobody && received.unicast) {
            // RFC 768: port 0 wants no reply; nothing here has use for one that cannot be answered.
            self.stats.malformed += 1;
            return;
        }
        match responder {
            Some(responder) if responder.socket == index && !nobody => {
                let source = if received.unicast { Some(dst) } else { None };
                self.udp_respond(
                    now,
                    source,
                    port,
                    from,
                    datagram.payload(),
                    received.interface,
                    link,
                    responder,
                );
            }
            _ => {
                self.socket_push(index, from, datagram.payload());
            }
        }
    }

    /// Queues what a socket received.
    pub(crate) fn socket_push(&mut self, index: usize, from: SocketAddr, payload: &[u8]) {
        let Some((queue, buffer)) = self.queue_buffer(index) else { return };
        if queue.push(buffer, from, payload)
            && let Some(slot) = self.sockets.get_mut(index)
        {
            slot.ready = true;
            self.any_ready = true;
        } else {
            self.stats.queue_full += 1;
        }
    }

    /// Lets a service write its answer straight into the transmit slot.
    #[allow(clippy::too_many_arguments)]
    fn udp_respond(
        &mut self,
        now: Instant,
        source: Option<IpAddr>,
        port: u16,
        peer: SocketAddr,
        question: &[u8],
        interface: usize,
        link: &mut dyn Link,
        responder: &mut Responder<'_>,
    ) {
        let Some(path) = self.path(now, peer.ip(), scope_interface(peer)) else {
            self.stats.no_route += 1;
            return;
        };
        let Some(source) = source.or_else(|| self.source(now, interface, peer.ip())) else {
            self.stats.no_route += 1;
            return;
        };
        let mtu = self.path_mtu(now, path, peer.ip());
        let room = mtu.saturating_sub(ip_header_len(peer.ip()));
        let packet = Outgoing::new(source, peer.ip(), protocol::UDP, room).along(path);
        let answer = &mut responder.answer;
        self.answer(now, link, &packet, &mut |room| {
            let Some((header, body)) = room.split_at_mut_checked(udp::HEADER_LEN) else { return 0 };
            let Some(len) = answer(peer, question, body) else { return 0 };
            let len = len.min(body.len());
            let repr = udp::Repr { src_port: port, dst_port: peer.port(), payload_len: len };
            repr.emit(header).map_or(0, |_| udp::HEADER_LEN + len)
        });
    }

    /// Answers what was queued for a service while another one drove the stack.
    pub(crate) fn udp_respond_queued(
        &mut self,
        now: Instant,
        link: &mut dyn Link,
        responder: &mut Responder<'_>,
    ) {
        let socket = responder.socket;
        loop {
            // The queue's buffer is lent to the answer while the packet is built, so it leaves its place for that long.
            let Some(slot) = self.sockets.get_mut(socket) else { return };
            let (mut queue, port, bound) = (slot.queue, slot.port, slot.addr);
            #[cfg(feature = "alloc")]
            let own = core::mem::take(&mut slot.own);
            let datagrams = core::mem::take(&mut self.datagrams);
            let start = socket * self.datagrams_len;
            let buffer: &[u8] = datagrams.get(start..start + self.datagrams_len).unwrap_or(&[]);
            #[cfg(feature = "alloc")]
            let buffer = if datagrams.is_empty() { &own[..] } else { buffer };
            let answered = queue.front(buffer).map(|(peer, question)| {
                let interface = scope_interface(peer)
                    .or_else(|| self.path(now, peer.ip(), None).map(|path| path.interface))
                    .unwrap_or(0);
                self.udp_respond(now, bound, port, peer, question, interface, link, responder);
                queue.pop(question.len());
            });
            self.datagrams = datagrams;
            if let Some(slot) = self.sockets.get_mut(socket) {
                slot.queue = queue;
                #[cfg(feature = "alloc")]
                {
                    slot.own = own;
                }
            }
            if answered.is_none() {
                return;
            }
        }
    }
}

/// Why a datagram was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UdpSendError {
    /// No room just now.
    Full,
    /// Never.
    Failed(Error),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    proptest! {
        #[test]
        fn the_queue_keeps_order_and_bounds(
            steps in proptest::collection::vec((any::<bool>(), 0usize..90, any::<u16>()), 0..400),
            size in 0usize..300,
        ) {
            let mut buffer = vec![0; size];
            let mut queue = Queue::EMPTY;
            let mut model: VecDeque<(SocketAddr, Vec<u8>)> = VecDeque::new();
            for (push, len, port) in steps {
                if push {
                    let from = if port % 2 == 0 {
                        SocketAddr::from(([10, 0, 0, 1], port))
                    } else {
                        SocketAddr::V6(SocketAddrV6::new("fe80::1".parse().unwrap(), port, 0, 3))
                    };
                    let payload = vec![port as u8; len];
                    let pushed = queue.push(&mut buffer, from, &payload);
                    if pushed {
                        model.push_back((from, payload));
                    } else {
                        prop_assert!(!model.is_empty() || len + RECORD > size, "an empty queue takes what fits");
                    }
                } else {
                    let front = queue.front(&buffer).map(|(from, payload)| (from, payload.to_vec()));
                    prop_assert_eq!(&front, &model.pop_front());
                    if let Some((_, payload)) = front {
                        queue.pop(payload.len());
                    }
                }
                prop_assert_eq!(queue.count, model.len());
            }
        }
    }
}
