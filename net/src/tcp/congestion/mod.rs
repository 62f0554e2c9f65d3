//! Congestion control: how much may be in flight.
mod newreno;
pub use newreno::NewReno;

use airglow_device::Instant;
use core::time::Duration;

/// What an acknowledgment of new data says.
#[derive(Clone, Copy, Debug)]
pub struct Ack {
    /// The time.
    pub now: Instant,
    /// Bytes acknowledged cumulatively by it.
    pub bytes: u32,
    /// Bytes in flight before it.
    pub in_flight: u32,
    /// Smoothed round-trip time, once known.
    pub smoothed: Option<Duration>,
    /// Least round-trip time seen.
    pub least: Option<Duration>,
}

/// A congestion-control algorithm. All amounts are in bytes.
///
/// The sender tells what it learns and asks for [`window`](Self::window) before it sends. It keeps the window apart
/// from the losses: segments that left the network (acknowledged, selectively acknowledged, counted by duplicate
/// acknowledgments, or taken for lost) are no longer in flight, so that an algorithm neither inflates nor deflates its window.
pub trait CongestionControl {
    /// What may be in flight: cwnd.
    fn window(&self) -> u32;
    /// Where slow start ends: ssthresh.
    fn slow_start_threshold(&self) -> u32;
    /// New data was acknowledged, outside fast recovery.
    fn acknowledged(&mut self, ack: &Ack);
    /// Data was acknowledged during fast recovery. For algorithms that measure.
    fn acknowledged_in_recovery(&mut self, ack: &Ack) {
        let _ = ack;
    }
    /// Fast retransmit: a loss was detected with `in_flight` outstanding.
    fn lost(&mut self, now: Instant, in_flight: u32);
    /// Fast recovery is over.
    fn recovered(&mut self, in_flight: u32);
    /// The retransmission timer expired for the first time since progress.
    fn timed_out(&mut self, now: Instant, in_flight: u32);
    /// Nothing was sent for longer than the retransmission timeout (RFC 5681 section 4.1).
    fn idle(&mut self);
    /// The segment size changed.
    fn set_segment(&mut self, mss: u32);
}

/// The algorithms there are, without dynamic dispatch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Algorithm {
    NewReno(NewReno),
}

impl Algorithm {
    pub fn new(mss: u32) -> Self {
        Self::NewReno(NewReno::new(mss))
    }
    pub fn get(&self) -> &impl CongestionControl {
        let Self::NewReno(algorithm) = self;
        algorithm
    }
    pub fn get_mut(&mut self) -> &mut impl CongestionControl {
        let Self::NewReno(algorithm) = self;
        algorithm
    }
}
