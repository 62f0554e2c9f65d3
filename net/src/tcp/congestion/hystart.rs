//! HyStart++ (RFC 9406): the first slow start ends when round trips get longer, before the queue overflows.
use super::Ack;
use crate::tcp::Seq;

/// Where the first slow start is. All times in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct HyStart {
    /// SND.NXT when this round began: it ends when that is acknowledged.
    window_end: Option<Seq>,
    last_round: u32,
    this_round: u32,
    samples: u8,
    /// The least round trip when Conservative Slow Start began, and for how many rounds it has lasted.
    conservative: Option<(u32, u8)>,
}

/// MIN_RTT_THRESH.
const LEAST_THRESHOLD: u32 = 4_000;
/// MAX_RTT_THRESH.
const MOST_THRESHOLD: u32 = 16_000;
/// MIN_RTT_DIVISOR.
const DIVISOR: u32 = 8;
/// N_RTT_SAMPLE.
const SAMPLES: u8 = 8;
/// CSS_GROWTH_DIVISOR.
const GROWTH_DIVISOR: u32 = 4;
/// CSS_ROUNDS.
const ROUNDS: u8 = 5;

/// What an acknowledgment means for slow start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// As much of what it counts: one, or this part.
    Divided(u32),
    /// Slow start is over.
    Over,
}

impl HyStart {
    pub const fn new() -> Self {
        Self { window_end: None, last_round: u32::MAX, this_round: u32::MAX, samples: 0, conservative: None }
    }

    /// An acknowledgment in the first slow start.
    pub fn acknowledged(&mut self, ack: &Ack) -> Growth {
        let window_end = *self.window_end.get_or_insert(ack.next);
        if let Some(sample) = ack.sample {
            self.this_round = self.this_round.min(u32::try_from(sample.as_micros()).unwrap_or(u32::MAX));
            self.samples = self.samples.saturating_add(1);
        }
        let enough = self.samples >= SAMPLES && self.this_round < u32::MAX;
        match &mut self.conservative {
            None if enough && self.last_round < u32::MAX => {
                let threshold = (self.last_round / DIVISOR).clamp(LEAST_THRESHOLD, MOST_THRESHOLD);
                if self.this_round >= self.last_round.saturating_add(threshold) {
                    self.conservative = Some((self.this_round, 0));
                }
            }
            // The longer round trips were jitter.
            Some((baseline, _)) if enough && self.this_round < *baseline => self.conservative = None,
            _ => {}
        }
        if window_end.up_to(ack.acknowledged) {
            self.window_end = Some(ack.next);
            (self.last_round, self.this_round, self.samples) = (self.this_round, u32::MAX, 0);
            if let Some((_, rounds)) = &mut self.conservative {
                *rounds += 1;
                if *rounds >= ROUNDS {
                    return Growth::Over;
                }
            }
        }
        Growth::Divided(if self.conservative.is_some() { GROWTH_DIVISOR } else { 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use airglow_device::Instant;
    use core::time::Duration;

    /// A round of ten acknowledgments with this round-trip time; what the last one meant, or that one ended slow start.
    fn round(hystart: &mut HyStart, number: u32, millis: u64) -> Growth {
        let mut growth = Growth::Divided(0);
        for i in 1..=10 {
            let this = hystart.acknowledged(&Ack {
                acknowledged: Seq(number * 10 + i),
                next: Seq(number * 10 + i + 10),
                sample: Some(Duration::from_millis(millis)),
                ..Ack::at(Instant::ZERO, 1, 10)
            });
            growth = if growth == Growth::Over { growth } else { this };
        }
        growth
    }

    #[test]
    fn longer_round_trips_slow_it_down_and_five_rounds_end_it() {
        let mut hystart = HyStart::new();
        for number in 0..4 {
            assert_eq!(round(&mut hystart, number, 40), Growth::Divided(1));
        }
        // An eighth more than the round before.
        assert_eq!(round(&mut hystart, 4, 44), Growth::Divided(1));
        assert_eq!(round(&mut hystart, 5, 50), Growth::Divided(4));
        for number in 6..9 {
            assert_eq!(round(&mut hystart, number, 50), Growth::Divided(4));
        }
        let ends = (9..12).any(|number| round(&mut hystart, number, 50) == Growth::Over);
        assert!(ends);
    }

    #[test]
    fn jitter_does_not_end_it() {
        let mut hystart = HyStart::new();
        assert_eq!(round(&mut hystart, 0, 40), Growth::Divided(1));
        assert_eq!(round(&mut hystart, 1, 40), Growth::Divided(1));
        assert_eq!(round(&mut hystart, 2, 60), Growth::Divided(4));
        assert_eq!(round(&mut hystart, 3, 41), Growth::Divided(1), "back to slow start");
    }
}
