//! The same two ends where one of them speaks TLS 1.2 at best.
use super::{hello::Hello, *};
use crate::{ClientAuthentication, Version, wire::HandshakeType};

/// What the two ends are like.
#[derive(Clone, Copy)]
pub(super) struct Setup {
    /// The newest version of client and server.
    newest: [Version; 2],
    provider: Primitives,
    /// The certificate's name.
    certificate: &'static str,
    /// The client's certificate, if it is asked for one.
    client: Option<&'static str>,
    buffer: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            newest: [Version::Tls12, Version::Tls13],
            provider: CLASSIC,
            certificate: "p256",
            client: None,
            buffer: BUFFER,
        }
    }
}

const P384: &[u8] = include_bytes!("../../tests/keys/p384.der");

fn pair(name: &str) -> (&'static [u8], PrivateKey) {
    match name {
        "p384" => (P384, PrivateKey::from_der(include_bytes!("../../tests/keys/p384.pkcs8.der")).unwrap()),
        "p256" => (P256, key("p256")),
        _ => (ED25519, key("ed25519")),
    }
}

impl Setup {
    /// Runs `test` with a fresh client and server.
    pub(super) fn with(self, test: impl FnOnce(ClientEnd<'_>, ServerEnd<'_>)) {
        let (certificate, key) = pair(self.certificate);
        let chain = [certificate];
        let certificates = [Certificate::new(&chain, &key, &["a.example"])];
        let (shown, client_key) = pair(self.client.unwrap_or("p256"));
        let (client_chain, client_pins) = ([shown], [pin(shown)]);
        let verifier = PinnedKeys(&client_pins);
        let clients = ClientAuthentication { verifier: &verifier, required: true };
        let server = ServerConfig {
            protocols: &[b"a", b"b"],
            minimum_version: Version::Tls12,
            maximum_version: self.newest[1],
            clients: Some(clients).filter(|_| self.client.is_some()),
            ..ServerConfig::new(self.provider, &certificates)
        };
        let pins = [pin(certificate)];
        let client = ClientConfig {
            protocols: &[b"b"],
            minimum_version: Version::Tls12,
            maximum_version: self.newest[0],
            certificate: Some(Certificate::new(&client_chain, &client_key, &[])),
            ..ClientConfig::new(self.provider, PinnedKeys(&pins))
        };
        let entropy = SeededEntropy::predictable(1);
        let buffers = || (vec![0; self.buffer], vec![0; 3_000]);
        let (incoming, outgoing) = buffers();
        let client = Connection::client(&client, "a.example", &entropy, incoming, outgoing).unwrap();
        let (incoming, outgoing) = buffers();
        test(client, Connection::server(&server, &entropy, incoming, outgoing));
    }
}

/// Data both ways, in pieces.
macro_rules! talk {
    ($client:expr, $server:expr, $step:expr) => {
        for _ in 0..3 {
            assert_eq!(($client.write(b"ping"), $server.write(b"pong")), (Ok(4), Ok(4)));
            assert!(carry!($client, $server, $step).is_ok());
            assert!(carry!($server, $client, $step).is_ok());
            assert_eq!((&*$client.plaintext(), &*$server.plaintext()), (&b"pong"[..], &b"ping"[..]));
            $client.consume(4);
            $server.consume(4);
        }
    };
}

#[test]
fn every_suite_group_and_certificate() {
    let suites = RustCrypto.cipher_suites().iter().map(|suite| &*vec![*suite].leak());
    for cipher_suites in suites.collect::<Vec<_>>() {
        for group in [NamedGroup::X25519, NamedGroup::SECP256R1, NamedGroup::SECP384R1] {
            for certificate in ["p256", "p384", "ed25519"] {
                // The curves of certificates must be offered too; the server takes its first.
                let groups = [group, NamedGroup::SECP256R1, NamedGroup::SECP384R1];
                let groups = &*groups[..].to_vec().leak();
                let provider = Restricted { provider: RustCrypto, cipher_suites, groups };
                Setup { provider, certificate, ..Setup::default() }.with(|mut client, mut server| {
                    connect!(client, server, 99_999);
                    talk!(client, server, 99_999);
                    assert_eq!((client.protocol(), server.protocol()), (Some(&b"b"[..]), Some(&b"b"[..])));
                    let exported = client.export(b"EXPORTER-test", b"context", 32).unwrap();
                    assert_eq!(&*exported, &*server.export(b"EXPORTER-test", b"context", 32).unwrap());
                    assert_ne!(&*exported, &*server.export(b"EXPORTER-test", b"", 32).unwrap());
                });
            }
        }
    }
}

#[test]
fn a_handshake_in_pieces_of_every_size() {
    for step in [1, 2, 3, 5, 7, 64, 100_000] {
        for client in [None, Some("p256")] {
            Setup { client, ..Setup::default() }.with(|mut client, mut server| {
                connect!(client, server, step);
                talk!(client, server, step);
                client.close();
                assert_eq!(carry!(client, server, step), Ok(Event::Closed));
                assert_eq!(server.received_end(), Ok(()));
                assert_eq!(client.received_end(), Err(Error::Truncated));
            });
        }
    }
}

#[test]
fn the_best_that_both_can() {
    for (newest, tls12) in [
        ([Version::Tls13, Version::Tls13], false),
        ([Version::Tls12, Version::Tls13], true),
        ([Version::Tls13, Version::Tls12], true),
        ([Version::Tls12, Version::Tls12], true),
    ] {
        Setup { newest, ..Setup::default() }.with(|mut client, mut server| {
            connect!(client, server, 99_999);
            talk!(client, server, 99_999);
            assert_eq!(client.write(b"x"), Ok(1));
            // The content's type is hidden in TLS 1.3, and every record says so.
            let len = if tls12 { 8 + 1 + 16 } else { 1 + 1 + 16 };
            assert_eq!(client.output().len(), RECORD_HEADER + len, "{newest:?}");
        });
    }
}

#[test]
fn an_end_that_wants_better_refuses() {
    // A server that was not told to speak TLS 1.2.
    with_pair(&[], "p256.example", BUFFER, |_, mut server| {
        Setup::default().with(|mut client, _| {
            let refused = Error::Sent(Alert::PROTOCOL_VERSION);
            assert_eq!(carry!(client, server, 99_999), Err(refused));
            assert_eq!(carry!(server, client, 99_999), Err(Error::Received(Alert::PROTOCOL_VERSION)));
        });
    });
}

/// The hello's body without one extension, and its lengths.
fn without(hello: &[u8], kind: u16) -> Vec<u8> {
    let mut bytes = hello.to_vec();
    // record, message, version, random, session id, suites, compression
    let mut at = RECORD_HEADER + 4 + 2 + 32;
    at += 1 + usize::from(bytes[at]);
    at += 2 + usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    at += 1 + usize::from(bytes[at]);
    let extensions = at;
    at += 2;
    while u16::from_be_bytes([bytes[at], bytes[at + 1]]) != kind {
        at += 4 + usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
    }
    let len = 4 + usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
    bytes.drain(at..at + len);
    for at in [3, RECORD_HEADER + 2, extensions] {
        let shorter = u16::from_be_bytes([bytes[at], bytes[at + 1]]) - len as u16;
        bytes[at..at + 2].copy_from_slice(&shorter.to_be_bytes());
    }
    bytes
}

//= https://www.rfc-editor.org/rfc/rfc8446#section-4.1.3
//= type=test
//# TLS 1.3 clients receiving a ServerHello indicating TLS 1.2 or below
//# MUST check that the last 8 bytes are not equal to either of these
//# values.
#[test]
fn a_man_in_the_middle_cannot_make_it_less() {
    let newest = [Version::Tls13; 2];
    Setup { newest, ..Setup::default() }.with(|mut client, mut server| {
        // He takes what says TLS 1.3 out of the hello.
        let hello = without(client.output(), 43);
        assert_eq!(give!(server, &hello), Ok(Event::Idle));
        client.sent(client.output().len());
        let random = &server.output()[RECORD_HEADER + 4 + 2..][..32];
        assert!(random.ends_with(b"DOWNGRD\x01"));
        assert_eq!(carry!(server, client, 99_999), Err(Error::Sent(Alert::ILLEGAL_PARAMETER)));
    });
    // Who cannot do better says nothing.
    Setup { newest: [Version::Tls13, Version::Tls12], ..Setup::default() }.with(|mut client, mut server| {
        assert!(carry!(client, server, 99_999).is_ok());
        assert!(!server.output()[RECORD_HEADER + 4 + 2..][..32].ends_with(b"DOWNGRD\x01"));
    });
}

#[test]
fn what_is_required_is_required_of_both() {
    // extended_master_secret, supported_groups (P-256 is then meant), signature_algorithms, renegotiation_info
    for (kind, alert) in [
        (23, Some(Alert::HANDSHAKE_FAILURE)),
        (13, Some(Alert::HANDSHAKE_FAILURE)),
        (10, None),
        (11, None),
        (0xff01, None),
    ] {
        Setup::default().with(|client, mut server| {
            let outcome = give!(server, &without(client.output(), kind));
            assert_eq!(outcome, alert.map_or(Ok(Event::Idle), |alert| Err(Error::Sent(alert))), "{kind}");
        });
    }
    // The server's extended_master_secret, and its renegotiation_info.
    for kind in [23, 0xff01] {
        Setup::default().with(|mut client, mut server| {
            assert!(carry!(client, server, 99_999).is_ok());
            // The flight is one record; the hello is its first message.
            let flight = server.output().to_vec();
            let hello = 4 + usize::from(u16::from_be_bytes([flight[7], flight[8]]));
            let mut record = flight[..RECORD_HEADER + hello].to_vec();
            record[3..5].copy_from_slice(&(hello as u16).to_be_bytes());
            // A ServerHello has one suite and one method where a ClientHello has lists.
            let at = RECORD_HEADER + 4 + 2 + 32 + 1 + 3;
            let mut extension = at + 2;
            while u16::from_be_bytes([record[extension], record[extension + 1]]) != kind {
                extension += 4 + usize::from(record[extension + 3]);
            }
            let len = 4 + usize::from(record[extension + 3]);
            record.drain(extension..extension + len);
            for place in [4, RECORD_HEADER + 3, at + 1] {
                record[place] -= len as u8;
            }
            assert_eq!(give!(client, &record), Err(Error::Sent(Alert::HANDSHAKE_FAILURE)), "{kind}");
        });
    }
}

/// Each hello is wrong in one way.
#[test]
fn each_fault_has_its_alert() {
    let good = Hello::tls12;
    let suites = |numbers: &[u16]| Hello { suites: numbers.to_vec(), ..good() };
    assert_eq!(heard(&good()), Ok(()));
    for (what, hello, alert) in [
        ("TLS 1.1", Hello { version: 0x0302, ..good() }, Alert::PROTOCOL_VERSION),
        ("a fallback", suites(&[0xc02b, 0x5600]), Alert::INAPPROPRIATE_FALLBACK),
        ("a suite of RSA", suites(&[0xc02f]), Alert::HANDSHAKE_FAILURE),
        ("no AEAD", suites(&[0xc023, 0xc009]), Alert::HANDSHAKE_FAILURE),
        ("a suite of TLS 1.3", suites(&[0x1301]), Alert::HANDSHAKE_FAILURE),
        ("a secret of some length", good().set(23, [0]), Alert::DECODE_ERROR),
        ("renegotiation", good().set(0xff01, [1, 7]), Alert::HANDSHAKE_FAILURE),
        ("no group in common", good().set(10, [0, 2, 0, 0x19]), Alert::HANDSHAKE_FAILURE),
        ("not the certificate's curve", good().set(10, [0, 2, 0, 0x1d]), Alert::HANDSHAKE_FAILURE),
        ("no signature in common", good().set(13, [0, 2, 4, 1]), Alert::HANDSHAKE_FAILURE),
        ("compressed points only", good().set(11, [1, 1]), Alert::ILLEGAL_PARAMETER),
        ("no protocol in common", good().set(16, *b"\0\x02\x01c"), Alert::NO_APPLICATION_PROTOCOL),
        ("a record size limit below 64", good().set(28, [0, 63]), Alert::ILLEGAL_PARAMETER),
    ] {
        assert_eq!(heard(&hello), Err(Error::Sent(alert)), "{what}");
    }
}

fn heard(hello: &Hello) -> Result<(), Error> {
    let mut heard = Ok(());
    Setup::default().with(|_, mut server| heard = give!(server, &hello.record()).map(|_| ()));
    heard
}

/// Everything both ends say until they are connected, as it went over the wire: who said it, and what.
fn flights(setup: Setup) -> Vec<(bool, Vec<u8>)> {
    let mut flights = vec![];
    setup.with(|mut client, mut server| {
        while !(client.is_connected() && server.is_connected()) {
            flights.push((true, client.output().to_vec()));
            assert!(carry!(client, server, 99_999).is_ok());
            flights.push((false, server.output().to_vec()));
            assert!(carry!(server, client, 99_999).is_ok());
        }
    });
    flights
}

#[test]
fn every_changed_byte_of_every_flight_is_noticed() {
    let setup = Setup { client: Some("p256"), ..Setup::default() };
    for (turn, (from_client, flight)) in flights(setup).into_iter().enumerate() {
        // Versions in the headers of records that are not protected mean nothing.
        let (mut ignored, mut at, mut protected) = (vec![], 0, false);
        while let Ok(Some(header)) = RecordHeader::parse(&flight[at..]) {
            if !protected {
                ignored.extend([at + 1, at + 2]);
            }
            protected |= header.content_type == ContentType::CHANGE_CIPHER_SPEC;
            at += RECORD_HEADER + header.len;
        }
        for index in 0..flight.len() {
            setup.with(|mut client, mut server| {
                for turn in 0..turn {
                    let outcome = match turn % 2 {
                        0 => carry!(client, server, 99_999),
                        _ => carry!(server, client, 99_999),
                    };
                    assert!(outcome.is_ok());
                }
                let mut bytes = flight.clone();
                bytes[index] ^= 0x20;
                match from_client {
                    true => client.sent(bytes.len()),
                    false => server.sent(bytes.len()),
                }
                let _ = if from_client { give!(server, &bytes) } else { give!(client, &bytes) };
                for _ in 0..3 {
                    let _ = carry!(server, client, 99_999);
                    let _ = carry!(client, server, 99_999);
                }
                let connected = client.is_connected() && server.is_connected();
                assert_eq!(connected, ignored.contains(&index), "byte {index} of flight {turn}");
            });
        }
    }
}

#[test]
fn a_wrong_finished_ends_the_handshake() {
    let wrong = Error::Sent(Alert::DECRYPT_ERROR);
    Setup::default().with(|mut client, mut server| {
        assert!(carry!(client, server, 99_999).is_ok());
        assert!(carry!(server, client, 99_999).is_ok());
        server.role.mishear();
        // What it heard makes the keys too.
        assert_eq!(carry!(client, server, 99_999), Err(Error::Sent(Alert::BAD_RECORD_MAC)));
    });
    Setup::default().with(|mut client, mut server| {
        assert!(carry!(client, server, 99_999).is_ok());
        assert!(carry!(server, client, 99_999).is_ok());
        // All but the last record, which is the Finished.
        let len = client.output().len() - (RECORD_HEADER + 8 + 16 + 16);
        assert_eq!(give!(server, &client.output()[..len].to_vec()), Ok(Event::Idle));
        client.sent(len);
        server.role.mishear();
        assert_eq!(carry!(client, server, 99_999), Err(wrong));
        assert!(!server.is_connected());
    });
    Setup::default().with(|mut client, mut server| {
        for _ in 0..2 {
            assert!(carry!(client, server, 99_999).is_ok());
            client.role.mishear(true);
            if server.is_connected() {
                assert_eq!(carry!(server, client, 99_999), Err(wrong));
            } else {
                // Not before its own is made.
                assert!(carry!(server, client, 99_999).is_ok());
            }
        }
        assert!(!client.is_connected());
    });
}

#[test]
fn change_cipher_spec_has_one_place() {
    const CHANGE: [u8; 6] = [20, 3, 3, 0, 1, 1];
    let unexpected = Err(Error::Sent(Alert::UNEXPECTED_MESSAGE));
    // Before the ClientKeyExchange, twice, and after the handshake.
    Setup::default().with(|mut client, mut server| {
        assert!(carry!(client, server, 99_999).is_ok());
        assert_eq!(give!(server, &CHANGE), unexpected);
    });
    Setup::default().with(|mut client, mut server| {
        assert!(carry!(client, server, 99_999).is_ok());
        assert!(carry!(server, client, 99_999).is_ok());
        let flight = client.output().to_vec();
        let len = flight.len() - (RECORD_HEADER + 8 + 16 + 16);
        assert_eq!(give!(server, &flight[..len]), Ok(Event::Idle));
        assert_eq!(give!(server, &CHANGE), unexpected);
        assert_eq!(give!(client, &[&CHANGE[..], &CHANGE].concat()), unexpected);
    });
    Setup::default().with(|mut client, mut server| {
        connect!(client, server, 99_999);
        assert_eq!(give!(server, &CHANGE), unexpected);
        assert_eq!(give!(client, &CHANGE), unexpected);
    });
    // Within a message.
    Setup::default().with(|mut client, mut server| {
        assert!(carry!(client, server, 99_999).is_ok());
        assert!(carry!(server, client, 99_999).is_ok());
        let flight = client.output().to_vec();
        let key_exchange = RECORD_HEADER + RecordHeader::parse(&flight).unwrap().unwrap().len;
        assert_eq!(give!(server, &flight[..key_exchange]), Ok(Event::Idle));
        assert_eq!(give!(server, &[22, 3, 3, 0, 1, 20]), Ok(Event::Idle));
        assert_eq!(give!(server, &CHANGE), unexpected);
    });
    // None at all: the Finished is not protected, or cannot be read.
    for finished in [&[22, 3, 3, 0, 16, 20, 0, 0, 12, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1][..], &[]] {
        Setup::default().with(|mut client, mut server| {
            assert!(carry!(client, server, 99_999).is_ok());
            assert!(carry!(server, client, 99_999).is_ok());
            let mut flight = client.output().to_vec();
            let key_exchange = RECORD_HEADER + RecordHeader::parse(&flight).unwrap().unwrap().len;
            flight.drain(key_exchange..key_exchange + CHANGE.len());
            if !finished.is_empty() {
                flight.truncate(key_exchange);
                flight.extend_from_slice(finished);
            }
            assert!(give!(server, &flight).is_err());
            assert!(!server.is_connected());
        });
    }
}

#[test]
fn another_handshake_is_refused_with_a_warning() {
    Setup::default().with(|mut client, mut server| {
        connect!(client, server, 99_999);
        let hello = vec![1, 0, 0, 200].into_iter().chain([7; 200]).collect::<Vec<_>>();
        for count in 1.. {
            client.outgoing.handshake(|out| Ok(out.bytes(&hello)?)).unwrap();
            let outcome = carry!(client, server, 13);
            // 32 since there were data.
            if count > 33 {
                assert_eq!(outcome, Err(Error::Sent(Alert::UNEXPECTED_MESSAGE)));
                break;
            }
            assert_eq!(outcome, Ok(Event::Idle), "{count}");
            // A warning, which changes nothing.
            assert_eq!(server.output().len(), RECORD_HEADER + 8 + 2 + 16);
            assert_eq!(carry!(server, client, 99_999), Ok(Event::Idle));
            if count == 1 {
                talk!(client, server, 99_999);
            }
        }
    });
    Setup::default().with(|mut client, mut server| {
        connect!(client, server, 99_999);
        server.outgoing.handshake(|out| Ok(out.bytes(&[0, 0, 0, 0])?)).unwrap();
        assert_eq!(carry!(server, client, 1), Ok(Event::Idle));
        assert_eq!(client.output().len(), RECORD_HEADER + 8 + 2 + 16);
        talk!(client, server, 99_999);
    });
    // What TLS 1.3 has after a handshake, and what nobody has.
    for (bytes, alert) in [
        (&KEY_UPDATE[..], Alert::UNEXPECTED_MESSAGE),
        (&[4, 0, 0, 1, 0], Alert::UNEXPECTED_MESSAGE),
        (&[0, 0, 0, 1, 0], Alert::DECODE_ERROR),
    ] {
        Setup::default().with(|mut client, mut server| {
            connect!(client, server, 99_999);
            server.outgoing.handshake(|out| Ok(out.bytes(bytes)?)).unwrap();
            assert_eq!(carry!(server, client, 99_999), Err(Error::Sent(alert)), "{bytes:?}");
        });
    }
}

#[test]
fn clients_show_certificates() {
    for (name, alert) in [("p256", None), ("p384", None), ("ed25519", Some(Alert::HANDSHAKE_FAILURE))] {
        Setup { client: Some(name), ..Setup::default() }.with(|mut client, mut server| match alert {
            None => {
                connect!(client, server, 99_999);
                talk!(client, server, 99_999);
                assert_eq!(server.peer(), Some(&pin(pair(name).0)));
            }
            // It would need the messages themselves: nothing is shown, and that is not enough.
            Some(alert) => {
                assert!(carry!(client, server, 99_999).is_ok());
                assert!(carry!(server, client, 99_999).is_ok());
                assert_eq!(carry!(client, server, 99_999), Err(Error::Sent(alert)));
            }
        });
    }
}

#[test]
fn numbers_do_not_come_again() {
    for (limit, outcome) in [
        (CipherSuite::TLS_AES_128_GCM_SHA256.records_per_key() - 1, Ok(1)),
        (CipherSuite::TLS_AES_128_GCM_SHA256.records_per_key(), Err(Error::Sent(Alert::INTERNAL_ERROR))),
        (u64::MAX, Err(Error::Sent(Alert::INTERNAL_ERROR))),
    ] {
        Setup::default().with(|mut client, mut server| {
            connect!(client, server, 99_999);
            client.outgoing.keys().unwrap().wear(limit);
            assert_eq!(client.write(b"x"), outcome, "{limit}");
        });
    }
    // A peer whose numbers are used up.
    Setup::default().with(|mut client, mut server| {
        connect!(client, server, 99_999);
        server.wear(u64::MAX);
        assert_eq!(client.write(b"x"), Ok(1));
        assert_eq!(carry!(client, server, 99_999), Err(Error::Sent(Alert::INTERNAL_ERROR)));
    });
}

#[test]
fn small_buffers_are_told_to_the_peer() {
    Setup { buffer: 1_000, ..Setup::default() }.with(|mut client, mut server| {
        connect!(client, server, 99_999);
        // 1,000 bytes without header, nonce, tag, and one that TLS 1.3 would need.
        assert_eq!(client.write(&[7; 2_900]), Ok(970));
        assert!(carry!(client, server, 99_999).is_ok());
        assert_eq!(server.plaintext(), &[7; 970]);
        assert_eq!(server.write(&[7; 2_900]), Ok(970));
        assert!(carry!(server, client, 99_999).is_ok());
        assert_eq!(client.plaintext(), &[7; 970]);
    });
}

#[test]
fn a_record_size_limit_is_what_the_version_allows() {
    Setup::default().with(|mut client, mut server| {
        assert!(carry!(client, server, 99_999).is_ok());
        // 2^14 and no byte for the content's type, where there is none (RFC 8449 section 4).
        let limit = [0, 28, 0, 2, 0x40, 0];
        assert!(server.output().windows(6).any(|window| window == limit));
    });
}

#[test]
fn the_largest_records_both_ways() {
    Setup::default().with(|mut client, mut server| {
        connect!(client, server, 99_999);
        let most = [7; 2_900];
        for _ in 0..40 {
            let count = client.write(&most).unwrap();
            assert!(carry!(client, server, 1_000).is_ok());
            assert!(server.plaintext().iter().all(|byte| *byte == 7) && server.plaintext().len() == count);
            server.consume(count);
        }
    });
}

#[test]
fn a_hello_request_within_a_handshake_is_passed_over() {
    Setup::default().with(|mut client, mut server| {
        assert!(carry!(client, server, 99_999).is_ok());
        let flight = server.output().to_vec();
        let hello = 4 + usize::from(u16::from_be_bytes([flight[7], flight[8]]));
        let (first, rest) = flight[RECORD_HEADER..].split_at(hello);
        let request = [HandshakeType::HELLO_REQUEST.0, 0, 0, 0];
        for content in [first, &request, rest] {
            let len = content.len();
            let header = RecordHeader { content_type: ContentType::HANDSHAKE, len }.emit();
            assert_eq!(give!(client, &[&header, content].concat()), Ok(Event::Idle));
        }
        server.sent(flight.len());
        connect!(client, server, 99_999);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_at_any_time(at in 0..8_usize, bytes in proptest::collection::vec(any::<u8>(), 0..2_000), step in 1..300_usize) {
        Setup::default().with(|mut client, mut server| {
            disturb!(client, server, at, bytes, step);
        });
    }
}
