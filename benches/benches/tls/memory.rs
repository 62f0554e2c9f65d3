//! Handshakes and records in memory.
use crate::{CERTIFICATE, KEY, client, primitives::provider};
use airglow_benches::{Better, Table, median};
use airglow_device::{Clock, Instant};
use airglow_platform_unix::SystemEntropy;
use airglow_tls::{
    BUFFER, Certificate, Connection, Event, Server, ServerConfig, TicketKeys,
    crypto::{Aead, CipherSuite, PrivateKey, Provider, RustCrypto},
};
use rustix::time::{ClockId, clock_gettime};
use std::{hint::black_box, process::Command, sync::Arc, time::Duration};

/// One server end: takes bytes, makes bytes.
trait End {
    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>);
    fn send(&mut self, bytes: &[u8], out: &mut Vec<u8>);
    /// Bytes of the client's that it made out.
    fn received(&mut self) -> usize;
}

struct Ours<'c> {
    tls: Connection<Server<'c, RustCrypto>, RustCrypto, Vec<u8>>,
    received: usize,
}

impl<'c> Ours<'c> {
    fn new(config: &'c ServerConfig<'c, RustCrypto>) -> Self {
        let limits = airglow_tls::Limits::default();
        let (incoming, outgoing) = (vec![0; BUFFER], vec![0; limits.outgoing]);
        Self { tls: Connection::server(config, &SystemEntropy, incoming, outgoing), received: 0 }
    }
    fn flush(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.tls.output());
        self.tls.sent(self.tls.output().len());
    }
}

impl End for Ours<'_> {
    fn feed(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            let space = self.tls.space();
            let count = bytes.len().min(space.len());
            space[..count].copy_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            self.tls.received(count);
            while self.tls.process().expect("TLS") == Event::Data {
                let count = self.tls.plaintext().len();
                self.received += count;
                self.tls.consume(count);
            }
        }
        self.flush(out);
    }
    fn send(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            let count = self.tls.write(bytes).expect("TLS");
            bytes = &bytes[count..];
            self.flush(out);
        }
    }
    fn received(&mut self) -> usize {
        self.received
    }
}

struct Theirs {
    tls: rustls::ServerConnection,
    received: usize,
}

impl End for Theirs {
    fn feed(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            self.tls.read_tls(&mut bytes).expect("TLS");
            let state = self.tls.process_new_packets().expect("TLS");
            let mut buffer = [0; 16_384];
            let mut left = state.plaintext_bytes_to_read();
            while left > 0 {
                let count = std::io::Read::read(&mut self.tls.reader(), &mut buffer).expect("TLS");
                self.received += count;
                left -= count;
            }
        }
        while self.tls.wants_write() {
            self.tls.write_tls(out).expect("TLS");
        }
    }
    fn send(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        std::io::Write::write_all(&mut self.tls.writer(), bytes).expect("TLS");
        while self.tls.wants_write() {
            self.tls.write_tls(out).expect("TLS");
        }
    }
    fn received(&mut self) -> usize {
        self.received
    }
}

/// Processor time of this thread.
fn now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// What `f` took.
fn timed(f: impl FnOnce()) -> f64 {
    let start = now();
    f();
    (now() - start).as_secs_f64()
}

/// One handshake; the server's time, and the two ends.
fn handshake<E: End>(
    config: &Arc<rustls::ClientConfig>,
    server: impl FnOnce() -> E,
    resumed: bool,
) -> (f64, E, rustls::ClientConnection) {
    let mut client = rustls::ClientConnection::new(config.clone(), "localhost".try_into().expect("a name"))
        .expect("a client");
    let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
    let mut end = None;
    let mut spent = timed(|| end = Some(server()));
    let mut end = end.expect("a server");
    for _ in 0..3 {
        while client.wants_write() {
            client.write_tls(&mut to_server).expect("TLS");
        }
        spent += timed(|| end.feed(&to_server, &mut to_client));
        to_server.clear();
        let mut bytes = &to_client[..];
        while !bytes.is_empty() {
            client.read_tls(&mut bytes).expect("TLS");
            client.process_new_packets().expect("TLS");
        }
        to_client.clear();
    }
    let kind = client.handshake_kind().expect("a handshake");
    assert_eq!(kind == rustls::HandshakeKind::Resumed, resumed, "{kind:?}");
    (spent, end, client)
}

struct Running(std::time::Instant);
impl Clock for Running {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.0.elapsed().as_nanos() as u64)
    }
}

fn rustls_server(provider: rustls::crypto::CryptoProvider) -> Arc<rustls::ServerConfig> {
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(KEY).into();
    let config = rustls::ServerConfig::builder_with_provider(provider.into())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("a version")
        .with_no_client_auth()
        .with_single_cert(vec![CERTIFICATE.into()], key);
    Arc::new(config.expect("a server"))
}

fn theirs(config: &Arc<rustls::ServerConfig>) -> Theirs {
    let mut tls = rustls::ServerConnection::new(config.clone()).expect("a server");
    tls.set_buffer_limit(None);
    Theirs { tls, received: 0 }
}

/// Runs `f` with a configuration of ours.
fn with_ours(f: impl FnOnce(&ServerConfig<'_, RustCrypto>)) {
    let key = PrivateKey::from_der(KEY).expect("a key");
    let chain = [CERTIFICATE];
    let certificates = [Certificate::new(&chain, &key, &["localhost"])];
    let clock = Running(std::time::Instant::now());
    let tickets = TicketKeys::<_, 1_024>::new(RustCrypto, &clock, &SystemEntropy, Duration::from_secs(3_600));
    f(&ServerConfig { tickets: Some(&tickets), ..ServerConfig::new(RustCrypto, &certificates) });
}

fn only_group(
    mut provider: rustls::crypto::CryptoProvider,
    group: rustls::NamedGroup,
) -> rustls::crypto::CryptoProvider {
    provider.kx_groups.retain(|known| known.name() == group);
    provider
}

/// Handshakes for each second of the processor's.
pub fn handshakes(table: &mut Table) {
    const COUNT: usize = 400;
    let ring = rustls::crypto::ring::default_provider;
    with_ours(|ours| {
        let (with_ring, with_same) = (rustls_server(ring()), rustls_server(provider()));
        for (case, group, resumed) in [
            ("full handshake, X25519", rustls::NamedGroup::X25519, false),
            ("resumed handshake, X25519", rustls::NamedGroup::X25519, true),
            ("full handshake, X25519MLKEM768", rustls::NamedGroup::X25519MLKEM768, false),
        ] {
            let fresh = || {
                let mut config = client(only_group(provider(), group));
                if !resumed {
                    config.resumption = rustls::client::Resumption::disabled();
                }
                Arc::new(config)
            };
            let clients = [fresh(), fresh(), fresh()];
            let has_ring = group == rustls::NamedGroup::X25519;
            let mut spent = [vec![], vec![], vec![]];
            for index in 0..COUNT {
                let resumed = resumed && index > 0;
                let mut note = |place: usize, seconds| {
                    // The first of a client is a full one.
                    if index > 0 {
                        spent[place].push(1.0 / seconds);
                    }
                };
                note(0, handshake(&clients[0], || Ours::new(ours), resumed).0);
                note(1, handshake(&clients[1], || theirs(&with_same), resumed).0);
                if has_ring {
                    note(2, handshake(&clients[2], || theirs(&with_ring), resumed).0);
                }
            }
            let [ours, same, ring] = spent.map(|values| median(&values));
            table.row(case, "per CPU s", Better::More, ours, "rustls, same primitives", same);
            if has_ring {
                table.row(case, "per CPU s", Better::More, ours, "rustls with ring", ring);
            }
        }
    });
}

const SUITES: [(&str, rustls::CipherSuite, CipherSuite); 3] = [
    ("AES-128-GCM", rustls::CipherSuite::TLS13_AES_128_GCM_SHA256, CipherSuite::TLS_AES_128_GCM_SHA256),
    ("AES-256-GCM", rustls::CipherSuite::TLS13_AES_256_GCM_SHA384, CipherSuite::TLS_AES_256_GCM_SHA384),
    (
        "ChaCha20-Poly1305",
        rustls::CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        CipherSuite::TLS_CHACHA20_POLY1305_SHA256,
    ),
];

/// MB for each second of the processor's, sent and received.
fn throughput<E: End>(client: &Arc<rustls::ClientConfig>, server: impl Fn() -> E) -> [f64; 2] {
    let (_, mut end, mut client) = handshake(client, server, false);
    client.set_buffer_limit(None);
    let data = vec![b'x'; 256 * 1024];
    let (mut sending, mut receiving, mut out) = (vec![], vec![], Vec::with_capacity(300_000));
    for _ in 0..60 {
        out.clear();
        sending.push(data.len() as f64 / 1e6 / timed(|| end.send(&data, &mut out)));
        std::io::Write::write_all(&mut client.writer(), &data).expect("TLS");
        let mut records = Vec::with_capacity(300_000);
        while client.wants_write() {
            client.write_tls(&mut records).expect("TLS");
        }
        out.clear();
        let before = end.received();
        receiving.push(data.len() as f64 / 1e6 / timed(|| end.feed(&records, &mut out)));
        assert_eq!(end.received() - before, data.len());
    }
    [median(&sending), median(&receiving)]
}

/// Application data.
pub fn bulk(table: &mut Table) {
    let ring = rustls::crypto::ring::default_provider;
    with_ours(|ours| {
        let (with_ring, with_same) = (rustls_server(ring()), rustls_server(provider()));
        for (name, suite, _) in SUITES {
            let mut provider = only_group(ring(), rustls::NamedGroup::X25519);
            provider.cipher_suites.retain(|known| known.suite() == suite);
            let mut config = client(provider);
            config.resumption = rustls::client::Resumption::disabled();
            let config = Arc::new(config);
            let ours = throughput(&config, || Ours::new(ours));
            let same = throughput(&config, || theirs(&with_same));
            let ring = throughput(&config, || theirs(&with_ring));
            for (index, direction) in ["sent", "received"].iter().enumerate() {
                let case = format!("{name}, {direction}");
                table.row(
                    &case,
                    "MB per CPU s",
                    Better::More,
                    ours[index],
                    "rustls, same primitives",
                    same[index],
                );
                table.row(&case, "MB per CPU s", Better::More, ours[index], "rustls with ring", ring[index]);
            }
        }
    });
}

/// The AEADs alone, in records of 16 KiB, beside OpenSSL's.
pub fn primitives(table: &mut Table) {
    for (name, _, suite) in SUITES {
        let aead = RustCrypto.aead(suite, &[7; 32][..suite.key_len()]).expect("a suite");
        let mut text = vec![0; 16_384];
        let values: Vec<_> = (0..200)
            .map(|_| 16_384.0 / 1e6 / timed(|| _ = black_box(aead.seal(&[1; 12], b"12345", &mut text))))
            .collect();
        let words = ["speed", "-bytes", "16384", "-seconds", "1", "-evp", &name.to_ascii_lowercase()];
        let output = Command::new("openssl").args(words).output().expect("openssl");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let theirs = said
            .lines()
            .next_back()
            .and_then(|line| line.split_whitespace().next_back()?.strip_suffix('k')?.parse::<f64>().ok());
        let theirs = theirs.unwrap_or_else(|| panic!("openssl speed said {said}")) / 1e3;
        let case = format!("{name} alone");
        table.row(&case, "MB per CPU s", Better::More, median(&values), "OpenSSL's", theirs);
    }
}
