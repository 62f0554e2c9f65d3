//! What the reserved port NORMAL does: a transparent bridge with VLANs (IEEE 802.1Q's forwarding, without spanning tree).
use crate::wire::{Field, Key};
use airglow_device::Instant;
use alloc::collections::BTreeMap;
use core::time::Duration;

/// How long an address is remembered without a frame (IEEE 802.1D's default).
const AGE: Duration = Duration::from_secs(300);

/// Which address was last seen on which port.
pub struct Learning {
    seen: BTreeMap<(u16, [u8; 6]), (u32, Instant)>,
    /// Addresses that are remembered.
    most: usize,
}

impl Learning {
    /// Remembers at most this many addresses.
    pub const fn new(most: usize) -> Self {
        Self { seen: BTreeMap::new(), most }
    }

    /// Learns the sender of a frame and returns the port of its destination, if that is known.
    pub fn forward(&mut self, now: Instant, key: &Key) -> Option<u32> {
        let vlan = key.number(Field::VlanVid) as u16 & 0xfff;
        let address = |field| <[u8; 6]>::try_from(key.get(field)).unwrap_or_default();
        let source = address(Field::EthSrc);
        if source[0] & 1 == 0 {
            if self.seen.len() >= self.most && !self.seen.contains_key(&(vlan, source)) {
                self.seen.retain(|_, (_, at)| now.since(*at) < AGE);
                if self.seen.len() >= self.most {
                    // Full of living addresses: the oldest makes room.
                    let oldest = self.seen.iter().min_by_key(|(_, (_, at))| *at).map(|(key, _)| *key);
                    oldest.map(|key| self.seen.remove(&key));
                }
            }
            self.seen.insert((vlan, source), (key.number(Field::InPort) as u32, now));
        }
        let found = self.seen.get(&(vlan, address(Field::EthDst)))?;
        (now.since(found.1) < AGE).then_some(found.0)
    }
}
