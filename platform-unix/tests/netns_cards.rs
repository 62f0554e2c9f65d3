//! The cards as devices, without a stack: frames, metadata, batches, links, refusals. Needs root; fails without.
#![cfg(target_os = "linux")]
use airglow_device::{Clock, LinkState, MacAddr, NetDevice, NetRx, NetTx, RxMeta, TxMeta};
use airglow_platform_unix::{Packet, Reactor, Tap};
use airglow_testbed::Namespace;
use std::net::UdpSocket;

mod cards;
mod strict;
use cards::{cable, collect, enter, eventually, experiment, ipv4, is_experiment, send, sum, udp, wait_link};
use strict::LIMIT;

fn packet(reactor: &Reactor, namespace: &Namespace, interface: &str, offload: bool) -> Packet {
    enter(namespace, || Packet::open(reactor, interface, None, offload).unwrap())
}

#[test]
fn frames_pass_whole_in_order_and_in_batches() {
    let (left, right) = cable();
    let reactor = Reactor::new().unwrap();
    let mut a = packet(&reactor, &left, "l0", true);
    let mut b = packet(&reactor, &right, "r0", true);
    assert_eq!(a.caps().mtu, 1500);
    assert!(a.caps().tso_v4 > 60_000 && a.caps().tso_v6 > 60_000);
    for number in 0..500u32 {
        let len = 46 + (number as usize * 37) % 1455;
        let mut payload = number.to_be_bytes().to_vec();
        payload.resize(len, number as u8);
        assert!(a.split().1.capacity() > 0);
        send(&experiment(b.mac(), a.mac(), &payload), TxMeta::NONE, &mut a);
        if number % 100 == 99 {
            a.split().1.flush();
        }
    }
    let all = collect(&reactor, &mut b, 500, is_experiment);
    assert_eq!(all.len(), 500);
    for (number, (frame, _)) in all.iter().enumerate() {
        assert_eq!(frame[14..18], (number as u32).to_be_bytes());
        assert_eq!(frame.len(), 14 + 46 + (number * 37) % 1455);
        assert!(frame[18..].iter().all(|byte| *byte == number as u8));
    }
    assert_eq!(a.stats().tx_frames, 500);
    assert_eq!(a.stats().tx_bytes, all.iter().map(|(frame, _)| frame.len() as u64).sum::<u64>());
    assert!(b.stats().rx_frames >= 500 && b.stats().rx_dropped == 0);
    // Our own frames do not come back.
    a.split().0.receive(64, |frame, _| assert!(!is_experiment(frame)));
}

#[test]
fn a_shortened_frame_is_short_and_an_empty_one_is_none() {
    let (left, right) = cable();
    let reactor = Reactor::new().unwrap();
    let mut a = packet(&reactor, &left, "l0", true);
    let mut b = packet(&reactor, &right, "r0", true);
    let frame = experiment(b.mac(), a.mac(), &[1; 100]);
    for len in [0, 60, 0, 114] {
        let sent = a.split().1.transmit(frame.len(), |slot| {
            slot.bytes.copy_from_slice(&frame);
            slot.len = len;
        });
        sent.unwrap();
    }
    a.split().1.flush();
    let lens: Vec<_> =
        collect(&reactor, &mut b, 2, is_experiment).iter().map(|(frame, _)| frame.len()).collect();
    assert_eq!(lens, [60, 114]);
    // Longer than any packet: refused, and nothing is filled.
    assert!(a.split().1.transmit(70_000, |_| unreachable!()).is_err());
}

#[test]
fn checksums_and_segments_travel_as_metadata() {
    let (left, right) = cable();
    let reactor = Reactor::new().unwrap();
    let mut a = packet(&reactor, &left, "l0", true);
    let mut b = packet(&reactor, &right, "r0", true);
    let datagram =
        ipv4(b.mac(), a.mac(), 17, [10, 0, 0, 1], [10, 0, 0, 2], udp(1000, 2000, b"checked later"), 6);
    send(&datagram, TxMeta::checksum(34, 6), &mut a);
    // A TCP segment of 20,000 bytes to be cut at 1,448, with ten words of header.
    let mut tcp = vec![0; 40 + 20_000];
    tcp[12] = 10 << 4;
    let segments = ipv4(b.mac(), a.mac(), 6, [10, 0, 0, 1], [10, 0, 0, 2], tcp, 16);
    send(&segments, TxMeta::checksum(34, 16).segments(1448), &mut a);
    a.split().1.flush();
    let all = collect(&reactor, &mut b, 2, |frame| frame[12..14] == [8, 0]);
    // The wire is a memory: both arrive as they were handed over, and are known to be right.
    assert_eq!(all[0], (datagram.clone(), RxMeta::new(true, 0)));
    assert_eq!(all[1].1, RxMeta::new(true, 1448));
    assert_eq!(all[1].0.len(), segments.len());

    // Without offload the receiver finds a complete checksum, and no frame beyond the MTU.
    drop(b);
    let mut b = packet(&reactor, &right, "r0", false);
    assert_eq!((b.caps().tso_v4, b.caps().checksums.tx, b.caps().checksums.rx), (0, false, false));
    send(&segments, TxMeta::checksum(34, 16).segments(1448), &mut a);
    send(&datagram, TxMeta::checksum(34, 6), &mut a);
    a.split().1.flush();
    let all = collect(&reactor, &mut b, 1, |frame| frame[12..14] == [8, 0]);
    let (frame, _) = &all[0];
    assert_ne!(frame[40..42], datagram[40..42]);
    let pseudo = [&frame[26..34], &[0, 17], &frame[38..40]].concat();
    assert_eq!(sum(&[&pseudo, &frame[34..]].concat()), 0xffff);
    assert_eq!(b.stats().rx_dropped, 1);
}

#[test]
fn vlan_tags_are_where_the_sender_put_them() {
    let (left, right) = cable();
    let reactor = Reactor::new().unwrap();
    let mut a = packet(&reactor, &left, "l0", true);
    let mut b = packet(&reactor, &right, "r0", true);
    let mut tagged = experiment(b.mac(), a.mac(), &[9; 60]);
    tagged.splice(12..12, [0x81, 0x00, 0x60, 0x2a]);
    send(&tagged, TxMeta::NONE, &mut a);
    a.split().1.flush();
    let all = collect(&reactor, &mut b, 1, |frame| frame[12..14] == [0x81, 0]);
    assert_eq!(all[0].0, tagged);
}

#[test]
fn a_card_with_another_address_hears_it() {
    let (left, right) = cable();
    let reactor = Reactor::new().unwrap();
    let mac: MacAddr = "02:00:00:00:00:77".parse().unwrap();
    let mut a = packet(&reactor, &left, "l0", true);
    let mut b = enter(&right, || Packet::open(&reactor, "r0", Some(mac), true).unwrap());
    assert_eq!(b.mac(), mac);
    send(&experiment(mac, a.mac(), &[1; 60]), TxMeta::NONE, &mut a);
    a.split().1.flush();
    assert_eq!(collect(&reactor, &mut b, 1, is_experiment).len(), 1);
}

#[test]
fn the_link_goes_down_and_up_and_wakes() {
    let (left, right) = cable();
    let reactor = Reactor::new().unwrap();
    let mut a = packet(&reactor, &left, "l0", true);
    wait_link(&reactor, &mut a, LinkState::Up);
    right.ip("link set r0 down");
    wait_link(&reactor, &mut a, LinkState::Down);
    right.ip("link set r0 up");
    wait_link(&reactor, &mut a, LinkState::Up);
    // And frames pass again.
    let mut b = packet(&reactor, &right, "r0", true);
    send(&experiment(a.mac(), b.mac(), &[1; 60]), TxMeta::NONE, &mut b);
    b.split().1.flush();
    assert_eq!(collect(&reactor, &mut a, 1, is_experiment).len(), 1);
}

#[test]
fn a_flood_is_bounded_and_counted() {
    let (left, right) = cable();
    let reactor = Reactor::new().unwrap();
    let mut a = packet(&reactor, &left, "l0", true);
    let b = packet(&reactor, &right, "r0", true);
    let frame = experiment(b.mac(), a.mac(), &[1; 1400]);
    let start = reactor.now();
    let mut sent = 0u64;
    while b.stats().rx_dropped == 0 {
        assert!(reactor.now().since(start) < LIMIT, "after {sent} frames");
        for _ in 0..64 {
            send(&frame, TxMeta::NONE, &mut a);
        }
        a.split().1.flush();
        sent += 64;
    }
    assert_eq!(a.stats().tx_frames, sent);
}

#[test]
fn the_kernel_and_a_tap_understand_each_others_checksums() {
    let host = Namespace::new("tap");
    host.tap("t0");
    host.set("net/ipv6/conf/t0/disable_ipv6", "1");
    host.address("t0", "10.0.0.1/24");
    let reactor = Reactor::new().unwrap();
    let mac: MacAddr = "02:00:00:00:00:02".parse().unwrap();
    let mut tap = enter(&host, || Tap::open(&reactor, "t0", Some(mac), true).unwrap());
    assert_eq!((tap.caps().mtu, tap.mac()), (1500, mac));
    wait_link(&reactor, &mut tap, LinkState::Up);
    host.ip("neighbor replace 10.0.0.2 lladdr 02:00:00:00:00:02 dev t0");
    let socket = enter(&host, || UdpSocket::bind("10.0.0.1:2000").unwrap());
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket.send_to(b"from the kernel", "10.0.0.2:1000").unwrap();
    let is_udp = |frame: &[u8]| frame[12..14] == [8, 0] && frame[23] == 17;
    let all = collect(&reactor, &mut tap, 1, is_udp);
    let (frame, meta) = &all[0];
    assert_eq!((&frame[42..], meta.checksum_ok), (&b"from the kernel"[..], true));

    let kernel = MacAddr(frame[6..12].try_into().unwrap());
    let answer = ipv4(kernel, mac, 17, [10, 0, 0, 2], [10, 0, 0, 1], udp(1000, 2000, b"from the tap"), 6);
    send(&answer, TxMeta::checksum(34, 6), &mut tap);
    tap.split().1.flush();
    let mut buf = [0; 100];
    let (len, from) = socket.recv_from(&mut buf).unwrap();
    assert_eq!((&buf[..len], from), (&b"from the tap"[..], "10.0.0.2:1000".parse().unwrap()));

    // Without offload the kernel completes what it sends.
    drop(tap);
    // Another test that starts a process just now holds the device until that process is another program.
    let mut tap = eventually(|| enter(&host, || Tap::open(&reactor, "t0", Some(mac), false).ok()));
    socket.send_to(b"complete", "10.0.0.2:1000").unwrap();
    let all = collect(&reactor, &mut tap, 1, |frame| is_udp(frame) && frame.ends_with(b"complete"));
    let (frame, meta) = &all[0];
    assert!(!meta.checksum_ok);
    let pseudo = [&frame[26..34], &[0, 17], &frame[38..40]].concat();
    assert_eq!(sum(&[&pseudo, &frame[34..]].concat()), 0xffff);
}

#[test]
fn a_tap_that_is_not_there_is_made_and_goes_with_its_owner() {
    let host = Namespace::new("made");
    let reactor = Reactor::new().unwrap();
    let tap = enter(&host, || Tap::open(&reactor, "made0", None, true).unwrap());
    assert!(tap.mac().is_unicast() && tap.mac().0[0] & 2 == 2);
    let said = host.run("ip", &["-o", "link", "show", "dev", "made0"]);
    assert!(said.stdout.contains(",UP"), "{said}");
    // One owner at a time.
    let error = enter(&host, || Tap::open(&reactor, "made0", None, true).err().unwrap()).to_string();
    assert!(error.contains("another program has it open"), "{error}");
    drop(tap);
    eventually(|| (!host.run("ip", &["link", "show", "dev", "made0"]).success()).then_some(()));
}

#[test]
fn what_cannot_be_opened_says_what_to_type() {
    let (left, right) = cable();
    let reactor = Reactor::new().unwrap();
    let open = |namespace: &Namespace, name: &str| {
        enter(namespace, || Packet::open(&reactor, name, None, true).err().unwrap()).to_string()
    };
    left.address("l0", "10.9.0.1/24");
    let error = open(&left, "l0");
    assert!(
        error.contains("the host has the address 10.9.0.1 there; as root, type: ip address flush dev l0"),
        "{error}"
    );
    assert!(open(&right, "eth7").contains("ip link add eth7 type veth"));
    assert!(open(&right, "lo").contains("Ethernet") || open(&right, "lo").contains("127.0.0.1"));
    assert!(open(&right, "a-name-that-is-too-long").contains("1 to 15 characters"));
    let tap = enter(&right, || Tap::open(&reactor, "r0", None, true).err().unwrap()).to_string();
    assert!(tap.contains("no plain tap device"), "{tap}");
    // IPv6 of the host's own is switched off on opening.
    right.set("net/ipv6/conf/r0/disable_ipv6", "0");
    let _card = packet(&reactor, &right, "r0", true);
    let value = right.run("cat", &["/proc/sys/net/ipv6/conf/r0/disable_ipv6"]).stdout;
    assert_eq!(value.trim(), "1");
}
