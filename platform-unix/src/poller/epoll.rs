//! `epoll(7)`.
use super::{BATCH, Ready};
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

/// An epoll instance and room for one batch of its reports.
pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(BATCH) })
    }

    /// Watches `fd` until it is closed, in both directions or for reading only.
    pub(crate) fn add(&self, fd: impl AsFd, key: u64, both: bool) -> io::Result<()> {
        let mut flags = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
        flags.set(EventFlags::OUT, both);
        Ok(epoll::add(&self.epoll, fd, EventData::new_u64(key), flags)?)
    }

    /// Waits for a report, at most `timeout` (rounded up to milliseconds; `None`: for ever), and hands over each.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>, mut each: impl FnMut(Ready)) -> io::Result<()> {
        let timeout = timeout.map(|timeout| {
            // Whole milliseconds let plain epoll_wait serve; rounding down would spin until the deadline.
            let millis = timeout.as_nanos().div_ceil(1_000_000).min(3_600_000) as i64;
            rustix::event::Timespec { tv_sec: millis / 1000, tv_nsec: (millis % 1000) * 1_000_000 }
        });
        self.events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) => {}
            // A signal; its handler has left its mark in a pipe that the next wait reports.
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        for event in &self.events {
            let flags = event.flags;
            let failed = flags.intersects(EventFlags::ERR | EventFlags::HUP);
            let hangup = failed || flags.contains(EventFlags::RDHUP);
            each(Ready {
                key: event.data.u64(),
                readable: hangup || flags.contains(EventFlags::IN),
                writable: failed || flags.contains(EventFlags::OUT),
                hangup,
            });
        }
        Ok(())
    }
}
