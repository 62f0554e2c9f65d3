//! The Address Resolution Protocol (RFC 826) for IPv4 over Ethernet.
use super::{WireError, split, split_mut};
use airglow_device::MacAddr;
use core::net::Ipv4Addr;

/// Length of a packet in bytes.
pub const LEN: usize = 28;

/// The opcode (RFC 826, IANA "ARP Parameters").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Who has the target address?
    Request,
    /// The sender has.
    Reply,
}

/// A packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Request or reply.
    pub operation: Operation,
    /// Sender hardware address.
    pub sender_mac: MacAddr,
    /// Sender protocol address; unspecified in a probe (RFC 5227 section 1.1).
    pub sender_ip: Ipv4Addr,
    /// Target hardware address; unspecified in a request.
    pub target_mac: MacAddr,
    /// Target protocol address.
    pub target_ip: Ipv4Addr,
}

impl Repr {
    /// # Errors
    /// [`WireError::Truncated`]; [`WireError::Unsupported`] for other hardware, protocols or operations.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let (packet, _padding) = split::<LEN>(bytes)?;
        // Hardware type Ethernet, protocol type IPv4, lengths 6 and 4.
        if packet[..6] != [0, 1, 8, 0, 6, 4] {
            return Err(WireError::Unsupported);
        }
        let operation = match packet[6..8] {
            [0, 1] => Operation::Request,
            [0, 2] => Operation::Reply,
            _ => return Err(WireError::Unsupported),
        };
        let [.., a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t] = *packet;
        Ok(Self {
            operation,
            sender_mac: MacAddr([a, b, c, d, e, f]),
            sender_ip: Ipv4Addr::new(g, h, i, j),
            target_mac: MacAddr([k, l, m, n, o, p]),
            target_ip: Ipv4Addr::new(q, r, s, t),
        })
    }

    /// Bytes that [`emit`](Self::emit) writes.
    #[allow(clippy::len_without_is_empty)]
    pub const fn len(&self) -> usize {
        LEN
    }

    /// Writes the packet.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when `bytes` is too short.
    pub fn emit(&self, bytes: &mut [u8]) -> Result<(), WireError> {
        let (packet, _) = split_mut::<LEN>(bytes)?;
        packet[..6].copy_from_slice(&[0, 1, 8, 0, 6, 4]);
        packet[6..8].copy_from_slice(match self.operation {
            Operation::Request => &[0, 1],
            Operation::Reply => &[0, 2],
        });
        packet[8..14].copy_from_slice(&self.sender_mac.0);
        packet[14..18].copy_from_slice(&self.sender_ip.octets());
        packet[18..24].copy_from_slice(&self.target_mac.0);
        packet[24..].copy_from_slice(&self.target_ip.octets());
        Ok(())
    }
}
