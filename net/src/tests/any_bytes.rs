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
    let mut host = Host::with(Caps::new(1500), &config);
    host.bind(7);
    host.bind(68);
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
    match kind % 11 {
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
        9 => ip_frame(v6.0, v6.1, kind / 11 * 3, 64, bytes),
        _ => {
            let message = dhcpv4::Repr {
                yiaddr: Ipv4Addr::new(10, 0, 0, kind),
                server_id: Some(PEER_IP),
                lease_time: Some(u32::from(kind)),
                classless_routes: &bytes[..bytes.len().min(200)],
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
            if kind % 11 == 6 || kind % 11 == 7 {
                bytes.splice(..bytes.len().min(2), [icmp_type, 0]);
            }
            let mut frame = frame(kind, &bytes);
            if kind % 11 == 10 {
                // With the transaction's identifier, so that the client believes it.
                if let Some(xid) = host.sent.frames.iter().rev().find(|(_, f, _)| f.len() > 50 && f[34..38] == [0, 68, 0, 67]).map(|(_, f, _)| f[46..50].to_vec()) {
                    frame[46..50].copy_from_slice(&xid);
                    frame[40..42].fill(0);
                }
            }
            host.sent.full = full;
            let delivery = host.receive(&frame);
            prop_assert!(delivery.is_none() || frame.len() > 40);
            host.run_for(Duration::from_millis(millis));
            host.sent.frames.truncate(50);
        }
        let received = host.core.stats().received;
        prop_assert!(received > 0);
    }
}
