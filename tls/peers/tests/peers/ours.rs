//! Our server on a loopback port: it answers each connection with what it got, in capitals.
use crate::rustls_peers::brotli;
use airglow_device::{Clock, Entropy, Instant};
use airglow_tls::{
    BUFFER, Certificate, CertificateType, ClientAuthentication, CompressedCertificate, Connection, CookieKey,
    EarlyData, Error, Event, PinnedKeys, ServerConfig, TicketKeys, Version,
    crypto::{
        CipherSuite, Hash, NamedGroup, PrivateKey, Provider, Restricted, RustCrypto, Transcript,
        subject_public_key_info,
    },
};
use std::{
    fs::File,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

pub const P256_CERTIFICATE: &[u8] = include_bytes!("../../../tests/keys/p256.der");
pub const ED25519_CERTIFICATE: &[u8] = include_bytes!("../../../tests/keys/ed25519.der");
pub const P256_KEY: &[u8] = include_bytes!("../../../tests/keys/p256.pkcs8.der");
pub const ED25519_KEY: &[u8] = include_bytes!("../../../tests/keys/ed25519.pkcs8.der");
pub const P384_CERTIFICATE: &[u8] = include_bytes!("../../../tests/keys/p384.der");
pub const P384_KEY: &[u8] = include_bytes!("../../../tests/keys/p384.pkcs8.der");
pub const RSA_CERTIFICATE: &[u8] = include_bytes!("../../../tests/keys/rsa.der");
pub const RSA_KEY: &[u8] = include_bytes!("../../../tests/keys/rsa.pkcs8.der");

/// A certificate and its key by name.
pub fn pair(name: &str) -> (&'static [u8], &'static [u8]) {
    match name {
        "kept" => (
            include_bytes!("../../../tests/keys/kept.der"),
            include_bytes!("../../../tests/keys/kept.pkcs8.der"),
        ),
        "p256" => (P256_CERTIFICATE, P256_KEY),
        "p384" => (P384_CERTIFICATE, P384_KEY),
        "rsa" => (RSA_CERTIFICATE, RSA_KEY),
        _ => (ED25519_CERTIFICATE, ED25519_KEY),
    }
}

/// SHA-256 of a certificate's SubjectPublicKeyInfo.
pub fn pin(certificate: &[u8]) -> [u8; 32] {
    let mut hash = RustCrypto.hash(Hash::Sha256);
    hash.update(subject_public_key_info(certificate).unwrap());
    *hash.current().first_chunk().unwrap()
}

/// Time since the test began.
pub struct Running(pub std::time::Instant);
impl Clock for Running {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.0.elapsed().as_nanos() as u64)
    }
}

/// No test may wait longer for a peer.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Random;
impl Entropy for Random {
    fn fill(&self, out: &mut [u8]) {
        File::open("/dev/urandom").and_then(|mut file| file.read_exact(out)).unwrap();
    }
}

/// [`RustCrypto`] with one suite and some groups only.
pub type Only = Restricted<RustCrypto>;

pub const fn only(cipher_suites: &'static [CipherSuite], groups: &'static [NamedGroup]) -> Only {
    Restricted { provider: RustCrypto, cipher_suites, groups }
}

pub const SUITES: [&[CipherSuite]; 3] = [
    &[CipherSuite::TLS_AES_128_GCM_SHA256],
    &[CipherSuite::TLS_AES_256_GCM_SHA384],
    &[CipherSuite::TLS_CHACHA20_POLY1305_SHA256],
];
pub const BOTH: &[NamedGroup] = &[NamedGroup::X25519, NamedGroup::SECP256R1];

/// What became of one connection: the bytes that came, the protocol, and how it ended.
pub type Outcome = (Vec<u8>, Option<Vec<u8>>, Result<(), Error>);

/// What a server is like.
#[derive(Clone, Copy)]
pub struct Setup {
    pub provider: Only,
    /// Its certificate's name.
    pub certificate: &'static str,
    /// The certificates of clients, one of which must be shown.
    pub clients: &'static [&'static str],
    /// The oldest version that it speaks.
    pub oldest: Version,
    /// Closes when it has answered once, instead of waiting for the client to.
    pub closes: bool,
    /// Bytes of early data that it takes, and answers at once.
    pub early_data: u32,
    /// Asks every client to bring a cookie back.
    pub cookies: bool,
    /// Shows a bare key, and takes nothing else of clients.
    pub bare: bool,
    /// Compresses its certificate for those who want that, and asks clients to do the same.
    pub compresses: bool,
    /// Asks for the certificates of [`clients`](Self::clients) when the first data have come, and not before.
    pub late: bool,
}

impl Setup {
    /// One that asks for nothing and waits for the client to close.
    pub const fn new(provider: Only, certificate: &'static str) -> Self {
        let oldest = Version::Tls13;
        Self {
            provider,
            certificate,
            clients: &[],
            oldest,
            closes: false,
            early_data: 0,
            cookies: false,
            bare: false,
            compresses: false,
            late: false,
        }
    }
}

/// What became of one connection, and who the client was.
pub struct Seen {
    pub outcome: Outcome,
    /// What came before the handshake was done.
    pub early: Vec<u8>,
    pub resumed: bool,
    pub client: Option<[u8; 32]>,
    /// 32 bytes for the label `EXPORTER-airglow`.
    pub exported: Option<Vec<u8>>,
}

/// Serves `count` connections, then ends.
pub fn serve(provider: Only, count: usize) -> (SocketAddr, Receiver<Outcome>) {
    let (addr, seen) = serve_with(Setup::new(provider, ""), count);
    let (sender, receiver) = channel();
    std::thread::spawn(move || seen.into_iter().try_for_each(|seen| sender.send(seen.outcome)));
    (addr, receiver)
}

/// The same, with more to choose.
pub fn serve_with(setup: Setup, count: usize) -> (SocketAddr, Receiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let (clock, entropy) = (Running(std::time::Instant::now()), Random);
        let key = |name| PrivateKey::from_der(pair(name).1).unwrap();
        let (p256, p384, ed25519, kept) = (key("p256"), key("p384"), key("ed25519"), key("kept"));
        let kept_chain = [pair("kept").0];
        let kept = Certificate {
            ocsp: Some(include_bytes!("../../../tests/keys/kept.ocsp")),
            ..Certificate::new(&kept_chain, &kept, &["leaf.example"])
        };
        let all = [
            ("p256", Certificate::new(&[P256_CERTIFICATE], &p256, &["localhost", "p256.example"])),
            ("ed25519", Certificate::new(&[ED25519_CERTIFICATE], &ed25519, &["ed25519.example"])),
            ("p384", Certificate::new(&[P384_CERTIFICATE], &p384, &["p384.example"])),
            ("kept", kept),
        ];
        let chosen =
            all.iter().filter(|(name, _)| setup.certificate.is_empty() || *name == setup.certificate);
        let mut certificates: Vec<_> = chosen.map(|(_, certificate)| *certificate).collect();
        let compress =
            |certificate| Some(CompressedCertificate::new(certificate)?.with_brotli(certificate, brotli));
        let compressed: Vec<_> = certificates.iter().map(compress).collect();
        if setup.compresses {
            for (certificate, compressed) in certificates.iter_mut().zip(&compressed) {
                certificate.compressed = compressed.as_ref();
                assert!(compressed.is_some());
            }
        }
        let types = if setup.bare { &[CertificateType::RawPublicKey] } else { &[CertificateType::X509] };
        let cookies = CookieKey::new(&entropy, &clock, Duration::from_secs(10));
        let tickets = TicketKeys::<_, 2>::new(RustCrypto, &clock, &entropy, Duration::from_secs(600));
        let pins: Vec<_> = setup.clients.iter().map(|name| pin(pair(name).0)).collect();
        let verifier = PinnedKeys(&pins);
        let clients = ClientAuthentication { verifier: &verifier, required: true };
        let config = ServerConfig {
            protocols: &[b"http/1.1", b"capitals"],
            tickets: Some(&tickets),
            minimum_version: setup.oldest,
            clients: Some(clients).filter(|_| !pins.is_empty() && !setup.late),
            post_handshake_clients: Some(clients).filter(|_| setup.late),
            cookies: Some(&cookies).filter(|_| setup.cookies),
            certificate_types: types,
            client_certificate_types: types,
            wants_compressed: setup.compresses,
            early_data: match setup.early_data {
                0 => EarlyData::Refused,
                most => EarlyData::OnRequest(most),
            },
            ..ServerConfig::new(setup.provider, &certificates)
        };
        for _ in 0..count {
            let (stream, _) = listener.accept().unwrap();
            if sender.send(capitals(stream, &config, setup.closes)).is_err() {
                return;
            }
        }
    });
    (addr, receiver)
}

fn flush<B: AsRef<[u8]> + AsMut<[u8]>>(
    stream: &mut TcpStream,
    tls: &mut Connection<airglow_tls::Server<'_, Only>, Only, B>,
) {
    // A peer that is gone shows when reading.
    let _ = stream.write_all(tls.output());
    tls.sent(tls.output().len());
}

fn capitals(mut stream: TcpStream, config: &ServerConfig<'_, Only>, closes: bool) -> Seen {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut tls = Connection::server(config, &Random, vec![0; BUFFER], vec![0; 20_000]);
    let (mut all, mut early) = (Vec::new(), Vec::new());
    let mut end = Ok(());
    loop {
        let event = tls.process();
        flush(&mut stream, &mut tls);
        match event {
            Err(error) => end = Err(error),
            Ok(Event::Closed) => {}
            Ok(event @ (Event::Data | Event::EarlyData)) => {
                let data = match event {
                    Event::Data => tls.plaintext().to_ascii_uppercase(),
                    _ => tls.early_data().to_ascii_uppercase(),
                };
                tls.consume(data.len());
                if event == Event::EarlyData {
                    early.extend_from_slice(&data);
                }
                let mut at = 0;
                while at < data.len() {
                    at += tls.write(&data[at..]).unwrap();
                    flush(&mut stream, &mut tls);
                }
                all.extend(data);
                if config.post_handshake_clients.is_some() && tls.peer().is_none() {
                    assert!(tls.request_certificate().unwrap(), "the client may be asked");
                    flush(&mut stream, &mut tls);
                }
                if !closes || event == Event::EarlyData {
                    continue;
                }
            }
            Ok(Event::Idle) => {
                let count = stream.read(tls.space()).unwrap_or(0);
                tls.received(count);
                if count > 0 {
                    continue;
                }
                end = tls.received_end();
            }
        }
        tls.close();
        flush(&mut stream, &mut tls);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let outcome = (all, tls.protocol().map(<[u8]>::to_vec), end);
        let exported = tls.export(b"EXPORTER-airglow", b"", 32).map(|secret| secret.to_vec());
        return Seen { outcome, early, resumed: tls.is_resumed(), client: tls.peer().copied(), exported };
    }
}
