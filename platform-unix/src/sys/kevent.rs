//! `kevent(2)`.
use rustix::event::kqueue::{self, Event};
use std::{io, os::fd::AsFd, time::Duration};

/// Applies `changes` and collects up to `events.capacity()` events.
pub(crate) fn kevent(
    queue: impl AsFd,
    changes: &[Event],
    events: &mut Vec<Event>,
    timeout: Option<Duration>,
) -> io::Result<()> {
    events.clear();
    let room = rustix::buffer::spare_capacity(events);
    // SAFETY: the call wants the descriptors in `changes` to be valid while the queue lives. A descriptor that
    // closes leaves the queue by itself, and a stale number can at worst watch another descriptor of this
    // process, whose events wake somebody early.
    unsafe { kqueue::kevent(queue, changes, room, timeout) }?;
    Ok(())
}
