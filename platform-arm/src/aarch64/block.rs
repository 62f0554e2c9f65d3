//! Virtio block devices (virtio 1.2, section 5.2) on `virt`'s bus.
//!
//! One request is under way at a time, through a buffer of this module that never moves: a future that is dropped in the middle leaves
//! its request to the device, and the next one waits for it.
use super::{
    kernel::{Kernel, Line},
    virtio::{BUS, Identity, SLOT, find_nth, notify},
};
use crate::{interrupt::InterruptLine, local::Once};
use airglow_device::{BlockDevice, BlockInfo};
use core::{
    fmt,
    future::poll_fn,
    task::{Context, Poll},
};
use virtio_drivers::{
    queue::VirtQueue,
    transport::{DeviceStatus as Status, DeviceType, Transport, mmio::MmioTransport},
};

const CONFIG: usize = 0x100;
const MAX_DISCARD_SECTORS: usize = CONFIG + 36;

const FEATURE_READ_ONLY: u64 = 1 << 5;
const FEATURE_FLUSH: u64 = 1 << 9;
const FEATURE_DISCARD: u64 = 1 << 13;
const FEATURE_VERSION_1: u64 = 1 << 32;

/// The unit of virtio's sector numbers.
const SECTOR: usize = 512;
/// Octets that one request moves at most.
const TRANSFER: usize = 64 * 1024;
/// Disks that an application can open.
const DISKS: usize = 2;
const QUEUE: usize = 4;

const IN: u32 = 0;
const OUT: u32 = 1;
const FLUSH: u32 = 4;
const DISCARD: u32 = 11;

/// What the device reads and writes.
struct Buffers {
    header: [u8; 16],
    data: [u8; TRANSFER],
    status: [u8; 1],
}

static BUFFERS: [Once<Buffers>; DISKS] =
    [const { Once::new(Buffers { header: [0; 16], data: [0; TRANSFER], status: [0] }) }; DISKS];

/// Why a transfer failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskError {
    /// The buffer is not a whole number of sectors.
    Unaligned,
    /// Sectors beyond the end.
    OutOfRange,
    /// A write to a read-only disk.
    ReadOnly,
    /// The device reports an error.
    Device,
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unaligned => "the buffer is not a whole number of sectors",
            Self::OutOfRange => "the transfer goes beyond the end of the disk",
            Self::ReadOnly => "the disk is read-only",
            Self::Device => "the device reports an error",
        })
    }
}
impl core::error::Error for DiskError {}
impl airglow_device::Error for DiskError {
    fn kind(&self) -> airglow_device::ErrorKind {
        use airglow_device::ErrorKind;
        match self {
            Self::Unaligned | Self::OutOfRange => ErrorKind::InvalidInput,
            Self::ReadOnly => ErrorKind::PermissionDenied,
            Self::Device => ErrorKind::Other,
        }
    }
}

/// Which way the data of a request goes, and how much there is.
#[derive(Clone, Copy)]
enum Data {
    None,
    ToDevice(usize),
    FromDevice(usize),
}

/// A virtio block device.
pub struct VirtioBlk {
    transport: MmioTransport<'static>,
    queue: VirtQueue<Identity, QUEUE>,
    base: usize,
    line: Line,
    buffers: &'static mut Buffers,
    info: BlockInfo,
    features: u64,
    /// What the device is at.
    under_way: Option<(u16, Data)>,
}

impl fmt::Debug for VirtioBlk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtioBlk").field("info", &self.info).finish_non_exhaustive()
    }
}

impl VirtioBlk {
    /// The block device `number`, counted from 0 in the order in which QEMU was told of them; `None` when there is none, it was opened
    /// before, or it speaks virtio's legacy dialect.
    pub fn new(kernel: &'static Kernel, number: usize) -> Option<Self> {
        let (slot, mut transport) = find_nth(DeviceType::Block, number)?;
        let offered = transport.read_device_features();
        if offered & FEATURE_VERSION_1 == 0 {
            return None;
        }
        let buffers = BUFFERS.get(number)?.take()?;
        let line = kernel.line(slot)?;
        let wanted = FEATURE_READ_ONLY | FEATURE_FLUSH | FEATURE_DISCARD | FEATURE_VERSION_1;
        transport.set_status(Status::empty());
        transport.set_status(Status::ACKNOWLEDGE | Status::DRIVER);
        transport.write_driver_features(offered & wanted);
        transport.set_status(Status::ACKNOWLEDGE | Status::DRIVER | Status::FEATURES_OK);
        if !transport.get_status().contains(Status::FEATURES_OK) {
            return None;
        }
        let queue = VirtQueue::new(&mut transport, 0, false, false).ok()?;
        transport.finish_init();
        let base = BUS + slot * SLOT;
        let sectors = u64::from(word(base + CONFIG)) | u64::from(word(base + CONFIG + 4)) << 32;
        let info = BlockInfo::new(SECTOR, sectors);
        let info = if offered & FEATURE_READ_ONLY != 0 { info.read_only() } else { info };
        Some(Self { transport, queue, base, line, buffers, info, features: offered, under_way: None })
    }

    /// Ready when the device has finished what it is at.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DiskError>> {
        let Some((token, data)) = self.under_way else { return Poll::Ready(Ok(())) };
        if self.queue.peek_used() != Some(token) {
            self.line.rearm(cx.waker());
            self.transport.ack_interrupt();
            if self.queue.peek_used() != Some(token) {
                return Poll::Pending;
            }
        }
        let Buffers { header, data: bytes, status } = &mut *self.buffers;
        // SAFETY: the buffers that this request was added with.
        let popped = unsafe {
            match data {
                Data::None => self.queue.pop_used(token, &[header.as_slice()], &mut [status.as_mut_slice()]),
                Data::ToDevice(len) => self.queue.pop_used(
                    token,
                    &[header.as_slice(), bytes.get(..len).unwrap_or_default()],
                    &mut [status.as_mut_slice()],
                ),
                Data::FromDevice(len) => self.queue.pop_used(
                    token,
                    &[header.as_slice()],
                    &mut [bytes.get_mut(..len).unwrap_or_default(), status.as_mut_slice()],
                ),
            }
        };
        self.under_way = None;
        let good = popped.is_ok() && *status == [0];
        Poll::Ready(if good { Ok(()) } else { Err(DiskError::Device) })
    }

    async fn idle(&mut self) -> Result<(), DiskError> {
        poll_fn(|cx| self.poll_idle(cx)).await
    }

    /// One request; what goes to the device is in the buffer already.
    async fn request(&mut self, kind: u32, sector: u64, data: Data) -> Result<(), DiskError> {
        let Buffers { header, data: bytes, status } = &mut *self.buffers;
        let [kind_bytes, rest @ ..] = header.as_chunks_mut::<4>().0 else { return Err(DiskError::Device) };
        *kind_bytes = kind.to_le_bytes();
        let [low, high] = [sector as u32, (sector >> 32) as u32];
        for (place, value) in rest.iter_mut().zip([0, low, high]) {
            *place = value.to_le_bytes();
        }
        *status = [0xff];
        // SAFETY: the buffers are static, and nobody touches them before the request is finished: `under_way` says so.
        let token = unsafe {
            match data {
                Data::None => self.queue.add(&[header.as_slice()], &mut [status.as_mut_slice()]),
                Data::ToDevice(len) => self.queue.add(
                    &[header.as_slice(), bytes.get(..len).unwrap_or_default()],
                    &mut [status.as_mut_slice()],
                ),
                Data::FromDevice(len) => self.queue.add(
                    &[header.as_slice()],
                    &mut [bytes.get_mut(..len).unwrap_or_default(), status.as_mut_slice()],
                ),
            }
        };
        self.under_way = Some((token.map_err(|_| DiskError::Device)?, data));
        if self.queue.should_notify() {
            notify(self.base, 0);
        }
        self.idle().await
    }

    fn checked(&self, sector: u64, len: usize, write: bool) -> Result<(), DiskError> {
        if !len.is_multiple_of(SECTOR) {
            return Err(DiskError::Unaligned);
        }
        match sector.checked_add((len / SECTOR) as u64) {
            _ if write && self.info.read_only => Err(DiskError::ReadOnly),
            Some(end) if end <= self.info.sectors => Ok(()),
            _ => Err(DiskError::OutOfRange),
        }
    }
}

/// A word of the device's configuration.
fn word(address: usize) -> u32 {
    // SAFETY: callers name words of the configuration of a device that this module drives.
    unsafe { (address as *const u32).read_volatile() }
}

impl BlockDevice for VirtioBlk {
    type Error = DiskError;

    fn info(&self) -> BlockInfo {
        self.info
    }
    async fn read(&mut self, sector: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        self.checked(sector, buf.len(), false)?;
        let _ = self.idle().await;
        for (sector, part) in (sector..).step_by(TRANSFER / SECTOR).zip(buf.chunks_mut(TRANSFER)) {
            self.request(IN, sector, Data::FromDevice(part.len())).await?;
            part.copy_from_slice(self.buffers.data.get(..part.len()).unwrap_or_default());
        }
        Ok(())
    }
    async fn write(&mut self, sector: u64, buf: &[u8]) -> Result<(), DiskError> {
        self.checked(sector, buf.len(), true)?;
        let _ = self.idle().await;
        for (sector, part) in (sector..).step_by(TRANSFER / SECTOR).zip(buf.chunks(TRANSFER)) {
            self.buffers.data.get_mut(..part.len()).unwrap_or_default().copy_from_slice(part);
            self.request(OUT, sector, Data::ToDevice(part.len())).await?;
        }
        Ok(())
    }
    /// A device without a cache that could lose something does not offer this, and then it does nothing.
    async fn flush(&mut self) -> Result<(), DiskError> {
        let _ = self.idle().await;
        if self.features & FEATURE_FLUSH == 0 {
            return Ok(());
        }
        self.request(FLUSH, 0, Data::None).await
    }
    async fn discard(&mut self, sector: u64, count: u64) -> Result<(), DiskError> {
        let end = sector.checked_add(count).filter(|&end| end <= self.info.sectors);
        let end = end.ok_or(DiskError::OutOfRange)?;
        if self.info.read_only {
            return Err(DiskError::ReadOnly);
        }
        let _ = self.idle().await;
        let most = u64::from(word(self.base + MAX_DISCARD_SECTORS));
        if self.features & FEATURE_DISCARD == 0 || most == 0 {
            return Ok(());
        }
        let mut at = sector;
        while at < end {
            let count = (end - at).min(most);
            let range = [at as u32, (at >> 32) as u32, count as u32, 0].map(u32::to_le_bytes);
            self.buffers.data.get_mut(..16).unwrap_or_default().copy_from_slice(range.as_flattened());
            self.request(DISCARD, 0, Data::ToDevice(16)).await?;
            at += count;
        }
        Ok(())
    }
}
