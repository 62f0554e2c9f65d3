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
    /// A member name with more than one PTR record (section 4.1).
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

/// The zones that a catalog lists. Properties of members are not looked at.
///
/// # Errors
/// Why it is no catalog; the members of the version before then stay (section 5.1).
pub fn members(catalog: &Zone) -> Result<Vec<NameBuf>, CatalogError> {
    let apex = catalog.apex().name();
    let below = |label: &[u8]| {
        let label = Name::parse(label).map_err(|_| CatalogError::Version)?;
        NameBuf::join(label, apex).map_err(|_| CatalogError::Version)
    };
    let version = catalog.find(below(b"\x07version\0")?.as_name());
    let version = version.and_then(|node| node.set(RecordType::TXT)).filter(|set| set.len() == 1);
    if version.and_then(|set| set.data().next()) != Some(b"\x012") {
        return Err(CatalogError::Version);
    }
    let zones = below(b"\x05zones\0")?;
    let mut members: Vec<NameBuf> = Vec::new();
    let mut seen = alloc::collections::BTreeSet::new();
    for node in catalog.nodes() {
        let name = node.name();
        if name.parent() != Some(zones.as_name()) {
            continue;
        }
        let Some(set) = node.set(RecordType::PTR) else { continue };
        if set.len() != 1 {
            return Err(CatalogError::ManyTargets);
        }
        let target = set.data().next().and_then(|data| Name::parse(data).ok());
        let Some(target) = target else { continue };
        if !seen.insert(target.as_bytes().to_ascii_lowercase()) {
            return Err(CatalogError::Twice);
        }
        members.push(NameBuf::from_name(target));
    }
    Ok(members)
}
