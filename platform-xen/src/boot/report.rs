//! Last words: what a crash prints, wherever the kernel was.
use super::{console, hypercall, trap};
use crate::interface::ShutdownReason;
use core::{
    arch::asm,
    fmt::{self, Write},
    panic::PanicInfo,
    sync::atomic::{AtomicBool, Ordering},
};

/// Writes to the console, waiting for room as long as somebody reads there.
pub struct Out;

impl Write for Out {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        console::write(text.as_bytes());
        Ok(())
    }
}

/// Ends the domain as crashed, after the console has been read.
pub fn end() -> ! {
    let _ = writeln!(Out, "airglow: the domain ends: crash");
    console::drain();
    loop {
        hypercall::shutdown(ShutdownReason::Crash, 0);
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    static REPORTING: AtomicBool = AtomicBool::new(false);
    // A panic while a panic is reported: the report itself is at fault, so say no more.
    if !REPORTING.swap(true, Ordering::Relaxed) {
        let mut out = Out;
        let _ = writeln!(out, "\nairglow: {info}");
        let (rip, rbp): (u64, u64);
        // SAFETY: reads two registers.
        unsafe { asm!("lea {}, [rip]", "mov {}, rbp", out(reg) rip, out(reg) rbp, options(nomem, nostack)) };
        trap::backtrace(&mut out, rip, rbp);
    }
    end()
}
