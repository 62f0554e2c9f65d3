//! The exact-match cache: where a packet with many masks to try went the last time.
use crate::wire::Key;
use alloc::vec::Vec;

/// Which rule of which table a key led to. Any change of rules or ports empties it, by its generation.
pub(super) struct Exact {
    slots: Vec<(u64, u32, u8, u32, Key)>,
    generation: u32,
    /// Slots when it is in use, a power of two.
    size: usize,
}

impl Exact {
    pub const fn new(size: usize) -> Self {
        Self { slots: Vec::new(), generation: 1, size: size.next_power_of_two() }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.generation = self.generation.wrapping_add(1).max(1);
    }

    pub fn find(&self, hash: u64, table: u8, key: &Key) -> Option<u32> {
        let slot = self.slots.get(hash as usize & (self.size - 1))?;
        (slot.0 == hash && slot.1 == self.generation && slot.2 == table && slot.4 == *key).then_some(slot.3)
    }

    pub fn keep(&mut self, hash: u64, table: u8, rule: u32, key: &Key) {
        if self.slots.is_empty() {
            self.slots.resize(self.size, (0, 0, 0, 0, Key::ZERO));
        }
        if let Some(slot) = self.slots.get_mut(hash as usize & (self.size - 1)) {
            *slot = (hash, self.generation, table, rule, *key);
        }
    }
}
