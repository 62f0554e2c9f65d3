//! Time: the monotonic clock and the time of day.
use airglow_device::{Instant, WallClock};
use std::{
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

// Instants count from a second before the first look at the clock, so that "a moment ago" has room.
static START: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);

/// The monotonic clock, since a second before its first use.
pub(crate) fn now() -> Instant {
    Instant::from_secs(1) + START.elapsed()
}

/// The system's time of day.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl WallClock for SystemClock {
    /// `None` when the system's clock stands before 1970.
    fn unix_now(&self) -> Option<Duration> {
        SystemTime::now().duration_since(UNIX_EPOCH).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_go_forward() {
        let (first, day) = (now(), SystemClock.unix_now().unwrap());
        std::thread::sleep(Duration::from_millis(5));
        assert!(now().since(first) >= Duration::from_millis(5));
        assert!(SystemClock.unix_now().unwrap() > day);
    }
}
