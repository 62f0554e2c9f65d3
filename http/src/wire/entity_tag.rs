//! Entity tags, RFC 9110 section 8.8.3.
use crate::wire::bytes::list;

/// An entity tag: `"xyzzy"` or `W/"xyzzy"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityTag<'a> {
    /// A weak tag: equal tags mean "as good as", not "the same bytes".
    pub weak: bool,
    /// What stands between the quotes.
    pub opaque: &'a [u8],
}

/// Room for a tag made of a 64-bit digest: two quotes and sixteen digits.
pub type TagSpace = [u8; 18];

impl<'a> EntityTag<'a> {
    /// Reads one tag; `None` if it is none.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let (weak, quoted) = match text {
            [b'W', b'/', rest @ ..] => (true, rest),
            _ => (false, text),
        };
        match quoted {
            [b'"', opaque @ .., b'"']
                if opaque.iter().all(|&b| b == 0x21 || (0x23..=0x7e).contains(&b) || b >= 0x80) =>
            {
                Some(Self { weak, opaque })
            }
            _ => None,
        }
    }
    /// A strong tag out of a digest, written into `space`.
    pub fn from_digest(digest: u64, space: &'a mut TagSpace) -> Self {
        *space = Self::text(digest);
        Self { weak: false, opaque: &space[1..17] }
    }
    /// The text of a strong tag out of a digest.
    pub fn text(digest: u64) -> TagSpace {
        let mut text = [b'"'; 18];
        for (n, digit) in text[1..17].iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(digest >> (60 - 4 * n)) as usize & 15];
        }
        text
    }
    //= https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3.2
    //# two entity tags are equivalent if both are not weak and
    //# their opaque-tags match character-by-character.
    /// Section 8.8.3.2: the strong comparison.
    pub fn strong_eq(&self, other: &EntityTag<'_>) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }
    //= https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3.2
    //# two entity tags are equivalent if their opaque-tags
    //# match character-by-character, regardless of either or both being
    //# tagged as "weak".
    /// Section 8.8.3.2: the weak comparison.
    pub fn weak_eq(&self, other: &EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }
}

/// Whether `tag` is among those of an `If-Match` (strong) or `If-None-Match` (weak) value. `*` matches every
/// tag and also the want of one, as long as there is a representation.
pub fn matches_any(value: &[u8], tag: Option<&EntityTag<'_>>, strong: bool) -> bool {
    list(value).any(|element| {
        element == b"*"
            || EntityTag::parse(element).zip(tag).is_some_and(|(theirs, ours)| {
                if strong { theirs.strong_eq(ours) } else { theirs.weak_eq(ours) }
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    //= https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3.2
    //= type=test
    //# two entity tags are equivalent if both are not weak and
    //# their opaque-tags match character-by-character.
    #[test]
    fn the_table_of_the_comparison_section() {
        for (a, b, strong, weak) in [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
        ] {
            let (a, b) = (EntityTag::parse(a.as_bytes()).unwrap(), EntityTag::parse(b.as_bytes()).unwrap());
            assert_eq!((a.strong_eq(&b), a.weak_eq(&b)), (strong, weak), "{a:?} {b:?}");
        }
    }

    #[test]
    fn tags() {
        let mut space = [0; 18];
        let tag = EntityTag::from_digest(0x0123_4567_89ab_cdef, &mut space);
        assert_eq!(tag.opaque, b"0123456789abcdef");
        assert_eq!(&EntityTag::text(255), b"\"00000000000000ff\"");
        assert!(matches_any(b"\"a,b\", W/\"0123456789abcdef\"", Some(&tag), false));
        assert!(!matches_any(b"\"a,b\", W/\"0123456789abcdef\"", Some(&tag), true));
        assert!(matches_any(b"*", None, true));
        assert!(!matches_any(b"\"x\"", None, false));
        for bad in ["", "\"", "x", "w/\"x\"", "\"a\"b\"", "\"a b\"", "\"a"] {
            assert_eq!(EntityTag::parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(EntityTag::parse(b"\"\"").unwrap().opaque, b"");
    }
}
