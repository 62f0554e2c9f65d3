//! What is lost, the recovery that follows, and taking that back when nothing was.
use super::{Phase, Sender, acknowledgment::Acknowledgment};
#[cfg(feature = "rack")]
use crate::tcp::rack::RoundTrips;
use crate::tcp::{
    congestion::CongestionControl,
    flight::micros,
    recovery::{Before, Reduction},
    sequence::Seq,
};
use airglow_device::Instant;

/// How many segments beyond a missing one prove it lost.
const DUPLICATE_THRESHOLD: u32 = 3;

impl Sender {
    /// Takes the answer to a loss back when it was none: what was sent again had arrived the first time.
    pub(super) fn take_back(&mut self, a: &Acknowledgment<'_>, report: Option<(Seq, Seq)>, progress: bool) {
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
            self.undo();
        }
    }

    /// Nothing was lost: all is as it was before.
    pub(super) fn undo(&mut self) {
        let Some(before) = self.before.take() else { return };
        self.undone = self.undone.saturating_add(1);
        // RFC 4015 section 3.2, with the window as it was: what is in flight counts against it.
        if before.congestion.window() > self.congestion.window() {
            self.congestion = before.congestion;
        }
        if self.phase != Phase::Open {
            self.phase = Phase::Open;
            self.duplicates = 0;
            self.flight.find_again();
            self.force = false;
        }
    }

    #[cfg(feature = "rack")]
    pub(super) fn answer_probe(&mut self, a: &Acknowledgment<'_>, report: Option<(Seq, Seq)>) {
        let plain = a.duplicate && a.sack.is_empty();
        if self.rack.probe_answered(a.ack, report.is_some(), plain) && self.phase == Phase::Open {
            // RFC 8985 section 7.4.2: what the probe repaired was a loss like any other.
            self.congestion.lost(a.now, self.congestion.window());
            self.congestion.recovered(self.in_flight());
        }
    }

    /// RFC 3168 section 6.1.2: an ECN echo is a sign of congestion once per window.
    pub(super) fn congestion_experienced(&mut self, now: Instant) {
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
                if stretch.fate == crate::tcp::flight::Fate::Sacked {
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
    pub(super) fn round_trips(&self) -> RoundTrips {
        RoundTrips { least: self.round_trip.least(), smoothed: self.round_trip.smoothed() }
    }

    /// Finds losses; returns whether fast recovery starts.
    pub(super) fn detect_loss(&mut self, now: Instant) -> bool {
        let (lost, twice) = if self.sack { self.detect_by_sack(now) } else { (0, false) };
        self.losses = self.losses.saturating_add(lost.div_ceil(self.mss.max(1)));
        #[cfg(feature = "plpmtud")]
        if lost > 0 && self.size_probe_lost() && self.phase == Phase::Open {
            return false;
        }
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
}
