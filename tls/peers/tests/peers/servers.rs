//! Our client against other people's servers.
use crate::ours::{
    BOTH, ED25519_CERTIFICATE, ED25519_KEY, Only, P256_CERTIFICATE, P256_KEY, PATIENCE, Random, SUITES, only,
    pair, pin,
};
use airglow_testbed::name_servers::free_port;
use airglow_tls::{
    Alert, BUFFER, Certificate, CertificateType, ClientConfig, CompressedCertificate, Connection, Error,
    Event, PinnedKeys, Sessions, Version, crypto::PrivateKey,
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

/// What our client brings along.
pub struct Asking<'a> {
    pub provider: Only,
    /// The certificate that the server must have.
    pub certificate: &'a [u8],
    /// The name of the certificate that is shown.
    pub shows: Option<&'static str>,
    pub sessions: Option<&'a dyn Sessions>,
    /// The oldest version that it speaks.
    pub oldest: Version,
    /// Whether the question is said early, and whether it is said again when that was accepted.
    pub early: bool,
    pub again: bool,
    /// Takes a bare key and nothing else, and shows its own so.
    pub bare: bool,
    /// Asks for a compressed certificate, and compresses its own for those who want that.
    pub compresses: bool,
    /// Shows its certificate to a server that asks after the handshake too.
    pub late: bool,
}

/// What came of it.
pub struct Answer {
    pub bytes: Vec<u8>,
    pub protocol: Option<Vec<u8>>,
    pub resumed: bool,
    /// Whether the server took early data.
    pub early: bool,
}

/// Says `question`, reads until the peer closes (or `enough` bytes), closes: the answer and the protocol.
fn ask(
    addr: SocketAddr,
    provider: Only,
    certificate: &[u8],
    question: &[u8],
    enough: usize,
) -> Result<(Vec<u8>, Option<Vec<u8>>), Error> {
    let oldest = Version::Tls13;
    let asking = Asking {
        provider,
        certificate,
        shows: None,
        sessions: None,
        oldest,
        early: false,
        again: false,
        bare: false,
        compresses: false,
        late: false,
    };
    ask_with(addr, &asking, question, enough).map(|answer| (answer.bytes, answer.protocol))
}

/// The same with more to choose and to know.
pub fn ask_with(
    addr: SocketAddr,
    asking: &Asking<'_>,
    question: &[u8],
    enough: usize,
) -> Result<Answer, Error> {
    let pins = [pin(asking.certificate)];
    let shown = asking.shows.map(|name| (pair(name).0, PrivateKey::from_der(pair(name).1).unwrap()));
    let chain = shown.as_ref().map(|(certificate, _)| [*certificate]);
    let types = if asking.bare { &[CertificateType::RawPublicKey] } else { &[CertificateType::X509] };
    let shown = shown.as_ref().zip(chain.as_ref()).map(|((_, key), chain)| Certificate::new(chain, key, &[]));
    let compressed = shown.as_ref().filter(|_| asking.compresses).and_then(CompressedCertificate::new);
    let config = ClientConfig {
        protocols: &[b"capitals", b"http/1.1"],
        certificate: shown.map(|shown| Certificate { compressed: compressed.as_ref(), ..shown }),
        certificate_types: types,
        server_certificate_types: types,
        wants_compressed: asking.compresses,
        sessions: asking.sessions,
        minimum_version: asking.oldest,
        early_data: asking.early,
        post_handshake_auth: asking.late,
        ..ClientConfig::new(asking.provider, PinnedKeys(&pins))
    };
    let mut tls =
        Connection::client(&config, "localhost", &Random, vec![0; BUFFER], vec![0; 17_000]).unwrap();
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut answer, mut asked, mut known) = (Vec::new(), tls.write_early(question)?, false);
    loop {
        let event = tls.process();
        if tls.is_connected() && !known {
            // What was refused is said again.
            known = true;
            asked = if tls.early_data_accepted() && !asking.again { asked } else { 0 };
        }
        while tls.is_connected() && asked < question.len() {
            asked += tls.write(&question[asked..])?;
            stream.write_all(tls.output()).unwrap();
            tls.sent(tls.output().len());
        }
        let _ = stream.write_all(tls.output());
        tls.sent(tls.output().len());
        match event? {
            Event::Data => {
                answer.extend_from_slice(tls.plaintext());
                let len = tls.plaintext().len();
                tls.consume(len);
                if answer.len() < enough {
                    continue;
                }
                tls.close();
                // Who has said what it had to say may be gone.
                let _ = stream.write_all(tls.output());
            }
            Event::Closed | Event::EarlyData => {}
            Event::Idle => match stream.read(tls.space()).unwrap_or(0) {
                0 => tls.received_end()?,
                count => {
                    tls.received(count);
                    continue;
                }
            },
        }
        return Ok(Answer {
            bytes: answer,
            protocol: tls.protocol().map(<[u8]>::to_vec),
            resumed: tls.is_resumed(),
            early: tls.early_data_accepted(),
        });
    }
}

/// `openssl s_server`, ended when dropped, and its files.
struct OpenSsl(Child, Vec<PathBuf>);
impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        self.1.iter().for_each(|path| drop(std::fs::remove_file(path)));
    }
}

fn openssl(name: &str, certificate: &[u8], key: &[u8], arguments: &str) -> (OpenSsl, SocketAddr) {
    let file = |kind: &str, bytes: &[u8]| {
        let path = std::env::temp_dir().join(format!("airglow-tls-{}-{name}.{kind}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let (certificate, key) = (file("certificate", certificate), file("key", key));
    let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut command = Command::new("openssl");
    command.args(["s_server", "-accept", &addr.to_string(), "-certform", "DER", "-keyform", "DER", "-cert"]);
    command.arg(&certificate).arg("-key").arg(&key).args(arguments.split(' '));
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let server = OpenSsl(child, vec![certificate, key]);
    let start = Instant::now();
    while TcpStream::connect(addr).is_err() {
        assert!(start.elapsed() < PATIENCE, "openssl s_server does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    (server, addr)
}

#[test]
fn openssl_asks_again_and_for_a_certificate() {
    let (_server, addr) = openssl("s-retry", P256_CERTIFICATE, P256_KEY, "-www -groups P-256 -verify 1");
    // Our first share is for X25519.
    let answer = ask(addr, only(SUITES[1], BOTH), P256_CERTIFICATE, b"GET / HTTP/1.0\r\n\r\n", usize::MAX);
    assert!(String::from_utf8_lossy(&answer.unwrap().0).contains("TLSv1.3"));
}

#[test]
fn openssl_gets_its_cookie_back() {
    // It remembers nothing of a first hello, and every client has to say a second one.
    let (_server, addr) = openssl("s-cookie", P256_CERTIFICATE, P256_KEY, "-www -stateless");
    let answer = ask(addr, only(SUITES[1], BOTH), P256_CERTIFICATE, b"GET / HTTP/1.0\r\n\r\n", usize::MAX);
    assert!(String::from_utf8_lossy(&answer.unwrap().0).contains("TLSv1.3"));
}

#[test]
fn openssl_is_refused() {
    let (_server, addr) = openssl("s-pin", P256_CERTIFICATE, P256_KEY, "-www");
    let other = ask(addr, only(SUITES[0], BOTH), ED25519_CERTIFICATE, b"", 0);
    assert_eq!(other, Err(Error::Sent(Alert::UNKNOWN_CA)));
    let (_server, addr) = openssl("s-old", P256_CERTIFICATE, P256_KEY, "-www -tls1_2");
    let old = ask(addr, only(SUITES[0], BOTH), P256_CERTIFICATE, b"", 0);
    assert_eq!(old, Err(Error::Received(Alert::PROTOCOL_VERSION)));
}

#[test]
fn rustls_echoes_half_a_megabyte() {
    for (certificate, key) in [(P256_CERTIFICATE, P256_KEY), (ED25519_CERTIFICATE, ED25519_KEY)] {
        for suite in SUITES {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key).into();
            let config = rustls::ServerConfig::builder()
                .with_no_client_auth()
                .with_single_cert(vec![certificate.into()], key)
                .unwrap();
            let server = std::thread::spawn(move || {
                let (mut socket, _) = listener.accept().unwrap();
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                let mut tls = rustls::ServerConnection::new(Arc::new(config)).unwrap();
                let mut stream = rustls::Stream::new(&mut tls, &mut socket);
                let mut all = vec![0; 500_000];
                stream.read_exact(&mut all).unwrap();
                stream.write_all(&all).unwrap();
                stream.flush().unwrap();
                // Our close_notify.
                assert_eq!(stream.read(&mut [0; 9]).unwrap(), 0);
            });
            let question: Vec<u8> = (0..500_000_u32).map(|index| (index * 3) as u8).collect();
            let (answer, _) = ask(addr, only(suite, BOTH), certificate, &question, question.len()).unwrap();
            assert!(answer == question);
            server.join().unwrap();
        }
    }
}
