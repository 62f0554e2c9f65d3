//! NOR flash that describes itself (JEDEC JESD68, the Common Flash Interface) and takes Intel's commands (set 0001 or 0003): two chips of
//! 16 bits beside each other on a bus of 32, as on Arm's development boards and QEMU's `virt`.
//!
//! Commands go to both chips at once, and each has its half of a word of status. The processor waits while the chips work: microseconds for
//! a program, up to a second or two for an erase of a real one.
use crate::register::Registers;
use core::fmt;
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};

// Commands.
const READ_ARRAY: u32 = 0xff;
const READ_STATUS: u32 = 0x70;
const CLEAR_STATUS: u32 = 0x50;
const QUERY: u32 = 0x98;
const ERASE: u32 = 0x20;
const BUFFERED_PROGRAM: u32 = 0xe8;
const LOCK_SETUP: u32 = 0x60;
/// Confirms an erase or a program; after [`LOCK_SETUP`], unlocks.
const CONFIRM: u32 = 0xd0;

// Status, of one chip.
const READY: u32 = 1 << 7;
const ERASE_ERROR: u32 = 1 << 5;
const PROGRAM_ERROR: u32 = 1 << 4;
const VOLTAGE_LOW: u32 = 1 << 3;
const LOCKED: u32 = 1 << 1;

/// How often the status is read before a chip counts as dead. An erase takes a second; a read of the bus no less than 50 ns.
const PATIENCE: u32 = 100_000_000;

/// The same for both chips.
const fn both(value: u32) -> u32 {
    value | value << 16
}

/// A pair of chips whose blocks have, together, `BLOCK` bytes.
#[derive(Debug)]
pub struct CfiFlash<R, const BLOCK: usize> {
    registers: R,
    bytes: u32,
    /// Words that both chips take into their buffers at once.
    buffer: u32,
    /// Blocks are locked one by one, from power-up on.
    locks: bool,
}

/// Why the chips cannot be used, or what they report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CfiError {
    /// Nothing there describes itself, or not as Intel's chips do, or the blocks have another size.
    Unknown,
    /// An offset or a length that is not whole.
    NotAligned,
    /// Beyond the end.
    OutOfBounds,
    /// An erase failed; the block is worn out.
    Erase,
    /// A program failed.
    Program,
    /// The supply is too low to write.
    Voltage,
    /// The block is locked.
    Locked,
    /// The chips do not become ready.
    Timeout,
}

impl fmt::Display for CfiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "no flash of this kind answers",
            Self::NotAligned => "an offset or a length that is not whole",
            Self::OutOfBounds => "the transfer goes beyond the end of the flash",
            Self::Erase => "the flash cannot erase this block",
            Self::Program => "the flash cannot be written there",
            Self::Voltage => "the supply is too low to write to the flash",
            Self::Locked => "the block of the flash is locked",
            Self::Timeout => "the flash does not become ready",
        })
    }
}
impl core::error::Error for CfiError {}
impl NorFlashError for CfiError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            _ => NorFlashErrorKind::Other,
        }
    }
}
impl From<NorFlashErrorKind> for CfiError {
    fn from(kind: NorFlashErrorKind) -> Self {
        match kind {
            NorFlashErrorKind::NotAligned => Self::NotAligned,
            _ => Self::OutOfBounds,
        }
    }
}

impl<R: Registers, const BLOCK: usize> CfiFlash<R, BLOCK> {
    /// The chips at `registers`, asked for what they are.
    ///
    /// # Errors
    /// [`CfiError::Unknown`].
    pub fn new(mut registers: R) -> Result<Self, CfiError> {
        registers.write(4 * 0x55, both(QUERY));
        let found = Self::describe(&mut registers);
        registers.write(0, both(READ_ARRAY));
        let (bytes, buffer, locks) = found.ok_or(CfiError::Unknown)?;
        Ok(Self { registers, bytes, buffer, locks })
    }

    /// Size, buffer and locks, as the chips' tables say it; both must say the same.
    fn describe(registers: &mut R) -> Option<(u32, u32, bool)> {
        let mut byte = |at: u32| {
            let word = registers.read(4 * at as usize);
            (word & 0xff == word >> 16 & 0xff).then_some(word & 0xff)
        };
        let mut number = |at: u32| Some(byte(at)? | byte(at + 1)? << 8);
        let signature = [number(0x10)?, number(0x12)? & 0xff, number(0x13)?];
        let [qr, y, set] = signature;
        if (qr, y) != (0x5251, 0x59) || !matches!(set, 1 | 3) {
            return None;
        }
        let (extended, size, buffer) = (number(0x15)?, number(0x27)? & 0xff, number(0x2a)?);
        let (regions, blocks, block) = (number(0x2c)? & 0xff, number(0x2d)? + 1, number(0x2f)? * 256);
        let bytes = blocks.checked_mul(block)?.checked_mul(2)?;
        let fits = regions == 1
            && block as usize * 2 == BLOCK
            && 1u32.checked_shl(size)?.checked_mul(2)? == bytes
            && (2..16).contains(&buffer);
        // Bit 5 of the features, in the table of Intel's own: instant individual block locking.
        let locks = extended != 0 && number(extended + 5)? & 1 << 5 != 0;
        // A chip's buffer has half as many words as bytes, and the pair as many words of twice the width.
        fits.then(|| (bytes, (1 << buffer >> 1).min(BLOCK as u32 / 4), locks))
    }

    /// Waits until both chips are ready, and leaves them as a memory again; `fault` is what their error bits mean.
    fn finish(&mut self) -> Result<(), CfiError> {
        let ready = self.registers.wait(0, PATIENCE, |status| status & both(READY) == both(READY));
        let status = self.registers.read(0);
        let status = (status | status >> 16) & 0xffff;
        self.registers.write(0, both(CLEAR_STATUS));
        self.registers.write(0, both(READ_ARRAY));
        let errors = [
            (VOLTAGE_LOW, CfiError::Voltage),
            (LOCKED, CfiError::Locked),
            (ERASE_ERROR, CfiError::Erase),
            (PROGRAM_ERROR, CfiError::Program),
        ];
        match errors.into_iter().find(|(bit, _)| status & bit != 0) {
            _ if !ready => Err(CfiError::Timeout),
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    fn unlock(&mut self, at: u32) -> Result<(), CfiError> {
        if !self.locks {
            return Ok(());
        }
        self.registers.write(at as usize, both(LOCK_SETUP));
        self.registers.write(at as usize, both(CONFIRM));
        self.registers.write(at as usize, both(READ_STATUS));
        self.finish()
    }

    /// Programs words that lie in one buffer of the chips.
    fn program(&mut self, at: u32, bytes: &[u8]) -> Result<(), CfiError> {
        let at = at as usize;
        let words = bytes.as_chunks::<4>().0;
        let Some(count) = (words.len() as u32).checked_sub(1) else { return Ok(()) };
        self.registers.write(at, both(BUFFERED_PROGRAM));
        if !self.registers.wait(at, PATIENCE, |status| status & both(READY) == both(READY)) {
            return self.finish();
        }
        self.registers.write(at, both(count));
        for (offset, word) in (at..).step_by(4).zip(words) {
            self.registers.write(offset, u32::from_le_bytes(*word));
        }
        self.registers.write(at, both(CONFIRM));
        self.finish()
    }
}

impl<R: Registers, const BLOCK: usize> ErrorType for CfiFlash<R, BLOCK> {
    type Error = CfiError;
}

impl<R: Registers, const BLOCK: usize> ReadNorFlash for CfiFlash<R, BLOCK> {
    const READ_SIZE: usize = 4;
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), CfiError> {
        check_read(self, offset, bytes.len())?;
        for (at, word) in (offset as usize..).step_by(4).zip(bytes.as_chunks_mut::<4>().0) {
            *word = self.registers.read(at).to_le_bytes();
        }
        Ok(())
    }
    fn capacity(&self) -> usize {
        self.bytes as usize
    }
}

impl<R: Registers, const BLOCK: usize> NorFlash for CfiFlash<R, BLOCK> {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = BLOCK;
    fn erase(&mut self, from: u32, to: u32) -> Result<(), CfiError> {
        check_erase(self, from, to)?;
        for at in (from..to).step_by(BLOCK) {
            self.unlock(at)?;
            self.registers.write(at as usize, both(ERASE));
            self.registers.write(at as usize, both(CONFIRM));
            self.finish()?;
        }
        Ok(())
    }
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), CfiError> {
        check_write(self, offset, bytes.len())?;
        let (mut at, mut rest) = (offset, bytes);
        let mut unlocked = None;
        while !rest.is_empty() {
            if unlocked.replace(at / BLOCK as u32) != Some(at / BLOCK as u32) {
                self.unlock(at)?;
            }
            // A buffer begins at a multiple of its size.
            let room = (self.buffer * 4 - at % (self.buffer * 4)) as usize;
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.program(at, now)?;
            (at, rest) = (at + now.len() as u32, later);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{vec, vec::Vec};

    const BLOCK: usize = 2048;
    const BLOCKS: usize = 8;
    /// Bytes of one chip's buffer.
    const BUFFER: u32 = 5;

    /// What a chip is in the midst of.
    #[derive(Clone, Copy, PartialEq, Debug)]
    enum State {
        Array,
        Query,
        Status,
        Lock,
        Erase,
        Count,
        Data { left: u32, block: usize },
        Confirm,
    }

    /// Both chips, as a data sheet of Intel's describes one: a program only clears bits, a wrong second cycle is an error in the sequence, a
    /// block is locked until it is unlocked, and a command takes a few reads of the status.
    struct Chips {
        words: Vec<u32>,
        locked: Vec<bool>,
        state: State,
        status: u32,
        busy: u32,
        pending: Vec<(usize, u32)>,
        table: [u8; 64],
        /// The upper chip alone fails this.
        fails: u32,
        commands: Vec<u32>,
    }

    impl Chips {
        fn new() -> Self {
            let mut table = [0; 64];
            table[0x10..0x13].copy_from_slice(b"QRY");
            table[0x13] = 1;
            table[0x15] = 0x31;
            // One chip has half of all, in blocks of half the size.
            table[0x27] = (BLOCK * BLOCKS / 2).trailing_zeros() as u8;
            table[0x2a] = BUFFER as u8;
            table[0x2c] = 1;
            table[0x2d] = BLOCKS as u8 - 1;
            table[0x2f] = (BLOCK / 2 / 256) as u8;
            table[0x36] = 1 << 5;
            Self {
                words: vec![0x1234_5678; BLOCK * BLOCKS / 4],
                locked: vec![true; BLOCKS],
                state: State::Array,
                status: READY,
                busy: 0,
                pending: Vec::new(),
                table,
                fails: 0,
                commands: Vec::new(),
            }
        }
        fn fail(&mut self, error: u32) {
            self.status |= error;
        }
    }

    impl Registers for Chips {
        fn read(&mut self, offset: usize) -> u32 {
            match self.state {
                State::Array => self.words[offset / 4],
                State::Query => both(self.table.get(offset / 4).copied().unwrap_or(0).into()),
                _ if self.busy > 0 => {
                    self.busy -= 1;
                    READY << 16
                }
                _ => both(self.status) | self.fails << 16,
            }
        }
        fn write(&mut self, offset: usize, value: u32) {
            assert_eq!(offset % 4, 0);
            let block = offset / BLOCK;
            if let State::Data { left, block: of } = self.state {
                assert_eq!(block, of, "a buffer does not cross blocks");
                self.pending.push((offset / 4, value));
                self.state = if left == 0 { State::Confirm } else { State::Data { left: left - 1, block } };
                return;
            }
            assert_eq!(value & 0xffff, value >> 16, "both chips get the same command");
            let command = value & 0xffff;
            self.state = match (self.state, command) {
                (State::Lock, CONFIRM) => {
                    self.locked[block] = false;
                    State::Array
                }
                (State::Erase, CONFIRM) => {
                    self.busy = 3;
                    if self.locked[block] {
                        self.fail(ERASE_ERROR | LOCKED);
                    } else {
                        self.words[block * BLOCK / 4..][..BLOCK / 4].fill(u32::MAX);
                    }
                    State::Status
                }
                (State::Count, count) => {
                    assert!(count < 1 << BUFFER >> 1, "more than the buffer takes");
                    State::Data { left: count, block }
                }
                (State::Confirm, CONFIRM) => {
                    self.busy = 2;
                    let mut pages: Vec<_> =
                        self.pending.iter().map(|(at, _)| (at * 4) >> BUFFER >> 1).collect();
                    pages.dedup();
                    assert_eq!(pages.len(), 1, "a buffer begins at a multiple of its size");
                    for (at, word) in core::mem::take(&mut self.pending) {
                        if self.locked[at * 4 / BLOCK] {
                            self.status |= PROGRAM_ERROR | LOCKED;
                        } else {
                            self.words[at] &= word;
                        }
                    }
                    State::Status
                }
                (State::Lock | State::Erase | State::Confirm, _) => {
                    self.fail(ERASE_ERROR | PROGRAM_ERROR);
                    State::Status
                }
                (_, command) => {
                    self.commands.push(command);
                    match command {
                        READ_ARRAY => State::Array,
                        READ_STATUS => State::Status,
                        QUERY => State::Query,
                        LOCK_SETUP => State::Lock,
                        ERASE => State::Erase,
                        BUFFERED_PROGRAM => State::Count,
                        CLEAR_STATUS => {
                            (self.status, self.fails) = (READY, 0);
                            self.state
                        }
                        other => panic!("command {other:#x}"),
                    }
                }
            };
        }
    }

    type Flash = CfiFlash<Chips, BLOCK>;

    #[test]
    fn says_what_it_is_and_nothing_else_is_believed() {
        let flash = Flash::new(Chips::new()).unwrap();
        assert_eq!((flash.capacity(), flash.buffer, flash.locks), (BLOCK * BLOCKS, 16, true));
        assert_eq!(flash.registers.state, State::Array);
        // Another signature, another command set, blocks of two sizes, other blocks, another size, no buffer.
        for (at, value) in [(0x10, 0), (0x13, 2), (0x2c, 2), (0x2f, 8), (0x27, 14), (0x2a, 0), (0x2a, 40)] {
            let mut chips = Chips::new();
            chips.table[at] = value;
            assert!(matches!(Flash::new(chips), Err(CfiError::Unknown)), "{at:#x}");
        }
        assert!(matches!(CfiFlash::<_, BLOCK>::new(crate::model::Words::default()), Err(CfiError::Unknown)));
    }

    #[test]
    fn erases_and_programs_across_buffers_and_blocks() {
        let mut flash = Flash::new(Chips::new()).unwrap();
        flash.erase(BLOCK as u32, 3 * BLOCK as u32).unwrap();
        let bytes: Vec<u8> = (0..300).map(|at| at as u8).collect();
        let at = 2 * BLOCK as u32 - 100;
        flash.write(at, &bytes).unwrap();
        let mut all = vec![0; BLOCK * BLOCKS];
        flash.read(0, &mut all).unwrap();
        let at = at as usize;
        assert!(all[..BLOCK].chunks(4).all(|w| w == 0x1234_5678u32.to_le_bytes()));
        assert!(all[BLOCK..at].iter().chain(&all[at + 300..3 * BLOCK]).all(|&b| b == 0xff));
        assert_eq!(all[at..at + 300], bytes);
        assert!(all[3 * BLOCK..].chunks(4).all(|w| w == 0x1234_5678u32.to_le_bytes()));
        assert_eq!(flash.registers.locked.iter().filter(|&&locked| !locked).count(), 2);
    }

    #[test]
    fn bad_offsets_are_refused_before_the_chips_see_them() {
        let mut flash = Flash::new(Chips::new()).unwrap();
        let end = (BLOCK * BLOCKS) as u32;
        let before = flash.registers.commands.len();
        assert_eq!(flash.read(2, &mut [0; 4]), Err(CfiError::NotAligned));
        assert_eq!(flash.read(end, &mut [0; 4]), Err(CfiError::OutOfBounds));
        assert_eq!(flash.write(0, &[0; 3]), Err(CfiError::NotAligned));
        assert_eq!(flash.write(end - 4, &[0; 8]), Err(CfiError::OutOfBounds));
        assert_eq!(flash.erase(4, BLOCK as u32), Err(CfiError::NotAligned));
        assert_eq!(flash.erase(0, end + BLOCK as u32), Err(CfiError::OutOfBounds));
        assert_eq!(flash.registers.commands.len(), before);
    }

    #[test]
    fn what_one_chip_reports_is_an_error_and_the_next_command_works() {
        for (bits, error) in [
            (ERASE_ERROR, CfiError::Erase),
            (PROGRAM_ERROR, CfiError::Program),
            (PROGRAM_ERROR | LOCKED, CfiError::Locked),
            (ERASE_ERROR | VOLTAGE_LOW, CfiError::Voltage),
        ] {
            let mut flash = Flash::new(Chips { locked: vec![false; BLOCKS], ..Chips::new() }).unwrap();
            flash.locks = false;
            flash.registers.fails = bits;
            assert_eq!(flash.erase(0, BLOCK as u32), Err(error));
            assert_eq!(flash.registers.state, State::Array);
            flash.write(0, &[7; 8]).unwrap();
            assert_eq!(flash.registers.words[..3], [0x0707_0707, 0x0707_0707, u32::MAX]);
        }
        // Chips that lock their blocks and do not say so.
        let mut flash = Flash::new(Chips::new()).unwrap();
        flash.locks = false;
        assert_eq!(flash.write(0, &[0; 4]), Err(CfiError::Locked));
        assert_eq!(flash.registers.words[0], 0x1234_5678);
    }
}
