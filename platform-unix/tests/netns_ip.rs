//! What IP does beside TCP, with the kernel as peer: fragments, ICMP, groups, routes. Needs root; fails without.
#![cfg(target_os = "linux")]
use airglow_device::{Parameters, Udp, UdpSocket as _};
use airglow_net::{InterfaceConfig, Limits, Stack, tcp::Heap};
use airglow_platform_unix::{Packet, Reactor, SystemEntropy};
use airglow_runtime::{Either, block_on, select, sleep, timeout};
use airglow_testbed::{Namespace, Process, veth};
use std::{
    io::{Read, Write},
    net::{IpAddr, TcpListener, TcpStream, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_secs(20);

type Own<const N: usize> = Stack<'static, Packet, Reactor, Heap, N>;

/// Runs `app` beside a stack of its own over interfaces of `namespace`, each with its boot parameters.
fn on_stack<const N: usize>(
    namespace: &Namespace,
    interfaces: [(&str, &str); N],
    app: impl AsyncFnOnce(&Own<N>, &Reactor) + Send,
) {
    namespace.enter(|| {
        let reactor = Reactor::new().unwrap();
        let cards = interfaces
            .map(|(name, words)| Packet::open(&reactor, name, None, !words.contains("offload=off")).unwrap());
        let stack = Stack::new(cards, reactor.clone(), &SystemEntropy, Limits::default(), Heap::default());
        for (index, (_, words)) in interfaces.iter().enumerate() {
            let config = InterfaceConfig::from_parameters(&Parameters::new(words)).unwrap();
            stack.configure(index, &config).unwrap();
        }
        block_on(&reactor, async {
            let app = async {
                // Duplicates of IPv6 addresses are looked for first.
                let mut ready = false;
                while !ready {
                    sleep(&reactor, Duration::from_millis(100)).await;
                    ready = true;
                    stack.with_addresses(|address| ready &= address.is_usable());
                }
                app(&stack, &reactor).await;
            };
            let app = timeout(&reactor, Duration::from_secs(60), app);
            match select(app, stack.run()).await {
                Either::Left(ended) => assert!(ended.is_ok(), "no end within a minute"),
                Either::Right(never) => match never {},
            }
        });
    });
}

/// Asks again and again until the answer is right.
#[track_caller]
fn eventually(what: &str, mut right: impl FnMut() -> bool) {
    let start = Instant::now();
    while !right() {
        assert!(start.elapsed() < LIMIT, "{what}");
        thread::sleep(Duration::from_millis(100));
    }
}

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
        eventually(to, || host.run("ping", &["-c", "1", "-W", "1", to]).success());
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

/// A bridge that asks for listeners as a multicast router does, and answers pings: it learns of our groups in both versions of IGMP
/// and MLD, forwards what is sent to them, and forgets them when we leave.
#[test]
fn a_switch_learns_of_our_groups() {
    for (igmp, mld) in [("3", "2"), ("2", "1")] {
        let (host, other) = (Namespace::new("switch"), Namespace::new("member"));
        host.ip("link add br0 type bridge mcast_snooping 1 mcast_querier 1 mcast_startup_query_interval 50");
        host.ip(&format!("link set br0 type bridge mcast_igmp_version {igmp} mcast_mld_version {mld}"));
        host.ip("link set br0 type bridge mcast_query_response_interval 50 mcast_last_member_interval 20");
        veth(&host, "h0", &other, "v0");
        host.ip("link set h0 master br0");
        host.ip("link set h0 up");
        host.address("br0", "10.0.0.1/24");
        host.address("br0", "fd00::1/64");
        host.ip("route add 239.0.0.0/8 dev br0");
        let groups = ["239.1.2.3", "ff05::1:3"];
        let listed = |group: &str| {
            let said = host.run("bridge", &["mdb", "show", "dev", "br0"]);
            said.stdout.lines().any(|l| l.contains(group) && l.contains("port h0"))
        };
        let leave = AtomicBool::new(false);
        thread::scope(|scope| {
            let (left, other) = (&leave, &other);
            let member = scope.spawn(move || {
                let words = "ipv4=10.0.0.2/24 ipv6=fd00::2/64";
                on_stack(other, [("v0", words)], async |stack, reactor| {
                    let socket = stack.bind(5353).await.unwrap();
                    for group in groups {
                        socket.join(0, group.parse().unwrap()).unwrap();
                    }
                    // The first datagram to each group is sent back.
                    let mut buf = [0; 100];
                    for _ in groups {
                        let (len, from) = socket.recv_from(&mut buf).await.unwrap();
                        socket.send_to(&buf[..len], from).await.unwrap();
                    }
                    while !left.load(Ordering::Relaxed) {
                        sleep(reactor, Duration::from_millis(50)).await;
                    }
                    for group in groups {
                        socket.leave(0, group.parse().unwrap()).unwrap();
                    }
                    sleep(reactor, Duration::from_secs(3)).await;
                });
            });
            for group in groups {
                eventually(group, || listed(group));
            }
            host.enter(|| {
                for (from, to) in [("10.0.0.1:0", "239.1.2.3:5353"), ("[fd00::1]:0", "[ff05::1:3]:5353")] {
                    let socket = UdpSocket::bind(from).unwrap();
                    socket.set_read_timeout(Some(LIMIT)).unwrap();
                    socket.send_to(to.as_bytes(), to).unwrap();
                    let mut buf = [0; 100];
                    let (len, _) = socket.recv_from(&mut buf).unwrap();
                    assert_eq!(&buf[..len], to.as_bytes());
                }
            });
            leave.store(true, Ordering::Relaxed);
            for group in groups {
                eventually(group, || !listed(group));
            }
            member.join().unwrap();
        });
    }
}

#[test]
fn our_pings_are_answered_and_refusals_are_heard() {
    let (host, other) = (Namespace::new("pinged"), Namespace::new("pinger"));
    veth(&host, "h0", &other, "v0");
    host.address("h0", "10.0.0.1/24");
    host.address("h0", "fd00::1/64");
    let words = "ipv4=10.0.0.2/24 ipv6=fd00::2/64";
    on_stack(&other, [("v0", words)], async |stack, reactor| {
        let ping = stack.ping_socket().unwrap();
        let mut buf = vec![0; 9000];
        for (sequence, to) in ["10.0.0.1", "fd00::1"].into_iter().enumerate() {
            let to: IpAddr = to.parse().unwrap();
            let data: Vec<u8> = (0..8000).map(|i| (i / 7) as u8).collect();
            // The kernel looks for a duplicate of its IPv6 address.
            let mut tries = 0;
            let len = loop {
                tries += 1;
                assert!(tries < 50, "{to} does not answer");
                let _ = ping.send_to(to, sequence as u16, &data).await;
                let answer = timeout(reactor, Duration::from_millis(300), ping.recv_from(&mut buf)).await;
                if let Ok(Ok((len, from, number))) = answer
                    && (from, usize::from(number)) == (to, sequence)
                {
                    break len;
                }
            };
            assert!(buf[..len] == data);

            let socket = stack.bind(0).await.unwrap();
            socket.connect(Some((to, 9).into())).unwrap();
            socket.send_to(b"anyone?", (to, 9).into()).await.unwrap();
            let refused = timeout(reactor, Duration::from_secs(5), socket.recv_from(&mut buf)).await;
            assert_eq!(refused.unwrap(), Err(airglow_net::Error::ConnectionRefused));
        }
    });
}

/// Two hosts with their own networks, and airglow between them; the link on the right is narrower.
#[test]
fn a_router_between_two_linux_hosts() {
    let (left, router, right) = (Namespace::new("left"), Namespace::new("router"), Namespace::new("right"));
    veth(&left, "h0", &router, "r0");
    veth(&right, "h0", &router, "r1");
    router.ip("link set r1 mtu 1400");
    for (host, n) in [(&left, 1), (&right, 2)] {
        host.address("h0", &format!("10.{n}.0.2/24"));
        host.address("h0", &format!("fd00:{n}::2/64"));
        host.ip(&format!("route add default via 10.{n}.0.1"));
        host.ip(&format!("route add default via fd00:{n}::1"));
    }
    right.ip("link set h0 mtu 1400");
    let over = AtomicBool::new(false);
    let words =
        ["ipv4=10.1.0.1/24 ipv6=fd00:1::1/64 slaac=off", "ipv4=10.2.0.1/24 ipv6=fd00:2::1/64 slaac=off"];
    thread::scope(|scope| {
        let (over, router) = (&over, &router);
        let forwarding = scope.spawn(move || {
            on_stack(router, [("r0", words[0]), ("r1", words[1])], async |stack, reactor| {
                stack.set_forwarding(true);
                while !over.load(Ordering::Relaxed) {
                    sleep(reactor, Duration::from_millis(50)).await;
                }
                let stats = stack.ip_stats();
                assert!(stats.forwarded > 1000, "{stats:?}");
            });
        });
        // A test that fails ends the router too.
        let ended = EndsAll(over);
        let ping = |host: &Namespace, words: &[&str]| host.run("ping", words);
        for to in ["10.2.0.2", "fd00:2::2"] {
            eventually(to, || ping(&left, &["-c", "1", "-W", "1", to]).success());
            // In fragments, both ways. IPv6's sender learns the MTU from the first try.
            let said = ping(&left, &["-c", "1", "-W", "1", "-s", "8000", to]);
            assert_eq!(said.stdout.contains("Packet too big: mtu=1400"), to.contains(':'), "{said}");
            let said = ping(&left, &["-c", "3", "-i", "0.2", "-W", "2", "-s", "8000", to]);
            assert!(said.success() && said.stdout.contains(" 0% packet loss"), "{said}");
            // The router is one hop, and says so.
            let said = ping(&left, &["-c", "1", "-W", "2", "-t", "1", to]);
            let hop = if to.contains(':') { "From fd00:1::1" } else { "From 10.1.0.1" };
            assert!(said.stdout.contains(hop) && said.stdout.contains("xceeded"), "{said}");
        }
        // What does not fit the narrower link.
        let said = ping(&left, &["-c", "2", "-i", "0.2", "-W", "2", "-M", "do", "-s", "1450", "10.2.0.2"]);
        assert!(said.stdout.contains("mtu = 1400") || said.stderr.contains("mtu=1400"), "{said}");
        let said = ping(&left, &["-c", "2", "-i", "0.2", "-W", "2", "-M", "do", "-s", "1450", "fd00:2::2"]);
        assert!(said.to_string().contains("mtu"), "{said}");
        let said = ping(&left, &["-c", "1", "-W", "2", "192.0.2.1"]);
        assert!(said.stdout.contains("Destination Net Unreachable"), "{said}");
        let said = ping(&left, &["-c", "1", "-W", "6", "10.2.0.99"]);
        assert!(said.stdout.contains("Destination Host Unreachable"), "{said}");
        // Streams both ways, with the kernels' offloads: coalesced by one card and cut by the other.
        for to in ["10.2.0.2", "fd00:2::2"] {
            let listener = right.enter(|| TcpListener::bind((to.parse::<IpAddr>().unwrap(), 0)).unwrap());
            let to = listener.local_addr().unwrap();
            let server = scope.spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                stream.set_read_timeout(Some(LIMIT)).unwrap();
                let mut got = Vec::new();
                stream.read_to_end(&mut got).unwrap();
                stream.write_all(&got).unwrap();
            });
            let sent: Vec<u8> = (0..50_000_000u32).map(|i| (i / 7 * 31) as u8).collect();
            let mut stream = left.enter(|| TcpStream::connect_timeout(&to, LIMIT).unwrap());
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            stream.write_all(&sent).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut back = Vec::new();
            stream.read_to_end(&mut back).unwrap();
            assert!(back == sent, "{} of {} bytes", back.len(), sent.len());
            server.join().unwrap();
        }
        drop(ended);
        forwarding.join().unwrap();
    });
}

/// The kernel is our router; the next one is on the same link, and it says so (RFC 1122 section 3.2.2.2).
#[test]
fn who_is_nearer_is_gone_to_at_once() {
    let (router, next, ours) = (Namespace::new("router"), Namespace::new("next"), Namespace::new("host"));
    router.ip("link add br0 type bridge mcast_snooping 0");
    for (port, other, interface) in [("p0", &ours, "v0"), ("p1", &next, "n0")] {
        veth(&router, port, other, interface);
        router.silence(port);
        router.ip(&format!("link set {port} master br0"));
    }
    router.address("br0", "10.0.0.1/24");
    next.address("n0", "10.0.0.3/24");
    next.address("lo", "192.0.2.9/32");
    router.ip("route add 192.0.2.0/24 via 10.0.0.3");
    router.set("net/ipv4/ip_forward", "1");
    router.set("net/ipv4/conf/br0/send_redirects", "1");
    let echo = next.enter(|| UdpSocket::bind("192.0.2.9:7").unwrap());
    echo.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    // Packets that the router has passed on.
    let forwarded = || {
        let said = router.run("cat", &["/proc/net/snmp"]).stdout;
        let values = said.lines().filter(|line| line.starts_with("Ip: ")).nth(1).unwrap();
        values.split(' ').nth(6).unwrap().parse::<u64>().unwrap()
    };
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let (over, forwarded) = (&over, &forwarded);
        scope.spawn(move || {
            let mut buf = [0; 100];
            while !over.load(Ordering::Relaxed) {
                if let Ok((len, from)) = echo.recv_from(&mut buf) {
                    echo.send_to(&buf[..len], from).unwrap();
                }
            }
        });
        let _ended = EndsAll(over);
        let words = "ipv4=10.0.0.2/24 gateway=10.0.0.1 ipv6=off";
        on_stack(&ours, [("v0", words)], async |stack, reactor| {
            let socket = stack.bind(0).await.unwrap();
            let mut passed = Vec::new();
            for round in 0..20_u8 {
                socket.send_to(&[round], "192.0.2.9:7".parse().unwrap()).await.unwrap();
                let mut buf = [0; 10];
                let answer = timeout(reactor, Duration::from_secs(5), socket.recv_from(&mut buf)).await;
                assert_eq!(answer.unwrap().unwrap().0, 1);
                assert_eq!(buf[0], round);
                sleep(reactor, Duration::from_millis(20)).await;
                passed.push(forwarded());
            }
            assert!(passed[0] >= 1, "the first goes over the router: {passed:?}");
            assert_eq!(passed[3], passed[19], "and later ones do not: {passed:?}");
        });
    });
}

/// Says that it is over when it is dropped, also by a failure.
struct EndsAll<'a>(&'a AtomicBool);
impl Drop for EndsAll<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Open vSwitch in between: tagged frames of VLAN 5 on our port, untagged ones on the port of a Linux host.
#[test]
fn a_vlan_through_a_switch() {
    let (member, switch, host) =
        (Namespace::new("tagged"), Namespace::new("ovs"), Namespace::new("untagged"));
    veth(&member, "v0", &switch, "s0");
    veth(&host, "h0", &switch, "s1");
    switch.ip("link set s0 up");
    switch.ip("link set s1 up");
    // Its userspace datapath wants checksums that are complete.
    let said = host.run("ethtool", &["-K", "h0", "tx", "off"]);
    assert!(said.success(), "{said}");
    host.address("h0", "10.5.0.2/24");
    host.address("h0", "fd05::2/64");
    let ovs = airglow_testbed::OpenVswitch::new(&switch);
    let words = "add-br br0 -- set bridge br0 datapath_type=netdev \
        -- add-port br0 s0 trunks=5 -- add-port br0 s1 tag=5";
    let said = ovs.vsctl(&words.split_whitespace().collect::<Vec<_>>());
    assert!(said.success(), "{said}");
    on_stack(&member, [("v0", "ipv4=10.1.0.1/24 offload=off")], async |stack, reactor| {
        let vlan = stack.add_vlan(0, 5).unwrap();
        let words = Parameters::new("ipv4=10.5.0.1/24 ipv6=fd05::1/64");
        stack.configure(vlan, &InterfaceConfig::from_parameters(&words).unwrap()).unwrap();
        let ping = stack.ping_socket().unwrap();
        let mut buf = vec![0; 9000];
        for to in ["10.5.0.2", "fd05::2"] {
            let to: IpAddr = to.parse().unwrap();
            let data = [9; 4000];
            let mut tries = 0;
            loop {
                tries += 1;
                assert!(tries < 100, "{to} does not answer");
                let _ = ping.send_to(to, 1, &data).await;
                let answer = timeout(reactor, Duration::from_millis(300), ping.recv_from(&mut buf)).await;
                if let Ok(Ok((len, from, _))) = answer
                    && from == to
                {
                    assert_eq!(buf[..len], data);
                    break;
                }
            }
        }
    });
}
