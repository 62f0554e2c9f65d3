//! Instructions that the image was compiled for beyond x86-64's own (`package.metadata.airglow.processor`): the code that uses
//! them no longer asks, so the kernel looks before anything else does, and lets the domain have AVX's registers.
use core::arch::asm;

/// A bit of a `cpuid` leaf's result, in the register of this index (eax, ebx, ecx, edx).
struct Bit {
    name: &'static str,
    leaf: u32,
    register: usize,
    bit: u32,
}

#[cfg(any(airglow_aes, airglow_sha))]
const fn bit(name: &'static str, leaf: u32, register: usize, bit: u32) -> Bit {
    Bit { name, leaf, register, bit }
}

const WANTED: &[&[Bit]] = &[
    #[cfg(airglow_aes)]
    &[bit("AES", 1, 2, 25), bit("PCLMULQDQ", 1, 2, 1), bit("XSAVE", 1, 2, 26), bit("AVX", 1, 2, 28)],
    #[cfg(airglow_sha)]
    &[bit("SSSE3", 1, 2, 9), bit("SSE4.1", 1, 2, 19), bit("SHA", 7, 1, 29)],
];

/// What Xen lets the domain see of the processor.
fn cpuid(leaf: u32) -> [u32; 4] {
    let (a, b, c, d): (u32, u64, u32, u32);
    // SAFETY: Xen's form of `cpuid`, for which it answers itself (`XEN_CPUID`); it changes these registers alone.
    unsafe {
        asm!(
            "mov {b}, rbx",
            ".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e", // ud2; "xen"
            "cpuid",
            "xchg {b}, rbx",
            b = out(reg) b, inlateout("eax") leaf => a, inlateout("ecx") 0 => c, lateout("edx") d,
        );
    }
    [a, b as u32, c, d]
}

/// The names of instructions that the image uses and the processor has not; when there are none, they may be used from here on.
pub fn prepare() -> Result<(), impl Iterator<Item = &'static str>> {
    let missing = |bit: &&Bit| {
        let is_there = bit.leaf <= cpuid(0)[0] && cpuid(bit.leaf)[bit.register] >> bit.bit & 1 == 1;
        !is_there
    };
    let wanted = || WANTED.iter().copied().flatten();
    if wanted().any(|bit| missing(&bit)) {
        return Err(wanted().filter(missing).map(|bit| bit.name));
    }
    #[cfg(airglow_aes)]
    // SAFETY: the processor has XSAVE and AVX. Xen carries out these instructions for the domain: CR4.OSXSAVE, then x87, SSE and AVX
    // in XCR0. No exception handler returns, so nobody's registers need saving.
    unsafe {
        asm!(
            "mov rax, cr4", "or rax, 0x40000", "mov cr4, rax", "xor ecx, ecx", "xor edx, edx", "mov eax, 7", "xsetbv",
            out("rax") _, out("rcx") _, out("rdx") _,
        );
    }
    Ok(())
}
