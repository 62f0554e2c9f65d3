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
        thousandth(self.0)
    }
    /// Whole milliseconds since the start.
    pub const fn as_millis(self) -> u64 {
        thousandth(thousandth(self.0))
    }
    /// The time from `earlier` to `self`; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        let nanos = self.0.saturating_sub(earlier.0);
        let secs = thousandth(thousandth(thousandth(nanos)));
        Duration::new(secs, nanos.wrapping_sub(secs * 1_000_000_000) as u32)
    }
}

/// `value / 1_000`.
const fn thousandth(value: u64) -> u64 {
    if cfg!(target_pointer_width = "64") { value / 1_000 } else { thousandth_by_digits(value) }
}

/// The same as on paper: half of the value, then digits of 16 bits, whose quotients are multiplications. A processor of 32 bits divides 64 of
/// them in a loop of hundreds of instructions, and a stack asks for the time with every segment.
#[inline(never)]
const fn thousandth_by_digits(value: u64) -> u64 {
    let (high, low) = ((value >> 32) as u32, value as u32);
    let middle = ((high % 1_000) << 16) | (low >> 16);
    let last = ((middle % 1_000) << 16) | (low & 0xffff);
    (((high / 1_000) as u64) << 32) | (((middle / 1_000) << 16) | (last / 1_000)) as u64
}

/// A time of more than 136 years is for ever.
fn nanos(duration: Duration) -> u64 {
    match u32::try_from(duration.as_secs()) {
        Ok(secs) => u64::from(secs) * 1_000_000_000 + u64::from(duration.subsec_nanos()),
        Err(_) => u64::MAX,
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(later(self.0, duration))
    }
}

/// Compiled once where a processor of 32 bits would multiply at every place where a time is set.
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
fn later(instant: u64, duration: Duration) -> u64 {
    instant.saturating_add(nanos(duration))
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
    fn digits_divide_as_the_processor_does() {
        let mut value = 1u64;
        for round in 0..100_000u64 {
            for value in [value, value >> (round % 64), round, u64::MAX - round, (1 << (round % 64)) - 1] {
                assert_eq!(thousandth_by_digits(value), value / 1_000, "{value}");
            }
            value = value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        }
    }

    #[test]
    fn a_difference_is_what_it_says() {
        for (nanos, secs, rest) in [
            (0, 0, 0),
            (999_999_999, 0, 999_999_999),
            (1_000_000_000, 1, 0),
            (u64::MAX, 18_446_744_073, 709_551_615),
        ] {
            assert_eq!(Instant::from_nanos(nanos).since(Instant::ZERO), Duration::new(secs, rest));
        }
        assert_eq!(Instant::ZERO.since(Instant::MAX), Duration::ZERO);
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Instant::MAX + Duration::from_secs(1), Instant::MAX);
        assert_eq!(Instant::ZERO - Duration::from_secs(1), Instant::ZERO);
        assert_eq!(Instant::ZERO.since(Instant::MAX), Duration::ZERO);
        assert_eq!(Instant::from_secs(2) + Duration::from_millis(5), Instant::from_millis(2_005));
        assert_eq!(Instant::ZERO + Duration::MAX, Instant::MAX);
    }
}
