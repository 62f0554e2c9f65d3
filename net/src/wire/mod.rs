//! Codecs: one file per protocol, no state, no allocation.
//!
//! Each protocol has a checked view over received bytes, whose accessors cannot panic, and a small `Repr` with `parse`,
//! `len` and `emit`. `parse(emit(repr)) == repr` for every value that the protocol can say.
use core::fmt;

pub mod arp;
pub mod dhcpv4;
pub mod dhcpv6;
pub mod ethernet;
pub mod icmpv4;
pub mod icmpv6;
pub mod igmp;
pub mod ipv4;
pub mod ipv6;
pub mod mld;
pub mod ndp;
pub mod tcp;
pub mod udp;

/// Protocol numbers of IPv4 and next headers of IPv6 (IANA "Assigned Internet Protocol Numbers").
pub mod protocol {
    /// IPv6 hop-by-hop options (RFC 8200 section 4.3).
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP for IPv4 (RFC 792).
    pub const ICMP: u8 = 1;
    /// IGMP (RFC 3376).
    pub const IGMP: u8 = 2;
    /// TCP (RFC 9293).
    pub const TCP: u8 = 6;
    /// UDP (RFC 768).
    pub const UDP: u8 = 17;
    /// IPv6 routing header (RFC 8200 section 4.4).
    pub const ROUTING: u8 = 43;
    /// IPv6 fragment header (RFC 8200 section 4.5).
    pub const FRAGMENT: u8 = 44;
    /// ICMP for IPv6 (RFC 4443).
    pub const ICMPV6: u8 = 58;
    /// Nothing follows (RFC 8200 section 4.7).
    pub const NO_NEXT_HEADER: u8 = 59;
    /// IPv6 destination options (RFC 8200 section 4.6).
    pub const DESTINATION_OPTIONS: u8 = 60;
}

/// Why bytes are not a packet, or a packet does not go into bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WireError {
    /// Fewer bytes than the header needs or says.
    Truncated,
    /// A field has a value the protocol does not allow.
    Malformed,
    /// The checksum is wrong.
    Checksum,
    /// Well formed, and of a kind that this codec does not speak.
    Unsupported,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the packet is shorter than it says or must be",
            Self::Malformed => "a field of the packet has a forbidden value",
            Self::Checksum => "the packet's checksum is wrong",
            Self::Unsupported => "the packet is of an unknown kind",
        })
    }
}
impl core::error::Error for WireError {}

/// The fixed part of `N` bytes at the start, and the rest.
pub(crate) fn split<const N: usize>(bytes: &[u8]) -> Result<(&[u8; N], &[u8]), WireError> {
    bytes.split_first_chunk().ok_or(WireError::Truncated)
}

/// The same, to write to.
pub(crate) fn split_mut<const N: usize>(bytes: &mut [u8]) -> Result<(&mut [u8; N], &mut [u8]), WireError> {
    bytes.split_first_chunk_mut().ok_or(WireError::Truncated)
}
