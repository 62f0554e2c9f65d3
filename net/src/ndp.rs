//! ICMPv6 and neighbour discovery (RFC 4443, RFC 4861): echo, errors, solicitations, advertisements, redirects.
use crate::{
    address::{AddressState, solicited_node},
    icmp::Reported,
    ip::{Core, Delivery},
    ipv4::Received,
    link::Link,
    multicast::{Membership, Owner},
    neighbor::{Evidence, Replaces},
    output::{Outgoing, group_mac},
    tcp::IcmpError,
    wire::{
        WireError, icmpv6,
        ipv6::{self, Upper, upper_layer},
        ndp::{self, NdpOption},
        protocol,
    },
};
use airglow_device::{Instant, MacAddr};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use heapless::Vec;

/// All nodes of the link.
pub(crate) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// All routers of the link.
pub(crate) const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// All IPv4 hosts of the link.
const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);

impl Core<'_> {
    /// Takes in an ICMPv6 message whose checksum is right.
    pub(crate) fn receive_icmpv6<'f>(
        &mut self,
        now: Instant,
        received: &Received<'f>,
        link: &mut dyn Link,
    ) -> Option<Delivery<'f>> {
        if self.receive_mld(now, received) {
            return None;
        }
        match ndp::Repr::parse(received.payload) {
            Ok(message) => {
                //= https://www.rfc-editor.org/rfc/rfc4861#section-7.1.1
                //# A node MUST silently discard any received Neighbor Solicitation
                //# messages that do not satisfy all of the following validity checks:
                // RFC 6980 section 5: none in fragments, which whoever watches over a link cannot look into.
                let fragmented = received.fragmented || ipv6::behind(received.packet).fragment;
                if received.hop_limit == 255 && !fragmented {
                    self.receive_ndp(now, received, &message, link);
                } else {
                    self.stats.bad_neighbor += 1;
                }
                return None;
            }
            Err(WireError::Unsupported) => {}
            Err(_) => {
                self.stats.malformed += 1;
                return None;
            }
        }
        let Ok(message) = icmpv6::Repr::parse(received.payload) else {
            self.stats.malformed += 1;
            return None;
        };
        match message {
            icmpv6::Repr::EchoRequest { identifier, sequence, data } => {
                // A group's echo is limited like errors, so that nobody makes many hosts answer at once for long.
                if !received.unicast && !self.icmp_errors.allow(now) {
                    self.stats.icmp_limited += 1;
                    return None;
                }
                let source =
                    self.answer_source(now, &received.about()).filter(|_| !received.src.is_unspecified())?;
                let reply = icmpv6::Repr::EchoReply { identifier, sequence, data };
                let packet = Outgoing::new(source, received.src, protocol::ICMPV6, 0).on(received.interface);
                self.answer_parts(now, link, &packet, reply.header(), data);
                None
            }
            icmpv6::Repr::EchoReply { identifier, sequence, data } => {
                self.ping_receive(received, identifier, sequence, data);
                None
            }
            icmpv6::Repr::Unreachable { code, quoted } => {
                let hard = matches!(code, icmpv6::unreachable::PROHIBITED | icmpv6::unreachable::PORT);
                self.quoted_ipv6(received, if hard { IcmpError::Hard } else { IcmpError::Soft }, quoted)
            }
            icmpv6::Repr::PacketTooBig { mtu, quoted } => {
                self.quoted_ipv6(received, IcmpError::TooBig(mtu as usize), quoted)
            }
            icmpv6::Repr::TimeExceeded { quoted, .. } => self.quoted_ipv6(received, IcmpError::Soft, quoted),
            icmpv6::Repr::ParameterProblem { code, quoted, .. } => {
                let error = if code == 1 { IcmpError::Hard } else { IcmpError::Soft };
                self.quoted_ipv6(received, error, quoted)
            }
        }
    }

    /// Whom an error that quotes a packet of ours concerns.
    fn quoted_ipv6<'f>(
        &mut self,
        received: &Received<'f>,
        error: IcmpError,
        quoted: &'f [u8],
    ) -> Option<Delivery<'f>> {
        let Ok(packet) = ipv6::Packet::new_quoted(quoted) else {
            self.stats.malformed += 1;
            return None;
        };
        let (src, dst) = (packet.src().into(), packet.dst().into());
        let len = packet.total_len();
        let (protocol, quoted) = match upper_layer(&packet) {
            Upper::Protocol(protocol, quoted, _) => (protocol, quoted),
            // The first fragment of a packet of ours, which has no other extension header.
            Upper::Fragment { at, .. } => match packet.bytes().get(at..)?.split_first_chunk::<8>()? {
                (&[next, _, 0, 0..8, ..], quoted) => (next, quoted),
                _ => return None,
            },
            _ => return None,
        };
        self.report(received, &Reported { error, src, dst, protocol, len, quoted })
    }

    fn receive_ndp(
        &mut self,
        now: Instant,
        received: &Received<'_>,
        message: &ndp::Repr<'_>,
        link: &mut dyn Link,
    ) {
        let (IpAddr::V6(src), IpAddr::V6(dst)) = (received.src, received.dst) else { return };
        match *message {
            ndp::Repr::NeighborSolicitation { target, options } => {
                let mac = source_link_layer(options);
                //= https://www.rfc-editor.org/rfc/rfc4861#section-7.1.1
                //# If the IP source address is the unspecified address, the IP
                //# destination address is a solicited-node multicast address.
                let is_probe = src.is_unspecified();
                let bad_probe = is_probe && (dst != solicited_node(target) || mac.is_some());
                if target.is_multicast() || bad_probe {
                    self.stats.bad_neighbor += 1;
                    return;
                }
                self.receive_solicitation(now, received.interface, src, target, mac, link);
            }
            ndp::Repr::NeighborAdvertisement { router, solicited, overrides, target, options } => {
                //= https://www.rfc-editor.org/rfc/rfc4861#section-7.1.2
                //# If the IP Destination Address is a multicast address the
                //# Solicited flag is zero.
                if target.is_multicast() || (dst.is_multicast() && solicited) {
                    self.stats.bad_neighbor += 1;
                    return;
                }
                let mac = ndp::options(options).find_map(|option| match option {
                    NdpOption::TargetLinkLayer(mac) => Some(mac),
                    _ => None,
                });
                let replaces = if overrides { Replaces::Always } else { Replaces::Never };
                let evidence = Evidence { mac, solicited, replaces, is_router: Some(router), create: false };
                self.receive_advertisement(now, received.interface, target, evidence, link);
            }
            ndp::Repr::RouterAdvertisement { .. } => {
                //= https://www.rfc-editor.org/rfc/rfc4861#section-6.1.2
                //# IP Source Address is a link-local address.  Routers must use
                //# their link-local address as the source for Router Advertisement
                //# and Redirect messages so that hosts can uniquely identify
                //# routers.
                if src.is_unicast_link_local() {
                    self.receive_router_advertisement(now, received.interface, src, message, link);
                } else {
                    self.stats.bad_neighbor += 1;
                }
            }
            ndp::Repr::Redirect { target, destination, options } => {
                self.receive_redirect(now, received.interface, src, target, destination, options, link);
            }
            // For routers.
            ndp::Repr::RouterSolicitation { .. } => {}
        }
    }

    fn receive_solicitation(
        &mut self,
        now: Instant,
        interface: usize,
        src: Ipv6Addr,
        target: Ipv6Addr,
        mac: Option<MacAddr>,
        link: &mut dyn Link,
    ) {
        let mine =
            |a: &&mut crate::address::Address| a.cidr.addr == IpAddr::V6(target) && a.interface == interface;
        let Some(address) = self.addresses.iter_mut().flatten().find(mine) else { return };
        match address.state {
            AddressState::Tentative => {
                //= https://www.rfc-editor.org/rfc/rfc4862#section-5.4.3
                //# If the source address of the Neighbor Solicitation is the unspecified
                //# address, the solicitation is from a node performing Duplicate Address
                //# Detection.
                if src.is_unspecified() {
                    address.state = AddressState::Duplicate;
                    self.stats.conflicts += 1;
                    self.next = now;
                }
                return;
            }
            AddressState::Duplicate => return,
            AddressState::Announcing | AddressState::Ready => {}
        }
        let solicited = !src.is_unspecified();
        if solicited && mac.is_some_and(MacAddr::is_unicast) {
            self.learn(now, interface, src, Evidence { mac, ..Evidence::STALE }, link);
        }
        let Some(own_mac) = self.interfaces.get(interface).map(|i| i.mac) else { return };
        let mut options = [0; 8];
        if NdpOption::TargetLinkLayer(own_mac).emit(&mut options).is_err() {
            return;
        }
        let reply = ndp::Repr::NeighborAdvertisement {
            router: self.forwarding,
            solicited,
            overrides: true,
            target,
            options: &options,
        };
        //= https://www.rfc-editor.org/rfc/rfc4861#section-7.2.4
        //# If the source of the solicitation is the unspecified address, the
        //# node MUST set the Solicited flag to zero and multicast the
        //# advertisement to the all-nodes address.
        let dst = if solicited { src } else { ALL_NODES };
        self.send_ndp(now, link, interface, target, dst, &reply);
    }

    fn receive_advertisement(
        &mut self,
        now: Instant,
        interface: usize,
        target: Ipv6Addr,
        evidence: Evidence,
        link: &mut dyn Link,
    ) {
        let mine =
            |a: &&mut crate::address::Address| a.cidr.addr == IpAddr::V6(target) && a.interface == interface;
        if let Some(address) = self.addresses.iter_mut().flatten().find(mine) {
            self.stats.conflicts += 1;
            //= https://www.rfc-editor.org/rfc/rfc4862#section-5.4.4
            //# If the target address is tentative, the tentative address is not
            //# unique.
            if address.state == AddressState::Tentative {
                address.state = AddressState::Duplicate;
                self.next = now;
            }
            return;
        }
        if evidence.mac.is_some_and(|mac| !mac.is_unicast()) {
            self.stats.bad_neighbor += 1;
            return;
        }
        self.learn(now, interface, target, evidence, link);
    }

    /// Updates the neighbour cache and what hangs on it.
    pub(crate) fn learn(
        &mut self,
        now: Instant,
        interface: usize,
        addr: Ipv6Addr,
        evidence: Evidence,
        link: &mut dyn Link,
    ) {
        let Some(reachable) = self.interfaces.get(interface).map(|i| i.reachable) else { return };
        let learned = self.neighbors.learn(now, interface, addr.into(), evidence, reachable);
        if let Some(mac) = learned.resolved {
            self.send_pending(link, interface, addr.into(), mac);
        }
        if learned.left_routers {
            //= https://www.rfc-editor.org/rfc/rfc4861#section-7.2.5
            //# In those cases where the IsRouter flag
            //# changes from TRUE to FALSE as a result of this update, the node
            //# MUST remove that router from the Default Router List and update
            //# the Destination Cache entries for all destinations using that
            //# neighbor as a router
            self.remove_router(interface, addr);
        }
    }

    /// Removes the routes over a router that is none any more.
    pub(crate) fn remove_router(&mut self, interface: usize, router: Ipv6Addr) {
        self.routes.retain(|r| {
            r.gateway != Some(router.into()) || r.interface != interface || r.expires == Instant::MAX
        });
        self.last_path = None;
    }

    #[allow(clippy::too_many_arguments)]
    fn receive_redirect(
        &mut self,
        now: Instant,
        interface: usize,
        src: Ipv6Addr,
        target: Ipv6Addr,
        destination: Ipv6Addr,
        options: &[u8],
        link: &mut dyn Link,
    ) {
        let good = src.is_unicast_link_local() && (target.is_unicast_link_local() || target == destination);
        //= https://www.rfc-editor.org/rfc/rfc4861#section-8.1
        //# The IP source address of the Redirect is the same as the current
        //# first-hop router for the specified ICMP Destination Address.
        if !good || !self.follow_redirect(now, interface, src.into(), target.into(), destination.into()) {
            self.stats.bad_neighbor += 1;
            return;
        }
        let mac = ndp::options(options).find_map(|option| match option {
            NdpOption::TargetLinkLayer(mac) if mac.is_unicast() => Some(mac),
            _ => None,
        });
        //= https://www.rfc-editor.org/rfc/rfc4861#section-8.3
        //# If the Target Address is not the same as the Destination Address, the
        //# host MUST set IsRouter to TRUE for the target.
        let is_router = (target != destination).then_some(true);
        self.learn(now, interface, target, Evidence { mac, is_router, ..Evidence::STALE }, link);
    }

    /// Sends a neighbour discovery message.
    pub(crate) fn send_ndp(
        &mut self,
        now: Instant,
        link: &mut dyn Link,
        interface: usize,
        src: Ipv6Addr,
        dst: Ipv6Addr,
        message: &ndp::Repr<'_>,
    ) {
        let mut packet = Outgoing::new(src.into(), dst.into(), protocol::ICMPV6, message.len()).on(interface);
        packet.hop_limit = Some(255);
        self.answer(now, link, &packet, &mut |room| message.emit(room).map_or(0, |()| message.len()));
    }

    /// Asks for a neighbour's address, it alone or all that may have it (RFC 4861 section 7.2.2).
    pub(crate) fn send_neighbor_solicitation(
        &mut self,
        now: Instant,
        link: &mut dyn Link,
        interface: usize,
        target: Ipv6Addr,
        unicast: bool,
    ) {
        if let Some(IpAddr::V6(src)) = self.source(now, interface, target.into()) {
            let dst = if unicast { target } else { solicited_node(target) };
            self.solicit_from(now, link, interface, src, dst, target);
        }
    }

    /// A solicitation for `target`; from the unspecified address it is a probe for duplicates.
    pub(crate) fn solicit_from(
        &mut self,
        now: Instant,
        link: &mut dyn Link,
        interface: usize,
        src: Ipv6Addr,
        dst: Ipv6Addr,
        target: Ipv6Addr,
    ) {
        let Some(mac) = self.interfaces.get(interface).map(|i| i.mac) else { return };
        let mut options = [0; 8];
        if NdpOption::SourceLinkLayer(mac).emit(&mut options).is_err() {
            return;
        }
        let options = if src.is_unspecified() { &[] } else { &options[..] };
        self.send_ndp(now, link, interface, src, dst, &ndp::Repr::NeighborSolicitation { target, options });
    }

    /// The Ethernet groups that the device of `interface` must pass, when they changed since the last call.
    pub(crate) fn take_groups(&mut self, interface: usize, groups: &mut Vec<MacAddr, 64>) -> bool {
        // The device has the groups of its VLANs too.
        let (mut mine, mut changed) = (0u64, false);
        for (index, card) in self.interfaces.iter_mut().enumerate().take(64) {
            if card.active && card.device(index) == interface {
                mine |= 1 << index;
                changed |= core::mem::take(&mut card.groups_changed);
            }
        }
        if !changed {
            return false;
        }
        let on = |index: usize| index < 64 && mine >> index & 1 == 1;
        groups.clear();
        let mut add = |group: IpAddr| {
            if let Some(mac) = group_mac(group)
                && !groups.contains(&mac)
            {
                let _ = groups.push(mac);
            }
        };
        add(ALL_SYSTEMS.into());
        let heard = |m: &&Membership| on(m.interface) && m.owner != Owner::Nobody;
        for membership in self.groups.iter().flatten().filter(heard) {
            add(membership.group);
        }
        if !crate::IPV6 {
            return true;
        }
        add(ALL_NODES.into());
        for address in self.addresses.iter().flatten().filter(|a| on(a.interface)) {
            if let IpAddr::V6(addr) = address.cidr.addr {
                add(solicited_node(addr).into());
            }
        }
        true
    }
}

/// The sender's Ethernet address, if it is among the options.
pub(crate) fn source_link_layer(options: &[u8]) -> Option<MacAddr> {
    ndp::options(options).find_map(|option| match option {
        NdpOption::SourceLinkLayer(mac) => Some(mac),
        _ => None,
    })
}
