//! The rules of a table that share one mask, found by the hash of what the mask leaves of a key.
use super::rule::Rule;
use crate::wire::{Key, Match, field::KEY};
use alloc::vec::Vec;
use hashbrown::HashTable;

/// The rules that share one mask.
pub(super) struct Tuple {
    pub mask: Key,
    /// The words of eight octets that the mask touches: which, and what of them counts.
    words: Vec<(u8, u64)>,
    /// The highest priority of its rules.
    pub priority: u16,
    /// Each rule's index, with the hash of its value: the rule itself is the only other memory that a look-up touches.
    rules: HashTable<(u32, u32)>,
}

impl Tuple {
    pub fn new(mask: Key) -> Self {
        Self { mask, words: words_of(&mask).collect(), priority: 0, rules: HashTable::new() }
    }

    /// No rule has this mask.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The hash of what the mask leaves of a key.
    pub fn hash(&self, key: &Key) -> u32 {
        (hash_words(key, self.words.iter().copied()) >> 32) as u32
    }

    /// The rules whose value has this hash.
    pub fn candidates(&self, hash: u32) -> impl Iterator<Item = u32> {
        self.rules.iter_hash(spread(hash)).filter(move |(of, _)| *of == hash).map(|(_, index)| *index)
    }

    /// Whether a key has a rule's value in the mask's bits.
    pub fn holds(&self, rule: &Rule, key: &Key) -> bool {
        let mut near = rule.first_words.iter();
        self.words.iter().all(|(index, mask)| {
            let value = near.next().copied().unwrap_or_else(|| word(&rule.matches.value, *index));
            word(key, *index) & mask == value
        })
    }

    /// Takes in a rule with this value.
    pub fn insert(&mut self, index: u32, value: &Key) {
        let hash = self.hash(value);
        self.rules.insert_unique(spread(hash), (hash, index), |(hash, _)| spread(*hash));
    }

    /// Takes out a rule with this value.
    pub fn remove(&mut self, index: u32, value: &Key) {
        let hash = spread(self.hash(value));
        if let Ok(entry) = self.rules.find_entry(hash, |(_, other)| *other == index) {
            entry.remove();
        }
    }
}

/// Words of eight octets in a key.
const WORDS: u8 = (KEY / 8) as u8;
/// Words of a rule's value that stand in the rule itself.
pub(super) const FIRST_WORDS: usize = 2;

/// The first words of a match's value that count.
pub(super) fn first_words(matches: &Match) -> [u64; FIRST_WORDS] {
    let mut words = words_of(&matches.mask).map(|(index, _)| word(&matches.value, index));
    core::array::from_fn(|_| words.next().unwrap_or(0))
}

fn words_of(mask: &Key) -> impl Iterator<Item = (u8, u64)> {
    (0..WORDS).map(|index| (index, word(mask, index))).filter(|(_, mask)| *mask != 0)
}

/// A hash as the table wants it, which looks at the lowest bits and at the seven highest.
const fn spread(hash: u32) -> u64 {
    (hash as u64) << 32 | hash as u64
}

fn word(key: &Key, index: u8) -> u64 {
    let at = usize::from(index) * 8;
    key.0.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}

fn hash_words(key: &Key, words: impl Iterator<Item = (u8, u64)>) -> u64 {
    let mut hash = 0x9e37_79b9_7f4a_7c15_u64;
    for (index, mask) in words {
        let wide = u128::from(hash ^ (word(key, index) & mask)) * 0xd6e8_feb8_6659_fd93_u128;
        hash = (wide as u64) ^ ((wide >> 64) as u64);
    }
    hash
}

/// A hash of the whole key, for exact-match caches.
pub(super) fn hash_key(key: &Key) -> u64 {
    hash_words(key, (0..WORDS).map(|word| (word, u64::MAX)))
}
