//! Requirements that no scenario shows by the way, each in a few packets.
use super::{
    link::*,
    loss::{MS, MSS, established_with},
    packets::{ACK, IRS, RST_ACK, SYN, Table},
};
use crate::{
    Error,
    tcp::{Config, Handle, State},
    wire::tcp::{Header, Options},
};
use core::{net::SocketAddr, time::Duration};

/// A connection whose peer is 20 ms away, with SACK or without.
fn established(sack: bool) -> (Table, Handle) {
    let (mut table, handle) = established_with(Config::default(), sack);
    table.acknowledge(0, &[]);
    (table, handle)
}

/// An acknowledgment of `ack` segments that offers a window of so many bytes; the numbers of the segments that go out.
fn offer(table: &mut Table, ack: u32, window: u16) -> Vec<u32> {
    let header = Header { window, ..table.segment(ACK, IRS + 1, table.iss + 1 + ack * MSS) };
    let sent = table.send(header, b"");
    table.numbers(&sent)
}

// RFC 9293 section 3.1, MUST-1.
#[test]
fn a_window_beyond_half_its_range_is_no_negative_one() {
    let (mut table, handle) = established(true);
    for window in [0x7fff, 0x8000, 0xffff] {
        offer(&mut table, 0, window);
        assert_eq!(table.info(handle).send_window, u32::from(window));
    }
    assert_eq!(table.write(handle, 12).len(), 10, "the initial congestion window");
}

// RFC 9293 section 3.1, MUST-68 and MUST-69, and section 3.2, MUST-65.
#[test]
fn options_have_lengths_padding_is_zero_and_the_mss_is_in_syns_alone() {
    let check = |packet: &Packet| {
        let header_len = usize::from(packet.bytes[12] >> 4) * 4;
        let mut options = &packet.bytes[20..header_len];
        let mut kinds = Vec::new();
        while let [kind, rest @ ..] = options {
            options = match kind {
                0 => {
                    assert!(rest.iter().all(|octet| *octet == 0), "{:?}", packet.bytes);
                    break;
                }
                1 => rest,
                _ => {
                    kinds.push(*kind);
                    options.split_at(usize::from(rest[0])).1
                }
            };
        }
        assert_eq!(kinds.contains(&2), packet.header().flags.has(SYN), "{:?}", packet.bytes);
    };
    let mut table = Table::with_buffers(Config::default(), 8192);
    for options in [
        Options { mss: Some(1000), ..Options::default() },
        Options { mss: Some(1000), window_scale: Some(3), ..Options::default() },
        Options { mss: Some(1000), sack_permitted: true, timestamps: Some((1, 0)), ..Options::default() },
    ] {
        table.ports.1 += 1;
        let answers = table.send(Header { options, ..table.segment(SYN, IRS, 0) }, b"");
        check(&answers[0]);
    }
    let (mut table, handle) = established(true);
    table.write(handle, 3).iter().for_each(check);
    // With selective acknowledgments.
    let iss = table.iss;
    table.answers(ACK, IRS + 2001, iss + 1, b"later").iter().for_each(check);
}

// RFC 9293 section 3.5, MUST-11: a refused passive open is back at LISTEN and nobody hears of it, a refused active one is told.
#[test]
fn who_has_opened_decides_what_a_reset_before_the_connection_means() {
    let mut table = Table::listening();
    let iss = table.answers(SYN, IRS, 0, b"")[0].header().sequence;
    table.expect_none(RST_ACK, IRS + 1, iss + 1, b"");
    assert!(table.host.accept(table.listener.unwrap()).is_none());
    let again = table.answers(SYN, IRS + 77, 0, b"");
    assert_eq!(again[0].header().acknowledgment, IRS + 78, "it listens");
    let mut sent = Vec::new();
    let mut ring = Ring { addr: B, link: Link::default(), sent: &mut sent, left: 1 };
    let handle = table.host.connect(table.now, SocketAddr::new(A, 7), &mut ring).unwrap();
    let syn = table.poll()[0].header();
    table.ports = (syn.source_port, 7);
    // Both open at once, and then the peer changes its mind.
    table.answers(SYN, IRS, 0, b"");
    assert_eq!(table.host.state(handle), Ok(State::SynReceived));
    table.expect_none(RST_ACK, IRS + 1, syn.sequence + 1, b"");
    assert_eq!(table.host.state(handle), Err(Error::ConnectionRefused));
}

// RFC 9293 section 3.8.3, MUST-23.
#[test]
fn a_syn_is_sent_again_for_three_minutes() {
    let mut table = Table::listening();
    let mut sent = Vec::new();
    let mut ring = Ring { addr: B, link: Link::default(), sent: &mut sent, left: 1 };
    let handle = table.host.connect(table.now, SocketAddr::new(A, 7), &mut ring).unwrap();
    table.wait(Duration::from_millis(179_900));
    assert_eq!(table.host.state(handle), Ok(State::SynSent));
    table.wait(Duration::from_secs(60));
    assert_eq!(table.host.state(handle), Err(Error::TimedOut));
}

// RFC 9293 section 3.10.7.4, MUST-59, and RFC 5681 section 4.2: no more than one acknowledgment for each segment.
#[test]
fn queued_segments_are_all_processed_before_one_acknowledgment() {
    let (mut table, _) = established(true);
    let data = [5; 1000];
    for number in 0..6 {
        let header = table.segment(ACK, IRS + 1 + number * MSS, table.iss + 1);
        let mut bytes = vec![0; header.len()];
        header.emit(&mut bytes);
        bytes.extend(data);
        let mut sent = Vec::new();
        let mut ring = Ring { addr: B, link: Link::default(), sent: &mut sent, left: 9 };
        table.host.input(table.now, A, B, 0, &bytes, 0, &mut ring);
        assert!(sent.is_empty());
    }
    let answers = table.poll();
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].header().acknowledgment, IRS + 1 + 6 * MSS);
    // In order, doubled, beyond a gap: one answer each at the most.
    for number in [6, 6, 8, 9, 8, 7, 12, 11, 10] {
        let seq = IRS + 1 + number * MSS;
        assert!(table.answers(ACK, seq, table.iss + 1, &data).len() <= 1, "{number}");
    }
}

// RFC 6298 section 3.
#[test]
fn every_round_trip_is_measured() {
    let (mut table, handle) = established(false);
    for number in 0..60 {
        let time = if (20..40).contains(&number) { 60 } else { 20 };
        table.write(handle, 1);
        table.now += time * MS;
        offer(&mut table, number + 1, 60_000);
        if number == 39 {
            let smoothed = table.info(handle).round_trip.unwrap();
            assert!(smoothed > 55 * MS && smoothed <= 60 * MS, "{smoothed:?}");
        }
    }
    let smoothed = table.info(handle).round_trip.unwrap();
    assert!(smoothed < 25 * MS, "{smoothed:?}");
}

// RFC 6298 section 5: never earlier than a timeout after the last sending of it.
#[test]
fn nothing_is_sent_again_before_its_timeout() {
    let (mut table, handle) = established(false);
    table.write(handle, 1);
    for _ in 0..2 {
        let timeout = table.info(handle).timeout;
        assert_eq!(table.wait(timeout - MS), []);
        let again = table.wait(MS);
        assert_eq!(table.numbers(&again), [0]);
    }
}

// RFC 5681 section 2: the lesser of both windows.
#[test]
fn neither_window_is_exceeded() {
    let (mut table, handle) = established(true);
    offer(&mut table, 0, 5000);
    assert_eq!(table.write(handle, 20).len(), 5, "the peer's window");
    assert_eq!(offer(&mut table, 0, 60_000), [5, 6, 7, 8, 9], "the congestion window");
    // It shrinks (RFC 7323 section 2.4): what is out stays out, and nothing new goes beyond it.
    assert_eq!(offer(&mut table, 5, 3000), [], "five are in flight");
    assert_eq!(offer(&mut table, 10, 3000), [10, 11, 12]);
}

// RFC 5681 section 3.2.
#[test]
fn two_duplicates_let_two_new_segments_go_and_leave_the_window_as_it_is() {
    let (mut table, handle) = established(false);
    assert_eq!(table.write(handle, 20).len(), 10);
    table.now += 20 * MS;
    let before = table.info(handle).congestion_window;
    assert_eq!(table.acknowledge(0, &[]), [10]);
    assert_eq!(table.acknowledge(0, &[]), [11]);
    assert_eq!(table.info(handle).congestion_window, before);
}

// RFC 5681 section 3.2: with SACK a duplicate without news lets nothing go.
#[test]
fn a_duplicate_without_news_is_no_reason_to_send() {
    let (mut table, handle) = established(true);
    assert_eq!(table.write(handle, 20).len(), 10);
    table.now += 20 * MS;
    assert_eq!(table.acknowledge(0, &[]), []);
    assert_eq!(table.acknowledge(0, &[(1, 2)]), [10]);
    assert_eq!(table.acknowledge(0, &[(1, 2)]), [], "again");
    assert_eq!(table.acknowledge(0, &[(1, 3)]), [11]);
}

// RFC 8985 section 4: without SACK there is neither RACK nor a tail loss probe.
#[cfg(feature = "rack")]
#[test]
fn without_sack_time_proves_no_loss() {
    let (mut table, handle) = established(false);
    assert_eq!(table.write(handle, 6).len(), 6);
    table.now += 20 * MS;
    assert_eq!(table.acknowledge(0, &[]), []);
    assert_eq!(table.wait(150 * MS), []);
    assert_eq!((table.host.stats().tail_probes, table.host.stats().fast_retransmits), (0, 0));
    table.wait(100 * MS);
    assert_eq!(table.host.stats().timeouts, 1);
}

// RFC 6675 section 5 (A), (B) and (C.1).
#[test]
fn a_recovery_goes_on_until_all_that_was_out_is_acknowledged() {
    let (mut table, handle) = established(true);
    assert_eq!(table.write(handle, 30).len(), 10);
    table.now += 20 * MS;
    table.acknowledge(0, &[(2, 3)]);
    table.acknowledge(0, &[(2, 4)]);
    let mut sent = table.acknowledge(0, &[(2, 5)]);
    for right in 6..=10 {
        sent.extend(table.acknowledge(0, &[(2, right)]));
    }
    assert_eq!(sent[..2], [0, 1], "the holes first: {sent:?}");
    assert!(sent[2..].iter().all(|number| *number >= 10), "then new data: {sent:?}");
    assert!(table.info(handle).recovering);
    // A partial acknowledgment does not end it, one of all that was out does.
    table.now += 20 * MS;
    table.acknowledge(1, &[(2, 10)]);
    assert!(table.info(handle).recovering);
    table.acknowledge(15, &[]);
    assert!(!table.info(handle).recovering);
    assert_eq!(table.host.stats().fast_retransmits, 1);
}

// RFC 6675 section 5.1.
#[test]
fn after_a_timeout_no_recovery_begins_before_all_that_was_out_is_acknowledged() {
    let (mut table, handle) = established(true);
    assert_eq!(table.write(handle, 10).len(), 10);
    while table.host.stats().timeouts == 0 {
        table.wait(10 * MS);
    }
    let before = table.host.stats().fast_retransmits;
    for (ack, right) in [(1, 4), (1, 5), (1, 6), (1, 7), (2, 8)] {
        table.now += 5 * MS;
        table.acknowledge(ack, &[(3, right)]);
    }
    assert_eq!(table.host.stats().fast_retransmits, before);
    assert!(table.info(handle).recovering);
    table.acknowledge(10, &[]);
    assert!(!table.info(handle).recovering);
}

// RFC 7323 section 3.2: the echo in a segment without ACK means nothing.
#[test]
fn a_syn_s_echo_is_ignored() {
    let mut table = Table::with_timestamps();
    let options = Options { mss: Some(1000), timestamps: Some((5, 0xdead_beef)), ..Options::default() };
    let answers = table.send(Header { options, ..table.segment(SYN, IRS, 0) }, b"");
    let answer = answers[0].header();
    let (value, echo) = answer.options.timestamps.unwrap();
    assert_eq!(echo, 5);
    table.iss = answer.sequence;
    table.now += 20 * MS;
    let options = Options { timestamps: Some((25, value)), ..Options::default() };
    table.send(Header { options, ..table.segment(ACK, IRS + 1, table.iss + 1) }, b"");
    let handle = table.host.accept(table.listener.unwrap()).unwrap();
    assert_eq!(table.info(handle).round_trip, Some(20 * MS));
}

// RFC 7323 section 5.3: only when it arrives is a segment's timestamp looked at.
#[test]
fn what_waits_in_the_queue_is_not_judged_by_later_timestamps() {
    let mut table = Table::with_timestamps();
    let options = Options { mss: Some(1000), timestamps: Some((5, 0)), ..Options::default() };
    let answers = table.send(Header { options, ..table.segment(SYN, IRS, 0) }, b"");
    table.iss = answers[0].header().sequence;
    let stamped = |table: &mut Table, seq: u32, value: u32, data: &[u8]| {
        let options = Options { timestamps: Some((value, 0)), ..Options::default() };
        table.send(Header { options, ..table.segment(ACK, seq, table.iss + 1) }, data)
    };
    stamped(&mut table, IRS + 1, 6, b"");
    let handle = table.host.accept(table.listener.unwrap()).unwrap();
    stamped(&mut table, IRS + 4, 7, b"def");
    stamped(&mut table, IRS + 1, 9, b"abc");
    assert_eq!(table.read(handle), Ok(Some(b"abcdef".to_vec())));
}
