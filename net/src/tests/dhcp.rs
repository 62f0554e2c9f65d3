//! DHCP scenarios in virtual time, against a server of a few lines.
use super::*;
use crate::{
    AddressState,
    wire::dhcpv4::{MessageType, Repr},
};

const SERVER: Ipv4Addr = PEER_IP;
const LEASED: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
const NOBODY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const ALL: Ipv4Addr = Ipv4Addr::BROADCAST;

fn host(probe: bool) -> Host {
    let config =
        InterfaceConfig { ipv6_enabled: false, slaac: false, dhcp_probe: probe, ..InterfaceConfig::dhcp() };
    Host::with(Caps::new(1500), &config)
}

/// A client's message: source, destination, and what it says. `mac`: where the frame must go.
#[track_caller]
fn message(host: &mut Host, mac: MacAddr) -> (Ipv4Addr, Ipv4Addr, Repr<'static>) {
    let (src, dst, protocol, payload) = open_ipv4(&host.next(), mac);
    assert_eq!(protocol, 17);
    let (from, to, payload) = open_udp(src.into(), dst.into(), &payload);
    assert_eq!((from, to), (68, 67));
    assert!(payload.len() >= 300);
    let message = Repr::parse(payload.leak()).unwrap();
    assert_eq!(message.chaddr, US);
    (src, dst, message)
}

fn reply(kind: MessageType, to: &Repr<'_>) -> Repr<'static> {
    Repr {
        yiaddr: LEASED,
        server_id: Some(SERVER),
        lease_time: Some(3600),
        subnet_mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
        router: Some(GATEWAY),
        name_servers: [SERVER].into_iter().collect(),
        ..Repr::client(kind, to.xid, US)
    }
}

fn frame(message: &Repr<'_>, to: Ipv4Addr) -> Vec<u8> {
    let mut payload = vec![0; message.len()];
    message.emit(&mut payload).unwrap();
    udp_frame((SERVER, 67).into(), (to, 68).into(), &payload)
}

fn poll(host: &mut Host) {
    host.run_for(Duration::ZERO);
}

/// Takes a host without probing to the lease.
#[track_caller]
fn bound(host: &mut Host, change: impl Fn(&mut Repr<'_>)) {
    poll(host);
    let discover = message(host, MacAddr::BROADCAST).2;
    host.receive(&frame(&reply(MessageType::Offer, &discover), LEASED));
    poll(host);
    let request = message(host, MacAddr::BROADCAST).2;
    let mut ack = reply(MessageType::Ack, &request);
    change(&mut ack);
    host.receive(&frame(&ack, LEASED));
}

fn address(host: &Host) -> Option<(IpAddr, u8, AddressState)> {
    host.core.addresses().next().map(|a| (a.cidr.addr, a.cidr.prefix_len, a.state))
}

#[test]
fn discover_offer_request_ack() {
    let mut host = host(false);
    poll(&mut host);
    let (src, dst, discover) = message(&mut host, MacAddr::BROADCAST);
    assert_eq!((src, dst, discover.message_type), (NOBODY, ALL, MessageType::Discover));
    assert_eq!((discover.ciaddr, discover.requested_ip, discover.server_id), (NOBODY, None, None));
    assert!(!discover.broadcast, "we take unicast");
    host.nothing_else();

    // Not for us: another transaction, another client.
    let offer = reply(MessageType::Offer, &discover);
    host.receive(&frame(&Repr { xid: !discover.xid, ..offer.clone() }, LEASED));
    host.receive(&frame(&Repr { chaddr: PEER, ..offer.clone() }, ALL));
    host.receive(&frame(&Repr { yiaddr: NOBODY, ..offer.clone() }, ALL));
    host.receive(&frame(&reply(MessageType::Ack, &discover), LEASED));
    poll(&mut host);
    host.nothing_else();

    host.receive(&frame(&offer, LEASED));
    poll(&mut host);
    let (src, dst, request) = message(&mut host, MacAddr::BROADCAST);
    assert_eq!((src, dst, request.message_type), (NOBODY, ALL, MessageType::Request));
    assert_eq!(
        (request.requested_ip, request.server_id, request.xid),
        (Some(LEASED), Some(SERVER), discover.xid)
    );
    assert_eq!(request.client_id, &[1, 2, 0, 0, 0, 0, 1]);
    host.nothing_else();
    assert_eq!(address(&host), None);

    // A server that was not asked.
    host.receive(&frame(&Repr { server_id: Some(GATEWAY), ..reply(MessageType::Ack, &request) }, LEASED));
    assert_eq!(address(&host), None);
    host.receive(&frame(&reply(MessageType::Ack, &request), ALL));
    assert_eq!(address(&host), Some((LEASED.into(), 24, AddressState::Announcing)));
    assert_eq!(host.core.interfaces[0].name_servers[0].addr, IpAddr::V4(SERVER));
    host.run_for(Duration::from_secs(60));
    for _ in 0..2 {
        assert_eq!(open_arp(&host.next(), MacAddr::BROADCAST), arp_request(US, LEASED, LEASED));
    }
    host.nothing_else();
    // The router is the way out.
    let socket = host.bind(7);
    host.core.udp_send(host.now, socket, b"x", ([192, 0, 2, 1], 9).into(), &mut host.sent).unwrap();
    assert_eq!(open_arp(&host.next(), MacAddr::BROADCAST), arp_request(US, LEASED, GATEWAY));
    host.nothing_else();
}

#[test]
fn a_silent_network_is_asked_less_and_less_often() {
    let mut host = host(false);
    let mut times = Vec::new();
    for _ in 0..400 {
        host.run_for(Duration::from_secs(1));
        while !host.sent.frames.is_empty() {
            message(&mut host, MacAddr::BROADCAST);
            times.push(host.now.as_millis() / 1000);
        }
    }
    let gaps: Vec<u64> = times.windows(2).map(|w| w[1] - w[0]).collect();
    for (gap, about) in gaps.iter().zip([4, 8, 16, 32, 64, 64, 64]) {
        assert!(gap.abs_diff(about) <= 2, "{gaps:?}");
    }
    assert!(times.len() >= 8);
}

#[test]
fn a_lease_is_renewed_then_rebound_then_lost() {
    let mut host = host(false);
    bound(&mut host, |_| {});
    host.run_for(Duration::from_secs(1790));
    host.sent.frames.clear();
    host.nothing_else();
    // T1: the server alone is asked. It must be resolved first.
    host.run_for(Duration::from_secs(10));
    assert_eq!(open_arp(&host.next(), MacAddr::BROADCAST), arp_request(US, LEASED, SERVER));
    host.nothing_else();
    host.receive(&arp_frame(PEER, US, arp_reply(PEER, SERVER, US, LEASED)));
    let (src, dst, request) = message(&mut host, PEER);
    assert_eq!((src, dst, request.message_type), (LEASED, SERVER, MessageType::Request));
    assert_eq!((request.ciaddr, request.requested_ip, request.server_id), (LEASED, None, None));
    host.sent.frames.clear();
    host.receive(&frame(&reply(MessageType::Ack, &request), LEASED));
    host.run_for(Duration::from_secs(1700));
    host.nothing_else();
    assert_eq!(address(&host), Some((LEASED.into(), 24, AddressState::Ready)), "it stays in use");

    // Nobody answers: unicast up to T2 (3,150 s after the renewal), then to all, then it is over.
    host.run_for(Duration::from_secs(1400));
    assert!(host.sent.frames.len() >= 3);
    host.sent.frames.clear();
    host.run_for(Duration::from_secs(60));
    let rebinding =
        host.sent.frames.iter().filter(|(_, f, _)| f[..6] == [0xff; 6] && f[12..14] == [8, 0]).count();
    assert_eq!(rebinding, 1);
    host.sent.frames.clear();
    host.run_for(Duration::from_secs(440));
    assert_eq!(address(&host), None);
    assert!(host.core.interfaces[0].name_servers.is_empty());
    let mut last = None;
    while !host.sent.frames.is_empty() {
        if host.sent.frames[0].1[12..14] == [8, 0] {
            last = Some(message(&mut host, MacAddr::BROADCAST));
        } else {
            host.next();
        }
    }
    let (src, _, discover) = last.unwrap();
    assert_eq!((src, discover.message_type), (NOBODY, MessageType::Discover));
    assert!(host.core.routes.iter().next().is_none(), "nothing is left of the lease");
}

//= https://www.rfc-editor.org/rfc/rfc2131#section-3.1
//= type=test
//# If the client receives a DHCPNAK message, the client restarts the
//# configuration process.
#[test]
fn a_nak_starts_over() {
    let mut host = host(false);
    poll(&mut host);
    let discover = message(&mut host, MacAddr::BROADCAST).2;
    host.receive(&frame(&reply(MessageType::Offer, &discover), LEASED));
    poll(&mut host);
    let request = message(&mut host, MacAddr::BROADCAST).2;
    host.receive(&frame(&reply(MessageType::Nak, &request), ALL));
    host.run_for(Duration::from_secs(2));
    let again = message(&mut host, MacAddr::BROADCAST).2;
    assert_eq!(again.message_type, MessageType::Discover);
    assert_ne!(again.xid, discover.xid);
    host.nothing_else();
}

//= https://www.rfc-editor.org/rfc/rfc2131#section-3.1
//= type=test
//# The client SHOULD wait a minimum of ten seconds before restarting
//# the configuration process to avoid excessive network traffic in case
//# of looping.
#[test]
fn an_address_that_is_taken_is_declined() {
    let mut host = host(true);
    bound(&mut host, |_| {});
    host.run_for(Duration::from_secs(1));
    assert_eq!(open_arp(&host.next(), MacAddr::BROADCAST), arp_request(US, NOBODY, LEASED));
    host.sent.frames.clear();
    assert_eq!(address(&host).unwrap().2, AddressState::Tentative);
    host.receive(&arp_frame(PEER, US, arp_reply(PEER, LEASED, US, NOBODY)));
    poll(&mut host);
    let (src, dst, decline) = message(&mut host, MacAddr::BROADCAST);
    assert_eq!((src, dst, decline.message_type), (NOBODY, ALL, MessageType::Decline));
    assert_eq!((decline.requested_ip, decline.server_id), (Some(LEASED), Some(SERVER)));
    assert_eq!(address(&host), None);
    host.run_for(Duration::from_millis(9_900));
    host.nothing_else();
    host.run_for(Duration::from_millis(200));
    assert_eq!(message(&mut host, MacAddr::BROADCAST).2.message_type, MessageType::Discover);
    host.nothing_else();
}

#[test]
fn a_probed_address_that_is_free_is_used() {
    let mut host = host(true);
    bound(&mut host, |_| {});
    host.run_for(Duration::from_secs(15));
    let senders: Vec<_> = std::iter::from_fn(|| host.sent.frames.pop_front())
        .map(|(_, frame, _)| open_arp(&frame, MacAddr::BROADCAST).sender_ip)
        .collect();
    assert_eq!(senders, [NOBODY, NOBODY, NOBODY, LEASED, LEASED]);
    assert_eq!(address(&host).unwrap().2, AddressState::Ready);
}

#[test]
fn after_the_link_was_away_the_old_address_is_asked_for() {
    let mut host = host(false);
    bound(&mut host, |_| {});
    host.run_for(Duration::from_secs(60));
    host.sent.frames.clear();
    host.core.link_changed(host.now, 0, false);
    host.run_for(Duration::from_secs(30));
    host.nothing_else();
    host.core.link_changed(host.now, 0, true);
    poll(&mut host);
    assert_eq!(open_arp(&host.next(), MacAddr::BROADCAST), arp_request(US, LEASED, LEASED));
    let (src, dst, request) = message(&mut host, MacAddr::BROADCAST);
    assert_eq!((src, dst, request.message_type), (NOBODY, ALL, MessageType::Request));
    assert_eq!((request.requested_ip, request.server_id, request.ciaddr), (Some(LEASED), None, NOBODY));
    // It is another network.
    host.receive(&frame(&reply(MessageType::Nak, &request), ALL));
    assert_eq!(address(&host), None);
}

#[test]
fn an_address_whose_lease_ended_while_the_link_was_away_is_not_used_again() {
    let mut host = host(false);
    bound(&mut host, |_| {});
    host.run_for(Duration::from_secs(60));
    host.core.link_changed(host.now, 0, false);
    host.run_for(Duration::from_secs(3600));
    host.sent.frames.clear();
    host.core.link_changed(host.now, 0, true);
    assert_eq!(address(&host), None, "another may have it now");
    poll(&mut host);
    assert_eq!(message(&mut host, MacAddr::BROADCAST).2.message_type, MessageType::Discover);
    host.nothing_else();
}

//= https://www.rfc-editor.org/rfc/rfc2131#section-4.4.1
//= type=test
//# The client records the lease expiration time
//# as the sum of the time at which the original request was sent and the
//# duration of the lease from the DHCPACK message.
#[test]
fn a_lease_counts_from_the_request_not_from_its_answer() {
    let mut host = host(false);
    poll(&mut host);
    let discover = message(&mut host, MacAddr::BROADCAST).2;
    host.receive(&frame(&reply(MessageType::Offer, &discover), LEASED));
    poll(&mut host);
    let request = message(&mut host, MacAddr::BROADCAST).2;
    let asked = host.now;
    host.run_for(Duration::from_secs(2));
    host.receive(&frame(&reply(MessageType::Ack, &request), LEASED));
    assert_eq!(host.core.dhcp_timeout(), asked + Duration::from_secs(1800));
    host.run_for(Duration::from_secs(3597));
    assert!(address(&host).is_some());
    host.run_for(Duration::from_secs(1));
    assert_eq!(address(&host), None);
}

#[test]
fn odd_leases() {
    let ip = Ipv4Addr::new;
    // No mask: the class says it. No lease time: no lease.
    let mut host = host(false);
    bound(&mut host, |ack| ack.subnet_mask = None);
    assert_eq!(address(&host).unwrap().1, 8);
    let mut other = self::host(false);
    bound(&mut other, |ack| ack.lease_time = None);
    assert_eq!(address(&other), None);
    // T1 and T2 that contradict the lease are not believed.
    let mut other = self::host(false);
    bound(&mut other, |ack| (ack.renewal_time, ack.rebinding_time) = (Some(9000), Some(8000)));
    assert_eq!(other.core.dhcp_timeout(), other.now + Duration::from_secs(1800));
    // A lease for ever is never renewed.
    let mut other = self::host(false);
    bound(&mut other, |ack| ack.lease_time = Some(u32::MAX));
    assert_eq!(other.core.dhcp_timeout(), Instant::MAX);
    // Classless routes take the router's place.
    let mut other = self::host(false);
    bound(&mut other, |ack| ack.classless_routes = [8, 10, 10, 0, 0, 7, 0, 10, 0, 0, 8][..].into());
    let now = other.now;
    assert_eq!(
        other.core.path(now, ip(10, 9, 9, 9).into(), None).unwrap().next_hop,
        IpAddr::V4(ip(10, 0, 0, 7))
    );
    assert_eq!(
        other.core.path(now, ip(8, 8, 8, 8).into(), None).unwrap().next_hop,
        IpAddr::V4(ip(10, 0, 0, 8))
    );
}

#[test]
fn a_lease_is_given_back() {
    let mut host = host(false);
    bound(&mut host, |_| {});
    host.run_for(Duration::from_secs(10));
    host.sent.frames.clear();
    // The server's Ethernet address is known.
    host.receive(&arp_frame(PEER, US, arp_request(PEER, SERVER, LEASED)));
    host.sent.frames.clear();
    host.core.release_dhcp(host.now, 0, &mut host.sent);
    let (src, dst, release) = message(&mut host, PEER);
    assert_eq!((src, dst, release.message_type), (LEASED, SERVER, MessageType::Release));
    assert_eq!((release.ciaddr, release.server_id, release.requested_ip), (LEASED, Some(SERVER), None));
    assert!(release.parameters.is_empty() && release.max_size.is_none());
    assert_eq!(address(&host), None);
    assert!(host.core.routes.iter().next().is_none() && host.core.interfaces[0].name_servers.is_empty());
    // And nothing more is said, however long.
    host.run_for(Duration::from_secs(100_000));
    host.core.release_dhcp(host.now, 0, &mut host.sent);
    host.nothing_else();
}

fn informed(probe: bool) -> Host {
    let address = Ipv4Config { probe, ..Ipv4Config::new(crate::Cidr::new(OUR_IP, 24)) };
    let config = InterfaceConfig {
        ipv6_enabled: false,
        slaac: false,
        dhcp_inform: true,
        ..InterfaceConfig::ipv4(address)
    };
    Host::with(Caps::new(1500), &config)
}

/// The next message of the client; what it says of its address by ARP is passed over.
#[track_caller]
fn inform(host: &mut Host) -> Repr<'static> {
    while host.sent.frames[0].1[12..14] == [8, 6] {
        host.next();
    }
    let (src, dst, inform) = message(host, MacAddr::BROADCAST);
    assert_eq!((src, dst, inform.message_type), (OUR_IP, ALL, MessageType::Inform));
    inform
}

//= https://www.rfc-editor.org/rfc/rfc2131#section-3.4
//= type=test
//# The servers SHOULD
//# unicast the DHCPACK reply to the address given in the 'ciaddr' field
//# of the DHCPINFORM message.
#[test]
fn a_fixed_address_is_told_what_goes_with_it() {
    let mut host = informed(false);
    poll(&mut host);
    let asked = inform(&mut host);
    // RFC 2131 table 5.
    assert_eq!((asked.ciaddr, asked.requested_ip, asked.server_id), (OUR_IP, None, None));
    assert_eq!((asked.lease_time, asked.parameters), (None, &crate::wire::dhcpv4::PARAMETERS[..]));
    assert_eq!(asked.client_id, &[1, 2, 0, 0, 0, 0, 1]);
    host.sent.frames.clear();
    let ack = Repr { yiaddr: NOBODY, lease_time: None, ..reply(MessageType::Ack, &asked) };
    // Not for us, or no answer to that.
    host.receive(&frame(&Repr { xid: !asked.xid, ..ack.clone() }, OUR_IP));
    host.receive(&frame(&reply(MessageType::Offer, &asked), OUR_IP));
    host.receive(&frame(&reply(MessageType::Nak, &asked), OUR_IP));
    assert!(host.core.interfaces[0].name_servers.is_empty());
    host.receive(&frame(&ack, OUR_IP));
    assert_eq!(host.core.interfaces[0].name_servers[0].addr, IpAddr::V4(SERVER));
    let far = IpAddr::from([192, 0, 2, 1]);
    let router = |host: &mut Host| host.core.path(host.now, far, None).map(|path| path.next_hop);
    assert_eq!(router(&mut host), Some(GATEWAY.into()));
    // A second answer changes nothing, and nothing is asked again.
    host.receive(&frame(&Repr { router: Some(PEER_IP), ..ack.clone() }, OUR_IP));
    assert_eq!(router(&mut host), Some(GATEWAY.into()));
    host.run_for(Duration::from_secs(60));
    host.sent.frames.clear();
    host.run_for(Duration::from_secs(1_000_000));
    host.nothing_else();
    assert_eq!(address(&host), Some((OUR_IP.into(), 24, AddressState::Ready)));
    // Another network, perhaps.
    host.core.link_changed(host.now, 0, false);
    host.core.link_changed(host.now, 0, true);
    poll(&mut host);
    let again = inform(&mut host);
    assert_ne!(again.xid, asked.xid);
    let routes = [8, 10, 10, 0, 0, 7, 0, 10, 0, 0, 8];
    host.receive(&frame(&Repr { xid: again.xid, classless_routes: routes[..].into(), ..ack }, OUR_IP));
    assert_eq!(router(&mut host), Some([10, 0, 0, 8].into()), "in place of the old one");
    assert_eq!(address(&host).map(|address| address.0), Some(OUR_IP.into()));
}

#[test]
fn who_is_not_told_does_without() {
    // The address is asked from when it is sure.
    let mut host = informed(true);
    host.run_for(Duration::from_secs(4));
    assert!(host.sent.frames.iter().all(|(_, frame, _)| frame[12..14] == [8, 6]));
    host.run_for(Duration::from_secs(200));
    for _ in 0..4 {
        inform(&mut host);
    }
    host.nothing_else();
    host.run_for(Duration::from_secs(100_000));
    host.nothing_else();
    assert_eq!(address(&host), Some((OUR_IP.into(), 24, AddressState::Ready)));
    // And nothing is given back.
    host.core.release_dhcp(host.now, 0, &mut host.sent);
    host.nothing_else();
    assert!(address(&host).is_some());
    // A question for what goes with no address, or with one that a server is to give.
    let none = InterfaceConfig { dhcp_inform: true, ..InterfaceConfig::default() };
    let both = InterfaceConfig {
        dhcp: true,
        ..InterfaceConfig { ipv4: Some(Ipv4Config::new(crate::Cidr::new(OUR_IP, 24))), ..none }
    };
    for config in [none, both] {
        let mut core = Core::with_memory(Limits::default(), [7; 16]);
        core.add_interface(US, Caps::new(1500)).unwrap();
        assert_eq!(core.configure(Instant::from_secs(1), 0, &config), Err(crate::Error::InvalidInput));
    }
}
