//! Cortex-M: the sleep, the clock, the logs, what happens on a fault.
#[cfg(embassy_time)]
mod embassy_time;
mod kernel;
mod logger;
#[cfg(feature = "rtt")]
mod rtt;
#[cfg(feature = "semihosting")]
mod semihosting;
mod stack_use;

#[doc(hidden)]
pub use crate::local::Once;
pub use kernel::{Kernel, NetLine};
pub use stack_use::stack_use;

#[cfg(has_flash)]
pub use crate::board::rp2040_flash::RomFlash as Flash;
#[cfg(has_flash)]
pub(crate) use crate::board::rp2040_flash::flash;
pub(crate) use crate::platform::NoCalendar as Calendar;
use crate::{
    board::{Board, Selected},
    driver::Stages,
    entropy::{Generator, Strength},
    parameters,
};
use core::panic::PanicInfo;

/// The board's network controller.
pub type Net = <Selected as Board>::Net<NetLine, Kernel>;

/// The controller, started; once.
#[doc(hidden)]
pub fn net(kernel: &'static Kernel) -> Option<Net> {
    static STAGES: Once<Stages> = Once::new(Stages::new());
    Selected::net(kernel.net_line(), kernel, STAGES.take()?)
}

/// The generator, seeded by the chip's own where it has one.
pub(crate) fn generator(kernel: &'static Kernel) -> Generator {
    let seed = parameters::seed();
    let mut random = [0; 32];
    let strength = if Selected::random(&mut random) {
        Strength::Hardware
    } else if seed == [0; 32] {
        Strength::Timing
    } else {
        Strength::Image
    };
    let identity = Selected::identity().map(u32::to_le_bytes);
    let timing = kernel.ticks().to_le_bytes();
    Generator::new([&seed[..], &random, identity.as_flattened(), &timing], strength)
}

/// Everything that must be done before the application's first line. Called once, by [`entry!`](crate::entry).
#[doc(hidden)]
pub fn start() -> &'static Kernel {
    // SAFETY: masks interrupts, for ever; see `interrupt`.
    unsafe { core::arch::asm!("cpsid i", options(nomem, nostack)) };
    stack_use::paint();
    Selected::start();
    logger::start();
    defmt::info!("airglow on {=str}", Selected::NAME);
    kernel::start()
}

/// Ends everything: a reset, or under QEMU with semihosting the emulator's exit.
pub fn reset() -> ! {
    // AIRCR: the key and SYSRESETREQ.
    // SAFETY: a write to the system control block; nothing runs after it.
    unsafe {
        core::arch::asm!("dsb");
        (0xe000_ed0c as *mut u32).write_volatile(0x05fa_0004);
    }
    loop {
        core::hint::spin_loop();
    }
}

/// After a panic or a fault.
fn failed() -> ! {
    if !parameters::halts() {
        reset()
    }
    loop {
        // Standing still on purpose is no hang.
        kernel::feed();
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    match info.location() {
        Some(place) => defmt::error!("panic at {=str}:{=u32}", place.file(), place.line()),
        None => defmt::error!("panic"),
    }
    failed()
}

#[cortex_m_rt::exception]
unsafe fn HardFault(frame: &cortex_m_rt::ExceptionFrame) -> ! {
    defmt::error!("hard fault at {=u32:#010x}, called from {=u32:#010x}", frame.pc(), frame.lr());
    failed()
}
