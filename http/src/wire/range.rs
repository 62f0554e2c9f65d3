//! Byte ranges, RFC 9110 section 14.
use crate::wire::bytes::{decimal, list};

/// A satisfiable range of a representation: `start` to `end`, `end` not included, never empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteRange {
    /// The first byte.
    pub start: u64,
    /// Behind the last byte.
    pub end: u64,
}

impl ByteRange {
    /// Bytes in the range.
    pub const fn len(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
    /// Never `true` for a range of [`Ranges::parse`].
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The most ranges a request may ask for; one with more is answered with the whole.
const MOST: usize = if cfg!(feature = "parts") { 16 } else { 1 };

/// Satisfiable ranges, in ascending order, neither overlapping nor touching.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SelectedRanges {
    ranges: [ByteRange; MOST],
    len: usize,
}

impl SelectedRanges {
    /// The ranges; at least one.
    pub fn as_slice(&self) -> &[ByteRange] {
        self.ranges.get(..self.len).unwrap_or(&[])
    }
}

/// What a `Range` field asks of a representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // There is no allocator to put it anywhere else.
pub enum Ranges {
    /// The field is not to be heeded: another unit, bad grammar, more than sixteen ranges (without the feature `parts`
    /// more than one), or ranges that together are
    /// the whole. Answer as if it were not there.
    Whole,
    /// 416: grammar is fine but nothing of it exists.
    Unsatisfiable,
    /// 206 with these.
    Selected(SelectedRanges),
}

impl Ranges {
    /// Range number `index` of a representation of `size` bytes.
    pub(crate) fn get(&self, index: usize, size: u64) -> Option<ByteRange> {
        match self {
            Self::Whole => (index == 0).then_some(ByteRange { start: 0, end: size }),
            Self::Unsatisfiable => None,
            Self::Selected(selected) => selected.as_slice().get(index).copied(),
        }
    }
    /// More than one.
    pub(crate) fn several(&self) -> bool {
        MOST > 1 && matches!(self, Self::Selected(selected) if selected.len > 1)
    }
    /// Reads a `Range` field for a representation of `size` bytes. What overlaps or touches is joined, so
    /// that no
    /// request makes a server send a byte twice.
    pub fn parse(value: &[u8], size: u64) -> Self {
        let set = match value.split_at_checked(6) {
            Some((unit, set)) if unit.eq_ignore_ascii_case(b"bytes=") => set,
            _ => return Self::Whole,
        };
        let mut selected = SelectedRanges::default();
        let mut specs = 0;
        for spec in list(set) {
            specs += 1;
            if specs > MOST {
                return Self::Whole;
            }
            let Some(dash) = spec.iter().position(|&b| b == b'-') else { return Self::Whole };
            let (first, last) = (spec.get(..dash).unwrap_or(&[]), spec.get(dash + 1..).unwrap_or(&[]));
            let range = match (first, last) {
                (b"", suffix) => match number(suffix) {
                    //= https://www.rfc-editor.org/rfc/rfc9110#section-14.1.2
                    //# If the selected representation is shorter than the specified suffix-
                    //# length, the entire representation is used.
                    Some(suffix) => ByteRange { start: size.saturating_sub(suffix), end: size },
                    None => return Self::Whole,
                },
                (first, b"") => match number(first) {
                    Some(start) => ByteRange { start, end: size },
                    None => return Self::Whole,
                },
                (first, last) => match (number(first), number(last)) {
                    //= https://www.rfc-editor.org/rfc/rfc9110#section-14.1.1
                    //# An int-range is invalid if the last-pos value is present and less than
                    //# first-pos.
                    (Some(start), Some(last)) if start <= last => {
                        ByteRange { start, end: last.saturating_add(1).min(size) }
                    }
                    _ => return Self::Whole,
                },
            };
            if range.start < range.end
                && let Some(place) = selected.ranges.get_mut(selected.len)
            {
                *place = range;
                selected.len += 1;
            }
        }
        if specs == 0 {
            return Self::Whole;
        }
        if selected.len == 0 {
            return Self::Unsatisfiable;
        }
        if MOST > 1 {
            selected.join();
        }
        match selected.as_slice() {
            // The whole is shorter said in one piece, unless that one piece is just what was asked for.
            [only] if only.len() == size && specs > 1 => Self::Whole,
            _ => Self::Selected(selected),
        }
    }
}

impl SelectedRanges {
    fn join(&mut self) {
        let Some(ranges) = self.ranges.get_mut(..self.len) else { return };
        ranges.sort_unstable();
        let mut kept = 0;
        for n in 1..ranges.len() {
            let Some(next) = ranges.get(n).copied() else { return };
            let Some(last) = ranges.get_mut(kept) else { return };
            if next.start <= last.end {
                last.end = last.end.max(next.end);
            } else {
                kept += 1;
                if let Some(place) = ranges.get_mut(kept) {
                    *place = next;
                }
            }
        }
        self.len = kept + 1;
    }
}

/// A position; one beyond 64 bits is beyond every representation.
fn number(digits: &[u8]) -> Option<u64> {
    if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) {
        Some(decimal(digits).unwrap_or(u64::MAX))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ranges(value: &str, size: u64) -> Option<Vec<(u64, u64)>> {
        match Ranges::parse(value.as_bytes(), size) {
            Ranges::Whole => None,
            Ranges::Unsatisfiable => Some(vec![]),
            Ranges::Selected(s) => Some(s.as_slice().iter().map(|r| (r.start, r.end)).collect()),
        }
    }

    #[test]
    fn the_examples_of_the_range_section() {
        for (value, expected) in [
            ("bytes=0-499", vec![(0, 500)]),
            ("bytes=500-999", vec![(500, 1000)]),
            ("bytes=-500", vec![(9500, 10000)]),
            ("bytes=9500-", vec![(9500, 10000)]),
            ("bytes=0-0,-1", vec![(0, 1), (9999, 10000)]),
            ("bytes= 0-999, 4500-5499, -1000", vec![(0, 1000), (4500, 5500), (9000, 10000)]),
            ("bytes=500-600,601-999", vec![(500, 1000)]),
            ("bytes=500-700,601-999", vec![(500, 1000)]),
        ] {
            assert_eq!(ranges(value, 10000), Some(expected), "{value}");
        }
    }

    #[test]
    fn odd_ones() {
        for whole in [
            "",
            "bytes",
            "bytes=",
            "items=0-1",
            "bytes=a-b",
            "bytes=1-0",
            "bytes=-",
            "bytes=0-1,x",
            "bytes=0 -1",
            "bytes=--1",
            "bytes=0-1-2",
            "bytes=0-,-10000",
            "bytes=0-4,5-99999",
        ] {
            assert_eq!(ranges(whole, 10000), None, "{whole}");
        }
        assert_eq!(ranges("bytes=10000-", 10000), Some(vec![]));
        assert_eq!(ranges("bytes=-0", 10000), Some(vec![]));
        assert_eq!(ranges("bytes=0-", 0), Some(vec![]));
        assert_eq!(ranges("bytes=0-", 10), Some(vec![(0, 10)]));
        assert_eq!(ranges("bytes=0-99999999999999999999999", 10), Some(vec![(0, 10)]));
        assert_eq!(ranges("bytes=99999999999999999999999-", 10), Some(vec![]));
        assert_eq!(ranges(&format!("bytes={}", ["1-2"; 17].join(",")), 10000), None);
        assert_eq!(ranges(&format!("bytes={}", ["1-2"; 16].join(",")), 10000), Some(vec![(1, 3)]));
    }

    proptest! {
        #[test]
        fn never_more_than_the_whole(
            specs in prop::collection::vec((prop::option::of(0u64..300), prop::option::of(0u64..300)), 1..16),
            size in 0u64..256,
        ) {
            let text: Vec<_> = specs.iter().map(|(a, b)| {
                let part = |n: &Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
                format!("{}-{}", part(a), part(b))
            }).collect();
            if let Ranges::Selected(s) = Ranges::parse(format!("bytes={}", text.join(",")).as_bytes(), size) {
                prop_assert!(s.as_slice().iter().all(|r| r.start < r.end && r.end <= size));
                prop_assert!(s.as_slice().windows(2).all(|w| w[0].end < w[1].start));
                // each byte that a spec names is in, and no other
                for at in 0..size {
                    let asked = specs.iter().any(|spec| match *spec {
                        (Some(a), Some(b)) => a <= at && at <= b,
                        (Some(a), None) => a <= at,
                        (None, Some(n)) => at >= size.saturating_sub(n),
                        (None, None) => false,
                    });
                    prop_assert_eq!(asked, s.as_slice().iter().any(|r| r.start <= at && at < r.end));
                }
            }
        }
        #[test]
        fn any_bytes(bytes: Vec<u8>, size: u64) {
            let _ = Ranges::parse(&bytes, size);
        }
    }
}
