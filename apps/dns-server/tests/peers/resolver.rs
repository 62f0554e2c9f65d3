//! The stub resolver asks BIND: the search list, aliases, an answer too long for UDP, and what was learnt when BIND is gone. And
//! what it makes of connections on which no server that can be had does as it is told.
use airglow::{
    device::Tcp,
    platform::{HostStream, HostTcp, HostUdp, Reactor, SystemEntropy},
    runtime::{block_on, join, sleep},
};
use airglow_dns::{
    shell::{Dial, DialError, ResolveError, Resolver, ResolverConfig},
    wire::{NameBuf, Rcode, RecordType},
};
use airglow_testbed::name_servers::{Folder, ZoneFile, bind, free_port};
use std::{
    fmt::Write,
    io::{Read, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

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
    let resolver = Resolver::new(&udp, &tcp, &reactor, &SystemEntropy, &config);
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

/// What would be spoken over TLS, in the clear.
struct Clear<'c>(&'c HostTcp);

impl Dial for Clear<'_> {
    type Plain<'a>
        = HostStream
    where
        Self: 'a;
    type Secure<'a>
        = HostStream
    where
        Self: 'a;
    async fn plain(&self, to: SocketAddr) -> Result<HostStream, DialError> {
        self.0.connect(to).await.map_err(|_| DialError::Silent)
    }
    async fn secure<'a>(&'a self, to: SocketAddr, _: &'a str) -> Result<HostStream, DialError> {
        self.plain(to).await
    }
}

/// The next query of a connection.
fn query(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut query = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut query).unwrap();
    query
}

/// The reply with an address that ends in the first letter of the name.
fn reply(query: &[u8]) -> Vec<u8> {
    let end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
    let mut reply = [&query[..2], &[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0], &query[12..end]].concat();
    let letter = query[13].to_ascii_lowercase();
    reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, letter]);
    [&(reply.len() as u16).to_be_bytes()[..], &reply].concat()
}

//= https://www.rfc-editor.org/rfc/rfc7766#section-7
//= type=test
//# Since pipelined responses can arrive out of order, clients MUST match
//# responses to outstanding queries on the same TCP connection using the Message ID.
#[test]
fn one_connection_for_all_questions_whatever_their_order_and_another_when_it_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        // Two questions on their way, answered in the other order; between the two what nobody asked, and a reply
        // with a right id to another question.
        let (mut stream, _) = listener.accept().unwrap();
        let queries = [query(&mut stream), query(&mut stream)];
        let mut stray = reply(&queries[1]);
        stray[2] ^= 0xff;
        let mut other = reply(&queries[0]);
        other[15] ^= 1;
        let [first, second] = queries.each_ref().map(|query| reply(query));
        // Cut in the middle of a length.
        let all = [second, stray, other, first].concat();
        let (head, tail) = all.split_at(all.len() / 2 + 1);
        stream.write_all(head).unwrap();
        thread::sleep(Duration::from_millis(50));
        stream.write_all(tail).unwrap();
        // Another on the same; then it ends, as one does that has been idle.
        let third = query(&mut stream);
        stream.write_all(&reply(&third)).unwrap();
        drop(stream);
        let (mut stream, _) = listener.accept().unwrap();
        let fourth = query(&mut stream);
        stream.write_all(&reply(&fourth)).unwrap();
        // Silent from here on: it is given up, and the next attempt is on another.
        let silent = query(&mut stream);
        let (mut last, _) = listener.accept().unwrap();
        assert_eq!(silent[12..].to_ascii_lowercase(), query(&mut last)[12..].to_ascii_lowercase());
        // This one ends in the middle of a reply, and so do all after it.
        last.write_all(&reply(&silent)[..9]).unwrap();
        drop(last);
        drop(listener);
    });
    let reactor = Reactor::new().unwrap();
    let (udp, tcp) = (HostUdp::new(&reactor), HostTcp::new(&reactor));
    let dial = Clear(&tcp);
    let server_name = format!("{address}#ns.example").parse().unwrap();
    let mut config = ResolverConfig::new(vec![server_name]);
    config.timeout = Duration::from_millis(500);
    let resolver = Resolver::new(&udp, &dial, &reactor, &SystemEntropy, &config);
    let ask = async |text: &str| {
        let name: NameBuf = text.parse().unwrap();
        let answer = resolver.lookup(name.as_name(), RecordType::A).await?;
        Ok::<_, ResolveError>(answer.records[0][3])
    };
    block_on(&reactor, async {
        assert_eq!(join(ask("a.example"), ask("b.example")).await, (Ok(b'a'), Ok(b'b')));
        assert_eq!(ask("c.example").await, Ok(b'c'));
        sleep(&reactor, Duration::from_millis(100)).await;
        assert_eq!(ask("d.example").await, Ok(b'd'));
        let begun = Instant::now();
        assert_eq!(ask("e.example").await, Err(ResolveError::Silent));
        assert!(begun.elapsed() < Duration::from_secs(3));
    });
    server.join().unwrap();
}
