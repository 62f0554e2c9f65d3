//! The whole core under frames that nobody sane sends: no panic, no timer that stays due, nothing grows.
use super::*;
use crate::{Ipv6Config, wire::dhcpv4};
use proptest::prelude::*;

fn busy_host(dhcp: bool) -> Host {
    let mut config = InterfaceConfig::default().with_ipv6(Ipv6Config::new("2001:db8::1/64".parse().unwrap()));
    if dhcp {
        config.dhcp = true;
    } else {
        config.ipv4 = Some(Ipv4Config::new(crate::Cidr::new(OUR_IP, 24)).with_gateway(GATEWAY));
    }
    config.temporary = true;
    config.identifier = crate::InterfaceIdentifier::Stable([3; 16]);
    let mut host = Host::with_groups(Caps::new(1500), &config, 8);
    host.bind(7);
    host.bind(68);
    // A VLAN, another card, a way between them, groups, sockets of all kinds.
    host.core.add_vlan(0, 5).unwrap();
    let second = host.core.add_interface(PEER, Caps::new(1300)).unwrap();
    let far = InterfaceConfig::ipv4(Ipv4Config::new("10.9.0.1/24".parse().unwrap()))
        .with_ipv6(Ipv6Config::new("2001:db8:9::1/64".parse().unwrap()));
    host.core.configure(host.now, second, &far).unwrap();
    host.core.set_forwarding(true);
    host.core.socket_open(crate::udp::Kind::Raw, 89.into()).unwrap();
    host.core.socket_open(crate::udp::Kind::Ping, 1.into()).unwrap();
    for group in ["224.0.0.251", "ff02::fb"] {
        host.core.join(host.now, 0, group.parse().unwrap(), crate::multicast::Owner::Socket(0)).unwrap();
    }
    host
}

/// A frame that gets past the first checks: right addresses and checksums around arbitrary bytes.
fn frame(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let (v4, v6) =
        ((PEER_IP.into(), OUR_IP.into()), ("fe80::2".parse().unwrap(), "2001:db8::1".parse().unwrap()));
    let all_nodes = (v6.0, "ff02::1".parse().unwrap());
    let transport = |(src, dst): (IpAddr, IpAddr), protocol, offset: usize, hop_limit| {
        let mut bytes = bytes.to_vec();
        if bytes.len() < offset + 2 {
            bytes.resize(offset + 2, 0);
        }
        if protocol == 17 {
            let len = (bytes.len() as u16).to_be_bytes();
            bytes[4..6].copy_from_slice(&len);
            let port = [7, 9, 68][usize::from(bytes[3] % 3)];
            bytes[2..4].copy_from_slice(&[0, port]);
        }
        ip_frame(src, dst, protocol, hop_limit, &with_checksum(src, dst, protocol, offset, bytes))
    };
    match kind % 16 {
        0 => bytes.to_vec(),
        1 => ethernet_frame(
            PEER,
            US,
            EtherType::ARP,
            &[&[0, 1, 8, 0, 6, 4, 0, kind / 128 + 1], bytes].concat(),
        ),
        2 => ethernet_frame(PEER, US, EtherType::IPV4, bytes),
        3 => ethernet_frame(PEER, US, EtherType::IPV6, bytes),
        4 => transport(v4, 17, 6, 64),
        5 => transport(v6, 17, 6, 64),
        6 => transport(v6, 58, 2, 255),
        7 => transport(all_nodes, 58, 2, 255),
        8 => {
            let mut bytes = bytes.to_vec();
            bytes.resize(bytes.len().max(8), 0);
            bytes[2..4].fill(0);
            let checksum = Sum::ZERO.bytes(&bytes).finish();
            bytes[2..4].copy_from_slice(&checksum.to_be_bytes());
            ip_frame(v4.0, v4.1, 1, 64, &bytes)
        }
        9 => ip_frame(v6.0, v6.1, kind / 16 * 4, 64, bytes),
        // Fragments of few packets, so that they meet; some of the bytes as their headers.
        11 => {
            let mut bytes = bytes.to_vec();
            bytes.resize(bytes.len().max(8), 17);
            bytes[2] = 0;
            let identification = bytes[7] & 1;
            bytes[4..8].fill(identification);
            ip_frame(v6.0, v6.1, 44, 64, &bytes)
        }
        12 => {
            let mut frame = ip_frame(v4.0, v4.1, bytes.first().map_or(17, |b| b & 17), 64, bytes);
            frame[20] = kind >> 2 & 0x20;
            frame[21] = kind & 15;
            frame[24..26].fill(0);
            let sum = Sum::ZERO.bytes(&frame[14..34]).finish();
            frame[24..26].copy_from_slice(&sum.to_be_bytes());
            frame
        }
        13 => {
            let mut bytes = bytes.to_vec();
            bytes.resize(bytes.len().max(8), 0);
            bytes[0] = [0x11, 0x16, 0x17, 0x22][usize::from(kind / 16 % 4)];
            bytes[2..4].fill(0);
            let checksum = Sum::ZERO.bytes(&bytes).finish();
            bytes[2..4].copy_from_slice(&checksum.to_be_bytes());
            ip_frame(v4.0, Ipv4Addr::new(224, 0, 0, 1).into(), 2, 1, &bytes)
        }
        // For others: to be forwarded.
        14 => {
            let far = if kind < 128 { "10.9.0.2" } else { "192.0.2.1" };
            ip_frame(v4.0, far.parse().unwrap(), bytes.first().copied().unwrap_or(6), kind & 65, bytes)
        }
        15 => {
            let mut frame = ip_frame(v6.0, "2001:db8:9::2".parse().unwrap(), kind / 16, 64, bytes);
            if kind >= 128 {
                frame.splice(12..12, [0x81, 0, 0, 5]);
            }
            frame
        }
        _ => {
            let message = dhcpv4::Repr {
                yiaddr: Ipv4Addr::new(10, 0, 0, kind),
                server_id: Some(PEER_IP),
                lease_time: Some(u32::from(kind)),
                classless_routes: bytes.into(),
                ..dhcpv4::Repr::client(
                    if kind & 1 == 0 { dhcpv4::MessageType::Offer } else { dhcpv4::MessageType::Ack },
                    0,
                    US,
                )
            };
            let mut payload = vec![0; message.len()];
            message.emit(&mut payload).unwrap();
            udp_frame((PEER_IP, 67).into(), ([255; 4], 68).into(), &payload)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn any_frames_at_any_time(
        dhcp: bool,
        steps in proptest::collection::vec(
            (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..120), 0u64..30_000, 130u8..=140, any::<bool>()),
            1..60,
        ),
    ) {
        let mut host = busy_host(dhcp);
        for (kind, mut bytes, millis, icmp_type, full) in steps {
            if kind % 16 == 6 || kind % 16 == 7 {
                bytes.splice(..bytes.len().min(2), [icmp_type, 0]);
            }
            let mut frame = frame(kind, &bytes);
            if kind % 16 == 10 {
                // With the transaction's identifier, so that the client believes it.
                if let Some(xid) = host.sent.frames.iter().rev().find(|(_, f, _)| f.len() > 50 && f[34..38] == [0, 68, 0, 67]).map(|(_, f, _)| f[46..50].to_vec()) {
                    frame[46..50].copy_from_slice(&xid);
                    frame[40..42].fill(0);
                }
            }
            host.sent.full = full;
            // Some as a card with offloads hands them over.
            let meta = if millis % 3 == 0 { RxMeta::new(true, (millis % 97) as u16) } else { RxMeta::default() };
            let delivery = host.core.receive(host.now, 0, &frame, meta, &mut host.sent, None);
            prop_assert!(delivery.is_none() || frame.len() > 40);
            host.receive_held();
            host.run_for(Duration::from_millis(millis));
            host.sent.frames.truncate(50);
        }
        let received = host.core.stats().received;
        prop_assert!(received > 0);
    }
}
