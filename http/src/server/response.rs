//! The answer to a request.
use crate::{
    Error,
    server::{
        connection::{Delimiter, Framing},
        exchange::{Demand, Exchange, put_framing},
    },
    wire::Status,
};

/// An answer whose head is being written, straight into the connection's output.
#[must_use = "an answer is only sent by send, send_static, empty, sized or stream"]
pub struct Response<'e, 'x> {
    exchange: &'e mut Exchange<'x>,
    status: Status,
    mark: usize,
    error: Option<Error>,
}

impl<'e, 'x> Response<'e, 'x> {
    pub(crate) fn begin(exchange: &'e mut Exchange<'x>, status: Status) -> Self {
        let mut error = None;
        let mut mark = 0;
        match exchange.port.shared() {
            Err(e) => error = Some(e),
            Ok(_) if exchange.port.status.get().is_some() => {
                error = Some(Error::Misuse("a request is answered once"));
            }
            Ok(_) if exchange.port.demand.get().is_some() => {
                error = Some(Error::Misuse("an answer was begun while a read was still under way"));
            }
            Ok(mut shared) => {
                mark = shared.output.len();
                shared.output.put_status_line(status);
                shared.output.put(exchange.date);
            }
        }
        Self { exchange, status, mark, error }
    }

    fn put(&mut self, put: &mut dyn FnMut(&mut crate::wire::Output<'_>)) {
        if self.error.is_none() {
            match self.exchange.port.shared() {
                Ok(mut shared) => put(&mut shared.output),
                Err(error) => self.error = Some(error),
            }
        }
    }

    /// Adds a field. Names that are no token, values with control characters, and the fields that this
    /// library itself writes
    /// (`Content-Length`, `Transfer-Encoding`, `Connection`, `Date`) make the answer fail with
    /// [`Error::Misuse`].
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let own = ["content-length", "transfer-encoding", "connection", "date"];
        let mut good = !own.iter().any(|own| name.eq_ignore_ascii_case(own));
        if good {
            self.put(&mut |output| good = output.put_checked_field(name, value.as_ref()));
        }
        if !good && self.error.is_none() {
            self.error = Some(Error::Misuse(
                "a header field has a bad name or value, or is one the server writes itself",
            ));
        }
        self
    }

    /// Adds `Content-Type`.
    pub fn content_type(self, media_type: &str) -> Self {
        self.header("Content-Type", media_type)
    }

    /// Lets this library's own code write fields without the checks.
    pub(crate) fn fields(mut self, put: &mut dyn FnMut(&mut crate::wire::Output<'_>)) -> Self {
        self.put(put);
        self
    }

    /// Closes the connection after this answer.
    pub fn closing(self) -> Self {
        if let Ok(mut shared) = self.exchange.port.shared() {
            shared.connection.give_up();
        }
        self
    }

    fn settle(&mut self, length: Option<u64>) -> Result<Framing, Error> {
        if let Some(error) = self.error.take() {
            if let Ok(mut shared) = self.exchange.port.shared()
                && self.exchange.port.status.get().is_none()
            {
                shared.output.truncate(self.mark);
            }
            return Err(error);
        }
        let mut shared = self.exchange.port.shared()?;
        let framing = shared.connection.respond(self.status, length);
        put_framing(&mut shared.output, &framing);
        if shared.output.overflowed() {
            shared.output.truncate(self.mark);
            return Err(Error::Misuse("the answer's head does not fit the output buffer"));
        }
        self.exchange.port.status.set(Some(self.status));
        Ok(framing)
    }

    /// Sends an answer without content.
    pub async fn empty(self) -> Result<(), Error> {
        self.send(b"").await
    }

    /// Sends `content`, copying it.
    pub async fn send(mut self, content: &[u8]) -> Result<(), Error> {
        let framing = self.settle(Some(content.len() as u64))?;
        let port = self.exchange.port;
        if framing.suppressed || framing.delimiter == Delimiter::Bodyless {
            port.whole.set(true);
            return Ok(());
        }
        let mut rest = content;
        loop {
            {
                let mut shared = port.shared()?;
                let n = shared.output.fill(rest);
                shared.sent += n as u64;
                rest = rest.get(n..).unwrap_or(&[]);
            }
            if rest.is_empty() {
                port.whole.set(true);
                return Ok(());
            }
            port.ask(Demand::Flush).await;
        }
    }

    /// Sends content that never changes: what does not fit behind the head goes out from where it lies.
    pub async fn send_static(self, content: &'static [u8]) -> Result<(), Error> {
        let port = self.exchange.port;
        let rest = self.lent(content)?;
        port.send_static(rest).await
    }

    /// Writes the head, and of `content` what fits behind it; returns the rest, for [`Port::send_static`].
    pub(crate) fn lent(mut self, content: &'static [u8]) -> Result<&'static [u8], Error> {
        let framing = self.settle(Some(content.len() as u64))?;
        if framing.suppressed || framing.delimiter == Delimiter::Bodyless {
            return Ok(&[]);
        }
        fill(self.exchange, content)
    }

    /// Sends the head and returns a writer for exactly `length` octets of content.
    pub async fn sized(self, length: u64) -> Result<Writer<'e, 'x>, Error> {
        self.writer(Some(length))
    }

    /// Sends the head and returns a writer for content of unknown length: in chunks, or for an HTTP/1.0
    /// client up to the end of the
    /// connection.
    pub async fn stream(self) -> Result<Writer<'e, 'x>, Error> {
        self.writer(None)
    }

    /// A writer for exactly `length` octets, or for who knows how many.
    pub(crate) fn writer(mut self, length: Option<u64>) -> Result<Writer<'e, 'x>, Error> {
        let framing = self.settle(length)?;
        Ok(Writer { exchange: self.exchange, left: length.unwrap_or(u64::MAX), framing, chunk: None })
    }
}

/// The first part of `content` shares a write, and a packet, with the head; all of it when it fits. Returns the rest.
fn fill(exchange: &mut Exchange<'_>, content: &'static [u8]) -> Result<&'static [u8], Error> {
    let mut shared = exchange.port.shared()?;
    shared.sent += content.len() as u64;
    let n = shared.output.fill(content);
    Ok(content.get(n..).unwrap_or(&[]))
}

/// Writes an answer's content piece by piece. Pieces gather in the connection's output, which is sent when
/// it is full,
/// on [`flush`](Self::flush) and at the end.
///
/// A writer that is dropped without [`finish`](Self::finish) cuts the connection, so that the client knows
/// that something is missing.
#[must_use = "an answer is complete only after finish"]
pub struct Writer<'e, 'x> {
    exchange: &'e mut Exchange<'x>,
    left: u64,
    framing: Framing,
    /// Where the head of the chunk being written lies in the output.
    chunk: Option<usize>,
}

/// `xxxx` CR LF: chunk sizes are written with leading zeros, so that they can be filled in afterwards.
const CHUNK_HEAD: usize = 6;

impl Writer<'_, '_> {
    pub(crate) fn silent(&self) -> bool {
        self.framing.suppressed || self.framing.delimiter == Delimiter::Bodyless
    }

    /// Writes all of `content`. More than the announced length is [`Error::Misuse`].
    pub async fn write(&mut self, content: &[u8]) -> Result<(), Error> {
        self.take(content.len())?;
        if self.silent() {
            return Ok(());
        }
        self.exchange.port.settled().await;
        let mut rest = content;
        while !rest.is_empty() {
            let n = {
                let chunked = self.framing.delimiter == Delimiter::Chunked;
                let shared = &mut *self.exchange.port.shared()?;
                let output = &mut shared.output;
                if chunked && self.chunk.is_none() && output.room() > CHUNK_HEAD + 2 {
                    self.chunk = Some(output.len());
                    output.put(b"0000\r\n");
                }
                // The chunk's end must fit too, and its size in four digits.
                let room = match (chunked, self.chunk) {
                    (false, _) => output.room(),
                    (true, Some(at)) => {
                        let so_far = output.len() - at - CHUNK_HEAD;
                        output.room().saturating_sub(2).min(0xffff_usize.saturating_sub(so_far))
                    }
                    (true, None) => 0,
                };
                let n = output.fill(rest.get(..room.min(rest.len())).unwrap_or(&[]));
                shared.sent += n as u64;
                n
            };
            rest = rest.get(n..).unwrap_or(&[]);
            if !rest.is_empty() {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Writes content that never changes without copying it, where the framing allows.
    pub async fn write_static(&mut self, content: &'static [u8]) -> Result<(), Error> {
        if self.silent() || self.framing.delimiter == Delimiter::Chunked {
            return self.write(content).await;
        }
        self.exchange.port.settled().await;
        self.write_lent(content).await
    }

    /// The same, for content of known length and when no future of this writer was given up.
    pub(crate) async fn write_lent(&mut self, content: &'static [u8]) -> Result<(), Error> {
        self.take(content.len())?;
        let rest = fill(self.exchange, content)?;
        if !rest.is_empty() {
            self.exchange.port.ask(Demand::Static(rest)).await;
        }
        Ok(())
    }

    /// Hands everything written so far to the stream.
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.exchange.port.settled().await;
        self.end_chunk()?;
        let empty = self.exchange.port.shared()?.output.is_empty();
        if !empty {
            self.exchange.port.ask(Demand::Flush).await;
        }
        Ok(())
    }

    /// Ends the content. Less than the announced length is [`Error::Misuse`].
    pub async fn finish(self) -> Result<(), Error> {
        self.finish_with(&[]).await
    }

    /// Ends the content with trailer fields (RFC 9110 section 6.5), which only a chunked answer can carry;
    /// others drop
    /// them.
    pub async fn finish_with(mut self, trailers: &[(&str, &[u8])]) -> Result<(), Error> {
        if self.left > 0 && matches!(self.framing.delimiter, Delimiter::Length(_)) && !self.silent() {
            return Err(Error::Misuse("less content than the announced length"));
        }
        self.exchange.port.settled().await;
        if self.framing.delimiter == Delimiter::Chunked && !self.silent() {
            self.end_chunk()?;
            let size = 5 + trailers.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>();
            let room = self.exchange.port.shared()?.output.room();
            if room < size {
                self.exchange.port.ask(Demand::Flush).await;
            }
            let mut shared = self.exchange.port.shared()?;
            shared.output.put(b"0\r\n");
            for (name, value) in trailers {
                if !shared.output.put_checked_field(name, value) {
                    return Err(Error::Misuse("a trailer field has a bad name or value"));
                }
            }
            shared.output.put(b"\r\n");
            if shared.output.overflowed() {
                return Err(Error::Misuse("the trailers do not fit the output buffer"));
            }
        }
        self.exchange.port.whole.set(true);
        Ok(())
    }

    fn take(&mut self, n: usize) -> Result<(), Error> {
        self.left =
            self.left.checked_sub(n as u64).ok_or(Error::Misuse("more content than the announced length"))?;
        Ok(())
    }

    fn end_chunk(&mut self) -> Result<(), Error> {
        let Some(at) = self.chunk.take() else { return Ok(()) };
        let output = &mut self.exchange.port.shared()?.output;
        let size = output.len().saturating_sub(at + CHUNK_HEAD);
        if size == 0 {
            output.truncate(at);
            return Ok(());
        }
        let digit = |shift: usize| b"0123456789abcdef"[size >> shift & 15];
        output.patch(at, &[digit(12), digit(8), digit(4), digit(0)]);
        output.put(b"\r\n");
        Ok(())
    }
}

/// What answers in parts need.
#[cfg(feature = "parts")]
impl<'x> Writer<'_, 'x> {
    /// What is being answered.
    pub(crate) fn exchange(&self) -> &Exchange<'x> {
        self.exchange
    }

    /// Writes what `put` puts, in one piece that an empty output has room for; for content of known length.
    pub(crate) async fn put(&mut self, put: impl Fn(&mut crate::wire::Output<'_>)) -> Result<(), Error> {
        loop {
            let whole = {
                let output = &mut self.exchange.port.shared()?.output;
                let mark = output.len();
                put(output);
                let put = output.len() - mark;
                if output.overflowed() {
                    output.truncate(mark);
                    if mark == 0 {
                        return Err(Error::Misuse("a part's head does not fit the output buffer"));
                    }
                    None
                } else {
                    Some(put)
                }
            };
            match whole {
                Some(len) => {
                    self.exchange.port.shared()?.sent += len as u64;
                    return self.take(len);
                }
                None => self.exchange.port.ask(Demand::Flush).await,
            }
        }
    }

    /// All of the announced length is written: ends the content.
    pub(crate) fn done(self) -> Result<(), Error> {
        if self.left > 0 && !self.silent() {
            return Err(Error::Misuse("less content than the announced length"));
        }
        self.exchange.port.whole.set(true);
        Ok(())
    }

    /// Reads `left` octets of a store's value from `offset` on straight into the output.
    #[allow(clippy::await_holding_refcell_ref)] // see below
    pub(crate) async fn fill_from<K: airglow_device::KeyValue>(
        &mut self,
        store: &K,
        key: &str,
        mut offset: u64,
        mut left: u64,
    ) -> Result<(), Error> {
        while left > 0 {
            let (n, full) = {
                // The connection touches the shared state only to carry out a demand, and there is none
                // while this waits.
                let mut shared = self.exchange.port.shared()?;
                let room = shared.output.spare();
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(room.len());
                let part = room.get_mut(..most).unwrap_or(&mut []);
                let n = if part.is_empty() {
                    0
                } else {
                    match store.read(key, offset, part).await {
                        // A value that has become shorter cannot be answered any more as it was announced.
                        Ok(0) | Err(_) => return Err(Error::Store),
                        Ok(n) => n.min(most),
                    }
                };
                shared.output.advance(n);
                shared.sent += n as u64;
                (n, shared.output.room() == 0)
            };
            self.take(n)?;
            left -= n as u64;
            offset += n as u64;
            if full && left > 0 {
                self.flush().await?;
            }
        }
        Ok(())
    }
}
