//! Boot parameters and the boot seed: one section of flash that is written after the image is linked.
use core::ptr;

/// Bytes for the words.
const WORDS: usize = 480;

/// The section `.airglow_parameters`. `cargo airglow` finds it by that name in the ELF file; a programmer can replace it
/// alone, without a new image.
#[repr(C)]
struct Section {
    /// Random bytes of the host that wrote the image, different for every image.
    seed: [u8; 32],
    /// `key=value` words, ended by a zero byte.
    words: [u8; WORDS],
}

#[used]
#[unsafe(link_section = ".airglow_parameters")]
static SECTION: Section = Section { seed: [0; 32], words: [0; WORDS] };

/// The boot parameters.
pub(crate) fn words() -> &'static str {
    // The bytes are not those the compiler saw: hide where they come from.
    let words = core::hint::black_box(&SECTION.words);
    let end = words.iter().position(|&b| b == 0 || b == 0xff).unwrap_or(WORDS);
    words.get(..end).and_then(|w| core::str::from_utf8(w).ok()).unwrap_or("")
}

/// After a panic or a fault the board is to stand still, for a debugger, and not to start again: the word `panic=halt`.
pub(crate) fn halts() -> bool {
    words().split_ascii_whitespace().any(|word| word == "panic=halt")
}

/// The seed; all zeros when nobody wrote one.
pub(crate) fn seed() -> [u8; 32] {
    // SAFETY: an initialized static.
    unsafe { ptr::read_volatile(&raw const SECTION.seed) }
}
