//! Monotonic and wall time.
use core::{
    fmt,
    ops::{Add, AddAssign, Sub},
    task::Waker,
    time::Duration,
};

/// A point on a platform's monotonic clock: nanoseconds since an arbitrary start, good for 584 years.
///
/// Arithmetic saturates, so that a deadline "never" stays never.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The clock's arbitrary start.
    pub const ZERO: Self = Self(0);
    /// Further away than any deadline.
    pub const MAX: Self = Self(u64::MAX);

    /// `nanos` nanoseconds after the start.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }
    /// `micros` microseconds after the start, saturating.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros.saturating_mul(1_000))
    }
    /// `millis` milliseconds after the start, saturating.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }
    /// `secs` seconds after the start, saturating.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }
    /// Nanoseconds since the start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }
    /// Whole microseconds since the start.
    pub const fn as_micros(self) -> u64 {
        self.0 / 1_000
    }
    /// Whole milliseconds since the start.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }
    /// The time from `earlier` to `self`; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}s", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

/// A monotonic clock: never goes back, may stand still.
pub trait Clock {
    /// The present instant.
    fn now(&self) -> Instant;
}

/// A clock that also wakes sleepers.
///
/// # Contract
/// - For each waker (as told apart by [`Waker::will_wake`]) a timer holds **one** entry: the earliest
///   instant asked for since that waker last fired. Memory is so bounded by the number of tasks,
///   not by the number of timeouts they abandon.
/// - The waker fires at or after its instant, and may fire early; a future therefore checks the
///   clock and asks again at every poll while it is not yet due.
/// - An instant that has passed fires at the platform's next chance to sleep, not inside the call.
pub trait Timer: Clock {
    /// Wakes `waker` at or soon after `at`.
    fn wake_at(&self, at: Instant, waker: &Waker);
}

/// The time people use.
pub trait WallClock {
    /// Time since 1970-01-01T00:00:00Z without leap seconds; `None` when nobody told this platform.
    fn unix_now(&self) -> Option<Duration>;
}

impl<T: Clock + ?Sized> Clock for &T {
    fn now(&self) -> Instant {
        (**self).now()
    }
}
impl<T: Timer + ?Sized> Timer for &T {
    fn wake_at(&self, at: Instant, waker: &Waker) {
        (**self).wake_at(at, waker);
    }
}
impl<T: WallClock + ?Sized> WallClock for &T {
    fn unix_now(&self) -> Option<Duration> {
        (**self).unix_now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Instant::MAX + Duration::from_secs(1), Instant::MAX);
        assert_eq!(Instant::ZERO - Duration::from_secs(1), Instant::ZERO);
        assert_eq!(Instant::ZERO.since(Instant::MAX), Duration::ZERO);
        assert_eq!(Instant::from_secs(2) + Duration::from_millis(5), Instant::from_millis(2_005));
        assert_eq!(Instant::ZERO + Duration::MAX, Instant::MAX);
    }
}
