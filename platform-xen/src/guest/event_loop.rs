//! Sleeping and waking: timers, event channels, and `SCHEDOP_poll` when there is nothing to do.
use crate::boot::{events, time};
use airglow_device::{Clock, Instant, Timer};
use airglow_runtime::{Park, TimerQueue};
use alloc::{sync::Arc, task::Wake};
use core::{
    sync::atomic::{AtomicBool, Ordering},
    task::Waker,
};

/// The kernel's event loop: [`airglow_runtime::block_on`] parks here.
#[derive(Debug)]
pub struct EventLoop {
    timers: TimerQueue,
    woken: Arc<Woken>,
}

#[derive(Debug, Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Default for EventLoop {
    fn default() -> Self {
        Self::new()
    }
}

impl EventLoop {
    /// With no timers.
    pub fn new() -> Self {
        Self { timers: TimerQueue::new(), woken: Arc::default() }
    }

    /// Fires what is due and wakes whoever was rung; `true` if the loop's own waker was woken.
    fn look(&self) -> bool {
        self.timers.fire(self.now());
        events::scan();
        self.woken.0.swap(false, Ordering::Relaxed)
    }
}

impl Clock for EventLoop {
    fn now(&self) -> Instant {
        time::XenClock.now()
    }
}

impl Timer for EventLoop {
    fn wake_at(&self, at: Instant, waker: &Waker) {
        self.timers.insert(at, waker);
    }
}

impl Park for EventLoop {
    fn waker(&self) -> Waker {
        Waker::from(self.woken.clone())
    }
    fn park(&self) {
        if self.look() {
            return;
        }
        // 0 would be no deadline at all.
        let deadline = self.timers.next().map_or(0, |at| time::system_time_at(at.as_nanos()).max(1));
        events::sleep(deadline);
        let _ = self.look();
        // Whatever it was: the loop polls once.
        self.woken.0.store(false, Ordering::Relaxed);
    }
}
