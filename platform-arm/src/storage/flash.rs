//! NOR flash, through `embedded-storage`, as a disk each of whose sectors the flash erases apart from the others.
use airglow_device::{BlockDevice, BlockInfo, Error, ErrorKind};
use core::fmt;
use embedded_storage::nor_flash::NorFlash;

/// A part of a flash as a disk of sectors of `SECTOR` bytes.
///
/// `SECTOR` is the unit in which the flash erases or a multiple of it; or, at least 512, less than that unit: then each sector has a unit to
/// itself, whose rest stays unused, so that no write ever endangers another sector. That is for a few small things, such as a
/// [seed](super::seed), on a flash that erases 128 KiB at once. A sector that is written as it already is costs nothing; one that has been erased, by [`discard`](BlockDevice::discard) or never been written, is not erased again. A write that loses its power
/// leaves its sector undefined, as a flash does: keep two copies of what must survive that.
#[derive(Debug)]
pub struct FlashDisk<F, const SECTOR: usize> {
    flash: F,
    start: u32,
    sectors: u32,
}

/// Why a transfer failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlashError<E> {
    /// The buffer is not a whole number of sectors.
    Unaligned,
    /// Sectors beyond the end.
    OutOfRange,
    /// The flash reports an error.
    Flash(E),
}

impl<E: fmt::Debug> fmt::Display for FlashError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unaligned => f.write_str("the buffer is not a whole number of sectors"),
            Self::OutOfRange => f.write_str("the transfer goes beyond the end of the disk"),
            Self::Flash(error) => write!(f, "the flash reports: {error:?}"),
        }
    }
}
impl<E: fmt::Debug> core::error::Error for FlashError<E> {}
impl<E: fmt::Debug> Error for FlashError<E> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Unaligned | Self::OutOfRange => ErrorKind::InvalidInput,
            Self::Flash(_) => ErrorKind::Other,
        }
    }
}

/// How a sector must be written.
#[derive(PartialEq)]
enum Need {
    Nothing,
    Program,
    Erase,
}

impl<F: NorFlash, const SECTOR: usize> FlashDisk<F, SECTOR> {
    const FITS: () = assert!(
        SECTOR.is_power_of_two()
            && SECTOR >= 512
            && (SECTOR.is_multiple_of(F::ERASE_SIZE) || F::ERASE_SIZE.is_multiple_of(SECTOR))
            && SECTOR.is_multiple_of(F::WRITE_SIZE)
            && STEP.is_multiple_of(F::READ_SIZE),
        "a sector is a power of two of at least 512 bytes that the flash can erase and write whole"
    );
    /// What a sector occupies.
    const STRIDE: u32 = if SECTOR > F::ERASE_SIZE { SECTOR as u32 } else { F::ERASE_SIZE as u32 };

    /// The `sectors` sectors of `flash` from the byte `start` on; `None` when they do not lie in it, or `start` is not where a
    /// sector can begin.
    pub fn new(flash: F, start: u32, sectors: u32) -> Option<Self> {
        let () = Self::FITS;
        let end = u64::from(start) + u64::from(sectors) * u64::from(Self::STRIDE);
        let fits = (start as usize).is_multiple_of(F::ERASE_SIZE) && end <= flash.capacity() as u64;
        fits.then_some(Self { flash, start, sectors })
    }

    /// The flash.
    pub fn into_inner(self) -> F {
        self.flash
    }

    /// Where the transfer begins in the flash.
    fn place(&self, sector: u64, count: u64) -> Result<u32, FlashError<F::Error>> {
        match sector.checked_add(count) {
            Some(end) if end <= self.sectors.into() => Ok(self.start + sector as u32 * Self::STRIDE),
            _ => Err(FlashError::OutOfRange),
        }
    }

    fn checked(&self, sector: u64, len: usize) -> Result<u32, FlashError<F::Error>> {
        if len.is_multiple_of(SECTOR) {
            self.place(sector, (len / SECTOR) as u64)
        } else {
            Err(FlashError::Unaligned)
        }
    }

    /// Erases the sector at `at`.
    fn erase(&mut self, at: u32) -> Result<(), FlashError<F::Error>> {
        self.flash.erase(at, at + Self::STRIDE).map_err(FlashError::Flash)
    }

    /// What the sector at `at` needs to become `wanted`; `None`: to become erased.
    fn need(&mut self, at: u32, wanted: Option<&[u8]>) -> Result<Need, FlashError<F::Error>> {
        let (mut same, mut erased) = (true, true);
        let mut part = [0; STEP];
        for offset in (0..SECTOR).step_by(STEP) {
            self.flash.read(at + offset as u32, &mut part).map_err(FlashError::Flash)?;
            erased &= part == [0xff; STEP];
            same &= wanted.and_then(|w| w.get(offset..offset + STEP)) == Some(&part[..]);
        }
        Ok(match (same, erased, wanted) {
            (true, ..) | (_, true, None) => Need::Nothing,
            (_, true, Some(_)) => Need::Program,
            _ => Need::Erase,
        })
    }
}

/// Bytes that are compared at once.
const STEP: usize = 64;

impl<F: NorFlash, const SECTOR: usize> BlockDevice for FlashDisk<F, SECTOR> {
    type Error = FlashError<F::Error>;

    fn info(&self) -> BlockInfo {
        BlockInfo::new(SECTOR, self.sectors.into())
    }
    async fn read(&mut self, sector: u64, buf: &mut [u8]) -> Result<(), Self::Error> {
        let at = self.checked(sector, buf.len())?;
        for (at, part) in (at..).step_by(Self::STRIDE as usize).zip(buf.chunks_mut(SECTOR)) {
            self.flash.read(at, part).map_err(FlashError::Flash)?;
        }
        Ok(())
    }
    async fn write(&mut self, sector: u64, buf: &[u8]) -> Result<(), Self::Error> {
        let at = self.checked(sector, buf.len())?;
        for (at, wanted) in (at..).step_by(Self::STRIDE as usize).zip(buf.chunks(SECTOR)) {
            let need = self.need(at, Some(wanted))?;
            if need == Need::Erase {
                self.erase(at)?;
            }
            if need != Need::Nothing {
                self.flash.write(at, wanted).map_err(FlashError::Flash)?;
            }
        }
        Ok(())
    }
    /// Nothing waits to be written.
    async fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
    /// Erases.
    async fn discard(&mut self, sector: u64, count: u64) -> Result<(), Self::Error> {
        let at = self.place(sector, count)?;
        for at in (at..).step_by(Self::STRIDE as usize).take(count as usize) {
            if self.need(at, None)? == Need::Erase {
                self.erase(at)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::{
        pin::pin,
        task::{Context, Poll, Waker},
    };
    use embedded_storage::nor_flash::{
        ErrorType, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
    };
    use std::{vec, vec::Vec};

    fn now<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("a flash does not wait"),
        }
    }

    /// A flash: writing only clears bits, and a word that is not erased must not be written.
    struct Flash {
        bytes: Vec<u8>,
        erased: u32,
        written: u32,
    }
    impl ErrorType for Flash {
        type Error = NorFlashErrorKind;
    }
    impl ReadNorFlash for Flash {
        const READ_SIZE: usize = 4;
        fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
            check_read(self, offset, bytes.len())?;
            bytes.copy_from_slice(&self.bytes[offset as usize..][..bytes.len()]);
            Ok(())
        }
        fn capacity(&self) -> usize {
            self.bytes.len()
        }
    }
    impl NorFlash for Flash {
        const WRITE_SIZE: usize = 8;
        const ERASE_SIZE: usize = 1024;
        fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
            check_erase(self, from, to)?;
            self.bytes[from as usize..to as usize].fill(0xff);
            self.erased += 1;
            Ok(())
        }
        fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
            check_write(self, offset, bytes.len())?;
            for (to, from) in self.bytes[offset as usize..].iter_mut().zip(bytes) {
                assert_eq!(*to, 0xff, "written twice without an erase");
                *to &= from;
            }
            self.written += 1;
            Ok(())
        }
    }

    #[test]
    fn sectors_read_back_and_wear_only_when_they_change() {
        let flash = Flash { bytes: vec![0x55; 16 * 1024], erased: 0, written: 0 };
        let mut disk = FlashDisk::<_, 2048>::new(flash, 4096, 5).unwrap();
        assert_eq!(disk.info(), BlockInfo::new(2048, 5));
        let (one, two): (Vec<u8>, Vec<u8>) = ((0..=255).cycle().take(4096).collect(), vec![7; 2048]);
        now(disk.write(1, &one)).unwrap();
        now(disk.write(4, &two)).unwrap();
        assert_eq!((disk.flash.erased, disk.flash.written), (3, 3));
        now(disk.write(1, &one)).unwrap();
        assert_eq!((disk.flash.erased, disk.flash.written), (3, 3), "nothing has changed");
        now(disk.discard(1, 2)).unwrap();
        now(disk.discard(1, 2)).unwrap();
        now(disk.write(2, &two)).unwrap();
        assert_eq!(
            (disk.flash.erased, disk.flash.written),
            (5, 4),
            "erased once, and not again to be written"
        );
        let mut all = vec![0; 5 * 2048];
        now(disk.read(0, &mut all)).unwrap();
        assert!(all[..2048].iter().all(|&b| b == 0x55) && all[2048..4096].iter().all(|&b| b == 0xff));
        assert!(all[4096..6144] == two && all[8192..] == two);
        let flash = disk.into_inner();
        assert!(flash.bytes[..4096].iter().chain(&flash.bytes[14336..]).all(|&b| b == 0x55), "outside");
    }

    #[test]
    fn a_sector_smaller_than_what_is_erased_has_that_to_itself() {
        let flash = Flash { bytes: vec![0x55; 4096], erased: 0, written: 0 };
        let mut disk = FlashDisk::<_, 512>::new(flash, 1024, 3).unwrap();
        assert_eq!(disk.info(), BlockInfo::new(512, 3));
        let (one, two) = (vec![1; 1024], vec![2; 512]);
        now(disk.write(1, &one)).unwrap();
        now(disk.write(1, &two)).unwrap();
        let mut all = vec![0; 1536];
        now(disk.read(0, &mut all)).unwrap();
        assert!(all[..512].iter().all(|&b| b == 0x55) && all[512..1024] == two && all[1024..] == one[..512]);
        now(disk.discard(1, 2)).unwrap();
        assert_eq!((disk.flash.erased, disk.flash.written), (5, 3));
        assert!(disk.flash.bytes[..2048].iter().all(|&b| b == 0x55));
        assert!(disk.flash.bytes[2048..].iter().all(|&b| b == 0xff));
        let small = Flash { bytes: vec![0xff; 4096], erased: 0, written: 0 };
        assert!(FlashDisk::<_, 512>::new(small, 1024, 4).is_none());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let flash = || Flash { bytes: vec![0xff; 8192], erased: 0, written: 0 };
        assert!(FlashDisk::<_, 1024>::new(flash(), 512, 1).is_none());
        assert!(FlashDisk::<_, 1024>::new(flash(), 1024, 8).is_none());
        let mut disk = FlashDisk::<_, 1024>::new(flash(), 1024, 7).unwrap();
        assert_eq!(now(disk.read(0, &mut [0; 100])), Err(FlashError::Unaligned));
        assert_eq!(now(disk.read(7, &mut [0; 1024])), Err(FlashError::OutOfRange));
        assert_eq!(now(disk.write(6, &[0; 2048])), Err(FlashError::OutOfRange));
        assert_eq!(now(disk.discard(u64::MAX, 2)), Err(FlashError::OutOfRange));
        assert_eq!(disk.flash.erased, 0);
    }
}
