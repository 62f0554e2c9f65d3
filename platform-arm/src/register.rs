//! Device registers as drivers see them: 32-bit words at byte offsets from a base.

/// The registers of one device.
///
/// A driver is generic over this trait: on a board it is [`Mmio`], in a test a model of the chip.
/// Reading may change the device (a FIFO's data register), so both calls take `&mut self`.
pub trait Registers {
    /// Reads the register at `offset` bytes.
    fn read(&mut self, offset: usize) -> u32;
    /// Writes the register at `offset` bytes.
    fn write(&mut self, offset: usize, value: u32);

    /// Reads, changes and writes back.
    fn modify(&mut self, offset: usize, change: impl FnOnce(u32) -> u32) {
        let value = self.read(offset);
        self.write(offset, change(value));
    }
    /// Fills `words` from one register, a FIFO's.
    fn read_fifo(&mut self, offset: usize, words: &mut [u32]) {
        for word in words {
            *word = self.read(offset);
        }
    }
    /// Writes `words` to one register, a FIFO's.
    fn write_fifo(&mut self, offset: usize, words: &[u32]) {
        for &word in words {
            self.write(offset, word);
        }
    }
    /// Reads `offset` until `done` says so, at most `tries` times: hardware that never answers must not hang the
    /// board. Whether it was done.
    fn wait(&mut self, offset: usize, tries: u32, done: impl Fn(u32) -> bool) -> bool {
        (0..tries).any(|_| done(self.read(offset)))
    }
}

impl<T: Registers + ?Sized> Registers for &mut T {
    fn read(&mut self, offset: usize) -> u32 {
        (**self).read(offset)
    }
    fn write(&mut self, offset: usize, value: u32) {
        (**self).write(offset, value);
    }
}

/// Registers in the address space, at a base that the board knows when it is compiled: no pointer is
/// stored and every access is a constant address.
#[derive(Clone, Debug)]
pub struct Mmio<const BASE: usize>(());

impl<const BASE: usize> Mmio<BASE> {
    /// The device at `BASE`.
    ///
    /// # Safety
    /// A device whose registers are 32 bits wide is mapped there, and nothing else drives it
    pub const unsafe fn new() -> Self {
        Self(())
    }
}

impl<const BASE: usize> Registers for Mmio<BASE> {
    #[inline(always)]
    fn read(&mut self, offset: usize) -> u32 {
        // SAFETY: `new`'s caller vouches for the device; drivers name only offsets of its registers.
        unsafe { ((BASE + offset) as *const u32).read_volatile() }
    }
    #[inline(always)]
    fn write(&mut self, offset: usize, value: u32) {
        // SAFETY: as above.
        unsafe { ((BASE + offset) as *mut u32).write_volatile(value) }
    }
}

/// Registers at a base that is found when the board runs, or that differs between chips which are otherwise the same.
#[derive(Clone, Debug)]
pub struct MmioAt(usize);

impl MmioAt {
    /// The device at `base`.
    ///
    /// # Safety
    /// As [`Mmio::new`].
    pub const unsafe fn new(base: usize) -> Self {
        Self(base)
    }
}

impl Registers for MmioAt {
    #[inline(always)]
    fn read(&mut self, offset: usize) -> u32 {
        // SAFETY: `new`'s caller vouches for the device; drivers name only offsets of its registers.
        unsafe { ((self.0 + offset) as *const u32).read_volatile() }
    }
    #[inline(always)]
    fn write(&mut self, offset: usize, value: u32) {
        // SAFETY: as above.
        unsafe { ((self.0 + offset) as *mut u32).write_volatile(value) }
    }
}

/// The bytes of words, in memory order: how FIFO words become a frame. Every machine that this crate knows is little-endian.
pub fn bytes_of(words: &mut [u32]) -> &mut [u8] {
    const { assert!(cfg!(target_endian = "little")) };
    // SAFETY: any four bytes are a word and any word four bytes; the length is that of the same memory.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len() * 4) }
}
