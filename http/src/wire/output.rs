//! A cursor that writes into a fixed buffer and never past it.
use crate::wire::{Status, format_date, is_field_content, is_token};
use core::time::Duration;

/// Bytes written so far into a buffer of fixed size. A write that does not fit writes nothing and marks the
/// whole as [`Output::overflowed`]: callers write a head line by line and look once, at its end.
#[derive(Debug)]
pub struct Output<'b> {
    buf: &'b mut [u8],
    len: usize,
    overflow: bool,
}

impl<'b> Output<'b> {
    /// An empty output into `buf`.
    pub fn new(buf: &'b mut [u8]) -> Self {
        Self { buf, len: 0, overflow: false }
    }
    /// Goes on after `len` bytes that `buf` already holds.
    pub(crate) fn resume(buf: &'b mut [u8], len: usize) -> Self {
        let len = len.min(buf.len());
        Self { buf, len, overflow: false }
    }
    /// The bytes written.
    pub fn bytes(&self) -> &[u8] {
        self.buf.get(..self.len).unwrap_or(&[])
    }
    /// How many bytes are written.
    pub fn len(&self) -> usize {
        self.len
    }
    /// Whether nothing is written.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// How many more bytes fit.
    pub fn room(&self) -> usize {
        self.buf.len() - self.len
    }
    /// How many bytes fit in all.
    pub fn capacity(&self) -> usize {
        self.buf.len()
    }
    /// Whether something did not fit since the last [`Output::truncate`].
    pub fn overflowed(&self) -> bool {
        self.overflow
    }
    /// Back to `len` bytes; forgets an overflow.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        self.overflow = false;
    }
    /// Appends `bytes`.
    pub fn put(&mut self, bytes: &[u8]) {
        match self.buf.get_mut(self.len..self.len + bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            None => self.overflow = true,
        }
    }
    /// Appends as many of `bytes` as fit and returns their number.
    pub fn fill(&mut self, bytes: &[u8]) -> usize {
        let n = bytes.len().min(self.room());
        if let Some((part, room)) = bytes.get(..n).zip(self.buf.get_mut(self.len..self.len + n)) {
            room.copy_from_slice(part);
            self.len += n;
        }
        n
    }
    /// The room that is left, to be written by other means and taken with [`Output::advance`].
    #[cfg(feature = "parts")]
    pub(crate) fn spare(&mut self) -> &mut [u8] {
        self.buf.get_mut(self.len..).unwrap_or(&mut [])
    }
    /// Counts `n` bytes of [`Output::spare`] as written.
    #[cfg(feature = "parts")]
    pub(crate) fn advance(&mut self, n: usize) {
        self.len = (self.len + n).min(self.buf.len());
    }
    /// Overwrites bytes already written.
    pub(crate) fn patch(&mut self, at: usize, bytes: &[u8]) {
        if let Some(room) = self.buf.get_mut(at..at + bytes.len()) {
            room.copy_from_slice(bytes);
        }
    }
    /// Appends `number` in decimal.
    pub fn put_decimal(&mut self, number: u64) {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        let mut rest = number;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.put(&digits[at..]);
    }
    /// Appends a status line.
    pub fn put_status_line(&mut self, status: Status) {
        let line = status.line();
        if !line.is_empty() {
            return self.put(line);
        }
        self.put(b"HTTP/1.1 ");
        self.put_decimal(status.code().into());
        // The space before the reason phrase stands even when there is no phrase (RFC 9112 section 4).
        self.put(b" \r\n");
    }
    /// Appends a field line as it is given: for names and values that are this library's own.
    pub(crate) fn put_field(&mut self, name: &str, value: &[u8]) {
        self.put(name.as_bytes());
        self.put(b": ");
        self.put(value);
        self.put(b"\r\n");
    }
    /// Appends a field line; `false`, and nothing appended, if the name is no token or the value has a
    /// control
    /// character, so that no value can ever start a line of its own.
    #[must_use]
    pub fn put_checked_field(&mut self, name: &str, value: &[u8]) -> bool {
        let good = is_token(name.as_bytes()) && is_field_content(value);
        if good {
            self.put_field(name, value);
        }
        good
    }
    /// Appends a field line with a number.
    pub(crate) fn put_number_field(&mut self, name: &str, value: u64) {
        self.put(name.as_bytes());
        self.put(b": ");
        self.put_decimal(value);
        self.put(b"\r\n");
    }
    /// Appends a field line with a date; nothing when the date is out of the calendar.
    pub(crate) fn put_date_field(&mut self, name: &str, since_1970: Duration) {
        if let Some(date) = format_date(since_1970) {
            self.put_field(name, &date);
        }
    }
}
