//! The same program on airglow's own stack, over a tap device, AF_PACKET and AF_XDP, with the kernel as its peer.
//! Needs root and the programs `ping`, `arping`, `ethtool`, `dnsmasq`, `setpriv` and `tshark`; fails without.
#![cfg(target_os = "linux")]
use airglow_testbed::{Namespace, Process, veth};
use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream, UdpSocket},
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, SystemTime},
};

const LIMIT: Duration = Duration::from_secs(20);

fn echo() -> PathBuf {
    airglow_testbed::example("airglow-platform-unix", "echo", "dev")
}

/// A host at 10.0.0.1 and fd00::1 on its interface `h0`, and the program at 10.0.0.2 and fd00::2.
struct Network {
    host: Namespace,
    // Where the program is, when that is another machine than the host.
    _other: Option<Namespace>,
    program: Process,
}

impl Network {
    fn tap(words: &[&str]) -> Self {
        let host = Namespace::new("host");
        host.tap("h0");
        host.address("h0", "10.0.0.1/24");
        host.address("h0", "fd00::1/64");
        let words = [&["net=tap", "device=h0"], words].concat();
        let program = host.start(echo(), &words);
        Self { host, _other: None, program }.started()
    }

    fn packet(words: &[&str]) -> Self {
        Self::cable("net=packet", words)
    }

    fn xdp(words: &[&str]) -> Self {
        Self::cable("net=xdp", words)
    }

    fn cable(net: &str, words: &[&str]) -> Self {
        let (host, other) = (Namespace::new("host"), Namespace::new("other"));
        veth(&host, "h0", &other, "v0");
        host.address("h0", "10.0.0.1/24");
        host.address("h0", "fd00::1/64");
        let words = [&[net, "device=v0"], words].concat();
        let program = other.start(echo(), &words);
        let network = Self { host, _other: Some(other), program }.started();
        // A kernel drops what it sends before it has noticed the carrier.
        let said = network.host.run("ping", &["-c", "1", "-i", "0.2", "-w", "10", "10.0.0.2"]);
        assert!(said.success(), "{said}");
        network
    }

    fn started(mut self) -> Self {
        self.program.wait_for("echo on port 7", LIMIT);
        self
    }

    /// SIGTERM, and what it said until then.
    fn end(self) -> String {
        self.program.signal("TERM");
        let said = self.program.wait(LIMIT);
        assert!(said.success(), "{said}");
        said.stderr
    }
}

const ADDRESSES: [&str; 3] = ["port=7", "ipv4=10.0.0.2/24", "ipv6=fd00::2/64"];

fn answers_pings(network: &Network) {
    for to in ["10.0.0.2", "fd00::2"] {
        // IPv6 waits for the end of duplicate address detection on both sides.
        let said = network.host.run("ping", &["-c", "5", "-i", "0.3", "-W", "2", to]);
        assert!(said.success(), "{said}");
        // Up to one frame of IPv4, and what needs two.
        let said = network.host.run("ping", &["-c", "2", "-i", "0.2", "-W", "2", "-s", "1400", to]);
        assert!(said.stdout.contains(" 0% packet loss"), "{said}");
    }
    let said = network.host.run("arping", &["-c", "2", "-w", "5", "-I", "h0", "10.0.0.2"]);
    assert!(said.success() && said.stdout.contains("Received 2 response"), "{said}");
}

fn answers_datagrams(network: &Network) {
    network.host.enter(|| {
        for (from, to) in [("10.0.0.1:0", "10.0.0.2:7"), ("[fd00::1]:0", "[fd00::2]:7")] {
            let socket = UdpSocket::bind(from).unwrap();
            socket.set_read_timeout(Some(LIMIT)).unwrap();
            socket.connect(to).unwrap();
            let mut buf = [0; 2000];
            for len in [1, 2, 7, 100, 999, 1400] {
                let question: Vec<u8> = (0..len).map(|i| i as u8).collect();
                socket.send(&question).unwrap();
                let count = socket.recv(&mut buf).unwrap();
                assert_eq!(buf[..count], question, "{to}, {len} bytes");
            }
        }
    });
}

/// Sends `size` bytes there and back again and compares.
fn there_and_back(to: &str, size: usize) {
    let to: SocketAddr = to.parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&to, LIMIT).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    let pattern: Vec<u8> = (0..size).map(|i| (i * 31 / 7) as u8).collect();
    let mut writer = stream.try_clone().unwrap();
    let sent = pattern.clone();
    let sender = thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut back = Vec::with_capacity(size);
    stream.read_to_end(&mut back).unwrap();
    sender.join().unwrap();
    assert!(back == pattern, "{} of {size} bytes", back.len());
}

fn carries_streams(network: &Network) {
    network.host.enter(|| {
        for to in ["10.0.0.2:7", "[fd00::2]:7"] {
            for size in [0, 1, 1460, 100_000, 20_000_000] {
                there_and_back(to, size);
            }
            thread::scope(|scope| {
                for _ in 0..50 {
                    scope.spawn(|| there_and_back(to, 50_000));
                }
            });
        }
    });
}

#[test]
fn over_a_tap_device() {
    let network = Network::tap(&ADDRESSES);
    answers_pings(&network);
    answers_datagrams(&network);
    carries_streams(&network);
    let said = network.end();
    assert!(said.contains("SIGTERM: shutting down"), "{said}");
}

#[test]
fn over_a_packet_socket() {
    let network = Network::packet(&ADDRESSES);
    answers_pings(&network);
    answers_datagrams(&network);
    carries_streams(&network);
    let said = network.end();
    assert!(said.contains("SIGTERM: shutting down"), "{said}");
}

#[test]
fn over_af_xdp() {
    let network = Network::xdp(&ADDRESSES);
    answers_pings(&network);
    answers_datagrams(&network);
    carries_streams(&network);
    // The cable is pulled and put back.
    network.host.ip("link set h0 down");
    thread::sleep(Duration::from_millis(300));
    network.host.address("h0", "fd00::1/64");
    answers_datagrams(&network);
    let said = network.end();
    assert!(said.contains("AF_XDP on 1 queue, in the driver, copied"), "{said}");
}

#[test]
fn without_offload_too() {
    let words = [&ADDRESSES[..], &["offload=off"]].concat();
    let network = Network::tap(&words);
    answers_datagrams(&network);
    carries_streams(&network);
    network.end();

    // Checksums are left to the receiver at the other end, and completed on arrival.
    let network = Network::xdp(&words);
    answers_datagrams(&network);
    carries_streams(&network);
    network.end();

    let network = Network::packet(&words);
    // The kernel at the other end must cut its segments itself.
    let said = network.host.run("ethtool", &["-K", "h0", "tso", "off", "gso", "off"]);
    assert!(said.success(), "{said}");
    answers_datagrams(&network);
    carries_streams(&network);
    network.end();
}

/// What tshark says of the frames in `file`, one line each.
fn tshark(file: &str, arguments: &[&str]) -> Vec<String> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-r", file]).args(arguments);
    let said = Process::start(&mut command).wait(LIMIT);
    assert!(said.success() && !said.stderr.contains("rror"), "{said}");
    said.stdout.lines().map(String::from).collect()
}

#[test]
fn frames_and_connections_are_on_record() {
    for (name, start) in [
        ("tap", Network::tap as fn(&[&str]) -> Network),
        ("packet", Network::packet as fn(&[&str]) -> Network),
        ("xdp", Network::xdp as fn(&[&str]) -> Network),
    ] {
        let [capture, trace, picture] = ["pcapng", "trace", "svg"].map(|ending| {
            format!("{}/{name}-{}.{ending}", std::env::temp_dir().display(), std::process::id())
        });
        let words = [format!("capture={capture}"), format!("trace={trace}")];
        let words = [&ADDRESSES[..], &words.each_ref().map(String::as_str)].concat();
        let network = start(&words);
        answers_datagrams(&network);
        network.host.enter(|| there_and_back("10.0.0.2:7", 3_000_000));
        // While the program runs everything that happened is there already.
        let fields = ["-T", "fields", "-e", "frame.interface_name", "-e", "frame.packet_flags_direction"];
        let more = [
            "-e",
            "frame.time_epoch",
            "-e",
            "udp.length",
            "-e",
            "tcp.len",
            "-e",
            "tcp.analysis.lost_segment",
        ];
        let lines = tshark(&capture, &[&fields[..], &more].concat());
        network.end();
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        let (mut datagrams, mut bytes, mut last) = ([0; 2], [0; 2], now - 60.0);
        for line in &lines {
            let field: Vec<_> = line.split('\t').collect();
            let [interface, direction, time, udp, tcp, lost] = field[..] else { panic!("{line}") };
            assert_eq!(interface, if name == "tap" { "h0" } else { "v0" });
            let sent = match direction {
                "0x00000001" => 0,
                "0x00000002" => 1,
                _ => panic!("{line}"),
            };
            let time: f64 = time.parse().unwrap();
            assert!(time >= last && time <= now, "{line}");
            last = time;
            datagrams[sent] += usize::from(!udp.is_empty());
            bytes[sent] += tcp.parse::<usize>().unwrap_or(0);
            assert_eq!(lost, "", "{line}: before it something is missing");
        }
        assert_eq!(datagrams, [12, 12], "over {name}");
        // What was sent again counts twice.
        assert!(bytes.iter().all(|n| (3_000_000..3_300_000).contains(n)), "over {name}: {bytes:?}");

        let tool = airglow_testbed::program("cargo-airglow", "tool");
        let mut draw = Command::new(tool);
        let said = Process::start(draw.args(["airglow", "trace", &trace, "--output", &picture])).wait(LIMIT);
        assert!(said.success(), "{said}");
        let svg = std::fs::read_to_string(&picture).unwrap();
        assert!(svg.contains("Established") && svg.contains("class=\"window\""), "{svg}");
        [capture, trace, picture].iter().for_each(|file| std::fs::remove_file(file).unwrap());
    }
    let said = Namespace::new("none").run(&echo().to_string_lossy(), &["net=tap", "capture=/no/such/folder"]);
    assert!(said.stderr.contains("/no/such/folder: "), "{said}");
    assert_eq!(said.stderr.lines().filter(|line| line.contains("echo: ")).count(), 1, "{said}");
}

/// A server on `h0` that gives addresses and does nothing else; it has said `ready`.
fn dnsmasq(host: &Namespace, words: &[&str], ready: &str) -> Process {
    let always = [
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--port=0",
        "--leasefile-ro",
        "--pid-file=",
        "--user=root",
        "--log-facility=-",
        "--log-dhcp",
        "--bind-interfaces",
        "--interface=h0",
    ];
    let mut server = host.start("dnsmasq", &[&always, words].concat());
    server.wait_for(ready, LIMIT);
    server
}

#[test]
fn an_address_from_dhcp() {
    let (host, other) = (Namespace::new("dhcp"), Namespace::new("other"));
    veth(&host, "h0", &other, "v0");
    host.address("h0", "10.0.0.1/24");
    let words = ["--dhcp-authoritative", "--dhcp-range=10.0.0.77,10.0.0.77,2m"];
    let _server = dnsmasq(&host, &words, "DHCP, IP range");
    let program = other.start(echo(), &["net=packet", "device=v0", "dhcp", "port=7"]);
    let network = Network { host, _other: Some(other), program }.started();
    network.host.enter(|| there_and_back("10.0.0.77:7", 100_000));
    // The application's words were looked at only after the lease, and none was refused.
    let said = network.end();
    assert!(said.contains("10.0.0.77/24"), "{said}");
}

/// The address is fixed, the way out is dnsmasq's to say (RFC 2131 section 3.4).
#[test]
fn a_way_out_from_dhcp_beside_a_fixed_address() {
    let (host, other) = (Namespace::new("inform"), Namespace::new("other"));
    veth(&host, "h0", &other, "v0");
    host.address("h0", "10.0.0.1/24");
    // Behind the router.
    host.address("lo", "192.0.2.1/32");
    let words =
        ["--dhcp-authoritative", "--dhcp-range=10.0.0.0,static", "--dhcp-option=option:router,10.0.0.1"];
    let mut server = dnsmasq(&host, &words, "DHCP, static leases only");
    let far = |network: &Network| {
        network.host.run("ping", &["-c", "1", "-w", "4", "-I", "192.0.2.1", "10.0.0.2"]).success()
    };
    let fixed = ["net=packet", "device=v0", "ipv4=10.0.0.2/24", "ipv6=off", "port=7"];
    let program = other.start(echo(), &fixed);
    let mut network = Network { host, _other: Some(other), program }.started();
    assert!(!far(&network), "nobody has said yet where that is");
    network.program.signal("TERM");
    let other = network._other.take().unwrap();
    let program = other.start(echo(), &[&fixed[..], &["dhcp=inform"]].concat());
    let mut network = Network { host: network.host, _other: Some(other), program }.started();
    server.wait_for("DHCPINFORM(h0) 10.0.0.2", LIMIT);
    server.wait_for("DHCPACK(h0) 10.0.0.2", LIMIT);
    assert!(far(&network));
    assert!(network.program.runs());
    let said = network.end();
    assert!(!said.contains("dhcp=inform"), "{said}");
}

/// dnsmasq is the router, which says that addresses are to be had from it, and the server.
#[test]
fn an_address_from_dhcpv6() {
    let (host, other) = (Namespace::new("dhcp6"), Namespace::new("other6"));
    veth(&host, "h0", &other, "v0");
    host.address("h0", "2001:db8:7::1/64");
    let words = ["--enable-ra", "--dhcp-range=2001:db8:7::77,2001:db8:7::77,64,2m"];
    let mut server = dnsmasq(&host, &words, "DHCPv6, IP range");
    let program = other.start(echo(), &["net=packet", "device=v0", "port=7"]);
    let network = Network { host, _other: Some(other), program }.started();
    server.wait_for("DHCPREPLY(h0) 2001:db8:7::77", LIMIT);
    // The address is probed for another owner first (RFC 4862 section 5.4).
    thread::sleep(Duration::from_secs(3));
    network.host.enter(|| there_and_back("[2001:db8:7::77]:7", 100_000));
    network.end();
}

#[test]
fn an_idle_program_uses_no_processor_time() {
    for network in [Network::tap(&ADDRESSES), Network::packet(&ADDRESSES), Network::xdp(&ADDRESSES)] {
        answers_datagrams(&network);
        thread::sleep(Duration::from_secs(1));
        let before = network.program.cpu_seconds();
        thread::sleep(Duration::from_secs(2));
        let used = network.program.cpu_seconds() - before;
        assert!(used < 0.1, "{used} s of 2 s");
        network.end();
    }
}

#[test]
fn a_tap_device_that_needs_rights_says_what_to_type() {
    let host = Namespace::new("rights");
    let mut words = vec!["--reuid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"];
    // The build folder may be closed to others: a copy is not.
    let copy = std::env::temp_dir().join(format!("airglow-echo-{}", std::process::id()));
    std::fs::copy(echo(), &copy).unwrap();
    let path = copy.to_string_lossy().into_owned();
    words.extend([path.as_str(), "net=tap", "device=tap7", "ipv4=10.0.0.2/24"]);
    let said = host.run("setpriv", &words);
    words.truncate(5);
    words.extend(["net=packet", "device=lo", "ipv4=10.0.0.2/24"]);
    let packet = host.run("setpriv", &words);
    std::fs::remove_file(&copy).unwrap();
    assert_eq!(said.status.and_then(|status| status.code()), Some(1), "{said}");
    assert!(said.stderr.contains("as root, type: ip tuntap add dev tap7 mode tap vnet_hdr user"), "{said}");
    assert_eq!(said.stderr.lines().count(), 1, "{said}");
    assert_eq!(packet.status.and_then(|status| status.code()), Some(1), "{packet}");
}
