//! Finding the records that prove a name is not there: NSEC (RFC 4034) and NSEC3 (RFC 5155).
use super::{Node, OCCLUDED, Zone};
use crate::wire::{Name, NameBuf, RecordType};
use alloc::vec::Vec;
use sha1::{Digest, Sha1};

/// How a zone's NSEC3 chain hashes.
#[derive(Clone, Debug)]
pub(super) struct HashParameters {
    iterations: u16,
    salt: Vec<u8>,
}

/// Builds the orders that lookups need, when the zone has the chains.
pub(super) fn index(zone: &mut Zone) {
    if !crate::SIGNED {
        return;
    }
    let apex = zone.apex();
    let parameters = apex.set(RecordType::NSEC3PARAM).and_then(|set| {
        let data = set.data().find(|data| data.len() >= 5 && data[0] == 1)?;
        let salt = data.get(5..)?.to_vec();
        Some(HashParameters { iterations: u16::from_be_bytes([data[2], data[3]]), salt })
    });
    if let Some(parameters) = parameters {
        let mut hashed: Vec<_> = zone
            .nodes()
            .filter(|node| node.set(RecordType::NSEC3).is_some())
            .filter_map(|node| Some((owner_hash(node.name())?, node.index)))
            .collect();
        hashed.sort_unstable();
        zone.hashed = hashed;
        zone.hash_parameters = Some(parameters).filter(|_| !zone.hashed.is_empty());
    } else if apex.set(RecordType::NSEC).is_some() {
        let mut order: Vec<u32> = zone
            .nodes()
            .filter(|node| node.data().flags & OCCLUDED == 0 && node.set(RecordType::NSEC).is_some())
            .map(|node| node.index)
            .collect();
        let canonical: &Zone = zone;
        order.sort_unstable_by(|&a, &b| canonical.name_of(a).canonical_cmp(canonical.name_of(b)));
        zone.order = order;
    }
}

/// The hash that an NSEC3 record's owner writes in base 32.
fn owner_hash(name: Name<'_>) -> Option<[u8; 20]> {
    let label = name.labels().next().filter(|label| label.len() == 32)?;
    let mut hash = [0; 20];
    for (digits, bytes) in label.chunks(8).zip(hash.chunks_mut(5)) {
        let mut word = 0_u64;
        for digit in digits {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'A'..=b'V' => digit - b'A' + 10,
                b'a'..=b'v' => digit - b'a' + 10,
                _ => return None,
            };
            word = word << 5 | u64::from(value);
        }
        bytes.copy_from_slice(&word.to_be_bytes()[3..]);
    }
    Some(hash)
}

impl Zone {
    /// The zone denies by NSEC3.
    pub(crate) const fn denies_by_hash(&self) -> bool {
        self.hash_parameters.is_some()
    }

    /// The node whose NSEC covers or matches `name`.
    pub(crate) fn nsec_for(&self, name: Name<'_>) -> Option<Node<'_>> {
        let after = self.order.partition_point(|&index| self.name_of(index).canonical_cmp(name).is_le());
        let index = *self.order.get(after.checked_sub(1)?)?;
        Some(Node { zone: self, index })
    }

    /// The node whose NSEC3 covers the hash of `name`, or matches it (second value).
    pub(crate) fn nsec3_for(&self, name: Name<'_>) -> Option<(Node<'_>, bool)> {
        let hash = self.hash(name)?;
        let after = self.hashed.partition_point(|(other, _)| *other <= hash);
        let &(found, index) = match after.checked_sub(1) {
            Some(at) => self.hashed.get(at)?,
            // Before the first: the last one's span goes round.
            None => self.hashed.last()?,
        };
        Some((Node { zone: self, index }, found == hash))
    }

    /// RFC 5155 section 5: IH(salt, x, iterations).
    fn hash(&self, name: Name<'_>) -> Option<[u8; 20]> {
        let parameters = self.hash_parameters.as_ref()?;
        let mut lower = NameBuf::from_name(name);
        lower.make_lowercase();
        let mut hash: [u8; 20] = Sha1::new()
            .chain_update(lower.as_name().as_bytes())
            .chain_update(&parameters.salt)
            .finalize()
            .into();
        for _ in 0..parameters.iterations {
            hash = Sha1::new().chain_update(hash).chain_update(&parameters.salt).finalize().into();
        }
        Some(hash)
    }
}
