//! Time that a test moves.
use crate::{Clock, Instant, Timer, WallClock};
use alloc::vec::Vec;
use core::{
    cell::{Cell, RefCell},
    fmt,
    task::Waker,
    time::Duration,
};

/// A clock that stands still until it is told to move; then it wakes those whose time has come.
///
/// ```
/// use airglow_device::{Clock, Instant, ManualClock, Timer};
/// use core::{task::Waker, time::Duration};
///
/// let clock = ManualClock::new();
/// clock.wake_at(Instant::from_secs(3), Waker::noop());
/// assert_eq!(clock.next_deadline(), Some(Instant::from_secs(3)));
/// assert_eq!(clock.advance(Duration::from_secs(5)), 1);
/// assert_eq!((clock.now(), clock.next_deadline()), (Instant::from_secs(5), None));
/// ```
#[derive(Default)]
pub struct ManualClock {
    now: Cell<Instant>,
    /// The time of day when the clock stood at zero.
    unix_at_zero: Cell<Option<Duration>>,
    sleepers: RefCell<Vec<(Instant, Waker)>>,
}

impl ManualClock {
    /// Stands at [`Instant::ZERO`] and does not know the time of day.
    pub const fn new() -> Self {
        Self {
            now: Cell::new(Instant::ZERO),
            unix_at_zero: Cell::new(None),
            sleepers: RefCell::new(Vec::new()),
        }
    }

    /// Tells the time of day: `since_1970` is now. It moves with the clock.
    pub fn set_unix(&self, since_1970: Duration) {
        self.unix_at_zero.set(since_1970.checked_sub(self.now.get().since(Instant::ZERO)));
    }

    /// When the next sleeper is to be woken.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.sleepers.borrow().iter().map(|(at, _)| *at).min()
    }

    /// Moves on by `by` and wakes those whose time has come; returns how many those were.
    pub fn advance(&self, by: Duration) -> usize {
        self.advance_to(self.now.get() + by)
    }

    /// Moves on to `to` (never back) and wakes those whose time has come, the earliest first; returns how many those were.
    pub fn advance_to(&self, to: Instant) -> usize {
        self.now.set(self.now.get().max(to));
        let now = self.now.get();
        let mut due = Vec::new();
        self.sleepers.borrow_mut().retain_mut(|(at, waker)| {
            let sleeps = *at > now;
            if !sleeps {
                due.push((*at, waker.clone()));
            }
            sleeps
        });
        due.sort_by_key(|(at, _)| *at);
        let count = due.len();
        // The list is not borrowed: a waker may run any code.
        due.into_iter().for_each(|(_, waker)| waker.wake());
        count
    }

    /// Moves on to the next deadline, if there is one, and wakes who waits for it. `false` when nobody sleeps.
    pub fn advance_to_next(&self) -> bool {
        let next = self.next_deadline();
        if let Some(at) = next {
            self.advance_to(at);
        }
        next.is_some()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.now.get()
    }
}

impl Timer for ManualClock {
    fn wake_at(&self, at: Instant, waker: &Waker) {
        let mut sleepers = self.sleepers.borrow_mut();
        match sleepers.iter_mut().find(|(_, kept)| kept.will_wake(waker)) {
            Some((kept, _)) => *kept = at.min(*kept),
            None => sleepers.push((at, waker.clone())),
        }
    }
}

impl WallClock for ManualClock {
    fn unix_now(&self) -> Option<Duration> {
        Some(self.unix_at_zero.get()? + self.now.get().since(Instant::ZERO))
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualClock")
            .field("now", &self.now.get())
            .field("next_deadline", &self.next_deadline())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{sync::Arc, task::Wake};
    use core::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn each_waker_has_one_entry_the_earliest() {
        let clock = ManualClock::new();
        let (a, b) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let (wake_a, wake_b) = (Waker::from(a.clone()), Waker::from(b.clone()));
        clock.wake_at(Instant::from_secs(9), &wake_a);
        clock.wake_at(Instant::from_secs(2), &wake_a);
        clock.wake_at(Instant::from_secs(5), &wake_a);
        clock.wake_at(Instant::from_secs(4), &wake_b);
        assert_eq!(clock.advance(Duration::from_secs(1)), 0);
        assert!(clock.advance_to_next());
        assert_eq!(clock.now(), Instant::from_secs(2));
        assert_eq!(clock.advance_to(Instant::from_secs(60)), 1);
        assert_eq!((a.0.load(Ordering::Relaxed), b.0.load(Ordering::Relaxed)), (1, 1));
        assert!(!clock.advance_to_next());
    }

    #[test]
    fn a_past_instant_fires_at_the_next_move_and_not_before() {
        let clock = ManualClock::new();
        clock.advance(Duration::from_secs(10));
        let count = Arc::new(Count::default());
        clock.wake_at(Instant::from_secs(3), &count.clone().into());
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        clock.advance(Duration::ZERO);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn the_time_of_day_moves_along() {
        let clock = ManualClock::new();
        assert_eq!(clock.unix_now(), None);
        clock.advance(Duration::from_secs(10));
        clock.set_unix(Duration::from_secs(1_700_000_000));
        clock.advance(Duration::from_secs(5));
        assert_eq!(clock.unix_now(), Some(Duration::from_secs(1_700_000_005)));
    }
}
