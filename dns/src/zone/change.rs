//! What makes one version of a zone the next: the records that go and those that come, as IXFR carries them (RFC 1995).
use super::{Edit, Node, Zone, ZoneError, soa_numbers};
use crate::{
    Error,
    wire::{Name, RecordType},
};
use alloc::{sync::Arc, vec::Vec};

/// Records in a row: owner, type, TTL, length, data, all in wire form without compression.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records(Vec<u8>);

/// One record of [`Records`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'r> {
    /// The owner.
    pub owner: Name<'r>,
    /// The type.
    pub rtype: RecordType,
    /// Time to live, seconds.
    pub ttl: u32,
    /// The data, without compression.
    pub data: &'r [u8],
}

impl Records {
    /// The records in `bytes`, as [`Self::as_bytes`] gave them.
    ///
    /// # Errors
    /// [`Error::BadRecord`] when they do not add up.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = read(rest).ok_or(Error::BadRecord)?.1;
        }
        Ok(Self(bytes.to_vec()))
    }
    /// The records as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
    /// Adds one; data longer than 65,535 bytes are none.
    pub fn push(&mut self, owner: Name<'_>, rtype: RecordType, ttl: u32, data: &[u8]) {
        let Ok(length) = u16::try_from(data.len()) else { return };
        self.0.extend_from_slice(owner.as_bytes());
        self.0.extend_from_slice(&rtype.0.to_be_bytes());
        self.0.extend_from_slice(&ttl.to_be_bytes());
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(data);
    }
    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// Each record in order.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut offset = 0;
        core::iter::from_fn(move || {
            let (entry, next) = self.at(offset)?;
            offset = next;
            Some(entry)
        })
    }
    /// The record at a byte offset, and the offset behind it.
    pub(crate) fn at(&self, offset: usize) -> Option<(Entry<'_>, usize)> {
        let (entry, rest) = read(self.0.get(offset..)?)?;
        Some((entry, self.0.len() - rest.len()))
    }
}

fn read(bytes: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let owner = Name::parse(bytes).ok()?;
    let (head, rest) = bytes.get(owner.len()..)?.split_first_chunk::<8>()?;
    let (data, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([head[6], head[7]])))?;
    let rtype = RecordType(u16::from_be_bytes([head[0], head[1]]));
    let ttl = u32::from_be_bytes([head[2], head[3], head[4], head[5]]);
    Some((Entry { owner, rtype, ttl, data }, rest))
}

/// From one serial to the next. The old SOA comes first in `deleted`, the new one first in `added`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// What goes.
    pub deleted: Records,
    /// What comes.
    pub added: Records,
}

impl Change {
    /// The serial that it begins with.
    pub fn from(&self) -> Option<u32> {
        serial(&self.deleted)
    }
    /// The serial that it leads to.
    pub fn to(&self) -> Option<u32> {
        serial(&self.added)
    }
    /// Bytes of memory it takes.
    pub fn size(&self) -> usize {
        self.deleted.0.len() + self.added.0.len()
    }
}

fn serial(records: &Records) -> Option<u32> {
    let first = records.iter().next().filter(|first| first.rtype == RecordType::SOA)?;
    soa_numbers(first.data).map(|(serial, _)| serial)
}

/// Whether serial `a` is newer than `b`: RFC 1982 section 3.2.
pub const fn is_newer(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

impl Zone {
    /// The changes that lead from the version `serial` to this one, if they are still known.
    pub fn changes_since(&self, serial: u32) -> Option<&[Arc<Change>]> {
        let first = self.history.iter().position(|change| change.from() == Some(serial))?;
        self.history.get(first..)
    }

    /// Takes over the changes that are known of `before`, and how this zone differs from it, the oldest forgotten
    /// until all fit into `bound` bytes. Costs about as much as loading the zone.
    pub fn succeed(&mut self, before: &Zone, bound: usize) {
        let change = before.difference(self, bound);
        self.history = match change {
            Some(change) => before.history.iter().cloned().chain([Arc::new(change)]).collect(),
            None => Vec::new(),
        };
        self.trim_history(bound);
    }

    /// This zone as what `change` made of `before`, whose history it takes over as far as `bound` bytes go.
    pub(crate) fn with_history(mut self, before: &Zone, change: Change, bound: usize) -> Self {
        self.history = before.history.iter().cloned().chain([Arc::new(change)]).collect();
        self.trim_history(bound);
        self
    }

    pub(crate) fn trim_history(&mut self, bound: usize) {
        let mut size: usize = self.history.iter().map(|change| change.size()).sum();
        let mut gone = 0;
        for change in &self.history {
            if size <= bound {
                break;
            }
            size -= change.size();
            gone += 1;
        }
        self.history.drain(..gone);
    }

    /// What makes this zone `next`, if that has a newer serial and the change is no larger than `bound` bytes.
    pub fn difference(&self, next: &Zone, bound: usize) -> Option<Change> {
        if self.apex().name() != next.apex().name() || !is_newer(next.serial(), self.serial()) {
            return None;
        }
        let mut change = Change::default();
        soa(self, &mut change.deleted);
        soa(next, &mut change.added);
        for node in self.nodes() {
            missing(node, next.find(node.name()), &mut change.deleted);
            if change.size() > bound {
                return None;
            }
        }
        for node in next.nodes() {
            missing(node, self.find(node.name()), &mut change.added);
            if change.size() > bound {
                return None;
            }
        }
        Some(change)
    }

    /// This zone after `changes`, which its history takes in, as far as `bound` bytes go.
    ///
    /// # Errors
    /// [`ZoneError::Mismatch`] when a change does not begin where the one before it ended, or deletes what is not there.
    pub fn apply(&self, changes: Vec<Change>, bound: usize) -> Result<Zone, ZoneError> {
        let mut edit = Edit::new(self);
        let mut serial = self.serial();
        for change in &changes {
            if change.from() != Some(serial) {
                return Err(ZoneError::Mismatch);
            }
            for entry in change.deleted.iter() {
                if !edit.remove(entry.owner, entry.rtype, entry.data) {
                    return Err(ZoneError::Mismatch);
                }
            }
            for entry in change.added.iter() {
                edit.add(entry.owner, entry.rtype, entry.ttl, entry.data);
            }
            serial = change.to().ok_or(ZoneError::Mismatch)?;
        }
        let mut zone = edit.finish()?;
        if zone.serial() != serial {
            return Err(ZoneError::Mismatch);
        }
        zone.history = self.history.iter().cloned().chain(changes.into_iter().map(Arc::new)).collect();
        zone.trim_history(bound);
        Ok(zone)
    }
}

pub(super) fn soa(zone: &Zone, out: &mut Records) {
    let apex = zone.apex();
    if let Some(set) = apex.set(RecordType::SOA) {
        set.data().for_each(|data| out.push(apex.name(), RecordType::SOA, set.ttl, data));
    }
}

/// The records of `node`, but for the SOA, that `other` has not.
fn missing(node: Node<'_>, other: Option<Node<'_>>, out: &mut Records) {
    for set in node.sets().filter(|set| set.rtype != RecordType::SOA) {
        let same = |other: &super::RecordSet<'_>| {
            other.rtype == set.rtype && other.ttl == set.ttl && other.data == set.data
        };
        if other.is_some_and(|node| node.sets().any(|other| same(&other))) {
            continue;
        }
        for data in set.data() {
            let there = other.is_some_and(|node| {
                let mut sets = node.sets().filter(|other| other.rtype == set.rtype && other.ttl == set.ttl);
                sets.any(|other| other.data().any(|other| other == data))
            });
            if !there {
                out.push(node.name(), set.rtype, set.ttl, data);
            }
        }
    }
}
