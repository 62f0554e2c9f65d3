//! Makes a zone of records that come in any order.
use super::{CUT, HAS_DNAME, HAS_WILDCARD, Node, NodeData, OCCLUDED, Zone, denial, soa_numbers};
use crate::wire::{Name, NameBuf, RecordType, SuffixHashes, rdata};
use alloc::{boxed::Box, vec::Vec};
use core::fmt;

/// Why records do not make a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ZoneError {
    /// The owner is not in the zone.
    OutOfZone(Box<NameBuf>),
    /// The data are not what the type says, or the type is one no zone holds.
    BadRecord(Box<NameBuf>, RecordType),
    /// The apex has no SOA, or more than one.
    Soa,
    /// The apex has no NS.
    NoNs,
    /// A CNAME stands beside other records, or there are two of them (RFC 1034 section 3.6.2, RFC 2181 section 10.1).
    CnameAndOther(Box<NameBuf>),
    /// More than one DNAME at a name (RFC 6672 section 2.4).
    ManyDnames(Box<NameBuf>),
    /// The zone passes 4 GiB of names or data.
    TooLarge,
    /// The zone is signed, and the feature `signed` is off.
    Signed,
    /// A change that is not one of this version of the zone.
    Mismatch,
}

impl fmt::Display for ZoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfZone(name) => write!(f, "{name} is not in the zone"),
            Self::BadRecord(name, rtype) => write!(f, "{name} has {rtype} data that are not valid"),
            Self::Soa => f.write_str("the zone's apex must have one SOA record"),
            Self::NoNs => f.write_str("the zone's apex has no NS record"),
            Self::CnameAndOther(name) => write!(f, "{name} has a CNAME beside other records"),
            Self::ManyDnames(name) => write!(f, "{name} has more than one DNAME"),
            Self::TooLarge => f.write_str("the zone is larger than 4 GiB"),
            Self::Signed => f.write_str("the zone is signed, and this program serves unsigned ones"),
            Self::Mismatch => f.write_str("the change is not one of this version of the zone"),
        }
    }
}
impl core::error::Error for ZoneError {}

struct Pending {
    node: u32,
    rtype: RecordType,
    length: u16,
    ttl: u32,
    data: u32,
}

/// Collects records; [`finish`](Self::finish) makes the zone.
pub struct ZoneBuilder {
    zone: Zone,
    pending: Vec<Pending>,
    data: Vec<u8>,
    last: Option<(u64, u32)>,
}

impl ZoneBuilder {
    /// An empty zone of this name.
    pub fn new(apex: Name<'_>) -> Self {
        let mut builder = Self {
            zone: Zone {
                names: Vec::new(),
                sets: Vec::new(),
                nodes: Vec::new(),
                table: alloc::vec![0; 8],
                order: Vec::new(),
                hashed: Vec::new(),
                hash_parameters: None,
                records: 0,
                serial: 0,
                negative_ttl: 0,
                history: Vec::new(),
            },
            pending: Vec::new(),
            data: Vec::new(),
            last: None,
        };
        builder.insert(apex.case_hash(), apex);
        builder
    }

    /// The name of the zone.
    pub fn apex(&self) -> Name<'_> {
        self.zone.name_of(0)
    }

    /// Adds a record whose data are in wire form without compression. A record that is there already counts once.
    ///
    /// # Errors
    /// [`ZoneError::OutOfZone`], [`ZoneError::BadRecord`], [`ZoneError::TooLarge`].
    pub fn add(
        &mut self,
        owner: Name<'_>,
        rtype: RecordType,
        ttl: u32,
        data: &[u8],
    ) -> Result<(), ZoneError> {
        if owner.is_within(self.apex()) && (rtype.is_meta() || rdata::check(rtype, data).is_err()) {
            return Err(ZoneError::BadRecord(boxed(owner), rtype));
        }
        self.add_valid(owner, rtype, ttl, data)
    }

    /// The same for data that were found valid before, as those of a zone that is compiled in.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_valid(
        &mut self,
        owner: Name<'_>,
        rtype: RecordType,
        ttl: u32,
        data: &[u8],
    ) -> Result<(), ZoneError> {
        if !owner.is_within(self.apex()) {
            return Err(ZoneError::OutOfZone(boxed(owner)));
        }
        let length = u16::try_from(data.len()).map_err(|_| ZoneError::BadRecord(boxed(owner), rtype))?;
        let node = self.node(owner)?;
        let at = u32::try_from(self.data.len()).map_err(|_| ZoneError::TooLarge)?;
        self.data.extend_from_slice(data);
        // TTLs above 2^31 - 1 count as zero (RFC 2181 section 8).
        let ttl = if ttl > i32::MAX as u32 { 0 } else { ttl };
        self.pending.push(Pending { node, rtype, length, ttl, data: at });
        Ok(())
    }

    /// The node of a name, made together with those between it and the apex.
    fn node(&mut self, owner: Name<'_>) -> Result<u32, ZoneError> {
        let mut hashes = SuffixHashes::new();
        hashes.compute(owner);
        // Zone files give a name's records in a row.
        if let Some((hash, index)) = self.last
            && hash == hashes.get(0)
            && self.zone.name_of(index) == owner
        {
            return Ok(index);
        }
        let mut name = owner;
        let mut found = None;
        for hash in (0..hashes.len()).map(|depth| hashes.get(depth)) {
            let known = self.zone.find_hashed(hash, name).map(|node| node.index);
            let index = match known {
                Some(index) => index,
                None if self.zone.names.len() + self.zone.nodes.len() > u32::MAX as usize - 512 => {
                    return Err(ZoneError::TooLarge);
                }
                None => self.insert(hash, name),
            };
            if name.len() + 2 == owner.len() && owner.is_wildcard() {
                self.zone.nodes[index as usize].flags |= HAS_WILDCARD;
            }
            found = found.or(Some(index));
            if known.is_some() {
                break;
            }
            let Some(parent) = name.parent() else { break };
            name = parent;
        }
        let index = found.unwrap_or(0);
        self.last = Some((hashes.get(0), index));
        Ok(index)
    }

    fn insert(&mut self, hash: u64, name: Name<'_>) -> u32 {
        let zone = &mut self.zone;
        let index = zone.nodes.len() as u32;
        let at = zone.names.len() as u32;
        zone.names.push(name.len() as u8);
        zone.names.extend_from_slice(name.as_bytes());
        zone.nodes.push(NodeData { name: at, sets: 0, count: 0, flags: 0 });
        if zone.nodes.len() * 4 > zone.table.len() * 3 {
            let larger = zone.table.len() * 2;
            zone.table = alloc::vec![0; larger];
            for other in 0..index {
                let hash = zone.name_of(other).case_hash();
                place(&mut zone.table, hash, other);
            }
        }
        place(&mut zone.table, hash, index);
        index
    }

    /// Checks the zone and lays it out.
    ///
    /// # Errors
    /// The first rule that the records break.
    pub fn finish(mut self) -> Result<Zone, ZoneError> {
        let data = &self.data;
        let bytes = |p: &Pending| &data[p.data as usize..p.data as usize + usize::from(p.length)];
        self.pending.sort_unstable_by(|a, b| {
            (a.node, a.rtype).cmp(&(b.node, b.rtype)).then_with(|| bytes(a).cmp(bytes(b)))
        });
        self.pending.dedup_by(|a, b| a.node == b.node && a.rtype == b.rtype && bytes(a) == bytes(b));
        let zone = &mut self.zone;
        zone.sets.reserve_exact(self.data.len() + self.pending.len() * 2 + 12 * zone.nodes.len());
        // Signatures over different types are sets of their own: each has the TTL of what it covers (RFC 4034 section 3).
        let covered = |p: &Pending| bytes(p).get(..2).filter(|_| p.rtype == RecordType::RRSIG);
        let same_set =
            |a: &Pending, b: &Pending| a.node == b.node && a.rtype == b.rtype && covered(a) == covered(b);
        for set in self.pending.chunk_by(same_set) {
            let Some(first) = set.first() else { continue };
            let size: usize = set.iter().map(|p| 2 + usize::from(p.length)).sum();
            //= https://www.rfc-editor.org/rfc/rfc2181#section-5.2
            //# the client must treat the RRs for all purposes as if all TTLs in the RRSet had been set
            //# to the value of the lowest TTL in the RRSet.
            let ttl = set.iter().map(|p| p.ttl).min().unwrap_or(0);
            let at = u32::try_from(zone.sets.len()).map_err(|_| ZoneError::TooLarge)?;
            let node = &mut zone.nodes[first.node as usize];
            if node.count == 0 {
                node.sets = at;
            }
            node.count += 1;
            let count = u16::try_from(set.len()).map_err(|_| ZoneError::TooLarge)?;
            zone.sets.extend_from_slice(&first.rtype.0.to_be_bytes());
            zone.sets.extend_from_slice(&count.to_be_bytes());
            zone.sets.extend_from_slice(&ttl.to_be_bytes());
            zone.sets.extend_from_slice(&(size as u32).to_be_bytes());
            for record in set {
                zone.sets.extend_from_slice(&record.length.to_be_bytes());
                zone.sets.extend_from_slice(bytes(record));
            }
        }
        zone.records = self.pending.len();
        check(zone)?;
        mark(zone);
        denial::index(zone);
        zone.sets.shrink_to_fit();
        zone.names.shrink_to_fit();
        zone.nodes.shrink_to_fit();
        Ok(self.zone)
    }
}

fn boxed(name: Name<'_>) -> Box<NameBuf> {
    Box::new(NameBuf::from_name(name))
}

fn place(table: &mut [u32], hash: u64, index: u32) {
    let mask = table.len() - 1;
    let mut slot = hash as usize & mask;
    while table[slot] != 0 {
        slot = (slot + 1) & mask;
    }
    table[slot] = index + 1;
}

fn check(zone: &mut Zone) -> Result<(), ZoneError> {
    let apex = zone.apex();
    let soa = apex.set(RecordType::SOA).filter(|set| set.len() == 1).ok_or(ZoneError::Soa)?;
    let (serial, minimum) = soa.data().next().and_then(soa_numbers).ok_or(ZoneError::Soa)?;
    if apex.set(RecordType::NS).is_none() {
        return Err(ZoneError::NoNs);
    }
    let chains = [RecordType::NSEC, RecordType::NSEC3PARAM];
    if !crate::SIGNED && chains.iter().any(|chain| apex.set(*chain).is_some()) {
        return Err(ZoneError::Signed);
    }
    for node in zone.nodes() {
        let mut others = 0;
        let mut cnames = 0;
        for set in node.sets() {
            match set.rtype {
                RecordType::CNAME => cnames += set.len(),
                RecordType::RRSIG | RecordType::NSEC | RecordType::KEY | RecordType::SIG => {}
                RecordType::DNAME if set.len() > 1 => {
                    return Err(ZoneError::ManyDnames(boxed(node.name())));
                }
                RecordType::SOA if node.index != 0 => return Err(ZoneError::Soa),
                _ => others += 1,
            }
        }
        if cnames > 1 || cnames == 1 && others > 0 {
            return Err(ZoneError::CnameAndOther(boxed(node.name())));
        }
    }
    let ttl = soa.ttl.min(minimum);
    zone.serial = serial;
    zone.negative_ttl = ttl;
    Ok(())
}

/// Marks cuts and DNAMEs, and what lies below them.
fn mark(zone: &mut Zone) {
    for index in 0..zone.nodes.len() as u32 {
        let node = Node { zone, index };
        let cut = index != 0 && node.set(RecordType::NS).is_some();
        let dname = node.set(RecordType::DNAME).is_some();
        let flags = &mut zone.nodes[index as usize].flags;
        *flags |= if cut { CUT } else { 0 } | if dname { HAS_DNAME } else { 0 };
    }
    if !zone.nodes.iter().any(|node| node.flags & (CUT | HAS_DNAME) != 0) {
        return;
    }
    for index in 1..zone.nodes.len() as u32 {
        let mut name = zone.name_of(index);
        let apex = zone.name_of(0);
        let mut occluded = false;
        while let Some(parent) = name.parent().filter(|parent| parent.len() >= apex.len()) {
            occluded |= zone.find(parent).is_some_and(|node| node.data().flags & (CUT | HAS_DNAME) != 0);
            name = parent;
        }
        if occluded {
            zone.nodes[index as usize].flags |= OCCLUDED;
        }
    }
}
