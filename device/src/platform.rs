//! What an application is handed at boot.
use crate::{Entropy, Parameters, Tcp, Timer, Udp, WallClock};

/// Everything a platform gives to the application that `airglow::main!` starts.
///
/// Libraries ask for the one or two traits they need; only an application's outermost function takes the whole.
pub trait Platform {
    /// Byte streams.
    type Tcp: Tcp;
    /// Datagrams.
    type Udp: Udp;
    /// Monotonic clock and timer.
    type Timer: Timer;
    /// Time of day.
    type WallClock: WallClock;
    /// Randomness.
    type Entropy: Entropy;

    /// The TCP of this platform's stack.
    fn tcp(&self) -> &Self::Tcp;
    /// The UDP of this platform's stack.
    fn udp(&self) -> &Self::Udp;
    /// The monotonic clock and timer.
    fn timer(&self) -> &Self::Timer;
    /// The time of day.
    fn wall_clock(&self) -> &Self::WallClock;
    /// The source of randomness.
    fn entropy(&self) -> &Self::Entropy;
    /// The boot parameters.
    fn parameters(&self) -> &Parameters<'_>;
}
