//! Whole lives of connections between two hosts.
use super::link::*;
#[cfg(feature = "trace")]
use crate::tcp::Sample;
use crate::tcp::{Config, Fixed, IcmpError, State};
use airglow_device::Endpoint;
use core::{net::SocketAddr, time::Duration};

fn pair() -> Pair {
    Pair::new(3, Link::default(), 16 << 10, Config::default())
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.5
//= type=test
//# A TCP implementation MUST support simultaneous open attempts (MUST-10).
#[test]
fn simultaneous_open() {
    let mut pair = pair();
    let a = pair.connect();
    pair.transmit();
    let (a_addr, _) = pair.hosts[0].addresses(a).unwrap();
    // B connects from port 80 to A's port: play B's half by hand, as its port is chosen by itself otherwise.
    let mut sent = Vec::new();
    let mut ring = Ring { addr: B, link: pair.link, sent: &mut sent, left: 1 };
    let b = pair.hosts[1].connect_from(pair.now, SocketAddr::new(B, 80), a_addr, &mut ring).unwrap();
    let both = pair.run(Duration::from_secs(10), |pair| {
        pair.hosts[0].state(a) == Ok(State::Established) && pair.hosts[1].state(b) == Ok(State::Established)
    });
    assert!(both, "{:?} {:?}", pair.hosts[0].state(a), pair.hosts[1].state(b));
    let now = pair.now;
    pair.hosts[0].write(now, a, b"hello").unwrap();
    pair.run(Duration::from_secs(1), |pair| pair.hosts[1].readable(b) == 5);
    let text = pair.hosts[1].read_with(now, b, 0, |bytes| (bytes.len(), bytes.to_vec()));
    assert_eq!(text, Ok(Some(b"hello".to_vec())));
}

#[test]
fn simultaneous_close() {
    let mut pair = pair();
    let listener = pair.listen(1);
    let (a, b) = pair.establish(listener);
    pair.run(Duration::from_secs(1), |pair| pair.hosts[0].state(a) == Ok(State::Established));
    let now = pair.now;
    pair.hosts[0].close(now, a).unwrap();
    pair.hosts[1].close(now, b).unwrap();
    let mut crossed = false;
    let done = pair.run(Duration::from_secs(10), |pair| {
        crossed |= pair.hosts[0].state(a) == Ok(State::Closing);
        [(0, a), (1, b)].iter().all(|(host, handle)| pair.hosts[*host].state(*handle) == Ok(State::TimeWait))
    });
    assert!(done && crossed);
}

#[test]
fn a_thousand_connections_opened_and_reset_leave_memory_where_it_was() {
    let mut pair = pair();
    let listener = pair.listen(16);
    for i in 0..1000u32 {
        let (a, b) = pair.establish(listener);
        let now = pair.now;
        pair.hosts[0].write(now, a, b"request").ok();
        pair.hosts[1].write(now, b, &[1; 5000]).unwrap();
        pair.run(Duration::from_millis(u64::from(i % 20)), |_| false);
        let now = pair.now;
        // Either side gives up first.
        let (first, second) = if i % 2 == 0 { ((0, a), (1, b)) } else { ((1, b), (0, a)) };
        pair.hosts[first.0].abort(now, first.1);
        pair.hosts[first.0].release(now, first.1);
        pair.run(Duration::from_secs(1), |pair| pair.hosts[second.0].state(second.1).is_err());
        pair.hosts[second.0].release(pair.now, second.1);
    }
    pair.run(Duration::from_secs(100), |_| false);
    for host in &mut pair.hosts {
        assert_eq!(host.usage(), Default::default());
    }
    assert_eq!(pair.hosts[1].stats().established, 1000);
}

#[test]
fn ten_thousand_idle_connections_hold_no_buffers() {
    let mut pair = Pair::new(3, Link { ring: 4096, ..Link::default() }, 64 << 10, Config::default());
    let listener = pair.listen(4000);
    let mut handles = Vec::new();
    for _ in 0..100 {
        let clients: Vec<_> = (0..100).map(|_| pair.connect()).collect();
        let mut servers = Vec::new();
        pair.run(Duration::from_secs(5), |pair| {
            servers.extend(std::iter::from_fn(|| pair.hosts[1].accept(listener)));
            servers.len() == 100
        });
        let now = pair.now;
        for client in &clients {
            pair.hosts[0].write(now, *client, b"GET / HTTP/1.1\r\n\r\n").unwrap();
        }
        pair.run(Duration::from_secs(1), |_| false);
        for server in servers {
            pair.hosts[1].read_with(pair.now, server, 0, |bytes| (bytes.len(), ())).unwrap().unwrap();
        }
        handles.extend(clients);
    }
    assert_eq!(handles.len(), 10_000);
    for host in &mut pair.hosts {
        let usage = host.usage();
        assert_eq!((usage.connections, usage.buffers), (10_000, 0));
    }
}

#[test]
fn a_connection_without_buffers_is_small() {
    let connection = size_of::<crate::tcp::Connection>();
    println!(
        "a connection is {connection} bytes, four with 4 KiB each {}",
        size_of::<Fixed<4, 2048, 2048, 2, (), ()>>()
    );
    assert!(connection <= 1056, "{connection}");
    let half_open = size_of::<crate::tcp::HalfOpen>();
    assert!(half_open <= 128, "{half_open}");
}

#[test]
fn four_connections_fit_a_board() {
    type Board = Fixed<4, 2048, 2048, 2, (), ()>;
    assert!(size_of::<Board>() < 24 << 10, "{}", size_of::<Board>());
    let boards = [Board::new(), Board::new()];
    let mut pair = Pair::with(4, Link::default(), Config::default(), boards);
    let listener = pair.listen(4);
    let mut handles: Vec<_> = (0..4).map(|_| pair.establish(listener)).collect();
    let full = {
        let mut sent = Vec::new();
        let mut ring = Ring { addr: A, link: pair.link, sent: &mut sent, left: 1 };
        pair.hosts[0].connect(pair.now, SocketAddr::new(B, 80), &mut ring)
    };
    assert_eq!(full, Err(crate::Error::TableFull));
    let (a, b) = handles.pop().unwrap();
    let now = pair.now;
    assert_eq!(pair.hosts[0].write(now, a, &[7; 5000]), Ok(2048), "as much as the array holds");
    pair.run(Duration::from_secs(1), |pair| pair.hosts[1].readable(b) == 2048);
    assert_eq!(pair.hosts[1].readable(b), 2048);
    let now = pair.now;
    pair.hosts[0].abort(now, a);
    pair.hosts[0].release(now, a);
    pair.run(Duration::from_secs(1), |pair| pair.hosts[1].state(b).is_err());
    pair.hosts[1].release(pair.now, b);
    let (a, _) = pair.establish(listener);
    assert_eq!(pair.hosts[0].state(a), Ok(State::Established), "the place is free again");
}

#[test]
fn a_released_connection_delivers_in_the_background() {
    let mut pair = Pair::new(11, Link { loss: 100, ..Link::default() }, 64 << 10, Config::default());
    let listener = pair.listen(1);
    let (a, b) = pair.establish(listener);
    let now = pair.now;
    assert_eq!(pair.hosts[1].write(now, b, &[9; 50_000]), Ok(50_000));
    pair.hosts[1].close(now, b).unwrap();
    pair.hosts[1].release(now, b);
    let mut got = 0;
    pair.run(Duration::from_secs(100), |pair| {
        let now = pair.now;
        while let Ok(Some(n @ 1..)) = pair.hosts[0].read_with(now, a, 0, |bytes| (bytes.len(), bytes.len())) {
            got += n;
        }
        got == 50_000 && pair.hosts[0].state(a) == Ok(State::CloseWait)
    });
    assert_eq!((got, pair.hosts[0].state(a)), (50_000, Ok(State::CloseWait)));
    // The peer never closes: FIN-WAIT-2 ends it.
    pair.run(Duration::from_secs(300), |pair| pair.hosts[1].usage().connections == 0);
    assert_eq!(pair.hosts[1].usage().connections, 0);
}

#[test]
fn bytes_that_are_declined_come_again_in_one_piece() {
    let mut pair = pair();
    let listener = pair.listen(1);
    let (a, b) = pair.establish(listener);
    // Move the ring's start so that the next bytes wrap.
    for (send, keep) in [(15_000usize, 0usize), (5_000, 5_000)] {
        let now = pair.now;
        assert_eq!(pair.hosts[0].write(now, a, &vec![send as u8; send]), Ok(send));
        pair.run(Duration::from_secs(1), |pair| pair.hosts[1].readable(b) >= send);
        if keep == 0 {
            pair.hosts[1].read_with(pair.now, b, 0, |bytes| (bytes.len() - 1, ())).unwrap();
            pair.hosts[1].read_with(pair.now, b, 0, |_| (0, ())).unwrap();
        }
    }
    let now = pair.now;
    let first = pair.hosts[1].read_with(now, b, 0, |bytes| (0, bytes.len())).unwrap().unwrap();
    assert!(first < 5001, "{first}");
    let whole = pair.hosts[1].read_with(now, b, first, |bytes| (0, bytes.len())).unwrap();
    assert_eq!(whole, Some(5001));
    assert_eq!(pair.hosts[1].read_with(now, b, 5001, |bytes| (0, bytes.len())).unwrap(), None);
}

#[test]
fn a_port_can_be_taken_once() {
    let mut pair = pair();
    let listener = pair.listen(1);
    assert_eq!(pair.hosts[1].listen(Endpoint::from(80), 1), Err(crate::Error::AddrInUse));
    let on_one = pair.hosts[1].listen(Endpoint::from(SocketAddr::new(B, 80)), 1).unwrap();
    let (_, b) = pair.establish(on_one);
    assert!(pair.hosts[1].state(b).is_ok(), "the exact address comes first");
    pair.hosts[1].unlisten(pair.now, listener);
    assert!(pair.hosts[1].listen(Endpoint::from(80), 1).is_ok());
}

/// A path that drops packets of more than 1,400 bytes and says nothing.
#[test]
fn a_black_hole_is_found_and_gone_round() {
    let mut pair = Pair::new(3, Link { hole: 1380, ..Link::default() }, 64 << 10, Config::default());
    let listener = pair.listen(1);
    let (a, b) = pair.establish(listener);
    let now = pair.now;
    assert_eq!(pair.hosts[0].write(now, a, &[1; 60_000]), Ok(60_000));
    let mut got = 0;
    let done = pair.run(Duration::from_secs(10), |pair| {
        let now = pair.now;
        while let Ok(Some(n @ 1..)) = pair.hosts[1].read_with(now, b, 0, |bytes| (bytes.len(), bytes.len())) {
            got += n;
        }
        got == 60_000
    });
    assert!(done, "{got} {:?}", pair.hosts[0].info(a));
    assert_eq!(pair.hosts[0].stats().black_holes, 1);
    assert_eq!(pair.hosts[0].info(a).unwrap().mss, 984 - 12);
}

/// The same with a segment that is less than full-sized and still too large, alone in flight. Found by the simulation.
#[test]
fn a_black_hole_swallows_a_single_segment() {
    let mut pair = Pair::new(3, Link { hole: 1280, ..Link::default() }, 64 << 10, Config::default());
    let listener = pair.listen(1);
    let (a, b) = pair.establish(listener);
    assert_eq!(pair.hosts[0].write(pair.now, a, &[1; 1330]), Ok(1330));
    let mut got = 0;
    let done = pair.run(Duration::from_secs(10), |pair| {
        let read = pair.hosts[1].read_with(pair.now, b, 0, |bytes| (bytes.len(), bytes.len()));
        got += read.ok().flatten().unwrap_or_default();
        got == 1330
    });
    assert!(done, "{got} {:?}", pair.hosts[0].info(a));
}

/// An ICMP error says how large packets may be while a tail loss probe is due, and that is still too large. The timeout must come.
/// Found by the simulation.
#[test]
fn a_path_that_shrinks_while_a_probe_is_due_does_not_stop_the_clock() {
    let mut pair = Pair::new(3, Link { hole: 1280, ..Link::default() }, 64 << 10, Config::default());
    let listener = pair.listen(1);
    let (a, b) = pair.establish(listener);
    assert_eq!(pair.hosts[0].write(pair.now, a, &[1; 20_000]), Ok(20_000));
    pair.transmit();
    let (local, remote) = pair.hosts[0].addresses(a).unwrap();
    let seq = pair.hosts[0].connection(a).unwrap().send.unacknowledged;
    let quoted = [local.port().to_be_bytes(), remote.port().to_be_bytes()].concat();
    let quoted = [quoted, seq.0.to_be_bytes().to_vec()].concat();
    assert!(pair.hosts[0].unreachable(pair.now, IcmpError::TooBig(1400), local.ip(), remote.ip(), &quoted));
    let mut got = 0;
    let done = pair.run(Duration::from_secs(30), |pair| {
        let read = pair.hosts[1].read_with(pair.now, b, 0, |bytes| (bytes.len(), bytes.len()));
        got += read.ok().flatten().unwrap_or_default();
        got == 20_000
    });
    assert!(done, "{got} {:?}", pair.hosts[0].info(a));
}

/// A trace tells every change once, whether it is taken at once or later.
#[cfg(feature = "trace")]
#[test]
fn a_trace_tells_what_changes() {
    let mut lines = Vec::new();
    for taken_at_once in [true, false] {
        let link = Link { loss: 100, ..Link::default() };
        let mut pair = Pair::new(3, link, 64 << 10, Config::default());
        let listener = pair.listen(1);
        let (a, b) = pair.establish(listener);
        pair.hosts[0].trace(a, true);
        assert_eq!(pair.hosts[0].write(pair.now, a, &[1; 40_000]), Ok(40_000));
        let (mut got, mut samples) = (0, Vec::new());
        pair.run(Duration::from_secs(10), |pair| {
            let read = pair.hosts[1].read_with(pair.now, b, 0, |bytes| (bytes.len(), bytes.len()));
            got += read.ok().flatten().unwrap_or_default();
            while taken_at_once && let Some(sample) = pair.hosts[0].next_sample() {
                samples.push(sample);
            }
            got == 40_000
        });
        samples.extend(core::iter::from_fn(|| pair.hosts[0].next_sample()));
        assert_eq!(pair.hosts[0].samples_dropped(), 0);
        assert!(samples.len() > 5 && samples.is_sorted_by_key(|sample| sample.at), "{samples:#?}");
        assert!(samples.windows(2).all(|pair| Sample { at: pair[1].at, ..pair[0] } != pair[1]));
        let last = samples.last().unwrap();
        assert!(last.lost > 0 && last.retransmitted >= last.lost && last.handle == a, "{last:?}");
        lines.push(samples.iter().map(ToString::to_string).collect::<Vec<_>>());
    }
    assert_eq!(lines[0], lines[1]);
    assert!(lines[0][0].starts_with("0.0 ") && lines[0][0].contains(" Established "), "{}", lines[0][0]);
}
