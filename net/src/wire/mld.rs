//! Multicast Listener Discovery, versions 1 and 2 (RFC 2710, RFC 3810). Its messages are ICMPv6 messages; their checksum covers the
//! IP addresses, so it is the IP layer's business.
use super::{WireError, igmp::Record, split, split_mut};
use core::net::Ipv6Addr;

/// The hop-by-hop options header that goes in front of each message: a router alert (RFC 2711), padded. Its first octet says that
/// ICMPv6 follows.
pub const ROUTER_ALERT: [u8; 8] = [58, 0, 5, 2, 0, 0, 1, 0];

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repr {
    /// Who listens?
    Query {
        /// To this group; to any if it is `::`.
        group: Ipv6Addr,
        /// Milliseconds within which to answer.
        max_response: u32,
        /// The version of the router that asks: 1 or 2.
        version: u8,
    },
    /// The sender listens to the group (version 1).
    ReportV1(Ipv6Addr),
    /// The sender has stopped to listen (version 1).
    Done(Ipv6Addr),
    /// What the sender listens to (version 2), with one record.
    ReportV2(Record, Ipv6Addr),
}

impl Repr {
    /// Reads a message whose checksum is right.
    ///
    /// # Errors
    /// [`WireError::Truncated`]; [`WireError::Unsupported`] for other types, and for reports of version 2, which concern routers only.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let (&[kind, _, _, _, a, b, _, _], rest) = split::<8>(bytes)?;
        if !(130..=132).contains(&kind) {
            return Err(WireError::Unsupported);
        }
        let (group, rest) = split::<16>(rest)?;
        let (group, max) = (Ipv6Addr::from(*group), u16::from_be_bytes([a, b]));
        Ok(match kind {
            //= https://www.rfc-editor.org/rfc/rfc3810#section-8.1
            //# MLDv1 Query: length = 24 octets
            130 => match rest.len() {
                0 => Self::Query { group, max_response: max.into(), version: 1 },
                // RFC 3810 section 5.1.3.
                4.. if max >= 0x8000 => {
                    let max_response = (u32::from(max & 0xfff) | 0x1000) << ((max >> 12 & 7) + 3);
                    Self::Query { group, max_response, version: 2 }
                }
                4.. => Self::Query { group, max_response: max.into(), version: 2 },
                _ => return Err(WireError::Malformed),
            },
            131 => Self::ReportV1(group),
            _ => Self::Done(group),
        })
    }

    /// Bytes that [`emit`](Self::emit) writes.
    #[allow(clippy::len_without_is_empty)]
    pub const fn len(&self) -> usize {
        match self {
            Self::ReportV2(..) | Self::Query { version: 2, .. } => 28,
            _ => 24,
        }
    }

    /// Writes the message, its checksum field zero. A query's time is written as it is below 32,768 and as that above.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when `bytes` is shorter than [`len`](Self::len).
    pub fn emit(&self, bytes: &mut [u8]) -> Result<(), WireError> {
        let bytes = bytes.get_mut(..self.len()).ok_or(WireError::Truncated)?;
        bytes.fill(0);
        let (header, rest) = split_mut::<8>(bytes)?;
        let (kind, group) = match *self {
            Self::Query { group, .. } => (130, group),
            Self::ReportV1(group) => (131, group),
            Self::Done(group) => (132, group),
            Self::ReportV2(_, group) => (143, group),
        };
        header[0] = kind;
        let at = match *self {
            Self::Query { max_response, .. } => {
                header[4..6].copy_from_slice(&(max_response.min(0x7fff) as u16).to_be_bytes());
                0
            }
            Self::ReportV2(record, _) => {
                header[7] = 1;
                if let Some(kind) = rest.first_mut() {
                    *kind = record as u8;
                }
                4
            }
            _ => 0,
        };
        rest.get_mut(at..at + 16).ok_or(WireError::Truncated)?.copy_from_slice(&group.octets());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_read_as_they_are_written() {
        let group: Ipv6Addr = "ff02::1:ff00:1".parse().unwrap();
        let all = [
            Repr::Query { group, max_response: 1000, version: 1 },
            Repr::Query { group: Ipv6Addr::UNSPECIFIED, max_response: 10_000, version: 2 },
            Repr::ReportV1(group),
            Repr::Done(group),
        ];
        for message in all {
            let mut bytes = [9; 40];
            message.emit(&mut bytes).unwrap();
            assert_eq!(Repr::parse(&bytes[..message.len()]), Ok(message));
            assert!(Repr::parse(&bytes[..message.len() - 1]).is_err());
        }
        let mut bytes = [0; 28];
        Repr::ReportV2(Record::ToInclude, group).emit(&mut bytes).unwrap();
        assert_eq!((bytes[0], bytes[7], bytes[8], &bytes[12..]), (143, 1, 3, &group.octets()[..]));
    }
}
