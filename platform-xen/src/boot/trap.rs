//! Exceptions: all of them are bugs, so each is reported and ends the domain.
use super::{
    entry,
    hypercall::{self, TrapInfo},
    report,
};
use core::{
    arch::global_asm,
    fmt::{self, Write},
};

/// The registers as the stubs push them, and below them what Xen pushed.
#[repr(C)]
struct Frame {
    r15: u64,
    r14: u64,
    r13: u64,
    r12: u64,
    rbp: u64,
    rbx: u64,
    r11: u64,
    r10: u64,
    r9: u64,
    r8: u64,
    rax: u64,
    rcx: u64,
    rdx: u64,
    rsi: u64,
    rdi: u64,
    vector: u64,
    error: u64,
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}

global_asm!(
    r#"
    .section .text.airglow_traps,"ax",@progbits
    # Xen pushes what the processor would, and rcx and r11 on top.
    .macro TRAP vector:req, has_error:req
    .balign 32
    pop rcx
    pop r11
    .if \has_error == 0
    push 0
    .endif
    push \vector
    jmp airglow_trap
    .endm
    .balign 32
airglow_traps:
    .altmacro
    .set i, 0
    .rept 32
    .if (i == 8) || ((i >= 10) && (i <= 14)) || (i == 17)
    TRAP %i, 1
    .else
    TRAP %i, 0
    .endif
    .set i, i + 1
    .endr
    .noaltmacro
airglow_trap:
    push rdi
    push rsi
    push rdx
    push rcx
    push rax
    push r8
    push r9
    push r10
    push r11
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov rdi, rsp
    and rsp, -16
    call {report}
    ud2
    .globl airglow_traps
    .text
"#,
    report = sym exception,
);

const NAMES: [&str; 20] = [
    "divide error",
    "debug",
    "non-maskable interrupt",
    "breakpoint",
    "overflow",
    "bound range",
    "invalid opcode",
    "device not available",
    "double fault",
    "coprocessor overrun",
    "invalid TSS",
    "segment not present",
    "stack fault",
    "general protection",
    "page fault",
    "reserved",
    "floating point",
    "alignment check",
    "machine check",
    "SIMD floating point",
];

/// Tells Xen where the stubs are.
pub fn install() -> Result<(), hypercall::Errno> {
    unsafe extern "C" {
        static airglow_traps: u8;
    }
    const RING3_CODE: u16 = 0xe033;
    let mut table = [TrapInfo::default(); NAMES.len() + 1];
    for (vector, entry) in table.iter_mut().take(NAMES.len()).enumerate() {
        // Breakpoints and overflows may come from the kernel's own instructions, at ring 3 in a PV guest.
        *entry = TrapInfo {
            vector: vector as u8,
            flags: 3,
            selector: RING3_CODE,
            address: &raw const airglow_traps as u64 + 32 * vector as u64,
        };
    }
    hypercall::set_trap_table(&table)
}

extern "C" fn exception(frame: &Frame) -> ! {
    let vector = frame.vector as usize;
    let mut out = report::Out;
    let _ = write!(out, "\nairglow: exception {vector} ({})", NAMES.get(vector).unwrap_or(&"?"));
    if vector == 14 {
        let address = super::page_fault_address();
        let what = match frame.error {
            e if e & 16 != 0 => "executing",
            e if e & 2 != 0 => "writing",
            _ => "reading",
        };
        let _ = write!(out, " {what} address {address:#018x}");
        if address < 4096 {
            let _ = write!(out, ", a null pointer");
        }
    } else if vector == 6 && reached_end(frame.rip) {
        let _ =
            out.write_str(": the program found itself wrong, and images built for size do not say in what");
    } else if frame.error != 0 {
        let _ = write!(out, ", error code {:#x}", frame.error);
    }
    let _ = writeln!(out, "\n{frame}");
    backtrace(&mut out, frame.rip, frame.rbp);
    report::end()
}

/// At `instruction` is the `ud2` with which a panic ends where it has no words.
fn reached_end(instruction: u64) -> bool {
    let mut text = entry::segments().filter(|segment| segment.executable);
    // SAFETY: it lies in the image's text, which is mapped.
    text.any(|s| (s.start..s.end - 1).contains(&instruction))
        && unsafe { (instruction as *const [u8; 2]).read() } == [0x0f, 0x0b]
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = [
            [("rip", self.rip), ("rsp", self.rsp), ("rflags", self.rflags)],
            [("rax", self.rax), ("rbx", self.rbx), ("rcx", self.rcx)],
            [("rdx", self.rdx), ("rsi", self.rsi), ("rdi", self.rdi)],
            [("rbp", self.rbp), ("r8", self.r8), ("r9", self.r9)],
            [("r10", self.r10), ("r11", self.r11), ("r12", self.r12)],
            [("r13", self.r13), ("r14", self.r14), ("r15", self.r15)],
        ];
        for (i, line) in lines.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            for (name, value) in line {
                write!(f, "  {name:>6} {value:016x}")?;
            }
        }
        Ok(())
    }
}

/// Prints the return addresses on the stack, by the chain of frame pointers from `frame_pointer` on.
pub fn backtrace(out: &mut impl Write, instruction: u64, frame_pointer: u64) {
    let _ = writeln!(out, "  backtrace (newest first):");
    let _ = writeln!(out, "    {instruction:#x}");
    let stack = entry::stack();
    let mut frame = frame_pointer;
    for _ in 0..40 {
        if frame % 8 != 0 || !stack.contains(&frame) || !stack.contains(&(frame + 15)) {
            break;
        }
        // SAFETY: both words lie in the stack.
        let (next, from) = unsafe { ((frame as *const u64).read(), (frame as *const u64).add(1).read()) };
        if from == 0 {
            break;
        }
        let _ = writeln!(out, "    {from:#x}");
        // Frames of callers lie higher; anything else is a loop or damage.
        if next <= frame {
            break;
        }
        frame = next;
    }
}
