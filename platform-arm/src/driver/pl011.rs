//! Arm's PL011 UART (DDI 0183), as on Stellaris and on QEMU's `virt`.
use super::Serial;
use crate::register::Registers;

const DR: usize = 0x00;
const FR: usize = 0x18;
const IBRD: usize = 0x24;
const FBRD: usize = 0x28;
const LCRH: usize = 0x2c;
const CR: usize = 0x30;

const FR_TX_FULL: u32 = 1 << 5;

/// The port, 8 bits, no parity, one stop bit, FIFOs on.
#[derive(Debug)]
pub struct Pl011<R>(R);

impl<R: Registers> Pl011<R> {
    /// Starts it at `baud` from a clock of `hertz`, for sending.
    pub fn new(mut registers: R, hertz: u32, baud: u32) -> Self {
        registers.write(CR, 0);
        // The divisor counts sixteenths of a bit, in 1/64.
        let divisor = (hertz / baud * 8 + hertz % baud * 8 / baud).div_ceil(2);
        registers.write(IBRD, divisor >> 6);
        registers.write(FBRD, divisor & 0x3f);
        registers.write(LCRH, 0b11 << 5 | 1 << 4);
        registers.write(CR, 1 << 8 | 1);
        Self(registers)
    }
    /// A port that firmware or a bootloader has already started.
    pub const fn started(registers: R) -> Self {
        Self(registers)
    }
}

impl<R: Registers> Serial for Pl011<R> {
    fn put(&mut self, byte: u8) {
        while self.0.read(FR) & FR_TX_FULL != 0 {}
        self.0.write(DR, byte.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Words;

    #[test]
    fn divisors_are_the_manuals() {
        // DDI 0183 section 3.3.6: 4 MHz and 230400 baud give 1 and 5.
        let mut words = Words::default();
        Pl011::new(&mut words, 4_000_000, 230_400);
        assert_eq!((words.get(IBRD), words.get(FBRD)), (1, 5));
        let mut words = Words::default();
        let mut port = Pl011::new(&mut words, 50_000_000, 115_200);
        port.write(b"ok");
        assert_eq!((words.get(IBRD), words.get(FBRD)), (27, 8));
        assert_eq!(words.written(DR), [u32::from(b'o'), u32::from(b'k')]);
    }
}
