//! The path of a request target: percent-decoding and the removal of dot segments, with no way above the
//! root.
use crate::wire::{Output, bytes::is_uri_byte};

/// Why a path names nothing that could be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadPath {
    /// A `%` without two hexadecimal digits, a NUL, an encoded `/` or `\`, or octets that are not UTF-8.
    Encoding,
    /// `..` above the root.
    AboveRoot,
    /// The key does not fit the space given.
    TooLong,
}

impl core::fmt::Display for BadPath {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Encoding => "a path with a bad percent-encoding or a forbidden octet",
            Self::AboveRoot => "a path that leads above the root",
            Self::TooLong => "a path that is too long",
        })
    }
}
impl core::error::Error for BadPath {}

/// Turns the path of a target (`/a/./b/../c%20d`) into a store's key (`a/c d`), written into `space`.
///
/// Dot segments are removed (RFC 3986 section 5.2.4) after decoding, so that `%2e%2e` gains nothing; empty
/// segments
/// vanish; a trailing `/` stays. A key never begins with `/`, has no `.` or `..` segment, no NUL, no `\`.
pub fn decode_path<'s>(path: &str, space: &'s mut [u8]) -> Result<&'s str, BadPath> {
    if let Some(key) = plain_key(path) {
        let place = space.get_mut(..key.len()).ok_or(BadPath::TooLong)?;
        place.copy_from_slice(key.as_bytes());
        return core::str::from_utf8(place).map_err(|_| BadPath::Encoding);
    }
    let mut len = 0;
    // The root's own slash, if the path has it, is not part of the key.
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        let start = len;
        let mut octets = segment.bytes();
        while let Some(octet) = octets.next() {
            let octet = match octet {
                b'%' => match (octets.next().and_then(hex), octets.next().and_then(hex)) {
                    (Some(high), Some(low)) => match high << 4 | low {
                        // An encoded slash would not separate segments for the client, but would for a file
                        // system.
                        0 | b'/' | b'\\' => return Err(BadPath::Encoding),
                        octet => octet,
                    },
                    _ => return Err(BadPath::Encoding),
                },
                0 | b'\\' => return Err(BadPath::Encoding),
                octet => octet,
            };
            *space.get_mut(len).ok_or(BadPath::TooLong)? = octet;
            len += 1;
        }
        match space.get(start..len).unwrap_or(&[]) {
            b"" => continue,
            b"." => {
                len = start;
                continue;
            }
            b".." => {
                // `start` is behind the slash of the segment before, which goes too.
                let before = start.checked_sub(1).ok_or(BadPath::AboveRoot)?;
                len = space
                    .get(..before)
                    .unwrap_or(&[])
                    .iter()
                    .rposition(|&b| b == b'/')
                    .map_or(0, |slash| slash + 1);
                continue;
            }
            _ => {}
        }
        if !last {
            *space.get_mut(len).ok_or(BadPath::TooLong)? = b'/';
            len += 1;
        }
    }
    core::str::from_utf8(space.get(..len).unwrap_or(&[])).map_err(|_| BadPath::Encoding)
}

/// Most paths are keys as they are: nothing encoded, no empty segment, none that begins with a dot.
fn plain_key(path: &str) -> Option<&str> {
    let key = path.strip_prefix('/')?;
    let mut before = b'/';
    for &octet in key.as_bytes() {
        let start = before == b'/';
        if matches!(octet, b'%' | b'\\' | 0) || (start && matches!(octet, b'.' | b'/')) {
            return None;
        }
        before = octet;
    }
    Some(key)
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|n| n as u8)
}

/// Appends a key as the path of a target, percent-encoding what RFC 3986 section 3.3 does not allow as it is.
pub fn encode_path(key: &str, out: &mut Output<'_>) {
    for octet in key.bytes() {
        match octet {
            b'/' | b':' | b'@' => out.put(&[octet]),
            _ if is_uri_byte(octet) => out.put(&[octet]),
            _ => {
                let digit = |n: u8| b"0123456789ABCDEF"[usize::from(n & 15)];
                out.put(&[b'%', digit(octet >> 4), digit(octet)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(path: &str) -> Result<String, BadPath> {
        let mut space = [0; 64];
        decode_path(path, &mut space).map(str::to_owned)
    }

    #[test]
    fn paths() {
        for (path, key) in [
            ("/", ""),
            ("", ""),
            ("/a", "a"),
            ("/a/", "a/"),
            ("/a/b", "a/b"),
            ("//a///b//", "a/b/"),
            ("/./a/.", "a/"),
            ("/a/../b", "b"),
            ("/a/b/..", "a/"),
            ("/a/b/../", "a/"),
            ("/a/..", ""),
            ("/%61%2Eb", "a.b"),
            ("/a%20b", "a b"),
            ("/%C3%A9", "é"),
            ("/...", "..."),
            ("/a/.b", "a/.b"),
            ("/a+b", "a+b"),
            ("/a/%2e%2E/b", "b"),
        ] {
            assert_eq!(decoded(path).as_deref(), Ok(key), "{path}");
        }
        for (path, error) in [
            ("/..", BadPath::AboveRoot),
            ("/a/../..", BadPath::AboveRoot),
            ("/%2e%2e/etc/passwd", BadPath::AboveRoot),
            ("/.%2e", BadPath::AboveRoot),
            ("/a/%2e./../b", BadPath::AboveRoot),
            ("/%00", BadPath::Encoding),
            ("/a%2fb", BadPath::Encoding),
            ("/..%5c..", BadPath::Encoding),
            ("/..%2f..", BadPath::Encoding),
            ("/%", BadPath::Encoding),
            ("/%4", BadPath::Encoding),
            ("/%zz", BadPath::Encoding),
            ("/a\\b", BadPath::Encoding),
            ("/%ff", BadPath::Encoding),
            ("/%+1", BadPath::Encoding),
        ] {
            assert_eq!(decoded(path), Err(error), "{path}");
        }
        assert_eq!(decoded(&"/a".repeat(64)), Err(BadPath::TooLong));
    }

    proptest! {
        #[test]
        fn a_key_never_leads_out(path in "(/|\\.|%2e|%2f|a|%5c|%|\\\\|é){0,24}") {
            if let Ok(key) = decoded(&path) {
                prop_assert!(!key.starts_with('/') && !key.contains(['\\', '\0']) && !key.contains("//"));
                prop_assert!(key.split('/').all(|segment| segment != "." && segment != ".."));
            }
        }
        #[test]
        fn encoding_comes_back(key in "[^/\\\\\0]{1,12}(/[^/\\\\\0]{1,12}){0,3}/?") {
            prop_assume!(key.split('/').all(|s| s != "." && s != ".."));
            let mut space = [0; 512];
            let mut out = Output::new(&mut space);
            out.put(b"/");
            encode_path(&key, &mut out);
            let path = String::from_utf8(out.bytes().to_vec()).unwrap();
            prop_assert!(path.bytes().all(|b| (0x21..0x7f).contains(&b)));
            let mut back = [0; 512];
            prop_assert_eq!(decode_path(&path, &mut back), Ok(&key[..]));
        }
    }
}
