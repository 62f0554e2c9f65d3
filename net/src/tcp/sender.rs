//! The sending half of a connection: what was written, what is in flight, what is lost, what may go now.
//!
//! SND.NXT never goes back. What is taken for lost lies below `lost`, what of it was sent again below `resent`; the rest in
//! flight is the RFC 6675 "pipe", computed from these, the scoreboard or the count of duplicate acknowledgments. NewReno,
//! SACK recovery and recovery after a timeout are so one piece of code that differs in how `lost` moves.
use super::{
    buffer::SendQueue,
    congestion::{Ack, Algorithm, Congestion, CongestionControl},
    reassembly::Ranges,
    rtt::RoundTrip,
    sequence::Seq,
};
use airglow_device::Instant;
use core::time::Duration;

/// How the sender sees the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing is known to be lost.
    Open,
    /// Fast recovery (RFC 6582, RFC 6675) until `recover` is acknowledged.
    Recovery,
    /// After a retransmission timeout, until `recover` is acknowledged.
    Loss,
}

/// SND.UNA and all that belongs to it.
#[derive(Debug)]
pub(crate) struct Sender {
    /// ISS.
    pub initial: Seq,
    /// SND.UNA.
    pub unacknowledged: Seq,
    /// SND.NXT.
    pub next: Seq,
    /// SND.WND, in bytes.
    pub window: u32,
    /// The largest window the peer ever offered.
    pub most_window: u32,
    /// SND.WL1 and SND.WL2.
    pub window_from: (Seq, Seq),
    /// The peer's window scale.
    pub scale: u8,
    /// Data bytes of a full-sized segment.
    pub mss: u32,
    pub queue: SendQueue,
    pub nodelay: bool,
    /// A SYN must be sent (again).
    pub syn_due: bool,
    syn_acknowledged: bool,
    syn_lost: bool,
    pub fin_queued: bool,
    fin_sent: bool,
    pub fin_acknowledged: bool,
    pub sack: bool,
    sacked: Ranges,
    sacked_bytes: u32,
    duplicates: u32,
    phase: Phase,
    recover: Seq,
    lost: Seq,
    resent: Seq,
    /// The next retransmission goes out even if the window is full.
    force: bool,
    /// SND.NXT when the first hole was last sent again: what was sent later and arrives proves a second loss.
    resent_mark: Seq,
    probe: bool,
    probed: bool,
    /// The most that was in flight since the last loss or pause.
    peak: u32,
    pub congestion: Algorithm,
    pub round_trip: RoundTrip,
    /// The end of a segment that is being timed, and when it was sent.
    timed: Option<(Seq, Instant)>,
    timer: Instant,
    /// When the peer last acknowledged something new, or the first byte in flight was sent.
    pub progress: Instant,
    last_sent: Instant,
}

/// A segment that may go now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub seq: Seq,
    /// Data bytes.
    pub len: usize,
    pub syn: bool,
    pub fin: bool,
    /// The last byte of the queue is in it.
    pub push: bool,
    pub again: bool,
}

/// What an acknowledgment brought.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Acknowledged {
    /// SND.UNA moved.
    pub progress: bool,
    /// A loss was detected by it.
    pub lost: bool,
}

/// What the sender's timer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fired {
    Nothing,
    /// Everything in flight is taken for lost.
    Retransmission,
    /// The window is closed or too small: a probe goes out.
    Probe,
}

/// How many segments beyond a missing one prove it lost.
const DUPLICATE_THRESHOLD: u32 = 3;

impl Sender {
    /// A sender whose SYN will have, or had, sequence number `initial`.
    pub fn new(initial: Seq, mss: u32, congestion: Congestion) -> Self {
        Self {
            initial,
            unacknowledged: initial,
            next: initial,
            window: 0,
            most_window: 0,
            window_from: (Seq(0), Seq(0)),
            scale: 0,
            mss,
            queue: SendQueue::new(),
            nodelay: false,
            syn_due: false,
            syn_acknowledged: false,
            syn_lost: false,
            fin_queued: false,
            fin_sent: false,
            fin_acknowledged: false,
            sack: false,
            sacked: Ranges::new(),
            sacked_bytes: 0,
            duplicates: 0,
            phase: Phase::Open,
            recover: initial,
            lost: initial,
            resent: initial,
            force: false,
            resent_mark: initial,
            probe: false,
            probed: false,
            peak: 0,
            congestion: Algorithm::new(congestion, mss),
            round_trip: RoundTrip::new(),
            timed: None,
            timer: Instant::MAX,
            progress: Instant::ZERO,
            last_sent: Instant::ZERO,
        }
    }

    /// The peer's SYN was answered and our SYN acknowledged elsewhere (the SYN queue).
    pub fn handshake_done(&mut self, now: Instant, round_trip: Option<Duration>, floor: Duration) {
        self.unacknowledged = self.initial + 1;
        self.next = self.unacknowledged;
        self.syn_acknowledged = true;
        (self.lost, self.resent, self.resent_mark) = (self.next, self.next, self.next);
        self.recover = self.initial;
        (self.progress, self.last_sent) = (now, now);
        match round_trip {
            Some(sample) => self.round_trip.measured(sample, floor),
            None => self.round_trip.established(true),
        }
    }

    /// Bytes between SND.UNA and SND.NXT.
    pub fn in_flight(&self) -> u32 {
        self.next.since(self.unacknowledged)
    }
    /// RFC 5681's FlightSize for the answer to a loss. A batch of acknowledgments is processed before anything is sent for the
    /// first of them, so what is in flight at this moment may be less than the sender had the habit of.
    fn flight_size(&mut self) -> u32 {
        let now = self.in_flight();
        let habit = core::mem::replace(&mut self.peak, now);
        now.max(habit).min(self.congestion.window().max(self.mss))
    }
    fn queue_end(&self) -> Seq {
        self.unacknowledged + self.queue.len() as u32
    }
    fn unsent(&self) -> u32 {
        self.queue_end().since(self.next)
    }
    fn fin_unsent(&self) -> bool {
        self.fin_queued && !self.fin_sent
    }
    /// Everything written, and the FIN if there is one, is acknowledged.
    pub fn is_idle(&self) -> bool {
        self.in_flight() == 0 && self.unsent() == 0 && !self.fin_unsent()
    }
    /// In fast recovery or after a timeout.
    pub fn is_recovering(&self) -> bool {
        self.phase != Phase::Open
    }

    /// RFC 6675's pipe: what is believed to be in the network.
    fn pipe(&self) -> u32 {
        let from = self.resent.max(self.unacknowledged);
        let waiting = self.lost.since(from);
        let waiting = waiting - self.sacked.bytes_within(from, self.lost).min(waiting);
        let left = if self.sack { self.sacked_bytes } else { self.duplicates.saturating_mul(self.mss) };
        self.in_flight().saturating_sub(left).saturating_sub(waiting)
    }

    /// There may be something to send; [`plan`](Self::plan) decides.
    pub fn wants_output(&self) -> bool {
        self.syn_due
            || self.probe
            || (self.syn_acknowledged
                && (self.unsent() > 0 || self.fin_unsent() || self.resent.before(self.lost)))
    }

    /// The path takes smaller packets than were sent: what is in flight is lost, and not because of congestion.
    pub fn path_shrunk(&mut self) {
        if self.syn_acknowledged && self.in_flight() > 0 {
            self.lost = self.next;
            self.resent = self.unacknowledged;
            self.force = true;
            self.timed = None;
        }
    }

    /// The segment size changed (path MTU, options).
    pub fn set_mss(&mut self, mss: u32) {
        if mss != self.mss {
            self.mss = mss;
            self.congestion.set_segment(mss);
        }
    }

    /// The next segment that may go, with at most `most` bytes of data. Ask again after [`sent`](Self::sent).
    pub fn plan(&mut self, now: Instant, most: u32) -> Option<Plan> {
        if self.syn_due {
            return Some(Plan {
                seq: self.initial,
                len: 0,
                syn: true,
                fin: false,
                push: false,
                again: self.next != self.initial,
            });
        }
        if !self.syn_acknowledged || (self.queue.len() == 0 && !self.fin_queued) {
            return None;
        }
        if self.probe {
            return Some(self.plan_probe());
        }
        let window = self.congestion.window();
        if self.resent.before(self.unacknowledged) {
            self.resent = self.unacknowledged;
        }
        while self.resent.before(self.lost) {
            if let Some((_, end)) = self.sacked.containing(self.resent) {
                self.resent = end;
                continue;
            }
            let pipe = self.pipe();
            if !self.force && pipe > 0 && pipe + self.mss > window {
                return None;
            }
            return self.plan_again();
        }
        if self.unsent() == 0 && !self.fin_unsent() {
            return None;
        }
        let in_flight = self.in_flight();
        if in_flight == 0 && now.since(self.last_sent) > self.round_trip.timeout() {
            self.congestion.idle();
            self.peak = 0;
        }
        let pipe = self.pipe();
        let window = self.congestion.window();
        let room = (self.unacknowledged + self.window).since(self.next);
        let plan = self.plan_new(room, window.saturating_sub(pipe), most.max(self.mss));
        if plan.is_none() && in_flight == 0 && self.timer == Instant::MAX {
            // Nothing in flight and nothing may go: only a probe will tell when the window opens.
            self.timer = now + self.round_trip.timeout();
        }
        plan
    }

    fn plan_again(&self) -> Option<Plan> {
        let seq = self.resent;
        let end = self.sacked.next_start(seq).unwrap_or(self.next).min(self.next);
        let len = end.since(seq).min(self.mss);
        let room = (self.unacknowledged + self.window).since(seq);
        if room == 0 && seq != self.unacknowledged {
            return None;
        }
        let data = len.min(self.queue_end().since(seq));
        let data = if room > 0 { data.min(room) } else { data };
        let fin = self.fin_sent && seq + data == self.queue_end() && data < self.mss;
        let push = seq + data == self.queue_end();
        Some(Plan { seq, len: data as usize, syn: false, fin, push, again: true })
    }

    fn plan_new(&self, room: u32, congestion_room: u32, most: u32) -> Option<Plan> {
        let unsent = self.unsent();
        let in_flight = self.in_flight();
        let closing = self.fin_unsent();
        let plan = |len: u32, fin| Plan {
            seq: self.next,
            len: len as usize,
            syn: false,
            fin,
            push: len == unsent && len > 0,
            again: false,
        };
        if unsent == 0 {
            return (closing && room > 0).then(|| plan(0, true));
        }
        let congestion_room = if in_flight == 0 { congestion_room.max(self.mss) } else { congestion_room };
        let mut len = unsent.min(room).min(congestion_room).min(most);
        let whole = len == unsent;
        // Nagle: a small segment waits until all is acknowledged, unless the user is in a hurry or has no more to say.
        let small_may_go = whole && (self.nodelay || in_flight == 0 || self.fin_queued);
        if len >= self.mss {
            if !small_may_go {
                len -= len % self.mss;
            }
        } else if !small_may_go {
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.2.1
            //# (3) or if at least a fraction Fs of the maximum window can be sent,
            let half_window = len > 0 && len == room.min(unsent) && len >= self.most_window.div_ceil(2);
            if !half_window || (in_flight > 0 && !self.nodelay) {
                return None;
            }
        }
        if len == 0 {
            return None;
        }
        Some(plan(len, closing && len == unsent && room > len))
    }

    fn plan_probe(&self) -> Plan {
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.1
        //# The sending TCP peer must regularly transmit at least one octet of new data (if available),
        //# or retransmit to the receiving TCP peer even if the send window is zero,
        //# in order to "probe" the window.
        let len = self.window.clamp(1, self.mss).min(self.queue.len() as u32);
        Plan {
            seq: self.unacknowledged,
            len: len as usize,
            syn: false,
            fin: len == 0,
            push: true,
            again: self.next != self.unacknowledged,
        }
    }

    /// The planned segment is with the device.
    pub fn sent(&mut self, plan: &Plan, now: Instant) {
        let end = plan.seq + (plan.len as u32 + u32::from(plan.syn) + u32::from(plan.fin));
        self.probe = false;
        self.syn_due = false;
        if plan.fin {
            self.fin_sent = true;
        }
        if plan.again {
            self.syn_lost |= plan.syn;
            self.force = false;
            if plan.seq == self.unacknowledged {
                self.resent_mark = self.next;
            }
            self.resent = self.resent.max(end);
            // Karn: a segment that was sent twice is not timed.
            if self.timed.is_some_and(|(timed, _)| timed.after(plan.seq)) {
                self.timed = None;
            }
        } else if self.timed.is_none() {
            self.timed = Some((end, now));
        }
        if self.in_flight() == 0 {
            self.progress = now;
        }
        self.next = self.next.max(end);
        self.peak = self.peak.max(self.in_flight());
        self.last_sent = now;
        if self.timer == Instant::MAX {
            self.timer = now + self.round_trip.timeout();
        }
    }

    /// A new window from the peer, already scaled.
    pub fn set_window(&mut self, window: u32) {
        let opened = self.window == 0 && window > 0;
        self.window = window;
        self.most_window = self.most_window.max(window);
        if opened && self.probed {
            // What was sent into the closed window is gone.
            self.probed = false;
            self.round_trip.restart();
            if self.in_flight() > 0 {
                self.lost = self.next;
                self.resent = self.unacknowledged;
                self.force = true;
            }
        }
        if self.in_flight() == 0 {
            self.timer = Instant::MAX;
        }
    }

    /// An acknowledgment up to `ack`, at most SND.NXT. `duplicate`: it meets RFC 5681's definition of one. `echoed`: a
    /// measurement by timestamps. `memory`: length of the queue's memory.
    #[allow(clippy::too_many_arguments)]
    pub fn acknowledge(
        &mut self,
        now: Instant,
        ack: Seq,
        duplicate: bool,
        sack: &[(u32, u32)],
        echoed: Option<Duration>,
        floor: Duration,
        memory: usize,
    ) -> Acknowledged {
        let before = self.unacknowledged + self.sacked_bytes;
        let news = self.sack && !sack.is_empty() && self.update_scoreboard(ack, sack);
        let mut result = Acknowledged::default();
        if ack.after(self.unacknowledged) {
            result.progress = true;
            self.advance(now, ack, echoed, floor, memory);
        } else if duplicate && self.window > 0 && (!self.sack || news) {
            self.duplicates = self.duplicates.saturating_add(1);
        }
        let delivered = (self.unacknowledged + self.sacked_bytes).since(before);
        if delivered > 0 {
            let (smoothed, least) = (self.round_trip.smoothed(), self.round_trip.least());
            self.congestion.delivered(now, delivered, smoothed, least);
            if self.phase == Phase::Recovery {
                self.congestion.delivered_in_recovery(delivered);
            }
        }
        if self.in_flight() > 0 {
            result.lost = self.detect_loss(now);
        }
        result
    }

    fn update_scoreboard(&mut self, ack: Seq, sack: &[(u32, u32)]) -> bool {
        let mut news = false;
        let floor = ack.max(self.unacknowledged);
        for &(left, right) in sack {
            let (left, right) = (Seq(left), Seq(right));
            // Blocks below SND.UNA are D-SACKs or old; blocks beyond SND.NXT are nonsense.
            if left.before(right) && floor.before(left) && right.up_to(self.next) {
                news |= self.sacked.insert(left, right).unwrap_or(false);
            }
        }
        self.sacked_bytes = self.sacked.bytes();
        news
    }

    fn advance(&mut self, now: Instant, ack: Seq, echoed: Option<Duration>, floor: Duration, memory: usize) {
        let in_flight = self.in_flight();
        let mut bytes = ack.since(self.unacknowledged);
        let acknowledged = bytes;
        match self.timed {
            Some((end, at)) if end.up_to(ack) => {
                self.round_trip.measured(now.since(at), floor);
                self.timed = None;
            }
            // With timestamps a segment that was sent twice can be measured too.
            None if echoed.is_some_and(|sample| !sample.is_zero()) => {
                self.round_trip.measured(echoed.unwrap_or_default(), floor);
            }
            _ => {}
        }
        self.round_trip.restart();
        if !self.syn_acknowledged {
            self.syn_acknowledged = true;
            self.round_trip.established(self.syn_lost);
            bytes -= 1;
        }
        let data = bytes.min(self.queue.len() as u32);
        if bytes > data && self.fin_sent {
            self.fin_acknowledged = true;
        }
        self.queue.acknowledged(memory, data as usize);
        self.unacknowledged = ack;
        self.resent = self.resent.max(ack);
        self.lost = self.lost.max(ack);
        self.resent_mark = self.next;
        self.sacked.advance(ack);
        self.sacked_bytes = self.sacked.bytes();
        self.progress = now;
        self.probed = false;
        let report = Ack { now, bytes: acknowledged, in_flight };
        match self.phase {
            Phase::Open => {
                self.duplicates = 0;
                self.congestion.acknowledged(&report);
            }
            Phase::Recovery if self.recover.up_to(ack) => {
                self.phase = Phase::Open;
                self.duplicates = 0;
                let left = self.in_flight();
                self.congestion.recovered(left);
            }
            Phase::Recovery => {
                if !self.sack {
                    //= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
                    //# Partial acknowledgments:
                    //# If this ACK does *not* acknowledge all of the data up to and
                    //# including recover, then this is a partial ACK.  In this case,
                    //# retransmit the first unacknowledged segment.
                    let segments = acknowledged.div_ceil(self.mss.max(1));
                    self.duplicates = self.duplicates.saturating_sub(segments.saturating_sub(1));
                    self.lost = (ack + self.mss).min(self.next);
                    self.resent = ack;
                    self.force = true;
                }
            }
            Phase::Loss => {
                self.duplicates = 0;
                self.congestion.acknowledged(&report);
                if self.recover.up_to(ack) {
                    self.phase = Phase::Open;
                }
            }
        }
        self.timer = if self.in_flight() > 0 { now + self.round_trip.timeout() } else { Instant::MAX };
    }

    /// Moves `lost` by the rules of RFC 6675 or RFC 5681; returns whether fast recovery starts.
    fn detect_loss(&mut self, now: Instant) -> bool {
        let mut lost = self.lost;
        if self.sack {
            let (mut ranges, mut bytes) = (0, 0);
            for range in self.sacked.as_slice().iter().rev() {
                ranges += 1;
                bytes += range.1.since(range.0);
                if ranges >= DUPLICATE_THRESHOLD || bytes > (DUPLICATE_THRESHOLD - 1) * self.mss {
                    lost = lost.max(range.0);
                    break;
                }
            }
        }
        let evidence = lost.after(self.lost) || self.duplicates >= DUPLICATE_THRESHOLD;
        match self.phase {
            Phase::Open if evidence && (self.sack || self.unacknowledged.after(self.recover)) => {
                //= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
                //# When the third duplicate ACK is received, the TCP sender first
                //# checks the value of recover to see if the Cumulative
                //# Acknowledgment field covers more than recover.
                self.phase = Phase::Recovery;
                self.recover = self.next;
                let in_flight = self.flight_size();
                self.congestion.lost(now, in_flight);
                self.lost = lost.max((self.unacknowledged + self.mss).min(self.next));
                self.resent = self.unacknowledged;
                self.force = true;
                return true;
            }
            Phase::Open => {}
            Phase::Recovery | Phase::Loss => {
                self.lost = lost;
                // The first hole was sent again, and what was sent three segments after that has arrived: lost again.
                let first_resent = self.resent.after(self.unacknowledged);
                let proof = self.resent_mark + DUPLICATE_THRESHOLD * self.mss;
                if first_resent && self.sacked.highest().is_some_and(|highest| highest.after(proof)) {
                    self.lost = self.lost.max((self.unacknowledged + self.mss).min(self.next));
                    self.resent = self.unacknowledged;
                    self.force = true;
                    self.resent_mark = self.next;
                }
            }
        }
        false
    }

    /// When [`on_timer`](Self::on_timer) has something to do.
    pub fn deadline(&self) -> Instant {
        self.timer
    }

    /// Runs the retransmission or persist timer.
    pub fn on_timer(&mut self, now: Instant) -> Fired {
        if now < self.timer {
            return Fired::Nothing;
        }
        self.timer = Instant::MAX;
        let in_flight = self.in_flight();
        if !self.syn_acknowledged {
            if in_flight == 0 {
                return Fired::Nothing;
            }
            self.round_trip.back_off();
            self.syn_due = true;
            self.timed = None;
            return Fired::Retransmission;
        }
        if in_flight == 0 && self.unsent() == 0 && !self.fin_unsent() {
            return Fired::Nothing;
        }
        self.timed = None;
        if in_flight == 0 || self.window == 0 {
            self.round_trip.back_off();
            self.probe = true;
            self.probed = true;
            self.timer = now + self.round_trip.timeout();
            return Fired::Probe;
        }
        if self.phase != Phase::Loss || self.round_trip.backoff() == 0 {
            let in_flight = self.flight_size();
            self.congestion.timed_out(now, in_flight);
        }
        self.round_trip.back_off();
        self.phase = Phase::Loss;
        self.recover = self.next;
        self.duplicates = 0;
        // A peer may forget what it selectively acknowledged (RFC 2018 section 8).
        self.sacked.clear();
        self.sacked_bytes = 0;
        self.lost = self.next;
        self.resent = self.unacknowledged;
        self.resent_mark = self.next;
        self.force = true;
        self.timer = now + self.round_trip.timeout();
        Fired::Retransmission
    }
}
