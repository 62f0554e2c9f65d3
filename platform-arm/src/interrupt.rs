//! Interrupts without interrupt handlers.
//!
//! No handler ever runs on a board: interrupts stay masked at the processor from the first instruction to the last.
//! A masked interrupt still ends `WFI` when it is pending, on Cortex-M as on Cortex-A; the loop then asks each line of
//! the board whether it is pending and wakes the task that waits for it. So there is one stack, one context,
//! no critical section and no data race, and a wake-up cannot be lost between the last look at a device and
//! the `WFI`: the line that rose in between is pending and `WFI` falls through.
use core::task::Waker;

/// An interrupt line as the driver of its device sees it.
pub trait InterruptLine {
    /// Forgets an interrupt that is pending at the controller, lets the next one end the processor's sleep, and keeps
    /// `waker` for it, in place of any other.
    ///
    /// The order that loses nothing: `rearm`, then clear the device's own interrupt status, then look
    /// once more whether there is something to do.
    fn rearm(&self, waker: &Waker);
}

impl<T: InterruptLine + ?Sized> InterruptLine for &T {
    fn rearm(&self, waker: &Waker) {
        (**self).rearm(waker);
    }
}
