//! What an acknowledgment means: for the scoreboard, the round-trip time, the phase and the window.
use super::{Phase, Sender, millis};
use crate::tcp::{
    congestion::{Ack, CongestionControl},
    flight::{Stretch, micros},
    sequence::Seq,
};
use airglow_device::Instant;
use core::time::Duration;

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

impl Sender {
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
        #[cfg(feature = "f-rto")]
        self.frto_acknowledged(a, result.progress, news);
        if result.progress {
            #[cfg(feature = "plpmtud")]
            self.size_probe_acknowledged();
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
}

/// How long ago what an acknowledgment echoes was sent.
fn age(a: &Acknowledgment<'_>) -> Option<Duration> {
    let elapsed = millis(a.now).wrapping_sub(a.echo?);
    (elapsed < 1 << 26).then(|| Duration::from_millis(elapsed.into()))
}

/// The latest sent of what was delivered and sent once gives the round-trip time.
fn take_sample(now: Instant, stretch: &Stretch, sample: &mut Option<Duration>) {
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
