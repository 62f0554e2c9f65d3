//! Bytes into and out of a ring, a word at a time.
//!
//! A ring has one writer, so a word of which only a part is new is read and written again whole: what else is in it is the writer's
//! too. What a hostile reader puts there meanwhile is what it gets.
use crate::sync::{AtomicU64, Ordering};

/// Bytes in a word.
const WORD: usize = 8;

/// Bytes that a ring of these words holds.
pub fn capacity(ring: &[AtomicU64]) -> usize {
    ring.len() * WORD
}

/// Copies `out.len()` bytes, at most the ring's capacity, from the position `at` on.
pub fn copy_out(ring: &[AtomicU64], at: u32, mut out: &mut [u8]) {
    let Some((words, skip)) = words(ring, at) else { return };
    let mut words = words.map(|word| word.load(Ordering::Relaxed).to_ne_bytes());
    if skip > 0
        && let Some(word) = words.next()
    {
        let (head, rest) = out.split_at_mut((WORD - skip).min(out.len()));
        copy(head, word.get(skip..).unwrap_or_default());
        out = rest;
    }
    let (whole, tail) = out.as_chunks_mut::<WORD>();
    for (to, word) in whole.iter_mut().zip(&mut words) {
        *to = word;
    }
    if !tail.is_empty()
        && let Some(word) = words.next()
    {
        copy(tail, &word);
    }
}

/// Copies `bytes`, at most the ring's capacity, to the position `at` and on.
pub fn copy_in(ring: &[AtomicU64], at: u32, mut bytes: &[u8]) {
    let Some((mut words, skip)) = words(ring, at) else { return };
    let part = |word: &AtomicU64, skip: usize, bytes: &[u8]| {
        let mut old = word.load(Ordering::Relaxed).to_ne_bytes();
        copy(old.get_mut(skip..).unwrap_or_default(), bytes);
        word.store(u64::from_ne_bytes(old), Ordering::Relaxed);
    };
    if skip > 0
        && let Some(word) = words.next()
    {
        let (head, rest) = bytes.split_at((WORD - skip).min(bytes.len()));
        part(word, skip, head);
        bytes = rest;
    }
    let (whole, tail) = bytes.as_chunks::<WORD>();
    for (from, word) in whole.iter().zip(&mut words) {
        word.store(u64::from_ne_bytes(*from), Ordering::Relaxed);
    }
    if !tail.is_empty()
        && let Some(word) = words.next()
    {
        part(word, 0, tail);
    }
}

/// The words from the one that holds the position `at`, around to it again, and the bytes of the first that come before the position.
fn words(ring: &[AtomicU64], at: u32) -> Option<(impl Iterator<Item = &AtomicU64>, usize)> {
    let at = at as usize % capacity(ring).max(1);
    let (before, from) = ring.split_at_checked(at / WORD)?;
    // The first word once more: the last bytes of a full ring lie in front of its first.
    Some((from.iter().chain(before).chain(from.first()), at % WORD))
}

fn copy(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_length_at_every_position() {
        for words in [1, 2, 4] {
            let ring: Vec<_> = (0..words).map(|_| AtomicU64::new(0)).collect();
            let size = capacity(&ring);
            for at in (0..2 * size as u32).chain(u32::MAX - 20..=u32::MAX) {
                for len in 0..=size {
                    let old: Vec<u8> = (0..size).map(|i| 100 + i as u8).collect();
                    copy_in(&ring, 0, &old);
                    let bytes: Vec<u8> = (1..=len as u8).collect();
                    copy_in(&ring, at, &bytes);
                    let mut out = vec![0; len];
                    copy_out(&ring, at, &mut out);
                    assert_eq!(out, bytes, "{len} at {at} of {size}");
                    // And nothing else has changed.
                    let mut all = vec![0; size];
                    copy_out(&ring, at, &mut all);
                    let rest = (at as usize + len..at as usize + size).map(|i| old[i % size]);
                    assert!(all[len..].iter().copied().eq(rest), "{len} at {at} of {size}");
                }
            }
        }
    }

    #[test]
    fn a_ring_of_nothing_takes_nothing() {
        copy_in(&[], 3, b"abc");
        let mut out = [7; 3];
        copy_out(&[], 3, &mut out);
        assert_eq!(out, [7; 3]);
    }
}
