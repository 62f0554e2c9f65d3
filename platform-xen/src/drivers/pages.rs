//! Whole pages that a device reads or writes.
use alloc::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use core::ptr::NonNull;

/// Bytes in a page.
pub const PAGE: usize = 4096;

/// A run of pages, one behind the other in virtual memory, zeroed at the start.
///
/// Other domains write to granted pages behind the compiler's back, so all accesses go through raw pointers whose
/// provenance was exposed; a slice is only made of pages while nobody else may write them.
#[derive(Debug)]
pub struct Pages {
    start: NonNull<u8>,
    count: usize,
}

impl Pages {
    /// `count` pages, at least one.
    pub fn new(count: usize) -> Self {
        let layout = Self::layout(count);
        // SAFETY: the layout's size is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        let _ = start.as_ptr().expose_provenance();
        Self { start, count: count.max(1) }
    }

    fn layout(count: usize) -> Layout {
        let bytes = count.max(1).saturating_mul(PAGE).min(isize::MAX as usize / 2);
        // A power of two, and a size far below the limit.
        Layout::from_size_align(bytes, PAGE).unwrap_or(Layout::new::<u8>())
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Where page `index` begins, for its grant.
    pub fn page(&self, index: usize) -> *const u8 {
        self.start.as_ptr().wrapping_add(index.min(self.count - 1) * PAGE)
    }

    /// The address of the first one.
    pub fn start_address(&self) -> u64 {
        self.start.as_ptr().expose_provenance() as u64
    }

    /// `len` bytes from `offset` on, at most to the end. No other domain may write these pages while they are lent;
    /// drivers see to it by revoking the grant first, or by granting only reading.
    pub fn bytes(&mut self, offset: usize, len: usize) -> &mut [u8] {
        let size = self.count * PAGE;
        let offset = offset.min(size);
        let len = len.min(size - offset);
        // SAFETY: inside the allocation, which is initialised, and exclusively borrowed through `self`.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr().add(offset), len) }
    }

    /// Copies out of pages that another domain may be writing: once, so that what is looked at afterwards stays.
    pub fn copy_out(&self, offset: usize, to: &mut [u8]) {
        let size = self.count * PAGE;
        let len = to.len().min(size - offset.min(size));
        // SAFETY: inside the allocation; no reference to the pages is made.
        unsafe { self.start.as_ptr().add(offset.min(size)).copy_to_nonoverlapping(to.as_mut_ptr(), len) };
    }

    /// Copies into pages that another domain may be reading.
    pub fn copy_in(&mut self, offset: usize, from: &[u8]) {
        let size = self.count * PAGE;
        let len = from.len().min(size - offset.min(size));
        // SAFETY: as above.
        unsafe { self.start.as_ptr().add(offset.min(size)).copy_from_nonoverlapping(from.as_ptr(), len) };
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the layout is the one of the allocation.
        unsafe { dealloc(self.start.as_ptr(), Self::layout(self.count)) };
    }
}
