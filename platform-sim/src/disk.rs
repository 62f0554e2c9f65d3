//! A disk that outlives its host's restarts.
use airglow_device::{BlockDevice, BlockInfo, RamDisk, RamDiskError};
use std::{cell::RefCell, rc::Rc};

/// A host's [`RamDisk`]. Clones are the same disk; it stays when the power goes, less what was not flushed.
#[derive(Clone)]
pub struct Disk(pub(crate) Rc<RefCell<RamDisk>>);

impl Disk {
    pub(crate) fn new(disk: RamDisk) -> Self {
        Self(Rc::new(RefCell::new(disk)))
    }

    /// Calls `f` with the disk itself, to break it or to look what is on it.
    pub fn with<R>(&self, f: impl FnOnce(&mut RamDisk) -> R) -> R {
        f(&mut self.0.borrow_mut())
    }
}

#[allow(clippy::await_holding_refcell_ref, reason = "a disk in memory never waits")]
impl BlockDevice for Disk {
    type Error = RamDiskError;

    fn info(&self) -> BlockInfo {
        self.0.borrow().info()
    }
    async fn read(&mut self, sector: u64, buf: &mut [u8]) -> Result<(), RamDiskError> {
        self.0.borrow_mut().read(sector, buf).await
    }
    async fn write(&mut self, sector: u64, buf: &[u8]) -> Result<(), RamDiskError> {
        self.0.borrow_mut().write(sector, buf).await
    }
    async fn flush(&mut self) -> Result<(), RamDiskError> {
        self.0.borrow_mut().flush().await
    }
    async fn discard(&mut self, sector: u64, count: u64) -> Result<(), RamDiskError> {
        self.0.borrow_mut().discard(sector, count).await
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Disk").field(&self.0.borrow().info()).finish()
    }
}
