//! The head of a request, RFC 9112 sections 2 to 5.
use crate::{
    Refusal,
    wire::{
        Field, Fields, Known, Method,
        bytes::{find_byte, is_token_byte},
        fields::{Kind, is_host, parse_fields},
    },
};

/// The protocol version of a message; a later 1.x counts as 1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0, RFC 1945.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// A request's head, lent from the bytes it was parsed from.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'b> {
    /// The method.
    pub method: Method,
    /// The method's token, of use when it is [`Method::Other`].
    pub method_token: &'b str,
    /// The target's path as it was sent, still percent-encoded: begins with `/`, or is `*` (OPTIONS only),
    /// or is empty for
    /// CONNECT, whose target is an authority alone.
    pub path: &'b str,
    /// What stands behind the first `?` of the target.
    pub query: Option<&'b str>,
    /// The protocol version.
    pub version: Version,
    /// The field lines.
    pub fields: Fields<'b>,
    pub(crate) authority: Option<&'b str>,
    pub(crate) known: Known<'b>,
}

/// The number of octets of the head at the front of `input`, with the empty line at its end; `None` while
/// that
/// line is not there. `from` is a number of octets that an earlier call has already looked at.
pub fn head_length(input: &[u8], from: usize) -> Option<usize> {
    // The empty line may have begun in the last three octets looked at.
    let mut at = from.saturating_sub(3);
    loop {
        at += find_byte(b'\n', input.get(at..)?)? + 1;
        if input.get(..at)?.ends_with(b"\r\n\r\n") {
            return Some(at);
        }
    }
}

impl<'b> RequestHead<'b> {
    /// Reads a head from the front of `input`: the head and its number of octets, `Ok(None)` when `input`
    /// ends too early. Empty lines in front must have been taken away by the caller.
    ///
    /// At most `max_fields` field lines and `max_target` octets of target are accepted.
    pub fn parse(
        input: &'b [u8],
        max_fields: u16,
        max_target: usize,
    ) -> Result<Option<(Self, usize)>, Refusal> {
        // request-line = method SP request-target SP HTTP-version CRLF, and nothing more lenient.
        let Some(method_end) = input.iter().position(|&b| !is_token_byte(b)) else {
            return if input.len() > 32 { Err(Refusal::RequestLine) } else { Ok(None) };
        };
        let (token, rest) = input.split_at(method_end);
        let Some(rest) = rest.strip_prefix(b" ") else { return Err(Refusal::RequestLine) };
        if token.is_empty() || token.len() > 32 {
            return Err(Refusal::RequestLine);
        }
        let Some(target_end) = rest.iter().position(|&b| !(0x21..0x7f).contains(&b)) else {
            return if rest.len() > max_target { Err(Refusal::TargetTooLong) } else { Ok(None) };
        };
        let (target, rest) = rest.split_at(target_end);
        //= https://www.rfc-editor.org/rfc/rfc9112#section-3
        //# A server that receives a request-target longer
        //# than any URI it wishes to parse MUST respond with a 414 (URI Too
        //# Long) status code (see Section 15.5.15 of [HTTP]).
        if target.len() > max_target {
            return Err(Refusal::TargetTooLong);
        }
        let Some(rest) = rest.strip_prefix(b" ") else { return Err(Refusal::RequestLine) };
        let Some((line, rest)) = rest.split_first_chunk::<10>() else {
            let line = b"HTTP/1.1\r\n";
            let like = |n: usize| n == 5 || n == 7 || rest.get(n) == line.get(n);
            return if (0..rest.len()).all(like) { Ok(None) } else { Err(Refusal::RequestLine) };
        };
        let version = match line {
            b"HTTP/1.1\r\n" => Version::Http11,
            b"HTTP/1.0\r\n" => Version::Http10,
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor, b'\r', b'\n'] if minor.is_ascii_digit() => {
                Version::Http11
            }
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor, b'\r', b'\n']
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                return Err(Refusal::Version);
            }
            _ => return Err(Refusal::RequestLine),
        };
        let Some((fields, known, length)) = parse_fields(rest, Kind::Request, version, max_fields)? else {
            return Ok(None);
        };
        let method = Method::from_token(token);
        let (authority, path, query) = split_target(target, method)?;
        if known.host.is_none() && version == Version::Http11 {
            return Err(Refusal::Host);
        }
        let head = Self {
            method,
            method_token: text(token)?,
            path: text(path)?,
            query: query.map(text).transpose()?,
            version,
            fields,
            authority: authority.map(text).transpose()?,
            known,
        };
        Ok(Some((head, input.len() - rest.len() + length)))
    }

    //= https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2
    //# When an origin server receives a request with an absolute-form of
    //# request-target, the origin server MUST ignore the received Host
    //# header field (if any) and instead use the host information of the
    //# request-target.
    /// The host and port the request is for, as sent: from an absolute target if it has one, otherwise from
    /// `Host`. Empty
    /// when an HTTP/1.0 client named none.
    pub fn host(&self) -> &'b str {
        self.authority.or_else(|| core::str::from_utf8(self.known.host?).ok()).unwrap_or("")
    }

    /// The value of the first field line of this name.
    pub fn field(&self, name: &str) -> Option<&'b [u8]> {
        self.fields.get(name)
    }

    /// The field lines.
    pub fn fields(&self) -> impl Iterator<Item = Field<'b>> + use<'b> {
        self.fields.iter()
    }

    /// The length of the content when it is known beforehand: 0 without any, `None` when it comes in chunks.
    pub fn content_length(&self) -> Option<u64> {
        if self.known.chunked { None } else { Some(self.known.content_length.unwrap_or(0)) }
    }

    /// Whether the client waits for `100 (Continue)` before it sends the content.
    pub fn expects_continue(&self) -> bool {
        self.known.expect_continue
    }

    /// Whether the client wants the connection kept (RFC 9112 section 9.3).
    pub fn wants_persistence(&self) -> bool {
        match self.version {
            Version::Http11 => !self.known.close,
            Version::Http10 => self.known.keep_alive && !self.known.close,
        }
    }
}

/// The four forms of RFC 9112 section 3.2: authority, path, query.
type Target<'b> = (Option<&'b [u8]>, &'b [u8], Option<&'b [u8]>);

fn split_target(target: &[u8], method: Method) -> Result<Target<'_>, Refusal> {
    let (authority, rest) = match target {
        [b'/', ..] => (None, target),
        b"*" if method == Method::Options => (None, target),
        _ if method == Method::Connect => {
            return if is_host(target) { Ok((Some(target), b"", None)) } else { Err(Refusal::RequestLine) };
        }
        _ => {
            let rest = strip_scheme(target).ok_or(Refusal::RequestLine)?;
            let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            //= https://www.rfc-editor.org/rfc/rfc9110#section-4.2.1
            //# A sender MUST NOT generate an "http" URI with an empty host
            //# identifier.
            if authority.is_empty() || !is_host(authority) {
                return Err(Refusal::Host);
            }
            (Some(authority), path)
        }
    };
    if find_byte(b'#', rest).is_some() {
        return Err(Refusal::RequestLine);
    }
    let (path, query) = match find_byte(b'?', rest) {
        Some(mark) => (rest.get(..mark).unwrap_or(&[]), rest.get(mark + 1..)),
        None => (rest, None),
    };
    match path {
        // "http://host" and "http://host?query" have an empty path, which is the root's.
        b"" if method == Method::Options && query.is_none() => Ok((authority, b"*", None)),
        b"" => Ok((authority, b"/", query)),
        _ => Ok((authority, path, query)),
    }
}

fn strip_scheme(target: &[u8]) -> Option<&[u8]> {
    for scheme in [&b"http://"[..], b"https://"] {
        if let Some((start, rest)) = target.split_at_checked(scheme.len())
            && start.eq_ignore_ascii_case(scheme)
        {
            return Some(rest);
        }
    }
    None
}

/// Tokens and targets are ASCII by their grammar; the check is not `unsafe` for nothing.
fn text(bytes: &[u8]) -> Result<&str, Refusal> {
    core::str::from_utf8(bytes).map_err(|_| Refusal::RequestLine)
}
