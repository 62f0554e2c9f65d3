//! DNS over TLS as `kdig` and `dig` speak it, zones that go to BIND and come from it over TLS, updates on their way to it, and
//! BIND asked by the stub resolver.
use super::replication::{KEY, SECRET, appliance, transferred, wait_for_serial};
use airglow::{
    device::Parameters,
    platform::{HostTcp, HostUdp, Reactor, SystemEntropy, Unix},
    runtime::block_on,
};
use airglow_dns::{
    NameServer,
    shell::{ResolveError, Resolver, ResolverConfig},
    wire::{NameBuf, RecordType},
};
use airglow_dns_server::tls::{authorities, dialing};
use airglow_testbed::{
    Process,
    name_servers::{Folder, free_port},
    program,
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

/// BIND as the primary of [`ZONE`], `port` plain and for others to look at, two further ones over TLS; behind the second
/// it wants to see its clients' certificates.
fn bind_over_tls(folder: &Folder, port: u16, tls: u16, mutual: u16, notify: u16) -> Process {
    let here = folder.path().display().to_string();
    let text = "$TTL 60\n@ SOA ns admin 1 86400 7200 2419200 300\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.2\n";
    folder.write("zone", text);
    folder.write(
        "named.conf",
        &format!(
            "key \"{KEY}\" {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\n\
             tls server {{ cert-file \"{here}/cert.pem\"; key-file \"{here}/key.pem\"; }};\n\
             tls mutual {{ cert-file \"{here}/cert.pem\"; key-file \"{here}/key.pem\"; ca-file \"{here}/ca.pem\"; }};\n\
             options {{ directory \"{here}\"; pid-file \"{here}/named.pid\"; session-keyfile \"{here}/named.key\"; \
             listen-on port {port} {{ 127.0.0.1; }}; listen-on port {tls} tls server {{ 127.0.0.1; }}; \
             listen-on port {mutual} tls mutual {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; \
             dnssec-validation no; empty-zones-enable no; }};\ncontrols {{ }};\n\
             zone \"{ZONE}\" {{ type primary; file \"{here}/zone\"; allow-transfer {{ key {KEY}; }}; allow-update {{ key {KEY}; }}; \
             notify explicit; notify-delay 0; also-notify {{ 127.0.0.1 port {notify} key {KEY}; }}; }};\n"
        ),
    );
    Process::start(Command::new("named").args(["-g", "-n", "1", "-c", &format!("{here}/named.conf")]))
}

#[test]
fn a_zone_comes_from_bind_over_tls_and_updates_go_there() {
    let folder = Folder::new("tls-primary");
    let here = folder.path().display().to_string();
    let (port, plain, tls, mutual) = (free_port(), free_port(), free_port(), free_port());
    let ours = certified(&folder, free_port());
    let mut bind = bind_over_tls(&folder, plain, tls, mutual, port);
    let ca = format!("ca={here}/ca.pem");
    let secondary = |port: u16, name: &str| format!("secondary={ZONE}@127.0.0.1:{port}#{name}@{KEY}");
    let mut airglow = appliance(port, &[secondary(tls, "localhost"), ca.clone(), "forward=on".into()]);
    wait_for_serial(port, ZONE, 1, &mut [&mut bind, &mut airglow]);
    assert_eq!(transferred(port, ZONE), transferred(plain, ZONE));

    // An update goes on over TLS; BIND tells of the change, which comes alone.
    folder.write(
        "update",
        &format!(
            "server 127.0.0.1 {port}\nkey hmac-sha256:{KEY} {SECRET}\nzone {ZONE}\nadd new.{ZONE} 60 A 192.0.2.3\nsend\n"
        ),
    );
    let said = run("nsupdate", &[&format!("{here}/update")]);
    assert!(said.is_empty(), "{said}\n{}", airglow.so_far());
    wait_for_serial(port, ZONE, 2, &mut [&mut bind, &mut airglow]);
    assert_eq!(transferred(port, ZONE), transferred(plain, ZONE));
    let said = airglow.so_far();
    assert!(said.contains("the changes, serial 2"), "{said}\n{}", bind.so_far());

    // One that shows a certificate for another name, one that the authority does not vouch for, one that speaks no TLS: nothing
    // comes from these, and the log says why. Who shows no certificate gets nothing where one is asked for.
    let stranger = Folder::new("tls-stranger");
    let _ = certified(&stranger, 0);
    let strange = format!("ca={}/ca.pem", stranger.path().display());
    let rows = [
        (tls, "other.example", &ca, "no TLS with the primary"),
        (tls, "localhost", &strange, "no TLS with the primary"),
        (plain, "localhost", &ca, "no TLS with the primary"),
        (mutual, "localhost", &ca, "the primary"),
    ];
    for (port, name, ca, wanted) in rows {
        let mut refused = appliance(free_port(), &[secondary(port, name), ca.clone()]);
        refused.wait_for(wanted, Duration::from_secs(30));
        let said = refused.so_far();
        assert!(!said.contains("transferred"), "{said}");
    }
    // With its own certificate it does.
    let port = free_port();
    let words = [ours, vec![secondary(mutual, "localhost"), ca]].concat();
    let mut known = appliance(port, &words);
    wait_for_serial(port, ZONE, 2, &mut [&mut bind, &mut known]);

    let mut command = Command::new(program("airglow-dns-server", "dev"));
    let said = Process::start(
        command.args([secondary(tls, "localhost"), format!("key={KEY}:hmac-sha256:{SECRET}")]),
    )
    .wait(Duration::from_secs(20));
    assert!(!said.success() && said.stderr.contains("wants `ca=FILE`"), "{said}");
}

#[test]
fn the_stub_resolver_asks_bind_over_tls() {
    let folder = Folder::new("tls-resolver");
    let here = folder.path().display().to_string();
    let (plain, tls, mutual) = (free_port(), free_port(), free_port());
    let _ = certified(&folder, 0);
    let mut bind = bind_over_tls(&folder, plain, tls, mutual, free_port());
    bind.wait_for("all zones loaded", Duration::from_secs(30));
    let reactor = Reactor::new().unwrap();
    let (udp, tcp) = (HostUdp::new(&reactor), HostTcp::new(&reactor));
    let parameters = Parameters::new(format!("ca={here}/ca.pem").leak());
    let platform = Unix::new(&tcp, &udp, &reactor, &parameters);
    let name: NameBuf = format!("ns.{ZONE}").parse().unwrap();
    block_on(&reactor, async {
        let authorities = authorities(&platform).unwrap();
        dialing(&platform, authorities.as_ref(), None, async |dialer| {
            for (called, wanted) in [("localhost", Ok(1)), ("other.example", Err(ResolveError::Silent))] {
                let server = format!("127.0.0.1:{tls}#{called}").parse::<NameServer>().unwrap();
                let mut config = ResolverConfig::new([server].into());
                config.attempts = 1;
                let resolver = Resolver::new(&udp, dialer, &reactor, &SystemEntropy, config);
                let found = resolver.lookup(name.as_name(), RecordType::A).await;
                assert_eq!(found.map(|answer| answer.records.len()), wanted, "{}", bind.so_far());
            }
        })
        .await;
    });
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
