//! IPv4, ICMP and UDP.
use super::*;
use crate::wire::icmpv4;
use airglow_device::Endpoint;

fn icmp(message: icmpv4::Repr<'_>) -> Vec<u8> {
    let mut bytes = vec![0; message.len()];
    message.emit(&mut bytes).unwrap();
    bytes
}

fn ping(to: Ipv4Addr, data: &[u8]) -> Vec<u8> {
    let request = icmp(icmpv4::Repr::EchoRequest { identifier: 1, sequence: 2, data });
    ip_frame(PEER_IP.into(), to.into(), 1, 64, &request)
}

fn datagram(port: u16, payload: &[u8]) -> Vec<u8> {
    udp_frame((PEER_IP, 4000).into(), (OUR_IP, port).into(), payload)
}

//= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.6
//= type=test
//# Every host MUST implement an ICMP Echo server function that
//# receives Echo Requests and sends corresponding Echo Replies.
#[test]
fn ping_is_answered() {
    let mut host = Host::ipv4();
    host.meet_peer();
    for len in [0, 1, 56, 1472] {
        let data = vec![0x5a; len];
        host.receive(&ping(OUR_IP, &data));
        let (src, dst, protocol, payload) = open_ipv4(&host.next(), PEER);
        assert_eq!((src, dst, protocol), (OUR_IP, PEER_IP, 1));
        let reply = icmpv4::Repr::EchoReply { identifier: 1, sequence: 2, data: &data };
        assert_eq!(icmpv4::Repr::parse(&payload), Ok(reply));
        host.nothing_else();
    }
}

#[test]
fn ping_waits_for_an_unknown_neighbour() {
    let mut host = Host::ipv4();
    host.receive(&ping(OUR_IP, b"x"));
    assert_eq!(open_arp(&host.next(), MacAddr::BROADCAST), arp_request(US, OUR_IP, PEER_IP));
    host.nothing_else();
    host.receive(&arp_frame(PEER, US, arp_reply(PEER, PEER_IP, US, OUR_IP)));
    assert_eq!(open_ipv4(&host.next(), PEER).2, 1);
    host.nothing_else();
}

#[test]
fn what_is_not_for_us_or_is_damaged_is_counted_and_dropped() {
    let mut host = Host::ipv4();
    host.meet_peer();
    let good = ping(OUR_IP, b"hello");
    let change = |at: usize, to: u8| {
        let mut frame = good.clone();
        frame[at] = to;
        frame
    };
    let before = *host.core.stats();
    type Count = fn(&crate::IpStats) -> u64;
    let other: Count = |s| s.other;
    let (malformed, checksum, address): (Count, Count, Count) =
        (|s| s.malformed, |s| s.bad_checksum, |s| s.bad_address);
    let fragment = {
        // More fragments: the header's checksum changes by as much.
        let mut frame = good.clone();
        frame[20] = 0x20;
        frame[24..26].fill(0);
        let sum = Sum::ZERO.bytes(&frame[14..34]).finish();
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
        frame
    };
    let from = |src: [u8; 4]| {
        let request = icmp(icmpv4::Repr::EchoRequest { identifier: 1, sequence: 2, data: b"" });
        ip_frame(Ipv4Addr::from(src).into(), OUR_IP.into(), 1, 64, &request)
    };
    let mut to_broadcast_frame = good.clone();
    to_broadcast_frame[..6].fill(0xff);
    let table: Vec<(&str, Vec<u8>, Count)> = vec![
        ("an empty frame", vec![], other),
        ("half a header", good[..13].to_vec(), other),
        ("another station", change(5, 9), other),
        ("an unknown type", change(12, 0x09), other),
        (
            "a length field",
            {
                let mut f = good.clone();
                f[12..14].copy_from_slice(&[0, 46]);
                f
            },
            other,
        ),
        ("version 5", change(14, 0x55), malformed),
        ("a short header", change(14, 0x44), malformed),
        ("cut off", good[..30].to_vec(), malformed),
        ("shorter than it says", good[..good.len() - 1].to_vec(), malformed),
        ("a wrong header checksum", change(22, 63), checksum),
        ("a wrong ICMP checksum", change(good.len() - 1, 0), checksum),
        ("not our address", ping(Ipv4Addr::new(10, 0, 0, 77), b""), address),
        ("a broadcast source", from([255; 4]), address),
        ("our network's broadcast as source", from([10, 0, 0, 255]), address),
        ("a multicast source", from([224, 0, 0, 1]), address),
        ("a loopback source", from([127, 0, 0, 1]), address),
        ("our own address as source", from(OUR_IP.octets()), address),
        ("our address in a broadcast frame", to_broadcast_frame, address),
        ("a fragment", fragment, |s| s.fragments),
    ];
    for (what, frame, count) in table {
        let before = count(host.core.stats());
        assert!(host.receive(&frame).is_none(), "{what}");
        assert_eq!(count(host.core.stats()), before + 1, "{what}: {:?}", host.core.stats());
        host.nothing_else();
    }
    // Pings to groups are heard and not answered.
    for group in [[255; 4], [10, 0, 0, 255], [224, 0, 0, 1]] {
        host.receive(&ping(group.into(), b""));
        host.nothing_else();
    }
    assert_eq!(before.sent, host.core.stats().sent);
}

#[test]
fn datagrams_go_to_their_socket_in_order() {
    let mut host = Host::ipv4();
    let socket = host.bind(7);
    host.receive(&datagram(7, b"one"));
    host.receive(&datagram(7, b""));
    host.receive(&udp_frame((PEER_IP, 4000).into(), ([10, 0, 0, 255], 7).into(), b"all"));
    let from = SocketAddr::from((PEER_IP, 4000));
    assert_eq!(host.received(socket), (b"one".to_vec(), from));
    assert_eq!(host.received(socket), (vec![], from));
    assert_eq!(host.received(socket), (b"all".to_vec(), from));
    assert_eq!(host.core.udp_receive(socket, &mut [0; 10]), None);
    host.nothing_else();
}

#[test]
fn a_full_queue_drops_and_counts() {
    let mut host = Host::ipv4();
    let socket = host.bind(7);
    for _ in 0..10 {
        host.receive(&datagram(7, &[1; 1000]));
    }
    assert_eq!(host.core.stats().queue_full, 6, "4,096 bytes hold four with their headers");
    for _ in 0..4 {
        assert_eq!(host.received(socket).0.len(), 1000);
    }
    assert_eq!(host.core.udp_receive(socket, &mut [0; 10]), None);
}

#[test]
fn ports_are_bound_once() {
    let mut host = Host::ipv4();
    host.bind(53);
    assert_eq!(host.core.udp_bind(53.into()), Err(crate::Error::AddrInUse));
    assert_eq!(
        host.core.udp_bind(Endpoint { addr: Some(OUR_IP.into()), port: 53 }),
        Err(crate::Error::AddrInUse)
    );
    let elsewhere = Endpoint { addr: Some(PEER_IP.into()), port: 54 };
    assert_eq!(host.core.udp_bind(elsewhere), Err(crate::Error::AddrNotAvailable));
    let mut ports = std::collections::HashSet::new();
    for _ in 0..63 {
        let socket = host.bind(0);
        assert!(ports.insert(host.core.sockets[socket].port));
    }
    assert!(ports.iter().all(|port| *port >= 49_152));
    assert_eq!(host.core.udp_bind(0.into()), Err(crate::Error::TableFull));
}

//= https://www.rfc-editor.org/rfc/rfc1122#section-4.1.3.1
//= type=test
//# If a datagram arrives addressed to a UDP port for which
//# there is no pending LISTEN call, UDP SHOULD send an ICMP
//# Port Unreachable message.
#[test]
fn a_closed_port_and_an_unknown_protocol_are_reported_within_the_rate() {
    let mut host = Host::ipv4();
    host.meet_peer();
    let question = datagram(9, b"anyone?");
    host.receive(&question);
    let (src, dst, protocol, payload) = open_ipv4(&host.next(), PEER);
    assert_eq!((src, dst, protocol), (OUR_IP, PEER_IP, 1));
    let quoted = &question[14..];
    assert_eq!(icmpv4::Repr::parse(&payload), Ok(icmpv4::Repr::Unreachable { code: 3, mtu: 0, quoted }));
    host.nothing_else();

    host.receive(&ip_frame(PEER_IP.into(), OUR_IP.into(), 132, 64, &[0; 600]));
    let payload = open_ipv4(&host.next(), PEER).3;
    let Ok(icmpv4::Repr::Unreachable { code: 2, quoted, .. }) = icmpv4::Repr::parse(&payload) else {
        panic!()
    };
    assert_eq!(quoted.len() + 28, 576, "no more than the minimum datagram");
    host.nothing_else();

    // Broadcasts are never complained about.
    host.receive(&udp_frame((PEER_IP, 4000).into(), ([10, 0, 0, 255], 9).into(), b""));
    host.nothing_else();
    for _ in 0..1000 {
        host.receive(&question);
    }
    assert!(host.sent.frames.len() < 20);
    assert_eq!(host.core.stats().icmp_limited as usize, 1000 - host.sent.frames.len());
}

#[test]
fn a_service_answers_in_place() {
    let mut host = Host::ipv4();
    host.meet_peer();
    let socket = host.bind(53);
    let mut answer = |peer: SocketAddr, question: &[u8], reply: &mut [u8]| {
        assert_eq!(peer, SocketAddr::from((PEER_IP, 4000)));
        assert_eq!(reply.len(), 1472);
        if question.is_empty() {
            return None;
        }
        reply[..question.len()].copy_from_slice(question);
        reply[..question.len()].reverse();
        Some(question.len())
    };
    let mut responder = Responder { socket, answer: &mut answer };
    host.respond(&datagram(53, b"abc"), &mut responder);
    host.respond(&datagram(53, b""), &mut responder);
    let (src, dst, _, payload) = open_ipv4(&host.next(), PEER);
    assert_eq!(open_udp(src.into(), dst.into(), &payload), (53, 4000, b"cba".to_vec()));
    host.nothing_else();
    // What came while another service drove is answered from the queue.
    host.receive(&datagram(53, b"de"));
    host.nothing_else();
    host.core.udp_respond_queued(host.now, &mut host.sent, &mut responder);
    let payload = open_ipv4(&host.next(), PEER).3;
    assert_eq!(open_udp(OUR_IP.into(), PEER_IP.into(), &payload), (53, 4000, b"ed".to_vec()));
    host.nothing_else();
    // A full ring costs the answer and nothing else.
    host.sent.full = true;
    host.respond(&datagram(53, b"abc"), &mut responder);
    assert_eq!(host.core.stats().transmit_full, 1);
}

#[test]
fn a_device_that_sums_is_left_the_sum() {
    let mut host = Host::ipv4_with(Caps::new(1500).with_checksums(true, true));
    host.meet_peer();
    let socket = host.bind(7);
    host.core.udp_send(host.now, socket, b"abc", (PEER_IP, 9).into(), &mut host.sent).unwrap();
    let (_, mut frame, meta) = host.sent.frames.pop_front().unwrap();
    assert_eq!(meta, TxMeta::checksum(34, 6));
    // The device's part: sum from the start on, complement, store.
    let checksum = Sum::ZERO.bytes(&frame[34..]).finish();
    frame[40..42].copy_from_slice(&checksum.to_be_bytes());
    open_udp(OUR_IP.into(), PEER_IP.into(), &frame[34..]);
    // A packet that waits keeps what the device must do.
    host.core.udp_send(host.now, socket, b"abc", ([10, 0, 0, 3], 9).into(), &mut host.sent).unwrap();
    host.next();
    host.receive(&arp_frame(PEER, US, arp_reply(PEER, Ipv4Addr::new(10, 0, 0, 3), US, OUR_IP)));
    assert_eq!(host.sent.frames.pop_front().unwrap().2, TxMeta::checksum(34, 6));
    host.nothing_else();
    // What the device has checked is not checked again.
    let mut damaged = datagram(7, b"abc");
    damaged[40] ^= 0xff;
    assert!(host.core.udp_receive(socket, &mut [0; 9]).is_none());
    host.core.receive(host.now, 0, &damaged, RxMeta::new(false, 0), &mut host.sent, None);
    assert!(host.core.udp_receive(socket, &mut [0; 9]).is_none());
    host.core.receive(host.now, 0, &damaged, RxMeta::new(true, 0), &mut host.sent, None);
    assert_eq!(host.received(socket).0, b"abc");
}

#[test]
fn a_datagram_without_checksum_is_taken_over_ipv4() {
    let mut host = Host::ipv4();
    let socket = host.bind(7);
    let mut frame = datagram(7, b"abc");
    frame[40..42].fill(0);
    host.receive(&frame);
    assert_eq!(host.received(socket).0, b"abc");
}

#[test]
fn what_cannot_be_sent_is_said() {
    let mut host = Host::ipv4();
    host.meet_peer();
    let socket = host.bind(7);
    let mut send =
        |payload: &[u8], to: SocketAddr| host.core.udp_send(host.now, socket, payload, to, &mut host.sent);
    use crate::{Error, udp::UdpSendError::Failed};
    assert_eq!(send(&[0; 1472], (PEER_IP, 9).into()), Ok(()));
    assert_eq!(send(&[0; 65_508], (PEER_IP, 9).into()), Err(Failed(Error::MessageTooLong)));
    assert_eq!(send(&[0; 70_000], (PEER_IP, 9).into()), Err(Failed(Error::MessageTooLong)));
    assert_eq!(send(b"", (PEER_IP, 0).into()), Err(Failed(Error::InvalidInput)));
    assert_eq!(send(b"", "[2001:db8::1]:9".parse().unwrap()), Err(Failed(Error::NoRoute)));
    assert_eq!(send(b"", ([255; 4], 9).into()), Ok(()));
    host.next();
    assert_eq!(open_ipv4(&host.next(), MacAddr::BROADCAST).1, Ipv4Addr::BROADCAST);
    host.nothing_else();
}

#[test]
fn tcp_gets_its_segments_and_its_errors() {
    let mut host = Host::ipv4();
    let mut segment = vec![0; 20];
    segment[12] = 0x50;
    let segment = with_checksum(PEER_IP.into(), OUR_IP.into(), 6, 16, segment);
    let frame = ip_frame(PEER_IP.into(), OUR_IP.into(), 6, 64, &segment);
    let Some(Delivery::Segment { src, dst, segment: got, .. }) = host.receive(&frame) else { panic!() };
    assert_eq!((src, dst, got), (PEER_IP.into(), OUR_IP.into(), &segment[..]));

    let quoted = ip_frame(OUR_IP.into(), PEER_IP.into(), 6, 64, &segment)[14..14 + 28].to_vec();
    let error = icmp(icmpv4::Repr::Unreachable { code: 4, mtu: 1400, quoted: &quoted });
    let frame = ip_frame(GATEWAY.into(), OUR_IP.into(), 1, 64, &error);
    let Some(Delivery::Error { error, src, dst, quoted }) = host.receive(&frame) else { panic!() };
    assert_eq!(error, crate::tcp::IcmpError::TooBig(1400));
    assert_eq!((src, dst, quoted), (OUR_IP.into(), PEER_IP.into(), &segment[..8]));
    // About a packet that was not ours.
    let quoted = ip_frame(GATEWAY.into(), PEER_IP.into(), 6, 64, &segment)[14..].to_vec();
    let error = icmp(icmpv4::Repr::Unreachable { code: 1, mtu: 0, quoted: &quoted });
    assert!(host.receive(&ip_frame(GATEWAY.into(), OUR_IP.into(), 1, 64, &error)).is_none());
    host.nothing_else();
}

//= https://www.rfc-editor.org/rfc/rfc768
//= type=test
//# If the computed  checksum  is zero,  it is transmitted  as all ones (the
//# equivalent  in one's complement  arithmetic).
#[test]
fn a_checksum_of_zero_is_sent_as_ones() {
    let mut host = Host::ipv4();
    host.meet_peer();
    let socket = host.bind(7);
    let mut ones = 0;
    for payload in 0..=u16::MAX {
        let payload = payload.to_be_bytes();
        host.core.udp_send(host.now, socket, &payload, (PEER_IP, 9).into(), &mut host.sent).unwrap();
        let frame = host.next();
        assert_ne!(frame[40..42], [0, 0]);
        ones += usize::from(frame[40..42] == [0xff, 0xff]);
    }
    assert_eq!(ones, 1);
}

#[test]
fn hop_limits_are_each_interface_s_own() {
    let mut host = Host::ipv4();
    host.meet_peer();
    let socket = host.bind(7);
    for ttl in [64, 9] {
        if ttl != 64 {
            //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.7
            //= type=test
            //# When a fixed TTL value
            //# is used, it MUST be configurable.
            host.core.set_hop_limit(0, ttl);
        }
        host.core.udp_send(host.now, socket, b"far?", (PEER_IP, 9).into(), &mut host.sent).unwrap();
        assert_eq!(host.next()[14 + 8], ttl);
        host.nothing_else();
    }
}
