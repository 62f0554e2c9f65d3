//! Memory: finds what the domain builder mapped, maps the rest, and gives each page the rights it needs and no
//! more. Text is never writable, data never executable, nothing lies below the image, and a page without rights
//! lies below the stack.
//!
//! All of the domain's memory is mapped in one line: frame number `pfn` lies at `VIRT_BASE + pfn * 4096`. Page tables
//! are read there too; Xen keeps them read-only and checks each change, which is a hypercall.
use super::{
    entry::{self, VIRT_BASE},
    hypercall::{self, Errno, MmuUpdate},
    single::Single,
};
use crate::interface::{paging, start_info::StartInfo};
use core::ops::Range;
use x86_64::structures::paging::PageTableFlags;

const PAGE: u64 = 4096;
const PRESENT: u64 = PageTableFlags::PRESENT.bits();
const WRITABLE: u64 = PageTableFlags::WRITABLE.bits();
const USER: u64 = PageTableFlags::USER_ACCESSIBLE.bits();
const ACCESSED: u64 = PageTableFlags::ACCESSED.bits();
const DIRTY: u64 = PageTableFlags::DIRTY.bits();
const NO_EXECUTE: u64 = PageTableFlags::NO_EXECUTE.bits();
const FRAME: u64 = 0x000f_ffff_ffff_f000;

const READ: u64 = PRESENT | USER | ACCESSED | NO_EXECUTE;
const READ_WRITE: u64 = READ | WRITABLE | DIRTY;
const EXECUTE: u64 = PRESENT | USER | ACCESSED;
const TABLE: u64 = PRESENT | WRITABLE | USER | ACCESSED | DIRTY;

/// What the domain builder left.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    mfn_list: u64,
    pages: u64,
    pt_base: u64,
    pt_pages: u64,
}

impl Layout {
    /// Of the domain that `info` describes.
    pub fn new(info: &StartInfo) -> Self {
        Self {
            mfn_list: info.mfn_list,
            pages: info.nr_pages,
            pt_base: info.pt_base,
            pt_pages: info.nr_pt_frames,
        }
    }

    /// The machine frame of the page at `address`, which lies in the line.
    fn mfn(&self, address: u64) -> u64 {
        let pfn = (address - VIRT_BASE) / PAGE;
        debug_assert!(pfn < self.pages);
        // SAFETY: the list has an entry for each of the domain's pages and stays where it is.
        unsafe { (self.mfn_list as *const u64).add(pfn as usize).read() }
    }

    /// The entry of the table at `table` that leads to `address`; `level` 4 is the top.
    fn slot(table: u64, level: u32, address: u64) -> u64 {
        table + (address >> (12 + 9 * (level - 1)) & 511) * 8
    }

    /// The table of `level` that `address` goes through, or the first level at which there is none, with the slot
    /// that would lead to it.
    fn table(&self, level: u32, address: u64) -> Result<u64, (u32, u64)> {
        let mut table = self.pt_base;
        for upper in (level + 1..=4).rev() {
            let slot = Self::slot(table, upper, address);
            // SAFETY: tables lie in the line and can be read.
            let entry = unsafe { (slot as *const u64).read_volatile() };
            if entry & PRESENT == 0 {
                return Err((upper - 1, slot));
            }
            table = address_of_frame((entry & FRAME) / PAGE);
        }
        Ok(table)
    }

    fn machine_address(&self, slot: u64) -> u64 {
        self.mfn(slot & !(PAGE - 1)) * PAGE + slot % PAGE
    }
}

/// Where the machine frame `mfn` of this domain lies in the line.
pub fn address_of_frame(mfn: u64) -> u64 {
    // SAFETY: Xen maps this table in every PV guest; entries of frames that are not ours are garbage, not faults.
    let pfn = unsafe { ((paging::M2P + mfn * 8) as *const u64).read_volatile() };
    VIRT_BASE + pfn * PAGE
}

static LAYOUT: Single<Option<Layout>> = Single::new(None);

/// The machine frame of the page at `page`, an address of the line.
pub fn frame_of(page: *const u8) -> u64 {
    LAYOUT.with(|layout| layout.as_ref().map_or(0, |layout| layout.mfn(page as u64 & !(PAGE - 1))))
}

/// Sends page table changes to Xen in batches.
struct Batch {
    updates: [MmuUpdate; 128],
    count: usize,
}

impl Batch {
    fn push(&mut self, entry: u64, value: u64) -> Result<(), Errno> {
        self.updates[self.count] = MmuUpdate { entry, value };
        self.count += 1;
        if self.count == self.updates.len() { self.send() } else { Ok(()) }
    }
    fn send(&mut self) -> Result<(), Errno> {
        let result = hypercall::mmu_update(&self.updates[..self.count]);
        self.count = 0;
        result
    }
}

/// The rights of the page at `address` of the line.
fn rights(layout: &Layout, address: u64) -> u64 {
    let tables = layout.pt_base..layout.pt_base + layout.pt_pages * PAGE;
    if address == entry::stack_guard() {
        return 0;
    }
    if tables.contains(&address) {
        return READ;
    }
    let mut rights = READ_WRITE;
    for segment in entry::segments() {
        if (segment.start..segment.end).contains(&address) {
            rights = match (segment.executable, segment.writable) {
                (true, _) => EXECUTE,
                (false, true) => READ_WRITE,
                (false, false) => READ,
            };
        }
    }
    rights
}

/// Sets the rights of everything that is mapped, maps what is not, and returns the free memory: it begins at `free`,
/// behind what the builder put in place.
pub fn map(layout: &Layout, free: u64) -> Result<Range<u64>, Errno> {
    let end = VIRT_BASE + layout.pages * PAGE;
    let mut free = (free + PAGE - 1) & !(PAGE - 1);
    let mut batch = Batch { updates: [MmuUpdate::default(); 128], count: 0 };
    let mut address = VIRT_BASE;
    while address < end {
        match layout.table(1, address) {
            Ok(table) => {
                // One table leads to 2 MiB.
                let stop = end.min((address | 0x1f_ffff) + 1);
                while address < stop {
                    let slot = Layout::slot(table, 1, address);
                    // SAFETY: tables lie in the line and can be read.
                    let old = unsafe { (slot as *const u64).read_volatile() };
                    let rights = if old & PRESENT != 0 && old & WRITABLE == 0 {
                        // Page tables, old and new, are what is read-only already.
                        READ
                    } else {
                        rights(layout, address)
                    };
                    let value = if rights == 0 { 0 } else { layout.mfn(address) * PAGE | rights };
                    batch.push(layout.machine_address(slot), value)?;
                    address += PAGE;
                }
                batch.send()?;
            }
            Err((level, slot)) => {
                // A new table of this level, from the free memory that is mapped already.
                let table = free;
                free += PAGE;
                // SAFETY: the page is free, mapped and writable. The builder maps at least 512 KiB behind the
                // boot stack, and each table made here brings more than it takes.
                let entries = unsafe { core::slice::from_raw_parts_mut(table as *mut u64, 512) };
                entries.fill(0);
                if level == 1 {
                    let base = address & !0x1f_ffff;
                    for (i, entry) in entries.iter_mut().enumerate() {
                        let page = base + i as u64 * PAGE;
                        if page >= address && page < end {
                            *entry = layout.mfn(page) * PAGE | READ_WRITE;
                        }
                    }
                }
                hypercall::update_va_mapping(table, layout.mfn(table) * PAGE | READ)?;
                batch.push(layout.machine_address(slot), layout.mfn(table) * PAGE | TABLE)?;
                batch.send()?;
                if level == 1 {
                    address = end.min((address | 0x1f_ffff) + 1);
                }
            }
        }
    }
    hypercall::flush_tlb();
    LAYOUT.with(|known| *known = Some(*layout));
    Ok(free..end)
}

/// Maps the machine frame `mfn`, which is not this domain's memory, at `address` in place of what was there.
pub fn map_foreign(address: u64, mfn: u64) -> Result<(), Errno> {
    hypercall::update_va_mapping(address, mfn * PAGE | READ_WRITE)
}

/// Maps nothing at `address`, a page of the line.
pub fn unmap(address: u64) -> Result<(), Errno> {
    hypercall::update_va_mapping(address, 0)
}

/// Maps at `address`, a page of the line, what belongs there.
pub fn restore(address: u64) -> Result<(), Errno> {
    hypercall::update_va_mapping(address, frame_of(address as *const u8) * PAGE | READ_WRITE)
}

/// The domain's own number of the machine frame `mfn`: it stays when the domain is saved and restored.
pub fn number_of_frame(mfn: u64) -> u64 {
    (address_of_frame(mfn) - VIRT_BASE) / PAGE
}

/// The machine frame of the page with this number.
pub fn frame_of_number(pfn: u64) -> u64 {
    frame_of((VIRT_BASE + pfn * PAGE) as *const u8)
}

/// Where the list of machine frames lies, how many it has, and the machine address of the top page table: by these the toolstack finds
/// all memory when the domain is saved.
pub fn description() -> Option<(u64, u64, u64)> {
    LAYOUT.with(|layout| layout.as_ref().map(|l| (l.mfn_list, l.pages, l.mfn(l.pt_base) * PAGE)))
}
