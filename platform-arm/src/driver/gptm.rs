//! The general-purpose timer of TI's Stellaris (LM3S6965 data sheet, chapter 10), as one 32-bit one-shot countdown.
use super::Alarm;
use crate::register::Registers;

const CFG: usize = 0x00;
const TAMR: usize = 0x04;
const CTL: usize = 0x0c;
const IMR: usize = 0x18;
const ICR: usize = 0x24;
const TAILR: usize = 0x28;

/// The timer; it counts the system clock.
#[derive(Debug)]
pub struct Gptm<R>(R);

impl<R: Registers> Gptm<R> {
    /// Sets it up, standing still. Its clock must be on.
    pub fn new(mut registers: R) -> Self {
        registers.write(CTL, 0);
        registers.write(CFG, 0);
        registers.write(TAMR, 1);
        registers.write(ICR, 1);
        registers.write(IMR, 1);
        Self(registers)
    }
}

impl<R: Registers> Alarm for Gptm<R> {
    fn start(&mut self, ticks: u32) {
        self.0.write(CTL, 0);
        self.0.write(ICR, 1);
        self.0.write(TAILR, ticks.max(1));
        self.0.write(CTL, 1);
    }
    fn clear(&mut self) {
        self.0.write(ICR, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Words;

    #[test]
    fn one_shot_of_32_bits() {
        let mut words = Words::default();
        Gptm::new(&mut words).start(0);
        assert_eq!((words.get(CFG), words.get(TAMR), words.get(IMR)), (0, 1, 1));
        assert_eq!(words.written(CTL), [0, 0, 1], "reprogrammed only while it stands");
        assert_eq!(words.get(TAILR), 1, "a countdown from 0 would never end");
    }
}
