//! Names for the addresses of a crash report.
//!
//! The domain builder copies the image's symbol table behind its last page when the image asks for it (the note
//! `BSD_SYMTAB`), in a small ELF file of its own; an image without symbols has none there.
use core::fmt;

/// ` in name+offset`, or nothing.
pub struct Name(Option<(&'static [u8], u64)>);

/// What the address belongs to.
pub fn name(_address: u64) -> Name {
    Name(None)
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((name, offset)) = self.0 else { return Ok(()) };
        write!(f, " in {}+{offset:#x}", core::str::from_utf8(name).unwrap_or("?"))
    }
}
