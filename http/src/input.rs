//! What has been received and not yet used.

/// Octets received and not yet used.
#[derive(Debug)]
pub(crate) struct Input<'b> {
    pub buf: &'b mut [u8],
    pub start: usize,
    pub end: usize,
}

impl Input<'_> {
    pub fn bytes(&self) -> &[u8] {
        self.buf.get(self.start..self.end).unwrap_or(&[])
    }
    pub fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }
    /// Room behind the octets, made by moving them to the front if there is none.
    pub fn room(&mut self) -> &mut [u8] {
        if self.end == self.buf.len() && self.start > 0 {
            self.buf.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        self.buf.get_mut(self.end..).unwrap_or(&mut [])
    }
}
