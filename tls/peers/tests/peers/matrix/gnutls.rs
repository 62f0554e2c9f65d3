//! GnuTLS's `gnutls-cli` and `gnutls-serv`.
use super::{
    Attempt, Case, Cell, Files, certificate, converse, expect, group, our_client_that, our_server, start,
    suite, words,
};
use crate::ours::{PATIENCE, Setup, only, serve_with};
use std::{fs, net::SocketAddr};

fn priority(case: Case) -> Option<String> {
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
    let more = match column {
        "raw public keys" => ":-CTYPE-ALL:+CTYPE-SRV-RAWPK:+CTYPE-CLI-RAWPK",
        _ => more,
    };
    Some(format!("{none}:+VERS-TLS{version}:+{cipher}:+GROUP-{group}{more}"))
}

pub fn client(files: &Files, case: Case) -> Attempt {
    let column = case.column;
    let Some(priority) = priority(case) else { return Ok(Cell::No("not in GnuTLS 3.7")) };
    let more = match column {
        "rsa" => return Ok(Cell::No("we do not sign with RSA")),
        "client cert" => {
            format!("--x509certfile {} --x509keyfile {}", files.path("p384.cert"), files.path("p384.key"))
        }
        "ALPN" => "--alpn capitals".into(),
        // Its first connection says nothing before it is closed and taken up again.
        "resumption" => "--resume --waitresumption".into(),
        "0-RTT" => {
            let early = files.path("gnutls.early");
            fs::write(&early, "hello\n").unwrap();
            format!("--resume --waitresumption --earlydata {early}")
        }
        "raw public keys" => {
            let (key, public) = (files.path("p384.key"), files.path("p384.pub"));
            format!("--no-ca-verification --rawpkkeyfile {key} --rawpkfile {public}")
        }
        "compressed" => return Ok(Cell::No("Debian builds GnuTLS without")),
        _ => String::new(),
    };
    let ca = files.path(&format!("{}.cert", certificate(column)));
    let arguments = |addr: SocketAddr| {
        words(&format!("--port {} --priority {priority} --x509cafile {ca} {more} localhost", addr.port()))
    };
    if column == "resumption" || column == "0-RTT" {
        let provider = only(suite(column), group(case));
        let early_data = if column == "0-RTT" { 1_000 } else { 0 };
        let setup = Setup { oldest: case.version, early_data, ..Setup::new(provider, "p256") };
        let (addr, seen) = serve_with(setup, 2);
        let (input, until) = if early_data > 0 { ("more\n", "MORE") } else { ("hello\n", "HELLO") };
        let said = converse("gnutls-cli", &arguments(addr), input, until);
        let seen: Vec<_> = (0..2).filter_map(|_| seen.recv_timeout(PATIENCE).ok()).collect();
        let good = matches!(&seen[..], [first, second]
            if !first.resumed && second.resumed && second.outcome.0.starts_with(b"HELLO")
                && second.early.starts_with(b"HELLO") == (early_data > 0));
        return if good { Ok(Cell::Yes) } else { Err(said) };
    }
    our_server(case, 1, |addr| {
        let said = converse("gnutls-cli", &arguments(addr), "hello\n", "HELLO");
        let version = if case.is_tls12() { "(TLS1.2" } else { "(TLS1.3" };
        let shown = match column {
            "raw public keys" => "Certificate type: Raw Public Key",
            _ => "The certificate is trusted.",
        };
        expect(&said, &["HELLO", shown, version])
    })
}

pub fn server(files: &Files, case: Case) -> Attempt {
    let column = case.column;
    let Some(priority) = priority(case) else { return Ok(Cell::No("not in GnuTLS 3.7")) };
    let name = certificate(column);
    let (cert, key) = (files.path(&format!("{name}.cert")), files.path(&format!("{name}.key")));
    let more = match column {
        "client cert" => {
            format!("--require-client-cert --verify-client-cert --x509cafile {}", files.path("p384.cert"))
        }
        "ALPN" => "--disable-client-cert --alpn http/1.1".into(),
        "0-RTT" => "--disable-client-cert --earlydata --maxearlydata 1000".into(),
        "raw public keys" => {
            let (key, public) = (files.path("p256.key"), files.path("p256.pub"));
            format!("--require-client-cert --rawpkkeyfile {key} --rawpkfile {public}")
        }
        "compressed" => return Ok(Cell::No("Debian builds GnuTLS without")),
        _ => "--disable-client-cert".into(),
    };
    let (_server, addr) = start("gnutls-serv", |port| {
        format!("--http --port {port} --priority {priority} --x509certfile {cert} --x509keyfile {key} {more}")
    });
    // It reads early data, and the request from what comes later.
    our_client_that(usize::MAX, column == "0-RTT", case, addr)
}
