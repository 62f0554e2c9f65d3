//! Fragments in and out.
use super::{
    ipv6::{OURS, THEIRS, icmp_frame},
    *,
};
use crate::wire::{icmpv4, icmpv6};
use proptest::prelude::*;

/// An IPv4 fragment from the peer to us.
fn v4(identification: u16, offset: usize, more: bool, payload: &[u8]) -> Vec<u8> {
    let repr = ipv4_wire::Repr {
        src: PEER_IP,
        dst: OUR_IP,
        protocol: 17,
        ttl: 64,
        traffic_class: 0,
        identification,
        dont_fragment: false,
        payload_len: payload.len(),
    };
    let mut packet = vec![0; 20 + payload.len()];
    repr.emit(&mut packet).unwrap().copy_from_slice(payload);
    ipv4_wire::set_fragment(&mut packet[..20], offset, more).unwrap();
    ethernet_frame(PEER, US, EtherType::IPV4, &packet)
}

/// An IPv6 fragment from the peer to us.
fn v6(identification: u32, next: u8, offset: usize, more: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![next, 0];
    bytes.extend((offset as u16 | u16::from(more)).to_be_bytes());
    bytes.extend(identification.to_be_bytes());
    bytes.extend(payload);
    ip_frame(THEIRS.into(), OURS.into(), 44, 64, &bytes)
}

/// A datagram to port 7 and its checksum.
fn datagram(src: IpAddr, dst: IpAddr, payload: &[u8]) -> Vec<u8> {
    udp_frame((src, 4000).into(), (dst, 7).into(), payload)[14 + if src.is_ipv4() { 20 } else { 40 }..]
        .to_vec()
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 / 3) as u8).collect()
}

#[test]
fn a_datagram_in_fragments_reaches_its_socket_whatever_the_order() {
    let data = pattern(3000);
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]] {
        let mut host = Host::ipv4();
        let socket = host.bind(7);
        let whole = datagram(PEER_IP.into(), OUR_IP.into(), &data);
        for part in order {
            let range = [0..1480, 1480..2960, 2960..whole.len()][part].clone();
            host.receive(&v4(9, range.start, range.end < whole.len(), &whole[range]));
        }
        assert_eq!(host.received(socket), (data.clone(), (PEER_IP, 4000).into()), "{order:?}");
        assert_eq!((host.core.stats().fragments, host.core.stats().reassembled), (3, 1));
        host.nothing_else();

        let mut host = super::ipv6::host();
        let socket = host.bind(7);
        let whole = datagram(THEIRS.into(), OURS.into(), &data);
        for part in order {
            let range = [0..1232, 1232..2464, 2464..whole.len()][part].clone();
            host.receive(&v6(9, 17, range.start, range.end < whole.len(), &whole[range]));
        }
        assert_eq!(host.received(socket), (data.clone(), (IpAddr::V6(THEIRS), 4000).into()), "{order:?}");
        host.nothing_else();
    }
}

//= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
//= type=test
//# If any of the fragments being reassembled overlap with any
//# other fragments being reassembled for the same packet,
//# reassembly of that packet must be abandoned and all the
//# fragments that have been received for that packet must be
//# discarded, and no ICMP error messages should be sent.
#[test]
fn overlapping_fragments_end_their_packet() {
    let mut host = super::ipv6::host();
    let socket = host.bind(7);
    let whole = datagram(THEIRS.into(), OURS.into(), &pattern(100));
    host.receive(&v6(1, 17, 0, true, &whole[..48]));
    host.receive(&v6(1, 17, 40, true, &[9; 16]));
    host.receive(&v6(1, 17, 48, false, &whole[48..]));
    assert_eq!(host.core.udp_receive(socket, &mut [0; 200]), None);
    assert_eq!(host.core.stats().fragments_refused, 2);
    // Also after the time: silently.
    host.run_for(Duration::from_secs(70));
    assert_eq!(host.core.udp_receive(socket, &mut [0; 200]), None);
    host.nothing_else();
    // A copy is no overlap.
    host.receive(&v6(2, 17, 0, true, &whole[..48]));
    host.receive(&v6(2, 17, 0, true, &whole[..48]));
    host.receive(&v6(2, 17, 8, true, &whole[8..32]));
    host.receive(&v6(2, 17, 48, false, &whole[48..]));
    assert_eq!(host.received(socket).0, pattern(100));
    // Fragments of IPv4 likewise.
    let mut host = Host::ipv4();
    let socket = host.bind(7);
    let whole = datagram(PEER_IP.into(), OUR_IP.into(), &pattern(100));
    host.receive(&v4(1, 0, true, &whole[..48]));
    host.receive(&v4(1, 40, true, &[9; 16]));
    host.receive(&v4(1, 48, false, &whole[48..]));
    assert_eq!(host.core.udp_receive(socket, &mut [0; 200]), None);
    host.nothing_else();
}

//= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
//= type=test
//# If the first fragment
//# (i.e., the one with a Fragment Offset of zero) has been
//# received, an ICMP Time Exceeded -- Fragment Reassembly Time
//# Exceeded message should be sent to the source of that fragment.
#[test]
fn what_does_not_come_in_time_is_given_up_and_said() {
    let mut host = Host::ipv4();
    host.meet_peer();
    let first = v4(1, 0, true, &pattern(64));
    host.receive(&first);
    host.receive(&v4(2, 64, false, &pattern(64)));
    host.run_for(Duration::from_secs(59));
    host.nothing_else();
    host.run_for(Duration::from_secs(2));
    let (src, dst, protocol, payload) = open_ipv4(&host.next(), PEER);
    assert_eq!((src, dst, protocol), (OUR_IP, PEER_IP, 1));
    let expected = icmpv4::Repr::TimeExceeded { code: 1, quoted: &first[14..] };
    assert_eq!(icmpv4::Repr::parse(&payload), Ok(expected));
    host.nothing_else();
    assert_eq!(host.core.stats().reassembly_failed, 2);

    let mut host = super::ipv6::host();
    let first = v6(1, 17, 0, true, &pattern(64));
    host.receive(&first);
    host.receive(&v6(2, 17, 64, false, &pattern(64)));
    host.run_for(Duration::from_secs(59));
    host.sent.frames.clear();
    super::ipv6::meet(&mut host, THEIRS);
    host.run_for(Duration::from_secs(2));
    let (src, dst, _, next, payload) = super::ipv6::open(&host.next(), PEER);
    assert_eq!((src, dst, next), (OURS, THEIRS, 58));
    let expected = icmpv6::Repr::TimeExceeded { code: 1, quoted: &first[14..] };
    assert_eq!(icmpv6::Repr::parse(&payload), Ok(expected));
    host.nothing_else();
}

//= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
//= type=test
//# If the length of a fragment, as derived from the fragment
//# packet's Payload Length field, is not a multiple of 8 octets
//# and the M flag of that fragment is 1, then that fragment
//# must be discarded and an ICMP Parameter Problem, Code 0,
//# message should be sent to the source of the fragment, pointing
//# to the Payload Length field of the fragment packet.
#[test]
fn impossible_fragments_are_reported() {
    let mut host = super::ipv6::host();
    super::ipv6::meet(&mut host, THEIRS);
    let table: [(&str, Vec<u8>, u8, u32); 4] = [
        ("7 bytes and more to come", v6(1, 17, 0, true, &[0; 15]), 0, 4),
        ("beyond 65,535", v6(1, 17, 65_528, false, &[0; 8]), 0, 42),
        ("no whole TCP header", v6(1, 6, 0, true, &[0; 16]), 3, 0),
        ("options cut off", v6(1, 60, 0, true, &[17, 1, 1, 4, 0, 0, 0, 0]), 3, 0),
    ];
    for (what, frame, code, pointer) in table {
        host.receive(&frame);
        let payload = super::ipv6::open(&host.next(), PEER).4;
        let expected = icmpv6::Repr::ParameterProblem { code, pointer, quoted: &frame[14..] };
        assert_eq!(icmpv6::Repr::parse(&payload), Ok(expected), "{what}");
        host.nothing_else();
    }
    let mut host = Host::ipv4();
    for frame in [v4(1, 0, true, &[0; 15]), v4(1, 65_528, false, &[0; 8]), v4(1, 8, true, &[])] {
        let before = host.core.stats().malformed;
        host.receive(&frame);
        assert_eq!(host.core.stats().malformed, before + 1);
        host.nothing_else();
    }
}

#[test]
fn a_flood_of_first_fragments_takes_no_more_than_its_table() {
    let mut host = Host::ipv4();
    let socket = host.bind(7);
    for identification in 0..1000 {
        host.receive(&v4(identification, 0, true, &[1; 1480]));
    }
    assert_eq!(host.core.stats().reassembly_failed, 1000 - 32);
    // The newest survive it, and so does one that is whole.
    let whole = datagram(PEER_IP.into(), OUR_IP.into(), &pattern(2000));
    host.receive(&v4(5000, 0, true, &whole[..1480]));
    host.receive(&v4(5000, 1480, false, &whole[1480..]));
    assert_eq!(host.received(socket).0, pattern(2000));
}

#[test]
fn fragments_for_tcp_and_pings_in_fragments() {
    let mut host = Host::ipv4();
    host.meet_peer();
    let mut segment = vec![3; 1000];
    segment[12] = 0x50;
    let segment = with_checksum(PEER_IP.into(), OUR_IP.into(), 6, 16, segment);
    let as_tcp = |mut frame: Vec<u8>| {
        frame[14 + 9] = 6;
        frame[14 + 10..14 + 12].fill(0);
        let sum = Sum::ZERO.bytes(&frame[14..34]).finish();
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
        frame
    };
    assert!(host.receive(&as_tcp(v4(1, 0, true, &segment[..504]))).is_none());
    let last = as_tcp(v4(1, 504, false, &segment[504..]));
    assert!(host.core.receive(host.now, 0, &last, RxMeta::default(), &mut host.sent, None).is_none());
    assert_eq!(host.receive_held(), [segment]);

    // ping -s 8000: the answer has as many fragments as the question.
    let mut host = super::ipv6::host();
    super::ipv6::meet(&mut host, THEIRS);
    let data = pattern(8000);
    let ping = icmpv6::Repr::EchoRequest { identifier: 1, sequence: 2, data: &data };
    let mut bytes = vec![0; ping.len()];
    ping.emit(&mut bytes).unwrap();
    let whole = icmp_frame(THEIRS, OURS, 64, bytes)[54..].to_vec();
    for start in (0..whole.len()).step_by(1232) {
        let end = whole.len().min(start + 1232);
        host.receive(&v6(3, 58, start, end < whole.len(), &whole[start..end]));
    }
    let mut peer = Host::with(Caps::new(1500), &InterfaceConfig::default());
    peer.core
        .add_address(peer.now, 0, "2001:db8::2/64".parse().unwrap(), crate::Origin::Static, false)
        .unwrap();
    let mut count = 0;
    let mut answer = None;
    while let Some((_, mut frame, _)) = host.sent.frames.pop_front() {
        assert!(frame.len() <= 1514);
        frame[..12].rotate_left(6);
        frame[..6].copy_from_slice(&US.0);
        frame[6..12].copy_from_slice(&PEER.0);
        count += 1;
        peer.core.receive(peer.now, 0, &frame, RxMeta::default(), &mut peer.sent, None);
        if let Some(taken) = peer.core.reassembly.take_whole() {
            answer = Some(taken.packet()[40..].to_vec());
        }
    }
    let reply = icmpv6::Repr::EchoReply { identifier: 1, sequence: 2, data: &data };
    assert_eq!(count, 6);
    assert_eq!(icmpv6::Repr::parse(&answer.unwrap()), Ok(reply));
}

#[test]
fn a_large_datagram_waits_whole_for_its_neighbour() {
    let mut host = Host::ipv4();
    let socket = host.bind(7);
    host.core.udp_send(host.now, socket, &pattern(4000), (PEER_IP, 9).into(), &mut host.sent).unwrap();
    assert_eq!(open_arp(&host.next(), MacAddr::BROADCAST), arp_request(US, OUR_IP, PEER_IP));
    host.nothing_else();
    host.receive(&arp_frame(PEER, US, arp_reply(PEER, PEER_IP, US, OUR_IP)));
    assert_eq!(host.sent.frames.len(), 3);
}

#[test]
fn without_buffers_fragments_are_dropped_and_sent_all_the_same() {
    let mut memory = crate::StackMemory::<1, 4, 8, 6, 2, 1536, 1>::new();
    let mut core = Core::with_memory(&mut memory, [1; 16]);
    let (now, mut sent) = (Instant::from_secs(1), Sent::default());
    core.add_interface(US, Caps::new(1500)).unwrap();
    let config = InterfaceConfig {
        ipv6_enabled: false,
        ..InterfaceConfig::ipv4(Ipv4Config::new(crate::Cidr::new(OUR_IP, 24)))
    };
    core.configure(now, 0, &config).unwrap();
    core.receive(now, 0, &v4(1, 0, true, &[0; 8]), RxMeta::default(), &mut sent, None);
    assert_eq!((core.stats().fragments, core.stats().fragments_refused, core.has_held()), (1, 1, false));
    core.receive(
        now,
        0,
        &arp_frame(PEER, US, arp_request(PEER, PEER_IP, OUR_IP)),
        RxMeta::default(),
        &mut sent,
        None,
    );
    sent.frames.clear();
    let socket = core.udp_bind(7.into()).unwrap();
    core.udp_send(now, socket, &[0; 3000], (PEER_IP, 9).into(), &mut sent).unwrap();
    assert_eq!(sent.frames.len(), 3);
}

#[test]
fn the_fragments_that_are_made() {
    let mut host = super::ipv6::host();
    super::ipv6::meet(&mut host, THEIRS);
    let socket = host.bind(5);
    let mut identifications = std::collections::HashSet::new();
    for round in 0..1000 {
        host.core.udp_send(host.now, socket, &pattern(4000), (THEIRS, 7).into(), &mut host.sent).unwrap();
        let mut ends = Vec::new();
        let mut identification = None;
        while let Some((_, frame, _)) = host.sent.frames.pop_front() {
            //= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
            //= type=test
            //# The Per-Fragment headers must consist of the IPv6 header plus any
            //# extension headers that must be processed by nodes en route to the
            //# destination, that is, all headers up to and including the Routing
            //# header if present, else the Hop-by-Hop Options header if present,
            //# else no extension headers.
            let [44, _] = frame[20..22] else { panic!("{frame:02x?}") };
            let fragment = &frame[54..];
            assert_eq!((fragment[0], fragment[1]), (17, 0));
            let field = u16::from_be_bytes([fragment[2], fragment[3]]);
            let (start, more) = (usize::from(field & !7), field & 1 == 1);
            //= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
            //= type=test
            //# These headers must be in the first fragment.
            if start == 0 {
                assert_eq!(fragment[8..12], [0, 5, 0, 7], "the UDP header");
            }
            //= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
            //= type=test
            //# Fragments must not be created that overlap with any other
            //# fragments created from the original packet.
            assert_eq!(start, ends.last().map_or(0, |(end, _)| *end));
            ends.push((start + fragment.len() - 8, more));
            assert_eq!(*identification.get_or_insert(fragment[4..8].to_vec()), fragment[4..8]);
        }
        assert_eq!(ends.last(), Some(&(4008, false)));
        assert!(ends.len() == 3 && ends[..2].iter().all(|(_, more)| *more));
        //= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
        //= type=test
        //# The Identification must be
        //# different than that of any other fragmented packet sent recently*
        //# with the same Source Address and Destination Address.
        assert!(identifications.insert(identification.unwrap()), "{round}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn what_is_sent_in_fragments_arrives(len in 0usize..65_500, mtu in 576usize..9000, six: bool) {
        let mtu = if six { mtu.max(1280) } else { mtu };
        let (a, b): (IpAddr, IpAddr) =
            if six { (OURS.into(), THEIRS.into()) } else { (OUR_IP.into(), PEER_IP.into()) };
        let host = |own: IpAddr| {
            let config = InterfaceConfig { dad_transmits: 0, slaac: false, ..InterfaceConfig::default() };
            let mut host = Host::with(Caps::new(mtu), &config);
            let cidr = crate::IpCidr::new(own, if six { 64 } else { 24 });
            host.core.add_address(host.now, 0, cidr, crate::Origin::Static, false).unwrap();
            host.core.datagrams_len = 70_000;
            host
        };
        let (mut sender, mut receiver) = (host(a), host(b));
        // All neighbours are the peer.
        let evidence = crate::neighbor::Evidence { mac: Some(US), ..crate::neighbor::Evidence::STALE };
        sender.core.neighbors.learn(sender.now, 0, b, evidence, Duration::from_secs(30));
        let (from, to) = (sender.bind(5), receiver.bind(7));
        let data = pattern(len);
        sender.core.udp_send(sender.now, from, &data, (b, 7).into(), &mut sender.sent).unwrap();
        while let Some((_, mut frame, _)) = sender.sent.frames.pop_front() {
            prop_assert!(frame.len() <= 14 + mtu);
            frame[6..12].copy_from_slice(&PEER.0);
            receiver.receive(&frame);
        }
        prop_assert_eq!(receiver.received(to), (data, (a, 5).into()));
        prop_assert_eq!(receiver.sent.frames.len(), 0);
    }
}
