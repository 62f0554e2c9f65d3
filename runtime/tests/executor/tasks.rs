//! Task sets and pools: who is polled, when things are dropped, what outlives what.
use crate::count::Count;
use airglow_device::{Clock, Timer};
use airglow_runtime::{TaskSet, ThreadPark, block_on, join, pool, sleep, yield_now};
use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

/// A future that counts its polls and leaves its waker behind, until it is told to end.
#[derive(Clone, Default)]
struct Probe(Rc<ProbeState>);
#[derive(Default)]
struct ProbeState {
    polls: Cell<usize>,
    waker: RefCell<Option<Waker>>,
    end: Cell<bool>,
    dropped: Cell<bool>,
}
struct ProbeFuture(Rc<ProbeState>);
impl Drop for ProbeFuture {
    fn drop(&mut self) {
        self.0.dropped.set(true);
    }
}
impl Future for ProbeFuture {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.polls.set(self.0.polls.get() + 1);
        *self.0.waker.borrow_mut() = Some(cx.waker().clone());
        if self.0.end.get() { Poll::Ready(()) } else { Poll::Pending }
    }
}
impl Probe {
    fn future(&self) -> ProbeFuture {
        ProbeFuture(self.0.clone())
    }
    fn wake(&self) {
        self.0.waker.borrow().as_ref().unwrap().wake_by_ref();
    }
    fn waker(&self) -> std::task::Waker {
        self.0.waker.borrow().clone().unwrap()
    }
    fn end(&self) {
        self.0.end.set(true);
        self.wake();
    }
    fn polls(&self) -> usize {
        self.0.polls.get()
    }
}

fn poll<F: Future>(future: Pin<&mut F>, count: &Arc<Count>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&count.clone().into()))
}

#[test]
fn a_set_of_100_000_tasks() {
    const TASKS: usize = 100_000;
    let platform = ThreadPark::new();
    let (polls, ended) = (Cell::new(0), Cell::new(0));
    let tasks = TaskSet::new(TASKS);
    for n in 0..TASKS {
        let (platform, polls, ended) = (&platform, &polls, &ended);
        let task = async move {
            let mut sleep = pin!(sleep(platform, Duration::from_millis(20 + n as u64 % 50)));
            poll_fn(|cx| {
                polls.set(polls.get() + 1);
                sleep.as_mut().poll(cx)
            })
            .await;
            yield_now().await;
            ended.set(ended.get() + 1);
        };
        assert!(tasks.spawn(task).is_ok());
    }
    assert_eq!(tasks.len(), TASKS);
    assert!(tasks.spawn(async {}).is_err());
    block_on(&platform, &tasks);
    assert_eq!((tasks.len(), ended.get()), (0, TASKS));
    // Once at the start and once when the time had come: nobody was polled for another's sake. (A task whose time
    // came before its first poll is polled once.)
    assert!(polls.get() <= 2 * TASKS, "{} polls", polls.get());
}

#[test]
fn a_set_polls_only_the_woken() {
    let probes: Vec<Probe> = (0..1000).map(|_| Probe::default()).collect();
    let tasks = TaskSet::new(usize::MAX);
    for probe in &probes {
        assert!(tasks.spawn(probe.future()).is_ok());
    }
    let count = Arc::new(Count::default());
    let mut set = pin!(&tasks);
    while count.get() != 0 || probes[999].polls() == 0 {
        count.take();
        assert_eq!(poll(set.as_mut(), &count), Poll::Pending);
    }
    assert!(probes.iter().all(|probe| probe.polls() == 1));

    for woken in [7, 64, 999] {
        probes[woken].wake();
        probes[woken].wake();
        assert_eq!(count.get(), 1, "two wakes of one task wake the set once");
        count.take();
        assert_eq!(poll(set.as_mut(), &count), Poll::Pending);
        assert_eq!(probes[woken].polls(), 2);
    }
    assert_eq!(probes.iter().map(Probe::polls).sum::<usize>(), 1003);

    // One that has ended is dropped at once, and a wake of its place does nothing.
    probes[7].end();
    assert_eq!(poll(set.as_mut(), &count), Poll::Pending);
    assert!(probes[7].0.dropped.get());
    assert_eq!(tasks.len(), 999);
    count.take();
    probes[7].wake();
    assert_eq!((poll(set.as_mut(), &count), count.get()), (Poll::Pending, 0));
    // The place is used again and its waker too, so that timers hold one entry for a place, however many tasks it has seen; a
    // late wake of the old task is one poll too many of the new one.
    let newcomer = Probe::default();
    assert!(tasks.spawn(newcomer.future()).is_ok());
    assert_eq!(poll(set.as_mut(), &count), Poll::Pending);
    assert!(newcomer.waker().will_wake(&probes[7].waker()));
    probes[7].wake();
    assert_eq!((poll(set.as_mut(), &count), newcomer.polls()), (Poll::Pending, 2));
}

#[test]
fn a_pool_polls_only_the_woken() {
    // More than one group of wakers.
    let probes: Vec<Probe> = (0..150).map(|_| Probe::default()).collect();
    let count = Arc::new(Count::default());
    let mut all = pin!(pool::<150, _>(|index| probes[index].future()));
    assert_eq!(poll(all.as_mut(), &count), Poll::Pending);
    assert!(probes.iter().all(|probe| probe.polls() == 1));
    assert_eq!(poll(all.as_mut(), &count), Poll::Pending);
    assert_eq!(count.get(), 0);

    for woken in [0, 63, 64, 149] {
        probes[woken].wake();
        probes[woken].wake();
        assert_eq!(count.take(), 1);
        assert_eq!(poll(all.as_mut(), &count), Poll::Pending);
        assert_eq!(probes[woken].polls(), 2);
    }
    assert_eq!(probes.iter().map(Probe::polls).sum::<usize>(), 154);
    for (n, probe) in probes.iter().enumerate() {
        assert!(!probe.0.dropped.get());
        probe.end();
        let state = poll(all.as_mut(), &count);
        assert!(probe.0.dropped.get(), "dropped as soon as it has ended");
        assert_eq!(state.is_ready(), n == 149);
    }
}

#[test]
fn wakers_outlive_a_pool_and_wake_nobody_else() {
    let (old, new) = (Probe::default(), Probe::default());
    let count = Arc::new(Count::default());
    {
        let mut first = pin!(pool::<1, _>(|_| old.future()));
        assert_eq!(poll(first.as_mut(), &count), Poll::Pending);
    }
    assert!(old.0.dropped.get());
    assert_eq!(Arc::strong_count(&count), 1, "the pool's waker is let go with the pool");
    old.wake();
    let mut second = pin!(pool::<1, _>(|_| new.future()));
    assert_eq!(poll(second.as_mut(), &count), Poll::Pending);
    old.wake();
    let _ = old.0.waker.borrow_mut().take();
    assert_eq!(count.get(), 0);
    assert_eq!(poll(second.as_mut(), &count), Poll::Pending);
    assert_eq!(new.polls(), 1);
}

#[test]
fn wakers_outlive_a_set() {
    let probe = Probe::default();
    let count = Arc::new(Count::default());
    {
        let mut tasks = TaskSet::new(1);
        assert!(tasks.spawn(probe.future()).is_ok());
        assert_eq!(poll(Pin::new(&mut tasks), &count), Poll::Pending);
    }
    assert!(probe.0.dropped.get());
    assert_eq!(Arc::strong_count(&count), 1, "the set's waker is let go with the set");
    probe.wake();
    assert_eq!(count.get(), 0);
}

#[test]
fn children_are_dropped_before_the_pools_wakers_and_in_order() {
    struct Last<'a>(usize, &'a RefCell<Vec<usize>>, Option<Waker>);
    impl Drop for Last<'_> {
        fn drop(&mut self) {
            // A future may well wake itself while it is dropped.
            self.2.take().unwrap().wake();
            self.1.borrow_mut().push(self.0);
        }
    }
    let order = RefCell::new(Vec::new());
    let count = Arc::new(Count::default());
    {
        let mut all = pin!(pool::<5, _>(async |index| {
            let mut last = Last(index, &order, None);
            poll_fn(|cx| {
                last.2 = Some(cx.waker().clone());
                if index == 3 { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }));
        assert_eq!(poll(all.as_mut(), &count), Poll::Pending);
        assert_eq!(*order.borrow(), [3]);
    }
    assert_eq!(*order.borrow(), [3, 0, 1, 2, 4]);
}

#[test]
fn a_pool_is_hardly_larger_than_its_children() {
    let future = pool::<100, _>(async |_| {
        let mut buffer = [0_u8; 1024];
        yield_now().await;
        buffer[3] = 1;
        std::hint::black_box(&buffer);
    });
    let size = size_of_val(&future);
    assert!(size < 100 * 1100, "{size} bytes for 100 children of 1 KiB");
    block_on(&ThreadPark::new(), future);
}

#[test]
fn pools_without_wakers_of_their_own_still_work() {
    // 129 groups are one more than there are.
    let done = Cell::new(0);
    let huge = pool::<{ 129 * 64 }, _>(async |index| {
        yield_now().await;
        assert!(index < 129 * 64);
        done.set(done.get() + 1);
    });
    block_on(&ThreadPark::new(), Box::pin(huge));
    assert_eq!(done.get(), 129 * 64);
}

#[test]
fn pools_within_pools() {
    let platform = ThreadPark::new();
    let done = Cell::new(0);
    let inner = async |outer: usize| {
        pool::<3, _>(async |inner| {
            sleep(&platform, Duration::from_millis((outer * 3 + inner) as u64)).await;
            done.set(done.get() + 1);
        })
        .await;
    };
    block_on(&platform, pool::<3, _>(inner));
    assert_eq!(done.get(), 9);
}

#[test]
fn a_task_may_spawn_and_a_busy_one_starves_nobody() {
    let platform = ThreadPark::new();
    let tasks: Rc<TaskSet<'static>> = Rc::new(TaskSet::new(10));
    let stop = Rc::new(Cell::new(false));
    let busy = stop.clone();
    let spawned = tasks.spawn(async move {
        while !busy.get() {
            yield_now().await;
        }
    });
    assert!(spawned.is_ok());
    let (inner, end) = (Rc::downgrade(&tasks), stop);
    let spawned = tasks.spawn(async move {
        yield_now().await;
        let spawned = inner.upgrade().unwrap().spawn(async move { end.set(true) });
        assert!(spawned.is_ok());
    });
    assert!(spawned.is_ok());
    block_on(&platform, &*tasks);
}

#[test]
fn a_set_gives_its_siblings_a_turn() {
    let platform = ThreadPark::new();
    let (polls, at_first_turn) = (Cell::new(0_usize), Cell::new(None));
    let tasks = TaskSet::new(10_000);
    for _ in 0..10_000 {
        assert!(tasks.spawn(async { polls.set(polls.get() + 1) }).is_ok());
    }
    let sibling = async {
        yield_now().await;
        at_first_turn.set(Some(polls.get()));
    };
    block_on(&platform, join(&tasks, sibling));
    assert_eq!(polls.get(), 10_000);
    assert!(at_first_turn.get().unwrap() <= 512);
}

#[test]
fn a_panic_in_a_task_loses_no_other_tasks_wake() {
    let done = Cell::new(0);
    let tasks = TaskSet::new(3);
    assert!(tasks.spawn(async { panic!("on purpose") }).is_ok());
    for _ in 0..2 {
        assert!(tasks.spawn(async { done.set(done.get() + 1) }).is_ok());
    }
    let count = Arc::new(Count::default());
    let mut set = pin!(&tasks);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll(set.as_mut(), &count)));
    assert!(caught.is_err());
    let _ = poll(set.as_mut(), &count);
    assert_eq!(done.get(), 2);
}

#[test]
fn wakes_from_other_threads_arrive() {
    const ROUNDS: usize = 2_000;
    const TASKS: usize = 8;
    let platform = ThreadPark::new();
    let deadline = platform.now() + Duration::from_secs(60);
    let flags: Arc<[AtomicUsize; TASKS]> = Arc::default();
    let (send, receive) = std::sync::mpsc::channel::<(usize, Waker)>();
    let waking = std::thread::spawn({
        let flags = flags.clone();
        move || {
            for (index, waker) in receive {
                flags[index].fetch_add(1, Ordering::Release);
                waker.wake();
            }
        }
    });
    let rounds = async |index: usize| {
        let send = send.clone();
        for round in 1..=ROUNDS {
            send.send((index, poll_fn(|cx| Poll::Ready(cx.waker().clone())).await)).unwrap();
            poll_fn(|cx| {
                assert!(platform.now() < deadline, "a wake was lost");
                if flags[index].load(Ordering::Acquire) >= round {
                    return Poll::Ready(());
                }
                platform.wake_at(deadline, cx.waker());
                Poll::Pending
            })
            .await;
        }
    };
    // Half of them in a pool, half in a set.
    let tasks = TaskSet::new(TASKS);
    for index in TASKS / 2..TASKS {
        assert!(tasks.spawn(rounds(index)).is_ok());
    }
    block_on(&platform, join(&tasks, pool::<{ TASKS / 2 }, _>(&rounds)));
    drop(tasks);
    drop(send);
    waking.join().unwrap();
}
