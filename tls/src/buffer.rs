//! The memory of a connection's two directions.

/// Memory that a stream may give back while nothing is under way, if it is of a kind that can.
pub trait Buffer: AsRef<[u8]> + AsMut<[u8]> {
    /// Nothing in it is needed: keeps `len` bytes at most, if it can.
    fn shrink(&mut self, len: usize) {
        let _ = len;
    }
    /// Has `len` bytes again, the present ones first.
    fn grow(&mut self, len: usize) {
        let _ = len;
    }
}

impl<const N: usize> Buffer for [u8; N] {}
impl<const N: usize> Buffer for &mut [u8; N] {}
impl Buffer for &mut [u8] {}

#[cfg(feature = "alloc")]
impl Buffer for alloc::vec::Vec<u8> {
    fn shrink(&mut self, len: usize) {
        self.truncate(len);
        self.shrink_to_fit();
    }
    fn grow(&mut self, len: usize) {
        if self.len() < len {
            self.reserve_exact(len - self.len());
            self.resize(len, 0);
        }
    }
}
