//! Details of SACK, recovery, windows and timestamps that the RFCs ask for by name, each in a few packets.
use super::{
    link::*,
    loss::{MS, MSS, established_with},
    packets::{ACK, IRS, RST, SYN, SYN_ACK, Table},
};
use crate::{
    Error,
    tcp::{Config, Handle, State},
    wire::tcp::{Flags, Header, Options},
};
use airglow_device::Instant;
use core::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::Duration,
};

/// A connection whose peer is 20 ms away, with SACK or without.
fn established(sack: bool) -> (Table, Handle) {
    let (mut table, handle) = established_with(Config::default(), sack);
    table.acknowledge(0, &[]);
    (table, handle)
}

fn blocks(packets: &[Packet]) -> Vec<(u32, u32)> {
    packets.last().unwrap().header().options.sack.as_slice().to_vec()
}

#[test]
fn blocks_tell_of_what_waits_and_of_nothing_else() {
    let (mut table, handle) = established(true);
    let iss = table.iss;
    let data = [1; 1000];
    table.answers(ACK, IRS + 2001, iss + 1, &data);
    let two = table.answers(ACK, IRS + 4001, iss + 1, &data);
    assert_eq!(blocks(&two), [(IRS + 4001, IRS + 5001), (IRS + 2001, IRS + 3001)]);
    //= https://www.rfc-editor.org/rfc/rfc2018#section-8
    //= type=test
    //# Except for the newest segment, all SACK blocks MUST NOT report
    //# any old data which is no longer actually held by the receiver.
    table.answers(ACK, IRS + 1, iss + 1, &data);
    let filled = table.answers(ACK, IRS + 1001, iss + 1, &data);
    assert_eq!(filled[0].header().acknowledgment, IRS + 3001);
    assert_eq!(blocks(&filled), [(IRS + 4001, IRS + 5001)], "the other went to the reader");
    let all = table.answers(ACK, IRS + 3001, iss + 1, &data);
    assert_eq!((all[0].header().acknowledgment, blocks(&all)), (IRS + 5001, vec![]));
    //= https://www.rfc-editor.org/rfc/rfc2018#section-2
    //= type=test
    //# It MUST NOT be sent on non-SYN segments.
    let sent = [two, filled, all, table.write(handle, 3)].concat();
    assert!(sent.iter().all(|packet| !packet.header().options.sack_permitted));
    let permitted = Options { mss: Some(1000), sack_permitted: true, ..Options::default() };
    table.ports.1 += 1;
    let answer = table.send(Header { options: permitted, ..table.segment(SYN, IRS, 0) }, b"");
    assert!(answer[0].header().options.sack_permitted);
}

//= https://www.rfc-editor.org/rfc/rfc2018#section-5
//= type=test
//# The
//# data sender MUST retransmit the segment at the left edge of the
//# window after a retransmit timeout, whether or not the SACKed bit is
//# on for that segment.
#[test]
fn a_timeout_begins_at_the_left_edge() {
    for reported in [&[][..], &[(0, 2)], &[(1, 3)]] {
        let (mut table, handle) = established(true);
        assert_eq!(table.write(handle, 3).len(), 3);
        table.acknowledge(0, reported);
        let mut sent = Vec::new();
        while table.host.stats().timeouts == 0 {
            sent = table.wait(MS);
        }
        assert_eq!(table.numbers(&sent)[0], 0, "{reported:?}");
    }
}

#[test]
fn what_is_reported_after_a_timeout_is_not_sent_again() {
    let (mut table, handle) = established(true);
    assert_eq!(table.write(handle, 10).len(), 10);
    let mut sent = Vec::new();
    while table.host.stats().timeouts == 0 {
        sent = table.wait(MS);
    }
    let mut sent = table.numbers(&sent);
    //= https://www.rfc-editor.org/rfc/rfc6675#section-5.1
    //= type=test
    //# Further, a SACK TCP
    //# sender SHOULD utilize all SACK information made available during the
    //# loss recovery following an RTO.
    //= https://www.rfc-editor.org/rfc/rfc6675#section-5.1
    //= type=test
    //# In this case, a TCP sender SHOULD use
    //# this SACK information when determining what data should be sent in
    //# each segment following an RTO.
    //= https://www.rfc-editor.org/rfc/rfc6675#section-5.1
    //= type=test
    //# As described in Sections 4 and 5,
    //# Update () SHOULD continue to be used appropriately upon receipt of
    //# ACKs.
    for (ack, held) in [(1, &[(3, 7)][..]), (2, &[(3, 7)]), (7, &[]), (8, &[]), (9, &[])] {
        table.now += 20 * MS;
        sent.extend(table.acknowledge(ack, held));
    }
    table.acknowledge(10, &[]);
    sent.retain(|number| *number < 10);
    sent.sort_unstable();
    sent.dedup();
    assert!(sent.iter().all(|number| !(3..7).contains(number)), "{sent:?}");
    assert_eq!(sent[..3], [0, 1, 2]);
}

#[test]
fn two_and_two_duplicates_are_not_three() {
    let (mut table, handle) = established(false);
    assert_eq!(table.write(handle, 6).len(), 6);
    table.now += 20 * MS;
    //= https://www.rfc-editor.org/rfc/rfc6675#section-5
    //= type=test
    //# If the incoming ACK is a cumulative acknowledgment, the TCP MUST
    //# reset DupAcks to zero.
    for ack in [0, 0, 1, 1, 1, 2, 2, 2] {
        assert_eq!(table.acknowledge(ack, &[]), [], "{ack}");
    }
    assert_eq!(table.host.stats().fast_retransmits, 0);
    assert_eq!(table.acknowledge(2, &[]), [2]);
    assert_eq!(table.host.stats().fast_retransmits, 1);
}

#[test]
fn the_pipe_is_what_is_out_and_neither_held_nor_lost() {
    let (mut table, handle) = established(true);
    assert_eq!(table.write(handle, 10).len(), 10);
    assert_eq!(table.info(handle).in_flight, 10 * MSS);
    table.now += 20 * MS;
    table.acknowledge(0, &[(2, 3)]);
    assert_eq!(table.info(handle).in_flight, 9 * MSS, "one is held");
    table.acknowledge(0, &[(2, 4)]);
    assert_eq!(table.info(handle).in_flight, 8 * MSS);
    //= https://www.rfc-editor.org/rfc/rfc6675#section-4
    //= type=test
    //# This routine traverses the sequence space from HighACK to HighData
    //# and MUST set the "pipe" variable to an estimate of the number of
    //# octets that are currently in transit between the TCP sender and
    //# the TCP receiver.
    let mut again = table.acknowledge(0, &[(2, 5)]);
    let out = |again: &[u32], held: u32| (10 - 2 - held) * MSS + again.len() as u32 * MSS;
    assert_eq!(table.info(handle).in_flight, out(&again, 3), "two are lost, and {again:?} are out again");
    for right in 6..=10 {
        again.extend(table.acknowledge(0, &[(2, right)]));
        assert_eq!(table.info(handle).in_flight, out(&again, right - 2));
    }
    assert_eq!(again, [0, 1], "each hole once");
    //= https://www.rfc-editor.org/rfc/rfc6675#section-4
    //= type=test
    //# (5) If the conditions for each of (1), (2), (3), and (4) are not
    //# met, then NextSeg () MUST indicate failure, and no segment is
    //# returned.
    assert_eq!(table.acknowledge(1, &[(2, 10)]), [], "nothing is left to send");
    table.acknowledge(10, &[]);
    assert_eq!(table.info(handle).in_flight, 0);
}

//= https://www.rfc-editor.org/rfc/rfc6675#section-5
//= type=test
//# Any information contained in the
//# scoreboard for sequence numbers greater than the new value of HighACK
//# SHOULD NOT be cleared when leaving the loss recovery phase.
#[test]
fn what_is_known_beyond_a_recovery_is_kept() {
    let (mut table, handle) = established(true);
    assert_eq!(table.write(handle, 30).len(), 10);
    table.now += 20 * MS;
    table.acknowledge(0, &[(1, 4)]);
    for right in 5..=10 {
        table.now += MS;
        table.acknowledge(0, &[(1, right)]);
    }
    let most = table.info(handle).in_flight / MSS + 9;
    assert!(most > 12, "new data is out: {most}");
    // 11 has arrived as well; then all that was out at the loss is acknowledged, and 10 is lost in its turn.
    table.now += 10 * MS;
    table.acknowledge(0, &[(11, 12), (1, 10)]);
    let mut again = table.acknowledge(10, &[]);
    // Later reports leave 11 out. It is not sent again with its neighbour.
    table.now += 10 * MS;
    for right in 13..=most {
        table.now += MS;
        again.extend(table.acknowledge(10, &[(12, right)]));
    }
    let later = table.wait(15 * MS);
    again.extend(table.numbers(&later));
    assert!(again.contains(&10) && !again.contains(&11), "{again:?}");
}

#[test]
fn a_window_that_shrank_still_has_what_was_sent_before() {
    let (mut table, handle) = established(true);
    assert_eq!(table.write(handle, 8).len(), 8);
    // Only two of the eight fit what the peer offers now.
    let shrunken = |table: &mut Table, ack: u32| {
        let header = Header { window: 2000, ..table.segment(ACK, IRS + 1, table.iss + 1 + ack * MSS) };
        let sent = table.send(header, b"");
        table.numbers(&sent)
    };
    table.host.write(table.now, handle, &[7; 5000]).unwrap();
    assert_eq!(shrunken(&mut table, 0), []);
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6
    //= type=test
    //# If this happens, the sender SHOULD NOT send new data (SHLD-15), but
    //# SHOULD retransmit normally the old unacknowledged data between
    //# SND.UNA and SND.UNA+SND.WND (SHLD-16).
    let mut again = Vec::new();
    while again.len() < 3 {
        let sent = table.wait(100 * MS);
        again.extend(table.numbers(&sent));
        assert!(again.iter().all(|number| *number < 8), "{again:?}");
    }
    assert!(again.contains(&0), "{again:?}");
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6
    //= type=test
    //# The sender MAY also
    //# retransmit old data beyond SND.UNA+SND.WND (MAY-7), but SHOULD NOT
    //# time out the connection if data beyond the right window edge is not
    //# acknowledged (SHLD-17).
    shrunken(&mut table, 2);
    for _ in 0..20 {
        table.wait(Duration::from_secs(60));
        let closed = Header { window: 0, ..table.segment(ACK, IRS + 1, table.iss + 1 + 2 * MSS) };
        table.send(closed, b"");
    }
    assert_eq!(table.host.state(handle), Ok(State::Established), "after twenty minutes");
    assert!(!shrunken(&mut table, 2).is_empty());
}

#[test]
fn what_was_in_any_window_we_offered_is_taken() {
    let mut table = Table::with_buffers(Config::default(), 200_000);
    let options = Options { mss: Some(1000), window_scale: Some(3), ..Options::default() };
    let answer = table.send(Header { options, ..table.segment(SYN, IRS, 0) }, b"")[0].header();
    table.iss = answer.sequence;
    let scale = answer.options.window_scale.unwrap();
    assert!(scale > 0);
    table.expect_none(ACK, IRS + 1, table.iss + 1, b"");
    let handle = table.host.accept(table.listener.unwrap()).unwrap();
    // Odd lengths, out of order, so that each is answered: the field has less bits than the window, and so the edge that it says
    // goes to and fro.
    let (mut at, mut edge) = (IRS + 1, 0);
    for len in [997, 3, 1, 999, 500, 7] {
        table.answers(ACK, at + 1, table.iss + 1, &vec![1; len]);
        let answer = table.answers(ACK, at, table.iss + 1, b"x").last().unwrap().header();
        at += len as u32 + 1;
        assert_eq!(answer.acknowledgment, at);
        edge = edge.max(at + (u32::from(answer.window) << scale));
    }
    //= https://www.rfc-editor.org/rfc/rfc7323#section-2.4
    //= type=test
    //# 1) The receiver MUST honor, as in window, any segment that would
    //# have been in window for any <ACK> sent by the receiver.
    //= https://www.rfc-editor.org/rfc/rfc7323#section-2.4
    //= type=test
    //# 2) When window scaling is in effect, the receiver SHOULD track the
    //# actual maximum window sequence number (which is likely to be
    //# greater than the window announced by the most recent <ACK>, if
    //# more than one segment has arrived since the application consumed
    //# any data in the receive buffer).
    while at < edge {
        let len = 1000.min(edge - at);
        table.answers(ACK, at, table.iss + 1, &vec![1; len as usize]);
        at += len;
    }
    assert_eq!(
        table.host.readable(handle) as u32,
        edge - (IRS + 1),
        "to the last byte that was ever offered"
    );
}

/// The timestamps of a connection's answers, each a while after the one before.
fn stamps(table: &mut Table, waits: &[Duration]) -> Vec<u32> {
    let options = Options { mss: Some(1000), timestamps: Some((1, 0)), ..Options::default() };
    table.ports.1 += 1;
    let answer = table.send(Header { options, ..table.segment(SYN, IRS, 0) }, b"")[0].header();
    table.iss = answer.sequence;
    let mut stamps = vec![answer.options.timestamps.unwrap().0];
    let (mut at, mut said) = (IRS + 1, 2);
    for wait in waits {
        table.now += *wait;
        for _ in 0..2 {
            let options = Options { timestamps: Some((said, stamps[0])), ..Options::default() };
            let header = Header { options, ..table.segment(ACK, at, table.iss + 1) };
            let sent = table.send(header, &[1; 1000]);
            at += 1000;
            said += 1;
            stamps.extend(sent.last().map(|packet| packet.header().options.timestamps.unwrap().0));
        }
    }
    stamps
}

#[test]
fn the_timestamp_clock() {
    let mut table = Table::with_timestamps();
    let seconds = [1, 1, 10].map(Duration::from_secs);
    let first = stamps(&mut table, &seconds);
    let ticks: Vec<u32> = first.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    //= https://www.rfc-editor.org/rfc/rfc7323#section-4.1
    //= type=test
    //# Values of this clock MUST be at least
    //# approximately proportional to real time, in order to measure actual
    //# RTT.
    assert_eq!((ticks[0], ticks[1], ticks[2]), (ticks[0], ticks[0], 10 * ticks[0]));
    let rate = u64::from(ticks[0]);
    //= https://www.rfc-editor.org/rfc/rfc7323#section-5.4
    //= type=test
    //# The recycling time of the
    //# timestamp clock MUST be greater than MSL seconds.
    // Half the range is what a comparison sees; the MSL is two minutes (RFC 9293 section 3.4.2).
    assert!((1 << 31) / rate > 120, "{rate} ticks a second");
    //= https://www.rfc-editor.org/rfc/rfc7323#section-5.4
    //= type=test
    //# It MUST tick at
    //# least once for each 2^31 bytes sent.
    //= https://www.rfc-editor.org/rfc/rfc7323#section-5.4
    //= type=test
    //# In fact, in order to be useful to
    //# the sender for round-trip timing, the clock SHOULD tick at least once
    //# per window's worth of data, and even with the window extension
    //# defined in Section 2.2, 2^31 bytes must be at least two windows.
    // A window of 1 GiB in a tick would be as many bytes a second: 8 Tbit/s.
    assert!(rate * (1 << 30) > 1_000_000_000_000, "{rate} ticks a second");
    //= https://www.rfc-editor.org/rfc/rfc7323#section-7
    //= type=test
    //# It is
    //# therefore RECOMMENDED to generate a random, per-connection offset to
    //# be used with the clock source when generating the Timestamps option
    //# value (see Section 5.4).
    //= https://www.rfc-editor.org/rfc/rfc7323#section-7.1
    //= type=test
    //# It is therefore
    //# RECOMMENDED to generate a random, per-connection offset to be used
    //# with the clock source when generating the Timestamps option value
    //# (see Section 5.4).
    let mut offsets: Vec<u32> = (0..4).map(|_| stamps(&mut table, &[])[0]).collect();
    offsets.sort_unstable();
    assert!(offsets.windows(2).all(|pair| pair[1] - pair[0] > 100_000), "{offsets:?}");
}

#[test]
fn a_reset_may_have_a_reason_as_its_data() {
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.5.3
    //= type=test
    //# TCP implementations SHOULD allow a received RST segment to include
    //# data (SHLD-2).
    let (mut table, handle) = established(true);
    let iss = table.iss;
    table.expect_none(RST, IRS + 1, iss + 1, b"I have had enough");
    assert_eq!(table.host.state(handle), Err(Error::ConnectionReset));
    assert_eq!(table.read(handle), Err(Error::ConnectionReset), "and that is nobody's to read");
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.1
//= type=test
//# At all other times, a previous segment has
//# either been sent or received on this connection, and TCP
//# implementations MUST use the same local address that was used in
//# those previous segments (MUST-45).
#[test]
fn a_connection_keeps_its_address() {
    let (mut table, handle) = established(true);
    let mut sent = table.write(handle, 3);
    sent.extend(table.wait(Duration::from_secs(10)));
    let iss = table.iss;
    sent.extend(table.answers(ACK, IRS + 2001, iss + 1, b"later"));
    sent.extend(table.answers(ACK | Flags::FIN, IRS + 1, iss + 1, b""));
    table.host.abort(table.now, handle);
    sent.extend(table.poll());
    assert!(sent.len() > 6);
    assert!(sent.iter().all(|packet| (packet.src, packet.dst) == (B, A)), "{sent:?}");
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.3
//= type=test
//# The value of R2 SHOULD correspond to at least 100 seconds (SHLD-11).
#[test]
fn data_is_sent_again_for_more_than_a_hundred_seconds() {
    let (mut table, handle) = established(true);
    table.write(handle, 1);
    table.wait(Duration::from_secs(100));
    assert_eq!(table.host.state(handle), Ok(State::Established));
}

/// RFC 8985 section 7.2: the SYN-ACK was sent twice, so that its answer is no measurement.
#[cfg(feature = "rack")]
#[test]
fn without_a_round_trip_the_probe_waits_a_second() {
    let mut table = Table::with_buffers(Config::default(), 40_000);
    let options = Options { mss: Some(MSS as u16), sack_permitted: true, ..Options::default() };
    table.iss = table.send(Header { options, ..table.segment(SYN, IRS, 0) }, b"")[0].header().sequence;
    assert_eq!(table.wait(Duration::from_millis(1100)).len(), 1);
    table.expect_none(ACK, IRS + 1, table.iss + 1, b"");
    let handle = table.host.accept(table.listener.unwrap()).unwrap();
    assert_eq!(table.info(handle).round_trip, None);
    assert_eq!(table.write(handle, 1).len(), 1);
    //= https://www.rfc-editor.org/rfc/rfc8985#section-7.2
    //= type=test
    //# Second, when there is no SRTT estimate available, the PTO SHOULD be 1
    //# second.
    assert_eq!(table.wait(Duration::from_millis(999)), []);
    assert_eq!(table.wait(2 * MS).len(), 1);
    assert_eq!((table.host.stats().tail_probes, table.host.stats().timeouts), (1, 0));
}

#[test]
fn segments_over_ipv6() {
    let (us, them): (IpAddr, IpAddr) =
        (Ipv6Addr::LOCALHOST.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2).into());
    let mut host = Table::listening().host;
    let now = Instant::from_secs(50);
    let mut sent = Vec::new();
    // What an MTU of 1500 leaves behind the IPv6 header.
    let link = Link { mtu: 1460, ..Link::default() };
    fn ring(addr: IpAddr, link: Link, sent: &mut Vec<Packet>) -> Ring<'_> {
        Ring { addr, link, sent, left: 100 }
    }
    let handle = host.connect(now, SocketAddr::new(them, 7), &mut ring(us, link, &mut sent)).unwrap();
    host.poll_transmit(now, &mut ring(us, link, &mut sent));
    let syn = sent.remove(0).header();
    //= https://www.rfc-editor.org/rfc/rfc8200#section-8.3
    //= type=test
    //# When using TCP over IPv6, the MSS must be computed as the maximum
    //# packet size minus 60 octets, because the minimum-length IPv6 header
    //# (i.e., an IPv6 header with no extension headers) is 20 octets longer
    //# than a minimum-length IPv4 header.
    assert_eq!(syn.options.mss, Some(1500 - 60));
    let answer = Header {
        source_port: 7,
        destination_port: syn.source_port,
        sequence: IRS,
        acknowledgment: syn.sequence + 1,
        flags: SYN_ACK,
        window: 60_000,
        options: Options::default(),
    };
    let mut bytes = vec![0; answer.len()];
    answer.emit(&mut bytes);
    host.input(now, them, us, 0, &bytes, 0, &mut ring(us, link, &mut sent));
    assert_eq!(host.state(handle), Ok(State::Established));
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.7.1
    //= type=test
    //# If an MSS Option is not received at connection setup, TCP
    //# implementations MUST assume a default send MSS of 536 (576 - 40) for
    //# IPv4 or 1220 (1280 - 60) for IPv6 (MUST-15).
    assert_eq!(host.write(now, handle, &[3; 2000]), Ok(2000));
    sent.clear();
    host.poll_transmit(now, &mut ring(us, link, &mut sent));
    assert_eq!(sent[0].data().len(), 1220);
}

#[cfg(feature = "rack")]
#[test]
fn a_duplicate_makes_the_reordering_window_wider() {
    let (mut table, handle) = established(true);
    table.write(handle, 10);
    table.now += 20 * MS;
    assert_eq!(table.acknowledge(0, &[(1, 4)]), [0]);
    // It was only late: the peer has it twice.
    table.now += 10 * MS;
    table.acknowledge(4, &[]);
    table.acknowledge(4, &[(0, 1)]);
    table.acknowledge(10, &[]);
    table.now += 20 * MS;
    assert_eq!(table.write(handle, 6).len(), 6);
    table.now += 20 * MS;
    //= https://www.rfc-editor.org/rfc/rfc8985#section-3.3.2
    //= type=test
    //# 2. The RACK reordering window SHOULD adaptively increase (using the algorithm in
    //# "Step 4: Update RACK reordering window" below) if the
    //# sender receives a Duplicate Selective Acknowledgment (DSACK)
    //# option [RFC2883].
    //= https://www.rfc-editor.org/rfc/rfc8985#section-4
    //= type=test
    //# 3. RACK DSACK-based reordering window adaptation is RECOMMENDED but
    //# is not required.
    assert_eq!(table.acknowledge(10, &[(11, 12)]), []);
    assert_eq!(table.wait(9 * MS), [], "a quarter of a round trip, twice");
    let again = table.wait(2 * MS);
    assert_eq!(table.numbers(&again), [10]);
}

//= https://www.rfc-editor.org/rfc/rfc7323#section-4.2
//= type=test
//# When multiple RTTMs per RTT are available to update the RTT
//# estimator, an implementation SHOULD try to adhere to the spirit of
//# the history specified in [RFC6298].
#[test]
fn ten_measurements_in_a_round_trip_count_as_one() {
    let (mut table, handle) = established(true);
    table.write(handle, 1);
    table.now += 20 * MS;
    table.acknowledge(1, &[]);
    assert_eq!(table.info(handle).round_trip, Some(20 * MS));
    assert_eq!(table.write(handle, 10).len(), 10);
    table.now += 60 * MS;
    for ack in 2..=11 {
        table.acknowledge(ack, &[]);
    }
    // An eighth of the difference once; ten times it would be 49 ms.
    let smoothed = table.info(handle).round_trip.unwrap();
    assert!(smoothed > 22 * MS && smoothed <= 31 * MS, "{smoothed:?}");
}
