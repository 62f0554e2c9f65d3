//! For every codec: `parse(emit(x)) == x`, and any bytes are read without a panic.
use super::*;
use crate::wire::{
    WireError, arp, dhcpv4, icmpv4, icmpv6, ipv4, ipv6,
    ndp::{self, NdpOption},
    udp,
};
use core::net::Ipv6Addr;
use proptest::prelude::*;

fn mac() -> impl Strategy<Value = MacAddr> {
    any::<[u8; 6]>().prop_map(MacAddr)
}
fn v4() -> impl Strategy<Value = Ipv4Addr> {
    any::<u32>().prop_map(Ipv4Addr::from_bits)
}
fn v6() -> impl Strategy<Value = Ipv6Addr> {
    any::<u128>().prop_map(Ipv6Addr::from_bits)
}
fn data(max: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..max)
}

fn emitted(len: usize, emit: impl Fn(&mut [u8]) -> Result<(), WireError>) -> Vec<u8> {
    let mut bytes = vec![0xa5; len];
    emit(&mut bytes).unwrap();
    if len > 0 {
        assert_eq!(emit(&mut vec![0; len - 1]), Err(WireError::Truncated), "a buffer that is too short");
    }
    bytes
}

fn ndp_option<'a>(
    choice: u8,
    mac: MacAddr,
    addr: Ipv6Addr,
    numbers: (u32, u32),
    data: &'a [u8],
) -> NdpOption<'a> {
    match choice % 6 {
        0 => NdpOption::SourceLinkLayer(mac),
        1 => NdpOption::TargetLinkLayer(mac),
        2 => NdpOption::Prefix {
            prefix_len: choice,
            on_link: choice & 1 == 0,
            autonomous: choice & 2 == 0,
            valid: numbers.0,
            preferred: numbers.1,
            prefix: addr,
        },
        3 => NdpOption::Mtu(numbers.0),
        4 => NdpOption::NameServers { lifetime: numbers.0, addresses: &data[..32] },
        _ => NdpOption::Other { kind: 14, data: &data[..6 + 8 * usize::from(choice % 3)] },
    }
}

proptest! {
    #[test]
    fn ethernet_round_trip(src in mac(), dst in mac(), ethertype in 0x0600u16.., payload in data(50)) {
        let repr = ethernet::Repr { src, dst, ethertype: EtherType(ethertype) };
        let bytes = ethernet_frame(src, dst, EtherType(ethertype), &payload);
        let frame = Frame::new_checked(&bytes).unwrap();
        prop_assert_eq!(ethernet::Repr::parse(&frame), repr);
        prop_assert_eq!(frame.payload(), &payload[..]);
    }

    #[test]
    fn arp_round_trip(request: bool, sender_mac in mac(), sender_ip in v4(), target_mac in mac(), target_ip in v4()) {
        let operation = if request { arp::Operation::Request } else { arp::Operation::Reply };
        let repr = arp::Repr { operation, sender_mac, sender_ip, target_mac, target_ip };
        prop_assert_eq!(arp::Repr::parse(&emitted(repr.len(), |bytes| repr.emit(bytes))), Ok(repr));
    }

    #[test]
    fn ipv4_round_trip(src in v4(), dst in v4(), numbers: (u8, u8, u8, u16, bool), payload in data(100)) {
        let (protocol, ttl, traffic_class, identification, dont_fragment) = numbers;
        let payload_len = payload.len();
        let repr = ipv4::Repr { src, dst, protocol, ttl, traffic_class, identification, dont_fragment, payload_len };
        let mut bytes = emitted(repr.len() + payload_len, |bytes| {
            repr.emit(bytes).and_then(|rest| rest.get_mut(..payload_len).ok_or(WireError::Truncated)).map(|rest| rest.copy_from_slice(&payload))
        });
        bytes.extend([0; 5]);
        let packet = ipv4::Packet::new_checked(&bytes).unwrap();
        prop_assert_eq!(ipv4::Repr::parse(&packet), Ok(repr));
        prop_assert_eq!(packet.payload(), &payload[..]);
        // One bit of the header: never taken for the same packet.
        bytes[usize::from(ttl) % 20] ^= 1 << (protocol % 8);
        prop_assert!(ipv4::Packet::new_checked(&bytes).is_err());
    }

    #[test]
    fn ipv6_round_trip(src in v6(), dst in v6(), numbers: (u8, u8, u8), flow_label in 0u32..1 << 20, payload in data(100)) {
        let (next_header, hop_limit, traffic_class) = numbers;
        let payload_len = payload.len();
        let repr = ipv6::Repr { src, dst, next_header, hop_limit, traffic_class, flow_label, payload_len };
        let bytes = emitted(repr.len() + payload_len, |bytes| {
            repr.emit(bytes).and_then(|rest| rest.get_mut(..payload_len).ok_or(WireError::Truncated)).map(|rest| rest.copy_from_slice(&payload))
        });
        let packet = ipv6::Packet::new_checked(&bytes).unwrap();
        prop_assert_eq!(ipv6::Repr::parse(&packet), repr);
        prop_assert_eq!(packet.payload(), &payload[..]);
    }

    #[test]
    fn udp_round_trip(src_port: u16, dst_port: u16, payload in data(100)) {
        let repr = udp::Repr { src_port, dst_port, payload_len: payload.len() };
        let mut bytes = vec![0; repr.len() + payload.len()];
        repr.emit(&mut bytes).unwrap().copy_from_slice(&payload);
        let datagram = udp::Datagram::new_checked(&bytes).unwrap();
        prop_assert_eq!(udp::Repr::parse(&datagram), repr);
        prop_assert_eq!(datagram.payload(), &payload[..]);
    }

    #[test]
    fn icmpv4_round_trip(choice in 0u8..6, code: u8, identifier: u16, sequence: u16, gateway in v4(), data in data(100)) {
        let data = &data[..];
        let repr = match choice {
            0 => icmpv4::Repr::EchoRequest { identifier, sequence, data },
            1 => icmpv4::Repr::EchoReply { identifier, sequence, data },
            2 => icmpv4::Repr::Unreachable { code, mtu: if code == 4 { sequence } else { 0 }, quoted: data },
            3 => icmpv4::Repr::TimeExceeded { code, quoted: data },
            4 => icmpv4::Repr::Redirect { code, gateway, quoted: data },
            _ => icmpv4::Repr::ParameterProblem { code, pointer: identifier as u8, quoted: data },
        };
        let bytes = emitted(repr.len(), |bytes| repr.emit(bytes));
        prop_assert_eq!(icmpv4::Repr::parse(&bytes), Ok(repr));
    }

    #[test]
    fn icmpv6_round_trip(choice in 0u8..6, code: u8, word: u32, data in data(100)) {
        let (data, identifier, sequence) = (&data[..], word as u16, (word >> 16) as u16);
        let repr = match choice {
            0 => icmpv6::Repr::EchoRequest { identifier, sequence, data },
            1 => icmpv6::Repr::EchoReply { identifier, sequence, data },
            2 => icmpv6::Repr::Unreachable { code, quoted: data },
            3 => icmpv6::Repr::TimeExceeded { code, quoted: data },
            4 => icmpv6::Repr::PacketTooBig { mtu: word, quoted: data },
            _ => icmpv6::Repr::ParameterProblem { code, pointer: word, quoted: data },
        };
        let bytes = emitted(repr.len(), |bytes| repr.emit(bytes));
        prop_assert_eq!(icmpv6::Repr::parse(&bytes), Ok(repr));
    }

    #[test]
    fn ndp_round_trip(
        choice in 0u8..5,
        flags: (bool, bool, bool),
        numbers: (u8, u16, u32, u32),
        addresses in (v6(), v6(), mac()),
        kinds in proptest::collection::vec(any::<u8>(), 0..5),
        data in proptest::collection::vec(any::<u8>(), 32),
    ) {
        let (target, destination, mac) = addresses;
        let list: Vec<_> =
            kinds.iter().map(|kind| ndp_option(*kind, mac, target, (numbers.2, numbers.3), &data)).collect();
        let mut options = Vec::new();
        for option in &list {
            options.extend(emitted(option.len(), |bytes| option.emit(bytes).map(|_| ())));
        }
        let options = &options[..];
        prop_assert!(ndp::options(options).eq(list.iter().copied()));
        let (router, solicited, overrides) = flags;
        let repr = match choice {
            0 => ndp::Repr::RouterSolicitation { options },
            1 => ndp::Repr::RouterAdvertisement {
                preference: ndp::Preference::Medium,
                hop_limit: numbers.0,
                managed: router,
                other: solicited,
                lifetime: numbers.1,
                reachable_time: numbers.2,
                retransmit_timer: numbers.3,
                options,
            },
            2 => ndp::Repr::NeighborSolicitation { target, options },
            3 => ndp::Repr::NeighborAdvertisement { router, solicited, overrides, target, options },
            _ => ndp::Repr::Redirect { target, destination, options },
        };
        let bytes = emitted(repr.len(), |bytes| repr.emit(bytes));
        prop_assert_eq!(ndp::Repr::parse(&bytes), Ok(repr));
    }

    #[test]
    fn dhcpv4_round_trip(
        kind in 0usize..8,
        fixed in (any::<u32>(), any::<u16>(), any::<bool>(), v4(), v4(), mac()),
        addresses in (proptest::option::of(v4()), proptest::option::of(v4()), proptest::option::of(v4()), proptest::option::of(v4())),
        numbers: (Option<u32>, Option<u32>, Option<u32>, Option<u16>),
        servers in proptest::collection::vec(v4(), 0..=3),
        runs in (data(60), data(30), data(20)),
    ) {
        use dhcpv4::MessageType::*;
        let kind = [Discover, Offer, Request, Decline, Ack, Nak, Release, Inform][kind];
        let repr = dhcpv4::Repr {
            secs: fixed.1,
            broadcast: fixed.2,
            ciaddr: fixed.3,
            yiaddr: fixed.4,
            requested_ip: addresses.0,
            server_id: addresses.1,
            subnet_mask: addresses.2,
            router: addresses.3,
            lease_time: numbers.0,
            renewal_time: numbers.1,
            rebinding_time: numbers.2,
            max_size: numbers.3,
            name_servers: servers.into_iter().collect(),
            classless_routes: runs.0.as_slice().into(),
            parameters: &runs.1,
            client_id: &runs.2,
            ..dhcpv4::Repr::client(kind, fixed.0, fixed.5)
        };
        let bytes = emitted(repr.len(), |bytes| repr.emit(bytes));
        prop_assert_eq!(dhcpv4::Repr::parse(&bytes), Ok(repr));
    }

    #[test]
    fn any_bytes_are_read(bytes in data(400), cookie: bool) {
        let mut bytes = bytes;
        if cookie && bytes.len() > 240 {
            bytes[..3].copy_from_slice(&[2, 1, 6]);
            bytes[236..240].copy_from_slice(&[99, 130, 83, 99]);
        }
        let _ = Frame::new_checked(&bytes).map(|f| (f.src(), f.dst(), f.ethertype(), f.payload().len()));
        let _ = arp::Repr::parse(&bytes);
        let _ = ipv4::Packet::new_checked(&bytes).map(|p| ipv4::Repr::parse(&p));
        let _ = ipv4::Packet::new_quoted(&bytes).map(|p| (p.src(), p.payload().len(), p.options().len()));
        let _ = ipv6::Packet::new_checked(&bytes).map(|p| (ipv6::Repr::parse(&p), ipv6::upper_layer(&p) == ipv6::Upper::Drop));
        let _ = ipv6::Packet::new_quoted(&bytes).map(|p| ipv6::upper_layer(&p) == ipv6::Upper::Drop);
        let _ = udp::Datagram::new_checked(&bytes).map(|d| udp::Repr::parse(&d));
        let _ = icmpv4::Repr::parse(&bytes);
        let _ = icmpv6::Repr::parse(&bytes);
        let _ = ndp::Repr::parse(&bytes).map(|m| ndp::options(m.options()).count());
        let _ = ndp::options(&bytes).count();
        let _ = dhcpv4::Repr::parse(&bytes);
        let _ = dhcpv4::classless_routes(bytes.iter().copied()).count();
    }
}
