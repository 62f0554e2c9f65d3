//! Several tasks that wait for the same socket to become readable.
use crate::{
    reactor::Reactor,
    source::{Direction, Source},
};
use rustix::io::Errno;
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::poll_fn,
    io,
    os::fd::BorrowedFd,
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// A socket whose readers queue: an edge wakes the first, which wakes the next when it has got something,
/// or when it gives up. So a wake-up is never lost with a dropped future, and none is wasted on a crowd.
pub(super) struct Shared {
    reactor: Reactor,
    source: Rc<Source>,
    // First come, first served; only the first one's waker is with the source.
    queue: RefCell<VecDeque<(u64, Waker)>>,
    tickets: Cell<u64>,
}

impl Shared {
    pub(super) fn new(reactor: Reactor, source: Rc<Source>) -> Self {
        Self { reactor, source, queue: RefCell::default(), tickets: Cell::new(0) }
    }

    pub(super) fn reactor(&self) -> &Reactor {
        &self.reactor
    }

    pub(super) fn source(&self) -> &Rc<Source> {
        &self.source
    }

    /// Tries `call` until it does not block. Cancel-safe: `call` is either done and returned, or not done.
    pub(super) async fn read<R>(
        &self,
        mut call: impl FnMut(BorrowedFd<'_>) -> Result<R, Errno>,
    ) -> io::Result<R> {
        let ticket = self.tickets.get();
        self.tickets.set(ticket + 1);
        let waiting = Waiting { shared: self, ticket };
        poll_fn(|cx| waiting.poll(cx, &mut call)).await
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.reactor.remove(&self.source);
    }
}

struct Waiting<'a> {
    shared: &'a Shared,
    ticket: u64,
}

impl Waiting<'_> {
    fn poll<R>(
        &self,
        cx: &mut Context<'_>,
        call: &mut impl FnMut(BorrowedFd<'_>) -> Result<R, Errno>,
    ) -> Poll<io::Result<R>> {
        let source = &self.shared.source;
        while source.is_ready(Direction::Read) {
            match call(source.fd()) {
                Ok(value) => return Poll::Ready(Ok(value)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => source.would_block(&self.shared.reactor, Direction::Read)?,
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
        let mut queue = self.shared.queue.borrow_mut();
        match queue.iter_mut().find(|(ticket, _)| *ticket == self.ticket) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => queue.push_back((self.ticket, cx.waker().clone())),
        }
        self.shared.arm(&queue);
        Poll::Pending
    }
}

impl Shared {
    /// The first in the queue is the one that the next edge wakes.
    fn arm(&self, queue: &VecDeque<(u64, Waker)>) {
        match queue.front() {
            Some((_, first)) => self.source.wait(Direction::Read, first),
            None => self.source.forget(Direction::Read),
        }
    }
}

impl Drop for Waiting<'_> {
    // Done, failed or dropped: out of the queue, and what is left to read is for the next one.
    fn drop(&mut self) {
        let mut queue = self.shared.queue.borrow_mut();
        queue.retain(|(ticket, _)| *ticket != self.ticket);
        self.shared.arm(&queue);
        let next =
            queue.front().filter(|_| self.shared.source.is_ready(Direction::Read)).map(|(_, w)| w.clone());
        drop(queue);
        if let Some(next) = next {
            next.wake();
        }
    }
}
