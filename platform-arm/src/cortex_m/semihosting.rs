//! Logs through a debugger's semihosting (Arm, "Semihosting for AArch32 and AArch64"): QEMU's standard output, or a debug probe's
//! console. Without a debugger the first frame is a fault.
use crate::local::Local;
use core::{
    arch::asm,
    cell::{Cell, RefCell},
};

const SYS_OPEN: usize = 0x01;
const SYS_WRITE: usize = 0x05;
/// The mode "w", in which the console's name opens its output.
const MODE_WRITE: usize = 4;

static HANDLE: Local<Cell<usize>> = Local::new(Cell::new(usize::MAX));
/// Each call stops the processor, so that a frame goes in few.
static BUFFER: Local<RefCell<([u8; 128], usize)>> = Local::new(RefCell::new(([0; 128], 0)));

fn call(operation: usize, arguments: &[usize; 3]) -> usize {
    let result;
    // SAFETY: the debugger reads the arguments and what they point to, and answers in r0.
    unsafe {
        asm!("bkpt #0xab", inout("r0") operation => result, in("r1") arguments.as_ptr(), options(nostack));
    }
    result
}

/// Adds to the frame.
pub(super) fn write(bytes: &[u8]) {
    for &byte in bytes {
        if let Ok(mut buffer) = BUFFER.try_borrow_mut() {
            let (space, len) = &mut *buffer;
            if let Some(place) = space.get_mut(*len) {
                *place = byte;
                *len += 1;
                if *len < space.len() {
                    continue;
                }
            }
        }
        flush();
    }
}

/// Hands over what there is.
pub(super) fn flush() {
    let Ok(mut buffer) = BUFFER.try_borrow_mut() else { return };
    if HANDLE.get() == usize::MAX {
        let name = b":tt\0";
        HANDLE.set(call(SYS_OPEN, &[name.as_ptr() as usize, MODE_WRITE, name.len() - 1]));
    }
    let len = core::mem::take(&mut buffer.1);
    call(SYS_WRITE, &[HANDLE.get(), buffer.0.as_ptr() as usize, len]);
}
