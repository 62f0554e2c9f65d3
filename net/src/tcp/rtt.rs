//! The retransmission timeout (RFC 6298).
use core::time::Duration;

/// Smoothed round-trip time and what follows from it. All in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoundTrip {
    /// SRTT; 0 before the first measurement.
    smoothed: u32,
    /// RTTVAR.
    variation: u32,
    /// The least seen.
    least: u32,
    /// RTO before backoff.
    timeout: u32,
    /// How often it was doubled.
    backoff: u8,
}

/// The clock granularity G of RFC 6298.
const GRANULARITY: u32 = 1_000;
/// RFC 6298 section 2.1.
const INITIAL: u32 = 1_000_000;
/// RFC 6298 section 2.5.
const MAXIMUM: u32 = 60_000_000;

impl RoundTrip {
    pub const fn new() -> Self {
        Self { smoothed: 0, variation: 0, least: u32::MAX, timeout: INITIAL, backoff: 0 }
    }

    /// Takes a measurement of a segment that was sent once (Karn), or one by timestamps. `floor`: the least RTO.
    pub fn measured(&mut self, sample: Duration, floor: Duration) {
        let r = u32::try_from(sample.as_micros()).unwrap_or(MAXIMUM).clamp(1, MAXIMUM);
        if self.smoothed == 0 {
            //= https://www.rfc-editor.org/rfc/rfc6298#section-2
            //# When the first RTT measurement R is made, the host MUST set
            self.smoothed = r;
            self.variation = r / 2;
        } else {
            let difference = self.smoothed.abs_diff(r);
            self.variation = self.variation - self.variation / 4 + difference / 4;
            self.smoothed = self.smoothed - self.smoothed / 8 + r / 8;
            self.smoothed = self.smoothed.max(1);
        }
        self.least = self.least.min(r);
        let timeout = self.smoothed.saturating_add(GRANULARITY.max(self.variation.saturating_mul(4)));
        let floor = u32::try_from(floor.as_micros()).unwrap_or(MAXIMUM);
        self.timeout = timeout.clamp(floor.min(MAXIMUM), MAXIMUM);
        self.backoff = 0;
    }

    /// The retransmission timeout with its backoff.
    pub fn timeout(&self) -> Duration {
        // 32 bits from here on: those a small processor divides.
        let shifted = (u64::from(self.timeout) << self.backoff.min(16)).min(u64::from(MAXIMUM)) as u32;
        Duration::from_micros(shifted.into())
    }
    //= https://www.rfc-editor.org/rfc/rfc6298#section-5
    //# The host MUST set RTO <- RTO * 2 ("back off the timer").
    /// The timer expired.
    pub fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1);
    }
    /// The peer answers.
    pub fn restart(&mut self) {
        self.backoff = 0;
    }
    /// How often the timer expired since the peer last answered.
    pub fn backoff(&self) -> u8 {
        self.backoff
    }
    /// SRTT, once known.
    pub fn smoothed(&self) -> Option<Duration> {
        (self.smoothed > 0).then(|| Duration::from_micros(self.smoothed.into()))
    }
    /// The least round-trip time seen.
    pub fn least(&self) -> Option<Duration> {
        (self.least < u32::MAX).then(|| Duration::from_micros(self.least.into()))
    }
    //= https://www.rfc-editor.org/rfc/rfc6298#section-5
    //# If the timer expires awaiting the ACK of a SYN segment and the
    //# TCP implementation is using an RTO less than 3 seconds, the RTO
    //# MUST be re-initialized to 3 seconds when data transmission
    //# begins (i.e., after the three-way handshake completes).
    /// The handshake is complete; `lost`: its SYN had to be sent again.
    pub fn established(&mut self, lost: bool) {
        self.backoff = 0;
        if lost && self.smoothed == 0 {
            self.timeout = 3_000_000;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const FLOOR: Duration = Duration::from_millis(200);

    //= https://www.rfc-editor.org/rfc/rfc6298#section-2
    //= type=test
    //# When the first RTT measurement R is made, the host MUST set
    #[test]
    fn the_formulas_of_rfc_6298() {
        let mut rtt = RoundTrip::new();
        assert_eq!(rtt.timeout(), Duration::from_secs(1));
        rtt.measured(Duration::from_millis(400), FLOOR);
        assert_eq!(rtt.smoothed(), Some(Duration::from_millis(400)));
        assert_eq!(rtt.timeout(), Duration::from_millis(400 + 4 * 200));
        rtt.measured(Duration::from_millis(800), FLOOR);
        assert_eq!(rtt.smoothed(), Some(Duration::from_millis(450)));
        assert_eq!(rtt.timeout(), Duration::from_millis(450 + 4 * 250));
        for _ in 0..200 {
            rtt.measured(Duration::from_micros(50), FLOOR);
        }
        assert_eq!(rtt.timeout(), FLOOR, "never below the floor");
    }

    // Section 4: where the round-trip time does not vary, the clock's granularity is left.
    #[test]
    fn without_variation_the_granularity_counts() {
        let mut rtt = RoundTrip::new();
        for _ in 0..200 {
            rtt.measured(Duration::from_secs(1), FLOOR);
        }
        let beyond = rtt.timeout() - rtt.smoothed().unwrap();
        assert!(beyond >= Duration::from_micros(GRANULARITY.into()), "{beyond:?}");
    }

    //= https://www.rfc-editor.org/rfc/rfc6298#section-5
    //= type=test
    //# The host MUST set RTO <- RTO * 2 ("back off the timer").
    #[test]
    fn the_timeout_doubles_up_to_a_minute() {
        let mut rtt = RoundTrip::new();
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(rtt.timeout(), Duration::from_secs(seconds));
            rtt.back_off();
        }
    }
}
