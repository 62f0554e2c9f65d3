//! Packets to one of our own addresses.
use super::*;
use crate::{Error, wire::icmpv4};

#[test]
fn a_datagram_to_ourselves_never_leaves() {
    let mut host = Host::ipv4();
    let (a, b) = (host.bind(5), host.bind(7));
    for (addr, size) in [(IpAddr::V4(OUR_IP), 10), (Ipv4Addr::LOCALHOST.into(), 3000)] {
        let data = vec![3; size];
        host.core.udp_send(host.now, a, &data, (addr, 7).into(), &mut host.sent).unwrap();
        assert_eq!(host.core.udp_receive(b, &mut [0; 10]), None, "not before the end of the turn");
        host.receive_held();
        assert_eq!(host.received(b), (data, (addr, 5).into()));
        host.nothing_else();
    }
    // Nobody there: the error comes back the same way.
    let to = SocketAddr::from((OUR_IP, 9));
    host.core.udp_connect(a, Some(to)).unwrap();
    host.core.udp_send(host.now, a, b"x", to, &mut host.sent).unwrap();
    host.receive_held();
    assert_eq!(host.core.udp_pending_error(a), Some(Error::ConnectionRefused));
    // A loopback address on the wire is nobody's.
    let ping = icmpv4::Repr::EchoRequest { identifier: 1, sequence: 1, data: b"" };
    let mut bytes = vec![0; 8];
    ping.emit(&mut bytes).unwrap();
    host.receive(&ip_frame(PEER_IP.into(), Ipv4Addr::LOCALHOST.into(), 1, 64, &bytes));
    assert_eq!(host.core.stats().bad_address, 1);
    host.nothing_else();
}

#[test]
fn what_waits_for_ourselves_is_bounded() {
    let mut memory = crate::StackMemory::<1, 4, 8, 6, 2, 8192, 1>::new();
    let mut loopback = crate::LoopbackMemory::<4096>::new();
    let memory = crate::Memory::from(&mut memory).with_loopback(&mut loopback);
    let mut core = Core::with_memory(memory, [1; 16]);
    let (now, mut sent) = (Instant::from_secs(1), Sent::default());
    core.add_interface(US, Caps::new(1500)).unwrap();
    let config = InterfaceConfig {
        ipv6_enabled: false,
        ..InterfaceConfig::ipv4(Ipv4Config::new(crate::Cidr::new(OUR_IP, 24)))
    };
    core.configure(now, 0, &config).unwrap();
    let (a, b) = (core.udp_bind(5.into()).unwrap(), core.udp_bind(7.into()).unwrap());
    let mut send = |core: &mut Core<'_>, len: usize| {
        core.udp_send(now, a, &[1; 2000][..len], (OUR_IP, 7).into(), &mut sent)
    };
    use crate::udp::UdpSendError::{Failed, Full};
    assert_eq!(send(&mut core, 997), Err(Failed(Error::MessageTooLong)), "a quarter of the buffer");
    for _ in 0..3 {
        assert_eq!(send(&mut core, 996), Ok(()));
    }
    assert_eq!(send(&mut core, 996), Err(Full));
    let mut link = Sent::default();
    core.receive_held(now, &mut link, None, &mut |_, _, _| {});
    assert!(core.loopback.take_full() && !core.has_held());
    for _ in 0..3 {
        assert_eq!(core.udp_receive(b, &mut [0; 2000]).unwrap().0, 996);
    }
    assert!(link.frames.is_empty());
}
