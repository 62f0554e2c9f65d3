//! Requests to valgrind's memcheck, which tells when a branch or an address depends on bytes that are marked as undefined.
#![allow(unsafe_code)]
use core::arch::asm;

// `Vg_ClientRequest` and `Vg_MemCheckClientRequest` of valgrind.h and memcheck.h.
const RUNNING_ON_VALGRIND: usize = 0x1001;
const MAKE_MEM_UNDEFINED: usize = 0x4d43_0001;
const MAKE_MEM_DEFINED: usize = 0x4d43_0002;

fn request(what: usize, start: usize, len: usize) -> usize {
    let arguments = [what, start, len, 0, 0, 0];
    let mut answer = 0_usize;
    // SAFETY: rotations by 128 bits in all and an exchange of a register with itself do nothing; valgrind takes them, and
    // nothing else, for a request, whose answer is in rdx.
    unsafe {
        asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") arguments.as_ptr(),
            inout("rdx") answer,
        );
    }
    answer
}

/// Whether anybody looks.
pub fn is_watched() -> bool {
    request(RUNNING_ON_VALGRIND, 0, 0) > 0
}

/// Nothing may depend on these bytes from here on.
pub fn hide(bytes: &[u8]) {
    request(MAKE_MEM_UNDEFINED, bytes.as_ptr().addr(), bytes.len());
}

/// These bytes are known to everybody from here on.
pub fn show<T: ?Sized>(value: &T) {
    request(MAKE_MEM_DEFINED, (&raw const *value).addr(), size_of_val(value));
}
