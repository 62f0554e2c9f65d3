//! Why a message is refused.
use crate::wire::{BadChunk, Status};
use core::fmt;

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident => $status:ident, $text:literal;)*) => {
        /// Why a message was refused, each with the status that says so to the peer. After most of them the
        /// connection
        /// is closed, because nobody can tell any more where the next message would begin.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum Refusal { $($(#[$doc])* $name,)* }

        impl Refusal {
            /// How many reasons there are.
            pub const COUNT: usize = [$(Self::$name),*].len();
            /// Every reason, in the order of their numbers.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$name),*];

            /// The status that says so.
            pub const fn status(self) -> Status {
                match self { $(Self::$name => Status::$status,)* }
            }
            /// One line for a person to act on.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

refusals! {
    /// RFC 9112 section 3.
    RequestLine => BAD_REQUEST, "the request line is not \"method target HTTP/1.1\"";
    /// RFC 9112 section 4.
    StatusLine => BAD_GATEWAY, "the status line is not \"HTTP/1.1 code reason\"";
    /// RFC 9112 section 5.1.
    Field => BAD_REQUEST, "a header field has a bad name, white space before its colon, or a control character in its value";
    /// RFC 9112 section 5.2.
    FoldedField => BAD_REQUEST, "a header field is folded over several lines";
    /// RFC 9112 section 3.2.
    Host => BAD_REQUEST, "the Host field is missing, doubled or no host";
    /// RFC 9112 sections 6.1 and 6.3.
    Framing => BAD_REQUEST, "Content-Length and Transfer-Encoding are doubled, contradict each other or are no numbers";
    /// RFC 9112 section 7.1.
    Chunk => BAD_REQUEST, "the chunked coding is broken";
    /// The client went away in the middle of a message.
    Truncated => BAD_REQUEST, "the message ends before its announced end";
    /// RFC 9112 section 6.1.
    TransferCoding => NOT_IMPLEMENTED, "the only transfer coding here is chunked";
    /// CONNECT, or no method of any standard.
    UnknownMethod => NOT_IMPLEMENTED, "nobody here knows this method";
    /// RFC 9110 section 15.5.15.
    TargetTooLong => URI_TOO_LONG, "the request target is longer than the limit";
    /// RFC 6585 section 5.
    HeadTooLarge => REQUEST_HEADER_FIELDS_TOO_LARGE, "the header is larger than the limit";
    /// RFC 9110 section 15.5.14.
    ContentTooLarge => CONTENT_TOO_LARGE, "the content is larger than the limit";
    /// RFC 9110 section 10.1.1.
    Expectation => EXPECTATION_FAILED, "the only expectation here is 100-continue";
    /// RFC 9110 section 15.6.6.
    Version => HTTP_VERSION_NOT_SUPPORTED, "the protocol here is HTTP/1.1";
    /// The head did not come in time.
    HeadTimeout => REQUEST_TIMEOUT, "the request did not come in time";
    /// The content did not come in time, or slower than the least rate.
    BodyTimeout => REQUEST_TIMEOUT, "the content did not come in time";
    /// The peer takes the answer too slowly. Nothing can be said to it any more; the connection is cut.
    WriteTimeout => REQUEST_TIMEOUT, "the answer was not taken in time";
    /// As many connections as the limit, or a handler that cannot serve now.
    Overloaded => SERVICE_UNAVAILABLE, "there are too many connections; try again soon";
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
impl core::error::Error for Refusal {}

impl From<BadChunk> for Refusal {
    fn from(_: BadChunk) -> Self {
        Self::Chunk
    }
}
