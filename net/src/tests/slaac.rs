//! Identifiers that tell nobody who we are, several routers, lifetimes of name servers.
use super::{
    ipv6::{PREFIX, ROUTER, advertisement, ndp_frame, option, prefix, router_advertisement},
    *,
};
use crate::{
    AddressState, InterfaceIdentifier, Origin,
    wire::ndp::{self, NdpOption, Preference},
};
use core::net::Ipv6Addr;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const SECOND: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xfd);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn host(change: impl FnOnce(&mut InterfaceConfig)) -> Host {
    let mut config = InterfaceConfig::default();
    change(&mut config);
    let mut host = Host::with(Caps::new(1500), &config);
    host.run_for(Duration::from_secs(3));
    host
}

fn advertise(
    host: &mut Host,
    router: Ipv6Addr,
    preference: Preference,
    lifetime: u16,
    options: &[NdpOption<'_>],
) {
    let mac = NdpOption::SourceLinkLayer(PEER);
    let options: Vec<u8> = [mac].iter().chain(options).flat_map(|o| option(*o)).collect();
    let ndp::Repr::RouterAdvertisement {
        hop_limit, managed, other, reachable_time, retransmit_timer, ..
    } = router_advertisement(0, &[])
    else {
        unreachable!()
    };
    let message = ndp::Repr::RouterAdvertisement {
        hop_limit,
        managed,
        other,
        preference,
        lifetime,
        reachable_time,
        retransmit_timer,
        options: &options,
    };
    host.receive(&ndp_frame(router, ALL_NODES, &message));
}

fn of(host: &Host, origin: Origin) -> Vec<crate::Address> {
    host.core.addresses().filter(|a| a.origin == origin).copied().collect()
}

#[test]
fn stable_identifiers_differ_by_network_and_survive_duplicates() {
    let secret = |n| move |c: &mut InterfaceConfig| c.identifier = InterfaceIdentifier::Stable([n; 16]);
    let lower = |a: &crate::Address| match a.cidr.addr {
        IpAddr::V6(addr) => addr.to_bits() as u64,
        IpAddr::V4(_) => unreachable!(),
    };
    let made = |n| {
        let mut host = host(secret(n));
        advertise(&mut host, ROUTER, Preference::Medium, 1800, &[prefix(7200, 3600, 64)]);
        host.run_for(Duration::from_secs(5));
        (host.core.addresses().map(lower).collect::<Vec<_>>(), host)
    };
    let (first, mut host_a) = made(1);
    let (again, _) = made(1);
    let (other, _) = made(2);
    assert_eq!(first.len(), 2, "the link-local one and the prefix's");
    assert_eq!(first, again, "the same in the same network");
    assert!(first[0] != first[1] && first[0] != other[0] && first[1] != other[1]);
    let eui64 = 0x0000_00ff_fe00_0001;
    assert!(!first.contains(&eui64));

    // Another host has it already: another identifier, and the same one again next time.
    let tried = |duplicates: usize| {
        let mut host = host(secret(1));
        advertise(&mut host, ROUTER, Preference::Medium, 1800, &[prefix(7200, 3600, 64)]);
        for _ in 0..duplicates {
            let now = of(&host, Origin::Slaac)[0];
            assert_eq!(now.state, AddressState::Tentative);
            let IpAddr::V6(addr) = now.cidr.addr else { unreachable!() };
            host.receive(&ndp_frame(
                addr,
                ALL_NODES,
                &advertisement(addr, false, &option(NdpOption::TargetLinkLayer(PEER))),
            ));
            host.run_for(Duration::from_millis(1));
        }
        host.run_for(Duration::from_secs(5));
        let made = of(&host, Origin::Slaac)[0];
        (lower(&made), made.state)
    };
    let (one, state) = tried(1);
    assert!(one != first[1] && state == AddressState::Ready);
    assert_eq!(tried(1).0, one);
    assert_eq!(tried(4).1, AddressState::Duplicate, "given up");
    // The router's next advertisement renews it and makes no other.
    advertise(&mut host_a, ROUTER, Preference::Medium, 1800, &[prefix(7200, 3600, 64)]);
    assert_eq!(of(&host_a, Origin::Slaac).len(), 1);
}

#[test]
fn temporary_addresses_go_first_for_a_day() {
    let mut host = host(|c| c.temporary = true);
    let advertised = |host: &mut Host| {
        let week = 7 * 24 * 60 * 60;
        advertise(host, ROUTER, Preference::Medium, 9000, &[prefix(week, week, 64)]);
    };
    advertised(&mut host);
    host.run_for(Duration::from_secs(5));
    let temporary = of(&host, Origin::Temporary);
    let [first] = temporary[..] else { panic!("{temporary:?}") };
    assert!(crate::IpCidr::new(PREFIX.into(), 64).contains(first.cidr.addr));
    assert_ne!(first.cidr.addr, of(&host, Origin::Slaac)[0].cidr.addr);
    assert!(first.preferred_until <= host.now + DAY && first.preferred_until >= host.now + DAY / 2);
    assert!(first.valid_until > host.now + DAY && first.valid_until <= host.now + DAY * 2);
    let far = "2001:db8:9::1".parse().unwrap();
    assert_eq!(host.core.source(host.now, 0, far), Some(first.cidr.addr));
    // Before it is no longer preferred there is another; in the end the first goes.
    let mut seen = std::collections::HashSet::new();
    for _ in 0..24 * 5 {
        host.run_for(Duration::from_secs(3600));
        advertised(&mut host);
        host.sent.frames.clear();
        let temporary = of(&host, Origin::Temporary);
        assert!((1..=4).contains(&temporary.len()), "{temporary:?}");
        let source = host.core.source(host.now, 0, far).unwrap();
        assert!(temporary.iter().any(|a| a.cidr.addr == source));
        seen.extend(temporary.iter().map(|a| a.cidr.addr));
    }
    assert!((5..=10).contains(&seen.len()), "{seen:?}");
    assert!(!of(&host, Origin::Temporary).iter().any(|a| a.cidr.addr == first.cidr.addr));
    // When the router takes the prefix back, they go with it.
    advertise(&mut host, ROUTER, Preference::Medium, 9000, &[prefix(7200, 0, 64)]);
    assert!(of(&host, Origin::Temporary).iter().all(|a| a.preferred_until <= host.now));
}

#[test]
fn the_preferred_router_goes_first_and_routes_say_more() {
    let mut host = host(|_| {});
    let via = |host: &mut Host, dst: &str| {
        host.core.last_path = None;
        host.core.path(host.now, dst.parse().unwrap(), None).map(|p| p.next_hop)
    };
    advertise(&mut host, ROUTER, Preference::Medium, 1800, &[prefix(7200, 3600, 64)]);
    advertise(&mut host, SECOND, Preference::Low, 1800, &[]);
    host.run_for(Duration::from_secs(5));
    assert_eq!(via(&mut host, "2600::1"), Some(ROUTER.into()));
    advertise(&mut host, SECOND, Preference::High, 1800, &[]);
    assert_eq!(via(&mut host, "2600::1"), Some(SECOND.into()));
    let route = |preference, lifetime| NdpOption::Route {
        prefix_len: 32,
        preference,
        lifetime,
        prefix: "2600::".parse().unwrap(),
    };
    advertise(&mut host, ROUTER, Preference::Medium, 1800, &[route(None, 600)]);
    assert_eq!(via(&mut host, "2600::1"), Some(SECOND.into()), "the reserved preference");
    advertise(&mut host, ROUTER, Preference::Medium, 1800, &[route(Some(Preference::Low), 600)]);
    assert_eq!(via(&mut host, "2600::1"), Some(ROUTER.into()));
    assert_eq!(via(&mut host, "2601::1"), Some(SECOND.into()));
    host.run_for(Duration::from_secs(601));
    assert_eq!(via(&mut host, "2600::1"), Some(SECOND.into()));

    // A router that does not answer comes after one that may.
    let socket = host.bind(7);
    let far: SocketAddr = "[2600::1]:9".parse().unwrap();
    advertise(&mut host, SECOND, Preference::High, 1800, &[]);
    host.core.udp_send(host.now, socket, b"x", far, &mut host.sent).unwrap();
    host.run_for(Duration::from_secs(20));
    assert_eq!(via(&mut host, "2600::1"), Some(ROUTER.into()));
    host.run_for(Duration::from_secs(61));
    assert_eq!(via(&mut host, "2600::1"), Some(SECOND.into()));
}

#[test]
fn name_servers_are_forgotten_after_their_lifetime() {
    let mut host = host(|_| {});
    let servers: [Ipv6Addr; 2] = ["2001:db8::53".parse().unwrap(), "2001:db8::54".parse().unwrap()];
    let addresses = servers.map(|s| s.octets()).concat();
    let said = |lifetime, addresses| NdpOption::NameServers { lifetime, addresses };
    let known = |host: &Host| host.core.interfaces[0].name_servers.iter().map(|s| s.addr).collect::<Vec<_>>();
    advertise(&mut host, ROUTER, Preference::Medium, 1800, &[said(600, &addresses)]);
    host.run_for(Duration::from_secs(500));
    assert_eq!(known(&host), servers.map(IpAddr::from));
    advertise(&mut host, ROUTER, Preference::Medium, 1800, &[said(600, &addresses[16..])]);
    host.run_for(Duration::from_secs(200));
    assert_eq!(known(&host), [IpAddr::from(servers[1])]);
    advertise(&mut host, ROUTER, Preference::Medium, 1800, &[said(0, &addresses[16..])]);
    host.run_for(Duration::from_millis(1));
    assert!(known(&host).is_empty());
}

#[cfg(feature = "search-list")]
#[test]
fn search_domains_are_forgotten_after_their_lifetime() {
    let mut host = host(|_| {});
    let said = |lifetime: u32, names: &[u8]| {
        let mut data = vec![0, 0];
        data.extend(lifetime.to_be_bytes());
        data.extend(names);
        data.resize((data.len() + 2).next_multiple_of(8) - 2, 0);
        data
    };
    let advertised = |host: &mut Host, data: &[u8]| {
        advertise(host, ROUTER, Preference::Medium, 1800, &[NdpOption::Other { kind: 31, data }]);
    };
    let known = |host: &Host| host.core.search_domains().map(str::to_owned).collect::<Vec<_>>();
    advertised(&mut host, &said(600, b"\x07example\x03com\0\x03lab\0"));
    assert_eq!(known(&host), ["example.com", "lab"]);
    host.run_for(Duration::from_secs(500));
    advertised(&mut host, &said(600, b"\x03LAB\0"));
    host.run_for(Duration::from_secs(200));
    assert_eq!(known(&host), ["lab"]);
    advertised(&mut host, &said(0, b"\x03lab\0"));
    host.run_for(Duration::from_millis(1));
    assert!(known(&host).is_empty());
    // A flood stays in its bounds, and what is no host's name is not kept.
    for n in 0..100u8 {
        advertised(&mut host, &said(600, &[2, b'a' + n % 26, b'a' + n / 26, 0]));
    }
    advertised(&mut host, &said(600, b"\x03a\nb\0"));
    assert_eq!(known(&host).len(), 4);
}
