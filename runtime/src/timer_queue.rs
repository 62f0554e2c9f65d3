//! What a platform keeps its sleepers in, to implement [`Timer`](airglow_device::Timer) by its contract: one entry for
//! each waker, the earliest instant asked for since it last fired.
//!
//! A platform's `wake_at` is [`insert`](FixedTimers::insert); its [`park`](crate::Park::park) sleeps until
//! [`next`](FixedTimers::next) and calls [`fire`](FixedTimers::fire).
use airglow_device::Instant;
use core::{
    cell::{Cell, RefCell},
    fmt,
    task::Waker,
};

struct Entry {
    at: Instant,
    waker: Waker,
}

/// Room for `N` sleeping tasks, without an allocator. Every call looks at all of them.
///
/// When it is full, the sleeper with the latest deadline (which may be the one that asks) is **woken at once** in
/// place of later: it finds that it is early and asks again. So no wake-up is ever lost; with more sleepers than
/// `N` the processor spins instead of sleeping, and [`evictions`](Self::evictions) counts. Choose `N` as the number of tasks.
pub struct FixedTimers<const N: usize> {
    entries: RefCell<[Option<Entry>; N]>,
    evictions: Cell<u32>,
}

impl<const N: usize> Default for FixedTimers<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> FixedTimers<N> {
    /// An empty queue.
    pub const fn new() -> Self {
        Self { entries: RefCell::new([const { None }; N]), evictions: Cell::new(0) }
    }

    /// Wakes `waker` at the first [`fire`](Self::fire) at or after `at`.
    pub fn insert(&self, at: Instant, waker: &Waker) {
        let mut entries = self.entries.borrow_mut();
        let (mut free, mut latest) = (None, None::<(usize, Instant)>);
        for (index, slot) in entries.iter_mut().enumerate() {
            match slot {
                Some(entry) if entry.waker.will_wake(waker) => {
                    entry.at = entry.at.min(at);
                    return;
                }
                Some(entry) => {
                    if latest.is_none_or(|(_, latest)| entry.at > latest) {
                        latest = Some((index, entry.at));
                    }
                }
                None => free = Some(index),
            }
        }
        let replaced = match (free, latest) {
            (Some(index), _) => Some(index),
            (None, Some((index, latest))) if at < latest => Some(index),
            _ => None,
        };
        let new = Entry { at, waker: waker.clone() };
        let victim = match replaced.and_then(|index| entries.get_mut(index)) {
            Some(slot) => slot.replace(new),
            None => Some(new),
        };
        drop(entries);
        if let Some(victim) = victim {
            self.evictions.set(self.evictions.get().saturating_add(1));
            victim.waker.wake();
        }
    }

    /// The next instant at which somebody is to be woken.
    pub fn next(&self) -> Option<Instant> {
        self.entries.borrow().iter().flatten().map(|entry| entry.at).min()
    }

    /// Wakes all whose instant is `now` or earlier; returns how many those were.
    pub fn fire(&self, now: Instant) -> usize {
        let mut fired = 0;
        for index in 0..N {
            // Never wake while the table is borrowed: a waker may run any code.
            let due = self
                .entries
                .borrow_mut()
                .get_mut(index)
                .and_then(|slot| slot.take_if(|entry| entry.at <= now));
            if let Some(entry) = due {
                entry.waker.wake();
                fired += 1;
            }
        }
        fired
    }

    /// Sleepers in the queue.
    pub fn len(&self) -> usize {
        self.entries.borrow().iter().flatten().count()
    }
    /// Nobody sleeps.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// How often a sleeper was woken early because the queue was full. Above 0: `N` is too small.
    pub fn evictions(&self) -> u32 {
        self.evictions.get()
    }
}

impl<const N: usize> fmt::Debug for FixedTimers<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedTimers")
            .field("len", &self.len())
            .field("next", &self.next())
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "alloc")]
mod growing;
#[cfg(feature = "alloc")]
pub use growing::TimerQueue;
