//! Why a request could not be served to its end.
use crate::Refusal;
use core::fmt;

/// Why a handler, or a client's call, came to an end. Handlers pass it on with `?`: what has not been
/// answered is then
/// answered as the error says, and an answer that has begun is cut off so that the peer sees it is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The message is refused.
    Refused(Refusal),
    /// The stream failed, or the peer has closed it.
    Disconnected,
    /// The store behind the answer failed: 500.
    Store,
    /// The handler broke the protocol: the text says how. 500.
    Misuse(&'static str),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Disconnected => f.write_str("the peer has closed the connection, or it failed"),
            Self::Store => f.write_str("the store behind the answer failed"),
            Self::Misuse(how) => f.write_str(how),
        }
    }
}
impl core::error::Error for Error {}

impl airglow_device::Error for Error {
    fn kind(&self) -> airglow_device::ErrorKind {
        use airglow_device::ErrorKind;
        match self {
            Self::Refused(Refusal::HeadTimeout | Refusal::BodyTimeout | Refusal::WriteTimeout) => {
                ErrorKind::TimedOut
            }
            Self::Refused(_) => ErrorKind::InvalidData,
            Self::Disconnected => ErrorKind::ConnectionReset,
            Self::Store => ErrorKind::Other,
            Self::Misuse(_) => ErrorKind::InvalidInput,
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_small() {
        assert!(size_of::<super::Error>() <= 3 * size_of::<usize>());
    }
}
