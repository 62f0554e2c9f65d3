//! Requests and the exact octets of their answers.
mod support;

use airglow_http::{Error, Exchange, Handler, Limits, Server, Status, files};
use support::*;

/// What a server says to `input` in pieces of `step` octets, after which the client closes.
fn talk_to<H: Handler>(server: &Server<'_>, handler: &H, input: &[u8], step: usize) -> String {
    let (ours, theirs) = duplex();
    ours.outgoing.borrow_mut().bytes.extend(input);
    ours.outgoing.borrow_mut().step = step;
    ours.outgoing.borrow_mut().closed = true;
    let clock = HandClock::default();
    drive(&clock, true, server.serve_connection(theirs, handler, &clock)).expect("it ends when the client has closed");
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
    let expected =
        format!("HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n{TEN}Content-Length: 10\r\n\r\n0123456789");
    assert_eq!(talk_to(&server, &site(), request, 0), expected);
}
