//! The event loop: descriptors, timers, and the one system call that sleeps until the next of them.
use crate::{
    clock,
    poller::{Poller, Ready},
    source::Source,
};
use airglow_device::{Clock, Instant, Timer};
use airglow_runtime::{Park, TimerQueue};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    rc::{Rc, Weak},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
    time::Duration,
};

/// Output buffers kept for the next stream that writes.
const SPARE_BUFFERS: usize = 64;
/// Received bytes that one `read_with` can lend from the shared buffer.
pub(crate) const SCRATCH: usize = 64 * 1024;
/// How long a closed stream may wait for its peer's end after it was dropped, ...
const LINGER: Duration = Duration::from_secs(5);
/// ... and how many may wait at once; beyond, the oldest goes.
const LINGERING: usize = 4096;

/// How long the thread looks for more before it sleeps, after a turn that brought much. Waking a thread up costs the sender an interrupt of
/// another processor, tens of microseconds in a virtual machine, and a bulk transfer would pay that for every few frames.
const LOOK: Duration = Duration::from_micros(50);
/// Sleeps without a look after one that was in vain: the sender may be waiting for this processor.
const REST: u32 = 32;

/// The event loop of one thread: a cheap handle, clones share it.
///
/// It is the monotonic [`Clock`], the [`Timer`], and what [`airglow_runtime::block_on`] parks on.
#[derive(Clone)]
pub struct Reactor(Rc<Inner>);

struct Inner {
    poller: RefCell<Poller>,
    sources: RefCell<Sources>,
    dirty: RefCell<Vec<Rc<Source>>>,
    spare: RefCell<Vec<Vec<u8>>>,
    scratch: Cell<Option<Box<[u8]>>>,
    lingering: RefCell<VecDeque<(Instant, Weak<Source>)>>,
    timers: TimerQueue,
    ready: Cell<Vec<Ready>>,
    woken: Arc<Woken>,
    expects: Cell<bool>,
    rest: Cell<u32>,
}

/// The watched descriptors by key; a free place links to the next.
#[derive(Default)]
struct Sources {
    places: Vec<Option<Rc<Source>>>,
    free: Vec<u32>,
}

impl Reactor {
    /// An event loop that watches nothing yet.
    ///
    /// # Errors
    /// The system has no descriptor left for it.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Rc::new(Inner {
            poller: RefCell::new(Poller::new()?),
            sources: RefCell::default(),
            dirty: RefCell::default(),
            spare: RefCell::default(),
            scratch: Cell::new(None),
            lingering: RefCell::default(),
            timers: TimerQueue::new(),
            ready: Cell::default(),
            woken: Arc::default(),
            expects: Cell::default(),
            rest: Cell::default(),
        })))
    }

    /// Watches `source`; it holds the key until [`remove`](Self::remove).
    pub(crate) fn add(&self, source: &Rc<Source>) -> io::Result<u32> {
        let sources = &mut *self.0.sources.borrow_mut();
        let key = match sources.free.pop() {
            Some(key) => key,
            None => {
                sources.places.push(None);
                (sources.places.len() - 1) as u32
            }
        };
        if let Err(error) = self.0.poller.borrow().add(source.fd(), key.into(), source.has_writers()) {
            sources.free.push(key);
            return Err(error);
        }
        sources.places[key as usize] = Some(source.clone());
        Ok(key)
    }

    /// Forgets `source`; its descriptor closes with its last owner.
    pub(crate) fn remove(&self, source: &Source) {
        if let Some(key) = source.key() {
            let sources = &mut *self.0.sources.borrow_mut();
            if sources.places[key as usize].take().is_some() {
                sources.free.push(key);
            }
        }
    }

    pub(crate) fn push_dirty(&self, source: Rc<Source>) {
        self.0.dirty.borrow_mut().push(source);
    }

    /// An empty output buffer.
    pub(crate) fn take_buffer(&self) -> Vec<u8> {
        self.0.spare.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes an output buffer back.
    pub(crate) fn give_buffer(&self, mut buffer: Vec<u8>) {
        let mut spare = self.0.spare.borrow_mut();
        if buffer.capacity() > 0 && spare.len() < SPARE_BUFFERS {
            buffer.clear();
            spare.push(buffer);
        }
    }

    /// Lends the shared receive buffer.
    pub(crate) fn with_scratch<R>(&self, lend: impl FnOnce(&mut [u8]) -> R) -> R {
        let mut scratch = self.0.scratch.take().unwrap_or_else(|| vec![0; SCRATCH].into());
        let result = lend(&mut scratch);
        self.0.scratch.set(Some(scratch));
        result
    }

    /// Keeps a closed stream until its peer has closed too, discarding what still comes: closing the
    /// descriptor now would make the kernel answer such bytes with a reset, which can destroy what the
    /// peer has not read yet.
    pub(crate) fn linger(&self, source: Rc<Source>) {
        if !source.swallow(self) {
            self.remove(&source);
            return;
        }
        let mut lingering = self.0.lingering.borrow_mut();
        if lingering.len() == LINGERING
            && let Some((_, oldest)) = lingering.pop_front()
            && let Some(oldest) = oldest.upgrade()
        {
            self.remove(&oldest);
        }
        lingering.push_back((self.now() + LINGER, Rc::downgrade(&source)));
    }

    /// Closes what has lingered too long.
    fn end_lingering(&self) {
        let mut lingering = self.0.lingering.borrow_mut();
        while let Some((deadline, source)) = lingering.front() {
            match source.upgrade() {
                Some(source) if *deadline <= self.now() => self.remove(&source),
                Some(_) => return,
                None => {}
            }
            lingering.pop_front();
        }
    }

    /// Much has come in this turn: the next part is expected before it is worth while to sleep.
    pub(crate) fn expect_more(&self) {
        self.0.expects.set(true);
    }

    /// Waits for reports, at most `timeout`.
    fn wait(&self, timeout: Option<Duration>, ready: &mut Vec<Ready>) {
        // Fails only when the poller itself is broken, and then nothing can be waited for any more.
        let wait = |timeout, ready: &mut Vec<Ready>| {
            let mut poller = self.0.poller.borrow_mut();
            poller.wait(timeout, |event| ready.push(event)).expect("waiting for events");
        };
        if self.0.expects.take() && timeout != Some(Duration::ZERO) {
            let rest = self.0.rest.get();
            if rest == 0 {
                let until = self.now() + timeout.map_or(LOOK, |timeout| timeout.min(LOOK));
                loop {
                    wait(Some(Duration::ZERO), ready);
                    if !ready.is_empty() {
                        return;
                    }
                    if self.now() >= until {
                        break;
                    }
                }
            }
            self.0.rest.set(rest.checked_sub(1).unwrap_or(REST));
        }
        wait(timeout, ready);
    }

    pub(crate) fn end_of_turn(&self) {
        loop {
            let Some(source) = self.0.dirty.borrow_mut().pop() else { break };
            source.end_of_turn(self);
        }
    }

    fn dispatch(&self, ready: Ready) {
        let source = self.0.sources.borrow().places.get(ready.key as usize).and_then(Clone::clone);
        if let Some(source) = source {
            let woken = source.edge(self, ready);
            if source.is_lingering() && !source.swallow(self) {
                self.remove(&source);
            }
            for waker in woken.into_iter().flatten() {
                waker.wake();
            }
        }
    }
}

impl Clock for Reactor {
    fn now(&self) -> Instant {
        clock::now()
    }
}

impl Timer for Reactor {
    fn wake_at(&self, at: Instant, waker: &Waker) {
        self.0.timers.insert(at, waker);
    }
}

/// The waker of the thread's outermost task: a mark that the next park sees.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        // A load first: most wakes of a turn find the mark set.
        if !self.0.load(Ordering::Relaxed) {
            self.0.store(true, Ordering::Release);
        }
    }
}

impl Park for Reactor {
    /// Sound on any thread, but a wake-up from another thread is seen only when the reactor next wakes up for
    /// a reason of its own: airglow runs on one thread, and pays for no more.
    fn waker(&self) -> Waker {
        self.0.woken.clone().into()
    }

    fn park(&self) {
        self.end_of_turn();
        self.end_lingering();
        let timeout = if self.0.woken.0.load(Ordering::Acquire) {
            Some(Duration::ZERO)
        } else {
            let next = [self.0.timers.next(), self.0.lingering.borrow().front().map(|(at, _)| *at)];
            next.into_iter().flatten().min().map(|at| at.since(self.now()))
        };
        let mut ready = self.0.ready.take();
        self.wait(timeout, &mut ready);
        for event in ready.drain(..) {
            self.dispatch(event);
        }
        self.0.ready.replace(ready);
        self.0.timers.fire(self.now());
        self.0.woken.0.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Write, os::unix::net::UnixStream};

    #[test]
    fn a_look_in_vain_is_followed_by_sleeps_without_one() {
        let reactor = Reactor::new().unwrap();
        let sleep = || {
            let mut ready = Vec::new();
            reactor.wait(Some(Duration::from_micros(1)), &mut ready);
            (ready.len(), reactor.0.rest.get())
        };
        assert_eq!(sleep(), (0, 0), "nothing was expected");
        for left in [REST, REST - 1, REST - 2] {
            reactor.expect_more();
            assert_eq!(sleep(), (0, left));
        }
        assert_eq!(sleep(), (0, REST - 2));
        for left in (0..REST - 2).rev() {
            reactor.expect_more();
            assert_eq!(sleep(), (0, left));
        }
        // What is found at a look is followed by the next.
        let (mut sender, receiver) = UnixStream::pair().unwrap();
        let source = Source::for_reading(receiver.into());
        reactor.add(&source).unwrap();
        for _ in 0..2 {
            sender.write_all(b"x").unwrap();
            reactor.expect_more();
            assert_eq!(sleep(), (1, 0));
        }
    }
}
