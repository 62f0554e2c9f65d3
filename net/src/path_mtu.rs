//! What is known of the MTU of paths: from ICMP errors that passed their checks (RFC 1191, RFC 8201, RFC 5927), and from searches
//! (RFC 4821).
use crate::memory::Slice;
use airglow_device::Instant;
use core::{net::IpAddr, time::Duration};

/// RFC 8201 section 5.3 recommends ten minutes until a larger packet is tried again.
const LIFETIME: Duration = Duration::from_secs(10 * 60);
/// What no error makes the MTU of an IPv4 path smaller than (RFC 791 asks hosts to take 576 bytes; RFC 5927 section 7.2 to be wary).
const LEAST_V4: usize = 552;
/// RFC 8200 section 5.
const LEAST_V6: usize = 1280;
/// RFC 1191 section 7.1: common MTUs, for routers that do not say theirs.
const PLATEAUS: [usize; 9] = [32_000, 17_914, 8166, 4352, 2002, 1492, 1006, 508, 296];

/// One destination.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathMtu {
    dst: IpAddr,
    mtu: u16,
    expires: Instant,
    /// What a search (RFC 4821) has not found to be too large; after `expires` that is open again, and `mtu` stays what is known to get
    /// through. 0: no search, but a router's word.
    #[cfg(feature = "plpmtud")]
    most: u16,
}

impl PathMtu {
    fn counts(&self, now: Instant) -> bool {
        #[cfg(feature = "plpmtud")]
        if self.most > 0 {
            return true;
        }
        now < self.expires
    }
}

/// The destinations whose path is narrower than our own link. A destination that is not here takes our link's MTU.
#[derive(Default)]
pub(crate) struct PathMtus<'m> {
    entries: Slice<'m, Option<PathMtu>>,
    /// When all is forgotten that is known now.
    until: Instant,
}

impl<'m> PathMtus<'m> {
    pub fn new(entries: Slice<'m, Option<PathMtu>>) -> Self {
        Self { entries, until: Instant::ZERO }
    }

    /// The MTU of the path to `dst`, if it is known.
    pub fn get(&self, now: Instant, dst: IpAddr) -> Option<usize> {
        // As a rule nothing is known, and nothing is searched.
        if now >= self.until {
            return None;
        }
        let entry = self.entries.iter().flatten().find(|e| e.dst == dst && e.counts(now))?;
        Some(entry.mtu.into())
    }

    /// The largest packet to `dst` that is not known to be too large; `None`: any.
    #[cfg(feature = "plpmtud")]
    pub fn most(&self, now: Instant, dst: IpAddr) -> Option<usize> {
        let entry = self.entries.iter().flatten().find(|e| e.dst == dst && now < e.expires)?;
        Some(entry.most.max(entry.mtu).into())
    }

    /// Packets of `mtu` bytes get through to `dst`, such of more than `most` do not.
    #[cfg(feature = "plpmtud")]
    pub fn found(&mut self, now: Instant, dst: IpAddr, mtu: usize, most: usize) {
        let (Ok(mtu), Ok(most)) = (u16::try_from(mtu), u16::try_from(most)) else { return };
        self.put(PathMtu { dst, mtu, expires: now + LIFETIME, most: most.max(mtu) });
        self.until = Instant::MAX;
    }

    /// The path to `dst` takes what our link takes.
    #[cfg(feature = "plpmtud")]
    pub fn forget(&mut self, dst: IpAddr) {
        self.entries.iter_mut().filter(|e| e.is_some_and(|e| e.dst == dst)).for_each(|e| *e = None);
        if self.entries.iter().all(Option::is_none) {
            self.until = Instant::ZERO;
        }
    }

    /// Into the destination's own place, a free one, or that of the one that is over first.
    fn put(&mut self, entry: PathMtu) {
        let rank = |e: &Option<PathMtu>| match e {
            Some(e) if e.dst == entry.dst => Instant::ZERO,
            Some(e) => e.expires,
            None => Instant::from_secs(0) + Duration::from_nanos(1),
        };
        if let Some(slot) = self.entries.iter_mut().min_by_key(|e| rank(e)) {
            *slot = Some(entry);
        }
    }

    /// A router reports that a packet of `len` bytes to `dst` is larger than `mtu`. `true` if that was news.
    pub fn shrink(&mut self, now: Instant, dst: IpAddr, mtu: usize, len: usize) -> bool {
        let mtu = match dst {
            // RFC 1191 section 5: an old router says 0; take the next plateau below what was too large.
            IpAddr::V4(_) if mtu == 0 => PLATEAUS.into_iter().find(|plateau| *plateau < len).unwrap_or(0),
            //= https://www.rfc-editor.org/rfc/rfc8201#section-4
            //# If a node receives a Packet Too Big message reporting a next-hop MTU
            //# that is less than the IPv6 minimum link MTU, it must discard it.
            IpAddr::V6(_) if mtu < LEAST_V6 => return false,
            _ => mtu,
        };
        let mtu = if dst.is_ipv4() { mtu.max(LEAST_V4) } else { mtu };
        let Ok(mtu) = u16::try_from(mtu) else { return false };
        //= https://www.rfc-editor.org/rfc/rfc8201#section-4
        //# A node must not increase its estimate of the Path MTU in response to
        //# the contents of a Packet Too Big message.
        if usize::from(mtu) >= len {
            return false;
        }
        if self.get(now, dst).is_some_and(|known| known <= mtu.into()) {
            // About a probe: the search goes no further than that.
            #[cfg(feature = "plpmtud")]
            if let Some(entry) = self.entries.iter_mut().flatten().find(|e| e.dst == dst && e.most > mtu) {
                (entry.most, entry.expires) = (mtu, now + LIFETIME);
            }
            return false;
        }
        #[cfg(feature = "plpmtud")]
        self.put(PathMtu { dst, mtu, expires: now + LIFETIME, most: 0 });
        #[cfg(not(feature = "plpmtud"))]
        self.put(PathMtu { dst, mtu, expires: now + LIFETIME });
        self.until = self.until.max(now + LIFETIME);
        !self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_shrink_paths_within_limits_and_for_ten_minutes() {
        let mut paths = PathMtus::new(Slice::Owned(vec![None; 2]));
        let now = Instant::from_secs(100);
        let (v4, v6): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        assert!(paths.shrink(now, v4, 1400, 1500));
        assert!(!paths.shrink(now, v4, 1450, 1500), "no larger");
        assert!(!paths.shrink(now, v4, 1300, 1200), "the packet was smaller than that");
        assert_eq!(paths.get(now, v4), Some(1400));
        assert!(paths.shrink(now, v4, 0, 1400));
        assert_eq!(paths.get(now, v4), Some(1006), "a plateau");
        assert!(paths.shrink(now, v4, 68, 1000));
        assert_eq!(paths.get(now, v4), Some(552), "no smaller");
        assert!(!paths.shrink(now, v6, 1279, 1500));
        assert!(paths.shrink(now, v6, 1280, 1500));
        // The table holds two: the older gives way.
        assert!(paths.shrink(now + Duration::from_secs(1), "10.0.0.2".parse().unwrap(), 1000, 1500));
        assert_eq!(paths.entries.iter().flatten().count(), 2);
        let later = now + LIFETIME + Duration::from_secs(1);
        assert_eq!((paths.get(later, v4), paths.get(later, v6)), (None, None));
    }

    #[cfg(feature = "plpmtud")]
    #[test]
    fn what_a_search_has_found_stays_and_after_ten_minutes_larger_sizes_are_open_again() {
        let mut paths = PathMtus::new(Slice::Owned(vec![None; 2]));
        let (now, dst): (_, IpAddr) = (Instant::from_secs(100), "10.0.0.1".parse().unwrap());
        let later = now + LIFETIME;
        assert_eq!((paths.get(now, dst), paths.most(now, dst)), (None, None));
        paths.found(now, dst, 1024, 1500);
        paths.found(now, dst, 1200, 1399);
        assert_eq!((paths.get(now, dst), paths.most(now, dst)), (Some(1200), Some(1399)));
        assert_eq!((paths.get(later, dst), paths.most(later, dst)), (Some(1200), None));
        // A router's word about a probe bounds the search, one about what is sent ends it.
        assert!(!paths.shrink(now, dst, 1300, 1400));
        assert_eq!((paths.get(now, dst), paths.most(now, dst)), (Some(1200), Some(1300)));
        assert!(paths.shrink(now, dst, 1100, 1200));
        assert_eq!((paths.get(now, dst), paths.most(now, dst)), (Some(1100), Some(1100)));
        assert_eq!((paths.get(later, dst), paths.most(later, dst)), (None, None));
        // It is as wide as the link: nothing is left to remember.
        paths.found(now, dst, 1200, 1399);
        paths.forget(dst);
        assert_eq!((paths.get(now, dst), paths.until), (None, Instant::ZERO));
    }
}
