//! Time that passes only when nobody has anything to do.
use airglow_device::{Clock, Instant, Timer, WallClock};
use airglow_runtime::TimerQueue;
use std::{cell::Cell, fmt, rc::Rc, task::Waker, time::Duration};

/// The time of day at which every simulation begins: 2026-01-01T00:00:00Z.
pub(crate) const BEGINNING: Duration = Duration::from_secs(1_767_225_600);

/// The one clock of a simulation, shared by all its hosts: it stands still while anybody can do anything, and then jumps to the
/// next instant that somebody waits for.
#[derive(Clone, Default)]
pub struct VirtualClock(Rc<State>);

#[derive(Default)]
struct State {
    now: Cell<Instant>,
    timers: TimerQueue,
}

impl VirtualClock {
    /// The next instant that somebody waits for.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.timers.next()
    }

    /// Jumps there, and wakes those who wait for it.
    pub(crate) fn jump(&self, to: Instant) {
        self.0.now.set(self.0.now.get().max(to));
        self.0.timers.fire(self.0.now.get());
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Instant {
        self.0.now.get()
    }
}

impl Timer for VirtualClock {
    fn wake_at(&self, at: Instant, waker: &Waker) {
        self.0.timers.insert(at, waker);
    }
}

impl WallClock for VirtualClock {
    fn unix_now(&self) -> Option<Duration> {
        Some(BEGINNING + self.now().since(Instant::ZERO))
    }
}

impl fmt::Debug for VirtualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VirtualClock").field(&self.now()).finish()
    }
}
