//! Tables of packets: what is sent to a host, what it answers, and that it answers nothing else.
use super::link::*;
use crate::{
    Error,
    tcp::{Config, Handle, ListenerHandle, State},
    wire::tcp::{Flags, Header, Options},
};
use airglow_device::{Endpoint, Instant};
use core::{net::SocketAddr, time::Duration};

pub(super) const SYN: Flags = Flags::SYN;
pub(super) const ACK: Flags = Flags::ACK;
pub(super) const RST: Flags = Flags::RST;
pub(super) const FIN_ACK: Flags = Flags(0x11);
pub(super) const SYN_ACK: Flags = Flags(0x12);
pub(super) const PSH_ACK: Flags = Flags(0x18);
pub(super) const RST_ACK: Flags = Flags(0x14);

/// A host at B, and a peer at A that the test plays.
pub(super) struct Table {
    pub(super) host: Host,
    pub(super) now: Instant,
    pub(super) listener: Option<ListenerHandle>,
    /// The host's initial sequence number.
    pub(super) iss: u32,
    /// The host's port, the peer's port.
    pub(super) ports: (u16, u16),
}

/// The peer's initial sequence number.
pub(super) const IRS: u32 = 1000;

impl Table {
    pub(super) fn new(config: Config) -> Self {
        Self::with_buffers(config, 8192)
    }

    pub(super) fn with_buffers(config: Config, bytes: usize) -> Self {
        Self::with_config(Config { timestamps: false, ..config }, bytes)
    }
    pub(super) fn with_timestamps() -> Self {
        Self::with_config(Config::default(), 8192)
    }
    fn with_config(config: Config, bytes: usize) -> Self {
        let mut host = Host::new(heap(bytes), config, [9; 32]);
        let listener = host.listen(Endpoint::from(80), 2).ok();
        Self { host, now: Instant::from_secs(50), listener, iss: 0, ports: (80, 5000) }
    }

    pub(super) fn listening() -> Self {
        Self::new(Config::default())
    }

    pub(super) fn established() -> (Self, Handle) {
        Self::established_with(Config::default())
    }

    pub(super) fn established_with(config: Config) -> (Self, Handle) {
        let mut table = Self::new(config);
        let options = Options { mss: Some(1000), ..Options::default() };
        let answers = table.send(Header { options, ..table.segment(SYN, IRS, 0) }, b"");
        table.iss = answers[0].header().sequence;
        table.expect_none(ACK, IRS + 1, table.iss + 1, b"");
        let handle = table.host.accept(table.listener.unwrap()).unwrap();
        (table, handle)
    }

    pub(super) fn segment(&self, flags: Flags, sequence: u32, acknowledgment: u32) -> Header {
        Header {
            source_port: self.ports.1,
            destination_port: self.ports.0,
            sequence,
            acknowledgment,
            flags,
            window: 4000,
            ..Header::default()
        }
    }

    /// What the host sends by itself now.
    pub(super) fn poll(&mut self) -> Vec<Packet> {
        let mut sent = Vec::new();
        let mut ring = Ring { addr: B, link: Link::default(), sent: &mut sent, left: 100 };
        assert!(self.host.poll_transmit(self.now, &mut ring));
        sent
    }

    /// What the host answers to a segment.
    pub(super) fn send(&mut self, header: Header, data: &[u8]) -> Vec<Packet> {
        let mut bytes = vec![0; header.len()];
        header.emit(&mut bytes);
        bytes.extend_from_slice(data);
        let mut sent = Vec::new();
        let mut ring = Ring { addr: B, link: Link::default(), sent: &mut sent, left: 100 };
        self.host.input(self.now, A, B, 0, &bytes, 0, &mut ring);
        sent.extend(self.poll());
        sent
    }

    pub(super) fn answers(&mut self, flags: Flags, seq: u32, ack: u32, data: &[u8]) -> Vec<Packet> {
        self.send(self.segment(flags, seq, ack), data)
    }

    /// One answer with these control bits, sequence and acknowledgment number.
    #[track_caller]
    pub(super) fn expect(
        &mut self,
        flags: Flags,
        seq: u32,
        ack: u32,
        data: &[u8],
        answer: (Flags, u32, u32),
    ) -> Packet {
        let mut answers = self.answers(flags, seq, ack, data);
        assert_eq!(answers.len(), 1, "{answers:?}");
        let header = answers[0].header();
        assert_eq!((header.flags, header.sequence, header.acknowledgment), answer);
        answers.remove(0)
    }

    #[track_caller]
    pub(super) fn expect_none(&mut self, flags: Flags, seq: u32, ack: u32, data: &[u8]) {
        let answers = self.answers(flags, seq, ack, data);
        assert_eq!(answers, [], "{:?}", answers.iter().map(Packet::header).collect::<Vec<_>>());
    }

    pub(super) fn wait(&mut self, time: Duration) -> Vec<Packet> {
        let end = self.now + time;
        let mut sent = Vec::new();
        while let Some(at) = self.host.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            sent.extend(self.poll());
        }
        self.now = end;
        sent
    }

    pub(super) fn read(&mut self, handle: Handle) -> Result<Option<Vec<u8>>, Error> {
        self.host.read_with(self.now, handle, 0, |bytes| (bytes.len(), bytes.to_vec()))
    }
}

#[test]
fn a_segment_for_nobody_is_reset() {
    let mut table = Table::listening();
    table.ports.0 = 81;
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.1
    //= type=test
    //# If the ACK bit is off, sequence number zero is used,
    //#    <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>
    table.expect(SYN, 7, 0, b"abc", (RST_ACK, 0, 11));
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.1
    //= type=test
    //# If the ACK bit is on,
    //#    <SEQ=SEG.ACK><CTL=RST>
    table.expect(ACK, 7, 99, b"", (RST, 99, 0));
    table.expect_none(RST, 7, 0, b"");
    table.expect_none(RST_ACK, 7, 99, b"");
}

#[test]
fn the_listener_answers_what_rfc_9293_says() {
    let mut table = Table::listening();
    table.expect_none(RST, 7, 0, b"");
    table.expect(ACK, 7, 99, b"", (RST, 99, 0));
    table.expect_none(Flags::FIN, 7, 0, b"");
    table.expect_none(SYN | Flags::FIN, 7, 0, b"");
    table.expect_none(Flags(0), 7, 0, b"");
    let answer = table.answers(SYN, IRS, 0, b"").remove(0).header();
    assert_eq!((answer.flags, answer.acknowledgment), (SYN_ACK, IRS + 1));
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.7.1
    //= type=test
    //# TCP implementations SHOULD send an MSS Option in every SYN segment
    assert_eq!(answer.options.mss, Some(1460));
    assert_eq!(answer.options.window_scale, None, "not offered, so not answered");
    assert_eq!(table.host.usage().connections, 0, "a half-open connection costs no connection");
}

#[test]
fn a_handshake_that_goes_wrong() {
    let mut table = Table::listening();
    let iss = table.answers(SYN, IRS, 0, b"").remove(0).header().sequence;
    // The same SYN again: the same answer.
    table.expect(SYN, IRS, 0, b"", (SYN_ACK, iss, IRS + 1));
    // An acknowledgment of something else.
    table.expect(ACK, IRS + 1, iss + 2, b"", (RST, iss + 2, 0));
    // Outside the window.
    table.expect(ACK, IRS, iss + 1, b"", (SYN_ACK, iss, IRS + 1));
    // A reset that is not exactly at RCV.NXT does nothing, one that is ends it.
    table.expect_none(RST, IRS + 5, 0, b"");
    assert_eq!(table.host.usage().half_open, 1);
    table.expect_none(RST, IRS + 1, 0, b"");
    assert_eq!(table.host.usage().half_open, 0);
}

#[test]
fn the_syn_ack_is_sent_again_and_then_given_up() {
    let mut table = Table::listening();
    table.answers(SYN, IRS, 0, b"");
    let again = table.wait(Duration::from_secs(200));
    assert_eq!(again.len(), 5);
    assert!(again.iter().all(|p| p.header().flags == SYN_ACK));
    assert_eq!(table.host.usage().half_open, 0);
    assert_eq!(table.host.stats().handshakes_abandoned, 1);
}

#[test]
fn the_backlog_bounds_both_queues() {
    let mut table = Table::listening();
    let open = |table: &mut Table, port: u16, acknowledge: bool| -> usize {
        table.ports.1 = port;
        let answers = table.answers(SYN, IRS, 0, b"");
        if let (Some(answer), true) = (answers.first(), acknowledge) {
            let iss = answer.header().sequence;
            table.answers(ACK, IRS + 1, iss + 1, b"");
        }
        answers.len()
    };
    // Two in the accept queue, two in the SYN queue; the fifth SYN gets no answer.
    let answered: Vec<usize> = (0..5).map(|i| open(&mut table, 6000 + i, true)).collect();
    assert_eq!(answered, [1, 1, 1, 1, 0]);
    let usage = table.host.usage();
    assert_eq!((usage.connections, usage.half_open), (2, 2));
    assert_eq!(table.host.stats().syn_queue_full, 1);
    assert_eq!(table.host.stats().accept_queue_full, 2);
    // The user accepts: a waiting handshake completes at the peer's next segment.
    assert!(table.host.accept(table.listener.unwrap()).is_some());
    let again = table.wait(Duration::from_secs(1));
    assert!(again.iter().any(|p| p.header().flags == SYN_ACK));
    let iss = again.iter().find(|p| p.header().destination_port == 6002).unwrap().header().sequence;
    table.ports.1 = 6002;
    table.answers(ACK, IRS + 1, iss + 1, b"");
    assert_eq!(table.host.usage().connections, 3);
}

#[test]
fn resets_must_hit_the_next_sequence_number() {
    let (mut table, handle) = Table::established();
    let iss = table.iss;
    //= https://www.rfc-editor.org/rfc/rfc5961#section-3.2
    //= type=test
    //# 1) If the RST bit is set and the sequence number is outside the
    //#    current receive window, silently drop the segment.
    table.expect_none(RST, IRS + 60_000, 0, b"");
    table.expect_none(RST, IRS, 0, b"");
    // Inside the window but not next: a challenge.
    table.expect(RST, IRS + 100, 0, b"", (ACK, iss + 1, IRS + 1));
    // Not twice in a moment.
    table.expect_none(RST, IRS + 101, 0, b"");
    assert_eq!(table.host.state(handle), Ok(State::Established));
    table.expect_none(RST, IRS + 1, 0, b"");
    assert_eq!(table.host.state(handle), Err(Error::ConnectionReset));
    assert_eq!(table.read(handle), Err(Error::ConnectionReset));
}

#[test]
fn a_syn_on_an_open_connection_is_challenged() {
    let (mut table, handle) = Table::established();
    let iss = table.iss;
    //= https://www.rfc-editor.org/rfc/rfc5961#section-4.2
    //= type=test
    //# 1) If the SYN bit is set, irrespective of the sequence number, TCP
    //#    MUST send an ACK (also referred to as challenge ACK) to the remote
    //#    peer:
    for seq in [IRS, IRS + 1, IRS + 50_000] {
        table.expect(SYN, seq, 0, b"", (ACK, iss + 1, IRS + 1));
        table.now += Duration::from_millis(50);
    }
    table.expect(SYN_ACK, IRS, iss + 1, b"", (ACK, iss + 1, IRS + 1));
    assert_eq!(table.host.state(handle), Ok(State::Established));
}

#[test]
fn impossible_acknowledgments_are_challenged() {
    let (mut table, handle) = Table::established();
    let iss = table.iss;
    table.expect(ACK, IRS + 1, iss + 2, b"x", (ACK, iss + 1, IRS + 1));
    table.now += Duration::from_secs(1);
    table.expect(ACK, IRS + 1, iss - 100_000, b"x", (ACK, iss + 1, IRS + 1));
    assert_eq!(table.read(handle), Ok(None), "the data of such segments does not count");
}

#[test]
fn data_is_acknowledged_late_or_with_the_second_segment() {
    let (mut table, handle) = Table::established();
    let iss = table.iss;
    table.expect_none(PSH_ACK, IRS + 1, iss + 1, b"hello");
    assert_eq!(table.read(handle), Ok(Some(b"hello".to_vec())));
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.3
    //= type=test
    //# in particular, the delay MUST be less than 0.5 seconds
    let late = table.wait(Duration::from_millis(499));
    assert_eq!(late.len(), 1);
    assert_eq!(late[0].header().acknowledgment, IRS + 6);
    // Two full-sized segments.
    table.expect_none(ACK, IRS + 6, iss + 1, &[1; 1000]);
    table.expect(ACK, IRS + 1006, iss + 1, &[2; 1000], (ACK, iss + 1, IRS + 2006));
    // An answer carries the acknowledgment.
    table.expect_none(PSH_ACK, IRS + 2006, iss + 1, b"?");
    table.host.write(table.now, handle, b"!").unwrap();
    let answer = table.poll();
    assert_eq!(answer.len(), 1);
    assert_eq!((answer[0].data(), answer[0].header().acknowledgment), (&b"!"[..], IRS + 2007));
    assert_eq!(table.wait(Duration::from_millis(100)), [], "nothing is left to acknowledge");
}

#[test]
fn disorder_is_answered_at_once_and_put_in_order() {
    let (mut table, handle) = Table::established();
    let iss = table.iss;
    //= https://www.rfc-editor.org/rfc/rfc5681#section-3.2
    //= type=test
    //# A TCP receiver SHOULD send an immediate duplicate ACK when an out-
    //# of-order segment arrives.
    table.expect(ACK, IRS + 4, iss + 1, b"def", (ACK, iss + 1, IRS + 1));
    table.expect(ACK, IRS + 10, iss + 1, b"jkl", (ACK, iss + 1, IRS + 1));
    table.expect(ACK, IRS + 1, iss + 1, b"abcde", (ACK, iss + 1, IRS + 7));
    assert_eq!(table.read(handle), Ok(Some(b"abcdef".to_vec())));
    // Overlapping what is there already, and filling the hole.
    table.expect(ACK, IRS + 5, iss + 1, b"efghijk", (ACK, iss + 1, IRS + 13));
    assert_eq!(table.read(handle), Ok(Some(b"ghijkl".to_vec())));
    // An old segment: acknowledged again.
    table.expect(ACK, IRS + 1, iss + 1, b"abc", (ACK, iss + 1, IRS + 13));
}

#[test]
fn an_acknowledgment_at_the_edge_of_the_window_counts() {
    let (mut table, handle) = Table::established();
    let iss = table.iss;
    table.host.write(table.now, handle, b"question").unwrap();
    assert_eq!(table.poll().len(), 1);
    // The peer has sent 8192 bytes, all the window takes, and all of them are lost; its acknowledgment is not.
    table.answers(ACK, IRS + 1 + 8192, iss + 9, b"");
    assert!(table.host.is_delivered(handle));
    // One byte further is outside.
    table.host.write(table.now, handle, b"more").unwrap();
    assert_eq!(table.poll().len(), 1);
    table.answers(ACK, IRS + 2 + 8192, iss + 13, b"");
    assert!(!table.host.is_delivered(handle));
}

#[test]
fn selective_acknowledgments_report_the_latest_first() {
    let mut table = Table::listening();
    let options = Options { mss: Some(1000), sack_permitted: true, ..Options::default() };
    let answer = table.send(Header { options, ..table.segment(SYN, IRS, 0) }, b"").remove(0).header();
    assert!(answer.options.sack_permitted);
    let iss = answer.sequence;
    table.expect_none(ACK, IRS + 1, iss + 1, b"");
    let at = |n: u32| IRS + 1 + n * 10;
    let mut blocks = Vec::new();
    for n in [1, 5, 3] {
        let answer = table.expect(ACK, at(n), iss + 1, &[7; 10], (ACK, iss + 1, IRS + 1));
        blocks = answer.header().options.sack.as_slice().to_vec();
    }
    //= https://www.rfc-editor.org/rfc/rfc2018#section-4
    //= type=test
    //# The first SACK block (i.e., the one immediately following the
    //# kind and length fields in the option) MUST specify the contiguous
    //# block of data containing the segment which triggered this ACK,
    assert_eq!(blocks, [(at(3), at(4)), (at(5), at(6)), (at(1), at(2))]);
}

#[test]
fn half_close_in_both_orders() {
    // The peer closes first.
    let (mut table, handle) = Table::established();
    let iss = table.iss;
    table.expect(FIN_ACK, IRS + 1, iss + 1, b"bye", (ACK, iss + 1, IRS + 5));
    assert_eq!(table.host.state(handle), Ok(State::CloseWait));
    assert_eq!(table.read(handle), Ok(Some(b"bye".to_vec())));
    assert_eq!(table.read(handle), Ok(Some(vec![])), "the end, again and again");
    assert_eq!(table.read(handle), Ok(Some(vec![])));
    assert_eq!(table.host.write(table.now, handle, b"still here"), Ok(10));
    assert_eq!(table.poll().len(), 1);
    table.host.close(table.now, handle).unwrap();
    let fin = table.poll().remove(0).header();
    assert_eq!((fin.flags, fin.sequence), (FIN_ACK, iss + 11));
    assert_eq!(table.host.state(handle), Ok(State::LastAck));
    table.expect_none(ACK, IRS + 5, iss + 12, b"");
    assert_eq!(table.host.state(handle), Ok(State::Closed));
    table.host.release(table.now, handle);
    assert_eq!(table.host.usage(), Default::default());

    // We close first.
    let (mut table, handle) = Table::established();
    let iss = table.iss;
    table.host.close(table.now, handle).unwrap();
    assert_eq!(table.poll().len(), 1);
    assert_eq!(table.host.write(table.now, handle, b"x"), Err(Error::NotConnected));
    table.expect_none(ACK, IRS + 1, iss + 2, b"");
    assert_eq!(table.host.state(handle), Ok(State::FinWait2));
    table.expect_none(ACK, IRS + 1, iss + 2, b"more");
    assert_eq!(table.read(handle), Ok(Some(b"more".to_vec())));
    table.expect(FIN_ACK, IRS + 5, iss + 2, b"", (ACK, iss + 2, IRS + 6));
    assert_eq!(table.host.state(handle), Ok(State::TimeWait));
    assert_eq!(table.read(handle), Ok(Some(vec![])));
    table.host.release(table.now, handle);
    let usage = table.host.usage();
    assert_eq!((usage.connections, usage.time_wait), (0, 1));
}

#[test]
fn time_wait_answers_and_ends() {
    let (mut table, handle) = Table::established();
    let iss = table.iss;
    table.host.close(table.now, handle).unwrap();
    table.poll();
    table.expect(FIN_ACK, IRS + 1, iss + 2, b"", (ACK, iss + 2, IRS + 2));
    table.host.release(table.now, handle);
    table.now += Duration::from_secs(30);
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
    //= type=test
    //# Remain in the TIME-WAIT state. Restart the 2 MSL time-wait timeout.
    table.expect(FIN_ACK, IRS + 1, iss + 2, b"", (ACK, iss + 2, IRS + 2));
    table.expect_none(RST, IRS + 2, 0, b"");
    table.expect(SYN, IRS, 0, b"", (ACK, iss + 2, IRS + 2));
    table.wait(Duration::from_secs(59));
    assert_eq!(table.host.usage().time_wait, 1);
    // A new SYN beyond the old connection's numbers opens a new one, with a new number of ours.
    let answer = table.answers(SYN, IRS + 100, 0, b"").remove(0).header();
    assert_eq!((answer.flags, answer.acknowledgment), (SYN_ACK, IRS + 101));
    assert!((answer.sequence.wrapping_sub(iss + 2) as i32) > 0);
    assert_eq!(table.host.usage().time_wait, 0);
}

#[test]
fn time_wait_lasts_two_msl() {
    let (mut table, handle) = Table::established();
    let iss = table.iss;
    table.host.close(table.now, handle).unwrap();
    table.poll();
    table.answers(FIN_ACK, IRS + 1, iss + 2, b"");
    table.host.release(table.now, handle);
    table.wait(Duration::from_secs(60) - Duration::from_millis(1));
    assert_eq!(table.host.usage().time_wait, 1);
    table.wait(Duration::from_millis(1));
    assert_eq!(table.host.usage(), Default::default());
}

#[test]
fn an_abort_resets_and_a_release_without_close_does_too() {
    for abort in [true, false] {
        let (mut table, handle) = Table::established();
        table.host.write(table.now, handle, b"half an answer").unwrap();
        table.poll();
        if abort {
            table.host.abort(table.now, handle);
        } else {
            table.host.release(table.now, handle);
        }
        let reset = table.poll();
        assert_eq!(reset.len(), 1);
        assert_eq!((reset[0].header().flags, reset[0].header().sequence), (RST_ACK, table.iss + 15));
        table.host.release(table.now, handle);
        assert_eq!(table.host.usage(), Default::default());
    }
}

#[test]
fn an_active_open_and_its_refusal() {
    let mut table = Table::listening();
    let connect = |table: &mut Table| {
        let mut sent = Vec::new();
        let mut ring = Ring { addr: B, link: Link::default(), sent: &mut sent, left: 1 };
        let handle = table.host.connect(table.now, SocketAddr::new(A, 7), &mut ring).unwrap();
        let syn = table.poll().remove(0).header();
        assert_eq!((syn.flags, syn.acknowledgment, syn.destination_port), (SYN, 0, 7));
        table.ports = (syn.source_port, 7);
        (handle, syn.sequence)
    };
    // A reset that acknowledges something else does nothing; the right one refuses.
    let (handle, iss) = connect(&mut table);
    table.expect_none(RST_ACK, 0, iss + 2, b"");
    table.expect_none(RST, 0, 0, b"");
    table.expect(ACK, 5, iss + 9, b"", (RST, iss + 9, 0));
    assert_eq!(table.host.state(handle), Ok(State::SynSent));
    table.expect_none(RST_ACK, 0, iss + 1, b"");
    assert_eq!(table.host.state(handle), Err(Error::ConnectionRefused));
    table.host.release(table.now, handle);
    // The answer.
    let (handle, iss) = connect(&mut table);
    table.expect(SYN_ACK, IRS, iss + 1, b"", (ACK, iss + 1, IRS + 1));
    assert_eq!(table.host.state(handle), Ok(State::Established));
    assert_eq!(table.host.write(table.now, handle, &[3; 600]), Ok(600));
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.7.1
    //= type=test
    //# If an MSS Option is not received at connection setup, TCP implementations MUST assume
    //# a default send MSS of 536
    assert_eq!(table.poll()[0].data().len(), 536);
    table.host.release(table.now, handle);
    table.poll();
    // Nobody answers.
    let (handle, _) = connect(&mut table);
    let again = table.wait(Duration::from_secs(400));
    assert!(again.len() >= 7 && again.iter().all(|p| p.header().flags == SYN), "{}", again.len());
    assert_eq!(table.host.state(handle), Err(Error::TimedOut));
}

#[test]
fn nagle_gathers_and_nodelay_does_not() {
    for nodelay in [false, true] {
        let (mut table, handle) = Table::established();
        table.host.set_nodelay(table.now, handle, nodelay);
        let mut sizes = Vec::new();
        for _ in 0..3 {
            table.host.write(table.now, handle, b"abc").unwrap();
            sizes.extend(table.poll().iter().map(|p| p.data().len()));
        }
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.7.4
        //= type=test
        //# A TCP implementation SHOULD implement the Nagle algorithm to coalesce short segments
        assert_eq!(sizes, if nodelay { vec![3, 3, 3] } else { vec![3] });
        let ack = table.iss + 4;
        let more = table.answers(ACK, IRS + 1, ack, b"");
        assert_eq!(more.iter().map(|p| p.data().len()).sum::<usize>(), if nodelay { 0 } else { 6 });
    }
}

#[test]
fn a_closed_window_is_probed_until_it_opens() {
    let (mut table, handle) = Table::established();
    let iss = table.iss;
    let closed = Header { window: 0, ..table.segment(ACK, IRS + 1, iss + 1) };
    assert_eq!(table.send(closed, b""), []);
    table.host.write(table.now, handle, b"squeeze").unwrap();
    assert_eq!(table.poll(), []);
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.1
    //= type=test
    //# The transmitting host SHOULD send the first zero-window probe when a zero window has existed for
    //# the retransmission timeout period (SHLD-29) (Section 3.8.1), and SHOULD increase exponentially the interval
    //# between successive probes (SHLD-30).
    let mut times = Vec::new();
    let start = table.now;
    for _ in 0..4 {
        let at = table.host.poll_timeout().unwrap();
        table.now = at;
        let probe = table.poll();
        assert_eq!(probe.len(), 1);
        assert_eq!((probe[0].data(), probe[0].header().sequence), (&b"s"[..], iss + 1));
        times.push(at.since(start));
        assert_eq!(table.send(closed, b""), []);
    }
    let gaps: Vec<Duration> = times.windows(2).map(|w| w[1] - w[0]).collect();
    assert!(gaps.windows(2).all(|w| w[1] >= w[0] * 19 / 10), "{times:?}");
    // Hours of that do not end it.
    for _ in 0..100 {
        table.wait(Duration::from_secs(60));
        assert_eq!(table.send(closed, b""), []);
    }
    assert_eq!(table.host.state(handle), Ok(State::Established));
    let open = table.answers(ACK, IRS + 1, iss + 1, b"");
    assert_eq!((open.len(), open[0].header().sequence, open[0].data()), (1, iss + 1, &b"s"[..]));
    let rest = table.answers(ACK, IRS + 1, iss + 2, b"");
    assert_eq!((rest.len(), rest[0].data()), (1, &b"queeze"[..]));
}

#[test]
fn the_receiver_avoids_silly_windows() {
    let (mut table, handle) = Table::established();
    let iss = table.iss;
    // Fill the buffer of 8192 bytes.
    let mut at = IRS + 1;
    let mut window = 0;
    while at < IRS + 1 + 8192 {
        let n = 1000.min((IRS + 1 + 8192 - at) as usize);
        if let Some(answer) = table.answers(ACK, at, iss + 1, &vec![1; n]).last() {
            window = answer.header().window;
        }
        at += n as u32;
    }
    if let Some(answer) = table.wait(Duration::from_millis(100)).last() {
        window = answer.header().window;
    }
    assert_eq!(window, 0);
    // A probe of the closed window is answered, and its byte not taken.
    let answer = table.expect(ACK, at, iss + 1, b"p", (ACK, iss + 1, at));
    assert_eq!(answer.header().window, 0);
    // A few bytes read do not open it; a segment's worth does.
    let mut updates = Vec::new();
    for _ in 0..10 {
        table.host.read_with(table.now, handle, 0, |_| (100, ())).unwrap();
        updates.push(table.poll().len());
    }
    assert_eq!(updates.iter().sum::<usize>(), 1, "{updates:?}");
    assert_eq!(updates.last(), Some(&1));
}

#[test]
fn keep_alive_finds_a_dead_peer() {
    let (mut table, handle) = Table::established();
    let iss = table.iss;
    table.host.set_keep_alive(table.now, handle, Some(Duration::from_secs(100)));
    assert_eq!(table.wait(Duration::from_secs(99)), []);
    let probe = table.wait(Duration::from_secs(1)).remove(0).header();
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.4
    //= type=test
    //# SND.NXT-1
    assert_eq!((probe.sequence, probe.flags), (iss, ACK));
    // An answer starts it anew.
    table.expect_none(ACK, IRS + 1, iss + 1, b"");
    assert_eq!(table.wait(Duration::from_secs(80)).len(), 0);
    let probes = table.wait(Duration::from_secs(1000));
    assert_eq!(table.host.state(handle), Err(Error::TimedOut));
    assert_eq!(probes.iter().filter(|p| p.header().flags == ACK).count(), 8);
    assert_eq!(probes.last().unwrap().header().flags, RST_ACK);
}

#[test]
fn without_answer_data_is_sent_again_and_the_connection_ends() {
    let (mut table, handle) = Table::established();
    let iss = table.iss;
    table.host.write(table.now, handle, b"anyone?").unwrap();
    assert_eq!(table.poll().len(), 1);
    let again = table.wait(Duration::from_secs(500));
    let data: Vec<_> = again.iter().filter(|p| !p.data().is_empty()).collect();
    assert!(data.len() >= 7, "{}", data.len());
    assert!(data.iter().all(|p| p.header().sequence == iss + 1 && p.data() == b"anyone?"));
    assert_eq!(table.host.state(handle), Err(Error::TimedOut));
    assert_eq!(again.last().unwrap().header().flags, RST_ACK);
}

#[test]
fn three_duplicates_bring_a_fast_retransmit() {
    let (mut table, handle) = Table::established();
    let iss = table.iss;
    table.host.write(table.now, handle, &[5; 4000]).unwrap();
    assert_eq!(table.poll().len(), 4);
    table.now += Duration::from_millis(10);
    table.expect_none(ACK, IRS + 1, iss + 1, b"");
    table.expect_none(ACK, IRS + 1, iss + 1, b"");
    //= https://www.rfc-editor.org/rfc/rfc5681#section-3.2
    //= type=test
    //# The TCP sender SHOULD use the "fast retransmit" algorithm to detect and repair loss,
    //# based on incoming duplicate ACKs.
    let again = table.answers(ACK, IRS + 1, iss + 1, b"");
    assert_eq!(again.len(), 1);
    assert_eq!((again[0].header().sequence, again[0].data().len()), (iss + 1, 1000));
    // A partial acknowledgment: the next hole at once.
    let next = table.answers(ACK, IRS + 1, iss + 2001, b"");
    assert_eq!((next.len(), next[0].header().sequence), (1, iss + 2001));
    table.expect_none(ACK, IRS + 1, iss + 4001, b"");
    assert_eq!(table.wait(Duration::from_secs(100)), []);
    assert_eq!(table.host.stats().timeouts, 0);
}

#[test]
fn old_timestamps_are_refused() {
    let mut table = Table::listening();
    table.host = Host::new(heap(8192), Config::default(), [9; 32]);
    table.listener = table.host.listen(Endpoint::from(80), 2).ok();
    let stamped =
        |value, echo| Options { mss: Some(1000), timestamps: Some((value, echo)), ..Options::default() };
    let answer = table.send(Header { options: stamped(100, 0), ..table.segment(SYN, IRS, 0) }, b"").remove(0);
    let (own, echo) = answer.header().options.timestamps.unwrap();
    assert_eq!(echo, 100);
    let iss = answer.header().sequence;
    let segment = table.segment(ACK, IRS + 1, iss + 1);
    assert_eq!(table.send(Header { options: stamped(101, own), ..segment }, b""), []);
    let handle = table.host.accept(table.listener.unwrap()).unwrap();
    //= https://www.rfc-editor.org/rfc/rfc7323#section-5.3
    //= type=test
    //# SEG.TSval < TS.Recent
    let answer = table.send(Header { options: stamped(50, own), ..segment }, b"old").remove(0).header();
    assert_eq!((answer.acknowledgment, answer.options.timestamps.unwrap().1), (IRS + 1, 101));
    assert_eq!(table.read(handle), Ok(None));
    table.send(Header { options: stamped(102, own), ..segment }, b"new");
    assert_eq!(table.read(handle), Ok(Some(b"new".to_vec())));
}

#[test]
fn an_icmp_error_must_quote_what_is_in_flight() {
    use crate::tcp::IcmpError;
    let (mut table, handle) = Table::established();
    table.host.write(table.now, handle, &[1; 1000]).unwrap();
    assert_eq!(table.poll().len(), 1);
    let quote = |seq: u32| {
        let mut bytes = [0; 8];
        bytes[..2].copy_from_slice(&80u16.to_be_bytes());
        bytes[2..4].copy_from_slice(&5000u16.to_be_bytes());
        bytes[4..].copy_from_slice(&seq.to_be_bytes());
        bytes
    };
    let iss = table.iss;
    for forged in [iss, iss + 1001, iss + 90_000] {
        table.host.unreachable(table.now, IcmpError::TooBig(600), B, A, &quote(forged));
        assert_eq!(table.poll(), []);
    }
    table.host.unreachable(table.now, IcmpError::TooBig(600), B, A, &quote(iss + 1));
    assert_eq!(table.poll()[0].data().len(), 560);
    // A hard error does not end an open connection (RFC 5927 section 5.2).
    table.host.unreachable(table.now, IcmpError::Hard, B, A, &quote(iss + 1));
    assert_eq!(table.host.state(handle), Ok(State::Established));
}
