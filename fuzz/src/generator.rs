//! Inputs without end from a corpus and a seed.

/// Makes inputs by changing those of a corpus; the same seed makes the same ones.
#[derive(Clone, Debug)]
pub struct Generator<'c> {
    corpus: &'c [(String, Vec<u8>)],
    state: u64,
}

/// The longest input made.
const LONGEST: usize = 8 * 1024;
/// Numbers at which arithmetic goes wrong.
const EDGES: [u8; 12] = [0x00, 0x01, 0x02, 0x04, 0x0f, 0x10, 0x3f, 0x40, 0x7f, 0x80, 0xfe, 0xff];

impl<'c> Generator<'c> {
    /// A generator over `corpus`, from `seed` on.
    pub fn new(corpus: &'c [(String, Vec<u8>)], seed: u64) -> Self {
        Self { corpus, state: seed }
    }

    /// A random number below `below` (which is not 0).
    fn random(&mut self, below: usize) -> usize {
        // SplitMix64.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 16) as usize % below
    }

    fn pick(&mut self) -> Vec<u8> {
        match self.corpus.len() {
            0 => Vec::new(),
            len => self.corpus[self.random(len)].1.clone(),
        }
    }

    /// The next input. One in sixteen is noise; the others are an input of the corpus with one to eight changes.
    pub fn input(&mut self) -> Vec<u8> {
        if self.random(16) == 0 {
            let len = self.random(256);
            return (0..len).map(|_| self.random(256) as u8).collect();
        }
        let mut input = self.pick();
        for _ in 0..1 + self.random(8) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.random(input.len() + 1);
        let len = 1 + self.random(16);
        let end = input.len().min(at + len);
        match self.random(16) {
            // The kinds that keep the lengths come most often: they reach deepest.
            0..=3 => self.at(input, at, |random, byte| byte ^ 1 << (random & 7)),
            4..=6 => self.at(input, at, |random, _| EDGES[random % EDGES.len()]),
            7 | 8 => self.at(input, at, |random, _| random as u8),
            9 => self.at(input, at, |random, byte| byte.wrapping_add((random % 9) as u8).wrapping_sub(4)),
            10 => drop(input.drain(at..end)),
            11 => {
                let noise: Vec<u8> = (0..len).map(|_| self.random(256) as u8).collect();
                input.splice(at..at, noise).for_each(drop);
            }
            12 => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again).for_each(drop);
            }
            13 => input.truncate(at),
            14 => {
                // The start of this one, the end of another.
                let other = self.pick();
                let from = self.random(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => input.extend(self.pick()),
        }
    }

    fn at(&mut self, input: &mut [u8], at: usize, change: impl FnOnce(usize, u8) -> u8) {
        let random = self.random(1 << 20);
        if let Some(byte) = input.get_mut(at) {
            *byte = change(random, *byte);
        }
    }
}
