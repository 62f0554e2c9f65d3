//! Internet Protocol version 6 (RFC 8200).
use super::{WireError, protocol, split, split_mut};
use core::net::Ipv6Addr;

/// Length of the header.
pub const HEADER_LEN: usize = 40;

/// Length of the fragment header.
pub const FRAGMENT_LEN: usize = 8;

/// A packet whose length is consistent.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    header: &'a [u8; HEADER_LEN],
    payload: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Checks version and length; what follows the packet (Ethernet padding) is left out.
    ///
    /// # Errors
    /// [`WireError::Truncated`], [`WireError::Malformed`].
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, WireError> {
        let packet = Self::new_quoted(bytes)?;
        let len = usize::from(u16::from_be_bytes([packet.header[4], packet.header[5]]));
        let whole = bytes.get(..HEADER_LEN + len).ok_or(WireError::Truncated)?;
        Ok(Self { payload: packet.payload.get(..len).unwrap_or(&[]), whole, ..packet })
    }

    /// The start of a packet that an ICMPv6 error quotes; its payload may be cut off.
    ///
    /// # Errors
    /// [`WireError::Truncated`], [`WireError::Malformed`].
    pub fn new_quoted(bytes: &'a [u8]) -> Result<Self, WireError> {
        let (header, payload) = split::<HEADER_LEN>(bytes)?;
        if header[0] >> 4 != 6 {
            return Err(WireError::Malformed);
        }
        Ok(Self { header, payload, whole: bytes })
    }

    /// Differentiated services code point and, in the two low bits, ECN.
    pub fn traffic_class(&self) -> u8 {
        self.header[0] << 4 | self.header[1] >> 4
    }
    /// Flow label, 20 bits (RFC 6437).
    pub fn flow_label(&self) -> u32 {
        u32::from_be_bytes([0, self.header[1] & 0x0f, self.header[2], self.header[3]])
    }
    /// Length of the packet as its header says it.
    pub fn total_len(&self) -> usize {
        HEADER_LEN + usize::from(u16::from_be_bytes([self.header[4], self.header[5]]))
    }
    /// What follows the header, as in [`protocol`].
    pub fn next_header(&self) -> u8 {
        self.header[6]
    }
    /// Hops left.
    pub fn hop_limit(&self) -> u8 {
        self.header[7]
    }
    fn addr(octets: &[u8]) -> Ipv6Addr {
        octets.first_chunk::<16>().map_or(Ipv6Addr::UNSPECIFIED, |octets| Ipv6Addr::from(*octets))
    }
    /// Source address.
    pub fn src(&self) -> Ipv6Addr {
        Self::addr(&self.header[8..24])
    }
    /// Destination address.
    pub fn dst(&self) -> Ipv6Addr {
        Self::addr(&self.header[24..])
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

/// The header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Source address.
    pub src: Ipv6Addr,
    /// Destination address.
    pub dst: Ipv6Addr,
    /// What follows the header.
    pub next_header: u8,
    /// Hops.
    pub hop_limit: u8,
    /// Differentiated services and ECN.
    pub traffic_class: u8,
    /// Flow label, 20 bits; the rest is not sent.
    pub flow_label: u32,
    /// Length of the payload in bytes, at most 65,535.
    pub payload_len: usize,
}

impl Repr {
    /// The header of `packet`.
    pub fn parse(packet: &Packet<'_>) -> Self {
        Self {
            src: packet.src(),
            dst: packet.dst(),
            next_header: packet.next_header(),
            hop_limit: packet.hop_limit(),
            traffic_class: packet.traffic_class(),
            flow_label: packet.flow_label(),
            payload_len: packet.payload().len(),
        }
    }

    /// Bytes that [`emit`](Self::emit) writes.
    #[allow(clippy::len_without_is_empty)]
    pub const fn len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header and returns the rest of `bytes`.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when `bytes` is too short; [`WireError::Malformed`] when the payload is too long for the length field.
    pub fn emit<'a>(&self, bytes: &'a mut [u8]) -> Result<&'a mut [u8], WireError> {
        let len = u16::try_from(self.payload_len).map_err(|_| WireError::Malformed)?;
        let (header, payload) = split_mut::<HEADER_LEN>(bytes)?;
        let first = 6 << 28 | u32::from(self.traffic_class) << 20 | (self.flow_label & 0xf_ffff);
        header[..4].copy_from_slice(&first.to_be_bytes());
        header[4..6].copy_from_slice(&len.to_be_bytes());
        header[6..8].copy_from_slice(&[self.next_header, self.hop_limit]);
        header[8..24].copy_from_slice(&self.src.octets());
        header[24..].copy_from_slice(&self.dst.octets());
        Ok(payload)
    }
}

/// How a chain of extension headers ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upper<'a> {
    /// A transport protocol, its bytes, and the offset of the octet that names the protocol.
    Protocol(u8, &'a [u8], u32),
    /// A fragment of a larger packet.
    Fragment {
        /// Where the fragment header is, from the first octet of the IPv6 header on.
        at: usize,
        /// Where the octet is that names it.
        named_at: usize,
    },
    /// A header that makes no sense: the ICMPv6 parameter-problem code (RFC 4443 section 3.4) and the offset of the octet, from the
    /// first octet of the IPv6 header on. `multicast`: report it even if the packet went to a group.
    Problem {
        /// The code.
        code: u8,
        /// The offset.
        pointer: u32,
        /// As above.
        multicast: bool,
    },
    /// A chain that is cut off, forbidden options that want no answer, or nothing at all: drop it.
    Drop,
}

/// The most extension headers a packet may have.
const MAX_EXTENSIONS: usize = 8;

/// Follows the extension headers of a packet (RFC 8200 section 4).
pub fn upper_layer<'a>(packet: &Packet<'a>) -> Upper<'a> {
    let mut next = packet.next_header();
    let mut rest = packet.payload();
    // Offset of the octet that named `next`, and of `rest`.
    let (mut named_at, mut offset) = (6, HEADER_LEN);
    for position in 0..=MAX_EXTENSIONS {
        let len = match next {
            protocol::HOP_BY_HOP if position > 0 => {
                //= https://www.rfc-editor.org/rfc/rfc8200#section-4
                //# If, as a result of processing a header, the destination node is
                //# required to proceed to the next header but the Next Header value in
                //# the current header is unrecognized by the node, it should discard the
                //# packet and send an ICMP Parameter Problem message to the source of the
                //# packet, with an ICMP Code value of 1
                return Upper::Problem { code: 1, pointer: named_at, multicast: false };
            }
            protocol::HOP_BY_HOP | protocol::DESTINATION_OPTIONS | protocol::ROUTING => {
                let Some(&[_, len]) = rest.first_chunk::<2>() else { return Upper::Drop };
                usize::from(len) * 8 + 8
            }
            protocol::FRAGMENT => 8,
            protocol::NO_NEXT_HEADER => return Upper::Drop,
            _ => return Upper::Protocol(next, rest, named_at),
        };
        let Some((header, after)) = rest.split_at_checked(len) else { return Upper::Drop };
        match (next, header) {
            (protocol::FRAGMENT, [_, _, high, flags, ..]) => {
                // A packet that is its only fragment is taken as a whole (RFC 6946 section 4).
                if *high != 0 || flags & 0xf9 != 0 {
                    return Upper::Fragment { at: offset, named_at: named_at as usize };
                }
            }
            //= https://www.rfc-editor.org/rfc/rfc8200#section-4.4
            //# If Segments Left is non-zero, the node must discard the packet and
            //# send an ICMP Parameter Problem, Code 0, message to the packet's
            //# Source Address, pointing to the unrecognized Routing Type.
            (protocol::ROUTING, [_, _, _, segments_left, ..]) => {
                if *segments_left != 0 {
                    return Upper::Problem { code: 0, pointer: offset as u32 + 2, multicast: false };
                }
            }
            (_, [_, _, options @ ..]) => {
                if let Some(refused) = check_options(options, offset + 2) {
                    return refused;
                }
            }
            _ => return Upper::Drop,
        }
        next = header.first().copied().unwrap_or(protocol::NO_NEXT_HEADER);
        named_at = offset as u32;
        offset += len;
        rest = after;
    }
    Upper::Drop
}

/// The headers of a first fragment, of which the first is `next`, reach to one that is no extension header and is there with the
/// length its protocol needs at least (RFC 7112).
pub(crate) fn reaches_upper_layer(mut next: u8, mut rest: &[u8]) -> bool {
    for _ in 0..=MAX_EXTENSIONS {
        let least = match next {
            protocol::HOP_BY_HOP | protocol::DESTINATION_OPTIONS | protocol::ROUTING => {
                let Some(&[following, len, ..]) = rest.first_chunk::<8>() else { return false };
                let Some(after) = rest.get(usize::from(len) * 8 + 8..) else { return false };
                (next, rest) = (following, after);
                continue;
            }
            protocol::TCP => 20,
            protocol::UDP | protocol::ICMPV6 => 8,
            _ => 0,
        };
        return rest.len() >= least;
    }
    false
}

/// What lies behind the extension headers of a packet, whatever is wrong about them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Behind {
    /// An ICMPv6 error or a redirect, about which no error is sent (RFC 4443 section 2.4 (e)).
    pub error: bool,
    /// One of them is a fragment header.
    pub fragment: bool,
}

/// Looks behind the extension headers of `packet`, from its IPv6 header on.
pub(crate) fn behind(packet: &[u8]) -> Behind {
    let mut behind = Behind::default();
    let Some((header, mut rest)) = packet.split_first_chunk::<HEADER_LEN>() else { return behind };
    let mut next = header[6];
    for _ in 0..=MAX_EXTENSIONS {
        let Some(&[following, len, high, low]) = rest.first_chunk::<4>() else { break };
        let len = match next {
            protocol::HOP_BY_HOP | protocol::DESTINATION_OPTIONS | protocol::ROUTING => {
                usize::from(len) * 8 + 8
            }
            protocol::FRAGMENT => {
                behind.fragment = true;
                // What a later fragment begins with is no header.
                if high != 0 || low & 0xf8 != 0 {
                    break;
                }
                8
            }
            protocol::ICMPV6 => {
                behind.error = following < 128 || following == 137;
                break;
            }
            _ => break,
        };
        let Some(after) = rest.get(len..) else { break };
        (next, rest) = (following, after);
    }
    behind
}

/// Walks options (RFC 8200 section 4.2); what to do when one is unknown and must not be passed over.
fn check_options(mut options: &[u8], mut offset: usize) -> Option<Upper<'static>> {
    while let [kind, rest @ ..] = options {
        if *kind == 0 {
            // Pad1
            options = rest;
            offset += 1;
            continue;
        }
        let Some((len, data)) = rest.split_first() else { return Some(Upper::Drop) };
        let Some(after) = data.get(usize::from(*len)..) else { return Some(Upper::Drop) };
        // PadN and Router Alert are known; of the others the two highest bits say what to do.
        if !matches!(kind, 1 | 5) {
            let pointer = offset as u32;
            match kind >> 6 {
                0 => {}
                1 => return Some(Upper::Drop),
                2 => return Some(Upper::Problem { code: 2, pointer, multicast: true }),
                _ => return Some(Upper::Problem { code: 2, pointer, multicast: false }),
            }
        }
        offset += 2 + usize::from(*len);
        options = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(next_header: u8, payload: &[u8]) -> Vec<u8> {
        let repr = Repr {
            src: Ipv6Addr::LOCALHOST,
            dst: Ipv6Addr::LOCALHOST,
            next_header,
            hop_limit: 64,
            traffic_class: 0,
            flow_label: 0,
            payload_len: payload.len(),
        };
        let mut bytes = vec![0; HEADER_LEN + payload.len()];
        repr.emit(&mut bytes).unwrap().copy_from_slice(payload);
        bytes
    }

    #[test]
    fn extension_headers() {
        let upper = |next, payload: &[u8]| {
            let bytes = packet(next, payload);
            match upper_layer(&Packet::new_checked(&bytes).unwrap()) {
                Upper::Protocol(protocol, rest, _) => Ok((protocol, rest.to_vec())),
                Upper::Fragment { at, named_at } => Err(Upper::Fragment { at, named_at }),
                Upper::Drop => Err(Upper::Drop),
                Upper::Problem { code, pointer, multicast } => {
                    Err(Upper::Problem { code, pointer, multicast })
                }
            }
        };
        assert_eq!(upper(17, b"udp"), Ok((17, b"udp".to_vec())));
        // Hop-by-hop with PadN, then destination options with an option to skip, then UDP.
        let chain = [60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0x1e, 2, 9, 9, 0, 0, 42];
        assert_eq!(upper(0, &chain), Ok((17, vec![42])));
        assert_eq!(
            upper(60, &[17, 0, 0x80, 0, 0, 0, 0, 0]),
            Err(Upper::Problem { code: 2, pointer: 42, multicast: true })
        );
        assert_eq!(
            upper(60, &[17, 0, 0xc0, 0, 0, 0, 0, 0]),
            Err(Upper::Problem { code: 2, pointer: 42, multicast: false })
        );
        assert_eq!(upper(60, &[17, 0, 0x40, 0, 0, 0, 0, 0]), Err(Upper::Drop));
        assert_eq!(
            upper(60, &[17, 0, 1, 9, 0, 0, 0, 0]),
            Err(Upper::Drop),
            "an option longer than its header"
        );
        assert_eq!(
            upper(43, &[17, 0, 0, 1, 0, 0, 0, 0]),
            Err(Upper::Problem { code: 0, pointer: 42, multicast: false })
        );
        assert_eq!(upper(43, &[17, 0, 0, 0, 0, 0, 0, 0, 7]), Ok((17, vec![7])));
        assert_eq!(upper(44, &[17, 0, 0, 1, 0, 0, 0, 0, 7]), Err(Upper::Fragment { at: 40, named_at: 6 }));
        assert_eq!(upper(44, &[17, 0, 0, 0, 0, 0, 0, 0, 7]), Ok((17, vec![7])), "an atomic fragment");
        assert_eq!(upper(59, &[]), Err(Upper::Drop));
        assert_eq!(upper(0, &[17]), Err(Upper::Drop));
        // Hop-by-hop options come first or not at all.
        let again = [0, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0];
        assert_eq!(upper(0, &again), Err(Upper::Problem { code: 1, pointer: 40, multicast: false }));
        assert_eq!(upper(60, &[60, 0, 1, 4, 0, 0, 0, 0].repeat(20)), Err(Upper::Drop), "too many");
    }
}
