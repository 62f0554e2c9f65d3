//! Disks.

/// What a block device is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockInfo {
    /// Bytes in a sector: the unit of every transfer, a power of two of at least 512.
    pub sector_size: usize,
    /// Sectors on the device.
    pub sectors: u64,
    /// Writes and discards are refused.
    pub read_only: bool,
}

impl BlockInfo {
    /// A writable device of `sectors` sectors of `sector_size` bytes.
    pub const fn new(sector_size: usize, sectors: u64) -> Self {
        Self { sector_size, sectors, read_only: false }
    }
    /// The same device, read-only.
    pub const fn read_only(self) -> Self {
        Self { read_only: true, ..self }
    }
}

/// A disk: sectors that are read and written whole.
///
/// # Contract
/// - Buffers are a whole number of sectors long and transfers lie inside the device; anything else is
///   an error, and nothing is transferred.
/// - Transfers that have finished are seen by all later reads; they are durable after a later `flush`.
/// - A call whose future is dropped before it finished may have transferred any subset of its sectors.
pub trait BlockDevice {
    /// Why a transfer failed.
    type Error: embedded_io_async::Error;

    /// The device's geometry. It may grow while the system runs.
    fn info(&self) -> BlockInfo;
    /// Reads `buf.len() / sector_size` sectors from `sector` on.
    async fn read(&mut self, sector: u64, buf: &mut [u8]) -> Result<(), Self::Error>;
    /// Writes `buf.len() / sector_size` sectors from `sector` on.
    async fn write(&mut self, sector: u64, buf: &[u8]) -> Result<(), Self::Error>;
    /// Makes every finished write durable.
    async fn flush(&mut self) -> Result<(), Self::Error>;
    /// Says that `count` sectors from `sector` on hold nothing of value; they read as anything until
    /// they are written again. A device that cannot discard does nothing.
    async fn discard(&mut self, sector: u64, count: u64) -> Result<(), Self::Error>;
}

impl<T: BlockDevice + ?Sized> BlockDevice for &mut T {
    type Error = T::Error;
    fn info(&self) -> BlockInfo {
        (**self).info()
    }
    async fn read(&mut self, sector: u64, buf: &mut [u8]) -> Result<(), Self::Error> {
        (**self).read(sector, buf).await
    }
    async fn write(&mut self, sector: u64, buf: &[u8]) -> Result<(), Self::Error> {
        (**self).write(sector, buf).await
    }
    async fn flush(&mut self) -> Result<(), Self::Error> {
        (**self).flush().await
    }
    async fn discard(&mut self, sector: u64, count: u64) -> Result<(), Self::Error> {
        (**self).discard(sector, count).await
    }
}
