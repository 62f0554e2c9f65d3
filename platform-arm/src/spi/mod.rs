//! Ethernet chips on SPI, over `embedded-hal`: what their drivers in the embassy project need to be safe from their chips.
//!
//! Those drivers believe every length that the chip tells them, and panic on one that is longer than a frame: a glitch on the
//! bus would reset the board. A guard stands on the bus between such a driver and its chip, looks at the few bytes that matter, and brings the
//! chip back to a defined state when they cannot be true.
//!
//! What stays the driver's own: it panics when the bus itself reports an error (SPI controllers of these boards do not), and waits
//! for ever for a chip that does not answer when it is started; then the watchdog resets the board.
mod enc28j60;
mod w5500;

pub use enc28j60::GuardedEnc28j60;
pub use w5500::GuardedW5500;
