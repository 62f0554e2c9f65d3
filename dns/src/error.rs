use core::fmt;

/// What is wrong with a message, a name or a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The bytes end in the middle of something.
    Truncated,
    /// A name is too long, has a bad label or escape, or a compression pointer that does not point back.
    BadName,
    /// Record data are not what their type says.
    BadRecord,
    /// The caller's buffer is too short.
    NoRoom,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the message ends in the middle of something",
            Self::BadName => "not a domain name",
            Self::BadRecord => "the record data are not what their type says",
            Self::NoRoom => "the buffer is too short",
        })
    }
}

impl core::error::Error for Error {}
