//! Another version of a zone: records are added and removed, the names that nobody touched are taken over.
use super::{Change, Zone, ZoneBuilder, ZoneError, change};
use crate::wire::{Name, NameBuf, RecordType, rdata};
use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};

/// A record of a name that is edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The type.
    pub rtype: RecordType,
    /// Time to live, seconds.
    pub ttl: u32,
    /// The data, without compression.
    pub data: Box<[u8]>,
}

struct Owner {
    name: NameBuf,
    records: Vec<Held>,
}

/// A zone that is being changed. The zone itself stays as it is.
pub struct Edit<'z> {
    zone: &'z Zone,
    // By the name in lower case.
    touched: BTreeMap<Vec<u8>, Owner>,
}

impl<'z> Edit<'z> {
    /// Nothing changed yet.
    pub const fn new(zone: &'z Zone) -> Self {
        Self { zone, touched: BTreeMap::new() }
    }

    /// The zone as it was before.
    pub const fn before(&self) -> &'z Zone {
        self.zone
    }

    fn owner(&mut self, name: Name<'_>) -> &mut Owner {
        let zone = self.zone;
        self.touched.entry(name.as_bytes().to_ascii_lowercase()).or_insert_with(|| Owner {
            name: NameBuf::from_name(zone.find(name).map_or(name, |node| node.name())),
            records: before(zone, name),
        })
    }

    /// The records of a name as they are now.
    pub fn records(&mut self, name: Name<'_>) -> &[Held] {
        &self.owner(name).records
    }

    /// Adds a record, or gives the one that is there another TTL; the whole set takes that TTL (RFC 2181 section 5.2).
    /// Whether anything changed.
    pub fn add(&mut self, name: Name<'_>, rtype: RecordType, ttl: u32, data: &[u8]) -> bool {
        let records = &mut self.owner(name).records;
        let mut changed = false;
        for held in records.iter_mut().filter(|held| same_set(held, rtype, data) && held.ttl != ttl) {
            held.ttl = ttl;
            changed = true;
        }
        let there =
            records.iter_mut().find(|held| held.rtype == rtype && rdata::equal(rtype, &held.data, data));
        match there {
            Some(held) => {
                // The same but for the case of a name in it: the newer spelling counts.
                changed |= *held.data != *data;
                held.data = data.into();
            }
            None => {
                records.push(Held { rtype, ttl, data: data.into() });
                changed = true;
            }
        }
        changed
    }

    /// Takes a record away. Whether it was there.
    pub fn remove(&mut self, name: Name<'_>, rtype: RecordType, data: &[u8]) -> bool {
        self.retain(name, |held| !(held.rtype == rtype && rdata::equal(rtype, &held.data, data)))
    }

    /// Takes away the records of a name for which `keep` says no. Whether there were any.
    pub fn retain(&mut self, name: Name<'_>, keep: impl FnMut(&Held) -> bool) -> bool {
        let records = &mut self.owner(name).records;
        let count = records.len();
        records.retain(keep);
        records.len() < count
    }

    /// Whether anything is other than in the zone.
    pub fn is_changed(&self) -> bool {
        self.touched.values().any(|owner| {
            let old = before(self.zone, owner.name.as_name());
            old.len() != owner.records.len() || old.iter().any(|held| !owner.records.contains(held))
        })
    }

    /// What was done, as IXFR carries it.
    pub fn change(&self) -> Change {
        let mut change = Change::default();
        change::soa(self.zone, &mut change.deleted);
        let apex = self.zone.apex().name();
        let soa = |held: &&Held| held.rtype == RecordType::SOA;
        for owner in self.touched.values().filter(|owner| owner.name.as_name() == apex) {
            for held in owner.records.iter().filter(soa) {
                change.added.push(apex, held.rtype, held.ttl, &held.data);
            }
        }
        for owner in self.touched.values() {
            let name = owner.name.as_name();
            let old = before(self.zone, name);
            for held in old.iter().filter(|held| !soa(held) && !owner.records.contains(held)) {
                change.deleted.push(name, held.rtype, held.ttl, &held.data);
            }
            for held in owner.records.iter().filter(|held| !soa(held) && !old.contains(held)) {
                change.added.push(name, held.rtype, held.ttl, &held.data);
            }
        }
        change
    }

    /// The new zone, without history. Costs about as much as loading the whole.
    ///
    /// # Errors
    /// The first rule that the records break.
    pub fn finish(&self) -> Result<Zone, ZoneError> {
        let mut builder = ZoneBuilder::new(self.zone.apex().name());
        let mut known: Vec<u32> = Vec::new();
        for owner in self.touched.values() {
            known.extend(self.zone.find(owner.name.as_name()).map(|node| node.index));
        }
        known.sort_unstable();
        for node in self.zone.nodes().filter(|node| known.binary_search(&node.index).is_err()) {
            for set in node.sets() {
                for data in set.data() {
                    builder.add(node.name(), set.rtype, set.ttl, data)?;
                }
            }
        }
        for owner in self.touched.values() {
            for held in &owner.records {
                builder.add(owner.name.as_name(), held.rtype, held.ttl, &held.data)?;
            }
        }
        builder.finish()
    }
}

/// Of one set: signatures over different types are of different ones.
fn same_set(held: &Held, rtype: RecordType, data: &[u8]) -> bool {
    held.rtype == rtype && (rtype != RecordType::RRSIG || held.data.get(..2) == data.get(..2))
}

fn before(zone: &Zone, name: Name<'_>) -> Vec<Held> {
    let mut records = Vec::new();
    for set in zone.find(name).into_iter().flat_map(|node| node.sets()) {
        records.extend(set.data().map(|data| Held { rtype: set.rtype, ttl: set.ttl, data: data.into() }));
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::{is_newer, load};
    use std::{format, string::String, string::ToString, sync::Arc, vec};

    const TEXT: &str = "$TTL 60\n@ SOA ns admin 7 1 1 1 1\n@ NS ns\nns A 192.0.2.1\nns A 192.0.2.2\na.b TXT x\nMX MX 10 Mail\n";

    fn zone(text: &str) -> Zone {
        load("test", text.as_bytes(), &"example.com".parse().unwrap(), |_| Err(String::new())).unwrap()
    }
    fn name(text: &str) -> NameBuf {
        format!("{text}.example.com").parse().unwrap()
    }

    #[test]
    fn an_edit_and_its_change_lead_to_the_same_zone() {
        let old = zone(TEXT);
        let next =
            zone(&TEXT.replace(" 7 1", " 8 1").replace("a.b TXT x", "c 90 TXT y").replace(".2.2", ".2.3"));
        let mut edit = Edit::new(&old);
        let apex = old.apex().name();
        let soa = next.apex().set(RecordType::SOA).unwrap().data().next().unwrap().to_vec();
        edit.retain(apex, |held| held.rtype != RecordType::SOA);
        edit.add(apex, RecordType::SOA, 60, &soa);
        assert!(edit.remove(name("a.B").as_name(), RecordType::TXT, b"\x01x"));
        assert!(!edit.remove(name("a.b").as_name(), RecordType::TXT, b"\x01x"));
        assert!(edit.remove(name("ns").as_name(), RecordType::A, &[192, 0, 2, 2]));
        assert!(edit.add(name("NS").as_name(), RecordType::A, 60, &[192, 0, 2, 3]));
        assert!(edit.add(name("c").as_name(), RecordType::TXT, 90, b"\x01y"));
        let change = edit.change();
        assert_eq!((change.from(), change.to()), (Some(7), Some(8)));
        assert_eq!(edit.finish().unwrap().to_string(), next.to_string());
        assert!(edit.finish().unwrap().find(name("b").as_name()).is_none(), "no empty name is left behind");
        assert_eq!(old.apply(vec![change.clone()], 1 << 20).unwrap().to_string(), next.to_string());
        let found = old.difference(&next, 1 << 20).unwrap();
        assert_eq!(old.apply(vec![found.clone()], 1 << 20).unwrap().to_string(), next.to_string());
        assert_eq!(next.apply(vec![found], 1 << 20).err(), Some(ZoneError::Mismatch));
        assert!(old.difference(&next, 10).is_none() && next.difference(&old, 1 << 20).is_none());
    }

    #[test]
    fn names_in_data_are_equal_in_any_case_and_the_set_takes_the_last_ttl() {
        let old = zone(TEXT);
        let mut edit = Edit::new(&old);
        let mut data = vec![0, 10];
        data.extend(name("mAIL").as_name().as_bytes());
        assert!(edit.remove(name("mx").as_name(), RecordType::MX, &data));
        assert!(edit.add(name("ns").as_name(), RecordType::A, 5, &[192, 0, 2, 9]));
        assert_eq!(
            edit.records(name("ns").as_name()).iter().map(|held| held.ttl).collect::<Vec<_>>(),
            [5, 5, 5]
        );
        data[1] = 0x4d;
        let mut other = data.clone();
        other[1] = 0x6d;
        assert!(!rdata::equal(RecordType::MX, &data, &other), "a number has no case");
    }

    #[test]
    fn history_is_kept_within_its_bound() {
        let mut now = zone(TEXT);
        let mut sizes = 0;
        for serial in 8..40 {
            let mut next =
                zone(&TEXT.replace(" 7 1", &format!(" {serial} 1")).replace(".2.2", &format!(".2.{serial}")));
            next.succeed(&now, 1000);
            sizes = next.history.iter().map(|change| change.size()).sum();
            assert!(sizes <= 1000);
            now = next;
        }
        assert!(sizes > 700);
        assert!(now.changes_since(8).is_none() && now.changes_since(39).is_none());
        let changes: Vec<Change> =
            now.changes_since(37).unwrap().iter().map(|change| Change::clone(change)).collect();
        let old = zone(&TEXT.replace(" 7 1", " 37 1").replace(".2.2", ".2.37"));
        assert_eq!(old.apply(changes, 0).unwrap().to_string(), now.to_string());
        let _ = Arc::new(now);
        assert!(is_newer(1, u32::MAX) && !is_newer(0x8000_0001, 1) && !is_newer(5, 5));
    }
}
