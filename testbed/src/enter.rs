//! Running test code itself in a namespace.
#![allow(unsafe_code)]
use std::{fs::File, os::fd::AsRawFd, thread};

/// Runs `f` on a thread of its own that is in the network namespace `name`.
pub(crate) fn enter<R: Send>(name: &str, f: impl FnOnce() -> R + Send) -> R {
    let namespace = File::open(format!("/run/netns/{name}")).unwrap_or_else(|why| panic!("{name}: {why}"));
    let result = thread::scope(|scope| {
        let inside = move || {
            // SAFETY: the descriptor is open for the time of the call, which moves this thread, and no memory.
            let moved = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
            assert_eq!(moved, 0, "setns: {}", std::io::Error::last_os_error());
            f()
        };
        scope.spawn(inside).join()
    });
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
