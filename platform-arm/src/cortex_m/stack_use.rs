//! How deep the stack has been: it is painted before anything runs, and the paint that is left is counted.
use core::ptr;

const PAINT: u32 = 0xacce_55ed;

unsafe extern "C" {
    static mut _stack_end: u32;
    static mut _stack_start: u32;
}

/// Paints everything below the caller's frame.
#[inline(never)]
pub(super) fn paint() {
    let here: u32;
    // SAFETY: reads a register; the words from the end of the stack up to a little below the stack pointer
    // belong to no frame.
    unsafe {
        core::arch::asm!("mov {}, sp", out(reg) here, options(nomem, nostack));
        let mut at = &raw mut _stack_end;
        while (at as u32) < here - 64 {
            at.write_volatile(PAINT);
            at = at.add(1);
        }
    }
}

/// The most bytes of stack that were ever in use, and how many there are.
pub fn stack_use() -> (usize, usize) {
    let (mut at, top) = (ptr::addr_of!(_stack_end), ptr::addr_of!(_stack_start));
    let size = top as usize - at as usize;
    // SAFETY: within the stack's memory, which is always readable.
    unsafe {
        while at < top && at.read_volatile() == PAINT {
            at = at.add(1);
        }
    }
    (top as usize - at as usize, size)
}
