//! RFC 2136 rule by rule.
use super::*;
use crate::{
    wire::{Builder, Flags},
    zone::load,
};
use std::{format, string::String, string::ToString, vec};

const TEXT: &str = "$TTL 60\n@ SOA ns admin 7 100 10 1000 1\n@ NS ns\nns A 192.0.2.1\nns A 192.0.2.2\na.b TXT x\nmx MX 10 Mail\nc CNAME ns\nd DNAME old\n";

fn zone() -> Zone {
    load("test", TEXT.as_bytes(), &"example.com".parse().unwrap(), |_| Err(String::new())).unwrap()
}

/// Records as `SECTION CLASS TTL NAME TYPE DATA`, lines.
fn message(lines: &str) -> Vec<u8> {
    let origin: NameBuf = "example.com".parse().unwrap();
    let mut out = vec![0; 4096];
    let mut builder = Builder::new(&mut out, 1, Flags(5 << 11)).unwrap();
    builder.question(origin.as_name(), RecordType::SOA, Class::IN).unwrap();
    for line in lines.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let section = if words[0] == "if" { Section::Answer } else { Section::Authority };
        let class = match words[1] {
            "any" => Class::ANY,
            "none" => Class::NONE,
            "ch" => Class::CH,
            _ => Class::IN,
        };
        let name = rdata::name(words[3].as_bytes(), origin.as_name()).unwrap();
        let rtype = RecordType::from_text(words[4].as_bytes()).unwrap();
        let mut data = vec![0; 512];
        let tokens: Vec<_> =
            words[5..].iter().map(|word| rdata::Token { raw: word.as_bytes(), quoted: false }).collect();
        let used = if tokens.is_empty() {
            0
        } else {
            rdata::parse(rtype, &tokens, origin.as_name(), &mut data).unwrap()
        };
        builder
            .record(section, name.as_name(), rtype, class, words[2].parse().unwrap(), &data[..used])
            .unwrap();
    }
    let length = builder.finish();
    out.truncate(length);
    out
}

/// What is different after these lines, or the code.
fn after(lines: &str) -> String {
    let old = zone();
    let bytes = message(lines);
    match update(&old, &Message::new(&bytes).unwrap()) {
        Err(rcode) => format!("{rcode:?}"),
        Ok(None) => "nothing".into(),
        Ok(Some((new, change))) => {
            assert_eq!(old.apply(vec![change.clone()], 0).unwrap().to_string(), new.to_string());
            let (old, new) = (old.to_string(), new.to_string());
            let mut words = vec![];
            words.extend(
                old.lines().filter(|line| !new.lines().any(|l| l == *line)).map(|line| format!("-{line}")),
            );
            words.extend(
                new.lines().filter(|line| !old.lines().any(|l| l == *line)).map(|line| format!("+{line}")),
            );
            words.retain(|line| !line.contains(" SOA ") || !line.contains(" 8 ") && !line.contains(" 7 "));
            words.join("\n").replace(".example.com.", "").replace(" IN ", " ")
        }
    }
}

#[test]
fn prerequisites_hold_or_say_which_does_not() {
    for (line, code) in [
        ("if any 0 ns ANY", "nothing"),
        ("if any 0 no ANY", "NXDOMAIN"),
        ("if any 0 b ANY", "NXDOMAIN"),
        ("if any 0 ns A", "nothing"),
        ("if any 0 ns AAAA", "NXRRSET"),
        ("if none 0 no ANY", "nothing"),
        ("if none 0 ns ANY", "YXDOMAIN"),
        ("if none 0 ns AAAA", "nothing"),
        ("if none 0 ns A", "YXRRSET"),
        ("if in 0 ns A 192.0.2.2\nif in 0 NS A 192.0.2.1", "nothing"),
        ("if in 0 ns A 192.0.2.2", "NXRRSET"),
        ("if in 0 mx MX 10 MAIL", "nothing"),
        ("if in 0 ns A 192.0.2.2\nif in 0 ns A 192.0.2.1\nif in 0 ns A 192.0.2.3", "NXRRSET"),
        ("if in 5 ns A 192.0.2.2", "FORMERR"),
        ("if any 0 ns A 192.0.2.2", "FORMERR"),
        ("if ch 0 ns A", "FORMERR"),
        ("if any 0 www.example.net. A", "NOTZONE"),
        ("add in 5 www.example.net. A 192.0.2.1", "NOTZONE"),
        ("add in 5 www A 192.0.2.1\nadd in 5 www ANY", "FORMERR"),
        ("del any 5 ns A", "FORMERR"),
        ("del any 0 ns A 192.0.2.1", "FORMERR"),
        ("del any 0 ns AXFR", "FORMERR"),
        ("del none 0 ns ANY", "FORMERR"),
        ("del none 9 ns A 192.0.2.1", "FORMERR"),
        ("add ch 9 ns A 192.0.2.1", "FORMERR"),
    ] {
        assert_eq!(after(line), code, "{line}");
    }
}

#[test]
fn records_come_and_go() {
    for (lines, expected) in [
        ("add in 60 new A 192.0.2.9", "+new 60 A 192.0.2.9"),
        ("add in 60 ns A 192.0.2.1", "nothing"),
        (
            "add in 9 ns A 192.0.2.1",
            "-ns 60 A 192.0.2.1\n-ns 60 A 192.0.2.2\n+ns 9 A 192.0.2.1\n+ns 9 A 192.0.2.2",
        ),
        ("del none 0 ns A 192.0.2.1", "-ns 60 A 192.0.2.1"),
        ("del none 0 ns A 192.0.2.7", "nothing"),
        ("del none 0 mx MX 10 mail", "-mx 60 MX 10 Mail"),
        ("del any 0 ns A", "-ns 60 A 192.0.2.1\n-ns 60 A 192.0.2.2"),
        ("del any 0 a.b ANY", "-a.b 60 TXT \"x\""),
        // The zone's own SOA and last NS stay.
        ("del any 0 @ ANY", "nothing"),
        ("del any 0 @ NS", "nothing"),
        ("del none 0 @ NS ns", "nothing"),
        ("add in 60 @ NS ns2\ndel none 0 @ NS ns", "-example.com. 60 NS ns\n+example.com. 60 NS ns2"),
        ("add in 60 @ MX 5 mx\ndel any 0 @ ANY", "nothing"),
        // A CNAME stands alone; a new one takes the place of the old.
        ("add in 60 ns CNAME mx", "nothing"),
        ("add in 60 c A 192.0.2.1", "nothing"),
        ("add in 60 c CNAME mx", "-c 60 CNAME ns\n+c 60 CNAME mx"),
        ("del any 0 c CNAME\nadd in 60 c A 192.0.2.3", "-c 60 CNAME ns\n+c 60 A 192.0.2.3"),
        ("add in 60 d DNAME new", "-d 60 DNAME old\n+d 60 DNAME new"),
        ("del none 0 ns A 192.0.2.1\nadd in 60 ns A 192.0.2.1", "nothing"),
        ("add in 60 @ SOA ns admin 6 1 1 1 1", "nothing"),
        ("add in 60 ns SOA ns admin 9 1 1 1 1", "nothing"),
    ] {
        assert_eq!(after(lines), expected, "{lines}");
    }
    let bytes = message("add in 60 @ SOA ns admin 99 1 1 1 1");
    let (new, change) = update(&zone(), &Message::new(&bytes).unwrap()).unwrap().unwrap();
    assert_eq!((new.serial(), change.from(), change.to()), (99, Some(7), Some(99)));
    let bytes = message("add in 60 new A 192.0.2.9");
    assert_eq!(update(&zone(), &Message::new(&bytes).unwrap()).unwrap().unwrap().0.serial(), 8);
    assert_eq!(zone_of(&Message::new(&bytes).unwrap()).unwrap().to_string(), "example.com.");
    // No damage is a panic.
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            let _ = update(&zone(), &Message::new(&damaged).unwrap());
        }
    }
}
