//! Catalog zones, RFC 9432: a zone whose records name zones.
use crate::{
    wire::{Name, NameBuf, RecordType},
    zone::Zone,
};
use alloc::vec::Vec;
use core::fmt;

/// Why a zone is no catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CatalogError {
    /// No `version` TXT record that says "2", or more than one (section 4.2.1).
    Version,
    /// A member name, or its `coo` property, with more than one PTR record (sections 4.1, 4.4.1).
    ManyTargets,
    /// A zone that is listed twice (section 4.1).
    Twice,
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "the catalog's version is not 2",
            Self::ManyTargets => "a member of the catalog names more than one zone",
            Self::Twice => "the catalog lists a zone twice",
        })
    }
}
impl core::error::Error for CatalogError {}

/// A zone that a catalog lists.
#[derive(Clone, Debug)]
pub struct Member {
    /// The zone.
    pub zone: NameBuf,
    /// Its unique label in lower case (section 4.1): with another, what is kept of the zone is forgotten (section 5.4).
    pub label: Vec<u8>,
    /// The catalog that may take it over, the `coo` property (section 4.4.1).
    pub owner: Option<NameBuf>,
    /// Groups that it is in (section 4.4.2), in canonical order.
    pub groups: Vec<Vec<u8>>,
}

/// The zones that a catalog lists.
///
/// # Errors
/// Why it is no catalog; the members of the version before then stay (section 5.1).
pub fn members(catalog: &Zone) -> Result<Vec<Member>, CatalogError> {
    let below = |label: &[u8], name: Name<'_>| NameBuf::join(Name::parse(label).ok()?, name).ok();
    let set = |label: &[u8], name: Name<'_>, rtype| {
        let name = below(label, name)?;
        catalog.find(name.as_name())?.set(rtype)
    };
    let apex = catalog.apex().name();
    let version = set(b"\x07version\0", apex, RecordType::TXT).filter(|set| set.len() == 1);
    if version.and_then(|set| set.data().next()) != Some(b"\x012") {
        return Err(CatalogError::Version);
    }
    let zones = below(b"\x05zones\0", apex).ok_or(CatalogError::Version)?;
    let mut members: Vec<Member> = Vec::new();
    let mut seen = alloc::collections::BTreeSet::new();
    for node in catalog.nodes() {
        let name = node.name();
        if name.parent() != Some(zones.as_name()) {
            continue;
        }
        let Some(pointers) = node.set(RecordType::PTR) else { continue };
        let owners = set(b"\x03coo\0", name, RecordType::PTR);
        if pointers.len() != 1 || owners.is_some_and(|owners| owners.len() != 1) {
            return Err(CatalogError::ManyTargets);
        }
        let Some(zone) = pointers.data().next().and_then(target) else { continue };
        if !seen.insert(zone.as_name().as_bytes().to_ascii_lowercase()) {
            return Err(CatalogError::Twice);
        }
        let groups = set(b"\x05group\0", name, RecordType::TXT);
        members.push(Member {
            zone,
            label: name.labels().next().unwrap_or(&[]).to_ascii_lowercase(),
            owner: owners.and_then(|owners| owners.data().next()).and_then(target),
            groups: groups.into_iter().flat_map(|groups| groups.data()).map(text).collect(),
        });
    }
    Ok(members)
}

fn target(data: &[u8]) -> Option<NameBuf> {
    Name::parse(data).ok().map(NameBuf::from_name)
}

/// The strings of a TXT record as one.
fn text(mut data: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    while let Some((length, rest)) = data.split_first()
        && let Some((string, rest)) = rest.split_at_checked(usize::from(*length))
    {
        text.extend_from_slice(string);
        data = rest;
    }
    text
}
