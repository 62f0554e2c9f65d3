//! Requests one after the other over one connection, until there is none to be read.
use crate::{
    Error, Refusal,
    deadline::{TimedOut, before},
    input::Input,
    server::{
        Access, Handler, Server,
        buffers::Buffers,
        connection::Connection,
        exchange::{Demand, Exchange, Port, Shared, put_framing},
        shell::Ending,
        statistics::add,
    },
    wire::{Method, Output, Status},
};
use airglow_device::{Instant, Stream, Timer};
use core::{
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

impl<const HEAD: usize, const OUT: usize> Server<'_, HEAD, OUT> {
    /// Serves requests, of which `received` octets are in the head buffer, until nothing is left of what was
    /// received.
    pub(super) async fn requests<S: Stream, H: Handler>(
        &self,
        stream: &mut S,
        handler: &H,
        timer: &dyn Timer,
        state: &mut Connection,
        buffers: &mut Buffers<HEAD, OUT>,
        received: usize,
    ) -> Ending {
        let peer = stream.peer();
        let Buffers { head: buf, out } = buffers;
        let mut out_len = 0;
        let mut connection = *state;
        let (mut start, mut end) = (0, received);
        loop {
            // 1. A whole head.
            let found = loop {
                let received = buf.get(start..end).unwrap_or(&[]);
                start += connection.empty_lines(received);
                let received = buf.get(start..end).unwrap_or(&[]);
                match connection.receive_head(received) {
                    Ok(Some(length)) => break Ok(length),
                    Ok(None) if received.len() == HEAD => break Err(connection.head_overflow(received)),
                    Ok(None) => {}
                    Err(refusal) => break Err(refusal),
                }
                if start == end {
                    (start, end) = (0, 0);
                } else if end == HEAD {
                    buf.copy_within(start..end, 0);
                    (start, end) = (0, end - start);
                }
                if out_len > 0 {
                    let mut pace = Pace::default();
                    if self
                        .write_all(stream, timer, &mut pace, out.get(..out_len).unwrap_or(&[]))
                        .await
                        .is_err()
                    {
                        return Ending::Abort;
                    }
                    out_len = 0;
                }
                if start == end {
                    *state = connection;
                    return Ending::Idle;
                }
                let room = buf.get_mut(end..).unwrap_or(&mut []);
                match before(timer, |now| connection.deadline(now, true), stream.read(room)).await {
                    Ok((Ok(0), _)) => {
                        break Err(connection.head_truncated(buf.get(start..end).unwrap_or(&[])));
                    }
                    Ok((Ok(n), _)) => {
                        add(&self.counters.octets_in, n as u64);
                        end = (end + n).min(HEAD);
                    }
                    Ok((Err(_), _)) => return Ending::Abort,
                    Err(TimedOut) => break Err(connection.timed_out().unwrap_or(Refusal::HeadTimeout)),
                }
            };
            let received_at = timer.now();
            let date = self.now(received_at);
            let date_line = date.line.get(..date.len).unwrap_or(&[]);
            // Room for an answer's head is made before it is begun, so that a head is never torn.
            if out_len > OUT / 2 {
                let mut pace = Pace::default();
                if self.write_all(stream, timer, &mut pace, out.get(..out_len).unwrap_or(&[])).await.is_err()
                {
                    return Ending::Abort;
                }
                out_len = 0;
            }
            // 2. The head's octets stay where they are while the rest of the buffer takes the content.
            let begun = match found {
                Ok(length) => {
                    let (front, rest) = buf.split_at_mut((start + length).min(HEAD));
                    let head = front.get(start..).unwrap_or(&[]);
                    let end = end.saturating_sub(start + length);
                    connection
                        .begin(head)
                        .map(|head| (head, start + length, Input { buf: rest, start: 0, end }))
                }
                Err(refusal) => Err(refusal),
            };
            let (head, front, input) = match begun {
                Ok((head, _, input))
                    if !connection.content_is_complete() && input.buf.len() < LEAST_INPUT =>
                {
                    let _ = head;
                    let mut output = Output::resume(&mut *out, out_len);
                    return self
                        .refuse(stream, timer, &mut output, Refusal::HeadTooLarge, date_line, peer)
                        .await;
                }
                Ok(begun) => begun,
                Err(refusal) => {
                    let mut output = Output::resume(&mut *out, out_len);
                    return self.refuse(stream, timer, &mut output, refusal, date_line, peer).await;
                }
            };
            // 3. The handler's turn and the stream's, one after the other.
            let output = Output::resume(&mut *out, out_len);
            let port = Port::new(Shared { connection, input, output, input_ended: false, sent: 0 });
            let mut exchange = Exchange {
                head,
                port: &port,
                date: date_line,
                now: received_at,
                unix_now: date.unix,
                peer,
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
            let status = port.status.get();
            let whole = port.whole.get();
            let (mut input, mut output, mut input_ended, sent) = match port.shared.try_borrow_mut() {
                Ok(mut shared) => {
                    connection = shared.connection;
                    let output = core::mem::replace(&mut shared.output, Output::new(&mut []));
                    let input =
                        core::mem::replace(&mut shared.input, Input { buf: &mut [], start: 0, end: 0 });
                    (input, output, shared.input_ended, shared.sent)
                }
                // A handler has leaked a future of this library's in mid-flight.
                Err(_) => return Ending::Abort,
            };
            let refusal = match (status, result) {
                (Some(_), _) if whole => None,
                (Some(status), _) => {
                    self.report(status, head.method, head.path, sent, peer, received_at, timer);
                    return Ending::Abort;
                }
                (None, Err(Error::Disconnected)) => return Ending::Abort,
                (None, Err(Error::Refused(refusal))) => Some(refusal),
                (None, _) => None,
            };
            if let Some(refusal) = refusal {
                return self.refuse(stream, timer, &mut output, refusal, date_line, peer).await;
            }
            let status = match status {
                Some(status) => status,
                None => {
                    connection.give_up();
                    let status = Status::INTERNAL_SERVER_ERROR;
                    put_message(
                        &mut output,
                        &mut connection,
                        status,
                        "the server could not answer this",
                        date_line,
                    );
                    status
                }
            };
            self.report(status, head.method, head.path, sent, peer, received_at, timer);
            // 5. Unread content is dropped, if it is little; else the connection ends.
            let mut discard = self.limits.discard;
            let mut broken = !connection.content_is_complete() && !connection.discards(discard);
            while !broken && !connection.content_is_complete() {
                if self.write_all(stream, timer, &mut pace, output.bytes()).await.is_err() {
                    return Ending::Abort;
                }
                output.truncate(0);
                match connection.discard(&mut input, &mut discard) {
                    Ok(true) => break,
                    Ok(false) if !input_ended => {
                        input_ended = self.receive(stream, timer, &mut connection, &mut input).await.is_err();
                        broken = input_ended;
                    }
                    _ => broken = true,
                }
            }
            out_len = output.len();
            start = front + input.start;
            end = front + input.end;
            let peer_done = broken || input_ended;
            if !connection.finish() || peer_done {
                if self.write_all(stream, timer, &mut pace, output.bytes()).await.is_err() {
                    return Ending::Abort;
                }
                return if broken || end > start { Ending::Linger } else { Ending::Close };
            }
            if start == end {
                (start, end) = (0, 0);
            }
        }
    }

    /// Reads once; `Err` at the end of the stream or when it fails.
    async fn receive<S: Stream>(
        &self,
        stream: &mut S,
        timer: &dyn Timer,
        connection: &mut Connection,
        input: &mut Input<'_>,
    ) -> Result<(), Error> {
        match before(timer, |now| connection.deadline(now, true), stream.read(input.room())).await {
            Ok((Ok(n), waited)) => {
                if waited.is_some() {
                    connection.resumed(timer.now());
                }
                add(&self.counters.octets_in, n as u64);
                input.end = (input.end + n).min(input.buf.len());
                if n == 0 { Err(Refusal::Truncated.into()) } else { Ok(()) }
            }
            Ok((Err(_), _)) => Err(Error::Disconnected),
            Err(TimedOut) => Err(Refusal::BodyTimeout.into()),
        }
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
            return match self.receive(stream, timer, &mut shared.connection, &mut shared.input).await {
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
                let n = self.write(timer, pace, stream.write_static(content)).await?;
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
            let n = self.write(timer, pace, stream.write(bytes)).await?;
            bytes = bytes.get(n..).unwrap_or(&[]);
        }
        Ok(())
    }

    /// One write within the time that the limits allow.
    async fn write<E>(
        &self,
        timer: &dyn Timer,
        pace: &mut Pace,
        write: impl Future<Output = Result<usize, E>>,
    ) -> Result<usize, Error> {
        let limits = &self.limits;
        let until = |now| limits.transfer_deadline(now, pace.waited, pace.done, limits.write_timeout);
        match before(timer, until, write).await {
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
    #[allow(clippy::too_many_arguments)]
    async fn refuse<S: Stream>(
        &self,
        stream: &mut S,
        timer: &dyn Timer,
        output: &mut Output<'_>,
        refusal: Refusal,
        date: &[u8],
        peer: Option<SocketAddr>,
    ) -> Ending {
        self.counters.refusal(refusal);
        if refusal == Refusal::WriteTimeout {
            return Ending::Abort;
        }
        let mut pace = Pace::default();
        if self.write_all(stream, timer, &mut pace, output.bytes()).await.is_err() {
            return Ending::Abort;
        }
        output.truncate(0);
        let mut connection = Connection::new(self.limits);
        connection.give_up();
        put_message(output, &mut connection, refusal.status(), refusal.text(), date);
        if self.write_all(stream, timer, &mut pace, output.bytes()).await.is_err() {
            return Ending::Abort;
        }
        let now = timer.now();
        self.report(refusal.status(), Method::Other, "", refusal.text().len() as u64, peer, now, timer);
        Ending::Linger
    }

    #[allow(clippy::too_many_arguments)]
    fn report(
        &self,
        status: Status,
        method: Method,
        path: &str,
        content: u64,
        peer: Option<SocketAddr>,
        since: Instant,
        timer: &dyn Timer,
    ) {
        self.counters.response(status);
        if let Some(log) = self.log {
            log(&Access { peer, method, path, status, content, duration: timer.now().since(since) });
        }
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
