//! A disk in memory.
use crate::{BlockDevice, BlockInfo, ErrorKind, seeded_entropy::SplitMix64};
use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    vec,
    vec::Vec,
};
use core::{fmt, ops::Range};

/// A disk in memory that fails when it is told to, and that loses power as a real one does.
///
/// ```
/// # use core::{pin::pin, task::{Context, Poll, Waker}};
/// # fn now<F: Future>(f: F) -> F::Output {
/// #     let Poll::Ready(out) = pin!(f).poll(&mut Context::from_waker(Waker::noop())) else { panic!() };
/// #     out
/// # }
/// use airglow_device::{BlockDevice, RamDisk, RamDiskError};
///
/// let mut disk = RamDisk::new(512, 100);
/// let mut sector = [0; 512];
/// # now(async {
/// disk.write(7, &[0xab; 512]).await.unwrap();
/// disk.read(7, &mut sector).await.unwrap();
/// assert_eq!(sector, [0xab; 512]);
/// disk.fail_sector(7);
/// assert_eq!(disk.read(7, &mut sector).await, Err(RamDiskError::Fault));
/// # });
/// ```
#[derive(Clone)]
pub struct RamDisk {
    info: BlockInfo,
    bytes: Vec<u8>,
    /// What stood in the sectors that were written since the last flush.
    unflushed: BTreeMap<u64, Box<[u8]>>,
    bad: BTreeSet<u64>,
    writes_left: Option<u64>,
}

/// Why a transfer with a [`RamDisk`] failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RamDiskError {
    /// The buffer is not a whole number of sectors.
    Unaligned,
    /// Sectors beyond the end.
    OutOfRange,
    /// A write to a read-only disk.
    ReadOnly,
    /// The test asked for it.
    Fault,
}

impl fmt::Display for RamDiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unaligned => "the buffer is not a whole number of sectors",
            Self::OutOfRange => "the transfer goes beyond the end of the disk",
            Self::ReadOnly => "the disk is read-only",
            Self::Fault => "a fault that the test asked for",
        })
    }
}
impl core::error::Error for RamDiskError {}
impl crate::Error for RamDiskError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Unaligned | Self::OutOfRange => ErrorKind::InvalidInput,
            Self::ReadOnly => ErrorKind::PermissionDenied,
            Self::Fault => ErrorKind::Other,
        }
    }
}

impl RamDisk {
    /// A disk of `sectors` sectors of `sector_size` bytes, all zero.
    pub fn new(sector_size: usize, sectors: u64) -> Self {
        let bytes = vec![0; usize::try_from(sectors).unwrap_or(usize::MAX).saturating_mul(sector_size)];
        Self::with_info(BlockInfo::new(sector_size, sectors), bytes)
    }

    /// A disk that holds `image`, filled up with zeros to whole sectors.
    pub fn with_image(sector_size: usize, mut image: Vec<u8>) -> Self {
        image.resize(image.len().next_multiple_of(sector_size.max(1)), 0);
        let sectors = (image.len() / sector_size.max(1)) as u64;
        Self::with_info(BlockInfo::new(sector_size, sectors), image)
    }

    fn with_info(info: BlockInfo, bytes: Vec<u8>) -> Self {
        Self { info, bytes, unflushed: BTreeMap::new(), bad: BTreeSet::new(), writes_left: None }
    }

    /// The same disk, read-only.
    pub fn read_only(self) -> Self {
        Self { info: self.info.read_only(), ..self }
    }

    /// All bytes, as a reader would find them.
    pub fn image(&self) -> &[u8] {
        &self.bytes
    }

    /// From now on transfers that touch `sector` fail; those before it in the same transfer are done.
    pub fn fail_sector(&mut self, sector: u64) {
        self.bad.insert(sector);
    }
    /// `sector` works again.
    pub fn repair_sector(&mut self, sector: u64) {
        self.bad.remove(&sector);
    }
    /// After `count` more sectors were written, every write fails, in the middle of a transfer if it comes so; `None`
    /// writes on.
    pub fn fail_after_writes(&mut self, count: Option<u64>) {
        self.writes_left = count;
    }

    /// The power fails: of the sectors written since the last flush each is as it was before or as it was written, as
    /// `seed` decides. Faults are forgotten.
    pub fn crash(&mut self, seed: u64) {
        let mut coin = SplitMix64(seed);
        for (sector, before) in core::mem::take(&mut self.unflushed) {
            if coin.next() & 1 == 0
                && let Some(bytes) = self.sector(sector)
            {
                bytes.copy_from_slice(&before);
            }
        }
        self.bad.clear();
        self.writes_left = None;
    }

    fn sector(&mut self, sector: u64) -> Option<&mut [u8]> {
        let start = usize::try_from(sector).ok()?.checked_mul(self.info.sector_size)?;
        self.bytes.get_mut(start..)?.get_mut(..self.info.sector_size)
    }

    /// The sectors of a transfer of `len` bytes.
    fn sectors(&self, sector: u64, len: usize) -> Result<Range<u64>, RamDiskError> {
        if self.info.sector_size == 0 || !len.is_multiple_of(self.info.sector_size) {
            return Err(RamDiskError::Unaligned);
        }
        self.range(sector, (len / self.info.sector_size) as u64)
    }

    fn range(&self, sector: u64, count: u64) -> Result<Range<u64>, RamDiskError> {
        match sector.checked_add(count) {
            Some(end) if end <= self.info.sectors => Ok(sector..end),
            _ => Err(RamDiskError::OutOfRange),
        }
    }

    fn write_sector(&mut self, sector: u64, content: &[u8]) -> Result<(), RamDiskError> {
        let powered = self.writes_left.is_none_or(|left| left > 0);
        if self.bad.contains(&sector) || !powered {
            return Err(RamDiskError::Fault);
        }
        self.writes_left = self.writes_left.map(|left| left - 1);
        let bytes = self.sector(sector).ok_or(RamDiskError::OutOfRange)?;
        let before = Box::from(&*bytes);
        bytes.copy_from_slice(content);
        self.unflushed.entry(sector).or_insert(before);
        Ok(())
    }
}

impl BlockDevice for RamDisk {
    type Error = RamDiskError;

    fn info(&self) -> BlockInfo {
        self.info
    }

    async fn read(&mut self, sector: u64, buf: &mut [u8]) -> Result<(), RamDiskError> {
        let sectors = self.sectors(sector, buf.len())?;
        for (sector, buf) in sectors.zip(buf.chunks_exact_mut(self.info.sector_size)) {
            if self.bad.contains(&sector) {
                return Err(RamDiskError::Fault);
            }
            buf.copy_from_slice(self.sector(sector).ok_or(RamDiskError::OutOfRange)?);
        }
        Ok(())
    }

    async fn write(&mut self, sector: u64, buf: &[u8]) -> Result<(), RamDiskError> {
        if self.info.read_only {
            return Err(RamDiskError::ReadOnly);
        }
        let sectors = self.sectors(sector, buf.len())?;
        for (sector, content) in sectors.zip(buf.chunks_exact(self.info.sector_size)) {
            self.write_sector(sector, content)?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), RamDiskError> {
        if self.writes_left == Some(0) {
            return Err(RamDiskError::Fault);
        }
        self.unflushed.clear();
        Ok(())
    }

    async fn discard(&mut self, sector: u64, count: u64) -> Result<(), RamDiskError> {
        if self.info.read_only {
            return Err(RamDiskError::ReadOnly);
        }
        // Discarded sectors read as anything: something that is neither zero nor what was there.
        let anything = vec![0xdb; self.info.sector_size];
        for sector in self.range(sector, count)? {
            self.write_sector(sector, &anything)?;
        }
        Ok(())
    }
}

impl fmt::Debug for RamDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RamDisk")
            .field("info", &self.info)
            .field("unflushed", &self.unflushed.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::{
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    fn now<F: Future>(future: F) -> F::Output {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("a RAM disk never waits"),
        }
    }

    #[test]
    fn transfers_are_whole_sectors_inside_the_disk() {
        let mut disk = RamDisk::new(512, 4);
        assert_eq!(now(disk.write(0, &[1; 100])), Err(RamDiskError::Unaligned));
        assert_eq!(now(disk.write(3, &[1; 1024])), Err(RamDiskError::OutOfRange));
        assert_eq!(now(disk.read(u64::MAX, &mut [0; 512])), Err(RamDiskError::OutOfRange));
        assert_eq!(now(disk.discard(1, u64::MAX)), Err(RamDiskError::OutOfRange));
        assert!(disk.image().iter().all(|byte| *byte == 0), "nothing was transferred");
        let mut image = RamDisk::with_image(512, vec![5; 700]).read_only();
        assert_eq!(image.info(), BlockInfo::new(512, 2).read_only());
        assert_eq!(now(image.write(0, &[1; 512])), Err(RamDiskError::ReadOnly));
        assert_eq!(now(image.discard(0, 1)), Err(RamDiskError::ReadOnly));
        let mut buf = [0; 1024];
        now(image.read(0, &mut buf)).unwrap();
        assert_eq!((buf[699], buf[700]), (5, 0));
    }

    #[test]
    fn faults_come_where_they_were_asked_for() {
        let mut disk = RamDisk::new(512, 8);
        disk.fail_sector(2);
        assert_eq!(now(disk.write(0, &[7; 2048])), Err(RamDiskError::Fault));
        assert_eq!((disk.image()[1023], disk.image()[1024]), (7, 0));
        disk.repair_sector(2);
        disk.fail_after_writes(Some(1));
        assert_eq!(now(disk.write(2, &[8; 1024])), Err(RamDiskError::Fault));
        assert_eq!((disk.image()[1024], disk.image()[1536]), (8, 0));
        assert_eq!(now(disk.flush()), Err(RamDiskError::Fault));
    }

    #[test]
    fn a_crash_loses_some_of_what_was_not_flushed() {
        let mut disk = RamDisk::new(512, 64);
        now(disk.write(0, &[1; 512 * 32])).unwrap();
        now(disk.flush()).unwrap();
        now(disk.write(16, &[2; 512 * 32])).unwrap();
        disk.crash(1);
        let sectors: Vec<u8> = disk.image().chunks(512).map(|sector| sector[0]).collect();
        assert!(sectors[..16].iter().all(|byte| *byte == 1), "what was flushed stays");
        assert!(sectors[16..32].iter().all(|byte| matches!(byte, 1 | 2)));
        let kept = sectors[16..48].iter().filter(|byte| **byte == 2).count();
        assert!((1..32).contains(&kept), "{kept} of 32");
    }
}
