//! RFC 8446 section 4.2.2: a server that keeps nothing of a first hello.
use super::{sessions::*, *};
use crate::CookieKey;
use airglow_device::Clock;
use core::time::Duration;

/// Bytes of a cookie when the suite's hash is SHA-256.
const LEN: usize = 2 + 2 + 8 + 32 + 32;

impl World<'_> {
    /// A client, and three servers with the same key.
    fn cookies(&self, groups: &'static [NamedGroup], test: impl FnOnce(ClientEnd<'_>, [ServerEnd<'_>; 3])) {
        let entropy = SeededEntropy::predictable(self.clock.now().as_nanos());
        let cookies = CookieKey::new(&SeededEntropy::predictable(3), self.clock, Duration::from_secs(5));
        let key = key("p256");
        let certificates = [Certificate::new(&[P256], &key, &[])];
        let server = ServerConfig {
            tickets: Some(&self.tickets),
            cookies: Some(&cookies),
            ..ServerConfig::new(Restricted { groups, ..CLASSIC }, &certificates)
        };
        let pins = [pin(P256)];
        let client =
            ClientConfig { sessions: Some(&self.sessions), ..ClientConfig::new(CLASSIC, PinnedKeys(&pins)) };
        let buffers = || (vec![0; BUFFER], vec![0; 3_000]);
        let (incoming, outgoing) = buffers();
        let client = Connection::client(&client, "a.example", &entropy, incoming, outgoing).unwrap();
        test(
            client,
            [(); 3].map(|()| {
                let (incoming, outgoing) = buffers();
                Connection::server(&server, &entropy, incoming, outgoing)
            }),
        );
    }
}

/// Our own groups, of which the client's share is for the first.
const SAME: &[NamedGroup] = CLASSIC.groups;
const OTHER: &[NamedGroup] = &[NamedGroup::SECP256R1];

#[test]
fn any_server_with_the_key_goes_on() {
    for groups in [SAME, OTHER] {
        for step in [1, 99_999] {
            with_world(|world| {
                for resumed in [false, true] {
                    world.cookies(groups, |mut client, [mut first, mut second, _]| {
                        assert!(carry!(client, first, step).is_ok());
                        assert!(carry!(first, client, step).is_ok());
                        // The client's change_cipher_spec is before its second hello, and nothing for a new connection.
                        let skip = RECORD_HEADER + 1;
                        assert_eq!(client.output()[..skip], [20, 3, 3, 0, 1, 1]);
                        client.sent(skip);
                        connect!(client, second, step);
                        assert_eq!((client.is_resumed(), second.is_resumed()), (resumed, resumed));
                        assert!(!first.is_connected());
                    });
                    // And the same one.
                    world.cookies(groups, |mut client, [mut server, ..]| {
                        connect!(client, server, step);
                        assert!(client.is_resumed());
                    });
                }
            });
        }
    }
}

/// The second hello, and where its cookie is.
fn second_hello(client: &mut ClientEnd<'_>, server: &mut ServerEnd<'_>) -> (Vec<u8>, usize) {
    assert!(carry!(client, server, 99_999).is_ok());
    let hello = RECORD_HEADER + RecordHeader::parse(server.output()).unwrap().unwrap().len;
    let cookie = server.output()[hello - LEN..hello].to_vec();
    assert!(carry!(server, client, 99_999).is_ok());
    let bytes = client.output()[RECORD_HEADER + 1..].to_vec();
    let at = bytes.windows(LEN).position(|part| part == cookie).unwrap();
    (bytes, at)
}

#[test]
fn wrong_and_stale_cookies_are_refused() {
    let refused = Err(Error::Sent(Alert::ILLEGAL_PARAMETER));
    with_world(|world| {
        for index in 0..LEN {
            world.cookies(SAME, |mut client, [mut first, mut second, _]| {
                let (mut bytes, at) = second_hello(&mut client, &mut first);
                bytes[at + index] ^= 1;
                for server in [&mut first, &mut second] {
                    server.space()[..bytes.len()].copy_from_slice(&bytes);
                    server.received(bytes.len());
                    assert_eq!(server.process(), refused, "byte {index}");
                }
            });
        }
        // Of another hello: its random is not the one.
        world.cookies(SAME, |mut client, [mut first, mut second, _]| {
            let (mut bytes, _) = second_hello(&mut client, &mut first);
            bytes[RECORD_HEADER + 4 + 2] ^= 1;
            second.space()[..bytes.len()].copy_from_slice(&bytes);
            second.received(bytes.len());
            assert_eq!(second.process(), refused);
        });
        for (seconds, good) in [(5, true), (6, false)] {
            world.cookies(SAME, |mut client, [mut server, ..]| {
                let (bytes, _) = second_hello(&mut client, &mut server);
                world.clock.0.set(world.clock.now() + Duration::from_secs(seconds));
                server.space()[..bytes.len()].copy_from_slice(&bytes);
                server.received(bytes.len());
                assert_eq!(server.process(), if good { Ok(Event::Idle) } else { refused }, "{seconds} s");
            });
        }
    });
}

#[test]
fn a_cookie_must_come_back() {
    with_world(|world| {
        world.cookies(SAME, |mut client, [mut first, mut second, mut third]| {
            let hello = client.output().to_vec();
            let (bytes, _) = second_hello(&mut client, &mut first);
            // The first hello again.
            first.space()[..hello.len()].copy_from_slice(&hello);
            first.received(hello.len());
            assert_eq!(first.process(), Err(Error::Sent(Alert::MISSING_EXTENSION)));
            // A second one is good for as long as its cookie is: nobody remembers that it was there.
            for server in [&mut second, &mut third] {
                server.space()[..bytes.len()].copy_from_slice(&bytes);
                server.received(bytes.len());
                assert_eq!(server.process(), Ok(Event::Idle));
                assert!(server.output().len() > 500);
            }
        });
    });
}
