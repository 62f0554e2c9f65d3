//! The client's protocol state for one connection: no bytes, no clock, no I/O of its own.
use crate::{
    Error, Limits, Refusal,
    server::Content,
    wire::{ChunkDecoder, Decoded, Method, Output, ResponseHead, Status, Version, head_length},
};

/// A request to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// The method.
    pub method: Method,
    /// The host, and the port if it is not the scheme's own: `example.org`, `[::1]:8080`.
    pub host: &'r str,
    /// Path and query, percent-encoded, beginning with `/`; `*` for OPTIONS.
    pub target: &'r str,
    /// Further fields. `Host`, `Content-Length`, `Transfer-Encoding` and `Connection` are the client's own
    /// to write.
    pub headers: &'r [(&'r str, &'r str)],
    /// Ask for the connection to be closed after the answer.
    pub close: bool,
}

impl<'r> Request<'r> {
    /// A request without further fields, over a connection that is kept.
    pub const fn new(method: Method, host: &'r str, target: &'r str) -> Self {
        Self { method, host, target, headers: &[], close: false }
    }
    /// With further fields.
    pub const fn headers(self, headers: &'r [(&'r str, &'r str)]) -> Self {
        Self { headers, ..self }
    }
    /// The last on its connection.
    pub const fn close(self) -> Self {
        Self { close: true, ..self }
    }

    /// Writes the head. `length` is that of the content, `None` for chunks.
    pub fn put(&self, output: &mut Output<'_>, length: Option<u64>) -> Result<(), Error> {
        let target = self.target.as_bytes();
        let visible = target.iter().all(|b| (0x21..0x7f).contains(b) && *b != b'#');
        let form = target.starts_with(b"/") || (target == b"*" && self.method == Method::Options);
        if !(visible && form) || matches!(self.method, Method::Other | Method::Connect) {
            return Err(Error::Misuse(
                "a request has a known method and a target that begins with / and is percent-encoded",
            ));
        }
        if self.host.is_empty() || !crate::wire::is_host(self.host.as_bytes()) {
            return Err(Error::Misuse("a request's host is a name or an address, with a port if need be"));
        }
        output.put(self.method.name().as_bytes());
        output.put(b" ");
        output.put(target);
        output.put(b" HTTP/1.1\r\n");
        output.put_field("Host", self.host.as_bytes());
        for (name, value) in self.headers {
            let own = ["host", "content-length", "transfer-encoding", "connection", "expect", "upgrade"];
            if own.iter().any(|own| name.eq_ignore_ascii_case(own))
                || !output.put_checked_field(name, value.as_bytes())
            {
                return Err(Error::Misuse(
                    "a header field has a bad name or value, or is one the client writes itself",
                ));
            }
        }
        match length {
            //= https://www.rfc-editor.org/rfc/rfc9110#section-8.6
            //# A user agent SHOULD send Content-Length in a request when the method
            //# defines a meaning for enclosed content and it is not sending
            //# Transfer-Encoding.
            Some(0) if !matches!(self.method, Method::Post | Method::Put | Method::Patch) => {}
            Some(length) => output.put_number_field("Content-Length", length),
            None => output.put(b"Transfer-Encoding: chunked\r\n"),
        }
        if self.close {
            output.put(b"Connection: close\r\n");
        }
        output.put(b"\r\n");
        if output.overflowed() {
            return Err(Error::Misuse("the request's head does not fit the client's buffer"));
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug)]
enum Body {
    /// Nothing is under way.
    None,
    Length(u64),
    Chunked(ChunkDecoder),
    /// Up to the end of the connection.
    Close,
}

/// Interim answers (1xx) that one request may get.
const INTERIM: u8 = 16;

/// The state of a client's connection. The caller owns the bytes, as with the server's
/// [`Connection`](crate::server::Connection).
///
/// 1. [`send`](Self::send), then write the octets of [`Request::put`] and the content.
/// 2. [`receive_head`](Self::receive_head) until it says how long the head is, then [`begin`](Self::begin)
///    with just those
///    octets; `None` is an interim answer: go on receiving.
/// 3. [`content`](Self::content) until [`Content::End`]; at the end of the stream,
///    [`end_of_stream`](Self::end_of_stream).
/// 4. [`is_open`](Self::is_open) tells whether another request may be sent.
#[derive(Clone, Copy, Debug)]
pub struct Conversation {
    limits: Limits,
    scanned: usize,
    body: Body,
    received: u64,
    method: Method,
    persistent: bool,
    answered: bool,
    interim: u8,
}

impl Conversation {
    /// A connection that has just been opened.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            scanned: 0,
            body: Body::None,
            received: 0,
            method: Method::Get,
            persistent: true,
            answered: true,
            interim: 0,
        }
    }
    /// The limits it was made with.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
    /// Whether another request may be sent: the last is answered, the answer's content taken, and both
    /// sides keep the
    /// connection.
    pub fn is_open(&self) -> bool {
        self.persistent && self.answered && matches!(self.body, Body::None)
    }
    /// A request of `method` is being sent; `close` if it says that it is the last.
    pub fn send(&mut self, method: Method, close: bool) -> Result<(), Error> {
        if !self.is_open() {
            return Err(Error::Disconnected);
        }
        self.method = method;
        self.persistent = !close;
        self.answered = false;
        self.interim = 0;
        self.scanned = 0;
        self.received = 0;
        Ok(())
    }
    /// Nothing more can be done with this connection.
    pub fn give_up(&mut self) {
        self.persistent = false;
    }
    /// Looks for the end of an answer's head; as
    /// [`Connection::receive_head`](crate::server::Connection::receive_head).
    pub fn receive_head(&mut self, input: &[u8]) -> Option<usize> {
        let found = head_length(input, self.scanned);
        self.scanned = if found.is_some() { 0 } else { input.len() };
        found
    }
    /// Begins an answer with exactly the octets of its head; `None` for an interim one, which is done with.
    pub fn begin<'b>(&mut self, head: &'b [u8]) -> Result<Option<ResponseHead<'b>>, Refusal> {
        let Some((head, _)) = ResponseHead::parse(head, self.limits.fields)? else {
            return Err(Refusal::Truncated);
        };
        //= https://www.rfc-editor.org/rfc/rfc9110#section-15.2
        //# A client MUST be able to parse one or more 1xx responses received
        //# prior to a final response, even if the client does not expect one.
        if head.status.class() == 1 {
            self.interim += 1;
            // Nobody asked for another protocol.
            if head.status == Status::SWITCHING_PROTOCOLS || self.interim > INTERIM {
                return Err(Refusal::StatusLine);
            }
            return Ok(None);
        }
        self.answered = true;
        self.persistent &= match head.version {
            Version::Http11 => !head.known.close,
            Version::Http10 => head.known.keep_alive && !head.known.close,
        };
        // RFC 9112 section 6.3, rule by rule.
        self.body = if self.method == Method::Head || head.status.is_bodyless() {
            Body::None
        } else if head.known.chunked {
            Body::Chunked(ChunkDecoder::new(self.limits.chunk_overhead))
        } else {
            match head.known.content_length {
                Some(0) => Body::None,
                Some(length) if length > self.limits.content => return Err(Refusal::ContentTooLarge),
                Some(length) => Body::Length(length),
                None => {
                    self.persistent = false;
                    Body::Close
                }
            }
        };
        Ok(Some(head))
    }
    /// Takes at most `most` octets of content off the front of the octets that follow the head.
    pub fn content(&mut self, input: &[u8], most: usize) -> Result<Content, Refusal> {
        let decoded = match &mut self.body {
            Body::None => return Ok(Content::End(0)),
            Body::Length(left) => {
                let data = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len()).min(most);
                *left -= data as u64;
                if *left == 0 {
                    self.body = Body::None;
                }
                Decoded { skip: 0, data }
            }
            Body::Close => Decoded { skip: 0, data: input.len().min(most) },
            Body::Chunked(decoder) => {
                let decoded = decoder.decode_up_to(input, most)?;
                if decoded.data == 0 && decoder.is_done() {
                    self.body = Body::None;
                    return Ok(Content::End(decoded.skip));
                }
                decoded
            }
        };
        self.received = self.received.saturating_add(decoded.data as u64);
        if self.received > self.limits.content {
            return Err(Refusal::ContentTooLarge);
        }
        Ok(if decoded.data == 0 { Content::Incomplete(decoded.skip) } else { Content::Data(decoded) })
    }
    /// Octets of content so far.
    pub fn received(&self) -> u64 {
        self.received
    }
    //= https://www.rfc-editor.org/rfc/rfc9112#section-8
    //# A message body that uses the chunked transfer coding is incomplete if
    //# the zero-sized chunk that terminates the encoding has not been
    //# received.  A message that uses a valid Content-Length is incomplete
    //# if the size of the message body received (in octets) is less than the
    //# value given by Content-Length.
    /// The server has closed: the end of the content if that was its only delimiter, otherwise an error.
    pub fn end_of_stream(&mut self) -> Result<(), Error> {
        self.persistent = false;
        match core::mem::replace(&mut self.body, Body::None) {
            Body::Close => Ok(()),
            Body::None if !self.answered => Err(Error::Disconnected),
            Body::None => Ok(()),
            _ => Err(Refusal::Truncated.into()),
        }
    }
}
