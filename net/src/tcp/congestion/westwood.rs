//! NewReno with the floor of TCP Westwood+ (Mascolo, Casetti, Gerla, Sanadidi and Wang 2001; Grieco and Mascolo 2004): after a
//! loss the window is no less than the bandwidth measured from acknowledgments (here the best of the last round trips)
//! times the least round-trip time, which is what the path holds without a queue. A loss that is no sign of a full queue then costs next to nothing.
use super::{Ack, CongestionControl, NewReno};
use airglow_device::Instant;
use core::time::Duration;

/// Westwood+ over NewReno.
#[derive(Clone, Copy, Debug)]
pub struct Westwood {
    reno: NewReno,
    /// The last samples of the bandwidth, in bytes per millisecond, one per round trip.
    samples: [u32; SAMPLES],
    next: u8,
    /// Bytes delivered since `since`.
    counted: u64,
    since: Option<Instant>,
    /// Bandwidth times least round-trip time, in bytes.
    product: u32,
    /// The last loss took nothing off the window: the path was not full, and growth goes on through recovery.
    unharmed: bool,
}

/// The bandwidth is the best of this many round trips: a loss itself makes the next samples worse.
const SAMPLES: usize = 8;
/// The least time over which the bandwidth is sampled.
const LEAST_SAMPLE: Duration = Duration::from_millis(1);

impl Westwood {
    /// A connection with this segment size, in slow start.
    pub fn new(mss: u32) -> Self {
        Self {
            reno: NewReno::new(mss),
            samples: [0; SAMPLES],
            next: 0,
            counted: 0,
            since: None,
            product: 0,
            unharmed: false,
        }
    }

    fn raise(&mut self, to: u32) {
        self.reno.threshold = self.reno.threshold.max(self.product.min(to));
    }
}

impl CongestionControl for Westwood {
    fn window(&self) -> u32 {
        self.reno.window()
    }
    fn slow_start_threshold(&self) -> u32 {
        self.reno.slow_start_threshold()
    }
    fn acknowledged(&mut self, ack: &Ack) {
        self.reno.acknowledged(ack);
    }
    fn delivered(&mut self, now: Instant, bytes: u32, smoothed: Option<Duration>, least: Option<Duration>) {
        let (Some(smoothed), Some(least)) = (smoothed, least) else { return };
        let since = *self.since.get_or_insert(now);
        self.counted += u64::from(bytes);
        let elapsed = now.since(since);
        if elapsed < smoothed.max(LEAST_SAMPLE) {
            return;
        }
        let micros = elapsed.as_micros() as u64;
        let sample = self.counted.saturating_mul(1000) / micros.max(1);
        // After a pause the sample says what the user wrote, not what the path carries.
        if elapsed < 4 * smoothed.max(LEAST_SAMPLE) {
            let slot = usize::from(self.next) % SAMPLES;
            self.samples[slot] = u32::try_from(sample).unwrap_or(u32::MAX);
            self.next = self.next.wrapping_add(1);
        }
        let bandwidth = u64::from(self.samples.iter().copied().max().unwrap_or(0));
        let product = bandwidth.saturating_mul(least.as_micros() as u64) / 1000;
        self.product = u32::try_from(product).unwrap_or(u32::MAX);
        (self.counted, self.since) = (0, Some(now));
    }
    fn lost(&mut self, now: Instant, in_flight: u32) {
        let before = self.reno.window;
        self.reno.lost(now, in_flight);
        self.raise(before);
        self.reno.window = self.reno.threshold;
        self.unharmed = self.reno.window >= before;
    }
    fn delivered_in_recovery(&mut self, bytes: u32) {
        if self.unharmed {
            self.reno.avoid(bytes);
            self.reno.threshold = self.reno.threshold.max(self.reno.window);
        }
    }
    fn recovered(&mut self, in_flight: u32) {
        self.reno.recovered(in_flight);
    }
    fn timed_out(&mut self, now: Instant, in_flight: u32) {
        let before = self.reno.window.max(self.reno.mss);
        self.reno.timed_out(now, in_flight);
        self.raise(before.max(self.reno.threshold.saturating_mul(2)));
        self.unharmed = false;
    }
    fn handshake_lost(&mut self) {
        self.reno.handshake_lost();
    }
    fn idle(&mut self) {
        self.reno.idle();
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

    /// 100 segments per 40 ms.
    fn at_speed() -> Westwood {
        let mut westwood = Westwood::new(1000);
        let rtt = Some(Duration::from_millis(40));
        for i in 0..4000 {
            westwood.delivered(Instant::from_micros(i * 400), 1000, rtt, rtt);
        }
        westwood.reno.window = 110_000;
        westwood
    }

    #[test]
    fn a_loss_leaves_what_the_path_was_measured_to_carry() {
        let mut westwood = at_speed();
        westwood.lost(Instant::from_secs(2), 105_000);
        assert!((95_000..=105_000).contains(&westwood.window()), "{}", westwood.window());
        let mut reno = NewReno::new(1000);
        reno.lost(Instant::ZERO, 105_000);
        assert_eq!(reno.window(), 52_500);
    }

    #[test]
    fn a_loss_never_widens_the_window() {
        let mut westwood = at_speed();
        westwood.reno.window = 20_000;
        westwood.lost(Instant::from_secs(2), 20_000);
        assert!(westwood.window() <= 20_000);
    }

    #[test]
    fn a_full_queue_counts_as_one() {
        // The same bandwidth, with a round-trip time that a queue has made four times as long.
        let mut westwood = at_speed();
        westwood.reno.window = 400_000;
        westwood.lost(Instant::from_secs(2), 400_000);
        assert_eq!(westwood.window(), 200_000, "halved, as NewReno does");
    }
}
