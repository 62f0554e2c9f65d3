//! Arm's PL022 serial port (PrimeCell technical reference manual DDI 0194H) as an SPI bus, alone or with one chip on it: mode 0, eight
//! bits, the chip's select line being a pin of its own.
//!
//! The processor moves the bytes, eight in flight; a frame of the largest size takes 0.4 ms at 31 MHz, during which nothing else runs. The
//! asynchronous form is the same and never waits.
use crate::register::Registers;
use core::convert::Infallible;
use embedded_hal::{
    digital::OutputPin,
    spi::{ErrorType, Operation, SpiBus},
};

const CR0: usize = 0x00;
const CR1: usize = 0x04;
const DR: usize = 0x08;
const SR: usize = 0x0c;
const CPSR: usize = 0x10;

const CR1_ENABLE: u32 = 1 << 1;
const SR_TX_NOT_FULL: u32 = 1 << 1;
const SR_RX_NOT_EMPTY: u32 = 1 << 2;
/// Bytes that the receive FIFO holds.
const FIFO: usize = 8;
/// Looks at the status register without progress, after which the controller is given up.
const PATIENCE: u32 = 100_000;

/// The controller does not clock any byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stuck;

impl core::fmt::Display for Stuck {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the SPI controller does not clock")
    }
}
impl core::error::Error for Stuck {}
impl embedded_hal::spi::Error for Stuck {
    fn kind(&self) -> embedded_hal::spi::ErrorKind {
        embedded_hal::spi::ErrorKind::Other
    }
}

/// The controller alone: a bus whose user selects its chip.
#[derive(Debug)]
pub struct Pl022Bus<R> {
    registers: R,
}

impl<R: Registers> Pl022Bus<R> {
    /// Starts the controller, fed with `clock` hertz, at no more than `hertz`.
    pub fn new(registers: R, clock: u32, hertz: u32) -> Self {
        let mut bus = Self { registers };
        bus.set_speed(clock, hertz);
        bus
    }

    /// Fed with `clock` hertz, clocks at no more than `hertz` from now on.
    pub fn set_speed(&mut self, clock: u32, hertz: u32) {
        // The clock is divided by 2 and then by 1 to 256.
        let divider = clock.div_ceil(2 * hertz.max(1)).clamp(1, 256);
        self.registers.write(CR1, 0);
        self.registers.write(CPSR, 2);
        self.registers.write(CR0, (divider - 1) << 8 | 7);
        self.registers.write(CR1, CR1_ENABLE);
    }

    /// Clocks `len` bytes, each given by `out` and taken by `into`.
    fn exchange(
        &mut self,
        len: usize,
        mut out: impl FnMut(usize) -> u8,
        mut into: impl FnMut(usize, u8),
    ) -> Result<(), Stuck> {
        let (mut sent, mut received, mut looks) = (0, 0, 0);
        while received < len {
            let status = self.registers.read(SR);
            looks += 1;
            if status & SR_RX_NOT_EMPTY != 0 {
                into(received, self.registers.read(DR) as u8);
                received += 1;
                looks = 0;
            }
            if sent < len && sent - received < FIFO && status & SR_TX_NOT_FULL != 0 {
                self.registers.write(DR, out(sent).into());
                sent += 1;
                looks = 0;
            }
            if looks > PATIENCE {
                return Err(Stuck);
            }
        }
        Ok(())
    }

    fn operate(&mut self, operation: &mut Operation<'_, u8>) -> Result<(), Stuck> {
        match operation {
            Operation::Read(bytes) => self.exchange(bytes.len(), |_| 0, |at, byte| set(bytes, at, byte)),
            Operation::Write(bytes) => {
                self.exchange(bytes.len(), |at| bytes.get(at).copied().unwrap_or(0), |_, _| ())
            }
            Operation::Transfer(read, write) => self.exchange(
                read.len().max(write.len()),
                |at| write.get(at).copied().unwrap_or(0),
                |at, byte| set(read, at, byte),
            ),
            Operation::TransferInPlace(bytes) => {
                let bytes = core::cell::Cell::from_mut(&mut **bytes).as_slice_of_cells();
                self.exchange(
                    bytes.len(),
                    |at| bytes.get(at).map_or(0, core::cell::Cell::get),
                    |at, byte| _ = bytes.get(at).map(|place| place.set(byte)),
                )
            }
            Operation::DelayNs(nanos) => {
                // Each turn takes a nanosecond at least.
                (0..*nanos).for_each(|_| core::hint::spin_loop());
                Ok(())
            }
        }
    }
}

impl<R> ErrorType for Pl022Bus<R> {
    type Error = Stuck;
}

impl<R: Registers> SpiBus for Pl022Bus<R> {
    fn read(&mut self, words: &mut [u8]) -> Result<(), Stuck> {
        self.operate(&mut Operation::Read(words))
    }
    fn write(&mut self, words: &[u8]) -> Result<(), Stuck> {
        self.operate(&mut Operation::Write(words))
    }
    fn transfer(&mut self, read: &mut [u8], write: &[u8]) -> Result<(), Stuck> {
        self.operate(&mut Operation::Transfer(read, write))
    }
    fn transfer_in_place(&mut self, words: &mut [u8]) -> Result<(), Stuck> {
        self.operate(&mut Operation::TransferInPlace(words))
    }
    fn flush(&mut self) -> Result<(), Stuck> {
        Ok(())
    }
}

/// The controller and the chip that `select` selects when it is low.
#[derive(Debug)]
pub struct Pl022<R, P> {
    bus: Pl022Bus<R>,
    select: P,
}

impl<R: Registers, P: OutputPin<Error = Infallible>> Pl022<R, P> {
    /// Starts the controller, fed with `clock` hertz, at no more than `hertz`.
    pub fn new(registers: R, mut select: P, clock: u32, hertz: u32) -> Self {
        let Ok(()) = select.set_high();
        Self { bus: Pl022Bus::new(registers, clock, hertz), select }
    }

    fn transact(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), Stuck> {
        let Ok(()) = self.select.set_low();
        let result = operations.iter_mut().try_for_each(|operation| self.bus.operate(operation));
        let Ok(()) = self.select.set_high();
        result
    }
}

fn set(bytes: &mut [u8], at: usize, byte: u8) {
    if let Some(place) = bytes.get_mut(at) {
        *place = byte;
    }
}

impl<R, P> ErrorType for Pl022<R, P> {
    type Error = Stuck;
}

impl<R: Registers, P: OutputPin<Error = Infallible>> embedded_hal::spi::SpiDevice for Pl022<R, P> {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), Stuck> {
        self.transact(operations)
    }
}

impl<R: Registers, P: OutputPin<Error = Infallible>> embedded_hal_async::spi::SpiDevice for Pl022<R, P> {
    async fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), Stuck> {
        self.transact(operations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal::{digital, spi::SpiDevice};
    use std::{cell::RefCell, collections::VecDeque, rc::Rc, vec::Vec};

    /// The controller, a select line, and a chip that answers each byte with its complement while it is selected.
    #[derive(Default)]
    struct Chip {
        fifo: VecDeque<u8>,
        settings: Vec<(usize, u32)>,
        heard: Vec<u8>,
        selected: bool,
        edges: u32,
        dead: bool,
    }

    #[derive(Clone, Default)]
    struct Wires(Rc<RefCell<Chip>>);

    impl Registers for Wires {
        fn read(&mut self, offset: usize) -> u32 {
            let mut chip = self.0.borrow_mut();
            match offset {
                _ if chip.dead => 0,
                DR => chip.fifo.pop_front().expect("read only what is there").into(),
                SR => SR_TX_NOT_FULL | if chip.fifo.is_empty() { 0 } else { SR_RX_NOT_EMPTY },
                _ => 0,
            }
        }
        fn write(&mut self, offset: usize, value: u32) {
            let mut chip = self.0.borrow_mut();
            if offset == DR {
                assert!(chip.selected && chip.fifo.len() < FIFO, "the receive FIFO must not run over");
                chip.heard.push(value as u8);
                chip.fifo.push_back(!value as u8);
            } else {
                chip.settings.push((offset, value));
            }
        }
    }
    impl digital::ErrorType for Wires {
        type Error = Infallible;
    }
    impl OutputPin for Wires {
        fn set_low(&mut self) -> Result<(), Infallible> {
            let mut chip = self.0.borrow_mut();
            (chip.selected, chip.edges) = (true, chip.edges + 1);
            Ok(())
        }
        fn set_high(&mut self) -> Result<(), Infallible> {
            self.0.borrow_mut().selected = false;
            Ok(())
        }
    }

    #[test]
    fn one_selection_for_all_that_belongs_together() {
        let wires = Wires::default();
        let mut spi = Pl022::new(wires.clone(), wires.clone(), 125_000_000, 33_000_000);
        // 125 MHz / (2 * 2) = 31.25 MHz.
        assert_eq!(wires.0.borrow().settings, [(CR1, 0), (CPSR, 2), (CR0, 1 << 8 | 7), (CR1, CR1_ENABLE)]);
        let (mut in_place, mut read, mut both) = ([1, 2, 3], [0; 20], [0; 2]);
        spi.transaction(&mut [
            Operation::Write(&[0xa0, 0xa1]),
            Operation::TransferInPlace(&mut in_place),
            Operation::Read(&mut read),
            Operation::Transfer(&mut both, &[9, 8, 7]),
        ])
        .unwrap();
        assert_eq!((in_place, read, both), ([!1, !2, !3], [0xff; 20], [!9, !8]));
        let chip = wires.0.borrow();
        let heard: Vec<u8> = [&[0xa0, 0xa1, 1, 2, 3][..], &[0; 20], &[9, 8, 7]].concat();
        assert_eq!((&chip.heard, chip.edges, chip.selected), (&heard, 1, false));
    }

    #[test]
    fn a_controller_that_does_not_clock_is_an_error() {
        let wires = Wires::default();
        let mut spi = Pl022::new(wires.clone(), wires.clone(), 125_000_000, 1);
        wires.0.borrow_mut().dead = true;
        assert_eq!(spi.write(&[0; 100]), Err(Stuck));
        assert!(!wires.0.borrow().selected);
    }
}
