//! What IP does beside TCP, with the kernel as peer: fragments, ICMP, groups, routes. Needs root; fails without.
#![cfg(target_os = "linux")]
use airglow_testbed::{Namespace, Process, veth};
use std::{net::UdpSocket, time::Duration};

const LIMIT: Duration = Duration::from_secs(20);

/// A host at 10.0.0.1 and fd00::1, and the example `datagrams` at 10.0.0.2 and fd00::2 on the other end of a veth pair.
fn datagrams(label: &str) -> (Namespace, Namespace, Process) {
    let (host, other) = (Namespace::new(label), Namespace::new("program"));
    veth(&host, "h0", &other, "v0");
    host.address("h0", "10.0.0.1/24");
    host.address("h0", "fd00::1/64");
    let program = airglow_testbed::example("airglow-platform-unix", "datagrams", "dev");
    let words = ["net=packet", "device=v0", "ipv4=10.0.0.2/24", "ipv6=fd00::2/64", "port=7"];
    let mut process = other.start(program, &words);
    process.wait_for("datagrams on port 7", LIMIT);
    (host, other, process)
}

#[test]
fn packets_larger_than_the_link_go_both_ways() {
    let (host, _other, program) = datagrams("fragments");
    for to in ["10.0.0.2", "fd00::2"] {
        for size in ["8000", "65000"] {
            let said = host.run("ping", &["-c", "3", "-i", "0.2", "-W", "2", "-s", size, to]);
            assert!(said.success() && said.stdout.contains(" 0% packet loss"), "{said}");
        }
    }
    host.enter(|| {
        for (from, to) in [("10.0.0.1:0", "10.0.0.2:7"), ("[fd00::1]:0", "[fd00::2]:7")] {
            let socket = UdpSocket::bind(from).unwrap();
            socket.set_read_timeout(Some(LIMIT)).unwrap();
            socket.connect(to).unwrap();
            let mut buf = vec![0; 65_536];
            for len in [1472, 1473, 3000, 8000, 65_507] {
                let question: Vec<u8> = (0..len).map(|i| (i * 7 / 3) as u8).collect();
                socket.send(&question).unwrap();
                let count = socket.recv(&mut buf).unwrap();
                assert!(buf[..count] == question, "{to}, {len} bytes");
            }
        }
    });
    program.signal("TERM");
    assert!(program.wait(LIMIT).success());
}
