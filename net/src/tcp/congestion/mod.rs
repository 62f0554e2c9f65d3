//! Congestion control: how much may be in flight.
#[cfg(feature = "cubic")]
mod cubic;
mod hystart;
mod newreno;
#[cfg(feature = "westwood")]
mod westwood;
#[cfg(feature = "cubic")]
pub use cubic::Cubic;
pub use newreno::NewReno;
#[cfg(feature = "westwood")]
pub use westwood::Westwood;

use super::Seq;
use airglow_device::Instant;
use core::{str::FromStr, time::Duration};

/// What an acknowledgment of new data says.
#[derive(Clone, Copy, Debug)]
pub struct Ack {
    /// The time.
    pub now: Instant,
    /// Bytes acknowledged cumulatively by it.
    pub bytes: u32,
    /// Bytes in flight before it.
    pub in_flight: u32,
    /// The window was what held the sender back (RFC 7661): one that is not used must not grow.
    pub limited: bool,
    /// SRTT, once known.
    pub smoothed: Option<Duration>,
    /// The round-trip time of the latest segment among those it acknowledges, if that was sent once.
    pub sample: Option<Duration>,
    /// SND.UNA after it.
    pub acknowledged: Seq,
    /// SND.NXT.
    pub next: Seq,
}

impl Ack {
    /// An acknowledgment that knows nothing of round trips, of a window that was used.
    pub const fn at(now: Instant, bytes: u32, in_flight: u32) -> Self {
        Self {
            now,
            bytes,
            in_flight,
            limited: true,
            smoothed: None,
            sample: None,
            acknowledged: Seq(0),
            next: Seq(0),
        }
    }
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
    /// `bytes` have reached the peer that were not known to, cumulatively or selectively, in any phase. For algorithms that measure.
    fn delivered(&mut self, now: Instant, bytes: u32, smoothed: Option<Duration>, least: Option<Duration>) {
        let _ = (now, bytes, smoothed, least);
    }
    /// `bytes` were delivered during fast recovery. For algorithms that go on growing when the loss was no sign of congestion.
    fn delivered_in_recovery(&mut self, bytes: u32) {
        let _ = bytes;
    }
    /// Fast retransmit: a loss was detected with `in_flight` outstanding.
    fn lost(&mut self, now: Instant, in_flight: u32);
    /// Fast recovery is over.
    fn recovered(&mut self, in_flight: u32);
    /// The retransmission timer expired for the first time since progress.
    fn timed_out(&mut self, now: Instant, in_flight: u32);
    /// The SYN or SYN,ACK had to be sent again: the connection begins with one segment (RFC 5681 section 3.1).
    fn handshake_lost(&mut self);
    /// Nothing was sent for longer than the retransmission timeout (RFC 5681 section 4.1).
    fn idle(&mut self);
    /// The window was not used for five minutes (RFC 7661 section 4.5).
    fn not_validated(&mut self);
    /// The segment size changed.
    fn set_segment(&mut self, mss: u32);
}

/// Which algorithm new connections use.
///
/// Two flows for 40 s through 50 Mbit/s, 50 ms round trip and a queue of 20 packets, a tenth of what the path holds: Westwood beside
/// CUBIC gets 5.1 of 5.9 MB/s, beside NewReno 5.3. Through 100 Mbit/s, 50 ms and 2 % of random loss, alone, Westwood gets
/// 2.2 MB/s, CUBIC 0.27 and NewReno 0.22. So CUBIC is the default and Westwood is for links whose losses are known not to be
/// signs of a full queue and that need not be shared (`tcp/tests/bottleneck.rs` measures it).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Congestion {
    /// Returns after a loss along a cubic function of time (RFC 9438). The default where it is compiled in.
    #[cfg(feature = "cubic")]
    #[default]
    Cubic,
    /// Halves on every loss (RFC 5681, RFC 6582). The default where there is no CUBIC.
    #[cfg_attr(not(feature = "cubic"), default)]
    NewReno,
    /// NewReno, but a loss does not bring the window below what the path was measured to carry: for paths that lose packets
    /// without being full. Where the queue is short and shared it takes the place of those who do give way.
    #[cfg(feature = "westwood")]
    Westwood,
}

impl FromStr for Congestion {
    type Err = ();
    /// The value of a boot parameter: `cubic`, `newreno` or `westwood`.
    fn from_str(name: &str) -> Result<Self, ()> {
        match name {
            #[cfg(feature = "cubic")]
            "cubic" => Ok(Self::Cubic),
            "newreno" => Ok(Self::NewReno),
            #[cfg(feature = "westwood")]
            "westwood" => Ok(Self::Westwood),
            _ => Err(()),
        }
    }
}

/// The algorithms there are, without dynamic dispatch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Algorithm {
    #[cfg(feature = "cubic")]
    Cubic(Cubic),
    NewReno(NewReno),
    #[cfg(feature = "westwood")]
    Westwood(Westwood),
}

impl Algorithm {
    pub fn new(choice: Congestion, mss: u32) -> Self {
        match choice {
            #[cfg(feature = "cubic")]
            Congestion::Cubic => Self::Cubic(Cubic::new(mss)),
            Congestion::NewReno => Self::NewReno(NewReno::new(mss)),
            #[cfg(feature = "westwood")]
            Congestion::Westwood => Self::Westwood(Westwood::new(mss)),
        }
    }
}

macro_rules! either {
    ($self:ident, $algorithm:ident => $call:expr) => {
        match $self {
            #[cfg(feature = "cubic")]
            Self::Cubic($algorithm) => $call,
            Self::NewReno($algorithm) => $call,
            #[cfg(feature = "westwood")]
            Self::Westwood($algorithm) => $call,
        }
    };
}

impl CongestionControl for Algorithm {
    fn window(&self) -> u32 {
        either!(self, algorithm => algorithm.window())
    }
    fn slow_start_threshold(&self) -> u32 {
        either!(self, algorithm => algorithm.slow_start_threshold())
    }
    fn acknowledged(&mut self, ack: &Ack) {
        either!(self, algorithm => algorithm.acknowledged(ack));
    }
    fn delivered(&mut self, now: Instant, bytes: u32, smoothed: Option<Duration>, least: Option<Duration>) {
        either!(self, algorithm => algorithm.delivered(now, bytes, smoothed, least));
    }
    fn delivered_in_recovery(&mut self, bytes: u32) {
        either!(self, algorithm => algorithm.delivered_in_recovery(bytes));
    }
    fn lost(&mut self, now: Instant, in_flight: u32) {
        either!(self, algorithm => algorithm.lost(now, in_flight));
    }
    fn recovered(&mut self, in_flight: u32) {
        either!(self, algorithm => algorithm.recovered(in_flight));
    }
    fn timed_out(&mut self, now: Instant, in_flight: u32) {
        either!(self, algorithm => algorithm.timed_out(now, in_flight));
    }
    fn handshake_lost(&mut self) {
        either!(self, algorithm => algorithm.handshake_lost());
    }
    fn idle(&mut self) {
        either!(self, algorithm => algorithm.idle());
    }
    fn not_validated(&mut self) {
        either!(self, algorithm => algorithm.not_validated());
    }
    fn set_segment(&mut self, mss: u32) {
        either!(self, algorithm => algorithm.set_segment(mss));
    }
}
