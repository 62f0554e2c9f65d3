use super::*;
use proptest::prelude::*;
use std::{vec, vec::Vec};

/// The Internet checksum over all of `bytes`: 0 when the checksum within is right.
fn sum(parts: &[&[u8]]) -> u16 {
    let mut total = 0_u32;
    for part in parts {
        for pair in part.chunks(2) {
            total += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        }
    }
    while total >> 16 != 0 {
        total = (total & 0xffff) + (total >> 16);
    }
    !(total as u16)
}

/// A frame with a right IPv4 and UDP or TCP checksum.
fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let header: usize = if protocol == 6 { 20 } else { 8 };
    let length = (20 + header + payload.len()) as u16;
    let mut ip = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    ip[2..4].copy_from_slice(&length.to_be_bytes());
    let check = sum(&[&ip]);
    ip[10..12].copy_from_slice(&check.to_be_bytes());
    let mut transport = vec![0; header];
    transport[..4].copy_from_slice(&[0x30, 0x39, 0, 80]);
    if protocol == 17 {
        transport[4..6].copy_from_slice(&(8 + payload.len() as u16).to_be_bytes());
    } else {
        transport[12] = 0x50;
    }
    transport.extend_from_slice(payload);
    let pseudo = [0, protocol, (transport.len() >> 8) as u8, transport.len() as u8];
    let check = sum(&[&ip[12..20], &pseudo, &transport]);
    let place = if protocol == 6 { 16 } else { 6 };
    transport[place..place + 2].copy_from_slice(&check.to_be_bytes());
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    frame.extend(ip);
    frame.extend(transport);
    frame
}

fn check(packet: &Packet) {
    let network = packet.layers.network;
    let ip = &packet.bytes()[network..];
    assert_eq!(sum(&[&ip[..20]]), 0, "IPv4 checksum");
    let transport = &ip[20..];
    let pseudo = [0, ip[9], (transport.len() >> 8) as u8, transport.len() as u8];
    assert_eq!(sum(&[&ip[12..20], &pseudo, transport]), 0, "transport checksum");
}

fn packet(frame: &[u8]) -> Packet {
    let mut packet = Packet::default();
    packet.read(7, frame, RxMeta::default());
    packet
}

#[test]
fn a_key_is_read() {
    let packet = packet(&ipv4(6, b"hello"));
    let number = |field| packet.key().number(field);
    assert_eq!((number(Field::InPort), number(Field::EthType), number(Field::IpProto)), (7, 0x800, 6));
    assert_eq!((number(Field::Ipv4Src), number(Field::Ipv4Dst)), (0x0a00_0001, 0x0a00_0002));
    assert_eq!((number(Field::TcpSrc), number(Field::TcpDst), number(Field::UdpSrc)), (12345, 80, 0));
    assert_eq!(number(Field::VlanVid), 0);
}

#[test]
fn changes_keep_every_checksum_right() {
    for protocol in [6, 17] {
        for payload in [&b"hello"[..], b"even"] {
            let mut packet = packet(&ipv4(protocol, payload));
            check(&packet);
            packet.set_field(Field::Ipv4Src, &[192, 0, 2, 77]);
            check(&packet);
            packet.set_field(Field::Ipv4Dst, &[198, 51, 100, 255]);
            packet.set_transport(true, 1);
            packet.set_transport(false, 0xffff);
            check(&packet);
            packet.set_field(Field::IpDscp, &[46]);
            packet.set_field(Field::IpEcn, &[1]);
            packet.set_ip_ttl(3);
            check(&packet);
            packet.push_vlan(0x8100);
            packet.set_field(Field::VlanVid, &[0x10, 5]);
            packet.set_field(Field::Ipv4Src, &[1, 2, 3, 4]);
            check(&packet);
            assert_eq!(packet.key().number(Field::VlanVid), 0x1005);
            packet.pop_vlan();
            packet.push_mpls(0x8847);
            assert_eq!((packet.mpls_ttl(), packet.key().number(Field::MplsBos)), (Some(3), 1));
            packet.pop_mpls(0x0800);
            check(&packet);
            assert_eq!((packet.ip_ttl(), packet.key().number(Field::IpDscp)), (Some(3), 46));
        }
    }
}

#[test]
fn tags_nest_and_only_the_outer_one_is_matched() {
    let mut packet = packet(&ipv4(17, b"x"));
    let plain = packet.bytes().to_vec();
    packet.set_vlan(Field::VlanVid, 100);
    packet.push_vlan(0x88a8);
    packet.set_field(Field::VlanVid, &[0x10, 200]);
    packet.set_vlan(Field::VlanPcp, 5);
    assert_eq!((packet.key().number(Field::VlanVid), packet.key().number(Field::VlanPcp)), (0x10c8, 5));
    assert_eq!(packet.key().number(Field::EthType), 0x800);
    assert_eq!(packet.bytes().len(), plain.len() + 8);
    packet.pop_vlan();
    assert_eq!(packet.key().number(Field::VlanVid), 0x1064);
    packet.pop_vlan();
    packet.pop_vlan();
    assert_eq!(packet.bytes(), plain);
}

proptest! {
    #[test]
    fn any_frame_survives_any_change(mut frame: Vec<u8>, kind in 0..6_u8, steps: Vec<(u8, u16)>) {
        if let Some(place) = frame.get_mut(12..14) {
            let kinds: [u16; 6] = [0x800, 0x86dd, 0x806, 0x8100, 0x8847, 3];
            place.copy_from_slice(&kinds[kind as usize].to_be_bytes());
        }
        let mut packet = packet(&frame);
        for (step, value) in steps.into_iter().take(30) {
            match step % 12 {
                0 => packet.push_vlan(0x8100),
                1 => packet.pop_vlan(),
                2 => packet.push_mpls(0x8847),
                3 => packet.pop_mpls(value),
                4 => packet.set_ip_ttl(value as u8),
                5 => packet.set_mpls_ttl(value as u8),
                6 => packet.set_transport(value & 1 == 0, value),
                7 => packet.set_vlan(Field::VlanPcp, value & 7),
                _ => {
                    if let Some(field) = Field::from_header(0x8000, (value % 40) as u8) {
                        let bytes = [value as u8; 16];
                        packet.set_field(field, &bytes[..field.layout().width]);
                    }
                }
            }
        }
    }
}
