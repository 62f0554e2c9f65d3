//! Other people's clients against our server.
use crate::{
    ours::{BOTH, P256_CERTIFICATE, PATIENCE, SUITES, Seen, Setup, only, serve, serve_with},
    rustls_peers::Counted,
};
use airglow_tls::{Alert, Error, Version};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::{Arc, mpsc::Receiver},
    time::Instant,
};

/// Runs a program with `input`, for a bounded time.
pub fn run(command: &mut Command, input: &[u8]) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).unwrap();
    let start = Instant::now();
    // These clients end when their input does; the answer must be there before.
    std::thread::sleep(std::time::Duration::from_millis(700));
    drop(stdin);
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A certificate as a PEM file of this process.
pub fn pem(name: &str, der: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("airglow-tls-{}-{name}.pem", std::process::id()));
    let output = run(Command::new("openssl").args(["x509", "-inform", "DER"]), der);
    std::fs::write(&path, output.stdout).unwrap();
    path
}

fn openssl(addr: SocketAddr, ca: &PathBuf, arguments: &str, input: &[u8]) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &addr.to_string(), "-verify_return_error", "-CAfile"]);
    text(&run(command.arg(ca).args(arguments.split(' ')), input))
}

#[test]
fn openssl_after_a_hello_retry_request() {
    let ca = pem("openssl-retry", P256_CERTIFICATE);
    // It sends a share for the first of its groups only.
    let (addr, outcome) = serve(only(SUITES[0], BOTH), 1);
    let said = openssl(addr, &ca, "-servername localhost -groups P-384:P-256 -msg", b"again\n");
    assert!(said.contains("AGAIN") && said.matches("ClientHello").count() == 2, "{said}");
    assert_eq!(outcome.recv_timeout(PATIENCE).unwrap().2, Ok(()));
    std::fs::remove_file(ca).unwrap();
}

#[test]
fn openssl_and_gnutls_bring_a_cookie_back() {
    let ca = pem("cookie", P256_CERTIFICATE);
    let setup = Setup { cookies: true, ..Setup::new(only(SUITES[0], BOTH), "p256") };
    // With a share that we take, and with one that we do not.
    for groups in ["X25519", "P-384:P-256"] {
        let (addr, seen) = serve_with(setup, 1);
        let said = openssl(addr, &ca, &format!("-groups {groups} -msg"), b"cookie\n");
        assert!(said.contains("COOKIE") && said.matches("ClientHello").count() == 2, "{said}");
        assert_eq!(seen.recv_timeout(PATIENCE).unwrap().outcome.2, Ok(()));
    }
    let (addr, seen) = serve_with(setup, 1);
    // GnuTLS 3.7 takes a cookie beside a group only.
    let mut command = Command::new("gnutls-cli");
    let priority = "NORMAL:-GROUP-ALL:+GROUP-SECP384R1:+GROUP-SECP256R1";
    command.args(["--port", &addr.port().to_string(), "--priority", priority, "--x509cafile"]).arg(&ca);
    let said = text(&run(command.arg("localhost"), b"cookie\n"));
    assert!(said.contains("COOKIE\n") && said.contains("(TLS1.3"), "{said}");
    assert_eq!(seen.recv_timeout(PATIENCE).unwrap().outcome.2, Ok(()));
    std::fs::remove_file(ca).unwrap();
}

#[test]
fn openssl_exports_the_same_secret() {
    let ca = pem("openssl-export", P256_CERTIFICATE);
    let setup = Setup::new(only(SUITES[1], BOTH), "p256");
    let (addr, seen) = serve_with(setup, 1);
    let said = openssl(addr, &ca, "-keymatexport EXPORTER-airglow -keymatexportlen 32", b"hello\n");
    let exported = seen.recv_timeout(PATIENCE).unwrap().exported.unwrap();
    let digits: String = exported.iter().map(|byte| format!("{byte:02X}")).collect();
    assert!(said.contains(&format!("Keying material: {digits}")), "{digits}: {said}");
    std::fs::remove_file(ca).unwrap();
}

#[test]
fn openssl_is_shown_that_the_certificate_was_not_revoked() {
    let ca = pem("openssl-ocsp", include_bytes!("../../../tests/keys/p384-ca.der"));
    let setup = Setup { oldest: Version::Tls12, ..Setup::new(only(SUITES[0], BOTH), "kept") };
    for (arguments, parts) in [
        ("-status -tls1_2", &["New, TLSv1.2", "OCSP Response Status: successful", "Cert Status: good"][..]),
        ("-status", &["OCSP Response Status: successful", "Cert Status: good"]),
        // Only for those who ask.
        ("-tls1_3", &["Verify return code: 0 (ok)"]),
    ] {
        let (addr, seen) = serve_with(setup, 1);
        let said = openssl(addr, &ca, &format!("{arguments} -verify_hostname leaf.example"), b"hello\n");
        assert!(parts.iter().all(|part| said.contains(part)) && said.contains("HELLO"), "{said}");
        assert_eq!(said.contains("OCSP Response Status"), arguments.starts_with("-status"));
        assert_eq!(seen.recv_timeout(PATIENCE).unwrap().outcome.2, Ok(()));
    }
    std::fs::remove_file(ca).unwrap();
}

#[test]
fn openssl_changes_keys() {
    let ca = pem("openssl-update", P256_CERTIFICATE);
    let (addr, outcome) = serve(only(SUITES[0], BOTH), 1);
    // `K` alone on a line asks for new keys both ways, `k` for its own.
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &addr.to_string(), "-CAfile"]).arg(&ca);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for line in ["one\n", "K\n", "two\n", "k\n", "three\n"] {
        std::thread::sleep(std::time::Duration::from_millis(300));
        stdin.write_all(line.as_bytes()).unwrap();
    }
    std::thread::sleep(std::time::Duration::from_millis(500));
    drop(stdin);
    let said = text(&child.wait_with_output().unwrap());
    assert!(said.contains("KEYUPDATE") && said.contains("ONE") && said.contains("THREE"), "{said}");
    let (data, _, end) = outcome.recv_timeout(PATIENCE).unwrap();
    assert_eq!((String::from_utf8_lossy(&data).as_ref(), end), ("ONE\nTWO\nTHREE\n", Ok(())));
    std::fs::remove_file(ca).unwrap();
}

#[test]
fn openssl_is_refused_what_we_do_not_speak() {
    let ca = pem("openssl-refused", P256_CERTIFICATE);
    for (arguments, alert) in [
        ("-tls1_2", Alert::PROTOCOL_VERSION),
        ("-groups P-384", Alert::HANDSHAKE_FAILURE),
        ("-ciphersuites TLS_AES_256_GCM_SHA384", Alert::HANDSHAKE_FAILURE),
        ("-sigalgs RSA-PSS+SHA256", Alert::HANDSHAKE_FAILURE),
        ("-alpn h2", Alert::NO_APPLICATION_PROTOCOL),
    ] {
        let (addr, outcome) = serve(only(SUITES[0], BOTH), 1);
        let said = openssl(addr, &ca, arguments, b"");
        assert!(said.contains(&format!("SSL alert number {}", alert.0)), "{arguments}: {said}");
        assert_eq!(outcome.recv_timeout(PATIENCE).unwrap().2, Err(Error::Sent(alert)), "{arguments}");
    }
    std::fs::remove_file(ca).unwrap();
}

/// A server that speaks TLS 1.2 too.
fn serve_tls12(certificate: &'static str) -> (SocketAddr, Receiver<Seen>) {
    serve_with(Setup { oldest: Version::Tls12, ..Setup::new(only(SUITES[0], BOTH), certificate) }, 1)
}

#[test]
fn openssl_gets_tls12_where_it_is_wanted() {
    let ca = pem("openssl-tls12", P256_CERTIFICATE);
    for (arguments, version) in
        [("-tls1_2", "New, TLSv1.2"), ("-no_tls1_3", "New, TLSv1.2"), ("-tls1_3", "New, TLSv1.3")]
    {
        let (addr, seen) = serve_tls12("p256");
        let export = "-keymatexport EXPORTER-airglow -keymatexportlen 32";
        let said = openssl(addr, &ca, &format!("{arguments} {export}"), b"hello\n");
        let secure = ["HELLO", version, "Secure Renegotiation IS supported", "Extended master secret: yes"];
        let parts = if arguments == "-tls1_3" { &secure[..2] } else { &secure };
        assert!(parts.iter().all(|part| said.contains(part)), "{arguments}: {said}");
        let seen = seen.recv_timeout(PATIENCE).unwrap();
        assert_eq!(seen.outcome.2, Ok(()));
        // With TLS 1.2 a context of no length is another thing than no context, which OpenSSL means.
        let digits: String = seen.exported.unwrap().iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(said.contains(&digits), arguments == "-tls1_3");
    }
    std::fs::remove_file(ca).unwrap();
}

#[test]
fn openssl_may_not_renegotiate() {
    let ca = pem("openssl-renegotiation", P256_CERTIFICATE);
    let (addr, seen) = serve_tls12("p256");
    let mut command = Command::new("openssl");
    command.args(["s_client", "-tls1_2", "-connect", &addr.to_string(), "-CAfile"]).arg(&ca);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // `R` alone on a line asks for another handshake.
    for line in ["one\n", "R\n"] {
        std::thread::sleep(std::time::Duration::from_millis(500));
        stdin.write_all(line.as_bytes()).unwrap();
    }
    std::thread::sleep(std::time::Duration::from_millis(700));
    drop(stdin);
    let said = text(&child.wait_with_output().unwrap());
    assert!(
        said.contains("ONE") && said.contains("RENEGOTIATING") && said.contains("no renegotiation"),
        "{said}"
    );
    assert_eq!(seen.recv_timeout(PATIENCE).unwrap().outcome.0, b"ONE\n");
    std::fs::remove_file(ca).unwrap();
}

#[test]
fn what_is_required_of_tls12() {
    let ca = pem("tls12-refused", P256_CERTIFICATE);
    for (arguments, alert) in [
        ("-tls1_1 -cipher DEFAULT@SECLEVEL=0", Alert::PROTOCOL_VERSION),
        ("-tls1_2 -fallback_scsv", Alert::INAPPROPRIATE_FALLBACK),
        ("-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA256", Alert::HANDSHAKE_FAILURE),
        ("-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256", Alert::HANDSHAKE_FAILURE),
        ("-tls1_2 -groups X25519", Alert::HANDSHAKE_FAILURE),
    ] {
        let (addr, seen) = serve_tls12("p256");
        let said = openssl(addr, &ca, arguments, b"");
        assert!(said.contains(&format!("SSL alert number {}", alert.0)), "{arguments}: {said}");
        assert_eq!(seen.recv_timeout(PATIENCE).unwrap().outcome.2, Err(Error::Sent(alert)), "{arguments}");
    }
    // Without the extended master secret.
    let (addr, seen) = serve_tls12("p256");
    let priority = "NORMAL:-VERS-ALL:+VERS-TLS1.2:%NO_SESSION_HASH";
    let mut command = Command::new("gnutls-cli");
    command.args(["--port", &addr.port().to_string(), "--priority", priority, "--x509cafile"]).arg(&ca);
    let said = text(&run(command.arg("localhost"), b""));
    assert!(said.contains("[40]: Handshake failed"), "{said}");
    let outcome = seen.recv_timeout(PATIENCE).unwrap().outcome;
    assert_eq!(outcome.2, Err(Error::Sent(Alert::HANDSHAKE_FAILURE)));
    std::fs::remove_file(ca).unwrap();
}

#[test]
fn curl_reads_the_answer() {
    let ca = pem("curl", P256_CERTIFICATE);
    let (addr, outcome) = serve(only(SUITES[0], BOTH), 1);
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--verbose", "--http0.9", "--max-time", "2", "--cacert"])
        .arg(&ca);
    let said = text(&run(command.arg(format!("https://localhost:{}/page", addr.port())), b""));
    assert!(said.contains("SSL certificate verify ok") && said.contains("GET /PAGE HTTP/1.1"), "{said}");
    let (data, protocol, _) = outcome.recv_timeout(PATIENCE).unwrap();
    assert!(data.starts_with(b"GET /PAGE HTTP/1.1\r\n"));
    assert_eq!(protocol.as_deref(), Some(&b"http/1.1"[..]));
    std::fs::remove_file(ca).unwrap();
}

#[test]
fn rustls_sends_a_megabyte_and_reads_it_back() {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(P256_CERTIFICATE.into()).unwrap();
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    for suite in SUITES {
        let (addr, outcome) = serve(only(suite, BOTH), 1);
        let mut socket = TcpStream::connect(addr).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client =
            rustls::ClientConnection::new(Arc::new(config.clone()), "localhost".try_into().unwrap()).unwrap();
        let mut stream = rustls::Stream::new(&mut client, &mut socket);
        let block: Vec<u8> = (0..50_000_u32).map(|index| b'a' + (index % 26) as u8).collect();
        for _ in 0..20 {
            stream.write_all(&block).unwrap();
            let mut answer = vec![0; block.len()];
            stream.read_exact(&mut answer).unwrap();
            assert!(answer == block.to_ascii_uppercase());
        }
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        // The answer to close_notify is one, and then the end: no truncation.
        assert_eq!(stream.read(&mut [0; 10]).unwrap(), 0);
        let (data, _, end) = outcome.recv_timeout(PATIENCE).unwrap();
        assert_eq!((data.len(), end), (1_000_000, Ok(())));
    }
}

#[test]
fn rustls_unpacks_a_certificate_with_brotli() {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(P256_CERTIFICATE.into()).unwrap();
    let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    // As Chromium: with brotli and nothing else.
    let counted = Counted::brotli();
    config.cert_decompressors = vec![counted];
    let setup = Setup { compresses: true, ..Setup::new(only(SUITES[0], BOTH), "p256") };
    let (addr, seen) = serve_with(setup, 1);
    let mut socket = TcpStream::connect(addr).unwrap();
    let mut client =
        rustls::ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut stream = rustls::Stream::new(&mut client, &mut socket);
    stream.write_all(b"hello").unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).unwrap();
    stream.conn.send_close_notify();
    stream.flush().unwrap();
    assert_eq!((&answer, counted.count()), (b"HELLO", 1));
    assert_eq!(seen.recv_timeout(PATIENCE).unwrap().outcome.2, Ok(()));
}

#[test]
fn a_stream_without_close_notify_was_cut_off() {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(P256_CERTIFICATE.into()).unwrap();
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let (addr, outcome) = serve(only(SUITES[0], BOTH), 1);
    let mut socket = TcpStream::connect(addr).unwrap();
    let mut client =
        rustls::ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut stream = rustls::Stream::new(&mut client, &mut socket);
    stream.write_all(b"half of").unwrap();
    stream.read_exact(&mut [0; 7]).unwrap();
    drop(socket);
    assert_eq!(outcome.recv_timeout(PATIENCE).unwrap().2, Err(Error::Truncated));
}
