//! Calls into Xen: `syscall`, as the stubs of Xen's hypercall page do it, which then needs no place in the image.
use crate::interface::{ShutdownReason, event_channel, grant_table, hypercall as number, paging, sched};
use core::arch::asm;

macro_rules! call {
    ($number:expr $(, $register:tt = $argument:expr)*) => {{
        let result: i64;
        // SAFETY: a hypercall clobbers rax, rcx and r11 and the memory its arguments point to; the caller vouches
        // for those. Argument registers are given as clobbered too, as the interface allows Xen to change them.
        unsafe {
            asm!("syscall",
                inlateout("rax") $number as i64 => result,
                $(inlateout($register) $argument => _,)*
                lateout("rcx") _, lateout("r11") _,
            );
        }
        result
    }};
}

/// A hypercall's negative result: Xen's error number, the same numbers as Linux's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i64);

impl core::fmt::Display for Errno {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let name = match self.0 {
            -1 => "EPERM",
            -2 => "ENOENT",
            -12 => "ENOMEM",
            -14 => "EFAULT",
            -16 => "EBUSY",
            -19 => "ENODEV",
            -22 => "EINVAL",
            -28 => "ENOSPC",
            -38 => "ENOSYS",
            _ => return write!(f, "Xen's error {}", self.0),
        };
        f.write_str(name)
    }
}

fn check(result: i64) -> Result<u64, Errno> {
    u64::try_from(result).map_err(|_| Errno(result))
}

/// One change of a page table entry: its machine address, its new value.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct MmuUpdate {
    pub entry: u64,
    pub value: u64,
}

pub fn mmu_update(updates: &[MmuUpdate]) -> Result<(), Errno> {
    check(call!(
        number::MMU_UPDATE,
        "rdi" = updates.as_ptr(),
        "rsi" = updates.len(),
        "rdx" = 0u64,
        "r10" = paging::DOMID_SELF
    ))
    .map(drop)
}

pub fn update_va_mapping(address: u64, entry: u64) -> Result<(), Errno> {
    check(call!(number::UPDATE_VA_MAPPING, "rdi" = address, "rsi" = entry, "rdx" = paging::UVMF_INVLPG))
        .map(drop)
}

pub fn flush_tlb() {
    #[repr(C)]
    struct MmuextOp {
        command: u32,
        arg1: u64,
        arg2: u64,
    }
    let operation = MmuextOp { command: paging::MMUEXT_TLB_FLUSH_LOCAL, arg1: 0, arg2: 0 };
    // It cannot fail.
    let _ = call!(
        number::MMUEXT_OP,
        "rdi" = &raw const operation,
        "rsi" = 1u64,
        "rdx" = 0u64,
        "r10" = paging::DOMID_SELF
    );
}

/// `struct trap_info`: where Xen sends the exception `vector`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct TrapInfo {
    pub vector: u8,
    /// Lowest two bits: the privilege that may raise it by `int`.
    pub flags: u8,
    pub selector: u16,
    pub address: u64,
}

/// `traps` ends with an entry whose address is 0.
pub fn set_trap_table(traps: &[TrapInfo]) -> Result<(), Errno> {
    check(call!(number::SET_TRAP_TABLE, "rdi" = traps.as_ptr())).map(drop)
}

/// Xen's own console: works for dom0, and for others where Xen was built for debugging.
pub fn console_write(bytes: &[u8]) -> Result<(), Errno> {
    check(call!(number::CONSOLE_IO, "rdi" = 0u64, "rsi" = bytes.len(), "rdx" = bytes.as_ptr())).map(drop)
}

pub fn yield_now() {
    let _ = call!(number::SCHED_OP, "rdi" = sched::YIELD, "rsi" = 0u64);
}

/// Ends the domain, or suspends it: the one reason for which this returns, with 0 after a restore and 1 when the
/// suspension was cancelled.
pub fn shutdown(reason: ShutdownReason, start_info_frame: u64) -> i64 {
    let reason = reason as u32;
    call!(number::SCHED_OP, "rdi" = sched::SHUTDOWN, "rsi" = &raw const reason, "rdx" = start_info_frame)
}

/// Sleeps until one of `ports` is pending or system time reaches `deadline` nanoseconds (0: never).
pub fn poll(ports: &[u32], deadline: u64) -> Result<(), Errno> {
    #[repr(C)]
    struct SchedPoll {
        ports: *const u32,
        nr_ports: u32,
        timeout: u64,
    }
    let argument =
        SchedPoll { ports: ports.as_ptr(), nr_ports: ports.len().min(128) as u32, timeout: deadline };
    check(call!(number::SCHED_OP, "rdi" = sched::POLL, "rsi" = &raw const argument)).map(drop)
}

/// Opens an event channel for the domain `remote` to bind.
pub fn alloc_unbound(remote: u16) -> Result<u32, Errno> {
    #[repr(C)]
    struct AllocUnbound {
        domain: u16,
        remote: u16,
        port: u32,
    }
    let mut argument = AllocUnbound { domain: paging::DOMID_SELF as u16, remote, port: 0 };
    check(call!(number::EVENT_CHANNEL_OP, "rdi" = event_channel::ALLOC_UNBOUND, "rsi" = &raw mut argument))?;
    Ok(argument.port)
}

/// Binds to the port `port` of the domain `remote` and returns this side's.
pub fn bind_interdomain(remote: u16, port: u32) -> Result<u32, Errno> {
    #[repr(C)]
    struct BindInterdomain {
        remote: u16,
        remote_port: u32,
        local_port: u32,
    }
    let mut argument = BindInterdomain { remote, remote_port: port, local_port: 0 };
    check(call!(
        number::EVENT_CHANNEL_OP,
        "rdi" = event_channel::BIND_INTERDOMAIN,
        "rsi" = &raw mut argument
    ))?;
    Ok(argument.local_port)
}

pub fn close(port: u32) {
    let _ = call!(number::EVENT_CHANNEL_OP, "rdi" = event_channel::CLOSE, "rsi" = &raw const port);
}

/// Rings the other end of `port`. A port that has been closed under us is no error that anybody could act on.
pub fn send(port: u32) {
    let _ = call!(number::EVENT_CHANNEL_OP, "rdi" = event_channel::SEND, "rsi" = &raw const port);
}

/// Asks for as many grant table pages as `frames` is long and writes their machine frames there.
pub fn setup_grant_table(frames: &mut [u64]) -> Result<(), Errno> {
    #[repr(C)]
    struct SetupTable {
        domain: u16,
        nr_frames: u32,
        status: i16,
        frame_list: *mut u64,
    }
    let mut argument = SetupTable {
        domain: paging::DOMID_SELF as u16,
        nr_frames: frames.len() as u32,
        status: 0,
        frame_list: frames.as_mut_ptr(),
    };
    check(call!(
        number::GRANT_TABLE_OP,
        "rdi" = grant_table::SETUP_TABLE,
        "rsi" = &raw mut argument,
        "rdx" = 1u64
    ))?;
    if argument.status == 0 { Ok(()) } else { Err(Errno(i64::from(argument.status))) }
}

/// Maps the page that `domain` has granted under `grant` at `address`, and returns the handle by which it is unmapped.
pub fn map_grant(address: u64, domain: u16, grant: u32) -> Result<u32, Errno> {
    #[repr(C)]
    struct MapGrantRef {
        host_addr: u64,
        flags: u32,
        grant: u32,
        domain: u16,
        status: i16,
        handle: u32,
        dev_bus_addr: u64,
    }
    const HOST_MAP: u32 = 2;
    let mut argument = MapGrantRef {
        host_addr: address,
        flags: HOST_MAP,
        grant,
        domain,
        status: 0,
        handle: 0,
        dev_bus_addr: 0,
    };
    check(call!(
        number::GRANT_TABLE_OP,
        "rdi" = grant_table::MAP_GRANT_REF,
        "rsi" = &raw mut argument,
        "rdx" = 1u64
    ))?;
    if argument.status == 0 { Ok(argument.handle) } else { Err(Errno(i64::from(argument.status))) }
}

/// Ends that.
pub fn unmap_grant(address: u64, handle: u32) -> Result<(), Errno> {
    #[repr(C)]
    struct UnmapGrantRef {
        host_addr: u64,
        dev_bus_addr: u64,
        handle: u32,
        status: i16,
    }
    let mut argument = UnmapGrantRef { host_addr: address, dev_bus_addr: 0, handle, status: 0 };
    check(call!(
        number::GRANT_TABLE_OP,
        "rdi" = grant_table::UNMAP_GRANT_REF,
        "rsi" = &raw mut argument,
        "rdx" = 1u64
    ))?;
    if argument.status == 0 { Ok(()) } else { Err(Errno(i64::from(argument.status))) }
}
