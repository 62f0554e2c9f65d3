//! The page that Xen and the guest share (`xen.h`, `struct shared_info`): event channels and time.
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence};

/// One virtual processor's part.
#[repr(C)]
#[derive(Debug)]
pub struct VcpuInfo {
    /// An event waits.
    pub evtchn_upcall_pending: AtomicU8,
    /// Xen does not call the guest for events: always 1 here, the event loop looks by itself.
    pub evtchn_upcall_mask: AtomicU8,
    /// Which words of [`SharedInfo::evtchn_pending`] have a bit set.
    pub evtchn_pending_sel: AtomicU64,
    /// The address of the last page fault.
    pub cr2: AtomicU64,
    pad: u64,
    /// Time.
    pub time: TimeInfo,
}

/// `struct vcpu_time_info`: system time as a function of the time stamp counter.
#[repr(C)]
#[derive(Debug)]
pub struct TimeInfo {
    version: AtomicU32,
    pad0: u32,
    tsc_timestamp: AtomicU64,
    system_time: AtomicU64,
    tsc_to_system_mul: AtomicU32,
    // The shift (signed) in the low byte, flags in the next.
    tsc_shift: AtomicU32,
}

impl TimeInfo {
    /// Nanoseconds since Xen booted, for the counter value that `rdtsc` reads.
    pub fn system_time(&self, mut rdtsc: impl FnMut() -> u64) -> u64 {
        loop {
            let version = self.version.load(Ordering::Acquire);
            let stamp = self.tsc_timestamp.load(Ordering::Relaxed);
            let time = self.system_time.load(Ordering::Relaxed);
            let multiplier = self.tsc_to_system_mul.load(Ordering::Relaxed);
            let shift = self.tsc_shift.load(Ordering::Relaxed) as u8 as i8;
            let delta = rdtsc().saturating_sub(stamp);
            fence(Ordering::Acquire);
            // Odd while Xen writes.
            if version & 1 == 0 && version == self.version.load(Ordering::Relaxed) {
                return time.wrapping_add(scale(delta, multiplier, shift));
            }
            core::hint::spin_loop();
        }
    }
}

/// `((ticks << shift) * multiplier) >> 32`, as `xen.h` defines it.
fn scale(ticks: u64, multiplier: u32, shift: i8) -> u64 {
    let shifted = match shift {
        0.. => ticks.checked_shl(u32::from(shift.unsigned_abs())),
        _ => ticks.checked_shr(u32::from(shift.unsigned_abs())),
    };
    ((u128::from(shifted.unwrap_or(0)) * u128::from(multiplier)) >> 32) as u64
}

/// The whole page.
#[repr(C)]
#[derive(Debug)]
pub struct SharedInfo {
    /// Virtual processors; this guest has one.
    pub vcpu_info: [VcpuInfo; 32],
    /// A bit for each event channel: rung.
    pub evtchn_pending: [AtomicU64; 64],
    /// A bit for each event channel: does not set `evtchn_upcall_pending`.
    pub evtchn_mask: [AtomicU64; 64],
    wc_version: AtomicU32,
    wc_sec: AtomicU32,
    wc_nsec: AtomicU32,
    wc_sec_hi: AtomicU32,
    /// The guest's word to the toolstack.
    pub arch: ArchSharedInfo,
}

/// `struct arch_shared_info`: where the toolstack finds the domain's memory when it saves the domain.
#[repr(C)]
#[derive(Debug)]
pub struct ArchSharedInfo {
    /// Pages.
    pub max_pfn: AtomicU64,
    /// The list of frames as a tree; 0: it is given by address.
    pub pfn_to_mfn_frame_list_list: AtomicU64,
    nmi_reason: AtomicU64,
    /// Machine address of the top page table by which `p2m_vaddr` is mapped.
    pub p2m_cr3: AtomicU64,
    /// The list's address.
    pub p2m_vaddr: AtomicU64,
    /// Odd while the list changes.
    pub p2m_generation: AtomicU64,
}

impl SharedInfo {
    /// Time of day when system time was 0: seconds and nanoseconds since 1970.
    pub fn wall_clock(&self) -> (u64, u32) {
        loop {
            let version = self.wc_version.load(Ordering::Acquire);
            let low = self.wc_sec.load(Ordering::Relaxed);
            let high = self.wc_sec_hi.load(Ordering::Relaxed);
            let nanos = self.wc_nsec.load(Ordering::Relaxed);
            fence(Ordering::Acquire);
            if version & 1 == 0 && version == self.wc_version.load(Ordering::Relaxed) {
                return (u64::from(high) << 32 | u64::from(low), nanos);
            }
            core::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::{offset_of, size_of};

    #[test]
    fn layout_is_the_headers() {
        assert_eq!(size_of::<VcpuInfo>(), 64);
        assert_eq!(offset_of!(VcpuInfo, evtchn_pending_sel), 8);
        assert_eq!(offset_of!(VcpuInfo, cr2), 16);
        assert_eq!(offset_of!(VcpuInfo, time), 32);
        assert_eq!(offset_of!(SharedInfo, evtchn_pending), 2048);
        assert_eq!(offset_of!(SharedInfo, evtchn_mask), 2560);
        assert_eq!(offset_of!(SharedInfo, wc_version), 3072);
        assert_eq!(offset_of!(SharedInfo, arch), 3088);
        assert_eq!(offset_of!(ArchSharedInfo, p2m_cr3), 24);
    }

    #[test]
    fn ticks_become_nanoseconds() {
        // 2 GHz: half a nanosecond a tick.
        assert_eq!(scale(2_000_000_000, 1 << 31, 0), 1_000_000_000);
        // 4 GHz as Xen gives it: shifted down once.
        assert_eq!(scale(4_000_000_000, 1 << 31, -1), 1_000_000_000);
        assert_eq!(scale(500_000_000, 1 << 31, 2), 1_000_000_000);
        // A shift that no Xen gives is no panic.
        assert_eq!(scale(1, 1, -128), 0);
    }
}
