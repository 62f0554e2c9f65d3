//! An image that counts its starts on a disk, the first of `virt-aarch64`, the SD card of `lm3s6965evb`: reads all of it, adds one to a number
//! in its second sector, and says both. With the boot parameter `then=panic` it panics in the end.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod image {
    use airglow_device::{BlockDevice, Clock, Platform};
    #[cfg(target_arch = "aarch64")]
    use airglow_platform_arm::aarch64::block::DiskError;
    #[cfg(target_arch = "arm")]
    use airglow_platform_arm::storage::sd::SdError as DiskError;
    use airglow_platform_arm::{ArmPlatform, NetMemory};

    const AT_ONCE: usize = if cfg!(target_arch = "arm") { 8 * 1024 } else { 48 * 1024 };

    async fn run<const C: usize, const R: usize, const T: usize>(
        platform: &ArmPlatform<C, R, T>,
    ) -> Result<(), DiskError> {
        #[cfg(target_arch = "aarch64")]
        let mut disk = platform.disk(0).ok_or(DiskError::Device)?;
        #[cfg(target_arch = "arm")]
        let mut disk = platform.sd_card().await?;
        let info = disk.info();
        log::info!(
            "disk: {} sectors of {} bytes, read-only {}",
            info.sectors,
            info.sector_size,
            info.read_only
        );
        let start = platform.timer().now();
        // FNV-1a.
        let mut sum = 0xcbf2_9ce4_8422_2325u64;
        let mut buf = [0; AT_ONCE];
        let (each, total) = ((AT_ONCE / info.sector_size) as u64, info.sectors);
        for sector in (0..total).step_by(each as usize) {
            let len = (total - sector).min(each) as usize * info.sector_size;
            disk.read(sector, &mut buf[..len]).await?;
            sum = buf[..len].iter().fold(sum, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3));
        }
        let micros = platform.timer().now().since(start).as_micros();
        log::info!("read {} bytes in {micros} us, sum {sum:016x}", total * info.sector_size as u64);
        let mut sector = [0; 512];
        disk.read(1, &mut sector).await?;
        sector[0] = sector[0].wrapping_add(1);
        disk.write(1, &sector).await?;
        disk.flush().await?;
        disk.discard(8, 8).await?;
        log::info!("start number {}", sector[0]);
        log::info!("beyond the end: {:?}", disk.read(info.sectors, &mut sector).await);
        log::info!("not whole: {:?}", disk.read(0, &mut sector[1..]).await);
        assert!(platform.parameters().text("then") != Some("panic"), "as it was asked to");
        Ok(())
    }

    airglow_platform_arm::main!(NetMemory<2, 1024, 512, 1, 256, 4>; |platform| run(platform));
}

#[cfg(not(target_os = "none"))]
fn main() {}
