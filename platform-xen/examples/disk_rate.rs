//! A kernel that reads and writes all of its disk `xvda` in pieces of `piece=` bytes, as `dd` with direct I/O does, and prints
//! how fast it was.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod kernel {
    extern crate alloc;

    use airglow_device::{BlockDevice, Clock, Platform};
    use airglow_platform_xen::Xen;
    use alloc::{format, string::String, vec};

    async fn run(platform: &Xen<'_>) -> Result<(), String> {
        let words = platform.parameters();
        let piece = words.get("piece", "a number of bytes").map_err(|e| format!("{e}"))?.unwrap_or(1 << 20);
        let mut disk = platform.disk("xvda").await.map_err(|e| format!("{e}"))?;
        let info = disk.info();
        let mut buffer = vec![0; piece];
        let step = (buffer.len() / info.sector_size) as u64;
        let pieces = info.sectors.checked_div(step).ok_or("piece= is smaller than a sector")?;
        for write in [false, true] {
            let start = platform.timer().now();
            for index in 0..pieces {
                let done = match write {
                    false => disk.read(index * step, &mut buffer).await,
                    true => disk.write(index * step, &buffer).await,
                };
                done.map_err(|e| format!("piece {index}: {e}"))?;
            }
            let micros = platform.timer().now().since(start).as_micros();
            let what = if write { "wrote" } else { "read" };
            log::info!("{what} {} bytes in {micros} us", pieces * buffer.len() as u64);
        }
        Ok(())
    }

    airglow_platform_xen::main!(|platform| run(platform));
}

#[cfg(not(all(target_os = "none", target_arch = "x86_64")))]
fn main() {}
