//! Field lines, RFC 9112 section 5: checked once, then lent as they lie.
use crate::{
    Refusal,
    wire::{
        Version,
        bytes::{decimal, field_content_prefix, find_byte, is_token_byte, is_uri_byte, list, trim},
    },
};

/// A field line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'b> {
    /// The name as it was sent; compare without regard to case.
    pub name: &'b str,
    /// The value without white space at its ends.
    pub value: &'b [u8],
}

/// The field lines of a head that has been checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields<'b> {
    /// Complete lines with their CR LF, without the empty one at the end.
    lines: &'b [u8],
}

impl<'b> Fields<'b> {
    /// The lines in the order they were sent.
    pub fn iter(&self) -> FieldsIter<'b> {
        FieldsIter { rest: self.lines }
    }
    /// The value of the first line of this name.
    pub fn get(&self, name: &str) -> Option<&'b [u8]> {
        let name = name.as_bytes();
        self.lines().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
    /// The values of all lines of this name.
    pub fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'b [u8]> + use<'b, 'n> {
        let name = name.as_bytes();
        self.lines().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
    /// Names and values.
    fn lines(&self) -> impl Iterator<Item = (&'b [u8], &'b [u8])> + use<'b> {
        let mut rest = self.lines;
        core::iter::from_fn(move || {
            let colon = find_byte(b':', rest)?;
            let (name, tail) = rest.split_at_checked(colon)?;
            let end = find_byte(b'\n', tail)?;
            rest = tail.get(end + 1..)?;
            Some((name, trim(tail.get(1..end.checked_sub(1)?)?)))
        })
    }
}

impl<'b> IntoIterator for Fields<'b> {
    type Item = Field<'b>;
    type IntoIter = FieldsIter<'b>;
    fn into_iter(self) -> FieldsIter<'b> {
        self.iter()
    }
}

/// Walks over field lines.
#[derive(Clone, Debug)]
pub struct FieldsIter<'b> {
    rest: &'b [u8],
}

impl<'b> Iterator for FieldsIter<'b> {
    type Item = Field<'b>;
    fn next(&mut self) -> Option<Field<'b>> {
        let fields = Fields { lines: self.rest };
        let (name, value) = fields.lines().next()?;
        let end = find_byte(b'\n', self.rest)?;
        self.rest = self.rest.get(end + 1..)?;
        Some(Field { name: core::str::from_utf8(name).ok()?, value })
    }
}

/// What the field lines say about framing and the connection, and which fields of interest there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known<'b> {
    pub(crate) host: Option<&'b [u8]>,
    pub(crate) content_length: Option<u64>,
    pub(crate) chunked: bool,
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    pub(crate) upgrade: bool,
    pub(crate) expect_continue: bool,
    /// Any of `If-*` or `Range` is there.
    pub(crate) conditional: bool,
    /// The first `Accept-Encoding`.
    pub(crate) accept_encoding: Option<&'b [u8]>,
    /// There are more of them.
    pub(crate) accept_encodings: bool,
}

/// Which kind of message the fields belong to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Response,
}

/// Checks the lines of `input` up to and with the empty line. `Ok(None)` when the input ends before.
/// Returns the fields, what is known from them, and how many octets there were.
pub(crate) fn parse_fields<'b>(
    input: &'b [u8],
    kind: Kind,
    version: Version,
    max_fields: u16,
) -> Result<Option<(Fields<'b>, Known<'b>, usize)>, Refusal> {
    let mut known = Known::default();
    let mut fields_left = max_fields;
    let mut rest = input;
    loop {
        match rest {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] => {
                let end = input.len() - rest.len();
                let lines = input.get(..end).unwrap_or(&[]);
                if known.chunked && known.content_length.is_some() {
                    return Err(Refusal::Framing);
                }
                return Ok(Some((Fields { lines }, known, end + 2)));
            }
            //= https://www.rfc-editor.org/rfc/rfc9112#section-5.2
            //# A server that receives an obs-fold in a request message that is not
            //# within a "message/http" container MUST either reject the message by
            //# sending a 400 (Bad Request), preferably with a representation
            //# explaining that obsolete line folding is unacceptable, or replace
            //# each received obs-fold with one or more SP octets prior to
            //# interpreting the field value or forwarding the message downstream.
            [b' ' | b'\t', ..] => return Err(Refusal::FoldedField),
            _ => {}
        }
        //= https://www.rfc-editor.org/rfc/rfc9112#section-5.1
        //# A server MUST reject, with a response status code of 400 (Bad Request), any
        //# received request message that contains whitespace between a header field
        //# name and colon.
        let length = rest.iter().position(|&b| !is_token_byte(b));
        let (name, tail) = match length {
            None => return Ok(None),
            Some(length) => rest.split_at(length),
        };
        let Some(tail) = tail.strip_prefix(b":") else { return Err(Refusal::Field) };
        if name.is_empty() {
            return Err(Refusal::Field);
        }
        let mut end = 0;
        loop {
            end += field_content_prefix(tail.get(end..).unwrap_or(&[]));
            match tail.get(end..).unwrap_or(&[]) {
                [] | [b'\r'] => return Ok(None),
                [b'\t', ..] => end += 1,
                [b'\r', b'\n', ..] => break,
                //= https://www.rfc-editor.org/rfc/rfc9110#section-5.5
                //# Field values containing CR, LF, or NUL characters are invalid and
                //# dangerous, due to the varying ways that implementations might parse
                //# and interpret those characters; a recipient of CR, LF, or NUL within
                //# a field value MUST either reject the message or replace each of those
                //# characters with SP before further processing or forwarding of that
                //# message.
                _ => return Err(Refusal::Field),
            }
        }
        let value = trim(tail.get(..end).unwrap_or(&[]));
        rest = tail.get(end + 2..).unwrap_or(&[]);
        fields_left = fields_left.checked_sub(1).ok_or(Refusal::HeadTooLarge)?;
        known.note(name, value, kind, version)?;
    }
}

impl<'b> Known<'b> {
    fn note(&mut self, name: &'b [u8], value: &'b [u8], kind: Kind, version: Version) -> Result<(), Refusal> {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        let request = kind == Kind::Request;
        match name.len() {
            4 if is(b"host") => {
                //= https://www.rfc-editor.org/rfc/rfc9112#section-3.2
                //# A server MUST respond with a 400 (Bad Request) status code to any
                //# HTTP/1.1 request message that lacks a Host header field and to any
                //# request message that contains more than one Host header field line or
                //# a Host header field with an invalid field value.
                if request && (self.host.is_some() || !is_host(value)) {
                    return Err(Refusal::Host);
                }
                self.host = Some(value);
            }
            5 if is(b"range") => self.conditional = true,
            6 if is(b"expect") && request && version == Version::Http11 => {
                //= https://www.rfc-editor.org/rfc/rfc9110#section-10.1.1
                //# A server that receives an Expect field value containing a member other
                //# than 100-continue MAY respond with a 417 (Expectation Failed) status
                //# code to indicate that the unexpected expectation cannot be met.
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Refusal::Expectation);
                }
                self.expect_continue = true;
            }
            8 if is(b"if-match") || is(b"if-range") => self.conditional = true,
            13 if is(b"if-none-match") => self.conditional = true,
            17 if is(b"if-modified-since") => self.conditional = true,
            19 if is(b"if-unmodified-since") => self.conditional = true,
            15 if is(b"accept-encoding") => {
                if self.accept_encoding.is_none() {
                    self.accept_encoding = Some(value);
                } else {
                    self.accept_encodings = true;
                }
            }
            7 if is(b"upgrade") => self.upgrade = true,
            10 if is(b"connection") => {
                for option in list(value) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if is(b"content-length") => {
                //= https://www.rfc-editor.org/rfc/rfc9110#section-8.6
                //# Because Content-Length is used for message delimitation in HTTP/1.1,
                //# its field value can impact how the message is parsed by downstream
                //# recipients even when the immediate connection is not using HTTP/1.1.
                // A second one, equal or not, is refused: only a confused or hostile sender makes it.
                if self.content_length.is_some() {
                    return Err(Refusal::Framing);
                }
                self.content_length = Some(decimal(value).ok_or(Refusal::Framing)?);
            }
            17 if is(b"transfer-encoding") => {
                //= https://www.rfc-editor.org/rfc/rfc9112#section-6.1
                //# A server or client that receives an HTTP/1.0 message containing a
                //# Transfer-Encoding header field MUST treat the message as if the
                //# framing is faulty, even if a Content-Length is present, and close the
                //# connection after processing the message.
                if self.chunked || version == Version::Http10 {
                    return Err(Refusal::Framing);
                }
                let mut codings = list(value);
                match (codings.next(), codings.next()) {
                    (Some(only), None) if only.eq_ignore_ascii_case(b"chunked") => self.chunked = true,
                    (None, _) => return Err(Refusal::Framing),
                    //= https://www.rfc-editor.org/rfc/rfc9112#section-6.1
                    //# A server that receives a request message with a transfer coding it
                    //# does not understand SHOULD respond with 501 (Not Implemented).
                    _ => return Err(Refusal::TransferCoding),
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether a `Host` value is `uri-host [ ":" port ]` or empty; user information and anything that could be
/// taken for a path or a list is not.
pub(crate) fn is_host(value: &[u8]) -> bool {
    let (host, port) = match value {
        [b'[', rest @ ..] => match find_byte(b']', rest) {
            Some(end) => {
                let (literal, tail) = rest.split_at(end);
                if literal.is_empty()
                    || !literal
                        .iter()
                        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'.' | b'-' | b'_' | b'~'))
                {
                    return false;
                }
                (&[][..], tail.get(1..).unwrap_or(&[]))
            }
            None => return false,
        },
        _ => value.split_at(find_byte(b':', value).unwrap_or(value.len())),
    };
    let good_port = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    // A reg-name, but for the comma: two hosts in a list are none.
    good_port && host.iter().all(|&b| b == b'%' || (b != b',' && is_uri_byte(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for good in
            ["", "example.org", "example.org:80", "127.0.0.1:8080", "[::1]", "[2001:db8::1]:443", "a_b", "x:"]
        {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in [
            "a b",
            "a/b",
            "user@host",
            "a,b",
            "a:b",
            "a:1:2",
            "[::1",
            "[]",
            "[::1]x",
            "a:123456",
            "é",
            "a?b",
            "a#b",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }
}
