//! Whole stacks on an Ethernet in memory, in virtual time. A future is polled only when its waker was woken, so a lost
//! wake-up is a failure.
use airglow_device::{
    Caps, EthernetSegment, Listener, MacAddr, ManualClock, NetDevice, Read, SeededEntropy, SegmentPort,
    Stream, Tcp, Udp, UdpSocket, Write,
};
use airglow_net::{
    Cidr, Error, InterfaceConfig, IpCidr, Ipv4Config, Limits, RouteEntry, Stack, StackMemory,
    tcp::{Fixed, Heap},
};
use std::{
    future::{Future, poll_fn},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake},
};

struct Flag(AtomicBool);
impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Polls what is woken until the first future ends; when all sleep, time goes on to the next deadline.
fn run(clock: &ManualClock, futures: &mut [Pin<&mut dyn Future<Output = ()>>]) {
    let flags: Vec<_> = futures.iter().map(|_| Arc::new(Flag(AtomicBool::new(true)))).collect();
    let mut done = vec![false; futures.len()];
    for _ in 0..200_000 {
        let mut any = false;
        for (index, flag) in flags.iter().enumerate() {
            if done[index] || !flag.0.swap(false, Ordering::SeqCst) {
                continue;
            }
            any = true;
            let waker = flag.clone().into();
            done[index] = futures[index].as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
            if done[0] {
                return;
            }
        }
        assert!(any || clock.advance_to_next(), "everybody sleeps for ever");
    }
    panic!("no end in sight");
}

type Host<'c> = Stack<'static, SegmentPort, &'c ManualClock, Heap>;

fn host<'c>(segment: &EthernetSegment, clock: &'c ManualClock, number: u8, caps: Caps) -> Host<'c> {
    let card = segment.join(MacAddr([2, 0, 0, 0, 0, number]), caps);
    let entropy = SeededEntropy::predictable(number.into());
    let stack = Stack::new([card], clock, &entropy, Limits::default(), Heap::default());
    let address = Cidr::new(Ipv4Addr::new(10, 0, 0, number), 24);
    stack.configure(0, &InterfaceConfig::ipv4(Ipv4Config::new(address))).unwrap();
    stack
}

fn ip(number: u8, port: u16) -> SocketAddr {
    ([10, 0, 0, number], port).into()
}

async fn ask<'c>(stack: &Host<'c>, to: SocketAddr, question: &[u8]) -> Vec<u8> {
    let socket = stack.bind(0).await.unwrap();
    socket.send_to(question, to).await.unwrap();
    let mut buf = [0; 1500];
    let (len, from) = socket.recv_from(&mut buf).await.unwrap();
    assert_eq!(from, to);
    buf[..len].to_vec()
}

/// Runs two hosts' stacks beside what they do, until the client is done.
fn pair<'c>(
    clock: &'c ManualClock,
    client: (&Host<'c>, impl Future<Output = ()>),
    server: (&Host<'c>, impl Future<Output = ()>),
) {
    let mut runs =
        (pin!(async { match client.0.run().await {} }), pin!(async { match server.0.run().await {} }));
    let mut tasks = (pin!(client.1), pin!(server.1));
    run(clock, &mut [tasks.0.as_mut(), runs.0.as_mut(), runs.1.as_mut(), tasks.1.as_mut()]);
}

#[test]
fn sockets_talk_over_both_versions_with_and_without_offload() {
    for caps in [Caps::new(1500), Caps::new(1500).with_checksums(true, true)] {
        let (segment, clock) = (EthernetSegment::new(), ManualClock::new());
        let (a, b) = (host(&segment, &clock, 1, caps), host(&segment, &clock, 2, caps));
        let echo = async {
            let socket = b.bind(7).await.unwrap();
            assert_eq!(socket.local().port(), 7);
            let mut buf = [0; 1500];
            loop {
                let (len, from) = socket.recv_from(&mut buf).await.unwrap();
                socket.send_to(&buf[..len], from).await.unwrap();
            }
        };
        let client = async {
            assert_eq!(ask(&a, ip(2, 7), b"hello").await, b"hello");
            assert_eq!(ask(&a, ip(2, 7), &[9; 1472]).await, [9; 1472]);
            // Duplicate address detection takes its time.
            let link_local = "[fe80::ff:fe00:2]:7".parse::<SocketAddr>().unwrap();
            let socket = a.bind(0).await.unwrap();
            loop {
                match socket.send_to(b"six", link_local).await {
                    Err(Error::NoRoute) => wait(&clock, 500).await,
                    sent => break sent.unwrap(),
                }
            }
            wait(&clock, 3000).await;
            socket.send_to(b"six", link_local).await.unwrap();
            let mut buf = [0; 100];
            let (len, from) = socket.recv_from(&mut buf).await.unwrap();
            assert_eq!((&buf[..len], from.ip(), from.port()), (&b"six"[..], link_local.ip(), 7));
        };
        pair(&clock, (&a, client), (&b, echo));
    }
}

async fn wait(clock: &ManualClock, millis: u64) {
    use airglow_device::{Clock, Timer};
    let until = clock.now() + std::time::Duration::from_millis(millis);
    poll_fn(|cx| {
        if clock.now() >= until {
            return Poll::Ready(());
        }
        clock.wake_at(until, cx.waker());
        Poll::Pending
    })
    .await;
}

#[test]
fn services_answer_in_place_one_drives_and_others_take_over() {
    let (segment, clock) = (EthernetSegment::new(), ManualClock::new());
    let caps = Caps::new(1500);
    let (a, b) = (host(&segment, &clock, 1, caps), host(&segment, &clock, 2, caps));
    let stop = AtomicBool::new(false);
    let reverse = |_: SocketAddr, question: &[u8], reply: &mut [u8]| {
        let reply = reply.get_mut(..question.len())?;
        reply.copy_from_slice(question);
        reply.reverse();
        Some(question.len())
    };
    // Two services; the first ends in the middle, then the second must drive, and it ends too: then the run task.
    let service = |port: u16, until: &'static str| {
        let (b, stop, clock) = (&b, &stop, &clock);
        async move {
            let respond = b.respond(port, reverse);
            let mut respond = pin!(respond);
            let mut tick = pin!(async {
                while !stop.load(Ordering::SeqCst) {
                    wait(clock, 10).await;
                }
            });
            poll_fn(|cx| {
                let _ = respond.as_mut().poll(cx).map(|end| panic!("{until}: {end:?}"));
                tick.as_mut().poll(cx)
            })
            .await;
        }
    };
    let forever = async {
        // Another port, bound by an ordinary socket while services drive.
        let socket = b.bind(7).await.unwrap();
        let mut buf = [0; 100];
        loop {
            let (len, from) = socket.recv_from(&mut buf).await.unwrap();
            socket.send_to(&buf[..len], from).await.unwrap();
        }
    };
    let mut first = pin!(service(53, "first"));
    let mut second = pin!(async {
        match b.respond(54, reverse).await {
            Ok(never) => match never {},
            Err(e) => panic!("{e}"),
        }
    });
    let mut client = pin!(async {
        assert_eq!(ask(&a, ip(2, 53), b"abc").await, b"cba");
        assert_eq!(ask(&a, ip(2, 54), b"def").await, b"fed");
        assert_eq!(ask(&a, ip(2, 7), b"xyz").await, b"xyz");
        stop.store(true, Ordering::SeqCst);
        wait(&clock, 100).await;
        assert_eq!(ask(&a, ip(2, 54), b"ghi").await, b"ihg");
        assert_eq!(ask(&a, ip(2, 7), b"xyz").await, b"xyz");
    });
    let mut runs = (pin!(async { match a.run().await {} }), pin!(async { match b.run().await {} }));
    let mut forever = pin!(forever);
    run(
        &clock,
        &mut [
            client.as_mut(),
            runs.0.as_mut(),
            runs.1.as_mut(),
            first.as_mut(),
            second.as_mut(),
            forever.as_mut(),
        ],
    );
    assert_eq!(b.ip_stats().no_port, 0);
}

#[test]
fn the_run_task_takes_over_from_a_service_that_ends() {
    let (segment, clock) = (EthernetSegment::new(), ManualClock::new());
    let caps = Caps::new(1500);
    let (a, b) = (host(&segment, &clock, 1, caps), host(&segment, &clock, 2, caps));
    let server = async {
        // By now every timer of the stack has run out, and only the device could wake the run task.
        wait(&clock, 60_000).await;
        let mut service = Box::pin(b.respond(53, |_: SocketAddr, _: &[u8], _: &mut [u8]| Some(3)));
        let mut end = pin!(wait(&clock, 1000));
        poll_fn(|cx| {
            let _ = service.as_mut().poll(cx).map(|end| panic!("{end:?}"));
            end.as_mut().poll(cx)
        })
        .await;
        drop(service);
        wait(&clock, 60_000).await;
    };
    let client = async {
        wait(&clock, 60_500).await;
        assert_eq!(ask(&a, ip(2, 53), b"").await.len(), 3);
        wait(&clock, 10_000).await;
        let socket = a.bind(0).await.unwrap();
        socket.send_to(b"anybody?", ip(2, 9)).await.unwrap();
        wait(&clock, 10_000).await;
        assert_eq!(b.ip_stats().no_port, 1, "the service is gone and the stack still hears");
    };
    pair(&clock, (&a, client), (&b, server));
}

#[test]
fn a_sender_waits_for_room_in_the_ring() {
    let (segment, clock) = (EthernetSegment::new(), ManualClock::new());
    let caps = Caps::new(1500);
    let (a, b) = (host(&segment, &clock, 1, caps), host(&segment, &clock, 2, caps));
    let got = std::cell::Cell::new(0);
    let sink = async {
        let socket = b.bind(7).await.unwrap();
        loop {
            socket.recv_from(&mut [0; 1500]).await.unwrap();
            got.set(got.get() + 1);
        }
    };
    let client = async {
        let socket = a.bind(0).await.unwrap();
        wait(&clock, 5000).await;
        socket.send_to(b"who are you?", ip(2, 7)).await.unwrap();
        wait(&clock, 100).await;
        for _ in 0..1000 {
            socket.send_to(&[1; 1000], ip(2, 7)).await.unwrap();
        }
        wait(&clock, 100).await;
        assert_eq!(got.get(), 1001, "far more than the ring holds, and none is lost");
    };
    pair(&clock, (&a, client), (&b, sink));
}

#[test]
fn tasks_that_wait_for_room_on_one_socket_forget_none() {
    let (segment, clock) = (EthernetSegment::new(), ManualClock::new());
    let caps = Caps::new(1500);
    let (a, b) = (host(&segment, &clock, 1, caps), host(&segment, &clock, 2, caps));
    let mut bind = pin!(a.bind(0));
    let bound = bind.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()));
    let Poll::Ready(Ok(socket)) = bound else { panic!("bind does not wait") };
    let ended = std::cell::Cell::new(0);
    let burst = async || {
        wait(&clock, 5000).await;
        for _ in 0..500 {
            socket.send_to(&[2; 1000], ip(2, 9)).await.unwrap();
        }
        ended.set(ended.get() + 1);
    };
    let mut client = pin!(async {
        socket.send_to(b"who are you?", ip(2, 9)).await.unwrap();
        while ended.get() < 2 {
            wait(&clock, 10_000).await;
        }
    });
    let mut runs = (pin!(async { match a.run().await {} }), pin!(async { match b.run().await {} }));
    let mut bursts = (pin!(burst()), pin!(burst()));
    run(
        &clock,
        &mut [client.as_mut(), bursts.0.as_mut(), bursts.1.as_mut(), runs.0.as_mut(), runs.1.as_mut()],
    );
    assert_eq!(b.ip_stats().no_port, 1001);
}

#[test]
fn streams_cross_the_whole_stack() {
    let caps = [
        Caps::new(1500),
        Caps::new(1500).with_checksums(true, true),
        Caps::new(1500).with_checksums(true, true).with_tso(65_000, 65_000),
    ];
    for caps in caps {
        let (segment, clock) = (EthernetSegment::new(), ManualClock::new());
        let (a, b) = (host(&segment, &clock, 1, caps), host(&segment, &clock, 2, caps));
        let sent: Vec<u8> = (0..300_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
        let server = async {
            let listener = b.listen(80).await.unwrap();
            let mut stream = listener.accept().await.unwrap();
            stream.write_all(&sent).await.unwrap();
            stream.close().await.unwrap();
            wait(&clock, 60_000).await;
        };
        let client = async {
            let mut stream = a.connect(ip(2, 80)).await.unwrap();
            let mut got = Vec::new();
            let mut buf = [0; 4096];
            loop {
                match stream.read(&mut buf).await.unwrap() {
                    0 => break,
                    len => got.extend_from_slice(&buf[..len]),
                }
            }
            assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
            let refused = a.connect(ip(2, 81)).await.map(|_| ());
            assert_eq!(refused, Err(Error::ConnectionRefused));
        };
        pair(&clock, (&a, client), (&b, server));
    }
}

/// A stack with memory of its own and two cards; what it sends goes out on the right one.
#[test]
fn several_interfaces_without_allocation() {
    let (left, right, clock) = (EthernetSegment::new(), EthernetSegment::new(), ManualClock::new());
    let mut memory = StackMemory::<2, 6, 8, 8, 2, 1024, 2>::new();
    let cards = [
        left.join(MacAddr([2, 0, 0, 0, 1, 1]), Caps::new(1500)),
        right.join(MacAddr([2, 0, 0, 0, 1, 2]), Caps::new(1500)),
    ];
    let entropy = SeededEntropy::predictable(9);
    let stack: Stack<'_, _, _, Fixed<2, 1024, 1024>, 2> =
        Stack::new(cards, &clock, &entropy, &mut memory, Fixed::new());
    for (interface, third) in [(0, 1), (1, 2)] {
        let address = Cidr::new(Ipv4Addr::new(10, 0, third, 1), 24);
        let config = InterfaceConfig {
            ipv6_enabled: false,
            slaac: false,
            ..InterfaceConfig::ipv4(Ipv4Config::new(address))
        };
        stack.configure(interface, &config).unwrap();
    }
    assert_eq!(stack.configure(2, &InterfaceConfig::default()), Err(Error::NoInterface));
    let behind: IpCidr = "192.0.2.0/24".parse().unwrap();
    stack.add_route(RouteEntry::new(behind, Ipv4Addr::new(10, 0, 2, 9).into(), 1)).unwrap();

    let peer = |segment: &EthernetSegment, third: u8| {
        let card = segment.join(MacAddr([2, 0, 0, 0, third, 9]), Caps::new(1500));
        let stack = Stack::new([card], &clock, &entropy, Limits::default(), Heap::default());
        let address = Cidr::new(Ipv4Addr::new(10, 0, third, 9), 24);
        let gateway = Ipv4Addr::new(10, 0, third, 1);
        stack.configure(0, &InterfaceConfig::ipv4(Ipv4Config::new(address).with_gateway(gateway))).unwrap();
        stack
    };
    let (a, b) = (peer(&left, 1), peer(&right, 2));
    b.configure(
        0,
        &InterfaceConfig {
            ipv6_enabled: false,
            slaac: false,
            ..InterfaceConfig::ipv4(Ipv4Config::new("192.0.2.1/24".parse().unwrap()))
        },
    )
    .unwrap();
    async fn serve<'c>(stack: &Host<'c>) {
        let socket = stack.bind(7).await.unwrap();
        let mut buf = [0; 100];
        loop {
            let (len, from) = socket.recv_from(&mut buf).await.unwrap();
            socket.send_to(&buf[..len], from).await.unwrap();
        }
    }
    let mut client = pin!(async {
        let socket = stack.bind(0).await.unwrap();
        for to in ["10.0.1.9:7", "10.0.2.9:7", "192.0.2.1:7"] {
            let to: SocketAddr = to.parse().unwrap();
            socket.send_to(b"hi", to).await.unwrap();
            assert_eq!(socket.recv_from(&mut [0; 10]).await.unwrap(), (2, to));
        }
        assert_eq!(socket.send_to(b"hi", ([203, 0, 113, 1], 7).into()).await, Err(Error::NoRoute));
        // The strong host model: the other interface's address is not ours here.
        let other = a.bind(0).await.unwrap();
        other.send_to(b"hi", ([10, 0, 2, 1], 9).into()).await.unwrap();
        wait(&clock, 100).await;
    });
    let mut runs = (
        pin!(async { match stack.run().await {} }),
        pin!(async { match a.run().await {} }),
        pin!(async { match b.run().await {} }),
    );
    // In place, the answer comes from the address that was asked.
    let mut echoes = (
        pin!(serve(&a)),
        pin!(async {
            let echo = |_: SocketAddr, question: &[u8], reply: &mut [u8]| {
                reply[..question.len()].copy_from_slice(question);
                Some(question.len())
            };
            match b.respond(7, echo).await {
                Ok(never) => match never {},
                Err(error) => panic!("{error}"),
            }
        }),
    );
    run(
        &clock,
        &mut [
            client.as_mut(),
            runs.0.as_mut(),
            runs.1.as_mut(),
            runs.2.as_mut(),
            echoes.0.as_mut(),
            echoes.1.as_mut(),
        ],
    );
    assert_eq!(stack.ip_stats().bad_address, 1);
    let mut own = Vec::new();
    stack.with_addresses(|address| own.push(address.cidr.to_string()));
    assert_eq!(own, ["10.0.1.1/24", "10.0.2.1/24"]);
}

#[test]
fn with_dhcp_the_address_that_is_waited_for_is_the_server_s() {
    let (segment, clock) = (EthernetSegment::new(), ManualClock::new());
    let a = host(&segment, &clock, 1, Caps::new(1500));
    a.configure(0, &InterfaceConfig { ipv6_enabled: false, slaac: false, ..InterfaceConfig::dhcp() })
        .unwrap();
    let mut run_a = pin!(async { match a.run().await {} });
    let mut address = pin!(a.wait_address());
    let mut waiting = pin!(async {
        let mut end = pin!(wait(&clock, 20_000));
        poll_fn(|cx| {
            assert!(address.as_mut().poll(cx).is_pending(), "the static address is not what was asked for");
            end.as_mut().poll(cx)
        })
        .await;
    });
    run(&clock, &mut [waiting.as_mut(), run_a.as_mut()]);
}

#[test]
fn the_device_hears_of_groups_and_the_address_is_waited_for() {
    let (segment, clock) = (EthernetSegment::new(), ManualClock::new());
    let a = host(&segment, &clock, 1, Caps::new(1500));
    let mut run_a = pin!(async { match a.run().await {} });
    let mut waiting = pin!(async {
        assert_eq!(a.wait_address().await, IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));
        wait(&clock, 2000).await;
    });
    run(&clock, &mut [waiting.as_mut(), run_a.as_mut()]);
    // A frame to a group that nobody joined does not reach the stack; one to all nodes does.
    let mut other = segment.join(MacAddr([2, 0, 0, 0, 0, 7]), Caps::new(1500));
    let before = a.device_stats(0).unwrap().rx_frames;
    for group in [[0x33, 0x33, 0, 0, 0, 5], [0x33, 0x33, 0, 0, 0, 1]] {
        use airglow_device::NetTx;
        let tx = other.split().1;
        tx.transmit(60, |frame| {
            frame.bytes.fill(0);
            frame.bytes[..6].copy_from_slice(&group);
        })
        .unwrap();
        tx.flush();
    }
    let mut waiting = pin!(wait(&clock, 100));
    let mut run_a = pin!(async { match a.run().await {} });
    run(&clock, &mut [waiting.as_mut(), run_a.as_mut()]);
    assert_eq!(a.device_stats(0).unwrap().rx_frames, before + 1);
}

/// A name with four addresses of which one lives: it is found in the time of two delays, the other attempts given up.
#[test]
fn the_address_that_answers_is_found() {
    let (segment, clock) = (EthernetSegment::new(), ManualClock::new());
    let (a, b) = (host(&segment, &clock, 1, Caps::new(1500)), host(&segment, &clock, 2, Caps::new(1500)));
    let server = async {
        let listener = b.listen(80).await.unwrap();
        loop {
            let mut stream = listener.accept().await.unwrap();
            let _ = stream.write_all(b"here").await;
            let _ = stream.close().await;
        }
    };
    let client = async {
        // One that no route leads to, two that are not there, and the living one.
        let mut addresses =
            ["10.0.0.98", "10.0.0.99", "10.0.0.2", "2001:db8::1"].map(|a| a.parse::<IpAddr>().unwrap());
        a.sort_destinations(&mut addresses);
        assert_eq!(addresses[3], "2001:db8::1".parse::<IpAddr>().unwrap(), "no source, no chance");
        let start = airglow_device::Clock::now(&&clock);
        let mut stream = airglow_net::happy_eyeballs::connect(&a, &&clock, 80, &addresses).await.unwrap();
        let took = airglow_device::Clock::now(&&clock).since(start);
        assert!((500..600).contains(&took.as_millis()), "{took:?}");
        assert_eq!(stream.peer(), Some(ip(2, 80)));
        let mut buf = [0; 4];
        stream.read(&mut buf).await.unwrap();
        assert_eq!(&buf, b"here");
        // When none lives the last error comes, and without addresses none.
        let none = airglow_net::happy_eyeballs::connect(&a, &&clock, 80, &addresses[3..]).await;
        assert!(matches!(none, Err(Some(Error::NoRoute))));
        assert!(matches!(airglow_net::happy_eyeballs::connect(&a, &&clock, 80, &[]).await, Err(None)));
    };
    pair(&clock, (&a, client), (&b, server));
}

#[test]
fn what_is_no_single_host_is_not_connected_to() {
    let (segment, clock) = (EthernetSegment::new(), ManualClock::new());
    let (a, b) = (host(&segment, &clock, 1, Caps::new(1500)), host(&segment, &clock, 2, Caps::new(1500)));
    let client = async {
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.1
        //= type=test
        //# A TCP implementation MUST reject as an error a local OPEN call for an invalid remote IP address
        //# (e.g., a broadcast or multicast address) (MUST-46).
        for address in ["255.255.255.255:80", "10.0.0.255:80", "224.0.0.1:80", "[ff02::1]:80", "0.0.0.0:80"] {
            let refused = a.connect(address.parse().unwrap()).await;
            assert!(matches!(refused, Err(Error::NoRoute | Error::InvalidInput)), "{address}");
        }
    };
    pair(&clock, (&a, client), (&b, std::future::pending()));
}

/// The acknowledgment waits for the turn of the task that was woken to read: what that says goes with it.
#[test]
fn an_end_is_answered_with_an_end_in_one_segment() {
    let (segment, clock) = (EthernetSegment::new(), ManualClock::new());
    let (a, b) = (host(&segment, &clock, 1, Caps::new(1500)), host(&segment, &clock, 2, Caps::new(1500)));
    let server = async {
        let listener = b.listen(9).await.unwrap();
        loop {
            let mut stream = listener.accept().await.unwrap();
            while stream.read(&mut [0; 100]).await.unwrap() > 0 {}
            stream.close().await.unwrap();
        }
    };
    let client = async {
        for _ in 0..2 {
            let before = b.tcp_stats().segments_sent;
            let mut stream = a.connect(ip(2, 9)).await.unwrap();
            stream.write_all(b"a").await.unwrap();
            stream.close().await.unwrap();
            assert_eq!(stream.read(&mut [0; 1]).await, Ok(0));
            assert_eq!(b.tcp_stats().segments_sent - before, 2, "SYN,ACK and FIN,ACK");
        }
        // A task that says nothing does not hold the acknowledgment up beyond its turn.
        let start = airglow_device::Clock::now(&&clock);
        let mut silent = a.connect(ip(2, 9)).await.unwrap();
        silent.write_all(&[0; 2 * 1460]).await.unwrap();
        while silent.info().unwrap().in_flight > 0 {
            wait(&clock, 1).await;
        }
        assert!(airglow_device::Clock::now(&&clock).since(start).as_millis() < 5);
    };
    pair(&clock, (&a, client), (&b, server));
}
