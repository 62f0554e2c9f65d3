//! Memory that this process and the kernel both see.
use rustix::mm::{MapFlags, ProtFlags};
use std::os::fd::BorrowedFd;
use std::{io, ptr::NonNull};

/// A mapping, unmapped when dropped. The kernel may write there at any time: who reads and writes it, keeps to the rules of the rings.
pub(super) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

impl Mapping {
    /// `len` bytes of zeros, present in memory.
    pub(super) fn zeros(len: usize) -> io::Result<Self> {
        let flags = MapFlags::PRIVATE | MapFlags::POPULATE;
        // SAFETY: a new mapping where the kernel likes it touches no other memory.
        let start = unsafe {
            rustix::mm::mmap_anonymous(std::ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, flags)?
        };
        Self::new(start.cast(), len)
    }

    /// `len` bytes of what `fd` has at `offset`, shared with the kernel.
    pub(super) fn shared(fd: BorrowedFd<'_>, offset: u64, len: usize) -> io::Result<Self> {
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: as above.
        let start = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                flags,
                fd,
                offset,
            )?
        };
        Self::new(start.cast(), len)
    }

    fn new(start: *mut u8, len: usize) -> io::Result<Self> {
        let start = NonNull::new(start).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, len })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Where `count` values of type `T` lie from `offset` on; `None` when they do not lie inside, or not aligned.
    pub(super) fn place<T>(&self, offset: usize, count: usize) -> Option<NonNull<T>> {
        let end = count.checked_mul(size_of::<T>())?.checked_add(offset)?;
        if end > self.len {
            return None;
        }
        // SAFETY: the offset lies inside the mapping.
        let place = unsafe { self.start.add(offset) }.cast::<T>();
        place.is_aligned().then_some(place)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and whoever points into it holds it alive. Pages that the kernel still uses stay with it.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
