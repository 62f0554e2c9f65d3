//! The Internet Group Management Protocol, versions 1 to 3 (RFC 1112, RFC 2236, RFC 3376).
use super::{WireError, split, split_mut};
use crate::checksum::Sum;
use core::net::Ipv4Addr;

/// Length of the header of every message.
pub const HEADER_LEN: usize = 8;
/// Length of a record of a report of version 3 that names no sources.
pub const RECORD_LEN: usize = 8;

/// What a record of a report says (RFC 3376 section 4.2.12, RFC 3810 section 5.2.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Record {
    /// The sender listens to the group.
    IsExclude = 2,
    /// The sender stopped to listen.
    ToInclude = 3,
    /// The sender began to listen.
    ToExclude = 4,
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repr {
    /// Who listens?
    Query {
        /// To this group; to any if it is 0.0.0.0.
        group: Ipv4Addr,
        /// Tenths of a second within which to answer (of version 1: 100).
        max_response: u32,
        /// The version of the router that asks: 1, 2 or 3.
        version: u8,
    },
    /// The sender listens to the group (version 2, or 1).
    ReportV2(Ipv4Addr),
    /// The sender has stopped to listen (version 2).
    Leave(Ipv4Addr),
    /// What the sender listens to (version 3), with one record.
    ReportV3(Record, Ipv4Addr),
}

/// A time in the floating point of RFC 3376 section 4.1.1.
fn code(code: u8) -> u32 {
    if code < 128 { code.into() } else { (u32::from(code & 15) | 16) << ((code >> 4 & 7) + 3) }
}

impl Repr {
    /// Checks the checksum and reads the message.
    ///
    /// # Errors
    /// [`WireError::Truncated`], [`WireError::Checksum`], [`WireError::Unsupported`] for other types, and for reports of version 3, which
    /// concern routers only.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let (&[kind, max, _, _, a, b, c, d], rest) = split::<HEADER_LEN>(bytes)?;
        if !Sum::ZERO.bytes(bytes).is_correct() {
            return Err(WireError::Checksum);
        }
        let group = Ipv4Addr::new(a, b, c, d);
        Ok(match kind {
            //= https://www.rfc-editor.org/rfc/rfc3376#section-7.1
            //# IGMPv1 Query: length = 8 octets AND Max Resp Code field is zero
            0x11 => match (rest.len(), max) {
                (0, 0) => Self::Query { group, max_response: 100, version: 1 },
                (0, _) => Self::Query { group, max_response: max.into(), version: 2 },
                (4.., _) => Self::Query { group, max_response: code(max), version: 3 },
                _ => return Err(WireError::Malformed),
            },
            0x12 | 0x16 => Self::ReportV2(group),
            0x17 => Self::Leave(group),
            _ => return Err(WireError::Unsupported),
        })
    }

    /// Bytes that [`emit`](Self::emit) writes.
    #[allow(clippy::len_without_is_empty)]
    pub const fn len(&self) -> usize {
        match self {
            Self::ReportV3(..) => HEADER_LEN + RECORD_LEN,
            Self::Query { version: 3, .. } => HEADER_LEN + 4,
            _ => HEADER_LEN,
        }
    }

    /// Writes the message with its checksum. A query's time is written as it is below 12.8 seconds and as that above.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when `bytes` is shorter than [`len`](Self::len).
    pub fn emit(&self, bytes: &mut [u8]) -> Result<(), WireError> {
        let bytes = bytes.get_mut(..self.len()).ok_or(WireError::Truncated)?;
        bytes.fill(0);
        let (header, rest) = split_mut::<HEADER_LEN>(bytes)?;
        let (kind, max, group) = match *self {
            Self::Query { group, max_response, version } => {
                (0x11, if version == 1 { 0 } else { max_response.min(127) as u8 }, group)
            }
            Self::ReportV2(group) => (0x16, 0, group),
            Self::Leave(group) => (0x17, 0, group),
            // Reserved, and the number of records.
            Self::ReportV3(..) => (0x22, 0, Ipv4Addr::new(0, 0, 0, 1)),
        };
        let [a, b, c, d] = group.octets();
        *header = [kind, max, 0, 0, a, b, c, d];
        if let (Self::ReportV3(record, group), Some(to)) = (*self, rest.first_chunk_mut::<RECORD_LEN>()) {
            let [a, b, c, d] = group.octets();
            *to = [record as u8, 0, 0, 0, a, b, c, d];
        }
        let checksum = Sum::ZERO.bytes(bytes).finish();
        bytes.get_mut(2..4).ok_or(WireError::Truncated)?.copy_from_slice(&checksum.to_be_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_read_as_they_are_written() {
        let group = Ipv4Addr::new(239, 1, 2, 3);
        let all = [
            Repr::Query { group, max_response: 100, version: 1 },
            Repr::Query { group: Ipv4Addr::UNSPECIFIED, max_response: 50, version: 2 },
            Repr::Query { group, max_response: 127, version: 3 },
            Repr::ReportV2(group),
            Repr::Leave(group),
        ];
        for message in all {
            let mut bytes = [9; 20];
            message.emit(&mut bytes).unwrap();
            assert_eq!(Repr::parse(&bytes[..message.len()]), Ok(message));
            bytes[7] ^= 1;
            assert_eq!(Repr::parse(&bytes[..message.len()]), Err(WireError::Checksum));
        }
        let mut bytes = [0; 16];
        Repr::ReportV3(Record::ToExclude, group).emit(&mut bytes).unwrap();
        assert_eq!(bytes[8..], [4, 0, 0, 0, 239, 1, 2, 3]);
        assert_eq!((bytes[0], &bytes[4..8]), (0x22, &[0, 0, 0, 1][..]));
        assert_eq!((code(127), code(128), code(255)), (127, 128, 31_744));
    }
}
