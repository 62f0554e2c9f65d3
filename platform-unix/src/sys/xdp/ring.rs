//! The rings that descriptors pass through (Linux's `Documentation/networking/af_xdp.rst`): one producer, one consumer, and an index
//! of each in shared memory. What the kernel says is checked before it is used.
use super::memory::Mapping;
use rustix::net::xdp::XdpRingOffset;
use std::{
    io,
    os::fd::BorrowedFd,
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering, fence},
};

/// Kernel: call me (`XDP_RING_NEED_WAKEUP`).
const NEED_WAKEUP: u32 = 1;

/// What both kinds of ring are.
struct Ring<T> {
    // Keeps alive what the pointers point into.
    _memory: Mapping,
    producer: NonNull<AtomicU32>,
    consumer: NonNull<AtomicU32>,
    flags: Option<NonNull<AtomicU32>>,
    entries: NonNull<T>,
    size: u32,
    /// Our own index, which nobody else writes.
    own: u32,
}

impl<T: Copy> Ring<T> {
    /// Maps the ring with `size` entries, a power of two, that lies at `page` of the socket.
    fn map(socket: BorrowedFd<'_>, page: u64, at: &XdpRingOffset, size: u32) -> io::Result<Self> {
        let broken = || io::Error::other("the kernel describes a ring that is none");
        let place = |offset: u64| usize::try_from(offset).map_err(|_| broken());
        let entries = size as usize;
        let desc = place(at.desc)?;
        let len =
            entries.checked_mul(size_of::<T>()).and_then(|len| len.checked_add(desc)).ok_or_else(broken)?;
        let memory = Mapping::shared(socket, page, len)?;
        let flags = match at.flags {
            Some(flags) => Some(memory.place(place(flags)?, 1).ok_or_else(broken)?),
            None => None,
        };
        Ok(Self {
            producer: memory.place(place(at.producer)?, 1).ok_or_else(broken)?,
            consumer: memory.place(place(at.consumer)?, 1).ok_or_else(broken)?,
            flags,
            entries: memory.place(desc, entries).ok_or_else(broken)?,
            _memory: memory,
            size,
            own: 0,
        })
    }

    fn producer(&self) -> &AtomicU32 {
        // SAFETY: it lies aligned inside the mapping, which lives as long as we; both sides access it atomically.
        unsafe { self.producer.as_ref() }
    }

    fn consumer(&self) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { self.consumer.as_ref() }
    }

    /// Where the entry of index `index` is.
    fn entry(&self, index: u32) -> *mut T {
        // SAFETY: the masked index is below the size, and so many entries lie inside the mapping.
        unsafe { self.entries.add((index & (self.size - 1)) as usize) }.as_ptr()
    }

    fn needs_wakeup(&self) -> bool {
        // What was published must be visible before the kernel's wish is looked at, or both sides could go to sleep.
        fence(Ordering::SeqCst);
        // SAFETY: as for the indices.
        self.flags.is_none_or(|flags| unsafe { flags.as_ref() }.load(Ordering::Relaxed) & NEED_WAKEUP != 0)
    }
}

/// A ring that we fill.
pub(super) struct Producer<T>(Ring<T>);

impl<T: Copy> Producer<T> {
    pub(super) fn map(socket: BorrowedFd<'_>, page: u64, at: &XdpRingOffset, size: u32) -> io::Result<Self> {
        Ring::map(socket, page, at, size).map(Self)
    }

    /// Entries that the kernel has not consumed yet, published or not.
    pub(super) fn pending(&self) -> u32 {
        self.0.own.wrapping_sub(self.0.consumer().load(Ordering::Acquire)).min(self.0.size)
    }

    /// Adds an entry; the kernel sees it when it is [published](Self::publish). False when the ring is full.
    #[must_use]
    pub(super) fn put(&mut self, value: T) -> bool {
        if self.pending() == self.0.size {
            return false;
        }
        // SAFETY: the entry lies inside the mapping, and is not the kernel's: it has consumed what was there.
        unsafe { self.0.entry(self.0.own).write(value) };
        self.0.own = self.0.own.wrapping_add(1);
        true
    }

    pub(super) fn publish(&mut self) {
        self.0.producer().store(self.0.own, Ordering::Release);
    }

    /// The kernel wants a call to go on.
    pub(super) fn needs_wakeup(&self) -> bool {
        self.0.needs_wakeup()
    }
}

/// A ring that the kernel fills.
pub(super) struct Consumer<T>(Ring<T>);

impl<T: Copy> Consumer<T> {
    pub(super) fn map(socket: BorrowedFd<'_>, page: u64, at: &XdpRingOffset, size: u32) -> io::Result<Self> {
        Ring::map(socket, page, at, size).map(Self)
    }

    /// Entries that wait.
    pub(super) fn waiting(&self) -> u32 {
        self.0.producer().load(Ordering::Acquire).wrapping_sub(self.0.own).min(self.0.size)
    }

    /// Entry number `offset` of those that wait, of which there must be so many.
    pub(super) fn peek(&self, offset: u32) -> T {
        // SAFETY: the entry lies inside the mapping. The kernel has written it before it moved its index, and writes it again only after
        // ours has; were it broken, we would read nonsense, which is checked, as every bit pattern is a valid `T`.
        unsafe { self.0.entry(self.0.own.wrapping_add(offset)).read() }
    }

    /// Gives the first `count` entries back.
    pub(super) fn release(&mut self, count: u32) {
        self.0.own = self.0.own.wrapping_add(count);
        self.0.consumer().store(self.0.own, Ordering::Release);
    }
}
