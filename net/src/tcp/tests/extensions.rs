//! Tables of packets for window scaling and timestamps (RFC 7323), and for what one connection may be told to do otherwise.
use super::{link::*, packets::*};
use crate::{
    Error,
    tcp::{Config, Handle, State},
    wire::tcp::{Flags, Header, Options},
};
use airglow_device::Endpoint;
use core::{net::SocketAddr, time::Duration};

/// A host with buffers of 1 MiB, so that it scales windows, and timestamps.
fn listening() -> Table {
    let mut table = Table::with_buffers(Config::default(), 1 << 20);
    table.host = Host::new(heap(1 << 20), Config::default(), [9; 32]);
    table.listener = table.host.listen(Endpoint::from(80), 2).ok();
    table
}

/// Opens a connection with these options in its SYN; the SYN,ACK.
fn open(table: &mut Table, options: Options) -> (Handle, Header) {
    let answer = table.send(Header { options, ..table.segment(SYN, IRS, 0) }, b"").remove(0).header();
    table.iss = answer.sequence;
    let timestamps = answer.options.timestamps.map(|(own, _)| (101, own));
    let options = Options { timestamps, ..Options::default() };
    let last = Header { options, ..table.segment(ACK, IRS + 1, table.iss + 1) };
    assert_eq!(table.send(last, b""), []);
    (table.host.accept(table.listener.unwrap()).unwrap(), answer)
}

#[test]
fn windows_are_scaled_when_both_sides_say_so() {
    let mut table = listening();
    //= https://www.rfc-editor.org/rfc/rfc7323#section-2.3
    //= type=test
    //# If a Window Scale option is received with a shift.cnt value larger than 14, the
    //# TCP SHOULD log the error but MUST use 14 instead of the specified
    //# value.
    for (offered, used) in [(3, 3), (14, 14), (20, 14)] {
        table.ports.1 += 1;
        let options = Options { mss: Some(1000), window_scale: Some(offered), ..Options::default() };
        let (handle, answer) = open(&mut table, options);
        // The scale of 1 MiB; its own window is not scaled.
        assert_eq!((answer.options.window_scale, answer.window), (Some(5), 0xffff));
        assert_eq!(table.host.info(handle).unwrap().send_window, 4000 << used);
        // What goes out is scaled.
        let more = table.expect(ACK, IRS + 2, table.iss + 1, b"x", (ACK, table.iss + 1, IRS + 1)).header();
        assert_eq!(more.window, 4096, "128 KiB are offered at first");
        // The option in a segment without SYN is ignored.
        let options = Options { window_scale: Some(1), ..Options::default() };
        table.send(Header { options, window: 5000, ..table.segment(ACK, IRS + 2, table.iss + 1) }, b"");
        assert_eq!(table.host.info(handle).unwrap().send_window, 5000 << used);
    }
    // Not offered, not used.
    table.ports.1 += 1;
    let (handle, answer) = open(&mut table, Options { mss: Some(1000), ..Options::default() });
    assert_eq!(answer.options.window_scale, None);
    assert_eq!(table.host.info(handle).unwrap().send_window, 4000);
}

#[test]
fn our_own_syn_offers_everything() {
    let mut table = listening();
    let mut sent = Vec::new();
    let mut ring = Ring { addr: B, link: Link::default(), sent: &mut sent, left: 1 };
    let handle = table.host.connect(table.now, SocketAddr::new(A, 7), &mut ring).unwrap();
    let syn = table.poll().remove(0).header();
    //= https://www.rfc-editor.org/rfc/rfc7323#section-3.2
    //= type=test
    //# If the ACK bit is not set in the outgoing TCP header, the sender of that segment SHOULD
    //# set the TSecr field to zero.
    assert_eq!((syn.options.window_scale, syn.options.timestamps.unwrap().1), (Some(5), 0));
    assert!(syn.options.sack_permitted);
    assert_eq!((syn.options.mss, syn.window), (Some(1460), 0xffff));
    // An answer without these options: none is used.
    table.ports = (syn.source_port, 7);
    let options = Options { mss: Some(900), ..Options::default() };
    let header = Header { options, ..table.segment(SYN_ACK, IRS, syn.sequence + 1) };
    let ack = table.send(header, b"").remove(0).header();
    assert_eq!((ack.options.timestamps, ack.window), (None, 0xffff));
    //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
    //= type=test
    //# As specified in [RFC3390], the SYN/ACK and the acknowledgment of the
    //# SYN/ACK MUST NOT increase the size of the congestion window.
    assert_eq!(table.host.info(handle).unwrap().congestion_window, 9000);
    table.now += Duration::from_millis(5);
    assert_eq!(table.host.write(table.now, handle, &[1; 900]), Ok(900));
    assert_eq!(table.poll()[0].data().len(), 900);
}

#[test]
fn a_connection_whose_syn_was_lost_begins_with_one_segment() {
    let mut table = listening();
    let mut sent = Vec::new();
    let mut ring = Ring { addr: B, link: Link::default(), sent: &mut sent, left: 1 };
    let handle = table.host.connect(table.now, SocketAddr::new(A, 7), &mut ring).unwrap();
    let syn = table.poll().remove(0).header();
    assert_eq!(table.wait(Duration::from_millis(1500)).len(), 1, "the SYN again");
    table.ports = (syn.source_port, 7);
    let options = Options { mss: Some(1000), ..Options::default() };
    table.send(Header { options, ..table.segment(SYN_ACK, IRS, syn.sequence + 1) }, b"");
    //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
    //= type=test
    //# Further, if the SYN or SYN/ACK is
    //# lost, the initial window used by a sender after a correctly
    //# transmitted SYN MUST be one segment consisting of at most SMSS bytes.
    assert_eq!(table.host.info(handle).unwrap().congestion_window, 1000);
    //= https://www.rfc-editor.org/rfc/rfc6298#section-5
    //= type=test
    //# If the timer expires awaiting the ACK of a SYN segment and the
    //# TCP implementation is using an RTO less than 3 seconds, the RTO
    //# MUST be re-initialized to 3 seconds when data transmission
    //# begins (i.e., after the three-way handshake completes).
    assert_eq!(table.host.info(handle).unwrap().timeout, Duration::from_secs(3));
    // The same on the other side.
    let mut table = listening();
    let options = Options { mss: Some(1000), ..Options::default() };
    let syn_ack = table.send(Header { options, ..table.segment(SYN, IRS, 0) }, b"").remove(0).header();
    assert_eq!(table.wait(Duration::from_millis(1500)).len(), 1, "the SYN,ACK again");
    table.expect_none(ACK, IRS + 1, syn_ack.sequence + 1, b"");
    let handle = table.host.accept(table.listener.unwrap()).unwrap();
    assert_eq!(table.host.info(handle).unwrap().congestion_window, 1000);
}

/// What a segment of the peer with this timestamp is.
fn stamped(table: &Table, flags: Flags, seq: u32, value: u32) -> Header {
    let options = Options { timestamps: Some((value, 0)), ..Options::default() };
    Header { options, ..table.segment(flags, seq, table.iss + 1) }
}

#[test]
fn timestamps_are_echoed_by_the_rules() {
    let mut table = listening();
    let offer = Options { mss: Some(1000), timestamps: Some((100, 0)), ..Options::default() };
    let (handle, answer) = open(&mut table, offer);
    assert_eq!(answer.options.timestamps.unwrap().1, 100);
    let echo = |packets: Vec<Packet>| packets.last().unwrap().header().options.timestamps.unwrap().1;
    //= https://www.rfc-editor.org/rfc/rfc7323#section-4.3
    //= type=test
    //# Thus, when delayed ACKs are in use, the
    //# receiver SHOULD reply with the TSval field from the earliest
    //# unacknowledged segment.
    assert_eq!(table.send(stamped(&table, ACK, IRS + 1, 110), &[1; 1000]), []);
    let both = table.send(stamped(&table, ACK, IRS + 1001, 120), &[1; 1000]);
    assert_eq!(echo(both), 110);
    //= https://www.rfc-editor.org/rfc/rfc7323#section-4.3
    //= type=test
    //# An <ACK> for an out-of-order
    //# segment SHOULD, therefore, contain the timestamp from the most
    //# recent segment that advanced RCV.NXT.
    let out_of_order = table.send(stamped(&table, ACK, IRS + 3001, 140), &[1; 1000]);
    assert_eq!(echo(out_of_order), 110);
    //= https://www.rfc-editor.org/rfc/rfc7323#section-4.3
    //= type=test
    //# Thus, the timestamp from
    //# the latest segment (which filled the hole) MUST be echoed.
    let filled = table.send(stamped(&table, ACK, IRS + 2001, 150), &[1; 1000]);
    assert_eq!(echo(filled), 150);
    // A segment without the option neither ends the connection nor is refused.
    assert_eq!(table.send(table.segment(ACK, IRS + 4001, table.iss + 1), b"plain"), []);
    assert_eq!(table.host.readable(handle), 4005);
    // A forged segment far outside the window does not make the peer's look old.
    table.now += Duration::from_secs(1);
    table.send(stamped(&table, ACK, IRS.wrapping_sub(1 << 30), 1 << 30), b"forged");
    table.send(stamped(&table, ACK, IRS + 4006, 160), b"genuine");
    assert_eq!(table.host.readable(handle), 4012);
    //= https://www.rfc-editor.org/rfc/rfc7323#section-5.2
    //= type=test
    //# When an <RST> segment is received, it MUST NOT be subjected to
    //# the PAWS check by verifying an acceptable value in SEG.TSval
    table.send(stamped(&table, RST, IRS + 4013, 1), b"");
    assert_eq!(table.host.state(handle), Err(Error::ConnectionReset));
}

#[test]
fn timestamps_that_were_not_agreed_on_are_ignored() {
    let (mut table, handle) = Table::established();
    let iss = table.iss;
    //= https://www.rfc-editor.org/rfc/rfc7323#section-3.2
    //= type=test
    //# If a TSopt is
    //# received on a connection where TSopt was not negotiated in the initial
    //# three-way handshake, the TSopt MUST be ignored and the packet
    //# processed normally.
    for (n, value) in [(0, 1 << 31), (1, 5)] {
        assert_eq!(table.send(stamped(&table, ACK, IRS + 1 + n, value), b"x"), []);
    }
    assert_eq!(table.host.readable(handle), 2);
    let late = table.wait(Duration::from_millis(100)).remove(0).header();
    assert_eq!((late.acknowledgment, late.options.timestamps), (IRS + 3, None));
    let _ = iss;
}

#[test]
fn resets_carry_timestamps() {
    let mut table = listening();
    let offer = Options { mss: Some(1000), timestamps: Some((100, 0)), ..Options::default() };
    let (handle, _) = open(&mut table, offer);
    table.host.abort(table.now, handle);
    //= https://www.rfc-editor.org/rfc/rfc7323#section-5.2
    //= type=test
    //# If an <RST> is being
    //# generated because of a user abort, and Snd.TS.OK is set, then a
    //# Timestamps option SHOULD be included in the <RST>.
    let reset = table.poll().remove(0).header();
    assert_eq!((reset.flags, reset.options.timestamps.unwrap().1), (RST_ACK, 101));
    table.host.release(table.now, handle);
    //= https://www.rfc-editor.org/rfc/rfc7323#section-5.2
    //= type=test
    //# In the <RST> segment, SEG.TSecr SHOULD be set to SEG.TSval from the
    //# incoming segment and SEG.TSval SHOULD be set to zero.
    let reset = table.send(stamped(&table, ACK, IRS + 1, 77), b"").remove(0).header();
    assert_eq!((reset.flags, reset.options.timestamps), (RST, Some((0, 77))));
}

#[test]
fn a_segment_sent_twice_is_not_timed() {
    let (mut table, handle) = Table::established();
    let before = table.host.info(handle).unwrap();
    table.host.write(table.now, handle, b"once").unwrap();
    table.poll();
    assert_eq!(table.wait(Duration::from_millis(350)).len(), 1, "again");
    //= https://www.rfc-editor.org/rfc/rfc6298#section-3
    //= type=test
    //# RTT samples MUST NOT be made using segments that were
    //# retransmitted (and thus for which it is ambiguous whether the reply
    //# was for the first instance of the packet or a later instance).
    table.expect_none(ACK, IRS + 1, table.iss + 5, b"");
    let after = table.host.info(handle).unwrap();
    assert_eq!((after.round_trip, after.timeout), (before.round_trip, before.timeout));
}

#[test]
fn the_user_timeout_is_each_connection_s_own() {
    let (mut table, handle) = Table::established();
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.3
    //= type=test
    //# An application MUST (MUST-21) be able to set the value for R2 for a particular connection.
    table.host.set_user_timeout(handle, Some(Duration::from_secs(10)));
    table.host.write(table.now, handle, b"anyone?").unwrap();
    table.poll();
    table.wait(Duration::from_secs(5));
    assert_eq!(table.host.state(handle), Ok(State::Established));
    assert!(table.host.info(handle).unwrap().timeouts >= 3);
    table.wait(Duration::from_secs(10));
    assert_eq!(table.host.state(handle), Err(Error::TimedOut));
    // And for ever.
    let (mut table, handle) = Table::established();
    table.host.set_user_timeout(handle, Some(Duration::MAX));
    table.host.write(table.now, handle, b"anyone?").unwrap();
    table.poll();
    table.wait(Duration::from_secs(100_000));
    assert_eq!(table.host.state(handle), Ok(State::Established));
}

#[test]
fn the_code_point_travels_with_each_packet() {
    let (mut table, handle) = Table::established();
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.9
    //= type=test
    //# The application layer MUST be able to specify the Differentiated Services field for segments
    //# that are sent on a connection (MUST-48).
    table.host.set_dscp(handle, 46);
    table.host.write(table.now, handle, b"voice").unwrap();
    assert_eq!(table.poll()[0].ecn, 46 << 2);
    table.host.set_dscp(handle, 0);
    table.expect_none(ACK, IRS + 1, table.iss + 6, b"");
    table.host.write(table.now, handle, b"data").unwrap();
    assert_eq!(table.poll()[0].ecn, 0);
}

#[test]
fn a_soft_error_can_be_asked_for() {
    use crate::tcp::IcmpError;
    let (mut table, handle) = Table::established();
    table.host.write(table.now, handle, b"hello").unwrap();
    table.poll();
    let mut quote = [0; 8];
    quote[..2].copy_from_slice(&80u16.to_be_bytes());
    quote[2..4].copy_from_slice(&5000u16.to_be_bytes());
    quote[4..].copy_from_slice(&(table.iss + 1).to_be_bytes());
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.2.2
    //= type=test
    //# Since these Unreachable messages indicate soft error conditions, a TCP implementation
    //# MUST NOT abort the connection (MUST-56)
    assert!(table.host.unreachable(table.now, IcmpError::Soft, B, A, &quote));
    assert!(table.host.info(handle).unwrap().unreachable);
    assert_eq!(table.host.state(handle), Ok(State::Established));
    table.expect_none(ACK, IRS + 1, table.iss + 6, b"");
    assert!(!table.host.info(handle).unwrap().unreachable, "over with the next answer");
}

#[test]
fn a_closed_window_still_hears_resets() {
    let (mut table, handle) = Table::established();
    let iss = table.iss;
    for n in 0..8 {
        table.answers(ACK, IRS + 1 + n * 1024, iss + 1, &[1; 1024]);
    }
    table.wait(Duration::from_millis(100));
    assert_eq!(table.host.info(handle).unwrap().receive_window, 0);
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.4
    //= type=test
    //# A TCP receiver MUST process the RST and URG fields of all incoming segments, even when the
    //# receive window is zero (MUST-66).
    table.expect_none(RST, IRS + 1 + 8192, 0, b"");
    assert_eq!(table.host.state(handle), Err(Error::ConnectionReset));
}

#[cfg(feature = "user-timeout")]
mod user_timeout {
    use super::*;

    fn exchanging(on: bool) -> Config {
        Config { exchange_user_timeouts: on, ..Config::default() }
    }

    /// The peer asks for a timeout; how many seconds the connection then lasts without an answer.
    fn lasts(config: Config, own: Option<u64>, field: u16) -> u64 {
        let (mut table, handle) = Table::established_with(config);
        if let Some(own) = own {
            table.host.set_user_timeout(handle, Some(Duration::from_secs(own)));
        }
        let options = Options { user_timeout: Some(field), ..Options::default() };
        let header = Header { options, ..table.segment(ACK, IRS + 1, table.iss + 1) };
        assert_eq!(table.send(header, b""), []);
        table.host.write(table.now, handle, b"anyone?").unwrap();
        table.poll();
        let mut seconds = 0;
        while table.host.state(handle).is_ok() {
            table.wait(Duration::from_secs(10));
            seconds += 10;
            assert!(seconds < 100_000);
        }
        seconds
    }

    #[test]
    fn the_longer_of_two_timeouts_counts_within_limits() {
        // A connection ends with the retransmission after its time, a minute later at most.
        let near = |seconds: u64, wanted: u64| {
            assert!((wanted..=wanted + 70).contains(&seconds), "{seconds} for {wanted}")
        };
        near(lasts(exchanging(true), None, 600), 600);
        near(lasts(exchanging(true), None, 0x8000 | 20), 1200);
        near(lasts(exchanging(true), None, 5), 120);
        near(lasts(exchanging(true), None, 0xffff), 3600);
        //= https://www.rfc-editor.org/rfc/rfc5482#section-3.1
        //= type=test
        //# If the CHANGEABLE flag is false, USER_TIMEOUT MUST NOT
        //# be changed, regardless of the received UTO option.
        near(lasts(exchanging(true), Some(200), 600), 200);
        near(lasts(exchanging(false), None, 600), 120);
        near(lasts(exchanging(true), None, 0), 120);
    }

    #[test]
    fn our_timeout_is_told() {
        for on in [true, false] {
            let mut table = Table::new(exchanging(on));
            let told = |packet: &Packet| packet.header().options.user_timeout;
            // In our SYN and in the acknowledgment that ends the handshake.
            let mut sent = Vec::new();
            let mut ring = Ring { addr: B, link: Link::default(), sent: &mut sent, left: 1 };
            let handle = table.host.connect(table.now, SocketAddr::new(A, 7), &mut ring).unwrap();
            let syn = table.poll().remove(0);
            assert_eq!(told(&syn), on.then_some(120));
            table.ports = (syn.header().source_port, 7);
            let iss = syn.header().sequence;
            let last = table.answers(SYN_ACK, IRS, iss + 1, b"").remove(0);
            assert_eq!(told(&last), on.then_some(120));
            //= https://www.rfc-editor.org/rfc/rfc5482#section-3
            //= type=test
            //# A host that supports the UTO option SHOULD include one in the next
            //# possible outgoing segment whenever it starts using a new user timeout
            //# for the connection.
            table.host.set_user_timeout(handle, Some(Duration::from_secs(40_000)));
            assert_eq!(table.host.write(table.now, handle, b"data"), Ok(4));
            assert_eq!(told(&table.poll()[0]), None, "full-sized data has no room for it");
            let late = table.expect(ACK, IRS + 2, iss + 5, b"x", (ACK, iss + 5, IRS + 1));
            assert_eq!(told(&late), on.then_some(0x8000 | 667));
            let again = table.expect(ACK, IRS + 3, iss + 5, b"x", (ACK, iss + 5, IRS + 1));
            assert_eq!(told(&again), None, "once");
        }
    }
}
