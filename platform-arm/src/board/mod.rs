//! Boards: one module each, with its memory map and the devices on it. `build.rs` holds the sizes of the memories.
//!
//! A build is for one board, chosen by the environment variable `AIRGLOW_BOARD` (which `cargo airglow --on` sets); every
//! Cortex-M board's module is compiled in every build, so that none of them rots.
//!
//! How to add one is in the README of this crate.
use crate::{
    driver::{Alarm, Serial, Stages},
    interrupt::InterruptLine,
};
use airglow_device::{NetDevice, Timer};
use airglow_runtime::Park;

pub mod lm3s6965evb;
pub mod mps2;
pub mod mps2_an505;
#[cfg(any(board = "nucleo-f429zi", board = "nucleo-h743zi"))]
pub mod nucleo;
#[cfg(board = "w5500-evb-pico")]
pub mod rp2040_flash;
#[cfg(any(board = "w5500-evb-pico", board = "w5500-evb-pico2"))]
pub mod w5500_evb_pico;

/// What a Cortex-M board has, as the platform uses it.
///
/// The constructors are called once each, in this order: [`start`](Self::start), [`serial`](Self::serial),
/// [`alarm`](Self::alarm), [`watchdog`](Self::watchdog), [`net`](Self::net).
pub trait Board {
    /// Its name in `cargo airglow boards`.
    const NAME: &'static str;
    /// The processor's clock in hertz, which SysTick and the alarm count; whole kilohertz.
    const HERTZ: u32;
    /// The interrupts of `line` 0 (the alarm) and `line` 1 (the network controller).
    const INTERRUPTS: [u16; 2];
    /// The port for logs.
    type Serial: Serial;
    /// What ends a sleep at a deadline.
    type Alarm: Alarm;
    /// What resets a board that hangs.
    type Watchdog: FnMut();
    /// The network controller, for a line that ends the sleep and a clock.
    type Net<L: InterruptLine + 'static, K: Timer + Park + 'static>: NetDevice;

    /// Clocks and pins.
    fn start();
    /// The port for logs, started.
    fn serial() -> Self::Serial;
    /// The alarm, standing still.
    fn alarm() -> Self::Alarm;
    /// The watchdog, started; calling it feeds it.
    fn watchdog() -> Self::Watchdog;
    /// The network controller, started; `None` when it does not answer. `kernel` is the clock and the sleep of the platform.
    fn net<L: InterruptLine + 'static, K: Timer + Park + 'static>(
        line: L,
        kernel: &'static K,
        stages: &'static mut Stages,
    ) -> Option<Self::Net<L, K>>;
    /// Fills `out` from the chip's generator of random bytes; `false` when it has none.
    fn random(out: &mut [u8; 32]) -> bool {
        let _ = out;
        false
    }
    /// Numbers that differ from chip to chip or from boot to boot, as far as the board has any; no secret.
    fn identity() -> [u32; 4];
}

/// The board of this build.
#[cfg(board = "lm3s6965evb")]
pub type Selected = lm3s6965evb::Lm3s6965Evb;
/// The board of this build.
#[cfg(any(board = "mps2-an385", board = "mps2-an386"))]
pub type Selected = mps2::An385;
/// The board of this build.
#[cfg(board = "mps2-an500")]
pub type Selected = mps2::An500;
/// The board of this build.
#[cfg(board = "mps2-an505")]
pub type Selected = mps2_an505::An505;
/// The board of this build.
#[cfg(board = "w5500-evb-pico")]
pub type Selected = w5500_evb_pico::W5500EvbPico;
/// The board of this build.
#[cfg(board = "w5500-evb-pico2")]
pub type Selected = w5500_evb_pico::W5500EvbPico2;
/// The board of this build.
#[cfg(any(board = "nucleo-f429zi", board = "nucleo-h743zi"))]
pub type Selected = nucleo::Nucleo;
