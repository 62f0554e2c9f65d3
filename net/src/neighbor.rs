//! The cache of neighbours' Ethernet addresses, for ARP and neighbour discovery alike, with the reachability states of RFC 4861
//! section 7.3. It decides what must be asked and when; `arp.rs` and `ndp.rs` write the packets.
use crate::{memory::Slice, random::Random};
use airglow_device::{Instant, MacAddr};
use core::{net::IpAddr, ops::Range, time::Duration};

/// RFC 4861 section 10.
const MAX_SOLICITATIONS: u8 = 3;
const DELAY_FIRST_PROBE_TIME: Duration = Duration::from_secs(5);
/// A contested address and its rival are asked so often each, so far apart: who is there answers within milliseconds, and a flow waits for
/// the other one.
const CONTEST_SOLICITATIONS: u8 = 2;
const CONTEST_RETRANSMIT: Duration = Duration::from_millis(250);
/// Questions about contested addresses begin no more often than this, whatever others say of them.
const CONTEST_INTERVAL: Duration = Duration::from_secs(1);
/// An entry that nobody uses for so long goes (RFC 1122 section 2.3.2.1 asks that old entries be flushed).
const GARBAGE_AFTER: Duration = Duration::from_secs(20 * 60);
/// Tables up to this size are searched whole; larger ones in buckets of half of it.
const LINEAR: usize = 16;

/// How sure the cache is of an address (RFC 4861 section 7.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reachability {
    /// Asked, not answered.
    Incomplete,
    /// Confirmed, until `Neighbor::next`.
    Reachable,
    /// Was right once.
    Stale,
    /// In use since it was stale; asked at `next` unless confirmed before.
    Delay,
    /// Being asked again.
    Probe,
}

/// One neighbour.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Neighbor {
    pub interface: usize,
    pub addr: IpAddr,
    pub mac: MacAddr,
    pub state: Reachability,
    /// When the state's time is over.
    pub next: Instant,
    solicitations: u8,
    used: Instant,
    pub is_router: bool,
    /// Another address that was said or had before, asked when `mac` is silent; `UNSPECIFIED`: none.
    rival: MacAddr,
}

impl Neighbor {
    fn new(interface: usize, addr: IpAddr, now: Instant, state: Reachability) -> Self {
        Self {
            interface,
            addr,
            mac: MacAddr::UNSPECIFIED,
            state,
            next: Instant::MAX,
            solicitations: 0,
            used: now,
            is_router: false,
            rival: MacAddr::UNSPECIFIED,
        }
    }

    fn is_contested(&self) -> bool {
        self.rival != MacAddr::UNSPECIFIED
    }

    /// A packet goes to `mac`, or another speaks in its name: `mac` is to be asked, at `next`. `contested`: when others were asked for that.
    fn delay(&mut self, now: Instant, contested: Instant) {
        self.state = Reachability::Delay;
        self.next = match self.is_contested() {
            true => now.max(contested + CONTEST_INTERVAL),
            false => now + DELAY_FIRST_PROBE_TIME,
        };
    }
}

/// What the cache says of a next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    Known(MacAddr),
    /// It was asked already.
    Asked,
    /// Ask now.
    Ask,
}

/// A neighbour whose timer is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Ask for the address; at `mac` if it is known, else everyone.
    Solicit { interface: usize, addr: IpAddr, mac: Option<MacAddr> },
    /// It does not answer; it was removed.
    Failed { interface: usize, addr: IpAddr, was_router: bool },
}

/// What becomes of an address that a packet contradicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replaces {
    /// It is kept (an advertisement without the override flag).
    Never,
    /// It is kept as long as it answers. ARP has neither flags nor a checksum: a damaged packet may be in anyone's name.
    IfSilent,
    /// It gives way, and is asked when the new one is silent.
    Always,
}

/// What a packet says of its sender's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Evidence {
    pub mac: Option<MacAddr>,
    /// It answers a question of ours.
    pub solicited: bool,
    /// Whether it counts more than an address we have.
    pub replaces: Replaces,
    /// What is said of being a router.
    pub is_router: Option<bool>,
    /// Make an entry when there is none.
    pub create: bool,
}

impl Evidence {
    /// What a packet says of its own sender in passing (RFC 4861 section 7.2.3).
    pub const STALE: Self =
        Self { mac: None, solicited: false, replaces: Replaces::Always, is_router: None, create: true };
}

/// What [`NeighborCache::learn`] changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Learned {
    /// The address was waited for, and is known now.
    pub resolved: Option<MacAddr>,
    /// It was a router and is none any more.
    pub left_routers: bool,
}

pub(crate) struct NeighborCache<'m> {
    entries: Slice<'m, Option<Neighbor>>,
    salt: u64,
    next: Instant,
    next_sweep: Instant,
    /// When contested addresses were asked about last.
    contested: Instant,
}

impl<'m> NeighborCache<'m> {
    pub fn new(entries: Slice<'m, Option<Neighbor>>, salt: u64) -> Self {
        Self { entries, salt, next: Instant::MAX, next_sweep: Instant::ZERO, contested: Instant::ZERO }
    }

    /// The entries that may hold `addr`: its neighbours in the table are few, so that a flood of addresses displaces little.
    fn bucket(&self, interface: usize, addr: IpAddr) -> Range<usize> {
        let len = self.entries.len();
        if len <= LINEAR {
            return 0..len;
        }
        let bits = match addr {
            IpAddr::V4(addr) => u64::from(addr.to_bits()),
            IpAddr::V6(addr) => {
                let bits = addr.to_bits();
                (bits as u64).rotate_left(17) ^ ((bits >> 64) as u64)
            }
        };
        let hash = (bits ^ self.salt ^ interface as u64).wrapping_mul(self.salt | 1);
        let hash = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        const WAYS: usize = LINEAR / 2;
        let buckets = len / WAYS;
        let bucket = ((u128::from(hash) * buckets as u128) >> 64) as usize;
        bucket * WAYS..(bucket + 1) * WAYS
    }

    fn index(&self, interface: usize, addr: IpAddr) -> Option<usize> {
        let range = self.bucket(interface, addr);
        let is =
            |n: &Option<Neighbor>| n.as_ref().is_some_and(|n| n.addr == addr && n.interface == interface);
        let start = range.start;
        self.entries.get(range)?.iter().position(is).map(|i| start + i)
    }

    #[cfg(test)]
    pub fn get(&self, interface: usize, addr: IpAddr) -> Option<&Neighbor> {
        self.entries.get(self.index(interface, addr)?)?.as_ref()
    }

    /// The interface on which `addr` was last seen, when it does not say itself.
    pub fn interface_of(&self, addr: IpAddr) -> Option<usize> {
        self.entries.iter().flatten().find(|n| n.addr == addr).map(|n| n.interface)
    }

    fn insert(&mut self, neighbor: Neighbor) -> Option<&mut Neighbor> {
        let range = self.bucket(neighbor.interface, neighbor.addr);
        // A free entry, else the one that was not used for the longest time; a router last.
        let rank = |n: &Option<Neighbor>| n.as_ref().map(|n| (n.is_router, n.used));
        let slot = self.entries.get_mut(range)?.iter_mut().min_by_key(|n| rank(n))?;
        self.next = self.next.min(neighbor.next);
        Some(slot.insert(neighbor))
    }

    /// Where to send a packet for `addr` now.
    pub fn resolve(
        &mut self,
        now: Instant,
        interface: usize,
        addr: IpAddr,
        retransmit: Duration,
    ) -> Resolution {
        let Some(index) = self.index(interface, addr) else {
            let asked = Neighbor::new(interface, addr, now, Reachability::Incomplete);
            self.insert(Neighbor { next: now + retransmit, solicitations: 1, ..asked });
            return Resolution::Ask;
        };
        let Some(Some(neighbor)) = self.entries.get_mut(index) else { return Resolution::Asked };
        neighbor.used = now;
        match neighbor.state {
            Reachability::Incomplete => return Resolution::Asked,
            Reachability::Reachable if now < neighbor.next => {}
            //= https://www.rfc-editor.org/rfc/rfc4861#section-7.3.3
            //# The first time a node sends a packet to a neighbor whose entry is
            //# STALE, the sender changes the state to DELAY and sets a timer to
            //# expire in DELAY_FIRST_PROBE_TIME seconds.
            Reachability::Reachable | Reachability::Stale => {
                neighbor.delay(now, self.contested);
                self.next = self.next.min(neighbor.next);
            }
            Reachability::Delay | Reachability::Probe => {}
        }
        Resolution::Known(neighbor.mac)
    }

    /// Takes in what a packet from `addr` says (RFC 4861 section 7.2.5, and section 7.2.3 with `create`).
    pub fn learn(
        &mut self,
        now: Instant,
        interface: usize,
        addr: IpAddr,
        evidence: Evidence,
        reachable: Duration,
    ) -> Learned {
        let mut learned = Learned::default();
        let Some(index) = self.index(interface, addr) else {
            if let (true, Some(mac)) = (evidence.create, evidence.mac) {
                let is_router = evidence.is_router.unwrap_or(false);
                let stale = Neighbor::new(interface, addr, now, Reachability::Stale);
                self.insert(Neighbor { mac, is_router, ..stale });
            }
            return learned;
        };
        let Some(Some(neighbor)) = self.entries.get_mut(index) else { return learned };
        let confirm = |neighbor: &mut Neighbor, solicited: bool| {
            neighbor.state = if solicited { Reachability::Reachable } else { Reachability::Stale };
            neighbor.next = if solicited { now + reachable } else { Instant::MAX };
            if solicited {
                neighbor.rival = MacAddr::UNSPECIFIED;
            }
        };
        if neighbor.state == Reachability::Incomplete {
            let Some(mac) = evidence.mac else { return learned };
            neighbor.mac = mac;
            confirm(neighbor, evidence.solicited);
            learned.resolved = Some(mac);
        } else if evidence.solicited
            && neighbor.state == Reachability::Probe
            && neighbor.solicitations > CONTEST_SOLICITATIONS
            && neighbor.is_contested()
            && evidence.mac == Some(neighbor.rival)
        {
            // The rival was asked, and answers.
            neighbor.mac = neighbor.rival;
            confirm(neighbor, true);
        } else if let Some(mac) = evidence.mac.filter(|mac| *mac != neighbor.mac) {
            match evidence.replaces {
                //= https://www.rfc-editor.org/rfc/rfc4861#section-7.2.5
                //# If the state of the entry is REACHABLE, set it to STALE, but
                //# do not update the entry in any other way.
                Replaces::Never => {
                    if neighbor.state == Reachability::Reachable {
                        confirm(neighbor, false);
                    }
                    return learned;
                }
                // In use: whoever has it is asked at once, at the address that is known. Only the first who contests it counts until then.
                Replaces::IfSilent if neighbor.state != Reachability::Stale => {
                    if !neighbor.is_contested() {
                        neighbor.rival = mac;
                        neighbor.delay(now, self.contested);
                        self.next = self.next.min(neighbor.next);
                    }
                    return learned;
                }
                Replaces::IfSilent | Replaces::Always => {
                    if !neighbor.is_contested() || neighbor.rival == mac {
                        neighbor.rival = neighbor.mac;
                    }
                    neighbor.mac = mac;
                    confirm(neighbor, evidence.solicited && evidence.replaces == Replaces::Always);
                }
            }
        } else if evidence.solicited {
            confirm(neighbor, true);
        }
        if let Some(is_router) = evidence.is_router {
            learned.left_routers = neighbor.is_router && !is_router;
            neighbor.is_router = is_router;
        }
        learned
    }

    /// The next neighbour whose timer is due; call until `None`.
    pub fn due(&mut self, now: Instant, retransmit: Duration) -> Option<Due> {
        if now < self.next {
            return None;
        }
        let mut next = Instant::MAX;
        for slot in self.entries.iter_mut() {
            let Some(neighbor) = slot else { continue };
            if matches!(neighbor.state, Reachability::Reachable | Reachability::Stale) {
                continue;
            }
            if now < neighbor.next {
                next = next.min(neighbor.next);
                continue;
            }
            let (interface, addr) = (neighbor.interface, neighbor.addr);
            if neighbor.state == Reachability::Delay {
                neighbor.state = Reachability::Probe;
                neighbor.solicitations = 0;
                if neighbor.is_contested() {
                    self.contested = now;
                }
            }
            let (limit, wait) = match neighbor.is_contested() {
                true => (2 * CONTEST_SOLICITATIONS, CONTEST_RETRANSMIT),
                false => (MAX_SOLICITATIONS, retransmit),
            };
            let mut asked = neighbor.mac;
            if neighbor.is_contested() && neighbor.solicitations >= CONTEST_SOLICITATIONS {
                // What goes to the neighbour goes on to `mac` until its rival answers. A solicitation of IPv6 is such a packet itself.
                asked = neighbor.rival;
                if addr.is_ipv6() && neighbor.solicitations == CONTEST_SOLICITATIONS {
                    core::mem::swap(&mut neighbor.mac, &mut neighbor.rival);
                }
            }
            if neighbor.solicitations >= limit {
                let was_router = neighbor.is_router;
                *slot = None;
                return Some(Due::Failed { interface, addr, was_router });
            }
            neighbor.solicitations += 1;
            neighbor.next = now + wait;
            let mac = (neighbor.state == Reachability::Probe).then_some(asked);
            // Others may be due as well: `self.next` stays in the past until a call finds none.
            return Some(Due::Solicit { interface, addr, mac });
        }
        self.next = next;
        None
    }

    /// Removes what was not used for a long time.
    pub fn sweep(&mut self, now: Instant) {
        if now < self.next_sweep {
            return;
        }
        self.next_sweep = now + GARBAGE_AFTER / 4;
        for slot in self.entries.iter_mut() {
            if slot.as_ref().is_some_and(|n| now.since(n.used) >= GARBAGE_AFTER) {
                *slot = None;
            }
        }
    }

    /// Forgets everything on an interface whose link went away.
    pub fn forget(&mut self, interface: usize) {
        for slot in self.entries.iter_mut().filter(|n| n.as_ref().is_some_and(|n| n.interface == interface)) {
            *slot = None;
        }
    }

    /// When [`due`](Self::due) has something to say.
    pub fn poll_timeout(&self) -> Instant {
        self.next
    }
}

/// RFC 4861 section 6.3.2: ReachableTime is BaseReachableTime times a random factor from 0.5 to 1.5.
pub(crate) fn reachable_time(base: Duration, random: &mut Random) -> Duration {
    let base = u64::try_from(base.as_nanos()).unwrap_or(u64::MAX / 2);
    Duration::from_nanos(base / 2 + random.below(base))
}

#[cfg(test)]
mod tests {
    use super::*;
    const RETRANSMIT: Duration = Duration::from_secs(1);
    const REACHABLE: Duration = Duration::from_secs(30);
    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);

    fn cache(len: usize) -> NeighborCache<'static> {
        NeighborCache::new(Slice::Owned(vec![None; len]), 0x1234_5678_9abc_def1)
    }
    fn ip(n: u32) -> IpAddr {
        IpAddr::V4((0x0a00_0000 + n).into())
    }
    const ANSWER: Evidence = Evidence {
        mac: Some(MAC),
        solicited: true,
        replaces: Replaces::Always,
        is_router: None,
        create: false,
    };

    #[test]
    fn a_silent_neighbour_is_asked_three_times() {
        let mut cache = cache(4);
        let mut now = Instant::from_secs(100);
        assert_eq!(cache.resolve(now, 0, ip(1), RETRANSMIT), Resolution::Ask);
        assert_eq!(cache.resolve(now, 0, ip(1), RETRANSMIT), Resolution::Asked);
        for _ in 0..2 {
            assert_eq!(cache.due(now, RETRANSMIT), None);
            now = cache.poll_timeout();
            assert_eq!(
                cache.due(now, RETRANSMIT),
                Some(Due::Solicit { interface: 0, addr: ip(1), mac: None })
            );
            assert_eq!(cache.due(now, RETRANSMIT), None);
        }
        now = cache.poll_timeout();
        assert_eq!(now, Instant::from_secs(103));
        assert_eq!(
            cache.due(now, RETRANSMIT),
            Some(Due::Failed { interface: 0, addr: ip(1), was_router: false })
        );
        assert_eq!((cache.due(now, RETRANSMIT), cache.poll_timeout()), (None, Instant::MAX));
        assert_eq!(cache.resolve(now, 0, ip(1), RETRANSMIT), Resolution::Ask, "it starts over");
    }

    #[test]
    fn reachable_stale_delay_probe_reachable() {
        let mut cache = cache(4);
        let mut now = Instant::from_secs(100);
        cache.resolve(now, 0, ip(1), RETRANSMIT);
        assert_eq!(cache.learn(now, 0, ip(1), ANSWER, REACHABLE).resolved, Some(MAC));
        now += REACHABLE;
        assert_eq!(cache.resolve(now, 0, ip(1), RETRANSMIT), Resolution::Known(MAC));
        assert_eq!(cache.get(0, ip(1)).unwrap().state, Reachability::Delay);
        assert_eq!(cache.due(now, RETRANSMIT), None);
        assert_eq!(cache.poll_timeout(), now + DELAY_FIRST_PROBE_TIME);
        now = cache.poll_timeout();
        let probe = Due::Solicit { interface: 0, addr: ip(1), mac: Some(MAC) };
        assert_eq!(cache.due(now, RETRANSMIT), Some(probe));
        assert_eq!(
            cache.resolve(now, 0, ip(1), RETRANSMIT),
            Resolution::Known(MAC),
            "used while it is probed"
        );
        cache.learn(now, 0, ip(1), Evidence { mac: None, ..ANSWER }, REACHABLE);
        assert_eq!(cache.get(0, ip(1)).unwrap().state, Reachability::Reachable);
        assert_eq!(cache.due(now + REACHABLE * 2, RETRANSMIT), None, "nothing asks while nobody uses it");
    }

    #[test]
    fn another_address_without_override_makes_stale() {
        let mut cache = cache(4);
        let now = Instant::from_secs(100);
        cache.resolve(now, 0, ip(1), RETRANSMIT);
        cache.learn(now, 0, ip(1), ANSWER, REACHABLE);
        let other = Evidence { mac: Some(MacAddr([2; 6])), replaces: Replaces::Never, ..ANSWER };
        cache.learn(now, 0, ip(1), other, REACHABLE);
        let neighbor = *cache.get(0, ip(1)).unwrap();
        assert_eq!((neighbor.mac, neighbor.state), (MAC, Reachability::Stale));
        cache.learn(
            now,
            0,
            ip(1),
            Evidence { replaces: Replaces::Always, solicited: false, ..other },
            REACHABLE,
        );
        assert_eq!(cache.get(0, ip(1)).unwrap().mac, MacAddr([2; 6]));
    }

    /// What comes after somebody spoke in the name of a neighbour: the times in milliseconds at which who is asked, until nobody is.
    fn contest(cache: &mut NeighborCache<'_>, from: Instant) -> Vec<(u64, Option<MacAddr>)> {
        let mut asked = Vec::new();
        while cache.poll_timeout() < Instant::MAX {
            let now = from.max(cache.poll_timeout());
            while let Some(due) = cache.due(now, RETRANSMIT) {
                let millis = now.since(from).as_millis() as u64;
                asked.push(match due {
                    Due::Solicit { mac, .. } => (millis, mac),
                    Due::Failed { .. } => (millis, None),
                });
            }
        }
        asked
    }

    const RIVAL: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x66]);

    #[test]
    fn each_of_two_who_claim_an_address_is_asked_twice() {
        let (us, them) = (Some(MAC), Some(RIVAL));
        for (replaces, first, second) in [(Replaces::IfSilent, us, them), (Replaces::Always, them, us)] {
            let mut cache = cache(4);
            let now = Instant::from_secs(100);
            cache.resolve(now, 0, ip(1), RETRANSMIT);
            cache.learn(now, 0, ip(1), ANSWER, REACHABLE);
            let claim = Evidence { mac: them, solicited: false, replaces, ..ANSWER };
            cache.learn(now, 0, ip(1), claim, REACHABLE);
            // In use.
            assert_eq!(cache.resolve(now, 0, ip(1), RETRANSMIT), Resolution::Known(first.unwrap()));
            let asked = [(0, first), (250, first), (500, second), (750, second), (1000, None)];
            assert_eq!(contest(&mut cache, now), asked, "{replaces:?}");
            assert_eq!(cache.get(0, ip(1)).map(|neighbor| neighbor.mac), None);
        }
    }

    #[test]
    fn a_flood_in_another_s_name_asks_once_in_a_second() {
        let mut cache = cache(4);
        let start = Instant::from_secs(100);
        cache.resolve(start, 0, ip(1), RETRANSMIT);
        cache.learn(start, 0, ip(1), ANSWER, REACHABLE);
        let mut asked = 0;
        for n in 0..100_000_u32 {
            let now = start + Duration::from_micros(100) * n;
            let mac = MacAddr([2, 1, 0, (n >> 16) as u8, (n >> 8) as u8, n as u8]);
            let claim = Evidence { mac: Some(mac), replaces: Replaces::IfSilent, ..ANSWER };
            cache.learn(now, 0, ip(1), claim, REACHABLE);
            assert_eq!(cache.resolve(now, 0, ip(1), RETRANSMIT), Resolution::Known(MAC), "{n}");
            while let Some(due) = cache.due(now, RETRANSMIT) {
                assert_eq!(due, Due::Solicit { interface: 0, addr: ip(1), mac: Some(MAC) });
                asked += 1;
                cache.learn(now, 0, ip(1), ANSWER, REACHABLE);
            }
        }
        assert_eq!(asked, 10, "in ten seconds");
    }

    #[test]
    fn a_full_table_forgets_the_least_recently_used() {
        for len in [8, 64] {
            let mut cache = cache(len);
            let mut now = Instant::from_secs(1);
            let gateway = Evidence { is_router: Some(true), create: true, ..ANSWER };
            cache.learn(now, 0, ip(1), gateway, REACHABLE);
            for n in 2..10_000 {
                now += Duration::from_millis(1);
                cache.resolve(now, 0, ip(n), RETRANSMIT);
                assert!(cache.get(0, ip(n)).is_some());
            }
            assert!(cache.get(0, ip(1)).is_some(), "the router stays");
            assert!(cache.entries.iter().flatten().count() <= len);
            cache.sweep(now + GARBAGE_AFTER);
            assert_eq!(cache.entries.iter().flatten().count(), 0);
        }
    }
}
