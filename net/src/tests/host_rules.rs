//! Rules for hosts (RFC 1122) that hold whatever a datagram is about: options, hops, messages that nobody answers, what we send.
use super::*;
use crate::{Error, RouteEntry, tcp::IcmpError, wire::icmpv4};

fn icmp(message: icmpv4::Repr<'_>) -> Vec<u8> {
    let mut bytes = vec![0; message.len()];
    message.emit(&mut bytes).unwrap();
    bytes
}

fn echo(data: &[u8]) -> Vec<u8> {
    icmp(icmpv4::Repr::EchoRequest { identifier: 1, sequence: 2, data })
}

/// Writes the header's checksum again.
fn with_header_checksum(mut frame: Vec<u8>) -> Vec<u8> {
    let end = 14 + usize::from(frame[14] & 0x0f) * 4;
    frame[24..26].fill(0);
    let sum = Sum::ZERO.bytes(&frame[14..end]).finish();
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// The packet with `options` behind its header.
fn with_options(mut frame: Vec<u8>, options: &[u8]) -> Vec<u8> {
    assert_eq!((frame[14], options.len() % 4), (0x45, 0));
    frame.splice(34..34, options.iter().copied());
    frame[14] += (options.len() / 4) as u8;
    let len = (frame.len() - 14) as u16;
    frame[16..18].copy_from_slice(&len.to_be_bytes());
    with_header_checksum(frame)
}

#[track_caller]
fn pong(host: &mut Host) -> Vec<u8> {
    let frame = host.next();
    let payload = open_ipv4(&frame, PEER).3;
    assert!(matches!(icmpv4::Repr::parse(&payload), Ok(icmpv4::Repr::EchoReply { .. })));
    host.nothing_else();
    frame
}

#[test]
fn options_are_passed_over() {
    let mut host = Host::ipv4();
    host.meet_peer();
    let socket = host.bind(7);
    let [a, b, c, d] = OUR_IP.octets();
    let table: [(&str, &[u8]); 9] = [
        ("nothing but padding", &[1, 1, 1, 0]),
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.8
        //= type=test
        //# This option is obsolete; it SHOULD NOT be sent, and it MUST be
        //# silently ignored if received.
        ("a stream identifier", &[136, 4, 0, 9]),
        ("security", &[130, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("a record of the route", &[7, 7, 4, 0, 0, 0, 0, 0]),
        ("times", &[68, 8, 5, 0, 0, 0, 0, 0]),
        ("a source route that is complete", &[131, 7, 8, a, b, c, d, 0]),
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.8
        //= type=test
        //# The IP and transport layer MUST each interpret those
        //# IP options that they understand and silently ignore
        //# the others.
        ("an option that nobody knows", &[222, 4, 1, 2]),
        ("an option without a length", &[7, 0, 0, 0]),
        ("an option longer than all of them", &[222, 99, 1, 2]),
    ];
    for (what, options) in table {
        let ping = ip_frame(PEER_IP.into(), OUR_IP.into(), 1, 64, &echo(b"hello"));
        host.receive(&with_options(ping, options));
        assert_eq!(pong(&mut host)[14], 0x45, "{what}: no options in the answer");
        let datagram = udp_frame((PEER_IP, 9).into(), (OUR_IP, 7).into(), what.as_bytes());
        host.receive(&with_options(datagram, options));
        assert_eq!(host.received(socket).0, what.as_bytes());
        host.nothing_else();
    }
}

//= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.7
//= type=test
//# A host MUST NOT discard a datagram just because it was
//# received with TTL less than 2.
#[test]
fn hops_that_are_left_are_no_matter_at_the_end() {
    let mut host = Host::ipv4();
    host.meet_peer();
    for ttl in [0, 1, 2, 255] {
        host.receive(&ip_frame(PEER_IP.into(), OUR_IP.into(), 1, ttl, &echo(b"")));
        assert_eq!(pong(&mut host)[14 + 8], 64);
    }
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.7
    //= type=test
    //# A host MUST NOT send a datagram with a Time-to-Live (TTL)
    //# value of zero.
    host.core.set_hop_limit(0, 0);
    host.receive(&ip_frame(PEER_IP.into(), OUR_IP.into(), 1, 64, &echo(b"")));
    assert_eq!(pong(&mut host)[14 + 8], 1);
    let socket = host.core.udp_bind(7.into()).unwrap();
    host.core.udp_send(host.now, socket, b"x", (PEER_IP, 9).into(), &mut host.sent).unwrap();
    assert_eq!(host.next()[14 + 8], 1);
    host.nothing_else();
}

#[test]
fn unreachable_is_no_proof_that_a_router_is_dead() {
    let mut host = Host::ipv4();
    host.receive(&arp_frame(PEER, US, arp_request(PEER, GATEWAY, OUR_IP)));
    host.next();
    let socket = host.bind(7);
    let far = SocketAddr::from(([192, 0, 2, 1], 9));
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.1
    //= type=test
    //# For example,
    //# it MUST NOT be used as proof of a dead gateway (see
    //# Section 3.3.1).
    for code in [0, 1, 5, 6, 7, 11, 12] {
        host.core.udp_send(host.now, socket, b"x", far, &mut host.sent).unwrap();
        let sent = host.next();
        assert_eq!(open_ipv4(&sent, PEER).1, Ipv4Addr::new(192, 0, 2, 1), "through the router");
        let error = icmp(icmpv4::Repr::Unreachable { code, mtu: 0, quoted: &sent[14..] });
        host.receive(&ip_frame(GATEWAY.into(), OUR_IP.into(), 1, 64, &error));
        assert_eq!(host.core.udp_take_error(socket), Some((far, Error::Unreachable)), "a hint, {code}");
        host.nothing_else();
    }
}

//= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.1.5
//= type=test
//# If it is
//# the current default that failed, the IP layer MUST select a
//# different default gateway (assuming more than one default is
//# known) for the failed route and for establishing new routes.
#[test]
fn another_router_takes_the_place_of_one_that_is_silent() {
    let mut host = Host::ipv4();
    let second = Ipv4Addr::new(10, 0, 0, 253);
    let default = crate::IpCidr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    host.core.add_route(RouteEntry { metric: 9, ..RouteEntry::new(default, second.into(), 0) }).unwrap();
    let socket = host.bind(7);
    let send = |host: &mut Host, last: u8| {
        host.core.udp_send(host.now, socket, b"x", ([192, 0, 2, last], 9).into(), &mut host.sent).unwrap();
    };
    send(&mut host, 1);
    host.run_for(Duration::from_secs(10));
    for _ in 0..3 {
        assert_eq!(open_arp(&host.next(), MacAddr::BROADCAST), arp_request(US, OUR_IP, GATEWAY));
    }
    host.nothing_else();
    // The same destination, and one that was not spoken to yet.
    send(&mut host, 1);
    assert_eq!(open_arp(&host.next(), MacAddr::BROADCAST), arp_request(US, OUR_IP, second));
    host.receive(&arp_frame(PEER, US, arp_reply(PEER, second, US, OUR_IP)));
    assert_eq!(open_ipv4(&host.next(), PEER).1, Ipv4Addr::new(192, 0, 2, 1));
    send(&mut host, 2);
    assert_eq!(open_ipv4(&host.next(), PEER).1, Ipv4Addr::new(192, 0, 2, 2));
    host.nothing_else();
}

//= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.5
//= type=test
//# An incoming Parameter Problem message MUST be passed to the
//# transport layer, and it MAY be reported to the user.
#[test]
fn a_parameter_problem_is_told_to_who_sent() {
    let mut host = Host::ipv4();
    host.meet_peer();
    let socket = host.bind(7);
    let peer = SocketAddr::from((PEER_IP, 9));
    host.core.udp_send(host.now, socket, b"x", peer, &mut host.sent).unwrap();
    let problem = |quoted: &[u8]| {
        let error = icmp(icmpv4::Repr::ParameterProblem { code: 0, pointer: 1, quoted });
        ip_frame(PEER_IP.into(), OUR_IP.into(), 1, 64, &error)
    };
    let sent = host.next();
    host.receive(&problem(&sent[14..]));
    assert_eq!(host.core.udp_take_error(socket), Some((peer, Error::Unreachable)));
    let segment = ip_frame(OUR_IP.into(), PEER_IP.into(), 6, 64, &[7; 20]);
    let frame = problem(&segment[14..]);
    let Some(Delivery::Error { error: IcmpError::Soft, quoted, .. }) = host.receive(&frame) else { panic!() };
    assert_eq!(quoted, [7; 20]);
    host.nothing_else();
}

#[test]
fn what_hosts_do_not_answer() {
    let mut host = Host::ipv4();
    host.meet_peer();
    let socket = host.bind(7);
    host.core.udp_send(host.now, socket, b"x", (PEER_IP, 9).into(), &mut host.sent).unwrap();
    let datagram = host.next();
    let segment = ip_frame(OUR_IP.into(), PEER_IP.into(), 6, 64, &[7; 20]);
    let table: [(&str, u8, &[u8]); 10] = [
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.2.2
        //= type=test
        //# TCP implementations MUST silently discard any received ICMP Source
        //# Quench messages (MUST-55).
        ("source quench for TCP", 4, &segment[14..]),
        ("source quench for UDP", 4, &datagram[14..]),
        ("a router's advertisement", 9, &[0; 12]),
        ("a question for routers", 10, &[]),
        ("a question for the time", 13, &[0; 12]),
        ("the time", 14, &[0; 12]),
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.7
        //= type=test
        //# A host SHOULD NOT implement these messages.
        ("a question for our network's number", 15, &[]),
        ("the number", 16, &[]),
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.9
        //= type=test
        //# A system MUST NOT send an Address Mask Reply unless it is an
        //# authoritative agent for address masks.
        ("a question for the mask", 17, &[0; 4]),
        ("a mask", 18, &[255, 0, 0, 0]),
    ];
    for (what, kind, body) in table {
        for to in [OUR_IP, Ipv4Addr::BROADCAST, Ipv4Addr::new(10, 0, 0, 255)] {
            let mut message = [&[kind, 0, 0, 0, 0, 0, 0, 0][..], body].concat();
            let sum = Sum::ZERO.bytes(&message).finish();
            message[2..4].copy_from_slice(&sum.to_be_bytes());
            assert!(host.receive(&ip_frame(PEER_IP.into(), to.into(), 1, 64, &message)).is_none(), "{what}");
            host.run_for(Duration::from_millis(10));
            host.nothing_else();
        }
    }
    assert_eq!(host.core.udp_take_error(socket), None);
    assert_eq!(host.core.addresses().next().unwrap().cidr.prefix_len, 24, "no mask is believed");
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.2
    //= type=test
    //# A host SHOULD NOT send an ICMP Redirect message; Redirects are
    //# to be sent only by gateways.
    for to in [GATEWAY, Ipv4Addr::new(192, 0, 2, 1)] {
        host.receive(&ip_frame(PEER_IP.into(), to.into(), 17, 64, &datagram[34..]));
        host.nothing_else();
    }
}

#[test]
fn what_we_send_is_from_us_and_plain() {
    let mut host = Host::ipv4();
    host.meet_peer();
    let socket = host.bind(7);
    let network = Ipv4Addr::new(10, 0, 0, 255);
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.6
    //= type=test
    //# When a host sends a datagram to a link-layer broadcast address,
    //# the IP destination address MUST be a legal IP broadcast or IP
    //# multicast address.
    for (to, mac) in
        [(PEER_IP, PEER), (Ipv4Addr::BROADCAST, MacAddr::BROADCAST), (network, MacAddr::BROADCAST)]
    {
        host.core.udp_send(host.now, socket, b"x", (to, 9).into(), &mut host.sent).unwrap();
        let frame = host.next();
        let (src, dst, _, payload) = open_ipv4(&frame, mac);
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.3
        //= type=test
        //# It MUST NOT be sent, except as a source address as part of
        //# an initialization procedure by which the host learns its
        //# full IP address.
        assert_eq!((src, dst), (OUR_IP, to));
        //= https://www.rfc-editor.org/rfc/rfc1122#section-4.1.3.4
        //= type=test
        //# An application MAY optionally be able to control whether a UDP
        //# checksum will be generated, but it MUST default to
        //# checksumming on.
        assert_ne!(payload[6..8], [0, 0]);
        assert_eq!((frame[14], frame[15]), (0x45, 0), "no options, no type of service");
        host.nothing_else();
    }
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.6
    //= type=test
    //# A host MAY optionally have a configuration option to choose the
    //# 0 or the -1 form of broadcast address, for each physical interface,
    //# but this option SHOULD default to the standard (-1) form.
    let zeros = Ipv4Addr::new(10, 0, 0, 0);
    host.core.udp_send(host.now, socket, b"x", (zeros, 9).into(), &mut host.sent).unwrap();
    assert_eq!(
        open_arp(&host.next(), MacAddr::BROADCAST),
        arp_request(US, OUR_IP, zeros),
        "an address as any"
    );
    host.nothing_else();
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2
    //= type=test
    //# An ICMP error message SHOULD be sent with normal (i.e., zero)
    //# TOS bits.
    let mut question = udp_frame((PEER_IP, 9).into(), (OUR_IP, 99).into(), b"x");
    question[15] = 0xb8;
    host.receive(&with_header_checksum(question));
    let error = host.next();
    assert_eq!((error[15], open_ipv4(&error, PEER).2), (0, 1));
    host.nothing_else();
}

/// A host with two interfaces and no forwarding.
#[test]
fn an_address_is_reached_over_its_own_interface_alone() {
    let mut host = Host::ipv4();
    let other = Ipv4Addr::new(10, 9, 0, 1);
    assert_eq!(host.core.add_interface(MacAddr([2, 0, 0, 0, 0, 7]), Caps::new(1500)), Ok(1));
    let config = InterfaceConfig {
        ipv6_enabled: false,
        slaac: false,
        ..InterfaceConfig::ipv4(Ipv4Config::new(crate::Cidr::new(other, 24)))
    };
    host.core.configure(host.now, 1, &config).unwrap();
    host.run_for(Duration::from_secs(10));
    host.sent.frames.clear();
    host.meet_peer();
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.4.2
    //= type=test
    //# The Strong ES (End System, i.e., host) model emphasizes the
    //# host/gateway (ES/IS) distinction, and would therefore
    //# substitute MUST for MAY in issues (A) and (B) above.
    host.receive(&ip_frame(PEER_IP.into(), other.into(), 1, 64, &echo(b"")));
    host.nothing_else();
    assert_eq!(host.core.stats().bad_address, 1);
    host.receive(&ip_frame(PEER_IP.into(), OUR_IP.into(), 1, 64, &echo(b"")));
    pong(&mut host);
}

#[test]
fn a_router_says_who_is_nearer() {
    let mut host = Host::ipv4();
    for router in [GATEWAY, PEER_IP] {
        host.receive(&arp_frame(PEER, US, arp_request(PEER, router, OUR_IP)));
        host.next();
    }
    let far = Ipv4Addr::new(192, 0, 2, 1);
    let sent =
        |src: Ipv4Addr, dst: Ipv4Addr| udp_frame((src, 7).into(), (dst, 9).into(), b"x")[14..].to_vec();
    let redirect = |host: &mut Host, from: Ipv4Addr, code: u8, gateway: Ipv4Addr, quoted: &[u8]| {
        let message = icmp(icmpv4::Repr::Redirect { code, gateway, quoted });
        host.receive(&ip_frame(from.into(), OUR_IP.into(), 1, 64, &message));
        host.core.path(host.now, far.into(), None).map(|path| path.next_hop)
    };
    let about = sent(OUR_IP, far);
    let elsewhere = Ipv4Addr::new(10, 1, 0, 1);
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.2
    //= type=test
    //# A Redirect message SHOULD be silently discarded if the new
    //# gateway address it specifies is not on the same connected
    //# (sub-) net through which the Redirect arrived [INTRO:2,
    //# Appendix A], or if the source of the Redirect is not the
    //# current first-hop gateway for the specified destination (see
    //# Section 3.3.1).
    for (what, from, gateway, quoted) in [
        ("not from the router", PEER_IP, PEER_IP, &about[..]),
        ("a router that is not here", GATEWAY, elsewhere, &about),
        ("ourselves", GATEWAY, OUR_IP, &about),
        ("a packet of another", GATEWAY, PEER_IP, &sent(PEER_IP, far)),
        ("half a header", GATEWAY, PEER_IP, &about[..19]),
        ("a packet to a group", GATEWAY, PEER_IP, &sent(OUR_IP, Ipv4Addr::new(224, 0, 0, 9))),
    ] {
        assert_eq!(redirect(&mut host, from, 1, gateway, quoted), Some(GATEWAY.into()), "{what}");
        host.nothing_else();
    }
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.2
    //= type=test
    //# Every host MUST be prepared to
    //# accept both Host and Network Redirects and to process them as
    //# described in Section 3.3.1.2 below.
    for code in 0..4 {
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.2
        //= type=test
        //# A host receiving a Redirect message MUST update its routing
        //# information accordingly.
        assert_eq!(redirect(&mut host, GATEWAY, code, PEER_IP, &about), Some(PEER_IP.into()));
        // For that host alone, and for ten minutes.
        let beside = IpAddr::from([192, 0, 2, 2]);
        assert_eq!(host.core.path(host.now, beside, None).unwrap().next_hop, IpAddr::V4(GATEWAY));
        host.run_for(Duration::from_secs(601));
        assert_eq!(host.core.path(host.now, far.into(), None).unwrap().next_hop, IpAddr::V4(GATEWAY));
        host.nothing_else();
    }
    // The way leads nowhere: the old one counts again.
    let silent = Ipv4Addr::new(10, 0, 0, 99);
    assert_eq!(redirect(&mut host, GATEWAY, 1, silent, &about), Some(silent.into()));
    let socket = host.bind(7);
    host.core.udp_send(host.now, socket, b"x", (far, 9).into(), &mut host.sent).unwrap();
    assert_eq!(open_arp(&host.next(), MacAddr::BROADCAST), arp_request(US, OUR_IP, silent));
    host.run_for(Duration::from_secs(5));
    host.sent.frames.clear();
    assert_eq!(host.core.path(host.now, far.into(), None).unwrap().next_hop, IpAddr::V4(GATEWAY));
    // No more than there is room for.
    for n in 0..1000u32 {
        let far = Ipv4Addr::from_bits(0xcb00_7100 + n);
        redirect(&mut host, GATEWAY, 1, PEER_IP, &sent(OUR_IP, far));
    }
    assert!(host.core.routes.room() >= 2);
}
