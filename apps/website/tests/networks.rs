//! The website over host sockets, on a tap device, on AF_PACKET and on AF_XDP: the same answers to the same requests, and what else a machine on
//! a network is asked. Needs root, iproute2, curl, ping, arping, ndisc6 and dnsmasq: `cargo airglow test unix`.
use airglow_testbed::{Namespace, Process, Said, veth};
use std::{process::Command, time::Duration};

const WEBSITE: &str = env!("CARGO_BIN_EXE_airglow-website");
const OWN: [&str; 3] = ["ipv4=10.0.0.2/24", "ipv6=fd00::2/64", "gateway=10.0.0.1"];

/// A website on a network, and a place to ask it from.
struct Served {
    client: Namespace,
    /// The client's interface.
    interface: &'static str,
    server: Process,
    _server: Option<Namespace>,
}

fn served(
    client: Namespace,
    interface: &'static str,
    mut server: Process,
    other: Option<Namespace>,
) -> Served {
    server.wait_for("http://", Duration::from_secs(10));
    Served { client, interface, server, _server: other }
}

fn link() -> (Namespace, Namespace) {
    let (client, server) = (Namespace::new("client"), Namespace::new("server"));
    veth(&client, "c0", &server, "s0");
    client.address("c0", "10.0.0.1/24");
    client.address("c0", "fd00::1/64");
    (client, server)
}

fn host_sockets() -> Served {
    let (client, server) = link();
    server.address("s0", "10.0.0.2/24");
    server.address("s0", "fd00::2/64");
    let website = server.start(WEBSITE, &["port=80"]);
    served(client, "c0", website, Some(server))
}

fn packet() -> Served {
    cable("net=packet")
}

fn xdp() -> Served {
    cable("net=xdp")
}

fn cable(net: &str) -> Served {
    let (client, server) = link();
    server.silence("s0");
    let website = server.start(WEBSITE, &[&[net, "device=s0"][..], &OWN].concat());
    served(client, "c0", website, Some(server))
}

fn tap() -> Served {
    let client = Namespace::new("tap");
    client.tap("tap0");
    client.address("tap0", "10.0.0.1/24");
    client.address("tap0", "fd00::1/64");
    let website = client.start(WEBSITE, &[&["net=tap", "device=tap0"][..], &OWN].concat());
    served(client, "tap0", website, None)
}

impl Served {
    fn curl(&self, arguments: &[&str]) -> Said {
        self.client.run("curl", &[&["-sv", "--max-time", "10"], arguments].concat())
    }
}

/// What curl sent and got, without the lines that tell of times and local ports.
fn conversation(said: &Said) -> String {
    let told = said.stderr.lines().filter(|line| line.starts_with(['<', '>']));
    let told = told.filter(|line| !line.to_ascii_lowercase().starts_with("< date:"));
    let mut text: Vec<&str> = told.map(str::trim_end).collect();
    // The answer to HEAD is its head.
    text.extend(said.stdout.split('\n').filter(|line| !line.starts_with("Date: ")));
    text.join("\n")
}

/// As much of a conversation as one wants to read, and how long it is.
fn start(conversation: &str) -> String {
    let some: String = conversation.chars().take(800).collect();
    format!("{some}\n({} bytes)", conversation.len())
}

const REQUESTS: &[&[&str]] = &[
    &["http://10.0.0.2/"],
    &["http://10.0.0.2/index.html", "http://10.0.0.2/style.css", "http://10.0.0.2/crates.svg"],
    &["-I", "http://10.0.0.2/start.html"],
    &["--http1.0", "http://10.0.0.2/icon.svg"],
    &["-H", "Accept-Encoding: gzip", "--output", "-", "http://10.0.0.2/style.css"],
    &["-H", "Accept-Encoding: br, gzip;q=0.5", "--output", "-", "http://10.0.0.2/style.css"],
    &["--output", "-", "http://10.0.0.2/sky.png"],
    &["-r", "100-199", "http://10.0.0.2/index.html"],
    &["-r", "-10", "http://10.0.0.2/index.html"],
    &["-r", "99999999-", "http://10.0.0.2/index.html"],
    &["-H", "If-Modified-Since: Sun, 06 Nov 2044 08:49:37 GMT", "http://10.0.0.2/index.html"],
    &["-H", "If-None-Match: *", "http://10.0.0.2/index.html"],
    &["http://10.0.0.2/no/such/page"],
    &["--path-as-is", "http://10.0.0.2/../../etc/passwd"],
    &["-d", "some=content", "http://10.0.0.2/index.html"],
    &["-X", "OPTIONS", "http://10.0.0.2/index.html"],
    &["-X", "BREW", "http://10.0.0.2/index.html"],
    &["-H", "Transfer-Encoding: chunked", "-H", "Content-Length: 4", "-d", "abcd", "http://10.0.0.2/"],
];

#[test]
fn the_answers_are_the_same_on_every_network() {
    let (host, own) = (host_sockets(), [("tap", tap()), ("AF_PACKET", packet()), ("AF_XDP", xdp())]);
    for request in REQUESTS {
        let expected = conversation(&host.curl(request));
        assert!(expected.contains("< HTTP/1.1 "), "{request:?}: {expected}");
        for (network, served) in &own {
            assert!(
                expected == conversation(&served.curl(request)),
                "over {network} {request:?} is not\n{expected}"
            );
        }
    }
    let first = host.curl(&["http://10.0.0.2/"]);
    assert!(first.stdout.contains("</html>") && first.stderr.contains("< HTTP/1.1 200"), "{first}");
}

#[test]
fn ipv6_reaches_the_website() {
    for served in [tap(), packet(), xdp()] {
        let said = served.curl(&["http://[fd00::2]/"]);
        assert!(said.stdout.contains("</html>"), "{said}");
        let said = served.client.run("ping", &["-6", "-c", "3", "-i", "0.2", "-W", "2", "fd00::2"]);
        assert!(said.stdout.contains(" 0% packet loss"), "{said}");
        let said = served.client.run("ndisc6", &["-1", "-r", "3", "fd00::2", served.interface]);
        assert!(said.success() && said.stdout.contains("Target link-layer address"), "{said}");
    }
}

/// One website on two networks, which is a router between them if it is told to be.
#[test]
fn several_cards_are_told_apart_by_number() {
    for net in ["packet", "xdp", "tap"] {
        for forwards in [false, true] {
            let (left, right, server) =
                (Namespace::new("left"), Namespace::new("right"), Namespace::new("server"));
            for (number, client, card) in [(0, &left, "s0"), (1, &right, "s1")] {
                if net == "tap" {
                    // A tap device's other end is the kernel's: here it goes on to the client.
                    let bridge = format!("b{number}");
                    server.tap(card);
                    veth(client, "c0", &server, &format!("v{number}"));
                    server.ip(&format!("link add {bridge} type bridge"));
                    for port in [card, &format!("v{number}")] {
                        server.ip(&format!("link set {port} master {bridge}"));
                        server.silence(port);
                    }
                    server.silence(&bridge);
                } else {
                    veth(client, "c0", &server, card);
                    server.silence(card);
                }
                client.address("c0", &format!("10.0.{number}.1/24"));
                client.ip(&format!("route add default via 10.0.{number}.2"));
            }
            let kind = format!("net={net}");
            let mut words = vec![
                kind.as_str(),
                "device=s0",
                "ipv4=10.0.0.2/24",
                "device.2=s1",
                "ipv4.2=10.0.1.2/24",
                "log=debug",
            ];
            words.extend(forwards.then_some("forward"));
            let mut website = server.start(WEBSITE, &words);
            website.wait_for("http://", Duration::from_secs(10));
            for (client, address) in [(&left, "10.0.0.2"), (&right, "10.0.1.2")] {
                let said = client.run("curl", &["-sv", "--max-time", "10", &format!("http://{address}/")]);
                assert!(said.stdout.contains("</html>"), "{net}: {said}");
            }
            let said = left.run("ping", &["-c", "5", "-i", "0.2", "-W", "1", "10.0.1.1"]);
            assert_eq!(said.stdout.contains(" 0% packet loss"), forwards, "{net}: {said}");
            // A router answers at all of its addresses, a host only at the address of the card (RFC 1122 section 3.3.4.2).
            let said = left.run("ping", &["-c", "1", "-W", "1", "10.0.1.2"]);
            assert_eq!(said.success(), forwards, "{net}: {said}");
            website.signal("TERM");
            let ended = website.wait(Duration::from_secs(10));
            assert!(ended.stderr.contains("s1: NetStats"), "{net}: {ended}");
        }
    }
}

#[test]
fn ping_and_arping_are_answered() {
    for served in [tap(), packet(), xdp()] {
        for size in ["0", "56", "1472"] {
            let words = ["-c", "5", "-i", "0.2", "-W", "2", "-s", size, "10.0.0.2"];
            let said = served.client.run("ping", &words);
            assert!(said.stdout.contains("5 received, 0% packet loss"), "{said}");
        }
        let said = served.client.run("arping", &["-c", "2", "-w", "5", "-I", served.interface, "10.0.0.2"]);
        assert!(said.success() && said.stdout.contains("reply from 10.0.0.2"), "{said}");
        // An address that is nobody's stays nobody's.
        let said = served.client.run("arping", &["-c", "1", "-w", "1", "-I", served.interface, "10.0.0.3"]);
        assert!(!said.success(), "{said}");
    }
}

#[test]
fn dnsmasq_gives_the_address() {
    let (client, server) = link();
    server.silence("s0");
    let leases = std::env::temp_dir().join(format!("airglow-leases-{}", std::process::id()));
    let lease_file = format!("--dhcp-leasefile={}", leases.display());
    let mut dnsmasq = client.start(
        "dnsmasq",
        &[
            "--no-daemon",
            "--conf-file=/dev/null",
            "--port=0",
            "--interface=c0",
            "--bind-interfaces",
            "--log-dhcp",
            "--dhcp-range=10.0.0.50,10.0.0.60,255.255.255.0,2m",
            "--dhcp-authoritative",
            &lease_file,
        ],
    );
    dnsmasq.wait_for("DHCP, IP range", Duration::from_secs(10));
    let website = server.start(WEBSITE, &["net=packet", "device=s0", "dhcp"]);
    dnsmasq.wait_for("DHCPACK(c0)", Duration::from_secs(20));
    let log = dnsmasq.so_far();
    let line = log.lines().find(|line| line.contains("DHCPACK(c0)")).unwrap();
    let address = line.split_whitespace().find(|word| word.starts_with("10.0.0.")).unwrap().to_owned();
    let said = client.run(
        "curl",
        &["-s", "--retry", "5", "--retry-connrefused", "--max-time", "10", &format!("http://{address}/")],
    );
    drop(dnsmasq);
    let _ = std::fs::remove_file(leases);
    assert!(said.stdout.contains("</html>"), "{said}\n{}\n{log}", website.so_far());
}

#[test]
fn a_wrong_boot_parameter_is_one_line() {
    for (words, wrong) in [
        (&["port=http"][..], "port=http"),
        (&["port=70000"], "port=70000"),
        (&["prot=80"], "prot=80"),
        (&["net=carrier-pigeon"], "net=carrier-pigeon"),
        (&["net=tap", "device=tap0", "ipv4=10.0.0.2"], "ipv4=10.0.0.2"),
        (&["net=tap", "device=tap0", "ipv4=10.0.0.2/33"], "ipv4=10.0.0.2/33"),
        (&["ipv4=10.0.0.2/24"], "ipv4=10.0.0.2/24"),
        (&["folder=/no/such/folder"], "folder=/no/such/folder"),
    ] {
        let said = Process::start(Command::new(WEBSITE).args(words)).wait(Duration::from_secs(5));
        assert_eq!(said.status.and_then(|status| status.code()), Some(1), "{said}");
        let lines: Vec<_> = said.stderr.lines().collect();
        assert!(lines.len() == 1 && lines[0].contains(&format!("`{wrong}`")), "{said}");
    }
}

#[test]
fn signals_end_it_cleanly() {
    for signal in ["INT", "TERM"] {
        let served = tap();
        served.server.signal(signal);
        let said = served.server.wait(Duration::from_secs(5));
        assert!(said.success(), "{signal}: {said}");
    }
}
