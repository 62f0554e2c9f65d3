//! The SPI bus between a driver and the model of a chip.
use embedded_hal::spi::{ErrorType, Operation};
use std::{cell::RefCell, convert::Infallible, rc::Rc};

/// A chip as the bus sees it: bytes out for bytes in, between the edges of its select line.
pub trait Chip {
    /// The select line falls.
    fn select(&mut self);
    /// Eight clocks.
    fn byte(&mut self, mosi: u8) -> u8;
    /// The select line rises.
    fn deselect(&mut self);
}

/// A chip on a bus of its own. The test holds the other reference.
pub struct Bus<C>(pub Rc<RefCell<C>>);

impl<C> Clone for Bus<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C> ErrorType for Bus<C> {
    type Error = Infallible;
}

fn transact<C: Chip>(chip: &mut C, operations: &mut [Operation<'_, u8>]) {
    chip.select();
    for operation in operations {
        match operation {
            Operation::Read(bytes) => bytes.iter_mut().for_each(|b| *b = chip.byte(0)),
            Operation::Write(bytes) => bytes.iter().for_each(|&b| _ = chip.byte(b)),
            Operation::TransferInPlace(bytes) => bytes.iter_mut().for_each(|b| *b = chip.byte(*b)),
            Operation::Transfer(read, write) => {
                for index in 0..read.len().max(write.len()) {
                    let answer = chip.byte(write.get(index).copied().unwrap_or(0));
                    if let Some(place) = read.get_mut(index) {
                        *place = answer;
                    }
                }
            }
            Operation::DelayNs(_) => {}
        }
    }
    chip.deselect();
}

impl<C: Chip> embedded_hal::spi::SpiDevice for Bus<C> {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), Infallible> {
        transact(&mut *self.0.borrow_mut(), operations);
        Ok(())
    }
}

impl<C: Chip> embedded_hal_async::spi::SpiDevice for Bus<C> {
    /// A transfer by DMA: others run before it is done.
    async fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), Infallible> {
        airglow_runtime::yield_now().await;
        transact(&mut *self.0.borrow_mut(), operations);
        Ok(())
    }
}

/// A reset line that does nothing: the models start as after a reset.
pub struct ResetPin;

impl embedded_hal::digital::ErrorType for ResetPin {
    type Error = Infallible;
}
impl embedded_hal::digital::OutputPin for ResetPin {
    fn set_low(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
    fn set_high(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
