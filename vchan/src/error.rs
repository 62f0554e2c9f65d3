//! What can go wrong with a channel.
use airglow_device::ErrorKind;
use core::fmt;

/// Why a call on a channel failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The other end has closed the channel, or its domain is gone.
    PeerClosed,
    /// This end was closed.
    Closed,
    /// The other end wrote indices that no ring can have. The channel is closed.
    BrokenRing,
    /// A listener could not offer a channel: memory, grants or the place where it is announced are lacking.
    NotOffered,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PeerClosed => "the other end of the vchan is closed",
            Self::Closed => "this end of the vchan is closed",
            Self::BrokenRing => "the other end of the vchan writes impossible indices",
            Self::NotOffered => "no vchan can be offered just now",
        })
    }
}
impl core::error::Error for Error {}
impl airglow_device::Error for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::PeerClosed => ErrorKind::BrokenPipe,
            Self::Closed => ErrorKind::NotConnected,
            Self::BrokenRing => ErrorKind::InvalidData,
            Self::NotOffered => ErrorKind::OutOfMemory,
        }
    }
}
