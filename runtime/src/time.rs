//! Waiting for a time.
use airglow_device::{ErrorKind, Instant, Timer};
use core::{
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

/// Waits for `duration` from now (from this call, not from the first poll).
pub fn sleep<T: Timer + ?Sized>(timer: &T, duration: Duration) -> Sleep<'_, T> {
    sleep_until(timer, timer.now() + duration)
}

/// Waits until `deadline`; ready at once when it has passed.
pub const fn sleep_until<T: Timer + ?Sized>(timer: &T, deadline: Instant) -> Sleep<'_, T> {
    Sleep { timer, deadline }
}

/// The future of [`sleep`] and [`sleep_until`].
#[must_use = "futures do nothing unless polled"]
pub struct Sleep<'t, T: ?Sized> {
    timer: &'t T,
    deadline: Instant,
}

impl<T: ?Sized> Sleep<'_, T> {
    /// When it ends.
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }
    /// Moves the end; takes effect at the next poll.
    pub const fn reset(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }
}

impl<T: ?Sized> fmt::Debug for Sleep<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl<T: Timer + ?Sized> Future for Sleep<'_, T> {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.now() >= self.deadline {
            return Poll::Ready(());
        }
        self.timer.wake_at(self.deadline, cx.waker());
        Poll::Pending
    }
}

/// The time was up before the future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out")
    }
}
impl core::error::Error for Elapsed {}
impl airglow_device::Error for Elapsed {
    fn kind(&self) -> ErrorKind {
        ErrorKind::TimedOut
    }
}

/// Gives `future` as long as `duration` from now (from this call), then drops it.
pub fn timeout<'t, T: Timer + ?Sized, F: Future>(
    timer: &'t T,
    duration: Duration,
    future: F,
) -> impl Future<Output = Result<F::Output, Elapsed>> + use<'t, T, F> {
    timeout_at(timer, timer.now() + duration, future)
}

/// Gives `future` until `deadline`, then drops it. A future that is ready at its first poll is always heard.
pub async fn timeout_at<T: Timer + ?Sized, F: Future>(
    timer: &T,
    deadline: Instant,
    future: F,
) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    let mut sleep = sleep_until(timer, deadline);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending => Pin::new(&mut sleep).poll(cx).map(|()| Err(Elapsed)),
    })
    .await
}
