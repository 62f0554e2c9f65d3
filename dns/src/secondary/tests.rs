//! Timers, notifications, catalogs, and transfers whole and broken.
use super::*;
use crate::{
    server::{Transfer, Zones},
    zone::load,
};
use std::{format, string::String, string::ToString, vec};

const TEXT: &str =
    "$TTL 60\n@ SOA ns admin 7 100 10 1000 1\n@ NS ns\nns A 192.0.2.1\nns A 192.0.2.2\na.b TXT x\n";

fn zone(text: &str) -> Zone {
    load("test", text.as_bytes(), &"example.com".parse().unwrap(), |_| Err(String::new())).unwrap()
}
fn apex() -> NameBuf {
    "example.com".parse().unwrap()
}
fn peers(count: u8) -> Arc<[Peer]> {
    (1..=count).map(|n| format!("192.0.2.{n}").parse::<crate::NameServer>().unwrap().into()).collect()
}
fn at(seconds: u64) -> Instant {
    Instant::from_secs(seconds)
}
/// Who is asked at `now`, or when the next is due.
fn next(secondaries: &mut Secondaries, now: u64) -> String {
    match secondaries.next(at(now)) {
        Next::Refresh { primary, .. } => primary.server.address.to_string(),
        Next::Expired(_) => "expired".into(),
        Next::At(Instant::MAX) => "never".into(),
        Next::At(at) => format!("{}", at.as_millis() / 1000),
    }
}

#[test]
fn what_was_kept_is_as_old_as_it_is() {
    let kept = zone(TEXT);
    let age = Duration::from_secs;
    let mut secondaries = Secondaries::new();
    assert!(!secondaries.restored(&kept, age(0), at(5)), "nobody keeps it");
    secondaries.add(apex().as_name(), peers(1), false, at(5));
    assert!(!secondaries.restored(&kept, age(1000), at(5)), "its thousand seconds are over");
    assert!(!secondaries.restored(&kept, age(u64::MAX), at(5)));
    assert!(secondaries.restored(&kept, age(985), at(5)));
    // Asked at once, after its own retry time again, and expired when its time is over, wherever that was spent.
    assert_eq!(next(&mut secondaries, 5), "192.0.2.1:53");
    secondaries.failed(apex().as_name(), at(6));
    assert_eq!(next(&mut secondaries, 6), "16");
    assert_eq!(next(&mut secondaries, 16), "192.0.2.1:53");
    secondaries.failed(apex().as_name(), at(17));
    assert_eq!(next(&mut secondaries, 19), "20");
    assert_eq!(next(&mut secondaries, 20), "expired");
    // While a primary is being asked, too.
    assert_eq!(next(&mut secondaries, 20), "192.0.2.1:53");
    secondaries.succeeded(&kept, at(30));
    assert_eq!(next(&mut secondaries, 130), "192.0.2.1:53");
    assert_eq!(next(&mut secondaries, 1029), "1030");
    assert_eq!(next(&mut secondaries, 1030), "expired");
    assert_eq!(next(&mut secondaries, 1031), "never");
    secondaries.failed(apex().as_name(), at(1031));
    assert_eq!(next(&mut secondaries, 1031), "1033");
}

#[test]
fn refresh_retry_and_expire() {
    let mut secondaries = Secondaries::new();
    secondaries.add(apex().as_name(), peers(2), false, at(0));
    assert_eq!(next(&mut secondaries, 0), "192.0.2.1:53");
    assert_eq!(next(&mut secondaries, 0), "never", "one question at a time");
    secondaries.failed(apex().as_name(), at(1));
    assert_eq!(next(&mut secondaries, 1), "192.0.2.2:53", "the other at once");
    secondaries.failed(apex().as_name(), at(1));
    assert_eq!(next(&mut secondaries, 1), "3");
    for (now, then) in [(3, 7), (7, 15), (15, 31)] {
        assert_eq!(next(&mut secondaries, now), "192.0.2.1:53");
        secondaries.failed(apex().as_name(), at(now));
        assert_eq!(next(&mut secondaries, now), "192.0.2.2:53");
        secondaries.failed(apex().as_name(), at(now));
        assert_eq!(next(&mut secondaries, now), then.to_string());
    }
    assert_eq!(next(&mut secondaries, 31), "192.0.2.1:53");
    secondaries.succeeded(&zone(TEXT), at(40));
    assert_eq!(next(&mut secondaries, 40), "140");
    assert_eq!(next(&mut secondaries, 140), "192.0.2.1:53");
    let mut now = 140;
    let mut asked = 0;
    while now < 1040 {
        secondaries.failed(apex().as_name(), at(now));
        let said = next(&mut secondaries, now);
        match said.parse() {
            Ok(then) => now = then,
            Err(_) => continue,
        }
        let said = next(&mut secondaries, now);
        asked += 1;
        if said == "expired" {
            break;
        }
    }
    assert_eq!((now, asked), (1040, 90), "every 10 s until 1000 s after the last success");
    assert_eq!(next(&mut secondaries, now), "192.0.2.1:53", "and it is tried on");
}

#[test]
fn notifications_count_from_primaries_only() {
    let mut secondaries = Secondaries::new();
    secondaries.add(apex().as_name(), peers(1), false, at(0));
    assert_eq!(next(&mut secondaries, 0), "192.0.2.1:53");
    let apex = apex();
    let notification = |peer: [u8; 4]| Notification {
        zone: apex.as_name(),
        peer: Some(peer.into()),
        signed_by: None,
        serial: Some(8),
    };
    assert_eq!(secondaries.notified(&notification([192, 0, 2, 9]), at(1)), Rcode::REFUSED);
    assert_eq!(secondaries.notified(&notification([192, 0, 2, 1]), at(1)), Rcode::NOERROR);
    secondaries.succeeded(&zone(TEXT), at(2));
    assert_eq!(
        next(&mut secondaries, 2),
        "192.0.2.1:53",
        "what was told during a refresh is looked at after it"
    );
    secondaries.succeeded(&zone(TEXT), at(3));
    assert_eq!(next(&mut secondaries, 3), "103");
    assert_eq!(secondaries.notified(&notification([192, 0, 2, 1]), at(4)), Rcode::NOERROR);
    assert_eq!(next(&mut secondaries, 4), "192.0.2.1:53");
    let other = "example.net".parse::<NameBuf>().unwrap();
    let stranger = Notification { zone: other.as_name(), ..notification([192, 0, 2, 1]) };
    assert_eq!(secondaries.notified(&stranger, at(4)), Rcode::NOTAUTH);
}

#[test]
fn targets_are_told_until_they_answer() {
    let mut notifier = Notifier::new(peers(2).to_vec());
    notifier.changed(apex().as_name(), at(0));
    let first = notifier.next(at(0)).unwrap();
    let mut bytes = [0; 600];
    let length = first.write(&zone(TEXT), 77, &mut bytes).unwrap();
    let mut answer = bytes[..length].to_vec();
    assert!(!first.is_answer(77, &answer));
    answer[2] |= 0x80;
    assert!(first.is_answer(77, &answer) && !first.is_answer(78, &answer));
    notifier.answered(&first);
    let mut told = vec![];
    let mut now = 0;
    loop {
        match notifier.next(at(now)) {
            Ok(notice) => told.push((now, notice.target.server.address.ip().to_string())),
            Err(Instant::MAX) => break,
            Err(then) => now = then.as_millis() / 1000,
        }
    }
    let expected = [0, 2, 6, 14, 30].map(|second| (second, "192.0.2.2".to_string()));
    assert_eq!(told, expected);
}

#[test]
fn a_catalog_lists_zones() {
    let text = format!(
        "{TEXT}version TXT 2\nQ1.zones PTR one.example.\nq2.zones PTR Two.Example.\ngroup.q2.zones TXT x \"y\" \"z\"\n\
         group.q2.zones TXT other\ncoo.q1.zones PTR next.\nother.q1.zones PTR nobody.\n"
    );
    let names = |text: &str| {
        let names = members(&zone(text))?.into_iter().map(|member| {
            let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
            let groups: Vec<_> = member.groups.iter().map(text).collect();
            let owner = member.owner.map_or("-".into(), |owner| owner.to_string());
            format!("{} {} {owner} {}", text(&member.label), member.zone, groups.join(","))
        });
        Ok(names.collect::<Vec<_>>())
    };
    let expected = ["q1 one.example. next. ", "q2 Two.Example. - other,xyz"].map(String::from);
    let found = names(&text).map(|mut found| {
        found.iter_mut().for_each(|line| {
            // The order of records in a set is theirs.
            if line.ends_with("xyz,other") {
                *line = line.replace("xyz,other", "other,xyz");
            }
        });
        found
    });
    assert_eq!(found, Ok(expected.to_vec()));
    assert_eq!(names(TEXT), Err(CatalogError::Version));
    assert_eq!(names(&text.replace("TXT 2", "TXT 1")), Err(CatalogError::Version));
    assert_eq!(names(&format!("{text}q3.zones PTR ONE.example.\n")), Err(CatalogError::Twice));
    assert_eq!(names(&format!("{text}q1.zones PTR three.example.\n")), Err(CatalogError::ManyTargets));
    assert_eq!(names(&format!("{text}coo.q1.zones PTR three.example.\n")), Err(CatalogError::ManyTargets));
}

/// Two catalogs, which say in turn what they list, and what that means: RFC 9432 sections 4.4.1 and 5.2 to 5.6.
#[test]
fn members_stay_move_and_are_reset() {
    let (old, new): (NameBuf, NameBuf) = ("old.invalid".parse().unwrap(), "new.invalid".parse().unwrap());
    let mut secondaries = Secondaries::new();
    let others = |address: &str| Arc::from([Peer::from(address.parse::<NameServer>().unwrap())]);
    secondaries.set_group(b"far", others("192.0.2.99"));
    secondaries.add(old.as_name(), others("192.0.2.1"), true, at(0));
    secondaries.add(new.as_name(), others("192.0.2.2"), true, at(0));
    secondaries.add("own.example".parse::<NameBuf>().unwrap().as_name(), others("192.0.2.3"), false, at(0));
    // (catalog, members as LABEL ZONE OWNER GROUPS; what is gone, reset, clashing; where m.example is kept from)
    let rows: [(&NameBuf, &[&str], &str, &str); 14] = [
        (&old, &["a m.example - -"], "||", "192.0.2.1"),
        (&old, &["a m.example - other"], "||", "192.0.2.1"),
        (&old, &["a m.example - far"], "||", "192.0.2.99"),
        (&old, &["a m.example - -"], "||", "192.0.2.1"),
        // Another label: anew.
        (&old, &["b m.example - -"], "|m.example.|", "192.0.2.1"),
        // Another catalog has no say, nor one in what is here for other reasons.
        (
            &new,
            &["b m.example - -", "c own.example - -", "d here.example - -"],
            "||m.example.,own.example.,here.example.",
            "192.0.2.1",
        ),
        (&old, &["b m.example wrong.invalid -"], "||", "192.0.2.1"),
        (&new, &["b m.example - -"], "||m.example.", "192.0.2.1"),
        // Until the one that has it says so, and the other lists it after that; under the same label it moves as it is.
        (&old, &["b m.example new.invalid -"], "||", "192.0.2.1"),
        (&new, &["b m.example old.invalid -"], "||", "192.0.2.2"),
        (&old, &[], "||", "192.0.2.2"),
        // Back, under another label.
        (&old, &["e m.example - far"], "|m.example.|", "192.0.2.99"),
        (&new, &[], "||", "192.0.2.99"),
        (&old, &["e other.example - -"], "m.example.||", "-"),
    ];
    for (row, (catalog, listed, wanted, from)) in rows.into_iter().enumerate() {
        let member = |text: &&str| {
            let words: Vec<&str> = text.split(' ').collect();
            Member {
                zone: words[1].parse().unwrap(),
                label: words[0].into(),
                owner: Some(words[2]).filter(|word| *word != "-").map(|word| word.parse().unwrap()),
                groups: words[3..].iter().map(|word| word.as_bytes().to_vec()).collect(),
            }
        };
        let listed: Vec<Member> = listed.iter().map(member).collect();
        let m: NameBuf = "m.example".parse().unwrap();
        let before = secondaries.number(m.as_name());
        let from_before = secondaries.primaries(m.as_name());
        let here = |name: Name<'_>| name.to_string() == "here.example.";
        let result = secondaries.list(catalog.as_name(), &listed, here, at(0));
        let text = |names: &[NameBuf]| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let said = [&result.gone, &result.reset, &result.clashing].map(|names| text(names)).join("|");
        assert_eq!(said, wanted, "row {row}");
        let now = secondaries.primaries(m.as_name());
        let address = now.as_ref().map_or("-".into(), |peers| peers[0].server.address.ip().to_string());
        assert_eq!(address, from, "row {row}");
        // A refresh that was begun is good only if nothing has changed.
        let servers = |peers: &Option<Arc<[Peer]>>| peers.as_ref().map(|peers| peers[0].server.clone());
        let same = servers(&from_before) == servers(&now) && result.reset.is_empty();
        assert_eq!(secondaries.number(m.as_name()) == before, same, "row {row}");
    }
    // Two catalogs, one of no catalog, and the last member.
    assert_eq!(secondaries.len(), 4);
}

/// The messages in which ours sends `zone` to one who has `have`, each at most `size` bytes.
fn messages(zone: &Arc<Zone>, have: Option<&Arc<Zone>>, size: usize) -> Vec<Vec<u8>> {
    let mut zones = Zones::new();
    zones.insert(zone.clone());
    let mut query = [0; 600];
    let length = ask(apex().as_name(), 5, have.map(|have| &**have), &mut query).unwrap();
    let mut transfer = Transfer::start(&zones, &query[..length]).unwrap();
    let mut out = vec![0; size];
    let mut messages = vec![];
    while let Some(length) = transfer.next_message(&mut out) {
        messages.push(out[..length.unwrap()].to_vec());
    }
    messages
}

fn receive(messages: &[Vec<u8>], have: Option<&Arc<Zone>>) -> Result<Option<Received>, TransferError> {
    let mut incoming = Incoming::new(apex().as_name(), 5, have.cloned(), None, Bounds::default());
    for message in messages {
        if let Some(received) = incoming.message(message, 0)? {
            return Ok(Some(received));
        }
    }
    Ok(None)
}

fn text(received: Result<Option<Received>, TransferError>) -> String {
    match received {
        Ok(Some(Received::Whole(zone) | Received::Changed(zone))) => zone.to_string(),
        Ok(Some(Received::Current)) => "current".into(),
        Ok(None) => "unfinished".into(),
        Err(error) => format!("{error:?}"),
    }
}

#[test]
fn what_is_sent_comes_in_whole_or_not_at_all() {
    let old = Arc::new(zone(TEXT));
    let mut now = zone(TEXT);
    for serial in 8..12 {
        let changed = TEXT.replace(" 7 ", &format!(" {serial} ")).replace(".2.2", &format!(".2.{serial}"));
        let mut next = zone(&format!("{changed}new{serial} TXT hello\n"));
        next.succeed(&now, 1 << 20);
        now = next;
    }
    let now = Arc::new(now);
    for size in [120, 200, 65_535] {
        let whole = messages(&now, None, size);
        assert_eq!(text(receive(&whole, None)), now.to_string());
        let changes = messages(&now, Some(&old), size);
        assert!(size < 65_535 || changes.len() == 1);
        assert_eq!(text(receive(&changes, Some(&old))), now.to_string());
        assert_eq!(text(receive(&messages(&now, Some(&now), size), Some(&now))), "current");
        // A whole zone may answer IXFR too, and one who does not have the version cannot use changes.
        assert_eq!(text(receive(&whole, Some(&old))), now.to_string());
        assert_eq!(text(receive(&changes, None)), "Order");
        // Cut anywhere, or with any byte damaged: no panic, and a zone only if it is whole.
        for count in 0..changes.len() {
            assert_eq!(text(receive(&changes[..count], Some(&old))), "unfinished");
        }
        for (index, message) in changes.iter().enumerate() {
            for cut in 0..message.len() {
                let mut broken = changes.clone();
                broken[index].truncate(cut);
                assert!(!text(receive(&broken, Some(&old))).contains("SOA"), "message {index} cut at {cut}");
            }
            for byte in 0..message.len() {
                let mut broken = changes.clone();
                broken[index][byte] ^= 0x15;
                let _ = receive(&broken, Some(&old));
                let _ = receive(&broken, None);
            }
        }
    }
    // A version whose changes are forgotten gets the zone whole, and the receiver finds what differs by itself.
    let mut forgotten = zone(&now.to_string());
    forgotten.succeed(&old, 0);
    let forgotten = Arc::new(forgotten);
    let Ok(Some(Received::Whole(received))) = receive(&messages(&forgotten, Some(&old), 4096), Some(&old))
    else {
        panic!("a zone")
    };
    assert_eq!(received.to_string(), now.to_string());
    assert_eq!(received.changes_since(7).map(<[_]>::len), Some(1));
    // Bounds.
    let small = Bounds { transfer: 150, history: 0 };
    let mut incoming = Incoming::new(apex().as_name(), 5, None, None, small);
    let result = messages(&now, None, 200).iter().try_for_each(|m| incoming.message(m, 0).map(|_| ()));
    assert_eq!(result, Err(TransferError::TooLarge));
}
