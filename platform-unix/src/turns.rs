//! A stack and the application over it, in turns: each is polled when it was woken, again and again until neither has
//! anything to do, and only then does the thread look at its devices. So what a batch of frames causes goes out in one
//! flush, without a system call in between.
use airglow_runtime::Park;
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// Turns before the thread looks at its devices all the same.
const TURNS: usize = 16;

/// The waker of one side.
struct Side {
    woken: AtomicBool,
    /// Both sides' turns are on: whoever is woken gets one without the thread being told.
    on: Arc<AtomicBool>,
    thread: Waker,
}

impl Side {
    fn new(on: &Arc<AtomicBool>, thread: &Waker) -> Arc<Self> {
        Arc::new(Self { woken: AtomicBool::new(true), on: on.clone(), thread: thread.clone() })
    }

    /// Polls `future` if this side was woken.
    fn poll<F: Future>(
        self: &Arc<Self>,
        waker: &Waker,
        future: std::pin::Pin<&mut F>,
    ) -> Option<Poll<F::Output>> {
        let woken = self.woken.swap(false, Ordering::AcqRel);
        woken.then(|| future.poll(&mut Context::from_waker(waker)))
    }
}

impl Wake for Side {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::AcqRel) && !self.on.load(Ordering::Acquire) {
            self.thread.wake_by_ref();
        }
    }
}

/// Runs `stack` and `app` on the thread that `park` parks, until `app` ends.
pub(crate) async fn in_turns<A: Future>(park: &impl Park, stack: impl Future, app: A) -> A::Output {
    let (mut stack, mut app) = (pin!(stack), pin!(app));
    let (thread, on) = (park.waker(), Arc::new(AtomicBool::new(false)));
    let (stack_side, app_side) = (Side::new(&on, &thread), Side::new(&on, &thread));
    let (stack_waker, app_waker) = (Waker::from(stack_side.clone()), Waker::from(app_side.clone()));
    let mut ended = false;
    poll_fn(|cx| {
        on.store(true, Ordering::Release);
        for _ in 0..TURNS {
            let stack_turn = if ended { None } else { stack_side.poll(&stack_waker, stack.as_mut()) };
            ended |= matches!(stack_turn, Some(Poll::Ready(_)));
            let app_turn = app_side.poll(&app_waker, app.as_mut());
            if let Some(Poll::Ready(output)) = app_turn {
                return Poll::Ready(output);
            }
            if stack_turn.is_none() && app_turn.is_none() {
                break;
            }
        }
        on.store(false, Ordering::Release);
        let left = |side: &Side| side.woken.load(Ordering::Acquire);
        if left(&app_side) || (!ended && left(&stack_side)) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use airglow_runtime::{ThreadPark, block_on, sleep, yield_now};
    use std::{cell::RefCell, time::Duration};

    #[test]
    fn turns_alternate_and_nothing_is_polled_unasked() {
        let (park, log) = (ThreadPark::new(), RefCell::new(String::new()));
        let stack = async {
            for _ in 0..3 {
                log.borrow_mut().push('s');
                yield_now().await;
            }
            log.borrow_mut().push('.');
            std::future::pending::<()>().await;
        };
        let app = async {
            log.borrow_mut().push('a');
            sleep(&park, Duration::from_millis(20)).await;
            log.borrow_mut().push('A');
            7
        };
        assert_eq!(block_on(&park, in_turns(&park, stack, app)), 7);
        assert_eq!(log.into_inner(), "sass.A");
    }

    #[test]
    fn one_that_never_rests_does_not_shut_the_other_out() {
        let park = ThreadPark::new();
        let stack = async {
            loop {
                yield_now().await;
            }
        };
        block_on(&park, in_turns(&park, stack, sleep(&park, Duration::from_millis(10))));
    }
}
