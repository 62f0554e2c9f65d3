//! Numbers that a peer cannot guess, from a secret that the platform's entropy gave.
use airglow_device::siphash;

/// SipHash-2-4 of a counter under a secret key: port numbers, transaction identifiers, delays.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    key: [u64; 2],
    counter: u64,
}

impl Random {
    pub fn new(seed: [u8; 16]) -> Self {
        let seed = u128::from_le_bytes(seed);
        Self { key: [seed as u64, (seed >> 64) as u64], counter: 0 }
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(1);
        siphash::of_words(self.key, &[self.counter])
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_stays_below() {
        let mut random = Random::new([7; 16]);
        assert!((0..1000).all(|_| random.below(10) < 10));
        assert_eq!(random.below(0), 0);
    }
}
