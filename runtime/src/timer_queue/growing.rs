//! Any number of sleepers: a heap by time, and an index into it by waker.
use airglow_device::Instant;
use alloc::vec::Vec;
use core::{cell::RefCell, fmt, task::Waker};

/// Any number of sleeping tasks. [`insert`](Self::insert) and each waker fired take logarithmic time. Those of the same instant are
/// woken in the order in which they asked for it.
///
/// Bounded by the number of tasks, because each has one waker and each waker one entry.
#[derive(Default)]
pub struct TimerQueue {
    sleepers: RefCell<Sleepers>,
}

impl TimerQueue {
    /// An empty queue.
    pub const fn new() -> Self {
        Self { sleepers: RefCell::new(Sleepers { heap: Vec::new(), index: Vec::new(), asked: 0 }) }
    }

    /// Wakes `waker` at the first [`fire`](Self::fire) at or after `at`.
    pub fn insert(&self, at: Instant, waker: &Waker) {
        self.sleepers.borrow_mut().insert(at, waker);
    }

    /// The next instant at which somebody is to be woken.
    pub fn next(&self) -> Option<Instant> {
        self.sleepers.borrow().heap.first().map(|first| first.turn.0)
    }

    /// Wakes all whose instant is `now` or earlier; returns how many those were.
    pub fn fire(&self, now: Instant) -> usize {
        // Never wake while the queue is borrowed: a waker may run any code. One that asks again at once has its next
        // turn with the next call.
        let due = self.len();
        let pop = || self.sleepers.borrow_mut().pop_due(now);
        core::iter::from_fn(pop).take(due).map(Waker::wake).count()
    }

    /// Sleepers in the queue.
    pub fn len(&self) -> usize {
        self.sleepers.borrow().heap.len()
    }
    /// Nobody sleeps.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for TimerQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerQueue")
            .field("len", &self.len())
            .field("next", &self.next())
            .finish_non_exhaustive()
    }
}

/// When, and the how-manieth to ask.
type Turn = (Instant, u64);

struct Sleeper {
    turn: Turn,
    waker: Waker,
    /// Its place in the index.
    place: usize,
}

#[derive(Default)]
struct Sleepers {
    /// A binary heap, the earliest first.
    heap: Vec<Sleeper>,
    /// A hash table of wakers with linear probing, a power of two in length and at most half full: in each place the number of a
    /// sleeper in the heap, counted from 1, or 0.
    index: Vec<u32>,
    asked: u64,
}

/// What tells wakers apart, as [`Waker::will_wake`] compares them, spread over all bits. Nobody outside chooses addresses.
fn hash(waker: &Waker) -> usize {
    let identity = waker.data().addr() ^ core::ptr::from_ref(waker.vtable()).addr().rotate_left(7);
    let hash = (identity as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (hash >> 32) as usize
}

impl Sleepers {
    /// The sleeper of the index's place `place`.
    fn at(&self, place: usize) -> Option<(usize, &Sleeper)> {
        let number = (*self.index.get(place)? as usize).checked_sub(1)?;
        Some((number, self.heap.get(number)?))
    }

    /// Where `waker` stands in the index, or would.
    fn place(&self, waker: &Waker) -> usize {
        let mask = self.index.len().wrapping_sub(1);
        let mut place = hash(waker) & mask;
        while self.at(place).is_some_and(|(_, sleeper)| !sleeper.waker.will_wake(waker)) {
            place = (place + 1) & mask;
        }
        place
    }

    fn insert(&mut self, at: Instant, waker: &Waker) {
        if self.heap.len() * 2 >= self.index.len() {
            self.grow();
        }
        let place = self.place(waker);
        let turn = (at, self.asked);
        let number = match self.at(place) {
            Some((_, sleeper)) if sleeper.turn.0 <= at => return,
            Some((number, _)) => number,
            None => {
                self.heap.push(Sleeper { turn, waker: waker.clone(), place });
                self.heap.len() - 1
            }
        };
        if let Some(sleeper) = self.heap.get_mut(number) {
            sleeper.turn = turn;
        }
        self.asked += 1;
        self.note(number);
        self.rise(number);
    }

    fn grow(&mut self) {
        let len = (self.index.len() * 2).max(8);
        self.index.clear();
        self.index.resize(len, 0);
        for number in 0..self.heap.len() {
            let Some(sleeper) = self.heap.get(number) else { return };
            let place = self.place(&sleeper.waker);
            if let Some(sleeper) = self.heap.get_mut(number) {
                sleeper.place = place;
            }
            self.note(number);
        }
    }

    /// Writes the number of a sleeper that has moved in the heap into the index.
    fn note(&mut self, number: usize) {
        if let Some(sleeper) = self.heap.get(number)
            && let Some(place) = self.index.get_mut(sleeper.place)
        {
            *place = number as u32 + 1;
        }
    }

    fn earlier(&self, a: usize, b: usize) -> bool {
        matches!((self.heap.get(a), self.heap.get(b)), (Some(a), Some(b)) if a.turn < b.turn)
    }

    fn exchange(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.note(a);
        self.note(b);
    }

    fn rise(&mut self, mut number: usize) {
        while number > 0 && self.earlier(number, (number - 1) / 2) {
            self.exchange(number, (number - 1) / 2);
            number = (number - 1) / 2;
        }
    }

    fn sink(&mut self, mut number: usize) {
        loop {
            let (left, right) = (2 * number + 1, 2 * number + 2);
            let child = if self.earlier(right, left) { right } else { left };
            if !self.earlier(child, number) {
                return;
            }
            self.exchange(child, number);
            number = child;
        }
    }

    fn pop_due(&mut self, now: Instant) -> Option<Waker> {
        self.heap.first().filter(|first| first.turn.0 <= now)?;
        let last = self.heap.len() - 1;
        self.exchange(0, last);
        let sleeper = self.heap.pop()?;
        self.vacate(sleeper.place);
        self.sink(0);
        Some(sleeper.waker)
    }

    /// Frees `place` in the index, and moves those behind it up so that no search ends before it has found them.
    fn vacate(&mut self, mut place: usize) {
        let mask = self.index.len().wrapping_sub(1);
        let mut next = place;
        loop {
            if let Some(place) = self.index.get_mut(place) {
                *place = 0;
            }
            let number = loop {
                next = (next + 1) & mask;
                let Some((number, sleeper)) = self.at(next) else { return };
                let from = hash(&sleeper.waker);
                if next.wrapping_sub(from) & mask >= next.wrapping_sub(place) & mask {
                    break number;
                }
            };
            if let Some(sleeper) = self.heap.get_mut(number) {
                sleeper.place = place;
            }
            self.note(number);
            place = next;
        }
    }
}
