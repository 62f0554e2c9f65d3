//! The platform that is a thread.
use crate::{Park, TimerQueue};
use airglow_device::{Clock, Instant, Timer};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
    thread::{self, Thread},
    time,
};

/// Parks the thread that made it: clock, timers and [`Park`], and no devices. For tests, examples and tools.
#[derive(Debug)]
pub struct ThreadPark {
    start: time::Instant,
    timers: TimerQueue,
    unpark: Arc<Unpark>,
}

#[derive(Debug)]
struct Unpark {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.thread.unpark();
        }
    }
}

impl ThreadPark {
    /// For this thread; its clock starts now. Parking works on this thread only.
    pub fn new() -> Self {
        let unpark = Arc::new(Unpark { thread: thread::current(), woken: AtomicBool::new(false) });
        Self { start: time::Instant::now(), timers: TimerQueue::new(), unpark }
    }
}

impl Default for ThreadPark {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ThreadPark {
    fn now(&self) -> Instant {
        Instant::ZERO + self.start.elapsed()
    }
}

impl Timer for ThreadPark {
    fn wake_at(&self, at: Instant, waker: &Waker) {
        self.timers.insert(at, waker);
    }
}

impl Park for ThreadPark {
    fn waker(&self) -> Waker {
        self.unpark.clone().into()
    }
    fn park(&self) {
        loop {
            let now = self.now();
            self.timers.fire(now);
            if self.unpark.woken.swap(false, Ordering::AcqRel) {
                return;
            }
            match self.timers.next() {
                Some(at) => thread::park_timeout(at.since(now)),
                None => thread::park(),
            }
        }
    }
}
