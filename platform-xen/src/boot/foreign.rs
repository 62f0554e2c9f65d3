//! Pages of other domains, mapped here by their grants.
use super::{
    hypercall::{self, Errno},
    memory,
    single::Single,
};
use crate::drivers::{
    grant::DomainId,
    pages::{PAGE, Pages},
};
use alloc::{boxed::Box, vec::Vec};
use core::mem::ManuallyDrop;

/// Pages of another domain, one behind the other, in place of pages of our own. Given back when it is dropped.
#[derive(Debug)]
pub struct Mapping {
    place: ManuallyDrop<Pages>,
}

/// What is mapped: the address and the handle of each page.
static MAPPED: Single<Vec<(u64, u32)>> = Single::new(Vec::new());

impl Mapping {
    /// Maps the pages that `domain` has granted under these references. `None`: it has not, or is gone.
    pub fn new(domain: DomainId, grants: &[u32]) -> Option<Self> {
        let mapping = Self { place: ManuallyDrop::new(Pages::new(grants.len())) };
        for (index, grant) in grants.iter().enumerate() {
            let address = mapping.place.page(index) as u64;
            // Xen does not flush the processor's memory of a page that a grant takes the place of, so nothing may be there.
            memory::unmap(address).ok()?;
            match hypercall::map_grant(address, domain, *grant) {
                Ok(handle) => MAPPED.with(|mapped| mapped.push((address, handle))),
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

/// Puts our own page back at `address`.
fn give_back(address: u64, handle: u32) -> Result<(), Errno> {
    hypercall::unmap_grant(address, handle)?;
    memory::restore(address)
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let (start, len) = (self.place.start_address(), (self.place.count() * PAGE) as u64);
        let mut whole = true;
        let ours = |address: u64| (start..start + len).contains(&address);
        while let Some((address, handle)) = MAPPED.with(|mapped| {
            let at = mapped.iter().position(|(address, _)| ours(*address))?;
            Some(mapped.swap_remove(at))
        }) {
            whole &= give_back(address, handle).is_ok();
        }
        if whole {
            // SAFETY: dropped here and nowhere else; the pages are our own again.
            unsafe { ManuallyDrop::drop(&mut self.place) };
        }
    }
}

/// Gives all of them back and leaves a copy of each in its place: a domain that is saved may have no pages but its own.
///
/// # Errors
/// What Xen says, after which the domain cannot be saved.
pub fn let_go() -> Result<(), Errno> {
    let mut copy = Box::new([0u8; PAGE]);
    while let Some((address, handle)) = MAPPED.with(Vec::pop) {
        // SAFETY: the page is mapped; the other domain may write to it meanwhile, so no reference to it is made.
        unsafe { (address as *const u8).copy_to_nonoverlapping(copy.as_mut_ptr(), PAGE) };
        give_back(address, handle)?;
        // SAFETY: our own page, to which whoever uses the mapping has atomics only.
        unsafe { (address as *mut u8).copy_from_nonoverlapping(copy.as_ptr(), PAGE) };
    }
    Ok(())
}
