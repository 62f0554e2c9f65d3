//! The UART of Arm's Cortex-M System Design Kit (DDI 0479), as on MPS2 boards.
use super::Serial;
use crate::register::Registers;

const DATA: usize = 0x00;
const STATE: usize = 0x04;
const CTRL: usize = 0x08;
const BAUDDIV: usize = 0x10;

const STATE_TX_FULL: u32 = 1 << 0;

/// The port, 8 bits, no parity, one stop bit.
#[derive(Debug)]
pub struct CmsdkUart<R>(R);

impl<R: Registers> CmsdkUart<R> {
    /// Starts it at `baud` from a clock of `hertz`, for sending.
    pub fn new(mut registers: R, hertz: u32, baud: u32) -> Self {
        // The kit's divider is at least 16.
        registers.write(BAUDDIV, (hertz / baud).max(16));
        registers.write(CTRL, 1);
        Self(registers)
    }
}

impl<R: Registers> Serial for CmsdkUart<R> {
    fn put(&mut self, byte: u8) {
        while self.0.read(STATE) & STATE_TX_FULL != 0 {}
        self.0.write(DATA, byte.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Words;

    #[test]
    fn starts_and_sends() {
        let mut words = Words::default();
        let mut port = CmsdkUart::new(&mut words, 25_000_000, 115_200);
        port.write(b"hi");
        assert_eq!((words.get(BAUDDIV), words.get(CTRL)), (217, 1));
        assert_eq!(words.written(DATA), [u32::from(b'h'), u32::from(b'i')]);
    }
}
