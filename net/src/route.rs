//! The routing table: the longest matching prefix wins, then the lowest metric.
use crate::config::IpCidr;
use airglow_device::Instant;
use core::net::IpAddr;

/// One route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteEntry {
    /// Where it leads.
    pub destination: IpCidr,
    /// The router; `None`: the destination's hosts are on the link.
    pub gateway: Option<IpAddr>,
    /// Over which interface.
    pub interface: usize,
    /// The lower the better, among routes of the same prefix.
    pub metric: u16,
    /// Removed after this.
    pub expires: Instant,
}

impl RouteEntry {
    /// A route over `gateway`, for good.
    pub const fn new(destination: IpCidr, gateway: IpAddr, interface: usize) -> Self {
        Self { destination, gateway: Some(gateway), interface, metric: 0, expires: Instant::MAX }
    }
    /// The network `destination` is on the link of `interface`.
    pub const fn on_link(destination: IpCidr, interface: usize) -> Self {
        Self { destination, gateway: None, interface, metric: 0, expires: Instant::MAX }
    }
}

/// The best route to `dst`.
///
/// Linear: tables of a host are short. A longest-prefix trie may take its place here.
pub(crate) fn find(
    routes: &[Option<RouteEntry>],
    dst: IpAddr,
    now: Instant,
    usable: impl Fn(&RouteEntry) -> bool,
) -> Option<RouteEntry> {
    let mut best: Option<&RouteEntry> = None;
    for route in routes.iter().flatten() {
        if route.expires <= now || !route.destination.contains(dst) || !usable(route) {
            continue;
        }
        let rank = |r: &RouteEntry| (r.destination.prefix_len, core::cmp::Reverse(r.metric));
        if best.is_none_or(|best| rank(route) > rank(best)) {
            best = Some(route);
        }
    }
    best.copied()
}

/// Adds `route` or renews the one with the same destination, gateway and interface. `false` when the table is full.
pub(crate) fn insert(routes: &mut [Option<RouteEntry>], route: RouteEntry) -> bool {
    let same = |r: &RouteEntry| {
        (r.destination, r.gateway, r.interface) == (route.destination, route.gateway, route.interface)
    };
    let index = routes.iter().position(|r| r.as_ref().is_some_and(same));
    match index.or_else(|| routes.iter().position(Option::is_none)) {
        Some(index) => {
            routes[index] = Some(route);
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_wins_then_the_metric() {
        let cidr = |text: &str| text.parse::<IpCidr>().unwrap();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut routes = [None; 4];
        assert!(insert(&mut routes, RouteEntry::new(cidr("0.0.0.0/0"), ip("10.0.0.1"), 0)));
        assert!(insert(
            &mut routes,
            RouteEntry { metric: 9, ..RouteEntry::new(cidr("10.1.0.0/16"), ip("10.0.0.2"), 0) }
        ));
        assert!(insert(
            &mut routes,
            RouteEntry { metric: 1, ..RouteEntry::new(cidr("10.1.0.0/16"), ip("10.0.0.3"), 1) }
        ));
        assert!(insert(&mut routes, RouteEntry::on_link(cidr("10.1.2.0/24"), 1)));
        assert!(!insert(&mut routes, RouteEntry::on_link(cidr("10.9.0.0/24"), 1)), "full");
        assert!(insert(&mut routes, RouteEntry::on_link(cidr("10.1.2.0/24"), 1)), "renewed in place");
        let via =
            |dst: &str| find(&routes, ip(dst), Instant::ZERO, |_| true).map(|r| (r.gateway, r.interface));
        assert_eq!(via("8.8.8.8"), Some((Some(ip("10.0.0.1")), 0)));
        assert_eq!(via("10.1.9.9"), Some((Some(ip("10.0.0.3")), 1)));
        assert_eq!(via("10.1.2.9"), Some((None, 1)));
        assert_eq!(via("2001:db8::1"), None);
        let down = find(&routes, ip("10.1.9.9"), Instant::ZERO, |r| r.interface == 0).unwrap();
        assert_eq!(down.gateway, Some(ip("10.0.0.2")));
    }
}
