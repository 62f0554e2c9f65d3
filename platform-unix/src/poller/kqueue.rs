//! `kqueue(2)`.
use super::{BATCH, Ready};
use crate::sys;
use rustix::event::kqueue::{self, Event, EventFilter, EventFlags};
use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    time::Duration,
};

/// A kernel queue and room for one batch of its reports.
pub(crate) struct Poller {
    queue: OwnedFd,
    events: Vec<Event>,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { queue: kqueue::kqueue()?, events: Vec::with_capacity(BATCH) })
    }

    /// Watches `fd` until it is closed, in both directions or for reading only.
    pub(crate) fn add(&self, fd: impl AsFd, key: u64, both: bool) -> io::Result<()> {
        let fd = fd.as_fd().as_raw_fd();
        let flags = EventFlags::ADD | EventFlags::CLEAR | EventFlags::RECEIPT;
        // The key travels in the pointer-sized user data; nobody follows it.
        let data = std::ptr::without_provenance_mut(key as usize);
        let changes =
            [Event::new(EventFilter::Read(fd), flags, data), Event::new(EventFilter::Write(fd), flags, data)];
        let mut receipts = Vec::with_capacity(changes.len());
        sys::kevent(&self.queue, &changes[..1 + usize::from(both)], &mut receipts, Some(Duration::ZERO))?;
        for receipt in &receipts {
            // The read end of a pipe has no write direction: only a failure of the first filter counts.
            if matches!(receipt.filter(), EventFilter::Read(_)) && receipt.data() != 0 {
                return Err(io::Error::from_raw_os_error(receipt.data() as i32));
            }
        }
        Ok(())
    }

    /// Waits for a report, at most `timeout` (`None`: for ever), and hands over each.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>, mut each: impl FnMut(Ready)) -> io::Result<()> {
        self.events.clear();
        match sys::kevent(
            &self.queue,
            &[],
            &mut self.events,
            timeout.map(|t| t.min(Duration::from_secs(3600))),
        ) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        for event in &self.events {
            let ended = event.flags().contains(EventFlags::EOF);
            let read = matches!(event.filter(), EventFilter::Read(_));
            each(Ready {
                key: event.udata().addr() as u64,
                readable: read || ended,
                writable: !read || ended,
                hangup: ended,
            });
        }
        Ok(())
    }
}
