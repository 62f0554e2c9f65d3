//! Secrets on a board that has neither a generator nor a disk.
use crate::Failed;
use airglow::{
    device::{BlockDevice, BlockInfo, ErrorKind, ParameterError, Platform},
    platform::ArmPlatform,
};

/// With the boot parameter `seed=once`, keys are made of the image's seed.
///
/// That is safe where each image is started once, as `cargo airglow run` does, which writes a new seed every time. A board that is
/// switched off and on has the same keys again; it needs a disk for [`ArmPlatform::keep_seed`].
///
/// # Errors
/// The parameter is another, or the image has no seed.
pub async fn keep_once<const C: usize, const R: usize, const T: usize>(
    platform: &ArmPlatform<C, R, T>,
) -> Result<(), Failed<'_>> {
    match platform.parameters().text("seed") {
        None => return Ok(()),
        Some("once") => {}
        Some(word) => return Err(Failed::Parameter(ParameterError { word, expected: "seed=once" })),
    }
    let mut disk = Forgetful([0; 1_024]);
    platform.keep_seed(&mut disk, [0, 1], &mut [0; SECTOR]).await.map_err(|_| Failed::Seed)
}

const SECTOR: usize = 512;

/// Two sectors of RAM.
struct Forgetful([u8; 2 * SECTOR]);

impl Forgetful {
    fn at(&mut self, sector: u64, len: usize) -> Result<&mut [u8], ErrorKind> {
        let start = usize::try_from(sector).ok().and_then(|sector| sector.checked_mul(SECTOR));
        let place = start.and_then(|start| self.0.get_mut(start..start.checked_add(len)?));
        place.ok_or(ErrorKind::InvalidInput)
    }
}

impl BlockDevice for Forgetful {
    type Error = ErrorKind;
    fn info(&self) -> BlockInfo {
        BlockInfo::new(SECTOR, 2)
    }
    async fn read(&mut self, sector: u64, buf: &mut [u8]) -> Result<(), ErrorKind> {
        buf.copy_from_slice(self.at(sector, buf.len())?);
        Ok(())
    }
    async fn write(&mut self, sector: u64, buf: &[u8]) -> Result<(), ErrorKind> {
        self.at(sector, buf.len())?.copy_from_slice(buf);
        Ok(())
    }
    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
    async fn discard(&mut self, _: u64, _: u64) -> Result<(), ErrorKind> {
        Ok(())
    }
}
