//! The IP half of the stack as a sans-IO core: frames in, frames out, the time passed in.
use crate::{
    address::{Address, AddressState, Origin},
    config::{InterfaceConfig, IpCidr},
    error::Error,
    forward::Filter,
    icmp::RateLimit,
    interface::Interface,
    link::Link,
    loopback::Loopback,
    memory::{Memory, Slice, UdpWakers},
    multicast::Membership,
    neighbor::{Due, NeighborCache},
    output::{Path, PendingPacket},
    path_mtu::PathMtus,
    random::Random,
    reassembly::Reassembly,
    route::{RouteEntry, RouteTable},
    tcp::IcmpError,
    udp::{Responder, UdpSlot},
    wire::{
        arp,
        ethernet::{EtherType, Frame, split_tag},
    },
};
use airglow_device::{Caps, Instant, MacAddr, RxMeta};
use core::{net::IpAddr, time::Duration};

/// Counters; every packet that is not delivered is in one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IpStats {
    /// Frames taken in.
    pub received: u64,
    /// Packets handed to a device.
    pub sent: u64,
    /// Frames for another station, or not IP or ARP.
    pub other: u64,
    /// Packets whose headers are cut off or contradict themselves.
    pub malformed: u64,
    /// Packets with a wrong checksum.
    pub bad_checksum: u64,
    /// Packets for an address that is not ours, or with a source no host may have.
    pub bad_address: u64,
    /// Fragments received.
    pub fragments: u64,
    /// Packets put together of them.
    pub reassembled: u64,
    /// Packets whose fragments did not all come in time, or that made room for newer ones.
    pub reassembly_failed: u64,
    /// Fragments dropped: they overlapped or contradicted others, or there was no room for them.
    pub fragments_refused: u64,
    /// Fragments sent.
    pub fragments_sent: u64,
    /// Packets of others that were forwarded.
    pub forwarded: u64,
    /// Packets that the filter held back.
    pub filtered: u64,
    /// Packets of a protocol nobody speaks here.
    pub unknown_protocol: u64,
    /// Datagrams for a port nobody listens on.
    pub no_port: u64,
    /// Datagrams dropped because their socket's queue was full.
    pub queue_full: u64,
    /// Packets dropped because their next hop's address was not known in time.
    pub unresolved: u64,
    /// Answers dropped because the transmit ring was full.
    pub transmit_full: u64,
    /// Answers dropped because no route led back.
    pub no_route: u64,
    /// ICMP errors that the rate limit held back.
    pub icmp_limited: u64,
    /// ARP and neighbour discovery packets that broke a rule.
    pub bad_neighbor: u64,
    /// Addresses of ours that another host was seen to use.
    pub conflicts: u64,
}

/// For so long a router that did not answer comes after others.
const SUSPECT: Duration = Duration::from_secs(60);

/// How a packet came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub interface: usize,
    pub meta: RxMeta,
    /// In a frame to a group or to all.
    pub group_frame: bool,
    /// It never left this stack.
    pub looped: bool,
    /// It was put together of fragments.
    pub fragmented: bool,
}

/// What the IP layer has for TCP.
#[derive(Clone, Copy, Debug)]
pub enum Delivery<'a> {
    /// A segment with a right checksum, from a unicast address to one of ours.
    Segment {
        /// From.
        src: IpAddr,
        /// To.
        dst: IpAddr,
        /// The two ECN bits of the IP header.
        ecn: u8,
        /// The IP payload.
        segment: &'a [u8],
        /// Payload size of each segment when the device coalesced several, else 0.
        gro_segment: u16,
    },
    /// An ICMP error about a segment of ours.
    Error {
        /// What happened.
        error: IcmpError,
        /// Our address.
        src: IpAddr,
        /// The address we sent to.
        dst: IpAddr,
        /// What is quoted of the TCP header, at least 8 bytes.
        quoted: &'a [u8],
    },
}

/// The sans-IO core of IP, ICMP, ARP, neighbour discovery, autoconfiguration, DHCP and UDP for all interfaces of a stack.
///
/// A caller hands every frame to [`receive`](Self::receive), calls [`poll`](Self::poll) when
/// [`poll_timeout`](Self::poll_timeout) has come, and gives TCP what `receive` returns. It sends through a [`Link`].
pub struct Core<'m> {
    pub(crate) interfaces: Slice<'m, Interface>,
    pub(crate) addresses: Slice<'m, Option<Address>>,
    /// Behind this place there never was an address: what each packet asks for looks no further.
    addresses_end: usize,
    pub(crate) neighbors: NeighborCache<'m>,
    pub(crate) routes: RouteTable<'m>,
    pub(crate) pending: Slice<'m, PendingPacket>,
    pub(crate) sockets: Slice<'m, UdpSlot>,
    /// Behind this place there never was a socket.
    pub(crate) sockets_end: usize,
    pub(crate) datagrams: Slice<'m, u8>,
    pub(crate) datagrams_len: usize,
    pub(crate) reassembly: Reassembly<'m>,
    pub(crate) loopback: Loopback<'m>,
    pub(crate) path_mtus: PathMtus<'m>,
    pub(crate) groups: Slice<'m, Option<Membership>>,
    pub(crate) forwarding: bool,
    /// Raw sockets that are open.
    pub(crate) raw_sockets: usize,
    pub(crate) filter: Option<&'m dyn Filter>,
    pub(crate) random: Random,
    pub(crate) stats: IpStats,
    pub(crate) identification: u16,
    /// The way that was found last: to whom, over which interface if that was given, and until when it holds.
    pub(crate) last_path: Option<(IpAddr, Option<usize>, Path, Instant)>,
    pub(crate) icmp_errors: RateLimit,
    /// The earliest time of an address, a route or an autoconfiguration state; may be early.
    pub(crate) next: Instant,
    /// Some UDP socket has a new datagram.
    pub(crate) any_ready: bool,
    /// An address came or went since the shell last looked.
    pub(crate) addresses_changed: bool,
}

impl<'m> Core<'m> {
    /// A core without interfaces. `seed`: random bytes, for identifiers and delays that nobody shall guess.
    /// The wakers are the async shell's.
    pub(crate) fn new(memory: Memory<'m>, seed: [u8; 16]) -> (Self, Slice<'m, UdpWakers>) {
        let mut random = Random::new(seed);
        let core = Self {
            interfaces: memory.interfaces,
            addresses: memory.addresses,
            addresses_end: 0,
            neighbors: NeighborCache::new(memory.neighbors, random.next()),
            routes: RouteTable::new(memory.routes),
            pending: memory.pending,
            sockets: memory.sockets,
            sockets_end: 0,
            datagrams: memory.datagrams,
            datagrams_len: memory.datagrams_len,
            reassembly: memory.reassembly,
            loopback: memory.loopback,
            path_mtus: PathMtus::new(memory.path_mtus),
            groups: memory.groups,
            forwarding: false,
            raw_sockets: 0,
            filter: None,
            identification: random.next() as u16,
            random,
            stats: IpStats::default(),
            last_path: None,
            icmp_errors: RateLimit::new(),
            next: Instant::MAX,
            any_ready: false,
            addresses_changed: false,
        };
        (core, memory.wakers)
    }

    /// A core of its own, without the async shell. `seed`: random bytes.
    pub fn with_memory(memory: impl Into<Memory<'m>>, seed: [u8; 16]) -> Self {
        Self::new(memory.into(), seed).0
    }

    /// Adds an interface with this card; its number, or [`Error::TableFull`].
    pub fn add_interface(&mut self, mac: MacAddr, caps: Caps) -> Result<usize, Error> {
        let interface = Interface::new(mac, caps, true);
        if let Some(index) = self.interfaces.iter().position(|i| !i.active) {
            self.interfaces[index] = interface;
            return Ok(index);
        }
        match &mut self.interfaces {
            Slice::Borrowed(_) => Err(Error::TableFull),
            #[cfg(feature = "alloc")]
            Slice::Owned(vec) => {
                vec.push(interface);
                Ok(vec.len() - 1)
            }
        }
    }

    /// Adds an interface that is the VLAN `id` (1 to 4094) of another one; its number. It has the parent's address and MTU, and wants
    /// a configuration of its own.
    ///
    /// # Errors
    /// [`Error::NoInterface`], [`Error::InvalidInput`], [`Error::AddrInUse`] when there is one, [`Error::TableFull`].
    pub fn add_vlan(&mut self, parent: usize, id: u16) -> Result<usize, Error> {
        let card = self.interfaces.get(parent).filter(|i| i.active).ok_or(Error::NoInterface)?;
        let (mac, up) = (card.mac, card.up);
        // Devices look for the IP header of a long frame where it is without a tag.
        let caps = card.caps.with_tso(0, 0);
        let number = u8::try_from(parent).map_err(|_| Error::InvalidInput)?;
        if !crate::VLAN || !(1..=4094).contains(&id) || card.vlan.is_some() {
            return Err(Error::InvalidInput);
        }
        if self.interfaces.iter().any(|i| i.active && i.vlan == Some((number, id))) {
            return Err(Error::AddrInUse);
        }
        let index = self.add_interface(mac, caps)?;
        if let Some(interface) = self.interfaces.get_mut(index) {
            (interface.vlan, interface.up) = (Some((number, id)), up);
        }
        Ok(index)
    }

    /// Gives an interface its configuration; call once for each. More addresses and routes may follow.
    /// [`Error::InvalidInput`] when it asks for a protocol whose feature is off, or contradicts itself.
    pub fn configure(
        &mut self,
        now: Instant,
        interface: usize,
        config: &InterfaceConfig,
    ) -> Result<(), Error> {
        let slot = self.interfaces.get_mut(interface).filter(|i| i.active).ok_or(Error::NoInterface)?;
        let inform = config.dhcp_inform && (!crate::DHCP_INFORM || config.dhcp || config.ipv4.is_none());
        let unspeakable = inform || (config.dhcp && !crate::DHCP) || (config.ipv6_enabled && !crate::IPV6);
        if unspeakable {
            return Err(Error::InvalidInput);
        }
        slot.config = Some(*config);
        if let Some(ipv4) = config.ipv4 {
            self.add_address(now, interface, ipv4.address.into(), Origin::Static, ipv4.probe)?;
            if let Some(gateway) = ipv4.gateway {
                let default = IpCidr::new(IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED), 0);
                self.add_route(RouteEntry::new(default, gateway.into(), interface))?;
            }
        }
        if crate::IPV6 && config.ipv6_enabled {
            self.start_ipv6(now, interface, config)?;
        }
        if config.dhcp || config.dhcp_inform {
            self.start_dhcp(now, interface);
        }
        Ok(())
    }

    /// Adds an address and the route to its network. `probe`: ask first whether another host has it.
    pub(crate) fn add_address(
        &mut self,
        now: Instant,
        interface: usize,
        cidr: IpCidr,
        origin: Origin,
        probe: bool,
    ) -> Result<(), Error> {
        let bits = if cidr.addr.is_ipv4() { 32 } else { 128 };
        if cidr.addr.is_unspecified() || cidr.addr.is_multicast() || cidr.prefix_len > bits {
            return Err(Error::InvalidInput);
        }
        let same = |a: &Address| {
            a.cidr.addr == cidr.addr && (a.interface == interface || origin != Origin::LinkLocal)
        };
        if self.addresses.iter().flatten().any(same) {
            return Err(Error::AddrInUse);
        }
        let index = self.addresses.iter().position(Option::is_none).ok_or(Error::TableFull)?;
        if !matches!(origin, Origin::Slaac | Origin::Temporary)
            && !self.routes.insert(RouteEntry::on_link(cidr, interface))
        {
            return Err(Error::TableFull);
        }
        let mut address = Address {
            interface,
            cidr,
            origin,
            state: AddressState::Tentative,
            preferred_until: Instant::MAX,
            valid_until: Instant::MAX,
            next: now,
            sent: 0,
            duplicates: 0,
            conflict: None,
        };
        if !probe {
            address.state = if cidr.addr.is_ipv4() { AddressState::Announcing } else { AddressState::Ready };
            self.addresses_changed = true;
        } else {
            // RFC 5227 section 2.1.1 (PROBE_WAIT) and RFC 4862 section 5.4.2: not all hosts at once after a power failure.
            address.next = now + Duration::from_nanos(self.random.below(1_000_000_000));
        }
        self.addresses[index] = Some(address);
        self.addresses_end = self.addresses_end.max(index + 1);
        self.next = self.next.min(address.next);
        if let IpAddr::V6(addr) = cidr.addr {
            self.solicited_node_group(now, interface, addr, true);
        }
        self.last_path = None;
        if let Some(interface) = self.interfaces.get_mut(interface) {
            interface.groups_changed = true;
        }
        Ok(())
    }

    /// Removes an address and the route to its network.
    pub(crate) fn remove_address(&mut self, now: Instant, addr: IpAddr) {
        for index in 0..self.addresses.len() {
            let Some(slot) = self.addresses.get_mut(index) else { break };
            let Some(address) = slot.filter(|a| a.cidr.addr == addr) else { continue };
            *slot = None;
            if let IpAddr::V6(addr) = addr {
                self.solicited_node_group(now, address.interface, addr, false);
            }
            let network = RouteEntry::on_link(address.cidr, address.interface);
            self.routes.retain(|r| !r.is_same(&network) || r.expires != Instant::MAX);
            // Another address may be in the same network.
            for other in self
                .addresses
                .iter()
                .flatten()
                .filter(|a| !matches!(a.origin, Origin::Slaac | Origin::Temporary))
            {
                self.routes.insert(RouteEntry::on_link(other.cidr, other.interface));
            }
            if let Some(interface) = self.interfaces.get_mut(address.interface) {
                interface.groups_changed = true;
            }
            self.addresses_changed = true;
        }
        self.last_path = None;
    }

    /// Adds a route, or renews the one with the same destination, gateway and interface.
    pub fn add_route(&mut self, route: RouteEntry) -> Result<(), Error> {
        self.last_path = None;
        self.next = self.next.min(route.expires);
        if self.routes.insert(route) { Ok(()) } else { Err(Error::TableFull) }
    }

    /// The addresses, with their state.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.addresses.iter().flatten()
    }

    /// The counters.
    pub fn stats(&self) -> &IpStats {
        &self.stats
    }

    /// `addr` is ours, in use, and on `interface` (the strong host model of RFC 1122 section 3.3.4.2).
    pub(crate) fn is_own(&self, interface: usize, addr: IpAddr) -> bool {
        self.held().any(|a| a.cidr.addr == addr && a.interface == interface && a.is_usable())
    }

    /// Our addresses, found quickly.
    pub(crate) fn held(&self) -> impl Iterator<Item = &Address> {
        self.addresses.get(..self.addresses_end).unwrap_or(&[]).iter().flatten()
    }

    /// The link of an interface came up or went away, and with it that of its VLANs.
    pub fn link_changed(&mut self, now: Instant, interface: usize, up: bool) {
        if crate::VLAN && self.interfaces.get(interface).is_some_and(|i| i.up != up) {
            for index in 0..self.interfaces.len() {
                let of = |i: &Interface| i.vlan.is_some_and(|(parent, _)| usize::from(parent) == interface);
                if self.interfaces.get(index).is_some_and(of) {
                    self.link_changed(now, index, up);
                }
            }
        }
        let Some(slot) = self.interfaces.get_mut(interface).filter(|i| i.active && i.up != up) else {
            return;
        };
        slot.up = up;
        let config = slot.config;
        self.last_path = None;
        self.neighbors.forget(interface);
        if !up {
            return;
        }
        // It may be another network: announce what we have, ask routers and servers again.
        let detect = config.is_some_and(|c| c.dad_transmits > 0);
        for address in self.addresses.iter_mut().flatten().filter(|a| a.interface == interface) {
            address.state = match address.cidr.addr {
                IpAddr::V4(_) if address.is_usable() => AddressState::Announcing,
                // RFC 4862 section 5.4: the link may be another, with other hosts.
                IpAddr::V6(_) if detect => AddressState::Tentative,
                _ => continue,
            };
            (address.sent, address.next) = (0, now);
        }
        self.next = now;
        if config.is_some_and(|c| c.slaac) {
            self.start_router_solicitation(now, interface);
        }
        if config.is_some_and(|c| c.dhcp || c.dhcp_inform) {
            self.restart_dhcp(now, interface);
        }
        #[cfg(feature = "dhcpv6")]
        self.restart_dhcpv6(now, interface);
    }

    /// Takes one frame from `interface`; sends what answers it at once, and returns what is for TCP.
    /// `responder`: the UDP service that answers in place, if it is the one that drives the stack.
    pub fn receive<'f>(
        &mut self,
        now: Instant,
        interface: usize,
        bytes: &'f [u8],
        meta: RxMeta,
        link: &mut dyn Link,
        responder: Option<&mut Responder<'_>>,
    ) -> Option<Delivery<'f>> {
        self.stats.received += 1;
        let own = self.interfaces.get(interface).filter(|i| i.active)?.mac;
        let Ok(frame) = Frame::new_checked(bytes) else {
            self.stats.other += 1;
            return None;
        };
        let dst = frame.dst();
        if (dst != own && !dst.is_multicast()) || frame.src() == own {
            self.stats.other += 1;
            return None;
        }
        let (mut interface, mut ethertype, mut payload) = (interface, frame.ethertype(), frame.payload());
        if crate::VLAN && ethertype == EtherType::VLAN {
            let tagged = split_tag(payload).ok().and_then(|(id, inner, rest)| {
                // A tag of VLAN 0 says only how urgent the frame is.
                let on = |i: &Interface| i.active && i.vlan == Some((interface as u8, id));
                let of = if id == 0 { Some(interface) } else { self.interfaces.iter().position(on) };
                Some((of?, inner, rest))
            });
            let Some(tagged) = tagged else {
                self.stats.other += 1;
                return None;
            };
            (interface, ethertype, payload) = tagged;
        }
        let arrival =
            Arrival { interface, meta, group_frame: dst.is_multicast(), looped: false, fragmented: false };
        match ethertype {
            EtherType::IPV4 => self.receive_ipv4(now, &arrival, payload, link, responder),
            EtherType::IPV6 if crate::IPV6 => self.receive_ipv6(now, &arrival, payload, link, responder),
            EtherType::ARP => {
                match arp::Repr::parse(payload) {
                    Ok(packet) => self.receive_arp(now, interface, &packet, link),
                    Err(_) => self.stats.malformed += 1,
                }
                None
            }
            _ => {
                self.stats.other += 1;
                None
            }
        }
    }

    /// Packets were put together of fragments, or sent to ourselves, and wait for [`receive_held`](Self::receive_held).
    #[must_use]
    pub fn has_held(&self) -> bool {
        (crate::FRAGMENTS && self.reassembly.has_whole) || (crate::LOOPBACK && self.loopback.has_packets())
    }

    /// Receives the packets of [`has_held`](Self::has_held), and gives `tcp` what is for TCP. What is sent to ourselves meanwhile waits
    /// for the next call.
    pub fn receive_held(
        &mut self,
        now: Instant,
        link: &mut dyn Link,
        mut responder: Option<&mut Responder<'_>>,
        tcp: &mut dyn FnMut(&mut Self, &mut dyn Link, Delivery<'_>),
    ) {
        while crate::FRAGMENTS
            && let Some(taken) = self.reassembly.take_whole()
        {
            let group_frame = !taken.unicast;
            let arrival = Arrival {
                interface: taken.interface,
                meta: RxMeta::default(),
                group_frame,
                looped: false,
                fragmented: true,
            };
            self.receive_again(now, &arrival, taken.packet(), link, responder.as_deref_mut(), tcp);
            self.reassembly.put_back(taken);
        }
        if crate::LOOPBACK && self.loopback.has_packets() {
            let looped = self.loopback.take();
            for (interface, packet) in looped.packets() {
                self.stats.received += 1;
                let arrival = Arrival {
                    interface,
                    meta: RxMeta::new(true, 0),
                    group_frame: false,
                    looped: true,
                    fragmented: false,
                };
                self.receive_again(now, &arrival, packet, link, responder.as_deref_mut(), tcp);
            }
            self.loopback.put_back(looped);
        }
    }

    fn receive_again(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        packet: &[u8],
        link: &mut dyn Link,
        responder: Option<&mut Responder<'_>>,
        tcp: &mut dyn FnMut(&mut Self, &mut dyn Link, Delivery<'_>),
    ) {
        let delivery = match packet.first().map(|first| first >> 4) {
            Some(4) => self.receive_ipv4(now, arrival, packet, link, responder),
            _ if crate::IPV6 => self.receive_ipv6(now, arrival, packet, link, responder),
            _ => None,
        };
        if let Some(delivery) = delivery {
            tcp(self, link, delivery);
        }
    }

    /// Does what is due at `now`: probes, announcements, solicitations, leases, expiries.
    pub fn poll(&mut self, now: Instant, link: &mut dyn Link) {
        self.poll_neighbors(now, link);
        if now >= self.next {
            self.next = Instant::MAX;
            self.poll_addresses(now, link);
            self.poll_routers(now, link);
            self.poll_groups(now, link);
            let (mut next, mut gone) = (self.next, false);
            self.routes.retain(|route| {
                gone |= route.expires <= now;
                next = next.min(if route.expires <= now { next } else { route.expires });
                route.expires > now
            });
            self.next = next;
            if gone {
                self.last_path = None;
            }
        }
        self.poll_dhcp(now, link);
        #[cfg(feature = "dhcpv6")]
        self.poll_dhcpv6(now, link);
        self.poll_reassembly(now, link);
        self.neighbors.sweep(now);
    }

    fn poll_neighbors(&mut self, now: Instant, link: &mut dyn Link) {
        let retransmit = Duration::from_secs(1);
        // Each entry is due once at most for one `now`.
        while let Some(due) = self.neighbors.due(now, retransmit) {
            match due {
                Due::Solicit { interface, addr, mac } => self.solicit(now, link, interface, addr, mac),
                Due::Failed { interface, addr, was_router } => {
                    self.drop_pending(now, interface, addr, link);
                    //= https://www.rfc-editor.org/rfc/rfc4861#section-6.3.6
                    //# Routers that are reachable or probably reachable (i.e., in any
                    //# state other than INCOMPLETE) SHOULD be preferred over routers
                    //# whose reachability is unknown or suspect
                    self.routes.retain(|route| {
                        let over_it = route.interface == interface && route.gateway == Some(addr);
                        if over_it {
                            route.suspect_until = now + SUSPECT;
                        }
                        // A way that was only said, and leads nowhere: back to who said it.
                        let redirects = crate::REDIRECTS || crate::IPV6;
                        !(redirects && over_it && route.is_host() && route.expires != Instant::MAX)
                    });
                    if was_router || addr.is_ipv4() {
                        self.last_path = None;
                    }
                }
            }
        }
    }

    /// When [`poll`](Self::poll) must be called at the latest; `None`: not before the next event.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let next = self
            .next
            .min(self.neighbors.poll_timeout())
            .min(self.dhcp_timeout())
            .min(self.reassembly.poll_timeout());
        #[cfg(feature = "dhcpv6")]
        let next = next.min(self.dhcpv6_timeout());
        (next != Instant::MAX).then_some(next)
    }
}
