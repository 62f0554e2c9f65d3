//! What depends on who asks: cookies, limits, access; and zones that change while they are served.
use super::tests::{ZONE, query, zones};
use super::*;
use std::vec::Vec;

const PEER: [u8; 4] = [192, 0, 2, 77];

/// Asks as `peer` at `second`.
fn ask_as(server: &mut Server<'_>, peer: [u8; 4], second: u64, query: &[u8]) -> Option<Vec<u8>> {
    let now = || Now { monotonic: Instant::from_secs(second), unix: Some(Duration::from_secs(second)) };
    let mut reply = [0; 1232];
    let origin = Origin { peer: Some(peer.into()), transport: Transport::Udp, now: &now };
    server.respond_to(&origin, query, &mut reply).map(|length| reply[..length].to_vec())
}

fn with_options(name: &str, options: &[u8]) -> Vec<u8> {
    query(name, RecordType::A, Some(&Edns { udp_payload: 1232, options, ..Edns::default() }))
}

fn cookie_of(reply: &[u8]) -> Option<Vec<u8>> {
    let opt =
        Message::new(reply).unwrap().records().map(Result::unwrap).find(|r| r.rtype == RecordType::OPT)?;
    Edns::from_record(&opt).unwrap().option(option::COOKIE).map(<[u8]>::to_vec)
}

fn cookie_option(value: &[u8]) -> Vec<u8> {
    let mut option = std::vec![0, 10, 0, value.len() as u8];
    option.extend(value);
    option
}

#[test]
fn cookies_are_given_ready_or_not_and_tell_who_is_real() {
    let config = Config {
        cookies: Some(CookieSecrets::new([9; 16])),
        rate_limit: Some(RateLimit { slip: 0, ..RateLimit::new(1, [1; 16]) }),
        ..Config::default()
    };
    let mut server = Server::new(zones(ZONE), config);
    let offered = with_options("web.example.com", &cookie_option(b"client!!"));
    let first = ask_as(&mut server, PEER, 1000, &offered).unwrap();
    let cookie = cookie_of(&first).unwrap();
    assert_eq!((cookie.len(), &cookie[..8]), (24, &b"client!!"[..]));
    // Without a good cookie the limit of one a second holds; with it there is none, and the reply comes from the table.
    assert_eq!(ask_as(&mut server, PEER, 1000, &offered), None);
    let shown = with_options("web.example.com", &cookie_option(&cookie));
    for _ in 0..5 {
        let reply = ask_as(&mut server, PEER, 1001, &shown).unwrap();
        assert_eq!(reply, first);
    }
    assert_eq!((server.stats().precomputed, server.stats().cookies), (6, 5));
    // A plain query takes the same reply from the table, and no cookie with it.
    let plain = ask_as(&mut server, [198, 51, 100, 1], 1001, &with_options("web.example.com", b"")).unwrap();
    assert_eq!((plain.len() + 28, cookie_of(&plain)), (first.len(), None));
    // Of another address it is nothing.
    let stolen = ask_as(&mut server, [203, 0, 113, 9], 1001, &shown).unwrap();
    assert_ne!(cookie_of(&stolen).unwrap(), cookie);
    assert_eq!(ask_as(&mut server, [203, 0, 113, 9], 1001, &shown), None);
    // After a rotation it still counts, and a new one is given; after two it does not.
    server.rotate_cookie_secret([10; 16]);
    let renewed = cookie_of(&ask_as(&mut server, PEER, 1001, &shown).unwrap()).unwrap();
    assert!(renewed != cookie && server.stats().cookies == 6);
    server.rotate_cookie_secret([11; 16]);
    assert!(ask_as(&mut server, PEER, 1001, &shown).is_some() && server.stats().cookies == 6);
    // A refusal has its extended error in front of the cookie.
    let refused =
        ask_as(&mut server, PEER, 2000, &with_options("elsewhere.", &cookie_option(&renewed))).unwrap();
    let again =
        ask_as(&mut server, PEER, 2002, &with_options("elsewhere.", &cookie_option(&renewed))).unwrap();
    // All but the time in the cookie and its hash is the same.
    assert!(cookie_of(&refused).is_some() && refused.len() == again.len());
    assert_eq!(refused[..refused.len() - 12], again[..again.len() - 12]);
    // One of a wrong length is an error; one alone is a question about cookies.
    let wrong = ask_as(&mut server, PEER, 3000, &with_options("web.example.com", &cookie_option(b"short")));
    assert_eq!(Message::new(&wrong.unwrap()).unwrap().flags().rcode(), Rcode::FORMERR);
    let mut alone = b"\x12\x34\0\0\0\0\0\0\0\0\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\x0c".to_vec();
    alone.extend(cookie_option(b"client!!"));
    let reply = ask_as(&mut server, PEER, 4000, &alone).unwrap();
    assert_eq!((cookie_of(&reply).unwrap().len(), reply[3] & 15), (24, 0));
}

#[test]
fn a_reply_with_a_cookie_keeps_to_the_clients_size() {
    let mut text =
        std::string::String::from("$TTL 1h\n@ SOA ns admin 1 1d 2h 4w 5m\n@ NS ns\nns A 192.0.2.1\n");
    for number in 0..28 {
        text += &std::format!("many A 192.0.2.{number}\n");
    }
    let mut table = Zones::new();
    let apex = "example.com".parse().unwrap();
    table.insert(crate::zone::load("many", text.as_bytes(), &apex, |_| Err("none".into())).unwrap());
    let config = Config { cookies: Some(CookieSecrets::new([9; 16])), ..Config::default() };
    let mut server = Server::new(table, config);
    // 12 + 22 + 28 * 16 + 11 bytes fit in 512 without a cookie, and not with one.
    for (options, cut) in [(&b""[..], false), (&cookie_option(b"client!!"), true), (&b""[..], false)] {
        let edns = Edns { udp_payload: 512, options, ..Edns::default() };
        let reply =
            ask_as(&mut server, PEER, 1, &query("many.example.com", RecordType::A, Some(&edns))).unwrap();
        assert!(reply.len() <= 512);
        assert_eq!(Message::new(&reply).unwrap().flags().has(Flags::TC), cut);
        assert_eq!(cookie_of(&reply).is_some(), cut);
    }
}

#[test]
fn limited_replies_slip_as_truncated_ones() {
    let config = Config { rate_limit: Some(RateLimit::new(5, [1; 16])), ..Config::default() };
    let mut server = Server::new(zones(ZONE), config);
    let mut kinds = [0; 3];
    for _ in 0..25 {
        let reply = ask_as(&mut server, PEER, 1, &with_options("web.example.com", b""));
        match reply {
            None => kinds[0] += 1,
            Some(reply) if Message::new(&reply).unwrap().flags().has(Flags::TC) => {
                assert_eq!(reply.len(), 12 + 21, "header and question");
                kinds[1] += 1;
            }
            Some(_) => kinds[2] += 1,
        }
    }
    assert_eq!(kinds, [10, 10, 5]);
    assert_eq!(server.stats().rate_limited, 20);
}

#[test]
fn only_those_on_the_list_may_ask() {
    let (allow, transfers) = (["192.0.2.0/24".parse().unwrap()], ["192.0.2.64/28".parse().unwrap()]);
    let config = Config { allow: &allow, transfers: &transfers, ..Config::default() };
    let mut server = Server::new(zones(ZONE), config);
    for (peer, code) in [(PEER, Rcode::NOERROR), ([198, 51, 100, 1], Rcode::REFUSED), (PEER, Rcode::NOERROR)]
    {
        let reply = ask_as(&mut server, peer, 1, &with_options("web.example.com", b"")).unwrap();
        assert_eq!(Message::new(&reply).unwrap().flags().rcode(), code);
    }
    assert!(server.may_transfer(Some(PEER.into())));
    assert!(!server.may_transfer(Some([192, 0, 2, 1].into())) && !server.may_transfer(None));
    assert!(!Server::new(Zones::new(), Config::default()).may_transfer(Some(PEER.into())));
}

#[test]
fn a_zone_that_changes_changes_its_replies_and_no_others() {
    let mut server = Server::new(zones(ZONE), Config::default());
    let load = |apex: &str, address: &str| {
        let text =
            std::format!("$TTL 1h\n@ SOA ns admin 2 1d 2h 4w 5m\n@ NS ns\nns A 192.0.2.1\nweb A {address}\n");
        let none = |_: &str| Err("none".into());
        crate::zone::load("new", text.as_bytes(), &apex.parse().unwrap(), none).unwrap()
    };
    let last = |server: &mut Server<'_>, name: &str| {
        let reply = ask_as(server, PEER, 1, &query(name, RecordType::A, None)).unwrap();
        (reply[3] & 15, reply[reply.len() - 1], server.stats().precomputed)
    };
    server.insert(load("other.net", "192.0.2.100"));
    assert_eq!(last(&mut server, "web.example.com"), (0, 3, 0));
    assert_eq!(last(&mut server, "web.other.net"), (0, 100, 0));
    assert_eq!(last(&mut server, "web.sub.other.net").0, 3);
    // The zone anew: its reply is from it, the other's still comes from the table.
    let before = server.insert(load("example.com", "192.0.2.200")).expect("the zone before");
    assert!(
        before.serial()
            != server
                .zones()
                .get("example.com".parse::<crate::wire::NameBuf>().unwrap().as_name())
                .unwrap()
                .serial()
    );
    assert_eq!(last(&mut server, "web.example.com"), (0, 200, 0));
    assert_eq!(last(&mut server, "web.other.net"), (0, 100, 1));
    // A zone below takes its names from the one above.
    server.insert(load("sub.other.net", "192.0.2.201"));
    assert_eq!(last(&mut server, "web.sub.other.net"), (0, 201, 1));
    let apex: crate::wire::NameBuf = "sub.other.net".parse().unwrap();
    assert!(server.remove(apex.as_name()).is_some());
    assert_eq!(last(&mut server, "web.sub.other.net").0, 3);
    assert_eq!(last(&mut server, "web.other.net"), (0, 100, 2));
}

#[test]
fn padding_is_for_encrypted_streams_and_keepalive_for_streams() {
    let mut server = Server::new(
        zones(ZONE),
        Config { nsid: b"one", cookies: Some(CookieSecrets::new([9; 16])), ..Config::default() },
    );
    let now = || Now { monotonic: Instant::ZERO, unix: None };
    let mut ask = |transport, options: &[u8]| {
        let origin = Origin { peer: Some(PEER.into()), transport, now: &now };
        let mut reply = std::vec![0; 65_535];
        let length = server.respond_to(&origin, &with_options("web.example.com", options), &mut reply);
        let reply = reply[..length.unwrap()].to_vec();
        let opt = Message::new(&reply).unwrap().records().map(Result::unwrap).last().unwrap();
        let option = |code| Edns::from_record(&opt).unwrap().option(code).map(<[u8]>::to_vec);
        (reply.len(), option(option::PADDING), option(option::TCP_KEEPALIVE))
    };
    let padded = b"\0\x0c\0\x04\0\0\0\0";
    let (tcp, tls, udp) = (Transport::Tcp, Transport::Tls, Transport::Udp);
    for (transport, options, blocks, keepalive) in [
        (tls, &padded[..], true, false),
        (tls, b"\0\x0c\0\0\0\x0b\0\0", true, true),
        (tls, b"\0\x0c\0\0\0\x0a\0\x08client!!\0\x03\0\0", true, false),
        (tls, b"\0\x0b\0\0", false, true),
        (tcp, padded, false, false),
        (tcp, b"\0\x0b\0\0", false, true),
        (udp, b"\0\x0b\0\0\0\x0c\0\0", false, false),
    ] {
        // Twice: what is kept ready for some is nobody else's.
        for _ in 0..2 {
            let (length, padding, units) = ask(transport, options);
            assert_eq!(length.is_multiple_of(468), blocks, "{transport:?} {options:?}: {length}");
            assert_eq!(padding.is_some(), blocks);
            assert!(padding.iter().flatten().all(|byte| *byte == 0));
            assert_eq!(units, keepalive.then(|| [0, 100].to_vec()), "{transport:?} {options:?}");
        }
    }
}

#[test]
fn a_stream_may_have_little_memory_too() {
    let mut text = std::string::String::from(ZONE);
    for number in 0..200 {
        text += &std::format!("many.example.com. 60 A 198.51.100.{number}\n");
    }
    let mut server = Server::new(zones(&text), Config { stream_payload: 1000, ..Config::default() });
    let now = || Now { monotonic: Instant::ZERO, unix: None };
    let origin = Origin { peer: None, transport: Transport::Tcp, now: &now };
    for (name, truncated) in [("many.example.com", true), ("web.example.com", false)] {
        let framed = server.respond_framed(&origin, &with_options(name, b"")).unwrap();
        assert!(framed.len() <= 1002, "{}", framed.len());
        assert_eq!(Message::new(&framed[2..]).unwrap().flags().has(Flags::TC), truncated, "{name}");
    }
}
