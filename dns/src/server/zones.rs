//! The table of zones, keyed by name.
use crate::{
    wire::{Name, RecordType, SuffixHashes},
    zone::Zone,
};
use alloc::{collections::BTreeSet, sync::Arc, vec::Vec};

/// Zones by name. Finding the one that a question belongs to costs one look-up a label, however many zones there are.
///
/// The zones are shared: a clone of the table is a few words a zone.
#[derive(Clone, Default)]
pub struct Zones {
    // A hash table with linear probing, by the hash of the apex; a power of two in length, and at most half full.
    table: Vec<Option<(u64, Arc<Zone>)>>,
    count: usize,
}

impl Zones {
    /// No zones.
    pub const fn new() -> Self {
        Self { table: Vec::new(), count: 0 }
    }

    /// Adds a zone and returns the one of the same name that it replaces.
    pub fn insert(&mut self, zone: impl Into<Arc<Zone>>) -> Option<Arc<Zone>> {
        let zone = zone.into();
        if self.count * 2 >= self.table.len() {
            let larger = (self.table.len() * 2).max(4);
            let old = core::mem::replace(&mut self.table, alloc::vec![None; larger]);
            for (hash, zone) in old.into_iter().flatten() {
                let place = self.place(hash, zone.apex().name());
                self.table[place] = Some((hash, zone));
            }
        }
        let hash = zone.apex().name().case_hash();
        let place = self.place(hash, zone.apex().name());
        let replaced = self.table[place].replace((hash, zone)).map(|(_, zone)| zone);
        self.count += usize::from(replaced.is_none());
        replaced
    }

    /// Takes the zone of this name away.
    pub fn remove(&mut self, apex: Name<'_>) -> Option<Arc<Zone>> {
        if self.table.is_empty() {
            return None;
        }
        let mut hole = self.place(apex.case_hash(), apex);
        let (_, zone) = self.table[hole].take()?;
        self.count -= 1;
        // Those behind it move up, so that no search ends before it has found them.
        let mask = self.table.len() - 1;
        let mut next = (hole + 1) & mask;
        while let Some((hash, _)) = &self.table[next] {
            let distance = |from: usize| next.wrapping_sub(from) & mask;
            if distance(*hash as usize) >= distance(hole) {
                self.table.swap(hole, next);
                hole = next;
            }
            next = (next + 1) & mask;
        }
        Some(zone)
    }

    /// Where the zone `apex` is, or would be. The table is not empty.
    fn place(&self, hash: u64, apex: Name<'_>) -> usize {
        let mask = self.table.len() - 1;
        let mut place = hash as usize & mask;
        while let Some((other, zone)) = &self.table[place]
            && (*other != hash || zone.apex().name() != apex)
        {
            place = (place + 1) & mask;
        }
        place
    }

    /// The zone of exactly this name.
    pub fn get(&self, apex: Name<'_>) -> Option<&Arc<Zone>> {
        self.get_hashed(apex.case_hash(), apex)
    }

    fn get_hashed(&self, hash: u64, apex: Name<'_>) -> Option<&Arc<Zone>> {
        if self.table.is_empty() {
            return None;
        }
        self.table[self.place(hash, apex)].as_ref().map(|(_, zone)| zone)
    }

    /// Every zone, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Zone>> {
        self.table.iter().flatten().map(|(_, zone)| zone)
    }

    /// Number of zones.
    pub const fn len(&self) -> usize {
        self.count
    }
    /// There is none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The zone that answers for `name`: the one with the longest name that contains it. DS at a zone's own apex is the
    /// parent's to answer (RFC 4035 section 3.1.4.1), if the parent is here.
    pub(crate) fn covering(&self, name: Name<'_>, rtype: RecordType) -> Option<&Arc<Zone>> {
        if self.count == 1 && self.table.len() <= 8 {
            return self.iter().next().filter(|zone| name.is_within(zone.apex().name()));
        }
        let mut hashes = SuffixHashes::new();
        hashes.compute(name);
        let mut own = None;
        let mut rest = name;
        for hash in (0..hashes.len()).map(|depth| hashes.get(depth)) {
            if let Some(zone) = self.get_hashed(hash, rest) {
                if rtype != RecordType::DS || rest.len() != name.len() {
                    return Some(zone);
                }
                own = Some(zone);
            }
            match rest.parent() {
                Some(parent) => rest = parent,
                None => break,
            }
        }
        own
    }
}

/// Who has the same zones as a [`Server`](super::Server), as the servers of other threads do, and hears of each change.
pub trait Mirror: core::fmt::Debug {
    /// A zone is served, new or in the place of the one of its name.
    fn insert(&self, zone: &Arc<Zone>);
    /// A zone that should be served is not here: [`Server::set_absent`](super::Server::set_absent).
    fn set_absent(&self, apex: Name<'_>);
    /// A zone is no longer served.
    fn remove(&self, apex: Name<'_>);
}

/// Names of zones that should be here and are not.
#[derive(Default)]
pub(super) struct Absent(BTreeSet<Vec<u8>>);

impl Absent {
    pub(super) fn insert(&mut self, apex: Name<'_>) {
        self.0.insert(apex.as_bytes().to_ascii_lowercase());
    }
    pub(super) fn remove(&mut self, apex: Name<'_>) {
        if !self.0.is_empty() {
            self.0.remove(&apex.as_bytes().to_ascii_lowercase());
        }
    }
    /// Whether `name` is in one of them that has a name of more than `depth` bytes.
    pub(super) fn covers(&self, name: Name<'_>, depth: usize) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let lower = name.as_bytes().to_ascii_lowercase();
        let mut rest = Name::parse(&lower).ok();
        while let Some(name) = rest.filter(|name| name.len() > depth) {
            if self.0.contains(name.as_bytes()) {
                return true;
            }
            rest = name.parent();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{wire::NameBuf, zone};
    use std::{collections::BTreeSet, format, vec::Vec};

    #[test]
    fn zones_come_and_go_as_in_the_model() {
        let apex = |number: usize| -> NameBuf { format!("z{number}.example").parse().unwrap() };
        let make = |number| {
            let text = b"$TTL 1h\n@ SOA ns admin 1 1d 2h 4w 5m\n@ NS ns\nns A 192.0.2.1\n";
            zone::load("file", text, &apex(number), |_| Err("no includes".into())).unwrap()
        };
        let (mut zones, mut model) = (Zones::new(), BTreeSet::new());
        for step in 0..2000usize {
            let number = step.wrapping_mul(0x9e37_79b9) >> 7 & 127;
            if step % 5 < 2 {
                let gone = zones.remove(apex(number).as_name());
                assert_eq!(gone.is_some(), model.remove(&number));
            } else {
                assert_eq!(zones.insert(make(number)).is_some(), !model.insert(number));
            }
            assert_eq!(zones.len(), model.len());
        }
        assert!(model.len() > 20);
        for number in 0..128 {
            let found = zones.get(apex(number).as_name());
            assert_eq!(found.is_some(), model.contains(&number));
            assert!(found.is_none_or(|zone| zone.apex().name() == apex(number).as_name()));
        }
        assert_eq!(
            zones.iter().count(),
            zones.iter().map(|zone| zone.apex().name().as_bytes()).collect::<BTreeSet<_>>().len()
        );
        let names: Vec<_> = zones.iter().map(|zone| NameBuf::from_name(zone.apex().name())).collect();
        assert!(names.iter().all(|name| zones.remove(name.as_name()).is_some()) && zones.is_empty());
    }
}
