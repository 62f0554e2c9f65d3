//! Randomness on boards, and what it is good for.
use airglow_device::Entropy;
use core::cell::{Cell, RefCell};
use sha2::{Digest, Sha256};

/// How good a seed is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// From a hardware generator: fit for keys.
    Hardware,
    /// From a seed that is kept on a disk and never used twice: fit for keys, within the limits of
    /// [`storage::seed`](crate::storage::seed).
    Kept,
    /// From the bytes that were written with the image, the chip's identity and the timing of the boot. The same bytes serve at
    /// every boot, and whoever can read the flash knows them: fit for port numbers and TCP's sequence numbers, which it
    /// makes hard to guess from outside; **not** for keys.
    Image,
    /// From the chip's identity and the timing of the boot alone, because the image has no seed. An attacker who
    /// knows the board guesses it.
    Timing,
}

/// A generator: SHA-256 over what it was seeded with and a count, the state replaced after every use.
pub struct Generator {
    state: RefCell<[u8; 32]>,
    strength: Cell<Strength>,
}

impl core::fmt::Debug for Generator {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Generator").field("strength", &self.strength).finish_non_exhaustive()
    }
}

impl Generator {
    /// A generator seeded with all of `sources`.
    pub fn new<'a>(sources: impl IntoIterator<Item = &'a [u8]>, strength: Strength) -> Self {
        let mut hash = Sha256::new();
        for source in sources {
            hash.update((source.len() as u32).to_le_bytes());
            hash.update(source);
        }
        Self { state: RefCell::new(hash.finalize().into()), strength: Cell::new(strength) }
    }

    /// How good the seed was.
    pub fn strength(&self) -> Strength {
        self.strength.get()
    }

    /// Mixes in a seed that was [kept](crate::storage::seed::renew), after which the generator gives secrets.
    pub fn keep(&self, seed: &[u8; 32]) {
        self.stir(seed);
        if self.strength.get() != Strength::Hardware {
            self.strength.set(Strength::Kept);
        }
    }

    /// Mixes in something more, however little it is worth.
    pub fn stir(&self, with: &[u8]) {
        let mut state = self.state.borrow_mut();
        *state =
            Sha256::new().chain_update(*state).chain_update(b"stir").chain_update(with).finalize().into();
    }

    fn generate(&self, out: &mut [u8]) {
        let mut state = self.state.borrow_mut();
        for (count, block) in out.chunks_mut(32).enumerate() {
            let bytes: [u8; 32] = Sha256::new()
                .chain_update(*state)
                .chain_update((count as u64).to_le_bytes())
                .finalize()
                .into();
            for (to, from) in block.iter_mut().zip(bytes) {
                *to = from;
            }
        }
        *state = Sha256::new().chain_update(*state).chain_update(b"next").finalize().into();
    }

    /// The generator for what needs no secrecy: a stack's port and sequence numbers.
    pub const fn for_the_stack(&self) -> Weak<'_> {
        Weak(self)
    }
}

/// Random bytes of whatever strength the board has.
#[derive(Debug)]
pub struct Weak<'g>(&'g Generator);

impl Entropy for Weak<'_> {
    fn fill(&self, out: &mut [u8]) {
        self.0.generate(out);
    }
}

impl Entropy for Generator {
    /// # Panics
    /// When the board has no hardware generator and no seed was [kept](Generator::keep): an application that asks for secrets must not run there.
    fn fill(&self, out: &mut [u8]) {
        assert!(
            matches!(self.strength.get(), Strength::Hardware | Strength::Kept),
            "this board has no source of randomness that is fit for secrets"
        );
        self.generate(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_the_same_twice_and_different_for_every_seed() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..8u8 {
            let generator = Generator::new([&[seed][..], b"rest"], Strength::Hardware);
            for _ in 0..8 {
                let mut bytes = [0; 48];
                generator.fill(&mut bytes);
                assert!(seen.insert(bytes[..16].to_vec()) && seen.insert(bytes[32..].to_vec()));
                generator.stir(&[1]);
            }
        }
    }

    #[test]
    fn a_kept_seed_gives_secrets() {
        let (generator, other) = (
            Generator::new([&b"image"[..]], Strength::Image),
            Generator::new([&b"image"[..]], Strength::Image),
        );
        generator.keep(&[1; 32]);
        other.keep(&[2; 32]);
        assert_eq!(generator.strength(), Strength::Kept);
        assert_ne!(generator.u64(), other.u64());
    }

    #[test]
    #[should_panic(expected = "no source of randomness")]
    fn a_weak_seed_gives_no_secrets() {
        Generator::new([&b"image"[..]], Strength::Image).fill(&mut [0; 16]);
    }
}
