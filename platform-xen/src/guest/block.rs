//! Opening disks.
use super::{
    xenbus::{Device, State},
    xenstore::Xenstore,
};
use crate::{
    boot::{events::EventChannel, grants::GrantTable, hypercall},
    drivers::{
        blkfront::{Blkfront, Features},
        grant::{Access, Grants},
        ring::RingPage,
        xenstore::Error,
    },
};
use airglow_device::BlockInfo;
use alloc::{boxed::Box, format};
use core::fmt;

/// One of the kernel's disks.
pub type Disk = Blkfront<'static, GrantTable, EventChannel>;

/// Why it could not be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The domain has no such disk.
    None,
    /// Xenstore said no.
    Xenstore(Error),
    /// The backend did not come up, or names a geometry that no disk has.
    Backend,
    /// Grants or event channels are used up.
    Resources,
}

impl From<Error> for OpenError {
    fn from(error: Error) -> Self {
        Self::Xenstore(error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("this domain has no such disk; give it one with disk=[...]"),
            Self::Xenstore(error) => write!(f, "the disk: {error}"),
            Self::Backend => f.write_str("the disk's backend is gone or makes no sense"),
            Self::Resources => f.write_str("no grants or event channels are left for the disk"),
        }
    }
}
impl core::error::Error for OpenError {}

/// The device number of a name of the form `xvda` to `xvdp` (`vbd-interface.txt`): 202 << 8, sixteen for each letter.
pub fn number(name: &str) -> Option<u16> {
    match name.strip_prefix("xvd")?.as_bytes() {
        [letter @ b'a'..=b'p'] => Some(202 << 8 | u16::from(letter - b'a') << 4),
        _ => None,
    }
}

/// Opens the domain's disk `name`, such as `xvda`.
///
/// # Errors
/// What is missing.
pub async fn open(store: &Xenstore, name: &str) -> Result<Disk, OpenError> {
    let handle = number(name).ok_or(OpenError::None)?;
    let device = match Device::find(store, "vbd", &format!("{handle}")).await {
        Err(Error::NotFound) => return Err(OpenError::None),
        other => other?,
    };
    device.set_state(State::Initialising).await?;
    match device.wait_for(&[State::InitWait, State::Connected, State::Closing, State::Closed]).await? {
        State::InitWait | State::Connected => {}
        _ => return Err(OpenError::Backend),
    }
    let port = hypercall::alloc_unbound(device.backend).map_err(|_| OpenError::Resources)?;
    let channel = EventChannel::new(port).ok_or(OpenError::Resources)?;
    // The disk lives as long as the kernel.
    let ring: &'static RingPage = Box::leak(Box::default());
    let grant = GrantTable.reserve().ok_or(OpenError::Resources)?;
    GrantTable.permit(grant, device.backend, core::ptr::from_ref(ring).cast(), Access::ReadWrite);
    device.say("ring-ref", grant.0).await?;
    device.say("event-channel", port).await?;
    device.say("protocol", "x86_64-abi").await?;
    device.say("feature-persistent", 1).await?;
    device.set_state(State::Initialised).await?;
    match device.wait_for(&[State::Connected, State::Closing, State::Closed, State::Unknown]).await? {
        State::Connected => {}
        _ => return Err(OpenError::Backend),
    }
    // The backend says how large the disk is once it is connected; `sectors` counts 512 bytes always.
    let units: u64 = store.get(&format!("{}/sectors", device.back)).await?;
    let sector_size: usize = store.get(&format!("{}/sector-size", device.back)).await.unwrap_or(512);
    if !sector_size.is_power_of_two() || !(512..=4096).contains(&sector_size) || units > u64::MAX / 4096 {
        return Err(OpenError::Backend);
    }
    const READ_ONLY: u32 = 4;
    let flags: u32 = store.get(&format!("{}/info", device.back)).await.unwrap_or(0);
    let mode = store.read(&format!("{}/mode", device.back)).await.unwrap_or_default();
    let mut info = BlockInfo::new(sector_size, units / (sector_size / 512) as u64);
    if flags & READ_ONLY != 0 || mode.starts_with('r') {
        info = info.read_only();
    }
    let features = Features {
        flush: device.offers("feature-flush-cache", false).await?,
        discard: device.offers("feature-discard", false).await?,
    };
    let disk = Blkfront::new(ring, handle, info, features, device.backend, GrantTable, channel)
        .ok_or(OpenError::Resources)?;
    device.set_state(State::Connected).await?;
    Ok(disk)
}
