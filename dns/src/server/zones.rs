//! The table of zones, keyed by name.
use crate::{
    wire::{Name, RecordType, SuffixHashes},
    zone::Zone,
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec::Vec,
};

/// Zones by name. Finding the one that a question belongs to costs one look-up a label, however many zones there are.
///
/// The zones are shared: a clone of the table is a few words a zone.
#[derive(Clone, Default)]
pub struct Zones {
    // By the hash of the apex; the few that share a hash stand side by side.
    zones: BTreeMap<u64, Vec<Arc<Zone>>>,
    count: usize,
}

impl Zones {
    /// No zones.
    pub const fn new() -> Self {
        Self { zones: BTreeMap::new(), count: 0 }
    }

    /// Adds a zone and returns the one of the same name that it replaces.
    pub fn insert(&mut self, zone: impl Into<Arc<Zone>>) -> Option<Arc<Zone>> {
        let zone = zone.into();
        let apex = zone.apex().name();
        let bucket = self.zones.entry(apex.case_hash()).or_default();
        let place = bucket.iter().position(|other| other.apex().name() == apex);
        match place {
            Some(index) => Some(core::mem::replace(&mut bucket[index], zone)),
            None => {
                bucket.push(zone);
                self.count += 1;
                None
            }
        }
    }

    /// Takes the zone of this name away.
    pub fn remove(&mut self, apex: Name<'_>) -> Option<Arc<Zone>> {
        let bucket = self.zones.get_mut(&apex.case_hash())?;
        let index = bucket.iter().position(|zone| zone.apex().name() == apex)?;
        self.count -= 1;
        let zone = bucket.swap_remove(index);
        if bucket.is_empty() {
            self.zones.remove(&apex.case_hash());
        }
        Some(zone)
    }

    /// The zone of exactly this name.
    pub fn get(&self, apex: Name<'_>) -> Option<&Arc<Zone>> {
        self.get_hashed(apex.case_hash(), apex)
    }

    fn get_hashed(&self, hash: u64, apex: Name<'_>) -> Option<&Arc<Zone>> {
        self.zones.get(&hash)?.iter().find(|zone| zone.apex().name() == apex)
    }

    /// Every zone, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Zone>> {
        self.zones.values().flatten()
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
        if let Some(only) =
            self.zones.values().next().filter(|bucket| self.zones.len() == 1 && bucket.len() == 1)
        {
            return only.first().filter(|zone| name.is_within(zone.apex().name()));
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
