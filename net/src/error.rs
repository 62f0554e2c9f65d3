//! Why a call failed.
use core::fmt;
use embedded_io_async::ErrorKind;

/// Why a call of this crate failed. One byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// The port is taken.
    AddrInUse,
    /// The address is none of this stack's.
    AddrNotAvailable,
    /// No route leads to the destination, or none of our addresses can be used there.
    NoRoute,
    /// The datagram does not fit one packet on the way to its destination.
    MessageTooLong,
    /// A table that the caller sized is full: sockets, addresses, routes, connections.
    TableFull,
    /// The stack has no interface of that number.
    NoInterface,
    /// The value makes no sense, such as a prefix of 33 bits or port 0 as destination.
    InvalidInput,
    /// The peer refused the connection.
    ConnectionRefused,
    /// The peer reset the connection.
    ConnectionReset,
    /// This side gave the connection up.
    ConnectionAborted,
    /// The connection is not open, or this direction of it is closed.
    NotConnected,
    /// The peer did not answer in time.
    TimedOut,
    /// A router, or our own neighbour cache, says that the destination cannot be reached now.
    Unreachable,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AddrInUse => "the port is in use; choose another or 0",
            Self::AddrNotAvailable => "the address is none of this stack's interfaces'",
            Self::NoRoute => "no route to the destination; is an address or a gateway missing?",
            Self::MessageTooLong => "the datagram is larger than the path takes",
            Self::TableFull => "a table is full; give the stack more memory for it",
            Self::NoInterface => "there is no such interface",
            Self::InvalidInput => "the value makes no sense here",
            Self::ConnectionRefused => "the peer refused the connection",
            Self::ConnectionReset => "the peer reset the connection",
            Self::ConnectionAborted => "the connection was aborted",
            Self::NotConnected => "the connection is closed",
            Self::TimedOut => "the peer did not answer in time",
            Self::Unreachable => "the destination cannot be reached now",
        })
    }
}

impl core::error::Error for Error {}

impl embedded_io_async::Error for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::AddrInUse => ErrorKind::AddrInUse,
            Self::AddrNotAvailable | Self::NoRoute | Self::Unreachable => ErrorKind::AddrNotAvailable,
            Self::MessageTooLong | Self::InvalidInput | Self::NoInterface => ErrorKind::InvalidInput,
            Self::TableFull => ErrorKind::OutOfMemory,
            Self::ConnectionRefused => ErrorKind::ConnectionRefused,
            Self::ConnectionReset => ErrorKind::ConnectionReset,
            Self::ConnectionAborted => ErrorKind::ConnectionAborted,
            Self::NotConnected => ErrorKind::NotConnected,
            Self::TimedOut => ErrorKind::TimedOut,
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_error_is_one_byte() {
        assert_eq!(size_of::<super::Error>(), 1);
        assert_eq!(size_of::<Result<(), super::Error>>(), 1);
    }
}
