//! Ranges of sequence numbers: what has arrived out of order.
use super::sequence::Seq;

/// How many separate ranges are remembered; a segment that would make one more is dropped and will come again. Without an allocator the
/// buffers are small, and hold few segments.
pub(crate) const RANGES: usize = if cfg!(feature = "alloc") { 32 } else { 8 };

/// On the heap there are places for ranges only while something is missing: as a rule nothing is.
#[cfg(feature = "alloc")]
type Row = alloc::vec::Vec<(Seq, Seq)>;
#[cfg(not(feature = "alloc"))]
type Row = heapless::Vec<(Seq, Seq), RANGES>;

/// Disjoint, sorted, bounded in number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranges(Row);

impl Ranges {
    pub const fn new() -> Self {
        Self(Row::new())
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub fn clear(&mut self) {
        self.0 = Row::new();
    }
    /// The ranges, first byte and the one after the last, in order.
    pub fn as_slice(&self) -> &[(Seq, Seq)] {
        &self.0
    }

    /// Adds `start..end`; returns whether any byte of it is new, or `Err` when there is no room for one more range.
    pub fn insert(&mut self, start: Seq, end: Seq) -> Result<bool, ()> {
        if !start.before(end) {
            return Ok(false);
        }
        let len = self.0.len();
        // The ranges from `first` to before `last` touch the new one.
        let first = self.0.iter().position(|r| start.up_to(r.1)).unwrap_or(len);
        let touching = self.0[first..].iter().take_while(|r| r.0.up_to(end)).count();
        let last = first + touching;
        if touching == 0 {
            if len == RANGES {
                return Err(());
            }
            #[cfg(feature = "alloc")]
            self.0.insert(first, (start, end));
            #[cfg(not(feature = "alloc"))]
            let _ = self.0.insert(first, (start, end));
            return Ok(true);
        }
        let (old_start, old_end) = (self.0[first].0, self.0[last - 1].1);
        let new = touching > 1 || start.before(old_start) || old_end.before(end);
        self.0[first] = (start.min(old_start), end.max(old_end));
        self.0.copy_within(last..len, first + 1);
        self.0.truncate(len - (touching - 1));
        Ok(new)
    }

    /// Forgets everything before `to`.
    pub fn advance(&mut self, to: Seq) {
        let len = self.0.len();
        if len == 0 {
            return;
        }
        let gone = self.0.iter().take_while(|r| r.1.up_to(to)).count();
        if gone == len {
            return self.clear();
        }
        self.0.copy_within(gone..len, 0);
        self.0.truncate(len - gone);
        if let Some(first) = self.0.first_mut() {
            first.0 = first.0.max(to);
        }
    }

    /// The range that holds `at`.
    pub fn containing(&self, at: Seq) -> Option<(Seq, Seq)> {
        self.as_slice().iter().copied().find(|r| r.0.up_to(at) && at.before(r.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_are_the_set_of_what_was_inserted(
            base: u32,
            steps in prop::collection::vec((any::<bool>(), 0u32..200, 0u32..20), 0..150),
        ) {
            let mut ranges = Ranges::new();
            let mut model = [false; 256];
            let mut from = 0;
            for (insert, at, n) in steps {
                if insert {
                    let at = at.max(from);
                    let new = (at..at + n).any(|i| !model[i as usize]);
                    match ranges.insert(Seq(base) + at, Seq(base) + at + n) {
                        Ok(said) => {
                            prop_assert_eq!(said, new);
                            (at..at + n).for_each(|i| model[i as usize] = true);
                        }
                        Err(()) => prop_assert_eq!(ranges.as_slice().len(), RANGES),
                    }
                } else if n == 0 {
                    from = from.max(at);
                    ranges.advance(Seq(base) + from);
                    (0..from).for_each(|i| model[i as usize] = false);
                }
                for i in 0..256u32 {
                    prop_assert_eq!(ranges.containing(Seq(base) + i).is_some(), model[i as usize]);
                }
                for pair in ranges.as_slice().windows(2) {
                    prop_assert!(pair[0].1.before(pair[1].0), "disjoint, not even touching");
                }
            }
        }
    }
}
