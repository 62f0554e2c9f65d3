//! Randomness that repeats.
use crate::Entropy;
use core::cell::Cell;

/// SplitMix64 (Steele, Lea and Flood 2014): small, fast, well distributed, and anybody can predict it.
#[derive(Clone, Debug)]
pub(crate) struct SplitMix64(pub(crate) u64);

impl SplitMix64 {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Bytes that look random and follow from a seed, so that a test run can be repeated.
///
/// **Not for production: whoever knows the seed, or a few outputs, knows every key.** Its constructor says so.
///
/// ```
/// use airglow_device::{Entropy, SeededEntropy};
///
/// let (a, b) = (SeededEntropy::predictable(7), SeededEntropy::predictable(7));
/// assert_eq!((a.u64(), a.u64()), (b.u64(), b.u64()));
/// ```
#[derive(Debug)]
pub struct SeededEntropy {
    state: Cell<u64>,
}

impl SeededEntropy {
    /// The bytes that follow from `seed`. For tests and simulations only.
    pub const fn predictable(seed: u64) -> Self {
        Self { state: Cell::new(seed) }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, out: &mut [u8]) {
        let mut generator = SplitMix64(self.state.get());
        for chunk in out.chunks_mut(8) {
            let bytes = generator.next().to_le_bytes();
            for (out, byte) in chunk.iter_mut().zip(bytes) {
                *out = byte;
            }
        }
        self.state.set(generator.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides() {
        let fill = |seed| {
            let mut bytes = [0; 37];
            SeededEntropy::predictable(seed).fill(&mut bytes);
            bytes
        };
        assert_eq!(fill(1), fill(1));
        assert_ne!(fill(1), fill(2));
        // The published first output for seed 0.
        assert_eq!(SplitMix64(0).next(), 0xe220_a839_7b1d_cdaf);
    }
}
