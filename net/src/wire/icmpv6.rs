//! The Internet Control Message Protocol for IPv6 (RFC 4443). Its checksum covers the IP addresses, so it is the IP
//! layer's business. Neighbour discovery's messages are in [`ndp`](super::ndp).
use super::{WireError, split, split_mut};

/// Length of the header of every message here.
pub const HEADER_LEN: usize = 8;

/// The codes of a destination-unreachable message (RFC 4443 section 3.1).
pub mod unreachable {
    /// No route to the destination.
    pub const NO_ROUTE: u8 = 0;
    /// Forbidden by a filter.
    pub const PROHIBITED: u8 = 1;
    /// The address does not answer.
    pub const ADDRESS: u8 = 3;
    /// Nobody listens on the port.
    pub const PORT: u8 = 4;
}

/// A message. The data of an echo and what an error quotes are borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repr<'a> {
    /// A packet could not be delivered.
    Unreachable {
        /// Why, as in [`mod@unreachable`].
        code: u8,
        /// The start of the packet, from its IPv6 header on.
        quoted: &'a [u8],
    },
    /// A packet was larger than a link on the way takes.
    PacketTooBig {
        /// What the link takes.
        mtu: u32,
        /// The start of the packet.
        quoted: &'a [u8],
    },
    /// A packet ran out of hops (code 0) or fragments went missing (code 1).
    TimeExceeded {
        /// Which.
        code: u8,
        /// The start of the packet.
        quoted: &'a [u8],
    },
    /// A header field made no sense.
    ParameterProblem {
        /// 0: a wrong field, 1: an unknown next header, 2: an unknown option.
        code: u8,
        /// The offset of the octet.
        pointer: u32,
        /// The start of the packet.
        quoted: &'a [u8],
    },
    /// A ping.
    EchoRequest {
        /// Tells pingers apart.
        identifier: u16,
        /// Tells pings apart.
        sequence: u16,
        /// Comes back as it went.
        data: &'a [u8],
    },
    /// Its answer.
    EchoReply {
        /// As in the request.
        identifier: u16,
        /// As in the request.
        sequence: u16,
        /// As in the request.
        data: &'a [u8],
    },
}

impl<'a> Repr<'a> {
    /// Reads a message whose checksum is right.
    ///
    /// # Errors
    /// [`WireError::Truncated`]; [`WireError::Unsupported`] for other types.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let (header, rest) = split::<HEADER_LEN>(bytes)?;
        let [kind, code, _, _, a, b, c, d] = *header;
        let (identifier, sequence) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let word = u32::from_be_bytes([a, b, c, d]);
        Ok(match kind {
            1 => Self::Unreachable { code, quoted: rest },
            2 => Self::PacketTooBig { mtu: word, quoted: rest },
            3 => Self::TimeExceeded { code, quoted: rest },
            4 => Self::ParameterProblem { code, pointer: word, quoted: rest },
            128 => Self::EchoRequest { identifier, sequence, data: rest },
            129 => Self::EchoReply { identifier, sequence, data: rest },
            _ => return Err(WireError::Unsupported),
        })
    }

    fn parts(&self) -> (u8, u8, u32, &'a [u8]) {
        let pair = |a: u16, b: u16| u32::from(a) << 16 | u32::from(b);
        match *self {
            Self::Unreachable { code, quoted } => (1, code, 0, quoted),
            Self::PacketTooBig { mtu, quoted } => (2, 0, mtu, quoted),
            Self::TimeExceeded { code, quoted } => (3, code, 0, quoted),
            Self::ParameterProblem { code, pointer, quoted } => (4, code, pointer, quoted),
            Self::EchoRequest { identifier, sequence, data } => (128, 0, pair(identifier, sequence), data),
            Self::EchoReply { identifier, sequence, data } => (129, 0, pair(identifier, sequence), data),
        }
    }

    /// Bytes that [`emit`](Self::emit) writes.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        HEADER_LEN + self.parts().3.len()
    }

    /// The message's first 8 bytes; what it quotes or carries follows them. The checksum field is zero.
    pub fn header(&self) -> [u8; HEADER_LEN] {
        let (kind, code, word, _) = self.parts();
        let [a, b, c, d] = word.to_be_bytes();
        [kind, code, 0, 0, a, b, c, d]
    }

    /// Writes the message, its checksum field zero.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when `bytes` is shorter than [`len`](Self::len).
    pub fn emit(&self, bytes: &mut [u8]) -> Result<(), WireError> {
        let data = self.parts().3;
        let (header, body) = split_mut::<HEADER_LEN>(bytes)?;
        body.get_mut(..data.len()).ok_or(WireError::Truncated)?.copy_from_slice(data);
        *header = self.header();
        Ok(())
    }
}
