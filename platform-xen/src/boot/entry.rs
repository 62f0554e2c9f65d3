//! The first instructions, the stack, and the notes by which Xen knows a guest.
//!
//! There is no linker script: the image is linked as any static executable with its base at [`VIRT_BASE`], and the
//! notes say that physical addresses in it are offset by the same amount. Segments are found at run time through
//! the program headers, which the first page of the image holds.
use core::arch::global_asm;

/// Where the domain builder maps the guest's first page; the linker's `--image-base`.
pub const VIRT_BASE: u64 = 0x100_0000;
/// Bytes of the stack.
pub const STACK: usize = 256 << 10;

global_asm!(
    r#"
    .section .text.airglow_start,"ax",@progbits
    .globl _start
_start:                                     # rsi: start_info; rsp: the top of the builder's one-page stack
    cld
    mov rdi, rsi
    mov rsi, rsp
    lea rsp, [rip + airglow_stack_top]
    xor ebp, ebp
    push rbp                                # the end of the chain of frames
    push rbp
    call {start}
    ud2

    .section .bss.airglow_stack,"aw",@nobits
    .balign 4096
    .globl airglow_stack_guard
    .type airglow_stack_guard, @object
    .size airglow_stack_guard, 4096
airglow_stack_guard:                        # unmapped at boot
    .skip 4096
    .globl airglow_stack_bottom
    .type airglow_stack_bottom, @object
    .size airglow_stack_bottom, {stack}
airglow_stack_bottom:
    .skip {stack}
    .globl airglow_stack_top
airglow_stack_top:

    .macro XEN_NOTE type:req, kind:req, value:req
    .balign 4
    .long 4, 4772f-4771f, \type
    .asciz "Xen"
4771:
    \kind \value
4772:
    .balign 4
    .endm
    .macro XEN_NOTE_TEXT type:req, value:req
    .balign 4
    .long 4, 4772f-4771f, \type
    .asciz "Xen"
4771:
    .asciz "\value"
4772:
    .balign 4
    .endm
    .section .note.Xen,"a",@note
    XEN_NOTE_TEXT 6, "airglow"              # GUEST_OS
    XEN_NOTE_TEXT 7, "0.1"                    # GUEST_VERSION
    XEN_NOTE_TEXT 5, "xen-3.0"              # XEN_VERSION
    XEN_NOTE_TEXT 8, "generic"              # LOADER
    XEN_NOTE 1, .quad, _start               # ENTRY
    XEN_NOTE 3, .quad, {virt_base}          # VIRT_BASE
    XEN_NOTE 4, .quad, {virt_base}          # PADDR_OFFSET
    XEN_NOTE_TEXT 10, "!writable_page_tables|pae_pgdir_above_4gb"
    XEN_NOTE_TEXT 9, "yes"                  # PAE_MODE
    XEN_NOTE 14, .long, 1                   # SUSPEND_CANCEL
    .text
"#,
    start = sym super::start,
    stack = const STACK,
    virt_base = const VIRT_BASE,
);

unsafe extern "C" {
    static airglow_stack_guard: u8;
    static airglow_stack_bottom: u8;
    static airglow_stack_top: u8;
    static __ehdr_start: u8;
}

/// The page below the stack.
pub fn stack_guard() -> u64 {
    &raw const airglow_stack_guard as u64
}

/// The addresses that are stack.
pub fn stack() -> core::ops::Range<u64> {
    &raw const airglow_stack_bottom as u64..&raw const airglow_stack_top as u64
}

/// A loaded piece of the image.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// Page-aligned addresses.
    pub start: u64,
    pub end: u64,
    pub writable: bool,
    pub executable: bool,
}

/// The image's segments, from its program headers. `PT_GNU_RELRO` comes last, as read-only: nothing relocates it.
pub fn segments() -> impl Iterator<Item = Segment> {
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct ProgramHeader {
        kind: u32,
        flags: u32,
        offset: u64,
        vaddr: u64,
        paddr: u64,
        filesz: u64,
        memsz: u64,
        align: u64,
    }
    let base = &raw const __ehdr_start;
    // SAFETY: the linker puts the ELF header and the program headers at the start of the first loaded segment and
    // `__ehdr_start` there; nobody writes them.
    let (table, count) = unsafe {
        let offset = base.add(32).cast::<u64>().read_unaligned();
        let count = base.add(56).cast::<u16>().read_unaligned();
        (base.add(offset as usize).cast::<ProgramHeader>(), usize::from(count))
    };
    // SAFETY: as above.
    let headers = (0..count).map(move |i| unsafe { table.add(i).read_unaligned() });
    let (load, relro) = (1, 0x6474_e552);
    headers.filter(move |h| h.kind == load || h.kind == relro).map(move |h| Segment {
        start: h.vaddr & !4095,
        // RELRO is rounded down: its end shares a page with what stays writable, where the linker did not pad it.
        end: if h.kind == relro { (h.vaddr + h.memsz) & !4095 } else { (h.vaddr + h.memsz + 4095) & !4095 },
        writable: h.kind == load && h.flags & 2 != 0,
        executable: h.kind == load && h.flags & 1 != 0,
    })
}
