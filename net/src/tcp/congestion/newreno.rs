//! Slow start, congestion avoidance and the window of NewReno (RFC 5681, RFC 6582, RFC 6928), with growth counted in
//! bytes (RFC 3465) and HyStart++ (RFC 9406).
use super::{
    Ack, CongestionControl,
    hystart::{Growth, HyStart},
};
use airglow_device::Instant;

/// NewReno.
#[derive(Clone, Copy, Debug)]
pub struct NewReno {
    pub(super) window: u32,
    pub(super) threshold: u32,
    pub(super) mss: u32,
    /// Bytes acknowledged towards the next segment's worth of window in congestion avoidance.
    counted: u32,
    hystart: HyStart,
    /// Slow start follows a timeout.
    pub(super) from_timeout: bool,
}

/// RFC 9406 section 4.2: how many segments one acknowledgment may add to the window in slow start, where nothing is paced (RFC 3465's L).
const SLOW_START_SEGMENTS: u32 = 8;

/// RFC 6928: ten segments, at most 14600 bytes unless two segments are more.
pub(super) fn initial_window(mss: u32) -> u32 {
    (10 * mss).min((2 * mss).max(14_600))
}

impl NewReno {
    /// A connection with this segment size, in slow start.
    pub fn new(mss: u32) -> Self {
        Self {
            window: initial_window(mss),
            threshold: u32::MAX,
            mss,
            counted: 0,
            hystart: HyStart::new(),
            from_timeout: false,
        }
    }

    /// Congestion avoidance: a segment per window acknowledged (RFC 5681 equation 3, counted in bytes).
    pub(super) fn avoid(&mut self, bytes: u32) {
        self.counted = self.counted.saturating_add(bytes);
        if self.counted >= self.window {
            self.counted -= self.window;
            self.window = self.window.saturating_add(self.mss);
        }
    }

    fn slow_start(&mut self, ack: &Ack) {
        // RFC 3465 section 2.3: after a timeout an acknowledgment may cover what arrived before it.
        let most = if self.from_timeout { self.mss } else { SLOW_START_SEGMENTS * self.mss };
        let mut grown = ack.bytes.min(most);
        if self.threshold == u32::MAX {
            match self.hystart.acknowledged(ack) {
                Growth::Divided(by) => grown /= by,
                Growth::Over => {
                    self.threshold = self.window;
                    return;
                }
            }
        }
        self.window = self.window.saturating_add(grown.min(self.threshold - self.window));
    }

    //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
    //# ssthresh = max (FlightSize / 2, 2*SMSS)            (4)
    fn halve(&mut self, in_flight: u32) {
        self.threshold = (in_flight / 2).max(2 * self.mss);
        self.counted = 0;
    }
}

impl CongestionControl for NewReno {
    fn window(&self) -> u32 {
        self.window
    }
    fn slow_start_threshold(&self) -> u32 {
        self.threshold
    }
    fn acknowledged(&mut self, ack: &Ack) {
        if !ack.limited {
            return;
        }
        if self.window >= self.threshold {
            self.avoid(ack.bytes);
        } else {
            self.slow_start(ack);
        }
        self.window = self.window.min(1 << 30);
    }
    fn lost(&mut self, _now: Instant, in_flight: u32) {
        self.halve(in_flight);
        self.window = self.threshold;
    }
    fn recovered(&mut self, _in_flight: u32) {
        // RFC 6582 section 3.2, step 3, option (2).
        self.from_timeout = false;
        self.window = self.threshold;
    }
    fn timed_out(&mut self, _now: Instant, in_flight: u32) {
        self.halve(in_flight);
        //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
        //# Furthermore, upon a timeout (as specified in [RFC2988]) cwnd MUST be
        //# set to no more than the loss window, LW, which equals 1 full-sized
        //# segment (regardless of the value of IW).
        self.window = self.mss;
        self.from_timeout = true;
    }
    fn handshake_lost(&mut self) {
        //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
        //# Further, if the SYN or SYN/ACK is
        //# lost, the initial window used by a sender after a correctly
        //# transmitted SYN MUST be one segment consisting of at most SMSS bytes.
        self.window = self.mss;
    }
    fn idle(&mut self) {
        self.from_timeout = false;
        self.window = self.window.min(initial_window(self.mss));
    }
    fn not_validated(&mut self) {
        self.threshold = self.threshold.max(self.window / 4 * 3);
        self.window = (self.window / 2).max(initial_window(self.mss)).min(self.window);
    }
    fn set_segment(&mut self, mss: u32) {
        if self.window == initial_window(self.mss) {
            self.window = initial_window(mss);
        }
        self.mss = mss;
        self.window = self.window.max(mss);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(bytes: u32, in_flight: u32) -> Ack {
        Ack::at(Instant::ZERO, bytes, in_flight)
    }

    #[test]
    fn slow_start_doubles_and_avoidance_adds_a_segment_per_window() {
        let mut reno = NewReno::new(1000);
        assert_eq!(reno.window(), 10_000);
        for _ in 0..10 {
            reno.acknowledged(&ack(1000, 10_000));
        }
        assert_eq!(reno.window(), 20_000);
        reno.lost(Instant::ZERO, 20_000);
        assert_eq!((reno.window(), reno.slow_start_threshold()), (10_000, 10_000));
        for _ in 0..10 {
            reno.acknowledged(&ack(1000, 10_000));
        }
        assert_eq!(reno.window(), 11_000);
        reno.timed_out(Instant::ZERO, 11_000);
        assert_eq!((reno.window(), reno.slow_start_threshold()), (1000, 5500));
    }

    #[test]
    fn a_window_that_is_not_used_does_not_grow() {
        let mut reno = NewReno::new(1000);
        for _ in 0..100 {
            reno.acknowledged(&Ack { limited: false, ..ack(100, 100) });
        }
        assert_eq!(reno.window(), 10_000);
    }

    // RFC 9406 section 4.2 and RFC 3465 section 2.3.
    #[test]
    fn one_acknowledgment_adds_eight_segments_and_after_a_timeout_one() {
        let mut reno = NewReno::new(1000);
        reno.acknowledged(&ack(100_000, 100_000));
        assert_eq!(reno.window(), 18_000);
        reno.timed_out(Instant::ZERO, 100_000);
        reno.acknowledged(&ack(5000, 5000));
        assert_eq!(reno.window(), 2000);
    }
}
