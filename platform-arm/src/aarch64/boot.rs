//! From the first instruction to `main`: exception level 1, floating point on, stack, zeroed variables, MMU and caches.
use core::{arch::global_asm, cell::UnsafeCell};

global_asm!(
    ".section .text.boot, \"ax\"",
    ".global _start",
    "_start: mrs x1, mpidr_el1",
    "and x1, x1, #0xff",
    "cbnz x1, 9f",
    "mov x1, #(3 << 20)", // CPACR_EL1.FPEN: the compiler uses the SIMD registers.
    "msr cpacr_el1, x1",
    "adrp x1, {vectors}",
    "add x1, x1, :lo12:{vectors}",
    "msr vbar_el1, x1",
    "isb",
    "adrp x1, __stack_top",
    "mov sp, x1",
    "adrp x1, __bss_start",
    "add x1, x1, :lo12:__bss_start",
    "adrp x2, __bss_end",
    "add x2, x2, :lo12:__bss_end",
    "1: cmp x1, x2",
    "b.hs 2f",
    "stp xzr, xzr, [x1], #16",
    "b 1b",
    "2: bl {map}",
    "bl main",
    "9: wfe",
    "b 9b",
    vectors = sym vectors,
    map = sym map,
);

// Sixteen entries of 128 bytes. Interrupts are never unmasked, so that whatever arrives here is a fault.
global_asm!(
    ".section .text.vectors, \"ax\"",
    ".balign 2048",
    ".global airglow_vectors",
    "airglow_vectors:",
    ".rept 16",
    ".balign 128",
    // The stack may be what failed: a fault report has one of its own.
    "adrp x1, {stack}",
    "add x1, x1, :lo12:{stack}",
    "add sp, x1, #4096",
    "mrs x0, esr_el1",
    "mrs x1, elr_el1",
    "mrs x2, far_el1",
    "b {fault}",
    ".endr",
    stack = sym FAULT_STACK,
    fault = sym super::fault,
);

unsafe extern "C" {
    #[link_name = "airglow_vectors"]
    fn vectors();
    static __text_start: u8;
    static __rodata_start: u8;
    static __data_start: u8;
    static __guard_start: u8;
    static __stack_bottom: u8;
    static __image_end: u8;
}

#[repr(C, align(4096))]
struct Page<T>(UnsafeCell<T>);
// SAFETY: one core; the tables are written once before the MMU is on, the stack by faults alone.
unsafe impl<T> Sync for Page<T> {}

static FAULT_STACK: Page<[u8; 4096]> = Page(UnsafeCell::new([0; 4096]));

/// Tables of 512 entries: 1 GiB each; 2 MiB each of the second GiB; 4 KiB each of its first 8 MiB.
static LEVEL_1: Page<[u64; 512]> = Page(UnsafeCell::new([0; 512]));
static LEVEL_2: Page<[u64; 512]> = Page(UnsafeCell::new([0; 512]));
static LEVEL_3: Page<[[u64; 512]; 4]> = Page(UnsafeCell::new([[0; 512]; 4]));

const RAM: u64 = 0x4000_0000;

const VALID: u64 = 1;
const TABLE: u64 = 1 << 1;
const PAGE: u64 = 1 << 1;
/// Memory attributes by their index in MAIR_EL1.
const DEVICE: u64 = 0;
const NORMAL: u64 = 1 << 2;
const READ_ONLY: u64 = 1 << 7;
const INNER_SHAREABLE: u64 = 3 << 8;
const ACCESSED: u64 = 1 << 10;
/// Never executed, at level 1 and 0 alike.
const NO_EXECUTE: u64 = 3 << 53;
/// Never executed at level 0.
const NO_EXECUTE_USER: u64 = 1 << 54;

/// Builds the tables and turns on the MMU and the caches. Runs with them off, before anything else.
extern "C" fn map() {
    let at = |symbol: *const u8| symbol as u64;
    let (text, rodata, data) =
        (at(&raw const __text_start), at(&raw const __rodata_start), at(&raw const __data_start));
    let (guard, stack, end) =
        (at(&raw const __guard_start), at(&raw const __stack_bottom), at(&raw const __image_end));
    // SAFETY: one core, caches off, nobody else knows the tables.
    let (one, two, three) = unsafe { (&mut *LEVEL_1.0.get(), &mut *LEVEL_2.0.get(), &mut *LEVEL_3.0.get()) };
    one[0] = VALID | DEVICE | ACCESSED | NO_EXECUTE;
    one[1] = LEVEL_2.0.get() as u64 | VALID | TABLE;
    for (index, table) in three.iter_mut().enumerate() {
        two[index] = table.as_ptr() as u64 | VALID | TABLE;
        for (page, entry) in table.iter_mut().enumerate() {
            let address = RAM + (index as u64) * 0x20_0000 + (page as u64) * 4096;
            let rights = match address {
                a if (text..rodata).contains(&a) => READ_ONLY | NO_EXECUTE_USER,
                a if (rodata..data).contains(&a) => READ_ONLY | NO_EXECUTE,
                a if (data..guard).contains(&a) || (stack..end).contains(&a) => NO_EXECUTE,
                // The guard page, and whatever is no part of the image.
                _ => continue,
            };
            *entry = address | VALID | PAGE | NORMAL | INNER_SHAREABLE | ACCESSED | rights;
        }
    }
    // SAFETY: the tables map the code that runs, its stack and its devices at their own addresses.
    unsafe {
        core::arch::asm!(
            "msr mair_el1, {mair}",
            "msr tcr_el1, {tcr}",
            "msr ttbr0_el1, {table}",
            "dsb ish",
            "tlbi vmalle1",
            "ic iallu",
            "dsb ish",
            "isb",
            "mrs {scratch}, sctlr_el1",
            "orr {scratch}, {scratch}, {on}",
            "msr sctlr_el1, {scratch}",
            "isb",
            // Device-nGnRnE; normal memory, write-back, allocating.
            mair = in(reg) 0xff00u64,
            // 39-bit addresses, 4 KiB pages, walks cached and inner shareable, no upper half, 36 physical bits.
            tcr = in(reg) 25u64 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | 1 << 32,
            table = in(reg) LEVEL_1.0.get(),
            // MMU, alignment of the stack, data cache, instruction cache, writable means never executed.
            on = in(reg) 1u64 | 1 << 2 | 1 << 3 | 1 << 12 | 1 << 19,
            scratch = out(reg) _,
        );
    }
}
