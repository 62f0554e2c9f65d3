//! Xen's pages that are mapped into the image: shared information and the grant table. Each takes the place of a
//! page of the image that nothing else uses.
use super::{
    hypercall::{self, Errno},
    memory,
    single::Single,
};
use crate::interface::{grant_table, shared_info::SharedInfo};
use core::sync::atomic::{AtomicPtr, Ordering};

#[repr(C, align(4096))]
struct Place<const PAGES: usize>([[u8; 4096]; PAGES]);

/// Pages of the grant table: 512 grants each.
pub const GRANT_FRAMES: usize = 4;

static SHARED_PLACE: Single<Place<1>> = Single::new(Place([[0; 4096]; 1]));
static GRANT_PLACE: Single<Place<GRANT_FRAMES>> = Single::new(Place([[0; 4096]; GRANT_FRAMES]));
static SHARED: AtomicPtr<SharedInfo> = AtomicPtr::new(core::ptr::null_mut());

/// Maps the shared information page of machine address `shared_info`.
pub fn map_shared_info(shared_info: u64) -> Result<(), Errno> {
    let place = SHARED_PLACE.get();
    memory::map_foreign(place as u64, shared_info / 4096)?;
    SHARED.store(place.cast(), Ordering::Relaxed);
    describe_memory();
    Ok(())
}

/// The shared information page, once it is mapped.
pub fn shared_info() -> Option<&'static SharedInfo> {
    // SAFETY: null or the mapped page, which is made of atomics and stays mapped.
    unsafe { SHARED.load(Ordering::Relaxed).as_ref() }
}

/// Sets up and maps the grant table; returns its first entry.
pub fn map_grant_table() -> Result<*mut u64, Errno> {
    let mut frames = [0; GRANT_FRAMES];
    hypercall::setup_grant_table(&mut frames)?;
    let place = GRANT_PLACE.get() as u64;
    for (i, mfn) in frames.into_iter().enumerate() {
        memory::map_foreign(place + i as u64 * 4096, mfn)?;
    }
    Ok(place as *mut u64)
}

/// Entries of the table.
pub const GRANTS: usize = GRANT_FRAMES * grant_table::PER_PAGE;

/// Says in the shared page where this domain's list of frames is: the toolstack looks there before it asks the domain to
/// suspend itself.
fn describe_memory() {
    let (Some(info), Some((list, pages, top))) = (shared_info(), memory::description()) else { return };
    info.arch.max_pfn.store(pages, Ordering::Relaxed);
    info.arch.p2m_vaddr.store(list, Ordering::Relaxed);
    info.arch.p2m_cr3.store(top, Ordering::Release);
}

/// Maps this domain's own pages again where Xen's were.
pub fn unmap() -> Result<(), Errno> {
    memory::restore(SHARED_PLACE.get() as u64)?;
    let place = GRANT_PLACE.get() as u64;
    (0..GRANT_FRAMES as u64).try_for_each(|i| memory::restore(place + i * 4096))
}
