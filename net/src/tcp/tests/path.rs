//! Tables of packets for the search for the largest packet that a path takes (RFC 4821). The host's link takes segments of 1460 bytes, as
//! the peer does; the path takes fewer and does not say so.
use super::{
    link::*,
    loss::MS,
    packets::{ACK, IRS, SYN, Table},
};
use crate::{
    tcp::{Config, Handle, IcmpError},
    wire::tcp::{Header, Options, SackBlocks},
};
use core::time::Duration;

const FULL: usize = 1460;
/// What every path takes (section 7.2).
const SAFE: usize = 984;

/// A peer behind a path that takes segments of `takes` bytes.
struct Path {
    table: Table,
    handle: Handle,
    takes: usize,
    /// What has arrived, as offsets into the stream.
    arrived: Vec<(u32, u32)>,
    written: u32,
    /// Sizes of all segments with data.
    sizes: Vec<usize>,
}

impl Path {
    fn new(config: Config, takes: usize) -> Self {
        let mut table = Table::with_buffers(config, 60_000);
        let options = Options { mss: Some(FULL as u16), sack_permitted: true, ..Options::default() };
        let syn = Header { options, ..table.segment(SYN, IRS, 0) };
        table.iss = table.send(syn, b"")[0].header().sequence;
        table.now += 20 * MS;
        table.expect_none(ACK, IRS + 1, table.iss + 1, b"");
        let handle = table.host.accept(table.listener.unwrap()).unwrap();
        let mut path = Self { table, handle, takes, arrived: vec![(0, 0)], written: 0, sizes: Vec::new() };
        path.acknowledge();
        path
    }

    /// Segments of the full size have vanished until smaller ones were tried, and these have all arrived.
    fn after_a_black_hole(takes: usize) -> Self {
        let mut path = Self::new(Config::default(), SAFE);
        path.transfer(14_600);
        assert_eq!(path.table.host.stats().black_holes, 1);
        assert_eq!(path.table.info(path.handle).mss as usize, SAFE);
        path.takes = takes;
        path.sizes.clear();
        path
    }

    /// An acknowledgment of all that has arrived; what the host sends then.
    fn acknowledge(&mut self) -> Vec<Packet> {
        let start = self.table.iss + 1;
        let mut sack = SackBlocks::default();
        for (left, right) in self.arrived.iter().skip(1).rev().take(3) {
            sack.push(start + left, start + right);
        }
        let options = Options { sack, ..Options::default() };
        let ack = start + self.arrived[0].1;
        let header = Header { options, window: 60_000, ..self.table.segment(ACK, IRS + 1, ack) };
        self.table.send(header, b"")
    }

    /// The path and the peer take what was sent, an answer for each; what the host sends for these.
    fn deliver(&mut self, packets: Vec<Packet>) -> Vec<Packet> {
        self.table.now += 20 * MS;
        let mut sent = Vec::new();
        for packet in packets.iter().filter(|p| !p.data().is_empty()) {
            let (len, left) = (packet.data().len(), packet.header().sequence - self.table.iss - 1);
            self.sizes.push(len);
            self.table.now += MS / 100;
            if len > self.takes {
                continue;
            }
            self.arrived.push((left, left + len as u32));
            self.arrived.sort_unstable();
            self.arrived.dedup_by(|b, a| {
                let touches = b.0 <= a.1;
                a.1 = if touches { a.1.max(b.1) } else { a.1 };
                touches
            });
            sent.extend(self.acknowledge());
        }
        sent
    }

    /// Writes `bytes` and lets both sides go on until all has arrived.
    fn transfer(&mut self, bytes: u32) {
        assert_eq!(
            self.table.host.write(self.table.now, self.handle, &vec![7; bytes as usize]),
            Ok(bytes as usize)
        );
        self.written += bytes;
        let packets = self.table.poll();
        self.go_on(packets);
    }

    /// Until all has arrived that was written; `packets` are on their way.
    fn go_on(&mut self, mut packets: Vec<Packet>) {
        let end = self.table.now + Duration::from_secs(60);
        while self.arrived[0].1 < self.written {
            assert!(self.table.now < end, "{:?} of {}", self.arrived, self.written);
            packets = if packets.is_empty() { self.table.wait(MS) } else { self.deliver(packets) };
        }
        self.table.wait(300 * MS);
    }

    fn probes(&self) -> Vec<usize> {
        let mut probes: Vec<_> = self.sizes.iter().copied().filter(|size| *size > SAFE).collect();
        probes.dedup();
        probes
    }
    fn mss(&mut self) -> usize {
        self.table.info(self.handle).mss as usize
    }
}

#[test]
fn after_a_hole_that_is_gone_the_first_probe_brings_the_full_size_back() {
    let mut path = Path::after_a_black_hole(FULL);
    path.table.now += Duration::from_secs(1);
    path.transfer(30_000);
    // One of the full size, and segments of the old size at once behind it; then full ones.
    let first: Vec<_> = path.sizes.iter().take(5).copied().collect();
    assert_eq!(first, [FULL, SAFE, SAFE, SAFE, SAFE]);
    assert_eq!(path.table.host.stats().size_probes, 1);
    assert_eq!(path.mss(), FULL);
    assert!(path.sizes.iter().filter(|size| **size == FULL).count() > 5);
}

#[test]
fn a_lost_probe_is_sent_again_in_smaller_segments_and_the_window_stays() {
    let mut path = Path::after_a_black_hole(1200);
    path.table.now += Duration::from_secs(1);
    let (table, handle) = (&mut path.table, path.handle);
    assert_eq!(table.host.write(table.now, handle, &[7; 12_000]), Ok(12_000));
    path.written += 12_000;
    let sent = path.table.poll();
    let before = path.table.info(handle);
    let len: Vec<_> = sent.iter().map(|p| p.data().len()).collect();
    assert!(len[0] == FULL && len[1..].iter().all(|len| *len <= SAFE), "{len:?}");
    let start = sent[0].header().sequence;
    let again = path.deliver(sent);
    let again: Vec<_> = again.iter().map(|p| (p.header().sequence - start, p.data().len())).collect();
    let again: Vec<_> = again.into_iter().filter(|(at, _)| *at < FULL as u32).collect();
    assert_eq!(again, [(0, SAFE), (SAFE as u32, FULL - SAFE)], "in two");
    let after = path.table.info(handle);
    assert!(after.congestion_window >= before.congestion_window && !after.recovering, "{before:?} {after:?}");
    assert_eq!(after.slow_start_threshold, before.slow_start_threshold);
    let stats = path.table.host.stats();
    assert_eq!((stats.fast_retransmits, stats.size_probes), (0, 1));
}

#[test]
fn the_search_ends_near_the_path_s_size_and_probes_no_more() {
    for takes in [1000, 1100, 1200, 1240, 1300, 1400, 1452] {
        let mut path = Path::after_a_black_hole(takes);
        for _ in 0..40 {
            path.table.now += Duration::from_secs(2);
            path.transfer(30_000);
        }
        let (mss, probes) = (path.mss(), path.table.host.stats().size_probes);
        assert!(mss <= takes && takes < mss + 32, "{takes}: {mss}, {:?}", path.probes());
        assert!(probes <= 16, "{takes}: {probes} probes");
        let stats = path.table.host.stats();
        assert_eq!((stats.timeouts, stats.fast_retransmits, stats.black_holes), (3, 0, 1), "{takes}");
        path.sizes.clear();
        path.transfer(30_000);
        assert!(path.sizes.iter().all(|size| *size <= mss));
        // The path may have become wider: after ten minutes the full size is tried.
        path.takes = FULL;
        path.table.now += Duration::from_secs(601);
        path.transfer(30_000);
        path.transfer(30_000);
        assert_eq!(path.mss(), FULL, "{takes}");
    }
}

#[test]
fn a_router_that_speaks_after_all_says_which_size_is_next() {
    let mut path = Path::after_a_black_hole(1200);
    path.table.now += Duration::from_secs(1);
    assert_eq!(path.table.host.write(path.table.now, path.handle, &[7; 30_000]), Ok(30_000));
    path.written += 30_000;
    let sent = path.table.poll();
    assert_eq!(sent[0].data().len(), FULL);
    let believed =
        path.table.host.unreachable(path.table.now, IcmpError::TooBig(1240), B, A, &sent[0].bytes[..8]);
    assert!(believed);
    let sent = [sent, path.table.poll()].concat();
    path.go_on(sent);
    assert_eq!(path.probes(), [FULL, 1200], "never one between");
    assert_eq!(path.mss(), 1200);
}

#[test]
fn there_is_no_probe_where_it_does_not_pay() {
    // Little data; a path that is as wide as both links; not wanted.
    let mut path = Path::after_a_black_hole(FULL);
    for _ in 0..5 {
        path.table.now += Duration::from_secs(2);
        path.transfer(5000);
    }
    assert_eq!(path.table.host.stats().size_probes, 0);
    let mut path = Path::new(Config::default(), FULL);
    path.transfer(50_000);
    assert_eq!((path.table.host.stats().size_probes, path.mss()), (0, FULL));
    let mut path = Path::new(Config { probe_sizes: false, ..Config::default() }, SAFE);
    path.transfer(14_600);
    path.takes = FULL;
    path.transfer(50_000);
    assert_eq!((path.table.host.stats().size_probes, path.mss()), (0, SAFE));
}
