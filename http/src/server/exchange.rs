//! One request and its answer, as a handler sees them.
//!
//! A handler does no I/O: it works on the connection's buffers and, when they run empty or full, leaves a
//! [`Demand`] and waits. The connection's own future carries the demand out and polls the handler again. So
//! handlers
//! are compiled once, not once for each kind of stream, and a small answer costs no wait at all.
use crate::{
    Error, Refusal,
    input::Input,
    server::{
        connection::{Connection, Content, Delimiter, Framing},
        response::Response,
    },
    wire::{Output, RequestHead, Status},
};
use airglow_device::Instant;
use core::{
    cell::{Cell, RefCell, RefMut},
    future::poll_fn,
    net::SocketAddr,
    task::{Poll, Waker},
    time::Duration,
};

/// What a handler waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// More input.
    Read,
    /// All output written.
    Flush,
    /// All output written and then these octets.
    Static(&'static [u8]),
}

/// What the connection and the handler share, in turns: the handler while it is polled or awaits a store,
/// the connection while
/// it carries out a demand.
pub(crate) struct Shared<'b> {
    pub connection: &'b mut Connection,
    pub input: Input<'b>,
    pub output: Output<'b>,
    /// The peer has closed its direction.
    pub input_ended: bool,
    /// Counted for the log: octets of content sent or about to be.
    pub sent: u64,
}

/// Where the two meet.
pub(crate) struct Port<'b> {
    pub shared: RefCell<Shared<'b>>,
    pub demand: Cell<Option<Demand>>,
    pub waker: Cell<Option<Waker>>,
    /// The answer's status once its head is written.
    pub status: Cell<Option<Status>>,
    /// Where the answer's head begins in the output.
    pub whole: Cell<bool>,
}

impl<'b> Port<'b> {
    pub fn new(shared: Shared<'b>) -> Self {
        Self {
            shared: RefCell::new(shared),
            demand: Cell::new(None),
            waker: Cell::new(None),
            status: Cell::new(None),
            whole: Cell::new(false),
        }
    }

    /// The shared state. It is only ever taken when a handler has leaked a future of this library's.
    pub fn shared(&self) -> Result<RefMut<'_, Shared<'b>>, Error> {
        self.shared.try_borrow_mut().map_err(|_| Error::Misuse("a future of the exchange was leaked"))
    }

    /// Leaves a demand and waits until it is carried out. A failure ends the connection and drops the
    /// handler's future, so that there is nothing to return here.
    pub async fn ask(&self, demand: Demand) {
        self.demand.set(Some(demand));
        self.settled().await;
    }

    /// Sends the rest of an answer from where it lies, after all that is in the output.
    pub async fn send_static(&self, rest: &'static [u8]) -> Result<(), Error> {
        if !rest.is_empty() {
            self.ask(Demand::Static(rest)).await;
        }
        self.whole.set(true);
        Ok(())
    }

    /// Waits for a demand that an abandoned future may have left.
    pub async fn settled(&self) {
        poll_fn(|cx| {
            if self.demand.get().is_none() {
                return Poll::Ready(());
            }
            self.waker.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

/// A request and the means to answer it.
///
/// A handler reads what it wants of the content, then calls [`respond`](Self::respond) once. Content that
/// it leaves is dropped, or the
/// connection closed when there is too much of it. Without an answer, the server says 500.
pub struct Exchange<'x> {
    pub(crate) head: RequestHead<'x>,
    pub(crate) port: &'x Port<'x>,
    pub(crate) date: &'x [u8],
    pub(crate) now: Instant,
    pub(crate) unix_now: Option<Duration>,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) pattern: &'x str,
}

impl<'x> Exchange<'x> {
    /// The request's head.
    pub fn head(&self) -> &RequestHead<'x> {
        &self.head
    }
    /// Who asks.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }
    /// When the request's head was complete.
    pub fn received_at(&self) -> Instant {
        self.now
    }
    /// The time of day when the request's head was complete, if the server has a clock.
    pub fn unix_time(&self) -> Option<Duration> {
        self.unix_now
    }
    /// What stands in the path where the route's pattern has `{name}`, still percent-encoded.
    pub fn parameter(&self, name: &str) -> Option<&'x str> {
        crate::router::parameter(self.pattern, self.head.path, name)
    }

    /// Reads some of the request's content into `buf`: how many octets, 0 at its end (or for an empty
    /// `buf`). A client that
    /// waits for it is told to go on first.
    pub async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.port.settled().await;
        loop {
            {
                let shared = &mut *self.port.shared()?;
                if shared.connection.content_is_complete() {
                    return Ok(0);
                }
                let available = shared.input.bytes();
                // Only what fits is shown, so that nothing is used up that cannot be handed on.
                let content = if available.is_empty() {
                    Content::Incomplete(0)
                } else {
                    shared.connection.content_up_to(available, buf.len())?
                };
                match content {
                    Content::Data(decoded) => {
                        let data = available.get(decoded.skip..decoded.skip + decoded.data).unwrap_or(&[]);
                        if let Some(place) = buf.get_mut(..data.len()) {
                            place.copy_from_slice(data);
                        }
                        shared.input.consume(decoded.skip + decoded.data);
                        return Ok(decoded.data);
                    }
                    Content::End(used) => {
                        shared.input.consume(used);
                        return Ok(0);
                    }
                    Content::Incomplete(used) => shared.input.consume(used),
                }
                if shared.input_ended {
                    return Err(Refusal::Truncated.into());
                }
                if self.port.status.get().is_none() && shared.connection.take_continue() {
                    shared.output.put(b"HTTP/1.1 100 Continue\r\n\r\n");
                }
            }
            let flushed = self.port.shared()?.output.is_empty();
            if !flushed {
                self.port.ask(Demand::Flush).await;
            }
            self.port.ask(Demand::Read).await;
        }
    }

    /// Reads the whole content into `buf` and returns its length. Content that does not fit is refused with
    /// 413, from its
    /// announced length if it has one.
    pub async fn read_all(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        if self.head.content_length().is_some_and(|length| length > buf.len() as u64) {
            return Err(Refusal::ContentTooLarge.into());
        }
        let mut len = 0;
        loop {
            let room = buf.get_mut(len..).unwrap_or(&mut []);
            if room.is_empty() {
                return match self.read(&mut [0]).await? {
                    0 => Ok(len),
                    _ => Err(Refusal::ContentTooLarge.into()),
                };
            }
            match self.read(room).await? {
                0 => return Ok(len),
                n => len += n,
            }
        }
    }

    /// Begins the answer. At the end of the chain one of [`Response`]'s sending functions must be awaited.
    pub fn respond(&mut self, status: Status) -> Response<'_, 'x> {
        Response::begin(self, status)
    }
}

/// Writes the fields that delimit an answer, and the empty line.
pub(crate) fn put_framing(output: &mut Output<'_>, framing: &Framing) {
    match framing.delimiter {
        Delimiter::Length(length) => output.put_number_field("Content-Length", length),
        Delimiter::Chunked => output.put(b"Transfer-Encoding: chunked\r\n"),
        Delimiter::Bodyless | Delimiter::Close => {}
    }
    if let Some(value) = framing.connection {
        output.put_field("Connection", value.as_bytes());
    }
    output.put(b"\r\n");
}
