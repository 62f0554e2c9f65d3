//! A 32-bit general-purpose timer of an STM32 (TIM2 and TIM5; reference manual RM0090 chapter 18) in one-pulse mode.
use crate::{driver::Alarm, register::Registers};

const CR1: usize = 0x00;
const DIER: usize = 0x0c;
const SR: usize = 0x10;
const EGR: usize = 0x14;
const PSC: usize = 0x28;
const ARR: usize = 0x2c;

const CR1_COUNT: u32 = 1 << 0;
/// Only an overflow is an event, not the write that loads the registers.
const CR1_UPDATE_BY_OVERFLOW: u32 = 1 << 2;
const CR1_ONE_PULSE: u32 = 1 << 3;

/// The timer.
#[derive(Debug)]
pub struct Stm32Timer<R> {
    registers: R,
    divider: u32,
}

impl<R: Registers> Stm32Timer<R> {
    /// A timer whose clock has been turned on and runs `divider` times slower than the processor's.
    pub fn new(mut registers: R, divider: u32) -> Self {
        registers.write(CR1, 0);
        registers.write(PSC, 0);
        registers.write(DIER, 1);
        Self { registers, divider: divider.max(1) }
    }
}

impl<R: Registers> Alarm for Stm32Timer<R> {
    fn start(&mut self, ticks: u32) {
        let settings = CR1_ONE_PULSE | CR1_UPDATE_BY_OVERFLOW;
        self.registers.write(CR1, settings);
        self.registers.write(ARR, ticks.div_ceil(self.divider).max(1));
        self.registers.write(EGR, 1);
        self.registers.write(SR, 0);
        self.registers.write(CR1, settings | CR1_COUNT);
    }
    fn clear(&mut self) {
        self.registers.write(SR, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Words;

    #[test]
    fn loads_before_it_counts() {
        let mut words = Words::default();
        let mut timer = Stm32Timer::new(&mut words, 2);
        timer.start(1001);
        timer.clear();
        assert_eq!(words.written(ARR), [501]);
        assert_eq!(words.written(CR1), [0, 0b1100, 0b1101]);
        assert_eq!((words.get(DIER), words.written(EGR)), (1, std::vec![1]));
    }
}
