//! From Xen's first instruction in the guest to a kernel with memory, a console, time and random numbers.
pub mod console;
pub mod entropy;
mod entry;
pub mod events;
pub mod foreign;
pub mod grants;
mod heap;
pub mod hypercall;
mod memory;
mod processor;
pub mod report;
mod shared;
pub mod single;
pub mod suspend;
pub mod time;
mod trap;

use crate::interface::{ShutdownReason, start_info::StartInfo};
use core::{
    fmt::Write,
    sync::atomic::{AtomicPtr, Ordering},
};
use memory::Layout;

unsafe extern "C" {
    // What `airglow::main!` makes.
    safe fn airglow_main();
}

/// The first Rust function: `info` is Xen's page, `free` the end of what the domain builder put into memory.
extern "C" fn start(info: *const StartInfo, free: u64) -> ! {
    time::entered();
    // SAFETY: the builder's page, which stays where it is.
    let info = unsafe { &*info };
    if info.flags & StartInfo::INITIAL_DOMAIN != 0 {
        console::use_hypervisor();
    } else {
        let page = memory::address_of_frame(info.console_mfn);
        // SAFETY: the console's page, made of atomics only.
        console::use_ring(unsafe { &*(page as *const _) }, info.console_evtchn);
    }
    INFO.store(core::ptr::from_ref(info).cast_mut(), Ordering::Relaxed);
    if let Err(missing) = processor::prepare() {
        let _ = write!(report::Out, "airglow: the image was compiled for a processor that has");
        for name in missing {
            let _ = write!(report::Out, " {name}");
        }
        let _ = writeln!(report::Out, ", and this one has not");
        report::end()
    }
    let layout = Layout::new(info);
    let memory = trap::install()
        .and_then(|()| memory::map(&layout, free))
        .and_then(|free| shared::map_shared_info(info.shared_info).map(|()| free));
    match memory {
        // SAFETY: `map` found it free, and mapped it.
        Ok(memory) => unsafe { heap::give(memory) },
        Err(error) => {
            let _ = writeln!(report::Out, "airglow: the memory cannot be set up: {error}");
            report::end()
        }
    }
    if let Err(error) = grants::start() {
        let _ = writeln!(report::Out, "airglow: no grant table: {error}");
        report::end()
    }
    airglow_main();
    end(ShutdownReason::PowerOff)
}

static INFO: AtomicPtr<StartInfo> = AtomicPtr::new(core::ptr::null_mut());

/// What the domain builder told the kernel.
pub fn info() -> &'static StartInfo {
    // SAFETY: set first thing at the start, to a page that stays.
    unsafe { &*INFO.load(Ordering::Relaxed) }
}

fn page_fault_address() -> u64 {
    shared::shared_info().map_or(0, |info| info.vcpu_info[0].cr2.load(Ordering::Relaxed))
}

/// Ends the domain after the console has been read.
pub fn end(reason: ShutdownReason) -> ! {
    console::drain();
    loop {
        hypercall::shutdown(reason, 0);
    }
}

/// The connection to xenstore; `None` in dom0, which has none. To be called once.
pub fn xenstore() -> Option<crate::guest::xenstore::Xenstore> {
    let info = info();
    if info.store_mfn == 0 || info.flags & StartInfo::INITIAL_DOMAIN != 0 {
        return None;
    }
    let page = memory::address_of_frame(info.store_mfn);
    let channel = events::EventChannel::new(info.store_evtchn)?;
    // SAFETY: the daemon's page, made of atomics only, which stays mapped.
    Some(crate::guest::xenstore::Xenstore::new(unsafe { &*(page as *const _) }, channel))
}
