//! The one system call that waits: `epoll` on Linux, `kqueue` on macOS and the BSDs, edge-triggered in both.
//!
//! A descriptor is added once and reports every change in either direction until it is closed; there is no
//! re-arming and no removal, so a connection costs one call to add and none to take away.

#[cfg(target_os = "linux")]
mod epoll;
#[cfg(target_os = "linux")]
pub(crate) use epoll::Poller;

#[cfg(not(target_os = "linux"))]
mod kqueue;
#[cfg(not(target_os = "linux"))]
pub(crate) use kqueue::Poller;

/// One report of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    /// What [`Poller::add`] was given.
    pub key: u64,
    /// There is something to read, the end of the stream included.
    pub readable: bool,
    /// There is room to write, or writing would fail.
    pub writable: bool,
    /// The peer has closed its direction, or the descriptor has failed: a short read is no sign of an empty queue.
    pub hangup: bool,
}

/// Reports that one wait can bring.
const BATCH: usize = 256;
