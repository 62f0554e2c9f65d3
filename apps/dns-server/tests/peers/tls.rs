//! DNS over TLS as `kdig` and `dig` speak it, zones that go to BIND and come from it over TLS, updates on their way to it, and
//! BIND asked by the stub resolver over one connection.
use super::replication::{KEY, SECRET, appliance, transferred, wait_for_serial};
use airglow::{
    device::Parameters,
    platform::{HostTcp, HostUdp, Reactor, SystemEntropy, Unix},
    runtime::{TaskSet, block_on, select, sleep},
};
use airglow_dns::{
    NameServer,
    shell::{Dial, DialError, ResolveError, Resolver, ResolverConfig},
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
    cell::Cell,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
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
    let text = "$TTL 60\n@ SOA ns admin 1 86400 7200 2419200 300\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.2\n*.many A 192.0.2.4\n";
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
             dnssec-validation no; empty-zones-enable no; tcp-idle-timeout 10; }};\ncontrols {{ }};\n\
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
    let mut airglow =
        appliance(port, &[secondary(tls, "localhost"), ca.clone(), "forward-updates=on".into()]);
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

/// Counts the connections that are opened.
struct Counting<'c, D>(&'c D, Cell<u32>);

impl<D: Dial> Dial for Counting<'_, D> {
    type Plain<'a>
        = D::Plain<'a>
    where
        Self: 'a;
    type Secure<'a>
        = D::Secure<'a>
    where
        Self: 'a;
    async fn plain(&self, to: SocketAddr) -> Result<D::Plain<'_>, DialError> {
        self.0.plain(to).await
    }
    async fn secure<'a>(&'a self, to: SocketAddr, name: &'a str) -> Result<D::Secure<'a>, DialError> {
        self.1.set(self.1.get() + 1);
        self.0.secure(to, name).await
    }
}

/// Connections to a port that neither side has closed.
fn established(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields.filter(|fields| fields[2].ends_with(&format!(":{port:04X}")) && fields[3] == "01").count()
}

#[test]
fn the_stub_resolver_asks_bind_over_one_connection_with_tls() {
    const QUESTIONS: usize = 150;
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
    let config = |called: &str| {
        let server = format!("127.0.0.1:{tls}#{called}").parse::<NameServer>().unwrap();
        let mut config = ResolverConfig::new([server].into());
        config.attempts = 1;
        config.idle = Duration::from_millis(500);
        config
    };
    block_on(&reactor, async {
        let authorities = authorities(&platform).unwrap();
        dialing(&platform, authorities.as_ref(), None, async |dialer| {
            let name = |number: usize| format!("n{number}.many.{ZONE}").parse::<NameBuf>().unwrap();
            let (dial, good) = (Counting(dialer, Cell::new(0)), config("localhost"));
            let resolver = Resolver::new(&udp, &dial, &reactor, &SystemEntropy, &good);
            // All at once, more than may be on their way over one connection.
            let found = Cell::new(0);
            let tasks = TaskSet::new(QUESTIONS);
            for number in 0..QUESTIONS {
                let (name, resolver, found) = (name(number), &resolver, &found);
                let asking = async move {
                    let answer = resolver.lookup(name.as_name(), RecordType::A).await.unwrap();
                    assert_eq!(*answer.records, [[192, 0, 2, 4].into()]);
                    found.set(found.get() + 1);
                };
                assert!(tasks.spawn(asking).is_ok());
            }
            (&tasks).await;
            assert_eq!((found.get(), dial.1.get(), established(tls)), (QUESTIONS, 1, 1), "{}", bind.so_far());
            // BIND closes it after a second, and nobody notices.
            sleep(&reactor, Duration::from_millis(1700)).await;
            assert_eq!(established(tls), 0);
            let answer = resolver.lookup(name(QUESTIONS).as_name(), RecordType::A).await.unwrap();
            assert_eq!((answer.records.len(), dial.1.get(), established(tls)), (1, 2, 1));
            // Or the resolver does, sooner.
            let waiting = sleep(&reactor, Duration::from_millis(800));
            let _ = select(waiting, resolver.close_idle()).await;
            assert_eq!(established(tls), 0);
            assert!(resolver.lookup(name(QUESTIONS + 1).as_name(), RecordType::A).await.is_ok());
            assert_eq!(dial.1.get(), 3);

            let strange = config("other.example");
            let resolver = Resolver::new(&udp, dialer, &reactor, &SystemEntropy, &strange);
            let found = resolver.lookup(name(0).as_name(), RecordType::A).await;
            assert_eq!(found, Err(ResolveError::Silent), "another's certificate");
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
