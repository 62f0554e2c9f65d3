//! Rules of neighbour discovery that hold whatever a message is about (RFC 4861): what must be ignored, what is not said and so kept,
//! what makes an entry stale.
use super::{
    ipv6::{
        OURS, PREFIX, ROUTER, THEIRS, advertisement, icmp_frame, ndp_frame, option, router_advertisement,
    },
    *,
};
use crate::{
    address::solicited_node,
    neighbor::Reachability,
    wire::ndp::{self, NdpOption},
};
use core::net::Ipv6Addr;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x33]);
/// An option of a kind that nobody knows.
const UNKNOWN: [u8; 8] = [200, 1, 1, 2, 3, 4, 5, 6];

fn bytes(message: &ndp::Repr<'_>) -> Vec<u8> {
    let mut bytes = vec![0; message.len()];
    message.emit(&mut bytes).unwrap();
    bytes
}

/// Listens to routers; its own probes and solicitations are over.
fn host() -> Host {
    let mut host = Host::with(Caps::new(1500), &InterfaceConfig::default());
    host.run_for(Duration::from_secs(20));
    host.sent.frames.clear();
    host
}

fn known(host: &Host, addr: Ipv6Addr) -> Option<(MacAddr, Reachability, bool)> {
    host.core.neighbors.get(0, addr.into()).map(|n| (n.mac, n.state, n.is_router))
}

#[test]
fn reserved_fields_and_unknown_options_are_ignored() {
    let mut host = super::ipv6::host();
    //= https://www.rfc-editor.org/rfc/rfc4861#section-9
    //= type=test
    //# A node MUST NOT ignore valid options just because the
    //# ND message contains unrecognized ones.
    let from = option(NdpOption::SourceLinkLayer(PEER));
    let mtu = option(NdpOption::Mtu(1300));
    let options = [&UNKNOWN[..], &mtu, &from].concat();
    let mut ask = bytes(&ndp::Repr::NeighborSolicitation { target: OURS, options: &options });
    ask[4..8].fill(0xff);
    host.receive(&icmp_frame(THEIRS, solicited_node(OURS), 255, ask));
    let answer = host.next();
    assert_eq!(&answer[..6], &PEER.0, "the option behind the unknown one counts");
    let body = &answer[14 + 40..];
    // Solicited and override, all else of the field zero.
    assert_eq!((body[0], &body[4..8]), (136, &[0x60, 0, 0, 0][..]));
    assert_eq!(host.core.interfaces[0].mtu6, 1500, "an option of another message");
    host.nothing_else();
    // An advertisement.
    let mac = option(NdpOption::TargetLinkLayer(OTHER));
    let mut told = bytes(&advertisement(THEIRS, true, &[&UNKNOWN[..], &mtu, &mac].concat()));
    (told[4], told[5]) = (told[4] | 0x1f, 0xff);
    host.receive(&icmp_frame(THEIRS, OURS, 255, told));
    assert_eq!(known(&host, THEIRS), Some((OTHER, Reachability::Reachable, false)));
    assert_eq!(host.core.interfaces[0].mtu6, 1500);
    host.nothing_else();
}

#[test]
fn what_a_router_does_not_say_is_kept() {
    let mut host = host();
    let prefix = |on_link, valid| NdpOption::Prefix {
        prefix_len: 64,
        on_link,
        autonomous: false,
        valid,
        preferred: valid,
        prefix: PREFIX,
    };
    let options = [UNKNOWN.to_vec(), option(NdpOption::Mtu(1400)), option(prefix(true, 9000))].concat();
    let mut first = bytes(&router_advertisement(1800, &options));
    // The reserved flags.
    first[5] |= 0x07;
    host.receive(&icmp_frame(ROUTER, ALL_NODES, 255, first));
    let near = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 9);
    let next_hop = |host: &mut Host| host.core.path(host.now, near.into(), None).map(|path| path.next_hop);
    assert_eq!(next_hop(&mut host), Some(near.into()));
    let said = |host: &Host| {
        let card = &host.core.interfaces[0];
        (card.hop_limit, card.mtu6, card.retransmit, card.base_reachable)
    };
    let before = said(&host);
    assert_eq!(before, (61, 1400, Duration::from_secs(2), Duration::from_secs(20)));
    //= https://www.rfc-editor.org/rfc/rfc4861#section-6.3.4
    //= type=test
    //# In
    //# particular, a host MUST NOT interpret the unspecified value as
    //# meaning change back to the default value that was in use before the
    //# first Router Advertisement was received.
    let silent = ndp::Repr::RouterAdvertisement {
        hop_limit: 0,
        managed: false,
        other: false,
        preference: ndp::Preference::Medium,
        lifetime: 1800,
        reachable_time: 0,
        retransmit_timer: 0,
        options: &[],
    };
    host.receive(&ndp_frame(ROUTER, ALL_NODES, &silent));
    assert_eq!(said(&host), before);
    //= https://www.rfc-editor.org/rfc/rfc4861#section-4.6.2
    //= type=test
    //# In other words, if the L flag is not set a host MUST
    //# NOT conclude that an address derived from the
    //# prefix is off-link.
    host.receive(&ndp_frame(ROUTER, ALL_NODES, &router_advertisement(1800, &option(prefix(false, 0)))));
    assert_eq!(next_hop(&mut host), Some(near.into()));
    // The link-local prefix is nobody's to say.
    let link_local = NdpOption::Prefix {
        prefix_len: 64,
        on_link: true,
        autonomous: false,
        valid: 0,
        preferred: 0,
        prefix: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0),
    };
    host.receive(&ndp_frame(ROUTER, ALL_NODES, &router_advertisement(1800, &option(link_local))));
    assert_eq!(host.core.path(host.now, ROUTER.into(), Some(0)).unwrap().next_hop, IpAddr::V6(ROUTER));
    host.sent.frames.clear();
}

#[test]
fn what_makes_an_entry_stale_and_who_is_a_router() {
    let mut host = host();
    let from = |mac| option(NdpOption::SourceLinkLayer(mac));
    //= https://www.rfc-editor.org/rfc/rfc4861#section-6.3.4
    //= type=test
    //# If a Neighbor Cache entry is created
    //# for the router, its reachability state MUST be set to STALE as
    //# specified in Section 7.3.3.
    host.receive(&ndp_frame(ROUTER, ALL_NODES, &router_advertisement(1800, &from(PEER))));
    assert_eq!(known(&host, ROUTER), Some((PEER, Reachability::Stale, true)));
    // A solicitation says nothing of being a router (section 7.2.3), and another address makes it stale again.
    let confirm = |host: &mut Host, mac| {
        let told = option(NdpOption::TargetLinkLayer(mac));
        let own = host.core.addresses().next().unwrap().cidr.addr;
        let IpAddr::V6(own) = own else { unreachable!() };
        let message = ndp::Repr::NeighborAdvertisement {
            router: true,
            solicited: true,
            overrides: true,
            target: ROUTER,
            options: &told,
        };
        host.receive(&ndp_frame(ROUTER, own, &message));
        own
    };
    let own = confirm(&mut host, PEER);
    assert_eq!(known(&host, ROUTER), Some((PEER, Reachability::Reachable, true)));
    let ask = from(OTHER);
    let solicitation = ndp::Repr::NeighborSolicitation { target: own, options: &ask };
    host.receive(&ndp_frame(ROUTER, solicited_node(own), &solicitation));
    //= https://www.rfc-editor.org/rfc/rfc4861#section-7.2.3
    //= type=test
    //# If a Neighbor Cache entry
    //# already exists, its IsRouter flag MUST NOT be modified.
    // Stale, until the answer went there.
    assert_eq!(known(&host, ROUTER), Some((OTHER, Reachability::Delay, true)));
    host.sent.frames.clear();
    // The same for an advertisement of the router itself, and one that nobody asked for.
    confirm(&mut host, OTHER);
    host.receive(&ndp_frame(ROUTER, ALL_NODES, &router_advertisement(1800, &from(PEER))));
    assert_eq!(known(&host, ROUTER), Some((PEER, Reachability::Stale, true)));
    host.receive(&ndp_frame(ROUTER, ALL_NODES, &router_advertisement(1800, &from(PEER))));
    assert_eq!(known(&host, ROUTER), Some((PEER, Reachability::Stale, true)), "no confirmation");
    // It is no router any more.
    let far = "2001:db8:9::1".parse().unwrap();
    assert!(host.core.path(host.now, far, None).is_some());
    //= https://www.rfc-editor.org/rfc/rfc4861#section-7.2.5
    //= type=test
    //# In those cases where the IsRouter flag
    //# changes from TRUE to FALSE as a result of this update, the node
    //# MUST remove that router from the Default Router List and update
    //# the Destination Cache entries for all destinations using that
    //# neighbor as a router
    let told = option(NdpOption::TargetLinkLayer(OTHER));
    host.receive(&ndp_frame(ROUTER, ALL_NODES, &advertisement(ROUTER, false, &told)));
    assert_eq!(known(&host, ROUTER), Some((OTHER, Reachability::Stale, false)));
    assert!(host.core.path(host.now, far, None).is_none());
}

/// What an advertisement that nobody asked for does to an address that is in use: kept without the override flag, else taken, and asked.
#[test]
fn an_address_that_is_contradicted_is_asked() {
    let mut host = super::ipv6::host();
    let socket = host.bind(7);
    let told = option(NdpOption::TargetLinkLayer(PEER));
    let other = option(NdpOption::TargetLinkLayer(OTHER));
    let claim = |overrides| ndp::Repr::NeighborAdvertisement {
        router: false,
        solicited: false,
        overrides,
        target: THEIRS,
        options: &other,
    };
    let send = |host: &mut Host, mac: MacAddr| {
        host.core.udp_send(host.now, socket, b"x", (THEIRS, 9).into(), &mut host.sent).unwrap();
        assert_eq!(host.next()[..6], mac.0);
        host.nothing_else();
    };
    let asked = |host: &mut Host, mac: MacAddr| {
        let frame = host.next();
        assert_eq!((&frame[..6], frame[14 + 40]), (&mac.0[..], 135));
        assert_eq!(frame[14 + 24..14 + 40], THEIRS.octets(), "unicast");
    };
    host.receive(&ndp_frame(
        THEIRS,
        OURS,
        &ndp::Repr::NeighborSolicitation { target: OURS, options: &option(NdpOption::SourceLinkLayer(PEER)) },
    ));
    host.sent.frames.clear();
    host.receive(&ndp_frame(THEIRS, OURS, &advertisement(THEIRS, true, &told)));
    assert_eq!(known(&host, THEIRS), Some((PEER, Reachability::Reachable, false)));
    host.receive(&ndp_frame(THEIRS, ALL_NODES, &claim(false)));
    assert_eq!(known(&host, THEIRS), Some((PEER, Reachability::Stale, false)));
    send(&mut host, PEER);
    //= https://www.rfc-editor.org/rfc/rfc4861#section-7.2.5
    //= type=test
    //# If the Solicited flag is zero and the link-layer
    //# address was updated with a different address, the state MUST be
    //# set to STALE.
    host.receive(&ndp_frame(THEIRS, ALL_NODES, &claim(true)));
    assert_eq!(known(&host, THEIRS), Some((OTHER, Reachability::Stale, false)));
    send(&mut host, OTHER);
    // Not after five seconds, as an address that nobody contests.
    host.run_for(Duration::from_millis(500));
    for mac in [OTHER, OTHER, PEER] {
        asked(&mut host, mac);
    }
    host.nothing_else();
    send(&mut host, PEER);
    host.receive(&ndp_frame(THEIRS, OURS, &advertisement(THEIRS, true, &told)));
    assert_eq!(known(&host, THEIRS), Some((PEER, Reachability::Reachable, false)));
    host.run_for(Duration::from_secs(5));
    host.nothing_else();
}

#[test]
fn a_redirect_tells_of_its_target() {
    let mut host = host();
    let from = option(NdpOption::SourceLinkLayer(PEER));
    host.receive(&ndp_frame(ROUTER, ALL_NODES, &router_advertisement(1800, &from)));
    let own = host.core.addresses().next().unwrap().cidr.addr;
    let IpAddr::V6(own) = own else { unreachable!() };
    let far: Ipv6Addr = "2001:db8:9::1".parse().unwrap();
    let redirect = |host: &mut Host, target, mac| {
        let options = [UNKNOWN.to_vec(), option(NdpOption::TargetLinkLayer(mac))].concat();
        let mut message = bytes(&ndp::Repr::Redirect { target, destination: far, options: &options });
        message[4..8].fill(0xff);
        host.receive(&icmp_frame(ROUTER, own, 255, message));
    };
    //= https://www.rfc-editor.org/rfc/rfc4861#section-8.3
    //= type=test
    //# If the Target and Destination Addresses are the same, the host MUST
    //# treat the Target as on-link.
    redirect(&mut host, far, OTHER);
    assert_eq!(host.core.path(host.now, far.into(), None).unwrap().next_hop, IpAddr::V6(far));
    //= https://www.rfc-editor.org/rfc/rfc4861#section-8.3
    //= type=test
    //# If a Neighbor Cache entry is created
    //# for the target, its reachability state MUST be set to STALE as
    //# specified in Section 7.3.3.
    assert_eq!(known(&host, far), Some((OTHER, Reachability::Stale, false)));
    host.nothing_else();
}

/// RFC 6980 section 5, whether the fragments are many or one.
#[test]
fn nothing_in_fragments_is_believed() {
    let mut host = super::ipv6::host();
    let from = option(NdpOption::SourceLinkLayer(OTHER));
    let ask = ndp::Repr::NeighborSolicitation { target: OURS, options: &from };
    let whole = ndp_frame(THEIRS, OURS, &ask)[14 + 40..].to_vec();
    let part = |offset: usize, end: usize, more: u8| {
        let head = [58, 0, 0, offset as u8 | more, 0, 0, 0, 9];
        ip_frame(THEIRS.into(), OURS.into(), 44, 255, &[&head, &whole[offset..end]].concat())
    };
    host.receive(&part(0, whole.len(), 0));
    host.receive(&part(0, 16, 1));
    host.receive(&part(16, whole.len(), 0));
    host.nothing_else();
    assert_eq!((host.core.stats().bad_neighbor, host.core.stats().reassembled), (2, 1));
    assert_ne!(known(&host, THEIRS).map(|neighbor| neighbor.0), Some(OTHER));
    // And the same in one piece.
    host.receive(&ndp_frame(THEIRS, OURS, &ask));
    assert_eq!(host.next()[..6], OTHER.0);
    host.nothing_else();
}
