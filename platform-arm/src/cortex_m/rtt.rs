//! Logs in a ring in RAM, which a debug probe reads while the processor runs: SEGGER's Real Time Transfer, as `probe-rs` and J-Link know it.
//!
//! Nobody waits for a probe: a frame for which there is no room is left out, whole.
use crate::local::Local;
use core::{
    cell::{Cell, UnsafeCell},
    ptr::{addr_of, addr_of_mut},
    sync::atomic::{Ordering, compiler_fence},
};

const SIZE: usize = 1024;

/// What a probe looks for in the RAM. Each side writes one of the two offsets.
#[repr(C)]
struct ControlBlock {
    id: [u8; 16],
    up_channels: u32,
    down_channels: u32,
    name: *const u8,
    buffer: *mut u8,
    size: u32,
    write: u32,
    read: u32,
    /// 0: what does not fit is left out.
    flags: u32,
}

#[repr(transparent)]
struct Shared(UnsafeCell<ControlBlock>);
// SAFETY: one core and no interrupts; the probe is the only other party.
unsafe impl Sync for Shared {}

#[repr(transparent)]
struct Ring(UnsafeCell<[u8; SIZE]>);
// SAFETY: as above.
unsafe impl Sync for Ring {}

static RING: Ring = Ring(UnsafeCell::new([0; SIZE]));

/// Its name is what debuggers look up. All zeros until [`start`], so that none is found in a RAM that was not set up.
#[unsafe(no_mangle)]
static _SEGGER_RTT: Shared = Shared(UnsafeCell::new(ControlBlock {
    id: [0; 16],
    up_channels: 0,
    down_channels: 0,
    name: core::ptr::null(),
    buffer: core::ptr::null_mut(),
    size: 0,
    write: 0,
    read: 0,
    flags: 0,
}));

/// Where the frame that is being written has come to; `None` when there was no room for it.
static AT: Local<Cell<Option<usize>>> = Local::new(Cell::new(None));

/// Makes the ring known to a probe.
pub(super) fn start() {
    let block = _SEGGER_RTT.0.get();
    // SAFETY: this module alone writes it; the identification last, backwards in the code, as its makers ask for.
    unsafe {
        addr_of_mut!((*block).up_channels).write_volatile(1);
        addr_of_mut!((*block).name).write_volatile(c"defmt".as_ptr().cast());
        addr_of_mut!((*block).buffer).write_volatile(RING.0.get().cast());
        addr_of_mut!((*block).size).write_volatile(SIZE as u32);
        addr_of_mut!((*block).write).write_volatile(0);
        addr_of_mut!((*block).read).write_volatile(0);
        for (index, &byte) in b"TTR REGGES".iter().rev().enumerate() {
            addr_of_mut!((*block).id[index]).write_volatile(byte);
        }
    }
}

/// A frame begins.
pub(super) fn begin() {
    // SAFETY: this module alone writes it.
    AT.set(Some(unsafe { addr_of!((*_SEGGER_RTT.0.get()).write).read_volatile() } as usize));
}

/// Adds to the frame.
pub(super) fn write(bytes: &[u8]) {
    // SAFETY: reads what the probe may write meanwhile.
    let read = unsafe { addr_of!((*_SEGGER_RTT.0.get()).read).read_volatile() } as usize;
    for &byte in bytes {
        let Some(at) = AT.get() else { return };
        let next = (at + 1) % SIZE;
        if next == read {
            return AT.set(None);
        }
        // SAFETY: `at` is below the ring's size, and the probe does not read there before the offset is moved on.
        unsafe { RING.0.get().cast::<u8>().add(at % SIZE).write_volatile(byte) };
        AT.set(Some(next));
    }
}

/// The frame is whole.
pub(super) fn end() {
    compiler_fence(Ordering::SeqCst);
    if let Some(at) = AT.take() {
        // SAFETY: as above; the bytes are there.
        unsafe { addr_of_mut!((*_SEGGER_RTT.0.get()).write).write_volatile(at as u32) };
    }
}
