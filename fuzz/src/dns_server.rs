//! DNS: everything that a server or a resolver is told, and a journal's disk.
use crate::dns::{ZONES, apex};
use airglow_device::{Instant, RamDisk, SeededEntropy};
use airglow_dns::{
    journal::Journal,
    resolver::{Query, Verdict},
    secondary::{Bounds, Incoming, Received},
    server::{Config, Key, Notification, Notified, Now, Origin, Server, Transport},
    update::update,
    wire::{Flags, Message, Rcode, RecordType},
};
use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

#[derive(Debug)]
struct Anybody;
impl Notified for Anybody {
    fn notified(&self, notification: &Notification<'_>) -> Rcode {
        assert!(notification.signed_by.is_none(), "nobody can sign");
        Rcode::NOERROR
    }
}

/// One input is all of these: a request to a server with every service; the answer to a transfer; that to a resolver; a disk.
pub fn dns_server(data: &[u8]) {
    request(data);
    transfer(data);
    resolve(data);
    disk(data);
}

fn request(data: &[u8]) {
    // A secret that no input knows.
    let keys: [Key; 1] = ["k:hmac-sha256:c2VjcmV0IHNlY3JldCBzZWNyZXQ=".parse().expect("a key")];
    let transfers = ["192.0.2.0/24".parse().expect("a prefix")];
    let config = Config { keys: &keys, transfers: &transfers, notified: Some(&Anybody), ..Config::default() };
    let mut server = Server::new(ZONES.clone(), config);
    let now = || Now { monotonic: Instant::ZERO, unix: Some(Duration::from_secs(1)) };
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
        let origin = Origin { peer: Some([192, 0, 2, 1].into()), transport, now: &now };
        let mut out = vec![0; 65_535];
        if let Some(mut transfer) = server.transfer(&origin, data) {
            let mut messages = 0;
            while let Some(length) = transfer.next_message(&mut out) {
                let length = length.expect("64 KiB are enough");
                let message = Message::new(&out[..length]).expect("a message");
                assert!(message.flags().has(Flags::QR) && message.records().all(|record| record.is_ok()));
                messages += 1;
            }
            assert_eq!(messages, 1, "the zone fits into one");
        }
        if let Some(request) = server.update_request(&origin, data) {
            assert!(request.signed_by().is_none(), "nobody can sign");
            let zone = ZONES.iter().next().expect("a zone");
            let message = Message::new(request.message()).expect("a message");
            if let Ok(Some((next, change))) = update(zone, &message) {
                // The change leads where the update led.
                assert_ne!(next.serial(), zone.serial());
                let again = zone.apply(vec![change], 0).expect("a change of this zone");
                assert_eq!(again.to_string(), next.to_string());
            }
            let length = server.reply_to_update(request, Rcode::REFUSED, &mut out).expect("room");
            assert!(Message::new(&out[..length]).is_ok_and(|reply| reply.flags().rcode() == Rcode::REFUSED));
        }
        if let Some(length) = server.respond_to(&origin, data, &mut out) {
            let reply = Message::new(&out[..length]).expect("a message");
            assert!(reply.flags().has(Flags::QR) && reply.records().all(|record| record.is_ok()));
        }
    }
}

fn transfer(data: &[u8]) {
    let zone = ZONES.iter().next().expect("a zone");
    for have in [None, Some(zone.clone())] {
        let mut incoming = Incoming::new(apex().as_name(), 5, have, None, Bounds::default());
        // The message alone, and twice.
        for _ in 0..2 {
            match incoming.message(data, 0) {
                Ok(Some(Received::Whole(next) | Received::Changed(next))) => {
                    assert_eq!(next.apex().name(), apex().as_name());
                    assert!(next.records() >= 2, "an SOA and an NS");
                    break;
                }
                Ok(None) => {}
                _ => break,
            }
        }
    }
}

fn resolve(data: &[u8]) {
    let query = Query::new(apex().as_name(), RecordType::A, &[0; 48]);
    for datagram in [false, true] {
        if let Verdict::Answer(answer) = query.judge(data, datagram) {
            assert!(answer.records.len() <= data.len() / 12 && answer.ttl <= 7 * 86_400);
        }
    }
}

fn disk(data: &[u8]) {
    const SIZE: usize = 64 * 64;
    let mut image = data.to_vec();
    image.resize(SIZE, 0);
    let mut zones = ZONES.clone();
    let entropy = SeededEntropy::predictable(1);
    {
        let opening = pin!(Journal::open(RamDisk::with_image(64, image.clone()), &mut zones, 0, &entropy));
        let opened = opening.poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(opened, Poll::Ready(_)), "a disk in memory does not wait");
    }
    let opening = pin!(Journal::open_copies(RamDisk::with_image(64, image), 0, &entropy));
    let opened = opening.poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(opened) = opened else { panic!("a disk in memory does not wait") };
    // What is found is zones.
    let found = opened.map_or(Vec::new(), |(_, found)| found);
    assert!(found.iter().all(|copy| copy.zone.apex().set(RecordType::SOA).is_some()));
    assert_eq!(zones.len(), 1);
}
