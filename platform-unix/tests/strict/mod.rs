//! Running a test's future as strictly as a server with many tasks would.
use airglow_platform_unix::Reactor;
use airglow_runtime::{TaskSet, block_on, timeout};
use std::{cell::Cell, future::poll_fn, time::Duration};

/// How long anything here may take.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Runs `test` to its end, within [`LIMIT`]. It is a task of its own and so is polled only when it was woken: a
/// wake-up that is missing shows, where `block_on` alone would poll after every event.
pub fn finish<R>(reactor: &Reactor, test: impl Future<Output = R>) -> R {
    let result = Cell::new(None);
    let tasks = TaskSet::new(1);
    let _ = tasks.spawn(async { result.set(Some(test.await)) });
    block_on(reactor, timeout(reactor, LIMIT, poll_fn(|cx| tasks.poll_tasks(cx)))).expect("in time");
    drop(tasks);
    result.into_inner().expect("the task has ended")
}
