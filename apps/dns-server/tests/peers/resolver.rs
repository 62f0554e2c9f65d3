//! The stub resolver asks BIND: the search list, aliases, an answer too long for UDP, and what was learnt when BIND is gone.
use airglow::{
    platform::{HostTcp, HostUdp, Reactor, SystemEntropy},
    runtime::{block_on, sleep},
};
use airglow_dns::{
    shell::{ResolveError, Resolver, ResolverConfig},
    wire::{NameBuf, Rcode, RecordType},
};
use airglow_testbed::name_servers::{Folder, ZoneFile, bind, free_port};
use std::{fmt::Write, time::Duration};

#[test]
fn names_are_resolved_through_bind_and_without_it() {
    let folder = Folder::new("resolver");
    let mut text =
        "$TTL 2\n@ SOA ns admin 1 1d 2h 4w 5m\n@ NS ns\nns A 192.0.2.1\nns AAAA 2001:db8::1\nwww CNAME ns\ndeep.er A 192.0.2.3\n".to_owned();
    for n in 0..100 {
        let _ = writeln!(text, "big TXT \"number {n} of a set that no datagram of 1232 bytes holds\"");
    }
    folder.write("zone", &text);
    let file = folder.path().join("zone").display().to_string();
    let port = free_port();
    let bind = bind(&folder, &[], &[ZoneFile { origin: "stub.example".into(), file }], port);

    let reactor = Reactor::new().unwrap();
    let (udp, tcp) = (HostUdp::new(&reactor), HostTcp::new(&reactor));
    let nobody = std::net::SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut config = ResolverConfig::new([nobody, ([127, 0, 0, 1], port).into()].map(Into::into).into());
    config.search = ["nowhere.stub.example", "stub.example"].map(|name| name.parse().unwrap()).into();
    config.timeout = Duration::from_millis(500);
    let resolver = Resolver::new(&udp, &tcp, &reactor, &SystemEntropy, config);
    let name = |text: &str| text.parse::<NameBuf>().unwrap();
    block_on(&reactor, async {
        let both: [std::net::IpAddr; 2] =
            ["2001:db8::1", "192.0.2.1"].map(|address| address.parse().unwrap());
        assert_eq!(resolver.addresses("www.stub.example").await.unwrap(), both);
        let answer = resolver.lookup(name("big.stub.example").as_name(), RecordType::TXT).await.unwrap();
        assert_eq!(answer.records.len(), 100, "over TCP");
        let answer = resolver.lookup(name("no.stub.example").as_name(), RecordType::A).await.unwrap();
        assert_eq!((answer.rcode, answer.records.len()), (Rcode::NXDOMAIN, 0));
        assert_eq!(resolver.addresses("no.stub.example.").await, Err(ResolveError::NoSuchName));
        assert_eq!(resolver.addresses("www").await.unwrap(), both, "by the second domain of the list");
        let refused = Err(ResolveError::Failed(Rcode::REFUSED));
        assert_eq!(resolver.addresses("www.example.net.").await, refused, "BIND knows its own zone only");
        assert_eq!(resolver.addresses("192.0.2.77").await.unwrap().len(), 1);

        drop(bind);
        sleep(&reactor, Duration::from_secs(3)).await;
        assert_eq!(resolver.addresses("www.stub.example").await.unwrap(), both, "expired, and nobody to ask");
        let unknown = resolver.lookup(name("deep.er.stub.example").as_name(), RecordType::A).await;
        assert_eq!(unknown.unwrap_err(), ResolveError::Silent);
    });
}
