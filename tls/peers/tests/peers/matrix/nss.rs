//! NSS's `tstclnt` and `selfserv`.
use super::{
    Attempt, Case, Cell, Files, certificate, converse, expect, our_client, our_client_that, our_server_that,
    start, words,
};
use std::{fs, net::SocketAddr, time::Duration};

fn options(case: Case) -> String {
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

pub fn client(files: &Files, case: Case) -> Attempt {
    let column = case.column;
    let more = match column {
        "X25519MLKEM768" => return Ok(Cell::No("not in NSS 3.87")),
        "ed25519" => return Ok(Cell::No("NSS has no Ed25519 certificates")),
        "rsa" => return Ok(Cell::No("we do not sign with RSA")),
        "ALPN" => return Ok(Cell::No("tstclnt cannot choose")),
        "client cert" => "-n p384",
        "resumption" | "0-RTT" => return Ok(Cell::No("tstclnt -L did not connect again")),
        "raw public keys" | "compressed" => return Ok(Cell::No("not in NSS 3.87")),
        _ => "",
    };
    let request = files.path("hello");
    fs::write(&request, "hello\n").unwrap();
    let arguments = |addr: SocketAddr| {
        let database = files.path("nss");
        let fixed = format!("-h localhost -4 -p {} -d sql:{database} {}", addr.port(), options(case));
        words(&format!("{fixed} {more} -A {request}"))
    };
    // It waits for the server to close, as a web server would.
    our_server_that(true, case, 1, |addr| {
        expect(&converse("tstclnt", &arguments(addr), "", "\0 until its end"), &["HELLO"])
    })
}

pub fn server(files: &Files, case: Case) -> Attempt {
    let column = case.column;
    let more = match column {
        "X25519MLKEM768" => return Ok(Cell::No("not in NSS 3.87")),
        "ed25519" => return Ok(Cell::No("NSS has no Ed25519 certificates")),
        "client cert" => "-r -r",
        "ALPN" => "-Q",
        "resumption" => "-u",
        "0-RTT" => "-u -Z",
        "raw public keys" | "compressed" => return Ok(Cell::No("not in NSS 3.87")),
        _ => "",
    };
    let name = certificate(column);
    let (_server, addr) = start("selfserv", |port| {
        let option = if name == "rsa" { "-n" } else { "-e" };
        let database = files.path("nss");
        format!("-d sql:{database} {option} {name} -p {port} {} {more}", options(case))
    });
    if case.column == "0-RTT" {
        // What it does not remember because it is too young, it takes for replayed.
        std::thread::sleep(Duration::from_secs(21));
        // It answers early data and closes before it has heard our Finished.
        return our_client_that(1, false, case, addr);
    }
    our_client(case, addr)
}
