//! Randomness.

/// A cryptographic source of random bytes.
///
/// A platform that has none refuses to boot an application that asks for one; it never hands out
/// bytes that an attacker can guess. Port numbers, sequence numbers and keys all come from here.
pub trait Entropy {
    /// Fills `out` with random bytes. Never blocks after boot.
    fn fill(&self, out: &mut [u8]);

    /// A random 64-bit number.
    fn u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

impl<T: Entropy + ?Sized> Entropy for &T {
    fn fill(&self, out: &mut [u8]) {
        (**self).fill(out);
    }
}
