//! Ping and raw sockets.
use super::*;
use crate::{
    Error,
    udp::{Kind, UdpSendError},
    wire::icmpv4,
};

fn reply(identifier: u16, sequence: u16, data: &[u8]) -> Vec<u8> {
    let message = icmpv4::Repr::EchoReply { identifier, sequence, data };
    let mut bytes = vec![0; message.len()];
    message.emit(&mut bytes).unwrap();
    ip_frame(PEER_IP.into(), OUR_IP.into(), 1, 64, &bytes)
}

#[test]
fn pings_go_out_and_their_answers_come_to_who_asked() {
    let mut host = Host::ipv4();
    host.meet_peer();
    let socket = host.core.socket_open(Kind::Ping, 0.into()).unwrap();
    let identifier = host.core.sockets[socket].port;
    host.core.ping_send(host.now, socket, b"hello", PEER_IP.into(), 7, &mut host.sent).unwrap();
    let request = host.next();
    let expected = icmpv4::Repr::EchoRequest { identifier, sequence: 7, data: b"hello" };
    assert_eq!(icmpv4::Repr::parse(&open_ipv4(&request, PEER).3), Ok(expected));
    host.receive(&reply(identifier.wrapping_add(1), 7, b"not ours"));
    host.receive(&reply(identifier, 7, b"hello"));
    assert_eq!(host.received(socket), (b"hello".to_vec(), (PEER_IP, 7).into()));
    assert_eq!(host.core.udp_receive(socket, &mut [0; 9]), None);
    // An error about it.
    let message = icmpv4::Repr::TimeExceeded { code: 0, quoted: &request[14..][..28] };
    let mut bytes = vec![0; message.len()];
    message.emit(&mut bytes).unwrap();
    host.receive(&ip_frame(GATEWAY.into(), OUR_IP.into(), 1, 64, &bytes));
    assert_eq!(host.core.udp_take_error(socket), Some(((PEER_IP, 7).into(), Error::Unreachable)));
    // A ping socket's number is no UDP port.
    host.receive(&udp_frame((PEER_IP, 4000).into(), (OUR_IP, identifier).into(), b"x"));
    assert_eq!(host.core.udp_receive(socket, &mut [0; 9]), None);
    assert_eq!(open_ipv4(&host.next(), PEER).2, 1, "port unreachable");
    host.nothing_else();
}

#[test]
fn raw_sockets_hear_their_protocol_and_silence_its_errors() {
    let mut host = Host::ipv4();
    host.meet_peer();
    let packet = ip_frame(PEER_IP.into(), OUR_IP.into(), 132, 64, b"chunk");
    host.receive(&packet);
    assert_eq!(open_ipv4(&host.next(), PEER).2, 1, "protocol unreachable");
    let sockets = [132, 132, 89].map(|n| host.core.socket_open(Kind::Raw, n.into()).unwrap());
    host.receive(&packet);
    for socket in &sockets[..2] {
        assert_eq!(host.received(*socket), (b"chunk".to_vec(), (PEER_IP, 0).into()));
    }
    assert_eq!(host.core.udp_receive(sockets[2], &mut [0; 9]), None);
    host.nothing_else();
    // When they are gone it is an unknown protocol again.
    host.core.udp_close(sockets[0]);
    host.receive(&packet);
    host.nothing_else();
    host.core.udp_close(sockets[1]);
    host.core.udp_close(sockets[1]);
    host.receive(&packet);
    assert_eq!(open_ipv4(&host.next(), PEER).2, 1, "protocol unreachable");
    assert_eq!(host.core.raw_sockets, 1);
    let mut send =
        |payload: &[u8]| host.core.raw_send(host.now, sockets[2], payload, PEER_IP.into(), &mut host.sent);
    assert_eq!(send(b""), Err(UdpSendError::Failed(Error::InvalidInput)));
    for payload in [&b"short"[..], b"longer than eight"] {
        send(payload).unwrap();
    }
    for payload in [&b"short"[..], b"longer than eight"] {
        assert_eq!(open_ipv4(&host.next(), PEER), (OUR_IP, PEER_IP, 89, payload.to_vec()));
    }
    host.nothing_else();
}
