//! ARP: questions, answers, packets that wait, probes, announcements, conflicts.
use super::*;
use crate::{AddressState, Cidr};

const NOBODY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

fn announcement() -> arp_wire::Repr {
    arp_request(US, OUR_IP, OUR_IP)
}

#[test]
fn a_request_for_our_address_is_answered_and_remembered() {
    let mut host = Host::ipv4();
    host.receive(&arp_frame(PEER, MacAddr::BROADCAST, arp_request(PEER, PEER_IP, OUR_IP)));
    assert_eq!(open_arp(&host.next(), PEER), arp_reply(US, OUR_IP, PEER, PEER_IP));
    host.nothing_else();
    let socket = host.bind(7);
    host.core.udp_send(host.now, socket, b"x", (PEER_IP, 9).into(), &mut host.sent).unwrap();
    open_ipv4(&host.next(), PEER);
    host.nothing_else();
}

#[test]
fn requests_for_others_and_replies_for_nobody_are_not_answered() {
    let mut host = Host::ipv4();
    host.receive(&arp_frame(PEER, MacAddr::BROADCAST, arp_request(PEER, PEER_IP, GATEWAY)));
    host.receive(&arp_frame(PEER, US, arp_reply(PEER, PEER_IP, US, OUR_IP)));
    host.receive(&arp_frame(MacAddr::BROADCAST, US, arp_request(MacAddr::BROADCAST, PEER_IP, OUR_IP)));
    for nobody in [Ipv4Addr::BROADCAST, Ipv4Addr::new(224, 0, 0, 1), Ipv4Addr::LOCALHOST] {
        host.receive(&arp_frame(PEER, US, arp_request(PEER, nobody, OUR_IP)));
    }
    host.nothing_else();
    // Neither made an entry: RFC 826 adds only who asks for us.
    let socket = host.bind(7);
    host.core.udp_send(host.now, socket, b"x", (PEER_IP, 9).into(), &mut host.sent).unwrap();
    assert_eq!(open_arp(&host.next(), MacAddr::BROADCAST), arp_request(US, OUR_IP, PEER_IP));
    host.nothing_else();
}

#[test]
fn the_latest_packet_waits_for_the_answer() {
    let mut host = Host::ipv4();
    let socket = host.bind(7);
    for payload in [b"one", b"two"] {
        host.core.udp_send(host.now, socket, payload, (PEER_IP, 9).into(), &mut host.sent).unwrap();
    }
    assert_eq!(open_arp(&host.next(), MacAddr::BROADCAST), arp_request(US, OUR_IP, PEER_IP));
    host.nothing_else();
    host.receive(&arp_frame(PEER, US, arp_reply(PEER, PEER_IP, US, OUR_IP)));
    let (src, dst, protocol, payload) = open_ipv4(&host.next(), PEER);
    assert_eq!((src, dst, protocol), (OUR_IP, PEER_IP, 17));
    assert_eq!(open_udp(src.into(), dst.into(), &payload), (7, 9, b"two".to_vec()));
    host.nothing_else();
    assert_eq!(host.core.stats().unresolved, 1, "the first is counted");
}

#[test]
fn a_silent_neighbour_is_asked_three_times_and_its_packet_dropped() {
    let mut host = Host::ipv4();
    let socket = host.bind(7);
    host.core.udp_send(host.now, socket, b"x", (PEER_IP, 9).into(), &mut host.sent).unwrap();
    host.run_for(Duration::from_secs(60));
    for _ in 0..3 {
        assert_eq!(open_arp(&host.next(), MacAddr::BROADCAST), arp_request(US, OUR_IP, PEER_IP));
    }
    host.nothing_else();
    assert_eq!(host.core.stats().unresolved, 1);
    // An answer that comes now finds nothing that waits.
    host.receive(&arp_frame(PEER, US, arp_reply(PEER, PEER_IP, US, OUR_IP)));
    host.nothing_else();
}

#[test]
fn other_networks_are_reached_through_the_gateway() {
    let mut host = Host::ipv4();
    let socket = host.bind(7);
    host.core.udp_send(host.now, socket, b"x", ([192, 0, 2, 1], 9).into(), &mut host.sent).unwrap();
    assert_eq!(open_arp(&host.next(), MacAddr::BROADCAST), arp_request(US, OUR_IP, GATEWAY));
    host.receive(&arp_frame(PEER, US, arp_reply(PEER, GATEWAY, US, OUR_IP)));
    assert_eq!(open_ipv4(&host.next(), PEER).1, Ipv4Addr::new(192, 0, 2, 1));
    host.nothing_else();
}

#[test]
fn a_stale_neighbour_is_probed_and_confirmed() {
    let mut host = Host::ipv4();
    host.meet_peer();
    let socket = host.bind(7);
    host.core.udp_send(host.now, socket, b"x", (PEER_IP, 9).into(), &mut host.sent).unwrap();
    open_ipv4(&host.next(), PEER);
    host.nothing_else();
    host.run_for(Duration::from_secs(5));
    let probe = open_arp(&host.next(), PEER);
    assert_eq!((probe.sender_ip, probe.target_ip, probe.target_mac), (OUR_IP, PEER_IP, PEER));
    host.nothing_else();
    host.receive(&arp_frame(PEER, US, arp_reply(PEER, PEER_IP, US, OUR_IP)));
    host.run_for(Duration::from_secs(120));
    host.nothing_else();
}

//= https://www.rfc-editor.org/rfc/rfc5227#section-2.1.1
//= type=test
//# If during this period, from the beginning of the probing process
//# until ANNOUNCE_WAIT seconds after the last probe packet is sent, the
//# host receives any ARP packet (Request *or* Reply) on the interface
//# where the probe is being performed, where the packet's 'sender IP
//# address' is the address being probed for, then the host MUST treat
//# this address as being in use by some other host
#[test]
fn probes_then_announcements_unless_another_host_has_the_address() {
    let config = InterfaceConfig {
        ipv6_enabled: false,
        slaac: false,
        ..InterfaceConfig::ipv4(Ipv4Config { probe: true, ..Ipv4Config::new(Cidr::new(OUR_IP, 24)) })
    };
    let state = |host: &Host| host.core.addresses().next().unwrap().state;
    let mut host = Host::with(Caps::new(1500), &config);
    host.run_for(Duration::from_secs(5));
    for _ in 0..3 {
        assert_eq!(open_arp(&host.next(), MacAddr::BROADCAST), arp_request(US, NOBODY, OUR_IP));
    }
    host.nothing_else();
    assert_eq!(state(&host), AddressState::Tentative);
    host.receive(&arp_frame(PEER, MacAddr::BROADCAST, arp_request(PEER, PEER_IP, OUR_IP)));
    host.nothing_else();
    host.run_for(Duration::from_secs(20));
    for _ in 0..2 {
        assert_eq!(open_arp(&host.next(), MacAddr::BROADCAST), announcement());
    }
    host.nothing_else();
    assert_eq!(state(&host), AddressState::Ready);

    let conflicts = [
        arp_request(PEER, OUR_IP, PEER_IP),
        arp_reply(PEER, OUR_IP, US, NOBODY),
        arp_request(PEER, NOBODY, OUR_IP),
    ];
    for conflict in conflicts {
        let mut host = Host::with(Caps::new(1500), &config);
        host.run_for(Duration::from_secs(2));
        host.sent.frames.clear();
        host.receive(&arp_frame(PEER, MacAddr::BROADCAST, conflict));
        host.run_for(Duration::from_secs(20));
        host.nothing_else();
        assert_eq!(state(&host), AddressState::Duplicate);
        assert_eq!(host.core.stats().conflicts, 1);
    }
}

#[test]
fn an_address_in_use_is_defended_once_in_ten_seconds() {
    let mut host = Host::ipv4();
    let conflict = arp_frame(PEER, MacAddr::BROADCAST, arp_request(PEER, OUR_IP, OUR_IP));
    host.receive(&conflict);
    assert_eq!(open_arp(&host.next(), MacAddr::BROADCAST), announcement());
    // The conflicting packet also asks for our address.
    assert_eq!(open_arp(&host.next(), PEER), arp_reply(US, OUR_IP, PEER, OUR_IP));
    host.nothing_else();
    host.run_for(Duration::from_secs(3));
    host.receive(&arp_frame(PEER, MacAddr::BROADCAST, arp_reply(PEER, OUR_IP, PEER, OUR_IP)));
    host.nothing_else();
    host.run_for(Duration::from_secs(11));
    host.receive(&arp_frame(PEER, MacAddr::BROADCAST, arp_reply(PEER, OUR_IP, PEER, OUR_IP)));
    assert_eq!(open_arp(&host.next(), MacAddr::BROADCAST), announcement());
    host.nothing_else();
}

#[test]
fn a_link_that_comes_up_again_is_told_who_we_are() {
    let mut host = Host::ipv4();
    host.meet_peer();
    host.core.link_changed(host.now, 0, false);
    host.run_for(Duration::from_secs(10));
    host.nothing_else();
    host.core.link_changed(host.now, 0, true);
    host.run_for(Duration::from_secs(10));
    for _ in 0..2 {
        assert_eq!(open_arp(&host.next(), MacAddr::BROADCAST), announcement());
    }
    host.nothing_else();
}

#[test]
fn a_flood_of_neighbours_stays_in_its_bounds() {
    let mut host = Host::ipv4();
    for n in 0..100_000u32 {
        let ip = Ipv4Addr::from_bits(0x0a00_0000 | (n & 0xff));
        let mac = MacAddr([2, 1, 0, (n >> 16) as u8, (n >> 8) as u8, n as u8]);
        host.receive(&arp_frame(mac, MacAddr::BROADCAST, arp_request(mac, ip, OUR_IP)));
        host.sent.frames.clear();
    }
    host.run_for(Duration::from_secs(3600));
    host.nothing_else();
}

const RIVAL: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x66]);

/// Packets in the peer's name from another address, for us or for all.
fn claims() -> [(MacAddr, arp_wire::Repr); 4] {
    [
        (MacAddr::BROADCAST, arp_request(RIVAL, PEER_IP, PEER_IP)),
        (MacAddr::BROADCAST, arp_request(RIVAL, PEER_IP, OUR_IP)),
        (US, arp_reply(RIVAL, PEER_IP, US, OUR_IP)),
        (MacAddr::BROADCAST, arp_reply(RIVAL, PEER_IP, RIVAL, PEER_IP)),
    ]
}

/// The peer is known and in use; then somebody claims its address.
fn contested(claim: (MacAddr, arp_wire::Repr)) -> (Host, usize) {
    let mut host = Host::ipv4();
    host.meet_peer();
    let socket = host.bind(7);
    send(&mut host, socket, PEER);
    host.receive(&arp_frame(RIVAL, claim.0, claim.1));
    if (claim.1.operation, claim.1.target_ip) == (arp_wire::Operation::Request, OUR_IP) {
        assert_eq!(
            open_arp(&host.next(), RIVAL),
            arp_reply(US, OUR_IP, RIVAL, PEER_IP),
            "who asks is answered"
        );
    }
    host.nothing_else();
    (host, socket)
}

/// A datagram to the peer goes to `mac`.
#[track_caller]
fn send(host: &mut Host, socket: usize, mac: MacAddr) {
    host.core.udp_send(host.now, socket, b"x", (PEER_IP, 9).into(), &mut host.sent).unwrap();
    assert_eq!(open_ipv4(&host.next(), mac).1, PEER_IP);
    host.nothing_else();
}

/// The next frame asks `mac` alone for the peer's address.
#[track_caller]
fn asked(host: &mut Host, mac: MacAddr) {
    let question = arp_wire::Repr { target_mac: mac, ..arp_request(US, OUR_IP, PEER_IP) };
    assert_eq!(open_arp(&host.next(), mac), question);
}

/// The states of RFC 4861 section 7.3.2 for ARP, which has no flags that say what counts.
#[test]
fn an_address_in_another_s_name_is_not_taken_while_the_old_one_answers() {
    for claim in claims() {
        let (mut host, socket) = contested(claim);
        send(&mut host, socket, PEER);
        host.run_for(Duration::ZERO);
        asked(&mut host, PEER);
        // Others say it again; that asks nobody.
        for claim in claims() {
            host.receive(&arp_frame(RIVAL, US, arp_wire::Repr { target_ip: GATEWAY, ..claim.1 }));
        }
        host.run_for(Duration::from_millis(1));
        host.nothing_else();
        host.receive(&arp_frame(PEER, US, arp_reply(PEER, PEER_IP, US, OUR_IP)));
        send(&mut host, socket, PEER);
        // Once in a second.
        host.receive(&arp_frame(RIVAL, MacAddr::BROADCAST, arp_request(RIVAL, PEER_IP, PEER_IP)));
        host.run_for(Duration::from_millis(900));
        host.nothing_else();
        send(&mut host, socket, PEER);
        host.run_for(Duration::from_millis(100));
        asked(&mut host, PEER);
        host.receive(&arp_frame(PEER, US, arp_reply(PEER, PEER_IP, US, OUR_IP)));
        send(&mut host, socket, PEER);
        host.run_for(Duration::from_secs(10));
        host.nothing_else();
    }
}

#[test]
fn an_address_that_moved_is_taken_when_the_old_one_is_silent() {
    for claim in claims() {
        let (mut host, socket) = contested(claim);
        host.run_for(Duration::from_millis(499));
        asked(&mut host, PEER);
        asked(&mut host, PEER);
        send(&mut host, socket, PEER);
        host.run_for(Duration::from_millis(1));
        asked(&mut host, RIVAL);
        send(&mut host, socket, PEER);
        host.receive(&arp_frame(RIVAL, US, arp_reply(RIVAL, PEER_IP, US, OUR_IP)));
        host.run_for(Duration::from_secs(10));
        send(&mut host, socket, RIVAL);
    }
}

#[test]
fn when_neither_answers_everyone_is_asked() {
    let (mut host, socket) = contested(claims()[0]);
    host.run_for(Duration::from_secs(20));
    for mac in [PEER, PEER, RIVAL, RIVAL] {
        asked(&mut host, mac);
    }
    host.nothing_else();
    host.core.udp_send(host.now, socket, b"x", (PEER_IP, 9).into(), &mut host.sent).unwrap();
    assert_eq!(open_arp(&host.next(), MacAddr::BROADCAST), arp_request(US, OUR_IP, PEER_IP));
    host.nothing_else();
}

/// Nobody uses the entry: the newer address counts, and it is asked as soon as a packet goes there.
#[test]
fn an_address_not_in_use_gives_way_and_the_new_one_is_asked() {
    let mut host = Host::ipv4();
    host.meet_peer();
    host.receive(&arp_frame(RIVAL, MacAddr::BROADCAST, arp_request(RIVAL, PEER_IP, PEER_IP)));
    host.run_for(Duration::from_secs(5));
    host.nothing_else();
    let socket = host.bind(7);
    send(&mut host, socket, RIVAL);
    host.run_for(Duration::from_millis(500));
    for mac in [RIVAL, RIVAL, PEER] {
        asked(&mut host, mac);
    }
    host.nothing_else();
    send(&mut host, socket, RIVAL);
    host.receive(&arp_frame(PEER, US, arp_reply(PEER, PEER_IP, US, OUR_IP)));
    send(&mut host, socket, PEER);
    host.run_for(Duration::from_secs(10));
    host.nothing_else();
}
