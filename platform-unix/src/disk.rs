//! A disk that is a file.
use airglow_device::{BlockDevice, BlockInfo};
use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

const SECTOR: usize = 512;

/// A [`BlockDevice`] over a file or a block device of the host.
///
/// Transfers are plain `pread` and `pwrite` calls, so the thread waits where the page cache has to.
#[derive(Debug)]
pub struct FileDisk {
    file: File,
    info: BlockInfo,
}

impl FileDisk {
    /// The disk in `path`, in sectors of 512 bytes; an incomplete one at the end of the file is not part of the disk.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::over(OpenOptions::new().read(true).write(true).open(path)?, false)
    }

    /// The same, and writing is refused.
    ///
    /// # Errors
    /// The system's.
    pub fn open_read_only(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::over(File::open(path)?, true)
    }

    /// A new disk of `sectors` sectors in `path`, a file that does not exist yet; it occupies only what is written.
    ///
    /// # Errors
    /// The system's.
    pub fn create(path: impl AsRef<Path>, sectors: u64) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        file.set_len(sectors.checked_mul(SECTOR as u64).ok_or(io::ErrorKind::InvalidInput)?)?;
        Self::over(file, false)
    }

    fn over(file: File, read_only: bool) -> io::Result<Self> {
        use std::io::{Seek, SeekFrom};
        // The end by seeking: the metadata of a block device says nothing.
        let len = (&file).seek(SeekFrom::End(0))?;
        let info = BlockInfo::new(SECTOR, len / SECTOR as u64);
        Ok(Self { file, info: if read_only { info.read_only() } else { info } })
    }

    /// Where `count` bytes from `sector` on lie; an error unless they are whole sectors of this disk.
    fn offset(&self, sector: u64, count: u64) -> io::Result<u64> {
        let sectors = count / SECTOR as u64;
        let inside = sector.checked_add(sectors).is_some_and(|end| end <= self.info.sectors);
        if !count.is_multiple_of(SECTOR as u64) || !inside {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "{count} bytes from sector {sector} on are not whole sectors of a disk with {}",
                    self.info.sectors
                ),
            ));
        }
        Ok(sector * SECTOR as u64)
    }

    fn writable(&self) -> io::Result<()> {
        if self.info.read_only {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the disk is read-only"));
        }
        Ok(())
    }
}

impl BlockDevice for FileDisk {
    type Error = io::Error;

    fn info(&self) -> BlockInfo {
        self.info
    }

    async fn read(&mut self, sector: u64, buf: &mut [u8]) -> io::Result<()> {
        let offset = self.offset(sector, buf.len() as u64)?;
        self.file.read_exact_at(buf, offset)
    }

    async fn write(&mut self, sector: u64, buf: &[u8]) -> io::Result<()> {
        self.writable()?;
        let offset = self.offset(sector, buf.len() as u64)?;
        self.file.write_all_at(buf, offset)
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Punches a hole where the file system can (Linux); elsewhere nothing happens.
    async fn discard(&mut self, sector: u64, count: u64) -> io::Result<()> {
        self.writable()?;
        let len = count.checked_mul(SECTOR as u64).ok_or(io::ErrorKind::InvalidInput)?;
        let offset = self.offset(sector, len)?;
        #[cfg(target_os = "linux")]
        if len > 0 {
            use rustix::{fs, io::Errno};
            match fs::fallocate(
                &self.file,
                fs::FallocateFlags::PUNCH_HOLE | fs::FallocateFlags::KEEP_SIZE,
                offset,
                len,
            ) {
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::NODEV) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let _ = offset;
        Ok(())
    }
}
