//! Clients that show who they are after the handshake: RFC 8446 section 4.6.2.
use crate::{
    clients::{pem, run, text},
    ours::{
        BOTH, P256_CERTIFICATE, P256_KEY, P384_CERTIFICATE, P384_KEY, PATIENCE, SUITES, Setup, only, pin,
        serve_with,
    },
    servers::{Asking, ask_with},
};
use airglow_testbed::name_servers::free_port;
use airglow_tls::{Alert, Error, Version};
use std::{
    fs,
    io::Write,
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    time::{Duration, Instant},
};

/// A file of this process, gone with the value.
struct Kept(PathBuf);

impl Kept {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("airglow-late-{}-{name}", std::process::id()));
        fs::write(&path, bytes).unwrap();
        Self(path)
    }
    fn path(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn key_pem(name: &str, der: &[u8]) -> Kept {
    let output = run(Command::new("openssl").args(["pkey", "-inform", "DER"]), der);
    Kept::new(name, &output.stdout)
}

/// A server that asks who has sent the first data.
fn asking() -> Setup {
    Setup { clients: &["p384"], late: true, ..Setup::new(only(SUITES[0], BOTH), "p256") }
}

#[test]
fn openssl_and_gnutls_clients_show_who_they_are_when_they_are_asked() {
    let ca = Kept(pem("late-ca", P256_CERTIFICATE));
    let (certificate, key) = (Kept(pem("late-shown", P384_CERTIFICATE)), key_pem("shown.key", P384_KEY));
    for shows in [true, false] {
        let (addr, seen) = serve_with(asking(), 1);
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &addr.to_string(), "-enable_pha", "-CAfile", &ca.path()]);
        if shows {
            command.args(["-cert", &certificate.path(), "-key", &key.path()]);
        }
        let said = text(&run(&mut command, b"hello\n"));
        let seen = seen.recv_timeout(PATIENCE).unwrap();
        let refused = Err(Error::Sent(Alert::CERTIFICATE_REQUIRED));
        let expected = if shows { (Some(pin(P384_CERTIFICATE)), Ok(())) } else { (None, refused) };
        assert!(said.contains("HELLO"), "{said}");
        assert_eq!((seen.client, seen.outcome.2), expected, "{said}");
    }
    let (addr, seen) = serve_with(asking(), 1);
    let mut command = Command::new("gnutls-cli");
    command.args(["--port", &addr.port().to_string(), "--post-handshake-auth", "--x509cafile", &ca.path()]);
    command.args(["--x509certfile", &certificate.path(), "--x509keyfile", &key.path(), "localhost"]);
    let said = text(&run(&mut command, b"hello\n"));
    let seen = seen.recv_timeout(PATIENCE).unwrap();
    assert!(said.contains("HELLO"), "{said}");
    assert_eq!((seen.client, seen.outcome.2), (Some(pin(P384_CERTIFICATE)), Ok(())), "{said}");
}

/// A server that was started, ended when dropped.
struct Program(Child);
impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn s_server(more: &[String], output: &Kept) -> (Program, ChildStdin, SocketAddr) {
    let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let log = fs::File::create(&output.0).unwrap();
    let mut command = Command::new("openssl");
    command.args(["s_server", "-accept", &addr.to_string()]).args(more);
    command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
    let mut server = Program(command.spawn().unwrap());
    let stdin = server.0.stdin.take().unwrap();
    let start = Instant::now();
    while TcpStream::connect(addr).is_err() {
        assert!(start.elapsed() < PATIENCE, "openssl s_server does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    (server, stdin, addr)
}

#[test]
fn openssl_server_asks_ours() {
    let (certificate, key) = (Kept(pem("late-server", P256_CERTIFICATE)), key_pem("server.key", P256_KEY));
    let (known, output) = (Kept(pem("late-known", P384_CERTIFICATE)), Kept::new("output", b""));
    let arguments = ["-cert", &certificate.path(), "-key", &key.path(), "-CAfile", &known.path(), "-msg"];
    let arguments = arguments.map(str::to_owned);
    for shows in [Some("p384"), None] {
        let (_server, mut stdin, addr) = s_server(&arguments, &output);
        // `c` alone on a line asks the client for a certificate.
        let speaker = std::thread::spawn(move || {
            for line in ["c\n", "answer\n", "c\n", "more\n"] {
                std::thread::sleep(Duration::from_millis(400));
                stdin.write_all(line.as_bytes()).unwrap();
            }
            stdin
        });
        let asking = Asking {
            provider: only(SUITES[0], BOTH),
            certificate: P256_CERTIFICATE,
            shows,
            sessions: None,
            oldest: Version::Tls13,
            early: false,
            again: false,
            bare: false,
            compresses: false,
            late: true,
        };
        let answer = ask_with(addr, &asking, b"hello\n", 12).unwrap();
        assert_eq!(answer.bytes, b"answer\nmore\n");
        drop(speaker.join().unwrap());
        let said = fs::read_to_string(&output.0).unwrap();
        let count = |part: &str| said.matches(part).count();
        assert_eq!(count("CertificateRequest"), 2, "{said}");
        // Our answers, of which those with a certificate are verified: one CertificateVerify is the server's.
        let shown = if shows.is_some() { 2 } else { 0 };
        assert_eq!((count("CertificateVerify"), count("verify return:1")), (1 + shown, shown), "{said}");
        assert!(said.contains("hello"), "{said}");
    }
}
