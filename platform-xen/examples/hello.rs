//! The smallest kernel: says what it was given, then shuts down.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod kernel {
    #[unsafe(no_mangle)]
    extern "C" fn airglow_main() {
        airglow_platform_xen::boot::console::write(b"hello from airglow\n");
        if option_env!("X").is_some() { unsafe { (0x18 as *mut u8).write_volatile(1) } }
        panic!("oops");
    }
}
#[cfg(not(target_os = "none"))]
fn main() {}
