//! Pages of other domains, mapped here by their grants.
use super::{hypercall, memory};
use crate::drivers::{
    grant::DomainId,
    pages::{PAGE, Pages},
};
use alloc::vec::Vec;
use core::mem::ManuallyDrop;

/// Pages of another domain, one behind the other, in place of pages of our own. Given back when it is dropped.
#[derive(Debug)]
pub struct Mapping {
    place: ManuallyDrop<Pages>,
    handles: Vec<u32>,
}

impl Mapping {
    /// Maps the pages that `domain` has granted under these references. `None`: it has not, or is gone.
    pub fn new(domain: DomainId, grants: &[u32]) -> Option<Self> {
        let mut mapping = Self { place: ManuallyDrop::new(Pages::new(grants.len())), handles: Vec::new() };
        for (index, grant) in grants.iter().enumerate() {
            let address = mapping.place.page(index) as u64;
            // Xen does not flush the processor's memory of a page that a grant takes the place of, so nothing may be there.
            memory::unmap(address).ok()?;
            match hypercall::map_grant(address, domain, *grant) {
                Ok(handle) => mapping.handles.push(handle),
                Err(_) => {
                    if memory::restore(address).is_err() {
                        // A hole in the heap: nobody gets it.
                        core::mem::forget(mapping);
                    }
                    return None;
                }
            }
        }
        Some(mapping)
    }

    /// Where the first one begins.
    pub fn start(&self) -> *const u8 {
        self.place.page(0)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let mut whole = true;
        for (index, handle) in self.handles.iter().enumerate() {
            let address = self.place.start_address() + (index * PAGE) as u64;
            whole &= hypercall::unmap_grant(address, *handle).is_ok() && memory::restore(address).is_ok();
        }
        if whole {
            // SAFETY: dropped here and nowhere else; the pages are our own again.
            unsafe { ManuallyDrop::drop(&mut self.place) };
        }
    }
}
