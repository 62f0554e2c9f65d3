//! The accept loop, with and without an allocator: `cargo test --no-default-features` runs the other one.
use crate::count::Count;
use airglow_device::{Clock, ErrorKind, ErrorType, Instant, Listener, ManualClock, Read, Stream, Write};
use airglow_runtime::for_each_connection;
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    convert::Infallible,
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

/// A listener whose backlog the test fills; connections carry nothing but their number.
#[derive(Default)]
struct Backlog {
    waiting: RefCell<VecDeque<usize>>,
    wakers: RefCell<Vec<Waker>>,
    failures: Cell<usize>,
    accepts: Cell<usize>,
    open: Cell<usize>,
}

impl Backlog {
    fn connect(&self, number: usize) {
        self.waiting.borrow_mut().push_back(number);
        let waker = self.wakers.borrow_mut().pop();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

struct Connection<'a>(usize, &'a Backlog);
impl Drop for Connection<'_> {
    fn drop(&mut self) {
        self.1.open.set(self.1.open.get() - 1);
    }
}
impl ErrorType for Connection<'_> {
    type Error = ErrorKind;
}
impl Read for Connection<'_> {
    async fn read(&mut self, _: &mut [u8]) -> Result<usize, ErrorKind> {
        Ok(0)
    }
}
impl Write for Connection<'_> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, ErrorKind> {
        Ok(buf.len())
    }
    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}
impl Stream for Connection<'_> {
    async fn read_with<R>(&mut self, mut f: impl FnMut(&mut [u8]) -> (usize, R)) -> Result<R, ErrorKind> {
        Ok(f(&mut []).1)
    }
    async fn close(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

impl Listener for Backlog {
    type Error = ErrorKind;
    type Stream<'a> = Connection<'a>;
    async fn accept(&self) -> Result<Connection<'_>, ErrorKind> {
        poll_fn(|cx| {
            self.accepts.set(self.accepts.get() + 1);
            if self.failures.get() > 0 {
                self.failures.set(self.failures.get() - 1);
                return Poll::Ready(Err(ErrorKind::OutOfMemory));
            }
            match self.waiting.borrow_mut().pop_front() {
                Some(number) => {
                    self.open.set(self.open.get() + 1);
                    Poll::Ready(Ok(Connection(number, self)))
                }
                None => {
                    self.wakers.borrow_mut().push(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

/// Polls `server` until it has nothing more to do.
fn settle(server: std::pin::Pin<&mut impl Future<Output = Infallible>>, count: &Arc<Count>) {
    let waker = Waker::from(count.clone());
    let mut server = server;
    for _ in 0..1000 {
        count.take();
        assert!(server.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        if count.get() == 0 {
            return;
        }
    }
    panic!("a busy loop");
}

#[test]
fn at_most_n_connections_and_only_the_woken_are_polled() {
    let (backlog, clock, count) = (Backlog::default(), ManualClock::new(), Arc::new(Count::default()));
    let ends: [Cell<Option<Waker>>; 20] = Default::default();
    let polls: [Cell<usize>; 20] = Default::default();
    let over: [Cell<bool>; 20] = Default::default();
    let mut server = pin!(for_each_connection::<4, _>(&backlog, &clock, async |connection| {
        let number = connection.0;
        poll_fn(|cx| {
            polls[number].set(polls[number].get() + 1);
            ends[number].set(Some(cx.waker().clone()));
            if over[number].get() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }));
    (0..10).for_each(|number| backlog.connect(number));
    settle(server.as_mut(), &count);
    assert_eq!(
        (backlog.open.get(), backlog.waiting.borrow().len()),
        (4, 6),
        "the others wait in the backlog"
    );
    for number in 0..10 {
        over[number].set(true);
        ends[number].take().unwrap().wake();
        assert_eq!(count.get(), 1);
        settle(server.as_mut(), &count);
        assert_eq!(backlog.open.get(), 4.min(9 - number), "the next one takes its place");
        assert_eq!(polls[number].get(), 2);
    }
    let accepts = backlog.accepts.get();
    backlog.connect(10);
    settle(server.as_mut(), &count);
    let asked = backlog.accepts.get();
    assert!(asked - accepts <= 3, "a connection costs {} looks at the listener", asked - accepts);
    for _ in 0..3 {
        ends[10].take().unwrap().wake();
        settle(server.as_mut(), &count);
    }
    assert_eq!((polls[10].get(), backlog.accepts.get()), (4, asked), "traffic asks the listener nothing");
}

#[test]
fn a_failing_accept_pauses_and_never_ends_the_server() {
    let (backlog, clock, count) = (Backlog::default(), ManualClock::new(), Arc::new(Count::default()));
    let served = Cell::new(0);
    let mut server =
        pin!(for_each_connection::<1, _>(&backlog, &clock, async |_| served.set(served.get() + 1)));
    backlog.failures.set(12);
    backlog.connect(0);
    let mut pauses = Vec::new();
    settle(server.as_mut(), &count);
    while served.get() == 0 {
        let before = clock.now();
        assert!(clock.advance_to_next());
        pauses.push(clock.now().since(before));
        settle(server.as_mut(), &count);
    }
    assert_eq!(pauses.len(), 12);
    assert_eq!(pauses[..3], [10, 20, 40].map(Duration::from_millis));
    assert_eq!(pauses[11], Duration::from_secs(1));
    // A success starts anew.
    backlog.failures.set(1);
    backlog.connect(1);
    settle(server.as_mut(), &count);
    let before = clock.now();
    assert_eq!(clock.next_deadline(), Some(before + Duration::from_millis(10)));
    clock.advance_to(Instant::MAX);
    settle(server.as_mut(), &count);
    assert_eq!(served.get(), 2);
}

#[test]
fn a_server_that_is_dropped_ends_its_connections() {
    let (backlog, clock, count) = (Backlog::default(), ManualClock::new(), Arc::new(Count::default()));
    {
        let mut server = pin!(for_each_connection::<8, _>(&backlog, &clock, async |_connection| {
            std::future::pending::<()>().await;
        }));
        (0..5).for_each(|number| backlog.connect(number));
        settle(server.as_mut(), &count);
        assert_eq!(backlog.open.get(), 5);
    }
    assert_eq!(backlog.open.get(), 0);
}
