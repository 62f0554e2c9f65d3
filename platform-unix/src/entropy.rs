//! Randomness from the system.
use airglow_device::Entropy;

/// The system's cryptographic random numbers: `getentropy(3)`, which is the `getrandom` system call on Linux.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    /// # Panics
    /// When the system has no random numbers to give (a kernel older than `getrandom`, or a sandbox that
    /// forbids it): nothing that follows could be secure.
    fn fill(&self, out: &mut [u8]) {
        // The call takes at most 256 bytes at a time.
        for chunk in out.chunks_mut(256) {
            crate::sys::getentropy(chunk).expect("the system gives no random numbers");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_filled_and_no_two_fills_are_alike() {
        let mut seen = [0u8; 1000];
        for _ in 0..16 {
            let mut bytes = [0; 1000];
            SystemEntropy.fill(&mut bytes);
            for (seen, byte) in seen.iter_mut().zip(bytes) {
                *seen |= byte;
            }
        }
        // A byte stays zero through 16 fills with probability 2^-128.
        assert!(seen.iter().all(|byte| *byte != 0));
        assert_ne!(SystemEntropy.u64(), SystemEntropy.u64());
    }
}
