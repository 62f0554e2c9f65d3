//! An image that keeps a seed in the board's own flash and says that it then has randomness which is fit for secrets. With the boot parameter
//! `cut=N` the flash loses its power in the midst of what would be the N-th erase or write: an erase is done and nothing after it, of a
//! write the first half.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod image {
    use airglow_device::{BlockDevice, Entropy, Platform};
    #[cfg(target_arch = "aarch64")]
    use airglow_platform_arm::aarch64::Flash;
    #[cfg(target_arch = "arm")]
    use airglow_platform_arm::cortex_m::Flash;
    use airglow_platform_arm::{
        ArmPlatform, NetMemory,
        storage::{
            flash::{FlashDisk, FlashError},
            seed::SeedError,
        },
    };
    use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

    /// A seed's sector, alone in what the flash erases at once.
    const SECTOR: usize = 512;

    /// A flash whose power fails.
    struct Failing {
        flash: Flash,
        left: u32,
    }

    impl Failing {
        /// Counts an operation; whether it is the last.
        fn last(&mut self) -> bool {
            self.left = self.left.wrapping_sub(1);
            self.left == 0
        }
        /// Never comes back: the host takes the power away.
        fn dark() -> ! {
            log::info!("the power fails");
            loop {
                core::hint::spin_loop();
            }
        }
    }
    impl ErrorType for Failing {
        type Error = <Flash as ErrorType>::Error;
    }
    impl ReadNorFlash for Failing {
        const READ_SIZE: usize = Flash::READ_SIZE;
        fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
            self.flash.read(offset, bytes)
        }
        fn capacity(&self) -> usize {
            self.flash.capacity()
        }
    }
    impl NorFlash for Failing {
        const WRITE_SIZE: usize = Flash::WRITE_SIZE;
        const ERASE_SIZE: usize = Flash::ERASE_SIZE;
        fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
            let last = self.last();
            self.flash.erase(from, to)?;
            if last { Self::dark() } else { Ok(()) }
        }
        fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
            if self.last() {
                // The record has 80 bytes: half of it.
                self.flash.write(offset, &bytes[..40])?;
                Self::dark()
            }
            self.flash.write(offset, bytes)
        }
    }

    async fn run<const C: usize, const R: usize, const T: usize>(
        platform: &ArmPlatform<C, R, T>,
    ) -> Result<(), SeedError<FlashError<<Flash as ErrorType>::Error>>> {
        let cut = platform.parameters().get("cut", "a number").ok().flatten().unwrap_or(0);
        let disk = platform.flash_disk::<SECTOR>().ok_or(SeedError::Missing)?;
        let sectors = disk.info().sectors as u32;
        log::info!("flash: {sectors} sectors; once more: {}", platform.flash_disk::<SECTOR>().is_some());
        let flash = Failing { flash: disk.into_inner(), left: cut };
        let mut disk = FlashDisk::<_, SECTOR>::new(flash, 0, sectors).ok_or(SeedError::Missing)?;
        platform.keep_seed(&mut disk, [0, 1], &mut [0; SECTOR]).await?;
        // Without a seed that is kept, and without a generator, this ends with a panic.
        let mut secret = [0; 8];
        platform.entropy().fill(&mut secret);
        log::info!("a secret: {:016x}", u64::from_be_bytes(secret));
        Ok(())
    }

    airglow_platform_arm::main!(NetMemory<2, 1024, 512, 1, 256, 4>; |platform| run(platform));
}

#[cfg(not(target_os = "none"))]
fn main() {}
