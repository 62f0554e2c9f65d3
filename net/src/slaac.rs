//! Autoconfiguration of IPv6 (RFC 4862): the link-local address, duplicate address detection, routers and the addresses made of
//! their prefixes.
use crate::{
    address::{AddressState, Origin, solicited_node},
    config::{InterfaceConfig, InterfaceIdentifier, IpCidr},
    error::Error,
    interface::NameServer,
    ip::Core,
    link::Link,
    ndp::{ALL_ROUTERS, source_link_layer},
    neighbor::{Evidence, reachable_time},
    route::RouteEntry,
    wire::ndp::{self, NdpOption, Preference, lifetime},
};
use airglow_device::{Instant, MacAddr, siphash};
use core::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

// RFC 4861 section 10
const MAX_RTR_SOLICITATIONS: u8 = 3;
const RTR_SOLICITATION_INTERVAL: Duration = Duration::from_secs(4);
/// RFC 4862 section 5.5.3 (e): an unauthenticated advertisement does not shorten a lifetime below this.
const TWO_HOURS: Duration = Duration::from_secs(2 * 60 * 60);
/// Addresses made of prefixes, for each interface; a flood of prefixes gets no further.
const MAX_SLAAC: usize = 4;
/// Routes learned from advertisements, for each interface: default routers and prefixes.
const MAX_LEARNED_ROUTES: usize = 8;

/// A learned route's metric, behind one that was configured or came by DHCP (RFC 4191 section 2.1).
fn metric(preference: Preference) -> u16 {
    match preference {
        Preference::High => 800,
        Preference::Medium => 1024,
        Preference::Low => 2048,
    }
}

/// How far the search for routers is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RouterSolicitation {
    left: u8,
    at: Instant,
}

impl RouterSolicitation {
    pub const IDLE: Self = Self { left: 0, at: Instant::MAX };
}

/// The modified EUI-64 interface identifier of a card (RFC 4291 appendix A), behind `prefix`.
fn eui64(prefix: Ipv6Addr, mac: MacAddr) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0;
    let identifier = u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    Ipv6Addr::from_bits(prefix.to_bits() >> 64 << 64 | u128::from(identifier))
}

/// The identifier of RFC 7217 section 5 behind `prefix`: F is SipHash-2-4, the interface is named by its Ethernet address.
fn stable(prefix: Ipv6Addr, mac: MacAddr, secret: [u8; 16], duplicates: u8) -> Ipv6Addr {
    let secret = u128::from_le_bytes(secret);
    let [a, b, c, d, e, f] = mac.0;
    let card = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    let mut counter = u64::from(duplicates);
    loop {
        let words = [(prefix.to_bits() >> 64) as u64, card, counter];
        let identifier = siphash::of_words([secret as u64, (secret >> 64) as u64], &words);
        if !is_reserved(identifier) {
            return Ipv6Addr::from_bits(prefix.to_bits() >> 64 << 64 | u128::from(identifier));
        }
        // RFC 7217 section 5: an identifier that is reserved counts as a duplicate. The high bits keep these apart.
        counter += 256;
    }
}

/// Identifiers that no host may have (RFC 5453): the routers' anycast, IANA's, the anycast ones.
fn is_reserved(identifier: u64) -> bool {
    identifier == 0
        || identifier >> 24 == 0x02_005e_fffe
        || (0xfdff_ffff_ffff_ff80..=0xfdff_ffff_ffff_ffff).contains(&identifier)
}

// RFC 8981 section 3.8.
const TEMP_VALID_LIFETIME: Duration = Duration::from_secs(2 * 24 * 60 * 60);
const TEMP_PREFERRED_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// 2 + TEMP_IDGEN_RETRIES * DupAddrDetectTransmits * RetransTimer / 1000 seconds, with the usual values.
const REGEN_ADVANCE: Duration = Duration::from_secs(5);
/// RFC 7217 section 7 and RFC 8981 section 3.8: so many addresses of a prefix are tried.
const IDGEN_RETRIES: u8 = 3;
/// Temporary addresses of an interface, those no longer preferred among them.
const MAX_TEMPORARY: usize = 4;

impl Core<'_> {
    /// The address of `interface` behind `prefix`, after so many duplicates.
    fn identified(&self, interface: usize, prefix: Ipv6Addr, duplicates: u8) -> Option<Ipv6Addr> {
        let card = self.interfaces.get(interface)?;
        Some(match card.config.map(|c| c.identifier) {
            Some(InterfaceIdentifier::Stable(secret)) => stable(prefix, card.mac, secret, duplicates),
            _ => eui64(prefix, card.mac),
        })
    }

    /// Sees to it that `prefix`, of which an address is preferred until then, has a temporary address that will be preferred for a while.
    fn keep_temporary(
        &mut self,
        now: Instant,
        interface: usize,
        prefix: Ipv6Addr,
        preferred: Instant,
        valid: Instant,
    ) {
        let config = self.interfaces.get(interface).and_then(|card| card.config);
        if !config.is_some_and(|c| c.temporary) || preferred <= now {
            return;
        }
        let of = |a: &&crate::address::Address| a.interface == interface && a.origin == Origin::Temporary;
        let network = IpCidr::new(prefix.into(), 64);
        let mut fresh = self.addresses.iter().flatten().filter(of).filter(|a| network.contains(a.cidr.addr));
        let lasts = |a: &crate::address::Address| {
            a.state != AddressState::Duplicate && a.preferred_until > now + REGEN_ADVANCE
        };
        if fresh.any(lasts) || self.addresses.iter().flatten().filter(of).count() >= MAX_TEMPORARY {
            return;
        }
        let mut identifier = self.random.next();
        while is_reserved(identifier) {
            identifier = self.random.next();
        }
        let addr = IpAddr::V6(Ipv6Addr::from_bits(prefix.to_bits() >> 64 << 64 | u128::from(identifier)));
        // RFC 8981 section 3.4: not all hosts change at the same time; at most two fifths of the lifetime earlier.
        let desync = TEMP_PREFERRED_LIFETIME * 2 / 5;
        let desync = Duration::from_secs(self.random.below(desync.as_secs()));
        let probe = config.is_none_or(|c| c.dad_transmits > 0);
        if self.add_address(now, interface, IpCidr::new(addr, 64), Origin::Temporary, probe).is_ok()
            && let Some(address) = self.addresses.iter_mut().flatten().find(|a| a.cidr.addr == addr)
        {
            // RFC 8981 section 3.4: neither lifetime exceeds the prefix's.
            address.valid_until = valid.min(now + TEMP_VALID_LIFETIME);
            address.preferred_until = preferred.min(now + (TEMP_PREFERRED_LIFETIME - desync));
            self.next = self.next.min(address.valid_until);
        }
    }

    /// Replaces addresses that another host has, and temporary ones that are about to be no longer preferred.
    fn renew_identifiers(&mut self, now: Instant) {
        for index in 0..self.addresses.len() {
            let Some(Some(address)) = self.addresses.get(index).copied() else { continue };
            let IpAddr::V6(addr) = address.cidr.addr else { continue };
            let interface = address.interface;
            let stable = self
                .interfaces
                .get(interface)
                .and_then(|card| card.config)
                .is_some_and(|c| matches!(c.identifier, InterfaceIdentifier::Stable(_)));
            match address.origin {
                Origin::Slaac | Origin::LinkLocal
                    if stable
                        && address.state == AddressState::Duplicate
                        && address.duplicates < IDGEN_RETRIES =>
                {
                    let duplicates = address.duplicates + 1;
                    let Some(new) = self.identified(interface, addr, duplicates) else { continue };
                    self.remove_address(now, addr.into());
                    let cidr = IpCidr::new(new.into(), 64);
                    if self.add_address(now, interface, cidr, address.origin, true).is_ok()
                        && let Some(a) = self.addresses.iter_mut().flatten().find(|a| a.cidr == cidr)
                    {
                        a.duplicates = duplicates;
                        (a.valid_until, a.preferred_until) = (address.valid_until, address.preferred_until);
                    }
                }
                Origin::Slaac => {
                    self.keep_temporary(now, interface, addr, address.preferred_until, address.valid_until);
                }
                Origin::Temporary => {
                    let until = Instant::from_nanos(
                        address.preferred_until.as_nanos().saturating_sub(REGEN_ADVANCE.as_nanos() as u64),
                    );
                    if until > now {
                        self.next = self.next.min(until);
                    }
                }
                _ => {}
            }
        }
    }

    pub(crate) fn start_ipv6(
        &mut self,
        now: Instant,
        interface: usize,
        config: &InterfaceConfig,
    ) -> Result<(), Error> {
        let probe = config.dad_transmits > 0;
        let prefix = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);
        let link_local = self.identified(interface, prefix, 0).ok_or(Error::NoInterface)?;
        self.add_address(now, interface, IpCidr::new(link_local.into(), 64), Origin::LinkLocal, probe)?;
        if let Some(ipv6) = config.ipv6 {
            self.add_address(now, interface, ipv6.address.into(), Origin::Static, probe)?;
            if let Some(gateway) = ipv6.gateway {
                let default = IpCidr::new(Ipv6Addr::UNSPECIFIED.into(), 0);
                self.add_route(RouteEntry::new(default, gateway.into(), interface))?;
            }
        }
        if config.slaac {
            self.start_router_solicitation(now, interface);
        }
        Ok(())
    }

    //= https://www.rfc-editor.org/rfc/rfc4861#section-6.3.7
    //# Before a host sends an initial solicitation, it SHOULD delay the
    //# transmission for a random amount of time between 0 and
    //# MAX_RTR_SOLICITATION_DELAY.
    pub(crate) fn start_router_solicitation(&mut self, now: Instant, interface: usize) {
        if !crate::IPV6 {
            return;
        }
        let at = now + Duration::from_nanos(self.random.below(1_000_000_000));
        if let Some(card) = self.interfaces.get_mut(interface) {
            card.solicitation = RouterSolicitation { left: MAX_RTR_SOLICITATIONS, at };
            self.next = self.next.min(at);
        }
    }

    /// Sends the router solicitations that are due.
    pub(crate) fn poll_routers(&mut self, now: Instant, link: &mut dyn Link) {
        if !crate::IPV6 {
            return;
        }
        #[cfg(feature = "search-list")]
        self.expire_search_domains(now);
        for interface in 0..self.interfaces.len() {
            let Some(card) = self.interfaces.get_mut(interface) else { return };
            let mac = card.mac;
            // RFC 8106 section 5.1: after its lifetime a server is asked no more.
            card.name_servers.retain(|server| server.expires > now);
            for server in &card.name_servers {
                self.next = self.next.min(server.expires);
            }
            let state = &mut card.solicitation;
            if state.left == 0 {
                continue;
            }
            if now < state.at {
                self.next = self.next.min(state.at);
                continue;
            }
            let pending = |a: &crate::address::Address| {
                a.interface == interface
                    && a.origin == Origin::LinkLocal
                    && a.state == AddressState::Tentative
            };
            if self.addresses.iter().flatten().any(pending) {
                // With an address to answer to the router need not tell everyone.
                state.at = now + Duration::from_millis(500);
                self.next = self.next.min(state.at);
                continue;
            }
            state.left -= 1;
            state.at = now + RTR_SOLICITATION_INTERVAL;
            self.next = self.next.min(state.at);
            let src = match self.source(now, interface, ALL_ROUTERS.into()) {
                Some(IpAddr::V6(src)) => src,
                _ => Ipv6Addr::UNSPECIFIED,
            };
            let mut options = [0; 8];
            if NdpOption::SourceLinkLayer(mac).emit(&mut options).is_err() {
                continue;
            }
            let options = if src.is_unspecified() { &[] } else { &options[..] };
            self.send_ndp(now, link, interface, src, ALL_ROUTERS, &ndp::Repr::RouterSolicitation { options });
        }
    }

    /// Takes in what a router says (RFC 4861 section 6.3.4).
    pub(crate) fn receive_router_advertisement(
        &mut self,
        now: Instant,
        interface: usize,
        router: Ipv6Addr,
        message: &ndp::Repr<'_>,
        link: &mut dyn Link,
    ) {
        let ndp::Repr::RouterAdvertisement {
            hop_limit,
            lifetime: router_lifetime,
            reachable_time: base,
            retransmit_timer,
            preference,
            options,
            managed: _managed,
            other: _other,
        } = *message
        else {
            return;
        };
        let Some(card) = self.interfaces.get_mut(interface) else { return };
        if !card.config.is_some_and(|c| c.slaac) {
            return;
        }
        if hop_limit != 0 {
            card.hop_limit = hop_limit;
        }
        // RFC 4861 section 6.2.1: AdvReachableTime is at most an hour.
        let base = Duration::from_millis(base.into());
        if !base.is_zero() && base != card.base_reachable && base <= Duration::from_secs(3600) {
            card.base_reachable = base;
            card.reachable = reachable_time(base, &mut self.random);
        }
        if (100..=60_000).contains(&retransmit_timer) {
            card.retransmit = Duration::from_millis(retransmit_timer.into());
        }
        if router_lifetime != 0 {
            //= https://www.rfc-editor.org/rfc/rfc4861#section-6.3.7
            //# Once the host sends a Router Solicitation, and receives a valid
            //# Router Advertisement with a non-zero Router Lifetime, the host MUST
            //# desist from sending additional solicitations on that interface
            card.solicitation = RouterSolicitation::IDLE;
        }
        #[cfg(feature = "dhcpv6")]
        self.heed_dhcpv6_flags(now, interface, _managed, _other);
        let mac = source_link_layer(options).filter(|mac| mac.is_unicast());
        self.learn(now, interface, router, Evidence { mac, is_router: Some(true), ..Evidence::STALE }, link);

        let default = IpCidr::new(Ipv6Addr::UNSPECIFIED.into(), 0);
        let expires = now + Duration::from_secs(router_lifetime.into());
        // Behind one that was configured by hand.
        let route = RouteEntry {
            metric: metric(preference),
            expires,
            ..RouteEntry::new(default, router.into(), interface)
        };
        self.learned_route(now, route);

        for option in ndp::options(options) {
            match option {
                NdpOption::Prefix { prefix_len, on_link, autonomous, valid, preferred, prefix } => {
                    let unusable =
                        prefix.is_unicast_link_local() || prefix.is_multicast() || prefix_len > 128;
                    if unusable {
                        continue;
                    }
                    let cidr = IpCidr::new(prefix.into(), prefix_len);
                    if on_link {
                        let route = RouteEntry::on_link(cidr, interface);
                        self.learned_route(
                            now,
                            RouteEntry { metric: 256, expires: now + lifetime(valid), ..route },
                        );
                    }
                    if autonomous && preferred <= valid {
                        self.autoconfigure(now, interface, prefix, prefix_len, valid, preferred);
                    }
                }
                NdpOption::Route { prefix_len, preference: Some(preference), lifetime: seconds, prefix } => {
                    // RFC 4191 section 2.3. A route to everywhere says more than the header does.
                    let unusable =
                        prefix.is_unicast_link_local() || prefix.is_multicast() || prefix_len > 128;
                    if !unusable {
                        let cidr = IpCidr::new(prefix.into(), prefix_len);
                        let route = RouteEntry::new(cidr, router.into(), interface);
                        let expires = now + lifetime(seconds);
                        self.learned_route(now, RouteEntry { metric: metric(preference), expires, ..route });
                    }
                }
                NdpOption::Mtu(mtu) => {
                    let Some(card) = self.interfaces.get_mut(interface) else { return };
                    if (1280..=card.caps.mtu).contains(&(mtu as usize)) {
                        card.mtu6 = mtu as usize;
                    }
                }
                NdpOption::NameServers { lifetime: seconds, addresses } => {
                    let Some(card) = self.interfaces.get_mut(interface) else { return };
                    for octets in addresses.as_chunks::<16>().0 {
                        let addr = IpAddr::from(*octets);
                        let expires = now + lifetime(seconds);
                        // A server that is renewed keeps its place.
                        match card.name_servers.iter_mut().find(|known| known.addr == addr) {
                            Some(known) => known.expires = expires,
                            None if seconds > 0 => {
                                let _ = card.name_servers.push(NameServer { addr, expires });
                            }
                            None => {}
                        }
                        self.next = self.next.min(expires);
                    }
                }
                // RFC 8106 section 5.2: two reserved octets, the lifetime, the names.
                #[cfg(feature = "search-list")]
                NdpOption::Other { kind: 31, data: &[_, _, a, b, c, d, ref names @ ..] } => {
                    self.learn_search_domains(now, interface, names, u32::from_be_bytes([a, b, c, d]));
                }
                _ => {}
            }
        }
    }

    /// Adds, renews or (when it expires now) removes a route that a router gave.
    fn learned_route(&mut self, now: Instant, route: RouteEntry) {
        let same = |r: &RouteEntry| r.is_same(&route);
        self.last_path = None;
        let known = self.routes.iter().find(|r| same(r)).copied();
        if let Some(known) = known {
            // A route that was configured stays as it is.
            if known.expires == Instant::MAX && known.metric == 0 {
                return;
            }
            if route.expires <= now {
                self.routes.retain(|r| !same(r));
                return;
            }
            self.routes.insert(RouteEntry { suspect_until: known.suspect_until, ..route });
            self.next = self.next.min(route.expires);
            return;
        }
        let learned = |r: &&RouteEntry| r.interface == route.interface && r.metric >= 256;
        let full = self.routes.iter().filter(learned).count() >= MAX_LEARNED_ROUTES;
        if route.expires > now && !full && self.routes.insert(route) {
            self.next = self.next.min(route.expires);
        }
    }

    /// Makes an address of an advertised prefix, or renews the one there is (RFC 4862 section 5.5.3).
    fn autoconfigure(
        &mut self,
        now: Instant,
        interface: usize,
        prefix: Ipv6Addr,
        prefix_len: u8,
        valid: u32,
        preferred: u32,
    ) {
        let Some(config) = self.interfaces.get(interface).map(|card| card.config) else { return };
        //= https://www.rfc-editor.org/rfc/rfc4862#section-5.5.3
        //# If the sum of the prefix length and interface identifier length
        //# does not equal 128 bits, the Prefix Information option MUST be
        //# ignored.
        if prefix_len != 64 {
            return;
        }
        // The one that there is may have another identifier, after duplicates.
        let network = IpCidr::new(prefix.into(), 64);
        let there =
            self.addresses.iter().flatten().find(|a| {
                a.interface == interface && a.origin == Origin::Slaac && network.contains(a.cidr.addr)
            });
        let Some(first) = self.identified(interface, prefix, 0) else { return };
        let addr = there.map_or(IpAddr::V6(first), |a| a.cidr.addr);
        let (valid_for, preferred_until) = (lifetime(valid), now + lifetime(preferred));
        let known = |a: &&mut crate::address::Address| a.cidr.addr == addr && a.interface == interface;
        if let Some(address) = self.addresses.iter_mut().flatten().find(known) {
            if address.origin != Origin::Slaac {
                return;
            }
            address.preferred_until = preferred_until;
            let remaining = address.valid_until.since(now);
            if valid_for > TWO_HOURS || valid_for > remaining {
                address.valid_until = now + valid_for;
            } else if remaining > TWO_HOURS {
                address.valid_until = now + TWO_HOURS;
            }
            let valid_until = address.valid_until;
            self.next = self.next.min(valid_until);
            // Temporary addresses last no longer than the public one allows (RFC 8981 section 3.4).
            for a in self.addresses.iter_mut().flatten() {
                if a.interface == interface && a.origin == Origin::Temporary && network.contains(a.cidr.addr)
                {
                    a.valid_until = a.valid_until.min(valid_until);
                    a.preferred_until = a.preferred_until.min(preferred_until);
                }
            }
            self.keep_temporary(now, interface, prefix, preferred_until, valid_until);
            return;
        }
        let ours = |a: &&crate::address::Address| a.interface == interface && a.origin == Origin::Slaac;
        let count = self.addresses.iter().flatten().filter(ours).count();
        if valid == 0 || count >= MAX_SLAAC {
            return;
        }
        let probe = config.is_none_or(|c| c.dad_transmits > 0);
        if self.add_address(now, interface, IpCidr::new(addr, 64), Origin::Slaac, probe).is_ok()
            && let Some(address) = self.addresses.iter_mut().flatten().find(known)
        {
            address.preferred_until = preferred_until;
            address.valid_until = now + valid_for;
            self.next = self.next.min(address.valid_until);
            self.keep_temporary(now, interface, prefix, preferred_until, now + valid_for);
        }
    }

    /// Probes, announcements and expiries of addresses.
    pub(crate) fn poll_addresses(&mut self, now: Instant, link: &mut dyn Link) {
        if crate::IPV6 {
            self.renew_identifiers(now);
        }
        for index in 0..self.addresses.len() {
            let Some(Some(address)) = self.addresses.get(index) else { continue };
            if address.valid_until <= now {
                let addr = address.cidr.addr;
                self.remove_address(now, addr);
                continue;
            }
            if address.next <= now {
                match address.cidr.addr {
                    IpAddr::V4(_) => self.poll_ipv4_address(now, index, link),
                    IpAddr::V6(addr) if crate::IPV6 => self.poll_ipv6_address(now, index, addr, link),
                    IpAddr::V6(_) => {}
                }
            }
            if let Some(Some(address)) = self.addresses.get(index) {
                self.next = self.next.min(address.next).min(address.valid_until);
            }
        }
    }

    /// Duplicate address detection (RFC 4862 section 5.4).
    fn poll_ipv6_address(&mut self, now: Instant, index: usize, addr: Ipv6Addr, link: &mut dyn Link) {
        let Some(Some(address)) = self.addresses.get_mut(index) else { return };
        let interface = address.interface;
        let Some(card) = self.interfaces.get(interface) else { return };
        let transmits = card.config.map_or(1, |c| c.dad_transmits);
        if address.state != AddressState::Tentative {
            address.next = Instant::MAX;
        } else if address.sent < transmits {
            address.sent += 1;
            address.next = now + card.retransmit;
            self.solicit_from(now, link, interface, Ipv6Addr::UNSPECIFIED, solicited_node(addr), addr);
        } else {
            address.state = AddressState::Ready;
            address.next = Instant::MAX;
            self.addresses_changed = true;
            self.last_path = None;
        }
    }
}
