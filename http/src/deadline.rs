//! Waiting no longer than until a deadline that is only asked for when there is a wait at all.
use airglow_device::{Instant, Timer};
use core::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

/// The deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimedOut;

/// Polls `future`; when it is not ready at once, asks `deadline` (which gets the present instant) and waits
/// until then.
/// Returns since when it has waited, `None` if it has not.
pub(crate) async fn before<F: Future>(
    timer: &dyn Timer,
    deadline: impl FnOnce(Instant) -> Instant,
    mut future: Pin<&mut F>,
) -> Result<(F::Output, Option<Instant>), TimedOut> {
    let mut deadline = Some(deadline);
    let mut waiting = None;
    poll_fn(move |cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok((output, waiting.map(|(since, _)| since))));
        }
        let now = timer.now();
        if let Some(deadline) = deadline.take() {
            waiting = Some((now, deadline(now)));
        }
        match waiting {
            Some((_, at)) if now < at => {
                timer.wake_at(at, cx.waker());
                Poll::Pending
            }
            _ => Poll::Ready(Err(TimedOut)),
        }
    })
    .await
}
