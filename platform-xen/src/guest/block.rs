//! Opening disks.
use super::{
    event_loop::EventLoop,
    keeper::{Devices, Kept},
    xenbus::{Device, State},
    xenstore::Xenstore,
};
use crate::{
    boot::{events::EventChannel, grants::GrantTable, hypercall},
    drivers::{
        blkfront::{self, Blkfront, Features},
        grant::{Access, GrantRef, Grants},
        ring::RingPage,
        xenstore::Error,
    },
};
use airglow_device::BlockInfo;
use airglow_runtime::sleep;
use alloc::{
    boxed::Box,
    format,
    rc::Rc,
    string::{String, ToString},
};
use core::{
    cell::{Cell, RefCell},
    fmt,
    time::Duration,
};

/// One of the kernel's disks.
pub type Disk = blkfront::Disk<'static, GrantTable, EventChannel>;

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

/// A disk's connection to its backend, by which it is let go and connected again.
#[derive(Debug)]
struct Link {
    index: String,
    page: &'static RingPage,
    grant: [GrantRef; 1],
    connected: Cell<bool>,
    ring: Rc<RefCell<Blkfront<'static, GrantTable, EventChannel>>>,
}

/// Grants the ring to the backend, and opens an event channel to it.
fn open_channel(device: &Device<'_>, page: &RingPage, grant: GrantRef) -> Result<EventChannel, OpenError> {
    GrantTable.permit(grant, device.backend, core::ptr::from_ref(page).cast(), Access::ReadWrite);
    let port = hypercall::alloc_unbound(device.backend).map_err(|_| OpenError::Resources)?;
    EventChannel::new(port).ok_or(OpenError::Resources)
}

/// Tells the backend where the ring is, and waits until it uses it; what it then says of the disk.
async fn announce(
    device: &Device<'_>,
    grant: GrantRef,
    port: u32,
) -> Result<(BlockInfo, Features), OpenError> {
    let nodes: [(&str, &dyn fmt::Display); 4] = [
        ("ring-ref", &grant.0),
        ("event-channel", &port),
        ("protocol", &"x86_64-abi"),
        ("feature-persistent", &1),
    ];
    device.say(&nodes).await?;
    device.set_state(State::Initialised).await?;
    match device.wait_for(&[State::Connected, State::Closing, State::Closed, State::Unknown]).await? {
        State::Connected => {}
        _ => return Err(OpenError::Backend),
    }
    let offered = ["feature-flush-cache", "feature-barrier", "feature-discard"];
    let [flush, barrier, discard] = device.offers(offered).await?;
    let features = Features { flush, barrier, discard };
    Ok((info(device).await?, features))
}

/// The geometry, which the backend knows once it is connected.
async fn info(device: &Device<'_>) -> Result<BlockInfo, OpenError> {
    let store = device.store;
    // `sectors` counts 512 bytes always.
    let units = store.number(&format!("{}/sectors", device.back)).await?;
    let sector_size = store.number(&format!("{}/sector-size", device.back)).await.unwrap_or(512) as usize;
    if !sector_size.is_power_of_two() || !(512..=4096).contains(&sector_size) || units > u64::MAX / 4096 {
        return Err(OpenError::Backend);
    }
    const READ_ONLY: u64 = 4;
    let flags = store.number(&format!("{}/info", device.back)).await.unwrap_or(0);
    let mode = store.read(&format!("{}/mode", device.back)).await.unwrap_or_default();
    let info = BlockInfo::new(sector_size, units / (sector_size / 512) as u64);
    Ok(if flags & READ_ONLY != 0 || mode.starts_with('r') { info.read_only() } else { info })
}

impl Kept for Link {
    const KIND: &'static str = "vbd";
    type Error = OpenError;

    fn index(&self) -> &str {
        &self.index
    }
    fn rings(&self) -> &[GrantRef] {
        &self.grant
    }
    fn is_connected(&self) -> bool {
        self.connected.get()
    }

    async fn connect(&self, device: &Device<'_>, _: &EventLoop) -> Result<(), OpenError> {
        let [grant] = self.grant;
        self.page.clear();
        let channel = open_channel(device, self.page, grant)?;
        let (info, features) = announce(device, grant, channel.port()).await?;
        self.ring.borrow_mut().reset(device.backend, info, features, channel);
        device.set_state(State::Connected).await?;
        self.connected.set(true);
        Ok(())
    }

    /// The disk may have another size.
    async fn look(&self, device: &Device<'_>) -> Result<(), OpenError> {
        let new = info(device).await?;
        let mut ring = self.ring.borrow_mut();
        if ring.info() != new {
            log::info!("vbd/{}: {} sectors", self.index, new.sectors);
            ring.set_info(new);
        }
        Ok(())
    }

    async fn stop(&self, stays: bool, timer: &EventLoop) {
        self.connected.set(false);
        self.ring.borrow_mut().disconnect();
        // What it has begun it may finish; if not, the next one does it.
        for _ in 0..50 {
            if !stays || self.ring.borrow_mut().is_idle() {
                break;
            }
            sleep(timer, Duration::from_millis(20)).await;
        }
    }

    fn take_back(&self) -> bool {
        self.ring.borrow_mut().take_back()
    }
}

/// Opens the domain's disk `name`, such as `xvda`, which `devices` look after.
///
/// # Errors
/// What is missing.
pub async fn open(
    store: &'static Xenstore,
    timer: &'static EventLoop,
    devices: &'static Devices,
    name: &str,
) -> Result<Disk, OpenError> {
    let handle = number(name).ok_or(OpenError::None)?;
    let index = handle.to_string();
    let device = match Device::find(store, "vbd", &index).await {
        Err(Error::NotFound) => return Err(OpenError::None),
        other => other?,
    };
    device.set_state(State::Initialising).await?;
    match device.wait_for(&[State::InitWait, State::Connected, State::Closing, State::Closed]).await? {
        State::InitWait | State::Connected => {}
        _ => return Err(OpenError::Backend),
    }
    // The disk lives as long as the kernel.
    let page: &'static RingPage = Box::leak(Box::default());
    let grant = GrantTable.reserve().ok_or(OpenError::Resources)?;
    page.clear();
    let channel = open_channel(&device, page, grant)?;
    let (info, features) = announce(&device, grant, channel.port()).await?;
    let ring = Blkfront::new(page, handle, info, features, device.backend, GrantTable, channel);
    let ring = Rc::new(RefCell::new(ring.ok_or(OpenError::Resources)?));
    device.set_state(State::Connected).await?;
    let link = Link { index, page, grant: [grant], connected: Cell::new(true), ring: ring.clone() };
    devices.add(Rc::new(link), store, timer);
    Ok(Disk::new(ring))
}
