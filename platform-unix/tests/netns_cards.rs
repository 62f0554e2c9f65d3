//! The cards as devices, without a stack: frames, metadata, batches, links, a flood, refusals, and what is left behind. What holds for every
//! card is asked of each; what is one card's own follows. Needs root; fails without.
#![cfg(target_os = "linux")]
use airglow_device::{Caps, Clock, LinkState, MacAddr, NetDevice, NetRx, NetTx, RxMeta, TxMeta};
use airglow_platform_unix::{OpenError, Packet, Reactor, Tap, Xdp};
use airglow_testbed::{Namespace, Process, Said, example};
use std::{net::UdpSocket, time::Duration};

mod cards;
mod strict;
use cards::{cable, collect, enter, eventually, experiment, ipv4, is_experiment, send, sum, udp, wait_link};
use strict::LIMIT;

/// A card on one end of a veth pair, by its kind.
trait Card: NetDevice + Sized {
    /// Its name, as in `net=`.
    const NAME: &str;
    /// The longest frame that it is given to send.
    const LONGEST: usize;
    /// It receives as many frames as one likes before anyone looks.
    const QUEUE: bool;

    fn on(reactor: &Reactor, name: &str, mac: Option<MacAddr>, offload: bool) -> Result<Self, OpenError>;
    fn promiscuous(reactor: &Reactor, name: &str, offload: bool) -> Result<Self, OpenError>;
    /// What it offers on a veth pair.
    fn offers(caps: Caps) -> bool;
}

impl Card for Packet {
    const NAME: &str = "packet";
    const LONGEST: usize = 14 + 65_535;
    const QUEUE: bool = true;

    fn on(reactor: &Reactor, name: &str, mac: Option<MacAddr>, offload: bool) -> Result<Self, OpenError> {
        Self::open(reactor, name, mac, offload)
    }
    fn promiscuous(reactor: &Reactor, name: &str, offload: bool) -> Result<Self, OpenError> {
        Self::open_promiscuous(reactor, name, offload)
    }
    fn offers(caps: Caps) -> bool {
        caps.tso_v4 > 60_000 && caps.tso_v6 > 60_000 && caps.checksums.tx && caps.checksums.rx
    }
}

impl Card for Xdp {
    const NAME: &str = "xdp";
    const LONGEST: usize = 18 + 1500;
    const QUEUE: bool = false;

    fn on(reactor: &Reactor, name: &str, mac: Option<MacAddr>, offload: bool) -> Result<Self, OpenError> {
        Self::open(reactor, name, mac, offload)
    }
    fn promiscuous(reactor: &Reactor, name: &str, offload: bool) -> Result<Self, OpenError> {
        Self::open_promiscuous(reactor, name, offload)
    }
    fn offers(caps: Caps) -> bool {
        caps.tso_v4 == 0 && caps.checksums.rx
    }
}

fn open<C: Card>(reactor: &Reactor, namespace: &Namespace, interface: &str, offload: bool) -> C {
    enter(namespace, || C::on(reactor, interface, None, offload).unwrap())
}

/// One test for each kind, of what holds for all.
macro_rules! for_every_card {
    ($($test:ident),* $(,)?) => {
        mod packet {
            $(#[test] fn $test() { super::$test::<super::Packet>(); })*
        }
        mod xdp {
            $(#[test] fn $test() { super::$test::<super::Xdp>(); })*
        }
    };
}

for_every_card!(
    frames_pass_whole_in_order_and_in_batches,
    a_shortened_frame_is_short_and_an_empty_one_is_none,
    tags_are_where_the_sender_put_them,
    a_card_with_another_address_and_one_that_passes_on_hear_all,
    the_link_goes_down_and_up_and_wakes,
    a_flood_is_bounded_and_counted,
    what_cannot_be_opened_says_what_to_type,
);

fn frames_pass_whole_in_order_and_in_batches<C: Card>() {
    let (left, right) = cable();
    let reactor = Reactor::new().unwrap();
    let mut a: C = open(&reactor, &left, "l0", true);
    let mut b: C = open(&reactor, &right, "r0", true);
    assert_eq!(a.caps().mtu, 1500);
    assert!(C::offers(a.caps()), "{:?}", a.caps());
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

fn a_shortened_frame_is_short_and_an_empty_one_is_none<C: Card>() {
    let (left, right) = cable();
    let reactor = Reactor::new().unwrap();
    let mut a: C = open(&reactor, &left, "l0", true);
    let mut b: C = open(&reactor, &right, "r0", true);
    let frame = experiment(b.mac(), a.mac(), &[1; 100]);
    let capacity = a.split().1.capacity();
    for len in [0, 60, 0, 114] {
        let sent = a.split().1.transmit(frame.len(), |slot| {
            slot.bytes.copy_from_slice(&frame);
            slot.len = len;
        });
        sent.unwrap();
    }
    assert!((capacity - 2..=capacity).contains(&a.split().1.capacity()));
    a.split().1.flush();
    let lens: Vec<_> =
        collect(&reactor, &mut b, 2, is_experiment).iter().map(|(frame, _)| frame.len()).collect();
    assert_eq!(lens, [60, 114]);
    // Longer than any frame here: refused, and nothing is filled.
    assert!(a.split().1.transmit(C::LONGEST + 1, |_| unreachable!()).is_err());
    // The places come back.
    eventually(|| {
        a.split().1.flush();
        (a.split().1.capacity() == capacity).then_some(())
    });
}

/// Also between cards of two kinds.
fn tags_are_where_the_sender_put_them<C: Card>() {
    let (left, right) = cable();
    let reactor = Reactor::new().unwrap();
    let mut a: Packet = open(&reactor, &left, "l0", true);
    let mut b: C = open(&reactor, &right, "r0", true);
    let mut tagged = experiment(b.mac(), a.mac(), &[9; 1500]);
    tagged.splice(12..12, [0x81, 0x00, 0x60, 0x2a]);
    let is_tagged = |frame: &[u8]| frame[12..14] == [0x81, 0];
    send(&tagged, TxMeta::NONE, &mut b);
    b.split().1.flush();
    assert_eq!(collect(&reactor, &mut a, 1, is_tagged).remove(0).0, tagged);
    let plain = experiment(b.mac(), a.mac(), &[7; 1500]);
    send(&plain, TxMeta::NONE, &mut a);
    a.split().1.flush();
    assert_eq!(collect(&reactor, &mut b, 1, is_experiment).remove(0).0, plain);
}

fn a_card_with_another_address_and_one_that_passes_on_hear_all<C: Card>() {
    let (left, right) = cable();
    let reactor = Reactor::new().unwrap();
    let mac: MacAddr = "02:00:00:00:00:77".parse().unwrap();
    let mut a: C = open(&reactor, &left, "l0", true);
    let mut b = enter(&right, || C::on(&reactor, "r0", Some(mac), true).unwrap());
    assert_eq!(b.mac(), mac);
    send(&experiment(mac, a.mac(), &[1; 60]), TxMeta::NONE, &mut a);
    a.split().1.flush();
    assert_eq!(collect(&reactor, &mut b, 1, is_experiment).len(), 1);
    drop(b);
    for offload in [false, true] {
        let mut b = enter(&right, || C::promiscuous(&reactor, "r0", offload).unwrap());
        assert!(b.mac() != mac && b.mac().is_unicast());
        send(&experiment(mac, a.mac(), &[1; 60]), TxMeta::NONE, &mut a);
        a.split().1.flush();
        assert_eq!(collect(&reactor, &mut b, 1, is_experiment).len(), 1);
    }
}

fn the_link_goes_down_and_up_and_wakes<C: Card>() {
    let (left, right) = cable();
    let reactor = Reactor::new().unwrap();
    let mut a: C = open(&reactor, &left, "l0", true);
    wait_link(&reactor, &mut a, LinkState::Up);
    right.ip("link set r0 down");
    wait_link(&reactor, &mut a, LinkState::Down);
    right.ip("link set r0 up");
    wait_link(&reactor, &mut a, LinkState::Up);
    // And frames pass again.
    let mut b: C = open(&reactor, &right, "r0", true);
    send(&experiment(a.mac(), b.mac(), &[1; 60]), TxMeta::NONE, &mut b);
    b.split().1.flush();
    assert_eq!(collect(&reactor, &mut a, 1, is_experiment).len(), 1);
}

/// Nobody looks: what is beyond the places is lost and counted.
fn a_flood_is_bounded_and_counted<C: Card>() {
    let (left, right) = cable();
    let reactor = Reactor::new().unwrap();
    let mut a: C = open(&reactor, &left, "l0", true);
    let mut b: C = open(&reactor, &right, "r0", true);
    let frame = experiment(b.mac(), a.mac(), &[1; 1400]);
    let start = reactor.now();
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
    assert!((100..=a.stats().tx_frames).contains(&(kept as u64)) && (C::QUEUE || kept <= 2048), "{kept}");
    eventually(|| {
        a.split().1.flush();
        (a.split().1.capacity() > 0).then_some(())
    });
    let last = experiment(b.mac(), a.mac(), b"the last");
    send(&last, TxMeta::NONE, &mut a);
    a.split().1.flush();
    collect(&reactor, &mut b, 1, |frame| frame.ends_with(b"the last"));
}

fn what_cannot_be_opened_says_what_to_type<C: Card>() {
    let (left, right) = cable();
    let reactor = Reactor::new().unwrap();
    let refused = |namespace: &Namespace, name: &str| {
        enter(namespace, || C::on(&reactor, name, None, true).err().unwrap()).to_string()
    };
    left.address("l0", "10.9.0.1/24");
    let error = refused(&left, "l0");
    assert!(
        error.contains("the host has the address 10.9.0.1 there; as root, type: ip address flush dev l0"),
        "{error}"
    );
    assert!(refused(&right, "eth7").contains("ip link add eth7 type veth"));
    let loopback = refused(&right, "lo");
    assert!(loopback.contains("Ethernet") || loopback.contains("127.0.0.1"), "{loopback}");
    assert!(refused(&right, "a-name-that-is-too-long").contains("1 to 15 characters"));
    // Without rights.
    let copy = std::env::temp_dir().join(format!("airglow-echo-{}-{}", C::NAME, std::process::id()));
    std::fs::copy(example("airglow-platform-unix", "echo", "dev"), &copy).unwrap();
    let path = copy.to_string_lossy().into_owned();
    let words = ["--reuid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all", &path];
    let net = format!("net={}", C::NAME);
    let network = [&net, "device=r0", "ipv4=10.0.0.2/24"];
    let said: Said =
        Process::start(right.command("setpriv").args(words).args(network)).wait(Duration::from_secs(10));
    std::fs::remove_file(&copy).unwrap();
    assert_eq!(said.status.and_then(|status| status.code()), Some(1), "{said}");
    assert!(said.stderr.contains("need root") || said.stderr.contains("needs root"), "{said}");
    assert_eq!(said.stderr.lines().count(), 1, "{said}");
    // IPv6 of the host's own is switched off on opening.
    right.set("net/ipv6/conf/r0/disable_ipv6", "0");
    let _card: C = open(&reactor, &right, "r0", true);
    let value = right.run("cat", &["/proc/sys/net/ipv6/conf/r0/disable_ipv6"]).stdout;
    assert_eq!(value.trim(), "1");
}

#[test]
fn checksums_and_segments_travel_as_metadata() {
    let (left, right) = cable();
    let reactor = Reactor::new().unwrap();
    let mut a: Packet = open(&reactor, &left, "l0", true);
    let mut b: Packet = open(&reactor, &right, "r0", true);
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
    let mut b: Packet = open(&reactor, &right, "r0", false);
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
    let (_left, right) = cable();
    let error = enter(&right, || Tap::open(&reactor, "r0", None, true).err().unwrap()).to_string();
    assert!(error.contains("no plain tap device"), "{error}");
    eventually(|| (!host.run("ip", &["link", "show", "dev", "made0"]).success()).then_some(()));
}

#[test]
fn no_more_is_taken_than_there_is_room_for() {
    let (left, right) = cable();
    let reactor = Reactor::new().unwrap();
    let mut a: Xdp = open(&reactor, &left, "l0", true);
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
    let mut a: Xdp = open(&reactor, &left, "l0", true);
    let mut b: Xdp = open(&reactor, &right, "r0", true);
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
    let mut b: Xdp = open(&reactor, &right, "r0", false);
    assert!(!b.caps().checksums.rx && !b.caps().checksums.tx);
    socket.send_to(b"from the kernel", "10.0.0.2:1000").unwrap();
    let (frame, meta) = collect(&reactor, &mut b, 1, is_udp).remove(0);
    assert!(!meta.checksum_ok && complete(&frame));
}

#[test]
fn frames_longer_than_a_place_lie_in_several() {
    for mtu in [4000, 9000, 65_535] {
        let (left, right) = cable();
        left.ip(&format!("link set l0 mtu {mtu}"));
        right.ip(&format!("link set r0 mtu {mtu}"));
        let reactor = Reactor::new().unwrap();
        let mut a: Xdp = open(&reactor, &left, "l0", true);
        let mut b: Xdp = open(&reactor, &right, "r0", true);
        assert_eq!(a.caps().mtu, mtu);
        let capacity = a.split().1.capacity();
        assert!(a.split().1.transmit(18 + mtu + 1, |_| unreachable!()).is_err());
        // Around the ends of places as they are sent and as they are received, more of them than there are places.
        let lens = [60, 3825, 3826, 3827, 4058, 4059, 4072, 4073, 4096, 7680, 8168, 9000, 40_000, 65_535];
        for round in 0..40 {
            for len in lens.iter().filter(|len| **len <= mtu) {
                let payload: Vec<u8> = (0..*len).map(|i| (i * 7 / 3 + round) as u8).collect();
                let frame = experiment(b.mac(), a.mac(), &payload);
                send(&frame, TxMeta::NONE, &mut a);
                a.split().1.flush();
                let got = collect(&reactor, &mut b, 1, is_experiment).remove(0);
                assert!(got.0 == frame, "{len} of {mtu} bytes: {} came", got.0.len());
            }
        }
        // A checksum that is left to the card, and one frame that became short.
        let datagram = udp(1000, 2000, &vec![0x5a; mtu - 28]);
        let partial = ipv4(b.mac(), a.mac(), 17, [10, 0, 0, 1], [10, 0, 0, 2], datagram, 6);
        send(&partial, TxMeta::checksum(34, 6), &mut a);
        let cut = |slot: &mut airglow_device::TxFrame<'_>| {
            slot.bytes[..partial.len()].copy_from_slice(&partial);
            (slot.len, slot.meta) = (0, TxMeta::NONE);
        };
        a.split().1.transmit(partial.len(), cut).unwrap();
        a.split().1.flush();
        let (mut frame, meta) = collect(&reactor, &mut b, 1, |frame| frame[12..14] == [8, 0]).remove(0);
        if a.caps().checksums.tx {
            assert!(frame == partial && meta == RxMeta::new(true, 0));
            airglow_device::complete_checksum(&mut frame, TxMeta::checksum(34, 6));
        }
        let pseudo = [&frame[26..34], &[0, 17], &frame[38..40]].concat();
        assert_eq!(sum(&[&pseudo, &frame[34..]].concat()), 0xffff);
        // The places come back.
        eventually(|| {
            a.split().1.flush();
            (a.split().1.capacity() == capacity).then_some(())
        });
        assert_eq!((a.stats().tx_dropped, b.stats().rx_dropped), (0, 0));
    }
}

#[test]
fn every_queue_is_heard() {
    let (left, right) = (Namespace::new("left"), Namespace::new("right"));
    let two = "numtxqueues 2 numrxqueues 2";
    left.ip(&format!("link add l0 {two} type veth peer name r0 {two} netns {}", right.name()));
    right.silence("r0");
    let reactor = Reactor::new().unwrap();
    let mut b: Xdp = open(&reactor, &right, "r0", true);
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

/// Whether an XDP program is at the interface.
fn has_program(namespace: &Namespace, interface: &str) -> bool {
    namespace.run("ip", &["link", "show", "dev", interface]).stdout.contains("prog/xdp")
}

#[test]
fn the_program_goes_with_the_card_and_with_the_process() {
    let (left, right) = cable();
    let reactor = Reactor::new().unwrap();
    let card: Xdp = open(&reactor, &left, "l0", true);
    assert!(!card.is_zero_copy(), "a veth pair copies");
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
