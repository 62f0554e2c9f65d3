//! Request methods, RFC 9110 section 9.
use core::fmt;

/// What a request asks for. Methods are case-sensitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Method {
    /// Transfer a representation.
    Get,
    /// The same as GET without the content.
    Head,
    /// Process the request's content.
    Post,
    /// Replace the resource.
    Put,
    /// Remove the resource.
    Delete,
    /// Open a tunnel. Never served here: always answered with 501.
    Connect,
    /// Ask what is allowed.
    Options,
    /// Echo the message. Never served here, for it discloses credentials: 405.
    Trace,
    /// RFC 5789: change the resource in part.
    Patch,
    /// A token that is none of these.
    Other,
}

impl Method {
    /// Reads a method's token.
    pub(crate) fn from_token(token: &[u8]) -> Self {
        match token {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"CONNECT" => Self::Connect,
            b"OPTIONS" => Self::Options,
            b"TRACE" => Self::Trace,
            b"PATCH" => Self::Patch,
            _ => Self::Other,
        }
    }

    /// The token, `"?"` for [`Method::Other`].
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Patch => "PATCH",
            Self::Other => "?",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of methods: what an `Allow` field lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Methods(u16);

impl Methods {
    /// No method.
    pub const NONE: Self = Self(0);
    /// GET and HEAD.
    pub const READ: Self = Self::NONE.with(Method::Get).with(Method::Head);

    /// With `method`; GET brings HEAD along. [`Method::Other`] adds nothing.
    pub const fn with(self, method: Method) -> Self {
        match method {
            Method::Other => self,
            Method::Get => Self(self.0 | 1 << Method::Get as u8 | 1 << Method::Head as u8),
            _ => Self(self.0 | 1 << method as u8),
        }
    }
    /// Those of either set.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// Whether `method` is in the set.
    pub const fn contains(self, method: Method) -> bool {
        self.0 & 1 << method as u8 != 0
    }
    /// The methods of the set.
    pub fn iter(self) -> impl Iterator<Item = Method> {
        use Method::*;
        [Get, Head, Post, Put, Delete, Connect, Options, Trace, Patch]
            .into_iter()
            .filter(move |&m| self.contains(m))
    }
}
