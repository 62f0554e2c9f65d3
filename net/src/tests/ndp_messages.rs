//! Neighbour discovery, message by message (RFC 4861): fields and options that do not belong there, groups, flags, what confirms nothing.
use super::{
    ipv6::{
        OURS, PREFIX, ROUTER, THEIRS, advertisement, icmp_frame, ndp_frame, option, router_advertisement,
    },
    *,
};
use crate::{
    AddressState, InterfaceIdentifier, Ipv6Config, Origin,
    address::solicited_node,
    neighbor::Reachability,
    wire::ndp::{self, NdpOption},
};
use core::net::Ipv6Addr;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x33]);
const FAR: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 1);
/// The start of a packet, as a redirect has it, with its reserved field in ones.
const REDIRECTED: [u8; 16] = [4, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x60, 0, 0, 0, 0, 0, 0, 0];

fn host(change: impl FnOnce(&mut InterfaceConfig)) -> Host {
    let mut config = InterfaceConfig::default();
    change(&mut config);
    let mut host = Host::with(Caps::new(1500), &config);
    host.run_for(Duration::from_secs(20));
    host.sent.frames.clear();
    host
}

fn known(host: &Host, addr: Ipv6Addr) -> Option<(MacAddr, Reachability, bool)> {
    host.core.neighbors.get(0, addr.into()).map(|n| (n.mac, n.state, n.is_router))
}

fn next_hop(host: &mut Host, dst: Ipv6Addr) -> Option<IpAddr> {
    host.core.path(host.now, dst.into(), None).map(|path| path.next_hop)
}

fn prefix(on_link: bool, autonomous: bool, valid: u32) -> NdpOption<'static> {
    NdpOption::Prefix { prefix_len: 64, on_link, autonomous, valid, preferred: valid, prefix: PREFIX }
}

fn own(host: &Host) -> Ipv6Addr {
    match host.core.addresses().next().unwrap().cidr.addr {
        IpAddr::V6(own) => own,
        IpAddr::V4(_) => unreachable!(),
    }
}

/// What an interface has been told, and by whose word it would go.
fn told(host: &mut Host) -> (usize, usize, Option<IpAddr>) {
    let near = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 9);
    (host.core.interfaces[0].mtu6, host.core.addresses().count(), next_hop(host, near))
}

#[test]
fn options_of_other_messages_are_passed_over() {
    let mac = option(NdpOption::SourceLinkLayer(OTHER));
    let target = option(NdpOption::TargetLinkLayer(OTHER));
    let strange =
        [option(prefix(true, true, 9000)), option(NdpOption::Mtu(1300)), REDIRECTED.to_vec()].concat();
    let mut host = super::ipv6::host();
    let before = told(&mut host);
    //= https://www.rfc-editor.org/rfc/rfc4861#section-4.6.1
    //= type=test
    //# These options MUST be silently ignored for other
    //# Neighbor Discovery messages.
    // A solicitation has no target's address, so nothing is learned, and the sender is looked for to be answered.
    //= https://www.rfc-editor.org/rfc/rfc4861#section-7.2
    //= type=test
    //# These messages MUST NOT create or update neighbor cache
    //# entries, except with respect to the IsRouter flag as specified in
    //# Sections 6.3.4 and 7.2.5.
    //= https://www.rfc-editor.org/rfc/rfc4861#section-4.6.2
    //= type=test
    //# The Prefix Information option appears in Router
    //# Advertisement packets and MUST be silently ignored
    //# for other messages.
    //= https://www.rfc-editor.org/rfc/rfc4861#section-4.6.3
    //= type=test
    //# This option MUST be silently
    //# ignored for other Neighbor Discovery messages.
    let options = [&target[..], &strange].concat();
    let ask = ndp::Repr::NeighborSolicitation { target: OURS, options: &options };
    host.receive(&ndp_frame(THEIRS, solicited_node(OURS), &ask));
    assert_eq!(known(&host, THEIRS).unwrap().1, Reachability::Incomplete);
    assert_eq!(host.next()[14 + 40], 135, "a question in return");
    host.nothing_else();
    //= https://www.rfc-editor.org/rfc/rfc4861#section-7.2.5
    //= type=test
    //# If the link layer has addresses and no Target
    //# Link-Layer Address option is included, the receiving node SHOULD
    //# silently discard the received advertisement.
    let options = [&mac[..], &strange].concat();
    host.receive(&ndp_frame(THEIRS, OURS, &advertisement(THEIRS, true, &options)));
    assert_eq!(known(&host, THEIRS).unwrap().1, Reachability::Incomplete);
    host.nothing_else();
    //= https://www.rfc-editor.org/rfc/rfc4861#section-6.1.1
    //= type=test
    //# Hosts MUST silently discard any received Router Solicitation Messages.
    let nobody: Ipv6Addr = "2001:db8::5".parse().unwrap();
    for to in [ALL_ROUTERS, ALL_NODES, OURS] {
        host.receive(&ndp_frame(nobody, to, &ndp::Repr::RouterSolicitation { options: &options }));
        host.nothing_else();
    }
    assert_eq!(known(&host, nobody), None);
    assert_eq!(told(&mut host), before);

    //= https://www.rfc-editor.org/rfc/rfc4861#section-6.1.2
    //= type=test
    //# The contents of any defined options that are not specified to be used
    //# with Router Advertisement messages MUST be ignored and the packet
    //# processed as normal.
    let mut host = self::host(|_| {});
    let before = told(&mut host);
    let options = [&target[..], &REDIRECTED].concat();
    host.receive(&ndp_frame(ROUTER, ALL_NODES, &router_advertisement(1800, &options)));
    assert_eq!(known(&host, ROUTER), None, "nothing says where the router is");
    assert_eq!(next_hop(&mut host, FAR), Some(ROUTER.into()));
    //= https://www.rfc-editor.org/rfc/rfc4861#section-8.1
    //= type=test
    //# The contents of any defined options that are not specified to be used
    //# with Redirect messages MUST be ignored and the packet processed as
    //# normal.
    let better = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xaa);
    let options = [&mac[..], &strange].concat();
    let redirect = ndp::Repr::Redirect { target: better, destination: FAR, options: &options };
    host.receive(&ndp_frame(ROUTER, own(&host), &redirect));
    assert_eq!((known(&host, better), next_hop(&mut host, FAR)), (None, Some(better.into())));
    assert_eq!(told(&mut host), (before.0, before.1, Some(ROUTER.into())), "the way out, no prefix");
    host.run_for(Duration::from_secs(5));
    host.nothing_else();
}

#[test]
fn reserved_fields_of_options_are_ignored() {
    let mut host = host(|_| {});
    //= https://www.rfc-editor.org/rfc/rfc4861#section-4.6.2
    //= type=test
    //# It MUST be initialized to zero by the sender and
    //# MUST be ignored by the receiver.
    let mut pio = option(prefix(true, true, 9000));
    assert_eq!((pio[3], &pio[12..16]), (0xc0, &[0; 4][..]));
    pio[3] |= 0x3f;
    pio[12..16].fill(0xff);
    //= https://www.rfc-editor.org/rfc/rfc4861#section-4.6.4
    //= type=test
    //# It MUST be initialized to zero by the sender and
    //# MUST be ignored by the receiver.
    let mut mtu = option(NdpOption::Mtu(1400));
    assert_eq!(mtu[2..4], [0; 2]);
    mtu[2..4].fill(0xff);
    host.receive(&ndp_frame(ROUTER, ALL_NODES, &router_advertisement(1800, &[&mtu[..], &pio].concat())));
    let first = told(&mut host);
    assert_eq!((first.0, first.1), (1400, 2));
    let routes = host.core.routes.iter().count();
    //= https://www.rfc-editor.org/rfc/rfc4861#section-4.6.2
    //= type=test
    //# The bits
    //# in the prefix after the prefix length are reserved
    //# and MUST be initialized to zero by the sender and
    //# ignored by the receiver.
    pio[31] = 0x55;
    host.receive(&ndp_frame(ROUTER, ALL_NODES, &router_advertisement(1800, &pio)));
    assert_eq!((told(&mut host), host.core.routes.iter().count()), (first, routes), "the same prefix");
    //= https://www.rfc-editor.org/rfc/rfc4861#section-4.6.3
    //= type=test
    //# They MUST be initialized to
    //# zero by the sender and MUST be ignored by the
    //# receiver.
    let better = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xaa);
    let redirect = ndp::Repr::Redirect { target: better, destination: FAR, options: &REDIRECTED };
    host.receive(&ndp_frame(ROUTER, own(&host), &redirect));
    assert_eq!(next_hop(&mut host, FAR), Some(better.into()));
}

#[test]
fn options_may_come_in_any_order_and_may_be_missing() {
    let options = [
        option(NdpOption::SourceLinkLayer(PEER)),
        option(NdpOption::Mtu(1400)),
        option(prefix(true, true, 9000)),
        vec![200, 1, 1, 2, 3, 4, 5, 6],
    ];
    //= https://www.rfc-editor.org/rfc/rfc4861#section-9
    //= type=test
    //# Options in Neighbor Discovery packets can appear in any order;
    //# receivers MUST be prepared to process them independently of their
    //# order.
    for first in 0..4 {
        for step in [1, 3] {
            let mut host = host(|_| {});
            let order: Vec<u8> = (0..4).flat_map(|i| options[(first + i * step) % 4].clone()).collect();
            host.receive(&ndp_frame(ROUTER, ALL_NODES, &router_advertisement(1800, &order)));
            //= https://www.rfc-editor.org/rfc/rfc4861#section-9
            //= type=test
            //# All options specified in this document MUST be recognized.
            let near = told(&mut host);
            assert_eq!((near.0, near.1), (1400, 2));
            assert!(near.2.is_some_and(|hop| hop != ROUTER));
            assert_eq!(known(&host, ROUTER), Some((PEER, Reachability::Stale, true)));
            //= https://www.rfc-editor.org/rfc/rfc4861#section-9
            //= type=test
            //# Thus, a receiver MUST NOT associate any action with the absence of an
            //# option in a particular packet.
            host.receive(&ndp_frame(ROUTER, ALL_NODES, &router_advertisement(1800, &[])));
            assert_eq!(told(&mut host), near);
            assert_eq!(known(&host, ROUTER), Some((PEER, Reachability::Stale, true)));
        }
    }
}

#[test]
fn what_is_sent_of_neighbour_discovery_is_small_and_plain() {
    let mut host = Host::with(Caps::new(1500), &InterfaceConfig::default());
    let socket = host.bind(7);
    host.run_for(Duration::from_secs(20));
    let own = own(&host);
    let near = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 5);
    host.core.udp_send(host.now, socket, b"x", (near, 9).into(), &mut host.sent).unwrap();
    let from = option(NdpOption::SourceLinkLayer(PEER));
    let ask = ndp::Repr::NeighborSolicitation { target: own, options: &from };
    host.receive(&ndp_frame(near, solicited_node(own), &ask));
    let mut kinds = Vec::new();
    for (_, frame, _) in &host.sent.frames {
        let (next, message) = (frame[20], &frame[54..]);
        if next != 58 {
            continue;
        }
        kinds.push(message[0]);
        //= https://www.rfc-editor.org/rfc/rfc4861#section-4.1
        //= type=test
        //# It MUST be initialized to zero by the sender and MUST be ignored by
        //# the receiver.
        let flags = if message[0] == 136 { 0x60 } else { 0 };
        assert_eq!(message[4..8], [flags, 0, 0, 0], "{message:02x?}");
        //= https://www.rfc-editor.org/rfc/rfc4861#section-9
        //= type=test
        //# When
        //# adding options to an ND packet, a node MUST NOT exceed the link MTU.
        assert!(frame.len() <= 14 + 40 + 32, "{message:02x?}");
    }
    // A probe for duplicates, three questions for routers, one for the neighbour, the answer to its own.
    assert_eq!(kinds, [135, 133, 133, 133, 135, 136]);
    host.sent.frames.clear();
    //= https://www.rfc-editor.org/rfc/rfc4861#section-8.3
    //= type=test
    //# A host MUST NOT send Redirect messages.
    for to in [near, FAR] {
        host.receive(&udp_frame((THEIRS, 9).into(), (to, 9).into(), b"x"));
        host.nothing_else();
    }
    //= https://www.rfc-editor.org/rfc/rfc4861#section-7.2.4
    //= type=test
    //# Furthermore,
    //# if the node is a router, it MUST set the Router flag to one;
    //# otherwise, it MUST set the flag to zero.
    host.core.set_forwarding(true);
    host.receive(&ndp_frame(near, solicited_node(own), &ask));
    assert_eq!(host.next()[54..][4], 0xe0);
    host.nothing_else();
}

#[test]
fn routers_come_and_go() {
    // The first question waits a moment (a second at most), and ends with the first answer.
    let mut waits = Vec::new();
    for seed in 0..8 {
        let mut core = Core::with_memory(Limits { groups: 0, ..Limits::default() }, [seed; 16]);
        let start = Instant::from_secs(1000);
        core.add_interface(US, Caps::new(1500)).unwrap();
        let config = InterfaceConfig { dad_transmits: 0, ..InterfaceConfig::default() };
        core.configure(start, 0, &config).unwrap();
        let mut host = Host { core, sent: Sent::default(), now: start };
        while host.sent.frames.is_empty() {
            host.run_for(Duration::from_millis(1));
        }
        assert_eq!(host.next()[54], 133);
        waits.push(host.now.since(start).as_millis());
        //= https://www.rfc-editor.org/rfc/rfc4861#section-6.3.7
        //= type=test
        //# Once the host sends a Router Solicitation, and receives a valid
        //# Router Advertisement with a non-zero Router Lifetime, the host MUST
        //# desist from sending additional solicitations on that interface, until
        //# the next time one of the above events occurs.
        host.receive(&ndp_frame(ROUTER, ALL_NODES, &router_advertisement(1800, &[])));
        host.run_for(Duration::from_secs(60));
        host.nothing_else();
        host.core.link_changed(host.now, 0, false);
        host.core.link_changed(host.now, 0, true);
        host.run_for(Duration::from_secs(60));
        assert_eq!(host.sent.frames.iter().filter(|(_, frame, _)| frame[54] == 133).count(), 3);
    }
    //= https://www.rfc-editor.org/rfc/rfc4861#section-6.3.7
    //= type=test
    //# Before a host sends an initial solicitation, it SHOULD delay the
    //# transmission for a random amount of time between 0 and
    //# MAX_RTR_SOLICITATION_DELAY.
    assert!(waits.iter().all(|wait| *wait <= 1001), "{waits:?}");
    assert!(waits.iter().max().unwrap() - waits.iter().min().unwrap() > 200, "{waits:?}");

    let mut host = host(|_| {});
    let own = own(&host);
    let second = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xfd);
    //= https://www.rfc-editor.org/rfc/rfc4861#section-7.2.3
    //= type=test
    //# If a Neighbor Cache entry is created, the IsRouter flag SHOULD be set
    //# to FALSE.
    let from = option(NdpOption::SourceLinkLayer(PEER));
    let ask = ndp::Repr::NeighborSolicitation { target: own, options: &from };
    for router in [ROUTER, second] {
        host.receive(&ndp_frame(router, solicited_node(own), &ask));
        assert!(!known(&host, router).unwrap().2);
        //= https://www.rfc-editor.org/rfc/rfc4861#section-6.3.4
        //= type=test
        //# If no Source Link-Layer Address is included, but a corresponding
        //# Neighbor Cache entry exists, its IsRouter flag MUST be set to TRUE.
        host.receive(&ndp_frame(router, ALL_NODES, &router_advertisement(1800, &[])));
        assert!(known(&host, router).unwrap().2);
    }
    host.sent.frames.clear();
    let first = next_hop(&mut host, FAR).unwrap();
    let (first, rest) = if first == ROUTER { (ROUTER, second) } else { (second, ROUTER) };
    //= https://www.rfc-editor.org/rfc/rfc4861#section-6.3.5
    //= type=test
    //# When removing a router from the Default Router list, the node MUST
    //# update the Destination Cache in such a way that all entries using the
    //# router perform next-hop determination again rather than continue
    //# sending traffic to the (deleted) router.
    host.receive(&ndp_frame(first, ALL_NODES, &router_advertisement(0, &[])));
    assert_eq!(next_hop(&mut host, FAR), Some(rest.into()));

    // A redirect says that its target is a router; when that says it is none, the redirect is forgotten.
    let better = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xaa);
    let mac = option(NdpOption::TargetLinkLayer(OTHER));
    let redirect = ndp::Repr::Redirect { target: better, destination: FAR, options: &mac };
    host.receive(&ndp_frame(rest, own, &redirect));
    //= https://www.rfc-editor.org/rfc/rfc4861#section-8.3
    //= type=test
    //# If the Target Address is not the same as the Destination Address, the
    //# host MUST set IsRouter to TRUE for the target.
    assert_eq!(known(&host, better), Some((OTHER, Reachability::Stale, true)));
    let there = option(NdpOption::TargetLinkLayer(PEER));
    let confirmed = ndp::Repr::NeighborAdvertisement {
        router: true,
        solicited: true,
        overrides: true,
        target: better,
        options: &there,
    };
    host.receive(&ndp_frame(better, own, &confirmed));
    assert_eq!(known(&host, better), Some((PEER, Reachability::Reachable, true)));
    //= https://www.rfc-editor.org/rfc/rfc4861#section-8.3
    //= type=test
    //# If a cache
    //# entry already existed and it is updated with a different link-layer
    //# address, its reachability state MUST also be set to STALE.
    host.receive(&ndp_frame(
        better,
        own,
        &ndp::Repr::Redirect { target: better, destination: FAR, options: &[] },
    ));
    host.receive(&ndp_frame(rest, own, &redirect));
    assert_eq!(known(&host, better).unwrap().1, Reachability::Reachable, "the target is the first hop now");
    host.receive(&ndp_frame(better, own, &redirect));
    assert_eq!(known(&host, better), Some((OTHER, Reachability::Stale, true)));
    assert_eq!(next_hop(&mut host, FAR), Some(better.into()));
    host.receive(&ndp_frame(better, ALL_NODES, &advertisement(better, false, &mac)));
    assert_eq!(next_hop(&mut host, FAR), Some(rest.into()), "no router any more");
    host.nothing_else();
}

//= https://www.rfc-editor.org/rfc/rfc4861#section-7.3.3
//= type=test
//# However, link-specific information MUST NOT be used
//# to confirm the reachability of a neighbor; such information does not
//# provide end-to-end confirmation between neighboring IP layers.
#[test]
fn what_comes_from_a_neighbour_does_not_confirm_that_it_hears_us() {
    let mut host = super::ipv6::host();
    super::ipv6::meet(&mut host, THEIRS);
    let socket = host.bind(7);
    host.core.udp_send(host.now, socket, b"x", (THEIRS, 9).into(), &mut host.sent).unwrap();
    host.next();
    for _ in 0..4 {
        host.receive(&udp_frame((THEIRS, 9).into(), (OURS, 7).into(), b"x"));
        host.run_for(Duration::from_secs(1));
        assert_eq!(known(&host, THEIRS).unwrap().1, Reachability::Delay);
    }
    host.run_for(Duration::from_secs(1));
    assert_eq!(known(&host, THEIRS).unwrap().1, Reachability::Probe);
    host.receive(&udp_frame((THEIRS, 9).into(), (OURS, 7).into(), b"x"));
    host.run_for(Duration::from_secs(3));
    assert_eq!(known(&host, THEIRS), None);
}

//= https://www.rfc-editor.org/rfc/rfc4861#section-7.2.1
//= type=test
//# In such cases the node MUST join and leave the solicited-
//# node multicast address corresponding to the new and old addresses,
//# respectively.
#[test]
fn groups_follow_the_addresses() {
    let mut host = host(|config| config.identifier = InterfaceIdentifier::Stable([7; 16]));
    let heard = |host: &mut Host| {
        let mut groups = heapless::Vec::new();
        host.core.take_groups(0, &mut groups).then(|| groups.to_vec())
    };
    let before = heard(&mut host).unwrap();
    host.receive(&ndp_frame(
        ROUTER,
        ALL_NODES,
        &router_advertisement(1800, &option(prefix(true, true, 7300))),
    ));
    let made = host.core.addresses().find(|a| a.origin == Origin::Slaac).unwrap().cidr.addr;
    let IpAddr::V6(made) = made else { unreachable!() };
    let group = crate::output::group_mac(solicited_node(made).into()).unwrap();
    assert!(!before.contains(&group));
    let with = heard(&mut host).expect("another group");
    assert!(with.contains(&group) && before.iter().all(|old| with.contains(old)));
    host.run_for(Duration::from_secs(7400));
    let after = heard(&mut host).expect("one group less");
    assert!(!after.contains(&group) && before.iter().all(|old| after.contains(old)));
}

#[test]
fn probes_and_autoconfiguration_are_for_the_user_to_choose() {
    //= https://www.rfc-editor.org/rfc/rfc4862#section-5.1
    //= type=test
    //# A node MUST allow the following autoconfiguration-related variable to
    //# be configured by system management for each multicast-capable
    //# interface:
    for probes in 0..4 {
        let config = InterfaceConfig {
            dad_transmits: probes,
            ipv6: Some(Ipv6Config::new(crate::Cidr::new(OURS, 64))),
            slaac: false,
            ..InterfaceConfig::default()
        };
        let mut host = Host::with(Caps::new(1500), &config);
        let usable = |host: &Host| host.core.addresses().all(|a| a.state == AddressState::Ready);
        let start = host.now;
        host.run_for(Duration::ZERO);
        while !usable(&host) {
            host.run_for(Duration::from_millis(100));
        }
        assert!(host.now.since(start).as_secs().abs_diff(probes.into()) <= 1, "{probes}");
        assert_eq!(host.sent.frames.len(), 2 * usize::from(probes), "for each of two addresses");
    }
    //= https://www.rfc-editor.org/rfc/rfc4862#section-5.5
    //= type=test
    //# However, the processing described below MUST be
    //# enabled by default.
    //= https://www.rfc-editor.org/rfc/rfc4862#section-5.5
    //= type=test
    //# Creation of global addresses as described in this section SHOULD be
    //# locally configurable.
    for slaac in [true, false] {
        let mut host = host(|config| assert!(core::mem::replace(&mut config.slaac, slaac)));
        host.receive(&ndp_frame(
            ROUTER,
            ALL_NODES,
            &router_advertisement(1800, &option(prefix(true, true, 9000))),
        ));
        assert_eq!(host.core.addresses().count(), 1 + usize::from(slaac));
    }
}

#[test]
fn a_deprecated_address_still_hears_and_what_came_last_counts() {
    let mut host = host(|_| {});
    let advertise = |host: &mut Host, router, mtu, preferred| {
        let pio = NdpOption::Prefix {
            prefix_len: 64,
            on_link: true,
            autonomous: true,
            valid: 90_000,
            preferred,
            prefix: PREFIX,
        };
        let options = [option(NdpOption::Mtu(mtu)), option(pio)].concat();
        host.receive(&ndp_frame(router, ALL_NODES, &router_advertisement(1800, &options)));
        host.run_for(Duration::from_secs(5));
        host.sent.frames.clear();
    };
    advertise(&mut host, ROUTER, 1400, 60);
    let made = host.core.addresses().find(|a| a.origin == Origin::Slaac).unwrap().cidr.addr;
    host.run_for(Duration::from_secs(100));
    //= https://www.rfc-editor.org/rfc/rfc4862#section-5.5.4
    //= type=test
    //# IP and higher layers (e.g., TCP, UDP) MUST continue
    //# to accept and process datagrams destined to a deprecated address as
    //# normal since a deprecated address is still a valid address for the
    //# interface.
    let socket = host.bind(7);
    host.receive(&udp_frame((THEIRS, 9).into(), (made, 7).into(), b"old"));
    assert_eq!(host.received(socket).0, b"old");
    let echo = [128, 0, 0, 0, 0, 1, 0, 1];
    let IpAddr::V6(to) = made else { unreachable!() };
    host.receive(&icmp_frame(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 5), to, 64, echo.to_vec()));
    assert_eq!(host.next()[54], 135, "who asked is looked for, to be answered");
    //= https://www.rfc-editor.org/rfc/rfc4862#section-5.6
    //= type=test
    //# In any case, if there is no security difference, the most recently
    //# obtained values SHOULD have precedence over information learned
    //# earlier.
    let second = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xfd);
    for (router, mtu) in [(second, 1300), (ROUTER, 1400)] {
        advertise(&mut host, router, mtu, 600);
        assert_eq!(host.core.interfaces[0].mtu6, mtu as usize);
    }
    let again = host.core.addresses().find(|a| a.origin == Origin::Slaac).unwrap();
    assert_eq!((again.cidr.addr, again.preferred_until > host.now), (made, true));
}
