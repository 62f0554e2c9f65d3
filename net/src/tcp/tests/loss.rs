//! Tables of packets for loss detection and what follows from it: RACK-TLP, D-SACK, spurious losses, ECN.
use super::{
    link::*,
    packets::{ACK, IRS, SYN, SYN_ACK, Table},
};
use crate::{
    tcp::{Config, Ecn, Handle, Info},
    wire::tcp::{Flags, Header, Options, SackBlocks},
};
use core::time::Duration;

pub(super) const MS: Duration = Duration::from_millis(1);
/// The peer's segment size, and so the host's.
pub(super) const MSS: u32 = 1000;

/// A connection to a peer with SACK and a wide window, 20 ms away, after one exchange that measured that.
fn established(config: Config) -> (Table, Handle) {
    established_with(config, true)
}
pub(super) fn established_with(config: Config, sack: bool) -> (Table, Handle) {
    let mut table = Table::with_buffers(config, 40_000);
    let options = Options { mss: Some(MSS as u16), sack_permitted: sack, ..Options::default() };
    let syn = Header { options, ..table.segment(SYN, IRS, 0) };
    table.iss = table.send(syn, b"")[0].header().sequence;
    table.now += 20 * MS;
    table.expect_none(ACK, IRS + 1, table.iss + 1, b"");
    let handle = table.host.accept(table.listener.unwrap()).unwrap();
    (table, handle)
}

impl Table {
    /// Sequence number of the first byte of segment `n`, from 0.
    fn at(&self, n: u32) -> u32 {
        self.iss + 1 + n * MSS
    }
    /// The host's user writes `n` segments; the first segments that go out.
    pub(super) fn write(&mut self, handle: Handle, n: usize) -> Vec<Packet> {
        assert_eq!(self.host.write(self.now, handle, &vec![7; n * MSS as usize]), Ok(n * MSS as usize));
        self.poll()
    }
    /// An acknowledgment of the segments before `ack`, with blocks of segments; the numbers of the segments the host sends.
    pub(super) fn acknowledge(&mut self, ack: u32, blocks: &[(u32, u32)]) -> Vec<u32> {
        let mut sack = SackBlocks::default();
        blocks.iter().for_each(|(left, right)| sack.push(self.at(*left), self.at(*right)));
        let options = Options { sack, ..Options::default() };
        let header = Header { options, window: 60_000, ..self.segment(ACK, IRS + 1, self.at(ack)) };
        let answers = self.send(header, b"");
        self.numbers(&answers)
    }
    pub(super) fn numbers(&self, packets: &[Packet]) -> Vec<u32> {
        packets.iter().map(|p| p.header().sequence.wrapping_sub(self.at(0)) / MSS).collect()
    }
    pub(super) fn info(&mut self, handle: Handle) -> Info {
        self.host.info(handle).unwrap()
    }
}

#[cfg(feature = "rack")]
mod rack {
    use super::*;

    #[test]
    fn a_hole_waits_a_quarter_of_a_round_trip_for_reordering() {
        let (mut table, handle) = established(Config::default());
        table.acknowledge(0, &[]);
        assert_eq!(table.write(handle, 6).len(), 6);
        table.now += 20 * MS;
        // Segment 1 has arrived, 0 has not: it may be late.
        assert_eq!(table.acknowledge(0, &[(1, 2)]), []);
        assert_eq!(table.wait(4 * MS), []);
        let again = table.wait(2 * MS);
        assert_eq!(table.numbers(&again), [0], "lost after 20 ms / 4");
        assert_eq!(table.host.stats().fast_retransmits, 1);
        assert_eq!(table.host.stats().timeouts, 0);
    }

    #[test]
    fn three_segments_beyond_a_hole_prove_it() {
        let (mut table, handle) = established(Config::default());
        table.acknowledge(0, &[]);
        table.write(handle, 6);
        table.now += 20 * MS;
        assert_eq!(table.acknowledge(0, &[(1, 2)]), []);
        assert_eq!(table.acknowledge(0, &[(1, 3)]), []);
        assert_eq!(table.acknowledge(0, &[(1, 4)]), [0]);
        assert_eq!(table.info(handle).lost, 1);
    }

    #[test]
    fn once_reordering_was_seen_three_segments_prove_nothing() {
        let (mut table, handle) = established(Config::default());
        table.acknowledge(0, &[]);
        table.write(handle, 6);
        table.now += 20 * MS;
        // 0 comes after 1: reordering.
        assert_eq!(table.acknowledge(0, &[(1, 2)]), []);
        assert_eq!(table.acknowledge(2, &[]), []);
        assert_eq!(table.acknowledge(6, &[]), []);
        table.write(handle, 6);
        table.now += 20 * MS;
        assert_eq!(table.acknowledge(6, &[(7, 12)]), [], "time tells, not their number");
        let again = table.wait(6 * MS);
        assert_eq!(table.numbers(&again), [6]);
    }

    #[test]
    fn a_lost_retransmission_is_found_and_counts_twice() {
        let (mut table, handle) = established(Config::default());
        table.acknowledge(0, &[]);
        table.write(handle, 10);
        table.now += 20 * MS;
        assert_eq!(table.acknowledge(0, &[(1, 4)]), [0]);
        let once = table.info(handle).slow_start_threshold;
        assert_eq!(once, 7 * MSS);
        // New data goes out as the rest is delivered, and arrives; the retransmission does not.
        table.now += 1 * MS;
        table.host.write(table.now, handle, &[7; 10_000]).unwrap();
        let new = table.acknowledge(0, &[(1, 10)]);
        assert!(!new.is_empty() && new.iter().all(|n| *n >= 10), "{new:?}");
        table.now += 20 * MS;
        let last = *new.last().unwrap();
        let again = table.acknowledge(0, &[(1, last + 1)]);
        let later = table.wait(6 * MS);
        let all: Vec<u32> = again.into_iter().chain(table.numbers(&later)).collect();
        assert!(all.contains(&0), "{all:?}");
        assert!(table.info(handle).slow_start_threshold < once, "the loss of a retransmission counts again");
        assert_eq!(table.host.stats().timeouts, 0);
    }

    #[test]
    fn the_end_of_a_flight_is_probed_before_the_timeout() {
        let (mut table, handle) = established(Config::default());
        table.acknowledge(0, &[]);
        assert_eq!(table.write(handle, 3).len(), 3);
        // Two smoothed round trips.
        assert_eq!(table.wait(39 * MS), []);
        let probe = table.wait(2 * MS);
        assert_eq!(table.numbers(&probe), [2], "the last segment");
        assert_eq!((table.host.stats().tail_probes, table.host.stats().timeouts), (1, 0));
        // It makes the peer tell what it has: the rest was lost.
        table.now += 20 * MS;
        let mut again = table.acknowledge(0, &[(2, 3)]);
        let later = table.wait(6 * MS);
        again.extend(table.numbers(&later));
        assert_eq!(again, [0, 1]);
        assert_eq!(table.host.stats().timeouts, 0);
    }

    #[test]
    fn new_data_is_a_better_probe() {
        let (mut table, handle) = established(Config::default());
        table.acknowledge(0, &[]);
        assert_eq!(table.write(handle, 12).len(), 10, "the initial window");
        let probe = table.wait(41 * MS);
        assert_eq!(table.numbers(&probe), [10], "the next segment, whatever the window");
        // Only one.
        assert_eq!(table.wait(100 * MS), []);
    }

    #[test]
    fn a_probe_that_repaired_a_loss_makes_the_window_smaller_and_one_that_did_not_leaves_it() {
        for twice in [false, true] {
            let (mut table, handle) = established(Config::default());
            table.acknowledge(0, &[]);
            table.write(handle, 3);
            assert_eq!(table.wait(41 * MS).len(), 1);
            let before = table.info(handle).congestion_window;
            table.now += 20 * MS;
            let blocks: &[(u32, u32)] = if twice { &[(2, 3)] } else { &[] };
            table.acknowledge(3, blocks);
            table.write(handle, 1);
            table.now += 20 * MS;
            table.acknowledge(4, &[]);
            let after = table.info(handle).congestion_window;
            assert_eq!(after < before, !twice, "{before} {after}");
        }
    }
}

#[test]
fn duplicates_are_reported_first() {
    let (mut table, handle) = established(Config::default());
    let iss = table.iss;
    let blocks = |packets: Vec<Packet>| packets[0].header().options.sack.as_slice().to_vec();
    let data = [1; 1000];
    table.answers(ACK, IRS + 1, iss + 1, &data);
    table.answers(ACK, IRS + 1001, iss + 1, &data);
    //= https://www.rfc-editor.org/rfc/rfc2883#section-4
    //= type=test
    //# (1) A D-SACK block is only used to report a duplicate contiguous
    //# sequence of data received by the receiver in the most recent packet.
    let again = table.answers(ACK, IRS + 1, iss + 1, &data);
    assert_eq!(blocks(again), [(IRS + 1, IRS + 1001)], "below the acknowledgment");
    // Out of order, then the same again: its own block, and the one it lies in.
    table.answers(ACK, IRS + 4001, iss + 1, &data);
    let two = blocks(table.answers(ACK, IRS + 5001, iss + 1, &data));
    assert_eq!(two, [(IRS + 4001, IRS + 6001)]);
    let again = blocks(table.answers(ACK, IRS + 5001, iss + 1, &data));
    assert_eq!(again, [(IRS + 5001, IRS + 6001), (IRS + 4001, IRS + 6001)]);
    // Told once.
    let next = blocks(table.answers(ACK, IRS + 8001, iss + 1, &data));
    assert_eq!(next, [(IRS + 8001, IRS + 9001), (IRS + 4001, IRS + 6001)]);
    let _ = handle;
}

#[test]
fn a_d_sack_takes_the_answer_to_a_loss_back() {
    let (mut table, handle) = established(Config::default());
    table.acknowledge(0, &[]);
    table.write(handle, 10);
    let before = table.info(handle).congestion_window;
    table.now += 20 * MS;
    assert_eq!(table.acknowledge(0, &[(1, 4)]), [0]);
    assert!(table.info(handle).slow_start_threshold < before);
    // The first sending of it was only late: the peer has got it twice.
    table.now += 10 * MS;
    table.acknowledge(4, &[]);
    assert!(table.info(handle).recovering);
    table.acknowledge(4, &[(0, 1)]);
    let info = table.info(handle);
    assert_eq!((info.undone, info.recovering), (1, false));
    assert_eq!(info.slow_start_threshold, u32::MAX);
    assert!(info.congestion_window >= before);
}

/// A delay that doubles makes the timer expire; the timestamps of what comes back say that nothing was lost.
#[test]
fn a_timeout_that_was_too_early_is_taken_back() {
    for timestamps in [true, false] {
        let config = Config { timestamps, ..Config::default() };
        let link = Link { delay: 20 * MS, ..Link::default() };
        let mut pair = Pair::new(9, link, 200_000, config);
        let listener = pair.listen(1);
        let (a, b) = pair.establish(listener);
        let send = |pair: &mut Pair, bytes: usize| {
            let now = pair.now;
            assert_eq!(pair.hosts[0].write(now, a, &vec![1; bytes]), Ok(bytes));
            let mut got = 0;
            let done = pair.run(Duration::from_secs(20), |pair| {
                let now = pair.now;
                while let Ok(Some(n @ 1..)) =
                    pair.hosts[1].read_with(now, b, 0, |bytes| (bytes.len(), bytes.len()))
                {
                    got += n;
                }
                got == bytes && pair.hosts[0].is_delivered(a)
            });
            assert!(done);
            // What is still under way, too.
            pair.run(Duration::from_secs(2), |_| false);
        };
        send(&mut pair, 100_000);
        pair.link.delay = 300 * MS;
        let now = pair.now;
        let before = pair.hosts[0].info(a).unwrap().congestion_window;
        send(&mut pair, 20_000);
        let info = pair.hosts[0].info(a).unwrap();
        assert!(pair.hosts[0].stats().timeouts > 0, "{:?}", pair.hosts[0].stats());
        assert!(pair.now.since(now) < Duration::from_secs(5));
        // With timestamps at the first acknowledgment, without them by D-SACK.
        assert_eq!(info.undone, 1, "timestamps {timestamps}: {info:?}");
        assert!(info.congestion_window >= before, "timestamps {timestamps}: {before} before, {info:?}");
    }
}

const ECN_SETUP: Flags = Flags(0xc2);

#[test]
fn ecn_is_granted_to_whom_asks() {
    for (ecn, flags, granted) in
        [(Ecn::Accept, ECN_SETUP, true), (Ecn::Accept, SYN, false), (Ecn::Off, ECN_SETUP, false)]
    {
        let mut table = Table::new(Config { ecn, ..Config::default() });
        let answer = table.answers(flags, IRS, 0, b"")[0].header();
        // RFC 3168 section 6.1.1.
        assert_eq!(answer.flags, if granted { SYN_ACK | Flags::ECE } else { SYN_ACK });
        table.iss = answer.sequence;
        table.expect_none(ACK, IRS + 1, table.iss + 1, b"");
        let handle = table.host.accept(table.listener.unwrap()).unwrap();
        assert_eq!(table.info(handle).ecn, granted);
        let data = table.write(handle, 1);
        assert_eq!(data[0].ecn, if granted { 2 } else { 0 });
    }
}

#[test]
fn a_mark_is_echoed_until_the_peer_has_reduced_its_window() {
    let mut table = Table::new(Config::default());
    table.iss = table.answers(ECN_SETUP, IRS, 0, b"")[0].header().sequence;
    let iss = table.iss;
    table.expect_none(ACK, IRS + 1, iss + 1, b"");
    let marked = |table: &mut Table, flags, seq, ecn: u8| {
        let header = table.segment(flags, seq, iss + 1);
        let mut bytes = vec![0; header.len()];
        header.emit(&mut bytes);
        bytes.extend([0; 1000]);
        let mut sent = Vec::new();
        let mut ring = Ring { addr: B, link: Link::default(), sent: &mut sent, left: 9 };
        table.host.input(table.now, A, B, ecn, &bytes, 0, &mut ring);
        sent.extend(table.poll());
        sent.extend(table.wait(50 * MS));
        assert_eq!((sent.len(), sent[0].ecn), (1, 0), "acknowledgments are not ECN-capable");
        sent[0].header().flags.has(Flags::ECE)
    };
    assert!(!marked(&mut table, ACK, IRS + 1, 2));
    assert!(marked(&mut table, ACK, IRS + 1001, 3));
    assert!(marked(&mut table, ACK, IRS + 2001, 2), "and on");
    assert!(!marked(&mut table, ACK | Flags::CWR, IRS + 3001, 2));
}

#[test]
fn an_echo_reduces_the_window_once_a_round_trip_and_is_answered() {
    let mut table = Table::new(Config::default());
    let options = Options { mss: Some(MSS as u16), sack_permitted: true, ..Options::default() };
    let syn = Header { options, ..table.segment(ECN_SETUP, IRS, 0) };
    table.iss = table.send(syn, b"")[0].header().sequence;
    table.now += 20 * MS;
    table.expect_none(ACK, IRS + 1, table.iss + 1, b"");
    let handle = table.host.accept(table.listener.unwrap()).unwrap();
    table.acknowledge(0, &[]);
    assert_eq!(table.host.write(table.now, handle, &[0; 8000]), Ok(8000));
    assert_eq!(table.poll().len(), 8);
    table.now += 20 * MS;
    let echo = |table: &mut Table, ack| {
        let header = Header { window: 60_000, ..table.segment(ACK | Flags::ECE, IRS + 1, table.at(ack)) };
        table.send(header, b"")
    };
    echo(&mut table, 1);
    let reduced = table.info(handle).congestion_window;
    assert!(reduced <= 8 * MSS * 7 / 10, "{reduced}");
    echo(&mut table, 2);
    assert!(table.info(handle).congestion_window >= reduced, "the same window");
    assert_eq!(table.host.stats().retransmitted, 0);
    table.now += 1 * MS;
    assert_eq!(table.host.write(table.now, handle, &[0; 2000]), Ok(2000));
    let mut sent = table.poll();
    table.acknowledge(7, &[]);
    sent.extend(table.poll());
    let told: Vec<bool> = sent.iter().map(|p| p.header().flags.has(Flags::CWR)).collect();
    assert_eq!(told.iter().filter(|t| **t).count(), usize::from(!told.is_empty()), "once");
}

#[test]
fn marks_instead_of_losses_lose_nothing() {
    let config = Config { ecn: Ecn::Offer, ..Config::default() };
    let link = Link { mark: 20, ..Link::default() };
    let mut pair = Pair::new(5, link, 200_000, config);
    let listener = pair.listen(1);
    let (a, b) = pair.establish(listener);
    assert!(pair.hosts[0].info(a).unwrap().ecn && pair.hosts[1].info(b).unwrap().ecn);
    let (mut written, mut read) = (0, 0);
    pair.run(Duration::from_secs(60), |pair| {
        let now = pair.now;
        while let Ok(n @ 1..) = pair.hosts[0].write(now, a, &[1; 5000]) {
            written += n;
            if written > 3_000_000 {
                break;
            }
        }
        while let Ok(Some(n @ 1..)) = pair.hosts[1].read_with(now, b, 0, |bytes| (bytes.len(), bytes.len())) {
            read += n;
        }
        read > 3_000_000
    });
    let info = pair.hosts[0].info(a).unwrap();
    assert!(info.slow_start_threshold < 100_000, "the window was reduced: {info:?}");
    assert_eq!((info.lost, info.retransmitted), (0, 0));
}
