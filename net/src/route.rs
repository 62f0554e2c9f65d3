//! The routing table: the longest matching prefix wins, then the lowest metric.
use crate::{config::IpCidr, memory::Slice};
use airglow_device::Instant;
use core::{cmp::Ordering, net::IpAddr};

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
    /// Its router did not answer: until then others of the same prefix go first (RFC 4861 section 6.3.6).
    pub suspect_until: Instant,
}

impl RouteEntry {
    /// A route over `gateway`, for good.
    pub const fn new(destination: IpCidr, gateway: IpAddr, interface: usize) -> Self {
        Self {
            destination,
            gateway: Some(gateway),
            interface,
            metric: 0,
            expires: Instant::MAX,
            suspect_until: Instant::ZERO,
        }
    }
    /// To one host alone.
    pub(crate) fn is_host(&self) -> bool {
        self.destination.prefix_len == if self.destination.addr.is_ipv4() { 32 } else { 128 }
    }

    /// To the same network, over the same router and interface.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let of = |r: &Self| (key(r.destination), r.gateway, r.interface);
        of(self) == of(other)
    }
    /// The network `destination` is on the link of `interface`.
    pub const fn on_link(destination: IpCidr, interface: usize) -> Self {
        Self {
            destination,
            gateway: None,
            interface,
            metric: 0,
            expires: Instant::MAX,
            suspect_until: Instant::ZERO,
        }
    }
}

/// IP version, prefix length (longest first), network: the order of the table.
type Key = (bool, u8, u128);

fn key(destination: IpCidr) -> Key {
    let len = destination.prefix_len;
    match destination.addr {
        IpAddr::V4(addr) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(len.min(32))).unwrap_or(0);
            (false, u8::MAX - len, (addr.to_bits() & mask).into())
        }
        IpAddr::V6(addr) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(len.min(128))).unwrap_or(0);
            (true, u8::MAX - len, addr.to_bits() & mask)
        }
    }
}

/// The routes, in order, so that a lookup is one binary search for each prefix length that occurs: with thousands of routes a few
/// hundred comparisons, and no memory beside the routes themselves.
#[derive(Default)]
pub(crate) struct RouteTable<'m> {
    /// The first `len` are there.
    entries: Slice<'m, Option<RouteEntry>>,
    len: usize,
    /// Bit `n`: there are routes with a prefix of `n` bits. Of IPv4, and of IPv6 up to 127 bits.
    lengths: [u128; 2],
    /// The same for 128 bits.
    hosts: bool,
}

impl<'m> RouteTable<'m> {
    pub fn new(entries: Slice<'m, Option<RouteEntry>>) -> Self {
        Self { entries, ..Self::default() }
    }

    pub fn iter(&self) -> impl Iterator<Item = &RouteEntry> {
        self.entries.get(..self.len).unwrap_or(&[]).iter().flatten()
    }

    /// Places that are free.
    pub fn room(&self) -> usize {
        self.entries.len() - self.len
    }

    fn compare(entry: &Option<RouteEntry>, wanted: &Key) -> Ordering {
        entry.as_ref().map_or(Ordering::Greater, |e| key(e.destination).cmp(wanted))
    }

    /// The routes to exactly this network.
    fn range(&self, wanted: Key) -> core::ops::Range<usize> {
        let there = self.entries.get(..self.len).unwrap_or(&[]);
        let start = there.partition_point(|e| Self::compare(e, &wanted).is_lt());
        let same = there.get(start..).unwrap_or(&[]);
        start..start + same.iter().take_while(|e| Self::compare(e, &wanted).is_eq()).count()
    }

    /// The best route to `dst` among those that are `usable`.
    pub fn find(
        &self,
        dst: IpAddr,
        now: Instant,
        usable: impl Fn(&RouteEntry) -> bool,
    ) -> Option<RouteEntry> {
        let is_ipv6 = dst.is_ipv6();
        let mut lengths = self.lengths[usize::from(is_ipv6)];
        let mut len = if is_ipv6 && self.hosts { Some(128) } else { take_highest(&mut lengths) };
        while let Some(prefix_len) = len {
            let range = self.range(key(IpCidr::new(dst, prefix_len)));
            let candidates = self.entries.get(range).unwrap_or(&[]).iter().flatten();
            let best = candidates
                .filter(|route| route.expires > now && usable(route))
                .min_by_key(|route| (route.suspect_until > now, route.metric));
            if best.is_some() {
                return best.copied();
            }
            len = take_highest(&mut lengths);
        }
        None
    }

    /// Adds `route` or renews the one with the same destination, gateway and interface. `false` when the table is full.
    pub fn insert(&mut self, route: RouteEntry) -> bool {
        let range = self.range(key(route.destination));
        let (start, end) = (range.start, range.end);
        let same = |r: &&mut RouteEntry| r.is_same(&route);
        if let Some(known) = self.entries.get_mut(range).unwrap_or(&mut []).iter_mut().flatten().find(same) {
            *known = route;
            return true;
        }
        if self.room() == 0 {
            return false;
        }
        let Some(moved) = self.entries.get_mut(end..=self.len) else { return false };
        moved.rotate_right(1);
        if let Some(slot) = moved.first_mut() {
            *slot = Some(route);
        }
        debug_assert!(start <= end);
        self.len += 1;
        self.note(route.destination);
        true
    }

    fn note(&mut self, destination: IpCidr) {
        match (destination.addr, destination.prefix_len) {
            (IpAddr::V6(_), 128..) => self.hosts = true,
            (addr, len) => self.lengths[usize::from(addr.is_ipv6())] |= 1 << len.min(127),
        }
    }

    /// Keeps the routes for which `keep` says so; it may change what is not the destination.
    pub fn retain(&mut self, mut keep: impl FnMut(&mut RouteEntry) -> bool) {
        let mut kept = 0;
        for index in 0..self.len {
            let Some(slot) = self.entries.get_mut(index) else { break };
            if slot.as_mut().is_some_and(&mut keep) {
                self.entries.swap(kept, index);
                kept += 1;
            } else {
                *slot = None;
            }
        }
        if kept != self.len {
            self.len = kept;
            (self.lengths, self.hosts) = ([0; 2], false);
            for index in 0..kept {
                if let Some(Some(route)) = self.entries.get(index).copied() {
                    self.note(route.destination);
                }
            }
        }
    }
}

/// The highest bit that is set, taken out.
fn take_highest(bits: &mut u128) -> Option<u8> {
    let highest = bits.checked_ilog2()?;
    *bits &= !(1 << highest);
    Some(highest as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cidr(text: &str) -> IpCidr {
        text.parse().unwrap()
    }
    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }
    fn table<'m>(size: usize) -> RouteTable<'m> {
        RouteTable::new(Slice::Owned(vec![None; size]))
    }

    #[test]
    fn the_longest_prefix_wins_then_the_metric() {
        let mut routes = table(4);
        assert!(routes.insert(RouteEntry::new(cidr("0.0.0.0/0"), ip("10.0.0.1"), 0)));
        let with = |metric, gateway, interface| RouteEntry {
            metric,
            ..RouteEntry::new(cidr("10.1.0.0/16"), ip(gateway), interface)
        };
        assert!(routes.insert(with(9, "10.0.0.2", 0)));
        assert!(routes.insert(with(1, "10.0.0.3", 1)));
        assert!(routes.insert(RouteEntry::on_link(cidr("10.1.2.0/24"), 1)));
        assert!(!routes.insert(RouteEntry::on_link(cidr("10.9.0.0/24"), 1)), "full");
        assert!(routes.insert(RouteEntry::on_link(cidr("10.1.2.0/24"), 1)), "renewed in place");
        let now = Instant::ZERO;
        let via = |dst: &str| routes.find(ip(dst), now, |_| true).map(|r| (r.gateway, r.interface));
        assert_eq!(via("8.8.8.8"), Some((Some(ip("10.0.0.1")), 0)));
        assert_eq!(via("10.1.9.9"), Some((Some(ip("10.0.0.3")), 1)));
        assert_eq!(via("10.1.2.9"), Some((None, 1)));
        assert_eq!(via("2001:db8::1"), None);
        let down = routes.find(ip("10.1.9.9"), now, |r| r.interface == 0).unwrap();
        assert_eq!(down.gateway, Some(ip("10.0.0.2")));
        // A router that does not answer comes last for a while.
        let later = Instant::from_secs(9);
        assert!(routes.insert(RouteEntry { suspect_until: later, ..with(1, "10.0.0.3", 1) }));
        assert_eq!(routes.find(ip("10.1.9.9"), now, |_| true).unwrap().interface, 0);
        assert_eq!(routes.find(ip("10.1.9.9"), later, |_| true).unwrap().interface, 1);
        routes.retain(|r| r.interface == 0);
        assert_eq!((routes.room(), routes.find(ip("10.1.2.9"), now, |_| true).unwrap().metric), (2, 9));
    }

    proptest! {
        #[test]
        fn finds_what_a_walk_of_all_routes_finds(
            routes in proptest::collection::vec((any::<bool>(), 0u8..=32, any::<u8>(), 0u16..4, 0usize..3), 0..60),
            gone in 0usize..3,
            asked in proptest::collection::vec((any::<bool>(), any::<u8>(), any::<u8>()), 20),
        ) {
            // Few bits differ, so that prefixes overlap.
            let addr = |six: bool, a: u8, b: u8| -> IpAddr {
                if six { [0x20, 1, a & 3, b & 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b].into() } else { [10, a & 3, b & 7, b].into() }
            };
            let mut table = table(64);
            let mut all: Vec<RouteEntry> = vec![];
            for (six, len, bits, metric, interface) in routes {
                let len = if six { len * 4 } else { len };
                let route = RouteEntry { metric, ..RouteEntry::on_link(IpCidr::new(addr(six, bits, bits), len), interface) };
                all.retain(|r| (key(r.destination), r.interface) != (key(route.destination), interface));
                all.push(route);
                prop_assert!(table.insert(route));
            }
            table.retain(|r| r.interface != gone);
            all.retain(|r| r.interface != gone);
            prop_assert_eq!(table.iter().count(), all.len());
            for (six, a, b) in asked {
                let dst = addr(six, a, b);
                let rank = |r: &RouteEntry| (r.destination.prefix_len, core::cmp::Reverse(r.metric));
                let best = all.iter().filter(|r| r.destination.contains(dst)).map(rank).max();
                let found = table.find(dst, Instant::ZERO, |_| true);
                prop_assert_eq!(found.as_ref().map(rank), best);
                prop_assert!(found.is_none_or(|r| r.destination.contains(dst)));
            }
        }
    }

    #[test]
    fn ten_thousand_routes_are_found_in_little_time() {
        let mut routes = table(10_001);
        assert!(routes.insert(RouteEntry::new(cidr("0.0.0.0/0"), ip("10.0.0.1"), 0)));
        for n in 0..10_000u32 {
            let network = IpAddr::from((0x0b00_0000 + (n << 8)).to_be_bytes());
            assert!(routes.insert(RouteEntry::on_link(IpCidr::new(network, 16 + (n % 9) as u8), 1)));
        }
        let start = std::time::Instant::now();
        for n in 0..10_000u32 {
            let dst = IpAddr::from((0x0b00_0001 + (n << 8)).to_be_bytes());
            assert_eq!(routes.find(dst, Instant::ZERO, |_| true).unwrap().interface, 1);
        }
        // A walk of all would take a hundred million comparisons.
        assert!(start.elapsed() < std::time::Duration::from_secs(2));
    }
}
