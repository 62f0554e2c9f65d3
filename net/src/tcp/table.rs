//! A table of things found by hash, with a deadline each: connections, half-open connections, TIME-WAIT.
//!
//! Rows keep their number while they live. Chains, the free list, the heap of deadlines and two queues all run through
//! one array of [`Link`]s, so that a table costs no allocation per operation, and the code that follows the links is the
//! same for arrays and vectors.
use airglow_device::Instant;
use core::ops::DerefMut;

/// No row.
pub(crate) const NONE: u32 = u32::MAX;
/// Not in a queue.
const OUT: u32 = u32::MAX - 1;

/// What a row's place in the chains is. Opaque; public because arrays of it are part of a [`Storage`](super::Storage).
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// First row of the chain whose number is this row's.
    bucket: u32,
    /// Next row in the chain or in the free list.
    next: u32,
    hash: u32,
    generation: u32,
    /// Next row in each queue; `OUT` when not in it.
    queued: [u32; 2],
    /// Row whose deadline is at this place of the heap.
    heap: u32,
    /// This row's place in the heap.
    place: u32,
    /// This row's deadline.
    at: Instant,
    hashed: bool,
    /// Holds a value; a row without one may still be in a queue and is freed when it leaves it.
    live: bool,
}

impl Link {
    /// All bits zero, see [`Table::new`].
    const ZERO: Self = Self {
        bucket: 0,
        next: 0,
        hash: 0,
        generation: 0,
        queued: [0; 2],
        heap: 0,
        place: 0,
        at: Instant::ZERO,
        hashed: false,
        live: false,
    };
    const NEW: Self = Self {
        bucket: NONE,
        next: NONE,
        hash: 0,
        generation: 0,
        queued: [OUT; 2],
        heap: NONE,
        place: NONE,
        at: Instant::MAX,
        hashed: false,
        live: false,
    };
}

/// Which of the two queues.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Queue {
    /// Rows that may have something to send.
    Transmit = 0,
    /// Rows whose user has something to do.
    Ready = 1,
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    first: u32,
    last: u32,
}

/// Room for a value. Unlike an `Option`, an empty one is all zeros whatever lies in it, so that a `static` full of them takes no
/// room in an image.
#[derive(Debug)]
#[repr(u8)]
pub enum Cell<C> {
    /// Nothing.
    Empty = 0,
    /// A value.
    Full(C),
}

impl<C> Cell<C> {
    fn take(&mut self) -> Option<C> {
        match core::mem::replace(self, Self::Empty) {
            Self::Empty => None,
            Self::Full(value) => Some(value),
        }
    }
}

impl<C: DerefMut> Cell<C> {
    fn get(&self) -> Option<&C::Target> {
        match self {
            Self::Empty => None,
            Self::Full(value) => Some(value),
        }
    }
    fn get_mut(&mut self) -> Option<&mut C::Target> {
        match self {
            Self::Empty => None,
            Self::Full(value) => Some(value),
        }
    }
}

/// The memory of a table: as many links as values.
pub trait Rows {
    /// What a row holds: the thing itself or a box with it.
    type Cell: DerefMut;
    /// Both arrays.
    fn parts(&mut self) -> (&mut [Link], &mut [Cell<Self::Cell>]);
    /// The links.
    fn links(&self) -> &[Link];
    /// The values.
    fn cells(&self) -> &[Cell<Self::Cell>];
    /// Makes more rows; `false` when there may be no more.
    fn grow(&mut self) -> bool;
}

/// A thing that lies in its row.
#[derive(Debug)]
pub struct Inline<T>(pub(crate) T);
impl<T> core::ops::Deref for Inline<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}
impl<T> DerefMut for Inline<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

/// `N` rows in arrays.
#[derive(Debug)]
pub struct ArrayRows<C, const N: usize> {
    links: [Link; N],
    cells: [Cell<C>; N],
}
impl<C, const N: usize> ArrayRows<C, N> {
    pub(crate) const fn new() -> Self {
        Self { links: [Link::ZERO; N], cells: [const { Cell::Empty }; N] }
    }
}
impl<C: DerefMut, const N: usize> Rows for ArrayRows<C, N> {
    type Cell = C;
    fn parts(&mut self) -> (&mut [Link], &mut [Cell<C>]) {
        (&mut self.links, &mut self.cells)
    }
    fn links(&self) -> &[Link] {
        &self.links
    }
    fn cells(&self) -> &[Cell<C>] {
        &self.cells
    }
    fn grow(&mut self) -> bool {
        false
    }
}

/// Rows in vectors that double up to a limit.
#[cfg(feature = "alloc")]
#[derive(Debug)]
pub struct VecRows<C> {
    links: alloc::vec::Vec<Link>,
    cells: alloc::vec::Vec<Cell<C>>,
    most: usize,
}
#[cfg(feature = "alloc")]
impl<C> VecRows<C> {
    pub(crate) const fn new(most: usize) -> Self {
        Self { links: alloc::vec::Vec::new(), cells: alloc::vec::Vec::new(), most }
    }
}
#[cfg(feature = "alloc")]
impl<C: DerefMut> Rows for VecRows<C> {
    type Cell = C;
    fn parts(&mut self) -> (&mut [Link], &mut [Cell<C>]) {
        (&mut self.links, &mut self.cells)
    }
    fn links(&self) -> &[Link] {
        &self.links
    }
    fn cells(&self) -> &[Cell<C>] {
        &self.cells
    }
    fn grow(&mut self) -> bool {
        let now = self.links.len();
        let then = (now * 2).max(8).min(self.most);
        if then <= now
            || self.links.try_reserve_exact(then - now).is_err()
            || self.cells.try_reserve_exact(then - now).is_err()
        {
            return false;
        }
        self.links.resize(then, Link::NEW);
        self.cells.resize_with(then, || Cell::Empty);
        true
    }
}

/// The table.
#[derive(Debug)]
pub struct Table<R> {
    rows: R,
    state: State,
}

/// What is not in the rows.
#[derive(Debug)]
struct State {
    /// Something was inserted; until then all links and all of this are zeros.
    started: bool,
    free: u32,
    /// Rows from here on were never used.
    used: u32,
    len: u32,
    heap_len: u32,
    queues: [Ends; 2],
}

const EMPTY: Ends = Ends { first: NONE, last: NONE };

impl<R> Table<R> {
    /// Empty, and all zeros when `rows` are.
    pub(crate) const fn new(rows: R) -> Self {
        const ZERO: Ends = Ends { first: 0, last: 0 };
        let state = State { started: false, free: 0, used: 0, len: 0, heap_len: 0, queues: [ZERO; 2] };
        Self { rows, state }
    }
    /// Rows with a value.
    pub(crate) fn len(&self) -> usize {
        self.state.len as usize
    }
    /// The queue is not empty.
    pub(crate) fn has_queued(&self, queue: Queue) -> bool {
        self.state.started && self.state.queues[queue as usize].first != NONE
    }
}

impl<R: Rows> Table<R> {
    /// Puts `cell` in a free row; `None` when there is none.
    pub(crate) fn insert(&mut self, hash: u32, cell: R::Cell) -> Option<u32> {
        self.insert_with(hash, || cell)
    }

    /// Puts what `make` makes in a free row, if there is one. A connection with its buffers is a large thing on a small stack, and so is
    /// made in a frame of its own, next to its place.
    pub(crate) fn insert_with(&mut self, hash: u32, make: impl FnOnce() -> R::Cell) -> Option<u32> {
        #[inline(never)]
        fn put<C>(place: &mut Cell<C>, make: impl FnOnce() -> C) {
            *place = Cell::Full(make());
        }
        self.state.start(self.rows.parts().0);
        let index = match self.state.take_free(self.rows.parts().0) {
            Some(index) => index,
            None => {
                if !self.rows.grow() {
                    return None;
                }
                let links = self.rows.parts().0;
                rehash(links);
                self.state.take_free(links)?
            }
        };
        let (links, cells) = self.rows.parts();
        put(&mut cells[index as usize], make);
        chain(links, index, hash);
        Some(index)
    }

    /// The row with this hash for which `is` holds.
    pub(crate) fn find(
        &self,
        hash: u32,
        is: impl Fn(&<R::Cell as core::ops::Deref>::Target) -> bool,
    ) -> Option<u32> {
        if self.state.len == 0 {
            return None;
        }
        let links = self.rows.links();
        let cells = self.rows.cells();
        let mut at = links.get(bucket(links.len(), hash))?.bucket;
        while let Some(link) = links.get(at as usize) {
            if link.hash == hash && cells[at as usize].get().is_some_and(&is) {
                return Some(at);
            }
            at = link.next;
        }
        None
    }

    /// Takes the row out of the chains: it is no longer found, but lives.
    pub(crate) fn unhash(&mut self, index: u32) {
        unchain(self.rows.parts().0, index);
    }

    pub(crate) fn get(&self, index: u32) -> Option<&<R::Cell as core::ops::Deref>::Target> {
        self.rows.cells().get(index as usize)?.get()
    }
    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut <R::Cell as core::ops::Deref>::Target> {
        self.rows.parts().1.get_mut(index as usize)?.get_mut()
    }
    /// Tells this value of the row from earlier ones.
    pub(crate) fn generation(&self, index: u32) -> u32 {
        self.rows.links().get(index as usize).map_or(0, |link| link.generation)
    }
    /// Removes the row and drops what it holds where it lies.
    pub(crate) fn discard(&mut self, index: u32) {
        let (links, cells) = self.rows.parts();
        if let Some(cell @ Cell::Full(_)) = cells.get_mut(index as usize) {
            *cell = Cell::Empty;
            unchain(links, index);
            self.state.unschedule(links, index);
            self.state.release(links, index);
        }
    }
    /// Removes the row and returns what it holds.
    pub(crate) fn remove(&mut self, index: u32) -> Option<R::Cell> {
        let (links, cells) = self.rows.parts();
        let cell = cells.get_mut(index as usize)?.take()?;
        unchain(links, index);
        self.state.unschedule(links, index);
        self.state.release(links, index);
        Some(cell)
    }

    /// Wants the row back at `at`, unless it comes back earlier anyway.
    pub(crate) fn schedule(&mut self, index: u32, at: Instant) {
        self.state.schedule(self.rows.parts().0, index, at);
    }
    /// Wants the row back at `at` and not earlier.
    pub(crate) fn reschedule(&mut self, index: u32, at: Instant) {
        let links = self.rows.parts().0;
        self.state.unschedule(links, index);
        self.state.schedule(links, index, at);
    }
    /// The earliest deadline.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.earliest().map(|(_, at)| at)
    }
    /// The row with the earliest deadline.
    pub(crate) fn earliest(&self) -> Option<(u32, Instant)> {
        let links = self.rows.links();
        if self.state.heap_len == 0 {
            return None;
        }
        let index = links.first()?.heap;
        Some((index, links.get(index as usize)?.at))
    }
    /// A row whose deadline is not after `now`; it has none afterwards.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<u32> {
        let (index, at) = self.earliest()?;
        if at > now {
            return None;
        }
        self.state.unschedule(self.rows.parts().0, index);
        Some(index)
    }

    /// Puts the row at the end of a queue, if it is not in it.
    pub(crate) fn enqueue(&mut self, queue: Queue, index: u32) {
        self.state.enqueue(self.rows.parts().0, queue, index);
    }
    /// Takes the first row of a queue.
    pub(crate) fn dequeue(&mut self, queue: Queue) -> Option<u32> {
        self.state.dequeue(self.rows.parts().0, queue)
    }
    /// How many rows there are, with and without a value.
    pub(crate) fn rows(&self) -> u32 {
        self.rows.links().len() as u32
    }
    /// Numbers of the rows with a value.
    pub(crate) fn indices(&self) -> impl Iterator<Item = u32> + '_ {
        self.rows
            .cells()
            .iter()
            .enumerate()
            .filter(|(_, cell)| matches!(cell, Cell::Full(_)))
            .map(|(index, _)| index as u32)
    }
}

fn bucket(rows: usize, hash: u32) -> usize {
    ((u64::from(hash) * rows as u64) >> 32) as usize
}

fn chain(links: &mut [Link], index: u32, hash: u32) {
    let head = bucket(links.len(), hash);
    let next = core::mem::replace(&mut links[head].bucket, index);
    let link = &mut links[index as usize];
    (link.next, link.hash, link.hashed) = (next, hash, true);
}

fn unchain(links: &mut [Link], index: u32) {
    let Some(&Link { hash, next, hashed: true, .. }) = links.get(index as usize) else { return };
    links[index as usize].hashed = false;
    let head = bucket(links.len(), hash);
    let mut at = links[head].bucket;
    if at == index {
        links[head].bucket = next;
        return;
    }
    while let Some(link) = links.get_mut(at as usize) {
        if link.next == index {
            link.next = next;
            return;
        }
        at = link.next;
    }
}

/// The number of buckets has changed.
fn rehash(links: &mut [Link]) {
    for link in links.iter_mut() {
        link.bucket = NONE;
    }
    for index in 0..links.len() {
        if links[index].hashed {
            let hash = links[index].hash;
            chain(links, index as u32, hash);
        }
    }
}

impl State {
    fn start(&mut self, links: &mut [Link]) {
        if !self.started {
            links.fill(Link::NEW);
            *self = Self { started: true, free: NONE, used: 0, len: 0, heap_len: 0, queues: [EMPTY; 2] };
        }
    }

    fn take_free(&mut self, links: &mut [Link]) -> Option<u32> {
        let index = if let Some(link) = links.get(self.free as usize) {
            core::mem::replace(&mut self.free, link.next)
        } else if (self.used as usize) < links.len() {
            self.used += 1;
            self.used - 1
        } else {
            return None;
        };
        let link = &mut links[index as usize];
        link.live = true;
        link.at = Instant::MAX;
        self.len += 1;
        Some(index)
    }

    /// The row has no value any more; it is free when it is in no queue either.
    fn release(&mut self, links: &mut [Link], index: u32) {
        let link = &mut links[index as usize];
        link.live = false;
        link.generation = link.generation.wrapping_add(1);
        self.len -= 1;
        self.free_if_unused(links, index);
    }

    fn free_if_unused(&mut self, links: &mut [Link], index: u32) {
        let link = &mut links[index as usize];
        if !link.live && link.queued == [OUT; 2] {
            link.next = core::mem::replace(&mut self.free, index);
        }
    }

    fn enqueue(&mut self, links: &mut [Link], queue: Queue, index: u32) {
        let Some(link) = links.get_mut(index as usize) else { return };
        if !link.live || link.queued[queue as usize] != OUT {
            return;
        }
        link.queued[queue as usize] = NONE;
        let ends = &mut self.queues[queue as usize];
        let last = core::mem::replace(&mut ends.last, index);
        match links.get_mut(last as usize) {
            Some(last) => last.queued[queue as usize] = index,
            None => ends.first = index,
        }
    }

    fn dequeue(&mut self, links: &mut [Link], queue: Queue) -> Option<u32> {
        if !self.started {
            return None;
        }
        loop {
            let ends = &mut self.queues[queue as usize];
            let index = ends.first;
            let link = links.get_mut(index as usize)?;
            ends.first = core::mem::replace(&mut link.queued[queue as usize], OUT);
            if ends.first == NONE {
                ends.last = NONE;
            }
            if link.live {
                return Some(index);
            }
            self.free_if_unused(links, index);
        }
    }

    fn schedule(&mut self, links: &mut [Link], index: u32, at: Instant) {
        let Some(link) = links.get_mut(index as usize) else { return };
        if at >= link.at || !link.live {
            return;
        }
        link.at = at;
        if link.place == NONE {
            link.place = self.heap_len;
            links[self.heap_len as usize].heap = index;
            self.heap_len += 1;
        }
        let place = links[index as usize].place;
        sift_up(links, place);
    }

    fn unschedule(&mut self, links: &mut [Link], index: u32) {
        let link = &mut links[index as usize];
        link.at = Instant::MAX;
        let place = core::mem::replace(&mut link.place, NONE);
        if place == NONE {
            return;
        }
        self.heap_len -= 1;
        let last = links[self.heap_len as usize].heap;
        if last == index {
            return;
        }
        links[place as usize].heap = last;
        links[last as usize].place = place;
        sift_up(links, place);
        sift_down(links, place, self.heap_len);
    }
}

fn deadline(links: &[Link], place: u32) -> Instant {
    links[links[place as usize].heap as usize].at
}

fn swap(links: &mut [Link], a: u32, b: u32) {
    let (row_a, row_b) = (links[a as usize].heap, links[b as usize].heap);
    links[a as usize].heap = row_b;
    links[b as usize].heap = row_a;
    links[row_a as usize].place = b;
    links[row_b as usize].place = a;
}

fn sift_up(links: &mut [Link], mut place: u32) {
    while place > 0 {
        let parent = (place - 1) / 2;
        if deadline(links, parent) <= deadline(links, place) {
            return;
        }
        swap(links, parent, place);
        place = parent;
    }
}

fn sift_down(links: &mut [Link], mut place: u32, len: u32) {
    loop {
        let (left, right) = (2 * place + 1, 2 * place + 2);
        let mut least = place;
        if left < len && deadline(links, left) < deadline(links, least) {
            least = left;
        }
        if right < len && deadline(links, right) < deadline(links, least) {
            least = right;
        }
        if least == place {
            return;
        }
        swap(links, place, least);
        place = least;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, VecDeque};

    fn against_a_model(rows: impl Rows<Cell = Inline<u32>>, most: usize, steps: Vec<(u8, u32, u64)>) {
        let mut table = Table::new(rows);
        let mut model = BTreeMap::<u32, (u32, Option<u64>, bool)>::new(); // row: value, deadline, hashed
        let mut queue = VecDeque::<u32>::new();
        for (what, value, at) in steps {
            let row = model.keys().nth(value as usize % model.len().max(1)).copied();
            match (what, row) {
                (0, _) => match table.insert(value.wrapping_mul(0x9e37_79b9), Inline(value)) {
                    Some(row) => assert!(model.insert(row, (value, None, true)).is_none()),
                    None => assert!(model.len() + queue.len() >= most, "full while there is room"),
                },
                (1, Some(row)) => {
                    let removed = table.remove(row).map(|cell| cell.0);
                    assert_eq!(removed, model.remove(&row).map(|m| m.0));
                }
                (2, Some(row)) => {
                    table.schedule(row, Instant::from_nanos(at));
                    let deadline = &mut model.get_mut(&row).unwrap().1;
                    *deadline = Some(deadline.map_or(at, |old| old.min(at)));
                }
                (3, Some(row)) => {
                    table.reschedule(row, Instant::from_nanos(at));
                    model.get_mut(&row).unwrap().1 = Some(at);
                }
                (4, _) => {
                    let due = table.pop_due(Instant::from_nanos(at));
                    let least = model.values().filter_map(|m| m.1).min();
                    match due {
                        Some(row) => assert_eq!(model.get_mut(&row).unwrap().1.take(), least),
                        None => assert!(least.is_none_or(|least| least > at)),
                    }
                }
                (5, Some(row)) => {
                    table.enqueue(Queue::Ready, row);
                    if !queue.contains(&row) {
                        queue.push_back(row);
                    }
                }
                (6, _) => {
                    let mut expected = queue.pop_front();
                    while expected.is_some_and(|row| !model.contains_key(&row)) {
                        expected = queue.pop_front();
                    }
                    assert_eq!(table.dequeue(Queue::Ready), expected);
                }
                (8, Some(row)) => {
                    table.discard(row);
                    model.remove(&row);
                }
                (7, Some(row)) => {
                    table.unhash(row);
                    model.get_mut(&row).unwrap().2 = false;
                }
                _ => {}
            }
            assert_eq!(table.len(), model.len());
            assert_eq!(
                table.next_deadline().map(Instant::as_nanos),
                model.values().filter_map(|m| m.1).min()
            );
            for (row, (value, _, hashed)) in &model {
                assert_eq!(table.get(*row).copied(), Some(*value));
                let found = table.find(value.wrapping_mul(0x9e37_79b9), |v| v == value);
                let findable = model.values().any(|m| m.0 == *value && m.2);
                assert_eq!(found.is_some(), findable);
                let _ = hashed;
            }
        }
    }

    proptest! {
        #[test]
        fn arrays_and_vectors_behave_like_a_map(steps in prop::collection::vec((0u8..9, 0u32..40, 0u64..100), 0..200)) {
            against_a_model(ArrayRows::<_, 7>::new(), 7, steps.clone());
            against_a_model(VecRows::new(30), 30, steps);
        }
    }
}
