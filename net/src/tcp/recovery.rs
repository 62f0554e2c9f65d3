//! How much may be sent while losses are repaired (RFC 6937), and taking back what was no loss (RFC 3522, 3708, 4015).
use super::congestion::Algorithm;

/// Proportional Rate Reduction with the slow-start reduction bound.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reduction {
    /// RecoverFS: bytes in flight when the recovery began.
    flight: u32,
    /// prr_delivered.
    delivered: u32,
    /// prr_out.
    out: u32,
    /// sndcnt: bytes that may go now.
    quota: u32,
}

impl Reduction {
    /// A recovery begins with `flight` bytes in flight.
    pub fn begin(flight: u32) -> Self {
        Self { flight: flight.max(1), ..Self::default() }
    }

    /// `bytes` were delivered; `pipe` are in flight now.
    pub fn delivered(&mut self, bytes: u32, pipe: u32, threshold: u32, mss: u32) {
        self.delivered = self.delivered.saturating_add(bytes);
        self.quota = if pipe > threshold {
            // Proportional Rate Reduction.
            let share = (u64::from(self.delivered) * u64::from(threshold)).div_ceil(u64::from(self.flight));
            u32::try_from(share).unwrap_or(u32::MAX).saturating_sub(self.out)
        } else {
            // PRR-SSRB: as slow start, up to ssthresh.
            let limit = self.delivered.saturating_sub(self.out).max(bytes).saturating_add(mss);
            (threshold - pipe).min(limit)
        };
    }

    /// `bytes` were sent.
    pub fn sent(&mut self, bytes: u32) {
        self.out = self.out.saturating_add(bytes);
        self.quota = self.quota.saturating_sub(bytes);
    }

    pub fn quota(&self) -> u32 {
        self.quota
    }
}

/// What was before the window was reduced, until it is known whether that was right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before {
    /// The algorithm with its window.
    pub congestion: Algorithm,
    /// The clock of the timestamps when the first retransmission went out.
    pub resent_at: Option<u32>,
    /// Bytes that were sent again and not yet reported as duplicates.
    pub resent: u32,
    /// Something was reported as a duplicate.
    pub reported: bool,
    /// No acknowledgment has moved SND.UNA since the first retransmission.
    pub first: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A window of 100 segments of which one is lost: the reduction to 70 is spread over the round trip.
    #[test]
    fn the_reduction_is_spread_over_the_round_trip() {
        let mut reduction = Reduction::begin(100_000);
        let (mut pipe, mut sent) = (99_000, 0);
        for _ in 0..99 {
            pipe -= 1000;
            reduction.delivered(1000, pipe, 70_000, 1000);
            while reduction.quota() >= 1000 {
                reduction.sent(1000);
                (pipe, sent) = (pipe + 1000, sent + 1);
            }
        }
        assert_eq!((pipe, sent), (70_000, 70), "seven for ten delivered");
    }

    #[test]
    fn after_many_losses_it_goes_back_up_to_the_threshold_and_not_in_one_burst() {
        let mut reduction = Reduction::begin(100_000);
        let mut pipe = 30_000;
        reduction.delivered(1000, pipe, 70_000, 1000);
        assert_eq!(reduction.quota(), 2000, "one for the delivered one, one more");
        for _ in 0..60 {
            while reduction.quota() >= 1000 {
                reduction.sent(1000);
                pipe += 1000;
            }
            pipe -= 1000;
            reduction.delivered(1000, pipe, 70_000, 1000);
        }
        assert!((69_000..=70_000).contains(&pipe), "{pipe}");
    }
}
