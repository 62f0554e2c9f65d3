//! Forwarding between interfaces (RFC 1812, RFC 8200), off until it is asked for, and the hook for a firewall.
use crate::{
    checksum::Sum,
    icmp::About,
    ip::{Arrival, Core},
    link::Link,
    output::{Path, checksum_offset, transport_checksum},
    wire::{
        icmpv4, icmpv6, ipv4,
        ipv6::{self, Upper, upper_layer},
        protocol,
    },
};
use airglow_device::{Cut, Instant, TxMeta};
use core::net::IpAddr;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Accept,
    /// It is dropped in silence.
    Drop,
    /// It is dropped, and its sender told that it is forbidden.
    Reject,
}

/// A packet on its way through the stack.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'p> {
    /// When it came.
    pub now: Instant,
    /// Over which interface it came.
    pub from: usize,
    /// Over which it will go; `None` when it is for us.
    pub to: Option<usize>,
    /// The packet from its IP header on, as it came. The checksum of its transport may be incomplete.
    pub packet: &'p [u8],
}

/// Decides over the packets of others: a firewall. It is asked once for each packet, before anything else is done with it, and
/// keeps what it must remember behind a `Cell` or `RefCell`.
pub trait Filter {
    /// A packet is about to be forwarded.
    fn forward(&self, packet: &Passing<'_>) -> Verdict {
        let _ = packet;
        Verdict::Accept
    }
    /// A packet for us is about to be delivered to TCP, UDP, ICMP or a raw socket. A fragment is asked about like any packet, and
    /// what is put together of them again.
    fn deliver(&self, packet: &Passing<'_>) -> Verdict {
        let _ = packet;
        Verdict::Accept
    }
}

/// A packet to be forwarded, and what was read of its headers.
struct Transit<'p> {
    path: Path,
    about: About<'p>,
    /// The IPv4 header, or IPv6's with the extension headers in front of the transport.
    headers: usize,
    /// The transport, where its checksum is and its bytes; not for fragments.
    transport: Option<(u8, usize)>,
    /// The checksum may be incomplete.
    incomplete: bool,
    /// TCP payload of each of the segments that were coalesced, or 0.
    gro_segment: usize,
}

/// Addresses whose packets stay on their link.
fn stays(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(a) => {
            a.is_link_local()
                || a.is_loopback()
                || a.is_multicast()
                || a.is_broadcast()
                || a.octets()[0] == 0
                || a.octets()[0] >= 240
        }
        IpAddr::V6(a) => {
            a.is_unicast_link_local() || a.is_loopback() || a.is_multicast() || a.is_unspecified()
        }
    }
}

/// An ICMPv4 error, about which no other error is sent (RFC 1122 section 3.2.2).
fn is_error(protocol: u8, message: &[u8]) -> bool {
    protocol == protocol::ICMP && matches!(message.first(), Some(3 | 4 | 5 | 11 | 12))
}

impl<'m> Core<'m> {
    /// Forwards packets of others from now on, or no longer. Then a packet to the address of another of our interfaces is ours
    /// too, and neighbours are told that we are a router.
    ///
    /// Without the feature `forwarding` it does nothing.
    pub fn set_forwarding(&mut self, on: bool) {
        self.forwarding = crate::FORWARDING && on;
    }

    /// Asks `filter` about all packets from now on. Without the feature `forwarding` it is not asked.
    pub fn set_filter(&mut self, filter: Option<&'m dyn Filter>) {
        self.filter = filter;
    }

    /// Asks the filter; `true`: the packet goes on.
    pub(crate) fn passes(
        &mut self,
        now: Instant,
        to: Option<usize>,
        about: &About<'_>,
        link: &mut dyn Link,
    ) -> bool {
        if !crate::FORWARDING {
            return true;
        }
        let Some(filter) = self.filter else { return true };
        let passing = Passing { now, from: about.interface, to, packet: about.packet };
        let verdict = if to.is_some() { filter.forward(&passing) } else { filter.deliver(&passing) };
        if verdict != Verdict::Accept {
            self.stats.filtered += 1;
        }
        if verdict == Verdict::Reject {
            self.unreachable(now, about, 13, icmpv6::unreachable::PROHIBITED, link);
        }
        verdict == Verdict::Accept
    }

    /// Tells the sender of a packet that it cannot be delivered; the code of each IP version.
    fn unreachable(&mut self, now: Instant, about: &About<'_>, v4: u8, v6: u8, link: &mut dyn Link) {
        self.complain(
            now,
            about,
            &|quoted| icmpv4::Repr::Unreachable { code: v4, mtu: 0, quoted },
            &|quoted| icmpv6::Repr::Unreachable { code: v6, quoted },
            link,
        );
    }

    /// Sends an ICMP error about a packet of others, unless it is one itself or a later fragment.
    fn complain<'f>(
        &mut self,
        now: Instant,
        about: &About<'f>,
        v4: &dyn Fn(&'f [u8]) -> icmpv4::Repr<'f>,
        v6: &dyn Fn(&'f [u8]) -> icmpv6::Repr<'f>,
        link: &mut dyn Link,
    ) {
        if about.src.is_ipv4() {
            let Ok(packet) = ipv4::Packet::new_checked(about.packet) else { return };
            if packet.fragment_offset() == 0 && !is_error(packet.protocol(), packet.payload()) {
                self.send_icmpv4_error(now, about, v4, link);
            }
        } else if crate::IPV6 {
            let Ok(packet) = ipv6::Packet::new_checked(about.packet) else { return };
            let silent = match upper_layer(&packet) {
                Upper::Protocol(..) | Upper::Fragment { .. } => false,
                Upper::Problem { .. } | Upper::Drop => true,
            };
            if !silent {
                self.send_icmpv6_error(now, about, v6, link);
            }
        }
    }

    /// A packet of others waited in vain for its next hop's address.
    pub(crate) fn undeliverable(&mut self, now: Instant, packet: &[u8], link: &mut dyn Link) {
        let ends: Option<(IpAddr, IpAddr)> = match packet.first().map(|first| first >> 4) {
            Some(4) => ipv4::Packet::new_checked(packet).ok().map(|p| (p.src().into(), p.dst().into())),
            _ => ipv6::Packet::new_checked(packet).ok().map(|p| (p.src().into(), p.dst().into())),
        };
        let Some((src, dst)) = ends else { return };
        if self.own_interface(src).is_some() || stays(src) {
            return;
        }
        let Some(path) = self.path(now, src, None) else { return };
        let about = About { interface: path.interface, src, dst, unicast: true, ours: false, packet };
        self.unreachable(now, &about, icmpv4::unreachable::HOST, icmpv6::unreachable::ADDRESS, link);
    }

    /// Forwards a packet that is not for us; `false` when it is not to be forwarded at all.
    pub(crate) fn forward_ipv4(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        packet: &ipv4::Packet<'_>,
        link: &mut dyn Link,
    ) -> bool {
        let fragment = packet.is_fragment();
        let headers = packet.bytes().len() - packet.payload().len();
        let transport = checksum_offset(packet.protocol()).filter(|_| !fragment);
        let transport = transport.map(|offset| (packet.protocol(), offset));
        let ends = (IpAddr::V4(packet.src()), IpAddr::V4(packet.dst()));
        let bytes = packet.bytes();
        self.forward(now, arrival, ends, bytes, packet.ttl(), headers, transport, link)
    }

    /// The same of IPv6.
    pub(crate) fn forward_ipv6(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        packet: &ipv6::Packet<'_>,
        link: &mut dyn Link,
    ) -> bool {
        let bytes = packet.bytes();
        let (headers, transport) = match upper_layer(packet) {
            Upper::Protocol(protocol, payload, _) => {
                let transport = checksum_offset(protocol).filter(|_| protocol != protocol::ICMPV6);
                (bytes.len() - payload.len(), transport.map(|offset| (protocol, offset)))
            }
            _ => (ipv6::HEADER_LEN, None),
        };
        let ends = (IpAddr::V6(packet.src()), IpAddr::V6(packet.dst()));
        self.forward(now, arrival, ends, bytes, packet.hop_limit(), headers, transport, link)
    }

    #[allow(clippy::too_many_arguments)]
    fn forward(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        (src, dst): (IpAddr, IpAddr),
        packet: &[u8],
        hops: u8,
        headers: usize,
        transport: Option<(u8, usize)>,
        link: &mut dyn Link,
    ) -> bool {
        if !self.forwarding || arrival.group_frame || arrival.looped || stays(src) || stays(dst) {
            return false;
        }
        if let IpAddr::V4(dst) = dst
            && (0..self.interfaces.len()).any(|interface| self.is_directed_broadcast(interface, dst))
        {
            // RFC 2644: not to all hosts of a network elsewhere.
            return false;
        }
        let about = About { interface: arrival.interface, src, dst, unicast: true, ours: false, packet };
        let Some(path) = self.path(now, dst, None) else {
            self.stats.no_route += 1;
            if self.passes(now, Some(arrival.interface), &about, link) {
                self.unreachable(now, &about, icmpv4::unreachable::NET, icmpv6::unreachable::NO_ROUTE, link);
            }
            return true;
        };
        if !self.passes(now, Some(path.interface), &about, link) {
            return true;
        }
        //= https://www.rfc-editor.org/rfc/rfc1812#section-5.3.1
        //# When a router forwards a packet, it MUST reduce the TTL by at least
        //# one.
        if hops <= 1 {
            self.complain(
                now,
                &about,
                &|quoted| icmpv4::Repr::TimeExceeded { code: 0, quoted },
                &|quoted| icmpv6::Repr::TimeExceeded { code: 0, quoted },
                link,
            );
            return true;
        }
        let transit = Transit {
            path,
            about,
            headers,
            transport,
            incomplete: arrival.meta.checksum_ok,
            gro_segment: arrival.meta.gro_segment.into(),
        };
        self.transmit_transit(now, &transit, link);
        true
    }

    fn transmit_transit(&mut self, now: Instant, transit: &Transit<'_>, link: &mut dyn Link) {
        let packet = transit.about.packet;
        let is_ipv4 = transit.about.dst.is_ipv4();
        let Some(interface) = self.interfaces.get(transit.path.interface) else { return };
        let (mtu, caps) = (interface.mtu(is_ipv4), interface.caps);
        let tso = if is_ipv4 { caps.tso_v4 } else { caps.tso_v6 };
        let offload = caps.checksums.tx;
        let tcp_header = match transit.transport {
            Some((protocol::TCP, _)) => {
                packet.get(transit.headers + 12).map_or(0, |offset| usize::from(offset >> 4) * 4)
            }
            _ => 0,
        };
        let each = transit.headers + tcp_header + transit.gro_segment;
        let fits = if packet.len() <= mtu {
            self.send_transit(now, transit, packet.len(), link, &mut |room, meta| {
                room.copy_from_slice(packet);
                finish(room, transit, offload, meta)
            })
        } else if transit.gro_segment > 0 && tcp_header >= 20 && each <= mtu && offload && packet.len() <= tso
        {
            // What one card has coalesced the other cuts again.
            self.send_transit(now, transit, packet.len(), link, &mut |room, meta| {
                room.copy_from_slice(packet);
                finish(room, transit, true, meta)?;
                *meta = meta.segments(transit.gro_segment as u16);
                Some(())
            })
        } else if transit.gro_segment > 0 && tcp_header >= 20 && each <= mtu {
            self.cut_transit(now, transit, offload, link);
            return;
        } else if is_ipv4 && !ipv4::Packet::new_checked(packet).is_ok_and(|p| p.dont_fragment()) {
            self.fragment_transit(now, transit, mtu, link);
            return;
        } else {
            let mtu16 = u16::try_from(mtu).unwrap_or(u16::MAX);
            //= https://www.rfc-editor.org/rfc/rfc4443#section-3.2
            //# A Packet Too Big MUST be sent by a router in response to a packet
            //# that it cannot forward because the packet is larger than the MTU of
            //# the outgoing link.
            self.complain(
                now,
                &transit.about,
                &|quoted| icmpv4::Repr::Unreachable {
                    code: icmpv4::unreachable::FRAGMENTATION_NEEDED,
                    mtu: mtu16,
                    quoted,
                },
                &|quoted| icmpv6::Repr::PacketTooBig { mtu: mtu as u32, quoted },
                link,
            );
            return;
        };
        if fits {
            self.stats.forwarded += 1;
        }
    }

    /// Sends one packet of `len` bytes that `write` writes; whether there was room.
    fn send_transit(
        &mut self,
        now: Instant,
        transit: &Transit<'_>,
        len: usize,
        link: &mut dyn Link,
        write: &mut dyn FnMut(&mut [u8], &mut TxMeta) -> Option<()>,
    ) -> bool {
        let sent = self.send_to(now, link, transit.path, len, true, &mut |room, meta| {
            let Some(room) = room.get_mut(..len) else { return 0 };
            match write(room, meta).and_then(|()| one_hop_less(room)) {
                Some(()) => len,
                None => 0,
            }
        });
        if sent.is_err() {
            self.stats.transmit_full += 1;
        }
        sent.is_ok()
    }

    /// Sends a packet that a card has coalesced as the segments it was, over one that does not cut.
    fn cut_transit(&mut self, now: Instant, transit: &Transit<'_>, offload: bool, link: &mut dyn Link) {
        let Some(cut) = Cut::new(transit.about.packet, 0, transit.headers, transit.gro_segment) else {
            return;
        };
        for number in 0..cut.count() {
            self.send_transit(now, transit, cut.len(number), link, &mut |room, meta| {
                cut.write(number, room)?;
                complete(room, transit, offload, meta)
            });
        }
        self.stats.forwarded += 1;
    }

    /// Cuts an IPv4 packet into fragments that fit `mtu` (RFC 791 section 3.2).
    fn fragment_transit(&mut self, now: Instant, transit: &Transit<'_>, mtu: usize, link: &mut dyn Link) {
        let Ok(packet) = ipv4::Packet::new_checked(transit.about.packet) else { return };
        let (bytes, payload) = (packet.bytes(), packet.payload());
        let (base, last_more) = (packet.fragment_offset(), packet.more_fragments());
        // Later fragments carry only the options that say so.
        let mut kept = heapless::Vec::<u8, 40>::new();
        let mut options = packet.options();
        while let [kind, rest @ ..] = options {
            let len = match kind {
                0 => break,
                1 => 1,
                _ => usize::from(rest.first().copied().unwrap_or(0)).max(2),
            };
            let Some((option, after)) = options.split_at_checked(len) else { break };
            if kind & 0x80 != 0 {
                let _ = kept.extend_from_slice(option);
            }
            options = after;
        }
        while !kept.len().is_multiple_of(4) {
            let _ = kept.push(0);
        }
        let mut offset = 0;
        while offset < payload.len() {
            let options = if offset == 0 { packet.options() } else { &kept };
            let headers = ipv4::HEADER_LEN + options.len();
            let step = mtu.saturating_sub(headers) / 8 * 8;
            if step == 0 {
                return;
            }
            let size = step.min(payload.len() - offset);
            let more = last_more || offset + size < payload.len();
            let sent = self.send_transit(now, transit, headers + size, link, &mut |room, _| {
                let (header, body) = room.split_at_mut_checked(headers)?;
                header.get_mut(..ipv4::HEADER_LEN)?.copy_from_slice(bytes.get(..ipv4::HEADER_LEN)?);
                header.get_mut(ipv4::HEADER_LEN..)?.copy_from_slice(options);
                *header.first_mut()? = 0x40 | (headers / 4) as u8;
                header.get_mut(2..4)?.copy_from_slice(&((headers + size) as u16).to_be_bytes());
                ipv4::set_fragment(header, base + offset, more)?;
                body.copy_from_slice(payload.get(offset..offset + size)?);
                if offset == 0
                    && let Some((protocol, at)) = transit.transport
                    && transit.incomplete
                {
                    let checksum = whole_checksum(payload, transit, protocol, at)?;
                    body.get_mut(at..at + 2)?.copy_from_slice(&checksum);
                }
                Some(())
            });
            if !sent {
                return;
            }
            self.stats.fragments_sent += 1;
            offset += size;
        }
        self.stats.forwarded += 1;
    }
}

/// Takes one hop off, and makes the header's checksum right.
fn one_hop_less(packet: &mut [u8]) -> Option<()> {
    if packet.first()? >> 4 == 6 {
        *packet.get_mut(7)? -= 1;
        return Some(());
    }
    let len = usize::from(packet.first()? & 15) * 4;
    let header = packet.get_mut(..len)?;
    *header.get_mut(8)? -= 1;
    header.get_mut(10..12)?.fill(0);
    let checksum = Sum::ZERO.bytes(header).finish();
    header.get_mut(10..12)?.copy_from_slice(&checksum.to_be_bytes());
    Some(())
}

/// The checksum of a transport whose field, at `at`, is not to be trusted; as it is where a sender left it out.
fn whole_checksum(payload: &[u8], transit: &Transit<'_>, protocol: u8, at: usize) -> Option<[u8; 2]> {
    let &field = payload.get(at..)?.first_chunk::<2>()?;
    if protocol == protocol::UDP && field == [0, 0] {
        return Some(field);
    }
    let About { src, dst, .. } = transit.about;
    let (before, after) = (payload.get(..at)?, payload.get(at + 2..)?);
    let sum = Sum::pseudo_header(src, dst, protocol, payload.len()).bytes(before).bytes(after);
    Some(transport_checksum(protocol, sum).to_be_bytes())
}

/// Completes the checksum of a packet that came from a device which knows it to be right and may not have written it.
fn finish(packet: &mut [u8], transit: &Transit<'_>, offload: bool, meta: &mut TxMeta) -> Option<()> {
    if transit.incomplete { complete(packet, transit, offload, meta) } else { Some(()) }
}

/// Computes the transport's checksum, or leaves it to the device.
fn complete(packet: &mut [u8], transit: &Transit<'_>, offload: bool, meta: &mut TxMeta) -> Option<()> {
    let Some((protocol, at)) = transit.transport else { return Some(()) };
    let payload = packet.get_mut(transit.headers..)?;
    let About { src, dst, .. } = transit.about;
    let len = payload.len();
    if protocol == protocol::UDP && payload.get(at..at + 2)? == [0, 0] {
        return Some(());
    }
    let checksum = if offload {
        *meta = TxMeta::checksum(transit.headers as u16, at as u16);
        Sum::pseudo_header(src, dst, protocol, len).fold().to_be_bytes()
    } else {
        whole_checksum(payload, transit, protocol, at)?
    };
    payload.get_mut(at..at + 2)?.copy_from_slice(&checksum);
    Some(())
}
