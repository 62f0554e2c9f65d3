//! 0-RTT: what is accepted, what is refused and sent again, and what ends the connection.
use super::{sessions::*, *};
use crate::{EarlyData, Session, Sessions};
use airglow_device::Clock;
use core::time::Duration;

/// What a test changes.
struct Setting {
    early_data: EarlyData,
    protocols: &'static [&'static [u8]],
    name: &'static str,
    provider: Primitives,
    offers: bool,
}

const ACCEPTS: Setting = Setting {
    early_data: EarlyData::OnRequest(1_000),
    protocols: &[b"a"],
    name: "p256.example",
    provider: CLASSIC,
    offers: true,
};

impl World<'_> {
    fn ends(&self, setting: &Setting, test: impl FnOnce(ClientEnd<'_>, ServerEnd<'_>)) {
        let key = key("p256");
        let certificates = [Certificate::new(&[P256], &key, &["p256.example"])];
        let server = ServerConfig {
            protocols: &[b"a", b"b"],
            tickets: Some(&self.tickets),
            early_data: setting.early_data,
            ..ServerConfig::new(setting.provider, &certificates)
        };
        let pins = [pin(P256)];
        let client = ClientConfig {
            protocols: setting.protocols,
            sessions: Some(&self.sessions),
            early_data: setting.offers,
            ..ClientConfig::new(CLASSIC, PinnedKeys(&pins))
        };
        let entropy = SeededEntropy::predictable(self.clock.now().as_nanos());
        let buffers = || (vec![0; BUFFER], vec![0; 6_000]);
        let (incoming, outgoing) = buffers();
        let client = Connection::client(&client, setting.name, &entropy, incoming, outgoing).unwrap();
        let (incoming, outgoing) = buffers();
        test(client, Connection::server(&server, &entropy, incoming, outgoing));
    }
    /// A whole handshake, after which the client has sessions.
    fn meet(&self) {
        self.ends(&ACCEPTS, |mut client, mut server| {
            assert_eq!(client.write_early(b"nobody"), Ok(0));
            connect!(client, server, 99_999);
            assert!(!client.early_data_accepted() && !server.early_data_accepted());
        });
    }
    /// Takes up a session; early data that are refused are written again and reach the server once.
    fn accepts(&self, setting: &Setting) -> bool {
        let mut accepted = false;
        self.ends(setting, |mut client, mut server| {
            assert_eq!(client.write_early(b"early"), Ok(5));
            connect!(client, server, 99_999);
            accepted = client.early_data_accepted();
            assert_eq!(server.early_data_accepted(), accepted);
            if !accepted {
                assert_eq!((client.early_data_left(), client.write_early(b"late")), (0, Ok(0)));
                assert_eq!(client.write(b"early"), Ok(5));
            }
            assert_eq!(client.write(b", more"), Ok(6));
            assert!(carry!(client, server, 99_999).is_ok());
            assert_eq!(server.plaintext(), b"early, more");
            assert_eq!(server.write(b"answer"), Ok(6));
            assert!(carry!(server, client, 99_999).is_ok());
            assert_eq!(client.plaintext(), b"answer");
        });
        accepted
    }
    fn session(&self) -> Session {
        let session = self.sessions.take("p256.example").unwrap();
        while self.sessions.take("p256.example").is_some() {}
        session
    }
}

#[test]
fn a_request_is_answered_before_the_handshake_is_done() {
    for step in [1, 7, 99_999] {
        with_world(|world| {
            world.meet();
            world.ends(&ACCEPTS, |mut client, mut server| {
                assert_eq!(client.early_data_left(), 1_000);
                assert_eq!((client.write_early(b"first, "), client.write_early(b"second")), (Ok(7), Ok(6)));
                assert_eq!(client.early_data_left(), 987);
                assert!(carry!(client, server, step).is_ok());
                assert!(!server.is_connected() && server.early_data_accepted() && server.is_resumed());
                assert_eq!(server.early_data(), b"first, second");
                assert!(server.plaintext().is_empty());
                assert_eq!(server.protocol(), Some(&b"a"[..]));
                let exported = server.export_early(b"label", b"", 32).unwrap();
                assert_eq!(*exported, *client.export_early(b"label", b"", 32).unwrap());
                assert!(server.export(b"label", b"", 32).is_none());
                server.consume(13);
                assert_eq!(server.write(b"answer"), Ok(6));
                // The hello, the answer and what belongs to the handshake, all in one.
                assert!(carry!(server, client, step).is_ok());
                assert!(client.is_connected() && client.early_data_accepted());
                assert_eq!(client.plaintext(), b"answer");
                assert_eq!(client.write_early(b"late"), Ok(0));
                assert!(carry!(client, server, step).is_ok());
                assert!(server.is_connected() && server.plaintext().is_empty());
                assert_ne!(*exported, *server.export(b"label", b"", 32).unwrap());
            });
        });
    }
}

#[test]
fn what_is_not_asked_for_comes_when_the_handshake_is_done() {
    with_world(|world| {
        world.meet();
        for _ in 0..3 {
            // Each brings a session for the next.
            assert!(world.accepts(&ACCEPTS));
        }
        // Part of it early, the rest later.
        world.ends(&ACCEPTS, |mut client, mut server| {
            assert_eq!(client.write_early(b"early"), Ok(5));
            assert!(carry!(client, server, 99_999).is_ok());
            server.consume(2);
            connect!(client, server, 99_999);
            assert_eq!(server.plaintext(), b"rly");
        });
    });
}

#[test]
fn an_old_or_other_offer_is_refused_and_the_handshake_goes_on() {
    const SHA384: Primitives =
        Restricted { cipher_suites: &[CipherSuite::TLS_AES_256_GCM_SHA384], ..CLASSIC };
    const OTHER_GROUP: Primitives = Restricted { groups: &[NamedGroup::SECP256R1], ..CLASSIC };
    for (what, setting, expected) in [
        ("nothing is wrong", ACCEPTS, true),
        ("the server no longer takes any", Setting { early_data: EarlyData::Refused, ..ACCEPTS }, false),
        ("or fewer", Setting { early_data: EarlyData::Replayable(999), ..ACCEPTS }, false),
        ("another protocol", Setting { protocols: &[b"b"], ..ACCEPTS }, false),
        ("no protocol", Setting { protocols: &[], ..ACCEPTS }, false),
        ("another suite", Setting { provider: SHA384, ..ACCEPTS }, false),
        ("a HelloRetryRequest", Setting { provider: OTHER_GROUP, ..ACCEPTS }, false),
    ] {
        with_world(|world| {
            world.meet();
            assert_eq!(world.accepts(&setting), expected, "{what}");
        });
    }
    // Another host, of the same certificate.
    with_world(|world| {
        world.meet();
        world.sessions.put("other.example", world.session());
        assert!(!world.accepts(&Setting { name: "other.example", ..ACCEPTS }));
    });
    // The ticket's age, as the client sees it.
    for (seconds, expected) in [(9, true), (11, false)] {
        with_world(|world| {
            world.meet();
            let mut session = world.session();
            session.age_add = session.age_add.wrapping_add(seconds * 1_000);
            world.sessions.put("p256.example", session);
            assert_eq!(world.accepts(&ACCEPTS), expected, "{seconds} s");
        });
    }
    // And time that goes by for both.
    with_world(|world| {
        world.meet();
        world.clock.0.set(world.clock.now() + Duration::from_secs(50));
        assert!(world.accepts(&ACCEPTS));
    });
}

#[test]
fn a_first_flight_is_taken_once() {
    with_world(|world| {
        world.meet();
        world.ends(&ACCEPTS, |mut client, mut server| {
            assert_eq!(client.write_early(b"once"), Ok(4));
            let flight = client.output().to_vec();
            assert!(carry!(client, server, 99_999).is_ok());
            assert_eq!(server.early_data(), b"once");
            // The same bytes again, as an attacker would send them.
            world.ends(&ACCEPTS, |_, mut other| {
                other.space()[..flight.len()].copy_from_slice(&flight);
                other.received(flight.len());
                assert_eq!(other.process(), Ok(Event::Idle));
                assert!(
                    !other.early_data_accepted()
                        && other.early_data().is_empty()
                        && !other.output().is_empty()
                );
                assert_eq!(other.write(b"answer"), Ok(0));
            });
            connect!(client, server, 99_999);
        });
        // The same ticket from an honest client.
        world.sessions.put("p256.example", world.session());
        let session = world.session();
        world.sessions.put("p256.example", session.clone());
        assert!(world.accepts(&ACCEPTS));
        world.session();
        world.sessions.put("p256.example", session);
        assert!(!world.accepts(&ACCEPTS));
    });
}

//= https://www.rfc-editor.org/rfc/rfc8446#section-4.2.10
//= type=test
//# A server receiving more than
//# max_early_data_size bytes of 0-RTT data SHOULD terminate the
//# connection with an "unexpected_message" alert.
#[test]
fn more_than_the_ticket_allows_ends_the_connection() {
    for (len, alert) in [(1_000, None), (1_001, Some(Alert::UNEXPECTED_MESSAGE))] {
        with_world(|world| {
            world.meet();
            let mut session = world.session();
            session.max_early_data = 2_000;
            world.sessions.put("p256.example", session);
            world.ends(&ACCEPTS, |mut client, mut server| {
                assert_eq!(client.write_early(&vec![7; len]), Ok(len));
                let outcome = carry!(client, server, 99_999);
                assert_eq!(outcome, alert.map_or(Ok(Event::Idle), |alert| Err(Error::Sent(alert))));
            });
        });
    }
}

#[test]
fn the_end_of_early_data_comes_where_it_belongs() {
    let unexpected = Alert::UNEXPECTED_MESSAGE;
    let finished = [&[20, 0, 0, 32][..], &[0; 32]].concat();
    let twice = [5, 0, 0, 0, 5, 0, 0, 0];
    for (what, messages, alert) in [
        ("a body", &[&[5, 0, 0, 1, 0][..]][..], Alert::DECODE_ERROR),
        ("Finished before it", &[&finished], unexpected),
        ("a KeyUpdate before it", &[&[24, 0, 0, 1, 0]], unexpected),
        ("another message in its record", &[&twice], unexpected),
        // The second is under keys of then.
        ("another in the next record", &[&twice[..4], &twice[..4]], Alert::BAD_RECORD_MAC),
    ] {
        with_world(|world| {
            world.meet();
            world.ends(&ACCEPTS, |mut client, mut server| {
                assert_eq!(client.write_early(b"early"), Ok(5));
                for message in messages {
                    client.outgoing.handshake(|out| Ok(out.bytes(message)?)).unwrap();
                }
                assert_eq!(carry!(client, server, 99_999), Err(Error::Sent(alert)), "{what}");
            });
        });
    }
    // Data between its parts.
    with_world(|world| {
        world.meet();
        world.ends(&ACCEPTS, |mut client, mut server| {
            client.outgoing.handshake(|out| Ok(out.bytes(&[5, 0])?)).unwrap();
            assert_eq!(client.write_early(b"early"), Ok(5));
            assert_eq!(carry!(client, server, 99_999), Err(Error::Sent(unexpected)));
        });
    });
    // Other keys without it.
    with_world(|world| {
        world.meet();
        world.ends(&ACCEPTS, |mut client, mut server| {
            client.outgoing.keys().unwrap().update(&CLASSIC).unwrap();
            client.outgoing.handshake(|out| Ok(out.bytes(&finished)?)).unwrap();
            assert_eq!(carry!(client, server, 99_999), Err(Error::Sent(Alert::BAD_RECORD_MAC)));
        });
    });
    // Where there are none to be ended.
    with_world(|world| {
        world.meet();
        world.ends(&Setting { offers: false, ..ACCEPTS }, |mut client, mut server| {
            assert!(carry!(client, server, 99_999).is_ok());
            let hello = RECORD_HEADER + RecordHeader::parse(server.output()).unwrap().unwrap().len;
            client.space()[..hello].copy_from_slice(&server.output()[..hello]);
            client.received(hello);
            assert_eq!(client.process(), Ok(Event::Idle));
            client.outgoing.handshake(|out| Ok(out.bytes(&twice[..4])?)).unwrap();
            assert_eq!(carry!(client, server, 99_999), Err(Error::Sent(unexpected)));
        });
    });
}

#[test]
fn a_client_takes_no_acceptance_that_it_did_not_ask_for() {
    for (expected, alert) in [
        (None, Alert::UNSUPPORTED_EXTENSION),
        (Some(Some(7)), Alert::ILLEGAL_PARAMETER),
        (Some(Some(0)), Alert(0)),
    ] {
        with_world(|world| {
            world.meet();
            world.ends(&ACCEPTS, |mut client, mut server| {
                assert!(carry!(client, server, 99_999).is_ok());
                client.role.expect_early_data(expected);
                let outcome = carry!(server, client, 99_999);
                match alert {
                    Alert(0) => assert!(outcome.is_ok() && client.early_data_accepted()),
                    alert => assert_eq!(outcome, Err(Error::Sent(alert))),
                }
            });
        });
    }
}

#[test]
fn much_early_data_goes_through_small_buffers() {
    with_world(|world| {
        let setting = Setting { early_data: EarlyData::OnRequest(u32::MAX), ..ACCEPTS };
        world.ends(&setting, |mut client, mut server| {
            connect!(client, server, 99_999);
        });
        world.ends(&setting, |mut client, mut server| {
            // No more than half of the server's buffer.
            assert_eq!(client.early_data_left(), BUFFER as u32 / 2);
            let sent: Vec<u8> = (0..BUFFER / 2).map(|index| index as u8).collect();
            let mut at = 0;
            while at < sent.len() {
                at += client.write_early(&sent[at..]).unwrap();
                assert!(carry!(client, server, 500).is_ok());
            }
            assert_eq!(client.write_early(b"more"), Ok(0));
            connect!(client, server, 500);
            assert_eq!(server.plaintext(), sent);
        });
    });
}
