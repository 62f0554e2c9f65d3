//! What works with whom, in both roles, as a table. Every cell is at least one connection that carried data both ways.
use crate::{
    ours::{PATIENCE, Running, Setup, only, pair, pin, serve_with},
    servers::{Asking, ask_with},
};
use airglow_testbed::name_servers::free_port;
use airglow_tls::{
    SessionCache, Version,
    crypto::{CipherSuite, NamedGroup, Provider, RustCrypto},
};
use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

const COLUMNS: [&str; 14] = [
    "AES-128-GCM",
    "AES-256-GCM",
    "CHACHA20",
    "X25519",
    "P-256",
    "P-384",
    "X25519MLKEM768",
    "p256",
    "p384",
    "ed25519",
    "rsa",
    "resumption",
    "client cert",
    "ALPN",
];

/// A column, in one of the versions.
#[derive(Clone, Copy)]
struct Case {
    version: Version,
    column: &'static str,
}

impl Case {
    fn is_tls12(self) -> bool {
        self.version == Version::Tls12
    }
    /// What TLS 1.2 does not have here.
    fn is_in_its_table(self) -> bool {
        !(self.is_tls12() && ["X25519MLKEM768", "resumption", "0-RTT"].contains(&self.column))
    }
}

enum Cell {
    Yes,
    /// The peer cannot, or one of us does not want to.
    No(&'static str),
}

type Attempt = Result<Cell, String>;

fn suite(column: &str) -> &'static [CipherSuite] {
    match column {
        "AES-256-GCM" => &[CipherSuite::TLS_AES_256_GCM_SHA384],
        "CHACHA20" => &[CipherSuite::TLS_CHACHA20_POLY1305_SHA256],
        "AES-128-GCM" => &[CipherSuite::TLS_AES_128_GCM_SHA256],
        _ => RustCrypto.cipher_suites().to_vec().leak(),
    }
}

fn group(case: Case) -> &'static [NamedGroup] {
    match case.column {
        // In TLS 1.2 the groups are those of certificates too.
        "X25519" if case.is_tls12() => &[NamedGroup::X25519, NamedGroup::SECP256R1],
        "P-384" if case.is_tls12() => &[NamedGroup::SECP384R1, NamedGroup::SECP256R1],
        "X25519" => &[NamedGroup::X25519],
        "P-256" => &[NamedGroup::SECP256R1],
        "P-384" => &[NamedGroup::SECP384R1],
        "X25519MLKEM768" => &[NamedGroup::X25519MLKEM768],
        _ => &[NamedGroup::X25519, NamedGroup::SECP256R1, NamedGroup::SECP384R1],
    }
}

fn certificate(column: &str) -> &'static str {
    COLUMNS[7..11].iter().find(|name| **name == column).unwrap_or(&"p256")
}

/// Files of this process, by name: certificates, keys, databases of NSS.
struct Files(PathBuf);

impl Files {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("airglow-matrix-{}", std::process::id()));
        fs::create_dir_all(folder.join("nss")).unwrap();
        let files = Self(folder);
        for name in ["p256", "p384", "ed25519", "rsa"] {
            for (kind, words, der) in [("cert", "x509", pair(name).0), ("key", "pkey", pair(name).1)] {
                fs::write(files.0.join("der"), der).unwrap();
                let out = files.path(&format!("{name}.{kind}"));
                files.tool("openssl", &[words, "-inform", "DER", "-in", &files.path("der"), "-out", &out]);
            }
        }
        let database = format!("sql:{}", files.path("nss"));
        files.tool("certutil", &["-N", "-d", &database, "--empty-password"]);
        for name in ["p256", "p384", "rsa"] {
            let (cert, key, p12) =
                (files.path(&format!("{name}.cert")), files.path(&format!("{name}.key")), files.path("p12"));
            let export = ["pkcs12", "-export", "-in", &cert, "-inkey", &key, "-out", &p12, "-name", name];
            files.tool("openssl", &[&export[..], &["-passout", "pass:"]].concat());
            files.tool("pk12util", &["-i", &p12, "-d", &database, "-W", ""]);
            files.tool("certutil", &["-M", "-d", &database, "-n", name, "-t", "P,P,P"]);
        }
        files
    }
    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
    fn tool(&self, program: &str, arguments: &[&str]) {
        let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{program} {arguments:?}: {said}");
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a client with `input` until it has said `until` (or its time is over): what it said.
fn converse(program: &str, arguments: &[String], input: &str, until: &str) -> String {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let said = Arc::new(Mutex::new(String::new()));
    let listen = |mut from: Box<dyn Read + Send>| {
        let said = said.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                said.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        })
    };
    let threads =
        [listen(Box::new(child.stdout.take().unwrap())), listen(Box::new(child.stderr.take().unwrap()))];
    let mut stdin = child.stdin.take().unwrap();
    let _ = stdin.write_all(input.as_bytes());
    let start = Instant::now();
    let late = || start.elapsed() > Duration::from_secs(8);
    while !said.lock().unwrap().contains(until) && !late() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(stdin);
    while child.try_wait().unwrap().is_none() {
        if late() {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    for thread in threads {
        thread.join().unwrap();
    }
    let said = said.lock().unwrap();
    format!("{program} {}\n{said}", arguments.join(" "))
}

fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

// Other people's clients, our server.

/// Runs one cell against our server: `client` makes as many connections as it is asked for.
fn our_server(case: Case, connections: usize, client: impl Fn(SocketAddr) -> Result<(), String>) -> Attempt {
    our_server_that(false, case, connections, client)
}

/// The same with a server that may close first.
fn our_server_that(
    closes: bool,
    case: Case,
    connections: usize,
    client: impl Fn(SocketAddr) -> Result<(), String>,
) -> Attempt {
    let column = case.column;
    let clients: &[&str] = if column == "client cert" { &["p384"] } else { &[] };
    let provider = only(suite(column), group(case));
    let setup = Setup {
        clients,
        oldest: case.version,
        closes,
        early_data: if column == "0-RTT" { 1_000 } else { 0 },
        ..Setup::new(provider, certificate(column))
    };
    let (addr, seen) = serve_with(setup, connections);
    client(addr)?;
    let mut resumed = false;
    for _ in 0..connections {
        let seen = seen.recv_timeout(PATIENCE).map_err(|why| why.to_string())?;
        if !seen.outcome.0.to_ascii_uppercase().starts_with(b"HELLO") || seen.outcome.2.is_err() {
            return Err(format!("the server saw {:?}", seen.outcome));
        }
        resumed = seen.resumed;
        if column == "client cert" && seen.client != Some(pin(pair("p384").0)) {
            return Err("who is the client?".into());
        }
        if column == "ALPN" && seen.outcome.1.as_deref() != Some(&b"capitals"[..]) {
            return Err(format!("{:?}", seen.outcome.1));
        }
    }
    if resumed == (column == "resumption") { Ok(Cell::Yes) } else { Err(format!("resumed: {resumed}")) }
}

fn expect(said: &str, parts: &[&str]) -> Result<(), String> {
    match parts.iter().find(|part| !said.contains(**part)) {
        None => Ok(()),
        Some(part) => Err(format!("no {part} in: {said}")),
    }
}

fn openssl_client(files: &Files, case: Case) -> Attempt {
    let column = case.column;
    let more = match column {
        "X25519MLKEM768" => return Ok(Cell::No("not before OpenSSL 3.5")),
        "rsa" => return Ok(Cell::No("we do not sign with RSA")),
        "client cert" => format!("-cert {} -key {}", files.path("p384.cert"), files.path("p384.key")),
        "ALPN" => "-alpn capitals".into(),
        "P-384" | "X25519" if case.is_tls12() => format!("-groups {column}:P-256"),
        "P-256" | "P-384" | "X25519" => format!("-groups {column}"),
        _ => String::new(),
    };
    let base = |addr: SocketAddr| {
        let ca = files.path(&format!("{}.cert", certificate(column)));
        let name = format!("-servername {0}.example -verify_hostname {0}.example", certificate(column));
        let version = if case.is_tls12() { "-tls1_2" } else { "" };
        format!("s_client -connect {addr} -verify_return_error -CAfile {ca} {name} {version} {more}")
    };
    if column == "resumption" {
        let session = files.path("openssl.session");
        return our_server(case, 2, |addr| {
            for file in ["-sess_out", "-sess_in"] {
                let arguments = words(&format!("{} {file} {session}", base(addr)));
                expect(&converse("openssl", &arguments, "hello\n", "HELLO"), &["HELLO"])?;
            }
            Ok(())
        });
    }
    our_server(case, 1, |addr| {
        let said = converse("openssl", &words(&base(addr)), "hello\n", "HELLO");
        let version = if case.is_tls12() { "New, TLSv1.2" } else { "New, TLSv1.3" };
        expect(&said, &["HELLO", "Verify return code: 0 (ok)", version])
    })
}

fn gnutls_priority(case: Case) -> Option<String> {
    let column = case.column;
    let (cipher, group) = match column {
        "AES-128-GCM" | "AES-256-GCM" => (column, "X25519"),
        "CHACHA20" => ("CHACHA20-POLY1305", "X25519"),
        "P-256" => ("AES-128-GCM", "SECP256R1"),
        "P-384" => ("AES-128-GCM", "SECP384R1"),
        "X25519MLKEM768" => return None,
        _ => ("AES-128-GCM", "X25519"),
    };
    // In TLS 1.2 the groups are those of certificates too.
    let (version, more) = match (case.is_tls12(), certificate(column)) {
        (false, _) => ("1.3", ""),
        (true, "p384") => ("1.2", ":+GROUP-SECP384R1"),
        (true, _) => ("1.2", ":+GROUP-SECP256R1"),
    };
    let none = "NORMAL:-VERS-ALL:-CIPHER-ALL:-GROUP-ALL";
    Some(format!("{none}:+VERS-TLS{version}:+{cipher}:+GROUP-{group}{more}"))
}

fn gnutls_client(files: &Files, case: Case) -> Attempt {
    let column = case.column;
    let Some(priority) = gnutls_priority(case) else { return Ok(Cell::No("not in GnuTLS 3.7")) };
    let more = match column {
        "rsa" => return Ok(Cell::No("we do not sign with RSA")),
        "client cert" => {
            format!("--x509certfile {} --x509keyfile {}", files.path("p384.cert"), files.path("p384.key"))
        }
        "ALPN" => "--alpn capitals".into(),
        // Its first connection says nothing before it is closed and taken up again.
        "resumption" => "--resume --waitresumption".into(),
        _ => String::new(),
    };
    let ca = files.path(&format!("{}.cert", certificate(column)));
    let arguments = |addr: SocketAddr| {
        words(&format!("--port {} --priority {priority} --x509cafile {ca} {more} localhost", addr.port()))
    };
    if column == "resumption" {
        let provider = only(suite(column), group(case));
        let setup = Setup { oldest: case.version, ..Setup::new(provider, "p256") };
        let (addr, seen) = serve_with(setup, 2);
        let said = converse("gnutls-cli", &arguments(addr), "hello\n", "HELLO");
        let seen: Vec<_> = (0..2).filter_map(|_| seen.recv_timeout(PATIENCE).ok()).collect();
        let good = matches!(&seen[..], [first, second]
            if !first.resumed && second.resumed && second.outcome.0.starts_with(b"HELLO"));
        return if good { Ok(Cell::Yes) } else { Err(said) };
    }
    our_server(case, 1, |addr| {
        let said = converse("gnutls-cli", &arguments(addr), "hello\n", "HELLO");
        let version = if case.is_tls12() { "(TLS1.2" } else { "(TLS1.3" };
        expect(&said, &["HELLO", "The certificate is trusted.", version])
    })
}

fn nss_options(case: Case) -> String {
    let group = match case.column {
        "P-256" => "P256",
        "P-384" => "P384",
        _ => "x25519",
    };
    if case.is_tls12() {
        let suite = match case.column {
            "rsa" => "C02F",
            "AES-256-GCM" => "C02C",
            "CHACHA20" => "CCA9",
            _ => "C02B",
        };
        // -G: the extended master secret. The groups are those of certificates too.
        let certificates = if certificate(case.column) == "p384" { "P384" } else { "P256" };
        let groups = if group == certificates { group.into() } else { format!("{group},{certificates}") };
        return format!("-V tls1.2:tls1.2 -G -c :{suite} -I {groups}");
    }
    let suite = match case.column {
        "AES-256-GCM" => 1302,
        "CHACHA20" => 1303,
        _ => 1301,
    };
    format!("-V tls1.3:tls1.3 -c :{suite} -I {group}")
}

fn nss_client(files: &Files, case: Case) -> Attempt {
    let column = case.column;
    let more = match column {
        "X25519MLKEM768" => return Ok(Cell::No("not in NSS 3.87")),
        "ed25519" => return Ok(Cell::No("NSS has no Ed25519 certificates")),
        "rsa" => return Ok(Cell::No("we do not sign with RSA")),
        "ALPN" => return Ok(Cell::No("tstclnt cannot choose")),
        "client cert" => "-n p384",
        "resumption" => return Ok(Cell::No("tstclnt -L did not connect again")),
        _ => "",
    };
    let request = files.path("hello");
    fs::write(&request, "hello\n").unwrap();
    let arguments = |addr: SocketAddr| {
        let database = files.path("nss");
        let fixed = format!("-h localhost -4 -p {} -d sql:{database} {}", addr.port(), nss_options(case));
        words(&format!("{fixed} {more} -A {request}"))
    };
    // It waits for the server to close, as a web server would.
    our_server_that(true, case, 1, |addr| {
        expect(&converse("tstclnt", &arguments(addr), "", "\0 until its end"), &["HELLO"])
    })
}

fn rustls_suite(case: Case) -> rustls::CipherSuite {
    use rustls::CipherSuite;
    if case.is_tls12() {
        return match (case.column, certificate(case.column) == "rsa") {
            ("AES-256-GCM", _) => CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            ("CHACHA20", _) => CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            (_, true) => CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            (_, false) => CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        };
    }
    match case.column {
        "AES-256-GCM" => CipherSuite::TLS13_AES_256_GCM_SHA384,
        "CHACHA20" => CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        _ => CipherSuite::TLS13_AES_128_GCM_SHA256,
    }
}

fn rustls_versions(case: Case) -> [&'static rustls::SupportedProtocolVersion; 1] {
    [if case.is_tls12() { &rustls::version::TLS12 } else { &rustls::version::TLS13 }]
}

fn rustls_provider(case: Case) -> Arc<rustls::crypto::CryptoProvider> {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.retain(|suite| suite.suite() == rustls_suite(case));
    let name = match case.column {
        "P-256" => rustls::NamedGroup::secp256r1,
        "P-384" => rustls::NamedGroup::secp384r1,
        _ => rustls::NamedGroup::X25519,
    };
    // In TLS 1.2 the groups are those of certificates too.
    let certificates = match certificate(case.column) {
        "p384" => rustls::NamedGroup::secp384r1,
        _ => rustls::NamedGroup::secp256r1,
    };
    let listed = |group| group == name || case.is_tls12() && group == certificates;
    provider.kx_groups.retain(|group| listed(group.name()));
    provider.kx_groups.sort_by_key(|group| group.name() != name);
    Arc::new(provider)
}

fn rustls_key(name: &str) -> rustls::pki_types::PrivateKeyDer<'static> {
    rustls::pki_types::PrivatePkcs8KeyDer::from(pair(name).1).into()
}

fn rustls_client(_: &Files, case: Case) -> Attempt {
    let column = case.column;
    match column {
        "X25519MLKEM768" => return Ok(Cell::No("not with ring")),
        "rsa" => return Ok(Cell::No("we do not sign with RSA")),
        _ => {}
    }
    let mut roots = rustls::RootCertStore::empty();
    roots.add(pair(certificate(column)).0.into()).unwrap();
    let builder = rustls::ClientConfig::builder_with_provider(rustls_provider(case));
    let builder =
        builder.with_protocol_versions(&rustls_versions(case)).unwrap().with_root_certificates(roots);
    let mut config = if column == "client cert" {
        builder.with_client_auth_cert(vec![pair("p384").0.into()], rustls_key("p384")).unwrap()
    } else {
        builder.with_no_client_auth()
    };
    if column == "ALPN" {
        config.alpn_protocols = vec![b"capitals".to_vec()];
    }
    let config = Arc::new(config);
    let connections = if column == "resumption" { 2 } else { 1 };
    our_server(case, connections, |addr| {
        for _ in 0..connections {
            let mut socket = TcpStream::connect(addr).map_err(|why| why.to_string())?;
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            let name = "localhost".try_into().unwrap();
            let mut client = rustls::ClientConnection::new(config.clone(), name).unwrap();
            let mut stream = rustls::Stream::new(&mut client, &mut socket);
            let mut answer = [0; 6];
            let exchanged = stream.write_all(b"hello\n").and_then(|()| stream.read_exact(&mut answer));
            exchanged.map_err(|why| why.to_string())?;
            assert_eq!(&answer, b"HELLO\n");
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
        Ok(())
    })
}

// Other people's servers, our client.

struct Program(Child);
impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a server on a free port.
fn start(program: &str, arguments: impl FnOnce(u16) -> String) -> (Program, SocketAddr) {
    let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut command = Command::new(program);
    command.args(words(&arguments(addr.port())));
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let server = Program(child);
    let start = Instant::now();
    while TcpStream::connect(addr).is_err() {
        assert!(start.elapsed() < PATIENCE, "{program} does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    (server, addr)
}

/// Asks a web server for a page, as the cell wants it; a second time to resume.
fn our_client(case: Case, addr: SocketAddr) -> Attempt {
    let column = case.column;
    let clock = Running(Instant::now());
    let sessions = SessionCache::new(&clock, 4);
    let asking = Asking {
        provider: only(suite(column), group(case)),
        certificate: pair(certificate(column)).0,
        shows: Some("p384").filter(|_| column == "client cert"),
        sessions: Some(&sessions),
        oldest: case.version,
        early: column == "0-RTT",
    };
    let ask = || {
        let answer = ask_with(addr, &asking, b"GET / HTTP/1.0\r\n\r\n", usize::MAX);
        // Some web servers end without close_notify.
        answer.map_err(|why| why.to_string())
    };
    let answer = ask()?;
    if answer.bytes.is_empty() || answer.resumed {
        return Err(format!("{} bytes, resumed: {}", answer.bytes.len(), answer.resumed));
    }
    if column == "ALPN" && answer.protocol.as_deref() != Some(&b"http/1.1"[..]) {
        return Err(format!("{:?}", answer.protocol));
    }
    if column == "resumption" || column == "0-RTT" {
        let answer = ask()?;
        if answer.bytes.is_empty() || !answer.resumed || answer.early != (column == "0-RTT") {
            let (len, early) = (answer.bytes.len(), answer.early);
            return Err(format!("{len} bytes, resumed: {}, early data: {early}", answer.resumed));
        }
    }
    Ok(Cell::Yes)
}

fn openssl_server(files: &Files, case: Case) -> Attempt {
    let column = case.column;
    if column == "X25519MLKEM768" {
        return Ok(Cell::No("not before OpenSSL 3.5"));
    }
    let name = certificate(column);
    let (cert, key) = (files.path(&format!("{name}.cert")), files.path(&format!("{name}.key")));
    let more = match column {
        "client cert" => format!("-Verify 1 -verify_return_error -CAfile {}", files.path("p384.cert")),
        "ALPN" => "-alpn http/1.1".into(),
        "P-256" | "P-384" | "X25519" => format!("-groups {column}"),
        _ => String::new(),
    };
    let (_server, addr) = start("openssl", |port| {
        let version = if case.is_tls12() { "-tls1_2" } else { "" };
        format!("s_server -www -accept 127.0.0.1:{port} -cert {cert} -key {key} {version} {more}")
    });
    our_client(case, addr)
}

fn gnutls_server(files: &Files, case: Case) -> Attempt {
    let column = case.column;
    let Some(priority) = gnutls_priority(case) else { return Ok(Cell::No("not in GnuTLS 3.7")) };
    let name = certificate(column);
    let (cert, key) = (files.path(&format!("{name}.cert")), files.path(&format!("{name}.key")));
    let more = match column {
        "client cert" => {
            format!("--require-client-cert --verify-client-cert --x509cafile {}", files.path("p384.cert"))
        }
        "ALPN" => "--disable-client-cert --alpn http/1.1".into(),
        _ => "--disable-client-cert".into(),
    };
    let (_server, addr) = start("gnutls-serv", |port| {
        format!("--http --port {port} --priority {priority} --x509certfile {cert} --x509keyfile {key} {more}")
    });
    our_client(case, addr)
}

fn nss_server(files: &Files, case: Case) -> Attempt {
    let column = case.column;
    let more = match column {
        "X25519MLKEM768" => return Ok(Cell::No("not in NSS 3.87")),
        "ed25519" => return Ok(Cell::No("NSS has no Ed25519 certificates")),
        "client cert" => "-r -r",
        "ALPN" => "-Q",
        "resumption" => "-u",
        _ => "",
    };
    let name = certificate(column);
    let (_server, addr) = start("selfserv", |port| {
        let option = if name == "rsa" { "-n" } else { "-e" };
        let database = files.path("nss");
        format!("-d sql:{database} {option} {name} -p {port} {} {more}", nss_options(case))
    });
    our_client(case, addr)
}

fn rustls_server(_: &Files, case: Case) -> Attempt {
    let column = case.column;
    if column == "X25519MLKEM768" {
        return Ok(Cell::No("not with ring"));
    }
    let name = certificate(column);
    let provider = rustls_provider(case);
    let builder = rustls::ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_protocol_versions(&rustls_versions(case)).unwrap();
    let builder = if column == "client cert" {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(pair("p384").0.into()).unwrap();
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder.with_single_cert(vec![pair(name).0.into()], rustls_key(name)).unwrap();
    if column == "ALPN" {
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
    }
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming().take(2) {
            let mut socket = socket.unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut tls = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::Stream::new(&mut tls, &mut socket);
            if stream.read(&mut [0; 100]).is_ok() {
                let _ = stream.write_all(b"a page");
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    our_client(case, addr)
}

type Row = (&'static str, fn(&Files, Case) -> Attempt);

const ROWS: [Row; 8] = [
    ("OpenSSL s_client", openssl_client),
    ("GnuTLS gnutls-cli", gnutls_client),
    ("NSS tstclnt", nss_client),
    ("rustls client", rustls_client),
    ("OpenSSL s_server", openssl_server),
    ("GnuTLS gnutls-serv", gnutls_server),
    ("NSS selfserv", nss_server),
    ("rustls server", rustls_server),
];

#[test]
fn everything_works_with_everyone() {
    let files = Files::new();
    table(&files, Version::Tls13, 96);
    table(&files, Version::Tls12, 89);
}

/// Makes the table of a version, in which `expected` cells are to say yes.
fn table(files: &Files, version: Version, expected: usize) {
    let cases = COLUMNS.map(|column| Case { version, column });
    let cases: Vec<_> = cases.into_iter().filter(|case| case.is_in_its_table()).collect();
    // Rows at once, cells in turn.
    let rows: Vec<Vec<Attempt>> = std::thread::scope(|scope| {
        let row = |(_, attempt): &Row| {
            let (attempt, cases) = (*attempt, cases.clone());
            scope.spawn(move || cases.into_iter().map(|case| attempt(files, case)).collect())
        };
        let rows: Vec<_> = ROWS.iter().map(row).collect();
        rows.into_iter().map(|row| row.join().expect("a row")).collect()
    });
    let columns: Vec<_> = cases.iter().map(|case| case.column).collect();
    println!("{version:?}\n| peer | {} |", columns.join(" | "));
    println!("|---|{}", "---|".repeat(columns.len()));
    let (mut notes, mut failures, mut good) = (Vec::new(), Vec::new(), 0);
    for ((name, _), row) in ROWS.iter().zip(&rows) {
        let cells = row.iter().zip(&columns).map(|(attempt, column)| match attempt {
            Ok(Cell::Yes) => {
                good += 1;
                "yes".into()
            }
            Ok(Cell::No(why)) => {
                let note = notes.iter().position(|note| note == why).unwrap_or_else(|| {
                    notes.push(*why);
                    notes.len() - 1
                });
                format!("- ({})", note + 1)
            }
            Err(why) => {
                failures.push(format!("{name}, {column}: {why}"));
                "FAILED".into()
            }
        });
        println!("| {name} | {} |", cells.collect::<Vec<String>>().join(" | "));
    }
    for (index, note) in notes.iter().enumerate() {
        println!("({}) {note}", index + 1);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert_eq!(good, expected, "cells that hold data");
}
