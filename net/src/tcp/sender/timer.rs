//! The sender's timer: retransmission, persist and tail loss probe.
use super::{Phase, Sender};
use crate::tcp::{congestion::CongestionControl, recovery::Before};
use airglow_device::Instant;

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

impl Sender {
    /// Starts the timer for what is in flight: the retransmission timeout, or a tail loss probe before it.
    pub(super) fn arm(&mut self, now: Instant) {
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
        #[cfg(feature = "f-rto")]
        self.frto_timed_out();
        #[cfg(feature = "plpmtud")]
        self.size_probe_timed_out();
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
