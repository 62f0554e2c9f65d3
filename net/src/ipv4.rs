//! What to do with a received IPv4 packet.
use crate::{
    checksum::Sum,
    icmp::About,
    ip::{Arrival, Core, Delivery},
    link::Link,
    output::checksum_offset,
    udp::Responder,
    wire::{WireError, icmpv4, ipv4::Packet, protocol, udp},
};
use airglow_device::{Instant, RxMeta};
use core::net::{IpAddr, Ipv4Addr};

/// A received packet, as far as the layers above care.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received<'f> {
    pub now: Instant,
    pub interface: usize,
    pub src: IpAddr,
    pub dst: IpAddr,
    /// It went to one of our unicast addresses, in a frame to us alone.
    pub unicast: bool,
    pub ecn: u8,
    pub hop_limit: u8,
    /// It was put together of fragments.
    pub fragmented: bool,
    pub payload: &'f [u8],
    /// The packet from its IP header on, for an ICMP error to quote.
    pub packet: &'f [u8],
}

impl Core<'_> {
    pub(crate) fn receive_ipv4<'f>(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        bytes: &'f [u8],
        link: &mut dyn Link,
        responder: Option<&mut Responder<'_>>,
    ) -> Option<Delivery<'f>> {
        let packet = match Packet::new_checked(bytes) {
            Ok(packet) => packet,
            Err(WireError::Checksum) => {
                self.stats.bad_checksum += 1;
                return None;
            }
            Err(_) => {
                self.stats.malformed += 1;
                return None;
            }
        };
        let Arrival { interface, meta, group_frame, looped, fragmented } = *arrival;
        let (src, dst) = (packet.src(), packet.dst());
        let own = (looped && !dst.is_multicast())
            || self.is_own(interface, dst.into())
            || (self.forwarding && self.own_interface(dst.into()).is_some());
        let broadcast = dst.is_broadcast() || self.is_directed_broadcast(interface, dst);
        let group =
            dst == Ipv4Addr::new(224, 0, 0, 1) || (dst.is_multicast() && self.listens(interface, dst.into()));
        // A DHCP server sends to the address it is about to give, which we do not have yet (RFC 2131 section 4.1).
        let for_dhcp = packet.protocol() == protocol::UDP && !group_frame && self.dhcp_waits(interface);
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.3
        //# A host MUST silently discard an incoming datagram containing
        //# an IP source address that is invalid by the rules of this
        //# section.
        let bad_source = src.is_multicast()
            || src.is_broadcast()
            || self.is_directed_broadcast(interface, src)
            || (!looped && (src.is_loopback() || self.is_own(interface, src.into())));
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.6
        //# A host SHOULD silently discard a datagram that is received via
        //# a link-layer broadcast (see Section 2.4) but does not specify
        //# an IP multicast or broadcast destination address.
        let bad_frame = own && group_frame;
        let ours = own || broadcast || group || for_dhcp;
        if !ours && !bad_source && crate::FORWARDING && self.forward_ipv4(now, arrival, &packet, link) {
            return None;
        }
        if bad_source || bad_frame || !ours {
            self.stats.bad_address += 1;
            return None;
        }
        if crate::FORWARDING && self.filter.is_some() {
            let bytes = packet.bytes();
            let about =
                About { interface, src: src.into(), dst: dst.into(), unicast: own, ours: own, packet: bytes };
            if !looped && !self.passes(now, None, &about, link) {
                return None;
            }
        }
        if packet.is_fragment() {
            self.stats.fragments += 1;
            self.receive_fragment_v4(now, arrival, &packet);
            return None;
        }
        let received = Received {
            now,
            interface,
            src: src.into(),
            dst: dst.into(),
            unicast: own,
            ecn: packet.traffic_class() & 3,
            hop_limit: packet.ttl(),
            fragmented,
            payload: packet.payload(),
            packet: packet.bytes(),
        };
        self.deliver(now, packet.protocol(), &received, meta, link, responder)
    }

    /// Checks the transport checksum, the one place where that is done, and hands the packet to its protocol.
    pub(crate) fn deliver<'f>(
        &mut self,
        now: Instant,
        protocol: u8,
        received: &Received<'f>,
        meta: RxMeta,
        link: &mut dyn Link,
        responder: Option<&mut Responder<'_>>,
    ) -> Option<Delivery<'f>> {
        let Received { src, dst, payload, .. } = *received;
        if !meta.checksum_ok && checksum_offset(protocol).is_some() {
            // RFC 768: over IPv4 a sender may go without.
            let none =
                protocol == protocol::UDP && src.is_ipv4() && matches!(payload, [_, _, _, _, _, _, 0, 0, ..]);
            let sum = Sum::pseudo_header(src, dst, protocol, payload.len());
            if !none && !sum.bytes(payload).is_correct() {
                self.stats.bad_checksum += 1;
                return None;
            }
        }
        let heard = crate::RAW && self.raw_sockets > 0 && self.raw_receive(protocol, received);
        match protocol {
            protocol::TCP => {
                // RFC 9293 section 3.10.7: connections are between two unicast addresses.
                if !received.unicast || src.is_unspecified() {
                    self.stats.bad_address += 1;
                    return None;
                }
                let gro_segment = meta.gro_segment;
                Some(Delivery::Segment { src, dst, ecn: received.ecn, segment: payload, gro_segment })
            }
            protocol::UDP => {
                match udp::Datagram::new_checked(payload) {
                    Ok(datagram) => self.receive_udp(now, received, &datagram, link, responder),
                    Err(_) => self.stats.malformed += 1,
                }
                None
            }
            protocol::ICMP if src.is_ipv4() => match icmpv4::Repr::parse(payload) {
                Ok(message) => self.receive_icmpv4(now, received, &message, link),
                Err(WireError::Checksum) => {
                    self.stats.bad_checksum += 1;
                    None
                }
                Err(_) => {
                    self.stats.malformed += 1;
                    None
                }
            },
            protocol::IGMP if crate::MULTICAST && src.is_ipv4() => {
                self.receive_igmp(now, received);
                None
            }
            protocol::ICMPV6 if crate::IPV6 && src.is_ipv6() => self.receive_icmpv6(now, received, link),
            _ if heard => None,
            _ => {
                self.stats.unknown_protocol += 1;
                self.send_protocol_unreachable(now, received, link);
                None
            }
        }
    }
}
