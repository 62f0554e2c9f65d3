//! SEGMENT ARRIVES (RFC 9293 section 3.10.7) for a connection that exists.
use super::{
    Config, Ecn, Error, TcpStats,
    connection::{Connection, State},
    sender::{Acknowledged, Acknowledgment},
    sequence::Seq,
};
use crate::wire::tcp::{Flags, Options, Segment};
use airglow_device::Instant;
use core::time::Duration;

/// A received segment, read.
#[derive(Debug)]
pub(crate) struct Arrived<'a> {
    pub seq: Seq,
    pub ack: Seq,
    pub flags: Flags,
    pub window: u16,
    pub options: Options,
    pub data: &'a [u8],
    /// Size of each segment when several came as one.
    pub segment: u32,
    /// The two ECN bits of its IP header.
    pub ecn: u8,
}

/// Congestion experienced, as the two ECN bits of the IP header (RFC 3168 section 5).
const CONGESTION_EXPERIENCED: u8 = 0b11;

impl<'a> Arrived<'a> {
    pub fn new(segment: &Segment<'a>, gro_segment: u16, ecn: u8) -> Self {
        let data = segment.payload();
        Self {
            seq: Seq(segment.sequence()),
            ack: Seq(segment.acknowledgment()),
            flags: segment.flags(),
            window: segment.window(),
            options: segment.options(),
            data,
            segment: if gro_segment > 0 { gro_segment.into() } else { data.len() as u32 },
            ecn,
        }
    }
    /// SEG.LEN: data, SYN and FIN.
    pub fn len(&self) -> u32 {
        let controls = u32::from(self.flags.has(Flags::SYN)) + u32::from(self.flags.has(Flags::FIN));
        self.data.len() as u32 + controls
    }
}

/// What the caller must send at once, outside the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    None,
    /// `<SEQ=SEG.ACK><CTL=RST>`.
    Reset,
}

/// What input needs besides the connection.
pub(crate) struct Context<'a> {
    pub now: Instant,
    pub config: &'a Config,
    pub stats: &'a mut TcpStats,
    /// The receive ring.
    pub receive: &'a mut [u8],
    /// Length of the send ring.
    pub send: usize,
}

/// RFC 7323 section 5.5: TS.Recent is invalid after 24 days.
const TIMESTAMP_LIFE: Duration = Duration::from_secs(24 * 24 * 3600);

impl Connection {
    pub(crate) fn input(&mut self, cx: &mut Context<'_>, arrived: &Arrived<'_>) -> Reply {
        if self.state == State::SynSent {
            return self.input_syn_sent(cx, arrived);
        }
        if self.is_over() {
            return Reply::None;
        }
        // Header prediction: the next segment in order with nothing but data and an acknowledgment.
        let plain = Flags(arrived.flags.0 & !Flags::PSH.0) == Flags::ACK;
        let expected = plain
            && arrived.seq == self.receive.next
            && arrived.data.len() as u32 <= self.receive.window()
            && self.is_synchronized()
            && !self.is_old_duplicate(cx.now, arrived);
        if !expected {
            let mut stripped = None;
            if let Some(reply) = self.check(cx, arrived, &mut stripped) {
                return reply;
            }
            if let Some(stripped) = stripped {
                self.heard = cx.now;
                return self.input_acceptable(cx, &stripped);
            }
        }
        self.heard = cx.now;
        self.input_acceptable(cx, arrived)
    }

    /// An acceptable segment with ACK, without RST or SYN.
    fn input_acceptable(&mut self, cx: &mut Context<'_>, arrived: &Arrived<'_>) -> Reply {
        if !self.input_acknowledgment(cx, arrived) {
            return Reply::None;
        }
        self.remember_timestamp(cx.now, arrived);
        #[cfg(feature = "user-timeout")]
        self.hear_user_timeout(cx.config, arrived);
        if self.is_over() {
            return Reply::None;
        }
        if !arrived.data.is_empty() || arrived.flags.has(Flags::FIN) {
            self.input_data(cx, arrived);
        }
        Reply::None
    }

    /// The checks before the acknowledgment field: `Some` when the segment ends here.
    fn check<'s>(
        &mut self,
        cx: &mut Context<'_>,
        arrived: &Arrived<'s>,
        stripped: &mut Option<Arrived<'s>>,
    ) -> Option<Reply> {
        let flags = arrived.flags;
        // Simultaneous open: the peer's SYN,ACK carries the sequence number of the SYN we already have.
        if self.state == State::SynReceived
            && flags.has(Flags::SYN | Flags::ACK)
            && !flags.has(Flags::RST)
            && arrived.seq + 1 == self.receive.next
        {
            *stripped = Some(Arrived {
                seq: arrived.seq + 1,
                flags: Flags(flags.0 & !Flags::SYN.0),
                options: arrived.options,
                ..*arrived
            });
        }
        let arrived = stripped.as_ref().unwrap_or(arrived);
        let flags = arrived.flags;
        //= https://www.rfc-editor.org/rfc/rfc7323#section-5.3
        //# If there is a Timestamps option in the arriving segment,
        //# SEG.TSval < TS.Recent, TS.Recent is valid (see later
        //# discussion), and if the RST bit is not set, then treat the
        //# arriving segment as not acceptable:
        let fresh = flags.has(Flags::RST) || !self.is_old_duplicate(cx.now, arrived);
        if !fresh || !self.receive.acceptable(arrived.seq, arrived.len()) {
            cx.stats.unacceptable += 1;
            if !flags.has(Flags::RST) {
                // A probe, a keep-alive, a retransmission: answered; a storm of them without data is not.
                let old_data = !arrived.data.is_empty() || flags.any(Flags::FIN);
                if old_data {
                    if fresh {
                        self.receive.arrived_twice(arrived.seq, arrived.seq + arrived.data.len() as u32);
                    }
                    self.receive.acknowledge_now();
                } else {
                    self.challenge(cx);
                }
                self.heard = cx.now;
                // A closed window accepts no data, yet acknowledgments, RST and URG count (section 3.10.7.4).
                if fresh
                    && self.receive.window() == 0
                    && arrived.seq == self.receive.next
                    && flags.has(Flags::ACK)
                {
                    self.input_acknowledgment(cx, arrived);
                }
            }
            return Some(Reply::None);
        }
        if flags.has(Flags::RST) {
            //= https://www.rfc-editor.org/rfc/rfc5961#section-3.2
            //# 2) If the RST bit is set and the sequence number exactly matches the
            //#    next expected sequence number (RCV.NXT), then TCP MUST reset the
            //#    connection.
            if arrived.seq == self.receive.next {
                cx.stats.resets_received += 1;
                let error = if self.state == State::SynReceived {
                    Error::ConnectionRefused
                } else {
                    Error::ConnectionReset
                };
                self.fail(error);
            } else {
                //= https://www.rfc-editor.org/rfc/rfc5961#section-3.2
                //# TCP MUST send an acknowledgment (challenge ACK):
                self.challenge(cx);
            }
            return Some(Reply::None);
        }
        if flags.has(Flags::SYN) {
            //= https://www.rfc-editor.org/rfc/rfc5961#section-4.2
            //# 1) If the SYN bit is set, irrespective of the sequence number, TCP
            //#    MUST send an ACK (also referred to as challenge ACK) to the remote
            //#    peer:
            self.challenge(cx);
            return Some(Reply::None);
        }
        if !flags.has(Flags::ACK) {
            return Some(Reply::None);
        }
        if self.state == State::SynReceived {
            if !arrived.ack.after(self.send.unacknowledged) || arrived.ack.after(self.send.next) {
                return Some(Reply::Reset);
            }
            self.state = State::Established;
            self.ready = true;
            cx.stats.established += 1;
            self.arm_slow_timer(cx.now, cx.config);
        }
        None
    }

    /// An acknowledgment in answer to a suspicious segment, not more often than the configuration says.
    fn challenge(&mut self, cx: &mut Context<'_>) {
        // RFC 5961 section 7: so that forged segments cannot make this host a source of acknowledgments.
        if cx.now >= self.challenge_at {
            self.challenge_at = cx.now + cx.config.challenge_interval;
            cx.stats.challenge_acks += 1;
            self.receive.acknowledge_now();
        }
    }

    /// PAWS (RFC 7323 section 5.3).
    fn is_old_duplicate(&self, now: Instant, arrived: &Arrived<'_>) -> bool {
        // RFC 7323 section 3.2 lets a segment without the option be dropped; being liberal costs nothing here.
        let Some((value, _)) = arrived.options.timestamps.filter(|_| self.timestamps) else { return false };
        let older = (value.wrapping_sub(self.receive.timestamp) as i32) < 0;
        older && now.since(self.receive.timestamp_at) < TIMESTAMP_LIFE
    }

    /// TS.Recent follows what the peer sends (RFC 7323 section 4.3), in acceptable segments alone: a forged one outside the window must
    /// not make the peer's own look old.
    fn remember_timestamp(&mut self, now: Instant, arrived: &Arrived<'_>) {
        let stamped = arrived.options.timestamps.filter(|_| self.timestamps);
        if let Some((value, _)) = stamped
            && arrived.seq.up_to(self.receive.last_acknowledged)
        {
            (self.receive.timestamp, self.receive.timestamp_at) = (value, now);
        }
    }

    fn input_acknowledgment(&mut self, cx: &mut Context<'_>, arrived: &Arrived<'_>) -> bool {
        let now = cx.now;
        let ack = arrived.ack;
        let una = self.send.unacknowledged;
        if ack.after(self.send.next) || ack.before(una - self.send.most_window) {
            //= https://www.rfc-editor.org/rfc/rfc5961#section-5.2
            //# All incoming segments whose ACK value doesn't satisfy the above condition
            //# MUST be discarded and an ACK sent back.
            cx.stats.unacceptable += 1;
            self.challenge(cx);
            return false;
        }
        if ack.before(una) {
            return true;
        }
        let window = u32::from(arrived.window) << self.send.scale;
        //= https://www.rfc-editor.org/rfc/rfc5681#section-2
        //# An acknowledgment is considered a "duplicate" in the following
        let duplicate = ack == una
            && self.send.in_flight() > 0
            && arrived.data.is_empty()
            && !arrived.flags.has(Flags::FIN)
            && window == self.send.window;
        let result = self.acknowledge(cx, arrived, duplicate);
        cx.stats.fast_retransmits += u64::from(result.lost);
        let (from_seq, from_ack) = self.send.window_from;
        if from_seq.before(arrived.seq) || (from_seq == arrived.seq && from_ack.up_to(ack)) {
            self.send.window_from = (arrived.seq, ack);
            if window != self.send.window {
                self.send.set_window(window);
            }
        }
        if self.send.window == 0 && self.owned {
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.1
            //# As long as the receiving TCP peer continues to send acknowledgments in response to the
            //# probe segments, the sending TCP peer MUST allow the connection to stay open (MUST-37).
            self.send.progress = now;
        }
        if result.progress {
            self.soft_error = false;
            self.wake_writer();
            if self.send.fin_acknowledged {
                self.fin_acknowledged(cx);
            }
        }
        true
    }

    /// Hands the acknowledgment to the sender.
    fn acknowledge(&mut self, cx: &Context<'_>, arrived: &Arrived<'_>, duplicate: bool) -> Acknowledged {
        let echo = arrived.options.timestamps.filter(|_| self.timestamps);
        self.send.acknowledge(&Acknowledgment {
            now: cx.now,
            ack: arrived.ack,
            duplicate,
            sack: arrived.options.sack.as_slice(),
            echo: echo.map(|(_, echo)| echo.wrapping_sub(self.timestamp_offset)),
            floor: cx.config.least_timeout,
            memory: cx.send,
            congestion_experienced: arrived.flags.has(Flags::ECE) && !arrived.flags.has(Flags::SYN),
        })
    }

    fn fin_acknowledged(&mut self, cx: &mut Context<'_>) {
        match self.state {
            State::FinWait1 => {
                self.state = State::FinWait2;
                self.arm_slow_timer(cx.now, cx.config);
            }
            State::Closing => self.state = State::TimeWait,
            State::LastAck => self.state = State::Closed,
            _ => {}
        }
    }

    fn input_data(&mut self, cx: &mut Context<'_>, arrived: &Arrived<'_>) {
        if self.receive.discard && self.state == State::FinWait2 && !arrived.data.is_empty() {
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.6.1
            //# If such a host issues a CLOSE call while received data is still pending in the TCP connection, or if
            //# new data is received after CLOSE is called, its TCP implementation SHOULD send a RST to show that data was lost (SHLD-3).
            self.reset(Error::ConnectionReset);
            return;
        }
        if self.send.ecn {
            // RFC 3168 section 6.1.3: the echo goes on until the peer says that it has reduced its window.
            if arrived.flags.has(Flags::CWR) {
                self.receive.congestion_echo = false;
            }
            if arrived.ecn & 3 == CONGESTION_EXPERIENCED {
                self.receive.congestion_echo = true;
            }
        }
        let before = self.receive.readable();
        let fin = arrived.flags.has(Flags::FIN);
        let text = (arrived.seq, arrived.data, fin);
        self.receive.take(cx.receive, cx.now, cx.config.delayed_ack, text, arrived.segment);
        cx.stats.bytes_received += (self.receive.readable() - before) as u64;
        if self.receive.finished {
            match self.state {
                State::Established => self.state = State::CloseWait,
                State::FinWait1 => self.state = State::Closing,
                State::FinWait2 => self.state = State::TimeWait,
                _ => {}
            }
        }
        if self.receive.readable() > before || self.receive.finished {
            self.wake_reader();
        }
    }

    /// RFC 9293 section 3.10.7.3.
    fn input_syn_sent(&mut self, cx: &mut Context<'_>, arrived: &Arrived<'_>) -> Reply {
        let flags = arrived.flags;
        let acknowledges = flags.has(Flags::ACK);
        if acknowledges && (!arrived.ack.after(self.send.initial) || arrived.ack.after(self.send.next)) {
            return if flags.has(Flags::RST) { Reply::None } else { Reply::Reset };
        }
        if flags.has(Flags::RST) {
            if acknowledges {
                cx.stats.resets_received += 1;
                self.fail(Error::ConnectionRefused);
            }
            return Reply::None;
        }
        if !flags.has(Flags::SYN) {
            return Reply::None;
        }
        let options = &arrived.options;
        let window = u32::from(self.receive.syn_window());
        self.receive.synchronize(arrived.seq, window);
        let timestamps = cx.config.timestamps && options.timestamps.is_some();
        if let Some((value, _)) = options.timestamps {
            (self.receive.timestamp, self.receive.timestamp_at) = (value, cx.now);
        }
        self.negotiated(
            options.mss,
            options.window_scale,
            cx.config.sack && options.sack_permitted,
            timestamps,
        );
        // RFC 3168 section 6.1.1: ECE without CWR; both are set by what only reflects the bits it got.
        self.send.ecn = cx.config.ecn == Ecn::Offer
            && acknowledges
            && flags.has(Flags::ECE)
            && !flags.has(Flags::CWR)
            && !self.send.syn_was_lost();
        self.send.window_from = (arrived.seq, arrived.ack);
        self.send.set_window(arrived.window.into());
        self.heard = cx.now;
        if !acknowledges {
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.3
            //# Otherwise, enter SYN-RECEIVED, form a SYN,ACK segment
            self.state = State::SynReceived;
            self.send.syn_due = true;
            return Reply::None;
        }
        #[cfg(feature = "user-timeout")]
        self.hear_user_timeout(cx.config, arrived);
        self.acknowledge(cx, arrived, false);
        self.state = State::Established;
        self.ready = true;
        cx.stats.established += 1;
        self.arm_slow_timer(cx.now, cx.config);
        self.receive.acknowledge_now();
        if !arrived.data.is_empty() || flags.has(Flags::FIN) {
            let text = Arrived { seq: arrived.seq + 1, options: arrived.options, ..*arrived };
            self.input_data(cx, &text);
        }
        Reply::None
    }
}
