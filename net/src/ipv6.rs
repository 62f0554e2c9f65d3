//! What to do with a received IPv6 packet.
use crate::{
    ip::{Arrival, Core, Delivery},
    ipv4::Received,
    link::Link,
    udp::Responder,
    wire::{
        icmpv6,
        ipv6::{Packet, Upper, upper_layer},
        protocol,
    },
};
use airglow_device::Instant;
use core::net::IpAddr;

impl Core<'_> {
    pub(crate) fn receive_ipv6<'f>(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        bytes: &'f [u8],
        link: &mut dyn Link,
        responder: Option<&mut Responder<'_>>,
    ) -> Option<Delivery<'f>> {
        let Ok(packet) = Packet::new_checked(bytes) else {
            self.stats.malformed += 1;
            return None;
        };
        let Arrival { interface, meta, group_frame, looped, fragmented } = *arrival;
        let (src, dst) = (packet.src(), packet.dst());
        let own = (looped && !dst.is_multicast())
            || self.is_own(interface, dst.into())
            || (self.forwarding && !dst.is_unicast_link_local() && self.own_interface(dst.into()).is_some());
        let group = dst.is_multicast() && self.is_member(interface, dst);
        //= https://www.rfc-editor.org/rfc/rfc4291#section-2.7
        //# Multicast addresses must not be used as source addresses in IPv6
        //# packets or appear in any Routing header.
        let bad_source =
            src.is_multicast() || (!looped && (src.is_loopback() || self.is_own(interface, src.into())));
        if !own
            && !group
            && !bad_source
            && crate::FORWARDING
            && self.forward_ipv6(now, arrival, &packet, link)
        {
            return None;
        }
        if bad_source || !(own || group) {
            self.stats.bad_address += 1;
            return None;
        }
        let mut received = Received {
            now,
            interface,
            src: src.into(),
            dst: dst.into(),
            unicast: own && !group_frame,
            ecn: packet.traffic_class() & 3,
            payload: packet.payload(),
            packet: packet.bytes(),
            hop_limit: packet.hop_limit(),
            fragmented,
        };
        if crate::FORWARDING
            && self.filter.is_some()
            && !looped
            && !self.passes(now, None, &received.about(), link)
        {
            return None;
        }
        match upper_layer(&packet) {
            Upper::Protocol(next, payload, pointer) => {
                let known = matches!(next, protocol::TCP | protocol::UDP | protocol::ICMPV6)
                    || (crate::RAW && self.is_heard(next));
                if !known {
                    self.stats.unknown_protocol += 1;
                    let error = |quoted| icmpv6::Repr::ParameterProblem { code: 1, pointer, quoted };
                    if received.unicast {
                        self.send_icmpv6_error(now, &received.about(), &error, link);
                    }
                    return None;
                }
                received.payload = payload;
                self.deliver(now, next, &received, meta, link, responder)
            }
            Upper::Fragment { at, named_at } => {
                self.stats.fragments += 1;
                self.receive_fragment_v6(now, arrival, &packet, at, named_at, link);
                None
            }
            Upper::Problem { code, pointer, multicast } => {
                self.stats.malformed += 1;
                let error = |quoted| icmpv6::Repr::ParameterProblem { code, pointer, quoted };
                if received.unicast || multicast {
                    self.send_icmpv6_error(now, &received.about(), &error, link);
                }
                None
            }
            Upper::Drop => {
                self.stats.malformed += 1;
                None
            }
        }
    }

    /// The interface listens to the group `dst`: all nodes, or the solicited-node group of an address.
    fn is_member(&self, interface: usize, dst: core::net::Ipv6Addr) -> bool {
        let Some(card) = self.interfaces.get(interface) else { return false };
        if !card.config.is_some_and(|c| c.ipv6_enabled) {
            return false;
        }
        dst == crate::ndp::ALL_NODES
            || self.listens(interface, dst.into())
            || self.addresses.iter().flatten().any(|a| match a.cidr.addr {
                IpAddr::V6(addr) => a.interface == interface && crate::address::solicited_node(addr) == dst,
                IpAddr::V4(_) => false,
            })
    }
}
