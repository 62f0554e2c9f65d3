//! The async shell of TCP: `airglow_device`'s `Tcp`, `Listener` and `Stream` over a stack.
//!
//! What it needs of `crate::Stack<'_, D, T, S>` (crate-private, in stack.rs):
//!
//! ```ignore
//! /// Calls `f` with TCP, the time and the way out, then sees to it that what `f` caused is sent: in this turn of the
//! /// run task (wake it; one flush for a batch). Drains `next_ready`/`next_acceptable` and wakes them.
//! pub(crate) fn with_tcp<R>(&self, f: impl FnOnce(&mut crate::tcp::Tcp<S>, Instant, &mut Output<'_, ..>) -> R) -> R;
//! ```
//! `Output` is whatever type implements `IpOutput`. After `input`, `poll_transmit` and timers the run loop does
//! `while let Some(wakers) = tcp.next_ready() { wakers.wake() }` and the same with `next_acceptable`, where
//! `S: Storage<Connection = socket::tcp::StreamWakers, Listener = socket::tcp::ListenerWakers>`.

/// The wakers of one connection.
#[derive(Debug, Default)]
pub struct StreamWakers {}

impl StreamWakers {
    /// Wakes whoever waits for the connection.
    pub fn wake(&mut self) {}
}

/// The wakers of one listener.
#[derive(Debug, Default)]
pub struct ListenerWakers {}

impl ListenerWakers {
    /// Wakes whoever waits for a connection.
    pub fn wake(&mut self) {}
}
