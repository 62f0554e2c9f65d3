//! The controller with bridges of Open vSwitch (its userspace datapath) and our own switch in one network, in namespaces.
use airglow_testbed::{Authority, Namespace, OpenVswitch, Process, Said, program, veth};
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

/// How long a network may take to find its links, or a way round one that went down.
const LIMIT: Duration = Duration::from_secs(30);

/// Bytes that a host sends before it waits for an answer.
const PART: usize = 100_000;

/// Switches 1 and 2 are Open vSwitch's, 3 is ours. Hosts 10.9.0.1 to 10.9.0.3 are at `h1` to `h3`, each at the switch of its number.
struct Network {
    hosts: [Namespace; 3],
    middle: Namespace,
    controller: Process,
    _ours: Process,
    open: OpenVswitch,
}

impl Network {
    /// `links` are pairs of switches; between 1 and 2 there are the interfaces `l12` and `l21`.
    fn new(version: &str, application: &str, links: &[(u8, u8)]) -> Self {
        let middle = Namespace::new("middle");
        let mut ports = [const { Vec::new() }; 3];
        let hosts = [1, 2, 3].map(|number: u8| {
            let host = Namespace::new(&format!("h{number}"));
            let port = format!("h{number}");
            veth(&host, "e0", &middle, &port);
            host.address("e0", &format!("10.9.0.{number}/24"));
            // The switches pass frames of the MTU's length with complete checksums.
            let off = host.run("ethtool", &["-K", "e0", "tx", "off", "tso", "off", "gso", "off"]);
            assert!(off.success(), "{off}");
            ports[usize::from(number) - 1].push(port);
            host
        });
        for (a, b) in links {
            let ends = [format!("l{a}{b}"), format!("l{b}{a}")];
            middle.ip(&format!("link add {} type veth peer name {}", ends[0], ends[1]));
            let [a_end, b_end] = ends;
            ports[usize::from(*a) - 1].push(a_end);
            ports[usize::from(*b) - 1].push(b_end);
        }
        ports.iter().flatten().for_each(|port| middle.silence(port));

        let binary = program("airglow-openflow-controller", "dev").display().to_string();
        let mut controller = middle
            .start(&binary, &["listen=127.0.0.1:6653", "page=127.0.0.1:8080", &format!("app={application}")]);
        controller.wait_for("listening", LIMIT);
        let open = OpenVswitch::new(&middle);
        for (index, ports) in ports[..2].iter().enumerate() {
            let bridge = format!("br{}", index + 1);
            let mut more = vec!["--", "set-controller", &bridge, "tcp:127.0.0.1:6653"];
            more.extend(["--", "set", "controller", &bridge, "connection-mode=out-of-band"]);
            open.bridge(&bridge, ports, version, &more);
        }
        let ours = middle.start(
            program("airglow-openflow-switch", "dev"),
            &[&format!("ports={}", ports[2].join(",")), "controller=tcp:127.0.0.1:6653", "datapath=3"],
        );
        let deadline = Instant::now() + LIMIT;
        while controller.so_far().matches("joined").count() < 3 {
            assert!(Instant::now() < deadline, "{}\n{}", controller.so_far(), ours.so_far());
            thread::sleep(Duration::from_millis(100));
        }
        Self { hosts, middle, controller, _ours: ours, open }
    }

    /// What a browser draws: three switches that carry something, three links, and the hosts with their addresses.
    fn is_shown(&self) {
        let ask = |path: &str| {
            let said =
                self.middle.run("curl", &["--silent", "--fail", &format!("http://127.0.0.1:8080/{path}")]);
            assert!(said.success(), "{said}");
            said.stdout
        };
        assert!(ask("").contains("fetch(\"topology.json\")"));
        let deadline = Instant::now() + LIMIT;
        loop {
            let shown = ask("topology.json");
            let carried = shown.matches("\"packets\":").count() - shown.matches("\"packets\":0,").count();
            let links = shown
                .split("\"links\":[")
                .nth(1)
                .map_or(0, |rest| rest.split("],\"hosts\"").next().unwrap_or("").matches('[').count());
            let hosts = (1..=3).all(|n| shown.contains(&format!("\"ipv4\":\"10.9.0.{n}\"")));
            if carried == 3 && links == 3 && hosts && shown.contains("\"datapath\":\"0000000000000003\"") {
                break;
            }
            assert!(Instant::now() < deadline, "{carried} carried, {links} links: {shown}");
            thread::sleep(Duration::from_millis(500));
        }
    }

    fn ping(&self, from: usize, to: usize, count: &str) -> Said {
        let to = format!("10.9.0.{to}");
        self.hosts[from - 1].run("ping", &["-c", count, "-i", "0.2", "-W", "2", &to])
    }

    /// Waits until every host reaches every other.
    fn reaches_everywhere(&mut self) {
        let deadline = Instant::now() + LIMIT;
        for (from, to) in [(1, 2), (2, 3), (3, 1)] {
            while !self.ping(from, to, "1").success() {
                assert!(Instant::now() < deadline, "{from} to {to}: {}", self.controller.so_far());
            }
        }
        assert!(self.controller.runs());
        assert!(!self.controller.so_far().contains("refused"), "{}", self.controller.so_far());
    }

    fn flows(&self, bridge: u8, version: &str) -> String {
        let management = self.open.management(&format!("br{bridge}"));
        let said =
            self.middle.run("ovs-ofctl", &[&format!("--protocols={version}"), "dump-flows", &management]);
        assert!(said.success(), "{said}");
        said.stdout
    }
}

#[test]
fn learning_in_a_line_of_bridges() {
    for version in ["OpenFlow10", "OpenFlow13", "OpenFlow15"] {
        let mut network = Network::new(version, "learning", &[(1, 3), (3, 2)]);
        network.reaches_everywhere();
        let ping = network.ping(1, 2, "5");
        assert!(ping.stdout.contains(" 0% packet loss"), "{ping}");
        // Both directions of the pair have their flow, which has carried something.
        let flows = network.flows(1, version);
        assert!(flows.matches("priority=10").count() >= 2 && flows.contains("idle_timeout=60"), "{flows}");
        let learned = flows.lines().filter(|line| line.contains("priority=10"));
        assert!(learned.clone().any(|line| !line.contains("n_packets=0,")), "{flows}");
    }
}

#[test]
fn a_connection_that_does_not_greet_is_closed() {
    let middle = Namespace::new("mute");
    let mut controller =
        middle.start(program("airglow-openflow-controller", "dev"), &["listen=127.0.0.1:6653"]);
    controller.wait_for("listening", LIMIT);
    middle.enter(|| {
        let mut mute = TcpStream::connect("127.0.0.1:6653").unwrap();
        let mut said = Vec::new();
        mute.set_read_timeout(Some(LIMIT)).unwrap();
        mute.read_to_end(&mut said).unwrap();
        assert_eq!(said.len(), 16, "a hello, and the end");
        // One that speaks another protocol hears why it is closed.
        let mut other = TcpStream::connect("127.0.0.1:6653").unwrap();
        other.set_read_timeout(Some(LIMIT)).unwrap();
        other.write_all(&[6, 0, 0, 16, 0, 0, 0, 1, 0, 1, 0, 8, 0, 0, 0, 0x0c]).unwrap();
        let mut said = Vec::new();
        other.read_to_end(&mut said).unwrap();
        assert_eq!(said[16..18], [6, 1], "an error");
    });
    assert!(controller.runs());
}

#[test]
fn routing_round_links_that_go_down() {
    for version in ["OpenFlow10", "OpenFlow13"] {
        // A triangle: flooding alone would melt it.
        let mut network = Network::new(version, "routing", &[(1, 2), (2, 3), (3, 1)]);
        network.reaches_everywhere();
        assert!(network.ping(1, 2, "5").stdout.contains(" 0% packet loss"));
        // TCP goes on while the direct link goes down and comes back.
        let (hosts, middle) = (&network.hosts, &network.middle);
        thread::scope(|scope| {
            scope.spawn(|| {
                hosts[1].enter(|| {
                    let (mut stream, _) = TcpListener::bind("10.9.0.2:7000").unwrap().accept().unwrap();
                    stream.set_read_timeout(Some(LIMIT)).unwrap();
                    let mut part = [0; PART];
                    // Each part is confirmed, so that none is on its way when the link changes.
                    while stream.read_exact(&mut part).is_ok() {
                        stream.write_all(&part[..1]).unwrap();
                    }
                });
            });
            hosts[0].enter(|| {
                let deadline = Instant::now() + LIMIT;
                let mut stream = loop {
                    match TcpStream::connect("10.9.0.2:7000") {
                        Ok(stream) => break stream,
                        Err(why) => assert!(Instant::now() < deadline, "{why}"),
                    }
                    thread::sleep(Duration::from_millis(50));
                };
                stream.set_write_timeout(Some(LIMIT)).unwrap();
                stream.set_read_timeout(Some(LIMIT)).unwrap();
                for number in 0..40 {
                    stream.write_all(&[number; PART]).unwrap();
                    let mut confirmed = [0];
                    stream.read_exact(&mut confirmed).unwrap();
                    assert_eq!(confirmed, [number]);
                    match number {
                        10 => middle.ip("link set l12 down"),
                        30 => middle.ip("link set l12 up"),
                        _ => {}
                    }
                }
            });
        });
        network.reaches_everywhere();
        network.is_shown();
        network.middle.ip("link set l31 down");
        network.reaches_everywhere();
    }
}

/// Open vSwitch's bridge and our own switch join over TLS, with certificates of the site's authority; without one nobody does.
#[test]
fn switches_join_over_tls() {
    let middle = Namespace::new("secure");
    let site = Authority::new(&middle, &["controller", "switch"]);
    let (mine, own) = (site.ours("controller"), site.ours("switch"));
    let mut words = vec!["listen=127.0.0.1:6653", "tls=on"];
    words.extend(mine.iter().map(String::as_str));
    let mut controller = middle.start(program("airglow-openflow-controller", "dev"), &words);
    controller.wait_for("listening", LIMIT);
    for port in ["p1", "p2"] {
        middle.ip(&format!("link add {port} type veth peer name {port}x"));
        middle.silence(port);
    }
    let open = OpenVswitch::new(&middle);
    let [key, certificate, authority] = ["switch.key", "switch.pem", "ca.pem"].map(|name| site.at(name));
    let said = open.vsctl(&["set-ssl", &key, &certificate, &authority]);
    assert!(said.success(), "{said}");
    let more = ["--", "set-controller", "br1", "ssl:127.0.0.1:6653"];
    open.bridge("br1", &[String::from("p1")], "OpenFlow15", &more);
    let mut words = vec!["ports=p2", "controller=ssl:127.0.0.1:6653", "datapath=2"];
    words.extend(own.iter().map(String::as_str));
    let ours = middle.start(program("airglow-openflow-switch", "dev"), &words);
    let deadline = Instant::now() + LIMIT;
    while controller.so_far().matches("joined").count() < 2 {
        assert!(Instant::now() < deadline, "{}\n{}", controller.so_far(), ours.so_far());
        thread::sleep(Duration::from_millis(100));
    }
    middle.enter(|| {
        let mut plain = TcpStream::connect("127.0.0.1:6653").unwrap();
        plain.set_read_timeout(Some(LIMIT)).unwrap();
        plain.write_all(&[6, 0, 0, 8, 0, 0, 0, 1]).unwrap();
        let mut said = Vec::new();
        let _ = plain.read_to_end(&mut said);
        assert!(said.first() != Some(&6), "no OpenFlow without TLS");
    });
    assert!(controller.runs());
}
