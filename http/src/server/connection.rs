//! The server's protocol state for one connection: no bytes, no clock, no I/O of its own.
use crate::{
    Limits, Refusal,
    input::Input,
    wire::{ChunkDecoder, Decoded, Method, RequestHead, Status, Version, head_length},
};
use airglow_device::Instant;
use core::time::Duration;

/// How an answer's content is delimited (RFC 9112 section 6.3), and what becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    /// How many octets of content follow, and how their end is known.
    pub delimiter: Delimiter,
    /// No content follows, though the head speaks of it: the answer to HEAD.
    pub suppressed: bool,
    /// The value of the `Connection` field that the head must have.
    pub connection: Option<&'static str>,
}

/// What delimits an answer's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delimiter {
    /// The status has no content and no field about it (1xx, 204, 304).
    Bodyless,
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// The end of the connection: for HTTP/1.0 clients.
    Close,
}

/// What [`Connection::content`] found at the front of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Skip this many octets of framing, then take this many of content; both are used up.
    Data(Decoded),
    /// These octets were framing and are used up; more must be received.
    Incomplete(usize),
    /// These octets were framing and are used up; the content is complete.
    End(usize),
}

#[derive(Clone, Copy, Debug)]
enum Body {
    Length(u64),
    Chunked(ChunkDecoder),
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Between requests, from the first time anybody waited.
    Idle(Option<Instant>),
    /// A head has begun to arrive.
    Head(Instant),
    /// A request is being handled: how long its content has been waited for, and since when it is now. Time
    /// that the handler takes
    /// is not the client's fault and not counted.
    Request { waited: Duration, since: Option<Instant> },
}

/// What is left of a [`Connection`] while it waits for a request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Between {
    requests: u32,
    /// From the first time anybody waited.
    since: Option<Instant>,
}

impl Between {
    /// Until when to wait, when there is nothing at `now`.
    pub fn deadline(&mut self, now: Instant, limits: &Limits) -> Instant {
        *self.since.get_or_insert(now) + limits.idle_timeout
    }
}

/// The state of a server's connection. The caller owns the bytes: it appends what it receives to a buffer,
/// shows
/// the buffer, and takes from its front what was used up.
///
/// 1. [`receive_head`](Self::receive_head) until it says how long the head is, then [`begin`](Self::begin)
///    with just those octets.
/// 2. [`content`](Self::content) until [`Content::End`]; [`take_continue`](Self::take_continue) says
///    whether a
///    `100 (Continue)` must be sent first.
/// 3. [`respond`](Self::respond), once, tells how to frame the answer.
/// 4. [`finish`](Self::finish) when the answer is written and the content read or dropped: `true` means go
///    on with 1.
///
/// An `Err` from any of them is final: say so with the refusal's status and close. While waiting for input,
/// [`deadline`](Self::deadline) says how long, [`timed_out`](Self::timed_out) what it means when that has
/// passed, and
/// [`resumed`](Self::resumed) ends the wait.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    limits: Limits,
    phase: Phase,
    scanned: usize,
    checked: usize,
    requests: u32,
    body: Body,
    received: u64,
    version: Version,
    is_head: bool,
    persistent: bool,
    awaits_continue: bool,
}

impl Connection {
    /// A connection that has just been opened.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            phase: Phase::Idle(None),
            scanned: 0,
            checked: 0,
            requests: 0,
            body: Body::Length(0),
            received: 0,
            version: Version::Http11,
            is_head: false,
            persistent: true,
            awaits_continue: false,
        }
    }

    /// One that goes on after a wait.
    pub(crate) fn after(Between { requests, since }: Between, limits: Limits) -> Self {
        Self { requests, phase: Phase::Idle(since), ..Self::new(limits) }
    }

    /// What to keep of it while it waits for the next request.
    pub(crate) fn between(&self) -> Between {
        let since = if let Phase::Idle(since) = self.phase { since } else { None };
        Between { requests: self.requests, since }
    }

    /// The limits it was made with.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    //= https://www.rfc-editor.org/rfc/rfc9112#section-2.2
    //# In the interest of robustness, a server that is expecting to receive
    //# and parse a request-line SHOULD ignore at least one empty line (CRLF)
    //# received prior to the request-line.
    /// How many octets at the front of `input` are empty lines, to be dropped before a head. They do not
    /// end the time of
    /// idleness.
    #[must_use]
    pub fn empty_lines(&self, input: &[u8]) -> usize {
        let mut rest = input;
        while let ([b'\r', b'\n', tail @ ..], 0) = (rest, self.scanned) {
            rest = tail;
        }
        input.len() - rest.len()
    }

    /// Looks for the end of a request's head in the octets received since the last request. `Ok(None)`:
    /// receive
    /// more and call again with all of them. Errors that need not wait for the end are reported at once.
    pub fn receive_head(&mut self, input: &[u8]) -> Result<Option<usize>, Refusal> {
        // Half of an empty line in front.
        if input == b"\r" {
            return Ok(None);
        }
        if let Some(length) = head_length(input, self.scanned) {
            self.scanned = 0;
            self.checked = 0;
            return Ok(Some(length));
        }
        self.scanned = input.len();
        // Rubbish is told from a slow head early: at the end of a line, or when the head has doubled, so
        // that the
        // work stays in proportion to the octets sent.
        if !input.is_empty() && (input.ends_with(b"\n") || input.len() >= 2 * self.checked.max(8)) {
            self.checked = input.len();
            RequestHead::parse(input, self.limits.fields, self.limits.target)?;
        }
        Ok(None)
    }

    /// What to say when the peer has closed within a head: what is wrong with it so far, or just that it is
    /// not whole.
    pub fn head_truncated(&self, input: &[u8]) -> Refusal {
        RequestHead::parse(input, self.limits.fields, self.limits.target).err().unwrap_or(Refusal::Truncated)
    }

    /// What to say when the buffer for heads is full and there is no end: 414 within the request line, else
    /// 431.
    pub fn head_overflow(&self, input: &[u8]) -> Refusal {
        if input.contains(&b'\n') { Refusal::HeadTooLarge } else { Refusal::TargetTooLong }
    }

    /// Begins a request with exactly the octets of its head.
    pub fn begin<'b>(&mut self, head: &'b [u8]) -> Result<RequestHead<'b>, Refusal> {
        let parsed = RequestHead::parse(head, self.limits.fields, self.limits.target)?;
        let Some((head, _)) = parsed else { return Err(Refusal::Truncated) };
        self.phase = Phase::Request { waited: Duration::ZERO, since: None };
        self.requests = self.requests.saturating_add(1);
        self.received = 0;
        self.version = head.version;
        self.is_head = head.method == Method::Head;
        self.persistent = head.wants_persistence() && self.requests < self.limits.requests;
        self.body = match head.content_length() {
            Some(length) => Body::Length(length),
            None => Body::Chunked(ChunkDecoder::new(self.limits.chunk_overhead)),
        };
        //= https://www.rfc-editor.org/rfc/rfc9110#section-10.1.1
        //# A server MAY omit sending a 100 (Continue) response if it has
        //# already received some or all of the content for the corresponding
        //# request, or if the framing indicates that there is no content.
        self.awaits_continue = head.expects_continue() && !self.content_is_complete();
        match head.method {
            Method::Connect => return Err(Refusal::UnknownMethod),
            _ if head.content_length().is_some_and(|length| length > self.limits.content) => {
                return Err(Refusal::ContentTooLarge);
            }
            _ => {}
        }
        Ok(head)
    }

    /// Whether all of the request's content has been taken.
    pub fn content_is_complete(&self) -> bool {
        match &self.body {
            Body::Length(left) => *left == 0,
            Body::Chunked(decoder) => decoder.is_done(),
        }
    }

    /// Whether a `100 (Continue)` has to be sent before content can be expected; asks once.
    #[must_use]
    pub fn take_continue(&mut self) -> bool {
        core::mem::take(&mut self.awaits_continue)
    }

    /// Takes content off the front of the octets that follow the head.
    pub fn content(&mut self, input: &[u8]) -> Result<Content, Refusal> {
        self.content_up_to(input, usize::MAX)
    }

    /// The same, but at most `most` octets of content.
    pub fn content_up_to(&mut self, input: &[u8], most: usize) -> Result<Content, Refusal> {
        let decoded = match &mut self.body {
            Body::Length(0) => return Ok(Content::End(0)),
            Body::Length(left) => {
                let data = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len()).min(most);
                *left -= data as u64;
                Decoded { skip: 0, data }
            }
            Body::Chunked(decoder) => {
                let decoded = decoder.decode_up_to(input, most)?;
                if decoded.data == 0 && decoder.is_done() {
                    return Ok(Content::End(decoded.skip));
                }
                decoded
            }
        };
        if decoded.data == 0 {
            return Ok(Content::Incomplete(decoded.skip));
        }
        self.awaits_continue = false;
        self.received = self.received.saturating_add(decoded.data as u64);
        if self.received > self.limits.content {
            return Err(Refusal::ContentTooLarge);
        }
        Ok(Content::Data(decoded))
    }

    /// Settles how an answer of `status` is framed; `length` is `None` when nobody knows it beforehand.
    #[must_use]
    pub fn respond(&mut self, status: Status, length: Option<u64>) -> Framing {
        let delimiter = match length {
            _ if status.is_bodyless() => Delimiter::Bodyless,
            Some(length) => Delimiter::Length(length),
            None if self.version == Version::Http11 => Delimiter::Chunked,
            //= https://www.rfc-editor.org/rfc/rfc9112#section-6.1
            //# A server MUST NOT send a response containing Transfer-Encoding unless
            //# the corresponding request indicates HTTP/1.1 (or later minor
            //# revisions).
            None => {
                self.persistent = false;
                Delimiter::Close
            }
        };
        // Whether a client that was not told to go on will send its content or its next request, nobody
        // knows.
        if self.awaits_continue {
            self.persistent = false;
        }
        let connection = match (self.persistent, self.version) {
            (false, _) => Some("close"),
            (true, Version::Http10) => Some("keep-alive"),
            (true, Version::Http11) => None,
        };
        Framing { delimiter, suppressed: self.is_head, connection }
    }

    /// Whatever comes, the connection ends after this request.
    pub fn give_up(&mut self) {
        self.persistent = false;
    }

    /// Whether dropping the rest of the content might stay within `most` octets.
    pub(crate) fn discards(&self, most: u64) -> bool {
        match &self.body {
            Body::Length(left) => *left <= most && !self.awaits_continue,
            Body::Chunked(_) => !self.awaits_continue,
        }
    }

    /// Drops content, at most `most` octets, which it counts down: `Ok(true)` when there is no more,
    /// `Ok(false)` when more must be received; `Err` when there was too much.
    pub(crate) fn discard(&mut self, input: &mut Input<'_>, most: &mut u64) -> Result<bool, Refusal> {
        loop {
            match self.content(input.bytes())? {
                Content::Data(decoded) => {
                    input.consume(decoded.skip + decoded.data);
                    *most = most.checked_sub(decoded.data as u64).ok_or(Refusal::ContentTooLarge)?;
                }
                Content::Incomplete(used) => {
                    input.consume(used);
                    return Ok(false);
                }
                Content::End(used) => {
                    input.consume(used);
                    return Ok(true);
                }
            }
        }
    }

    /// Ends the request: `true` when the connection goes on with another.
    #[must_use]
    pub fn finish(&mut self) -> bool {
        self.phase = Phase::Idle(None);
        self.scanned = 0;
        self.checked = 0;
        self.persistent && self.content_is_complete()
    }

    /// Until when to wait for input. Call it when there is none at `now`; `begun` tells whether any octet
    /// of the next head
    /// is in the buffer.
    pub fn deadline(&mut self, now: Instant, begun: bool) -> Instant {
        let limits = &self.limits;
        match &mut self.phase {
            Phase::Idle(_) if begun => {
                self.phase = Phase::Head(now);
                now + limits.head_timeout
            }
            Phase::Idle(since) => *since.get_or_insert(now) + limits.idle_timeout,
            Phase::Head(since) => *since + limits.head_timeout,
            Phase::Request { waited, since } => {
                let since = *since.get_or_insert(now);
                limits.transfer_deadline(since, *waited, self.received, limits.body_timeout)
            }
        }
    }

    /// Input has come after a wait that [`deadline`](Self::deadline) began.
    pub fn resumed(&mut self, now: Instant) {
        if let Phase::Request { waited, since } = &mut self.phase
            && let Some(since) = since.take()
        {
            *waited = waited.saturating_add(now.since(since));
        }
    }

    /// What it means that [`deadline`](Self::deadline) has passed: a refusal to send, or nothing to say and
    /// just a close.
    pub fn timed_out(&self) -> Option<Refusal> {
        match self.phase {
            Phase::Idle(_) => None,
            Phase::Head(_) => Some(Refusal::HeadTimeout),
            Phase::Request { .. } => Some(Refusal::BodyTimeout),
        }
    }
}
