//! Status codes, RFC 9110 section 15.
use core::fmt;

/// A three-digit status code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Status(u16);

macro_rules! statuses {
    ($($name:ident $code:literal $reason:literal $doc:literal;)*) => {
        impl Status {
            $(#[doc = $doc] pub const $name: Self = Self($code);)*

            /// The reason phrase of the code's standard, empty for a code that is not listed here.
            pub const fn reason(self) -> &'static str {
                match self.0 { $($code => $reason,)* _ => "" }
            }
            /// `HTTP/1.1 200 OK` and the line's end, for the codes listed here.
            pub(crate) const fn line(self) -> &'static [u8] {
                match self.0 {
                    $($code => concat!("HTTP/1.1 ", $code, " ", $reason, "\r\n").as_bytes(),)*
                    _ => b"",
                }
            }
        }
    };
}

statuses! {
    CONTINUE 100 "Continue" "Section 15.2.1: go on and send the content.";
    SWITCHING_PROTOCOLS 101 "Switching Protocols" "Section 15.2.2.";
    OK 200 "OK" "Section 15.3.1.";
    CREATED 201 "Created" "Section 15.3.2.";
    ACCEPTED 202 "Accepted" "Section 15.3.3.";
    NO_CONTENT 204 "No Content" "Section 15.3.5: done, and there is nothing to say.";
    PARTIAL_CONTENT 206 "Partial Content" "Section 15.3.7: the ranges that were asked for.";
    MOVED_PERMANENTLY 301 "Moved Permanently" "Section 15.4.2.";
    FOUND 302 "Found" "Section 15.4.3.";
    SEE_OTHER 303 "See Other" "Section 15.4.4.";
    NOT_MODIFIED 304 "Not Modified" "Section 15.4.5: the client's copy is still good.";
    TEMPORARY_REDIRECT 307 "Temporary Redirect" "Section 15.4.8.";
    PERMANENT_REDIRECT 308 "Permanent Redirect" "Section 15.4.9.";
    BAD_REQUEST 400 "Bad Request" "Section 15.5.1.";
    UNAUTHORIZED 401 "Unauthorized" "Section 15.5.2.";
    FORBIDDEN 403 "Forbidden" "Section 15.5.4.";
    NOT_FOUND 404 "Not Found" "Section 15.5.5.";
    METHOD_NOT_ALLOWED 405 "Method Not Allowed" "Section 15.5.6; comes with an `Allow` field.";
    NOT_ACCEPTABLE 406 "Not Acceptable" "Section 15.5.7.";
    REQUEST_TIMEOUT 408 "Request Timeout" "Section 15.5.9.";
    CONFLICT 409 "Conflict" "Section 15.5.10.";
    GONE 410 "Gone" "Section 15.5.11.";
    LENGTH_REQUIRED 411 "Length Required" "Section 15.5.12.";
    PRECONDITION_FAILED 412 "Precondition Failed" "Section 15.5.13.";
    CONTENT_TOO_LARGE 413 "Content Too Large" "Section 15.5.14.";
    URI_TOO_LONG 414 "URI Too Long" "Section 15.5.15.";
    UNSUPPORTED_MEDIA_TYPE 415 "Unsupported Media Type" "Section 15.5.16.";
    RANGE_NOT_SATISFIABLE 416 "Range Not Satisfiable" "Section 15.5.17.";
    EXPECTATION_FAILED 417 "Expectation Failed" "Section 15.5.18.";
    MISDIRECTED_REQUEST 421 "Misdirected Request" "Section 15.5.20.";
    UNPROCESSABLE_CONTENT 422 "Unprocessable Content" "Section 15.5.21.";
    TOO_MANY_REQUESTS 429 "Too Many Requests" "RFC 6585 section 4.";
    REQUEST_HEADER_FIELDS_TOO_LARGE 431 "Request Header Fields Too Large" "RFC 6585 section 5.";
    INTERNAL_SERVER_ERROR 500 "Internal Server Error" "Section 15.6.1.";
    NOT_IMPLEMENTED 501 "Not Implemented" "Section 15.6.2: a method or transfer coding nobody here knows.";
    BAD_GATEWAY 502 "Bad Gateway" "Section 15.6.3.";
    SERVICE_UNAVAILABLE 503 "Service Unavailable" "Section 15.6.4: overloaded.";
    GATEWAY_TIMEOUT 504 "Gateway Timeout" "Section 15.6.5.";
    HTTP_VERSION_NOT_SUPPORTED 505 "HTTP Version Not Supported" "Section 15.6.6.";
}

impl Status {
    /// The status of `code`, `None` unless it is within 100..=599.
    pub const fn new(code: u16) -> Option<Self> {
        if matches!(code, 100..=599) { Some(Self(code)) } else { None }
    }
    /// The number.
    pub const fn code(self) -> u16 {
        self.0
    }
    /// 1 to 5: informational, success, redirection, client error, server error.
    pub const fn class(self) -> u8 {
        (self.0 / 100) as u8
    }
    //= https://www.rfc-editor.org/rfc/rfc9110#section-6.4.1
    //# All 1xx (Informational), 204 (No Content), and 304 (Not Modified)
    //# responses do not include content.
    /// Whether a response of this status never has content.
    pub const fn is_bodyless(self) -> bool {
        self.0 < 200 || self.0 == 204 || self.0 == 304
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.reason())
    }
}
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
