//! Requests and the exact octets of their answers.
mod support;

use airglow_http::{Error, Exchange, Handler, Limits, Method, Router, Server, Status, files};
use support::*;

/// What a server says to `input` in pieces of `step` octets, after which the client closes.
fn talk_to<H: Handler>(server: &Server<'_>, handler: &H, input: &[u8], step: usize) -> String {
    let (ours, theirs) = duplex();
    ours.outgoing.borrow_mut().bytes.extend(input);
    ours.outgoing.borrow_mut().step = step;
    ours.outgoing.borrow_mut().closed = true;
    let clock = HandClock::default();
    drive(&clock, true, server.serve_connection(theirs, handler, &clock))
        .expect("it ends when the client has closed");
    let bytes: Vec<u8> = ours.incoming.borrow_mut().bytes.drain(..).collect();
    String::from_utf8(bytes).unwrap()
}

fn site() -> impl Handler {
    files(Site { entries: PAGES, lends: true })
}

fn talk(input: &str) -> String {
    talk_to(&Server::new(Limits::default()), &site(), input.as_bytes(), 0)
}

/// The head of the one answer to a GET of `path` with `fields`, and its content.
fn get(path: &str, fields: &str) -> (String, String) {
    let answer = talk(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    let (head, content) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), content.to_owned())
}

fn status(path: &str, fields: &str) -> u16 {
    get(path, fields).0[9..12].parse().unwrap()
}

const TEN: &str = "Content-Type: text/plain; charset=utf-8\r\nAccept-Ranges: bytes\r\n\
    ETag: \"0000000000000007\"\r\nLast-Modified: Tue, 01 Nov 1994 00:00:00 GMT\r\n";

#[test]
fn a_page_in_full() {
    let expected = format!("HTTP/1.1 200 OK\r\n{TEN}Content-Length: 10\r\n\r\n0123456789");
    let request = b"GET /ten.txt HTTP/1.1\r\nHost: example.org\r\n\r\n";
    let server = Server::new(Limits::default());
    for lends in [true, false] {
        let site = files(Site { entries: PAGES, lends });
        for step in 0..request.len() {
            assert_eq!(talk_to(&server, &site, request, step), expected);
        }
    }
    let server = server.wall_clock(&Sunday);
    let expected = format!(
        "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n{TEN}Content-Length: 10\r\n\r\n0123456789"
    );
    assert_eq!(talk_to(&server, &site(), request, 0), expected);
}

#[test]
fn several_in_a_row() {
    let one = "HEAD /ten.txt HTTP/1.1\r\nHost: a\r\n\r\n";
    let requests = format!(
        "{one}POST /ten.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
        PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: x\r\n\r\n\
        \r\nGET /none HTTP/1.1\r\nHost: a\r\n\r\n\
        GET /ten.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nrubbish behind the last request"
    );
    let not_allowed = "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD, OPTIONS\r\n\
        Content-Type: text/plain; charset=utf-8\r\nContent-Length: 19\r\n\r\nMethod Not Allowed\n";
    let expected = format!(
        "HTTP/1.1 200 OK\r\n{TEN}Content-Length: 10\r\n\r\n{not_allowed}{not_allowed}\
        HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 10\r\n\r\nNot Found\n\
        HTTP/1.1 200 OK\r\n{TEN}Content-Length: 10\r\nConnection: close\r\n\r\n0123456789"
    );
    let server = Server::new(Limits::default());
    for step in 0..requests.len() {
        assert_eq!(talk_to(&server, &site(), requests.as_bytes(), step), expected, "in steps of {step}");
    }
    assert_eq!(server.statistics().responses[1], 2 * requests.len() as u64);
    assert_eq!(server.statistics().responses[3], 3 * requests.len() as u64);
    assert_eq!((server.statistics().open, server.statistics().aborted), (0, 0));
}

#[test]
fn pipelined_answers_share_a_write() {
    let (ours, theirs) = duplex();
    let requests = "GET /ten.txt HTTP/1.1\r\nHost: a\r\n\r\n".repeat(5);
    ours.outgoing.borrow_mut().bytes.extend(requests.as_bytes());
    ours.outgoing.borrow_mut().closed = true;
    let clock = HandClock::default();
    let server = Server::new(Limits::default());
    drive(&clock, true, server.serve_connection(theirs, &site(), &clock)).unwrap();
    assert_eq!(ours.incoming.borrow().writes, 1);
    assert_eq!(server.statistics().requests(), 5);
}

/// Refused: the request, the status, and a word of the reason.
#[test]
fn what_is_refused() {
    let long = "x".repeat(2_001);
    let field = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(5_000));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(100));
    let endless = format!("GET /{}", "z".repeat(5_000));
    let long_target = format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n");
    for (request, status, word) in [
        // RFC 9112 section 3: the request line
        ("GET /\r\n\r\n", 400, "request line"),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request line"),
        ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request line"),
        ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request line"),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request line"),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request line"),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request line"),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request line"),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request line"),
        ("GET / HTTP/1.1\nHost: a\n\n", 400, "request line"),
        ("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", 400, "request line"),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", 400, "request line"),
        ("\x16\x03\x01\x02\x00\x01\x00\x01|\x03\x03", 400, "request line"),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "HTTP/1.1"),
        ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505, "HTTP/1.1"),
        ("GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400, "request line"),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 501, "method"),
        (&long_target, 414, "target"),
        (&endless, 414, "target"),
        // RFC 9112 section 3.2: Host
        ("GET / HTTP/1.1\r\n\r\n", 400, "Host"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "Host"),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "Host"),
        ("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "Host"),
        ("GET http://u@h/x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "Host"),
        // RFC 9112 section 5: fields
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, "colon"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", 400, "folded"),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "folded"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: b\nY: c\r\n\r\n", 400, "control"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n", 400, "control"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n", 400, "control"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", 400, "name"),
        ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400, "name"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX(): b\r\n\r\n", 400, "name"),
        (&field, 431, "larger"),
        (&many, 431, "larger"),
        // RFC 9112 section 6: framing, where smuggling lives
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
            "contradict",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
            400,
            "contradict",
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "doubled"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400, "doubled"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", 400, "numbers"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400, "numbers"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400, "numbers"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400, "numbers"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400, "numbers"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n", 400, "numbers"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, "coding"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 501, "coding"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 501, "coding"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
            "doubled",
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", 400, "doubled"),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "contradict"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n", 413, "content"),
        ("POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n", 417, "expectation"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y", 400, "ends before"),
        ("G", 400, "ends before"),
    ] {
        for step in [0, 1, 2, 7] {
            // What stands behind a refused request is never taken for another one.
            let smuggled = format!("{request}GET /ten.txt HTTP/1.1\r\nHost: a\r\n\r\n");
            let input = if word == "ends before" || request == endless { request } else { &smuggled };
            let answer = talk_to(&Server::new(Limits::default()), &site(), input.as_bytes(), step);
            let (head, content) =
                answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{request:?}: {answer:?}"));
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?} by {step}: {answer}");
            assert!(head.ends_with("\r\nConnection: close"), "{request:?}: {answer}");
            assert!(
                content.contains(word) && !content.contains("HTTP/1.1 200"),
                "{request:?} by {step}: {answer}"
            );
        }
    }
}

#[test]
fn a_broken_chunk_ends_the_connection() {
    for body in ["x\r\n", "5\r\nhello!\r\n", "ffffffffffffffffff\r\n", "5\nhello", "0\r\nbad trailer\r\n\r\n"]
    {
        let request = format!("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        let server = Server::new(Limits::default());
        let answer = talk_to(&server, &upload, request.as_bytes(), 0);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{body:?}: {answer}");
        assert!(answer.contains("chunked coding"), "{body:?}: {answer}");
        assert_eq!(server.statistics().refused(airglow_http::Refusal::Chunk), 1);
    }
}

/// Answers with what came.
async fn upload(exchange: &mut Exchange<'_>) -> Result<(), Error> {
    let mut buf = [0; 40];
    let n = exchange.read_all(&mut buf).await?;
    exchange.respond(Status::OK).send(&buf[..n]).await
}

#[test]
fn content_both_ways() {
    for (request, answer) in [
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "Content-Length: 5\r\n\r\nhello"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n",
            "Content-Length: 11\r\n\r\nhello world",
        ),
        (
            "POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello",
            "Content-Length: 5\r\nConnection: close\r\n\r\nhello",
        ),
        (
            "POST / HTTP/1.0\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello",
            "Content-Length: 5\r\nConnection: keep-alive\r\n\r\nhello",
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", "Content-Length: 0\r\n\r\n"),
    ] {
        for step in 0..request.len() {
            let expected = format!("HTTP/1.1 200 OK\r\n{answer}");
            assert_eq!(talk_to(&Server::new(Limits::default()), &upload, request.as_bytes(), step), expected);
        }
    }
    let large = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n29\r\n{}\r\n0\r\n\r\n",
        "x".repeat(41)
    );
    assert!(
        talk_to(&Server::new(Limits::default()), &upload, large.as_bytes(), 0).starts_with("HTTP/1.1 413 ")
    );
}

/// Sends pieces as a stream.
async fn pieces(exchange: &mut Exchange<'_>) -> Result<(), Error> {
    let mut writer = exchange.respond(Status::OK).content_type("text/plain").stream().await?;
    writer.write(b"one ").await?;
    writer.write(b"two").await?;
    writer.flush().await?;
    writer.write(b" three").await?;
    writer.finish_with(&[("Sum", b"3")]).await
}

#[test]
fn an_answer_in_chunks() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";
    for (request, rest) in [
        (
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n0007\r\none two\r\n0006\r\n three\r\n0\r\nSum: 3\r\n\r\n",
        ),
        ("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"),
        //= https://www.rfc-editor.org/rfc/rfc9112#section-6.1
        //= type=test
        //# A server MUST NOT send a response containing Transfer-Encoding unless
        //# the corresponding request indicates HTTP/1.1 (or later minor
        //# revisions).
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "Connection: close\r\n\r\none two three"),
    ] {
        assert_eq!(
            talk_to(&Server::new(Limits::default()), &pieces, request.as_bytes(), 0),
            format!("{head}{rest}")
        );
    }
}

#[test]
fn a_long_stream_is_cut_into_chunks_that_add_up() {
    async fn long(exchange: &mut Exchange<'_>) -> Result<(), Error> {
        let mut writer = exchange.respond(Status::OK).stream().await?;
        for n in 0..5_000u32 {
            writer.write(&n.to_be_bytes()).await?;
        }
        writer.finish().await
    }
    let (ours, theirs) = duplex();
    ours.outgoing.borrow_mut().bytes.extend(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    ours.outgoing.borrow_mut().closed = true;
    let clock = HandClock::default();
    let server = Server::<300, 300>::sized(Limits::default());
    drive(&clock, true, server.serve_connection(theirs, &long, &clock)).unwrap();
    let bytes: Vec<u8> = ours.incoming.borrow_mut().bytes.drain(..).collect();
    let head = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let mut decoder = airglow_http::wire::ChunkDecoder::new(100_000);
    let (mut at, mut content) = (head, Vec::new());
    while !decoder.is_done() {
        let found = decoder.decode(&bytes[at..]).unwrap();
        content.extend_from_slice(&bytes[at + found.skip..at + found.skip + found.data]);
        at += found.skip + found.data;
    }
    assert_eq!(at, bytes.len());
    assert_eq!(content, (0..5_000u32).flat_map(u32::to_be_bytes).collect::<Vec<_>>());
}

//= https://www.rfc-editor.org/rfc/rfc9110#section-10.1.1
//= type=test
//# A server MAY omit sending a 100 (Continue) response if it has
//# already received some or all of the content for the corresponding
//# request, or if the framing indicates that there is no content.
#[test]
fn expect_continue() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    // with the content at once
    assert_eq!(talk_to(&Server::new(Limits::default()), &upload, format!("{head}hello").as_bytes(), 0), ok);
    // waiting for it
    let (ours, theirs) = duplex();
    ours.outgoing.borrow_mut().bytes.extend(head.as_bytes());
    let clock = HandClock::default();
    let server = Server::new(Limits::default());
    let mut serving = std::pin::pin!(server.serve_connection(theirs, &upload, &clock));
    assert!(drive(&clock, false, serving.as_mut()).is_none());
    let said: Vec<u8> = ours.incoming.borrow_mut().bytes.drain(..).collect();
    assert_eq!(said, b"HTTP/1.1 100 Continue\r\n\r\n");
    ours.outgoing.borrow_mut().bytes.extend(b"hello");
    assert!(drive(&clock, false, serving.as_mut()).is_none());
    let said: Vec<u8> = ours.incoming.borrow_mut().bytes.drain(..).collect();
    assert_eq!(String::from_utf8(said).unwrap(), ok);
    // a handler that does not want it: nobody can know what the client sends next
    let answer = talk_to(&Server::new(Limits::default()), &site(), head.as_bytes(), 0);
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("\r\nConnection: close\r\n"), "{answer}");
    // without content there is nothing to wait for
    let none = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n";
    assert!(
        talk_to(&Server::new(Limits::default()), &upload, none.as_bytes(), 0)
            .starts_with("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n")
    );
}

#[test]
fn unread_content() {
    let after = "GET /ten.txt HTTP/1.1\r\nHost: a\r\n\r\n";
    // little: dropped, and the next request is served
    let little =
        format!("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n{}{after}", "x".repeat(60_000));
    let answer = talk(&little);
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.ends_with("0123456789"), "{answer}");
    // much: the connection ends
    let much =
        format!("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n{}{after}", "x".repeat(70_000));
    let answer = talk(&much);
    assert!(answer.starts_with("HTTP/1.1 405 ") && !answer.contains("0123456789"), "{answer}");
}

#[test]
fn a_handler_that_fails() {
    async fn silent(_: &mut Exchange<'_>) -> Result<(), Error> {
        Ok(())
    }
    async fn broken(_: &mut Exchange<'_>) -> Result<(), Error> {
        Err(Error::Store)
    }
    async fn injecting(exchange: &mut Exchange<'_>) -> Result<(), Error> {
        exchange.respond(Status::OK).header("X", "a\r\nSet-Cookie: b").empty().await
    }
    async fn short(exchange: &mut Exchange<'_>) -> Result<(), Error> {
        exchange.respond(Status::OK).sized(9).await?.finish().await
    }
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let expected = "HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n\
        Content-Length: 33\r\nConnection: close\r\n\r\nthe server could not answer this\n";
    let server = Server::new(Limits::default());
    assert_eq!(talk_to(&server, &silent, request, 0), expected);
    assert_eq!(talk_to(&server, &broken, request, 0), expected);
    assert_eq!(talk_to(&server, &injecting, request, 0), expected);
    assert_eq!(server.statistics().aborted, 0);
    assert_eq!(talk_to(&server, &short, request, 0), "");
    assert_eq!(server.statistics().aborted, 1);
}

#[test]
fn conditional_requests() {
    let tag = "\"0000000000000007\"";
    let modified = "Tue, 01 Nov 1994 00:00:00 GMT";
    let before = "Mon, 31 Oct 1994 23:59:59 GMT";
    for (fields, expected) in [
        (format!("If-None-Match: {tag}\r\n"), 304),
        (format!("If-None-Match: W/{tag}\r\n"), 304),
        (format!("If-None-Match: \"x\"\r\nIf-None-Match: \"y\", {tag}\r\n"), 304),
        ("If-None-Match: *\r\n".into(), 304),
        ("If-None-Match: \"x\"\r\n".into(), 200),
        (format!("If-Modified-Since: {modified}\r\n"), 304),
        (format!("If-Modified-Since: {before}\r\n"), 200),
        ("If-Modified-Since: Tuesday, 01-Nov-94 00:00:00 GMT\r\n".into(), 304),
        ("If-Modified-Since: Tue Nov  1 00:00:00 1994\r\n".into(), 304),
        ("If-Modified-Since: yesterday\r\n".into(), 200),
        (format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {modified}\r\n"), 200),
        (format!("If-Match: {tag}\r\n"), 200),
        ("If-Match: *\r\n".into(), 200),
        (format!("If-Match: W/{tag}\r\n"), 412),
        ("If-Match: \"x\"\r\n".into(), 412),
        (format!("If-Unmodified-Since: {modified}\r\n"), 200),
        (format!("If-Unmodified-Since: {before}\r\n"), 412),
        (format!("If-Match: {tag}\r\nIf-Unmodified-Since: {before}\r\n"), 200),
        (format!("If-Match: {tag}\r\nIf-None-Match: {tag}\r\n"), 304),
        (format!("If-Match: \"x\"\r\nIf-None-Match: {tag}\r\n"), 412),
        (format!("If-None-Match: {tag}\r\nRange: bytes=0-1\r\n"), 304),
    ] {
        assert_eq!(status("/ten.txt", &fields), expected, "{fields}");
        assert_eq!(status("/none.txt", &fields), 404, "{fields}");
    }
    let (head, content) = get("/ten.txt", &format!("If-None-Match: {tag}\r\n"));
    assert_eq!(head, format!("HTTP/1.1 304 Not Modified\r\nETag: {tag}\r\nLast-Modified: {modified}"));
    assert_eq!(content, "");
}

#[test]
fn ranges() {
    let (head, content) = get("/ten.txt", "Range: bytes=2-4\r\n");
    assert_eq!(
        head,
        format!("HTTP/1.1 206 Partial Content\r\n{TEN}Content-Range: bytes 2-4/10\r\nContent-Length: 3")
    );
    assert_eq!(content, "234");
    assert_eq!(get("/ten.txt", "Range: bytes=-3\r\n").1, "789");
    assert_eq!(get("/ten.txt", "Range: bytes=7-\r\n").1, "789");
    assert_eq!(get("/ten.txt", "Range: bytes=0-2, 2-3\r\n").1, "0123");
    assert_eq!(get("/ten.txt", "Range: lines=1-2\r\n").1, "0123456789");
    let (head, _) = get("/ten.txt", "Range: bytes=10-\r\n");
    assert_eq!(head, "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */10\r\nContent-Length: 0");
    let (head, content) = get("/ten.txt", "Range: bytes=0-1,-2\r\n");
    assert!(head.starts_with("HTTP/1.1 206 Partial Content\r\nContent-Type: multipart/byteranges; boundary=airglow-part-0000000000000007\r\n"));
    let part = |range, text| {
        format!(
            "\r\n--airglow-part-0000000000000007\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes {range}/10\r\n\r\n{text}"
        )
    };
    assert_eq!(
        content,
        format!("{}{}\r\n--airglow-part-0000000000000007--\r\n", part("0-1", "01"), part("8-9", "89"))
    );
    assert!(head.ends_with(&format!("Content-Length: {}", content.len())));
    // HEAD has no ranges
    assert!(
        talk("HEAD /ten.txt HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\n\r\n").starts_with("HTTP/1.1 200 ")
    );
    // If-Range
    for (if_range, status_code) in [
        ("\"0000000000000007\"", 206),
        ("W/\"0000000000000007\"", 200),
        ("\"x\"", 200),
        ("Mon, 31 Oct 1994 23:59:59 GMT", 200),
    ] {
        assert_eq!(
            status("/ten.txt", &format!("Range: bytes=0-1\r\nIf-Range: {if_range}\r\n")),
            status_code,
            "{if_range}"
        );
    }
    let server = Server::new(Limits::default()).wall_clock(&Sunday);
    let request = "GET /ten.txt HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\nIf-Range: Tue, 01 Nov 1994 00:00:00 GMT\r\n\r\n";
    assert!(talk_to(&server, &site(), request.as_bytes(), 0).starts_with("HTTP/1.1 206 "));
}

#[test]
fn large_values_whole_and_in_parts_lent_and_read() {
    for lends in [true, false] {
        let site = files(Site { entries: PAGES, lends });
        for (fields, length) in [("", 100_000), ("Range: bytes=100-90099\r\n", 90_000)] {
            let request = format!("GET /big.bin HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
            let answer = talk_to(&Server::new(Limits::default()), &site, request.as_bytes(), 0);
            let (_, content) = answer.split_once("\r\n\r\n").unwrap();
            assert_eq!(content.len(), length);
            assert!(content.bytes().all(|b| b == b'x'));
        }
        let request = "GET /big.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=0-49999,60000-99999\r\n\r\n";
        let answer = talk_to(&Server::new(Limits::default()), &site, request.as_bytes(), 0);
        let (head, content) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("Content-Length: {}", content.len())), "{head}");
        assert_eq!(content.bytes().filter(|&b| b == b'x').count(), 90_000 + content.matches("text").count());
    }
}

#[test]
fn variants() {
    for (accept, coding, content) in [
        ("", None, "<p>plain plain plain plain"),
        ("Accept-Encoding: gzip, deflate, br\r\n", Some("br"), "(brotli)"),
        ("Accept-Encoding: gzip\r\n", Some("gzip"), "(gzip gzip)"),
        ("Accept-Encoding: br;q=0.5, gzip;q=0.8\r\n", Some("gzip"), "(gzip gzip)"),
        ("Accept-Encoding: br;q=0\r\nAccept-Encoding: gzip;q=0.1\r\n", Some("gzip"), "(gzip gzip)"),
        ("Accept-Encoding: identity\r\n", None, "<p>plain plain plain plain"),
        ("Accept-Encoding: deflate, zstd\r\n", None, "<p>plain plain plain plain"),
    ] {
        let (head, answer) = get("/page.html", accept);
        assert_eq!(answer, content, "{accept}");
        assert!(
            head.contains("\r\nVary: Accept-Encoding")
                && head.contains("\r\nContent-Type: text/html; charset=utf-8"),
            "{head}"
        );
        let said = head.lines().find_map(|line| line.strip_prefix("Content-Encoding: "));
        assert_eq!(said, coding, "{accept}");
    }
    // each variant is a representation of its own
    let tag = |accept| {
        get("/page.html", accept).0.lines().find(|line| line.starts_with("ETag")).unwrap().to_owned()
    };
    assert_ne!(tag(""), tag("Accept-Encoding: br\r\n"));
    assert_eq!(status("/ten.txt", "Accept-Encoding: identity;q=0\r\n"), 406);
    assert!(!get("/ten.txt", "Accept-Encoding: br\r\n").0.contains("Vary"));
}

#[test]
fn paths() {
    for (path, expected) in [
        ("/", 200),
        ("/index.html", 200),
        ("/dir/", 200),
        ("/dir/index.html", 200),
        ("/./dir/../", 200),
        ("/a%20b.txt", 200),
        ("http://other/ten.txt", 200),
        ("http://other", 200),
        ("/ten.txt?a=b", 200),
        ("/?x", 200),
        ("//ten.txt", 200),
        ("/dir", 301),
        ("/ten.txt/", 404),
        ("/..", 404),
        ("/%2e%2e/ten.txt", 404),
        ("/a%2fb", 400),
        ("/%zz", 400),
        ("/%00", 400),
        ("/TEN.txt", 404),
        ("/dir/index.html/", 404),
        (&format!("/{}", "x".repeat(1_000)), 404),
    ] {
        assert_eq!(status(path, ""), expected, "{path}");
    }
    let location = |path| {
        let (head, _) = get(path, "");
        head.lines().find_map(|line| line.strip_prefix("Location: ").map(str::to_owned)).unwrap()
    };
    assert_eq!(location("/dir?a=b"), "/dir/?a=b");
    // never "//dir/": that would be another host
    assert_eq!(location("//dir"), "/dir/");
    assert!(
        talk("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
            .starts_with("HTTP/1.1 204 No Content\r\nAllow: GET, HEAD, OPTIONS\r\n\r\n")
    );
    assert!(talk("BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 501 "));
    assert!(talk("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 405 "));
}

#[test]
fn below_a_prefix() {
    let site =
        files(Site { entries: PAGES, lends: true }).below("/docs").headers(&[("Cache-Control", "no-cache")]);
    let ask = |path: &str| {
        talk_to(
            &Server::new(Limits::default()),
            &site,
            format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes(),
            0,
        )
    };
    assert!(ask("/docs/ten.txt").contains("\r\nCache-Control: no-cache\r\n"));
    assert!(ask("/docs").contains("\r\nLocation: /docs/\r\n"));
    assert!(ask("/docs/dir").contains("\r\nLocation: /docs/dir/\r\n"));
    for path in ["/ten.txt", "/docsten.txt", "/docs/docs/ten.txt"] {
        assert!(ask(path).starts_with("HTTP/1.1 404 "), "{path}");
    }
}

#[test]
fn routes() {
    async fn name(exchange: &mut Exchange<'_>) -> Result<(), Error> {
        let name = exchange.parameter("name").unwrap_or("?");
        exchange.respond(Status::OK).send(name.as_bytes()).await
    }
    let greeting = "hello ".to_owned();
    let captured = async |exchange: &mut Exchange<'_>| {
        let answer = format!("{greeting}{}", exchange.head().query.unwrap_or(""));
        exchange.respond(Status::ACCEPTED).send(answer.as_bytes()).await
    };
    let router = Router::new()
        .route(Method::Get, "/who/{name}", name)
        .route(Method::Post, "/who/{name}", upload)
        .route(Method::Delete, "/rest/{..name}", name)
        .route(Method::Get, "/query", captured)
        .otherwise(site());
    let ask = |start: &str| {
        let request = format!("{start} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
        let answer = talk_to(&Server::new(Limits::default()), &router, request.as_bytes(), 0);
        let (head, content) = answer.split_once("\r\n\r\n").unwrap();
        let allow = head.lines().find_map(|line| line.strip_prefix("Allow: ")).unwrap_or("");
        format!("{} {allow} {content}", &head[9..12])
    };
    assert_eq!(ask("GET /who/me"), "200  me");
    assert_eq!(ask("HEAD /who/me"), "200  ");
    assert_eq!(ask("POST /who/me"), "200  hi");
    assert_eq!(ask("DELETE /rest/a/b/c"), "200  a/b/c");
    assert_eq!(ask("GET /query?x=y"), "202  hello x=y");
    assert_eq!(ask("PUT /who/me"), "405 GET, HEAD, POST, OPTIONS Method Not Allowed\n");
    assert_eq!(ask("OPTIONS /who/me"), "204 GET, HEAD, POST, OPTIONS ");
    assert_eq!(ask("BREW /who/me"), "501  Not Implemented\n");
    assert_eq!(ask("GET /ten.txt"), "200  0123456789");
    assert_eq!(ask("GET /who/"), "404  Not Found\n");
    let bare = Router::new().route(Method::Get, "/x", name);
    let answer = talk_to(&Server::new(Limits::default()), &bare, b"GET /y HTTP/1.1\r\nHost: a\r\n\r\n", 0);
    assert!(answer.starts_with("HTTP/1.1 404 "));
}

/// Serves with the clock moved by hand: what was said by when, in milliseconds.
#[test]
fn every_phase_has_its_timeout() {
    let limits = Limits::default();
    let serve = |input: &str, capacity: usize| {
        let (ours, theirs) = duplex();
        ours.outgoing.borrow_mut().bytes.extend(input.as_bytes());
        ours.incoming.borrow_mut().capacity = capacity;
        let clock = HandClock::default();
        let server = Server::new(limits);
        drive(&clock, true, server.serve_connection(theirs, &site(), &clock)).unwrap();
        let pipe = ours.incoming.borrow();
        let said = String::from_utf8(pipe.bytes.iter().copied().collect()).unwrap();
        let first = said.lines().next().unwrap_or("").to_owned();
        (first, clock.now.get(), pipe.closed, pipe.aborted)
    };
    let timeout = "HTTP/1.1 408 Request Timeout".to_owned();
    let linger = limits.linger.as_millis() as u64;
    // before the first octet: nothing to say
    assert_eq!(serve("", 0), (String::new(), 60_000, true, false));
    // a head that does not end; and an octet more does not buy more time (see slow_heads)
    assert_eq!(serve("GET / HT", 0), (timeout.clone(), 10_000 + linger, true, false));
    // content that does not come, unread by the handler and read by it
    assert_eq!(serve("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1", 0).1, 20_000 + linger);
    // an answer that is not taken
    let (first, at, closed, aborted) = serve("GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n", 1_000);
    assert_eq!((first.as_str(), at, closed, aborted), ("HTTP/1.1 200 OK", 20_000, false, true));
    // between requests
    let (first, at, closed, _) = serve("GET /ten.txt HTTP/1.1\r\nHost: a\r\n\r\n", 0);
    assert_eq!((first.as_str(), at, closed), ("HTTP/1.1 200 OK", 60_000, true));
}

#[test]
fn content_that_does_not_come() {
    let (ours, theirs) = duplex();
    ours.outgoing.borrow_mut().bytes.extend(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1");
    let clock = HandClock::default();
    let server = Server::new(Limits::default());
    drive(&clock, true, server.serve_connection(theirs, &upload, &clock)).unwrap();
    let said: Vec<u8> = ours.incoming.borrow_mut().bytes.drain(..).collect();
    assert!(said.starts_with(b"HTTP/1.1 408 Request Timeout\r\n"));
    assert_eq!(server.statistics().refused(airglow_http::Refusal::BodyTimeout), 1);
}

/// A client that feeds one octet a second, for ever.
fn trickle(start: &str, octets: &str, taken: impl Fn(usize) -> usize) -> (u64, String) {
    let (ours, theirs) = duplex();
    ours.outgoing.borrow_mut().bytes.extend(start.as_bytes());
    let clock = HandClock::default();
    let limits = Limits::default();
    let server = Server::new(limits);
    let mut serving = std::pin::pin!(server.serve_connection(theirs, &upload, &clock));
    let mut octets = octets.bytes().cycle();
    for second in 0..1_000 {
        if drive(&clock, false, serving.as_mut()).is_some() || !ours.incoming.borrow().bytes.is_empty() {
            let said: Vec<u8> = ours.incoming.borrow_mut().bytes.drain(..).collect();
            return (second, String::from_utf8(said).unwrap());
        }
        clock.now.set(clock.now.get() + 1_000);
        ours.outgoing.borrow_mut().bytes.extend(octets.by_ref().take(taken(second as usize)));
    }
    panic!("still open after a thousand seconds");
}

#[test]
fn slow_heads_and_slow_content_are_cut_off() {
    let (second, said) = trickle("G", "E", |_| 1);
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
    assert_eq!(second, 10);
    // empty lines between requests do not keep a connection for ever
    let (second, said) = trickle("", "\r\n", |_| 2);
    assert_eq!((second, said.as_str()), (60, ""));
    // one octet a second is under the least rate of a hundred
    let (second, said) = trickle("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n", "x", |_| 1);
    assert!(said.starts_with("HTTP/1.1 413 "), "read_all knows beforehand: {said}");
    assert_eq!(second, 0);
    let (second, said) =
        trickle("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n28\r\n", "x", |_| 1);
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
    assert_eq!(second, 21);
}

#[test]
fn the_log_tells_of_every_answer() {
    let lines = std::cell::RefCell::new(Vec::new());
    let log = |access: &airglow_http::Access<'_>| {
        lines
            .borrow_mut()
            .push(format!("{} {} {} {}", access.method, access.path, access.status, access.content));
    };
    let server = Server::new(Limits::default()).access_log(&log);
    let requests = "GET /ten.txt HTTP/1.1\r\nHost: a\r\n\r\nHEAD /big.bin HTTP/1.1\r\nHost: a\r\n\r\nGET /big.bin HTTP/1.1\r\nHost: a\r\n\r\nrubbish\r\n\r\n";
    talk_to(&server, &site(), requests.as_bytes(), 0);
    assert_eq!(
        *lines.borrow(),
        ["GET /ten.txt 200 10", "HEAD /big.bin 200 0", "GET /big.bin 200 100000", "?  400 48"]
    );
    let statistics = server.statistics();
    assert_eq!((statistics.requests(), statistics.refusals(), statistics.connections), (4, 1, 1));
    assert!(statistics.octets_in as usize == requests.len() && statistics.octets_out > 100_000);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]
    /// Whatever comes, however it is cut: it ends, and whatever is said is an HTTP answer.
    #[test]
    fn any_octets(pieces in proptest::collection::vec(piece(), 0..12), step in 0usize..40) {
        let input = pieces.concat();
        let server = Server::new(Limits::default());
        let once = talk_to(&server, &site(), &input, 0);
        proptest::prop_assert!(once.is_empty() || once.starts_with("HTTP/1.1 "));
        // Where the input is cut changes nothing, unless a refusal came early.
        let cut = talk_to(&server, &site(), &input, step);
        proptest::prop_assert_eq!(&once, &cut);
    }
}

fn piece() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
    use proptest::prelude::*;
    prop_oneof![
        3 => prop::sample::select(vec![
            "GET ", "HEAD ", "POST ", "/", "/ten.txt", "*", " ", " HTTP/1.1\r\n", " HTTP/1.0\r\n", "Host: a\r\n", "\r\n", "\r\n\r\n", "\n", "\r",
            "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "Connection: close\r\n", "Expect: 100-continue\r\n", "Range: bytes=0-1,3-4\r\n",
            "5\r\nhello\r\n", "0\r\n\r\n", "hello", ":", "\t", "GET /ten.txt HTTP/1.1\r\nHost: a\r\n\r\n", "POST /x HTTP/1.1\r\nHost: a\r\n",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ]
}

/// What an idle connection costs: the future that a task set keeps, without buffers and what a request needs.
#[test]
#[cfg(feature = "alloc")]
fn an_idle_connection_is_small() {
    let (_ours, theirs) = duplex();
    let clock = HandClock::default();
    let (server, site) = (Server::new(Limits::default()), site());
    let serving = server.serve_connection(theirs, &site, &clock);
    assert!(size_of_val(&serving) < 512, "{} octets", size_of_val(&serving));
}
