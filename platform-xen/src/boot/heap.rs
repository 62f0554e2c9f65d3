//! The allocator: `talc` over all memory that the image and the page tables leave.
use super::single::Single;
use core::{
    alloc::{GlobalAlloc, Layout},
    ops::Range,
    ptr::null_mut,
};
use talc::{DefaultBinning, base::Talc, source::Manual};

struct Heap(Single<Talc<Manual, DefaultBinning>>);

#[global_allocator]
static HEAP: Heap = Heap(Single::new(Talc::new(Manual)));

/// Gives `memory` to the allocator.
///
/// # Safety
/// It is mapped, writable and nobody else's.
pub unsafe fn give(memory: Range<u64>) {
    // SAFETY: the caller's promise.
    HEAP.0.with(|heap| unsafe { heap.claim(memory.start as *mut u8, (memory.end - memory.start) as usize) });
}

// SAFETY: talc's contract is GlobalAlloc's; `Single` says why there is no second caller.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller of this function promises.
        self.0.with(|heap| unsafe { heap.allocate(layout) }).map_or(null_mut(), |p| p.as_ptr())
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller of this function promises.
        self.0.with(|heap| unsafe { heap.deallocate(pointer, layout) });
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller of this function promises; talc says whether it could do it where the block is.
        if self.0.with(|heap| unsafe { heap.try_realloc_in_place(pointer, layout, size) }) {
            return pointer;
        }
        // SAFETY: `GlobalAlloc::realloc` promises that the new size makes a valid layout.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                new.copy_from_nonoverlapping(pointer, layout.size().min(size));
                self.dealloc(pointer, layout);
            }
            new
        }
    }
}
