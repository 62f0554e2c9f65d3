//! Internet Protocol version 4 (RFC 791).
use super::{WireError, split, split_mut};
use crate::checksum::Sum;
use core::net::Ipv4Addr;

/// Length of a header without options.
pub const HEADER_LEN: usize = 20;

/// The router alert option (RFC 2113).
pub const ROUTER_ALERT: [u8; 4] = [0x94, 4, 0, 0];

/// A packet whose lengths are consistent and whose header checksum is right.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    header: &'a [u8; HEADER_LEN],
    options: &'a [u8],
    payload: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Checks version, lengths and header checksum; what follows the packet (Ethernet padding) is left out.
    ///
    /// # Errors
    /// [`WireError::Truncated`], [`WireError::Malformed`], [`WireError::Checksum`].
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, WireError> {
        let packet = Self::new_quoted(bytes)?;
        let total = usize::from(u16::from_be_bytes([packet.header[2], packet.header[3]]));
        let header_len = HEADER_LEN + packet.options.len();
        if total < header_len {
            return Err(WireError::Malformed);
        }
        let whole = bytes.get(..total).ok_or(WireError::Truncated)?;
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.2
        //# A host MUST verify the IP header checksum on every received
        //# datagram and silently discard every datagram that has a bad
        //# checksum.
        if !Sum::ZERO.bytes(packet.header).bytes(packet.options).is_correct() {
            return Err(WireError::Checksum);
        }
        Ok(Self { payload: whole.get(header_len..).unwrap_or(&[]), whole, ..packet })
    }

    /// The start of a packet that an ICMP error quotes: its header must be there, its payload may be cut off, the checksum is not
    /// looked at.
    ///
    /// # Errors
    /// [`WireError::Truncated`], [`WireError::Malformed`].
    pub fn new_quoted(bytes: &'a [u8]) -> Result<Self, WireError> {
        let (header, rest) = split::<HEADER_LEN>(bytes)?;
        let header_len = usize::from(header[0] & 0x0f) * 4;
        if header[0] >> 4 != 4 || header_len < HEADER_LEN {
            return Err(WireError::Malformed);
        }
        let (options, payload) =
            rest.split_at_checked(header_len - HEADER_LEN).ok_or(WireError::Truncated)?;
        Ok(Self { header, options, payload, whole: bytes })
    }

    /// Differentiated services code point and, in the two low bits, ECN (RFC 2474, RFC 3168).
    pub fn traffic_class(&self) -> u8 {
        self.header[1]
    }
    /// Length of the packet as its header says it.
    pub fn total_len(&self) -> usize {
        u16::from_be_bytes([self.header[2], self.header[3]]).into()
    }
    /// Identification of the fragments of one packet.
    pub fn identification(&self) -> u16 {
        u16::from_be_bytes([self.header[4], self.header[5]])
    }
    /// The packet must not be fragmented.
    pub fn dont_fragment(&self) -> bool {
        self.header[6] & 0x40 != 0
    }
    /// More fragments follow.
    pub fn more_fragments(&self) -> bool {
        self.header[6] & 0x20 != 0
    }
    /// Where this fragment's payload belongs, in bytes.
    pub fn fragment_offset(&self) -> usize {
        usize::from(u16::from_be_bytes([self.header[6] & 0x1f, self.header[7]])) * 8
    }
    /// One of several fragments.
    pub fn is_fragment(&self) -> bool {
        self.more_fragments() || self.fragment_offset() != 0
    }
    /// Hops left.
    pub fn ttl(&self) -> u8 {
        self.header[8]
    }
    /// What the payload is, as in [`protocol`](super::protocol).
    pub fn protocol(&self) -> u8 {
        self.header[9]
    }
    /// Source address.
    pub fn src(&self) -> Ipv4Addr {
        let [.., a, b, c, d, _, _, _, _] = *self.header;
        Ipv4Addr::new(a, b, c, d)
    }
    /// Destination address.
    pub fn dst(&self) -> Ipv4Addr {
        let [.., a, b, c, d] = *self.header;
        Ipv4Addr::new(a, b, c, d)
    }
    /// The options, padding included.
    pub fn options(&self) -> &'a [u8] {
        self.options
    }
    /// What follows the header.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
    /// The whole packet, header first.
    pub fn bytes(&self) -> &'a [u8] {
        self.whole
    }
}

/// Makes the header of [`Repr::emit`] that of a fragment whose payload belongs at `offset`, a multiple of 8 below 65,536.
pub(crate) fn set_fragment(header: &mut [u8], offset: usize, more: bool) -> Option<()> {
    let field = u16::try_from(offset / 8).ok()? | u16::from(more) << 13;
    let flags = u16::from_be_bytes(*header.get(6..8)?.first_chunk()?) & 0x4000;
    header.get_mut(6..8)?.copy_from_slice(&(flags | field).to_be_bytes());
    header.get_mut(10..12)?.fill(0);
    let checksum = Sum::ZERO.bytes(header).finish();
    header.get_mut(10..12)?.copy_from_slice(&checksum.to_be_bytes());
    Some(())
}

/// A header without options of a packet that is not a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Source address.
    pub src: Ipv4Addr,
    /// Destination address.
    pub dst: Ipv4Addr,
    /// What the payload is.
    pub protocol: u8,
    /// Hops.
    pub ttl: u8,
    /// Differentiated services and ECN.
    pub traffic_class: u8,
    /// Identification; without meaning when the packet must not be fragmented (RFC 6864 section 4.1).
    pub identification: u16,
    /// The packet must not be fragmented.
    pub dont_fragment: bool,
    /// Length of the payload in bytes, at most 65,515.
    pub payload_len: usize,
}

impl Repr {
    /// # Errors
    /// [`WireError::Unsupported`] for a fragment. Options are passed over.
    pub fn parse(packet: &Packet<'_>) -> Result<Self, WireError> {
        if packet.is_fragment() {
            return Err(WireError::Unsupported);
        }
        Ok(Self {
            src: packet.src(),
            dst: packet.dst(),
            protocol: packet.protocol(),
            ttl: packet.ttl(),
            traffic_class: packet.traffic_class(),
            identification: packet.identification(),
            dont_fragment: packet.dont_fragment(),
            payload_len: packet.payload().len(),
        })
    }

    /// Bytes that [`emit`](Self::emit) writes.
    #[allow(clippy::len_without_is_empty)]
    pub const fn len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header with its checksum and returns the rest of `bytes`.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when `bytes` is too short; [`WireError::Malformed`] when the payload is too long for the length field.
    pub fn emit<'a>(&self, bytes: &'a mut [u8]) -> Result<&'a mut [u8], WireError> {
        let total = u16::try_from(HEADER_LEN + self.payload_len).map_err(|_| WireError::Malformed)?;
        let (header, payload) = split_mut::<HEADER_LEN>(bytes)?;
        let flags = if self.dont_fragment { 0x40 } else { 0 };
        header[..2].copy_from_slice(&[0x45, self.traffic_class]);
        header[2..4].copy_from_slice(&total.to_be_bytes());
        header[4..6].copy_from_slice(&self.identification.to_be_bytes());
        header[6..12].copy_from_slice(&[flags, 0, self.ttl, self.protocol, 0, 0]);
        header[12..16].copy_from_slice(&self.src.octets());
        header[16..].copy_from_slice(&self.dst.octets());
        let checksum = Sum::ZERO.bytes(header).finish();
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
        Ok(payload)
    }

    /// Writes a header with the router alert option, 24 bytes, and returns the rest of `bytes`.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn emit_with_router_alert<'a>(&self, bytes: &'a mut [u8]) -> Result<&'a mut [u8], WireError> {
        Self { payload_len: self.payload_len + ROUTER_ALERT.len(), ..*self }.emit(bytes)?;
        let (header, payload) = split_mut::<24>(bytes)?;
        header[0] = 0x46;
        header[20..].copy_from_slice(&ROUTER_ALERT);
        header[10..12].fill(0);
        let checksum = Sum::ZERO.bytes(header).finish();
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
        Ok(payload)
    }
}
