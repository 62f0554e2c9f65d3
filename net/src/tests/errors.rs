//! ICMP errors about datagrams of ours.
use super::{
    ipv6::{OURS, THEIRS, icmp_frame},
    *,
};
use crate::{
    Error,
    wire::{icmpv4, icmpv6},
};

fn v4_error(quoted_frame: &[u8], error: impl Fn(&[u8]) -> icmpv4::Repr<'_>) -> Vec<u8> {
    let message = error(&quoted_frame[14..][..28.min(quoted_frame.len() - 14)]);
    let mut bytes = vec![0; message.len()];
    message.emit(&mut bytes).unwrap();
    ip_frame(GATEWAY.into(), OUR_IP.into(), 1, 64, &bytes)
}

fn refused(quoted: &[u8]) -> icmpv4::Repr<'_> {
    icmpv4::Repr::Unreachable { code: 3, mtu: 0, quoted }
}

//= https://www.rfc-editor.org/rfc/rfc1122#section-4.1.3.3
//= type=test
//# UDP MUST pass to the application layer all ICMP error
//# messages that it receives from the IP layer.
#[test]
fn errors_reach_the_socket_that_sent() {
    let mut host = Host::ipv4();
    host.meet_peer();
    let socket = host.bind(5000);
    let to = SocketAddr::from((PEER_IP, 9));
    host.core.udp_send(host.now, socket, b"anyone?", to, &mut host.sent).unwrap();
    let question = host.next();
    // Not connected: the error is there for who asks, and disturbs no receive.
    host.receive(&v4_error(&question, refused));
    assert_eq!(host.core.udp_pending_error(socket), None);
    assert_eq!(host.core.udp_take_error(socket), Some((to, Error::ConnectionRefused)));
    assert_eq!(host.core.udp_take_error(socket), None);

    host.core.udp_connect(socket, Some(to)).unwrap();
    host.receive(&v4_error(&question, refused));
    assert_eq!(host.core.udp_pending_error(socket), Some(Error::ConnectionRefused));
    assert_eq!(host.core.udp_pending_error(socket), None);
    host.receive(&v4_error(&question, |quoted| icmpv4::Repr::TimeExceeded { code: 0, quoted }));
    assert_eq!(host.core.udp_pending_error(socket), Some(Error::Unreachable));

    // Errors about what was never sent from here: another port, another peer, another source, not to us.
    let lies = [
        (5001, 9, PEER_IP, OUR_IP),
        (5000, 10, PEER_IP, OUR_IP),
        (5000, 9, GATEWAY, OUR_IP),
        (5000, 9, PEER_IP, GATEWAY),
    ];
    for (from, to, dst, src) in lies {
        let frame = udp_frame((src, from).into(), (dst, to).into(), b"anyone?");
        host.receive(&v4_error(&frame, refused));
        assert_eq!(host.core.udp_pending_error(socket), None, "{from} {to} {dst} {src}");
    }
    host.nothing_else();
    // From others nothing is taken any more.
    host.receive(&udp_frame((PEER_IP, 10).into(), (OUR_IP, 5000).into(), b"I am not who you talk to"));
    assert_eq!(open_ipv4(&host.next(), PEER).2, 1, "port unreachable");
    assert_eq!(host.core.udp_receive(socket, &mut [0; 99]), None);
    host.receive(&udp_frame((PEER_IP, 9).into(), (OUR_IP, 5000).into(), b"I am"));
    assert_eq!(host.received(socket).0, b"I am");
    assert_eq!(host.core.udp_connect(socket, Some((PEER_IP, 0).into())), Err(Error::InvalidInput));
    host.nothing_else();
}

#[test]
fn a_neighbour_that_does_not_answer_is_an_error_too() {
    let mut host = Host::ipv4();
    let socket = host.bind(5000);
    let to = SocketAddr::from((PEER_IP, 9));
    host.core.udp_send(host.now, socket, b"x", to, &mut host.sent).unwrap();
    host.run_for(Duration::from_secs(10));
    assert_eq!(host.core.udp_take_error(socket), Some((to, Error::Unreachable)));
}

//= https://www.rfc-editor.org/rfc/rfc8201#section-4
//= type=test
//# If a node receives a Packet Too Big message reporting a next-hop MTU
//# that is less than the IPv6 minimum link MTU, it must discard it.
#[test]
fn a_narrow_path_is_remembered_and_datagrams_are_cut_to_it() {
    let mut host = super::ipv6::host();
    super::ipv6::meet(&mut host, THEIRS);
    let socket = host.bind(5000);
    let to = SocketAddr::from((THEIRS, 9));
    host.core.udp_send(host.now, socket, &[5; 1400], to, &mut host.sent).unwrap();
    let frame = host.next();
    assert_eq!(frame.len(), 14 + 40 + 8 + 1400);
    let too_big = |mtu, frame: &[u8]| {
        let message = icmpv6::Repr::PacketTooBig { mtu, quoted: &frame[14..][..200] };
        let mut bytes = vec![0; message.len()];
        message.emit(&mut bytes).unwrap();
        icmp_frame(THEIRS, OURS, 64, bytes)
    };
    // Not believed: below the minimum, no smaller than the packet, about a port that is nobody's.
    host.receive(&too_big(1279, &frame));
    host.receive(&too_big(1448, &frame));
    let forged = udp_frame((OURS, 5001).into(), to, &[5; 1400]);
    host.receive(&too_big(1300, &forged));
    assert_eq!(host.core.udp_take_error(socket), None);
    assert_eq!(host.core.path_mtus.get(host.now, THEIRS.into()), None);

    host.receive(&too_big(1300, &frame));
    assert_eq!(host.core.udp_take_error(socket), Some((to, Error::MessageTooLong)));
    host.core.udp_send(host.now, socket, &[5; 1400], to, &mut host.sent).unwrap();
    assert_eq!(host.next().len(), 14 + 40 + 8 + (1300 - 48) / 8 * 8);
    assert!(host.next().len() < 300);
    host.nothing_else();
    // TCP's next connection knows too, and after ten minutes all is forgotten.
    use crate::tcp::IpOutput;
    let mtu = |host: &mut Host| {
        crate::Output::new(&mut host.core, &mut host.sent, host.now).route(THEIRS.into()).unwrap().mtu
    };
    assert_eq!(mtu(&mut host), 1260);
    host.run_for(Duration::from_secs(601));
    assert_eq!(mtu(&mut host), 1460);
}

//= https://www.rfc-editor.org/rfc/rfc4443#section-2.4
//= type=test
//# An ICMPv6 error message MUST NOT be originated as a result of receiving the following:
#[test]
fn no_error_about_an_error_with_a_header_that_is_wrong() {
    // Headers before the message that would be reported: an option, a routing header, hop-by-hop options in the second place.
    let wrong: [(u8, &[u8]); 4] = [
        (60, &[58, 0, 0x9e, 4, 0, 0, 0, 0]),
        (0, &[58, 0, 0xde, 4, 0, 0, 0, 0]),
        (43, &[58, 0, 0, 1, 0, 0, 0, 0]),
        (60, &[0, 0, 1, 4, 0, 0, 0, 0, 58, 0, 1, 4, 0, 0, 0, 0]),
    ];
    for (next, headers) in wrong {
        let mut host = super::ipv6::host();
        let packet = |kind: u8| {
            let bytes = icmp_frame(THEIRS, OURS, 64, [&[kind, 0, 0, 0][..], &[0; 48]].concat());
            ip_frame(THEIRS.into(), OURS.into(), next, 64, &[headers, &bytes[14 + 40..]].concat())
        };
        // Unreachable, too big, a type that nobody knows, a redirect.
        for kind in [1, 2, 127, 137] {
            host.receive(&packet(kind));
            host.nothing_else();
        }
        // An echo request is no error, and its sender is looked for to be told.
        host.receive(&packet(128));
        assert_eq!(host.next()[14 + 40], 135, "a solicitation");
        host.nothing_else();
    }
}
