//! The flash beside an RP2040, through the chip's boot ROM (data sheet section 2.8.3.1.3), which knows how to erase and program it.
//!
//! Meanwhile the flash cannot be read, and so no code in it can run: what calls the ROM lies in RAM, and nothing interrupts it here.
use crate::local::Once;
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};

/// Where the flash can be read.
const XIP: usize = 0x1000_0000;
const BYTES: u32 = 2 << 20;
/// The end of the flash, which `build.rs` keeps free of the image.
const FREE: u32 = 64 << 10;
const SECTOR: usize = 4096;
const PAGE: usize = 256;
/// The ROM may erase so much at once, with this command, where a whole block is to be erased.
const BLOCK: (u32, u8) = (64 << 10, 0xd8);

/// The flash.
#[derive(Debug)]
pub struct RomFlash(());

/// It, and where its free part begins and how long that is; once.
pub(crate) fn flash() -> Option<(RomFlash, u32, u32)> {
    static FLASH: Once<()> = Once::new(());
    FLASH.take().map(|()| (RomFlash(()), BYTES - FREE, FREE))
}

/// The ROM's functions.
struct Rom {
    connect: extern "C" fn(),
    exit_xip: extern "C" fn(),
    erase: extern "C" fn(u32, usize, u32, u8),
    program: extern "C" fn(u32, *const u8, usize),
    flush: extern "C" fn(),
}

/// The address of the ROM's function with this name (section 2.8.3); it has all of [`Rom`]'s.
fn lookup(name: [u8; 2]) -> usize {
    // SAFETY: 16-bit addresses at fixed places of the ROM: its table, and the function that looks a name up in it.
    unsafe {
        let table = usize::from((0x14 as *const u16).read_volatile());
        let find = usize::from((0x18 as *const u16).read_volatile());
        let find: extern "C" fn(usize, u32) -> usize = core::mem::transmute(find);
        find(table, u16::from_le_bytes(name).into())
    }
}

impl Rom {
    fn new() -> Self {
        // SAFETY: the ROM's functions of these names have these types.
        unsafe {
            Self {
                connect: core::mem::transmute::<usize, extern "C" fn()>(lookup(*b"IF")),
                exit_xip: core::mem::transmute::<usize, extern "C" fn()>(lookup(*b"EX")),
                erase: core::mem::transmute::<usize, extern "C" fn(u32, usize, u32, u8)>(lookup(*b"RE")),
                program: core::mem::transmute::<usize, extern "C" fn(u32, *const u8, usize)>(lookup(*b"RP")),
                flush: core::mem::transmute::<usize, extern "C" fn()>(lookup(*b"FC")),
            }
        }
    }
}

/// Erases `len` bytes at `at`, or programs them from `from`. `resume` is the second stage of the boot, a copy in RAM, which makes the
/// flash readable again.
#[inline(never)]
#[unsafe(link_section = ".data.rp2040_flash")]
extern "C" fn change(rom: &Rom, at: u32, from: Option<&[u8; PAGE]>, resume: extern "C" fn()) {
    (rom.connect)();
    (rom.exit_xip)();
    match from {
        Some(page) => (rom.program)(at, page.as_ptr(), PAGE),
        None => (rom.erase)(at, SECTOR, BLOCK.0, BLOCK.1),
    }
    (rom.flush)();
    resume();
}

/// Calls [`change`].
fn run(at: u32, from: Option<&[u8; PAGE]>) {
    let mut second_stage = [0u32; 64];
    for (index, word) in second_stage.iter_mut().enumerate() {
        // SAFETY: the second stage lies at the start of the flash, which can be read now.
        *word = unsafe { ((XIP + 4 * index) as *const u32).read_volatile() };
    }
    let code = core::hint::black_box(&second_stage).as_ptr() as usize | 1;
    // SAFETY: position-independent Thumb code that returns to its caller when there is one.
    let resume = unsafe { core::mem::transmute::<usize, extern "C" fn()>(code) };
    // Too far for a branch: a call by address.
    let change: extern "C" fn(&Rom, u32, Option<&[u8; PAGE]>, extern "C" fn()) =
        core::hint::black_box(change);
    change(&Rom::new(), at, from, resume);
    core::hint::black_box(&second_stage);
}

impl ErrorType for RomFlash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for RomFlash {
    const READ_SIZE: usize = 1;
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        for (address, byte) in (XIP + offset as usize..).zip(bytes) {
            // SAFETY: inside the flash; volatile, because `change` changes it behind the compiler's back.
            *byte = unsafe { (address as *const u8).read_volatile() };
        }
        Ok(())
    }
    fn capacity(&self) -> usize {
        BYTES as usize
    }
}

impl NorFlash for RomFlash {
    const WRITE_SIZE: usize = PAGE;
    const ERASE_SIZE: usize = SECTOR;
    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        (from..to).step_by(SECTOR).for_each(|at| run(at, None));
        Ok(())
    }
    /// Page by page through RAM: `bytes` may lie in the flash itself.
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        for (at, page) in (offset..).step_by(PAGE).zip(bytes.as_chunks::<PAGE>().0) {
            let page = core::hint::black_box(*page);
            run(at, Some(&page));
        }
        Ok(())
    }
}
