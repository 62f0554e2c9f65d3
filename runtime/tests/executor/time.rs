//! Sleeping, timeouts, and the queues that platforms keep their sleepers in.
use crate::count::Count;
use airglow_device::{Clock, Instant, ManualClock, Timer};
use airglow_runtime::{
    Either, Elapsed, FixedTimers, ThreadPark, TimerQueue, block_on, join, pool, select, sleep, sleep_until,
    timeout, yield_now,
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::{pending, ready},
    pin::pin,
    rc::Rc,
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

/// A clock over one of the queues, as a platform would make it.
struct Over<Q>(Cell<Instant>, Q);
impl<Q> Clock for Over<Q> {
    fn now(&self) -> Instant {
        self.0.get()
    }
}
impl<const N: usize> Timer for Over<FixedTimers<N>> {
    fn wake_at(&self, at: Instant, waker: &Waker) {
        self.1.insert(at, waker);
    }
}

#[test]
fn sleep_counts_from_the_call_and_ends_on_time() {
    let clock = ManualClock::new();
    let mut sleeper = pin!(sleep(&clock, Duration::from_secs(5)));
    clock.advance(Duration::from_secs(4));
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    let mut cx = Context::from_waker(&waker);
    assert!(sleeper.as_mut().poll(&mut cx).is_pending());
    assert_eq!(clock.next_deadline(), Some(Instant::from_secs(5)));
    clock.advance(Duration::from_secs(1));
    assert_eq!(count.take(), 1);
    assert!(sleeper.as_mut().poll(&mut cx).is_ready());
    assert!(pin!(sleep_until(&clock, Instant::from_secs(5))).poll(&mut cx).is_ready(), "has passed");
}

#[test]
fn a_timeout_drops_the_late_and_hears_the_ready() {
    struct Dropped(Rc<Cell<bool>>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let clock = ManualClock::new();
    let dropped = Rc::new(Cell::new(false));
    let guard = Dropped(dropped.clone());
    let mut late = Box::pin(timeout(&clock, Duration::from_secs(1), async move {
        pending::<()>().await;
        drop(guard);
    }));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(late.as_mut().poll(&mut cx).is_pending());
    clock.advance(Duration::from_secs(1));
    assert_eq!(late.as_mut().poll(&mut cx), Poll::Ready(Err(Elapsed)));
    assert!(dropped.get(), "dropped before the caller goes on");
    let zero = timeout(&clock, Duration::ZERO, ready(7));
    assert_eq!(pin!(zero).poll(&mut cx), Poll::Ready(Ok(7)));
    assert_eq!(airglow_device::Error::kind(&Elapsed), airglow_device::ErrorKind::TimedOut);
}

#[test]
fn select_join_and_yield() {
    let platform = ThreadPark::new();
    block_on(&platform, async {
        assert_eq!(select(ready(1), ready('b')).await, Either::Left(1));
        assert_eq!(select(pending::<u8>(), ready('b')).await, Either::Right('b'));
        assert_eq!(select(ready(1), ready(2)).await.into_inner(), 1);
        let turns = RefCell::new(String::new());
        let talk = async |name: char| {
            for _ in 0..3 {
                turns.borrow_mut().push(name);
                yield_now().await;
            }
            name
        };
        assert_eq!(join(talk('a'), talk('b')).await, ('a', 'b'));
        assert_eq!(*turns.borrow(), "ababab");
    });
}

#[test]
fn a_thread_sleeps_as_long_as_asked_and_not_in_a_loop() {
    let platform = ThreadPark::new();
    let polls = Cell::new(0);
    let start = platform.now();
    block_on(&platform, async {
        let mut sleeper = pin!(sleep(&platform, Duration::from_millis(50)));
        std::future::poll_fn(|cx| {
            polls.set(polls.get() + 1);
            sleeper.as_mut().poll(cx)
        })
        .await;
    });
    let slept = platform.now().since(start);
    assert!(slept >= Duration::from_millis(50), "{slept:?}");
    assert_eq!(polls.get(), 2);
}

/// Random calls against a model: a map from waker to its earliest instant.
fn against_the_model(
    insert: impl Fn(Instant, &Waker),
    next: impl Fn() -> Option<Instant>,
    fire: impl Fn(Instant) -> usize,
) {
    let counts: Vec<Arc<Count>> = (0..40).map(|_| Arc::default()).collect();
    let wakers: Vec<Waker> = counts.iter().map(|count| count.clone().into()).collect();
    let mut model = BTreeMap::<usize, Instant>::new();
    let (mut seed, mut now) = (9_u64, Instant::ZERO);
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    for _ in 0..20_000 {
        if random(4) != 0 {
            let (who, at) = (random(40) as usize, now + Duration::from_millis(random(1000)));
            let earliest = model.entry(who).or_insert(at);
            *earliest = at.min(*earliest);
            // A clone is the same waker.
            insert(at, &wakers[who].clone());
        } else {
            now += Duration::from_millis(random(200));
            let due: Vec<usize> = model.iter().filter(|(_, at)| **at <= now).map(|(who, _)| *who).collect();
            assert_eq!(fire(now), due.len());
            for (who, count) in counts.iter().enumerate() {
                assert_eq!(count.take(), usize::from(due.contains(&who)));
            }
            model.retain(|_, at| *at > now);
        }
        assert_eq!(next(), model.values().min().copied());
    }
}

#[test]
fn the_growing_queue_does_as_the_model() {
    let queue = TimerQueue::new();
    against_the_model(|at, waker| queue.insert(at, waker), || queue.next(), |now| queue.fire(now));
}

#[test]
fn those_of_one_instant_are_woken_in_the_order_they_asked() {
    struct Log(usize, Arc<Mutex<Vec<usize>>>);
    impl Wake for Log {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0);
        }
    }
    let (queue, log) = (TimerQueue::new(), Arc::default());
    let mut wakers: Vec<(usize, Waker)> =
        (0..50).map(|number| (number, Arc::new(Log(number, Arc::clone(&log))).into())).collect();
    // Where they lie in memory says nothing.
    wakers.sort_by_key(|(_, waker)| waker.data().addr().wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let asked: Vec<usize> = wakers.iter().map(|(number, _)| *number).collect();
    for (_, waker) in &wakers {
        queue.insert(Instant::from_secs(9), waker);
    }
    queue.fire(Instant::from_secs(9));
    assert_eq!(core::mem::take(&mut *log.lock().unwrap()), asked);
    // In the opposite order; and two who ask for an earlier time then.
    for (_, waker) in wakers.iter().rev() {
        queue.insert(Instant::from_secs(20), waker);
    }
    queue.insert(Instant::from_secs(19), &wakers[0].1);
    queue.insert(Instant::from_secs(19), &wakers[1].1);
    queue.fire(Instant::from_secs(20));
    let expected: Vec<_> = asked[..2].iter().chain(asked[2..].iter().rev()).copied().collect();
    assert_eq!(*log.lock().unwrap(), expected);
}

#[test]
fn the_fixed_queue_does_as_the_model() {
    let queue = FixedTimers::<40>::new();
    against_the_model(|at, waker| queue.insert(at, waker), || queue.next(), |now| queue.fire(now));
    assert_eq!(queue.evictions(), 0);
}

#[test]
fn a_full_queue_wakes_the_latest_early() {
    let queue = FixedTimers::<2>::new();
    let counts: [Arc<Count>; 4] = Default::default();
    let wakers = counts.clone().map(Waker::from);
    queue.insert(Instant::from_secs(10), &wakers[0]);
    queue.insert(Instant::from_secs(20), &wakers[1]);
    queue.insert(Instant::from_secs(15), &wakers[2]);
    assert_eq!(counts.each_ref().map(|count| count.take()), [0, 1, 0, 0]);
    queue.insert(Instant::from_secs(30), &wakers[3]);
    assert_eq!(counts.each_ref().map(|count| count.take()), [0, 0, 0, 1], "the newcomer is the latest");
    assert_eq!((queue.len(), queue.evictions(), queue.next()), (2, 2, Some(Instant::from_secs(10))));
    queue.insert(Instant::from_secs(5), &wakers[2]);
    assert_eq!((queue.len(), queue.evictions()), (2, 2), "who is there already needs no room");
}

#[test]
fn more_sleepers_than_room_all_wake_up() {
    let clock = Over(Cell::new(Instant::ZERO), FixedTimers::<2>::new());
    let done = RefCell::new(Vec::new());
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    let mut all = pin!(pool::<5, _>(async |index| {
        sleep_until(&clock, Instant::from_secs(index as u64 + 1)).await;
        done.borrow_mut().push((index, clock.now()));
    }));
    let mut idle = 0;
    while all.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        clock.1.fire(clock.now());
        if count.take() == 0 || idle > 100 {
            idle = 0;
            clock.0.set(clock.1.next().expect("nobody is forgotten"));
            clock.1.fire(clock.now());
        }
        idle += 1;
    }
    let expected: Vec<_> = (0..5).map(|index| (index, Instant::from_secs(index as u64 + 1))).collect();
    assert_eq!(*done.borrow(), expected);
}

#[test]
fn a_waker_may_use_the_queue_that_wakes_it() {
    thread_local! {
        static QUEUE: TimerQueue = const { TimerQueue::new() };
    }
    struct Again;
    impl Wake for Again {
        fn wake(self: Arc<Self>) {
            QUEUE.with(|queue| queue.insert(Instant::from_secs(9), &self.into()));
        }
    }
    QUEUE.with(|queue| {
        queue.insert(Instant::from_secs(1), &Arc::new(Again).into());
        assert_eq!(queue.fire(Instant::from_secs(2)), 1);
        assert_eq!(queue.next(), Some(Instant::from_secs(9)));
        // Even one that asks for the past.
        assert_eq!(queue.fire(Instant::from_secs(99)), 1);
        assert_eq!(queue.next(), Some(Instant::from_secs(9)));
    });
}
