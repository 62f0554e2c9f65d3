//! A kernel that encrypts and hashes `bytes=` bytes as TLS does, in records of 16 KiB, and prints how long that took.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod kernel {
    extern crate alloc;

    use airglow_device::{Clock, Platform};
    use airglow_platform_xen::Xen;
    use airglow_tls::crypto::{Aead, CipherSuite, Hash, Provider, RustCrypto, Transcript};
    use alloc::{format, string::String, vec};

    const RECORD: usize = 16_384;

    async fn run(platform: &Xen<'_>) -> Result<(), String> {
        let words = platform.parameters();
        let bytes = words.get("bytes", "a number of bytes").map_err(|e| format!("{e}"))?.unwrap_or(4 << 20);
        let mut record = vec![0x5a; RECORD];
        let aead = RustCrypto.aead(CipherSuite::TLS_AES_128_GCM_SHA256, &[7; 16]).ok_or("no AES-128-GCM")?;
        let start = platform.timer().now();
        let mut tag = [0; 16];
        for _ in 0..bytes / RECORD {
            tag = aead.seal(&[1; 12], b"", &mut record).ok_or("too long")?;
        }
        log::info!("sealed in {} us, {tag:02x?}", platform.timer().now().since(start).as_micros());
        let start = platform.timer().now();
        let mut hash = RustCrypto.hash(Hash::Sha256);
        for _ in 0..bytes / RECORD {
            hash.update(&record);
        }
        let digest = hash.current();
        log::info!("hashed in {} us, {:02x?}", platform.timer().now().since(start).as_micros(), &*digest);
        Ok(())
    }

    airglow_platform_xen::main!(|platform| run(platform));
}

#[cfg(not(all(target_os = "none", target_arch = "x86_64")))]
fn main() {}
