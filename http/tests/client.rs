//! The client against scripted servers, and against this crate's own.
mod support;

use airglow_http::{
    Client, Error, Exchange, Limits, Method, Refusal, Request, Router, Server, Status, files,
};
use airglow_runtime::join;
use support::*;

/// What the client sends to a server that says `answer` in pieces of `step` octets and then closes, what it
/// makes of the answer,
/// and whether it would go on.
fn ask(
    request: &Request<'_>,
    content: &[u8],
    answer: &str,
    step: usize,
) -> (String, Result<(u16, String), Error>, bool) {
    let (ours, theirs) = duplex();
    theirs.outgoing.borrow_mut().bytes.extend(answer.as_bytes());
    theirs.outgoing.borrow_mut().step = step;
    theirs.outgoing.borrow_mut().closed = true;
    let clock = HandClock::default();
    let mut client = Client::new(ours, &clock, Limits::default());
    let result = drive(&clock, true, async {
        let mut buf = [0; 100];
        let mut answer = client.send(request, content).await?;
        let status = answer.head().status.code();
        let n = answer.read_all(&mut buf).await?;
        Ok((status, String::from_utf8_lossy(&buf[..n]).into_owned()))
    });
    let sent: Vec<u8> = theirs.incoming.borrow_mut().bytes.drain(..).collect();
    (String::from_utf8(sent).unwrap(), result.unwrap(), client.is_open())
}

const GET: Request<'static> = Request::new(Method::Get, "example.org", "/a?b");

#[test]
fn what_is_sent() {
    let ok = "HTTP/1.1 204 No Content\r\n\r\n";
    for (request, content, expected) in [
        (GET, "", "GET /a?b HTTP/1.1\r\nHost: example.org\r\n\r\n"),
        (GET.close(), "", "GET /a?b HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n"),
        (
            GET.headers(&[("Accept", "*/*")]),
            "",
            "GET /a?b HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\n\r\n",
        ),
        (
            Request::new(Method::Post, "[::1]:80", "/"),
            "hi",
            "POST / HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 2\r\n\r\nhi",
        ),
        (Request::new(Method::Post, "a", "/"), "", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"),
    ] {
        assert_eq!(ask(&request, content.as_bytes(), ok, 0).0, expected);
    }
    for bad in [
        Request::new(Method::Get, "example.org", "a"),
        Request::new(Method::Get, "example.org", "/a b"),
        Request::new(Method::Get, "example.org", "/a\r\nX: y"),
        Request::new(Method::Get, "example.org\r\nX: y", "/"),
        Request::new(Method::Get, "", "/"),
        Request::new(Method::Connect, "a", "/"),
        GET.headers(&[("X", "a\r\nY: z")]),
        GET.headers(&[("Content-Length", "1")]),
    ] {
        let (sent, result, _) = ask(&bad, b"", ok, 0);
        assert!(sent.is_empty() && matches!(result, Err(Error::Misuse(_))), "{bad:?}: {sent:?}");
    }
}

#[test]
fn what_is_understood() {
    for (answer, expected, open) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Ok((200, "hello")), true),
        ("HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", Ok((200, "hello")), true),
        (
            "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x\r\n world\r\n0\r\nT: x\r\n\r\n",
            Ok((404, "hello world")),
            true,
        ),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", Ok((200, "hello")), false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", Ok((200, "hello")), false),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello",
            Ok((200, "hello")),
            true,
        ),
        // delimited by the end of the connection
        ("HTTP/1.1 200 OK\r\n\r\nhello", Ok((200, "hello")), false),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", Ok((304, "")), true),
        // interim answers
        (
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            Ok((200, "")),
            true,
        ),
        // what is not whole, or wrong
        ("", Err(Error::Disconnected), false),
        ("HTTP/1.1 200 OK\r\nContent-", Err(Error::Disconnected), false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", Err(Error::Refused(Refusal::Truncated)), false),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            Err(Error::Refused(Refusal::Truncated)),
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello",
            Err(Error::Refused(Refusal::Chunk)),
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
            Err(Error::Refused(Refusal::TransferCoding)),
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            Err(Error::Refused(Refusal::Framing)),
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            Err(Error::Refused(Refusal::Framing)),
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n",
            Err(Error::Refused(Refusal::ContentTooLarge)),
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
            Err(Error::Refused(Refusal::FoldedField)),
            false,
        ),
        ("HTTP/2 200\r\n\r\n", Err(Error::Refused(Refusal::StatusLine)), false),
        ("HTTP/1.1 20 OK\r\n\r\n", Err(Error::Refused(Refusal::StatusLine)), false),
        ("HTTP/1.1 999 OK\r\n\r\n", Err(Error::Refused(Refusal::StatusLine)), false),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", Err(Error::Refused(Refusal::StatusLine)), false),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", Err(Error::Refused(Refusal::StatusLine)), false),
    ] {
        for step in 0..answer.len() {
            let (_, result, is_open) = ask(&GET, b"", answer, step);
            let expected = expected.map(|(status, text): (u16, &str)| (status, text.to_owned()));
            assert_eq!((result, is_open), (expected, open), "{answer:?} in steps of {step}");
        }
    }
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(5_000));
    assert_eq!(ask(&GET, b"", &long, 0).1, Err(Refusal::HeadTooLarge.into()));
    let head = Request::new(Method::Head, "a", "/");
    assert_eq!(
        ask(&head, b"", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 0).1,
        Ok((200, String::new()))
    );
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(17);
    assert_eq!(ask(&GET, b"", &interim, 0).1, Err(Refusal::StatusLine.into()));
}

#[test]
fn octets_that_nobody_asked_for_end_the_connection() {
    let (ours, theirs) = duplex();
    let two = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".repeat(2);
    theirs.outgoing.borrow_mut().bytes.extend(two.as_bytes());
    let clock = HandClock::default();
    let mut client = Client::new(ours, &clock, Limits::default());
    drive(&clock, false, async {
        assert_eq!(client.send(&GET, b"").await.unwrap().read_all(&mut [0; 9]).await, Ok(2));
        assert_eq!(client.send(&GET, b"").await.err(), Some(Error::Disconnected));
    })
    .unwrap();
}

#[test]
fn a_silent_server_is_given_up() {
    for (said, refusal, at) in [
        ("", Refusal::HeadTimeout, 60_000),
        ("HTTP/1.1 200", Refusal::HeadTimeout, 10_000),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nh", Refusal::BodyTimeout, 20_000),
    ] {
        let (ours, theirs) = duplex();
        theirs.outgoing.borrow_mut().bytes.extend(said.as_bytes());
        let clock = HandClock::default();
        let mut client = Client::new(ours, &clock, Limits::default());
        let result = drive(&clock, true, async { client.send(&GET, b"").await?.read_all(&mut [0; 9]).await });
        assert_eq!(result, Some(Err(refusal.into())), "{said}");
        assert_eq!(clock.now.get(), at, "{said}");
    }
}

/// Sends back what comes, while it comes.
async fn echo(exchange: &mut Exchange<'_>) -> Result<(), Error> {
    let mut buf = [0; 1_000];
    let mut kept = Vec::new();
    loop {
        let n = exchange.read(&mut buf).await?;
        if n == 0 {
            break;
        }
        kept.extend_from_slice(&buf[..n]);
    }
    let mut writer = exchange.respond(Status::OK).stream().await?;
    for part in kept.chunks(777) {
        writer.write(part).await?;
    }
    writer.finish().await
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]
    /// Several requests over one connection with small buffers and odd cuts: everything comes back as it
    /// went.
    #[test]
    fn client_and_server(
        contents in proptest::collection::vec(proptest::collection::vec(proptest::prelude::any::<u8>(), 0..5_000), 1..6),
        steps in (0usize..3_000, 0usize..3_000), capacity in 1usize..3_000, chunked: bool,
    ) {
        let (ours, theirs) = duplex();
        for (end, step) in [(&ours, steps.0), (&theirs, steps.1)] {
            let mut pipe = end.outgoing.borrow_mut();
            pipe.step = step;
            pipe.capacity = capacity;
        }
        let clock = HandClock::default();
        let router = Router::new().route(Method::Post, "/echo", echo).otherwise(files(Site { entries: PAGES, lends: true }));
        let server = Server::<300, 256>::sized(Limits::default());
        let serving = server.serve_connection(theirs, &router, &clock);
        let asking = async {
            let mut client = Client::<_, 300>::sized(ours, &clock, Limits::default());
            let mut buf = vec![0; 110_000];
            for content in &contents {
                let request = Request::new(Method::Post, "a", "/echo");
                let n = if chunked {
                    let mut upload = client.upload(&request).await.unwrap();
                    for part in content.chunks(1_234) {
                        upload.write(part).await.unwrap();
                    }
                    upload.finish().await.unwrap().read_all(&mut buf).await.unwrap()
                } else {
                    client.send(&request, content).await.unwrap().read_all(&mut buf).await.unwrap()
                };
                assert!(&buf[..n] == content, "it comes back as it went");
                let big = Request::new(Method::Get, "a", "/big.bin");
                assert_eq!(client.send(&big, b"").await.unwrap().read_all(&mut buf).await, Ok(100_000));
                assert!(client.is_open());
            }
            client.close().await.unwrap();
        };
        // Both in one task; the noop waker is enough because both are polled until nothing moves.
        let both = std::pin::pin!(join(serving, asking));
        let mut both = both;
        let mut cx = core::task::Context::from_waker(std::task::Waker::noop());
        let done = (0..5_000_000).any(|_| core::future::Future::poll(both.as_mut(), &mut cx).is_ready());
        assert!(done, "it comes to an end");
        assert_eq!(server.statistics().responses[1], 2 * contents.len() as u64);
    }
}
