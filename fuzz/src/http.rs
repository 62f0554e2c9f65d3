//! HTTP: heads, bodies, whole connections, and the values of fields.
use airglow_device::{ErrorKind, ErrorType, ManualClock, Read, Stream, Write};
use airglow_http::{
    Error, Exchange, Limits, Method, Refusal, Router, Server, Status,
    client::Conversation,
    server::{Connection, Content},
    wire::{
        CodingPreferences, EntityTag, Output, Ranges, ResponseHead, decode_path, encode_path, format_date,
        matches_any, media_type, parse_date,
    },
};
use std::{
    cell::RefCell,
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

/// What a connection understood of its input: a line for each event.
type Events = Vec<String>;

const STEP: usize = 4096;

/// Requests on one connection: the input in pieces of one byte, of the first byte's length, and whole must be understood alike.
pub fn http_request(data: &[u8]) {
    let Some((step, input)) = data.split_first() else { return };
    let whole = requests(input, input.len().max(1));
    for step in [1, usize::from(*step).max(1)] {
        let mut pieces = requests(input, step);
        let mut whole = whole.clone();
        // A head that is cut off may be refused early or waited for, as it happens to be looked at.
        if [&pieces, &whole].iter().any(|events| events.last().is_some_and(|end| end == CUT)) {
            for events in [&mut pieces, &mut whole] {
                events.pop_if(|end| end == CUT || end.starts_with("refused"));
            }
        }
        assert_eq!(pieces, whole, "in pieces of {step}");
    }
}

/// The input ends within a head.
const CUT: &str = "cut";

fn requests(input: &[u8], step: usize) -> Events {
    let mut connection = Connection::new(Limits::default());
    let mut events = Events::new();
    let (mut buffer, mut waiting) = (Vec::new(), input.chunks(step));
    // True when more came.
    let mut more =
        |buffer: &mut Vec<u8>| waiting.next().map(|piece| buffer.extend_from_slice(piece)).is_some();
    let end: Result<(), Refusal> = (|| {
        loop {
            let head = loop {
                let empty = connection.empty_lines(&buffer);
                buffer.drain(..empty);
                if let Some(len) = connection.receive_head(&buffer)? {
                    break buffer.drain(..len).collect::<Vec<u8>>();
                }
                if buffer.len() > STEP {
                    return Err(connection.head_overflow(&buffer));
                }
                if !more(&mut buffer) {
                    events.push(CUT.to_owned());
                    return Ok(());
                }
            };
            let request = connection.begin(&head)?;
            assert!(head.ends_with(b"\r\n\r\n"));
            events.push(format!(
                "{} {} {:?} {}",
                request.method_token,
                request.path,
                request.query,
                request.host()
            ));
            for field in request.fields() {
                assert!(
                    !field.name.is_empty() && !field.value.contains(&b'\n') && !field.value.contains(&b'\r')
                );
                events.push(format!("{}: {:?}", field.name, field.value));
            }
            let _ = connection.take_continue();
            let mut content = Vec::new();
            loop {
                match connection.content(&buffer)? {
                    Content::Data(run) => {
                        content.extend_from_slice(&buffer[run.skip..][..run.data]);
                        buffer.drain(..run.skip + run.data);
                    }
                    Content::Incomplete(used) => {
                        buffer.drain(..used);
                        if !more(&mut buffer) {
                            return Ok(());
                        }
                    }
                    Content::End(used) => {
                        buffer.drain(..used);
                        break;
                    }
                }
            }
            events.push(format!("content {content:?}"));
            events.push(format!("{:?}", connection.respond(Status::OK, Some(0))));
            if !connection.finish() {
                return Ok(());
            }
        }
    })();
    if let Err(refusal) = end {
        assert!(refusal.status().class() >= 4, "{refusal:?}");
        events.push(format!("refused {refusal:?}"));
    }
    events
}

/// Answers to a GET and a HEAD, in pieces and whole.
pub fn http_response(data: &[u8]) {
    let Some((choice, input)) = data.split_first() else { return };
    let method = if choice & 0x80 != 0 { Method::Head } else { Method::Get };
    let whole = answers(method, input, input.len().max(1));
    for step in [1, usize::from(choice & 0x7f).max(1)] {
        assert_eq!(answers(method, input, step), whole, "in pieces of {step}");
    }
}

fn answers(method: Method, input: &[u8], step: usize) -> Events {
    let mut conversation = Conversation::new(Limits::default());
    let mut events = Events::new();
    let (mut buffer, mut waiting) = (Vec::new(), input.chunks(step));
    let mut more =
        |buffer: &mut Vec<u8>| waiting.next().map(|piece| buffer.extend_from_slice(piece)).is_some();
    let end: Result<(), Error> = (|| {
        while conversation.is_open() {
            conversation.send(method, false)?;
            loop {
                let Some(len) = conversation.receive_head(&buffer) else {
                    if buffer.len() > STEP {
                        return Err(Error::Refused(Refusal::HeadTooLarge));
                    }
                    if !more(&mut buffer) {
                        return conversation.end_of_stream();
                    }
                    continue;
                };
                let head: Vec<u8> = buffer.drain(..len).collect();
                if let Some(answer) = conversation.begin(&head)? {
                    events.push(format!("{} {:?}", answer.status.code(), answer.content_length()));
                    break;
                }
            }
            let mut content = Vec::new();
            loop {
                match conversation.content(&buffer, usize::MAX)? {
                    Content::Data(run) => {
                        content.extend_from_slice(&buffer[run.skip..][..run.data]);
                        buffer.drain(..run.skip + run.data);
                    }
                    Content::Incomplete(used) => {
                        buffer.drain(..used);
                        if !more(&mut buffer) {
                            events.push(format!("content {content:?}"));
                            return conversation.end_of_stream();
                        }
                    }
                    Content::End(used) => {
                        buffer.drain(..used);
                        break;
                    }
                }
            }
            events.push(format!("content {content:?}"));
        }
        Ok(())
    })();
    if let Err(error) = end {
        events.push(format!("{error:?}"));
    }
    events
}

/// A stream whose input is known, in pieces, and whose output is kept.
struct Script<'a> {
    input: std::slice::Chunks<'a, u8>,
    rest: &'a [u8],
    output: Rc<RefCell<Vec<u8>>>,
}

impl ErrorType for Script<'_> {
    type Error = ErrorKind;
}
impl Read for Script<'_> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, ErrorKind> {
        if self.rest.is_empty() {
            self.rest = self.input.next().unwrap_or_default();
        }
        let (now, rest) = self.rest.split_at(buf.len().min(self.rest.len()));
        buf[..now.len()].copy_from_slice(now);
        self.rest = rest;
        Ok(now.len())
    }
}
impl Write for Script<'_> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, ErrorKind> {
        self.output.borrow_mut().extend_from_slice(buf);
        Ok(buf.len())
    }
    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}
impl Stream for Script<'_> {
    async fn read_with<R>(&mut self, mut f: impl FnMut(&mut [u8]) -> (usize, R)) -> Result<R, ErrorKind> {
        let mut buf = [0; 512];
        let len = self.read(&mut buf).await?;
        let (used, result) = f(&mut buf[..len]);
        assert_eq!(used, len, "all of it is taken");
        Ok(result)
    }
    async fn close(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

async fn hello(exchange: &mut Exchange<'_>) -> Result<(), Error> {
    let name = exchange.parameter("name").unwrap_or("nobody").to_owned();
    exchange.respond(Status::OK).content_type("text/plain").send(name.as_bytes()).await
}

/// A whole server on one connection: it ends, and all it says is answers.
pub fn http_server(data: &[u8]) {
    let Some((step, input)) = data.split_first() else { return };
    let output = Rc::new(RefCell::new(Vec::new()));
    let stream = Script { input: input.chunks(usize::from(*step).max(1)), rest: &[], output: output.clone() };
    let clock = ManualClock::new();
    let router = Router::new().route(Method::Get, "/hello/{name}", hello).route(Method::Post, "/", hello);
    let server = Server::new(Limits::default());
    let mut serving = pin!(server.serve_connection(stream, &router, &clock));
    // Every wait has a limit, so that an hour ends the slowest.
    let ended = (0..3600).any(|_| {
        clock.advance(Duration::from_secs(1));
        serving.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    });
    assert!(ended, "the connection never ends");
    said(&output.borrow());
}

/// Answers one behind the other and nothing else.
fn said(output: &[u8]) {
    let mut rest = output;
    let mut answers = 0;
    while !rest.is_empty() {
        let parsed = ResponseHead::parse(rest, 100);
        let Ok(Some((head, len))) = parsed else { panic!("no answer: {:?}", String::from_utf8_lossy(rest)) };
        let content = head.content_length().unwrap_or(0) as usize;
        // After an answer to HEAD no content follows: then the next head does, or nothing.
        rest = &rest[len..];
        if !rest.is_empty() && !rest.starts_with(b"HTTP/1.1 ") {
            assert!(
                content <= rest.len(),
                "an answer without its end: {:?}",
                String::from_utf8_lossy(output)
            );
            rest = &rest[content..];
        }
        answers += 1;
    }
    assert!(answers <= 10_000);
}

/// The values of fields, and paths: the first byte says which.
pub fn http_values(data: &[u8]) {
    let Some((kind, value)) = data.split_first() else { return };
    match kind % 6 {
        0 => {
            if let Some(time) = parse_date(value, Some(Duration::from_secs(1_700_000_000)))
                && let Some(date) = format_date(time)
            {
                assert_eq!(parse_date(date.as_ref(), None), Some(Duration::from_secs(time.as_secs())));
            }
        }
        1 => {
            if let Some(tag) = EntityTag::parse(value) {
                assert!(tag.weak_eq(&tag));
                assert!(matches_any(value, Some(&tag), false));
            }
            matches_any(value, None, true);
        }
        2 => {
            for size in [0, 1, 1000, u64::MAX] {
                if let Ranges::Selected(ranges) = Ranges::parse(value, size) {
                    let total: u64 = ranges.as_slice().iter().map(|range| range.len()).sum();
                    assert!(!ranges.as_slice().is_empty() && total <= size, "{total} of {size}");
                    assert!(ranges.as_slice().iter().all(|range| !range.is_empty()));
                }
            }
        }
        3 => {
            let preferences = CodingPreferences::parse(value.split(|byte| *byte == b'\n'));
            let _ = (format!("{preferences:?}"), preferences.compressed());
        }
        4 => {
            let Ok(path) = str::from_utf8(value) else { return };
            let mut space = [0; 300];
            if let Ok(key) = decode_path(path, &mut space) {
                assert!(!key.starts_with('/') && !key.contains(['\0', '\\']), "{key:?}");
                assert!(key.split('/').all(|segment| segment != "." && segment != ".."), "{key:?}");
                // What is said of a key leads back to it.
                let mut buffer = [0; 1000];
                let mut output = Output::new(&mut buffer);
                encode_path(key, &mut output);
                let encoded =
                    format!("/{}", str::from_utf8(output.bytes()).expect("ASCII").trim_start_matches('/'));
                assert_eq!(decode_path(&encoded, &mut [0; 300]), Ok(key), "{encoded}");
            }
        }
        _ => {
            if let Ok(name) = str::from_utf8(value) {
                assert!(media_type(name).contains('/'));
            }
        }
    }
}
