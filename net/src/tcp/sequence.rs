//! Sequence numbers (RFC 9293 section 3.4): 32 bits that wrap.
use core::ops::{Add, Sub};

/// A sequence or acknowledgment number.
///
/// Comparisons are those of RFC 9293 section 3.4: modulo 2^32, meaningful between numbers less than 2^31 apart. That is no
/// total order, hence methods and not `Ord`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seq(pub u32);

impl Seq {
    /// `self` comes before `other`.
    pub const fn before(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }
    /// `self` comes after `other`.
    pub const fn after(self, other: Self) -> bool {
        other.before(self)
    }
    /// `self` is `other` or comes before it.
    pub const fn up_to(self, other: Self) -> bool {
        !other.before(self)
    }
    /// The later of the two.
    #[must_use]
    pub const fn max(self, other: Self) -> Self {
        if self.before(other) { other } else { self }
    }
    /// The earlier of the two.
    #[must_use]
    pub const fn min(self, other: Self) -> Self {
        if self.before(other) { self } else { other }
    }
    /// Bytes from `earlier` to `self`; 0 when `earlier` is in fact later.
    pub const fn since(self, earlier: Self) -> u32 {
        if self.before(earlier) { 0 } else { self.0.wrapping_sub(earlier.0) }
    }
}

impl Add<u32> for Seq {
    type Output = Self;
    fn add(self, bytes: u32) -> Self {
        Self(self.0.wrapping_add(bytes))
    }
}

impl Sub<u32> for Seq {
    type Output = Self;
    fn sub(self, bytes: u32) -> Self {
        Self(self.0.wrapping_sub(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_wrap() {
        let (a, b) = (Seq(u32::MAX - 1), Seq(3));
        assert!(a.before(b) && b.after(a) && a.up_to(a) && !a.before(a));
        assert_eq!(b.since(a), 5);
        assert_eq!(a.since(b), 0);
        assert_eq!(a + 5, b);
        assert_eq!(b - 5, a);
        assert_eq!((a.max(b), a.min(b)), (b, a));
    }
}
