//! A kernel that does the one thing that its boot parameter `fault=` names, to see how it ends.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod kernel {
    extern crate alloc;

    use airglow_device::{Parameters, Platform};
    use core::hint::black_box;

    async fn run(platform: &impl Platform) -> Result<(), &'static str> {
        fault(platform.parameters())
    }

    fn fault(parameters: &Parameters<'_>) -> Result<(), &'static str> {
        let address: extern "C" fn() = target;
        match parameters.text("fault").unwrap_or_default() {
            // SAFETY: none of these is; the page rights are what is tried here.
            "null" => unsafe { black_box(0x18 as *mut u8).write_volatile(1) },
            "text" => unsafe { black_box(address as *mut u8).write_volatile(1) },
            "constant" => unsafe {
                black_box(c"constant".as_ptr().cast_mut().cast::<u8>()).write_volatile(1)
            },
            "execute" => unsafe {
                let code = alloc::boxed::Box::leak(alloc::boxed::Box::new([0xc3u8; 16]));
                core::mem::transmute::<*const u8, extern "C" fn()>(black_box(code.as_ptr()))();
            },
            "divide" => unsafe { core::arch::asm!("div {0:e}", in(reg) 0, out("eax") _, out("edx") _) },
            "panic" => panic!("as the boot parameters ask"),
            "memory" => {
                let mut all = alloc::vec::Vec::new();
                loop {
                    all.push(black_box(alloc::boxed::Box::new([1u8; 65536])));
                }
            }
            "stack" => return if deeper(1) == 0 { Err("the stack has no end") } else { Ok(()) },
            "error" => return Err("the application's own words"),
            "" => return Ok(()),
            _ => return Err("no such fault"),
        }
        Err("nothing happened")
    }

    extern "C" fn target() {
        black_box(0);
    }

    fn deeper(depth: u64) -> u64 {
        let room = [depth; 64];
        if black_box(depth) == 0 { 0 } else { deeper(depth + 1) + black_box(room)[5] }
    }

    airglow_platform_xen::main!(|platform| run(platform));
}

#[cfg(not(all(target_os = "none", target_arch = "x86_64")))]
fn main() {}
