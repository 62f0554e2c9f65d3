//! An AF_XDP socket on one queue of an interface: its half that receives and its half that sends.
use super::{
    Descriptor,
    memory::Mapping,
    ring::{Consumer, Producer},
};
use crate::sys::interface::set;
use airglow_device::TxMeta;
use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt,
        xdp::{
            SocketAddrXdp, SocketAddrXdpFlags, XDP_PGOFF_RX_RING, XDP_PGOFF_TX_RING,
            XDP_UMEM_PGOFF_COMPLETION_RING, XDP_UMEM_PGOFF_FILL_RING, XdpOptionsFlags, XdpUmemReg,
            XdpUmemRegFlags,
        },
    },
};
use std::{
    ffi::c_int,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    rc::Rc,
    slice, thread,
    time::{Duration, Instant},
};

/// Frames that one queue can receive before we look, and as many that it can send. A power of two.
pub(crate) const FRAMES: u32 = 2048;
/// What the kernel keeps free before each frame that it receives (`XDP_PACKET_HEADROOM`).
const HEADROOM: usize = 256;
/// `struct xsk_tx_metadata`, before each frame that is sent: what the card must still do.
const METADATA: usize = 24;
const METADATA_CHECKSUM: u64 = 1 << 1;
/// The descriptor's frame has metadata (`XDP_TX_METADATA`).
const HAS_METADATA: u32 = 1 << 1;
/// The frame goes on in the next descriptor (`XDP_PKT_CONTD`).
const GOES_ON: u32 = 1;
// Flags of the registration that rustix does not name.
const TX_METADATA_LEN: u32 = 1 << 2;

/// How long the queue may still be that of a socket which was closed just now: the kernel takes it apart in the background.
const PATIENCE: Duration = Duration::from_secs(1);

/// What places there are for frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    /// Bytes of one, as the kernel allows.
    pub chunk: usize,
    /// How many the longest frame may take, each way. More than one is asked for when the socket is opened.
    pub most: usize,
}

impl Places {
    /// For frames of up to `len` bytes.
    pub(crate) fn of(len: usize) -> Self {
        let one = [2048, 4096].into_iter().find(|chunk| chunk - HEADROOM >= len);
        let chunk = one.unwrap_or(4096);
        Self { chunk, most: len.div_ceil(chunk - HEADROOM).max(1) }
    }
}

/// Frames of the shared memory, one half's.
struct Frames {
    memory: Rc<Mapping>,
    first: u64,
    chunk: usize,
}

impl Frames {
    /// The bytes from `address` on, if they lie in one place of this half.
    ///
    /// # Safety
    /// The place must be ours and not the kernel's: taken from it by the ring that it gives back through, and not yet given again.
    unsafe fn get(&mut self, address: u64, len: usize) -> Option<&mut [u8]> {
        let chunk = self.chunk as u64;
        let place = (address / chunk).checked_sub(self.first)?;
        let offset = usize::try_from(address % chunk).ok()?;
        if place >= u64::from(FRAMES) || offset + len > self.chunk {
            return None;
        }
        let start = self.memory.place::<u8>(usize::try_from(address).ok()?, len)?;
        // SAFETY: the bytes lie inside the mapping, in a place of this half, which no other half hands out; the kernel does not touch
        // it, as the caller vouches, and we hold the half alone meanwhile.
        Some(unsafe { slice::from_raw_parts_mut(start.as_ptr(), len) })
    }
}

/// The half that receives.
pub(crate) struct Receive {
    frames: Frames,
    fill: Producer<u64>,
    filled: Consumer<Descriptor>,
    /// What is there of a frame that lies in several places.
    parts: Vec<u8>,
    /// The most that it can be; the rest of what is longer is left out.
    longest: usize,
}

impl Receive {
    /// Nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.filled.waiting() == 0
    }

    /// Lends up to `budget` frames, then gives their places back to the kernel at once. Returns how many there were. A frame in one place is
    /// lent there; several places are put together first.
    pub(crate) fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        budget: usize,
        mut frame: impl FnMut(&mut [u8]),
    ) -> usize {
        let count = self.filled.waiting().min(u32::try_from(budget).unwrap_or(u32::MAX));
        if count == 0 {
            return 0;
        }
        let mut frames = 0;
        for offset in 0..count {
            let Descriptor { address, len, options } = self.filled.peek(offset);
            let goes_on = options & GOES_ON != 0;
            // SAFETY: the kernel has just given the place back by the ring of received frames, and gets it again below.
            if let Some(bytes) = unsafe { self.frames.get(address, len as usize) } {
                if goes_on || !self.parts.is_empty() {
                    self.parts
                        .extend_from_slice(bytes.get(..self.longest - self.parts.len()).unwrap_or(bytes));
                } else {
                    frames += 1;
                    frame(bytes);
                }
                // As many places as entries: there is always room.
                let _ = self.fill.put(address - address % self.frames.chunk as u64);
            }
            if !goes_on && !self.parts.is_empty() {
                frames += 1;
                frame(&mut self.parts);
                self.parts.clear();
            }
        }
        self.filled.release(count);
        self.fill.publish();
        if self.fill.needs_wakeup() {
            // Nothing is received by it; it only makes a driver that ran out of places look again.
            let _ = rustix::net::recv(socket, &mut [0; 0][..], RecvFlags::DONTWAIT);
        }
        frames
    }
}

/// The half that sends.
pub(crate) struct Transmit {
    frames: Frames,
    send: Producer<Descriptor>,
    sent: Consumer<u64>,
    /// Places that are ours.
    free: Vec<u32>,
    /// A frame that is too long for one place, until it is cut to several.
    long: Vec<u8>,
    /// Places that the longest frame takes.
    most: usize,
    /// Checksums can be left to the kernel.
    pub checksums: bool,
    /// Frames were put and not yet published.
    unpublished: u32,
}

/// Leaves the checksum to the kernel where that is possible, by `metadata` before the frame, or completes it; the descriptor's options.
fn finish(checksums: bool, metadata: &mut [u8], frame: &mut [u8], meta: TxMeta) -> u32 {
    if !checksums || (meta.checksum_start, meta.checksum_offset) == (0, 0) {
        airglow_device::complete_checksum(frame, meta);
        return 0;
    }
    metadata.fill(0);
    metadata[..8].copy_from_slice(&METADATA_CHECKSUM.to_ne_bytes());
    metadata[8..10].copy_from_slice(&meta.checksum_start.to_ne_bytes());
    metadata[10..12].copy_from_slice(&meta.checksum_offset.to_ne_bytes());
    HAS_METADATA
}

/// How a flush went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// The kernel has everything.
    All,
    /// The kernel takes no more now.
    Stuck,
}

impl Transmit {
    /// Frames that there are places for, of whatever length.
    pub(crate) fn capacity(&self) -> usize {
        self.free.len() / self.most
    }

    /// Takes back the places of frames that have gone.
    pub(crate) fn reclaim(&mut self) {
        let count = self.sent.waiting();
        for offset in 0..count {
            let place = (self.sent.peek(offset) / self.frames.chunk as u64).checked_sub(self.frames.first);
            // No more than there are, whatever the kernel says.
            if let Some(place) = place
                && place < u64::from(FRAMES)
                && self.free.len() < FRAMES as usize
            {
                self.free.push(place as u32);
            }
        }
        if count > 0 {
            self.sent.release(count);
        }
    }

    /// Lets `fill` write a frame of at most `len` bytes into a free place and say how long it became and what is left to do; length 0 gives
    /// the place back. `None` when none is free or the frame is too long.
    pub(crate) fn transmit<R>(
        &mut self,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> (usize, TxMeta, R),
    ) -> Option<R> {
        if len > self.frames.chunk - METADATA {
            return self.transmit_long(len, fill);
        }
        let place = self.free.pop()?;
        let address = (self.frames.first + u64::from(place)) * self.frames.chunk as u64;
        // SAFETY: the place is free, so not the kernel's; it gets there below.
        let bytes = unsafe { self.frames.get(address, METADATA + len) }?;
        let (metadata, bytes) = bytes.split_at_mut(METADATA);
        let (len, meta, result) = fill(bytes);
        let len = len.min(bytes.len());
        let options = finish(self.checksums, metadata, &mut bytes[..len], meta);
        let descriptor = Descriptor { address: address + METADATA as u64, len: len as u32, options };
        if len == 0 || !self.send.put(descriptor) {
            self.free.push(place);
        } else {
            self.unpublished += 1;
        }
        Some(result)
    }

    /// The same in several places.
    fn transmit_long<R>(
        &mut self,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> (usize, TxMeta, R),
    ) -> Option<R> {
        let piece = self.frames.chunk - METADATA;
        if len.div_ceil(piece) > self.free.len().min(self.most) {
            return None;
        }
        self.long.clear();
        self.long.resize(len, 0);
        let (len, meta, result) = fill(&mut self.long);
        let frame = self.long.get_mut(..len).unwrap_or_default();
        let mut metadata = [0; METADATA];
        let mut options = finish(self.checksums, &mut metadata, frame, meta);
        let mut pieces = frame.chunks(piece).peekable();
        while let Some(piece) = pieces.next() {
            let place = self.free.pop()?;
            let address = (self.frames.first + u64::from(place)) * self.frames.chunk as u64;
            // SAFETY: the place is free, so not the kernel's; it gets there below.
            let bytes = unsafe { self.frames.get(address, METADATA + piece.len()) }?;
            // The kernel wants room for metadata before each piece, and looks at that of the first.
            bytes[..METADATA].copy_from_slice(&metadata);
            bytes[METADATA..].copy_from_slice(piece);
            if pieces.peek().is_some() {
                options |= GOES_ON;
            }
            let (address, len) = (address + METADATA as u64, piece.len() as u32);
            // As many entries as places: there is always room.
            let _ = self.send.put(Descriptor { address, len, options });
            self.unpublished += 1;
            options = 0;
        }
        Some(result)
    }

    /// Hands the kernel what was put, and calls it if it wants to be called: one call for a batch. `lost` hears of frames that the kernel took and
    /// could not send.
    pub(crate) fn flush(&mut self, socket: BorrowedFd<'_>, mut lost: impl FnMut()) -> Flushed {
        if self.unpublished > 0 {
            self.send.publish();
            self.unpublished = 0;
        }
        let mut before = self.send.pending();
        while before > 0 && self.send.needs_wakeup() {
            let result = rustix::net::send(socket, &[], SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
            let pending = self.send.pending();
            match result {
                // The device had no room for one, which is gone.
                Err(Errno::BUSY | Errno::NOBUFS) if pending < before => lost(),
                // It takes so many in a call.
                Ok(_) | Err(Errno::AGAIN) if pending < before => {}
                Err(Errno::INTR) => continue,
                _ => return if pending == 0 { Flushed::All } else { Flushed::Stuck },
            }
            before = pending;
        }
        Flushed::All
    }
}

/// A socket on one queue.
pub(crate) struct Queue {
    pub socket: OwnedFd,
    pub receive: Receive,
    pub transmit: Transmit,
    /// The card writes and reads our memory itself.
    pub zero_copy: bool,
}

/// What was being done when it failed.
pub(crate) type Failure = (&'static str, io::Error);

/// Opens a socket on queue `queue` of interface `interface` for frames in such `places`. Where the driver can, frames are not
/// copied. With `checksums`, those of frames to be sent may be left to the kernel where it offers that.
pub(crate) fn open(interface: u32, queue: u32, places: Places, checksums: bool) -> Result<Queue, Failure> {
    let Places { chunk, most } = places;
    let at = |doing| move |error: Errno| (doing, io::Error::from(error));
    const MEMORY: &str = "sharing memory with the kernel for";
    const RINGS: &str = "making the rings for";
    const BINDING: &str = "binding an AF_XDP socket to";
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::XDP, SocketType::RAW, flags, None)
        .map_err(at("opening an AF_XDP socket for"))?;

    let memory = Rc::new(Mapping::zeros(2 * FRAMES as usize * chunk).map_err(|error| (MEMORY, error))?);
    let address = memory.place::<u8>(0, memory.len()).map_or(0, |start| start.as_ptr() as u64);
    let registration = |metadata: bool| XdpUmemReg {
        addr: address,
        len: memory.len() as u64,
        chunk_size: chunk as u32,
        headroom: 0,
        flags: XdpUmemRegFlags::from_bits_retain(if metadata { TX_METADATA_LEN } else { 0 }),
        tx_metadata_len: if metadata { METADATA as u32 } else { 0 },
    };
    // Kernels before 6.11 know nothing of metadata behind that flag.
    let metadata = checksums && sockopt::set_xdp_umem_reg(&socket, registration(true)).is_ok();
    if !metadata {
        sockopt::set_xdp_umem_reg(&socket, registration(false)).map_err(at(MEMORY))?;
    }

    sockopt::set_xdp_umem_fill_ring_size(&socket, FRAMES).map_err(at(RINGS))?;
    sockopt::set_xdp_umem_completion_ring_size(&socket, FRAMES).map_err(at(RINGS))?;
    sockopt::set_xdp_rx_ring_size(&socket, FRAMES).map_err(at(RINGS))?;
    sockopt::set_xdp_tx_ring_size(&socket, FRAMES).map_err(at(RINGS))?;
    let offsets = sockopt::xdp_mmap_offsets(&socket).map_err(at(RINGS))?;
    let ring = |error| (RINGS, error);
    let fd = socket.as_fd();
    let fill = Producer::map(fd, XDP_UMEM_PGOFF_FILL_RING, &offsets.fr, FRAMES).map_err(ring)?;
    let sent = Consumer::map(fd, XDP_UMEM_PGOFF_COMPLETION_RING, &offsets.cr, FRAMES).map_err(ring)?;
    let filled = Consumer::map(fd, XDP_PGOFF_RX_RING, &offsets.rx, FRAMES).map_err(ring)?;
    let send = Producer::map(fd, XDP_PGOFF_TX_RING, &offsets.tx, FRAMES).map_err(ring)?;

    let frames = Frames { memory: memory.clone(), first: 0, chunk };
    let mut receive = Receive { frames, fill, filled, parts: Vec::new(), longest: most * chunk };
    for place in 0..u64::from(FRAMES) {
        let _ = receive.fill.put(place * chunk as u64);
    }
    receive.fill.publish();

    // Without XDP_ZEROCOPY and XDP_COPY the kernel tries the one and falls back to the other.
    let mut flags = SocketAddrXdpFlags::XDP_USE_NEED_WAKEUP;
    flags.set(SocketAddrXdpFlags::XDP_USE_SG, most > 1);
    let to = SocketAddrXdp::new(flags, interface, queue);
    let patience = Instant::now() + PATIENCE;
    while let Err(error) = rustix::net::bind(&socket, &to) {
        if error != Errno::BUSY || Instant::now() > patience {
            return Err(at(BINDING)(error));
        }
        thread::sleep(PATIENCE / 100);
    }
    let options = sockopt::xdp_options(&socket).map_err(at(BINDING))?;
    let zero_copy = options.contains(XdpOptionsFlags::XDP_OPTIONS_ZEROCOPY);
    let transmit = Transmit {
        frames: Frames { memory, first: FRAMES.into(), chunk },
        send,
        sent,
        free: (0..FRAMES).rev().collect(),
        long: Vec::new(),
        most,
        // In copy mode the kernel's own network stack sees to them; a driver may not.
        checksums: metadata && !zero_copy,
        unpublished: 0,
    };
    Ok(Queue { socket, receive, transmit, zero_copy })
}

/// Frames that were lost for want of room since the socket was opened.
pub(crate) fn dropped(socket: BorrowedFd<'_>) -> u64 {
    sockopt::xdp_statistics(socket).map_or(0, |statistics| {
        let full = [statistics.rx_ring_full, statistics.rx_fill_ring_empty_descs];
        statistics.rx_dropped + full.into_iter().flatten().sum::<u64>()
    })
}

/// Lets many frames be on their way at once, and be taken in one call, as far as the kernel allows.
pub(crate) fn widen(socket: BorrowedFd<'_>) {
    const XDP_MAX_TX_SKB_BUDGET: c_int = 9;
    // What is not granted stays as it is: more calls, or frames that wait.
    let _ = set(&socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &(8 * 1024 * 1024 as c_int));
    let _ = set(&socket, libc::SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &(FRAMES as c_int));
}
