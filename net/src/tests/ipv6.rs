//! IPv6: neighbour discovery, autoconfiguration, ICMPv6.
use super::*;
use crate::{
    AddressState, Cidr, Ipv6Config, Origin,
    address::solicited_node,
    wire::{
        icmpv6, ipv6,
        ndp::{self, NdpOption},
    },
};
use core::net::Ipv6Addr;

const NOBODY: Ipv6Addr = Ipv6Addr::UNSPECIFIED;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
pub(super) const OURS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
pub(super) const THEIRS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 1);
pub(super) const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xfe);
pub(super) const PREFIX: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0);
const MADE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0xff, 0xfe00, 1);

fn config() -> InterfaceConfig {
    let address = Ipv6Config::new(Cidr::new(OURS, 64));
    InterfaceConfig { ipv6: Some(address), slaac: false, ..InterfaceConfig::default() }
}

/// 2001:db8::1/64 and the link-local address, both in use.
pub(super) fn host() -> Host {
    let mut host = Host::with(Caps::new(1500), &config());
    host.run_for(Duration::from_secs(10));
    host.sent.frames.clear();
    host
}

fn autoconfigured() -> Host {
    let mut host = Host::with(Caps::new(1500), &InterfaceConfig::default());
    host.run_for(Duration::from_secs(3));
    host.sent.frames.clear();
    host
}

pub(super) fn icmp_frame(src: Ipv6Addr, dst: Ipv6Addr, hop_limit: u8, bytes: Vec<u8>) -> Vec<u8> {
    let bytes = with_checksum(src.into(), dst.into(), 58, 2, bytes);
    ip_frame(src.into(), dst.into(), 58, hop_limit, &bytes)
}

fn ndp_bytes(message: &ndp::Repr<'_>) -> Vec<u8> {
    let mut bytes = vec![0; message.len()];
    message.emit(&mut bytes).unwrap();
    bytes
}

pub(super) fn ndp_frame(src: Ipv6Addr, dst: Ipv6Addr, message: &ndp::Repr<'_>) -> Vec<u8> {
    icmp_frame(src, dst, 255, ndp_bytes(message))
}

pub(super) fn option(option: NdpOption<'_>) -> Vec<u8> {
    let mut bytes = vec![0; option.len()];
    option.emit(&mut bytes).unwrap();
    bytes
}

fn solicitation(target: Ipv6Addr, options: &[u8]) -> ndp::Repr<'_> {
    ndp::Repr::NeighborSolicitation { target, options }
}

pub(super) fn advertisement(target: Ipv6Addr, solicited: bool, options: &[u8]) -> ndp::Repr<'_> {
    ndp::Repr::NeighborAdvertisement { router: false, solicited, overrides: true, target, options }
}

/// Source, destination, hop limit, next header, payload.
#[track_caller]
pub(super) fn open(frame: &[u8], mac: MacAddr) -> (Ipv6Addr, Ipv6Addr, u8, u8, Vec<u8>) {
    let frame = Frame::new_checked(frame).unwrap();
    assert_eq!((frame.src(), frame.dst(), frame.ethertype()), (US, mac, EtherType::IPV6));
    let packet = ipv6::Packet::new_checked(frame.payload()).unwrap();
    assert_eq!(packet.bytes().len(), frame.payload().len(), "nothing behind the packet");
    let payload = packet.payload();
    let sum =
        Sum::pseudo_header(packet.src().into(), packet.dst().into(), packet.next_header(), payload.len());
    assert!(sum.bytes(payload).is_correct());
    (packet.src(), packet.dst(), packet.hop_limit(), packet.next_header(), payload.to_vec())
}

fn group(addr: Ipv6Addr) -> MacAddr {
    crate::output::group_mac(addr.into()).unwrap()
}

#[track_caller]
fn open_ndp(frame: &[u8], mac: MacAddr) -> (Ipv6Addr, Ipv6Addr, ndp::Repr<'static>) {
    let (src, dst, hop_limit, next, payload) = open(frame, mac);
    assert_eq!((hop_limit, next), (255, 58));
    (src, dst, ndp::Repr::parse(payload.leak()).unwrap())
}

fn states(host: &Host) -> Vec<(IpAddr, AddressState)> {
    host.core.addresses().map(|a| (a.cidr.addr, a.state)).collect()
}

/// The peer asks for our address, so that it is in the cache.
pub(super) fn meet(host: &mut Host, peer: Ipv6Addr) {
    let from = option(NdpOption::SourceLinkLayer(PEER));
    host.receive(&ndp_frame(peer, solicited_node(OURS), &solicitation(OURS, &from)));
    host.next();
    host.nothing_else();
}

#[test]
fn addresses_are_probed_before_they_are_used() {
    let mut host = Host::with(Caps::new(1500), &config());
    host.run_for(Duration::from_millis(999));
    host.sent.frames.make_contiguous().sort_by_key(|(_, frame, _)| frame.clone());
    let mut seen = Vec::new();
    while let Some((_, frame, _)) = host.sent.frames.pop_front() {
        let (src, _, message) = open_ndp(&frame, group(solicited_node(OURS)));
        let ndp::Repr::NeighborSolicitation { target, options: [] } = message else { panic!("{message:?}") };
        assert_eq!(src, NOBODY);
        seen.push(target);
    }
    seen.sort();
    // Both end in the same 24 bits, hence the one group.
    assert_eq!(seen, [OURS, LINK_LOCAL]);
    assert!(states(&host).iter().all(|(_, state)| *state == AddressState::Tentative));
    // Not even a solicitation from a neighbour is answered yet.
    let from = option(NdpOption::SourceLinkLayer(PEER));
    host.receive(&ndp_frame(THEIRS, solicited_node(OURS), &solicitation(OURS, &from)));
    host.nothing_else();
    host.run_for(Duration::from_secs(1));
    assert!(states(&host).iter().all(|(_, state)| *state == AddressState::Ready));
    host.run_for(Duration::from_secs(100));
    host.nothing_else();
}

//= https://www.rfc-editor.org/rfc/rfc4862#section-5.4.3
//= type=test
//# If the source address of the Neighbor Solicitation is the unspecified
//# address, the solicitation is from a node performing Duplicate Address
//# Detection.
#[test]
fn a_duplicate_is_not_used() {
    let taken = option(NdpOption::TargetLinkLayer(PEER));
    let conflicts = [
        ndp_frame(NOBODY, solicited_node(OURS), &solicitation(OURS, &[])),
        ndp_frame(OURS, ALL_NODES, &advertisement(OURS, false, &taken)),
    ];
    for conflict in conflicts {
        let mut host = Host::with(Caps::new(1500), &config());
        host.run_for(Duration::from_millis(999));
        host.sent.frames.clear();
        host.receive(&conflict);
        host.run_for(Duration::from_secs(10));
        host.nothing_else();
        let want = [(LINK_LOCAL.into(), AddressState::Ready), (OURS.into(), AddressState::Duplicate)];
        assert_eq!(states(&host), want);
        let from = option(NdpOption::SourceLinkLayer(PEER));
        host.receive(&ndp_frame(THEIRS, solicited_node(OURS), &solicitation(OURS, &from)));
        host.nothing_else();
    }
}

//= https://www.rfc-editor.org/rfc/rfc4861#section-7.2.4
//= type=test
//# If the source of the solicitation is the unspecified address, the
//# node MUST set the Solicited flag to zero and multicast the
//# advertisement to the all-nodes address.
#[test]
fn solicitations_are_answered() {
    let mut host = host();
    let from = option(NdpOption::SourceLinkLayer(PEER));
    let ours = option(NdpOption::TargetLinkLayer(US));
    host.receive(&ndp_frame(THEIRS, solicited_node(OURS), &solicitation(OURS, &from)));
    assert_eq!(open_ndp(&host.next(), PEER), (OURS, THEIRS, advertisement(OURS, true, &ours)));
    host.nothing_else();
    host.receive(&ndp_frame(NOBODY, solicited_node(OURS), &solicitation(OURS, &[])));
    let answer = open_ndp(&host.next(), group(ALL_NODES));
    assert_eq!(answer, (OURS, ALL_NODES, advertisement(OURS, false, &ours)));
    host.nothing_else();
}

#[test]
fn broken_neighbour_discovery_is_dropped() {
    let mut host = host();
    let from = option(NdpOption::SourceLinkLayer(PEER));
    let ask = ndp_bytes(&solicitation(OURS, &from));
    let group = solicited_node(OURS);
    let table = [
        ("it was routed", icmp_frame(THEIRS, group, 254, ask.clone())),
        (
            "a code",
            icmp_frame(THEIRS, group, 255, {
                let mut b = ask.clone();
                b[1] = 1;
                b
            }),
        ),
        (
            "an option of length 0",
            icmp_frame(THEIRS, group, 255, {
                let mut b = ask.clone();
                b[25] = 0;
                b
            }),
        ),
        (
            "an option cut off",
            icmp_frame(THEIRS, group, 255, {
                let mut b = ask.clone();
                b[25] = 2;
                b
            }),
        ),
        ("a multicast target", ndp_frame(THEIRS, group, &solicitation(ALL_NODES, &from))),
        ("a probe to one", ndp_frame(NOBODY, OURS, &solicitation(OURS, &[]))),
        ("a probe with an address", ndp_frame(NOBODY, group, &solicitation(OURS, &from))),
        ("a solicited advertisement to all", ndp_frame(THEIRS, ALL_NODES, &advertisement(THEIRS, true, &[]))),
        ("another's address", ndp_frame(THEIRS, group, &solicitation(THEIRS, &from))),
        ("a router from afar", ndp_frame(THEIRS, ALL_NODES, &router_advertisement(1800, &[]))),
    ];
    for (what, frame) in table {
        host.receive(&frame);
        host.run_for(Duration::ZERO);
        assert!(host.sent.frames.is_empty(), "{what}: {:02x?}", host.sent.frames);
    }
    let stats = host.core.stats();
    assert_eq!((stats.bad_neighbor, stats.malformed), (6, 3), "{stats:?}");
    let mut wrong_sum = ndp_frame(THEIRS, group, &solicitation(OURS, &from));
    *wrong_sum.last_mut().unwrap() ^= 1;
    host.receive(&wrong_sum);
    host.nothing_else();
    assert_eq!(host.core.stats().bad_checksum, 1);
}

#[test]
fn a_packet_waits_for_the_neighbour() {
    let mut host = host();
    let socket = host.bind(7);
    host.core.udp_send(host.now, socket, b"abc", (THEIRS, 9).into(), &mut host.sent).unwrap();
    let ours = option(NdpOption::SourceLinkLayer(US));
    let group_addr = solicited_node(THEIRS);
    let asked = (OURS, group_addr, solicitation(THEIRS, &ours));
    assert_eq!(open_ndp(&host.next(), group(group_addr)), asked);
    host.nothing_else();
    host.run_for(Duration::from_millis(1500));
    assert_eq!(open_ndp(&host.next(), group(group_addr)), asked, "asked again after a second");
    host.nothing_else();
    let theirs = option(NdpOption::TargetLinkLayer(PEER));
    host.receive(&ndp_frame(THEIRS, OURS, &advertisement(THEIRS, true, &theirs)));
    let (src, dst, _, next, payload) = open(&host.next(), PEER);
    assert_eq!((src, dst, next), (OURS, THEIRS, 17));
    assert_eq!(open_udp(src.into(), dst.into(), &payload).2, b"abc");
    host.nothing_else();
    // Reachable for about 30 s, then stale; used again it is probed alone after 5 s.
    host.run_for(Duration::from_secs(100));
    host.core.udp_send(host.now, socket, b"abc", (THEIRS, 9).into(), &mut host.sent).unwrap();
    open(&host.next(), PEER);
    host.run_for(Duration::from_secs(5));
    assert_eq!(open_ndp(&host.next(), PEER), (OURS, THEIRS, solicitation(THEIRS, &ours)));
    host.run_for(Duration::from_secs(10));
    for _ in 0..2 {
        open_ndp(&host.next(), PEER);
    }
    host.nothing_else();
    host.core.udp_send(host.now, socket, b"abc", (THEIRS, 9).into(), &mut host.sent).unwrap();
    open_ndp(&host.next(), group(group_addr));
    host.nothing_else();
}

#[test]
fn ping_to_one_and_to_all() {
    let mut host = host();
    meet(&mut host, THEIRS);
    let request = icmpv6::Repr::EchoRequest { identifier: 1, sequence: 2, data: b"hello" };
    let mut bytes = vec![0; request.len()];
    request.emit(&mut bytes).unwrap();
    for (to, hops) in [(OURS, 64), (ALL_NODES, 64), (OURS, 1), (OURS, 0)] {
        //= https://www.rfc-editor.org/rfc/rfc8200#section-3
        //= type=test
        //# A node that is the destination of a packet
        //# should not discard a packet with Hop Limit equal
        //# to zero; it should process the packet normally.
        host.receive(&icmp_frame(THEIRS, to, hops, bytes.clone()));
        let (src, dst, hop_limit, next, payload) = open(&host.next(), PEER);
        assert_eq!((src, dst, hop_limit, next), (OURS, THEIRS, 64, 58));
        let reply = icmpv6::Repr::EchoReply { identifier: 1, sequence: 2, data: b"hello" };
        assert_eq!(icmpv6::Repr::parse(&payload), Ok(reply));
        host.nothing_else();
    }
    // A group we are no member of, an address that is not ours.
    host.receive(&icmp_frame(THEIRS, "ff02::5".parse().unwrap(), 64, bytes.clone()));
    host.receive(&icmp_frame(THEIRS, "2001:db8::77".parse().unwrap(), 64, bytes));
    host.nothing_else();
    assert_eq!(host.core.stats().bad_address, 2);
}

#[test]
fn errors_quote_what_fits_the_minimum_mtu() {
    let mut host = host();
    meet(&mut host, THEIRS);
    let question = udp_frame((THEIRS, 4000).into(), (OURS, 9).into(), &[7; 1400]);
    host.receive(&question);
    let (_, dst, _, _, payload) = open(&host.next(), PEER);
    assert_eq!((dst, payload.len()), (THEIRS, 1240));
    let quoted = &question[14..][..1232];
    assert_eq!(icmpv6::Repr::parse(&payload), Ok(icmpv6::Repr::Unreachable { code: 4, quoted }));
    host.nothing_else();

    host.receive(&ip_frame(THEIRS.into(), OURS.into(), 200, 64, b"what?"));
    let payload = open(&host.next(), PEER).4;
    assert!(matches!(
        icmpv6::Repr::parse(&payload),
        Ok(icmpv6::Repr::ParameterProblem { code: 1, pointer: 6, .. })
    ));
    host.nothing_else();
    // A fragment: counted, not answered.
    host.receive(&ip_frame(THEIRS.into(), OURS.into(), 44, 64, &[17, 0, 0, 8, 0, 0, 0, 1, 0, 0]));
    assert_eq!(host.core.stats().fragments, 1);
    host.nothing_else();
}

#[test]
fn a_router_is_looked_for_three_times() {
    let mut host = Host::with(Caps::new(1500), &InterfaceConfig::default());
    host.run_for(Duration::from_secs(60));
    let ours = option(NdpOption::SourceLinkLayer(US));
    open_ndp(&host.next(), group(solicited_node(LINK_LOCAL)));
    for _ in 0..3 {
        let solicited = (LINK_LOCAL, ALL_ROUTERS, ndp::Repr::RouterSolicitation { options: &ours });
        assert_eq!(open_ndp(&host.next(), group(ALL_ROUTERS)), solicited);
    }
    host.nothing_else();
}

pub(super) fn router_advertisement(lifetime: u16, options: &[u8]) -> ndp::Repr<'_> {
    ndp::Repr::RouterAdvertisement {
        preference: ndp::Preference::Medium,
        hop_limit: 61,
        managed: false,
        other: false,
        lifetime,
        reachable_time: 20_000,
        retransmit_timer: 2_000,
        options,
    }
}

pub(super) fn prefix(valid: u32, preferred: u32, prefix_len: u8) -> NdpOption<'static> {
    NdpOption::Prefix { prefix_len, on_link: true, autonomous: true, valid, preferred, prefix: PREFIX }
}

#[test]
fn a_router_gives_an_address_a_way_out_and_a_name_server() {
    let mut host = autoconfigured();
    let servers = THEIRS.octets();
    let options = [
        option(NdpOption::SourceLinkLayer(PEER)),
        option(NdpOption::Mtu(1400)),
        option(prefix(7200, 3600, 64)),
        option(NdpOption::NameServers { lifetime: 100, addresses: &servers }),
    ]
    .concat();
    host.receive(&ndp_frame(ROUTER, ALL_NODES, &router_advertisement(1800, &options)));
    host.run_for(Duration::from_secs(30));
    let probe = open_ndp(&host.next(), group(solicited_node(MADE)));
    assert_eq!(probe, (NOBODY, solicited_node(MADE), solicitation(MADE, &[])));
    host.nothing_else();
    let made = *host.core.addresses().find(|a| a.origin == Origin::Slaac).unwrap();
    assert_eq!((made.cidr.addr, made.state), (MADE.into(), AddressState::Ready));
    let card = &host.core.interfaces[0];
    assert_eq!((card.hop_limit, card.mtu6, card.retransmit), (61, 1400, Duration::from_secs(2)));
    assert!((10..=30).contains(&card.reachable.as_secs()), "20 s times 0.5 to 1.5");
    assert_eq!(card.name_servers[0].addr, IpAddr::V6(THEIRS));

    // The way out is the router, whose Ethernet address is known.
    let socket = host.bind(7);
    let far: SocketAddr = "[2001:db8:9::1]:9".parse().unwrap();
    host.core.udp_send(host.now, socket, b"x", far, &mut host.sent).unwrap();
    let (src, dst, hop_limit, ..) = open(&host.next(), PEER);
    assert_eq!((src, IpAddr::V6(dst), hop_limit), (MADE, far.ip(), 61));
    // The router's MTU is heeded.
    host.core.udp_send(host.now, socket, &[0; 1400 - 47], far, &mut host.sent).unwrap();
    assert_eq!(host.next().len(), 14 + 40 + 8 + (1400 - 48) / 8 * 8);
    assert_eq!(host.next()[20], 44);
    // Hosts of the prefix are asked for themselves.
    let near = "2001:db8:1::9".parse().unwrap();
    host.core.udp_send(host.now, socket, b"x", SocketAddr::new(near, 9), &mut host.sent).unwrap();
    let IpAddr::V6(near) = near else { unreachable!() };
    assert!(matches!(
        open_ndp(&host.next(), group(solicited_node(near))).2,
        ndp::Repr::NeighborSolicitation { .. }
    ));
    host.sent.frames.clear();

    // It stops being a router; the prefix and the address live on, deprecated and then gone.
    host.receive(&ndp_frame(ROUTER, ALL_NODES, &router_advertisement(0, &[])));
    let no_route = Err(crate::udp::UdpSendError::Failed(crate::Error::NoRoute));
    assert_eq!(host.core.udp_send(host.now, socket, b"x", far, &mut host.sent), no_route);
    host.run_for(Duration::from_secs(7300));
    assert_eq!(states(&host), [(LINK_LOCAL.into(), AddressState::Ready)]);
    assert!(host.core.path(host.now, near.into(), None).is_none());
}

#[test]
fn hostile_advertisements_stay_in_their_bounds() {
    let mut host = autoconfigured();
    let made = |host: &Host| {
        host.core
            .addresses()
            .find(|a| a.origin == Origin::Slaac)
            .map(|a| a.valid_until.since(host.now).as_secs())
    };
    host.receive(&ndp_frame(
        ROUTER,
        ALL_NODES,
        &router_advertisement(1800, &option(prefix(90_000, 90_000, 64))),
    ));
    assert_eq!(made(&host), Some(90_000));
    // RFC 4862 section 5.5.3 (e): nobody kills an address at once.
    host.receive(&ndp_frame(ROUTER, ALL_NODES, &router_advertisement(1800, &option(prefix(1, 1, 64)))));
    assert_eq!(made(&host), Some(7200));
    // 63 bits, the link-local prefix, preferred longer than valid: nothing.
    let before = states(&host).len();
    for bad in [prefix(9000, 9000, 63), prefix(5, 9, 64)] {
        host.receive(&ndp_frame(ROUTER, ALL_NODES, &router_advertisement(1800, &option(bad))));
    }
    assert_eq!(states(&host).len(), before);
    for n in 0..200u16 {
        let router = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, n);
        let prefix = NdpOption::Prefix {
            prefix_len: 64,
            on_link: true,
            autonomous: true,
            valid: 9000,
            preferred: 9000,
            prefix: Ipv6Addr::new(0x2001, 0xdb8, 0x100 + n, 0, 0, 0, 0, 0),
        };
        host.receive(&ndp_frame(router, ALL_NODES, &router_advertisement(1800, &option(prefix))));
    }
    assert_eq!(states(&host).len(), 5, "the link-local one and four more");
    assert!(host.core.routes.iter().count() <= 10);
    assert_eq!(host.core.add_route(crate::RouteEntry::on_link("10.0.0.0/8".parse().unwrap(), 0)), Ok(()));
}

#[test]
fn a_redirect_from_the_router_is_followed_and_from_others_not() {
    let mut host = autoconfigured();
    let options = [option(NdpOption::SourceLinkLayer(PEER)), option(prefix(7200, 3600, 64))].concat();
    host.receive(&ndp_frame(ROUTER, ALL_NODES, &router_advertisement(1800, &options)));
    host.run_for(Duration::from_secs(5));
    host.sent.frames.clear();
    let far: Ipv6Addr = "2001:db8:9::1".parse().unwrap();
    let better = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xaa);
    let redirect = ndp::Repr::Redirect { target: better, destination: far, options: &[] };
    let via = |host: &mut Host| host.core.path(host.now, far.into(), None).unwrap().next_hop;
    host.receive(&ndp_frame(better, MADE, &redirect));
    assert_eq!(via(&mut host), ROUTER, "not from its router");
    let elsewhere = ndp::Repr::Redirect { target: THEIRS, destination: far, options: &[] };
    host.receive(&ndp_frame(ROUTER, MADE, &elsewhere));
    assert_eq!(via(&mut host), ROUTER, "neither a router nor the destination");
    host.receive(&ndp_frame(ROUTER, MADE, &redirect));
    assert_eq!(via(&mut host), better);
    host.run_for(Duration::from_secs(601));
    assert_eq!(via(&mut host), ROUTER);
    host.nothing_else();
}

#[test]
fn the_device_is_told_the_groups() {
    let mut host = host();
    let mut groups = heapless::Vec::new();
    assert!(host.core.take_groups(0, &mut groups));
    let all_systems = MacAddr([1, 0, 0x5e, 0, 0, 1]);
    assert_eq!(groups[..], [all_systems, group(ALL_NODES), group(solicited_node(OURS))]);
    assert!(!host.core.take_groups(0, &mut groups), "once for each change");
}
