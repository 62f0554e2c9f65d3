//! The timer of Arm's Cortex-M System Design Kit (DDI 0479), used as a one-shot countdown.
use super::Alarm;
use crate::register::Registers;

const CTRL: usize = 0x00;
const VALUE: usize = 0x04;
const RELOAD: usize = 0x08;
const INTCLEAR: usize = 0x0c;

const ENABLE: u32 = 1 << 0;
const INTERRUPT: u32 = 1 << 3;

/// The timer; it counts the peripheral clock.
#[derive(Debug)]
pub struct CmsdkTimer<R>(R);

impl<R: Registers> CmsdkTimer<R> {
    /// Sets it up, standing still.
    pub fn new(mut registers: R) -> Self {
        registers.write(CTRL, 0);
        registers.write(INTCLEAR, 1);
        Self(registers)
    }
}

impl<R: Registers> Alarm for CmsdkTimer<R> {
    fn start(&mut self, ticks: u32) {
        self.0.write(CTRL, 0);
        self.0.write(INTCLEAR, 1);
        // It reloads from RELOAD; 0 there makes it stop at the end, so that it fires once.
        self.0.write(RELOAD, 0);
        self.0.write(VALUE, ticks.max(1));
        self.0.write(CTRL, ENABLE | INTERRUPT);
    }
    fn clear(&mut self) {
        self.0.write(INTCLEAR, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Words;

    #[test]
    fn fires_once() {
        let mut words = Words::default();
        CmsdkTimer::new(&mut words).start(25_000);
        assert_eq!((words.get(RELOAD), words.get(VALUE)), (0, 25_000));
        assert_eq!(words.get(CTRL), ENABLE | INTERRUPT);
    }
}
