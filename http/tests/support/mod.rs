//! A stream in memory, a clock set by hand and a little site.
#![allow(dead_code)]
use airglow_device::{
    Clock, Entry, Error, ErrorKind, ErrorType, Instant, KeyValue, Read, Stream, Timer, WallClock, Write,
};
use core::{
    cell::Cell, cell::RefCell, convert::Infallible, future::Future, pin::pin, task::Context, task::Poll,
    task::Waker, time::Duration,
};
use std::{collections::VecDeque, rc::Rc};

/// One direction of a pipe.
#[derive(Default)]
pub struct Pipe {
    pub bytes: VecDeque<u8>,
    pub closed: bool,
    pub aborted: bool,
    /// At most this many octets wait; 0 for no bound.
    pub capacity: usize,
    /// At most this many octets are handed over at once; 0 for no bound.
    pub step: usize,
    pub writes: usize,
    waker: Option<Waker>,
}

pub type Half = Rc<RefCell<Pipe>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reset;
impl core::fmt::Display for Reset {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("reset")
    }
}
impl core::error::Error for Reset {}
impl Error for Reset {
    fn kind(&self) -> ErrorKind {
        ErrorKind::ConnectionReset
    }
}

/// One end of a pair of pipes.
pub struct End {
    pub incoming: Half,
    pub outgoing: Half,
}

pub fn duplex() -> (End, End) {
    let (a, b) = (Half::default(), Half::default());
    (End { incoming: a.clone(), outgoing: b.clone() }, End { incoming: b, outgoing: a })
}

impl ErrorType for End {
    type Error = Reset;
}
impl Read for End {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Reset> {
        core::future::poll_fn(|cx| {
            let mut pipe = self.incoming.borrow_mut();
            if pipe.aborted {
                return Poll::Ready(Err(Reset));
            }
            if pipe.bytes.is_empty() {
                if pipe.closed {
                    return Poll::Ready(Ok(0));
                }
                pipe.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let step = if pipe.step == 0 { usize::MAX } else { pipe.step };
            let n = pipe.bytes.len().min(buf.len()).min(step);
            for (place, byte) in buf.iter_mut().zip(pipe.bytes.drain(..n)) {
                *place = byte;
            }
            if let Some(waker) = pipe.waker.take() {
                waker.wake();
            }
            Poll::Ready(Ok(n))
        })
        .await
    }
}
impl Write for End {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Reset> {
        core::future::poll_fn(|cx| {
            let mut pipe = self.outgoing.borrow_mut();
            if pipe.aborted || pipe.closed {
                return Poll::Ready(Err(Reset));
            }
            let room = if pipe.capacity == 0 { usize::MAX } else { pipe.capacity - pipe.bytes.len() };
            if room == 0 {
                pipe.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let n = bytes.len().min(room);
            pipe.bytes.extend(&bytes[..n]);
            pipe.writes += 1;
            if let Some(waker) = pipe.waker.take() {
                waker.wake();
            }
            Poll::Ready(Ok(n))
        })
        .await
    }
    async fn flush(&mut self) -> Result<(), Reset> {
        Ok(())
    }
}
impl Stream for End {
    async fn read_with<R>(&mut self, mut f: impl FnMut(&mut [u8]) -> (usize, R)) -> Result<R, Reset> {
        core::future::poll_fn(|cx| {
            let mut pipe = self.incoming.borrow_mut();
            if pipe.aborted {
                return Poll::Ready(Err(Reset));
            }
            if pipe.bytes.is_empty() && !pipe.closed {
                pipe.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let step = if pipe.step == 0 { usize::MAX } else { pipe.step };
            let n = pipe.bytes.len().min(step);
            let (used, result) = f(&mut pipe.bytes.make_contiguous()[..n]);
            pipe.bytes.drain(..used);
            if let Some(waker) = pipe.waker.take() {
                waker.wake();
            }
            Poll::Ready(Ok(result))
        })
        .await
    }
    async fn close(&mut self) -> Result<(), Reset> {
        let mut pipe = self.outgoing.borrow_mut();
        pipe.closed = true;
        if let Some(waker) = pipe.waker.take() {
            waker.wake();
        }
        Ok(())
    }
}
impl Drop for End {
    fn drop(&mut self) {
        let mut pipe = self.outgoing.borrow_mut();
        if !pipe.closed {
            pipe.aborted = true;
        }
        if let Some(waker) = pipe.waker.take() {
            waker.wake();
        }
    }
}

/// Stands until it is moved.
#[derive(Default)]
pub struct HandClock {
    pub now: Cell<u64>,
    pub next: Cell<Option<Instant>>,
}
impl Clock for HandClock {
    fn now(&self) -> Instant {
        Instant::from_millis(self.now.get())
    }
}
impl Timer for HandClock {
    fn wake_at(&self, at: Instant, _: &Waker) {
        self.next.set(Some(self.next.get().map_or(at, |next| next.min(at))));
    }
}

/// Sun, 06 Nov 1994 08:49:37 GMT, for ever.
pub struct Sunday;
pub const SUNDAY: Duration = Duration::from_secs(784_111_777);
impl WallClock for Sunday {
    fn unix_now(&self) -> Option<Duration> {
        Some(SUNDAY)
    }
}

/// A store in memory; lends its values if told to.
pub struct Site {
    pub entries: &'static [(&'static str, &'static [u8])],
    pub lends: bool,
}

pub static PAGES: &[(&str, &[u8])] = &[
    ("a b.txt", b"space"),
    ("big.bin", &[b'x'; 100_000]),
    ("dir/index.html", b"<p>dir"),
    ("index.html", b"<h1>Hello</h1>"),
    ("page.html", b"<p>plain plain plain plain"),
    ("page.html.br", b"(brotli)"),
    ("page.html.gz", b"(gzip gzip)"),
    ("ten.txt", b"0123456789"),
];
/// 1994-11-01.
pub const MODIFIED: Duration = Duration::from_secs(783_648_000);

impl KeyValue for Site {
    type Error = Infallible;
    async fn entry(&self, key: &str) -> Result<Option<Entry>, Infallible> {
        let found = self.entries.iter().enumerate().find(|(_, (name, _))| *name == key);
        Ok(found.map(|(n, (_, value))| Entry::new(value.len() as u64).digest(n as u64).modified(MODIFIED)))
    }
    async fn read(&self, key: &str, offset: u64, buf: &mut [u8]) -> Result<usize, Infallible> {
        let value = self.entries.iter().find(|(name, _)| *name == key).map_or(&[][..], |(_, value)| value);
        let rest = &value[value.len().min(offset as usize)..];
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }
    fn lend(&self, key: &str) -> Option<&'static [u8]> {
        self.entries.iter().find(|(name, _)| self.lends && *name == key).map(|(_, value)| *value)
    }
    async fn list(&self, prefix: &str, mut each: impl FnMut(&str)) -> Result<(), Infallible> {
        self.entries.iter().filter(|(name, _)| name.starts_with(prefix)).for_each(|(name, _)| each(name));
        Ok(())
    }
}

/// Polls until nothing moves any more; moves the clock to the next timer when `run` says so.
pub fn drive<T>(clock: &HandClock, move_clock: bool, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..1_000_000 {
        clock.next.set(None);
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Some(output);
        }
        match clock.next.get() {
            Some(next) if move_clock => clock.now.set(next.as_millis()),
            _ => return None,
        }
    }
    panic!("it never comes to rest");
}
