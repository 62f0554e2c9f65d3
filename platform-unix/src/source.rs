//! A descriptor that the reactor watches, with the output that waits for the end of the turn.
use crate::reactor::Reactor;
use rustix::{
    io::Errno,
    net::{RecvFlags, SendAncillaryBuffer, SendFlags},
};
use std::{
    cell::{Cell, RefCell},
    io::{self, IoSlice},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// Small writes are gathered up to this many bytes before they go to the kernel.
pub(crate) const HELD: usize = 16 * 1024;

const UNREGISTERED: u32 = u32::MAX;

/// A descriptor that the reactor watches.
///
/// Readiness is a guess that errs towards "ready": a call is tried first, and only when the kernel says
/// that it would block does the descriptor join the poller and the task wait for an edge.
pub(crate) struct Source {
    fd: OwnedFd,
    key: Cell<u32>,
    readable: Cell<bool>,
    writable: Cell<bool>,
    hangup: Cell<bool>,
    dirty: Cell<bool>,
    lingering: Cell<bool>,
    both: bool,
    reader: Cell<Option<Waker>>,
    writer: Cell<Option<Waker>>,
    output: RefCell<Output>,
}

/// Bytes that were written and are not yet with the kernel: a copy, then a run that never changes.
#[derive(Default)]
struct Output {
    held: Vec<u8>,
    sent: usize,
    fixed: &'static [u8],
    error: Option<io::Error>,
}

impl Output {
    fn len(&self) -> usize {
        self.held.len() - self.sent + self.fixed.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes `count` bytes off the front.
    fn advance(&mut self, count: usize) {
        let held = count.min(self.held.len() - self.sent);
        self.sent += held;
        self.fixed = self.fixed.get(count - held..).unwrap_or_default();
        if self.sent == self.held.len() {
            self.held.clear();
            self.sent = 0;
        }
    }
}

/// Which direction a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

impl Source {
    pub(crate) fn new(fd: OwnedFd) -> Rc<Self> {
        Self::watched(fd, true)
    }

    /// A descriptor that nobody waits to write to: room there wakes nobody up.
    pub(crate) fn for_reading(fd: OwnedFd) -> Rc<Self> {
        Self::watched(fd, false)
    }

    fn watched(fd: OwnedFd, both: bool) -> Rc<Self> {
        Rc::new(Self {
            fd,
            key: Cell::new(UNREGISTERED),
            readable: Cell::new(true),
            writable: Cell::new(true),
            hangup: Cell::new(false),
            dirty: Cell::new(false),
            lingering: Cell::new(false),
            both,
            reader: Cell::new(None),
            writer: Cell::new(None),
            output: RefCell::default(),
        })
    }

    /// Somebody may wait to write.
    pub(crate) fn has_writers(&self) -> bool {
        self.both
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(crate) fn key(&self) -> Option<u32> {
        Some(self.key.get()).filter(|key| *key != UNREGISTERED)
    }

    fn flag(&self, direction: Direction) -> &Cell<bool> {
        match direction {
            Direction::Read => &self.readable,
            Direction::Write => &self.writable,
        }
    }

    fn slot(&self, direction: Direction) -> &Cell<Option<Waker>> {
        match direction {
            Direction::Read => &self.reader,
            Direction::Write => &self.writer,
        }
    }

    /// Whether a call in this direction is worth trying.
    pub(crate) fn is_ready(&self, direction: Direction) -> bool {
        self.flag(direction).get()
    }

    /// The kernel moved fewer bytes than asked: its queue is empty (or full), and an edge will tell of more.
    pub(crate) fn came_short(&self, direction: Direction) {
        if !self.hangup.get() && self.key().is_some() {
            self.flag(direction).set(false);
        }
    }

    /// The kernel said that the call would block.
    pub(crate) fn would_block(self: &Rc<Self>, reactor: &Reactor, direction: Direction) -> io::Result<()> {
        self.flag(direction).set(false);
        // Had the other end really gone, the call would not block.
        self.hangup.set(false);
        if self.key().is_none() {
            // An edge reports the state at the time of adding, so nothing is lost in between.
            self.key.set(reactor.add(self)?);
        }
        Ok(())
    }

    /// Keeps `waker` for the next edge in this direction, in place of another.
    pub(crate) fn wait(&self, direction: Direction, waker: &Waker) {
        let slot = self.slot(direction);
        let kept = match slot.take() {
            Some(kept) if kept.will_wake(waker) => kept,
            _ => waker.clone(),
        };
        slot.set(Some(kept));
    }

    /// Forgets the waker of this direction.
    pub(crate) fn forget(&self, direction: Direction) {
        drop(self.slot(direction).take());
    }

    /// Tries `call` until it does not block, waiting for edges in between.
    pub(crate) fn poll_io<R>(
        self: &Rc<Self>,
        reactor: &Reactor,
        cx: &mut Context<'_>,
        direction: Direction,
        mut call: impl FnMut(BorrowedFd<'_>) -> Result<R, Errno>,
    ) -> Poll<io::Result<R>> {
        loop {
            if !self.is_ready(direction) {
                self.wait(direction, cx.waker());
                return Poll::Pending;
            }
            match call(self.fd()) {
                Ok(value) => return Poll::Ready(Ok(value)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.would_block(reactor, direction)?,
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// An edge: sets what became ready and returns the tasks to wake.
    pub(crate) fn edge(
        self: &Rc<Self>,
        reactor: &Reactor,
        ready: crate::poller::Ready,
    ) -> [Option<Waker>; 2] {
        self.hangup.set(self.hangup.get() | ready.hangup);
        let mut woken = [None, None];
        if ready.readable {
            self.readable.set(true);
            woken[0] = self.reader.take();
        }
        if ready.writable {
            self.writable.set(true);
            if !self.output.borrow().is_empty() {
                self.mark_dirty(reactor);
            }
            woken[1] = self.writer.take();
        }
        woken
    }

    fn mark_dirty(self: &Rc<Self>, reactor: &Reactor) {
        if !self.dirty.replace(true) {
            reactor.push_dirty(self.clone());
        }
    }

    /// Writes `bytes`, or some of them: small ones are held until the end of the turn, so that a head
    /// and its body leave in one system call and one segment.
    pub(crate) fn poll_write(
        self: &Rc<Self>,
        reactor: &Reactor,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            {
                let mut output = self.output.borrow_mut();
                if let Some(error) = output.error.take() {
                    return Poll::Ready(Err(error));
                }
                if output.fixed.is_empty() && output.held.len() + bytes.len() <= HELD {
                    if output.held.capacity() == 0 {
                        output.held = reactor.take_buffer();
                    }
                    output.held.extend_from_slice(bytes);
                    drop(output);
                    self.mark_dirty(reactor);
                    return Poll::Ready(Ok(bytes.len()));
                }
            }
            if !self.is_ready(Direction::Write) {
                self.wait(Direction::Write, cx.waker());
                return Poll::Pending;
            }
            match self.send(reactor, bytes) {
                Ok(0) => {}
                Ok(count) => return Poll::Ready(Ok(count)),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Queues bytes that never change, by reference.
    pub(crate) fn poll_write_static(
        self: &Rc<Self>,
        reactor: &Reactor,
        cx: &mut Context<'_>,
        bytes: &'static [u8],
    ) -> Poll<io::Result<usize>> {
        if bytes.len() <= 512 {
            return self.poll_write(reactor, cx, bytes);
        }
        loop {
            {
                let mut output = self.output.borrow_mut();
                if let Some(error) = output.error.take() {
                    return Poll::Ready(Err(error));
                }
                if output.fixed.is_empty() {
                    output.fixed = bytes;
                    drop(output);
                    self.mark_dirty(reactor);
                    return Poll::Ready(Ok(bytes.len()));
                }
            }
            if !self.is_ready(Direction::Write) {
                self.wait(Direction::Write, cx.waker());
                return Poll::Pending;
            }
            self.send(reactor, &[])?;
        }
    }

    /// Everything written is with the kernel.
    pub(crate) fn poll_flush(
        self: &Rc<Self>,
        reactor: &Reactor,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            {
                let mut output = self.output.borrow_mut();
                if let Some(error) = output.error.take() {
                    return Poll::Ready(Err(error));
                }
                if output.is_empty() {
                    return Poll::Ready(Ok(()));
                }
            }
            if !self.is_ready(Direction::Write) {
                self.wait(Direction::Write, cx.waker());
                return Poll::Pending;
            }
            self.send(reactor, &[])?;
        }
    }

    /// The end of the turn: what is held goes out. A failure is kept for the next call of the stream.
    pub(crate) fn end_of_turn(self: &Rc<Self>, reactor: &Reactor) {
        self.dirty.set(false);
        while !self.output.borrow().is_empty() && self.is_ready(Direction::Write) {
            if let Err(error) = self.send(reactor, &[]) {
                self.output.borrow_mut().error = Some(error);
                for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
                    waker.wake();
                }
            }
        }
    }

    /// The stream is gone and only its peer's end is awaited.
    pub(crate) fn is_lingering(&self) -> bool {
        self.lingering.get()
    }

    /// Reads and discards what the peer still sends; false when there will be no more, or too much.
    pub(crate) fn swallow(self: &Rc<Self>, reactor: &Reactor) -> bool {
        self.lingering.set(true);
        reactor.with_scratch(|scratch| {
            for _ in 0..16 {
                if !self.is_ready(Direction::Read) {
                    return true;
                }
                match rustix::net::recv(&self.fd, &mut *scratch, RecvFlags::empty()) {
                    Ok((0, _)) => return false,
                    Ok((count, _)) if count < scratch.len() => self.came_short(Direction::Read),
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) if self.would_block(reactor, Direction::Read).is_ok() => return true,
                    Err(_) => return false,
                }
            }
            false
        })
    }

    /// Discards what was written and is not yet with the kernel.
    pub(crate) fn discard_output(&self, reactor: &Reactor) {
        let output = self.output.take();
        reactor.give_buffer(output.held);
    }

    /// One system call for what is held and as much of `more` as fits; returns how much of `more` went.
    fn send(self: &Rc<Self>, reactor: &Reactor, more: &[u8]) -> io::Result<usize> {
        let mut output = self.output.borrow_mut();
        let before = output.len();
        let parts = [&output.held[output.sent..], output.fixed, more];
        #[cfg(target_os = "linux")]
        let flags = SendFlags::NOSIGNAL;
        #[cfg(not(target_os = "linux"))]
        let flags = SendFlags::empty();
        let result = match parts {
            [one, [], []] | [[], one, []] | [[], [], one] => rustix::net::send(&self.fd, one, flags),
            parts => {
                let slices = parts.map(IoSlice::new);
                rustix::net::sendmsg(&self.fd, &slices, &mut SendAncillaryBuffer::default(), flags)
            }
        };
        match result {
            Ok(count) => {
                output.advance(count.min(before));
                if count < before + more.len() {
                    self.came_short(Direction::Write);
                } else if output.held.capacity() > 0 {
                    reactor.give_buffer(std::mem::take(&mut output.held));
                }
                Ok(count.saturating_sub(before))
            }
            Err(Errno::INTR) => Ok(0),
            Err(Errno::AGAIN) => {
                drop(output);
                self.would_block(reactor, Direction::Write)?;
                Ok(0)
            }
            Err(error) => {
                *output = Output::default();
                Err(error.into())
            }
        }
    }
}
