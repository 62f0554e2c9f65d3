//! The microsecond timer of RP2040 and RP2350 (data sheets, sections 4.6 and 12.8): its first alarm.
use crate::{driver::Alarm, register::Registers};

const ALARM0: usize = 0x10;
const ARMED: usize = 0x20;
const TIMERAWL: usize = 0x28;

/// The first alarm. Where the interrupt registers lie differs: INTR, and INTE behind it.
#[derive(Debug)]
pub struct Rp2Timer<R> {
    registers: R,
    intr: usize,
    ticks_per_micro: u32,
}

impl<R: Registers> Rp2Timer<R> {
    /// INTR of an RP2040.
    pub const INTR_RP2040: usize = 0x34;
    /// INTR of an RP2350.
    pub const INTR_RP2350: usize = 0x3c;

    /// An alarm that is told its time in processor cycles, of which a microsecond has `ticks_per_micro`.
    pub fn new(mut registers: R, intr: usize, ticks_per_micro: u32) -> Self {
        registers.write(ARMED, 0xf);
        registers.write(intr, 0xf);
        registers.write(intr + 4, 1);
        Self { registers, intr, ticks_per_micro }
    }
}

impl<R: Registers> Alarm for Rp2Timer<R> {
    fn start(&mut self, ticks: u32) {
        // Two more: a time that has passed when it is written would come in 71 minutes.
        let micros = ticks / self.ticks_per_micro + 2;
        let now = self.registers.read(TIMERAWL);
        self.registers.write(ALARM0, now.wrapping_add(micros));
    }
    fn clear(&mut self) {
        self.registers.write(ARMED, 1);
        self.registers.write(self.intr, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Words;

    #[test]
    fn a_time_in_the_future_across_the_wrap() {
        let mut words = Words::default();
        words.write(TIMERAWL, u32::MAX - 5);
        let mut timer = Rp2Timer::new(&mut words, Rp2Timer::<Words>::INTR_RP2350, 125);
        timer.clear();
        timer.start(1250);
        timer.start(1);
        assert_eq!(words.written(ALARM0), [6, u32::MAX - 3]);
        assert_eq!((words.written(0x40), words.written(0x3c)), (std::vec![1], std::vec![0xf, 1]));
    }
}
