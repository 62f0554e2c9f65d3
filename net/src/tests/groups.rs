//! Groups: IGMP, MLD, the device's filter.
use super::*;
use crate::{
    Error,
    multicast::Owner,
    wire::{
        igmp::{Record, Repr as Igmp},
        mld::{ROUTER_ALERT, Repr as Mld},
    },
};
use core::net::Ipv6Addr;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);
const IGMPV3_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
const ME: Owner = Owner::Socket(1);

fn host() -> Host {
    let config = InterfaceConfig {
        ipv6_enabled: false,
        slaac: false,
        ..InterfaceConfig::ipv4(Ipv4Config::new(crate::Cidr::new(OUR_IP, 24)))
    };
    let mut host = Host::with_groups(Caps::new(1500), &config, 8);
    host.run_for(Duration::from_secs(10));
    host.sent.frames.clear();
    host
}

/// An IGMP message that was sent, to whom; TTL, router alert and checksums are as they must be.
#[track_caller]
fn open_igmp(frame: &[u8]) -> (Ipv4Addr, Vec<u8>) {
    let packet = ipv4_wire::Packet::new_checked(&frame[14..]).unwrap();
    assert_eq!(frame[..6], crate::output::group_mac(packet.dst().into()).unwrap().0);
    assert_eq!((packet.src(), packet.protocol(), packet.ttl()), (OUR_IP, 2, 1));
    assert_eq!(packet.options(), [0x94, 4, 0, 0]);
    assert!(Sum::ZERO.bytes(packet.payload()).is_correct());
    (packet.dst(), packet.payload().to_vec())
}

fn bytes(message: Igmp) -> Vec<u8> {
    let mut bytes = vec![0; message.len()];
    message.emit(&mut bytes).unwrap();
    bytes
}

fn query(group: Ipv4Addr, version: u8) -> Vec<u8> {
    let dst = if group.is_unspecified() { Ipv4Addr::new(224, 0, 0, 1) } else { group };
    ip_frame(PEER_IP.into(), dst.into(), 2, 1, &bytes(Igmp::Query { group, max_response: 100, version }))
}

#[test]
fn joining_and_leaving_is_reported_twice_each() {
    let mut host = host();
    host.core.join(host.now, 0, GROUP.into(), ME).unwrap();
    assert_eq!(host.core.join(host.now, 0, GROUP.into(), ME), Err(Error::AddrInUse));
    assert_eq!(host.core.join(host.now, 0, OUR_IP.into(), ME), Err(Error::InvalidInput));
    assert_eq!(host.core.join(host.now, 7, GROUP.into(), ME), Err(Error::NoInterface));
    host.run_for(Duration::from_secs(5));
    for _ in 0..2 {
        let report = bytes(Igmp::ReportV3(Record::ToExclude, GROUP));
        assert_eq!(open_igmp(&host.next()), (IGMPV3_ROUTERS, report));
    }
    host.nothing_else();
    // A second listener says nothing, nor does the first that leaves.
    host.core.join(host.now, 0, GROUP.into(), Owner::Socket(2)).unwrap();
    host.core.leave(host.now, 0, GROUP.into(), ME).unwrap();
    host.run_for(Duration::from_secs(5));
    host.nothing_else();
    host.core.leave_all(host.now, Owner::Socket(2));
    assert_eq!(host.core.leave(host.now, 0, GROUP.into(), ME), Err(Error::AddrNotAvailable));
    host.run_for(Duration::from_secs(5));
    for _ in 0..2 {
        let report = bytes(Igmp::ReportV3(Record::ToInclude, GROUP));
        assert_eq!(open_igmp(&host.next()), (IGMPV3_ROUTERS, report));
    }
    host.run_for(Duration::from_secs(1000));
    host.nothing_else();
    assert!(host.core.groups.iter().all(Option::is_none));
}

#[test]
fn queries_are_answered_within_their_time() {
    let mut host = host();
    let other = Ipv4Addr::new(239, 1, 2, 4);
    host.core.join(host.now, 0, GROUP.into(), ME).unwrap();
    host.core.join(host.now, 0, other.into(), ME).unwrap();
    host.run_for(Duration::from_secs(5));
    host.sent.frames.clear();
    host.receive(&query(Ipv4Addr::UNSPECIFIED, 3));
    host.nothing_else();
    host.run_for(Duration::from_secs(10));
    let mut told = [open_igmp(&host.next()), open_igmp(&host.next())];
    told.sort();
    let report = |group| (IGMPV3_ROUTERS, bytes(Igmp::ReportV3(Record::IsExclude, group)));
    assert_eq!(told, [report(other), report(GROUP)]);
    host.nothing_else();
    host.receive(&query(other, 3));
    host.run_for(Duration::from_secs(10));
    assert_eq!(open_igmp(&host.next()), report(other));
    host.nothing_else();
    // About a group that nobody listens to, to the wrong address, with a wrong checksum.
    host.receive(&query(Ipv4Addr::new(239, 9, 9, 9), 3));
    let general = bytes(Igmp::Query { group: Ipv4Addr::UNSPECIFIED, max_response: 10, version: 3 });
    host.receive(&ip_frame(PEER_IP.into(), OUR_IP.into(), 2, 1, &general));
    let mut wrong = query(Ipv4Addr::UNSPECIFIED, 3);
    *wrong.last_mut().unwrap() ^= 1;
    host.receive(&wrong);
    host.run_for(Duration::from_secs(100));
    host.nothing_else();
}

//= https://www.rfc-editor.org/rfc/rfc2236#section-3
//= type=test
//# If the host receives another host's Report (version 1
//# or 2) while it has a timer running, it stops its timer for the
//# specified group and does not send a Report, in order to suppress
//# duplicate Reports.
#[test]
fn an_older_router_is_spoken_to_in_its_own_way() {
    let mut host = host();
    host.core.join(host.now, 0, GROUP.into(), ME).unwrap();
    host.run_for(Duration::from_secs(5));
    host.sent.frames.clear();
    host.receive(&query(Ipv4Addr::UNSPECIFIED, 2));
    host.run_for(Duration::from_secs(10));
    assert_eq!(open_igmp(&host.next()), (GROUP, bytes(Igmp::ReportV2(GROUP))));
    host.nothing_else();
    // Another host is faster.
    host.receive(&query(GROUP, 2));
    host.receive(&ip_frame(PEER_IP.into(), GROUP.into(), 2, 1, &bytes(Igmp::ReportV2(GROUP))));
    host.run_for(Duration::from_secs(10));
    host.nothing_else();
    // And so is the one to say good-bye: only who reported last does.
    host.core.leave(host.now, 0, GROUP.into(), ME).unwrap();
    host.run_for(Duration::from_secs(5));
    host.nothing_else();
    host.core.join(host.now, 0, GROUP.into(), ME).unwrap();
    host.run_for(Duration::from_secs(5));
    assert_eq!(open_igmp(&host.next()).1, bytes(Igmp::ReportV2(GROUP)));
    host.sent.frames.clear();
    host.core.leave(host.now, 0, GROUP.into(), ME).unwrap();
    host.run_for(Duration::from_secs(5));
    assert_eq!(open_igmp(&host.next()), (ALL_ROUTERS, bytes(Igmp::Leave(GROUP))));
    host.sent.frames.clear();
    // Without queries of the older version for long enough it is version 3 again.
    host.run_for(Duration::from_secs(300));
    host.core.join(host.now, 0, GROUP.into(), ME).unwrap();
    host.run_for(Duration::ZERO);
    assert_eq!(open_igmp(&host.next()).0, IGMPV3_ROUTERS);
}

#[test]
fn datagrams_to_a_group_reach_a_socket_while_it_is_joined() {
    let mut host = host();
    let socket = host.bind(7);
    let datagram = udp_frame((PEER_IP, 4000).into(), (GROUP, 7).into(), b"all");
    host.receive(&datagram);
    assert_eq!(host.core.udp_receive(socket, &mut [0; 9]), None);
    host.core.join(host.now, 0, GROUP.into(), Owner::Socket(socket)).unwrap();
    let mut groups = heapless::Vec::new();
    assert!(host.core.take_groups(0, &mut groups));
    let mac = MacAddr([1, 0, 0x5e, 1, 2, 3]);
    assert!(groups.contains(&mac) && !host.core.take_groups(0, &mut groups));
    host.receive(&datagram);
    assert_eq!(host.received(socket).0, b"all");
    host.run_for(Duration::from_secs(5));
    host.sent.frames.clear();
    // What is sent to a group stays on the link.
    host.core.udp_send(host.now, socket, b"x", (GROUP, 9).into(), &mut host.sent).unwrap();
    let frame = host.next();
    assert_eq!((&frame[..6], frame[22]), (&mac.0[..], 1));
    host.nothing_else();
    host.core.leave_all(host.now, Owner::Socket(socket));
    host.receive(&datagram);
    assert_eq!(host.core.udp_receive(socket, &mut [0; 9]), None);
    assert!(host.core.take_groups(0, &mut groups) && !groups.contains(&mac));
}

#[test]
fn the_table_of_groups_is_bounded() {
    let mut host = host();
    for n in 0..8 {
        host.core.join(host.now, 0, Ipv4Addr::new(239, 0, 0, n).into(), ME).unwrap();
    }
    assert_eq!(host.core.join(host.now, 0, GROUP.into(), ME), Err(Error::TableFull));
}

/// An MLD message that was sent, from whom to whom.
#[track_caller]
fn open_mld(frame: &[u8]) -> (Ipv6Addr, Ipv6Addr, Vec<u8>) {
    let packet = ipv6_wire::Packet::new_checked(&frame[14..]).unwrap();
    let (src, dst) = (packet.src(), packet.dst());
    assert_eq!(frame[..6], crate::output::group_mac(dst.into()).unwrap().0);
    assert_eq!((packet.next_header(), packet.hop_limit()), (0, 1));
    let (options, message) = packet.payload().split_at(8);
    assert_eq!(options, ROUTER_ALERT);
    assert!(Sum::pseudo_header(src.into(), dst.into(), 58, message.len()).bytes(message).is_correct());
    (src, dst, message.to_vec())
}

#[track_caller]
fn is_mld(message: &[u8], expected: Mld) {
    let mut bytes = vec![0; expected.len()];
    expected.emit(&mut bytes).unwrap();
    assert_eq!((&message[..2], &message[4..]), (&bytes[..2], &bytes[4..]));
}

fn mld_query(src: &str, hop_limit: u8, version: u8) -> Vec<u8> {
    let message = Mld::Query { group: Ipv6Addr::UNSPECIFIED, max_response: 1000, version };
    let (src, dst): (IpAddr, IpAddr) = (src.parse().unwrap(), "ff02::1".parse().unwrap());
    let mut bytes = vec![0; message.len()];
    message.emit(&mut bytes).unwrap();
    let bytes = with_checksum(src, dst, 58, 2, bytes);
    ip_frame(src, dst, 0, hop_limit, &[&ROUTER_ALERT[..], &bytes].concat())
}

#[test]
fn the_groups_of_our_ipv6_addresses_are_reported() {
    let config = InterfaceConfig { slaac: false, ..InterfaceConfig::default() };
    let mut host = Host::with_groups(Caps::new(1500), &config, 8);
    let group: Ipv6Addr = "ff02::1:ff00:1".parse().unwrap();
    host.run_for(Duration::from_millis(1));
    let routers: Ipv6Addr = "ff02::16".parse().unwrap();
    let (src, dst, message) = open_mld(&host.next());
    assert_eq!((src, dst), (Ipv6Addr::UNSPECIFIED, routers), "before duplicates are looked for");
    is_mld(&message, Mld::ReportV2(Record::ToExclude, group));
    host.run_for(Duration::from_secs(10));
    host.sent.frames.clear();

    for (src, hop_limit) in [("2001:db8::9", 1), ("fe80::9", 64)] {
        host.receive(&mld_query(src, hop_limit, 2));
    }
    host.run_for(Duration::from_secs(2));
    host.nothing_else();
    assert_eq!(host.core.stats().bad_neighbor, 2);
    host.receive(&mld_query("fe80::9", 1, 2));
    host.run_for(Duration::from_secs(2));
    let (src, dst, message) = open_mld(&host.next());
    assert_eq!((src, dst), ("fe80::ff:fe00:1".parse().unwrap(), routers));
    is_mld(&message, Mld::ReportV2(Record::IsExclude, group));
    host.nothing_else();
    host.receive(&mld_query("fe80::9", 1, 1));
    host.run_for(Duration::from_secs(2));
    let (_, dst, message) = open_mld(&host.next());
    assert_eq!(dst, group);
    is_mld(&message, Mld::ReportV1(group));
    host.nothing_else();
}
