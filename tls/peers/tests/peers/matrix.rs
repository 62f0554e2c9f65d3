//! What works with whom, in both roles, as a table. Every cell is at least one connection that carried data both ways.
mod gnutls;
mod nss;
mod openssl;
mod rustls;

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
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

const COLUMNS: [&str; 17] = [
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
    "0-RTT",
    "raw public keys",
    "compressed",
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
        !(self.is_tls12()
            && ["X25519MLKEM768", "0-RTT", "raw public keys", "compressed"].contains(&self.column))
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
        let (key, out) = (files.path("p384.key"), files.path("p384.pub"));
        files.tool("openssl", &["pkey", "-in", &key, "-pubout", "-out", &out]);
        files.tool(
            "openssl",
            &["pkey", "-in", &files.path("p256.key"), "-pubout", "-out", &files.path("p256.pub")],
        );
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
    // Where keys come bare they come from both sides, and what is compressed too.
    let asks = ["client cert", "raw public keys", "compressed"].contains(&column);
    let clients: &[&str] = if asks { &["p384"] } else { &[] };
    let provider = only(suite(column), group(case));
    let setup = Setup {
        clients,
        oldest: case.version,
        closes,
        early_data: if column == "0-RTT" { 1_000 } else { 0 },
        bare: column == "raw public keys",
        compresses: column == "compressed",
        ..Setup::new(provider, certificate(column))
    };
    let (addr, seen) = serve_with(setup, connections);
    client(addr)?;
    let (mut resumed, mut early) = (false, Vec::new());
    for _ in 0..connections {
        let seen = seen.recv_timeout(PATIENCE).map_err(|why| why.to_string())?;
        if !seen.outcome.0.to_ascii_uppercase().starts_with(b"HELLO") || seen.outcome.2.is_err() {
            return Err(format!("the server saw {:?}", seen.outcome));
        }
        (resumed, early) = (seen.resumed, seen.early);
        if asks && seen.client != Some(pin(pair("p384").0)) {
            return Err("who is the client?".into());
        }
        if column == "ALPN" && seen.outcome.1.as_deref() != Some(&b"capitals"[..]) {
            return Err(format!("{:?}", seen.outcome.1));
        }
    }
    let (resumes, expected) = match column {
        "resumption" => (true, &b""[..]),
        "0-RTT" => (true, &b"HELLO\n"[..]),
        _ => (false, &b""[..]),
    };
    if (resumed, &*early) == (resumes, expected) {
        Ok(Cell::Yes)
    } else {
        Err(format!("resumed: {resumed}, early data: {}", String::from_utf8_lossy(&early)))
    }
}

fn expect(said: &str, parts: &[&str]) -> Result<(), String> {
    match parts.iter().find(|part| !said.contains(**part)) {
        None => Ok(()),
        Some(part) => Err(format!("no {part} in: {said}")),
    }
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
    start_that(Stdio::null(), program, arguments)
}

/// The same with some input.
fn start_that(stdin: Stdio, program: &str, arguments: impl FnOnce(u16) -> String) -> (Program, SocketAddr) {
    let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut command = Command::new(program);
    command.args(words(&arguments(addr.port())));
    let child = command.stdin(stdin).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
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
    our_client_that(usize::MAX, false, case, addr)
}

/// The same of a server that does not close well, where so many bytes are enough, or that wants to hear the request
/// `again` after the early data that it accepted.
fn our_client_that(enough: usize, again: bool, case: Case, addr: SocketAddr) -> Attempt {
    let column = case.column;
    let clock = Running(Instant::now());
    let sessions = SessionCache::new(&clock, 4);
    let asking = Asking {
        provider: only(suite(column), group(case)),
        certificate: pair(certificate(column)).0,
        shows: Some("p384").filter(|_| ["client cert", "raw public keys", "compressed"].contains(&column)),
        sessions: Some(&sessions),
        oldest: case.version,
        early: column == "0-RTT",
        again,
        bare: column == "raw public keys",
        compresses: column == "compressed",
        late: false,
    };
    let ask = || {
        let answer = ask_with(addr, &asking, b"GET / HTTP/1.0\r\n\r\n", enough);
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

type Row = (&'static str, fn(&Files, Case) -> Attempt);

const ROWS: [Row; 8] = [
    ("OpenSSL s_client", openssl::client),
    ("GnuTLS gnutls-cli", gnutls::client),
    ("NSS tstclnt", nss::client),
    ("rustls client", rustls::client),
    ("OpenSSL s_server", openssl::server),
    ("GnuTLS gnutls-serv", gnutls::server),
    ("NSS selfserv", nss::server),
    ("rustls server", rustls::server),
];

#[test]
fn everything_works_with_everyone() {
    let files = Files::new();
    table(&files, Version::Tls13, 109);
    table(&files, Version::Tls12, 96);
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
