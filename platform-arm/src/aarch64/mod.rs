//! AArch64, as on QEMU's `virt`: MMU and caches on, nothing both writable and executable, virtio devices.
pub mod block;
mod boot;
mod kernel;
pub mod virtio;

pub use kernel::{Kernel, Line};

use crate::{
    driver::{Serial, cfi_flash::CfiFlash, pl011::Pl011},
    entropy::{Generator, Strength},
    local::Local,
    parameters,
    register::Mmio,
};
use airglow_device::{Clock, WallClock};
use core::{
    cell::{Cell, RefCell},
    fmt::Write,
    panic::PanicInfo,
    time::Duration,
};
use embedded_storage::nor_flash::ReadNorFlash;

pub use virtio::VirtioNet as Net;

/// The network device, started; once.
pub(crate) fn net(kernel: &'static Kernel) -> Option<Net> {
    Net::new(kernel, 0)
}

/// The second of the board's two flashes, each two chips that erase, together, 256 KiB at once.
pub type Flash = CfiFlash<Mmio<0x0400_0000>, 0x4_0000>;

/// It, and which part of it is free: all. Once.
pub(crate) fn flash() -> Option<(Flash, u32, u32)> {
    static TAKEN: Local<Cell<bool>> = Local::new(Cell::new(false));
    if TAKEN.replace(true) {
        return None;
    }
    // SAFETY: the flash of `virt`; the flag makes this its only driver.
    let flash = Flash::new(unsafe { Mmio::new() }).ok()?;
    let bytes = flash.capacity() as u32;
    Some((flash, 0, bytes))
}

/// Seeded by the virtio randomness device where there is one.
pub(crate) fn generator(kernel: &'static Kernel) -> Generator {
    let seed = parameters::seed();
    let timing = kernel.now().as_nanos().to_le_bytes();
    let mut random = [0; 32];
    let strength = if virtio::random(&mut random) {
        Strength::Hardware
    } else if seed == [0; 32] {
        Strength::Timing
    } else {
        Strength::Image
    };
    Generator::new([&seed[..], &random, &timing], strength)
}

/// The board's clock, a PL031.
#[derive(Debug, Default)]
pub struct Calendar(());

impl WallClock for Calendar {
    fn unix_now(&self) -> Option<Duration> {
        // SAFETY: the data register of the PL031 of `virt`: seconds since 1970.
        let seconds = unsafe { (0x0901_0000 as *const u32).read_volatile() };
        Some(Duration::from_secs(seconds.into()))
    }
}

type Console = Pl011<Mmio<0x0900_0000>>;

/// The serial port as text.
struct Port(Console);

impl Write for Port {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

// SAFETY: the PL011 of `virt`, which QEMU has started; this is its only driver.
static PORT: Local<RefCell<Port>> = Local::new(RefCell::new(Port(Console::started(unsafe { Mmio::new() }))));

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        if let Ok(mut port) = PORT.try_borrow_mut() {
            let _ = writeln!(port, "{:5} {}", record.level(), record.args());
        }
    }
    fn flush(&self) {}
}

/// Everything that must be done before the application's first line. Called once, by [`entry!`](crate::entry).
#[doc(hidden)]
pub fn start() -> &'static Kernel {
    static LOGGER: Logger = Logger;
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(log::LevelFilter::Info);
    log::info!("airglow on virt-aarch64");
    kernel::start()
}

/// PSCI SYSTEM_RESET; QEMU ends when it was told not to start again.
pub fn reset() -> ! {
    // SAFETY: does not come back.
    unsafe { core::arch::asm!("hvc #0", in("x0") 0x8400_0009u64, options(noreturn)) }
}

/// After a panic or a fault.
fn failed() -> ! {
    if !parameters::halts() {
        reset()
    }
    loop {
        // SAFETY: sleeps; interrupts stay masked.
        unsafe { core::arch::asm!("wfi", options(nomem, nostack)) };
    }
}

/// What every exception comes to, on a stack of its own.
extern "C" fn fault(syndrome: u64, address: u64, data: u64) -> ! {
    log::error!("fault: syndrome {syndrome:#x} at {address:#x}, address {data:#x}");
    failed()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    log::error!("{info}");
    failed()
}
