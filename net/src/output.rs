//! The way out: route, next hop, Ethernet address, headers, checksums. Every packet the stack sends goes through
//! [`Core::send_packet`].
use crate::{
    address::choose_source,
    checksum::Sum,
    ip::Core,
    link::Link,
    memory::PENDING_FRAME,
    neighbor::Resolution,
    route,
    tcp::IcmpError,
    wire::{
        ethernet::{self, EtherType},
        ipv4, ipv6, protocol,
    },
};
use airglow_device::{Full, Instant, MacAddr, TxFrame, TxMeta};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Where a packet goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub interface: usize,
    pub next_hop: IpAddr,
    /// To ourselves, without a device.
    pub local: bool,
}

/// Writes an IP packet into the room for it, says what the device must still do (counted from the IP header on), and returns the
/// packet's length, 0 for none.
pub(crate) type Write<'a> = dyn FnMut(&mut [u8], &mut TxMeta) -> usize + 'a;

/// What a packet's IP header says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing {
    pub src: IpAddr,
    pub dst: IpAddr,
    pub protocol: u8,
    /// `None`: the interface's.
    pub hop_limit: Option<u8>,
    pub traffic_class: u8,
    /// Room for the payload.
    pub len: usize,
    /// The TCP payload of each segment the device shall cut, or 0.
    pub tso_segment: u16,
    /// The interface, where the destination alone does not say it.
    pub interface: Option<usize>,
    /// The way, where it was looked for already.
    pub path: Option<Path>,
}

impl Outgoing {
    pub const fn new(src: IpAddr, dst: IpAddr, protocol: u8, len: usize) -> Self {
        Self {
            src,
            dst,
            protocol,
            hop_limit: None,
            traffic_class: 0,
            len,
            tso_segment: 0,
            interface: None,
            path: None,
        }
    }
    pub const fn on(self, interface: usize) -> Self {
        Self { interface: Some(interface), ..self }
    }
    /// On the way that [`Core::path`] gave.
    pub const fn along(self, path: Path) -> Self {
        Self { interface: Some(path.interface), path: Some(path), ..self }
    }
}

/// Why a packet was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendError {
    Full,
    NoRoute,
    TooLong,
}

impl From<Full> for SendError {
    fn from(Full: Full) -> Self {
        Self::Full
    }
}

/// A frame that waits for the Ethernet address of its next hop.
pub(crate) struct PendingPacket {
    /// [`FREE`](Self::FREE): nothing waits here.
    next_hop: IpAddr,
    interface: usize,
    len: usize,
    meta: TxMeta,
    since: Instant,
    bytes: [u8; PENDING_FRAME],
}

impl PendingPacket {
    /// No next hop; all zeros, so that a `static` with free places takes no room in an image.
    const FREE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    pub const EMPTY: Self = Self {
        next_hop: Self::FREE,
        interface: 0,
        len: 0,
        meta: TxMeta::NONE,
        since: Instant::ZERO,
        bytes: [0; PENDING_FRAME],
    };
}

/// The Ethernet group of an IP group or broadcast address (RFC 1112 section 6.4, RFC 2464 section 7).
pub(crate) fn group_mac(addr: IpAddr) -> Option<MacAddr> {
    match addr {
        IpAddr::V4(Ipv4Addr::BROADCAST) => Some(MacAddr::BROADCAST),
        IpAddr::V4(addr) if addr.is_multicast() => {
            let [_, b, c, d] = addr.octets();
            Some(MacAddr([1, 0, 0x5e, b & 0x7f, c, d]))
        }
        IpAddr::V6(addr) if crate::IPV6 && addr.is_multicast() => {
            let [.., a, b, c, d] = addr.octets();
            Some(MacAddr([0x33, 0x33, a, b, c, d]))
        }
        _ => None,
    }
}

/// Source, destination, protocol and payload of a packet of ours without extension headers.
fn ends(packet: &[u8]) -> Option<(IpAddr, IpAddr, u8, &[u8])> {
    if packet.first()? >> 4 == 4 {
        let packet = ipv4::Packet::new_checked(packet).ok().filter(|p| p.fragment_offset() == 0)?;
        Some((packet.src().into(), packet.dst().into(), packet.protocol(), packet.payload()))
    } else {
        let packet = ipv6::Packet::new_checked(packet).ok()?;
        Some((packet.src().into(), packet.dst().into(), packet.next_header(), packet.payload()))
    }
}

/// Length of the IP header in front of a payload to `addr`.
pub(crate) const fn ip_header_len(addr: IpAddr) -> usize {
    if addr.is_ipv4() { ipv4::HEADER_LEN } else { ipv6::HEADER_LEN }
}

/// Offset of the checksum in the header of a transport whose checksum covers the pseudo-header.
pub(crate) const fn checksum_offset(protocol: u8) -> Option<usize> {
    match protocol {
        protocol::TCP => Some(16),
        protocol::UDP => Some(6),
        protocol::ICMPV6 => Some(2),
        _ => None,
    }
}

/// Writes one IP packet: `fill` the payload (it returns how many bytes, 0 for nothing to send), then header and checksum.
fn compose(
    room: &mut [u8],
    meta: &mut TxMeta,
    packet: &Outgoing,
    header: &HeaderFields,
    fill: &mut dyn FnMut(&mut [u8]) -> usize,
) -> usize {
    let start = ip_header_len(packet.dst);
    let Some((ip, room)) = room.split_at_mut_checked(start) else { return 0 };
    let payload_len = fill(room).min(room.len());
    if payload_len == 0 {
        return 0;
    }
    let (payload, _) = room.split_at_mut(payload_len);
    if header.emit(ip, packet, payload_len).is_none() {
        return 0;
    }
    let Some(offset) = checksum_offset(packet.protocol) else { return start + payload_len };
    let pseudo = Sum::pseudo_header(packet.src, packet.dst, packet.protocol, payload_len);
    let checksum = if header.offload && packet.protocol != protocol::ICMPV6 {
        *meta = TxMeta::checksum(start as u16, offset as u16).segments(packet.tso_segment);
        pseudo.fold()
    } else {
        transport_checksum(packet.protocol, pseudo.bytes(payload))
    };
    if let Some(field) = payload.get_mut(offset..offset + 2) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
    start + payload_len
}

/// The checksum of a transport whose bytes and pseudo-header sum to `sum`.
pub(crate) const fn transport_checksum(protocol: u8, sum: Sum) -> u16 {
    match sum.finish() {
        //= https://www.rfc-editor.org/rfc/rfc768
        //# If the computed  checksum  is zero,  it is transmitted  as all ones (the
        //# equivalent  in one's complement  arithmetic).
        0 if protocol == protocol::UDP => 0xffff,
        checksum => checksum,
    }
}

/// What the IP header says that is not in [`Outgoing`], and whether the transport's checksum is left to the device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeaderFields {
    pub hop_limit: u8,
    pub identification: u16,
    pub offload: bool,
}

impl HeaderFields {
    fn emit(&self, ip: &mut [u8], packet: &Outgoing, payload_len: usize) -> Option<()> {
        match (packet.src, packet.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                // TCP discovers the path's MTU (RFC 1191); other packets may be fragmented on the way.
                let dont_fragment = packet.protocol == protocol::TCP;
                let repr = ipv4::Repr {
                    src,
                    dst,
                    protocol: packet.protocol,
                    ttl: self.hop_limit,
                    traffic_class: packet.traffic_class,
                    identification: if dont_fragment { 0 } else { self.identification },
                    dont_fragment,
                    payload_len,
                };
                repr.emit(ip).ok().map(|_| ())
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) if crate::IPV6 => {
                let repr = ipv6::Repr {
                    src,
                    dst,
                    next_header: packet.protocol,
                    hop_limit: self.hop_limit,
                    traffic_class: packet.traffic_class,
                    flow_label: 0,
                    payload_len,
                };
                repr.emit(ip).ok().map(|_| ())
            }
            _ => None,
        }
    }
}

impl Core<'_> {
    /// The way to `dst`, over `interface` if that is given.
    pub(crate) fn path(&mut self, now: Instant, dst: IpAddr, interface: Option<usize>) -> Option<Path> {
        if let Some((to, over, path, until)) = self.last_path
            && (to, over) == (dst, interface)
            && now < until
        {
            return Some(path);
        }
        if crate::LOOPBACK
            && let Some(own) = self.own_interface(dst)
        {
            return self.loopback.is_there().then_some(Path { interface: own, next_hop: dst, local: true });
        }
        let link_scope = match dst {
            IpAddr::V4(dst) => dst.is_broadcast() || dst.is_multicast(),
            IpAddr::V6(dst) => dst.is_unicast_link_local() || dst.is_multicast(),
        };
        if link_scope {
            let interface = interface
                .or_else(|| self.neighbors.interface_of(dst))
                .or_else(|| self.interface_with(dst.is_ipv4()))?;
            return Some(Path { interface, next_hop: dst, local: false });
        }
        let interfaces = &self.interfaces;
        let usable = |route: &route::RouteEntry| {
            interface.is_none_or(|wanted| wanted == route.interface)
                && interfaces.get(route.interface).is_some_and(|i| i.active && i.up)
        };
        let route = self.routes.find(dst, now, usable)?;
        let path = Path { interface: route.interface, next_hop: route.gateway.unwrap_or(dst), local: false };
        self.last_path = Some((dst, interface, path, route.expires));
        Some(path)
    }

    /// The way of a packet.
    pub(crate) fn way(&mut self, now: Instant, packet: &Outgoing) -> Option<Path> {
        packet.path.or_else(|| self.path(now, packet.dst, packet.interface))
    }

    /// The interface whose address `dst` is; the first for a loopback address. Packets to it stay here.
    pub(crate) fn own_interface(&self, dst: IpAddr) -> Option<usize> {
        if dst.is_loopback() {
            return Some(0);
        }
        let own = |a: &&crate::address::Address| a.cidr.addr == dst && a.is_usable();
        self.held().find(own).map(|a| a.interface)
    }

    fn interface_with(&self, ipv4: bool) -> Option<usize> {
        self.addresses
            .iter()
            .flatten()
            .find(|a| a.is_usable() && a.cidr.addr.is_ipv4() == ipv4)
            .map(|a| a.interface)
    }

    /// The address to send from to `dst`.
    pub(crate) fn source(&self, now: Instant, interface: usize, dst: IpAddr) -> Option<IpAddr> {
        if dst.is_loopback() {
            return Some(dst);
        }
        choose_source(&self.addresses, interface, dst, now)
    }

    /// The largest IP packet that goes to `dst` whole.
    pub(crate) fn path_mtu(&self, now: Instant, path: Path, dst: IpAddr) -> usize {
        if path.local {
            return self.loopback.mtu();
        }
        let mtu = self.link_mtu(path, dst);
        self.path_mtus.get(now, dst).map_or(mtu, |path| path.min(mtu))
    }

    /// The largest IP packet that the link takes whole on the way to `dst`.
    pub(crate) fn link_mtu(&self, path: Path, dst: IpAddr) -> usize {
        self.interfaces.get(path.interface).map_or(0, |i| i.mtu(dst.is_ipv4()))
    }

    /// `addr` is the broadcast address of one of the interface's networks (RFC 1122 section 3.2.1.3 (d)).
    pub(crate) fn is_directed_broadcast(&self, interface: usize, addr: Ipv4Addr) -> bool {
        self.held().any(|a| match a.cidr.addr {
            IpAddr::V4(own) if a.interface == interface && a.cidr.prefix_len < 31 => {
                let host = u32::MAX >> a.cidr.prefix_len;
                addr.to_bits() == own.to_bits() | host
            }
            _ => false,
        })
    }

    /// The hop limit of packets to single hosts over an interface.
    pub fn set_hop_limit(&mut self, interface: usize, hop_limit: u8) {
        if let Some(interface) = self.interfaces.get_mut(interface) {
            (interface.ttl, interface.hop_limit) = (hop_limit.max(1), hop_limit.max(1));
        }
    }

    /// `addr` is a broadcast address over this interface.
    pub(crate) fn is_broadcast(&self, interface: usize, addr: IpAddr) -> bool {
        matches!(addr, IpAddr::V4(addr) if addr.is_broadcast() || self.is_directed_broadcast(interface, addr))
    }

    /// Sends one packet; `fill` writes the payload into the frame's slot and returns its length, at most `packet.len`,
    /// or 0 to send nothing. Where the next hop's address is not known yet the packet waits for it, the
    /// latest for each neighbour.
    pub(crate) fn send_packet(
        &mut self,
        now: Instant,
        link: &mut dyn Link,
        packet: &Outgoing,
        fill: &mut dyn FnMut(&mut [u8]) -> usize,
    ) -> Result<(), SendError> {
        let path = self.way(now, packet).ok_or(SendError::NoRoute)?;
        let interface = self.interfaces.get(path.interface).ok_or(SendError::NoRoute)?;
        let ipv4 = packet.dst.is_ipv4();
        let caps = interface.caps;
        let hop_limit = packet.hop_limit.unwrap_or(interface.hop_limit(packet.dst.is_ipv4()));
        let ip_len = ip_header_len(packet.dst) + packet.len;
        let limit = match packet.tso_segment {
            _ if path.local => self.loopback.mtu(),
            0 => interface.mtu(ipv4),
            _ if ipv4 => caps.tso_v4,
            _ => caps.tso_v6,
        };
        if ip_len > limit {
            return Err(SendError::TooLong);
        }
        self.identification = self.identification.wrapping_add(1);
        let offload = caps.checksums.tx || path.local;
        let header = HeaderFields { hop_limit, identification: self.identification, offload };
        self.send_to(now, link, path, ip_len, false, &mut |room, meta| {
            compose(room, meta, packet, &header, fill)
        })?;
        Ok(())
    }

    /// Sends an IP packet of up to `len` bytes on `path`. `alongside`: should it have to wait for the next hop's address, it waits
    /// beside others that do, and takes the place of none to the same neighbour.
    pub(crate) fn send_to(
        &mut self,
        now: Instant,
        link: &mut dyn Link,
        path: Path,
        len: usize,
        alongside: bool,
        write: &mut Write<'_>,
    ) -> Result<(), Full> {
        if crate::LOOPBACK && path.local {
            self.loopback.push(path.interface, len, write)?;
            self.stats.sent += 1;
            return Ok(());
        }
        let Some(interface) = self.interfaces.get(path.interface) else { return Err(Full) };
        let (own_mac, retransmit) = (interface.mac, interface.retransmit);
        let (device, tag) = (interface.device(path.interface), interface.tag());
        let ethertype = if path.next_hop.is_ipv4() { EtherType::IPV4 } else { EtherType::IPV6 };
        let frame_len = ethernet::HEADER_LEN + tag.map_or(0, |_| ethernet::TAG_LEN) + len;
        let mut put = |frame: &mut TxFrame<'_>, dst: MacAddr| {
            let header = ethernet::Repr { src: own_mac, dst, ethertype };
            let Ok(room) = header.emit_tagged(tag, frame.bytes) else {
                frame.len = 0;
                return;
            };
            let start = frame.len - room.len();
            let written = write(room, &mut frame.meta);
            frame.len = if written == 0 { 0 } else { start + written };
            if frame.meta.checksum_offset != 0 {
                frame.meta.checksum_start += start as u16;
            }
        };
        let group = group_mac(path.next_hop).or(match path.next_hop {
            IpAddr::V4(addr) if self.is_directed_broadcast(path.interface, addr) => Some(MacAddr::BROADCAST),
            _ => None,
        });
        let resolution = match group {
            Some(mac) => Resolution::Known(mac),
            None => self.neighbors.resolve(now, path.interface, path.next_hop, retransmit),
        };
        if let Resolution::Known(mac) = resolution {
            link.transmit(device, frame_len, &mut |frame| put(frame, mac))?;
            self.stats.sent += 1;
            return Ok(());
        }
        match self.pending_slot(path, alongside) {
            Some(pending) if frame_len <= pending.bytes.len() => {
                let mut frame = TxFrame::new(&mut pending.bytes[..frame_len]);
                put(&mut frame, MacAddr::UNSPECIFIED);
                (pending.len, pending.meta) = (frame.len, frame.meta);
                pending.since = now;
                pending.interface = path.interface;
                pending.next_hop = if pending.len > 0 { path.next_hop } else { PendingPacket::FREE };
            }
            _ => self.stats.unresolved += 1,
        }
        if resolution == Resolution::Ask {
            self.solicit(now, link, path.interface, path.next_hop, None);
        }
        Ok(())
    }

    /// The place for a packet to `path`: the one its predecessor has (unless `alongside`), a free one, the oldest.
    fn pending_slot(&mut self, path: Path, alongside: bool) -> Option<&mut PendingPacket> {
        let mine =
            |p: &PendingPacket| !alongside && p.next_hop == path.next_hop && p.interface == path.interface;
        let index = match self.pending.iter().position(mine) {
            Some(index) => index,
            None => {
                let key =
                    |(_, p): &(usize, &PendingPacket)| (p.next_hop != PendingPacket::FREE).then_some(p.since);
                self.pending.iter().enumerate().min_by_key(key)?.0
            }
        };
        let slot = self.pending.get_mut(index)?;
        if slot.next_hop != PendingPacket::FREE {
            self.stats.unresolved += 1;
        }
        Some(slot)
    }

    /// The next hop's address is known: what waited for it goes.
    pub(crate) fn send_pending(
        &mut self,
        link: &mut dyn Link,
        interface: usize,
        next_hop: IpAddr,
        mac: MacAddr,
    ) {
        let device = self.interfaces.get(interface).map_or(interface, |i| i.device(interface));
        for pending in self.pending.iter_mut() {
            if pending.next_hop != next_hop || pending.interface != interface {
                continue;
            }
            pending.next_hop = PendingPacket::FREE;
            let Some(bytes) = pending.bytes.get_mut(..pending.len) else { continue };
            if let Some(dst) = bytes.first_chunk_mut::<6>() {
                *dst = mac.0;
            }
            let meta = pending.meta;
            let sent = link.transmit(device, bytes.len(), &mut |frame| {
                if let Some(to) = frame.bytes.get_mut(..bytes.len()) {
                    to.copy_from_slice(bytes);
                }
                frame.meta = meta;
            });
            match sent {
                Ok(()) => self.stats.sent += 1,
                Err(Full) => self.stats.transmit_full += 1,
            }
        }
    }

    /// The next hop does not answer: what waited for it is dropped.
    pub(crate) fn drop_pending(
        &mut self,
        now: Instant,
        interface: usize,
        next_hop: IpAddr,
        link: &mut dyn Link,
    ) {
        let tag = self.interfaces.get(interface).and_then(|i| i.tag());
        let start = ethernet::HEADER_LEN + tag.map_or(0, |_| ethernet::TAG_LEN);
        for index in 0..self.pending.len() {
            let Some(pending) = self.pending.get_mut(index) else { return };
            if pending.next_hop != next_hop || pending.interface != interface {
                continue;
            }
            pending.next_hop = PendingPacket::FREE;
            self.stats.unresolved += 1;
            if crate::FORWARDING && self.forwarding {
                // Out of the table for as long as its sender is told.
                let (bytes, len) = (pending.bytes, pending.len);
                if let Some(packet) = bytes.get(start..len) {
                    self.undeliverable(now, packet, link);
                }
            }
            let Some(pending) = self.pending.get_mut(index) else { return };
            let packet = pending.bytes.get(..pending.len).and_then(|frame| frame.get(start..));
            let Some((src, dst, protocol, payload)) = packet.and_then(ends) else { continue };
            if let (protocol::UDP, Some(&[a, b, c, d])) = (protocol, payload.first_chunk::<4>()) {
                let (local, remote) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                let remote = SocketAddr::new(dst, remote);
                self.udp_error(now, src, local, remote, IcmpError::Soft, 0);
            }
        }
    }

    /// Asks for a neighbour's address, at `mac` or everyone.
    pub(crate) fn solicit(
        &mut self,
        now: Instant,
        link: &mut dyn Link,
        interface: usize,
        addr: IpAddr,
        mac: Option<MacAddr>,
    ) {
        match addr {
            IpAddr::V4(addr) => self.send_arp_request(now, link, interface, addr, mac),
            IpAddr::V6(addr) if crate::IPV6 => {
                self.send_neighbor_solicitation(now, link, interface, addr, mac.is_some());
            }
            IpAddr::V6(_) => {}
        }
    }
}
