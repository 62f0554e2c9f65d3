//! The guard of a W5500's bus.
use core::cell::Cell;
use embedded_hal_async::spi::{ErrorType, Operation, SpiDevice};

/// Control bytes: which block, and whether it is written (data sheet section 2.2.2).
const SOCKET_READ: u8 = 0x08;
const SOCKET_WRITE: u8 = 0x0c;
const RX_READ: u8 = 0x18;

const SN_CR: [u8; 2] = [0, 0x01];
const SN_TX_FSR: [u8; 2] = [0, 0x20];
const SN_RX_RD: [u8; 2] = [0, 0x28];

const OPEN: u8 = 0x01;
const CLOSE: u8 = 0x10;
const RECV: u8 = 0x40;

/// The length in front of a frame counts its own two bytes.
const LENGTHS: core::ops::RangeInclusive<u16> = 2 + 14..=2 + 1514;
/// How often the free room is asked for, tens of milliseconds on a bus of 30 MHz, before it is not waited for any longer.
const PATIENCE: u32 = 10_000;

/// An SPI bus with a W5500 in MACRAW mode on it, for `embassy-net-wiznet`.
///
/// When the length in front of a received frame cannot be true, or the transmit buffer does not empty, the socket is closed and opened
/// again, which empties both buffers; the driver gets a frame of no bytes, respectively finds room. Each time counts in `mended`.
#[derive(Debug)]
pub struct GuardedW5500<'c, S> {
    bus: S,
    mended: &'c Cell<u32>,
    /// The driver is about to move a read pointer that no longer is.
    swallow: bool,
    waited: u32,
}

impl<'c, S: SpiDevice> GuardedW5500<'c, S> {
    /// In front of `bus`.
    pub const fn new(bus: S, mended: &'c Cell<u32>) -> Self {
        Self { bus, mended, swallow: false, waited: 0 }
    }

    async fn reopen(&mut self) -> Result<(), S::Error> {
        self.mended.set(self.mended.get().wrapping_add(1));
        for command in [CLOSE, OPEN] {
            let operations = &mut [
                Operation::Write(&SN_CR),
                Operation::Write(&[SOCKET_WRITE]),
                Operation::Write(&[command]),
            ];
            self.bus.transaction(operations).await?;
        }
        Ok(())
    }
}

impl<S: SpiDevice> ErrorType for GuardedW5500<'_, S> {
    type Error = S::Error;
}

impl<S: SpiDevice> SpiDevice for GuardedW5500<'_, S> {
    async fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), S::Error> {
        if self.swallow
            && let [Operation::Write(address), Operation::Write([SOCKET_WRITE]), Operation::Write(data)] =
                operations
        {
            if *address == SN_RX_RD {
                return Ok(());
            }
            if *address == SN_CR && **data == [RECV] {
                self.swallow = false;
                return Ok(());
            }
        }
        self.bus.transaction(operations).await?;
        let [Operation::Write(address), Operation::Write([control]), Operation::TransferInPlace(data)] =
            operations
        else {
            return Ok(());
        };
        let [high, low] = &mut **data else { return Ok(()) };
        let word = u16::from_be_bytes([*high, *low]);
        let control = *control;
        if control == RX_READ && !LENGTHS.contains(&word) {
            (*high, *low) = (0, 2);
            self.swallow = true;
            self.reopen().await?;
        }
        if control == SOCKET_READ && *address == SN_TX_FSR {
            self.waited = if word < *LENGTHS.end() { self.waited + 1 } else { 0 };
            if self.waited >= PATIENCE {
                self.waited = 0;
                self.reopen().await?;
            }
        }
        Ok(())
    }
}
