//! Being saved and restored: the kernel lets go of every page that is not its own, stops, and finds itself in the same memory with other
//! machine frames, other event channels and another grant table.
use super::{console, entropy, events, foreign, grants, hypercall, info, memory, shared, time};
use crate::interface::ShutdownReason;
use core::sync::atomic::Ordering;

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The domain was restored: devices have to be connected again.
    Restored,
    /// It went on where it was; nothing has changed.
    Cancelled,
}

/// Stops until the domain is restored.
///
/// # Errors
/// A page that cannot be mapped again, after which the kernel cannot go on.
pub fn suspend() -> Result<Woken, hypercall::Errno> {
    let page = super::INFO.load(Ordering::Relaxed);
    let before = time::now();
    foreign::let_go()?;
    // The toolstack rewrites machine frames only in page tables and in the list of frames, so these two become numbers that last.
    // SAFETY: the start page is nobody else's, and no reference into it is alive here.
    unsafe {
        (*page).store_mfn = memory::number_of_frame((*page).store_mfn);
        (*page).console_mfn = memory::number_of_frame((*page).console_mfn);
    }
    shared::unmap()?;
    let cancelled =
        hypercall::shutdown(ShutdownReason::Suspend, memory::frame_of(page.cast_const().cast())) != 0;
    if cancelled {
        // SAFETY: as above.
        unsafe {
            (*page).store_mfn = memory::frame_of_number((*page).store_mfn);
            (*page).console_mfn = memory::frame_of_number((*page).console_mfn);
        }
    }
    shared::map_shared_info(info().shared_info)?;
    if let Some(shared) = shared::shared_info() {
        shared.vcpu_info[0].evtchn_upcall_mask.store(1, Ordering::SeqCst);
    }
    grants::map()?;
    if cancelled {
        return Ok(Woken::Cancelled);
    }
    time::continue_from(before);
    console::use_port(info().console_evtchn);
    events::forget();
    // Two restored from one image must not draw the same numbers.
    let _ = entropy::start();
    Ok(Woken::Restored)
}
