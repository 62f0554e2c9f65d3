//! DNS: messages, answers to any query, and zone files.
use airglow_dns::{
    server::{Config, Server, Transport, Zones},
    wire::{Builder, Edns, Flags, Message, NameBuf, Record, RecordType, Section},
    zone,
};
use std::sync::LazyLock;

const ZONE: &[u8] = b"$TTL 1h\n\
    @ SOA ns admin 1 1d 2h 4w 5m\n\
    @ NS ns\n\
    @ MX 10 mail\n\
    ns A 192.0.2.1\n\
    ns AAAA 2001:db8::1\n\
    mail A 192.0.2.2\n\
    www CNAME mail\n\
    loop CNAME loop\n\
    out CNAME www.example.net.\n\
    d DNAME sub\n\
    a.sub TXT \"below a name\" \"of its own\"\n\
    *.wild A 192.0.2.3\n\
    child NS ns.child\n\
    ns.child A 192.0.2.4\n\
    big TXT \"0123456789012345678901234567890123456789012345678901234567890123456789\"\n";

pub(crate) static ZONES: LazyLock<Zones> = LazyLock::new(|| {
    let apex = apex();
    let mut zones = Zones::new();
    zones.insert(
        zone::load("fuzz.zone", ZONE, &apex, |_| Err("no includes".into())).expect("the zone is right"),
    );
    zones
});

pub(crate) fn apex() -> NameBuf {
    "example.com".parse().expect("a name")
}

/// Every record of a message, and the message made of them again: the same names, types, classes and times.
fn read(bytes: &[u8]) -> Option<()> {
    let message = Message::new(bytes).ok()?;
    let _ = message.question();
    let records: Vec<Record<'_>> = message.records().map_while(Result::ok).collect();
    if message.records().all(|record| record.is_ok()) {
        agree(bytes, &records);
    }
    let mut room = vec![0; 65_535];
    let mut builder = Builder::new(&mut room, message.id(), Flags(message.flags().0)).expect("there is room");
    let mut kept = Vec::new();
    for record in &records {
        assert!(record.rdata_offset + record.rdata.len() <= bytes.len());
        if record.rtype == RecordType(41) {
            let _ = Edns::from_record(record).map(|edns| {
                let _ = edns.options().count();
            });
            continue;
        }
        let name = record.name.as_name();
        if builder.record(record.section, name, record.rtype, record.class, record.ttl, record.rdata).is_err()
        {
            break;
        }
        kept.push(*record);
    }
    let len = builder.finish();
    let again = Message::new(&room[..len]).expect("a message");
    // A message has its sections in order; those that came out of it do too.
    let sorted = kept.is_sorted_by_key(|record| record.section as usize);
    let read: Vec<Record<'_>> = again.records().collect::<Result<_, _>>().expect("what is built is read");
    assert!(sorted && read.len() == kept.len());
    for (a, b) in kept.iter().zip(&read) {
        assert_eq!(
            (a.section, a.name, a.rtype, a.class, a.ttl),
            (b.section, b.name, b.rtype, b.class, b.ttl)
        );
    }
    Some(())
}

/// What ours reads whole, NLnet Labs' `domain` reads too, and the same.
fn agree(bytes: &[u8], ours: &[Record<'_>]) {
    let Ok(theirs) = domain::base::Message::from_octets(bytes) else { panic!("`domain` reads no header") };
    let mut read = 0;
    let sections = [theirs.answer(), theirs.authority(), theirs.additional()];
    for (index, section) in sections.into_iter().enumerate() {
        let section = section.expect("`domain` finds each section");
        for record in section {
            let record = record.expect("`domain` reads each record");
            let own = ours.get(read).expect("there are no more records than ours has read");
            read += 1;
            let mut name = Vec::new();
            for label in record.owner().iter() {
                name.push(label.len() as u8);
                name.extend_from_slice(label.as_slice());
            }
            assert_eq!(
                (own.section as usize, own.name.as_name().as_bytes(), own.rtype.0, own.class.0),
                (index, name.as_slice(), record.rtype().to_int(), record.class().to_int())
            );
            assert_eq!((own.ttl, own.rdata.len()), (record.ttl().as_secs(), usize::from(record.rdlen())));
        }
    }
    assert_eq!(read, ours.len());
}

/// A message: it is read, and asked of a server over each transport. A reply is a message with the query's id, fits, and
/// answers no reply.
pub fn dns_message(data: &[u8]) {
    let _ = read(data);
    let mut server = Server::new(ZONES.clone(), Config::default());
    for (transport, most) in
        [(Transport::Udp, 1232), (Transport::Udp, 512), (Transport::Tcp, 65_535), (Transport::Tls, 65_535)]
    {
        let mut reply = vec![0; most];
        let Some(len) = server.respond(data, transport, &mut reply) else { continue };
        let query = Message::new(data).expect("only a message is answered");
        let reply = Message::new(reply.get(..len).expect("the reply fits")).expect("a reply is a message");
        assert!(!query.flags().has(Flags::QR), "a reply is answered");
        assert!(reply.id() == query.id() && reply.flags().has(Flags::QR));
        let mut records = 0;
        for record in reply.records() {
            let record = record.expect("a reply is well formed");
            assert!(record.section as usize <= Section::Additional as usize);
            records += 1;
        }
        let said = [Section::Answer, Section::Authority, Section::Additional]
            .map(|s| usize::from(reply.record_count(s)));
        assert_eq!(records, said.iter().sum::<usize>());
    }
}

/// A zone file: a zone, or an error that says where.
pub fn dns_zone(data: &[u8]) {
    if let Err(error) = zone::load("fuzz.zone", data, &apex(), |_| Err("no includes".into())) {
        let text = error.to_string();
        assert!(text.starts_with("fuzz.zone"), "{text}");
    }
}
