//! Xen's public interface as far as this guest uses it: layouts and numbers of `xen/include/public`, in the
//! headers' own names. No code that runs, so the host tests see it too.

pub mod shared_info;
pub mod start_info;

/// Hypercall numbers (`xen.h`).
pub mod hypercall {
    /// `set_trap_table(traps)`.
    pub const SET_TRAP_TABLE: usize = 0;
    /// `mmu_update(requests, count, done, domain)`.
    pub const MMU_UPDATE: usize = 1;
    /// `update_va_mapping(address, entry, flags)`.
    pub const UPDATE_VA_MAPPING: usize = 14;
    /// `console_io(command, count, buffer)`.
    pub const CONSOLE_IO: usize = 18;
    /// `grant_table_op(command, arguments, count)`.
    pub const GRANT_TABLE_OP: usize = 20;
    /// `mmuext_op(operations, count, done, domain)`.
    pub const MMUEXT_OP: usize = 26;
    /// `sched_op(command, argument)`.
    pub const SCHED_OP: usize = 29;
    /// `event_channel_op(command, argument)`.
    pub const EVENT_CHANNEL_OP: usize = 32;
}

/// `sched.h`.
pub mod sched {
    /// Give the rest of the time slice away.
    pub const YIELD: u64 = 0;
    /// End the domain; the argument is a [`ShutdownReason`](super::ShutdownReason).
    pub const SHUTDOWN: u64 = 2;
    /// Sleep until one of some event channels is pending, or a deadline.
    pub const POLL: u64 = 3;
}

/// Why a domain ends (`sched.h`, `SHUTDOWN_*`): the toolstack acts by it (`on_poweroff`, `on_crash`, ...).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ShutdownReason {
    /// It has finished.
    PowerOff = 0,
    /// It wants to start again.
    Reboot = 1,
    /// It is being saved.
    Suspend = 2,
    /// It failed.
    Crash = 3,
}

/// `event_channel.h`.
pub mod event_channel {
    /// Open a port that another domain may bind.
    pub const ALLOC_UNBOUND: u64 = 6;
    /// Bind to another domain's open port.
    pub const BIND_INTERDOMAIN: u64 = 0;
    /// Close a port.
    pub const CLOSE: u64 = 3;
    /// Ring the other end.
    pub const SEND: u64 = 4;
    /// Event channels of the two-level layout, the one every Xen has.
    pub const PORTS: usize = 4096;
}

/// `grant_table.h`, version 1.
pub mod grant_table {
    /// `GNTTABOP_setup_table`.
    pub const SETUP_TABLE: u64 = 2;
    /// `GNTTABOP_map_grant_ref`.
    pub const MAP_GRANT_REF: u64 = 0;
    /// `GNTTABOP_unmap_grant_ref`.
    pub const UNMAP_GRANT_REF: u64 = 1;
    /// References below this one are the toolstack's.
    pub const RESERVED: u32 = 8;
    /// Entries of eight bytes in a page.
    pub const PER_PAGE: usize = 512;
    /// The domain may map or copy the page.
    pub const PERMIT_ACCESS: u16 = 1;
    /// It may not write.
    pub const READ_ONLY: u16 = 1 << 2;
    /// It is reading just now.
    pub const READING: u16 = 1 << 3;
    /// It is writing just now.
    pub const WRITING: u16 = 1 << 4;
}

/// `xen.h`: paging.
pub mod paging {
    /// "This domain" in hypercalls.
    pub const DOMID_SELF: u64 = 0x7ff0;
    /// Where Xen shows every guest the machine-to-physical table.
    pub const M2P: u64 = 0xffff_8000_0000_0000;
    /// `mmuext_op`: flush this processor's translation buffer.
    pub const MMUEXT_TLB_FLUSH_LOCAL: u32 = 6;
    /// `update_va_mapping`: flush just that page.
    pub const UVMF_INVLPG: u64 = 2;
}
