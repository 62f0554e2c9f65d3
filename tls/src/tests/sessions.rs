//! Sessions that are resumed, clients that show certificates, secrets that are exported.
use super::*;
use crate::{ClientAuthentication, KeyLog, SessionCache, Sessions, TicketKeys, Version};
use airglow_device::{Clock, Instant};
use core::{
    cell::{Cell, RefCell},
    time::Duration,
};
use std::string::{String, ToString};

pub(super) struct At(pub(super) Cell<Instant>);
impl Clock for At {
    fn now(&self) -> Instant {
        self.0.get()
    }
}

/// What a test changes about a client and a server that know each other.
#[derive(Default)]
pub(super) struct Setting<'s> {
    client_key: Option<&'s dyn Signer>,
    server_pins: Option<&'s [[u8; 32]]>,
    required: bool,
    log: Option<&'s dyn KeyLog>,
    /// Instead of `p256.example`.
    pub(super) host: Option<&'static str>,
}

pub(super) struct World<'w> {
    pub(super) clock: &'w At,
    pub(super) tickets: TicketKeys<'w, RustCrypto, 2>,
    pub(super) sessions: SessionCache<'w>,
    /// What the client speaks, and the oldest that the server does.
    pub(super) version: Cell<Version>,
}

impl<'w> World<'w> {
    fn new(clock: &'w At, entropy: &'w SeededEntropy) -> Self {
        let tickets = TicketKeys::new(RustCrypto, clock, entropy, Duration::from_secs(100));
        let version = Cell::new(Version::Tls13);
        Self { clock, tickets, sessions: SessionCache::new(clock, 10), version }
    }

    /// Runs `test` with the two ends of a connection.
    pub(super) fn with_ends(&self, setting: &Setting<'_>, test: impl FnOnce(ClientEnd<'_>, ServerEnd<'_>)) {
        let key = key("p256");
        let certificates = [Certificate::new(&[P256], &key, &["p256.example"])];
        let mut server = ServerConfig::new(CLASSIC, &certificates);
        server.minimum_version = self.version.get();
        server.tickets = Some(&self.tickets);
        server.key_log = setting.log;
        let pinned = setting.server_pins.map(PinnedKeys);
        let required = setting.required;
        server.clients = pinned.as_ref().map(|verifier| ClientAuthentication { verifier, required });
        let pins = [pin(P256)];
        let mut client = ClientConfig::new(CLASSIC, PinnedKeys(&pins));
        client.minimum_version = self.version.get();
        client.maximum_version = self.version.get();
        client.sessions = Some(&self.sessions);
        client.key_log = setting.log;
        client.certificate = setting.client_key.map(|key| Certificate::new(&[P256], key, &[]));
        let entropy = SeededEntropy::predictable(self.clock.now().as_nanos());
        let host = setting.host.unwrap_or("p256.example");
        let client = Connection::client(&client, host, &entropy, vec![0; BUFFER], vec![0; 3_000]).unwrap();
        test(client, Connection::server(&server, &entropy, vec![0; BUFFER], vec![0; 3_000]));
    }

    /// One connection; what the server makes of the client's bytes may be changed by `meddle`.
    fn connect(
        &self,
        setting: &Setting<'_>,
        meddle: impl FnOnce(&mut Vec<u8>),
        test: impl FnOnce(Result<(ClientEnd<'_>, ServerEnd<'_>), Error>),
    ) {
        self.with_ends(setting, |mut client, mut server| {
            let mut hello = client.output().to_vec();
            client.sent(hello.len());
            meddle(&mut hello);
            let first = give!(server, &hello);
            let mut run = || {
                let _ = first?;
                for _ in 0..4 {
                    let _ = carry!(server, client, 99_999)?;
                    let _ = carry!(client, server, 99_999)?;
                }
                Ok(())
            };
            match run() {
                Ok(()) => {
                    assert!(client.is_connected() && server.is_connected());
                    assert_eq!(client.is_resumed(), server.is_resumed());
                    assert_eq!(client.write(b"ping"), Ok(4));
                    assert!(carry!(client, server, 99_999).is_ok());
                    assert_eq!(server.plaintext(), b"ping");
                    test(Ok((client, server)));
                }
                Err(error) => test(Err(error)),
            }
        });
    }

    /// Whether the next connection resumes a session.
    pub(super) fn resumes(&self) -> bool {
        self.resumes_at(None)
    }
    pub(super) fn resumes_at(&self, host: Option<&'static str>) -> bool {
        let mut resumed = false;
        let setting = Setting { host, ..Setting::default() };
        self.connect(&setting, |_| {}, |ends| resumed = ends.unwrap().0.is_resumed());
        resumed
    }
}

pub(super) fn with_world(test: impl FnOnce(&World<'_>)) {
    let (clock, entropy) = (At(Cell::new(Instant::from_secs(1))), SeededEntropy::predictable(9));
    test(&World::new(&clock, &entropy));
}

/// The same in every version.
fn with_worlds(test: impl Fn(&World<'_>)) {
    let versions = [
        #[cfg(feature = "tls12")]
        Version::Tls12,
        Version::Tls13,
    ];
    for version in versions {
        with_world(|world| {
            world.version.set(version);
            test(world);
        });
    }
}

#[test]
fn a_session_is_resumed_while_its_ticket_is_good() {
    with_worlds(|world| {
        assert!(!world.resumes());
        let tickets = if world.version.get() == Version::Tls13 { 2 } else { 1 };
        assert_eq!(world.sessions.len(), tickets);
        for _ in 0..5 {
            // Each resumption uses one and brings one.
            assert!(world.resumes());
            assert_eq!(world.sessions.len(), tickets);
        }
        world.clock.0.set(Instant::from_secs(101));
        assert!(!world.resumes());
    });
}

#[test]
fn a_ticket_is_good_for_one_resumption() {
    with_worlds(|world| {
        assert!(!world.resumes());
        let session = world.sessions.take("p256.example").unwrap();
        while world.sessions.take("p256.example").is_some() {}
        for resumed in [true, false, false] {
            while world.sessions.take("p256.example").is_some() {}
            world.sessions.put("p256.example", session.clone());
            assert_eq!(world.resumes(), resumed);
        }
    });
}

#[test]
fn a_ticket_that_is_not_ours_leads_to_a_whole_handshake() {
    with_worlds(|world| {
        assert!(!world.resumes());
        let mut session = world.sessions.take("p256.example").unwrap();
        session.ticket[9] ^= 1;
        world.sessions.put("p256.example", session);
        assert!(!world.resumes());
    });
}

#[test]
fn a_wrong_binder_is_refused() {
    //= https://www.rfc-editor.org/rfc/rfc8446#section-4.2.11
    //= type=test
    //# Prior to accepting PSK key establishment, the server MUST validate the
    //# corresponding binder value (see Section 4.2.11.2 below).  If this
    //# value is not present or does not validate, the server MUST abort the
    //# handshake.
    with_world(|world| {
        assert!(!world.resumes());
        // The binder's last byte, and a byte that the binder covers.
        for at in [1, 60] {
            let meddle = |hello: &mut Vec<u8>| {
                let index = if at == 1 { hello.len() - 1 } else { 20 };
                hello[index] ^= 1;
            };
            world.connect(&Setting::default(), meddle, |ends| {
                assert_eq!(ends.err(), Some(Error::Sent(Alert::DECRYPT_ERROR)));
            });
        }
        // A key of its own.
        assert!(!world.resumes());
        let mut session = world.sessions.take("p256.example").unwrap();
        session.psk = crate::crypto::Secret::new(&[1; 32]);
        world.sessions.put("p256.example", session);
        world.connect(
            &Setting::default(),
            |_| {},
            |ends| {
                assert_eq!(ends.err(), Some(Error::Sent(Alert::DECRYPT_ERROR)));
            },
        );
    });
}

#[test]
fn clients_show_who_they_are() {
    let p256 = key("p256");
    let pins = [pin(P256)];
    let with = |client: bool, pins, required| Setting {
        client_key: if client { Some(&p256) } else { None },
        server_pins: Some(pins),
        required,
        ..Setting::default()
    };
    for (setting, expected) in [
        (with(true, &pins, true), Ok(Some(pins[0]))),
        (with(false, &pins, false), Ok(None)),
        (with(false, &pins, true), Err(Alert::CERTIFICATE_REQUIRED)),
        (with(true, &[], false), Err(Alert::UNKNOWN_CA)),
    ] {
        with_worlds(|world| {
            let expected = match expected {
                Err(Alert::CERTIFICATE_REQUIRED) if world.version.get() != Version::Tls13 => {
                    Err(Alert::HANDSHAKE_FAILURE)
                }
                expected => expected,
            };
            for resumed in [false, true] {
                world.connect(
                    &setting,
                    |_| {},
                    |ends| {
                        let peer = ends.map(|(client, server)| {
                            assert_eq!(client.is_resumed(), resumed);
                            assert_eq!(client.peer().is_some(), !resumed);
                            server.peer().copied()
                        });
                        assert_eq!(peer, expected.map_err(Error::Sent));
                    },
                );
                if expected.is_err() {
                    break;
                }
            }
        });
    }
    // A session of a client that nobody asked is not enough for a server that must know.
    with_worlds(|world| {
        assert!(!world.resumes());
        world.connect(
            &with(true, &pins, true),
            |_| {},
            |ends| {
                let (client, server) = ends.unwrap();
                assert!(!client.is_resumed() && server.peer() == Some(&pins[0]));
            },
        );
    });
}

#[test]
fn a_client_without_its_key_is_refused() {
    let liar = Liar(key("p256"));
    let pins = [pin(P256)];
    with_world(|world| {
        let setting = Setting { client_key: Some(&liar), server_pins: Some(&pins), ..Setting::default() };
        world.connect(
            &setting,
            |_| {},
            |ends| {
                assert_eq!(ends.err(), Some(Error::Sent(Alert::DECRYPT_ERROR)));
            },
        );
    });
}

#[derive(Default)]
struct Log(RefCell<Vec<(String, Vec<u8>)>>);
impl KeyLog for Log {
    fn log(&self, label: &str, _: &[u8; 32], secret: &[u8]) {
        self.0.borrow_mut().push((label.to_string(), secret.to_vec()));
    }
}

#[test]
fn both_sides_export_and_log_the_same() {
    let log = Log::default();
    with_world(|world| {
        world.connect(
            &Setting { log: Some(&log), ..Setting::default() },
            |_| {},
            |ends| {
                let (client, server) = ends.unwrap();
                let one = client.export(b"label", b"context", 32).unwrap();
                assert_eq!(*one, *server.export(b"label", b"context", 32).unwrap());
                assert_ne!(*one, *server.export(b"label", b"", 32).unwrap());
                assert_ne!(*one, *server.export(b"labeL", b"context", 32).unwrap());
                assert_eq!(client.export(b"label", b"context", 20).unwrap().len(), 20);
                assert!(client.export(b"label", b"context", 33).is_none());
            },
        );
    });
    let mut lines = log.0.into_inner();
    lines.sort();
    assert_eq!(lines.len(), 10);
    assert!(lines.as_chunks::<2>().0.iter().all(|[a, b]| a == b));
}
