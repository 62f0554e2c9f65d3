//! Floods from hping3: a download that was there goes on, a new connection succeeds, memory stays where it was. Where the flood is as large
//! as the link the download keeps half of its rate. Where there is no such bound, flood, download, switch and pump share the processors.
//! Needs root, iproute2 and hping3: `cargo airglow test unix`.
use airglow_testbed::{Namespace, Process, veth};
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

mod download;
use download::Download;

const PUMP: &str = env!("CARGO_BIN_EXE_airglow-pump");
/// Megabits per second to the pump, all of which a flood takes, and from it, so that its answers to the flood have room.
const LINK: (u32, u32) = (20, 80);

/// Bytes per second that a download has at least beside a flood that knows no bound but the processors.
const LEAST: f64 = 1_000_000.0;

/// What fragments may take, touched one page after the other, and a little air.
const BUFFERS: u64 = 6 << 20;

/// What floods, as hping3's words; sources are random.
const FLOODS: [(&str, &str); 8] = [
    ("SYN to an open port", "-S -p 80"),
    ("SYN to a closed port", "-S -p 81"),
    ("ACK", "-A -p 80"),
    ("RST", "-R -p 80"),
    ("UDP to a closed port", "--udp -p 81"),
    ("UDP that is echoed", "--udp -p 7 -d 400"),
    ("ICMP echo", "--icmp -d 56"),
    ("fragments that are never finished", "--udp -p 7 -d 1000 -x"),
];

fn shape(namespace: &Namespace, interface: &str, megabits: u32) {
    // A queue of 50 ms.
    let words = format!(
        "qdisc add dev {interface} root tbf rate {megabits}mbit burst 20k limit {}",
        megabits * 1_000_000 / 8 / 20
    );
    let said = namespace.run("tc", &words.split(' ').collect::<Vec<_>>());
    assert!(said.success(), "{said}");
}

/// One small page on a connection of its own, and how long it took.
fn new_connection() -> Duration {
    let start = Instant::now();
    let mut stream =
        TcpStream::connect_timeout(&"10.0.0.2:80".parse().unwrap(), Duration::from_secs(20)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(b"GET /page HTTP/1.1\r\nHost: pump\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = Vec::new();
    stream.read_to_end(&mut page).unwrap();
    assert!(page.ends_with(&[b'x'; 4096]));
    start.elapsed()
}

/// A switch with the pump, a client and an attacker on it.
struct Stage {
    _switch: Namespace,
    client: Namespace,
    place: Namespace,
    attacker: Namespace,
    pump: Process,
}

/// With a link that is `shaped`, or as fast as the machine is.
fn stage(net: &str, shaped: bool) -> Stage {
    let [switch, client, place, attacker] = ["switch", "client", "pump", "hping"].map(Namespace::new);
    switch.ip("link add br0 type bridge mcast_snooping 0");
    switch.silence("br0");
    for (port, machine, interface) in [("p0", &place, "s0"), ("p1", &attacker, "o0"), ("p2", &client, "c0")] {
        veth(&switch, port, machine, interface);
        switch.silence(port);
        machine.silence(interface);
        switch.ip(&format!("link set {port} master br0"));
    }
    client.address("c0", "10.0.0.1/24");
    attacker.address("o0", "10.0.0.66/24");
    if shaped {
        shape(&switch, "p0", LINK.0);
        shape(&attacker, "o0", LINK.0);
        shape(&switch, "p2", LINK.1);
    }
    let net = format!("net={net}");
    let words = [&net, "device=s0", "ipv4=10.0.0.2/24", "gateway=10.0.0.1", "echo=7", "log=debug"];
    let mut pump = place.start(PUMP, &words);
    pump.wait_for("listening", Duration::from_secs(10));
    Stage { _switch: switch, client, place, attacker, pump }
}

impl Stage {
    fn download(&self) -> Download {
        Download::begin(&self.client, "10.0.0.2:80".parse().unwrap(), Duration::ZERO)
    }

    fn flood(&self, words: &str) -> Process {
        let words = format!("{words} --rand-source --flood --quiet 10.0.0.2");
        self.attacker.start("hping3", &words.split(' ').collect::<Vec<_>>())
    }

    /// Frames that came to the pump's interface so far.
    fn frames(&self) -> u64 {
        let text = self.place.run("cat", &["/sys/class/net/s0/statistics/rx_packets"]).stdout;
        text.trim().parse().unwrap()
    }

    /// Memory has grown by `more` at most; the pump ends well, and says what it has seen.
    fn end(self, before: u64, more: u64) -> String {
        std::thread::sleep(Duration::from_millis(500));
        let after = self.pump.memory();
        assert!(after <= before + more, "memory grew from {before} to {after}");
        self.pump.signal("TERM");
        let said = self.pump.wait(Duration::from_secs(10));
        assert!(said.success(), "{said}");
        said.stderr
    }
}

fn flood(net: &str) {
    let stage = stage(net, true);
    let download = stage.download();
    download.rate(Duration::from_secs(1));
    let alone = download.rate(Duration::from_secs(2));
    let before = stage.pump.memory();
    println!("{net}: alone {:.1} Mbit/s, memory {before}", alone * 8e-6);
    for (name, words) in FLOODS {
        let flood = stage.flood(words);
        download.rate(Duration::from_millis(500));
        let (start, from) = (stage.frames(), Instant::now());
        // The best of three: a machine with other work starves a process for a second now and then.
        let mut beside = 0.0;
        for _ in 0..3 {
            beside = download.rate(Duration::from_secs(2)).max(beside);
            if beside >= alone / 2.0 {
                break;
            }
        }
        let per_second = (stage.frames() - start) as f64 / from.elapsed().as_secs_f64();
        let connected = stage.client.enter(new_connection);
        let memory = stage.pump.memory();
        flood.signal("INT");
        let said = flood.wait(Duration::from_secs(5));
        println!(
            "{net}, {name}: {per_second:.0} frames/s, {:.1} Mbit/s ({:.0} %), a new connection in {connected:?}, memory {memory}",
            beside * 8e-6,
            100.0 * beside / alone
        );
        assert!(per_second > 1000.0, "no flood: {said}");
        assert!(beside >= alone / 2.0, "{name}: {beside} of {alone} bytes per second; {said}");
    }
    download.end();
    let said = stage.end(before, 2 << 20);
    for name in ["syn_cookies_sent", "syn_cookies_accepted"] {
        assert!(said.contains(name) && !said.contains(&format!("{name}: 0,")), "{said}");
    }
}

/// As much of each flood as the machine makes. The flow is not cut off, and all is as before when it is over.
fn unbounded(net: &str) {
    let stage = stage(net, false);
    let download = stage.download();
    download.rate(Duration::from_secs(1));
    let alone = download.rate(Duration::from_secs(2));
    let before = stage.pump.memory();
    println!("{net}: alone {:.0} Mbit/s, memory {before}", alone * 8e-6);
    // The last one, which fills buffers, twice: what it took is all that it takes.
    for (name, words) in FLOODS.iter().chain(FLOODS.last()) {
        let flood = stage.flood(words);
        download.rate(Duration::from_millis(500));
        let (start, from) = (stage.frames(), Instant::now());
        let beside = download.rate(Duration::from_secs(3));
        let per_second = (stage.frames() - start) as f64 / from.elapsed().as_secs_f64();
        let memory = stage.pump.memory();
        flood.signal("INT");
        let said = flood.wait(Duration::from_secs(5));
        // A sender whose acknowledgments were lost may wait for its timeout.
        let over = Instant::now();
        let mut after = 0.0;
        while after < alone / 2.0 {
            after = download.rate(Duration::from_secs(1));
            assert!(
                over.elapsed() < Duration::from_secs(20),
                "{name}: {after} of {alone} bytes per second afterwards"
            );
        }
        println!(
            "{net}, {name}: {per_second:.0} frames/s, {:.1} Mbit/s ({:.1} %), at half its rate after {:?}, memory {memory}",
            beside * 8e-6,
            100.0 * beside / alone,
            over.elapsed()
        );
        assert!(per_second > 5_000.0, "no flood: {said}");
        assert!(beside >= LEAST, "{name}: {beside} of {alone} bytes per second; {said}");
        assert!(memory <= before + BUFFERS, "{name}: memory grew from {before} to {memory}");
        stage.client.enter(new_connection);
    }
    download.end();
    stage.end(before, BUFFERS);
}

#[test]
fn floods_as_large_as_the_link() {
    flood("packet");
}

#[test]
fn floods_as_fast_as_the_machine() {
    unbounded("packet");
}

#[test]
fn floods_as_fast_as_the_machine_over_af_xdp() {
    unbounded("xdp");
}

#[test]
fn floods_as_large_as_the_link_over_af_xdp() {
    flood("xdp");
}
