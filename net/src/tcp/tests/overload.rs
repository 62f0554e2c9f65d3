//! More than there is room for: SYN cookies, bounds per peer.
use super::{
    link::*,
    packets::{ACK, IRS, RST, SYN, SYN_ACK, Table},
};
use crate::{
    tcp::Config,
    wire::tcp::{Header, Options},
};
use core::time::Duration;

#[cfg(feature = "syn-cookies")]
mod cookies {
    use super::*;
    use crate::wire::tcp::Flags;

    /// A listener with a backlog of two that two SYNs without an end have filled.
    fn full(config: Config) -> Table {
        let mut table = Table::new(config);
        for port in [6000, 6001] {
            table.ports.1 = port;
            assert_eq!(table.answers(SYN, IRS, 0, b"").len(), 1);
        }
        assert_eq!(table.host.usage().half_open, 2);
        table.ports.1 = 7000;
        table
    }

    #[test]
    fn a_full_syn_queue_answers_with_cookies() {
        let mut table = full(Config::default());
        let options =
            Options { mss: Some(1400), sack_permitted: true, window_scale: Some(7), ..Options::default() };
        let answer = table.send(Header { options, ..table.segment(SYN, IRS, 0) }, b"")[0].header();
        assert_eq!((answer.flags, answer.acknowledgment), (SYN_ACK, IRS + 1));
        assert!(
            !answer.options.sack_permitted && answer.options.window_scale.is_none(),
            "nothing could remember them"
        );
        assert_eq!((table.host.usage().half_open, table.host.stats().syn_cookies_sent), (2, 1));
        let iss = answer.sequence;
        // Wrong ones.
        table.expect(ACK, IRS + 1, iss + 2, b"", (RST, iss + 2, 0));
        table.expect(ACK, IRS + 2, iss + 1, b"", (RST, iss + 1, 0));
        assert_eq!(table.host.stats().syn_cookies_refused, 2);
        // The right one, with the first data, two minutes later.
        table.now += Duration::from_secs(100);
        table.answers(Flags(0x18), IRS + 1, iss + 1, b"hello");
        assert_eq!(table.host.stats().syn_cookies_accepted, 1);
        let handle = table.host.accept(table.listener.unwrap()).unwrap();
        assert_eq!(table.read(handle), Ok(Some(b"hello".to_vec())));
        table.host.write(table.now, handle, &[1; 5000]).unwrap();
        let data = table.poll();
        assert!(
            data.iter().all(|p| p.data().len() <= 1400) && data[0].data().len() == 1360,
            "the size in the cookie"
        );
    }

    #[test]
    fn without_overload_nobody_opens_by_guessing() {
        let mut table = full(Config::default());
        let iss = table.answers(SYN, IRS, 0, b"")[0].header().sequence;
        table.now += Duration::from_secs(129);
        let answer = table.answers(ACK, IRS + 1, iss + 1, b"")[0].header();
        assert_eq!((answer.flags, answer.sequence), (RST, iss + 1));
        assert_eq!(table.host.stats().syn_cookies_refused, 0, "not even looked at");
    }

    /// With timestamps nothing is lost: a host that comes in by a cookie has its window scale and SACK.
    #[test]
    fn timestamps_carry_the_options() {
        let mut pair = Pair::new(3, Link::default(), 1 << 20, Config::default());
        let listener = pair.listen(1);
        // A SYN that nobody will complete.
        let header =
            Header { source_port: 9, destination_port: 80, sequence: 5, flags: SYN, ..Header::default() };
        let mut bytes = vec![0; header.len()];
        header.emit(&mut bytes);
        let nobody = "10.0.0.77".parse().unwrap();
        pair.deliver(Packet { src: nobody, dst: B, bytes, gro: 0, ecn: 0 });
        assert_eq!(pair.hosts[1].usage().half_open, 1);
        let (a, b) = pair.establish(listener);
        assert_eq!(pair.hosts[1].stats().syn_cookies_accepted, 1);
        let (mut got, mut written) = (0, 0);
        pair.link.loss = 20;
        pair.run(Duration::from_secs(20), |pair| {
            let now = pair.now;
            written += pair.hosts[1].write(now, b, &vec![5; 900_000 - written]).unwrap();
            while let Ok(Some(n @ 1..)) =
                pair.hosts[0].read_with(now, a, 0, |bytes| (bytes.len(), bytes.len()))
            {
                got += n;
            }
            got == 900_000
        });
        assert_eq!(got, 900_000);
        assert!(pair.hosts[1].info(b).unwrap().send_window > 65_535, "scaled");
    }
}

#[test]
fn a_peer_has_as_many_connections_as_it_may() {
    let mut table = Table::new(Config { peer_connections: 2, ..Config::default() });
    for port in 6000..6003 {
        table.ports.1 = port;
        let iss = table.answers(SYN, IRS, 0, b"")[0].header().sequence;
        if port < 6002 {
            table.expect_none(ACK, IRS + 1, iss + 1, b"");
            assert!(table.host.accept(table.listener.unwrap()).is_some());
        } else {
            table.expect(ACK, IRS + 1, iss + 1, b"", (RST, iss + 1, 0));
        }
    }
    assert_eq!(table.host.stats().peer_connections_full, 1);
    assert_eq!((table.host.usage().connections, table.host.usage().half_open), (2, 0));
}

#[test]
fn a_peer_fills_as_much_memory_as_it_may() {
    let config = Config { peer_memory: 10_000, ..Config::default() };
    let mut pair = Pair::new(1, Link::default(), 64 << 10, config);
    let listener = pair.listen(4);
    let pairs = [pair.establish(listener), pair.establish(listener), pair.establish(listener)];
    let now = pair.now;
    for (a, _) in pairs {
        assert_eq!(pair.hosts[0].write(now, a, &[1; 6000]), Ok(6000));
    }
    pair.run(Duration::from_secs(3), |_| false);
    let held: usize = pairs.iter().map(|(_, b)| pair.hosts[1].readable(*b)).sum();
    assert!(held >= 6000 && pair.hosts[1].usage().buffers <= 10_000, "{held} {:?}", pair.hosts[1].usage());
    assert!(pair.hosts[1].stats().peer_memory_full > 0);
    // What is read makes room: all of it arrives in the end.
    let mut got = 0;
    pair.run(Duration::from_secs(60), |pair| {
        let now = pair.now;
        for (_, b) in pairs {
            while let Ok(Some(n @ 1..)) =
                pair.hosts[1].read_with(now, b, 0, |bytes| (bytes.len(), bytes.len()))
            {
                got += n;
            }
        }
        got == 18_000
    });
    assert_eq!(got, 18_000);
}
