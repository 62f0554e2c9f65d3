//! The guard of an ENC28J60's bus.
use core::cell::Cell;
use embedded_hal::spi::{ErrorType, Operation, SpiDevice};

/// Read buffer memory (data sheet table 4-1).
const RBM: u8 = 0x3a;
/// The end of the receive ring as `embassy-net-enc28j60` lays it out, from address 0.
const RING_END: u16 = 0x19ff;
/// A frame with its check sequence.
const LENGTHS: core::ops::RangeInclusive<u16> = 14 + 4..=1514 + 4;
/// In the fifth byte of what stands in front of a frame: bit 23 of its status vector.
const RECEIVED_OK: u8 = 1 << 7;

/// An SPI bus with an ENC28J60 on it, for `embassy-net-enc28j60`.
///
/// In front of each frame in the chip's memory stand the place of the next one, its length and its status. When they cannot be true,
/// the driver gets a length that it knows to be wrong itself, and resets the receive logic as it does for that. Each time
/// counts in `mended`.
#[derive(Debug)]
pub struct GuardedEnc28j60<'c, S> {
    bus: S,
    mended: &'c Cell<u32>,
}

impl<'c, S> GuardedEnc28j60<'c, S> {
    /// In front of `bus`.
    pub const fn new(bus: S, mended: &'c Cell<u32>) -> Self {
        Self { bus, mended }
    }
}

impl<S: ErrorType> ErrorType for GuardedEnc28j60<'_, S> {
    type Error = S::Error;
}

impl<S: SpiDevice> SpiDevice for GuardedEnc28j60<'_, S> {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), S::Error> {
        self.bus.transaction(operations)?;
        // Six bytes are read nowhere else: no frame that passes is as short.
        if let [Operation::Write([RBM]), Operation::Read(data)] = operations
            && let [next_low, next_high, low, high, flags, _] = &mut **data
        {
            let next = u16::from_le_bytes([*next_low, *next_high]);
            let length = u16::from_le_bytes([*low, *high]);
            let sane = next % 2 == 0 && next <= RING_END && LENGTHS.contains(&length);
            if !sane || *flags & RECEIVED_OK == 0 {
                self.mended.set(self.mended.get().wrapping_add(1));
                (*low, *high) = (0xff, 0xff);
            }
        }
        Ok(())
    }
}
