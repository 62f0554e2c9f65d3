//! What came in: opened content in front, records not yet opened behind it, in one buffer of the caller's.
//!
//! What was opened is wiped as soon as it is used up, and with the connection: nobody who has the memory later finds it.
use crate::wire::{NoRoom, RECORD_HEADER, RecordHeader, RecordOverflow};
use core::ops::Range;
use zeroize::zeroize_bytes;

/// `start..end`: content that was opened and not yet used up. `raw..filled`: records, the last perhaps in part.
#[derive(Debug)]
pub(crate) struct Incoming<B: AsMut<[u8]>> {
    buf: B,
    start: usize,
    end: usize,
    raw: usize,
    filled: usize,
}

impl<B: AsMut<[u8]>> Incoming<B> {
    fn wipe(&mut self, range: Range<usize>) {
        zeroize_bytes(self.buf.as_mut().get_mut(range).unwrap_or_default());
    }
}

impl<B: AsMut<[u8]>> Drop for Incoming<B> {
    fn drop(&mut self) {
        // A record that was opened and led to an error lies among those that were not.
        self.wipe(self.start.min(self.raw)..self.filled);
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Incoming<B> {
    pub(crate) const fn new(buf: B) -> Self {
        Self { buf, start: 0, end: 0, raw: 0, filled: 0 }
    }
    /// Whether nothing is in it.
    pub(crate) const fn is_empty(&self) -> bool {
        self.start == self.end && self.raw == self.filled
    }
    /// The memory, when nothing is in it.
    pub(crate) fn memory(&mut self) -> Option<&mut B> {
        if !self.is_empty() {
            return None;
        }
        (self.start, self.end, self.raw, self.filled) = (0, 0, 0, 0);
        Some(&mut self.buf)
    }
    /// The memory, to be made larger.
    pub(crate) const fn growing(&mut self) -> &mut B {
        &mut self.buf
    }
    pub(crate) fn capacity(&self) -> usize {
        self.buf.as_ref().len()
    }
    /// Where the next bytes from the peer go.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        self.compact();
        self.buf.as_mut().get_mut(self.filled..).unwrap_or_default()
    }
    pub(crate) fn filled(&mut self, len: usize) {
        self.filled = self.filled.saturating_add(len).min(self.capacity());
    }
    /// Moves everything to the front, unless there is room for a while.
    fn compact(&mut self) {
        let (content, raw) = (self.end - self.start, self.filled - self.raw);
        if content == 0 && raw == 0 {
            (self.start, self.end, self.raw, self.filled) = (0, 0, 0, 0);
        } else if self.filled == self.capacity() {
            let buf = self.buf.as_mut();
            buf.copy_within(self.start..self.end, 0);
            buf.copy_within(self.raw..self.filled, content);
            self.wipe((content + raw).max(self.start)..self.end);
            (self.start, self.end, self.raw, self.filled) = (0, content, content, content + raw);
        }
    }
    /// The header of the next record, and whether the record is whole; `None` while there is no header.
    pub(crate) fn next(&self) -> Result<Option<(RecordHeader, bool)>, RecordOverflow> {
        let raw = self.buf.as_ref().get(self.raw..self.filled).unwrap_or_default();
        let header = RecordHeader::parse(raw)?;
        Ok(header.map(|header| (header, raw.len() >= RECORD_HEADER + header.len)))
    }
    /// The next record, `len` bytes and its header, to be opened in place.
    pub(crate) fn record(&mut self, len: usize) -> &mut [u8] {
        self.buf.as_mut().get_mut(self.raw..self.raw + RECORD_HEADER + len).unwrap_or_default()
    }
    /// Takes out the eight bytes behind the next record's header, which so moves to what is left of the record.
    #[cfg(feature = "tls12")]
    pub(crate) fn explicit_nonce(&mut self) -> Option<[u8; 8]> {
        let front = self.buf.as_mut().get_mut(self.raw..self.raw + RECORD_HEADER + 8)?;
        let nonce = *front.last_chunk()?;
        front.copy_within(..RECORD_HEADER, 8);
        self.raw += 8;
        Some(nonce)
    }
    /// Passes over the next record of `len` bytes, whose content was used up if it was opened.
    pub(crate) fn skip(&mut self, len: usize) {
        let until = (self.raw + RECORD_HEADER + len).min(self.filled);
        self.wipe(self.raw..until);
        self.raw = until;
    }
    /// Passes over the next record of `len` bytes, of which the first `content` join the opened content.
    pub(crate) fn keep(&mut self, len: usize, content: usize) {
        let from = self.raw + RECORD_HEADER;
        if self.start == self.end {
            (self.start, self.end) = (from, from + content);
        } else {
            self.buf.as_mut().copy_within(from..from + content, self.end);
            self.end += content;
            self.wipe(self.end.max(from)..from + content);
        }
        self.raw = (from + len).min(self.filled);
    }
    pub(crate) fn content(&self) -> &[u8] {
        self.buf.as_ref().get(self.start..self.end).unwrap_or_default()
    }
    pub(crate) fn content_mut(&mut self) -> &mut [u8] {
        self.buf.as_mut().get_mut(self.start..self.end).unwrap_or_default()
    }
    pub(crate) fn consume(&mut self, len: usize) {
        let from = self.start;
        self.start = from.saturating_add(len).min(self.end);
        self.wipe(from..self.start);
    }
    /// Takes `len` bytes out of the content, from `at` on.
    pub(crate) fn cut(&mut self, at: usize, len: usize) {
        let (from, until) = (self.start + at, self.start + at + len);
        if at == 0 {
            self.consume(len);
        } else if until <= self.end {
            self.buf.as_mut().copy_within(until..self.end, from);
            self.end -= len;
            self.wipe(self.end..self.end + len);
        }
    }
    /// Whether `len` more bytes would fit if everything were moved to the front.
    pub(crate) fn fits(&self, len: usize) -> Result<(), NoRoom> {
        let content: Range<usize> = self.start..self.end;
        if content.len() + RECORD_HEADER + len > self.capacity() { Err(NoRoom) } else { Ok(()) }
    }
}
