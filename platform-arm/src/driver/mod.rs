//! Drivers over registers. None of them knows a board; each is tested on the host against a model of its chip.

pub mod cmsdk_timer;
pub mod cmsdk_uart;
pub mod gptm;
pub mod lan9118;
pub mod pl011;
pub mod stellaris_mac;
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
