//! Forwarding between two interfaces, and the filter.
use super::*;
use crate::{
    Filter, Ipv6Config, Passing, RouteEntry, Verdict,
    wire::{icmpv4, icmpv6},
};
use core::net::Ipv6Addr;

const LEFT: MacAddr = MacAddr([2, 0, 0, 0, 1, 2]);
const RIGHT: MacAddr = MacAddr([2, 0, 0, 0, 2, 2]);
const OURS: [MacAddr; 2] = [MacAddr([2, 0, 0, 0, 1, 1]), MacAddr([2, 0, 0, 0, 2, 1])];

fn v4(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}
fn v6(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// 10.1.0.1 and 2001:db8:1::1 on interface 0, 10.2.0.1 and 2001:db8:2::1 on interface 1, whose MTU is 1400. A host on each side is
/// known: .2 and ::2.
struct Router {
    core: Core<'static>,
    sent: Sent,
    now: Instant,
}

impl Router {
    fn new(caps: [Caps; 2]) -> Self {
        let mut core = Core::with_memory(Limits { groups: 0, ..Limits::default() }, [9; 16]);
        let now = Instant::from_secs(1000);
        let mut router = Self {
            sent: Sent::default(),
            now,
            core: {
                core.set_forwarding(true);
                core
            },
        };
        for index in 0..2 {
            let n = index + 1;
            assert_eq!(router.core.add_interface(OURS[index], caps[index]), Ok(index));
            let config = InterfaceConfig {
                slaac: false,
                dad_transmits: 0,
                ..InterfaceConfig::ipv4(Ipv4Config::new(format!("10.{n}.0.1/24").parse().unwrap()))
            };
            let config = config.with_ipv6(Ipv6Config::new(format!("2001:db8:{n}::1/64").parse().unwrap()));
            router.core.configure(now, index, &config).unwrap();
            let evidence = crate::neighbor::Evidence {
                mac: Some([LEFT, RIGHT][index]),
                ..crate::neighbor::Evidence::STALE
            };
            for addr in [format!("10.{n}.0.2"), format!("2001:db8:{n}::2")] {
                router.core.neighbors.learn(
                    now,
                    index,
                    addr.parse().unwrap(),
                    evidence,
                    Duration::from_secs(30),
                );
            }
        }
        router.core.poll(now, &mut router.sent);
        router.sent.frames.clear();
        router
    }

    fn plain() -> Self {
        Self::new([Caps::new(1500), Caps::new(1400)])
    }

    /// An IP frame from the left.
    fn receive(&mut self, packet: &[u8]) {
        self.receive_with(packet, RxMeta::default());
    }

    fn receive_with(&mut self, packet: &[u8], meta: RxMeta) {
        let ethertype = if packet[0] >> 4 == 4 { EtherType::IPV4 } else { EtherType::IPV6 };
        let frame = ethernet_frame(LEFT, OURS[0], ethertype, packet);
        assert!(self.core.receive(self.now, 0, &frame, meta, &mut self.sent, None).is_none());
    }

    /// The next packet sent, over `interface` to its host.
    #[track_caller]
    fn next(&mut self, interface: usize) -> Vec<u8> {
        let (index, frame, _) = self.sent.frames.pop_front().expect("a frame was sent");
        assert_eq!(index, interface);
        assert_eq!((&frame[..6], &frame[6..12]), (&[LEFT, RIGHT][interface].0[..], &OURS[interface].0[..]));
        frame[14..].to_vec()
    }

    #[track_caller]
    fn nothing_else(&self) {
        assert!(self.sent.frames.is_empty(), "something else was sent: {:02x?}", self.sent.frames);
    }
}

/// A datagram from the left host, from its IP header on.
fn datagram(src: &str, dst: &str, hops: u8, payload: &[u8]) -> Vec<u8> {
    let (src, dst): (IpAddr, IpAddr) = (src.parse().unwrap(), dst.parse().unwrap());
    let mut packet = udp_frame((src, 4000).into(), (dst, 7).into(), payload)[14..].to_vec();
    if src.is_ipv4() {
        packet[8] = hops;
        packet[10..12].fill(0);
        let sum = Sum::ZERO.bytes(&packet[..20]).finish();
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    } else {
        packet[7] = hops;
    }
    packet
}

const WAYS: [(&str, &str); 2] = [("10.1.0.2", "10.2.0.2"), ("2001:db8:1::2", "2001:db8:2::2")];

#[test]
fn packets_of_others_go_on_with_one_hop_less() {
    for (src, dst) in WAYS {
        let mut router = Router::plain();
        router.receive(&datagram(src, dst, 64, b"hello"));
        assert_eq!(router.next(1), datagram(src, dst, 63, b"hello"));
        router.nothing_else();
        assert_eq!(router.core.stats().forwarded, 1);
        // Not when it is off.
        router.core.set_forwarding(false);
        router.receive(&datagram(src, dst, 64, b"hello"));
        router.nothing_else();
        assert_eq!(router.core.stats().bad_address, 1);
    }
}

//= https://www.rfc-editor.org/rfc/rfc1812#section-5.3.1
//= type=test
//# When a router forwards a packet, it MUST reduce the TTL by at least
//# one.
#[test]
fn the_last_hop_is_reported() {
    let mut router = Router::plain();
    for hops in [1, 0] {
        let packet = datagram(WAYS[0].0, WAYS[0].1, hops, b"x");
        router.receive(&packet);
        let answer = router.next(0);
        let answer = ipv4_wire::Packet::new_checked(&answer).unwrap();
        assert_eq!((answer.src(), answer.dst()), (v4("10.1.0.1"), v4("10.1.0.2")));
        let expected = icmpv4::Repr::TimeExceeded { code: 0, quoted: &packet };
        assert_eq!(icmpv4::Repr::parse(answer.payload()), Ok(expected));
        let packet = datagram(WAYS[1].0, WAYS[1].1, hops, b"x");
        router.receive(&packet);
        let answer = router.next(0);
        let answer = ipv6_wire::Packet::new_checked(&answer).unwrap();
        assert_eq!((answer.src(), answer.dst()), (v6("2001:db8:1::1"), v6("2001:db8:1::2")));
        let expected = icmpv6::Repr::TimeExceeded { code: 0, quoted: &packet };
        assert_eq!(icmpv6::Repr::parse(answer.payload()), Ok(expected));
        router.nothing_else();
    }
    // About an error there is no error.
    let error =
        icmpv4::Repr::Unreachable { code: 3, mtu: 0, quoted: &datagram(WAYS[0].1, WAYS[0].0, 9, b"")[..28] };
    let mut bytes = vec![0; error.len()];
    error.emit(&mut bytes).unwrap();
    router.receive(&ip_frame(v4("10.1.0.2").into(), v4("10.2.0.2").into(), 1, 1, &bytes)[14..]);
    router.nothing_else();
}

#[test]
fn what_is_too_large_is_cut_or_reported() {
    let (src, dst) = WAYS[0];
    let mut router = Router::plain();
    let packet = datagram(src, dst, 64, &[7; 1450]);
    router.receive(&packet);
    let (first, second) = (router.next(1), router.next(1));
    assert_eq!((first.len(), second.len()), (20 + 1376, 20 + 1458 - 1376));
    let (first, second) =
        (ipv4_wire::Packet::new_checked(&first).unwrap(), ipv4_wire::Packet::new_checked(&second).unwrap());
    assert!(first.more_fragments() && !second.more_fragments());
    assert_eq!((first.fragment_offset(), second.fragment_offset(), second.ttl()), (0, 1376, 63));
    assert_eq!([first.payload(), second.payload()].concat(), packet[20..]);
    router.nothing_else();

    // Not to be cut.
    let mut whole = packet.clone();
    whole[6] = 0x40;
    whole[10..12].fill(0);
    let sum = Sum::ZERO.bytes(&whole[..20]).finish();
    whole[10..12].copy_from_slice(&sum.to_be_bytes());
    router.receive(&whole);
    let answer = router.next(0);
    let answer = ipv4_wire::Packet::new_checked(&answer).unwrap();
    let expected = icmpv4::Repr::Unreachable { code: 4, mtu: 1400, quoted: &whole[..548] };
    assert_eq!(icmpv4::Repr::parse(answer.payload()), Ok(expected));
    router.nothing_else();

    let packet = datagram(WAYS[1].0, WAYS[1].1, 64, &[7; 1400]);
    router.receive(&packet);
    let answer = router.next(0);
    let answer = ipv6_wire::Packet::new_checked(&answer).unwrap();
    let expected = icmpv6::Repr::PacketTooBig { mtu: 1400, quoted: &packet[..1232] };
    assert_eq!(icmpv6::Repr::parse(answer.payload()), Ok(expected));
    router.nothing_else();
}

#[test]
fn where_no_way_leads_and_who_does_not_answer_is_reported() {
    let mut router = Router::plain();
    let packet = datagram("10.1.0.2", "192.0.2.1", 64, b"x");
    router.receive(&packet);
    let answer = router.next(0);
    let expected = icmpv4::Repr::Unreachable { code: 0, mtu: 0, quoted: &packet };
    assert_eq!(icmpv4::Repr::parse(&answer[20..]), Ok(expected));
    router.nothing_else();
    // A host that is not there: asked for three times, then the sender is told.
    let packet = datagram("10.1.0.2", "10.2.0.99", 64, b"x");
    router.receive(&packet);
    for _ in 0..10 {
        router.now += Duration::from_secs(1);
        router.core.poll(router.now, &mut router.sent);
    }
    let mut frames: Vec<_> = router.sent.frames.drain(..).filter(|f| f.1[12..14] == [8, 0]).collect();
    assert_eq!(frames.len(), 1);
    let (interface, frame, _) = frames.remove(0);
    assert_eq!(interface, 0);
    let mut expected = datagram("10.1.0.2", "10.2.0.99", 63, b"x");
    expected.truncate(100);
    let expected = icmpv4::Repr::Unreachable { code: 1, mtu: 0, quoted: &expected };
    assert_eq!(icmpv4::Repr::parse(&frame[34..]), Ok(expected));
    // A longer route leads elsewhere.
    let route = RouteEntry::new("192.0.2.0/24".parse().unwrap(), v4("10.2.0.2").into(), 1);
    router.core.add_route(route).unwrap();
    router.receive(&datagram("10.1.0.2", "192.0.2.1", 64, b"x"));
    assert_eq!(router.next(1), datagram("10.1.0.2", "192.0.2.1", 63, b"x"));
    router.nothing_else();
}

#[test]
fn what_is_of_a_link_stays_there() {
    let mut router = Router::plain();
    let table = [
        ("169.254.0.1", "10.2.0.2"),
        ("10.1.0.2", "169.254.0.1"),
        ("10.1.0.2", "239.1.2.3"),
        ("10.1.0.2", "10.2.0.255"),
        ("0.0.0.0", "10.2.0.2"),
        ("127.0.0.1", "10.2.0.2"),
        ("10.1.0.1", "10.2.0.2"),
        ("fe80::2", "2001:db8:2::2"),
        ("2001:db8:1::2", "fe80::99"),
        ("2001:db8:1::2", "ff0e::1"),
    ];
    for (src, dst) in table {
        router.receive(&datagram(src, dst, 64, b"x"));
        router.nothing_else();
    }
    assert_eq!(router.core.stats().forwarded, 0);
    assert_eq!(router.core.stats().bad_address, table.len() as u64);
    // In a frame to all.
    let packet = datagram("10.1.0.2", "10.2.0.2", 64, b"x");
    let frame = ethernet_frame(LEFT, MacAddr::BROADCAST, EtherType::IPV4, &packet);
    router.core.receive(router.now, 0, &frame, RxMeta::default(), &mut router.sent, None);
    router.nothing_else();
}

#[test]
fn the_address_of_our_other_side_is_ours() {
    let mut router = Router::plain();
    let ping = icmpv4::Repr::EchoRequest { identifier: 1, sequence: 2, data: b"far side" };
    let mut bytes = vec![0; ping.len()];
    ping.emit(&mut bytes).unwrap();
    router.receive(&ip_frame(v4("10.1.0.2").into(), v4("10.2.0.1").into(), 1, 64, &bytes)[14..]);
    let answer = router.next(0);
    assert_eq!(ipv4_wire::Packet::new_checked(&answer).unwrap().src(), v4("10.2.0.1"));
    router.nothing_else();
}

/// A TCP packet with `len` bytes of payload and FIN and PSH set.
fn segment(src: &str, dst: &str, len: usize) -> Vec<u8> {
    let (src, dst): (IpAddr, IpAddr) = (src.parse().unwrap(), dst.parse().unwrap());
    let mut tcp = vec![0; 20];
    tcp[7] = 100;
    tcp[12] = 0x50;
    tcp[13] = 0x19;
    tcp.extend((0..len).map(|i| (i / 3) as u8));
    ip_frame(src, dst, 6, 64, &with_checksum(src, dst, 6, 16, tcp))[14..].to_vec()
}

#[test]
fn coalesced_segments_go_on_whole_or_cut_again() {
    for (src, dst) in WAYS {
        let ip_len = if src.contains(':') { 40 } else { 20 };
        let packet = segment(src, dst, 3000);
        // The card on the right cuts.
        let caps = Caps::new(1500).with_checksums(true, true).with_tso(65_535, 65_535);
        let mut router = Router::new([Caps::new(1500), caps]);
        router.receive_with(&packet, RxMeta::new(true, 1200));
        let (_, frame, meta) = router.sent.frames.pop_front().unwrap();
        assert_eq!(frame.len(), 14 + packet.len());
        assert_eq!(meta, TxMeta::checksum(14 + ip_len as u16, 16).segments(1200));
        router.nothing_else();
        // It does not: we do.
        let mut router = Router::plain();
        router.receive_with(&packet, RxMeta::new(true, 1200));
        let (a, b): (IpAddr, IpAddr) = (src.parse().unwrap(), dst.parse().unwrap());
        let mut payload = vec![];
        for number in 0..3u32 {
            let part = router.next(1);
            let tcp = &part[ip_len..];
            assert!(Sum::pseudo_header(a, b, 6, tcp.len()).bytes(tcp).is_correct());
            assert_eq!(tcp[4..8], (100 + number * 1200).to_be_bytes());
            assert_eq!(tcp[13], if number == 2 { 0x19 } else { 0x10 });
            if ip_len == 20 {
                assert!(ipv4_wire::Packet::new_checked(&part).is_ok_and(|p| p.bytes().len() == part.len()));
            } else {
                assert!(ipv6_wire::Packet::new_checked(&part).is_ok_and(|p| p.bytes().len() == part.len()));
            }
            payload.extend_from_slice(&tcp[20..]);
        }
        assert_eq!(payload, packet[ip_len + 20..]);
        router.nothing_else();
        // One whose checksum the card left out is completed.
        let mut partial = segment(src, dst, 100);
        let whole = partial.clone();
        partial[ip_len + 16..ip_len + 18].fill(0xab);
        router.receive_with(&partial, RxMeta::new(true, 0));
        assert_eq!(router.next(1)[ip_len..], whole[ip_len..]);
        router.nothing_else();
    }
}

struct Wall;
impl Filter for Wall {
    fn forward(&self, packet: &Passing<'_>) -> Verdict {
        assert_eq!((packet.from, packet.to), (0, Some(1)));
        match packet.packet.last() {
            Some(b'd') => Verdict::Drop,
            Some(b'r') => Verdict::Reject,
            _ => Verdict::Accept,
        }
    }
    fn deliver(&self, packet: &Passing<'_>) -> Verdict {
        if packet.packet.ends_with(b"no") { Verdict::Drop } else { Verdict::Accept }
    }
}

#[test]
fn the_filter_is_asked() {
    for (src, dst) in WAYS {
        let mut router = Router::plain();
        router.core.set_filter(Some(&Wall));
        for end in [b"a", b"d", b"r"] {
            router.receive(&datagram(src, dst, 64, end));
        }
        assert_eq!(router.next(1), datagram(src, dst, 63, b"a"));
        let answer = router.next(0);
        let quoted = datagram(src, dst, 64, b"r");
        if src.contains(':') {
            let expected = icmpv6::Repr::Unreachable { code: 1, quoted: &quoted };
            assert_eq!(icmpv6::Repr::parse(&answer[40..]), Ok(expected));
        } else {
            let expected = icmpv4::Repr::Unreachable { code: 13, mtu: 0, quoted: &quoted };
            assert_eq!(icmpv4::Repr::parse(&answer[20..]), Ok(expected));
        }
        router.nothing_else();
        let ours = if src.contains(':') { "2001:db8:1::1" } else { "10.1.0.1" };
        let socket = router.core.udp_bind(7.into()).unwrap();
        for payload in [&b"no"[..], b"yes"] {
            router.receive(&datagram(src, ours, 64, payload));
        }
        assert_eq!(router.core.udp_receive(socket, &mut [0; 9]).unwrap().0, 3);
        assert_eq!(router.core.udp_receive(socket, &mut [0; 9]), None);
        assert_eq!(router.core.stats().filtered, 3);
        router.nothing_else();
    }
}

/// RFC 1027: off at first, and then only for what is behind us.
#[test]
fn arp_is_answered_for_hosts_behind_us_when_that_is_wanted() {
    let mut router = Router::plain();
    let asks = |router: &mut Router, from: &str, target: &str| {
        let request = arp_request(LEFT, v4(from), v4(target));
        let frame = arp_frame(LEFT, MacAddr::BROADCAST, request);
        router.core.receive(router.now, 0, &frame, RxMeta::default(), &mut router.sent, None);
        router.sent.frames.pop_front().map(|(interface, frame, _)| (interface, frame))
    };
    assert_eq!(asks(&mut router, "10.1.0.2", "10.2.0.2"), None);
    router.core.set_proxy_arp(0, true);
    let reply = arp_wire::Repr {
        operation: arp_wire::Operation::Reply,
        sender_mac: OURS[0],
        sender_ip: v4("10.2.0.2"),
        target_mac: LEFT,
        target_ip: v4("10.1.0.2"),
    };
    let (interface, frame) = asks(&mut router, "10.1.0.2", "10.2.0.2").unwrap();
    assert_eq!((interface, arp_wire::Repr::parse(&frame[14..]), &frame[..6]), (0, Ok(reply), &LEFT.0[..]));
    // Hosts of the link itself, nowhere, probes, announcements, strangers.
    for (from, target) in [
        ("10.1.0.2", "10.1.0.9"),
        ("10.1.0.2", "192.0.2.1"),
        ("0.0.0.0", "10.2.0.2"),
        ("10.2.0.2", "10.2.0.2"),
        ("10.2.0.9", "10.2.0.2"),
        ("10.1.0.2", "255.255.255.255"),
    ] {
        assert_eq!(asks(&mut router, from, target), None, "{from} {target}");
    }
    router.core.set_forwarding(false);
    assert_eq!(asks(&mut router, "10.1.0.2", "10.2.0.2"), None);
}
