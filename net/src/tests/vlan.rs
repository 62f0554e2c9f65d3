//! VLANs (IEEE 802.1Q) as interfaces.
use super::*;
use crate::{Error, wire::ethernet::TAG_LEN};

/// 10.0.0.1/24 on the card, and 10.5.0.1/24 on its VLAN 5.
fn host() -> Host {
    let mut host = Host::ipv4();
    assert_eq!(host.core.add_vlan(0, 5), Ok(1));
    let config = InterfaceConfig {
        ipv6_enabled: false,
        slaac: false,
        ..InterfaceConfig::ipv4(Ipv4Config::new("10.5.0.1/24".parse().unwrap()))
    };
    host.core.configure(host.now, 1, &config).unwrap();
    host.run_for(Duration::from_secs(10));
    host.sent.frames.clear();
    host
}

fn tag(id: u16, frame: &[u8]) -> Vec<u8> {
    [&frame[..12], &[0x81, 0x00], &id.to_be_bytes(), &frame[12..]].concat()
}

/// The frame without its tag, which must be of VLAN 5.
#[track_caller]
fn untagged(frame: &[u8]) -> Vec<u8> {
    assert_eq!(frame[12..16], [0x81, 0x00, 0, 5]);
    [&frame[..12], &frame[16..]].concat()
}

#[test]
fn a_vlan_is_an_interface_of_its_own() {
    let mut host = host();
    let (near, far) = (Ipv4Addr::new(10, 5, 0, 2), Ipv4Addr::new(10, 5, 0, 1));
    let socket = host.bind(7);
    let request = arp_frame(PEER, MacAddr::BROADCAST, arp_request(PEER, near, far));
    // Its address is nobody's on the card itself, nor on another VLAN.
    host.receive(&request);
    host.receive(&tag(6, &request));
    host.nothing_else();
    // Priority bits do not matter.
    host.receive(&tag(5 | 0xe000, &request));
    assert_eq!(open_arp(&untagged(&host.next()), PEER), arp_reply(US, far, PEER, near));
    host.nothing_else();
    let datagram = udp_frame((near, 4000).into(), (far, 7).into(), b"tagged");
    host.receive(&tag(5, &datagram));
    assert_eq!(host.received(socket), (b"tagged".to_vec(), (near, 4000).into()));
    host.receive(&datagram);
    assert_eq!(host.core.udp_receive(socket, &mut [0; 9]), None);
    // Answers go out with the tag, as large as without it, fragments too.
    for (len, frames) in [(0, 1), (1472, 1), (3000, 3)] {
        host.core.udp_send(host.now, socket, &vec![1; len], (near, 9).into(), &mut host.sent).unwrap();
        for _ in 0..frames {
            let frame = host.next();
            assert!(frame.len() <= 14 + TAG_LEN + 1500);
            assert_eq!(open_ipv4(&untagged(&frame), PEER).0, far);
        }
        host.nothing_else();
    }
    // Who must be asked for first is asked for there, and what waited goes there.
    let third = Ipv4Addr::new(10, 5, 0, 3);
    host.core.udp_send(host.now, socket, &[2; 1472], (third, 9).into(), &mut host.sent).unwrap();
    assert_eq!(open_arp(&untagged(&host.next()), MacAddr::BROADCAST), arp_request(US, far, third));
    host.receive(&tag(5, &arp_frame(PEER, US, arp_reply(PEER, third, US, far))));
    assert_eq!(open_ipv4(&untagged(&host.next()), PEER).1, third);
    host.nothing_else();
    // VLAN 0 is the card itself.
    host.receive(&tag(0, &udp_frame((PEER_IP, 4000).into(), (OUR_IP, 7).into(), b"urgent")));
    assert_eq!(host.received(socket).0, b"urgent");
}

#[test]
fn a_checksum_is_left_to_the_device_behind_the_tag() {
    let mut host = Host::ipv4_with(Caps::new(1500).with_checksums(true, true).with_tso(65_535, 65_535));
    host.core.add_vlan(0, 5).unwrap();
    assert_eq!(host.core.interfaces[1].caps.tso_v4, 0);
    let config = InterfaceConfig {
        ipv6_enabled: false,
        slaac: false,
        ..InterfaceConfig::ipv4(Ipv4Config::new("10.5.0.1/24".parse().unwrap()))
    };
    host.core.configure(host.now, 1, &config).unwrap();
    let socket = host.bind(7);
    host.core.udp_send(host.now, socket, b"abc", ([10, 5, 0, 255], 9).into(), &mut host.sent).unwrap();
    let (interface, frame, meta) = host.sent.frames.pop_front().unwrap();
    assert_eq!((interface, frame.len(), meta), (0, 14 + 4 + 20 + 8 + 3, TxMeta::checksum(38, 6)));
}

#[test]
fn what_is_no_vlan_is_refused() {
    let mut host = host();
    let mut add = |parent, id| host.core.add_vlan(parent, id);
    assert_eq!(add(0, 5), Err(Error::AddrInUse));
    assert_eq!(add(0, 0), Err(Error::InvalidInput));
    assert_eq!(add(0, 4095), Err(Error::InvalidInput));
    assert_eq!(add(1, 7), Err(Error::InvalidInput), "a VLAN in a VLAN");
    assert_eq!(add(9, 7), Err(Error::NoInterface));
    let before = host.core.stats().other;
    for cut in [14, 15, 17] {
        host.receive(&tag(5, &[0; 14])[..cut]);
    }
    assert_eq!(host.core.stats().other, before + 3);
    // The link takes its VLANs with it.
    host.core.link_changed(host.now, 0, false);
    assert!(!host.core.interfaces[1].up);
    host.core.link_changed(host.now, 0, true);
    assert!(host.core.interfaces[1].up);
}
