//! Waiting no longer than until a deadline that is only asked for when there is a wait at all.
use airglow_device::{Instant, Timer};
use core::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
};

/// The deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimedOut;

/// One call of a stream that moves octets, whatever kind of stream it is: a wait is compiled once and not for each of them.
pub(crate) trait Transfer {
    /// How many octets went, or that it failed.
    fn poll_transfer(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<usize, ()>>;
}

impl<E, F: Future<Output = Result<usize, E>>> Transfer for F {
    fn poll_transfer(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<usize, ()>> {
        self.poll(cx).map_err(drop)
    }
}

/// Polls `transfer`; when it is not ready at once, asks `deadline` (which gets the present instant) and waits
/// until then.
/// Returns since when it has waited, `None` if it has not.
pub(crate) async fn before(
    timer: &dyn Timer,
    deadline: &mut dyn FnMut(Instant) -> Instant,
    mut transfer: Pin<&mut dyn Transfer>,
) -> Result<(Result<usize, ()>, Option<Instant>), TimedOut> {
    let mut waiting = None;
    poll_fn(move |cx| {
        if let Poll::Ready(output) = transfer.as_mut().poll_transfer(cx) {
            return Poll::Ready(Ok((output, waiting.map(|(since, _)| since))));
        }
        let now = timer.now();
        let (_, at) = *waiting.get_or_insert_with(|| (now, deadline(now)));
        if now < at {
            timer.wake_at(at, cx.waker());
            return Poll::Pending;
        }
        Poll::Ready(Err(TimedOut))
    })
    .await
}
