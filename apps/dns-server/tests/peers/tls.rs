//! DNS over TLS as `kdig` and `dig` speak it, and a zone that BIND transfers over TLS.
use super::replication::{KEY, SECRET, appliance, transferred, wait_for_serial};
use airglow_testbed::{
    Process,
    name_servers::{Folder, free_port},
};
use airglow_tls_cert::{Authority, Validity};
use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    process::Command,
    time::{Duration, Instant, SystemTime},
};

const ZONE: &str = "private.example";

fn run(program: &str, words: &[&str]) -> String {
    let said = Process::start(Command::new(program).args(words)).wait(Duration::from_secs(30));
    format!("{}{}", said.stdout, said.stderr)
}

/// Writes a certificate for `localhost` into the folder and returns the boot parameters.
fn certified(folder: &Folder, port: u16) -> Vec<String> {
    let entropy = airglow::platform::SystemEntropy;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let validity = Validity { from: now - 60, days: 2 };
    let authority = Authority::new("test", validity, &entropy);
    let server = authority.issue(&["localhost", "127.0.0.1"], validity, &entropy);
    folder.write("ca.pem", &authority.issued.certificate_pem());
    folder.write("cert.pem", &server.certificate_pem());
    folder.write("key.pem", &server.key_pem());
    let here = folder.path().display();
    vec![format!("tls={port}"), format!("cert={here}/cert.pem"), format!("certkey={here}/key.pem")]
}

#[test]
fn kdig_dig_and_a_transfer_to_bind_over_tls() {
    let folder = Folder::new("tls");
    let here = folder.path().display().to_string();
    let mut text =
        String::from("$TTL 60\n@ SOA ns admin 1 86400 7200 2419200 300\n@ NS ns\nns A 192.0.2.1\n");
    for number in 0..3000 {
        text += &format!("host{number} A 192.0.2.{}\n", number % 250);
    }
    folder.write(ZONE, &text);
    let (port, tls, theirs) = (free_port(), free_port(), free_port());
    let words = [certified(&folder, tls), vec![format!("zone={here}/{ZONE}")]].concat();
    let mut airglow = appliance(port, &words);
    let tls_port = tls.to_string();
    let name = format!("ns.{ZONE}");
    let ca = format!("+tls-ca={here}/ca.pem");
    let kdig = |words: &[&str]| {
        let common = ["@127.0.0.1", "-p", &tls_port, &ca, "+tls-hostname=localhost"];
        run("kdig", &[&common, words].concat())
    };
    // Two questions over one connection, the certificate verified, the reply padded to the block.
    let said = kdig(&["+padding", "+keepopen", &name, "A", &name, "AAAA"]);
    assert!(said.contains("(TLS1.3)") && said.contains("192.0.2.1"), "{said}");
    assert_eq!(said.matches("Received 468 B").count(), 2, "{said}");
    assert_eq!(said.matches("PADDING").count(), 2, "{said}");
    // Who does not pad gets no padding; a name that is not the certificate's is none.
    let said = kdig(&["+nopadding", &name, "A"]);
    assert!(said.contains("192.0.2.1") && !said.contains("PADDING"), "{said}");
    let said = kdig(&["+tls-hostname=other.example", &name, "A"]);
    assert!(!said.contains("192.0.2.1"), "{said}");
    let said = run("dig", &["@127.0.0.1", "-p", &tls_port, "+tls", "+keepalive", &name, "A"]);
    assert!(said.contains("(TLS)") && said.contains("192.0.2.1"), "{said}");
    assert!(said.contains("TCP KEEPALIVE: 10.0 secs"), "{said}");
    // Over plain TCP there is no padding, whatever is asked for, and the same time to be idle.
    let said = run(
        "kdig",
        &["@127.0.0.1", "-p", &port.to_string(), "+tcp", "+padding=64", "+ednsopt=11", &name, "A"],
    );
    assert!(said.contains("192.0.2.1") && !said.contains("PADDING"), "{said}");
    assert!(said.contains("0064") || said.contains("KEEPALIVE"), "{said}");

    // The zone, over TLS alone and only signed: BIND checks the certificate.
    let key = format!("hmac-sha256:{KEY}:{SECRET}");
    let said = kdig(&["-y", &key, ZONE, "AXFR"]);
    assert!(said.contains("host2999.private.example."), "{said}");
    folder.write(
        "named.conf",
        &format!(
            "key \"{KEY}\" {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\n\
             tls primary {{ ca-file \"{here}/ca.pem\"; remote-hostname \"localhost\"; }};\n\
             options {{ directory \"{here}\"; pid-file \"{here}/named.pid\"; session-keyfile \"{here}/named.key\"; \
             listen-on port {theirs} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; \
             empty-zones-enable no; try-tcp-refresh no; }};\ncontrols {{ }};\n\
             zone \"{ZONE}\" {{ type secondary; file \"{here}/copy\"; notify no; allow-transfer {{ key {KEY}; }}; \
             primaries {{ 127.0.0.1 port {tls} key {KEY} tls primary; }}; }};\n"
        ),
    );
    let mut bind =
        Process::start(Command::new("named").args(["-g", "-n", "1", "-c", &format!("{here}/named.conf")]));
    wait_for_serial(theirs, ZONE, 1, &mut [&mut bind, &mut airglow]);
    assert_eq!(transferred(theirs, ZONE), transferred(port, ZONE));

    // A client that says nothing, and one that speaks no TLS, are gone in time.
    let begun = Instant::now();
    let mut silent = TcpStream::connect(("127.0.0.1", tls)).unwrap();
    let mut plain = TcpStream::connect(("127.0.0.1", tls)).unwrap();
    plain.write_all(b"\0\x1d\0\0\x01\0\0\x01\0\0\0\0\0\0\x02ns\x07private\x07example\0\0\x01\0\x01").unwrap();
    let mut rest = Vec::new();
    let _ = plain.read_to_end(&mut rest);
    assert!(rest.len() < 20 && begun.elapsed() < Duration::from_secs(5), "an alert and the end: {rest:?}");
    silent.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let ended = silent.read(&mut [0; 64]).map_err(|error| error.kind());
    assert!(matches!(ended, Ok(0) | Err(ErrorKind::ConnectionReset)), "{ended:?}");
    assert!(begun.elapsed() < Duration::from_secs(15));
    assert!(airglow.runs());
}
