//! Our server on a loopback port: it answers each connection with what it got, in capitals.
use airglow_device::Entropy;
use airglow_tls::{
    BUFFER, Certificate, Connection, Error, Event, ServerConfig,
    crypto::{CipherSuite, NamedGroup, PrivateKey, Restricted, RustCrypto},
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
pub const GROUPS: [&[NamedGroup]; 2] = [&[NamedGroup::X25519], &[NamedGroup::SECP256R1]];
pub const BOTH: &[NamedGroup] = &[NamedGroup::X25519, NamedGroup::SECP256R1];

/// What became of one connection: the bytes that came, the protocol, and how it ended.
pub type Outcome = (Vec<u8>, Option<Vec<u8>>, Result<(), Error>);

/// Serves `count` connections, then ends.
pub fn serve(provider: Only, count: usize) -> (SocketAddr, Receiver<Outcome>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let (p256, ed25519) =
            (PrivateKey::from_der(P256_KEY).unwrap(), PrivateKey::from_der(ED25519_KEY).unwrap());
        let certificates = [
            Certificate::new(&[P256_CERTIFICATE], &p256, &["localhost", "p256.example"]),
            Certificate::new(&[ED25519_CERTIFICATE], &ed25519, &["ed25519.example"]),
        ];
        let config = ServerConfig {
            protocols: &[b"http/1.1", b"capitals"],
            ..ServerConfig::new(provider, &certificates)
        };
        for _ in 0..count {
            let (stream, _) = listener.accept().unwrap();
            if sender.send(capitals(stream, &config)).is_err() {
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

fn capitals(mut stream: TcpStream, config: &ServerConfig<'_, Only>) -> Outcome {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut tls = Connection::server(config, &Random, vec![0; BUFFER], vec![0; 20_000]);
    let mut all = Vec::new();
    let mut end = Ok(());
    loop {
        let event = tls.process();
        flush(&mut stream, &mut tls);
        match event {
            Err(error) => end = Err(error),
            Ok(Event::Closed) => {}
            Ok(Event::Data) => {
                let data = tls.plaintext().to_ascii_uppercase();
                tls.consume(data.len());
                let mut at = 0;
                while at < data.len() {
                    at += tls.write(&data[at..]).unwrap();
                    flush(&mut stream, &mut tls);
                }
                all.extend(data);
                continue;
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
        return (all, tls.protocol().map(<[u8]>::to_vec), end);
    }
}
