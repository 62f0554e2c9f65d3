//! Our client and our server, byte by byte.
use crate::{
    Alert, BUFFER, Certificate, Client, ClientConfig, Connection, Error, Event, PinnedKeys, Server,
    ServerConfig,
    crypto::{
        CipherSuite, NamedGroup, PrivateKey, Provider, Restricted, RustCrypto, SignatureScheme, Signer,
    },
    wire::{ContentType, RECORD_HEADER, RecordHeader},
};
use airglow_device::SeededEntropy;
use proptest::prelude::*;
use std::{vec, vec::Vec};

const P256: &[u8] = include_bytes!("../tests/keys/p256.der");
const ED25519: &[u8] = include_bytes!("../tests/keys/ed25519.der");

fn key(name: &str) -> PrivateKey {
    PrivateKey::from_der(match name {
        "p256" => include_bytes!("../tests/keys/p256.pkcs8.der"),
        _ => include_bytes!("../tests/keys/ed25519.pkcs8.der"),
    })
    .unwrap()
}

fn pin(certificate: &[u8]) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(crate::crypto::subject_public_key_info(certificate).unwrap()).into()
}

type Primitives = Restricted<RustCrypto>;
type ClientEnd<'c> = Connection<Client<'c, Primitives, PinnedKeys<'c>>, Primitives, Vec<u8>>;
type ServerEnd<'c> = Connection<Server<'c, Primitives>, Primitives, Vec<u8>>;

/// Without the group that takes long.
const CLASSIC: Primitives = Restricted {
    provider: RustCrypto,
    cipher_suites: &[CipherSuite::TLS_AES_128_GCM_SHA256, CipherSuite::TLS_AES_256_GCM_SHA384],
    groups: &[NamedGroup::X25519, NamedGroup::SECP256R1],
};

/// Runs `test` with a fresh client and server.
fn with_pair(
    protocols: &[&[u8]],
    name: &str,
    buffer: usize,
    test: impl FnOnce(ClientEnd<'_>, ServerEnd<'_>),
) {
    let (p256, ed25519) = (key("p256"), key("ed25519"));
    let certificates = [
        Certificate::new(&[P256], &p256, &["p256.example"]),
        Certificate::new(&[ED25519], &ed25519, &["*.ed25519.example"]),
    ];
    let server = ServerConfig { protocols: &[b"a", b"b"], ..ServerConfig::new(CLASSIC, &certificates) };
    let pins = [pin(if name.contains("ed25519") { ED25519 } else { P256 })];
    let client = ClientConfig { protocols, ..ClientConfig::new(CLASSIC, PinnedKeys(&pins)) };
    let entropy = SeededEntropy::predictable(1);
    let buffers = || (vec![0; buffer], vec![0; 3_000]);
    let (incoming, outgoing) = buffers();
    let client = Connection::client(&client, name, &entropy, incoming, outgoing).unwrap();
    let (incoming, outgoing) = buffers();
    test(client, Connection::server(&server, &entropy, incoming, outgoing));
}

/// Gives bytes to one end; what it made of them.
macro_rules! give {
    ($end:expr, $bytes:expr) => {{
        let bytes = $bytes;
        $end.space()[..bytes.len()].copy_from_slice(bytes);
        $end.received(bytes.len());
        $end.process()
    }};
}

/// Carries bytes from one end to the other, `step` at a time; what the receiver made of them.
macro_rules! carry {
    ($from:expr, $to:expr, $step:expr) => {{
        let mut last = Ok(Event::Idle);
        while !$from.output().is_empty() {
            let space = $to.space();
            let len = $from.output().len().min($step).min(space.len());
            if len == 0 {
                break;
            }
            space[..len].copy_from_slice(&$from.output()[..len]);
            $from.sent(len);
            $to.received(len);
            loop {
                last = $to.process();
                if !matches!(last, Ok(Event::Data | Event::EarlyData)) {
                    break;
                }
            }
        }
        last
    }};
}

/// Eight turns of talk, in pieces; at turn `at` both hear `bytes`.
macro_rules! disturb {
    ($client:expr, $server:expr, $at:expr, $bytes:expr, $step:expr) => {
        for turn in 0..8 {
            for chunk in $bytes.chunks($step).filter(|_| turn == $at) {
                for space in [$client.space(), $server.space()] {
                    let len = chunk.len().min(space.len());
                    space[..len].copy_from_slice(&chunk[..len]);
                }
                $client.received(chunk.len());
                $server.received(chunk.len());
                let (_, _) = ($client.process(), $server.process());
            }
            let _ = carry!($client, $server, $step);
            let _ = carry!($server, $client, $step);
        }
        let _ = ($client.write(b"x"), $server.write(b"x"));
    };
}

macro_rules! connect {
    ($client:expr, $server:expr, $step:expr) => {
        for _ in 0..4 {
            assert!(carry!($client, $server, $step).is_ok());
            assert!(carry!($server, $client, $step).is_ok());
        }
        assert!($client.is_connected() && $server.is_connected());
    };
}

mod alerts;
#[cfg(feature = "post-handshake-authentication")]
mod authentication;
#[cfg(feature = "raw-public-keys")]
mod certificate_types;
#[cfg(feature = "certificate-compression")]
mod compression;
#[cfg(feature = "cookies")]
mod cookies;
#[cfg(feature = "early-data")]
mod early_data;
mod hello;
mod sessions;
#[cfg(feature = "tls12")]
mod tls12;
#[cfg(feature = "tls12")]
mod tls12_sessions;
mod wiping;

#[test]
fn every_group_of_either_side() {
    let key = key("p256");
    let certificates = [Certificate::new(&[P256], &key, &[])];
    let (server, pins) = (ServerConfig::new(RustCrypto, &certificates), [pin(P256)]);
    for (index, _) in RustCrypto.groups().iter().enumerate() {
        let groups = RustCrypto.groups()[index..].to_vec().leak();
        for asked in [&groups[..], &groups[..1]] {
            let provider =
                Restricted { provider: RustCrypto, cipher_suites: CLASSIC.cipher_suites, groups: asked };
            let client = ClientConfig::new(provider, PinnedKeys(&pins));
            let entropy = SeededEntropy::predictable(1);
            let buffers = || (vec![0; BUFFER], vec![0; 4_000]);
            let (incoming, outgoing) = buffers();
            let mut client = Connection::client(&client, "a.example", &entropy, incoming, outgoing).unwrap();
            let (incoming, outgoing) = buffers();
            let mut server = Connection::server(&server, &entropy, incoming, outgoing);
            connect!(client, server, 99_999);
        }
    }
}

#[test]
fn a_handshake_in_pieces_of_every_size() {
    for step in [1, 2, 3, 5, 7, 64, 100_000] {
        with_pair(&[b"b"], "p256.example", BUFFER, |mut client, mut server| {
            connect!(client, server, step);
            assert_eq!((client.protocol(), server.protocol()), (Some(&b"b"[..]), Some(&b"b"[..])));
            assert_eq!(client.write(b"ping"), Ok(4));
            assert_eq!(server.write(b"pong"), Ok(4));
            assert!(carry!(client, server, step).is_ok());
            assert!(carry!(server, client, step).is_ok());
            assert_eq!(
                (client.plaintext(), server.plaintext()),
                (&mut *b"pong".to_vec(), &mut *b"ping".to_vec())
            );
            client.consume(4);
            client.close();
            assert_eq!(client.write(b"more"), Err(Error::Closed));
            assert_eq!(carry!(client, server, step), Ok(Event::Closed));
            assert_eq!(server.received_end(), Ok(()));
            // The other direction goes on.
            assert_eq!(server.write(b"last"), Ok(4));
            assert!(carry!(server, client, step).is_ok());
            assert_eq!(client.plaintext(), b"last");
            assert_eq!(client.received_end(), Err(Error::Truncated));
        });
    }
}

#[test]
fn names_choose_certificates() {
    for (name, good) in [
        ("p256.example", true),
        ("unknown.example", true),
        ("127.0.0.1", true),
        ("a.ed25519.example", true),
        ("A.ED25519.EXAMPLE", false),
        ("ed25519.example", false),
        ("a.b.ed25519.example", false),
    ] {
        with_pair(&[], name, BUFFER, |mut client, mut server| {
            assert!(carry!(client, server, 99_999).is_ok());
            let outcome = carry!(server, client, 99_999);
            // The upper-case name gets the right certificate, and the test's own pin is for the other.
            let expected = if good { Ok(Event::Idle) } else { Err(Error::Sent(Alert::UNKNOWN_CA)) };
            assert_eq!(outcome, expected, "{name}");
            if !good {
                assert_eq!(carry!(client, server, 99_999), Err(Error::Received(Alert::UNKNOWN_CA)));
            }
        });
    }
}

#[test]
fn no_common_protocol() {
    with_pair(&[b"c"], "p256.example", BUFFER, |mut client, mut server| {
        let alert = Alert::NO_APPLICATION_PROTOCOL;
        assert_eq!(carry!(client, server, 99_999), Err(Error::Sent(alert)));
        assert_eq!(carry!(server, client, 99_999), Err(Error::Received(alert)));
        assert_eq!(server.process(), Err(Error::Sent(alert)));
    });
}

#[test]
fn small_buffers_are_told_to_the_peer() {
    with_pair(&[], "p256.example", 1_000, |mut client, mut server| {
        connect!(client, server, 99_999);
        let long = [7; 2_900];
        assert_eq!(client.write(&long), Ok(1_000 - 22));
        assert!(carry!(client, server, 99_999).is_ok());
        assert_eq!(server.plaintext(), &long[..978]);
        // While they wait, nothing more fits.
        assert_eq!(client.write(&long), Ok(978));
        assert_eq!(carry!(client, server, 99_999), Ok(Event::Idle));
        server.consume(978);
        assert!(carry!(client, server, 99_999).is_ok());
        assert_eq!(server.plaintext(), &long[..978]);
    });
}

#[test]
fn keys_change_when_they_are_worn() {
    with_pair(&[], "p256.example", BUFFER, |mut client, mut server| {
        connect!(client, server, 99_999);
        for _ in 0..5 {
            let limit = CipherSuite::TLS_AES_128_GCM_SHA256.records_per_key();
            client.outgoing.keys().unwrap().wear(limit);
            // One record under the new keys; the old ones' number is not what the server expects, theirs is.
            let before = client.outgoing.keys().unwrap().secret().clone();
            server.wear(limit);
            assert_eq!(client.write(b"new"), Ok(3));
            assert_ne!(*before, **client.outgoing.keys().unwrap().secret());
            assert!(carry!(client, server, 99_999).is_ok());
            assert_eq!(server.plaintext(), b"new");
            server.consume(3);
        }
    });
}

#[test]
fn every_changed_byte_of_a_first_flight_is_noticed() {
    // The client's hello, then the server's whole flight: no single change leads to a connection.
    with_pair(&[b"a"], "p256.example", BUFFER, |client, _| {
        let hello = client.output().to_vec();
        for index in 0..hello.len() {
            with_pair(&[b"a"], "p256.example", BUFFER, |mut client, mut server| {
                let mut bytes = hello.clone();
                bytes[index] ^= 1;
                client.sent(hello.len());
                let _ = give!(server, &bytes);
                for _ in 0..3 {
                    let _ = carry!(server, client, 99_999);
                    let _ = carry!(client, server, 99_999);
                }
                // The version in a record's header means nothing.
                let ignored = matches!(index, 1 | 2);
                assert_eq!(client.is_connected() && server.is_connected(), ignored, "byte {index}");
            });
        }
    });
}

#[test]
fn every_changed_byte_of_the_answer_is_noticed() {
    let mut len = 1;
    let mut index = 0;
    while index < len {
        with_pair(&[b"a"], "p256.example", BUFFER, |mut client, mut server| {
            assert!(carry!(client, server, 99_999).is_ok());
            let mut bytes = server.output().to_vec();
            len = bytes.len();
            bytes[index] ^= 0x20;
            let outcome = give!(client, &bytes);
            let mut headers = vec![];
            let mut at = 0;
            while let Ok(Some(header)) = RecordHeader::parse(&server.output()[at..]) {
                // A version in a plaintext record's header; a protected one's is authenticated.
                if header.content_type != ContentType::APPLICATION_DATA {
                    headers.extend([at + 1, at + 2]);
                }
                at += RECORD_HEADER + header.len;
            }
            if !headers.contains(&index) {
                // The legacy version of the ServerHello is in the transcript: its change breaks the keys.
                assert!(!client.is_connected(), "byte {index} {outcome:?}");
            }
        });
        index += 1;
    }
}

#[test]
fn what_does_not_belong_is_refused_with_its_alert() {
    let record = |kind: u8, content: &[u8]| {
        let mut record = RecordHeader { content_type: ContentType(kind), len: content.len() }.emit().to_vec();
        record.extend_from_slice(content);
        record
    };
    for (bytes, alert) in [
        (record(22, &[]), Alert::UNEXPECTED_MESSAGE),
        (record(23, &[]), Alert::UNEXPECTED_MESSAGE),
        (record(23, &[1; 40]), Alert::UNEXPECTED_MESSAGE),
        (record(20, &[1]), Alert::UNEXPECTED_MESSAGE),
        (record(99, &[1]), Alert::UNEXPECTED_MESSAGE),
        (record(21, &[1]), Alert::DECODE_ERROR),
        (record(22, &[1, 0, 0, 1, 0]), Alert::DECODE_ERROR),
        (record(22, &[20, 0, 0, 0]), Alert::UNEXPECTED_MESSAGE),
        (record(22, &[1, 0xff, 0xff, 0xff]), Alert::ILLEGAL_PARAMETER),
        (vec![22, 3, 3, 0x40, 1], Alert::RECORD_OVERFLOW),
        (b"GET / HTTP/1.1\r\n".to_vec(), Alert::UNEXPECTED_MESSAGE),
    ] {
        with_pair(&[], "p256.example", BUFFER, |_, mut server| {
            assert_eq!(give!(server, &bytes), Err(Error::Sent(alert)), "{bytes:?}");
            assert_eq!(server.output(), [21, 3, 3, 0, 2, 2, alert.0]);
        });
    }
}

//= https://www.rfc-editor.org/rfc/rfc8446#section-4.4.4
//= type=test
//# Recipients of Finished messages MUST verify that the contents are
//# correct and if incorrect MUST terminate the connection with a
//# "decrypt_error" alert.
#[test]
fn a_wrong_finished_or_signature_ends_the_handshake() {
    let wrong = Error::Sent(Alert::DECRYPT_ERROR);
    with_pair(&[], "p256.example", BUFFER, |mut client, mut server| {
        assert!(carry!(client, server, 99_999).is_ok());
        assert!(carry!(server, client, 99_999).is_ok());
        server.role.mishear();
        assert_eq!(carry!(client, server, 99_999), Err(wrong));
        assert!(!server.is_connected());
        assert_eq!(carry!(server, client, 99_999), Err(Error::Received(Alert::DECRYPT_ERROR)));
    });
    for said in [true, false] {
        with_pair(&[], "p256.example", BUFFER, |mut client, mut server| {
            assert!(carry!(client, server, 99_999).is_ok());
            // The ServerHello first: it is the first record.
            let hello = RECORD_HEADER + RecordHeader::parse(server.output()).unwrap().unwrap().len;
            client.space()[..hello].copy_from_slice(&server.output()[..hello]);
            server.sent(hello);
            client.received(hello);
            assert_eq!(client.process(), Ok(Event::Idle));
            client.role.mishear(said);
            assert_eq!(carry!(server, client, 99_999), Err(wrong), "{said}");
            assert!(!client.is_connected());
        });
    }
}

/// Signs something else.
struct Liar(PrivateKey);
impl Signer for Liar {
    fn schemes(&self) -> &[SignatureScheme] {
        self.0.schemes()
    }
    fn sign(&self, scheme: SignatureScheme, message: &[u8], out: &mut [u8]) -> Option<usize> {
        self.0.sign(scheme, &[message, b"?"].concat(), out)
    }
}

#[test]
fn a_server_without_the_key_is_refused() {
    let key = Liar(key("p256"));
    let certificates = [Certificate::new(&[P256], &key, &[])];
    let config = ServerConfig::new(CLASSIC, &certificates);
    with_pair(&[], "p256.example", BUFFER, |mut client, _| {
        let entropy = SeededEntropy::predictable(1);
        let mut server = Connection::server(&config, &entropy, vec![0; BUFFER], vec![0; 3_000]);
        assert!(carry!(client, server, 99_999).is_ok());
        assert_eq!(carry!(server, client, 99_999), Err(Error::Sent(Alert::DECRYPT_ERROR)));
    });
}

#[test]
fn the_state_beside_the_buffers_is_small() {
    // What the README says, on this kind of processor.
    let sizes = (size_of::<ServerEnd<'_>>(), size_of::<ClientEnd<'_>>());
    let most = if cfg!(feature = "tls12") { 4480 } else { 4096 };
    assert!(sizes.0 <= most && sizes.1 <= 5120, "{sizes:?}");
}

const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 0];

#[test]
fn messages_after_the_handshake_are_few() {
    let key_update_and_more = [KEY_UPDATE, KEY_UPDATE].concat();
    for (bytes, alert) in [
        (&[24, 0, 0, 1, 2][..], Alert::ILLEGAL_PARAMETER),
        (&[24, 0, 0, 2, 0, 0], Alert::DECODE_ERROR),
        (&key_update_and_more, Alert::UNEXPECTED_MESSAGE),
        (&[1, 0, 0, 0], Alert::UNEXPECTED_MESSAGE),
        (&[20, 0, 0, 0], Alert::UNEXPECTED_MESSAGE),
        (&[4, 0, 0, 1, 0], Alert::UNEXPECTED_MESSAGE),
    ] {
        with_pair(&[], "p256.example", BUFFER, |mut client, mut server| {
            connect!(client, server, 99_999);
            client.outgoing.handshake(|out| Ok(out.bytes(bytes)?)).unwrap();
            assert_eq!(carry!(client, server, 99_999), Err(Error::Sent(alert)), "{bytes:?}");
            assert_eq!(carry!(server, client, 99_999), Err(Error::Received(alert)));
        });
    }
}

#[test]
fn a_flood_of_key_updates_ends() {
    with_pair(&[], "p256.example", BUFFER, |mut client, mut server| {
        connect!(client, server, 99_999);
        for count in 1.. {
            // In two parts, which is allowed.
            for part in KEY_UPDATE.chunks(3) {
                client.outgoing.handshake(|out| Ok(out.bytes(part)?)).unwrap();
            }
            client.outgoing.keys().unwrap().update(&CLASSIC).unwrap();
            let outcome = carry!(client, server, 99_999);
            if count <= 32 {
                assert_eq!(outcome, Ok(Event::Idle), "{count}");
            } else {
                assert_eq!(outcome, Err(Error::Sent(Alert::UNEXPECTED_MESSAGE)));
                break;
            }
        }
    });
}

#[test]
fn a_ticket_is_passed_over() {
    with_pair(&[], "p256.example", BUFFER, |mut client, mut server| {
        connect!(client, server, 99_999);
        let mut ticket = vec![4, 0, 1, 0];
        ticket.extend_from_slice(&[24; 256]);
        for part in ticket.chunks(100) {
            server.outgoing.handshake(|out| Ok(out.bytes(part)?)).unwrap();
        }
        assert_eq!(server.write(b"data"), Ok(4));
        assert!(carry!(server, client, 7).is_ok());
        assert_eq!(client.plaintext(), b"data");
    });
}

#[test]
fn nothing_unprotected_is_taken_once_connected() {
    for record in [&[20, 3, 3, 0, 1, 1][..], &[21, 3, 3, 0, 2, 1, 0], &[22, 3, 3, 0, 4, 1, 0, 0, 0]] {
        with_pair(&[], "p256.example", BUFFER, |mut client, mut server| {
            connect!(client, server, 99_999);
            assert_eq!(give!(server, record), Err(Error::Sent(Alert::UNEXPECTED_MESSAGE)), "{record:?}");
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_at_any_time(at in 0..8_usize, bytes in proptest::collection::vec(any::<u8>(), 0..2_000), step in 1..300_usize) {
        with_pair(&[b"a"], "p256.example", BUFFER, |mut client, mut server| {
            disturb!(client, server, at, bytes, step);
        });
    }
}
