//! UF2, the format in which the boot program of an RP2040 or RP2350 takes an image from its USB drive: blocks of 512 bytes with 256
//! bytes of flash each, each block whole in itself. <https://github.com/microsoft/uf2>
use super::elf::Elf;
use crate::failure::{Context, Result};
use std::collections::BTreeMap;

const BLOCK: usize = 512;
/// A page of flash: what a block carries.
const PAGE: usize = 256;
const MAGIC: [u32; 2] = [0x0a32_4655, 0x9e5d_5157];
const MAGIC_END: u32 = 0x0ab1_6f30;
const FAMILY_PRESENT: u32 = 0x2000;

/// The file for the chips of `family` that puts what the ELF file `image` loads into flash from `start` on, of `size` bytes.
///
/// # Errors
/// When a part of it lies elsewhere.
pub fn encode(image: &[u8], family: u32, start: u64, size: u64) -> Result<Vec<u8>> {
    let elf = Elf::read(image)?;
    let mut pages: BTreeMap<u64, [u8; PAGE]> = BTreeMap::new();
    for segment in &elf.segments {
        let bytes =
            image.get(segment.offset..segment.offset + segment.size).context("the image is cut off")?;
        for (at, &byte) in (segment.address..).zip(bytes) {
            if !(start..start + size).contains(&at) {
                return Err(crate::failure::Failure::new(format!(
                    "the image has bytes at {at:#x}, where the board has no flash"
                )));
            }
            let page = at / PAGE as u64 * PAGE as u64;
            // What is not written stays as erased flash is.
            pages.entry(page).or_insert([0xff; PAGE])[(at - page) as usize] = byte;
        }
    }
    let total = pages.len() as u32;
    let mut file = Vec::with_capacity(pages.len() * BLOCK);
    for (number, (address, page)) in pages.iter().enumerate() {
        let head =
            [MAGIC[0], MAGIC[1], FAMILY_PRESENT, *address as u32, PAGE as u32, number as u32, total, family];
        file.extend(head.into_iter().flat_map(u32::to_le_bytes));
        file.extend(page);
        file.resize(number * BLOCK + BLOCK - 4, 0);
        file.extend(MAGIC_END.to_le_bytes());
    }
    Ok(file)
}

/// What a boot program makes of a file for `family`: the flash it writes, page by page.
#[cfg(test)]
fn decode(file: &[u8], family: u32) -> BTreeMap<u64, Vec<u8>> {
    assert_eq!(file.len() % BLOCK, 0);
    let mut flash = BTreeMap::new();
    for (number, block) in file.chunks(BLOCK).enumerate() {
        let word = |at: usize| u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
        assert_eq!([word(0), word(4), word(508)], [0x0a32_4655, 0x9e5d_5157, 0x0ab1_6f30]);
        assert_eq!((word(8) & 0x2000, word(28)), (0x2000, family));
        assert_eq!((word(20) as usize, word(24) as usize), (number, file.len() / BLOCK));
        let (address, length) = (word(12), word(16) as usize);
        assert!(address % 256 == 0 && length == 256, "the chip's boot program takes whole pages");
        assert!(flash.insert(u64::from(address), block[32..32 + length].to_vec()).is_none());
    }
    flash
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file of 32 bits with these segments: physical address, bytes, size in memory.
    pub fn elf(segments: &[(u32, &[u8], u32)]) -> Vec<u8> {
        let mut file = vec![0; 0x34];
        file[..6].copy_from_slice(b"\x7fELF\x01\x01");
        file[0x1c..0x20].copy_from_slice(&0x34u32.to_le_bytes());
        file[0x2a..0x2c].copy_from_slice(&32u16.to_le_bytes());
        file[0x2c..0x2e].copy_from_slice(&(segments.len() as u16).to_le_bytes());
        let mut offset = 0x34 + 32 * segments.len() as u32;
        for (address, bytes, memory) in segments {
            // Where the segment runs is not where it is loaded.
            let header = [1, offset, 0x2000_0000, *address, bytes.len() as u32, *memory, 0, 4];
            file.extend(header.into_iter().flat_map(u32::to_le_bytes));
            offset += bytes.len() as u32;
        }
        segments.iter().for_each(|(_, bytes, _)| file.extend_from_slice(bytes));
        // One section header, the empty one, which is its own table of names.
        let table = file.len() as u32;
        file[0x20..0x24].copy_from_slice(&table.to_le_bytes());
        file[0x2e..0x30].copy_from_slice(&40u16.to_le_bytes());
        file[0x30..0x32].copy_from_slice(&1u16.to_le_bytes());
        file.resize(file.len() + 40, 0);
        file
    }

    #[test]
    fn what_is_read_back_is_what_the_image_loads() {
        let (code, data): (Vec<u8>, Vec<u8>) = ((0..=255).cycle().take(700).collect(), vec![0xaa; 9]);
        let image = elf(&[(0x1000_0100, &code, 700), (0x1000_03c0, &data, 9), (0x2000_0000, &[], 4096)]);
        let file = encode(&image, 0xe48b_ff56, 0x1000_0000, 2 << 20).map_err(|e| e.to_string()).unwrap();
        let flash = decode(&file, 0xe48b_ff56);
        assert_eq!(flash.keys().copied().collect::<Vec<_>>(), [0x1000_0100, 0x1000_0200, 0x1000_0300]);
        let bytes: Vec<u8> = flash.into_values().flatten().collect();
        assert_eq!(bytes[..700], code);
        assert_eq!(bytes[700..704], [0xff; 4], "between two segments the flash stays erased");
        assert_eq!((&bytes[704..713], &bytes[713..]), (&data[..], &[0xff; 55][..]));
    }

    #[test]
    fn bytes_outside_the_flash_are_refused() {
        for address in [0x0fff_ffff, 0x1020_0000, 0x2000_0000] {
            assert!(encode(&elf(&[(address, &[1], 1)]), 1, 0x1000_0000, 2 << 20).is_err());
        }
        assert!(encode(b"no ELF file", 1, 0x1000_0000, 2 << 20).is_err());
    }
}
