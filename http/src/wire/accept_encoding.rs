//! Content negotiation by `Accept-Encoding`, RFC 9110 section 12.5.3.
use crate::wire::bytes::{list, trim};

/// A content coding this library knows variants of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// No coding.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 7932.
    Brotli,
}

impl Coding {
    /// What stands in `Content-Encoding`; `None` for [`Coding::Identity`], which is never named there.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Brotli => Some("br"),
        }
    }
    /// What a variant's key ends in.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Identity => "",
            Self::Gzip => ".gz",
            Self::Brotli => ".br",
        }
    }
}

/// How much a client likes each coding: weights of 0 (refused) to 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodingPreferences {
    identity: u16,
    gzip: u16,
    brotli: u16,
}

impl CodingPreferences {
    /// What a request without the field says: identity. The RFC would let a server take any coding; no
    /// client that can decode one leaves the field out.
    pub const NONE: Self = Self { identity: 1000, gzip: 0, brotli: 0 };

    /// Reads the field's values (several field lines make one list).
    pub fn parse<'a>(values: impl Iterator<Item = &'a [u8]>) -> Self {
        let (mut identity, mut gzip, mut brotli, mut any) = (None, None, None, None);
        for element in values.flat_map(list) {
            let mut parts = element.split(|&b| b == b';').map(trim);
            let Some(name) = parts.next() else { continue };
            let mut weight = Some(1000);
            for part in parts {
                if let [b'q' | b'Q', b'=', value @ ..] = part {
                    weight = quality(value);
                }
            }
            // An element that is no grammar at all is left out, not guessed at.
            let Some(weight) = weight else { continue };
            let place = if name.eq_ignore_ascii_case(b"br") {
                &mut brotli
            } else if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") {
                &mut gzip
            } else if name.eq_ignore_ascii_case(b"identity") {
                &mut identity
            } else if name == b"*" {
                &mut any
            } else {
                continue;
            };
            *place = Some(weight);
        }
        //= https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3
        //# If the representation has no content coding, then it is
        //# acceptable by default unless specifically excluded by the Accept-
        //# Encoding header field stating either "identity;q=0" or "*;q=0"
        //# without a more specific entry for "identity".
        let identity = identity.unwrap_or(if any == Some(0) { 0 } else { 1 });
        Self { identity, gzip: gzip.or(any).unwrap_or(0), brotli: brotli.or(any).unwrap_or(0) }
    }

    /// The weight of `coding`, 0 (refused) to 1000.
    pub const fn weight(&self, coding: Coding) -> u16 {
        match coding {
            Coding::Identity => self.identity,
            Coding::Gzip => self.gzip,
            Coding::Brotli => self.brotli,
        }
    }
    /// Whether the client takes any compressed variant.
    pub const fn compressed(&self) -> bool {
        self.gzip > 0 || self.brotli > 0
    }
}

/// A `qvalue` in thousandths.
fn quality(text: &[u8]) -> Option<u16> {
    let (whole, fraction) = match text {
        [whole @ (b'0' | b'1')] => (*whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', fraction @ ..] if fraction.len() <= 3 => (*whole, fraction),
        _ => return None,
    };
    let mut value = u16::from(whole - b'0') * 1000;
    let mut scale = 100;
    for &digit in fraction {
        if !digit.is_ascii_digit() {
            return None;
        }
        value += u16::from(digit - b'0') * scale;
        scale /= 10;
    }
    (value <= 1000).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences() {
        for (text, identity, gzip, brotli) in [
            ("", 1, 0, 0),
            ("gzip, deflate, br, zstd", 1, 1000, 1000),
            ("gzip;q=0.5, br;q=0.25", 1, 500, 250),
            ("gzip ; q=0.001 ,identity; q=0.5, *;q=0", 500, 1, 0),
            ("*;q=0", 0, 0, 0),
            ("*", 1, 1000, 1000),
            ("identity;q=0, gzip", 0, 1000, 0),
            ("X-GZIP", 1, 1000, 0),
            ("gzip;q=1.001", 1, 0, 0),
            ("gzip;q=2, br;q=-1", 1, 0, 0),
            ("gzip;q=0.1234", 1, 0, 0),
        ] {
            let p = CodingPreferences::parse([text.as_bytes()].into_iter());
            assert_eq!(p, CodingPreferences { identity, gzip, brotli }, "{text}");
        }
    }
}
