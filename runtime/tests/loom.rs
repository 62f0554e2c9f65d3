//! The hunt for lost wake-ups: loom runs the shipped code of `waker.rs`, `pool.rs` and `task_set.rs` under every
//! interleaving of the threads (within its bound on preemptions), and under every order that the memory model allows.
//!
//! A lost wake-up leaves `block_on` asleep for ever, which loom reports as a deadlock; two threads in one cell, or
//! a waker that leaks, are reported as such. `LOOM_MAX_PREEMPTIONS=4 cargo test --release --test loom` searches further.
#![allow(dead_code)]

extern crate alloc;

#[path = "../src/pool.rs"]
mod pool;
#[path = "../src/task_set.rs"]
mod task_set;
#[path = "../src/waker.rs"]
mod waker;

/// The part of `src/sync.rs`, played by loom.
mod sync {
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    macro_rules! constructor {
        ($(#[$doc:meta])* fn $name:ident() -> Self $body:block) => {
            $(#[$doc])*
            pub(crate) fn $name() -> Self $body
        };
    }
    /// Two items are enough to search, and loom makes them anew for each interleaving.
    macro_rules! table {
        (fn $name:ident() -> &'static [$item:ty; $len:expr]) => {
            fn $name() -> &'static [$item] {
                loom::lazy_static! {
                    static ref TABLE: Vec<$item> = (0..2).map(|_| <$item>::new()).collect();
                }
                &TABLE
            }
        };
    }
    pub(crate) use {constructor, table};
}

use loom::{
    sync::{
        Arc, Mutex, Notify,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};
use std::{
    future::poll_fn,
    pin::pin,
    task::{Context, Poll, Waker},
};

/// The executor: asleep until its waker is woken.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Awake(Notify);
    impl std::task::Wake for Awake {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.notify();
        }
    }
    let awake = std::sync::Arc::new(Awake(Notify::new()));
    let waker = awake.clone().into();
    let mut future = pin!(future);
    for polls in 0.. {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        awake.0.wait();
        // While another thread is in the middle of a wake this one polls and polls: loom is to let the other go on.
        if polls >= 2 {
            thread::yield_now();
        }
    }
    unreachable!()
}

fn search(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    // Unless LOOM_MAX_PREEMPTIONS says otherwise. Three threads with two forced switches each show what there is to be shown.
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(model);
}

/// What a child of a pool or a task of a set waits for, and the waker it left behind.
#[derive(Default)]
struct Event {
    happened: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

impl Event {
    /// The flag is relaxed on purpose: the wake alone must carry it across.
    fn happen(&self) {
        self.happened.store(1, Ordering::Relaxed);
        let waker = self.waker.lock().unwrap().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
    async fn wait(event: Arc<Self>) {
        let mut asked = false;
        poll_fn(|cx| {
            // Once: the lock is not to carry across what the wake has to.
            if !std::mem::replace(&mut asked, true) {
                *event.waker.lock().unwrap() = Some(cx.waker().clone());
            }
            if event.happened.load(Ordering::Relaxed) == 1 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

#[test]
fn a_parents_waker_hears_every_wake() {
    search(|| {
        let shared = Arc::new((waker::ParentWaker::new(), AtomicUsize::new(0)));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || {
                    shared.1.fetch_add(1, Ordering::Relaxed);
                    shared.0.wake();
                })
            })
            .collect();
        block_on(poll_fn(|cx| {
            shared.0.register(cx.waker());
            if shared.1.load(Ordering::Relaxed) == 2 { Poll::Ready(()) } else { Poll::Pending }
        }));
        shared.0.close();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn a_parents_waker_is_let_go_by_whoever_is_last() {
    search(|| {
        let parent = Arc::new(waker::ParentWaker::new());
        let held = std::sync::Arc::new(Held);
        let weak = std::sync::Arc::downgrade(&held);
        parent.register(&held.into());
        let waking = parent.clone();
        let thread = thread::spawn(move || waking.wake());
        parent.close();
        thread.join().unwrap();
        assert!(weak.upgrade().is_none(), "the waker leaked");
        // And the cell is as good as new.
        let count = std::sync::Arc::new(Count::default());
        parent.register(&count.clone().into());
        parent.wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    });

    struct Held;
    impl std::task::Wake for Held {
        fn wake(self: std::sync::Arc<Self>) {}
    }
    #[derive(Default)]
    struct Count(AtomicUsize);
    impl std::task::Wake for Count {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn a_pool_misses_no_child() {
    search(|| {
        let events: [Arc<Event>; 2] = [Arc::default(), Arc::default()];
        let threads = events.clone().map(|event| thread::spawn(move || event.happen()));
        block_on(pool::pool::<2, _>(|index| Event::wait(events[index].clone())));
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_pools_place_is_leased_again_while_an_old_waker_wakes() {
    search(|| {
        let event: Arc<Event> = Arc::default();
        let stale = block_on(async {
            let stale = std::cell::RefCell::new(None);
            let keep = |cx: &mut Context<'_>| {
                stale.replace(Some(cx.waker().clone()));
                Poll::Ready(())
            };
            pool::pool::<1, _>(|_| poll_fn(keep)).await;
            stale.into_inner()
        });
        let old = thread::spawn(move || stale.unwrap().wake());
        let waking = event.clone();
        let new = thread::spawn(move || waking.happen());
        block_on(pool::pool::<1, _>(|_| Event::wait(event.clone())));
        old.join().unwrap();
        new.join().unwrap();
    });
}

#[test]
fn a_set_misses_no_task() {
    search(|| {
        let events: [Arc<Event>; 2] = [Arc::default(), Arc::default()];
        let tasks = task_set::TaskSet::new(2);
        for event in &events {
            assert!(tasks.spawn(Event::wait(event.clone())).is_ok());
        }
        let threads = events.map(|event| thread::spawn(move || event.happen()));
        block_on(&tasks);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_set_is_dropped_while_a_waker_wakes() {
    search(|| {
        let event: Arc<Event> = Arc::default();
        let tasks = task_set::TaskSet::new(1);
        assert!(tasks.spawn(Event::wait(event.clone())).is_ok());
        let waking = event.clone();
        let thread = thread::spawn(move || waking.happen());
        block_on(poll_fn(|cx| {
            let _ = tasks.poll_tasks(cx);
            Poll::Ready(())
        }));
        drop(tasks);
        thread.join().unwrap();
    });
}
