//! Futures that come and go.
use crate::{
    sync::{AtomicBool, AtomicUsize, Ordering},
    waker::ParentWaker,
};
use alloc::{boxed::Box, sync::Arc, task::Wake, vec::Vec};
use core::{
    cell::{Cell, RefCell},
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, Waker},
};

/// Children of a node: the bits of a word.
const FAN: usize = usize::BITS as usize;
/// Levels of the tree of woken tasks, leaves included: 16,777,216 tasks where a pointer has 64 bits, 1,048,576 where it
/// has 32.
const LEVELS: usize = 4;
/// Tasks polled before the set gives the others in its thread a turn.
const TURN: usize = 256;

/// A node in the tree of woken tasks: which children were woken or have someone woken below.
///
/// A wake sets the bit of its task in a leaf; who finds the word at 0 goes on to the node above and at the top wakes the
/// set's own task. A search goes down, clearing each word before it reads those below. So a wake costs one or two
/// atomic operations and a search as many as there is to find, no lock is held, and an interrupt handler may wake.
struct Node {
    woken: AtomicUsize,
    above: Above,
}

enum Above {
    Node(Arc<Node>, usize),
    Parent(ParentWaker),
}

impl Node {
    fn wake(&self, child: usize) {
        let (mut node, mut child) = (self, child);
        while node.woken.fetch_or(1 << child, Ordering::AcqRel) == 0 {
            match &node.above {
                Above::Node(above, number) => (node, child) = (above, *number),
                Above::Parent(parent) => return parent.wake(),
            }
        }
    }
}

/// The one waker of a place, for all the tasks that it sees. Timers hold one entry for each waker until it is due: with a waker for each
/// task, they would keep those of tasks that ended long ago.
struct PlaceWaker {
    leaf: Arc<Node>,
    number: usize,
    /// The place has no task.
    vacant: AtomicBool,
}

impl Wake for PlaceWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        if !self.vacant.load(Ordering::Relaxed) {
            self.leaf.wake(self.number);
        }
    }
}

struct Slot<'a> {
    state: State<'a>,
    handle: Arc<PlaceWaker>,
    waker: Waker,
}

enum State<'a> {
    /// Waits, or is about to be polled.
    Task(Pin<Box<dyn Future<Output = ()> + 'a>>),
    /// Is being polled.
    Polled,
    /// Free, and the free slot after it.
    Free(Option<usize>),
}

struct Slots<'a> {
    slots: Vec<Slot<'a>>,
    free: Option<usize>,
    /// The tree, leaves first. Nodes are made when the first task below them is.
    levels: [Vec<Arc<Node>>; LEVELS],
    /// Woken tasks that are still to be polled, the next one last.
    ready: Vec<usize>,
}

impl Slots<'_> {
    /// The node at `index` of `level`, made if it is new.
    fn node(&mut self, level: usize, index: usize) -> Arc<Node> {
        if let Some(node) = self.levels.get(level).and_then(|nodes| nodes.get(index)) {
            return node.clone();
        }
        let above = Above::Node(self.node(level + 1, index / FAN), index % FAN);
        let node = Arc::new(Node { woken: AtomicUsize::new(0), above });
        if let Some(nodes) = self.levels.get_mut(level) {
            debug_assert_eq!(nodes.len(), index);
            nodes.push(node.clone());
        }
        node
    }

    /// Clears the tree and appends the woken tasks to `ready` in descending order.
    fn search(&mut self, level: usize, index: usize) {
        let Some(node) = self.levels.get(level).and_then(|nodes| nodes.get(index)) else { return };
        let mut woken = node.woken.swap(0, Ordering::AcqRel);
        while woken != 0 {
            let child = woken.ilog2() as usize;
            woken &= !(1 << child);
            match level.checked_sub(1) {
                Some(below) => self.search(below, index * FAN + child),
                None => self.ready.push(index * FAN + child),
            }
        }
    }
}

/// Futures that run side by side, come and go, and are polled only when they were woken.
///
/// The set is a future itself: whoever awaits it, or a reference to it, drives all tasks, until there are none
/// left. Tasks may borrow what outlives the set. They are not `Send` and neither is the set.
///
/// A task that has ended is dropped at once; its place in the table (about 100 bytes) and the place's waker are used again, so that
/// memory, a timer's entries included, follows the largest number of tasks there were at once, which [`limit`](Self::new) bounds. When the set is dropped, so are the tasks,
/// in no particular order; their wakers may live on and then do nothing.
///
/// ```
/// # #[cfg(feature = "std")] {
/// use airglow_runtime::{block_on, sleep, TaskSet, ThreadPark};
/// use core::{cell::Cell, time::Duration};
///
/// let platform = ThreadPark::new();
/// let sum = Cell::new(0);
/// let add = async |n| {
///     sleep(&platform, Duration::from_millis(1)).await;
///     sum.set(sum.get() + n);
/// };
/// let tasks = TaskSet::new(100);
/// for n in 1..=100 {
///     assert!(tasks.spawn(add(n)).is_ok());
/// }
/// assert!(tasks.spawn(async {}).is_err(), "the hundred and first");
/// block_on(&platform, &tasks);
/// assert_eq!((tasks.len(), sum.get()), (0, 5050));
/// # }
/// ```
pub struct TaskSet<'a> {
    slots: RefCell<Slots<'a>>,
    root: Arc<Node>,
    len: Cell<usize>,
    limit: usize,
    /// Who waits for a place to become free.
    waits_for_room: Cell<Option<Waker>>,
}

impl<'a> TaskSet<'a> {
    /// The most tasks that any set holds.
    pub const MAX: usize = FAN.pow(LEVELS as u32);

    /// An empty set that never holds more than `limit` tasks (nor [`MAX`](Self::MAX)).
    pub fn new(limit: usize) -> Self {
        let root = Arc::new(Node { woken: AtomicUsize::new(0), above: Above::Parent(ParentWaker::new()) });
        let mut levels = [const { Vec::new() }; LEVELS];
        levels[LEVELS - 1].push(root.clone());
        Self {
            slots: RefCell::new(Slots { slots: Vec::new(), free: None, levels, ready: Vec::new() }),
            root,
            len: Cell::new(0),
            limit: limit.min(Self::MAX),
            waits_for_room: Cell::new(None),
        }
    }

    /// Tasks that have not ended.
    pub fn len(&self) -> usize {
        self.len.get()
    }
    /// No tasks are left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The most tasks this set holds.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Adds a task; it is polled for the first time when the set is driven next.
    ///
    /// # Errors
    /// Gives `future` back when the set is full.
    pub fn spawn<F: Future<Output = ()> + 'a>(&self, future: F) -> Result<(), F> {
        if self.len.get() >= self.limit {
            return Err(future);
        }
        self.insert(Box::pin(future));
        Ok(())
    }

    fn insert(&self, future: Pin<Box<dyn Future<Output = ()> + 'a>>) {
        let mut slots = self.slots.borrow_mut();
        let index = slots.free.unwrap_or(slots.slots.len());
        let (leaf, number) = (slots.node(0, index / FAN), index % FAN);
        match slots.slots.get_mut(index) {
            None => {
                let handle =
                    Arc::new(PlaceWaker { leaf: leaf.clone(), number, vacant: AtomicBool::new(false) });
                let waker = handle.clone().into();
                slots.slots.push(Slot { state: State::Task(future), handle, waker });
            }
            Some(slot) => {
                slot.handle.vacant.store(false, Ordering::Relaxed);
                if let State::Free(next) = core::mem::replace(&mut slot.state, State::Task(future)) {
                    slots.free = next;
                }
            }
        }
        drop(slots);
        self.len.set(self.len.get() + 1);
        leaf.wake(number);
    }

    /// Polls the tasks that were woken, at most 256 in one call. Ready when no task is left; otherwise `cx`'s waker is
    /// woken when there is something to do.
    pub fn poll_tasks(&self, cx: &mut Context<'_>) -> Poll<()> {
        let Above::Parent(parent) = &self.root.above else { return Poll::Ready(()) };
        // First the parent, then the bits: a task that is woken in between is not missed.
        parent.register(cx.waker());
        let mut searched = false;
        let mut turn = 0;
        loop {
            let mut slots = self.slots.borrow_mut();
            if slots.ready.is_empty() {
                // Ends only after a search: wakes that find a bit in the root count on one.
                if searched {
                    break;
                }
                slots.search(LEVELS - 1, 0);
                searched = true;
                continue;
            }
            if turn == TURN {
                cx.waker().wake_by_ref();
                break;
            }
            turn += 1;
            let next = slots.ready.pop();
            drop(slots);
            if let Some(index) = next {
                self.poll_task(index);
            }
        }
        if self.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn poll_task(&self, index: usize) {
        // The table is not borrowed while foreign code runs: a task may spawn.
        let (mut future, waker) = {
            let mut slots = self.slots.borrow_mut();
            let Some(slot) = slots.slots.get_mut(index) else { return };
            match core::mem::replace(&mut slot.state, State::Polled) {
                State::Task(future) => (future, slot.waker.clone()),
                other => return slot.state = other,
            }
        };
        let ended = future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        let mut slots = self.slots.borrow_mut();
        let free = slots.free;
        let Some(slot) = slots.slots.get_mut(index) else { return };
        if !ended {
            slot.state = State::Task(future);
            return;
        }
        slot.handle.vacant.store(true, Ordering::Relaxed);
        slot.state = State::Free(free);
        slots.free = Some(index);
        drop(slots);
        self.len.set(self.len.get() - 1);
        drop(future);
        if let Some(waker) = self.waits_for_room.take() {
            waker.wake();
        }
    }

    /// Waits until the set is not full. One task at a time may wait.
    pub(crate) fn room(&self) -> impl Future<Output = ()> + use<'_, 'a> {
        poll_fn(|cx| {
            if self.len() < self.limit {
                return Poll::Ready(());
            }
            self.waits_for_room.set(Some(cx.waker().clone()));
            Poll::Pending
        })
    }
}

impl Future for &TaskSet<'_> {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_tasks(cx)
    }
}

impl Future for TaskSet<'_> {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_tasks(cx)
    }
}

impl Drop for TaskSet<'_> {
    fn drop(&mut self) {
        for slot in &self.slots.get_mut().slots {
            slot.handle.vacant.store(true, Ordering::Relaxed);
        }
        // Wakers may keep the tree alive; the set's own task is to be free.
        if let Above::Parent(parent) = &self.root.above {
            parent.close();
        }
    }
}

impl fmt::Debug for TaskSet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskSet")
            .field("len", &self.len())
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
