//! The boot parameter `keep=`: zones from elsewhere are on a disk, and there again after a restart.
use crate::files::{HISTORY, open_disk};
use airglow::{
    device::{Parameters, Platform, WallClock},
    platform::FileDisk,
};
use airglow_dns::{
    journal::{Copy, Journal},
    shell::Copies,
};
use core::time::Duration;
use std::{string::String, vec::Vec};

/// Sectors of 512 bytes of a new disk: 4 GiB, of which the file takes what is written. A zone may take half of it.
const SECTORS: u64 = 8 << 20;

/// What the disk keeps, and the time of day.
pub(crate) struct Found {
    pub(crate) copies: Copies<FileDisk>,
    pub(crate) found: Vec<Copy>,
    pub(crate) now: Duration,
}

/// `None` without `keep=`. `wanted`: there are zones to keep.
pub(crate) async fn open<P: Platform>(
    platform: &P,
    parameters: &Parameters<'_>,
    wanted: bool,
) -> Result<Option<Found>, String> {
    let Some(file) = parameters.text("keep") else { return Ok(None) };
    if !wanted {
        return Err("boot parameter `keep`: nothing is kept without `secondary` or `catalog`".into());
    }
    let now = platform.wall_clock().unix_now();
    let now = now.ok_or("boot parameter `keep`: how old zones are says only the time of day")?;
    let disk = open_disk("keep", file, SECTORS)?;
    let opened = Journal::open_copies(disk, HISTORY, platform.entropy()).await;
    let (journal, found) = opened.map_err(|error| format!("keep={file}: {error}"))?;
    Ok(Some(Found { copies: Copies::new(journal, &found), found, now }))
}
