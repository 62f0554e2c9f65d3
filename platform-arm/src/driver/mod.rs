//! Drivers over registers. None of them knows a board; each is tested on the host against a model of its chip.

pub mod cfi_flash;
pub mod cmsdk_timer;
pub mod cmsdk_uart;
pub mod gptm;
pub mod lan9118;
pub mod pl011;
pub mod pl022;
pub mod rp2_timer;
pub mod stellaris_mac;
pub mod stm32_timer;
pub mod watchdog;

/// A serial port that takes bytes, waiting for room in its FIFO.
pub trait Serial {
    /// Sends one byte.
    fn put(&mut self, byte: u8);
    /// Sends them all.
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.put(byte);
        }
    }
}

/// A one-shot countdown that raises an interrupt: what ends a sleep when a deadline comes.
pub trait Alarm {
    /// Starts again with `ticks` of its clock (at least 1), whatever was running; a rest from before is forgotten.
    fn start(&mut self, ticks: u32);
    /// Clears its interrupt.
    fn clear(&mut self);
}

/// Memory for the two frames that a controller without DMA copies through its FIFO: one that was received, one to be sent.
/// 3,048 bytes.
#[derive(Debug)]
pub struct Stages {
    pub(crate) rx: [u32; Self::WORDS],
    pub(crate) tx: [u32; Self::WORDS],
}

impl Stages {
    /// Two bytes for alignment or a length, a frame of 1,514 bytes, the frame check sequence.
    const WORDS: usize = (2 + 1514 + 4_usize).div_ceil(4) + 1;
    /// Zeroed.
    pub const fn new() -> Self {
        Self { rx: [0; Self::WORDS], tx: [0; Self::WORDS] }
    }
}

impl Default for Stages {
    fn default() -> Self {
        Self::new()
    }
}
