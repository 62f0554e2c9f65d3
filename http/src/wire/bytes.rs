//! Character classes and the scans over them, eight bytes at a time where it pays.

const fn table(extra: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = (i as u8).is_ascii_alphanumeric();
        i += 1;
    }
    let mut i = 0;
    while i < extra.len() {
        table[extra[i] as usize] = true;
        i += 1;
    }
    table
}

/// `tchar`, RFC 9110 section 5.6.2.
static TOKEN: [bool; 256] = table(b"!#$%&'*+-.^_`|~");

/// `unreserved` and `sub-delims`, RFC 3986 section 2.
static URI: [bool; 256] = table(b"-._~!$&'()*+,;=");

/// Whether `byte` may stand as it is in a segment of a path or in a host's name.
pub(crate) fn is_uri_byte(byte: u8) -> bool {
    URI[usize::from(byte)]
}

/// Whether `byte` is a `tchar`.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// Whether `bytes` is a `token`: at least one `tchar` and nothing else.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&b| is_token_byte(b))
}

/// Whether every byte may stand in a field value: no CR, LF, NUL or other control character but HTAB.
pub(crate) fn is_field_content(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    loop {
        rest = rest.get(field_content_prefix(rest)..).unwrap_or(&[]);
        match rest {
            [] => return true,
            [b'\t', tail @ ..] => rest = tail,
            _ => return false,
        }
    }
}

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);

/// The high bit of each byte of the result is set where that byte of `word` is zero; bits above the first
/// (least significant) such byte are not reliable, the first one is.
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH
}

/// The length of the prefix without control characters (below 0x20, HTAB included, and 0x7f).
pub(crate) fn field_content_prefix(bytes: &[u8]) -> usize {
    let mut at = 0;
    let mut rest = bytes;
    while let Some((chunk, tail)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        // below 0x20: subtracting borrows into the high bit of a byte that had it clear
        let low = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let found = low | zero_bytes(word ^ (ONES * 0x7f));
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
        rest = tail;
    }
    for &byte in rest {
        if byte < 0x20 || byte == 0x7f {
            break;
        }
        at += 1;
    }
    at
}

/// Where `byte` first stands in `bytes`.
pub(crate) fn find_byte(byte: u8, bytes: &[u8]) -> Option<usize> {
    let pattern = ONES * u64::from(byte);
    let mut at = 0;
    let mut rest = bytes;
    while let Some((chunk, tail)) = rest.split_first_chunk::<8>() {
        let found = zero_bytes(u64::from_le_bytes(*chunk) ^ pattern);
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
        rest = tail;
    }
    rest.iter().position(|&b| b == byte).map(|n| at + n)
}

/// Without the optional white space (SP, HTAB) at both ends.
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    let mut bytes = bytes;
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The elements of a `#rule` list (RFC 9110 section 5.6.1), empty ones skipped. Commas inside quoted strings
/// separate nothing.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = value;
    core::iter::from_fn(move || {
        loop {
            if rest.is_empty() {
                return None;
            }
            let mut quoted = false;
            let mut escaped = false;
            let end = rest.iter().position(|&b| {
                if escaped {
                    escaped = false;
                } else if quoted && b == b'\\' {
                    escaped = true;
                } else if b == b'"' {
                    quoted = !quoted;
                }
                b == b',' && !quoted
            });
            let (element, tail) = match end {
                Some(end) => (rest.get(..end).unwrap_or(&[]), rest.get(end + 1..).unwrap_or(&[])),
                None => (rest, &[][..]),
            };
            rest = tail;
            let element = trim(element);
            if !element.is_empty() {
                return Some(element);
            }
        }
    })
}

/// A decimal number of at least one digit and nothing else; `None` on anything else or when it is too large.
pub(crate) fn decimal(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0u64, |n, &b| {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        n.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn scans_agree_with_the_plain_loop(bytes: Vec<u8>, byte: u8) {
            prop_assert_eq!(find_byte(byte, &bytes), bytes.iter().position(|&b| b == byte));
            let plain = bytes.iter().position(|&b| b < 0x20 || b == 0x7f).unwrap_or(bytes.len());
            prop_assert_eq!(field_content_prefix(&bytes), plain);
            prop_assert_eq!(is_field_content(&bytes), bytes.iter().all(|&b| b == 9 || (b >= 0x20 && b != 0x7f)));
        }
    }

    #[test]
    fn every_byte_in_every_place() {
        for byte in 0..=255u8 {
            for place in 0..20 {
                let mut bytes = [b'a'; 20];
                bytes[place] = byte;
                let expected = if byte < 0x20 || byte == 0x7f { place } else { 20 };
                assert_eq!(field_content_prefix(&bytes), expected, "{byte:#x} at {place}");
            }
        }
    }

    #[test]
    fn lists() {
        let all = |value: &'static str| list(value.as_bytes()).collect::<Vec<_>>();
        assert_eq!(all("a, b ,,c"), [b"a", b"b", b"c"]);
        assert_eq!(all("\"a,b\", W/\"c\\\",\""), [&b"\"a,b\""[..], b"W/\"c\\\",\""]);
        assert!(all(" , ,").is_empty());
    }

    #[test]
    fn numbers() {
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        for bad in ["", "+1", "-1", " 1", "1 ", "0x1", "18446744073709551616", "1,1"] {
            assert_eq!(decimal(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
