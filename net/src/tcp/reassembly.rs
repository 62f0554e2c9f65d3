//! Ranges of sequence numbers: what has arrived out of order.
use super::sequence::Seq;

/// How many separate ranges are remembered; a segment that would make one more is dropped and will come again.
pub(crate) const RANGES: usize = 32;

/// Disjoint, sorted, bounded in number.
#[derive(Clone, Debug)]
pub(crate) struct Ranges {
    ranges: [(Seq, Seq); RANGES],
    len: u8,
}

impl Default for Ranges {
    fn default() -> Self {
        Self::new()
    }
}

impl Ranges {
    pub const fn new() -> Self {
        Self { ranges: [(Seq(0), Seq(0)); RANGES], len: 0 }
    }
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    pub fn clear(&mut self) {
        self.len = 0;
    }
    /// The ranges, first byte and the one after the last, in order.
    pub fn as_slice(&self) -> &[(Seq, Seq)] {
        &self.ranges[..usize::from(self.len)]
    }

    /// Adds `start..end`; returns whether any byte of it is new, or `Err` when there is no room for one more range.
    pub fn insert(&mut self, start: Seq, end: Seq) -> Result<bool, ()> {
        if !start.before(end) {
            return Ok(false);
        }
        let len = usize::from(self.len);
        // The ranges from `first` to before `last` touch the new one.
        let first = self.as_slice().iter().position(|r| start.up_to(r.1)).unwrap_or(len);
        let touching = self.as_slice()[first..].iter().take_while(|r| r.0.up_to(end)).count();
        let last = first + touching;
        if touching == 0 {
            if len == RANGES {
                return Err(());
            }
            self.ranges.copy_within(first..len, first + 1);
            self.ranges[first] = (start, end);
            self.len += 1;
            return Ok(true);
        }
        let (old_start, old_end) = (self.ranges[first].0, self.ranges[last - 1].1);
        let new = touching > 1 || start.before(old_start) || old_end.before(end);
        self.ranges[first] = (start.min(old_start), end.max(old_end));
        self.ranges.copy_within(last..len, first + 1);
        self.len -= (touching - 1) as u8;
        Ok(new)
    }

    /// Forgets everything before `to`.
    pub fn advance(&mut self, to: Seq) {
        let len = usize::from(self.len);
        let gone = self.as_slice().iter().take_while(|r| r.1.up_to(to)).count();
        self.ranges.copy_within(gone..len, 0);
        self.len -= gone as u8;
        if let Some(first) = self.ranges[..usize::from(self.len)].first_mut() {
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
