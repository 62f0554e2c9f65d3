//! Signal handlers that leave a byte in a pipe.
use std::{
    io,
    os::fd::{IntoRawFd, OwnedFd},
    sync::atomic::{AtomicI32, Ordering},
};

/// The pipe's writing end; -1 before there is one.
static PIPE: AtomicI32 = AtomicI32::new(-1);

extern "C" fn leave_a_byte(signal: libc::c_int) {
    let byte = signal as u8;
    // SAFETY: write(2) may be called in a signal handler; the descriptor is never closed, and the byte is
    // on this stack. A full or broken pipe needs no answer.
    unsafe {
        let errno = errno();
        let saved = *errno;
        libc::write(PIPE.load(Ordering::Relaxed), (&raw const byte).cast(), 1);
        *errno = saved;
    }
}

/// Where this thread's `errno` is.
fn errno() -> *mut libc::c_int {
    // SAFETY: both calls return the address of a variable of this thread, for as long as the thread lives.
    unsafe {
        #[cfg(target_os = "linux")]
        return libc::__errno_location();
        #[cfg(not(target_os = "linux"))]
        return libc::__error();
    }
}

/// From now on the first SIGINT and the first SIGTERM write their number into `pipe` (non-blocking); a second
/// one of the same kind does what it does to any process. The descriptor stays open for ever.
pub(crate) fn report_to(pipe: OwnedFd) -> io::Result<()> {
    PIPE.store(pipe.into_raw_fd(), Ordering::Relaxed);
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: all zeros is a valid `sigaction`; the handler has the signature that flags without
        // SA_SIGINFO ask for and does only what a handler may.
        let result = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = leave_a_byte as extern "C" fn(libc::c_int) as libc::sighandler_t;
            action.sa_flags = libc::SA_RESETHAND | libc::SA_RESTART;
            libc::sigemptyset(&mut action.sa_mask);
            libc::sigaction(signal, &action, std::ptr::null_mut())
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The next of either signal does what it does to any process.
pub(crate) fn restore() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the default action needs no handler.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}
