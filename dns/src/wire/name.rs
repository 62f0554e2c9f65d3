//! Domain names: RFC 1034 section 3.1, RFC 1035 sections 3.1 and 4.1.4, RFC 4343 (case), RFC 4034 section 6.1 (order).
use crate::Error;
use core::{cmp::Ordering, fmt, hash};

/// Bytes of the longest name in wire form, the root's zero byte included.
pub const MAX_NAME: usize = 255;

/// A name in uncompressed wire form, borrowed: labels with a length byte each, then the zero byte of the root.
///
/// Equality, order and hashing ignore ASCII case; the bytes keep it.
#[derive(Clone, Copy)]
pub struct Name<'a>(&'a [u8]);

impl<'a> Name<'a> {
    /// The root, `.`.
    pub const ROOT: Name<'static> = Name(&[0]);

    /// The name at the start of `bytes`, which holds no compression pointer.
    ///
    /// # Errors
    /// [`Error::BadName`] when it is cut off, too long, or has a label type other than "normal".
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut at = 0;
        loop {
            let length = *bytes.get(at).ok_or(Error::BadName)? as usize;
            if length > 63 {
                return Err(Error::BadName);
            }
            at += 1 + length;
            if at > MAX_NAME {
                return Err(Error::BadName);
            }
            if length == 0 {
                return Ok(Name(bytes.get(..at).ok_or(Error::BadName)?));
            }
        }
    }

    /// Bytes that this crate has already checked.
    #[cfg(feature = "alloc")]
    pub(crate) const fn checked(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The wire form.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Bytes of the wire form.
    #[allow(clippy::len_without_is_empty, reason = "a name has at least the root's byte")]
    pub const fn len(self) -> usize {
        self.0.len()
    }

    /// This is the root.
    pub const fn is_root(self) -> bool {
        self.0.len() == 1
    }

    /// The labels from left to right, without the root's.
    pub fn labels(self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let (&length, tail) = rest.split_first()?;
            if length == 0 {
                return None;
            }
            let (label, tail) = tail.split_at_checked(length as usize)?;
            rest = tail;
            Some(label)
        })
    }

    /// How many labels there are, without the root's.
    pub fn label_count(self) -> usize {
        self.labels().count()
    }

    /// The name without its leftmost label; `None` for the root.
    pub fn parent(self) -> Option<Name<'a>> {
        let length = *self.0.first()? as usize;
        if length == 0 { None } else { self.0.get(1 + length..).map(Name) }
    }

    /// The name without its `count` leftmost labels; `None` when it has fewer.
    pub fn ancestor(self, count: usize) -> Option<Name<'a>> {
        (0..count).try_fold(self, |name, _| name.parent())
    }

    /// Equal to `zone` or below it.
    pub fn is_within(self, zone: Name<'_>) -> bool {
        let (own, other) = (self.label_count(), zone.label_count());
        own >= other && self.ancestor(own - other).is_some_and(|end| end == zone)
    }

    /// The leftmost label is `*` (RFC 4592).
    pub fn is_wildcard(self) -> bool {
        self.0.starts_with(b"\x01*")
    }

    /// A hash of the name without regard to case; see [`SuffixHashes`].
    pub fn case_hash(self) -> u64 {
        let mut hashes = SuffixHashes::new();
        hashes.compute(self);
        hashes.get(0)
    }

    /// The order of RFC 4034 section 6.1: by labels from right to left, lower-cased.
    pub fn canonical_cmp(self, other: Name<'_>) -> Ordering {
        let (own, others) = (self.label_count(), other.label_count());
        let shared = own.min(others);
        for depth in 1..=shared {
            let a = self.labels().nth(own - depth).unwrap_or(&[]);
            let b = other.labels().nth(others - depth).unwrap_or(&[]);
            let order = a.iter().map(u8::to_ascii_lowercase).cmp(b.iter().map(u8::to_ascii_lowercase));
            if order != Ordering::Equal {
                return order;
            }
        }
        own.cmp(&others)
    }
}

/// The case-insensitive hashes of a name and of each of its ancestors, from one pass over the name, so that all of them
/// can be looked up in a table.
pub struct SuffixHashes {
    hashes: [u64; 128],
    count: usize,
}

impl SuffixHashes {
    /// Those of the root.
    pub const fn new() -> Self {
        let mut hashes = [0; 128];
        hashes[0] = ROOT_HASH;
        Self { hashes, count: 1 }
    }

    /// Replaces them by those of `name`.
    pub fn compute(&mut self, name: Name<'_>) {
        // First the place of each label, then the hashes from the right end on.
        let mut count = 0;
        let mut at = 0;
        while let Some(&length) = name.0.get(at) {
            if length == 0 || count == 127 {
                break;
            }
            self.hashes[count] = at as u64;
            count += 1;
            at += 1 + usize::from(length);
        }
        let mut hash = ROOT_HASH;
        self.hashes[count] = hash;
        for place in self.hashes[..count].iter_mut().rev() {
            let start = *place as usize;
            let length = usize::from(name.0[start]);
            hash = hash_letters(name.0.get(start + 1..start + 1 + length).unwrap_or(&[]), hash);
            *place = hash;
        }
        self.count = count + 1;
    }

    /// How many there are: the name's labels and the root.
    #[allow(clippy::len_without_is_empty, reason = "there is always the root's")]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// That of the ancestor without the `depth` leftmost labels; 0 is the name itself.
    pub fn get(&self, depth: usize) -> u64 {
        self.hashes.get(depth).copied().unwrap_or(ROOT_HASH)
    }
}

impl Default for SuffixHashes {
    fn default() -> Self {
        Self::new()
    }
}

const ROOT_HASH: u64 = 0x9e37_79b9_7f4a_7c15;

/// A hash of bytes without regard to ASCII case, eight at a time.
pub(crate) fn hash_letters(label: &[u8], seed: u64) -> u64 {
    const K: u64 = 0x2545_f491_4f6c_dd1d;
    let mut hash = (seed ^ label.len() as u64).wrapping_mul(K);
    let (chunks, rest) = label.as_chunks::<8>();
    for chunk in chunks {
        hash = mix(hash ^ lower8(u64::from_le_bytes(*chunk)), K);
    }
    mix(hash ^ lower8(tail8(label, rest)), K)
}

/// The last eight bytes, or all when there are fewer; zero where the chunks before leave no `rest`.
fn tail8(all: &[u8], rest: &[u8]) -> u64 {
    match all.last_chunk::<8>() {
        _ if rest.is_empty() => 0,
        Some(last) => u64::from_le_bytes(*last),
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// Equality without regard to ASCII case, eight bytes at a time.
pub(crate) fn same_letters(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let ((heads, rest), (others, other_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let heads_agree = heads.iter().zip(others).all(|(head, other)| {
        head == other || lower8(u64::from_le_bytes(*head)) == lower8(u64::from_le_bytes(*other))
    });
    heads_agree && lower8(tail8(a, rest)) == lower8(tail8(b, other_rest))
}

fn mix(hash: u64, k: u64) -> u64 {
    let wide = u128::from(hash) * u128::from(k | 1);
    (wide as u64) ^ ((wide >> 64) as u64) ^ hash.rotate_left(23)
}

/// Lower-cases the ASCII letters among eight bytes at once.
const fn lower8(word: u64) -> u64 {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const ONES: u64 = 0x0101_0101_0101_0101;
    let low7 = word & !HIGH;
    let from_a = low7.wrapping_add(ONES * (0x80 - b'A' as u64));
    let past_z = low7.wrapping_add(ONES * (0x80 - b'Z' as u64 - 1));
    let letters = (from_a & !past_z & !word) & HIGH;
    word | (letters >> 2)
}

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Self) -> bool {
        same_letters(self.0, other.0)
    }
}
impl Eq for Name<'_> {}

impl hash::Hash for Name<'_> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.case_hash());
    }
}

impl fmt::Display for Name<'_> {
    /// Presentation form with the final dot, special characters escaped (RFC 1035 section 5.1, RFC 4343 section 2.1).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        for label in self.labels() {
            for &byte in label {
                match byte {
                    b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => {
                        write!(f, "\\{}", byte as char)?
                    }
                    0x21..=0x7e => write!(f, "{}", byte as char)?,
                    _ => write!(f, "\\{byte:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}
impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A name with storage of its own, for building and for reading names out of compressed messages.
#[derive(Clone, Copy)]
pub struct NameBuf {
    bytes: [u8; MAX_NAME],
    length: u8,
}

impl NameBuf {
    /// The root.
    pub const fn root() -> Self {
        Self { bytes: [0; MAX_NAME], length: 1 }
    }

    /// A copy of `name`.
    pub fn from_name(name: Name<'_>) -> Self {
        let mut copy = Self::root();
        let length = name.len().min(MAX_NAME);
        copy.bytes[..length].copy_from_slice(&name.0[..length]);
        copy.length = length as u8;
        copy
    }

    /// The name that `text` writes: labels with dots, escapes `\X` and `\DDD`, a final dot or not (it makes no
    /// difference here; a zone file's origin is the zone parser's business).
    ///
    /// # Errors
    /// [`Error::BadName`] for an empty label, a label over 63 bytes, a name over 255, or a bad escape.
    pub fn from_text(text: &[u8]) -> Result<Self, Error> {
        Ok(Self::from_text_relative(text)?.0)
    }

    /// Like [`from_text`](Self::from_text), and whether the text ended in a dot.
    ///
    /// # Errors
    /// As there.
    pub fn from_text_relative(text: &[u8]) -> Result<(Self, bool), Error> {
        let mut name = Self { bytes: [0; MAX_NAME], length: 0 };
        if text == b"." {
            return Ok((Self::root(), true));
        }
        if text.is_empty() {
            return Err(Error::BadName);
        }
        let mut label = [0_u8; 63];
        let mut length = 0;
        let mut at = 0;
        let mut absolute = false;
        while let Some(&byte) = text.get(at) {
            at += 1;
            absolute = false;
            let value = match byte {
                b'.' => {
                    name.push_label(&label[..length])?;
                    length = 0;
                    absolute = true;
                    continue;
                }
                b'\\' => {
                    let (value, used) = unescape(text.get(at..).unwrap_or(&[])).ok_or(Error::BadName)?;
                    at += used;
                    value
                }
                _ => byte,
            };
            *label.get_mut(length).ok_or(Error::BadName)? = value;
            length += 1;
        }
        if !absolute {
            name.push_label(&label[..length])?;
        }
        name.push_root()?;
        Ok((name, absolute))
    }

    fn push_label(&mut self, label: &[u8]) -> Result<(), Error> {
        let at = self.length as usize;
        if label.is_empty() || label.len() > 63 || at + 1 + label.len() >= MAX_NAME {
            return Err(Error::BadName);
        }
        self.bytes[at] = label.len() as u8;
        self.bytes[at + 1..at + 1 + label.len()].copy_from_slice(label);
        self.length += 1 + label.len() as u8;
        Ok(())
    }

    fn push_root(&mut self) -> Result<(), Error> {
        let at = self.length as usize;
        *self.bytes.get_mut(at).ok_or(Error::BadName)? = 0;
        self.length += 1;
        Ok(())
    }

    /// `prefix`'s labels followed by those of `suffix`.
    ///
    /// # Errors
    /// [`Error::BadName`] when the result is too long.
    pub fn join(prefix: Name<'_>, suffix: Name<'_>) -> Result<Self, Error> {
        let head = prefix.0.len() - 1;
        if head + suffix.0.len() > MAX_NAME {
            return Err(Error::BadName);
        }
        let mut name = Self::root();
        name.bytes[..head].copy_from_slice(&prefix.0[..head]);
        name.bytes[head..head + suffix.0.len()].copy_from_slice(suffix.0);
        name.length = (head + suffix.0.len()) as u8;
        Ok(name)
    }

    /// `name` with `*` in place of its leftmost label's siblings: the wildcard below `parent`.
    ///
    /// # Errors
    /// [`Error::BadName`] when the result is too long.
    pub fn wildcard_below(parent: Name<'_>) -> Result<Self, Error> {
        Self::join(Name(b"\x01*\0"), parent)
    }

    /// The name at `offset` of `message`, following compression pointers, and how many bytes it takes up at `offset`.
    /// Every pointer must point before the place where the name so far began, so that the walk ends.
    ///
    /// # Errors
    /// [`Error::BadName`] for anything else.
    pub fn from_message(message: &[u8], offset: usize) -> Result<(Self, usize), Error> {
        let mut name = Self { bytes: [0; MAX_NAME], length: 0 };
        let mut at = offset;
        let mut limit = offset;
        let mut used = None;
        loop {
            let length = *message.get(at).ok_or(Error::BadName)?;
            match length {
                0 => {
                    name.push_root()?;
                    return Ok((name, used.unwrap_or_else(|| at + 1 - offset)));
                }
                1..=63 => {
                    let label = message.get(at + 1..at + 1 + length as usize).ok_or(Error::BadName)?;
                    name.push_label(label)?;
                    at += 1 + length as usize;
                }
                192..=255 => {
                    let low = *message.get(at + 1).ok_or(Error::BadName)?;
                    let target = usize::from(length & 63) << 8 | usize::from(low);
                    used = used.or_else(|| Some(at + 2 - offset));
                    if target >= limit {
                        return Err(Error::BadName);
                    }
                    limit = target;
                    at = target;
                }
                _ => return Err(Error::BadName),
            }
        }
    }

    /// Lower-cases the name's ASCII letters, as its canonical form wants (RFC 4034 section 6.2).
    pub fn make_lowercase(&mut self) {
        // A length byte is at most 63 and so below 'A' (65): it is never touched.
        self.bytes[..self.length as usize].make_ascii_lowercase();
    }

    /// The name, borrowed.
    pub fn as_name(&self) -> Name<'_> {
        Name(&self.bytes[..self.length as usize])
    }
}

/// One escape after its backslash: the byte it stands for and the bytes it takes.
pub(crate) fn unescape(rest: &[u8]) -> Option<(u8, usize)> {
    match rest {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', ..] => {
            let value = u32::from(a - b'0') * 100 + u32::from(b - b'0') * 10 + u32::from(c - b'0');
            u8::try_from(value).ok().map(|byte| (byte, 3))
        }
        [b'0'..=b'9', ..] => None,
        [byte, ..] => Some((*byte, 1)),
        [] => None,
    }
}

impl fmt::Display for NameBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_name().fmt(f)
    }
}
impl fmt::Debug for NameBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_name().fmt(f)
    }
}
impl PartialEq for NameBuf {
    fn eq(&self, other: &Self) -> bool {
        self.as_name() == other.as_name()
    }
}
impl Eq for NameBuf {}
impl core::str::FromStr for NameBuf {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::from_text(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    fn name(text: &str) -> NameBuf {
        text.parse().unwrap()
    }

    #[test]
    fn text_and_wire_agree() {
        assert_eq!(name("www.Example.com").as_name().as_bytes(), b"\x03www\x07Example\x03com\0");
        assert_eq!(name(r"a\.b.\035c\\.").to_string(), r"a\.b.#c\\.");
        assert_eq!(name(r"\000\255.x").to_string(), r"\000\255.x.");
        for bad in ["", "a..b", ".a", r"a\", r"\25", r"\256", &"a".repeat(64)] {
            assert!(bad.parse::<NameBuf>().is_err(), "{bad:?}");
        }
        let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
        assert_eq!(name(&long).as_name().len(), 255);
        assert!((long + "d").parse::<NameBuf>().is_err());
    }

    #[test]
    fn case_does_not_matter_and_letters_only_are_folded() {
        assert_eq!(name("ExAmple.COM").as_name().case_hash(), name("eXample.com").as_name().case_hash());
        assert_eq!(name("ExAmple.COM"), name("eXample.com"));
        assert_ne!(name("[x").as_name().case_hash(), name("{x").as_name().case_hash());
        assert_ne!(name("@x").as_name().case_hash(), name("`x").as_name().case_hash());
        for byte in 0..=255_u8 {
            let word = u64::from_le_bytes([byte; 8]);
            assert_eq!(lower8(word), u64::from_le_bytes([byte.to_ascii_lowercase(); 8]), "{byte}");
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc4034#section-6.1
    //= type=test
    #[test]
    fn canonical_order_is_that_of_the_rfc_example() {
        let sorted = [
            "example.",
            "a.example.",
            "yljkjljk.a.example.",
            "Z.a.example.",
            "zABC.a.EXAMPLE.",
            "z.example.",
            r"\001.z.example.",
            "*.z.example.",
            r"\200.z.example.",
        ];
        for pair in sorted.windows(2) {
            assert_eq!(
                name(pair[0]).as_name().canonical_cmp(name(pair[1]).as_name()),
                Ordering::Less,
                "{pair:?}"
            );
        }
    }

    #[test]
    fn compression_loops_and_forward_pointers_end() {
        assert!(NameBuf::from_message(b"\xc0\x00", 0).is_err());
        assert!(NameBuf::from_message(b"\xc0\x02\xc0\x00", 0).is_err());
        assert!(NameBuf::from_message(b"\x01a\xc0\x00", 0).is_err());
        let message = b"\x03com\0\x07example\xc0\x00\x03www\xc0\x05";
        let (found, used) = NameBuf::from_message(message, 15).unwrap();
        assert_eq!((found.to_string().as_str(), used), ("www.example.com.", 6));
    }

    #[test]
    fn families() {
        let www = name("www.example.com");
        assert!(www.as_name().is_within(name("EXAMPLE.com").as_name()));
        assert!(!name("wwwexample.com").as_name().is_within(name("example.com").as_name()));
        assert!(www.as_name().is_within(Name::ROOT));
        let mut hashes = SuffixHashes::new();
        hashes.compute(www.as_name());
        assert_eq!(hashes.len(), 4);
        assert_eq!(hashes.get(0), www.as_name().case_hash());
        assert_eq!(hashes.get(1), name("example.com").as_name().case_hash());
        assert_eq!(hashes.get(3), Name::ROOT.case_hash());
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes: Vec<u8>, offset in 0..300_usize) {
            let _ = Name::parse(&bytes).map(|n| n.to_string());
            if let Ok((n, used)) = NameBuf::from_message(&bytes, offset) {
                prop_assert!(used <= bytes.len() && n.as_name().len() <= MAX_NAME);
                let again: NameBuf = n.to_string().parse().unwrap();
                prop_assert_eq!(again.as_name().as_bytes(), n.as_name().as_bytes());
            }
        }
    }
}
