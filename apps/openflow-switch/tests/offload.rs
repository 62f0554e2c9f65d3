//! Bulk TCP between Linux hosts that leave checksums and segmentation to their cards, across the switch over every kind of card.
use airglow_testbed::{Namespace, Process, program, veth};
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_secs(60);
/// Bytes that go in each direction, a multiple of the pattern's length.
const BULK: usize = 251 * 4096 * 16;
/// The largest frame without offload.
const FRAME: f64 = 1514.0;

/// Two hosts, 10.9.0.1 and 10.9.0.2, at the interfaces `p1` and `p2` of the namespace in the middle.
struct Network {
    hosts: [Namespace; 2],
    middle: Namespace,
}

impl Network {
    fn new() -> Self {
        let middle = Namespace::new("middle");
        let hosts = ["h1", "h2"].map(Namespace::new);
        for (index, host) in hosts.iter().enumerate() {
            let number = index + 1;
            veth(host, "e0", &middle, &format!("p{number}"));
            host.address("e0", &format!("10.9.0.{number}/24"));
            host.ip(&format!("address add fd09::{number}/64 dev e0 nodad"));
            let said = host.run("ethtool", &["-k", "e0"]);
            assert!(said.stdout.contains("tcp-segmentation-offload: on"), "{said}");
        }
        Self { hosts, middle }
    }

    fn switch(&self, words: &[&str]) -> Process {
        let mut process = self.middle.start(program("airglow-openflow-switch", "dev"), words);
        process.wait_for("listening", Duration::from_secs(20));
        process
    }

    /// Sends in both directions, and what arrives is what was sent.
    fn bulk(&self) {
        for (from, to) in [(0, 1), (1, 0)] {
            for address in [format!("10.9.0.{}:7000", to + 1), format!("[fd09::{}]:7000", to + 1)] {
                let listener = self.hosts[to].enter(|| TcpListener::bind(&address).unwrap());
                thread::scope(|scope| {
                    scope.spawn(|| receive(listener.accept().unwrap().0));
                    self.hosts[from].enter(|| send(&address));
                });
            }
        }
    }
}

/// Bytes of a frame that came in at port 1 of the switch that listens in `space`, on average.
fn average(space: &Namespace, at: &str) -> f64 {
    let said = space.run("ovs-ofctl", &["--protocols=OpenFlow13", "dump-ports", at, "1"]);
    let number = |name: &str| -> f64 {
        let found = said.stdout.split_once(name).and_then(|(_, rest)| rest.split([',', '\n']).next());
        found.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{name}: {said}"))
    };
    number("bytes=") / number("rx pkts=")
}

fn pattern() -> Vec<u8> {
    (0..251_u8).cycle().take(251 * 4096).collect()
}

fn send(to: &str) {
    let deadline = Instant::now() + LIMIT;
    let mut stream = loop {
        match TcpStream::connect(to) {
            Ok(stream) => break stream,
            Err(why) => assert!(Instant::now() < deadline, "{to}: {why}"),
        }
        thread::sleep(Duration::from_millis(50));
    };
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let pattern = pattern();
    for _ in 0..BULK / pattern.len() {
        stream.write_all(&pattern).unwrap();
    }
    // The other end has all of it.
    let mut confirmed = [0];
    stream.read_exact(&mut confirmed).unwrap();
}

fn receive(mut stream: TcpStream) {
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let pattern = pattern();
    let mut part = vec![0; pattern.len()];
    for _ in 0..BULK / pattern.len() {
        stream.read_exact(&mut part).unwrap();
        assert!(part == pattern);
    }
    stream.write_all(&[1]).unwrap();
}

#[test]
fn large_frames_pass_between_packet_sockets() {
    let network = Network::new();
    let _switch = network.switch(&["ports=p1,p2", "listen=127.0.0.1:6653", "fail=standalone"]);
    network.bulk();
    let average = average(&network.middle, "tcp:127.0.0.1:6653");
    assert!(average > 2.0 * FRAME, "segments come in coalesced: {average}");
}

#[test]
fn af_xdp_has_no_large_frames_and_completes_checksums() {
    let network = Network::new();
    let _switch = network.switch(&["card=xdp", "ports=p1,p2", "listen=127.0.0.1:6653", "fail=standalone"]);
    network.bulk();
    let average = average(&network.middle, "tcp:127.0.0.1:6653");
    assert!(average <= FRAME, "{average}");
}

/// The hosts' cables and the tap devices are joined by bridges of Linux.
#[test]
fn large_frames_pass_between_tap_devices() {
    let network = Network::new();
    let words = ["card=tap", "ports=t1,t2", "listen=127.0.0.1:6653", "fail=standalone"];
    let _switch = network.switch(&words);
    for number in [1, 2] {
        let (bridge, tap, port) = (format!("b{number}"), format!("t{number}"), format!("p{number}"));
        network.middle.ip(&format!("link add {bridge} type bridge"));
        for interface in [&tap, &port] {
            network.middle.silence(interface);
            network.middle.ip(&format!("link set {interface} master {bridge}"));
        }
        network.middle.silence(&bridge);
    }
    network.bulk();
    let average = average(&network.middle, "tcp:127.0.0.1:6653");
    assert!(average > 2.0 * FRAME, "segments come in coalesced: {average}");
}

/// Two switches, and tagged frames between them: those no card cuts, so the first switch does.
#[test]
fn large_frames_that_get_a_tag_are_cut() {
    let network = Network::new();
    let between = Namespace::new("between");
    veth(&network.middle, "m1", &between, "m2");
    veth(&network.hosts[1], "e1", &between, "p2");
    let far = &network.hosts[1];
    far.ip("link del e0");
    far.address("e1", "10.9.0.2/24");
    far.ip("address add fd09::2/64 dev e1 nodad");
    let _first = network.switch(&["ports=p1,m1", "listen=127.0.0.1:6653"]);
    let mut second =
        between.start(program("airglow-openflow-switch", "dev"), &["ports=m2,p2", "listen=127.0.0.1:6653"]);
    second.wait_for("listening", Duration::from_secs(20));
    let at = "tcp:127.0.0.1:6653";
    // Outside port 2 of the first and port 1 of the second there are tags.
    for (space, tagged, plain) in [(&network.middle, 2, 1), (&between, 1, 2)] {
        for flow in [
            format!("in_port={plain},actions=push_vlan:0x8100,set_field:4103->vlan_vid,output:{tagged}"),
            format!("in_port={tagged},dl_vlan=7,actions=pop_vlan,output:{plain}"),
        ] {
            let said = space.run("ovs-ofctl", &["--protocols=OpenFlow13", "add-flow", at, &flow]);
            assert!(said.success(), "{said}");
        }
    }
    network.bulk();
    let (came, went_on) = (average(&network.middle, at), average(&between, at));
    assert!(came > 2.0 * FRAME && went_on <= FRAME + 4.0, "{came}, {went_on}");
}
