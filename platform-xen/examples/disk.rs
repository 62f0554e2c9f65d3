//! A kernel that counts its starts on its disk `xvda`: reads all of it, adds one to a number in its second sector, and prints both. With the boot
//! parameter `rounds=N` it then writes N times, each time something else, and reads it again.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod kernel {
    extern crate alloc;

    use airglow_device::{BlockDevice, Clock, Platform};
    use airglow_platform_xen::Xen;
    use alloc::{format, string::String, vec};

    async fn run(platform: &Xen<'_>) -> Result<(), String> {
        let rounds = platform.parameters().get("rounds", "a number").map_err(|e| format!("{e}"))?;
        let mut disk = platform.disk("xvda").await.map_err(|e| format!("{e}"))?;
        let info = disk.info();
        log::info!(
            "xvda: {} sectors of {} bytes, read-only {}",
            info.sectors,
            info.sector_size,
            info.read_only
        );
        let mut all = vec![0; info.sectors as usize * info.sector_size];
        let start = platform.timer().now();
        disk.read(0, &mut all).await.map_err(|e| format!("read: {e}"))?;
        let micros = platform.timer().now().since(start).as_micros();
        // FNV-1a.
        let sum = all
            .iter()
            .fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3));
        log::info!("read {} bytes in {micros} us, sum {sum:016x}", all.len());
        let mut sector = vec![0; info.sector_size];
        disk.read(1, &mut sector).await.map_err(|e| format!("read: {e}"))?;
        sector[0] = sector[0].wrapping_add(1);
        disk.write(1, &sector).await.map_err(|e| format!("write: {e}"))?;
        disk.flush().await.map_err(|e| format!("flush: {e}"))?;
        disk.discard(8, 8).await.map_err(|e| format!("discard: {e}"))?;
        log::info!("start number {}", sector[0]);
        let beyond = disk.read(info.sectors, &mut sector).await;
        log::info!("beyond the end: {beyond:?}");
        let mut written = vec![0; 256 << 10];
        let mut read = written.clone();
        for round in 1..=rounds.unwrap_or(0u32) {
            for (i, word) in written.chunks_exact_mut(4).enumerate() {
                word.copy_from_slice(&(round.wrapping_mul(0x9e37_79b1) ^ i as u32).to_le_bytes());
            }
            let sectors = (written.len() / info.sector_size) as u64;
            let at = 64 + u64::from(round % 8) * sectors;
            disk.write(at, &written).await.map_err(|e| format!("round {round}: write: {e}"))?;
            disk.flush().await.map_err(|e| format!("round {round}: flush: {e}"))?;
            read.fill(0);
            disk.read(at, &mut read).await.map_err(|e| format!("round {round}: read: {e}"))?;
            if read != written {
                return Err(format!("round {round}: what is read is not what was written"));
            }
            log::info!("round {round} right, {} sectors", disk.info().sectors);
        }
        Ok(())
    }

    airglow_platform_xen::main!(|platform| run(platform));
}

#[cfg(not(all(target_os = "none", target_arch = "x86_64")))]
fn main() {}
