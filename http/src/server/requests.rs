//! Requests one after the other over one connection, until there is none to be read.
use crate::{
    Error, Refusal,
    deadline::{TimedOut, Transfer, before},
    input::Input,
    server::{
        Access, Handler, Server,
        buffers::Buffers,
        connection::{Between, Connection},
        exchange::{Demand, Exchange, Port, Shared, put_framing},
        shell::{Ending, Now},
        statistics::add,
    },
    wire::{Method, Output, Status},
};
use airglow_device::{Stream, Timer};
use core::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

impl<const HEAD: usize, const OUT: usize> Server<'_, HEAD, OUT> {
    /// Serves requests, of which `received` octets are in the head buffer, until nothing is left of what was
    /// received.
    ///
    /// What lives across an `await` is part of every connection's memory, and every `await` is code: hence one place that
    /// refuses, one that writes ahead of a head, one that writes behind an answer.
    #[allow(clippy::await_holding_refcell_ref)] // Nobody else is polled meanwhile.
    pub(super) async fn requests<S: Stream, H: Handler>(
        &self,
        stream: &mut S,
        handler: &H,
        timer: &dyn Timer,
        between: &mut Between,
        buffers: &mut Buffers<HEAD, OUT>,
        received: usize,
    ) -> Ending {
        let connection = &mut Connection::after(*between, self.limits);
        let Buffers { head: buf, out } = buffers;
        let mut out_len = 0;
        let mut held = Held { start: 0, end: received };
        let refusal = 'refused: loop {
            // 1. A whole head.
            let length = loop {
                let found = held.look_for_head(connection, buf);
                // Room for an answer's head is made before it is begun, so that a head is never torn.
                if out_len > if found.is_none() { 0 } else { OUT / 2 } {
                    let octets = out.get(..out_len).unwrap_or(&[]);
                    if self.write_all(stream, timer, &mut Pace::default(), octets).await.is_err() {
                        return Ending::Abort;
                    }
                    out_len = 0;
                }
                match found {
                    Some(Ok(length)) => break length,
                    Some(Err(refusal)) => break 'refused refusal,
                    None if held.start == held.end => {
                        *between = connection.between();
                        return Ending::Idle;
                    }
                    None => {}
                }
                let room = buf.get_mut(held.end..).unwrap_or(&mut []);
                match self.read(stream, timer, connection, room).await {
                    Ok(0) => {
                        let octets = buf.get(held.start..held.end).unwrap_or(&[]);
                        break 'refused connection.head_truncated(octets);
                    }
                    Ok(n) => held.end = (held.end + n).min(HEAD),
                    Err(Error::Refused(refusal)) => break 'refused refusal,
                    Err(_) => return Ending::Abort,
                }
            };
            // 2. The head's octets stay where they are while the rest of the buffer takes the content.
            let front = held.start + length;
            let (octets, rest) = buf.split_at_mut(front.min(HEAD));
            let head = match connection.begin(octets.get(held.start..).unwrap_or(&[])) {
                Ok(_) if !connection.content_is_complete() && rest.len() < LEAST_INPUT => {
                    break 'refused Refusal::HeadTooLarge;
                }
                Ok(head) => head,
                Err(refusal) => break 'refused refusal,
            };
            // 3. The handler's turn and the stream's, one after the other.
            let received_at = timer.now();
            let Now { line, len, unix, .. } = self.now(received_at);
            let port = Port::new(Shared {
                connection: &mut *connection,
                input: Input { buf: rest, start: 0, end: held.end.saturating_sub(front) },
                output: Output::resume(&mut *out, out_len),
                input_ended: false,
                sent: 0,
            });
            let mut exchange = Exchange {
                head,
                port: &port,
                date: line.get(..len).unwrap_or(&[]),
                now: received_at,
                unix_now: unix,
                peer: stream.peer(),
                pattern: "",
            };
            let mut pace = Pace::default();
            let result = {
                let mut handling = pin!(handler.handle(&mut exchange));
                loop {
                    match turn(handling.as_mut(), &port).await {
                        Turn::Done(result) => break result,
                        Turn::Demand(demand) => {
                            if let Err(error) = self.carry_out(stream, timer, &port, demand, &mut pace).await
                            {
                                break Err(error);
                            }
                            port.demand.set(None);
                            if let Some(waker) = port.waker.take() {
                                waker.wake();
                            }
                        }
                    }
                }
            };
            // 4. What the handler has left undone.
            // That fails when a handler has leaked a future of this library's in mid-flight.
            let Ok(mut shared) = port.shared.try_borrow_mut() else { return Ending::Abort };
            let shared = &mut *shared;
            let status = match (port.status.get(), result) {
                (Some(status), _) if port.whole.get() => status,
                (Some(status), _) => {
                    self.report(status, &exchange, shared.sent, timer);
                    return Ending::Abort;
                }
                (None, Err(Error::Disconnected)) => return Ending::Abort,
                (None, Err(Error::Refused(refusal))) => {
                    out_len = shared.output.len();
                    break 'refused refusal;
                }
                (None, _) => {
                    shared.connection.give_up();
                    let status = Status::INTERNAL_SERVER_ERROR;
                    let text = "the server could not answer this";
                    put_message(&mut shared.output, shared.connection, status, text, exchange.date);
                    status
                }
            };
            self.report(status, &exchange, shared.sent, timer);
            // 5. Unread content is dropped, if it is little; else the connection ends.
            let mut discard = self.limits.discard;
            let mut complete = shared.connection.content_is_complete();
            let mut broken = !complete && !shared.connection.discards(discard);
            loop {
                let done = broken || complete;
                if done && shared.connection.finish() && !broken && !shared.input_ended {
                    break;
                }
                if self.write_all(stream, timer, &mut pace, shared.output.bytes()).await.is_err() {
                    return Ending::Abort;
                }
                if done {
                    let more = shared.input.end > shared.input.start;
                    return if broken || more { Ending::Linger } else { Ending::Close };
                }
                shared.output.truncate(0);
                match shared.connection.discard(&mut shared.input, &mut discard) {
                    Ok(true) => complete = true,
                    Ok(false) if !shared.input_ended => {
                        shared.input_ended =
                            self.receive(stream, timer, shared.connection, &mut shared.input).await.is_err();
                        broken = shared.input_ended;
                    }
                    _ => broken = true,
                }
            }
            out_len = shared.output.len();
            held = Held { start: front + shared.input.start, end: front + shared.input.end };
            if held.start == held.end {
                held = Held { start: 0, end: 0 };
            }
        };
        self.refuse(stream, timer, &mut Output::resume(out, out_len), refusal).await
    }

    /// Reads once, for as long as the connection's state allows: how many octets, 0 at the end of the stream.
    async fn read<S: Stream>(
        &self,
        stream: &mut S,
        timer: &dyn Timer,
        connection: &mut Connection,
        room: &mut [u8],
    ) -> Result<usize, Error> {
        let receiving = pin!(stream.read(room));
        match before(timer, &mut |now| connection.deadline(now, true), receiving).await {
            Ok((Ok(n), waited)) => {
                if waited.is_some() {
                    connection.resumed(timer.now());
                }
                add(&self.counters.octets_in, n as u64);
                Ok(n)
            }
            Ok((Err(_), _)) => Err(Error::Disconnected),
            Err(TimedOut) => Err(connection.timed_out().unwrap_or(Refusal::HeadTimeout).into()),
        }
    }

    /// Reads content once; `Err` at the end of the stream or when it fails.
    async fn receive<S: Stream>(
        &self,
        stream: &mut S,
        timer: &dyn Timer,
        connection: &mut Connection,
        input: &mut Input<'_>,
    ) -> Result<(), Error> {
        let n = self.read(stream, timer, connection, input.room()).await?;
        input.end = (input.end + n).min(input.buf.len());
        if n == 0 { Err(Refusal::Truncated.into()) } else { Ok(()) }
    }

    #[allow(clippy::await_holding_refcell_ref)] // see below
    async fn carry_out<S: Stream>(
        &self,
        stream: &mut S,
        timer: &dyn Timer,
        port: &Port<'_>,
        demand: Demand,
        pace: &mut Pace,
    ) -> Result<(), Error> {
        // Handlers are not polled while this is held, and hold it themselves only while there is no demand.
        let mut shared = port.shared()?;
        let shared = &mut *shared;
        if demand == Demand::Read {
            return match self.receive(stream, timer, shared.connection, &mut shared.input).await {
                Err(Error::Refused(Refusal::Truncated)) => {
                    shared.input_ended = true;
                    Ok(())
                }
                other => other,
            };
        }
        self.write_all(stream, timer, pace, shared.output.bytes()).await?;
        shared.output.truncate(0);
        if let Demand::Static(mut content) = demand {
            while !content.is_empty() {
                let n = self.write(timer, pace, pin!(stream.write_static(content))).await?;
                content = content.get(n..).unwrap_or(&[]);
            }
        }
        Ok(())
    }

    async fn write_all<S: Stream>(
        &self,
        stream: &mut S,
        timer: &dyn Timer,
        pace: &mut Pace,
        mut bytes: &[u8],
    ) -> Result<(), Error> {
        while !bytes.is_empty() {
            let n = self.write(timer, pace, pin!(stream.write(bytes))).await?;
            bytes = bytes.get(n..).unwrap_or(&[]);
        }
        Ok(())
    }

    /// One write within the time that the limits allow.
    async fn write(
        &self,
        timer: &dyn Timer,
        pace: &mut Pace,
        write: Pin<&mut dyn Transfer>,
    ) -> Result<usize, Error> {
        let limits = &self.limits;
        let Pace { done, waited } = *pace;
        let mut until = |now| limits.transfer_deadline(now, waited, done, limits.write_timeout);
        match before(timer, &mut until, write).await {
            Ok((Ok(n @ 1..), since)) => {
                if let Some(since) = since {
                    pace.waited = pace.waited.saturating_add(timer.now().since(since));
                }
                pace.done = pace.done.saturating_add(n as u64);
                add(&self.counters.octets_out, n as u64);
                Ok(n)
            }
            Ok(_) => Err(Error::Disconnected),
            Err(TimedOut) => {
                self.counters.refusal(Refusal::WriteTimeout);
                Err(Refusal::WriteTimeout.into())
            }
        }
    }

    /// Says why and ends the connection.
    async fn refuse<S: Stream>(
        &self,
        stream: &mut S,
        timer: &dyn Timer,
        output: &mut Output<'_>,
        refusal: Refusal,
    ) -> Ending {
        self.counters.refusal(refusal);
        if refusal == Refusal::WriteTimeout {
            return Ending::Abort;
        }
        let mut pace = Pace::default();
        let mut said = false;
        loop {
            if self.write_all(stream, timer, &mut pace, output.bytes()).await.is_err() {
                return Ending::Abort;
            }
            if said {
                break;
            }
            said = true;
            output.truncate(0);
            let mut connection = Connection::new(self.limits);
            connection.give_up();
            let date = self.now(timer.now());
            let date = date.line.get(..date.len).unwrap_or(&[]);
            put_message(output, &mut connection, refusal.status(), refusal.text(), date);
        }
        let status = refusal.status();
        self.counters.response(status);
        if let Some(log) = self.log {
            let content = refusal.text().len() as u64;
            let (peer, method) = (stream.peer(), Method::Other);
            log(&Access { peer, method, path: "", status, content, duration: Duration::ZERO });
        }
        Ending::Linger
    }

    fn report(&self, status: Status, exchange: &Exchange<'_>, content: u64, timer: &dyn Timer) {
        self.counters.response(status);
        if let Some(log) = self.log {
            let Exchange { head, peer, .. } = exchange;
            let duration = timer.now().since(exchange.now);
            log(&Access { peer: *peer, method: head.method, path: head.path, status, content, duration });
        }
    }
}

/// Which octets of the head buffer were received and not yet used.
struct Held {
    start: usize,
    end: usize,
}

impl Held {
    /// The length of the whole head that is there, why there will be none, or `None`: there is room to receive more.
    fn look_for_head(
        &mut self,
        connection: &mut Connection,
        buf: &mut [u8],
    ) -> Option<Result<usize, Refusal>> {
        self.start += connection.empty_lines(buf.get(self.start..self.end).unwrap_or(&[]));
        let received = buf.get(self.start..self.end).unwrap_or(&[]);
        match connection.receive_head(received) {
            Ok(Some(length)) => return Some(Ok(length)),
            Ok(None) if received.len() == buf.len() => return Some(Err(connection.head_overflow(received))),
            Ok(None) => {}
            Err(refusal) => return Some(Err(refusal)),
        }
        if self.start == self.end {
            *self = Self { start: 0, end: 0 };
        } else if self.end == buf.len() {
            buf.copy_within(self.start..self.end, 0);
            *self = Self { start: 0, end: self.end - self.start };
        }
        None
    }
}

/// The least room for content behind a request's head.
const LEAST_INPUT: usize = 64;

/// How an answer's writing goes.
#[derive(Default)]
struct Pace {
    done: u64,
    waited: Duration,
}

enum Turn {
    Done(Result<(), Error>),
    Demand(Demand),
}

/// Polls the handler until it is done or demands something.
async fn turn(mut handling: Pin<&mut impl Future<Output = Result<(), Error>>>, port: &Port<'_>) -> Turn {
    poll_fn(|cx| match handling.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(Turn::Done(result)),
        Poll::Pending => match port.demand.get() {
            Some(demand) => Poll::Ready(Turn::Demand(demand)),
            None => Poll::Pending,
        },
    })
    .await
}

/// A short answer of the server's own.
fn put_message(
    output: &mut Output<'_>,
    connection: &mut Connection,
    status: Status,
    text: &str,
    date: &[u8],
) {
    output.put_status_line(status);
    output.put(date);
    output.put_field("Content-Type", b"text/plain; charset=utf-8");
    let framing = connection.respond(status, Some(text.len() as u64 + 1));
    put_framing(output, &framing);
    if !framing.suppressed {
        output.put(text.as_bytes());
        output.put(b"\n");
    }
}
