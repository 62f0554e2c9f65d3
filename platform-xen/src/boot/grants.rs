//! The grant table, version 1: which of our pages which domain may use.
use super::{memory, shared, single::Single};
use crate::{
    drivers::grant::{Access, DomainId, GrantRef, Grants},
    interface::grant_table,
};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicPtr, AtomicU16, AtomicU32, Ordering};

/// `struct grant_entry_v1`.
#[repr(C)]
struct Entry {
    flags: AtomicU16,
    domain: AtomicU16,
    frame: AtomicU32,
}

static TABLE: AtomicPtr<Entry> = AtomicPtr::new(core::ptr::null_mut());
static FREE: Single<Vec<u32>> = Single::new(Vec::new());

/// Maps the table, also the new one after the domain was restored.
pub fn map() -> Result<(), super::hypercall::Errno> {
    TABLE.store(shared::map_grant_table()?.cast(), Ordering::Relaxed);
    Ok(())
}

/// Maps the table for the first time.
pub fn start() -> Result<(), super::hypercall::Errno> {
    map()?;
    // The lowest first.
    FREE.with(|free| *free = (grant_table::RESERVED..shared::GRANTS as u32).rev().collect());
    Ok(())
}

/// The kernel's grant table.
#[derive(Clone, Copy, Debug, Default)]
pub struct GrantTable;

fn entry(grant: GrantRef) -> Option<&'static Entry> {
    let table = TABLE.load(Ordering::Relaxed);
    if table.is_null() || grant.0 as usize >= shared::GRANTS {
        return None;
    }
    // SAFETY: the table is mapped, this long, and made of atomics.
    Some(unsafe { &*table.add(grant.0 as usize) })
}

impl Grants for GrantTable {
    fn reserve(&self) -> Option<GrantRef> {
        FREE.with(Vec::pop).map(GrantRef)
    }
    fn release(&self, grant: GrantRef) {
        FREE.with(|free| free.push(grant.0));
    }
    fn permit(&self, grant: GrantRef, domain: DomainId, page: *const u8, access: Access) {
        let Some(entry) = entry(grant) else { return };
        entry.domain.store(domain, Ordering::Relaxed);
        entry.frame.store(memory::frame_of(page) as u32, Ordering::Relaxed);
        let flags = match access {
            Access::Read => grant_table::PERMIT_ACCESS | grant_table::READ_ONLY,
            Access::ReadWrite => grant_table::PERMIT_ACCESS,
        };
        entry.flags.store(flags, Ordering::Release);
    }
    fn revoke(&self, grant: GrantRef) -> bool {
        let Some(entry) = entry(grant) else { return true };
        let mut flags = entry.flags.load(Ordering::Acquire);
        loop {
            if flags & (grant_table::READING | grant_table::WRITING) != 0 {
                return false;
            }
            match entry.flags.compare_exchange_weak(flags, 0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(now) => flags = now,
            }
        }
    }
}
