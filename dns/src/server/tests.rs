use super::*;
use crate::{
    wire::{NameBuf, rdata, rdata::Text},
    zone,
};
use std::{
    format,
    string::{String, ToString},
    vec::Vec,
};

pub(super) const ZONE: &str = r#"
$TTL 1h
@ SOA ns admin 1 1d 2h 4w 5m
@ NS ns
@ NS ns.other.
@ MX 10 mail
ns A 192.0.2.1
ns AAAA 2001:db8::1
mail A 192.0.2.2
www CNAME web
web A 192.0.2.3
out CNAME www.other.
chain CNAME www
loop CNAME loop2
loop2 CNAME loop
gone CNAME nowhere
a.b.ent A 192.0.2.4
*.wild A 192.0.2.5
*.wild MX 5 mail
*.cwild CNAME web
sub.wild TXT "here"
child NS ns.child
child NS ns
child DS 1 13 2 00
ns.child A 192.0.2.6
below.ns.child A 192.0.2.7
plain NS ns.other.
old DNAME new
x.new A 192.0.2.8
outside DNAME other.
big TXT "x"
"#;

/// The reply in words: code, flags, and the sections' records a line each.
fn ask(zones: &Zones, query: &[u8], transport: Transport) -> String {
    let mut reply = std::vec![0; 65_535];
    let mut server = Server::new(zones.clone(), Config { nsid: b"ag", ..Config::default() });
    let Some(length) = server.respond(query, transport, &mut reply) else { return "nothing".into() };
    // Asked again, in other letters, the answer comes from the table and differs in nothing but the letters.
    let (mut shouted, mut again) = (query.to_vec(), std::vec![0; 65_535]);
    shouted[0] ^= 0x55;
    for byte in shouted.iter_mut().skip(12).take(12) {
        *byte = byte.to_ascii_uppercase();
    }
    let second = server.respond(&shouted, transport, &mut again).expect("an answer the second time");
    assert!(second == length && again[2..12] == reply[2..12] && again[0] == reply[0] ^ 0x55);
    assert!(again[12..length].eq_ignore_ascii_case(&reply[12..length]));
    let message = Message::new(&reply[..length]).unwrap();
    let mut words = format!("{:?}", message.flags().rcode());
    for (name, flag) in [("aa", Flags::AA), ("tc", Flags::TC), ("rd", Flags::RD)] {
        if message.flags().has(flag) {
            words += &format!(" {name}");
        }
    }
    for record in message.records() {
        let record = record.unwrap();
        if record.rtype == RecordType::OPT {
            let edns = Edns::from_record(&record).unwrap();
            words += &format!(
                "\nOPT {} {:?} {:?}",
                edns.udp_payload,
                edns.rcode(message.flags().rcode()),
                edns.options
            );
            continue;
        }
        let mut data = [0; 4096];
        let used = rdata::from_message(
            record.rtype,
            &reply[..length],
            record.rdata_offset,
            record.rdata.len(),
            &mut data,
        );
        let text = Text(record.rtype, &data[..used.unwrap()]).to_string();
        let section = ["an", "ns", "ad"][record.section as usize];
        words += &format!("\n{section} {} {} {} {text}", record.name, record.ttl, record.rtype);
    }
    words
}

pub(super) fn query(name: &str, rtype: RecordType, edns: Option<&Edns<'_>>) -> Vec<u8> {
    let mut bytes = std::vec![0; 512];
    let mut builder = Builder::new(&mut bytes, 99, Flags(Flags::RD)).unwrap();
    let name: NameBuf = name.parse().unwrap();
    builder.question(name.as_name(), rtype, Class::IN).unwrap();
    if let Some(edns) = edns {
        builder.edns(edns).unwrap();
    }
    let length = builder.finish();
    bytes.truncate(length);
    bytes
}

pub(super) fn zones(text: &str) -> Zones {
    let mut zones = Zones::new();
    let apex = "example.com".parse().unwrap();
    zones.insert(zone::load("test", text.as_bytes(), &apex, |_| Err(String::new())).unwrap());
    zones
}

const SOA: &str = "\nns example.com. 300 SOA ns.example.com. admin.example.com. 1 86400 7200 2419200 300";

#[test]
fn the_algorithm_of_rfc_1034() {
    let zones = zones(ZONE);
    let web = "\nan web.example.com. 3600 A 192.0.2.3";
    let www = "\nan www.example.com. 3600 CNAME web.example.com.";
    let cases: &[(&str, RecordType, String)] = &[
        ("web.example.com", RecordType::A, format!("NOERROR aa rd{web}")),
        ("wEb.Example.com", RecordType::A, "NOERROR aa rd\nan wEb.Example.com. 3600 A 192.0.2.3".into()),
        ("web.example.com", RecordType::AAAA, format!("NOERROR aa rd{SOA}")),
        ("nowhere.example.com", RecordType::A, format!("NXDOMAIN aa rd{SOA}")),
        ("www.example.com", RecordType::A, format!("NOERROR aa rd{www}{web}")),
        ("www.example.com", RecordType::CNAME, format!("NOERROR aa rd{www}")),
        ("chain.example.com", RecordType::A, format!("NOERROR aa rd\nan chain.example.com. 3600 CNAME www.example.com.{www}{web}")),
        ("out.example.com", RecordType::A, "NOERROR aa rd\nan out.example.com. 3600 CNAME www.other.".into()),
        ("gone.example.com", RecordType::A, format!("NXDOMAIN aa rd\nan gone.example.com. 3600 CNAME nowhere.example.com.{SOA}")),
        ("b.ent.example.com", RecordType::A, format!("NOERROR aa rd{SOA}")),
        ("x.b.ent.example.com", RecordType::A, format!("NXDOMAIN aa rd{SOA}")),
        ("q.w.wild.example.com", RecordType::A, "NOERROR aa rd\nan q.w.wild.example.com. 3600 A 192.0.2.5".into()),
        ("q.wild.example.com", RecordType::TXT, format!("NOERROR aa rd{SOA}")),
        ("sub.wild.example.com", RecordType::A, format!("NOERROR aa rd{SOA}")),
        ("x.sub.wild.example.com", RecordType::A, format!("NXDOMAIN aa rd{SOA}")),
        ("wild.example.com", RecordType::A, format!("NOERROR aa rd{SOA}")),
        ("q.cwild.example.com", RecordType::A, format!("NOERROR aa rd\nan q.cwild.example.com. 3600 CNAME web.example.com.{web}")),
        ("example.com", RecordType::MX, "NOERROR aa rd\nan example.com. 3600 MX 10 mail.example.com.\nad mail.example.com. 3600 A 192.0.2.2".into()),
        ("plain.example.com", RecordType::A, "NOERROR rd\nns plain.example.com. 3600 NS ns.other.".into()),
        ("plain.example.com", RecordType::DS, format!("NOERROR aa rd{SOA}")),
        ("child.example.com", RecordType::DS, "NOERROR aa rd\nan child.example.com. 3600 DS 1 13 2 00".into()),
        ("x.old.example.com", RecordType::A, "NOERROR aa rd\nan old.example.com. 3600 DNAME new.example.com.\nan x.old.example.com. 3600 CNAME x.new.example.com.\nan x.new.example.com. 3600 A 192.0.2.8".into()),
        ("old.example.com", RecordType::DNAME, "NOERROR aa rd\nan old.example.com. 3600 DNAME new.example.com.".into()),
        ("x.outside.example.com", RecordType::A, "NOERROR aa rd\nan outside.example.com. 3600 DNAME other.\nan x.outside.example.com. 3600 CNAME x.other.".into()),
        ("www.other", RecordType::A, "REFUSED rd".into()),
        ("example.com", RecordType::AXFR, "REFUSED rd".into()),
        ("example.com", RecordType(253), "NOTIMP rd".into()),
    ];
    for (name, rtype, reply) in cases {
        assert_eq!(&ask(&zones, &query(name, *rtype, None), Transport::Udp), reply, "{name} {rtype}");
    }
    // Everything at or below a cut is a referral with the glue the child's names need.
    for name in
        ["child.example.com", "x.child.example.com", "ns.child.example.com", "below.ns.child.example.com"]
    {
        assert_eq!(
            ask(&zones, &query(name, RecordType::A, None), Transport::Udp),
            "NOERROR rd\nns child.example.com. 3600 NS ns.child.example.com.\nns child.example.com. 3600 NS ns.example.com.\
             \nad ns.child.example.com. 3600 A 192.0.2.6\nad ns.example.com. 3600 A 192.0.2.1\nad ns.example.com. 3600 AAAA 2001:db8::1"
        );
    }
    // A loop ends.
    let reply = ask(&zones, &query("loop.example.com", RecordType::A, None), Transport::Tcp);
    assert!(reply.starts_with("NOERROR aa rd\nan loop.example.com. 3600 CNAME loop2"), "{reply}");
    // ANY is one set in a datagram and all of them over a stream (RFC 8482).
    let any = query("ns.example.com", RecordType::ANY, None);
    assert_eq!(ask(&zones, &any, Transport::Udp), "NOERROR aa rd\nan ns.example.com. 3600 A 192.0.2.1");
    assert!(ask(&zones, &any, Transport::Tcp).ends_with("AAAA 2001:db8::1"));
}

#[test]
fn what_is_no_good_question_is_answered_as_the_rfcs_say() {
    let zones = zones(ZONE);
    let good = query("web.example.com", RecordType::A, None);
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        ask(&zones, &bytes, Transport::Udp)
    };
    assert_eq!(ask(&zones, &good[..11], Transport::Udp), "nothing");
    assert_eq!(with(2, 0x81), "nothing", "a reply");
    assert_eq!(with(2, 0x29), "NOTIMP rd", "UPDATE");
    assert_eq!(with(5, 2), "FORMERR rd", "two questions");
    assert_eq!(with(5, 0), "FORMERR rd", "none");
    assert_eq!(with(11, 1), "FORMERR rd", "a record that is not there");
    assert_eq!(with(12, 0xc0), "FORMERR rd", "a pointer loop");
    assert_eq!(ask(&zones, &good[..good.len() - 1], Transport::Udp), "FORMERR rd");
    let edns = Edns { udp_payload: 4096, ..Edns::default() };
    let opt =
        |edns: &Edns<'_>, name: &str| ask(&zones, &query(name, RecordType::A, Some(edns)), Transport::Udp);
    assert!(opt(&edns, "web.example.com").ends_with("\nOPT 1232 NOERROR []"));
    assert_eq!(opt(&Edns { version: 1, ..edns }, "web.example.com"), "NOERROR rd\nOPT 1232 BADVERS []");
    assert!(
        opt(&Edns { options: &[0, 3, 0, 0], ..edns }, "web.example.com").ends_with("[0, 3, 0, 2, 97, 103]")
    );
    assert_eq!(opt(&edns, "www.other"), "REFUSED rd\nOPT 1232 REFUSED [0, 15, 0, 2, 0, 20]");
    // Two OPT records.
    let mut twice = query("web.example.com", RecordType::A, Some(&edns));
    twice.extend_from_slice(&twice.clone()[twice.len() - 11..]);
    twice[11] = 2;
    assert_eq!(ask(&zones, &twice, Transport::Udp), "FORMERR rd");
}

#[test]
fn what_does_not_fit_says_so_and_the_stream_has_it_all() {
    let mut text = String::from(ZONE);
    for index in 0..60 {
        text += &format!("many A 198.51.100.{index}\n");
    }
    let zones = zones(&text);
    let plain = query("many.example.com", RecordType::A, None);
    assert_eq!(ask(&zones, &plain, Transport::Udp), "NOERROR aa tc rd");
    assert_eq!(ask(&zones, &plain, Transport::Tcp).lines().count(), 61);
    let edns = Edns { udp_payload: 1232, ..Edns::default() };
    let reply = ask(&zones, &query("many.example.com", RecordType::A, Some(&edns)), Transport::Udp);
    assert_eq!(reply.lines().count(), 62, "{reply}");
}

#[test]
fn replies_are_kept_within_their_bound_and_served_to_whom_they_fit() {
    let mut text = String::from(ZONE);
    for index in 0..60 {
        text += &format!("many A 198.51.100.{index}\nh{index} A 198.51.100.{index}\n");
    }
    let zones = zones(&text);
    let mut server = Server::new(zones.clone(), Config { precomputed: 8192, ..Config::default() });
    let mut reply = [0; 65_535];
    let mut length = |server: &mut Server<'_>, name: &str, edns: Option<&Edns<'_>>| {
        let length = server.respond(&query(name, RecordType::A, edns), Transport::Udp, &mut reply).unwrap();
        (length, Message::new(&reply).unwrap().flags().has(Flags::TC), server.stats().precomputed)
    };
    let large = Edns { udp_payload: 1232, ..Edns::default() };
    let (whole, cut, _) = length(&mut server, "many.example.com", Some(&large));
    assert!(whole > 900 && !cut);
    assert_eq!(length(&mut server, "many.example.com", Some(&large)), (whole, false, 1));
    // One who takes less does not get the large one.
    let (small, cut, hits) =
        length(&mut server, "many.example.com", Some(&Edns { udp_payload: 512, ..large }));
    assert!(small <= 512 && cut && hits == 1);
    let (small, cut, hits) = length(&mut server, "many.example.com", None);
    assert!(small <= 512 && cut && hits == 1);
    // A DNSSEC query is another question.
    assert_eq!(length(&mut server, "many.example.com", Some(&Edns { dnssec_ok: true, ..large })).2, 1);
    for _ in 0..3 {
        for index in 0..60 {
            length(&mut server, &format!("h{index}.example.com"), None);
            assert!(server.precomputed_bytes() <= 8192);
        }
    }
    assert!(server.stats().precomputed > 1);
}

#[test]
fn a_transfer_carries_every_record_once() {
    let zones = zones(ZONE);
    let asked = query("example.com", RecordType::AXFR, None);
    for room in [300, 65_535] {
        let mut transfer = Transfer::start(&zones, &asked).unwrap();
        let mut out = std::vec![0; room];
        let mut records = Vec::new();
        let mut messages = 0;
        while let Some(length) = transfer.next_message(&mut out) {
            let message = Message::new(&out[..length.unwrap()]).unwrap();
            records.extend(message.records().map(|r| r.map(|r| (r.name.to_string(), r.rtype)).unwrap()));
            messages += 1;
        }
        assert_eq!(
            records.len(),
            zones.get("example.com".parse::<NameBuf>().unwrap().as_name()).unwrap().records() + 1
        );
        assert_eq!((records[0].1, records[records.len() - 1].1), (RecordType::SOA, RecordType::SOA));
        assert_eq!(messages > 1, room == 300);
    }
    assert!(Transfer::start(&zones, &query("www.example.com", RecordType::AXFR, None)).is_none());
}

proptest::proptest! {
    #[test]
    fn any_query_gets_a_whole_reply_or_none(bytes: Vec<u8>, name in "[a-z.*]{0,30}", code in 0..260_u16) {
        let zones = zones(ZONE);
        let _ = ask(&zones, &bytes, Transport::Udp);
        let mut header = std::vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        header.extend(&bytes);
        let _ = ask(&zones, &header, Transport::Tcp);
        let full = format!("{name}.example.com");
        if full.parse::<NameBuf>().is_ok() {
            let _ = ask(&zones, &query(&full, RecordType(code), None), Transport::Udp);
        }
    }
}
