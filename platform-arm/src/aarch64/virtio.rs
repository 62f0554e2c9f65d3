//! Virtio devices on `virt`'s bus: network, randomness. The queues are the crate `virtio-drivers`'; buffers never move and
//! never leave this module, so that a device can write to them at any time.
use super::kernel::{Kernel, Line};
use crate::{interrupt::InterruptLine, local::Once};
use airglow_device::{Caps, Full, LinkState, MacAddr, NetDevice, NetRx, NetStats, NetTx, RxMeta, TxFrame};
use core::{
    cell::UnsafeCell,
    ptr::NonNull,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll},
};
use virtio_drivers::{
    BufferDirection, Hal, PAGE_SIZE, PhysAddr,
    device::rng::VirtIORng,
    queue::VirtQueue,
    transport::{DeviceType, Transport, mmio::MmioTransport},
};

pub(super) const BUS: usize = 0x0a00_0000;
pub(super) const SLOT: usize = 0x200;
const SLOTS: usize = 32;
const QUEUE_NOTIFY: usize = 0x50;
/// Device configuration: the MAC address, then the link's state.
const CONFIG: usize = 0x100;

const FEATURE_MAC: u64 = 1 << 5;
const FEATURE_STATUS: u64 = 1 << 16;
const FEATURE_VERSION_1: u64 = 1 << 32;

/// Descriptors and buffers of each direction.
const QUEUE: usize = 64;
/// The header in front of a frame (virtio 1.2, 5.1.6).
const HEADER: usize = 12;
const FRAME: usize = 14 + 1500;
const BUFFER: usize = (HEADER + FRAME + 4).next_multiple_of(64);
const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;

/// Memory that devices see at the address the processor does: pages from a static pool, never given back.
#[derive(Debug)]
pub struct Identity;

const POOL_PAGES: usize = 32;
#[repr(C, align(4096))]
struct Pool(UnsafeCell<[u8; POOL_PAGES * PAGE_SIZE]>);
// SAFETY: each page is handed out once.
unsafe impl Sync for Pool {}
static POOL: Pool = Pool(UnsafeCell::new([0; POOL_PAGES * PAGE_SIZE]));
static NEXT: AtomicUsize = AtomicUsize::new(0);

// SAFETY: pages are aligned, zeroed (the pool is .bss) and handed out once; physical and virtual addresses are the same.
unsafe impl Hal for Identity {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let at = NEXT.fetch_add(pages * PAGE_SIZE, Ordering::Relaxed);
        assert!(at + pages * PAGE_SIZE <= POOL_PAGES * PAGE_SIZE, "the pool of device memory is used up");
        // SAFETY: inside the pool.
        let page = unsafe { NonNull::new_unchecked(POOL.0.get().cast::<u8>().add(at)) };
        (page.as_ptr() as PhysAddr, page)
    }
    unsafe fn dma_dealloc(_: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        0
    }
    unsafe fn mmio_phys_to_virt(address: PhysAddr, _: usize) -> NonNull<u8> {
        NonNull::new(address as usize as *mut u8).unwrap_or(NonNull::dangling())
    }
    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        buffer.as_ptr().cast::<u8>() as PhysAddr
    }
    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

/// The first device of a kind on the bus.
fn find(kind: DeviceType) -> Option<(usize, MmioTransport<'static>)> {
    find_nth(kind, 0)
}

/// The device `number` of a kind on the bus, from the last slot down, as QEMU fills it.
pub(super) fn find_nth(kind: DeviceType, number: usize) -> Option<(usize, MmioTransport<'static>)> {
    let all = (0..SLOTS).rev().filter_map(|slot| {
        let header = NonNull::new((BUS + slot * SLOT) as *mut _)?;
        // SAFETY: a slot of the bus; it is mapped as device memory.
        let transport = unsafe { MmioTransport::new(header, SLOT) }.ok()?;
        if transport.device_type() == kind {
            return Some((slot, transport));
        }
        // Not ours, perhaps one that runs: dropping it would reset it.
        core::mem::forget(transport);
        None
    });
    all.enumerate().find_map(|(index, found)| {
        if index == number {
            return Some(found);
        }
        core::mem::forget(found);
        None
    })
}

/// Fills `out` from the virtio randomness device; `false` when there is none.
pub fn random(out: &mut [u8]) -> bool {
    let Some((_, transport)) = find(DeviceType::EntropySource) else { return false };
    let Ok(mut device) = VirtIORng::<Identity, _>::new(transport) else { return false };
    let mut filled = 0;
    while filled < out.len() {
        match device.request_entropy(&mut out[filled..]) {
            Ok(len @ 1..) => filled += len,
            _ => return false,
        }
    }
    true
}

type Buffers = [[u8; BUFFER]; QUEUE];
/// Network cards that can be open: the stack's, and a switch's ports.
const CARDS: usize = 5;
/// Of each card, for receiving and for sending.
static BUFFERS: [Once<[Buffers; 2]>; CARDS] = [const { Once::new([[[0; BUFFER]; QUEUE]; 2]) }; CARDS];

/// The receiving half.
pub struct Rx {
    queue: VirtQueue<Identity, QUEUE>,
    base: usize,
    buffers: &'static mut Buffers,
    /// Which buffer a descriptor carries.
    carried: [u16; QUEUE],
    frames: u64,
    bytes: u64,
    dropped: u64,
}

/// The sending half.
pub struct Tx {
    queue: VirtQueue<Identity, QUEUE>,
    base: usize,
    buffers: &'static mut Buffers,
    /// Which buffer, and how much of it, a descriptor carries.
    carried: [(u16, u16); QUEUE],
    free: heapless::Vec<u16, QUEUE>,
    waiting: bool,
    frames: u64,
    bytes: u64,
}

/// A virtio network device.
pub struct VirtioNet {
    transport: MmioTransport<'static>,
    base: usize,
    rx: Rx,
    tx: Tx,
    mac: MacAddr,
    line: Line,
}

impl core::fmt::Debug for VirtioNet {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("VirtioNet").field("mac", &self.mac).finish_non_exhaustive()
    }
}

pub(super) fn notify(base: usize, queue: u16) {
    // SAFETY: the doorbell of a device that this module drives.
    unsafe { ((base + QUEUE_NOTIFY) as *mut u32).write_volatile(queue.into()) }
}

impl VirtioNet {
    /// Starts the network device `number` on the bus, counted from 0 in QEMU's order; `None` when there is none, or only one that speaks
    /// virtio's legacy dialect. Only the first call for each can succeed.
    pub fn new(kernel: &'static Kernel, number: usize) -> Option<Self> {
        let [rx_buffers, tx_buffers] = BUFFERS.get(number)?.take()?;
        let (slot, mut transport) = find_nth(DeviceType::Network, number)?;
        let wanted = FEATURE_MAC | FEATURE_STATUS | FEATURE_VERSION_1;
        let offered = transport.read_device_features();
        if offered & FEATURE_VERSION_1 == 0 {
            return None;
        }
        let line = kernel.line(slot)?;
        use virtio_drivers::transport::DeviceStatus as Status;
        transport.set_status(Status::empty());
        transport.set_status(Status::ACKNOWLEDGE | Status::DRIVER);
        transport.write_driver_features(offered & wanted);
        transport.set_status(Status::ACKNOWLEDGE | Status::DRIVER | Status::FEATURES_OK);
        if !transport.get_status().contains(Status::FEATURES_OK) {
            return None;
        }
        let base = BUS + slot * SLOT;
        let mut mac = [0; 6];
        for (index, octet) in mac.iter_mut().enumerate() {
            // SAFETY: the device's configuration, readable bytewise.
            *octet = unsafe { ((base + CONFIG + index) as *const u8).read_volatile() };
        }
        let rx = VirtQueue::new(&mut transport, RECEIVE, false, false).ok()?;
        let mut tx = VirtQueue::new(&mut transport, TRANSMIT, false, false).ok()?;
        transport.finish_init();
        // Sent frames are collected when room is wanted, not when they have left.
        tx.set_dev_notify(false);
        let mut rx =
            Rx { queue: rx, base, buffers: rx_buffers, carried: [0; QUEUE], frames: 0, bytes: 0, dropped: 0 };
        for index in 0..QUEUE as u16 {
            rx.offer(index);
        }
        notify(base, RECEIVE);
        let tx = Tx {
            queue: tx,
            base,
            buffers: tx_buffers,
            carried: [(0, 0); QUEUE],
            free: (0..QUEUE as u16).collect(),
            waiting: false,
            frames: 0,
            bytes: 0,
        };
        Some(Self { transport, base, rx, tx, mac: MacAddr(mac), line })
    }
}

impl Rx {
    /// Gives a buffer to the device.
    fn offer(&mut self, index: u16) {
        let Some(buffer) = self.buffers.get_mut(usize::from(index)) else { return };
        // SAFETY: the buffer is static and not touched until the device gives its descriptor back.
        if let Ok(token) = unsafe { self.queue.add(&[], &mut [buffer.as_mut_slice()]) }
            && let Some(carried) = self.carried.get_mut(usize::from(token))
        {
            *carried = index;
        }
    }
}

impl NetRx for Rx {
    fn receive(&mut self, budget: usize, mut frame: impl FnMut(&mut [u8], RxMeta)) -> usize {
        let mut count = 0;
        while count < budget
            && let Some(token) = self.queue.peek_used()
        {
            let Some(&index) = self.carried.get(usize::from(token)) else { break };
            let Some(buffer) = self.buffers.get_mut(usize::from(index)) else { break };
            // SAFETY: the buffer that this descriptor was added with.
            let Ok(len) = (unsafe { self.queue.pop_used(token, &[], &mut [buffer.as_mut_slice()]) }) else {
                break;
            };
            count += 1;
            // The device says how much it wrote: no more of that is believed than there is room.
            match buffer.get_mut(HEADER..(len as usize).min(HEADER + FRAME)) {
                Some(bytes) if bytes.len() >= 14 => {
                    self.frames += 1;
                    self.bytes += bytes.len() as u64;
                    frame(bytes, RxMeta::default());
                }
                _ => self.dropped += 1,
            }
            self.offer(index);
        }
        if count > 0 && self.queue.should_notify() {
            notify(self.base, RECEIVE);
        }
        count
    }
}

impl Tx {
    /// Takes back the buffers of frames that have left.
    fn reap(&mut self) {
        while let Some(token) = self.queue.peek_used() {
            let Some(&(index, len)) = self.carried.get(usize::from(token)) else { break };
            let Some(sent) = self.buffers.get(usize::from(index)).and_then(|b| b.get(..len.into())) else {
                break;
            };
            // SAFETY: the bytes that this descriptor was added with.
            if unsafe { self.queue.pop_used(token, &[sent], &mut []) }.is_err()
                || self.free.push(index).is_err()
            {
                break;
            }
        }
    }
}

impl NetTx for Tx {
    fn capacity(&self) -> usize {
        self.free.len()
    }
    fn transmit<T>(&mut self, len: usize, fill: impl FnOnce(&mut TxFrame<'_>) -> T) -> Result<T, Full> {
        if self.free.len() < QUEUE / 4 {
            self.reap();
        }
        if !(14..=FRAME).contains(&len) {
            return Err(Full);
        }
        let index = *self.free.last().ok_or(Full)?;
        let buffer = self.buffers.get_mut(usize::from(index)).ok_or(Full)?;
        let (header, rest) = buffer.split_at_mut_checked(HEADER).ok_or(Full)?;
        header.fill(0);
        let mut slot = TxFrame::new(rest.get_mut(..len).ok_or(Full)?);
        let result = fill(&mut slot);
        let len = slot.len.min(len);
        if len < 14 {
            return Ok(result);
        }
        let bytes = buffer.get(..HEADER + len).ok_or(Full)?;
        // SAFETY: the buffer is static and not touched until the device gives its descriptor back.
        let token = unsafe { self.queue.add(&[bytes], &mut []) }.map_err(|_| Full)?;
        if let Some(carried) = self.carried.get_mut(usize::from(token)) {
            *carried = (index, (HEADER + len) as u16);
        }
        self.free.pop();
        self.waiting = true;
        self.frames += 1;
        self.bytes += len as u64;
        Ok(result)
    }
    fn flush(&mut self) {
        if core::mem::take(&mut self.waiting) && self.queue.should_notify() {
            notify(self.base, TRANSMIT);
        }
    }
}

impl NetDevice for VirtioNet {
    type Rx = Rx;
    type Tx = Tx;
    fn caps(&self) -> Caps {
        Caps::new(1500)
    }
    fn mac(&self) -> MacAddr {
        self.mac
    }
    fn link(&self) -> LinkState {
        // SAFETY: the status word of the device's configuration.
        let status = unsafe { ((self.base + CONFIG + 6) as *const u16).read_volatile() };
        if status & 1 == 1 { LinkState::Up } else { LinkState::Down }
    }
    fn stats(&self) -> NetStats {
        NetStats {
            rx_frames: self.rx.frames,
            rx_bytes: self.rx.bytes,
            rx_dropped: self.rx.dropped,
            tx_frames: self.tx.frames,
            tx_bytes: self.tx.bytes,
            tx_dropped: 0,
        }
    }
    fn split(&mut self) -> (&mut Rx, &mut Tx) {
        (&mut self.rx, &mut self.tx)
    }
    fn poll_ready(&mut self, cx: &mut Context<'_>, want_tx: bool) -> Poll<()> {
        let ready = |device: &mut Self| {
            if want_tx {
                device.tx.reap();
            }
            device.rx.queue.can_pop() || want_tx && device.tx.capacity() > 0
        };
        self.tx.queue.set_dev_notify(want_tx);
        if ready(self) {
            return Poll::Ready(());
        }
        self.line.rearm(cx.waker());
        self.transport.ack_interrupt();
        if ready(self) { Poll::Ready(()) } else { Poll::Pending }
    }
}
