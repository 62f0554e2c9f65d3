//! OpenSSL's `s_client` and `s_server`.
use super::{
    Attempt, Case, Cell, Files, certificate, converse, expect, our_client, our_client_that, our_server,
    start, start_that, words,
};
use std::{fs, io::Write, net::SocketAddr, process::Stdio, time::Duration};

pub fn client(files: &Files, case: Case) -> Attempt {
    let column = case.column;
    let more = match column {
        "X25519MLKEM768" => return Ok(Cell::No("not before OpenSSL 3.5")),
        "rsa" => return Ok(Cell::No("we do not sign with RSA")),
        "client cert" => format!("-cert {} -key {}", files.path("p384.cert"), files.path("p384.key")),
        "raw public keys" | "compressed" => return Ok(Cell::No("not before OpenSSL 3.2")),
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
    if column == "0-RTT" {
        let (session, early) = (files.path("openssl.early.session"), files.path("openssl.early"));
        fs::write(&early, "hello\n").unwrap();
        return our_server(case, 2, |addr| {
            let arguments = words(&format!("{} -sess_out {session}", base(addr)));
            expect(&converse("openssl", &arguments, "hello\n", "HELLO"), &["HELLO"])?;
            let arguments = words(&format!("{} -sess_in {session} -early_data {early}", base(addr)));
            let said = converse("openssl", &arguments, "more\n", "MORE");
            expect(&said, &["Early data was accepted", "HELLO", "MORE"])
        });
    }
    our_server(case, 1, |addr| {
        let said = converse("openssl", &words(&base(addr)), "hello\n", "HELLO");
        let version = if case.is_tls12() { "New, TLSv1.2" } else { "New, TLSv1.3" };
        expect(&said, &["HELLO", "Verify return code: 0 (ok)", version])
    })
}

pub fn server(files: &Files, case: Case) -> Attempt {
    let column = case.column;
    if column == "X25519MLKEM768" {
        return Ok(Cell::No("not before OpenSSL 3.5"));
    }
    let name = certificate(column);
    let (cert, key) = (files.path(&format!("{name}.cert")), files.path(&format!("{name}.key")));
    let more = match column {
        "client cert" => format!("-Verify 1 -verify_return_error -CAfile {}", files.path("p384.cert")),
        "raw public keys" | "compressed" => return Ok(Cell::No("not before OpenSSL 3.2")),
        "ALPN" => "-alpn http/1.1".into(),
        "P-256" | "P-384" | "X25519" => format!("-groups {column}"),
        _ => String::new(),
    };
    if column == "0-RTT" {
        // With early data it is no web server: what it is told itself it tells its clients.
        let (mut server, addr) = start_that(Stdio::piped(), "openssl", |port| {
            let early = "-early_data -max_early_data 1000";
            format!("s_server -accept 127.0.0.1:{port} -cert {cert} -key {key} {early}")
        });
        let mut stdin = server.0.stdin.take().unwrap();
        std::thread::spawn(move || {
            while stdin.write_all(b"answer\n").is_ok() {
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        return our_client_that(1, false, case, addr);
    }
    let (_server, addr) = start("openssl", |port| {
        let version = if case.is_tls12() { "-tls1_2" } else { "" };
        format!("s_server -www -accept 127.0.0.1:{port} -cert {cert} -key {key} {version} {more}")
    });
    our_client(case, addr)
}
