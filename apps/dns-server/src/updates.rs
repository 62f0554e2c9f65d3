//! The boot parameters `update=` and `journal=`.
use crate::files::{HISTORY, open_disk};
use airglow::{
    device::{Parameters, Platform},
    platform::FileDisk,
};
use airglow_dns::{
    journal::Journal,
    server::{Key, Zones},
    shell::Updates,
    wire::{Name, NameBuf},
};
use std::{
    format,
    string::{String, ToString},
    vec::Vec,
};

/// Sectors of 512 bytes of a new journal: 64 MiB, of which the file takes what is written.
const SECTORS: u64 = 131_072;

/// What may be changed, and the zones as the journal left them; `None` when nothing may be changed.
pub(crate) async fn open<'u, P: Platform>(
    platform: &'u P,
    parameters: &Parameters<'_>,
    keys: &[Key],
    zones: &mut Zones,
    changed: &'u dyn Fn(Name<'_>),
) -> Result<Option<Updates<'u, FileDisk, P::Entropy>>, String> {
    let mut allowed: Vec<(NameBuf, NameBuf)> = Vec::new();
    for word in parameters.text("update").into_iter().flat_map(|words| words.split(',')) {
        let wrong = |why: &str| format!("boot parameter `update`: `{word}`: {why}");
        let (zone, key) = word.split_once('@').ok_or_else(|| wrong("expected ZONE@KEY"))?;
        let zone: NameBuf = zone.parse().map_err(|_| wrong("not a zone's name"))?;
        let key: NameBuf = key.parse().map_err(|_| wrong("not a key's name"))?;
        if !keys.iter().any(|known| *known.name() == key) {
            return Err(wrong("no `key` is called so"));
        }
        if zones.get(zone.as_name()).is_none() {
            return Err(wrong("no such zone is loaded"));
        }
        allowed.push((zone, key));
    }
    let file = parameters.text("journal");
    if allowed.is_empty() {
        return match file {
            Some(_) => Err("boot parameter `journal`: nothing may be changed without `update`".to_string()),
            None => Ok(None),
        };
    }
    let journal = match file {
        None => None,
        Some(file) => {
            let disk = open_disk("journal", file, SECTORS)?;
            let opened = Journal::open(disk, zones, HISTORY, platform.entropy()).await;
            Some(opened.map_err(|error| format!("journal={file}: {error}"))?)
        }
    };
    Ok(Some(Updates::new(allowed, journal, HISTORY, platform.entropy(), changed)))
}
