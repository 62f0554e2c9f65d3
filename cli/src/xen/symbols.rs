//! Names for the addresses of a guest's crash report: they are in the kernel's file, so they need no memory in the guest.
use crate::{
    arm::elf::Elf,
    failure::{Context, Result},
};
use std::{fs, path::Path};

/// A kernel's functions, by address.
pub struct Symbols(Vec<(u64, u64, String)>);

impl Symbols {
    /// Those of `kernel`.
    pub fn read(kernel: &Path) -> Result<Self> {
        let file = super::kernel::symbols(kernel);
        let elf = Elf::read(&fs::read(&file).context(file.display())?)?;
        let mut symbols: Vec<_> = elf.symbols.into_iter().map(|s| (s.address, s.size, s.name)).collect();
        symbols.sort();
        Ok(Self(symbols))
    }

    /// The function that `address` lies in, and how far into it.
    pub fn name(&self, address: u64) -> Option<String> {
        let after = self.0.partition_point(|(start, ..)| *start <= address);
        let (start, size, name) = self.0.get(after.checked_sub(1)?)?;
        let offset = address - start;
        (offset < *size).then(|| format!("{:#}+{offset:#x}", rustc_demangle::demangle(name)))
    }

    /// What it means when Xen's own report says that the stack pointer had left the stack: the guard page below it leaves no room even
    /// for the exception, so the kernel cannot say it itself.
    pub fn stack_overflow(&self, xen_log: &str) -> Option<String> {
        let address = |name: &str| self.0.iter().find(|(.., n)| n == name).map(|(address, ..)| *address);
        let (guard, bottom) = (address("airglow_stack_guard")?, address("airglow_stack_bottom")?);
        // Functions with large frames may reach far below the page.
        let below = guard.saturating_sub(1 << 20)..bottom + 512;
        let pointer = |line: &str| {
            let (_, rest) = line.split_once("rsp: ")?;
            u64::from_str_radix(rest.split_whitespace().next()?, 16).ok()
        };
        let mut pointers = xen_log.lines().rev().filter_map(pointer);
        let pointer = pointers.find(|pointer| below.contains(pointer))?;
        Some(format!(
            "the stack overflowed: its lowest address is {bottom:#x}, and the stack pointer was {pointer:#x}"
        ))
    }

    /// A line of a backtrace with the name of its address; any other as it is.
    pub fn annotate(&self, line: &str) -> String {
        let digits = line.trim().strip_prefix("0x").filter(|_| line.starts_with(BACKTRACE));
        match digits.and_then(|digits| self.name(u64::from_str_radix(digits, 16).ok()?)) {
            Some(name) => format!("{}  {name}", line.trim_end()),
            None => line.trim_end().to_owned(),
        }
    }
}

/// How the lines of a backtrace begin.
const BACKTRACE: &str = "    0x";

/// The console's bytes on their way to the terminal: all go on at once, but for the lines of a backtrace, which get names.
pub struct Annotator {
    symbols: Symbols,
    held: Vec<u8>,
    at_start: bool,
}

impl Annotator {
    /// With the names of `symbols`.
    pub fn new(symbols: Symbols) -> Self {
        Self { symbols, held: Vec::new(), at_start: true }
    }

    /// What to print for `bytes`.
    pub fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for byte in bytes {
            if self.at_start || !self.held.is_empty() {
                self.held.push(*byte);
                let known = self.held.len().min(BACKTRACE.len());
                if self.held[..known] != BACKTRACE.as_bytes()[..known] {
                    out.append(&mut self.held);
                } else if *byte == b'\n' {
                    let line = String::from_utf8_lossy(&self.held).into_owned();
                    out.extend(self.symbols.annotate(line.trim_end()).bytes());
                    out.extend(b"\r\n");
                    self.held.clear();
                }
            } else {
                out.push(*byte);
            }
            self.at_start = *byte == b'\n';
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::{Annotator, Symbols};

    fn symbols() -> Symbols {
        Symbols(vec![(0x1000, 0x10, "first".into()), (0x2000, 0x20, "second".into())])
    }

    #[test]
    fn addresses_get_names() {
        let s = symbols();
        assert_eq!(s.annotate("    0x200f"), "    0x200f  second+0xf");
        assert_eq!(s.annotate("    0x1010"), "    0x1010");
        assert_eq!(s.annotate("    0xfff"), "    0xfff");
        assert_eq!(s.annotate("0x2000 bytes"), "0x2000 bytes");
    }

    #[test]
    fn a_stack_pointer_below_the_stack_is_an_overflow() {
        let s = Symbols(vec![
            (0x20_0000, 0, "airglow_stack_guard".into()),
            (0x20_1000, 0, "airglow_stack_bottom".into()),
        ]);
        let log = |rsp| {
            format!(
                "(XEN) RIP:    e033:[<000000000100e698>]\n(XEN) rbp: 0000000001099710   rsp: {rsp:016x}   r8:  0"
            )
        };
        assert!(s.stack_overflow(&log(0x20_0ff8)).is_some_and(|text| text.contains("0x200ff8")));
        assert!(s.stack_overflow(&log(0x1f_0000)).is_some());
        assert_eq!(s.stack_overflow(&log(0x20_8000)), None);
        assert_eq!(s.stack_overflow("no report"), None);
    }

    #[test]
    fn everything_else_passes_at_once_and_unchanged() {
        let mut a = Annotator::new(symbols());
        assert_eq!(a.pass(b"prompt> "), b"prompt> ");
        assert_eq!(a.pass(b"\r\n    0x1"), b"\r\n");
        assert_eq!(a.pass(b"004\r\n    text"), b"    0x1004  first+0x4\r\n    text");
    }
}
