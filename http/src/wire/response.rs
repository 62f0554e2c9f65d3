//! The head of a response, RFC 9112 section 4: what a client reads.
use crate::{
    Refusal,
    wire::{
        Fields, Known, Status, Version,
        fields::{Kind, parse_fields},
    },
};

/// A response's head, lent from the bytes it was parsed from.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'b> {
    /// The status code.
    pub status: Status,
    /// The protocol version.
    pub version: Version,
    /// The field lines.
    pub fields: Fields<'b>,
    pub(crate) known: Known<'b>,
}

impl<'b> ResponseHead<'b> {
    /// Reads a head from the front of `input`: the head and its number of octets, `Ok(None)` when `input`
    /// ends too early. At most `max_fields` field lines are accepted.
    pub fn parse(input: &'b [u8], max_fields: u16) -> Result<Option<(Self, usize)>, Refusal> {
        // status-line = HTTP-version SP status-code SP [ reason-phrase ] CRLF
        let Some((start, rest)) = input.split_first_chunk::<12>() else {
            let like = |n: usize| match n {
                5 | 7 | 9..=11 => input.get(n).is_some_and(u8::is_ascii_digit),
                _ => input.get(n) == b"HTTP/1.1 ".get(n),
            };
            return if (0..input.len()).all(like) { Ok(None) } else { Err(Refusal::StatusLine) };
        };
        let [b'H', b'T', b'T', b'P', b'/', major, b'.', minor, b' ', code @ ..] = start else {
            return Err(Refusal::StatusLine);
        };
        let version = match (major, minor) {
            (b'1', b'0') => Version::Http10,
            (b'1', b'1'..=b'9') => Version::Http11,
            (b'0'..=b'9', b'0'..=b'9') => return Err(Refusal::Version),
            _ => return Err(Refusal::StatusLine),
        };
        let status = crate::wire::bytes::decimal(code)
            .and_then(|code| Status::new(code as u16))
            .ok_or(Refusal::StatusLine)?;
        let reason = rest.iter().position(|&b| (b < 0x20 && b != b'\t') || b == 0x7f);
        let Some(end) = reason else { return Ok(None) };
        let (reason, rest) = rest.split_at(end);
        // Some servers leave out the space in front of a phrase that they leave out too.
        if !(reason.is_empty() || reason.starts_with(b" ")) {
            return Err(Refusal::StatusLine);
        }
        let rest = match rest {
            [b'\r', b'\n', rest @ ..] => rest,
            [b'\r'] => return Ok(None),
            _ => return Err(Refusal::StatusLine),
        };
        let Some((fields, known, length)) = parse_fields(rest, Kind::Response, version, max_fields)? else {
            return Ok(None);
        };
        Ok(Some((Self { status, version, fields, known }, input.len() - rest.len() + length)))
    }

    /// The value of the first field line of this name.
    pub fn field(&self, name: &str) -> Option<&'b [u8]> {
        self.fields.get(name)
    }

    /// The content's length if the server said it.
    pub fn content_length(&self) -> Option<u64> {
        if self.known.chunked { None } else { self.known.content_length }
    }
}
