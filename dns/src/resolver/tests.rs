//! Replies true, forged, cut and strange; what is remembered.
use super::*;
use crate::{
    server::{Config, Server, Transport, Zones},
    zone::load,
};
use airglow_device::Instant;
use std::{string::String, string::ToString, vec};

const TEXT: &str = "$TTL 60\n@ SOA ns admin 7 100 10 1000 9\n@ NS ns\nns A 192.0.2.1\nns A 192.0.2.2\nwww 30 CNAME ns\nloop CNAME loop\nbig TXT \"0123456789\"\n";

fn ask(query: &Query) -> Vec<u8> {
    let mut zones = Zones::new();
    let apex = "example.com".parse().unwrap();
    zones.insert(load("test", TEXT.as_bytes(), &apex, |_| Err(String::new())).unwrap());
    let mut bytes = [0; 512];
    let length = query.write(true, &mut bytes).unwrap();
    let mut reply = vec![0; 1232];
    let length = Server::new(zones, Config::default()).respond(&bytes[..length], Transport::Udp, &mut reply);
    reply.truncate(length.unwrap());
    reply
}

fn query(name: &str, rtype: RecordType) -> Query {
    let name: NameBuf = name.parse().unwrap();
    Query::new(name.as_name(), rtype, &[0xa5; 48])
}

fn a(last: &[u8], ttl: u32) -> Answer {
    let records = last.iter().map(|last| [192, 0, 2, *last].as_slice().into()).collect();
    Answer { rcode: Rcode::NOERROR, records, ttl }
}

#[test]
fn replies_are_believed_when_they_answer_what_was_asked() {
    let ns = query("ns.example.com", RecordType::A);
    assert_eq!(ns.name.to_string(), "nS.eXaMPlE.cOm.", "letters by the random bits");
    let reply = ask(&ns);
    assert_eq!(ns.judge(&reply, true), Verdict::Answer(a(&[1, 2], 60)));
    let www = query("www.example.com", RecordType::A);
    assert_eq!(www.judge(&ask(&www), true), Verdict::Answer(a(&[1, 2], 30)), "through the alias");
    let none = query("no.example.com", RecordType::A);
    let nothing = Answer { rcode: Rcode::NXDOMAIN, records: vec![], ttl: 9 };
    assert_eq!(none.judge(&ask(&none), true), Verdict::Answer(nothing.clone()));
    let nodata = query("ns.example.com", RecordType::MX);
    assert_eq!(
        nodata.judge(&ask(&nodata), true),
        Verdict::Answer(Answer { rcode: Rcode::NOERROR, ..nothing })
    );
    let turning = query("loop.example.com", RecordType::A);
    assert!(
        matches!(turning.judge(&ask(&turning), true), Verdict::Answer(answer) if answer.records.is_empty())
    );
    let elsewhere = query("ns.example.net", RecordType::A);
    assert_eq!(elsewhere.judge(&ask(&elsewhere), true), Verdict::Failed(Rcode::REFUSED));

    let changed = |at: usize, with: u8| {
        let mut reply = reply.clone();
        reply[at] ^= with;
        ns.judge(&reply, true)
    };
    assert_eq!(changed(0, 1), Verdict::Ignore, "another id");
    assert_eq!(changed(2, 0x80), Verdict::Ignore, "a question");
    assert_eq!(changed(2, 2), Verdict::AskOverTcp, "cut");
    assert_eq!(changed(13, 0x20), Verdict::AskOverTcp, "spelt otherwise");
    assert_eq!(changed(13, 1), Verdict::Ignore, "another name");
    assert_eq!(changed(3, 1), Verdict::AskPlain);
    assert_eq!(changed(3, 2), Verdict::Failed(Rcode::SERVFAIL));
    for at in 0..reply.len() {
        let _ = ns.judge(&reply[..at], true);
        for bit in 0..8 {
            let _ = changed(at, 1 << bit);
        }
    }
}

#[test]
fn names_are_searched() {
    let search: Vec<NameBuf> = ["a.example", "b.example"].map(|name| name.parse().unwrap()).to_vec();
    let names = |text: &str| candidates(text, &search, 1).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names("www"), ["www.a.example.", "www.b.example.", "www."]);
    assert_eq!(names("www.c"), ["www.c.", "www.c.a.example.", "www.c.b.example."]);
    assert_eq!(names("www."), ["www."]);
    assert_eq!(names("a..b"), Vec::<String>::new());
}

#[test]
fn what_is_known_holds_and_is_stale_and_goes() {
    let at = Instant::from_secs;
    let name: NameBuf = "www.example.com".parse().unwrap();
    let other: NameBuf = "WWW.example.COM".parse().unwrap();
    let mut cache = Cache::new(3);
    let find = |cache: &mut Cache, now| cache.find(other.as_name(), RecordType::A, at(now));
    assert_eq!(find(&mut cache, 0), Found::Nothing);
    cache.insert(name.as_name(), RecordType::A, &a(&[1], 60), at(10));
    assert_eq!(find(&mut cache, 30), Found::Fresh(a(&[1], 40)));
    assert_eq!(find(&mut cache, 70), Found::Stale { answer: a(&[1], 30), ask: true });
    cache.failed(name.as_name(), RecordType::A, at(70));
    assert_eq!(find(&mut cache, 99), Found::Stale { answer: a(&[1], 30), ask: false });
    assert_eq!(find(&mut cache, 100), Found::Stale { answer: a(&[1], 30), ask: true });
    assert_eq!(find(&mut cache, 70 + 86_400), Found::Nothing);
    assert!(cache.is_empty());
    for n in 0..5 {
        let name: NameBuf = std::format!("n{n}.example").parse().unwrap();
        cache.insert(name.as_name(), RecordType::A, &a(&[1], 60), at(n));
    }
    assert_eq!(cache.len(), 3);
    let first: NameBuf = "n1.example".parse().unwrap();
    assert_eq!(cache.find(first.as_name(), RecordType::A, at(5)), Found::Nothing);
}
