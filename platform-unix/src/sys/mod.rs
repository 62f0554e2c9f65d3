//! The system calls that have no safe wrapper elsewhere: the only `unsafe` of this crate, each block with
//! the reason why it is sound.
#![allow(unsafe_code)]

#[cfg(target_os = "linux")]
pub(crate) mod bpf;
#[cfg(target_os = "linux")]
pub(crate) mod datagrams;
#[cfg(target_os = "linux")]
pub(crate) mod frames;
#[cfg(target_os = "linux")]
pub(crate) mod interface;
#[cfg(not(target_os = "linux"))]
mod kevent;
pub(crate) mod signals;
#[cfg(target_os = "linux")]
pub(crate) mod xdp;

#[cfg(not(target_os = "linux"))]
pub(crate) use kevent::kevent;

use std::io;

/// `getentropy(3)`: at most 256 bytes of randomness.
pub(crate) fn getentropy(out: &mut [u8]) -> io::Result<()> {
    // SAFETY: the call writes `out.len()` bytes at `out`, which is ours to write.
    match unsafe { libc::getentropy(out.as_mut_ptr().cast(), out.len()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
