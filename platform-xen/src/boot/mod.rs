//! From Xen's first instruction in the guest to a kernel with memory, a console, time and random numbers.
pub mod console;
mod entry;
mod heap;
pub mod hypercall;
mod memory;
mod report;
mod single;
mod symbols;
mod trap;

use crate::interface::{ShutdownReason, shared_info::SharedInfo, start_info::StartInfo};
use core::fmt::Write;
use hypercall::Errno;
use memory::Layout;

unsafe extern "C" {
    // What `airglow::main!` makes.
    safe fn airglow_main();
}

/// The first Rust function: `info` is Xen's page, `free` the end of what the domain builder put into memory.
extern "C" fn start(info: *const StartInfo, free: u64) -> ! {
    // SAFETY: the builder's page, which stays where it is.
    let info = unsafe { &*info };
    if info.flags & StartInfo::INITIAL_DOMAIN != 0 {
        console::use_hypervisor();
    } else {
        let page = memory::address_of_frame(info.console_mfn);
        // SAFETY: the console's page, made of atomics only.
        console::use_ring(unsafe { &*(page as *const _) }, info.console_evtchn);
    }
    let layout = Layout::new(info);
    match trap::install().and_then(|()| memory::map(&layout, free)) {
        // SAFETY: `map` found it free, and mapped it.
        Ok(memory) => unsafe { heap::give(memory) },
        Err(error) => {
            let _ = writeln!(report::Out, "airglow: the memory cannot be set up: {error}");
            report::end()
        }
    }
    airglow_main();
    end(ShutdownReason::PowerOff)
}

/// The page of [`SharedInfo`] once it is mapped.
fn page_fault_address() -> u64 {
    0
}

/// Ends the domain after the console has been read.
pub fn end(reason: ShutdownReason) -> ! {
    console::drain();
    loop {
        hypercall::shutdown(reason, 0);
    }
}
