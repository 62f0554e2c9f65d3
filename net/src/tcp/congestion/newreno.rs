//! Slow start, congestion avoidance and the window of NewReno (RFC 5681, RFC 6582, RFC 6928, RFC 3465).
use super::{Ack, CongestionControl};
use airglow_device::Instant;

/// NewReno.
#[derive(Clone, Copy, Debug)]
pub struct NewReno {
    pub(super) window: u32,
    pub(super) threshold: u32,
    pub(super) mss: u32,
    /// Bytes acknowledged towards the next segment's worth of window in congestion avoidance.
    counted: u32,
}

/// RFC 6928: ten segments, at most 14600 bytes unless two segments are more.
pub(super) fn initial_window(mss: u32) -> u32 {
    (10 * mss).min((2 * mss).max(14_600))
}

impl NewReno {
    /// A connection with this segment size, in slow start.
    pub fn new(mss: u32) -> Self {
        Self { window: initial_window(mss), threshold: u32::MAX, mss, counted: 0 }
    }

    /// Congestion avoidance: a segment per window acknowledged (RFC 5681 equation 3, counted in bytes).
    pub(super) fn avoid(&mut self, bytes: u32) {
        self.counted = self.counted.saturating_add(bytes);
        if self.counted >= self.window {
            self.counted -= self.window;
            self.window = self.window.saturating_add(self.mss);
        }
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
        // RFC 7661's concern in its simplest form: a window that was not used does not grow.
        if ack.in_flight.saturating_add(2 * self.mss) < self.window / 2 {
            return;
        }
        if self.window < self.threshold {
            // RFC 3465 with L = 2, and what a stretched acknowledgment covers beyond that counts too when it is one of a batch.
            let room = self.threshold - self.window;
            self.window = self.window.saturating_add(ack.bytes.min(room).min(ack.in_flight));
        } else {
            self.avoid(ack.bytes);
        }
        self.window = self.window.min(1 << 30);
    }
    fn lost(&mut self, _now: Instant, in_flight: u32) {
        self.halve(in_flight);
        self.window = self.threshold;
    }
    fn recovered(&mut self, in_flight: u32) {
        // RFC 6582 section 3.2, step 3, option (2).
        let _ = in_flight;
        self.window = self.threshold;
    }
    fn timed_out(&mut self, _now: Instant, in_flight: u32) {
        self.halve(in_flight);
        //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
        //# Furthermore, upon a timeout (as specified in [RFC2988]) cwnd MUST be
        //# set to no more than the loss window, LW, which equals 1 full-sized
        //# segment (regardless of the value of IW).
        self.window = self.mss;
    }
    fn idle(&mut self) {
        self.window = self.window.min(initial_window(self.mss));
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
        Ack { now: Instant::ZERO, bytes, in_flight }
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
            reno.acknowledged(&ack(100, 100));
        }
        assert_eq!(reno.window(), 10_000);
    }
}
