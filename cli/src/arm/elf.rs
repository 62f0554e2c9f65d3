//! As much of the ELF format as an image needs: its sections and its symbols, of 32 and 64 bits, little-endian.
use crate::failure::{Context, Result};

/// A section.
#[derive(Debug)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Its address when the image runs.
    pub address: u64,
    /// Where it begins in the file.
    pub offset: usize,
    /// Bytes.
    pub size: u64,
    /// It has a place in memory.
    pub loaded: bool,
    /// It has no bytes in the file: all zeros, or never initialized.
    pub empty: bool,
}

/// A function or a variable.
#[derive(Debug)]
pub struct Symbol {
    /// Its mangled name.
    pub name: String,
    /// Its address.
    pub address: u64,
    /// Bytes.
    pub size: u64,
}

/// Bytes that are loaded, and where to.
#[derive(Debug)]
pub struct Segment {
    /// Its physical address: for the initial values of variables, the one in flash.
    pub address: u64,
    /// Where it begins in the file.
    pub offset: usize,
    /// Bytes in the file.
    pub size: usize,
}

/// A file that was read.
#[derive(Debug)]
pub struct Elf {
    /// What is loaded, without what is only zeroed.
    pub segments: Vec<Segment>,
    /// Its sections.
    pub sections: Vec<Section>,
    /// Its functions and variables that have a size.
    pub symbols: Vec<Symbol>,
}

struct Reader<'a> {
    bytes: &'a [u8],
    wide: bool,
}

impl Reader<'_> {
    fn number(&self, at: usize, len: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(len)?)?;
        Some(bytes.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b)))
    }
    /// A field at `narrow` of a 32-bit structure and at `wide` of a 64-bit one, as wide as an address.
    fn word(&self, base: usize, narrow: usize, wide: usize) -> Option<u64> {
        if self.wide { self.number(base + wide, 8) } else { self.number(base + narrow, 4) }
    }
    fn text(&self, at: usize) -> Option<String> {
        let rest = self.bytes.get(at..)?;
        let end = rest.iter().position(|&b| b == 0)?;
        Some(String::from_utf8_lossy(&rest[..end]).into_owned())
    }
}

impl Elf {
    /// Reads the tables of a file.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        Self::parse(bytes).context("not a whole ELF file")
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(b"\x7fELF") || *bytes.get(5)? != 1 {
            return None;
        }
        let reader = Reader { bytes, wide: *bytes.get(4)? == 2 };
        let table = usize::try_from(reader.word(0, 0x20, 0x28)?).ok()?;
        let (at_size, at_count, at_names) = if reader.wide { (0x3a, 0x3c, 0x3e) } else { (0x2e, 0x30, 0x32) };
        let entry = reader.number(at_size, 2)? as usize;
        let count = reader.number(at_count, 2)? as usize;
        let header = |index: usize| table + index * entry;
        let offset_of = |header: usize| reader.word(header, 0x10, 0x18).map(|v| v as usize);
        let names = offset_of(header(reader.number(at_names, 2)? as usize))?;
        let headers = usize::try_from(reader.word(0, 0x1c, 0x20)?).ok()?;
        let (at_size, at_count) = if reader.wide { (0x36, 0x38) } else { (0x2a, 0x2c) };
        let (each, programs) = (reader.number(at_size, 2)? as usize, reader.number(at_count, 2)? as usize);
        let mut segments = Vec::new();
        for index in 0..programs {
            let at = headers.checked_add(index * each)?;
            let (kind, size) = (reader.number(at, 4)?, reader.word(at, 16, 32)? as usize);
            if kind == 1 && size > 0 {
                let (address, offset) = (reader.word(at, 12, 24)?, reader.word(at, 4, 8)? as usize);
                segments.push(Segment { address, offset, size });
            }
        }
        let mut sections = Vec::new();
        let mut symbols = Vec::new();
        for index in 0..count {
            let at = header(index);
            let kind = reader.number(at + 4, 4)?;
            let (offset, size) = (offset_of(at)?, reader.word(at, 0x14, 0x20)?);
            sections.push(Section {
                name: reader.text(names + reader.number(at, 4)? as usize)?,
                address: reader.word(at, 0x0c, 0x10)?,
                offset,
                size,
                loaded: reader.word(at, 0x08, 0x08)? & 2 != 0,
                empty: kind == 8,
            });
            if kind == 2 {
                let strings = offset_of(header(reader.word(at, 0x18, 0x28)? as u32 as usize))?;
                let each = if reader.wide { 24 } else { 16 };
                for at in (offset..offset + size as usize).step_by(each) {
                    let info = reader.number(at + if reader.wide { 4 } else { 12 }, 1)?;
                    let size = reader.word(at, 8, 16)?;
                    if matches!(info & 0xf, 1 | 2) && size > 0 {
                        symbols.push(Symbol {
                            name: reader.text(strings + reader.number(at, 4)? as usize)?,
                            address: reader.word(at, 4, 8)?,
                            size,
                        });
                    }
                }
            }
        }
        Some(Self { segments, sections, symbols })
    }

    /// The section of this name.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|s| s.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::Elf;

    #[test]
    fn reads_this_very_program() {
        let path = std::env::current_exe().unwrap();
        let bytes = std::fs::read(path).unwrap();
        let elf = Elf::read(&bytes).map_err(|e| e.to_string()).unwrap();
        let text = elf.section(".text").unwrap();
        assert!(elf.segments.iter().all(|s| s.offset + s.size <= bytes.len()) && elf.segments.len() > 1);
        assert!(text.loaded && !text.empty && text.size > 1000);
        assert!(elf.symbols.iter().any(|s| s.name.contains("reads_this_very_program")));
        for cut in (0..bytes.len()).step_by(bytes.len() / 50) {
            let _ = Elf::read(&bytes[..cut]);
        }
    }
}
