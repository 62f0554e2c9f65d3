//! ARP (RFC 826), and the probes, announcements and defence of IPv4 addresses (RFC 5227).
use crate::{
    address::{AddressState, Origin},
    ip::Core,
    link::Link,
    neighbor::{Evidence, Replaces},
    wire::{
        arp::{self, Operation},
        ethernet::{self, EtherType},
    },
};
use airglow_device::{Instant, MacAddr};
use core::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

// RFC 5227 section 1.1
const PROBE_NUM: u8 = 3;
const PROBE_MIN: Duration = Duration::from_secs(1);
const PROBE_SPREAD_NANOS: u64 = 1_000_000_000;
const ANNOUNCE_WAIT: Duration = Duration::from_secs(2);
const ANNOUNCE_NUM: u8 = 2;
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);

impl Core<'_> {
    fn send_arp(&mut self, link: &mut dyn Link, interface: usize, dst: MacAddr, packet: arp::Repr) {
        let header = ethernet::Repr { src: packet.sender_mac, dst, ethertype: EtherType::ARP };
        let Some(card) = self.interfaces.get(interface) else { return };
        let (device, tag) = (card.device(interface), card.tag());
        let len = ethernet::HEADER_LEN + tag.map_or(0, |_| ethernet::TAG_LEN) + arp::LEN;
        let sent = link.transmit(device, len, &mut |frame| {
            let written = header.emit_tagged(tag, frame.bytes).and_then(|payload| packet.emit(payload));
            if written.is_err() {
                frame.len = 0;
            }
        });
        match sent {
            Ok(()) => self.stats.sent += 1,
            Err(_) => self.stats.transmit_full += 1,
        }
    }

    fn arp_request(
        &mut self,
        link: &mut dyn Link,
        interface: usize,
        sender_ip: Ipv4Addr,
        target_ip: Ipv4Addr,
        dst: MacAddr,
    ) {
        let Some(sender_mac) = self.interfaces.get(interface).map(|i| i.mac) else { return };
        let target_mac = if dst.is_broadcast() { MacAddr::UNSPECIFIED } else { dst };
        let packet =
            arp::Repr { operation: Operation::Request, sender_mac, sender_ip, target_mac, target_ip };
        self.send_arp(link, interface, dst, packet);
    }

    /// Asks who has `target`, at `mac` or everyone.
    pub(crate) fn send_arp_request(
        &mut self,
        now: Instant,
        link: &mut dyn Link,
        interface: usize,
        target: Ipv4Addr,
        mac: Option<MacAddr>,
    ) {
        if let Some(IpAddr::V4(source)) = self.source(now, interface, target.into()) {
            self.arp_request(link, interface, source, target, mac.unwrap_or(MacAddr::BROADCAST));
        }
    }

    /// Takes in a packet: conflicts with our addresses, the cache, an answer.
    pub(crate) fn receive_arp(
        &mut self,
        now: Instant,
        interface: usize,
        packet: &arp::Repr,
        link: &mut dyn Link,
    ) {
        let Some(card) = self.interfaces.get(interface) else { return };
        let (own_mac, reachable) = (card.mac, card.reachable);
        if packet.sender_mac == own_mac {
            // Our own, come back.
            return;
        }
        if !packet.sender_mac.is_unicast()
            || packet.sender_ip.is_multicast()
            || packet.sender_ip.is_broadcast()
            || packet.sender_ip.is_loopback()
        {
            self.stats.bad_neighbor += 1;
            return;
        }
        self.check_conflict(now, interface, packet, link);

        // RFC 5227 section 1.1: a probe says nothing of its sender's address, so that no cache is polluted.
        let is_probe = packet.sender_ip.is_unspecified();
        let for_us = self.is_own(interface, packet.target_ip.into());
        if !is_probe && !self.is_own(interface, packet.sender_ip.into()) {
            let addr = IpAddr::V4(packet.sender_ip);
            let answer = packet.operation == Operation::Reply && packet.target_mac == own_mac;
            let evidence = Evidence {
                mac: Some(packet.sender_mac),
                solicited: answer,
                replaces: Replaces::IfSilent,
                is_router: None,
                // RFC 826: an entry is added if we are the target. Not by a reply, for which nobody asked if there is no entry.
                create: for_us && packet.operation == Operation::Request && self.is_on_link(interface, addr),
            };
            if let Some(mac) = self.neighbors.learn(now, interface, addr, evidence, reachable).resolved {
                self.send_pending(link, interface, addr, mac);
            }
        }
        #[cfg(feature = "forwarding")]
        let for_us = for_us || (!is_probe && self.answers_for(now, interface, packet));
        if for_us && packet.operation == Operation::Request {
            let reply = arp::Repr {
                operation: Operation::Reply,
                sender_mac: own_mac,
                sender_ip: packet.target_ip,
                target_mac: packet.sender_mac,
                target_ip: packet.sender_ip,
            };
            self.send_arp(link, interface, packet.sender_mac, reply);
        }
    }

    /// The target is behind us, on another interface, and the sender is to think that it is here (RFC 1027). Probes and announcements
    /// have no such answer: every address would seem taken (RFC 5227 section 2.1.1).
    #[cfg(feature = "forwarding")]
    fn answers_for(&mut self, now: Instant, interface: usize, packet: &arp::Repr) -> bool {
        let target = packet.target_ip;
        let wanted = self.forwarding && self.interfaces.get(interface).is_some_and(|card| card.proxy_arp);
        if !wanted || target == packet.sender_ip || target.is_multicast() || target.is_broadcast() {
            return false;
        }
        self.is_on_link(interface, packet.sender_ip.into())
            && self
                .path(now, target.into(), None)
                .is_some_and(|path| !path.local && path.interface != interface)
    }

    /// Answers ARP requests on `interface` for hosts that are reached over others, so that hosts there need no route to them; off at first.
    #[cfg(feature = "forwarding")]
    pub fn set_proxy_arp(&mut self, interface: usize, on: bool) {
        if let Some(card) = self.interfaces.get_mut(interface) {
            card.proxy_arp = on;
        }
    }

    /// `addr` is in one of the networks of `interface`.
    pub(crate) fn is_on_link(&self, interface: usize, addr: IpAddr) -> bool {
        self.routes
            .iter()
            .any(|r| r.interface == interface && r.gateway.is_none() && r.destination.contains(addr))
    }

    fn check_conflict(&mut self, now: Instant, interface: usize, packet: &arp::Repr, link: &mut dyn Link) {
        let (sender, target) = (IpAddr::V4(packet.sender_ip), IpAddr::V4(packet.target_ip));
        let probing = packet.sender_ip.is_unspecified() && packet.operation == Operation::Request;
        let conflicting = |a: &crate::address::Address| {
            let probed = a.state == AddressState::Tentative && probing && a.cidr.addr == target;
            a.interface == interface
                && a.state != AddressState::Duplicate
                && ((!packet.sender_ip.is_unspecified() && a.cidr.addr == sender) || probed)
        };
        let Some(address) = self.addresses.iter_mut().flatten().find(|a| conflicting(a)) else { return };
        self.stats.conflicts += 1;
        let addr = address.cidr.addr;
        if address.state == AddressState::Tentative {
            //= https://www.rfc-editor.org/rfc/rfc5227#section-2.1.1
            //# If during this period, from the beginning of the probing process
            //# until ANNOUNCE_WAIT seconds after the last probe packet is sent, the
            //# host receives any ARP packet (Request *or* Reply) on the interface
            //# where the probe is being performed, where the packet's 'sender IP
            //# address' is the address being probed for, then the host MUST treat
            //# this address as being in use by some other host
            address.state = AddressState::Duplicate;
            if address.origin == Origin::Dhcp {
                self.decline_dhcp(now, interface, addr);
            }
            return;
        }
        //= https://www.rfc-editor.org/rfc/rfc5227#section-2.4
        //# and it
        //# has not seen any other conflicting ARP packets within the last
        //# DEFEND_INTERVAL seconds, then it MAY elect to attempt to defend
        //# its address by recording the time that the conflicting ARP packet
        //# was received, and then broadcasting one single ARP Announcement
        let recent = address.conflict.is_some_and(|at| now.since(at) < DEFEND_INTERVAL);
        address.conflict = Some(now);
        let origin = address.origin;
        if !recent {
            if let IpAddr::V4(own) = addr {
                self.arp_request(link, interface, own, own, MacAddr::BROADCAST);
            }
        } else if origin == Origin::Dhcp {
            // RFC 5227 section 2.4 (b): give the address up, and ask the server for another.
            self.decline_dhcp(now, interface, addr);
        }
        // A static address is kept (section 2.4 (c)), and not defended more than once in DEFEND_INTERVAL.
    }

    /// Probes and announcements that are due (RFC 5227 sections 2.1.1 and 2.3).
    pub(crate) fn poll_ipv4_address(&mut self, now: Instant, index: usize, link: &mut dyn Link) {
        let spread = Duration::from_nanos(self.random.below(PROBE_SPREAD_NANOS));
        let Some(Some(address)) = self.addresses.get_mut(index) else { return };
        let IpAddr::V4(own) = address.cidr.addr else { return };
        let interface = address.interface;
        let sender = match address.state {
            AddressState::Tentative if address.sent < PROBE_NUM => {
                address.sent += 1;
                let last = address.sent == PROBE_NUM;
                address.next = now + if last { ANNOUNCE_WAIT } else { PROBE_MIN + spread };
                Ipv4Addr::UNSPECIFIED
            }
            AddressState::Tentative => {
                address.state = AddressState::Announcing;
                (address.sent, address.next) = (1, now + ANNOUNCE_INTERVAL);
                self.addresses_changed = true;
                self.last_path = None;
                own
            }
            AddressState::Announcing => {
                address.sent += 1;
                address.next = now + ANNOUNCE_INTERVAL;
                if address.sent >= ANNOUNCE_NUM {
                    address.state = AddressState::Ready;
                    address.next = Instant::MAX;
                }
                own
            }
            AddressState::Ready | AddressState::Duplicate => {
                address.next = Instant::MAX;
                return;
            }
        };
        self.arp_request(link, interface, sender, own, MacAddr::BROADCAST);
    }
}
