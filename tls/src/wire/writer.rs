use super::NoRoom;

/// Appends values to the caller's memory.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut [u8],
    len: usize,
}

/// A vector whose length is written when it [ends](Writer::end).
#[must_use]
#[derive(Debug)]
pub struct Block {
    start: usize,
    width: usize,
}

impl<'a> Writer<'a> {
    /// Writes into `out` from its start.
    pub const fn new(out: &'a mut [u8]) -> Self {
        Self { out, len: 0 }
    }
    /// Bytes written.
    pub const fn len(&self) -> usize {
        self.len
    }
    /// Whether nothing was written.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// What was written from `from` on; nothing when that is past the end.
    pub fn since(&self, from: usize) -> &[u8] {
        self.out.get(from..self.len).unwrap_or_default()
    }
    /// The last `len` bytes that were written, to be written again.
    ///
    /// # Errors
    /// Fewer were.
    pub fn last(&mut self, len: usize) -> Result<&mut [u8], NoRoom> {
        let from = self.len.checked_sub(len).ok_or(NoRoom)?;
        self.out.get_mut(from..self.len).ok_or(NoRoom)
    }
    /// Room for `len` bytes, for the caller to fill.
    ///
    /// # Errors
    /// There is less; so everywhere below.
    pub fn room(&mut self, len: usize) -> Result<&mut [u8], NoRoom> {
        let end = self.len.checked_add(len).ok_or(NoRoom)?;
        let room = self.out.get_mut(self.len..end).ok_or(NoRoom)?;
        self.len = end;
        Ok(room)
    }
    /// All that is left, without taking it: [`room`](Self::room) takes.
    pub fn spare(&mut self) -> &mut [u8] {
        self.out.get_mut(self.len..).unwrap_or_default()
    }
    /// Appends bytes.
    ///
    /// # Errors
    /// No room.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), NoRoom> {
        self.room(bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }
    /// Appends one byte.
    ///
    /// # Errors
    /// No room.
    pub fn u8(&mut self, value: u8) -> Result<(), NoRoom> {
        self.bytes(&[value])
    }
    /// Appends two bytes, big-endian.
    ///
    /// # Errors
    /// No room.
    pub fn u16(&mut self, value: u16) -> Result<(), NoRoom> {
        self.bytes(&value.to_be_bytes())
    }
    /// Starts a vector whose length takes `width` bytes, 1 to 3.
    ///
    /// # Errors
    /// No room.
    pub fn block(&mut self, width: usize) -> Result<Block, NoRoom> {
        let start = self.len;
        self.room(width)?.fill(0);
        Ok(Block { start, width })
    }
    /// Ends the vector: writes its length.
    ///
    /// # Errors
    /// It is longer than its length field can say.
    pub fn end(&mut self, block: Block) -> Result<(), NoRoom> {
        let content = block.start + block.width;
        let len = u32::try_from(self.len.saturating_sub(content)).map_err(|_| NoRoom)?;
        let bytes = len.to_be_bytes();
        let (excess, digits) = bytes.split_at_checked(4 - block.width.min(4)).ok_or(NoRoom)?;
        if excess.iter().any(|byte| *byte != 0) {
            return Err(NoRoom);
        }
        self.out.get_mut(block.start..content).ok_or(NoRoom)?.copy_from_slice(digits);
        Ok(())
    }
}
