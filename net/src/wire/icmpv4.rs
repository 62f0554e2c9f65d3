//! The Internet Control Message Protocol for IPv4 (RFC 792).
use super::{WireError, split, split_mut};
use crate::checksum::Sum;
use core::net::Ipv4Addr;

/// Length of the header of every message.
pub const HEADER_LEN: usize = 8;

/// The codes of a destination-unreachable message (RFC 792, RFC 1122 section 3.2.2.1).
pub mod unreachable {
    /// No route to the network.
    pub const NET: u8 = 0;
    /// No route to the host.
    pub const HOST: u8 = 1;
    /// The host does not speak the protocol.
    pub const PROTOCOL: u8 = 2;
    /// Nobody listens on the port.
    pub const PORT: u8 = 3;
    /// The packet is too big and must not be fragmented (RFC 1191).
    pub const FRAGMENTATION_NEEDED: u8 = 4;
    /// Source route failed.
    pub const SOURCE_ROUTE: u8 = 5;
}

/// A message. The data of an echo and what an error quotes are borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repr<'a> {
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
    /// A packet could not be delivered.
    Unreachable {
        /// Why, as in [`mod@unreachable`].
        code: u8,
        /// With [`FRAGMENTATION_NEEDED`](mod@unreachable): the next hop's MTU (RFC 1191 section 4), else 0.
        mtu: u16,
        /// The start of the packet, from its IP header on.
        quoted: &'a [u8],
    },
    /// Another router is nearer; read with the feature `redirects`.
    Redirect {
        /// For the destination's network (0, 2) or for it alone (1, 3), and whatever the type of service (0, 1) or for it alone (2, 3).
        code: u8,
        /// That router, or the destination itself.
        gateway: Ipv4Addr,
        /// The start of the packet that it is about.
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
        /// 0: `pointer` says where.
        code: u8,
        /// The offset of the bad octet.
        pointer: u8,
        /// The start of the packet.
        quoted: &'a [u8],
    },
}

impl<'a> Repr<'a> {
    /// Checks the checksum and reads the message.
    ///
    /// # Errors
    /// [`WireError::Truncated`], [`WireError::Checksum`], [`WireError::Unsupported`] for other types.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let (header, rest) = split::<HEADER_LEN>(bytes)?;
        if !Sum::ZERO.bytes(bytes).is_correct() {
            return Err(WireError::Checksum);
        }
        let [kind, code, _, _, a, b, c, d] = *header;
        let (first, second) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        Ok(match kind {
            0 if code == 0 => Self::EchoReply { identifier: first, sequence: second, data: rest },
            8 if code == 0 => Self::EchoRequest { identifier: first, sequence: second, data: rest },
            3 => {
                let mtu = if code == unreachable::FRAGMENTATION_NEEDED { second } else { 0 };
                Self::Unreachable { code, mtu, quoted: rest }
            }
            5 if crate::REDIRECTS => {
                Self::Redirect { code, gateway: Ipv4Addr::new(a, b, c, d), quoted: rest }
            }
            11 => Self::TimeExceeded { code, quoted: rest },
            12 => Self::ParameterProblem { code, pointer: a, quoted: rest },
            _ => return Err(WireError::Unsupported),
        })
    }

    fn parts(&self) -> (u8, u8, [u8; 4], &'a [u8]) {
        let pair = |a: u16, b: u16| {
            let ([a, b], [c, d]) = (a.to_be_bytes(), b.to_be_bytes());
            [a, b, c, d]
        };
        match *self {
            Self::EchoReply { identifier, sequence, data } => (0, 0, pair(identifier, sequence), data),
            Self::EchoRequest { identifier, sequence, data } => (8, 0, pair(identifier, sequence), data),
            Self::Unreachable { code, mtu, quoted } => (3, code, pair(0, mtu), quoted),
            Self::Redirect { code, gateway, quoted } => (5, code, gateway.octets(), quoted),
            Self::TimeExceeded { code, quoted } => (11, code, [0; 4], quoted),
            Self::ParameterProblem { code, pointer, quoted } => (12, code, [pointer, 0, 0, 0], quoted),
        }
    }

    /// Bytes that [`emit`](Self::emit) writes.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        HEADER_LEN + self.parts().3.len()
    }

    /// The message's first 8 bytes; what it quotes or carries follows them. The checksum is over both.
    pub fn header(&self) -> [u8; HEADER_LEN] {
        let (kind, code, rest, data) = self.parts();
        let [a, b, c, d] = rest;
        let mut header = [kind, code, 0, 0, a, b, c, d];
        let [x, y] = Sum::ZERO.bytes(&header).bytes(data).finish().to_be_bytes();
        [header[2], header[3]] = [x, y];
        header
    }

    /// Writes the message with its checksum.
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
