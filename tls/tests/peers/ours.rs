//! Our server on a loopback port: it answers each connection with what it got, in capitals.
use airglow_device::Entropy;
use airglow_tls::{
    BUFFER, Certificate, Connection, Error, Event, ServerConfig,
    crypto::{CipherSuite, NamedGroup, PrivateKey, Provider, RustCrypto, Secret, SignatureScheme},
};
use std::{
    fs::File,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

pub const P256_CERTIFICATE: &[u8] = include_bytes!("../keys/p256.der");
pub const ED25519_CERTIFICATE: &[u8] = include_bytes!("../keys/ed25519.der");
pub const P256_KEY: &[u8] = include_bytes!("../keys/p256.pkcs8.der");
pub const ED25519_KEY: &[u8] = include_bytes!("../keys/ed25519.pkcs8.der");

/// No test may wait longer for a peer.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Random;
impl Entropy for Random {
    fn fill(&self, out: &mut [u8]) {
        File::open("/dev/urandom").and_then(|mut file| file.read_exact(out)).unwrap();
    }
}

/// [`RustCrypto`] with one suite and some groups only.
pub struct Only(pub &'static [CipherSuite], pub &'static [NamedGroup]);

impl Provider for Only {
    type Transcript = <RustCrypto as Provider>::Transcript;
    type Aead = <RustCrypto as Provider>::Aead;
    type KeyExchange = <RustCrypto as Provider>::KeyExchange;
    fn cipher_suites(&self) -> &[CipherSuite] {
        self.0
    }
    fn groups(&self) -> &[NamedGroup] {
        self.1
    }
    fn signature_schemes(&self) -> &[SignatureScheme] {
        RustCrypto.signature_schemes()
    }
    fn hash(&self, hash: airglow_tls::crypto::Hash) -> Self::Transcript {
        RustCrypto.hash(hash)
    }
    fn hmac(&self, hash: airglow_tls::crypto::Hash, key: &[u8], parts: &[&[u8]]) -> Secret {
        RustCrypto.hmac(hash, key, parts)
    }
    fn aead(&self, suite: CipherSuite, key: &[u8]) -> Option<Self::Aead> {
        RustCrypto.aead(suite, key)
    }
    fn key_exchange(&self, group: NamedGroup, random: &[u8; 32]) -> Option<Self::KeyExchange> {
        RustCrypto.key_exchange(group, random)
    }
    fn verify(&self, scheme: SignatureScheme, spki: &[u8], message: &[u8], signature: &[u8]) -> bool {
        RustCrypto.verify(scheme, spki, message, signature)
    }
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
            Certificate { chain: &[P256_CERTIFICATE], key: &p256, names: &["localhost", "p256.example"] },
            Certificate { chain: &[ED25519_CERTIFICATE], key: &ed25519, names: &["ed25519.example"] },
        ];
        let config =
            ServerConfig { provider, certificates: &certificates, protocols: &[b"http/1.1", b"capitals"] };
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
