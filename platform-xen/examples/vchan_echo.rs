//! A kernel that speaks over vchan with the domain `peer=`: as the server of `serve=PATH` it sends back in capitals what it
//! gets; as the client of `connect=PATH` it waits for the text `hear=`, if any, sends `bytes=` bytes and checks that they come back so.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod kernel {
    extern crate alloc;

    use airglow_device::{Platform, Read, Stream, Write};
    use airglow_platform_xen::{Xen, guest::vchan::Vchan};
    use alloc::{format, string::String, vec::Vec};

    async fn run(platform: &Xen<'_>) -> Result<(), String> {
        let words = platform.parameters();
        let peer = words.get("peer", "a domain's number").map_err(|e| format!("{e}"))?.unwrap_or(0);
        let bytes: usize = words.get("bytes", "a number").map_err(|e| format!("{e}"))?.unwrap_or(100_000);
        let ring: usize = words.get("ring", "a number").map_err(|e| format!("{e}"))?.unwrap_or(8192);
        let (serve, connect, hear) = (words.text("serve"), words.text("connect"), words.text("hear"));
        if let Some(path) = serve {
            let mut stream =
                Vchan::serve(platform.store(), peer, path, ring, ring).await.map_err(|e| format!("{e}"))?;
            log::info!("offering {path}");
            stream.connected().await;
            let mut buffer = [0; 1000];
            let mut total = 0;
            loop {
                let count = stream.read(&mut buffer).await.map_err(|e| format!("{e}"))?;
                if count == 0 {
                    log::info!("the client is gone after {total} bytes");
                    break;
                }
                total += count;
                buffer[..count].make_ascii_uppercase();
                stream.write_all(&buffer[..count]).await.map_err(|e| format!("{e}"))?;
            }
        }
        if let Some(path) = connect {
            let mut stream = platform.vchan(peer, path).await.map_err(|e| format!("{e}"))?;
            log::info!("connected to {path}");
            let mut greeting = alloc::vec![0; hear.unwrap_or_default().len()];
            stream.read_exact(&mut greeting).await.map_err(|e| format!("{e}"))?;
            if hear.is_some_and(|text| text.as_bytes() != greeting) {
                return Err(format!("the server says {greeting:?}"));
            }
            let content: Vec<u8> =
                (0..bytes).map(|i| b"abcdefghijklmnopqrstuvwxyz\n"[(i * i / 7) % 27]).collect();
            // Not more on the way than the other end can hold: it writes what it has read before it reads on.
            let mut right = 0;
            for piece in content.chunks(512) {
                let mut back = [0; 512];
                let back = &mut back[..piece.len()];
                stream.write_all(piece).await.map_err(|e| format!("{e}"))?;
                stream.read_exact(back).await.map_err(|e| format!("{e}"))?;
                right +=
                    back.iter().zip(piece).filter(|(b, p)| **b == p.to_ascii_uppercase() || b == p).count();
            }
            log::info!("{right} of {bytes} bytes came back right");
            stream.close().await.map_err(|e| format!("{e}"))?;
        }
        Ok(())
    }

    airglow_platform_xen::main!(|platform| run(platform));
}

#[cfg(not(all(target_os = "none", target_arch = "x86_64")))]
fn main() {}
