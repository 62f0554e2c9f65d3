//! One future on one thread.
use core::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

/// A platform's one blocking call.
///
/// # Contract
/// - [`park`](Self::park) returns after any wake of the platform's waker, **also one that came before the call**: a wake
///   between the poll and the park is never slept over. It may return without a reason.
/// - Before it sleeps and when it wakes up it fires the timers that are due (see [`FixedTimers`](crate::FixedTimers)
///   and [`TimerQueue`](crate::TimerQueue)) and runs the wakers of devices that are ready, and it sleeps no longer than until
///   the next timer.
/// - Every call looks at the devices, even one that finds the waker already woken: a task that never sleeps does not
///   shut the network out.
pub trait Park {
    /// The waker that ends a [`park`](Self::park). It may be called from interrupt handlers where the platform has those.
    fn waker(&self) -> Waker;
    /// Sleeps until something may have happened: `epoll_wait`, `SCHEDOP_poll`, `WFE`.
    fn park(&self);
}

impl<P: Park + ?Sized> Park for &P {
    fn waker(&self) -> Waker {
        (**self).waker()
    }
    fn park(&self) {
        (**self).park();
    }
}

/// Runs `future` to its end on this thread; sleeps in `park` while it waits.
pub fn block_on<F: Future>(park: &(impl Park + ?Sized), future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = park.waker();
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        park.park();
    }
}
