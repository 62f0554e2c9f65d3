//! Sessions of TLS 1.2 that are resumed, and what else comes of tickets there.
use super::{
    sessions::{Setting, World, with_world},
    *,
};
use crate::{
    Sessions, Version,
    crypto::{CipherSuite, Secret},
    wire::HandshakeType,
};

const HOST: &str = "p256.example";

/// Runs `test` where both speak TLS 1.2 and have met once.
fn acquainted(test: impl FnOnce(&World<'_>)) {
    with_world(|world| {
        world.version.set(Version::Tls12);
        assert!(!world.resumes());
        test(world);
    });
}

#[test]
fn a_session_is_for_its_host_and_its_suite() {
    acquainted(|world| {
        let session = world.sessions.take(HOST).unwrap();
        assert_eq!((session.suite, session.psk.len()), (CipherSuite(0xc02b), 48));
        world.sessions.put("other.example", session);
        assert!(!world.resumes_at(Some("other.example")));
    });
    acquainted(|world| {
        // The client remembers another suite than the server.
        let mut session = world.sessions.take(HOST).unwrap();
        session.suite = CipherSuite(0xc02c);
        world.sessions.put(HOST, session);
        world.with_ends(&Setting::default(), |mut client, mut server| {
            assert!(carry!(client, server, 99_999).is_ok());
            assert_eq!(carry!(server, client, 99_999), Err(Error::Sent(Alert::ILLEGAL_PARAMETER)));
        });
    });
}

#[test]
fn a_session_is_of_one_version() {
    // A master secret is no pre-shared key, and no pre-shared key a master secret.
    for (first, second, suite) in
        [(Version::Tls12, Version::Tls13, 0x1301), (Version::Tls13, Version::Tls12, 0xc02b)]
    {
        for suite in [None, Some(CipherSuite(suite))] {
            with_world(|world| {
                world.version.set(first);
                assert!(!world.resumes());
                let mut session = world.sessions.take(HOST).unwrap();
                while world.sessions.take(HOST).is_some() {}
                session.suite = suite.unwrap_or(session.suite);
                world.sessions.put(HOST, session);
                world.version.set(second);
                assert!(!world.resumes());
            });
        }
    }
}

#[test]
fn a_secret_of_its_own_opens_nothing() {
    acquainted(|world| {
        let mut session = world.sessions.take(HOST).unwrap();
        session.psk = Secret::new(&[1; 48]);
        world.sessions.put(HOST, session);
        world.with_ends(&Setting::default(), |mut client, mut server| {
            assert!(carry!(client, server, 99_999).is_ok());
            assert_eq!(carry!(server, client, 99_999), Err(Error::Sent(Alert::BAD_RECORD_MAC)));
        });
    });
}

#[test]
fn every_changed_byte_of_a_resumption_is_noticed() {
    // The client's hello, the server's flight, the client's.
    for turn in 0..3 {
        let (mut index, mut len) = (0, 1);
        while index < len {
            acquainted(|world| {
                world.with_ends(&Setting::default(), |mut client, mut server| {
                    for turn in 0..turn {
                        let outcome = match turn {
                            0 => carry!(client, server, 99_999),
                            _ => carry!(server, client, 99_999),
                        };
                        assert!(outcome.is_ok());
                    }
                    let mut bytes = if turn == 1 { server.output() } else { client.output() }.to_vec();
                    len = bytes.len();
                    bytes[index] ^= 0x20;
                    let (mut headers, mut at, mut protected) = (vec![], 0, false);
                    let said = if turn == 1 { server.output() } else { client.output() };
                    while let Ok(Some(header)) = RecordHeader::parse(&said[at..]) {
                        // Versions in the headers of records that are not protected mean nothing.
                        if !protected {
                            headers.extend([at + 1, at + 2]);
                        }
                        protected |= header.content_type == ContentType::CHANGE_CIPHER_SPEC;
                        at += RECORD_HEADER + header.len;
                    }
                    if turn == 1 {
                        server.sent(len);
                        let _ = give!(client, &bytes);
                    } else {
                        client.sent(len);
                        let _ = give!(server, &bytes);
                    }
                    for _ in 0..3 {
                        let _ = carry!(server, client, 99_999);
                        let _ = carry!(client, server, 99_999);
                    }
                    let connected = client.is_connected() && server.is_connected();
                    assert_eq!(connected, headers.contains(&index), "byte {index} of flight {turn}");
                });
            });
            index += 1;
        }
    }
}

#[test]
fn a_wrong_finished_ends_a_resumption() {
    let wrong = Err(Error::Sent(Alert::DECRYPT_ERROR));
    acquainted(|world| {
        world.with_ends(&Setting::default(), |mut client, mut server| {
            assert!(carry!(client, server, 99_999).is_ok());
            assert!(carry!(server, client, 99_999).is_ok());
            assert!(client.is_connected() && client.is_resumed() && !server.is_connected());
            server.role.mishear();
            assert_eq!(carry!(client, server, 99_999), wrong);
        });
        // The ticket that came was good for nothing before the server's Finished was.
        while world.sessions.take(HOST).is_some() {}
        assert!(!world.resumes());
        world.with_ends(&Setting::default(), |mut client, mut server| {
            assert!(carry!(client, server, 99_999).is_ok());
            let flight = server.output().to_vec();
            // The Finished is the last record.
            let last = flight.len() - (RECORD_HEADER + 8 + 16 + 16);
            assert_eq!(give!(client, &flight[..last]), Ok(Event::Idle));
            client.role.mishear(true);
            assert_eq!(give!(client, &flight[last..]), wrong);
            assert!(world.sessions.is_empty());
        });
    });
}

#[test]
fn a_ticket_comes_where_it_was_promised() {
    let unexpected = Err(Error::Sent(Alert::UNEXPECTED_MESSAGE));
    with_world(|world| {
        world.version.set(Version::Tls12);
        world.with_ends(&Setting::default(), |mut client, mut server| {
            assert!(carry!(client, server, 99_999).is_ok());
            assert!(carry!(server, client, 99_999).is_ok());
            assert!(carry!(client, server, 99_999).is_ok());
            let flight = server.output().to_vec();
            let ticket = RECORD_HEADER + RecordHeader::parse(&flight).unwrap().unwrap().len;
            assert_eq!(flight[RECORD_HEADER], HandshakeType::NEW_SESSION_TICKET.0);
            assert_eq!(give!(client, &flight[ticket..]), unexpected);
            // Nobody promised one to a client that keeps none.
            tls12::Setup::default().with(|mut client, mut server| {
                assert!(carry!(client, server, 99_999).is_ok());
                assert!(carry!(server, client, 99_999).is_ok());
                assert_eq!(give!(client, &flight[..ticket]), unexpected);
            });
        });
    });
}

#[test]
fn a_session_that_was_not_offered_is_not_resumed() {
    with_world(|world| {
        world.version.set(Version::Tls12);
        world.with_ends(&Setting::default(), |mut client, mut server| {
            let id = RECORD_HEADER + 4 + 2 + 32 + 1;
            let session = client.output()[id..][..32].to_vec();
            assert!(carry!(client, server, 99_999).is_ok());
            // The ServerHello alone, with the client's session id where there is none.
            let flight = server.output().to_vec();
            let hello = RECORD_HEADER + 4 + usize::from(u16::from_be_bytes([flight[7], flight[8]]));
            let mut record = flight[..hello].to_vec();
            assert_eq!(record[id - 1], 0);
            record[id - 1] = 32;
            record.splice(id..id, session);
            let len = record.len() - RECORD_HEADER;
            record[3..5].copy_from_slice(&(len as u16).to_be_bytes());
            record[7..9].copy_from_slice(&((len - 4) as u16).to_be_bytes());
            assert_eq!(give!(client, &record), Err(Error::Sent(Alert::ILLEGAL_PARAMETER)));
        });
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_at_any_time(at in 0..8_usize, bytes in proptest::collection::vec(any::<u8>(), 0..2_000), step in 1..300_usize) {
        acquainted(|world| {
            world.with_ends(&Setting::default(), |mut client, mut server| {
                disturb!(client, server, at, bytes, step);
            });
        });
    }
}
