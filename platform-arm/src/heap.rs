//! The allocator of applications that want one (feature `heap`): `talc` over a static of 16 KiB, 1 MiB where memory is
//! counted in MiB. When it is full, an allocation that cannot fail ends in a panic, and the board starts again.
use crate::local::{Local, Once};
use core::{
    alloc::{GlobalAlloc, Layout},
    cell::RefCell,
    mem::MaybeUninit,
    ptr::null_mut,
};
use talc::{DefaultBinning, base::Talc, source::Manual};

/// Bytes of the heap.
pub const HEAP: usize = if cfg!(target_arch = "arm") { 16 << 10 } else { 1 << 20 };

struct Heap(Local<RefCell<Talc<Manual, DefaultBinning>>>);

static MEMORY: Once<MaybeUninit<[u8; HEAP]>> = Once::new(MaybeUninit::uninit());

#[global_allocator]
static ALLOCATOR: Heap = Heap(Local::new(RefCell::new(Talc::new(Manual))));

impl Heap {
    fn with<R>(&self, f: impl FnOnce(&mut Talc<Manual, DefaultBinning>) -> R) -> R {
        let heap = &mut *self.0.borrow_mut();
        if let Some(memory) = MEMORY.take() {
            // SAFETY: the static is lent once, to the allocator, for as long as the machine runs.
            unsafe { heap.claim(memory.as_mut_ptr().cast(), HEAP) };
        }
        f(heap)
    }
}

// SAFETY: talc's contract is GlobalAlloc's; `Local` says why there is no second caller.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller of this function promises.
        self.with(|heap| unsafe { heap.allocate(layout) }).map_or(null_mut(), |p| p.as_ptr())
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller of this function promises.
        self.with(|heap| unsafe { heap.deallocate(pointer, layout) });
    }
}
