//! The smallest kernel: says what it was given, answers ARP and ping for a while, then shuts down.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod kernel {
    extern crate alloc;
    use airglow_device::*;
    use airglow_platform_xen::{boot, drivers::grant::Doorbell, guest::{self, event_loop::EventLoop, xenstore::Xenstore}};
    use core::{fmt::Write, future::poll_fn};

    #[unsafe(no_mangle)]
    extern "C" fn airglow_main() {
        let mut out = boot::report::Out;
        let info = boot::info();
        let _ = writeln!(out, "hello from airglow: {} pages, command line {:?}", info.nr_pages, info.command_line());
        let _ = writeln!(out, "entropy {} wall {:?}", boot::entropy::start(), boot::time::XenWallClock.unix_now());
        let event_loop = EventLoop::new();
        match info.command_line() {
            "null" => unsafe { (0x18 as *mut u8).write_volatile(1) },
            "text" => unsafe { (airglow_main as *mut u8).write_volatile(1) },
            "panic" => panic!("as you wish"),
            "recurse" => { recurse(1); }
            _ => {}
        }
        airglow_runtime::block_on(&event_loop, async {
            airglow_runtime::sleep(&event_loop, core::time::Duration::from_millis(10)).await;
            let _ = writeln!(out, "slept, {:?}", event_loop.now());
            let store = boot::xenstore().expect("xenstore");
            let _ = writeln!(out, "domid {:?} {:?}", store.read("domid").await, store.directory("device").await);
            let mut card = guest::network::open(&store, "0").await.expect("card");
            let _ = writeln!(out, "card {:?} {:?}", card.mac(), card.caps());
            let mac = card.mac().0;
            let end = event_loop.now() + core::time::Duration::from_secs(20);
            loop {
                let ready = poll_fn(|cx| card.poll_ready(cx, false));
                if airglow_runtime::timeout_at(&event_loop, end, ready).await.is_err() { break }
                let (rx, tx) = card.split();
                rx.receive(64, |frame, _| {
                    let ip = [10, 0, 2, 50];
                    if frame.len() >= 42 && frame[12..14] == [8, 6] && frame[38..42] == ip && frame[21] == 1 {
                        let _ = tx.transmit(42, |out| {
                            out.bytes[0..6].copy_from_slice(&frame[6..12]);
                            out.bytes[6..12].copy_from_slice(&mac);
                            out.bytes[12..20].copy_from_slice(&frame[12..20]);
                            out.bytes[20..22].copy_from_slice(&[0, 2]);
                            out.bytes[22..28].copy_from_slice(&mac);
                            out.bytes[28..32].copy_from_slice(&ip);
                            out.bytes[32..42].copy_from_slice(&frame[22..32]);
                        });
                    } else if frame.len() >= 42 && frame[12..14] == [8, 0] && frame[23] == 1 && frame[34] == 8 {
                        let _ = tx.transmit(frame.len(), |out| {
                            out.bytes.copy_from_slice(frame);
                            out.bytes[0..6].copy_from_slice(&frame[6..12]);
                            out.bytes[6..12].copy_from_slice(&mac);
                            out.bytes[26..30].copy_from_slice(&frame[30..34]);
                            out.bytes[30..34].copy_from_slice(&frame[26..30]);
                            out.bytes[34] = 0;
                            out.bytes[36..38].copy_from_slice(&[0, 0]);
                            out.meta = TxMeta::checksum(34, 2);
                        });
                    }
                });
                tx.flush();
            }
            let _ = writeln!(out, "{:?} {:?}", card.stats(), card.closed());
        });
    }
    fn recurse(depth: u64) -> u64 { let a = [depth; 100]; if depth == 0 { 0 } else { recurse(core::hint::black_box(depth + 1)) + core::hint::black_box(a)[5] } }
}
#[cfg(not(target_os = "none"))]
fn main() {}
