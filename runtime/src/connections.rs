//! The accept loop of a server.
use crate::sleep;
use airglow_device::{Listener, Timer};
use core::{convert::Infallible, time::Duration};

/// The first pause after an accept that failed; each further failure doubles it ...
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// ... up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The next connection. A failure is a shortage: pause, so that the others can end, and try again.
async fn accept<'l, L: Listener>(listener: &'l L, timer: &impl Timer) -> L::Stream<'l> {
    let mut pause = FIRST_PAUSE;
    loop {
        match listener.accept().await {
            Ok(stream) => return stream,
            Err(_) => sleep(timer, pause).await,
        }
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// Serves every connection of `listener` with `serve`, at most `N` at once; further ones wait in the listener's
/// backlog. Runs until it is dropped, and all connections with it.
///
/// With the feature `alloc` the memory grows with the connections there are, so that a large `N` costs nothing; without
/// it the memory of `N` is part of the future ([`pool`](crate::pool())). Either way a connection is polled only when
/// it was woken. An accept that fails is tried again after a pause of 10 ms, doubled each time, up to a second.
///
/// ```no_run
/// use airglow_device::{Error, Listener, Read, Stream, Timer, Write};
///
/// /// RFC 862: send back what comes.
/// async fn echo(listener: &impl Listener, timer: &impl Timer) {
///     airglow_runtime::for_each_connection::<64, _>(listener, timer, async |mut stream| {
///         let mut buf = [0; 512];
///         while let Ok(len @ 1..) = stream.read(&mut buf).await {
///             if stream.write_all(&buf[..len]).await.is_err() { return }
///         }
///         let _ = stream.close().await;
///     }).await;
/// }
/// ```
#[cfg(feature = "alloc")]
pub async fn for_each_connection<'l, const N: usize, L: Listener>(
    listener: &'l L,
    timer: &impl Timer,
    serve: impl AsyncFn(L::Stream<'l>),
) -> Infallible {
    use crate::TaskSet;
    use core::{future::poll_fn, task::Poll};

    let connections = TaskSet::new(N);
    // A set of its own, so that the listener is asked only when it has something to say.
    let acceptor = TaskSet::new(1);
    let accepting = async {
        loop {
            connections.room().await;
            let stream = accept(listener, timer).await;
            // There is room: nobody else spawns.
            let _ = connections.spawn(serve(stream));
        }
    };
    let _ = acceptor.spawn(accepting);
    poll_fn(|cx| {
        let _ = (acceptor.poll_tasks(cx), connections.poll_tasks(cx));
        Poll::Pending
    })
    .await
}

/// Serves every connection of `listener` with `serve`, at most `N` at once; further ones wait in the listener's
/// backlog. Runs until it is dropped, and all connections with it.
///
/// This build has no feature `alloc`: the memory of `N` connections is part of the future. A connection is polled only when
/// it was woken. An accept that fails is tried again after a pause of 10 ms, doubled each time, up to a second.
#[cfg(not(feature = "alloc"))]
pub async fn for_each_connection<'l, const N: usize, L: Listener>(
    listener: &'l L,
    timer: &impl Timer,
    serve: impl AsyncFn(L::Stream<'l>),
) -> Infallible {
    crate::pool::<N, _>(async |_| {
        loop {
            serve(accept(listener, timer).await).await;
        }
    })
    .await;
    // Only a pool of none ends.
    core::future::pending().await
}
