//! Time, from the page that Xen keeps up to date.
use super::shared;
use airglow_device::{Clock, Instant, WallClock};
use core::{
    arch::x86_64::_rdtsc,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The time stamp counter.
pub fn ticks() -> u64 {
    // SAFETY: a PV guest may read it, or Xen emulates it.
    unsafe { _rdtsc() }
}

static ENTRY: AtomicU64 = AtomicU64::new(0);

/// Notes that the kernel has begun.
pub fn entered() {
    ENTRY.store(ticks(), Ordering::Relaxed);
}

/// Ticks of the time stamp counter since the kernel has begun.
pub fn since_entry() -> u64 {
    ticks().wrapping_sub(ENTRY.load(Ordering::Relaxed))
}

/// Nanoseconds since the hypervisor booted.
pub fn system_time() -> u64 {
    shared::shared_info().map_or(0, |info| info.vcpu_info[0].time.system_time(ticks))
}

/// What is added to system time, modulo 2^64, so that it does not go back when the domain moves to a hypervisor that booted later, nor
/// on while it was saved: no time-out of a connection ran out meanwhile.
static OFFSET: AtomicU64 = AtomicU64::new(0);

/// Monotonic time in nanoseconds, without those for which the domain was saved.
pub fn now() -> u64 {
    system_time().wrapping_add(OFFSET.load(Ordering::Relaxed))
}

/// System time at the monotonic time `at`, for deadlines; 0 if that was before the hypervisor booted.
pub fn system_time_at(at: u64) -> u64 {
    let after = at.wrapping_sub(now()).cast_signed();
    system_time().saturating_add_signed(after)
}

/// Goes on from `before`, after the domain was restored.
pub fn continue_from(before: u64) {
    OFFSET.store(before.wrapping_sub(system_time()), Ordering::Relaxed);
}

/// Monotonic time: the hypervisor's.
#[derive(Clone, Copy, Debug, Default)]
pub struct XenClock;

impl Clock for XenClock {
    fn now(&self) -> Instant {
        Instant::from_nanos(now())
    }
}

/// Time of day: the hypervisor's, which dom0 keeps.
#[derive(Clone, Copy, Debug, Default)]
pub struct XenWallClock;

impl WallClock for XenWallClock {
    fn unix_now(&self) -> Option<Duration> {
        let (seconds, nanos) = shared::shared_info()?.wall_clock();
        Some(
            Duration::new(seconds, 0)
                + Duration::from_nanos(u64::from(nanos))
                + Duration::from_nanos(system_time()),
        )
    }
}
