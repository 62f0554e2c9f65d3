//! Where the bytes of an image are.
use super::{boards::Board, elf::Elf};
use crate::failure::{Context, Result};
use std::{collections::BTreeMap, fs, path::Path};

/// Bytes of flash and RAM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Code, constants, initial values.
    pub flash: u64,
    /// Of these, constants, the application's content among them.
    pub constants: u64,
    /// Variables.
    pub ram: u64,
    /// The stack's reserved part of the RAM.
    pub stack: u64,
}

/// A crate, its bytes of flash, its bytes of RAM.
pub type Crate = (String, u64, u64);

/// RAM begins here on all boards.
pub const RAM: u64 = 0x2000_0000;
/// Bytes of the stack of the board with the least RAM, at the RAM's start; `platform-arm/build.rs` says so to the linker.
pub const STACK: u64 = 40_000;

/// Measures an image.
pub fn measure(image: &Path) -> Result<(Size, Vec<Crate>)> {
    let elf = Elf::read(&fs::read(image).context(image.display())?)?;
    let mut size = Size::default();
    for section in elf.sections.iter().filter(|s| s.loaded) {
        if section.address >= RAM {
            size.ram += section.size;
        }
        if !section.empty {
            size.flash += section.size;
        }
        if section.name == ".rodata" {
            size.constants += section.size;
        }
    }
    let mut crates: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut seen = std::collections::BTreeSet::new();
    for symbol in &elf.symbols {
        // Functions merged into one have several names and count once.
        if !seen.insert(symbol.address & !1) {
            continue;
        }
        let Some(section) = elf
            .sections
            .iter()
            .find(|s| s.loaded && (s.address..s.address + s.size).contains(&(symbol.address & !1)))
        else {
            continue;
        };
        let entry = crates.entry(crate_of(&symbol.name)).or_default();
        if section.address >= RAM {
            entry.1 += symbol.size;
        }
        if !section.empty {
            entry.0 += symbol.size;
        }
    }
    let mut crates: Vec<_> = crates.into_iter().map(|(name, (flash, ram))| (name, flash, ram)).collect();
    crates.sort_by_key(|(_, flash, ram)| std::cmp::Reverse(flash + ram));
    Ok((size, crates))
}

/// The crate of a mangled name.
fn crate_of(name: &str) -> String {
    let demangled = format!("{:#}", rustc_demangle::demangle(name));
    if !demangled.contains("::") {
        return "(linker, assembly, constants)".into();
    }
    let path = demangled.trim_start_matches(['<', '&', '*', '[', '(']);
    let path = path.strip_prefix("dyn ").unwrap_or(path).trim_start_matches("mut ");
    path.split("::").next().unwrap_or_default().to_owned()
}

/// Prints the sections and the crates.
pub fn print(image: &Path, board: &Board) -> Result {
    let (size, crates) = measure(image)?;
    println!("{} {}", image.display(), board.name);
    println!("flash {:>8} bytes, of them constants with the content {}", size.flash, size.constants);
    println!("RAM   {:>8} bytes of variables", size.ram);
    println!("{:<34} {:>8} {:>8}", "crate", "flash", "RAM");
    for (name, flash, ram) in crates.iter().filter(|(_, flash, ram)| flash + ram >= 64) {
        println!("{name:<34} {flash:>8} {ram:>8}");
    }
    let (flash, ram) = crates.iter().fold((0, 0), |(f, r), c| (f + c.1, r + c.2));
    let rest = "strings and tables without a name";
    println!("{rest:<34} {:>8} {:>8}", size.flash.saturating_sub(flash), size.ram.saturating_sub(ram));
    Ok(())
}
