//! Zones in memory: a hash table of names over two arenas, so that a million records are a handful of allocations
//! and a lookup costs the same from one record to a million.
mod builder;
mod change;
mod denial;
mod edit;
mod file;
mod print;

pub use builder::{ZoneBuilder, ZoneError};
pub use change::{Change, Entry, Records, is_newer};
pub use edit::{Edit, Held};
pub use file::{FileError, Included, Place, load};

use crate::wire::{Name, RecordType};
use alloc::{sync::Arc, vec::Vec};

/// A name of the zone: one that owns records, or an empty non-terminal above one.
#[derive(Clone, Copy, Debug)]
struct NodeData {
    /// Where its name stands in `Zone::names`.
    name: u32,
    /// Where its record sets stand in `Zone::sets`, and how many there are.
    sets: u32,
    count: u16,
    flags: u8,
}

/// At this node another zone begins: NS records below the apex.
const CUT: u8 = 1;
/// A cut or a DNAME stands above this node, so that nothing here is authoritative but what glue wants.
const OCCLUDED: u8 = 2;
/// The node owns a DNAME.
const HAS_DNAME: u8 = 4;
/// A `*` label stands directly below.
const HAS_WILDCARD: u8 = 8;

/// An immutable zone.
pub struct Zone {
    names: Vec<u8>,
    sets: Vec<u8>,
    nodes: Vec<NodeData>,
    // Open addressing: node index + 1, or 0; as many slots as a power of two at most three quarters full.
    table: Vec<u32>,
    // Nodes with authoritative records in canonical order, when the zone has an NSEC chain.
    order: Vec<u32>,
    // Hash and node of every NSEC3 record, in order of the hash.
    hashed: Vec<([u8; 20], u32)>,
    hash_parameters: Option<denial::HashParameters>,
    records: usize,
    serial: u32,
    negative_ttl: u32,
    // The changes that led here, the oldest first.
    history: Vec<Arc<Change>>,
}

/// A name of a zone and the records it owns.
#[derive(Clone, Copy)]
pub struct Node<'z> {
    zone: &'z Zone,
    index: u32,
}

/// The records of one owner and type.
#[derive(Clone, Copy, Debug)]
pub struct RecordSet<'z> {
    /// The type.
    pub rtype: RecordType,
    /// Time to live, seconds.
    pub ttl: u32,
    data: &'z [u8],
    count: u16,
}

impl<'z> RecordSet<'z> {
    /// The data of each record, in wire form without compression, in canonical order.
    pub fn data(&self) -> impl Iterator<Item = &'z [u8]> + use<'z> {
        let mut rest = self.data;
        core::iter::from_fn(move || {
            let (head, tail) = rest.split_first_chunk::<2>()?;
            let (data, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*head)))?;
            rest = tail;
            Some(data)
        })
    }

    /// The same records with another time to live.
    pub(crate) const fn with_ttl(self, ttl: u32) -> Self {
        Self { ttl, ..self }
    }

    /// Number of records.
    #[allow(clippy::len_without_is_empty, reason = "a set has at least one record")]
    pub const fn len(&self) -> usize {
        self.count as usize
    }
}

impl<'z> Node<'z> {
    fn data(self) -> NodeData {
        self.zone.nodes[self.index as usize]
    }
    /// The owner name.
    pub fn name(self) -> Name<'z> {
        self.zone.name_of(self.index)
    }
    /// NS records stand here and this is not the apex.
    pub fn is_cut(self) -> bool {
        self.data().flags & CUT != 0
    }
    /// A cut or DNAME stands above.
    pub(crate) fn is_occluded(self) -> bool {
        self.data().flags & OCCLUDED != 0
    }
    pub(crate) fn has_dname(self) -> bool {
        self.data().flags & HAS_DNAME != 0
    }
    pub(crate) fn has_wildcard(self) -> bool {
        self.data().flags & HAS_WILDCARD != 0
    }
    /// The record sets, in order of their types. Signatures make one set for each type that they cover.
    pub fn sets(self) -> impl Iterator<Item = RecordSet<'z>> + use<'z> {
        let node = self.data();
        let mut rest = self.zone.sets.get(node.sets as usize..).unwrap_or(&[]);
        (0..node.count).map_while(move |_| {
            let (head, tail) = rest.split_first_chunk::<12>()?;
            let size = u32::from_be_bytes([head[8], head[9], head[10], head[11]]) as usize;
            let (data, tail) = tail.split_at_checked(size)?;
            rest = tail;
            Some(RecordSet {
                rtype: RecordType(u16::from_be_bytes([head[0], head[1]])),
                count: u16::from_be_bytes([head[2], head[3]]),
                ttl: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
                data,
            })
        })
    }
    /// The record set of one type.
    pub fn set(self, rtype: RecordType) -> Option<RecordSet<'z>> {
        self.sets().find(|set| set.rtype == rtype)
    }
    /// Signatures over the set of one type: every RRSIG that covers it.
    pub fn signatures(self, covered: RecordType) -> impl Iterator<Item = &'z [u8]> + use<'z> {
        let over = move |set: &RecordSet<'_>| set.data.get(2..4) == Some(&covered.0.to_be_bytes());
        self.sets().filter(move |set| set.rtype == RecordType::RRSIG && over(set)).flat_map(|set| set.data())
    }
    /// No records: the node is there because of a name below it.
    pub fn is_empty_non_terminal(self) -> bool {
        self.data().count == 0
    }
}

impl Zone {
    /// The name of the zone.
    pub fn apex(&self) -> Node<'_> {
        Node { zone: self, index: 0 }
    }
    /// The serial number of the SOA.
    pub const fn serial(&self) -> u32 {
        self.serial
    }
    /// The TTL of negative answers: the smaller of the SOA's TTL and its MINIMUM (RFC 2308 section 3).
    pub const fn negative_ttl(&self) -> u32 {
        self.negative_ttl
    }
    /// Number of records.
    pub const fn records(&self) -> usize {
        self.records
    }
    /// Bytes of memory the zone takes.
    pub fn memory(&self) -> usize {
        self.names.capacity()
            + self.sets.capacity()
            + self.nodes.capacity() * size_of::<NodeData>()
            + (self.table.capacity() + self.order.capacity()) * 4
            + self.hashed.capacity() * size_of::<([u8; 20], u32)>()
    }
    /// Every name of the zone, the apex first, otherwise in no order.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        (0..self.nodes.len() as u32).map(|index| Node { zone: self, index })
    }
    pub(crate) fn node(&self, index: usize) -> Option<Node<'_>> {
        (index < self.nodes.len()).then_some(Node { zone: self, index: index as u32 })
    }
    /// The node of a name, empty non-terminals included.
    pub fn find(&self, name: Name<'_>) -> Option<Node<'_>> {
        self.find_hashed(name.case_hash(), name)
    }

    /// The same with [`Name::case_hash`] known.
    pub(crate) fn find_hashed(&self, hash: u64, name: Name<'_>) -> Option<Node<'_>> {
        let mask = self.table.len().checked_sub(1)?;
        let mut slot = hash as usize & mask;
        loop {
            match self.table[slot] {
                0 => return None,
                found if self.name_of(found - 1) == name => {
                    return Some(Node { zone: self, index: found - 1 });
                }
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    fn name_of(&self, index: u32) -> Name<'_> {
        let at = self.nodes[index as usize].name as usize;
        // The arena holds a length byte and then the name, both written by the builder.
        let length = usize::from(self.names[at]);
        Name::checked(&self.names[at + 1..at + 1 + length])
    }

    /// Whether the zone is signed: the apex has a DNSKEY and a chain of denial.
    pub fn is_signed(&self) -> bool {
        !self.order.is_empty() || self.hash_parameters.is_some()
    }
}

/// The SOA's serial and MINIMUM.
pub(crate) fn soa_numbers(data: &[u8]) -> Option<(u32, u32)> {
    let mut rest = data;
    for _ in 0..2 {
        // Past a name.
        while let Some((length @ 1..=63, after)) = rest.split_first() {
            rest = after.get(usize::from(*length)..)?;
        }
        rest = rest.strip_prefix(&[0])?;
    }
    let numbers: &[u8; 20] = rest.try_into().ok()?;
    let word =
        |at: usize| u32::from_be_bytes([numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3]]);
    Some((word(0), word(16)))
}
