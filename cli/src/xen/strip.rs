//! Kernels without their symbols: the file that is copied to a hypervisor's machine.
use crate::{
    arm::elf::Elf,
    failure::{Context, Result},
};

/// Where a 64-bit ELF header has the place, the size, the number and the names of the section headers.
const SECTION_FIELDS: [std::ops::Range<usize>; 2] = [0x28..0x30, 0x3a..0x40];

/// `kernel` up to the last byte that is loaded. Sections and symbols lie behind it, and nobody needs them to load it.
pub fn stripped(kernel: &[u8]) -> Result<Vec<u8>> {
    let end = Elf::read(kernel)?.segments.iter().map(|s| s.offset + s.size).max();
    let mut bytes = kernel.get(..end.context("nothing to load")?).context("a cut file")?.to_vec();
    for field in SECTION_FIELDS {
        bytes.get_mut(field).context("a cut header")?.fill(0);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::stripped;
    use crate::arm::elf::Elf;

    #[test]
    fn what_is_loaded_stays() {
        let whole = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let small = stripped(&whole).ok().unwrap();
        assert!(small.len() < whole.len());
        for segment in Elf::read(&whole).ok().unwrap().segments {
            let place = segment.offset.max(0x40)..segment.offset + segment.size;
            assert_eq!(small[place.clone()], whole[place]);
        }
        assert!(stripped(&small[..100]).is_err());
    }
}
