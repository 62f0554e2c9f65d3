//! The sending half of a connection: what was written, what is in flight, what is lost, what may go now.
//!
//! SND.NXT never goes back. What is in flight, held by the peer or lost is the [`Flight`]'s to know; NewReno, SACK recovery,
//! RACK and recovery after a timeout are one piece of code that differs in who takes what for lost.
mod acknowledgment;
#[cfg(feature = "f-rto")]
mod frto;
mod loss;
mod plan;
#[cfg(feature = "plpmtud")]
mod size_probe;
mod timer;

pub(crate) use acknowledgment::{Acknowledged, Acknowledgment};
pub(crate) use plan::Plan;
pub(crate) use timer::Fired;

#[cfg(feature = "rack")]
use super::rack::Rack;
use super::{
    buffer::SendQueue,
    congestion::{Algorithm, Congestion, CongestionControl},
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
    #[cfg(feature = "f-rto")]
    frto: frto::Frto,
    #[cfg(feature = "plpmtud")]
    size_probe: size_probe::SizeProbe,
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

/// The clock of timestamps without a connection's offset.
pub(crate) fn millis(at: Instant) -> u32 {
    at.as_millis() as u32
}

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
            #[cfg(feature = "f-rto")]
            frto: frto::Frto::Off,
            #[cfg(feature = "plpmtud")]
            size_probe: size_probe::SizeProbe::None,
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
        #[cfg(feature = "plpmtud")]
        self.forget_size_probe();
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
}
