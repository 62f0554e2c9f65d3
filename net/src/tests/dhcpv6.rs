//! DHCPv6 scenarios in virtual time, against a server of a few lines.
use super::{
    ipv6::{ROUTER, advertisement, ndp_frame, open, option, router_advertisement},
    *,
};
use crate::{
    AddressState, Origin,
    wire::{
        dhcpv6::{ALL_SERVERS, IaAddress, IaNa, MessageType, Repr, status},
        ndp::{self, NdpOption},
    },
};
use core::net::Ipv6Addr;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 1);
const LEASED: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 0x77);
const NAMES: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 0x53);
const SERVER: &[u8] = &[0, 3, 0, 1, 9, 9, 9, 9, 9, 9];
/// DUID-LL of the card.
const CLIENT: &[u8] = &[0, 3, 0, 1, 2, 0, 0, 0, 0, 1];
const GROUP: MacAddr = MacAddr([0x33, 0x33, 0, 1, 0, 2]);

/// A host whose router says `managed` or `other`.
fn host(managed: bool, other: bool) -> Host {
    let mut host = Host::with(Caps::new(1500), &InterfaceConfig { ipv4: None, ..InterfaceConfig::default() });
    host.run_for(Duration::from_secs(3));
    host.sent.frames.clear();
    flags(&mut host, managed, other);
    host
}

fn flags(host: &mut Host, is_managed: bool, is_other: bool) {
    let mac = option(NdpOption::SourceLinkLayer(PEER));
    let mut message = router_advertisement(1800, &mac);
    if let ndp::Repr::RouterAdvertisement { managed, other, .. } = &mut message {
        (*managed, *other) = (is_managed, is_other);
    }
    host.receive(&ndp_frame(ROUTER, ALL_NODES, &message));
}

/// The client's next message; nothing else was sent.
#[track_caller]
fn message(host: &mut Host) -> Repr<'static> {
    let (src, dst, _, next, payload) = open(&host.next(), GROUP);
    assert_eq!((src, dst, next), (LINK_LOCAL, ALL_SERVERS, 17));
    let (from, to, payload) = open_udp(src.into(), dst.into(), &payload);
    assert_eq!((from, to), (546, 547));
    let message = Repr::parse(payload.leak()).unwrap();
    assert_eq!(message.client_id, CLIENT);
    host.nothing_else();
    message
}

fn lease(addr: Ipv6Addr) -> IaNa {
    let address = Some(IaAddress { addr, preferred: 1000, valid: 2000 });
    IaNa { iaid: 1, renew: 0, rebind: 0, status: status::SUCCESS, address }
}

fn answer(kind: MessageType, to: &Repr<'_>) -> Repr<'static> {
    Repr { server_id: SERVER, ia: Some(lease(LEASED)), ..Repr::new(kind, to.xid, CLIENT) }
}

fn send(host: &mut Host, message: &Repr<'_>) {
    let mut payload = vec![0; message.len()];
    message.emit(&mut payload).unwrap();
    host.receive(&udp_frame((ROUTER, 547).into(), (LINK_LOCAL, 546).into(), &payload));
    host.run_for(Duration::ZERO);
}

fn leased(host: &Host) -> Option<AddressState> {
    host.core.addresses().find(|a| a.origin == Origin::Dhcpv6).map(|a| {
        assert_eq!((a.cidr.addr, a.cidr.prefix_len), (LEASED.into(), 128));
        a.state
    })
}

/// Takes a host to the lease; the probe for another owner of the address is over.
#[track_caller]
fn bound() -> Host {
    let mut host = host(true, false);
    host.run_for(Duration::from_millis(1000));
    let solicit = message(&mut host);
    let advertise = Repr { preference: 255, ..answer(MessageType::Advertise, &solicit) };
    send(&mut host, &advertise);
    let request = message(&mut host);
    let names = NAMES.octets();
    let reply = Repr {
        name_servers: &names,
        domains: b"\x07example\x03com\0\x03lab\0",
        ..answer(MessageType::Reply, &request)
    };
    send(&mut host, &reply);
    host.run_for(Duration::from_secs(3));
    // Duplicate address detection (RFC 8415 section 18.2.10.1).
    let probe = host.sent.frames.pop_front().unwrap();
    assert_eq!(&probe.1[..6], &[0x33, 0x33, 0xff, 0, 0, 0x77]);
    host.nothing_else();
    assert_eq!(leased(&host), Some(AddressState::Ready));
    host
}

#[test]
fn solicit_advertise_request_reply() {
    let host = bound();
    let card = &host.core.interfaces[0];
    assert_eq!(card.name_servers[0].addr, IpAddr::V6(NAMES));
    assert_eq!(host.core.search_domains().collect::<Vec<_>>(), ["example.com", "lab"]);
}

#[test]
fn what_the_messages_say() {
    let mut host = host(true, false);
    host.run_for(Duration::from_millis(1000));
    let solicit = message(&mut host);
    assert_eq!(
        (solicit.message_type, solicit.server_id, solicit.elapsed),
        (MessageType::Solicit, &[][..], Some(0))
    );
    assert_eq!(solicit.ia, Some(IaNa { address: None, ..lease(LEASED) }));
    assert_eq!(solicit.requests, [0, 23, 0, 24, 0, 82]);
    // Without a preference of 255 others may answer too until the first second is over; the best is asked.
    let other = Repr { server_id: b"other", preference: 9, ..answer(MessageType::Advertise, &solicit) };
    send(&mut host, &answer(MessageType::Advertise, &solicit));
    send(&mut host, &other);
    send(&mut host, &Repr { server_id: b"worse", preference: 3, ..other });
    host.nothing_else();
    while host.sent.frames.is_empty() {
        host.run_for(Duration::from_millis(50));
    }
    let request = message(&mut host);
    assert_eq!((request.message_type, request.server_id), (MessageType::Request, &b"other"[..]));
    assert_ne!(request.xid, solicit.xid);
    // What is of another exchange, or for another client, or of no server.
    for wrong in [
        answer(MessageType::Reply, &solicit),
        Repr { client_id: b"another", ..answer(MessageType::Reply, &request) },
        Repr { server_id: &[], ..answer(MessageType::Reply, &request) },
    ] {
        send(&mut host, &wrong);
        assert_eq!(leased(&host), None);
    }
    // The server's address is not on offer any more: from the start.
    let gone = IaNa { status: status::NO_ADDRS_AVAIL, address: None, ..lease(LEASED) };
    send(&mut host, &Repr { ia: Some(gone), ..answer(MessageType::Reply, &request) });
    host.run_for(Duration::from_secs(1));
    assert_eq!(message(&mut host).message_type, MessageType::Solicit);
}

#[test]
fn a_silent_network_is_asked_less_and_less_often() {
    let mut host = host(true, false);
    let mut times = Vec::new();
    while times.len() < 8 {
        host.run_for(Duration::from_millis(50));
        if !host.sent.frames.is_empty() {
            times.push(host.now);
            assert_eq!(message(&mut host).message_type, MessageType::Solicit);
        }
    }
    let pauses: Vec<f64> = times.windows(2).map(|w| w[1].since(w[0]).as_secs_f64()).collect();
    assert!((0.95..1.2).contains(&pauses[0]), "{pauses:?}");
    assert!(pauses.windows(2).all(|w| (1.8..2.2).contains(&(w[1] / w[0]))), "{pauses:?}");
    // A request is given up after ten times.
    let mut host = self::host(true, false);
    host.run_for(Duration::from_millis(1000));
    let solicit = message(&mut host);
    send(&mut host, &Repr { preference: 255, ..answer(MessageType::Advertise, &solicit) });
    host.run_for(Duration::from_secs(600));
    let mut kinds = Vec::new();
    while let Some((_, frame, _)) = host.sent.frames.pop_front() {
        kinds.push(frame[14 + 40 + 8]);
    }
    assert_eq!(kinds[..10], [3; 10]);
    assert!(kinds[10..].iter().all(|kind| *kind == 1), "{kinds:?}");
}

#[test]
fn a_lease_is_renewed_then_rebound_then_lost() {
    let mut host = bound();
    // T1 is half of the preferred lifetime, T2 0.8 of it.
    host.run_for(Duration::from_secs(490));
    host.nothing_else();
    host.run_for(Duration::from_secs(10));
    let renew = message(&mut host);
    assert_eq!((renew.message_type, renew.server_id), (MessageType::Renew, SERVER));
    assert_eq!(renew.ia.unwrap().address.unwrap().addr, LEASED);
    send(&mut host, &answer(MessageType::Reply, &renew));
    host.run_for(Duration::from_secs(498));
    host.nothing_else();
    host.run_for(Duration::from_secs(3));
    assert_eq!(message(&mut host).message_type, MessageType::Renew);
    // No answer: from T2 on any server is asked, and at the end the address is gone.
    host.run_for(Duration::from_secs(300));
    let mut last = 0;
    while let Some((_, frame, _)) = host.sent.frames.pop_front() {
        last = frame[14 + 40 + 8];
    }
    assert_eq!(last, MessageType::Rebind as u8);
    assert_eq!(leased(&host), Some(AddressState::Ready));
    host.run_for(Duration::from_secs(1300));
    assert_eq!(leased(&host), None);
    assert_eq!(host.sent.frames.pop_back().unwrap().1[14 + 40 + 8], MessageType::Solicit as u8);
}

#[test]
fn a_server_that_knows_nothing_of_the_lease_is_asked_anew() {
    let mut host = bound();
    host.run_for(Duration::from_secs(500));
    let renew = message(&mut host);
    let unknown = IaNa { status: status::NO_BINDING, address: None, ..lease(LEASED) };
    send(&mut host, &Repr { ia: Some(unknown), ..answer(MessageType::Reply, &renew) });
    let request = message(&mut host);
    assert_eq!((request.message_type, request.server_id), (MessageType::Request, SERVER));
    send(&mut host, &answer(MessageType::Reply, &request));
    assert_eq!(leased(&host), Some(AddressState::Ready));
}

#[test]
fn an_address_that_another_host_has_is_declined() {
    let mut host = bound();
    host.core.link_changed(host.now, 0, false);
    host.core.link_changed(host.now, 0, true);
    // It is probed again, and somebody answers.
    let theirs = option(NdpOption::TargetLinkLayer(PEER));
    host.receive(&ndp_frame(LEASED, ALL_NODES, &advertisement(LEASED, false, &theirs)));
    host.run_for(Duration::from_secs(3));
    let mut kinds = Vec::new();
    while let Some((_, frame, _)) = host.sent.frames.pop_front() {
        if frame[14 + 6] == 17 {
            kinds.push(Repr::parse(frame[14 + 40 + 8..].to_vec().leak()).unwrap());
        }
    }
    let decline = kinds[0];
    assert_eq!((decline.message_type, decline.server_id), (MessageType::Decline, SERVER));
    assert_eq!(decline.ia.unwrap().address.unwrap().addr, LEASED);
    assert_eq!(leased(&host), None);
    send(&mut host, &answer(MessageType::Reply, kinds.last().unwrap()));
    host.run_for(Duration::from_secs(2));
    let next = host.sent.frames.pop_back().unwrap().1;
    assert_eq!(next[14 + 40 + 8], MessageType::Solicit as u8);
}

#[test]
fn after_the_link_was_away_the_address_is_confirmed() {
    for (status, holds) in [(status::SUCCESS, true), (status::NOT_ON_LINK, false)] {
        let mut host = bound();
        host.core.link_changed(host.now, 0, false);
        host.run_for(Duration::from_secs(5));
        host.core.link_changed(host.now, 0, true);
        host.run_for(Duration::from_secs(3));
        let confirm = loop {
            let frame = host.next();
            if frame[14 + 6] == 17 {
                break Repr::parse(frame[14 + 40 + 8..].to_vec().leak()).unwrap();
            }
        };
        assert_eq!((confirm.message_type, confirm.server_id), (MessageType::Confirm, &[][..]));
        host.sent.frames.clear();
        send(&mut host, &Repr { status, ia: None, ..answer(MessageType::Reply, &confirm) });
        assert_eq!(leased(&host).is_some(), holds);
    }
}

#[test]
fn a_lease_is_given_back() {
    let mut host = bound();
    host.core.release_dhcpv6(host.now, 0, &mut host.sent);
    let release = message(&mut host);
    assert_eq!((release.message_type, release.server_id), (MessageType::Release, SERVER));
    assert_eq!(leased(&host), None);
    host.run_for(Duration::from_secs(10_000));
    host.nothing_else();
}

#[test]
fn configuration_without_an_address() {
    let mut host = host(false, true);
    host.run_for(Duration::from_millis(1000));
    let asked = message(&mut host);
    assert_eq!((asked.message_type, asked.ia), (MessageType::InformationRequest, None));
    assert_eq!(asked.requests, [0, 23, 0, 24, 0, 32, 0, 83]);
    let names = NAMES.octets();
    let reply =
        Repr { ia: None, name_servers: &names, refresh: Some(1200), ..answer(MessageType::Reply, &asked) };
    send(&mut host, &reply);
    assert_eq!(host.core.interfaces[0].name_servers[0].addr, IpAddr::V6(NAMES));
    host.run_for(Duration::from_secs(1190));
    host.nothing_else();
    host.run_for(Duration::from_millis(10_500));
    assert_eq!(message(&mut host).message_type, MessageType::InformationRequest);
    // The router changes its mind: an address too.
    flags(&mut host, true, true);
    host.run_for(Duration::from_secs(1));
    assert_eq!(message(&mut host).message_type, MessageType::Solicit);
    // Nothing is asked where no router says so, or the configuration says no.
    let mut quiet = self::host(false, false);
    quiet.run_for(Duration::from_secs(100));
    quiet.nothing_else();
}
