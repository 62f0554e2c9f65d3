//! The AF_XDP card as a device, without a stack: frames, checksums, batches, links, a flood, refusals, and what is left behind. Needs root;
//! fails without.
#![cfg(target_os = "linux")]
use airglow_device::{Clock, LinkState, MacAddr, NetDevice, NetRx, NetTx, RxMeta, TxMeta};
use airglow_platform_unix::{Packet, Reactor, Xdp};
use airglow_testbed::{Namespace, Process, Said, example};
use std::{net::UdpSocket, time::Duration};

mod cards;
mod strict;
use cards::{cable, collect, enter, eventually, experiment, ipv4, is_experiment, send, sum, udp, wait_link};
use strict::LIMIT;

fn xdp(reactor: &Reactor, namespace: &Namespace, interface: &str, offload: bool) -> Xdp {
    enter(namespace, || Xdp::open(reactor, interface, None, offload).unwrap())
}

#[test]
fn frames_pass_whole_in_order_and_in_batches() {
    let (left, right) = cable();
    let reactor = Reactor::new().unwrap();
    let mut a = xdp(&reactor, &left, "l0", true);
    let mut b = xdp(&reactor, &right, "r0", true);
    assert_eq!(a.caps().mtu, 1500);
    assert!(!a.is_zero_copy(), "a veth pair copies");
    // More than the places there are, so that each is used again.
    const COUNT: usize = 5000;
    let mut all = Vec::new();
    for number in 0..COUNT {
        let len = 46 + (number * 37) % 1455;
        let mut payload = (number as u32).to_be_bytes().to_vec();
        payload.resize(len, number as u8);
        assert!(a.split().1.capacity() > 0);
        send(&experiment(b.mac(), a.mac(), &payload), TxMeta::NONE, &mut a);
        // A veth pair holds 256 frames on their way.
        if number % 100 == 99 {
            a.split().1.flush();
            all.extend(collect(&reactor, &mut b, 100, is_experiment));
        }
    }
    assert_eq!(all.len(), COUNT);
    for (number, (frame, meta)) in all.iter().enumerate() {
        assert_eq!(frame[14..18], (number as u32).to_be_bytes());
        assert_eq!(frame.len(), 14 + 46 + (number * 37) % 1455);
        assert!(frame[18..].iter().all(|byte| *byte == number as u8));
        assert_eq!(*meta, RxMeta::new(false, 0));
    }
    assert_eq!(a.stats().tx_frames, COUNT as u64);
    assert_eq!(a.stats().tx_bytes, all.iter().map(|(frame, _)| frame.len() as u64).sum::<u64>());
    assert!(b.stats().rx_frames >= COUNT as u64 && b.stats().rx_dropped == 0);
    // Our own frames do not come back.
    a.split().0.receive(64, |frame, _| assert!(!is_experiment(frame)));
}

#[test]
fn a_shortened_frame_is_short_and_an_empty_one_is_none() {
    let (left, right) = cable();
    let reactor = Reactor::new().unwrap();
    let mut a = xdp(&reactor, &left, "l0", true);
    let mut b = xdp(&reactor, &right, "r0", true);
    let frame = experiment(b.mac(), a.mac(), &[1; 100]);
    let capacity = a.split().1.capacity();
    for len in [0, 60, 0, 114] {
        let sent = a.split().1.transmit(frame.len(), |slot| {
            slot.bytes.copy_from_slice(&frame);
            slot.len = len;
        });
        sent.unwrap();
    }
    assert_eq!(a.split().1.capacity(), capacity - 2);
    a.split().1.flush();
    let lens: Vec<_> =
        collect(&reactor, &mut b, 2, is_experiment).iter().map(|(frame, _)| frame.len()).collect();
    assert_eq!(lens, [60, 114]);
    // Longer than any frame here: refused, and nothing is filled.
    assert!(a.split().1.transmit(1519, |_| unreachable!()).is_err());
    // The places come back.
    eventually(|| {
        a.split().1.flush();
        (a.split().1.capacity() == capacity).then_some(())
    });
}

#[test]
fn no_more_is_taken_than_there_is_room_for() {
    let (left, right) = cable();
    let reactor = Reactor::new().unwrap();
    let mut a = xdp(&reactor, &left, "l0", true);
    let frame = experiment(MacAddr::BROADCAST, a.mac(), &[1; 100]);
    // Without a cable frames are lost, and with the interface off they stay.
    right.ip("link set r0 down");
    wait_link(&reactor, &mut a, LinkState::Down);
    send(&frame, TxMeta::NONE, &mut a);
    a.split().1.flush();
    assert_eq!(a.stats().tx_dropped, 1);
    left.ip("link set l0 down");
    let mut taken = 0;
    while a.split().1.transmit(frame.len(), |slot| slot.bytes.copy_from_slice(&frame)).is_ok() {
        taken += 1;
        assert!(taken <= 100_000);
    }
    assert!(taken > 1000 && a.split().1.capacity() == 0, "{taken}");
    right.ip("link set r0 up");
    left.ip("link set l0 up");
    wait_link(&reactor, &mut a, LinkState::Up);
    eventually(|| {
        a.split().1.flush();
        (a.split().1.capacity() > 1000).then_some(())
    });
}

#[test]
fn checksums_left_to_the_receiver_are_recognised() {
    let (left, right) = cable();
    let reactor = Reactor::new().unwrap();
    let mut a = xdp(&reactor, &left, "l0", true);
    let mut b = xdp(&reactor, &right, "r0", true);
    let partial =
        ipv4(b.mac(), a.mac(), 17, [10, 0, 0, 1], [10, 0, 0, 2], udp(1000, 2000, b"checked later"), 6);
    send(&partial, TxMeta::checksum(34, 6), &mut a);
    a.split().1.flush();
    let is_ipv4 = |frame: &[u8]| frame[12..14] == [8, 0];
    let (mut frame, meta) = collect(&reactor, &mut b, 1, is_ipv4).remove(0);
    if a.caps().checksums.tx {
        // The wire is a memory: it arrives as it was handed over.
        assert_eq!((&frame, meta), (&partial, RxMeta::new(true, 0)));
        airglow_device::complete_checksum(&mut frame, TxMeta::checksum(34, 6));
    }
    let complete = |frame: &[u8]| {
        let pseudo = [&frame[26..34], &[0, 17], &frame[38..40]].concat();
        sum(&[&pseudo, &frame[34..]].concat()) == 0xffff
    };
    assert!(complete(&frame));
    // One that is complete is nobody's word, and a damaged one neither.
    send(&frame, TxMeta::NONE, &mut a);
    frame[50] ^= 1;
    send(&frame, TxMeta::NONE, &mut a);
    a.split().1.flush();
    for (_, meta) in collect(&reactor, &mut b, 2, is_ipv4) {
        assert!(!meta.checksum_ok);
    }
    // The host's stack at the other end leaves its own to us in the same way.
    drop(a);
    left.address("l0", "10.0.0.1/24");
    left.ip(&format!("neighbor replace 10.0.0.2 lladdr {} dev l0", b.mac()));
    let socket = enter(&left, || UdpSocket::bind("10.0.0.1:2000").unwrap());
    socket.send_to(b"from the kernel", "10.0.0.2:1000").unwrap();
    let is_udp = |frame: &[u8]| frame[12..14] == [8, 0] && frame[23] == 17 && frame.ends_with(b"kernel");
    let (frame, meta) = collect(&reactor, &mut b, 1, is_udp).remove(0);
    assert!(meta.checksum_ok && !complete(&frame));
    // Without offload they are completed on arrival, and on leaving.
    drop(b);
    let mut b = xdp(&reactor, &right, "r0", false);
    assert!(!b.caps().checksums.rx && !b.caps().checksums.tx);
    socket.send_to(b"from the kernel", "10.0.0.2:1000").unwrap();
    let (frame, meta) = collect(&reactor, &mut b, 1, is_udp).remove(0);
    assert!(!meta.checksum_ok && complete(&frame));
}

#[test]
fn packet_sockets_and_tags_get_along() {
    let (left, right) = cable();
    let reactor = Reactor::new().unwrap();
    let mut a = enter(&left, || Packet::open(&reactor, "l0", None, true).unwrap());
    let mut b = xdp(&reactor, &right, "r0", true);
    let mut tagged = experiment(b.mac(), a.mac(), &[9; 1500]);
    tagged.splice(12..12, [0x81, 0x00, 0x60, 0x2a]);
    send(&tagged, TxMeta::NONE, &mut b);
    b.split().1.flush();
    assert_eq!(collect(&reactor, &mut a, 1, |frame| frame[12..14] == [0x81, 0]).remove(0).0, tagged);
    let plain = experiment(b.mac(), a.mac(), &[7; 1500]);
    send(&plain, TxMeta::NONE, &mut a);
    a.split().1.flush();
    assert_eq!(collect(&reactor, &mut b, 1, is_experiment).remove(0).0, plain);
}

#[test]
fn a_card_with_another_address_and_one_that_passes_on_hear_all() {
    let (left, right) = cable();
    let reactor = Reactor::new().unwrap();
    let mac: MacAddr = "02:00:00:00:00:77".parse().unwrap();
    let mut a = xdp(&reactor, &left, "l0", true);
    let mut b = enter(&right, || Xdp::open(&reactor, "r0", Some(mac), true).unwrap());
    assert_eq!(b.mac(), mac);
    send(&experiment(mac, a.mac(), &[1; 60]), TxMeta::NONE, &mut a);
    a.split().1.flush();
    assert_eq!(collect(&reactor, &mut b, 1, is_experiment).len(), 1);
    drop(b);
    let mut b = enter(&right, || Xdp::open_promiscuous(&reactor, "r0", false).unwrap());
    assert!(b.mac() != mac && b.mac().is_unicast());
    send(&experiment(mac, a.mac(), &[1; 60]), TxMeta::NONE, &mut a);
    a.split().1.flush();
    assert_eq!(collect(&reactor, &mut b, 1, is_experiment).len(), 1);
}

#[test]
fn every_queue_is_heard() {
    let (left, right) = (Namespace::new("left"), Namespace::new("right"));
    let two = "numtxqueues 2 numrxqueues 2";
    left.ip(&format!("link add l0 {two} type veth peer name r0 {two} netns {}", right.name()));
    right.silence("r0");
    let reactor = Reactor::new().unwrap();
    let mut b = xdp(&reactor, &right, "r0", true);
    // The kernel at the other end spreads flows over its queues, and a veth pair ours likewise.
    left.address("l0", "10.0.0.1/24");
    left.ip(&format!("neighbor replace 10.0.0.2 lladdr {} dev l0", b.mac()));
    let sockets: Vec<_> = (0..32).map(|_| enter(&left, || UdpSocket::bind("10.0.0.1:0").unwrap())).collect();
    for socket in &sockets {
        socket.send_to(b"one of many", "10.0.0.2:1000").unwrap();
    }
    collect(&reactor, &mut b, sockets.len(), |frame| frame.ends_with(b"one of many"));
    let queues = right.run("ethtool", &["-l", "r0"]).stdout;
    assert!(queues.lines().any(|line| line == "RX:\t\t2"), "{queues}");
}

#[test]
fn the_link_goes_down_and_up_and_wakes() {
    let (left, right) = cable();
    let reactor = Reactor::new().unwrap();
    let mut a = xdp(&reactor, &left, "l0", true);
    wait_link(&reactor, &mut a, LinkState::Up);
    right.ip("link set r0 down");
    wait_link(&reactor, &mut a, LinkState::Down);
    right.ip("link set r0 up");
    wait_link(&reactor, &mut a, LinkState::Up);
    // And frames pass again.
    let mut b = xdp(&reactor, &right, "r0", true);
    send(&experiment(a.mac(), b.mac(), &[1; 60]), TxMeta::NONE, &mut b);
    b.split().1.flush();
    assert_eq!(collect(&reactor, &mut a, 1, is_experiment).len(), 1);
}

#[test]
fn a_flood_is_bounded_and_counted() {
    let (left, right) = cable();
    let reactor = Reactor::new().unwrap();
    let mut a = xdp(&reactor, &left, "l0", true);
    let mut b = xdp(&reactor, &right, "r0", true);
    let frame = experiment(b.mac(), a.mac(), &[1; 1400]);
    let start = reactor.now();
    // Nobody looks: what is beyond the places is lost and counted.
    while b.stats().rx_dropped == 0 {
        assert!(reactor.now().since(start) < LIMIT, "{:?}", a.stats());
        for _ in 0..64 {
            let _ = a.split().1.transmit(frame.len(), |slot| slot.bytes.copy_from_slice(&frame));
        }
        a.split().1.flush();
    }
    // What had a place is there, and then frames pass as before.
    let mut kept = 0;
    while b.split().0.receive(64, |frame, _| kept += usize::from(is_experiment(frame))) > 0 {}
    assert!((1000..=2048).contains(&kept), "{kept}");
    eventually(|| {
        a.split().1.flush();
        (a.split().1.capacity() > 0).then_some(())
    });
    let last = experiment(b.mac(), a.mac(), b"the last");
    send(&last, TxMeta::NONE, &mut a);
    a.split().1.flush();
    collect(&reactor, &mut b, 1, |frame| frame.ends_with(b"the last"));
}

/// Whether an XDP program is at the interface.
fn has_program(namespace: &Namespace, interface: &str) -> bool {
    namespace.run("ip", &["link", "show", "dev", interface]).stdout.contains("prog/xdp")
}

#[test]
fn the_program_goes_with_the_card_and_with_the_process() {
    let (left, right) = cable();
    let reactor = Reactor::new().unwrap();
    let card = xdp(&reactor, &left, "l0", true);
    assert!(has_program(&left, "l0"));
    // One owner at a time.
    let error = enter(&left, || Xdp::open(&reactor, "l0", None, true).err().unwrap()).to_string();
    assert!(error.contains("another program receives there"), "{error}");
    drop(card);
    eventually(|| (!has_program(&left, "l0")).then_some(()));

    let echo = example("airglow-platform-unix", "echo", "dev");
    let mut program = right.start(echo, &["net=xdp", "device=r0", "ipv4=10.0.0.2/24", "port=7"]);
    program.wait_for("echo on port 7", LIMIT);
    assert!(has_program(&right, "r0"));
    program.signal("KILL");
    program.wait(LIMIT);
    eventually(|| (!has_program(&right, "r0")).then_some(()));
}

#[test]
fn what_cannot_be_opened_says_what_to_type() {
    let (left, right) = cable();
    let reactor = Reactor::new().unwrap();
    let open = |namespace: &Namespace, name: &str| {
        enter(namespace, || Xdp::open(&reactor, name, None, true).err().unwrap()).to_string()
    };
    left.address("l0", "10.9.0.1/24");
    assert!(open(&left, "l0").contains("as root, type: ip address flush dev l0"));
    assert!(open(&right, "eth7").contains("ip link add eth7 type veth"));
    right.ip("link set r0 mtu 9000");
    assert!(open(&right, "r0").contains("as root, type: ip link set r0 mtu 1500"));
    right.ip("link set r0 mtu 1500");
    // Without rights.
    let copy = std::env::temp_dir().join(format!("airglow-echo-xdp-{}", std::process::id()));
    std::fs::copy(example("airglow-platform-unix", "echo", "dev"), &copy).unwrap();
    let path = copy.to_string_lossy().into_owned();
    let words = ["--reuid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all", &path];
    let network = ["net=xdp", "device=r0", "ipv4=10.0.0.2/24"];
    let said: Said =
        Process::start(right.command("setpriv").args(words).args(network)).wait(Duration::from_secs(10));
    std::fs::remove_file(&copy).unwrap();
    assert_eq!(said.status.and_then(|status| status.code()), Some(1), "{said}");
    assert!(said.stderr.contains("AF_XDP needs root"), "{said}");
    assert_eq!(said.stderr.lines().count(), 1, "{said}");
}
