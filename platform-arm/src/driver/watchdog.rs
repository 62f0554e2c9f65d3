//! Arm's watchdog (SP805, its form in the Cortex-M System Design Kit, and its form in TI's Stellaris): a counter that
//! resets the chip when it has run out twice without being fed.
use crate::register::Registers;

const LOAD: usize = 0x00;
const CTL: usize = 0x08;
const LOCK: usize = 0xc00;

const UNLOCK: u32 = 0x1acc_e551;
const CTL_COUNT: u32 = 1 << 0;
const CTL_RESET: u32 = 1 << 1;

/// The watchdog. Once started it cannot be stopped.
#[derive(Debug)]
pub struct Watchdog<R> {
    registers: R,
    ticks: u32,
}

impl<R: Registers> Watchdog<R> {
    /// Starts it: the chip resets when it is not fed for twice `ticks` of its clock.
    pub fn start(mut registers: R, ticks: u32) -> Self {
        registers.write(LOCK, UNLOCK);
        registers.write(LOAD, ticks);
        registers.write(CTL, CTL_COUNT | CTL_RESET);
        registers.write(LOCK, 0);
        Self { registers, ticks }
    }

    /// One that [`start`](Self::start) has started with these `ticks`.
    pub const fn running(registers: R, ticks: u32) -> Self {
        Self { registers, ticks }
    }

    /// Starts the count again.
    pub fn feed(&mut self) {
        self.registers.write(LOCK, UNLOCK);
        // Writing the load value restarts the counter. The first expiry's interrupt is cleared too, else the
        // next expiry would reset although it was fed in between.
        self.registers.write(0x0c, 1);
        self.registers.write(LOAD, self.ticks);
        self.registers.write(LOCK, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Words;

    #[test]
    fn stays_locked_but_for_feeding() {
        let mut words = Words::default();
        Watchdog::start(&mut words, 1000).feed();
        assert_eq!(words.written(LOCK), [UNLOCK, 0, UNLOCK, 0]);
        assert_eq!(words.written(LOAD), [1000, 1000]);
        assert_eq!(words.get(CTL), 3);
    }
}
