//! CUBIC (RFC 9438): after a loss the window returns to where it was along a cubic function of time, so that its growth does
//! not depend on the round-trip time; where Reno would be faster, it is Reno.
//!
//! Integers throughout: windows in bytes, times in milliseconds.
use super::{Ack, CongestionControl, NewReno};
use airglow_device::Instant;
use core::time::Duration;

/// CUBIC over NewReno's slow start.
#[derive(Clone, Copy, Debug)]
pub struct Cubic {
    reno: NewReno,
    /// W_max.
    most: u32,
    /// cwnd_prior: the window before the last reduction.
    prior: u32,
    /// W_est.
    estimate: u32,
    /// Bytes acknowledged towards the growth of the window, and of W_est, times a thousand.
    counted: u64,
    counted_estimate: u64,
    /// When this stage of congestion avoidance began; `None` before its first acknowledgment.
    epoch: Option<Instant>,
    /// K, in milliseconds.
    k: u32,
    /// A timeout came before this stage: K is 0.
    from_timeout: bool,
    /// When the last acknowledgment came.
    last: Instant,
}

/// beta_cubic, in tenths (section 4.6).
const BETA: u64 = 7;
/// alpha_cubic = 3 * (1 - beta_cubic) / (1 + beta_cubic), in thousandths.
const ALPHA: u64 = 529;

impl Cubic {
    /// A connection with this segment size, in slow start.
    pub fn new(mss: u32) -> Self {
        Self {
            reno: NewReno::new(mss),
            most: 0,
            prior: 0,
            estimate: 0,
            counted: 0,
            counted_estimate: 0,
            epoch: None,
            k: 0,
            from_timeout: false,
            last: Instant::ZERO,
        }
    }

    /// The multiplicative decrease of section 4.6, and fast convergence (4.7).
    fn reduce(&mut self, in_flight: u32) {
        let window = self.reno.window.min(in_flight.max(self.reno.mss));
        self.prior = self.reno.window;
        //= https://www.rfc-editor.org/rfc/rfc9438#section-4.7
        //# With fast convergence, when a congestion event occurs, _W_max_ is
        //# updated as follows, before the window reduction described in
        //# Section 4.6.
        self.most = if window < self.most { (u64::from(window) * (10 + BETA) / 20) as u32 } else { window };
        self.reno.threshold = ((u64::from(window) * BETA / 10) as u32).max(2 * self.reno.mss);
        self.epoch = None;
        (self.counted, self.counted_estimate) = (0, 0);
    }

    fn begin(&mut self, now: Instant) {
        self.epoch = Some(now);
        self.estimate = self.reno.window;
        if self.from_timeout || self.most <= self.reno.window {
            // Section 4.8 and the case that the window is beyond W_max already (after slow start).
            (self.k, self.most) = (0, self.reno.window);
            self.from_timeout = false;
            return;
        }
        // K = cbrt((W_max - cwnd_epoch) / C), C = 0.4, in segments and seconds.
        let segments_milli = u64::from(self.most - self.reno.window) * 1000 / u64::from(self.reno.mss.max(1));
        // K^3 in cubic milliseconds: segments * 2.5 * 10^9.
        self.k = cube_root(segments_milli.saturating_mul(2_500_000));
    }

    /// W_cubic after `elapsed`, in bytes.
    fn target(&self, elapsed: Duration) -> u32 {
        let t = elapsed.as_millis().min(200_000) as i64;
        // Beyond a hundred seconds from W_max the window has long been clamped.
        let d = (t - i64::from(self.k)).clamp(-100_000, 100_000);
        let cube = d.unsigned_abs().pow(3);
        // C * d^3 segments; d^3 in cubic milliseconds is up to 10^15.
        let segments_micro = cube / 2_500;
        let bytes = (segments_micro / 1000).saturating_mul(u64::from(self.reno.mss)) / 1000;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        if d < 0 { self.most.saturating_sub(bytes) } else { self.most.saturating_add(bytes) }
    }

    fn avoid(&mut self, ack: &Ack) {
        if self.epoch.is_none() {
            self.begin(ack.now);
        }
        let epoch = self.epoch.unwrap_or(ack.now);
        let window = self.reno.window.max(1);
        let elapsed = ack.now.since(epoch);
        // W_est, section 4.3: alpha_cubic segments for each window of acknowledgments, one once it has reached cwnd_prior.
        let alpha = if self.estimate < self.prior { ALPHA } else { 1000 };
        self.counted_estimate += u64::from(ack.bytes) * u64::from(self.reno.mss) * alpha / 1000;
        let grown = self.counted_estimate / u64::from(window);
        self.counted_estimate -= grown * u64::from(window);
        self.estimate = self.estimate.saturating_add(grown as u32);
        if self.target(elapsed) < self.estimate {
            // The Reno-friendly region of section 4.3.
            self.reno.window = self.reno.window.max(self.estimate);
            return;
        }
        // The window one round trip from now, section 4.2: between cwnd and one and a half of it.
        let ahead = self.target(elapsed + ack.smoothed.unwrap_or_default());
        let target = ahead.clamp(window, window.saturating_add(window / 2));
        self.counted += u64::from(ack.bytes) * u64::from(target - window);
        let grown = self.counted / u64::from(window);
        self.counted -= grown * u64::from(window);
        self.reno.window = window.saturating_add(grown as u32).min(1 << 30);
    }
}

/// The integer part of the cube root.
fn cube_root(of: u64) -> u32 {
    let (mut root, mut bit) = (0u64, 1u64 << 20);
    while bit > 0 {
        let with = root | bit;
        if with * with * with <= of {
            root = with;
        }
        bit >>= 1;
    }
    root as u32
}

impl CongestionControl for Cubic {
    fn window(&self) -> u32 {
        self.reno.window
    }
    fn slow_start_threshold(&self) -> u32 {
        self.reno.threshold
    }
    fn acknowledged(&mut self, ack: &Ack) {
        let unused = core::mem::replace(&mut self.last, ack.now);
        if !ack.limited {
            // Section 4.2 on flows that the application limits: time in which the window was not used does not count.
            if let Some(epoch) = &mut self.epoch {
                *epoch += ack.now.since(unused);
            }
            return;
        }
        if self.reno.window < self.reno.threshold {
            self.reno.acknowledged(ack);
        } else {
            self.avoid(ack);
        }
    }
    fn lost(&mut self, _now: Instant, in_flight: u32) {
        self.reduce(in_flight);
        self.reno.window = self.reno.threshold;
    }
    fn recovered(&mut self, _in_flight: u32) {
        self.reno.window = self.reno.threshold;
    }
    fn timed_out(&mut self, _now: Instant, in_flight: u32) {
        // Section 4.8: cwnd as Reno has it, ssthresh by beta_cubic.
        self.reduce(in_flight);
        (self.from_timeout, self.reno.from_timeout) = (true, true);
        self.reno.window = self.reno.mss;
    }
    fn handshake_lost(&mut self) {
        self.reno.handshake_lost();
    }
    fn idle(&mut self) {
        self.reno.idle();
        self.epoch = None;
    }
    fn not_validated(&mut self) {
        self.reno.not_validated();
    }
    fn set_segment(&mut self, mss: u32) {
        self.reno.set_segment(mss);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1000;
    const RTT: Duration = Duration::from_millis(100);

    #[test]
    fn cube_roots() {
        for (of, root) in
            [(0, 0), (1, 1), (7, 1), (8, 2), (26, 2), (27, 3), (1_000_000_000, 1000), (u64::MAX, 2_097_151)]
        {
            assert_eq!(cube_root(of), root, "{of}");
        }
    }

    /// The windows at the end of each round trip of congestion avoidance, in segments.
    fn rounds(cubic: &mut Cubic, from: Instant, count: u32) -> Vec<u32> {
        let mut now = from;
        (0..count)
            .map(|_| {
                let window = cubic.window();
                let acks = window / MSS;
                for _ in 0..acks {
                    now += RTT / acks;
                    cubic.acknowledged(&Ack { smoothed: Some(RTT), ..Ack::at(now, MSS, window) });
                }
                cubic.window() / MSS
            })
            .collect()
    }

    fn after_loss_at(segments: u32) -> Cubic {
        let mut cubic = Cubic::new(MSS);
        cubic.reno.window = segments * MSS;
        cubic.reno.threshold = segments * MSS;
        cubic.lost(Instant::from_secs(10), segments * MSS);
        cubic.recovered(0);
        cubic
    }

    // Section 4.6.
    #[test]
    fn a_loss_takes_three_tenths() {
        assert_eq!(after_loss_at(1000).window(), 700 * MSS);
        let mut small = after_loss_at(2);
        assert_eq!(small.window(), 2 * MSS, "never below two segments");
        small.lost(Instant::from_secs(11), MSS);
        assert_eq!(small.window(), 2 * MSS);
    }

    #[test]
    fn the_window_returns_along_the_cubic() {
        // K = cbrt(1000 * 0.3 / 0.4) = 9.086 s.
        let mut cubic = after_loss_at(1000);
        let windows = rounds(&mut cubic, Instant::from_secs(10), 150);
        assert_eq!(cubic.k, 9085);
        // Against the formula in floating point: W(t) = 0.4 (t - K)^3 + 1000, one round trip ahead.
        for (i, window) in windows.iter().enumerate().skip(10) {
            let t = (i + 1) as f64 / 10.0 + 0.1;
            let formula = 0.4 * (t - 9.086f64).powi(3) + 1000.0;
            let off = (f64::from(*window) - formula).abs();
            assert!(off < 12.0, "round {i}: {window} segments, the formula says {formula:.0}");
        }
    }

    #[test]
    fn short_round_trips_are_renos() {
        // A small window: in a second the cubic would be back at 9.7 segments, and Reno's growth of 0.529 segments a round trip, one
        // from the old window on, is faster.
        let mut cubic = after_loss_at(10);
        let windows = rounds(&mut cubic, Instant::from_secs(10), 10);
        assert!((13..=15).contains(&windows[9]), "{windows:?}");
    }

    /// How many round trips of 10 ms it takes the window to reach so many segments.
    fn grown_to(cubic: &mut Cubic, to: u32) -> u32 {
        let (mut now, mut rounds) = (Instant::from_secs(10), 0);
        while cubic.window() < to * MSS {
            let window = cubic.window();
            now += Duration::from_millis(10);
            cubic.acknowledged(&Ack {
                smoothed: Some(Duration::from_millis(10)),
                ..Ack::at(now, window, window)
            });
            rounds += 1;
        }
        rounds
    }

    //= https://www.rfc-editor.org/rfc/rfc9438#section-4.3
    //= type=test
    //# Once _W_est_ has grown to reach the _cwnd_ at the time of most
    //# recently setting _ssthresh_ -- that is, _W_est_ >= _cwnd_prior_ --
    //# the sender SHOULD set α__cubic_ to 1 to ensure that it can achieve
    //# the same congestion window increment rate as Reno, which uses AIMD(1,
    //# 0.5).
    #[test]
    fn beyond_the_old_window_it_grows_as_reno() {
        let mut cubic = after_loss_at(20);
        // From 14 to 20 segments by 9/17 of a segment a round trip, then by one.
        let slow = grown_to(&mut cubic, 20);
        assert!((11..=12).contains(&slow), "{slow} round trips for 6 segments");
        let quick = grown_to(&mut cubic, 26);
        assert!((6..=7).contains(&quick), "{quick} round trips for 6 segments");
    }

    //= https://www.rfc-editor.org/rfc/rfc9438#section-4.8
    //= type=test
    //# In addition, for the Reno-friendly region, _W_est_ SHOULD be set to the
    //# congestion window size at the beginning of the current congestion
    //# avoidance stage.
    #[test]
    fn the_estimate_begins_at_the_window() {
        let mut cubic = after_loss_at(1000);
        cubic.timed_out(Instant::from_secs(12), 700 * MSS);
        cubic.reno.window = 490 * MSS;
        cubic.acknowledged(&Ack::at(Instant::from_secs(13), MSS, 490 * MSS));
        assert!((490 * MSS..491 * MSS).contains(&cubic.estimate), "{}", cubic.estimate);
    }

    #[test]
    fn fast_convergence_gives_way_to_newcomers() {
        let mut cubic = after_loss_at(1000);
        assert_eq!(cubic.most, 1000 * MSS);
        cubic.lost(Instant::from_secs(11), 700 * MSS);
        assert_eq!(cubic.most, 595 * MSS, "700 * (1 + 0.7) / 2");
    }

    #[test]
    fn a_timeout_starts_from_one_segment_and_k_is_zero_after_it() {
        let mut cubic = after_loss_at(1000);
        cubic.timed_out(Instant::from_secs(12), 700 * MSS);
        assert_eq!((cubic.window(), cubic.slow_start_threshold()), (MSS, 490 * MSS));
        cubic.reno.window = 490 * MSS;
        cubic.acknowledged(&Ack::at(Instant::from_secs(13), MSS, 490 * MSS));
        assert_eq!((cubic.k, cubic.most), (0, 490 * MSS));
    }

    #[test]
    fn time_without_use_does_not_count() {
        let mut used = after_loss_at(1000);
        rounds(&mut used, Instant::from_secs(10), 20);
        let mut paused = used;
        for second in 12..40 {
            paused.acknowledged(&Ack { limited: false, ..Ack::at(Instant::from_secs(second), MSS, MSS) });
        }
        let (a, b) =
            (rounds(&mut used, Instant::from_secs(12), 10), rounds(&mut paused, Instant::from_secs(39), 10));
        let off = a[9].abs_diff(b[9]);
        assert!(off <= 5, "{a:?} {b:?}");
    }
}
