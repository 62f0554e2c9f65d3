//! The async shell: requests over a stream, answers from it.
use crate::{
    Error, Limits, Refusal,
    client::core::{Conversation, Request},
    deadline::{TimedOut, before},
    input::Input,
    server::Content,
    wire::{Output, ResponseHead},
};
use airglow_device::{Instant, Stream, Timer};
use core::{pin::pin, time::Duration};

/// A client on one connection, which it keeps for further requests as long as both sides like. `BUF` octets
/// hold the head of a
/// request and then that of its answer, at least 256.
///
/// Redirects, cookies and retries are the caller's. The same limits hold as for a server, with
/// `idle_timeout` for the time
/// until an answer begins; what is longer than `content` is [`Refusal::ContentTooLarge`].
pub struct Client<'t, S, const BUF: usize = 4096> {
    wire: Wire<'t, S>,
    conversation: Conversation,
    buf: [u8; BUF],
    start: usize,
    end: usize,
}

struct Wire<'t, S> {
    stream: S,
    timer: &'t dyn Timer,
    limits: Limits,
    waited: Duration,
}

impl<'t, S: Stream> Client<'t, S> {
    /// A client over a stream that has just been opened, with a buffer for hosts.
    pub fn new(stream: S, timer: &'t dyn Timer, limits: Limits) -> Self {
        Self::sized(stream, timer, limits)
    }
}

impl<'t, S: Stream, const BUF: usize> Client<'t, S, BUF> {
    /// A client with a buffer of the size that the type names.
    pub fn sized(mut stream: S, timer: &'t dyn Timer, limits: Limits) -> Self {
        const { assert!(BUF >= 256, "a client's buffer has at least 256 octets") };
        stream.set_nodelay(true);
        let wire = Wire { stream, timer, limits, waited: Duration::ZERO };
        Self { wire, conversation: Conversation::new(limits), buf: [0; BUF], start: 0, end: 0 }
    }

    /// Whether another request may be sent over this connection.
    pub fn is_open(&self) -> bool {
        self.conversation.is_open()
    }

    /// Closes this side's direction and gives the stream back.
    pub async fn close(mut self) -> Result<S, Error> {
        let closed = {
            let closing = pin!(async { self.wire.stream.close().await.map(|()| 0) });
            before(self.wire.timer, &mut |now| now + self.wire.limits.write_timeout, closing).await
        };
        match closed {
            Ok((Ok(_), _)) => Ok(self.wire.stream),
            _ => Err(Error::Disconnected),
        }
    }

    /// Sends a request with `content`, empty for none, and returns its answer when the head is there.
    ///
    /// [`Error::Disconnected`] when the connection cannot be used (any more): open another.
    pub async fn send(&mut self, request: &Request<'_>, content: &[u8]) -> Result<Answer<'_, 't, S>, Error> {
        let result = self.ask(request, content).await;
        self.answer(result).await
    }

    /// Sends a request whose content is not all there yet, in chunks.
    pub async fn upload(&mut self, request: &Request<'_>) -> Result<Upload<'_, 't, S, BUF>, Error> {
        let len = self.put_head(request, None)?;
        let sent = self.wire.write_all(self.buf.get(..len).unwrap_or(&[])).await;
        self.fail_on(sent)?;
        Ok(Upload { client: self })
    }

    fn put_head(&mut self, request: &Request<'_>, length: Option<u64>) -> Result<usize, Error> {
        // Octets that nobody asked for: whoever sent them, they must not be taken for the next answer.
        if self.start != self.end {
            self.conversation.give_up();
        }
        let mut output = Output::new(&mut self.buf);
        request.put(&mut output, length)?;
        let len = output.len();
        self.conversation.send(request.method, request.close)?;
        (self.start, self.end) = (0, 0);
        self.wire.waited = Duration::ZERO;
        Ok(len)
    }

    async fn ask(&mut self, request: &Request<'_>, content: &[u8]) -> Result<(), Error> {
        let len = self.put_head(request, Some(content.len() as u64))?;
        let mut output = Output::resume(&mut self.buf, len);
        let n = output.fill(content);
        let rest = content.get(n..).unwrap_or(&[]);
        let sent = self.wire.write_all(output.bytes()).await;
        self.fail_on(sent)?;
        let sent = self.wire.write_all(rest).await;
        self.fail_on(sent)
    }

    fn fail_on<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if result.is_err() {
            self.conversation.give_up();
        }
        result
    }

    /// Receives the head of the answer.
    async fn answer(&mut self, asked: Result<(), Error>) -> Result<Answer<'_, 't, S>, Error> {
        asked?;
        let length = self.receive_heads().await;
        let length = self.fail_on(length)?;
        self.wire.waited = Duration::ZERO;
        let (front, rest) = self.buf.split_at_mut((self.start + length).min(BUF));
        let head = front.get(self.start..).unwrap_or(&[]);
        let base = front.len();
        let input = Input { buf: rest, start: 0, end: self.end.saturating_sub(base) };
        match self.conversation.begin(head) {
            Ok(Some(head)) => Ok(Answer {
                head,
                input,
                base,
                position: (&mut self.start, &mut self.end),
                conversation: &mut self.conversation,
                wire: &mut self.wire,
            }),
            Ok(None) => Err(Refusal::StatusLine.into()),
            Err(refusal) => {
                self.conversation.give_up();
                Err(refusal.into())
            }
        }
    }

    /// Until the head of a final answer is in the buffer; its length. Interim answers are passed over.
    async fn receive_heads(&mut self) -> Result<usize, Error> {
        loop {
            let received = self.buf.get(self.start..self.end).unwrap_or(&[]);
            if let Some(length) = self.conversation.receive_head(received) {
                let head = received.get(..length).unwrap_or(&[]);
                // "HTTP/1.1 1xx"
                if head.get(9) != Some(&b'1') {
                    return Ok(length);
                }
                if self.conversation.begin(head)?.is_some() {
                    return Err(Refusal::StatusLine.into());
                }
                self.start += length;
                continue;
            }
            if self.start > 0 {
                self.buf.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            }
            // Room for content must remain behind a head.
            if self.end + 64 > BUF {
                return Err(Refusal::HeadTooLarge.into());
            }
            let patience =
                if self.end == 0 { self.wire.limits.idle_timeout } else { self.wire.limits.head_timeout };
            let room = self.buf.get_mut(self.end..).unwrap_or(&mut []);
            let mut until = |now: Instant| now + patience.saturating_sub(self.wire.waited);
            match before(self.wire.timer, &mut until, pin!(self.wire.stream.read(room))).await {
                Ok((Ok(0), _)) => {
                    self.conversation.end_of_stream()?;
                    return Err(Error::Disconnected);
                }
                Ok((Ok(n), since)) => {
                    // The first octet starts the clock anew; from then on the whole head has its time.
                    let first = self.end == 0;
                    if let (Some(since), false) = (since, first) {
                        self.wire.waited += self.wire.timer.now().since(since);
                    }
                    self.end = (self.end + n).min(BUF);
                }
                Ok((Err(_), _)) => return Err(Error::Disconnected),
                Err(TimedOut) => return Err(Refusal::HeadTimeout.into()),
            }
        }
    }
}

impl<S: Stream> Wire<'_, S> {
    async fn write_all(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let patience = self.limits.write_timeout;
            match before(self.timer, &mut |now| now + patience, pin!(self.stream.write(bytes))).await {
                Ok((Ok(n @ 1..), _)) => bytes = bytes.get(n..).unwrap_or(&[]),
                Ok(_) => return Err(Error::Disconnected),
                Err(TimedOut) => return Err(Refusal::WriteTimeout.into()),
            }
        }
        Ok(())
    }
}

/// A request's content being sent in chunks. Dropped without [`finish`](Self::finish), it leaves a
/// connection that is
/// good for nothing.
#[must_use = "a request is only complete after finish"]
pub struct Upload<'c, 't, S, const BUF: usize> {
    client: &'c mut Client<'t, S, BUF>,
}

impl<'c, 't, S: Stream, const BUF: usize> Upload<'c, 't, S, BUF> {
    /// Sends `content` as chunks no longer than the client's buffer.
    pub async fn write(&mut self, content: &[u8]) -> Result<(), Error> {
        for part in content.chunks(BUF - 20) {
            let mut output = Output::new(&mut self.client.buf);
            let digit = |shift: usize| b"0123456789abcdef"[part.len() >> shift & 15];
            output.put(&[20, 16, 12, 8, 4, 0].map(digit));
            output.put(b"\r\n");
            output.put(part);
            output.put(b"\r\n");
            let sent = self.client.wire.write_all(output.bytes()).await;
            self.client.fail_on(sent)?;
        }
        Ok(())
    }
    /// Ends the content and returns the answer when its head is there.
    pub async fn finish(self) -> Result<Answer<'c, 't, S>, Error> {
        let sent = self.client.wire.write_all(b"0\r\n\r\n").await;
        let sent = self.client.fail_on(sent);
        self.client.answer(sent).await
    }
}

/// An answer: its head, and its content as it comes. Content that is not read to its end makes the connection
/// good for nothing more.
pub struct Answer<'c, 't, S> {
    head: ResponseHead<'c>,
    input: Input<'c>,
    base: usize,
    position: (&'c mut usize, &'c mut usize),
    conversation: &'c mut Conversation,
    wire: &'c mut Wire<'t, S>,
}

impl<S> Drop for Answer<'_, '_, S> {
    fn drop(&mut self) {
        *self.position.0 = self.base + self.input.start;
        *self.position.1 = self.base + self.input.end;
    }
}

impl<'c, S: Stream> Answer<'c, '_, S> {
    /// The head.
    pub fn head(&self) -> &ResponseHead<'c> {
        &self.head
    }

    /// Reads some of the content into `buf`: how many octets, 0 at its end (or for an empty `buf`).
    pub async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        let result = self.read_some(buf).await;
        if result.is_err() {
            self.conversation.give_up();
        }
        result
    }

    async fn read_some(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            let available = self.input.bytes();
            match self.conversation.content(available, buf.len())? {
                Content::Data(decoded) => {
                    let data = available.get(decoded.skip..decoded.skip + decoded.data).unwrap_or(&[]);
                    if let Some(place) = buf.get_mut(..data.len()) {
                        place.copy_from_slice(data);
                    }
                    self.input.consume(decoded.skip + decoded.data);
                    return Ok(decoded.data);
                }
                Content::End(used) => {
                    self.input.consume(used);
                    return Ok(0);
                }
                Content::Incomplete(used) => self.input.consume(used),
            }
            let (limits, waited, received) =
                (&self.wire.limits, self.wire.waited, self.conversation.received());
            let mut until = |now| limits.transfer_deadline(now, waited, received, limits.body_timeout);
            let received = {
                let receiving = pin!(self.wire.stream.read(self.input.room()));
                before(self.wire.timer, &mut until, receiving).await
            };
            match received {
                Ok((Ok(0), _)) => {
                    self.conversation.end_of_stream()?;
                    return Ok(0);
                }
                Ok((Ok(n), since)) => {
                    if let Some(since) = since {
                        self.wire.waited += self.wire.timer.now().since(since);
                    }
                    self.input.end = (self.input.end + n).min(self.input.buf.len());
                }
                Ok((Err(_), _)) => return Err(Error::Disconnected),
                Err(TimedOut) => return Err(Refusal::BodyTimeout.into()),
            }
        }
    }

    /// Reads the whole content into `buf` and returns its length; [`Refusal::ContentTooLarge`] if it does
    /// not fit.
    pub async fn read_all(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        let mut len = 0;
        loop {
            let room = buf.get_mut(len..).unwrap_or(&mut []);
            if room.is_empty() {
                return match self.read(&mut [0]).await? {
                    0 => Ok(len),
                    _ => {
                        self.conversation.give_up();
                        Err(Refusal::ContentTooLarge.into())
                    }
                };
            }
            match self.read(room).await? {
                0 => return Ok(len),
                n => len += n,
            }
        }
    }
}
