//! Autoconfiguration of IPv6 (RFC 4862): the link-local address, duplicate address detection, routers and the addresses made of
//! their prefixes.
use crate::{
    address::{AddressState, Origin, solicited_node},
    config::{InterfaceConfig, IpCidr},
    error::Error,
    ip::Core,
    link::Link,
    ndp::{ALL_ROUTERS, source_link_layer},
    neighbor::{Evidence, reachable_time},
    route::RouteEntry,
    wire::ndp::{self, NdpOption, lifetime},
};
use airglow_device::{Instant, MacAddr};
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

impl Core<'_> {
    pub(crate) fn start_ipv6(
        &mut self,
        now: Instant,
        interface: usize,
        config: &InterfaceConfig,
    ) -> Result<(), Error> {
        let mac = self.interfaces.get(interface).ok_or(Error::NoInterface)?.mac;
        let probe = config.dad_transmits > 0;
        let link_local = eui64(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), mac);
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
        for interface in 0..self.interfaces.len() {
            let Some(card) = self.interfaces.get_mut(interface) else { return };
            let mac = card.mac;
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
            options,
            ..
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
        let mac = source_link_layer(options).filter(|mac| mac.is_unicast());
        self.learn(now, interface, router, Evidence { mac, is_router: Some(true), ..Evidence::STALE }, link);

        let default = IpCidr::new(Ipv6Addr::UNSPECIFIED.into(), 0);
        let expires = now + Duration::from_secs(router_lifetime.into());
        // Behind one that was configured by hand.
        let route =
            RouteEntry { metric: 1024, expires, ..RouteEntry::new(default, router.into(), interface) };
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
                NdpOption::Mtu(mtu) => {
                    let Some(card) = self.interfaces.get_mut(interface) else { return };
                    if (1280..=card.caps.mtu).contains(&(mtu as usize)) {
                        card.mtu6 = mtu as usize;
                    }
                }
                NdpOption::NameServers { lifetime, addresses } => {
                    let Some(card) = self.interfaces.get_mut(interface) else { return };
                    for octets in addresses.as_chunks::<16>().0 {
                        let server = IpAddr::from(*octets);
                        card.name_servers.retain(|known| *known != server);
                        if lifetime > 0 {
                            let _ = card.name_servers.push(server);
                        }
                    }
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
        let Some(card) = self.interfaces.get(interface) else { return };
        let (mac, config) = (card.mac, card.config);
        //= https://www.rfc-editor.org/rfc/rfc4862#section-5.5.3
        //# If the sum of the prefix length and interface identifier length
        //# does not equal 128 bits, the Prefix Information option MUST be
        //# ignored.
        if prefix_len != 64 {
            return;
        }
        let addr = IpAddr::V6(eui64(prefix, mac));
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
            self.next = self.next.min(address.valid_until);
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
        }
    }

    /// Probes, announcements and expiries of addresses.
    pub(crate) fn poll_addresses(&mut self, now: Instant, link: &mut dyn Link) {
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
