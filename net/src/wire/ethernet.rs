//! Ethernet II frames (IEEE 802.3, RFC 894, RFC 2464).
use super::{WireError, split, split_mut};
use airglow_device::MacAddr;

/// Length of the header in bytes.
pub const HEADER_LEN: usize = 14;

/// What a frame carries (IANA "IEEE 802 Numbers").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4.
    pub const IPV4: Self = Self(0x0800);
    /// ARP.
    pub const ARP: Self = Self(0x0806);
    /// IPv6.
    pub const IPV6: Self = Self(0x86dd);
    /// A VLAN tag, the frame's own type behind it (IEEE 802.1Q).
    pub const VLAN: Self = Self(0x8100);
}

/// Length of a VLAN tag.
pub const TAG_LEN: usize = 4;

/// A VLAN tag at the start of a frame's payload: the VLAN's number, the type of what follows, and that.
///
/// # Errors
/// [`WireError::Truncated`]; [`WireError::Unsupported`] for an IEEE 802.3 length field.
pub fn split_tag(payload: &[u8]) -> Result<(u16, EtherType, &[u8]), WireError> {
    let (&[a, b, c, d], rest) = split::<TAG_LEN>(payload)?;
    let ethertype = EtherType(u16::from_be_bytes([c, d]));
    // Priority and drop eligibility in the four high bits are the switches' business.
    let id = u16::from_be_bytes([a, b]) & 0xfff;
    if ethertype.0 < 0x0600 { Err(WireError::Unsupported) } else { Ok((id, ethertype, rest)) }
}

/// A frame whose header is there.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    header: &'a [u8; HEADER_LEN],
    payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// # Errors
    /// [`WireError::Truncated`] below 14 bytes; [`WireError::Unsupported`] for an IEEE 802.3 length field.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, WireError> {
        let (header, payload) = split(bytes)?;
        let frame = Self { header, payload };
        if frame.ethertype().0 < 0x0600 { Err(WireError::Unsupported) } else { Ok(frame) }
    }
    /// Destination.
    pub fn dst(&self) -> MacAddr {
        let [a, b, c, d, e, f, ..] = *self.header;
        MacAddr([a, b, c, d, e, f])
    }
    /// Source.
    pub fn src(&self) -> MacAddr {
        let [_, _, _, _, _, _, a, b, c, d, e, f, ..] = *self.header;
        MacAddr([a, b, c, d, e, f])
    }
    /// What the payload is.
    pub fn ethertype(&self) -> EtherType {
        EtherType(u16::from_be_bytes([self.header[12], self.header[13]]))
    }
    /// What follows the header, padding included.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// The header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Source.
    pub src: MacAddr,
    /// Destination.
    pub dst: MacAddr,
    /// What the payload is.
    pub ethertype: EtherType,
}

impl Repr {
    /// The header of `frame`.
    pub fn parse(frame: &Frame<'_>) -> Self {
        Self { src: frame.src(), dst: frame.dst(), ethertype: frame.ethertype() }
    }
    /// Bytes that [`emit`](Self::emit) writes.
    #[allow(clippy::len_without_is_empty)]
    pub const fn len(&self) -> usize {
        HEADER_LEN
    }
    /// Writes the header with a tag of this VLAN, 18 bytes, or without any, and returns the rest of `bytes`.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when `bytes` is too short.
    pub fn emit_tagged<'a>(&self, vlan: Option<u16>, bytes: &'a mut [u8]) -> Result<&'a mut [u8], WireError> {
        let Some(id) = vlan else { return self.emit(bytes) };
        let rest = Self { ethertype: EtherType::VLAN, ..*self }.emit(bytes)?;
        let (tag, rest) = split_mut::<TAG_LEN>(rest)?;
        let ([a, b], [c, d]) = (id.to_be_bytes(), self.ethertype.0.to_be_bytes());
        *tag = [a, b, c, d];
        Ok(rest)
    }
    /// Writes the header and returns the rest of `bytes`.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when `bytes` is too short.
    pub fn emit<'a>(&self, bytes: &'a mut [u8]) -> Result<&'a mut [u8], WireError> {
        let (header, payload) = split_mut::<HEADER_LEN>(bytes)?;
        header[..6].copy_from_slice(&self.dst.0);
        header[6..12].copy_from_slice(&self.src.0);
        header[12..].copy_from_slice(&self.ethertype.0.to_be_bytes());
        Ok(payload)
    }
}
