//! The sending half of a connection: what was written, what is in flight, what is lost, what may go now.
//!
//! SND.NXT never goes back. What is in flight, held by the peer or lost is the [`Flight`]'s to know; NewReno, SACK recovery,
//! RACK and recovery after a timeout are one piece of code that differs in who takes what for lost.
#[cfg(feature = "rack")]
use super::rack::{Rack, RoundTrips};
use super::{
    buffer::SendQueue,
    congestion::{Ack, Algorithm, Congestion, CongestionControl},
    flight::{Flight, micros},
    recovery::{Before, Reduction},
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
    flight: Flight,
    duplicates: u32,
    phase: Phase,
    recover: Seq,
    /// The next retransmission goes out even if the window is full.
    force: bool,
    reduction: Reduction,
    /// When the window was last reduced.
    reduced_at: u32,
    before: Option<Before>,
    #[cfg(feature = "rack")]
    rack: Rack,
    /// The timer is for a tail loss probe.
    tail: bool,
    tail_due: bool,
    /// ECN is agreed on (RFC 3168); the window was reduced for it and the peer is to be told; until when that counts.
    pub ecn: bool,
    pub window_reduced_due: bool,
    ecn_recover: Seq,
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
    /// When the window was last used (RFC 7661).
    validated_at: Instant,
    /// Segments with data sent again in the life of the connection; bytes taken for lost; losses that were none.
    pub retransmitted: u32,
    pub losses: u32,
    pub undone: u32,
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

/// An acknowledgment that arrived, at most up to SND.NXT.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acknowledgment<'a> {
    pub now: Instant,
    pub ack: Seq,
    /// It meets RFC 5681's definition of a duplicate.
    pub duplicate: bool,
    pub sack: &'a [(u32, u32)],
    /// The clock of our timestamps when what it echoes was sent, in milliseconds.
    pub echo: Option<u32>,
    /// The least retransmission timeout.
    pub floor: Duration,
    /// Length of the queue's memory.
    pub memory: usize,
    /// The peer has seen congestion (ECE).
    pub congestion_experienced: bool,
}

/// The clock of timestamps without a connection's offset.
pub(crate) fn millis(at: Instant) -> u32 {
    at.as_millis() as u32
}

/// RFC 7661's non-validated period.
const NON_VALIDATED: Duration = Duration::from_secs(300);

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
    /// The end of a flight has no answer: a probe goes out.
    #[cfg(feature = "rack")]
    Tail,
    /// Reordering took too long: a recovery begins.
    #[cfg(feature = "rack")]
    Recovery,
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
            flight: Flight::new(initial),
            duplicates: 0,
            phase: Phase::Open,
            recover: initial,
            force: false,
            reduction: Reduction::default(),
            reduced_at: 0,
            before: None,
            #[cfg(feature = "rack")]
            rack: Rack::new(),
            tail: false,
            tail_due: false,
            ecn: false,
            window_reduced_due: false,
            ecn_recover: initial,
            probe: false,
            probed: false,
            peak: 0,
            congestion: Algorithm::new(congestion, mss),
            round_trip: RoundTrip::new(),
            timed: None,
            timer: Instant::MAX,
            progress: Instant::ZERO,
            last_sent: Instant::ZERO,
            validated_at: Instant::ZERO,
            retransmitted: 0,
            losses: 0,
            undone: 0,
        }
    }

    /// The peer's SYN was answered and our SYN acknowledged elsewhere (the SYN queue).
    pub fn handshake_done(&mut self, now: Instant, round_trip: Option<Duration>, floor: Duration) {
        self.unacknowledged = self.initial + 1;
        self.next = self.unacknowledged;
        self.syn_acknowledged = true;
        self.flight.restart(self.next);
        self.recover = self.initial;
        self.ecn_recover = self.next;
        (self.progress, self.last_sent) = (now, now);
        match round_trip {
            Some(sample) => self.round_trip.measured(sample, floor),
            None => self.handshake_over(true),
        }
    }

    /// `lost`: our SYN or SYN,ACK had to be sent again.
    fn handshake_over(&mut self, lost: bool) {
        self.round_trip.established(lost);
        if lost {
            self.congestion.handshake_lost();
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
    /// The SYN had to be sent again.
    pub fn syn_was_lost(&self) -> bool {
        self.syn_lost
    }
    /// In fast recovery or after a timeout.
    pub fn is_recovering(&self) -> bool {
        self.phase != Phase::Open
    }

    /// RFC 6675's pipe: what is believed to be in the network.
    pub fn pipe(&self) -> u32 {
        let left = if self.sack { self.flight.sacked() } else { self.duplicates.saturating_mul(self.mss) };
        self.in_flight().saturating_sub(left).saturating_sub(self.flight.lost())
    }
    /// Bytes that congestion control lets go now.
    fn allowance(&self) -> u32 {
        match self.phase {
            Phase::Recovery => self.reduction.quota(),
            _ => self.congestion.window().saturating_sub(self.pipe()),
        }
    }
    /// Stretches sent so many microseconds apart count as one.
    fn near(&self) -> u32 {
        let smoothed = self.round_trip.smoothed().unwrap_or(Duration::from_millis(64));
        (smoothed.as_micros() as u32 / 64).clamp(20, 1000)
    }

    /// There may be something to send; [`plan`](Self::plan) decides.
    pub fn wants_output(&self) -> bool {
        self.syn_due
            || self.probe
            || self.tail_due
            || (self.syn_acknowledged && (self.unsent() > 0 || self.fin_unsent() || self.flight.lost() > 0))
    }

    /// The path takes smaller packets than were sent: what is in flight is lost, and not because of congestion.
    pub fn path_shrunk(&mut self) {
        if self.syn_acknowledged && self.in_flight() > 0 {
            self.lose_all();
        }
    }
    fn lose_all(&mut self) {
        self.flight.lose(|_, _| true);
        self.force = true;
        self.timed = None;
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
        if let Some((start, end)) = self.flight.first_lost() {
            if !self.force && self.pipe() > 0 && self.allowance() < self.mss.min(end.since(start)) {
                return None;
            }
            return self.plan_again(start, end);
        }
        if self.tail_due {
            let plan = self.plan_tail();
            if plan.is_none() {
                // There is nothing to probe with: the timeout comes in its place.
                self.timer = self.timer.min(now + self.round_trip.timeout());
            }
            return plan;
        }
        if self.unsent() == 0 && !self.fin_unsent() {
            return None;
        }
        let in_flight = self.in_flight();
        if in_flight == 0 && now.since(self.last_sent) > self.round_trip.timeout() {
            self.congestion.idle();
            self.peak = 0;
        }
        let room = (self.unacknowledged + self.window).since(self.next);
        let plan = self.plan_new(room, self.allowance(), most.max(self.mss));
        if plan.is_none() && in_flight == 0 && self.timer == Instant::MAX {
            // Nothing in flight and nothing may go: only a probe will tell when the window opens.
            self.timer = now + self.round_trip.timeout();
        }
        plan
    }

    /// What of `seq..end`, sent before, goes again in one segment.
    fn plan_again(&self, seq: Seq, end: Seq) -> Option<Plan> {
        let room = (self.unacknowledged + self.window).since(seq);
        if room == 0 && seq != self.unacknowledged {
            return None;
        }
        let data = end.min(self.queue_end()).since(seq).min(self.mss);
        let data = if room > 0 { data.min(room) } else { data };
        let whole = seq + data == self.queue_end();
        let fin = self.fin_sent && whole && end.after(self.queue_end()) && data < self.mss;
        Some(Plan { seq, len: data as usize, syn: false, fin, push: whole, again: true })
    }

    /// RFC 8985 section 7.3: a new segment if there is one, else the last one again.
    fn plan_tail(&mut self) -> Option<Plan> {
        let room = (self.unacknowledged + self.window).since(self.next);
        let len = self.unsent().min(self.mss);
        if len > 0 && len <= room {
            return Some(Plan {
                seq: self.next,
                len: len as usize,
                syn: false,
                fin: false,
                push: true,
                again: false,
            });
        }
        let Some((start, end)) = self.flight.last_unsacked() else {
            self.tail_due = false;
            return None;
        };
        let plan = self.plan_again(start.max(end - self.mss), end);
        if plan.is_none() {
            self.tail_due = false;
        }
        plan
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
            self.retransmitted = self.retransmitted.saturating_add(1);
            if let Some(before) = &mut self.before {
                before.resent_at.get_or_insert(millis(now));
                before.resent = before.resent.saturating_add(end.since(plan.seq));
            }
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
        if plan.len > 0 && !plan.again {
            self.window_reduced_due = false;
        }
        self.flight.sent(plan.seq, end, micros(now), self.near());
        self.reduction.sent(end.since(plan.seq));
        self.next = self.next.max(end);
        self.peak = self.peak.max(self.in_flight());
        self.last_sent = now;
        #[cfg(feature = "rack")]
        if core::mem::take(&mut self.tail_due) {
            self.rack.probed(self.next, plan.again);
            self.timer = now + self.round_trip.timeout();
            return;
        }
        if self.timer == Instant::MAX || (self.tail && !plan.again) {
            self.arm(now);
        }
    }

    /// Starts the timer for what is in flight: the retransmission timeout, or a tail loss probe before it.
    fn arm(&mut self, now: Instant) {
        self.tail = false;
        if self.in_flight() == 0 {
            self.timer = Instant::MAX;
            return;
        }
        self.timer = now + self.round_trip.timeout();
        #[cfg(feature = "rack")]
        if self.sack
            && self.syn_acknowledged
            && self.phase == Phase::Open
            && self.flight.sacked() == 0
            && self.window > 0
            && self.round_trip.backoff() == 0
            && !self.rack.is_probing()
        {
            let one = self.in_flight() <= self.mss;
            // Section 7.2: never later than the retransmission timeout would come.
            self.timer = self.timer.min(now + self.rack.probe_timeout(self.round_trip.smoothed(), one));
            self.tail = true;
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
                self.lose_all();
            }
        }
        if self.in_flight() == 0 {
            self.timer = Instant::MAX;
        }
    }

    /// What has reached the peer, as a number that only differences of are meaningful.
    fn delivered(&self) -> u32 {
        let beyond = if self.sack { self.flight.sacked() } else { self.duplicates.saturating_mul(self.mss) };
        self.unacknowledged.0.wrapping_add(beyond)
    }

    /// An acknowledgment arrived.
    pub fn acknowledge(&mut self, a: &Acknowledgment<'_>) -> Acknowledged {
        // Most segments of a peer that sends data say nothing new.
        if a.ack == self.unacknowledged && !a.duplicate && a.sack.is_empty() && !a.congestion_experienced {
            return Acknowledged::default();
        }
        let now = a.now;
        let (before, una) = (self.delivered(), self.unacknowledged);
        let known = self.unacknowledged + self.flight.sacked();
        let mut result = Acknowledged::default();
        let mut sample = None;
        let report = if self.sack { duplicate_report(a.ack, a.sack) } else { None };
        let news = self.sack && !a.sack.is_empty() && self.update_scoreboard(a, &mut sample);
        let in_flight = self.in_flight();
        if a.ack.after(una) {
            result.progress = true;
            self.advance(a, &mut sample);
        } else if a.duplicate && self.window > 0 && (!self.sack || news) {
            self.duplicates = self.duplicates.saturating_add(1);
        }
        self.take_back(a, report, result.progress);
        #[cfg(feature = "rack")]
        self.answer_probe(a, report);
        if result.progress {
            self.grow(a, una, in_flight, sample);
        }
        let delivered = (self.unacknowledged + self.flight.sacked()).since(known);
        if delivered > 0 {
            let (smoothed, least) = (self.round_trip.smoothed(), self.round_trip.least());
            self.congestion.delivered(now, delivered, smoothed, least);
            if self.phase == Phase::Recovery {
                self.congestion.delivered_in_recovery(delivered);
            }
        }
        if a.congestion_experienced {
            self.congestion_experienced(now);
        }
        if self.in_flight() > 0 {
            result.lost = self.detect_loss(now);
        }
        if self.phase == Phase::Recovery {
            let bytes = (self.delivered().wrapping_sub(before) as i32).max(0) as u32;
            let (pipe, threshold) = (self.pipe(), self.congestion.slow_start_threshold());
            self.reduction.delivered(bytes, pipe, threshold, self.mss);
        }
        if result.progress || result.lost {
            self.arm(now);
        }
        result
    }

    fn update_scoreboard(&mut self, a: &Acknowledgment<'_>, sample: &mut Option<Duration>) -> bool {
        let mut news = false;
        let floor = a.ack.max(self.unacknowledged);
        for &(left, right) in a.sack {
            let (left, right) = (Seq(left), Seq(right));
            // Blocks below SND.UNA are D-SACKs or old; blocks beyond SND.NXT are nonsense.
            if left.before(right) && floor.before(left) && right.up_to(self.next) {
                #[cfg(feature = "rack")]
                let (rack, least) = (&mut self.rack, self.round_trip.least());
                news |= self.flight.sack(left, right, |stretch| {
                    take_sample(a.now, stretch, sample);
                    #[cfg(feature = "rack")]
                    rack.delivered(a.now, stretch, least, age(a));
                });
            }
        }
        news
    }

    /// SND.UNA moves.
    fn advance(&mut self, a: &Acknowledgment<'_>, sample: &mut Option<Duration>) {
        let (now, ack) = (a.now, a.ack);
        let mut bytes = ack.since(self.unacknowledged);
        match self.timed {
            Some((end, at)) if end.up_to(ack) => {
                self.round_trip.measured(now.since(at), a.floor);
                self.timed = None;
            }
            // With timestamps a segment that was sent twice can be measured too.
            None => {
                if let Some(age) = age(a).filter(|age| !age.is_zero()) {
                    self.round_trip.measured(age, a.floor);
                }
            }
            _ => {}
        }
        self.round_trip.restart();
        if !self.syn_acknowledged {
            self.syn_acknowledged = true;
            self.ecn_recover = ack;
            self.handshake_over(self.syn_lost);
            bytes -= 1;
        }
        let data = bytes.min(self.queue.len() as u32);
        if bytes > data && self.fin_sent {
            self.fin_acknowledged = true;
        }
        self.queue.acknowledged(a.memory, data as usize);
        self.unacknowledged = ack;
        #[cfg(feature = "rack")]
        let (rack, least, sack) = (&mut self.rack, self.round_trip.least(), self.sack);
        self.flight.acknowledged(ack, |stretch| {
            take_sample(now, stretch, sample);
            #[cfg(feature = "rack")]
            if sack {
                rack.delivered(now, stretch, least, age(a));
            }
        });
        self.progress = now;
        self.probed = false;
    }

    /// What an acknowledgment of new data means for the phase and the window. `una`, `in_flight`: before it.
    fn grow(&mut self, a: &Acknowledgment<'_>, una: Seq, in_flight: u32, sample: Option<Duration>) {
        //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
        //# As specified in [RFC3390], the SYN/ACK and the acknowledgment of the
        //# SYN/ACK MUST NOT increase the size of the congestion window.
        let acknowledged = a.ack.since(una) - u32::from(una == self.initial);
        let window = self.congestion.window();
        let limited = in_flight.saturating_add(2 * self.mss) >= window / 2;
        if limited {
            self.validated_at = a.now;
        } else if a.now.since(self.validated_at) >= NON_VALIDATED {
            self.validated_at = a.now;
            self.congestion.not_validated();
        }
        let report = Ack {
            now: a.now,
            bytes: acknowledged,
            in_flight,
            limited,
            smoothed: self.round_trip.smoothed(),
            sample,
            acknowledged: a.ack,
            next: self.next,
        };
        match self.phase {
            Phase::Open => {
                self.duplicates = 0;
                self.congestion.acknowledged(&report);
            }
            Phase::Recovery if self.recover.up_to(a.ack) => {
                self.phase = Phase::Open;
                self.duplicates = 0;
                #[cfg(feature = "rack")]
                self.rack.recovered();
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
                    self.flight.lose_range(a.ack, (a.ack + self.mss).min(self.next));
                    self.force = true;
                }
            }
            Phase::Loss => {
                self.duplicates = 0;
                self.congestion.acknowledged(&report);
                if self.recover.up_to(a.ack) {
                    self.phase = Phase::Open;
                }
            }
        }
    }

    /// Takes the answer to a loss back when it was none: what was sent again had arrived the first time.
    fn take_back(&mut self, a: &Acknowledgment<'_>, report: Option<(Seq, Seq)>, progress: bool) {
        #[cfg(feature = "rack")]
        if report.is_some() {
            self.rack.duplicate_reported(self.unacknowledged, self.next);
        }
        let Some(before) = &mut self.before else { return };
        let mut spurious = false;
        if let Some((left, right)) = report {
            before.resent = before.resent.saturating_sub(right.since(left));
            before.reported = true;
            // RFC 3708: every retransmission was for something that had arrived.
            spurious = before.resent == 0 && before.resent_at.is_some();
        }
        if progress && let Some(resent_at) = before.resent_at {
            //= https://www.rfc-editor.org/rfc/rfc3522#section-3.2
            //# If the value of the Timestamp Echo Reply field
            //# of the acceptable ACK's Timestamps option is smaller than the value of RetransmitTS
            spurious |= core::mem::take(&mut before.first)
                && a.echo.is_some_and(|echo| (echo.wrapping_sub(resent_at) as i32) < 0);
        }
        if spurious {
            self.undone = self.undone.saturating_add(1);
            // RFC 4015 section 3.2, with the window as it was: what is in flight counts against it.
            if before.congestion.window() > self.congestion.window() {
                self.congestion = before.congestion;
            }
            self.before = None;
            if self.phase != Phase::Open {
                self.phase = Phase::Open;
                self.duplicates = 0;
                self.flight.find_again();
                self.force = false;
            }
        }
    }

    #[cfg(feature = "rack")]
    fn answer_probe(&mut self, a: &Acknowledgment<'_>, report: Option<(Seq, Seq)>) {
        let plain = a.duplicate && a.sack.is_empty();
        if self.rack.probe_answered(a.ack, report.is_some(), plain) && self.phase == Phase::Open {
            // RFC 8985 section 7.4.2: what the probe repaired was a loss like any other.
            self.congestion.lost(a.now, self.congestion.window());
            self.congestion.recovered(self.in_flight());
        }
    }

    /// RFC 3168 section 6.1.2: an ECN echo is a sign of congestion once per window.
    fn congestion_experienced(&mut self, now: Instant) {
        if !self.ecn || self.phase != Phase::Open || self.unacknowledged.before(self.ecn_recover) {
            return;
        }
        let in_flight = self.flight_size();
        self.congestion.lost(now, in_flight);
        self.congestion.recovered(in_flight);
        self.ecn_recover = self.next;
        self.window_reduced_due = true;
    }

    /// A recovery begins.
    fn recover(&mut self, now: Instant) {
        self.before = Some(Before {
            congestion: self.congestion,
            resent_at: None,
            resent: 0,
            reported: false,
            first: true,
        });
        self.phase = Phase::Recovery;
        self.reduce(now);
        self.force = true;
        #[cfg(feature = "rack")]
        self.rack.forget_probe();
        self.tail_due = false;
    }
    fn reduce(&mut self, now: Instant) {
        self.recover = self.next;
        let in_flight = self.flight_size();
        self.reduction = Reduction::begin(in_flight);
        self.reduced_at = micros(now);
        self.congestion.lost(now, in_flight);
        // ECN has nothing to add to that.
        self.ecn_recover = self.next;
        self.window_reduced_due = self.ecn;
    }

    /// The loss detection of RFC 6675 section 4 or RFC 8985: bytes newly lost, and whether a retransmission is among them.
    fn detect_by_sack(&mut self, now: Instant) -> (u32, bool) {
        #[cfg(feature = "rack")]
        {
            let proof = self.is_recovering()
                || self.duplicates >= DUPLICATE_THRESHOLD
                || self.flight.sacked() > (DUPLICATE_THRESHOLD - 1) * self.mss;
            let times = self.round_trips();
            self.rack.detect(now, &mut self.flight, proof, times, self.reduced_at)
        }
        #[cfg(not(feature = "rack"))]
        {
            let _ = now;
            let (mut ranges, mut bytes, mut limit) = (0, 0, self.unacknowledged);
            for (start, stretch) in self.flight.stretches().rev() {
                if stretch.fate == super::flight::Fate::Sacked {
                    ranges += 1;
                    bytes += stretch.end.since(start);
                    if ranges >= DUPLICATE_THRESHOLD || bytes > (DUPLICATE_THRESHOLD - 1) * self.mss {
                        limit = start;
                        break;
                    }
                }
            }
            (self.flight.lose(|start, stretch| start.before(limit) && !stretch.again), false)
        }
    }

    #[cfg(feature = "rack")]
    fn round_trips(&self) -> RoundTrips {
        RoundTrips { least: self.round_trip.least(), smoothed: self.round_trip.smoothed() }
    }

    /// Finds losses; returns whether fast recovery starts.
    fn detect_loss(&mut self, now: Instant) -> bool {
        let (lost, twice) = if self.sack { self.detect_by_sack(now) } else { (0, false) };
        self.losses = self.losses.saturating_add(lost.div_ceil(self.mss.max(1)));
        match self.phase {
            Phase::Open if lost > 0 => {
                self.recover(now);
                true
            }
            //= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
            //# When the third duplicate ACK is received, the TCP sender first
            //# checks the value of recover to see if the Cumulative
            //# Acknowledgment field covers more than recover.
            Phase::Open
                if !self.sack
                    && self.duplicates >= DUPLICATE_THRESHOLD
                    && self.unacknowledged.after(self.recover) =>
            {
                self.losses = self.losses.saturating_add(1);
                self.recover(now);
                let end = (self.unacknowledged + self.mss).min(self.next);
                self.flight.lose_range(self.unacknowledged, end);
                true
            }
            Phase::Recovery if twice => {
                //= https://www.rfc-editor.org/rfc/rfc5681#section-4.3
                //# the loss of a retransmission, should be taken as two indications of congestion
                self.reduce(now);
                self.force = true;
                false
            }
            _ => false,
        }
    }

    /// When [`on_timer`](Self::on_timer) has something to do.
    pub fn deadline(&self) -> Instant {
        #[cfg(feature = "rack")]
        return self.timer.min(self.rack.timer);
        #[cfg(not(feature = "rack"))]
        self.timer
    }

    /// Runs the retransmission, persist or probe timer, and RACK's.
    pub fn on_timer(&mut self, now: Instant) -> Fired {
        #[cfg(feature = "rack")]
        if self.rack.timer <= now {
            self.rack.timer = Instant::MAX;
            if self.in_flight() > 0 {
                if self.detect_loss(now) {
                    self.arm(now);
                    return Fired::Recovery;
                }
                // Nothing may come back any more to let this go.
                self.force |= self.phase == Phase::Recovery;
            }
        }
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
        // What is known to be lost needs no probe, and the window may keep it back until the timeout (a path that shrank).
        #[cfg(feature = "rack")]
        if core::mem::take(&mut self.tail) && self.flight.lost() == 0 {
            self.tail_due = true;
            return Fired::Tail;
        }
        if self.phase != Phase::Loss || self.round_trip.backoff() == 0 {
            let congestion = self.congestion;
            self.before = (self.phase == Phase::Open).then_some(Before {
                congestion,
                resent_at: None,
                resent: 0,
                reported: false,
                first: true,
            });
            let in_flight = self.flight_size();
            self.congestion.timed_out(now, in_flight);
        }
        self.round_trip.back_off();
        self.phase = Phase::Loss;
        self.recover = self.next;
        self.ecn_recover = self.next;
        self.duplicates = 0;
        let lost = self.flight.lost();
        self.lose_on_timeout(now);
        self.losses = self.losses.saturating_add((self.flight.lost() - lost).div_ceil(self.mss.max(1)));
        self.force = true;
        self.timer = now + self.round_trip.timeout();
        Fired::Retransmission
    }

    fn lose_on_timeout(&mut self, now: Instant) {
        // A peer may forget what it selectively acknowledged (RFC 2018 section 8).
        #[cfg(feature = "rack")]
        {
            self.rack.timer = Instant::MAX;
            self.rack.forget_probe();
            if self.sack && !self.flight.reneged() {
                let times = self.round_trips();
                return self.rack.lose_on_timeout(now, &mut self.flight, self.unacknowledged, times);
            }
        }
        let _ = now;
        self.flight.forget_sacked();
        self.flight.lose(|_, _| true);
    }
}

/// How long ago what an acknowledgment echoes was sent.
fn age(a: &Acknowledgment<'_>) -> Option<Duration> {
    let elapsed = millis(a.now).wrapping_sub(a.echo?);
    (elapsed < 1 << 26).then(|| Duration::from_millis(elapsed.into()))
}

/// The latest sent of what was delivered and sent once gives the round-trip time.
fn take_sample(now: Instant, stretch: &super::flight::Stretch, sample: &mut Option<Duration>) {
    if !stretch.again {
        let rtt = Duration::from_micros(micros(now).wrapping_sub(stretch.at).into());
        *sample = Some(sample.map_or(rtt, |least| least.min(rtt)));
    }
}

/// RFC 2883 section 4: the first block reports something that arrived twice when it lies below the acknowledgment or within
/// the second block.
fn duplicate_report(ack: Seq, sack: &[(u32, u32)]) -> Option<(Seq, Seq)> {
    let &(left, right) = sack.first()?;
    let (left, right) = (Seq(left), Seq(right));
    let within = sack.get(1).is_some_and(|second| Seq(second.0).up_to(left) && right.up_to(Seq(second.1)));
    (left.before(right) && (right.up_to(ack) || within)).then_some((left, right))
}
