//! The User Datagram Protocol (RFC 768). Checksums are the IP layer's business, since they cover its addresses.
use super::{WireError, split, split_mut};

/// Length of the header.
pub const HEADER_LEN: usize = 8;
/// Where in the header the checksum is.
pub const CHECKSUM_OFFSET: usize = 6;

/// A datagram whose length is consistent.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    header: &'a [u8; HEADER_LEN],
    payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Checks the length; what follows the datagram is left out.
    ///
    /// # Errors
    /// [`WireError::Truncated`], [`WireError::Malformed`].
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, WireError> {
        let (header, rest) = split::<HEADER_LEN>(bytes)?;
        let len = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let payload_len = len.checked_sub(HEADER_LEN).ok_or(WireError::Malformed)?;
        let payload = rest.get(..payload_len).ok_or(WireError::Truncated)?;
        Ok(Self { header, payload })
    }
    /// Source port.
    pub fn src_port(&self) -> u16 {
        u16::from_be_bytes([self.header[0], self.header[1]])
    }
    /// Destination port.
    pub fn dst_port(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }
    /// The checksum field; 0 over IPv4: the sender computed none.
    pub fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.header[6], self.header[7]])
    }
    /// What follows the header.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// The header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Length of the payload in bytes, at most 65,527.
    pub payload_len: usize,
}

impl Repr {
    /// The header of `datagram`.
    pub fn parse(datagram: &Datagram<'_>) -> Self {
        Self {
            src_port: datagram.src_port(),
            dst_port: datagram.dst_port(),
            payload_len: datagram.payload().len(),
        }
    }
    /// Bytes that [`emit`](Self::emit) writes.
    #[allow(clippy::len_without_is_empty)]
    pub const fn len(&self) -> usize {
        HEADER_LEN
    }
    /// Writes the header, its checksum field zero, and returns the rest of `bytes`.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when `bytes` is too short; [`WireError::Malformed`] when the payload is too long for the length field.
    pub fn emit<'a>(&self, bytes: &'a mut [u8]) -> Result<&'a mut [u8], WireError> {
        let len = u16::try_from(HEADER_LEN + self.payload_len).map_err(|_| WireError::Malformed)?;
        let (header, payload) = split_mut::<HEADER_LEN>(bytes)?;
        header[..2].copy_from_slice(&self.src_port.to_be_bytes());
        header[2..4].copy_from_slice(&self.dst_port.to_be_bytes());
        header[4..6].copy_from_slice(&len.to_be_bytes());
        header[6..].copy_from_slice(&[0, 0]);
        Ok(payload)
    }
}
