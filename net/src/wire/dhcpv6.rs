//! DHCPv6 messages between client and server (RFC 8415 sections 8 and 21), with the options of RFC 3646.
use super::{WireError, split};
use core::net::Ipv6Addr;

/// Clients listen here (RFC 8415 section 7.2).
pub const CLIENT_PORT: u16 = 546;
/// Servers and relay agents listen here.
pub const SERVER_PORT: u16 = 547;
/// All servers and relay agents of the link (RFC 8415 section 7.1).
pub const ALL_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// What a message is for (RFC 8415 section 7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessageType {
    /// Which servers are there?
    Solicit = 1,
    /// A server is, and would give this.
    Advertise = 2,
    /// The client asks one server for it.
    Request = 3,
    /// Are the addresses right on this link?
    Confirm = 4,
    /// The client asks its server to prolong the lease.
    Renew = 5,
    /// The client asks any server to.
    Rebind = 6,
    /// A server's answer.
    Reply = 7,
    /// The client gives its addresses back.
    Release = 8,
    /// Another host has the address.
    Decline = 9,
    /// The client wants configuration without addresses.
    InformationRequest = 11,
}

impl MessageType {
    fn parse(octet: u8) -> Result<Self, WireError> {
        Ok(match octet {
            1 => Self::Solicit,
            2 => Self::Advertise,
            3 => Self::Request,
            4 => Self::Confirm,
            5 => Self::Renew,
            6 => Self::Rebind,
            7 => Self::Reply,
            8 => Self::Release,
            9 => Self::Decline,
            11 => Self::InformationRequest,
            _ => return Err(WireError::Unsupported),
        })
    }
}

/// Status codes (RFC 8415 section 21.13).
pub mod status {
    /// All is well; so is a message without a status.
    pub const SUCCESS: u16 = 0;
    /// The server has no address to give.
    pub const NO_ADDRS_AVAIL: u16 = 2;
    /// The server knows nothing of this lease.
    pub const NO_BINDING: u16 = 3;
    /// The addresses are of another link.
    pub const NOT_ON_LINK: u16 = 4;
}

mod code {
    pub const CLIENT_ID: u16 = 1;
    pub const SERVER_ID: u16 = 2;
    pub const IA_NA: u16 = 3;
    pub const IA_ADDR: u16 = 5;
    pub const ORO: u16 = 6;
    pub const PREFERENCE: u16 = 7;
    pub const ELAPSED_TIME: u16 = 8;
    pub const STATUS: u16 = 13;
    pub const DNS_SERVERS: u16 = 23;
    pub const DOMAIN_LIST: u16 = 24;
    pub const INFORMATION_REFRESH_TIME: u16 = 32;
    pub const SOL_MAX_RT: u16 = 82;
    pub const INF_MAX_RT: u16 = 83;
}

/// What a client asks for: name servers, search domains, and the longest pause between Solicits.
pub const REQUESTS: [u8; 6] =
    [0, code::DNS_SERVERS as u8, 0, code::DOMAIN_LIST as u8, 0, code::SOL_MAX_RT as u8];
/// The same without addresses, and how long it is good for.
pub const INFORMATION_REQUESTS: [u8; 8] = [
    0,
    code::DNS_SERVERS as u8,
    0,
    code::DOMAIN_LIST as u8,
    0,
    code::INFORMATION_REFRESH_TIME as u8,
    0,
    code::INF_MAX_RT as u8,
];

/// An address with its lifetimes in seconds, `u32::MAX` for ever (RFC 8415 section 21.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IaAddress {
    /// The address.
    pub addr: Ipv6Addr,
    /// How long it is preferred.
    pub preferred: u32,
    /// How long it is valid; 0: no longer.
    pub valid: u32,
}

/// An identity association for non-temporary addresses (RFC 8415 section 21.4), of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IaNa {
    /// Its identifier, which the client chooses.
    pub iaid: u32,
    /// T1, when the client asks its server to prolong, in seconds; 0: as the client likes.
    pub renew: u32,
    /// T2, when it asks any.
    pub rebind: u32,
    /// Its [`status`].
    pub status: u16,
    /// The first address.
    pub address: Option<IaAddress>,
}

impl IaNa {
    fn parse(data: &[u8]) -> Result<Self, WireError> {
        let (&[a, b, c, d, e, f, g, h, i, j, k, l], mut rest) = split::<12>(data)?;
        let mut ia = Self {
            iaid: u32::from_be_bytes([a, b, c, d]),
            renew: u32::from_be_bytes([e, f, g, h]),
            rebind: u32::from_be_bytes([i, j, k, l]),
            status: status::SUCCESS,
            address: None,
        };
        while !rest.is_empty() {
            let (code, data, after) = option(rest)?;
            rest = after;
            match (code, data) {
                (code::IA_ADDR, octets) if ia.address.is_none() => {
                    let (addr, more) = split::<16>(octets)?;
                    let (&[a, b, c, d, e, f, g, h], _) = split::<8>(more)?;
                    ia.address = Some(IaAddress {
                        addr: Ipv6Addr::from(*addr),
                        preferred: u32::from_be_bytes([a, b, c, d]),
                        valid: u32::from_be_bytes([e, f, g, h]),
                    });
                }
                (code::STATUS, &[a, b, ..]) => ia.status = u16::from_be_bytes([a, b]),
                _ => {}
            }
        }
        Ok(ia)
    }

    /// The option's data and its length.
    fn data(&self) -> ([u8; 46], usize) {
        let mut data = [0; 46];
        data[..4].copy_from_slice(&self.iaid.to_be_bytes());
        data[4..8].copy_from_slice(&self.renew.to_be_bytes());
        data[8..12].copy_from_slice(&self.rebind.to_be_bytes());
        let mut len = 12;
        if let Some(address) = self.address {
            data[12..16].copy_from_slice(&[0, code::IA_ADDR as u8, 0, 24]);
            data[16..32].copy_from_slice(&address.addr.octets());
            data[32..36].copy_from_slice(&address.preferred.to_be_bytes());
            data[36..40].copy_from_slice(&address.valid.to_be_bytes());
            len = 40;
        }
        if self.status != status::SUCCESS {
            let [a, b] = self.status.to_be_bytes();
            data[len..len + 6].copy_from_slice(&[0, code::STATUS as u8, 0, 2, a, b]);
            len += 6;
        }
        (data, len)
    }
}

/// One option: its code, its data, what follows.
fn option(bytes: &[u8]) -> Result<(u16, &[u8], &[u8]), WireError> {
    let (&[a, b, c, d], rest) = split::<4>(bytes)?;
    let len = usize::from(u16::from_be_bytes([c, d]));
    let (data, rest) = rest.split_at_checked(len).ok_or(WireError::Truncated)?;
    Ok((u16::from_be_bytes([a, b]), data, rest))
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr<'a> {
    /// What it is for.
    pub message_type: MessageType,
    /// The transaction's identifier, 24 bits.
    pub xid: u32,
    /// The client's DUID (RFC 8415 section 11).
    pub client_id: &'a [u8],
    /// The server's; empty: none.
    pub server_id: &'a [u8],
    /// How the server ranks; 255: none is better.
    pub preference: u8,
    /// The message's [`status`].
    pub status: u16,
    /// How long the client has been trying, in hundredths of a second.
    pub elapsed: Option<u16>,
    /// The first identity association.
    pub ia: Option<IaNa>,
    /// The options that the client wants: two octets each.
    pub requests: &'a [u8],
    /// Name servers, 16 octets each.
    pub name_servers: &'a [u8],
    /// Search domains, one after the other (RFC 3646 section 4).
    pub domains: &'a [u8],
    /// For how many seconds configuration without addresses is good.
    pub refresh: Option<u32>,
    /// The longest pause between Solicits or Information-requests, in seconds.
    pub most_pause: Option<u32>,
}

impl<'a> Repr<'a> {
    /// A message without options but the client's identifier.
    pub const fn new(message_type: MessageType, xid: u32, client_id: &'a [u8]) -> Self {
        Self {
            message_type,
            xid: xid & 0xff_ffff,
            client_id,
            server_id: &[],
            preference: 0,
            status: status::SUCCESS,
            elapsed: None,
            ia: None,
            requests: &[],
            name_servers: &[],
            domains: &[],
            refresh: None,
            most_pause: None,
        }
    }

    /// Reads a message.
    ///
    /// # Errors
    /// [`WireError::Unsupported`] for relay agents' and other messages; [`WireError::Truncated`] for an option that is cut off.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let (&[kind, a, b, c], mut rest) = split::<4>(bytes)?;
        let mut message = Self::new(MessageType::parse(kind)?, u32::from_be_bytes([0, a, b, c]), &[]);
        while !rest.is_empty() {
            let (code, data, after) = option(rest)?;
            rest = after;
            match (code, data) {
                (code::CLIENT_ID, id) => message.client_id = id,
                (code::SERVER_ID, id) => message.server_id = id,
                (code::IA_NA, data) if message.ia.is_none() => message.ia = Some(IaNa::parse(data)?),
                (code::ORO, data) => message.requests = data,
                (code::PREFERENCE, &[preference]) => message.preference = preference,
                (code::ELAPSED_TIME, &[a, b]) => message.elapsed = Some(u16::from_be_bytes([a, b])),
                (code::STATUS, &[a, b, ..]) => message.status = u16::from_be_bytes([a, b]),
                (code::DNS_SERVERS, data) => message.name_servers = data,
                (code::DOMAIN_LIST, data) => message.domains = data,
                (code::INFORMATION_REFRESH_TIME, &[a, b, c, d]) => {
                    message.refresh = Some(u32::from_be_bytes([a, b, c, d]));
                }
                (code::SOL_MAX_RT | code::INF_MAX_RT, &[a, b, c, d]) => {
                    message.most_pause = Some(u32::from_be_bytes([a, b, c, d]));
                }
                _ => {}
            }
        }
        Ok(message)
    }

    /// Calls `put` with each option's code and data.
    fn each(&self, put: &mut dyn FnMut(u16, &[u8])) {
        let mut bytes = |code, data: &[u8]| {
            if !data.is_empty() {
                put(code, data);
            }
        };
        bytes(code::CLIENT_ID, self.client_id);
        bytes(code::SERVER_ID, self.server_id);
        if let Some(ia) = &self.ia {
            let (data, len) = ia.data();
            bytes(code::IA_NA, data.get(..len).unwrap_or(&[]));
        }
        bytes(code::ORO, self.requests);
        if self.preference > 0 {
            bytes(code::PREFERENCE, &[self.preference]);
        }
        if let Some(elapsed) = self.elapsed {
            bytes(code::ELAPSED_TIME, &elapsed.to_be_bytes());
        }
        if self.status != status::SUCCESS {
            bytes(code::STATUS, &self.status.to_be_bytes());
        }
        bytes(code::DNS_SERVERS, self.name_servers);
        bytes(code::DOMAIN_LIST, self.domains);
        if let Some(refresh) = self.refresh {
            bytes(code::INFORMATION_REFRESH_TIME, &refresh.to_be_bytes());
        }
        if let Some(pause) = self.most_pause {
            bytes(code::SOL_MAX_RT, &pause.to_be_bytes());
        }
    }

    /// Bytes that [`emit`](Self::emit) writes.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        let mut len = 4;
        self.each(&mut |_, data| len += 4 + data.len());
        len
    }

    /// Writes the message.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when `bytes` is shorter than [`len`](Self::len).
    pub fn emit(&self, bytes: &mut [u8]) -> Result<(), WireError> {
        let mut at = 0;
        let mut short = false;
        let mut put = |part: &[u8]| match bytes.get_mut(at..at + part.len()) {
            Some(room) => {
                room.copy_from_slice(part);
                at += part.len();
            }
            None => short = true,
        };
        let [_, a, b, c] = self.xid.to_be_bytes();
        put(&[self.message_type as u8, a, b, c]);
        self.each(&mut |code, data| {
            let ([a, b], [c, d]) = (code.to_be_bytes(), (data.len() as u16).to_be_bytes());
            put(&[a, b, c, d]);
            put(data);
        });
        if short { Err(WireError::Truncated) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_reply_of_dnsmasq_is_read() {
        // As dnsmasq 2.90 writes it: IA_NA with its address and a status with words, then a preference, name servers.
        let mut bytes = vec![7, 0xab, 0xcd, 0xef, 0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, 1];
        bytes.extend([0, 2, 0, 6, 9, 9, 9, 9, 9, 9]);
        bytes.extend([0, 3, 0, 40, 0, 0, 0, 1, 0, 0, 0, 60, 0, 0, 0, 105, 0, 5, 0, 24]);
        bytes.extend("2001:db8::77".parse::<Ipv6Addr>().unwrap().octets());
        bytes.extend([0, 0, 0, 120, 0, 0, 0, 121]);
        bytes.extend([0, 13, 0, 9, 0, 0, b's', b'u', b'c', b'c', b'e', b's', b's']);
        let message = Repr::parse(&bytes).unwrap();
        assert_eq!((message.message_type, message.xid), (MessageType::Reply, 0xab_cdef));
        let address = IaAddress { addr: "2001:db8::77".parse().unwrap(), preferred: 120, valid: 121 };
        let ia = IaNa { iaid: 1, renew: 60, rebind: 105, status: 0, address: Some(address) };
        assert_eq!((message.ia, message.status, message.server_id), (Some(ia), 0, &[9; 6][..]));
        for cut in 1..bytes.len() {
            let _ = Repr::parse(&bytes[..cut]);
        }
        assert_eq!(Repr::parse(&bytes[..bytes.len() - 1]), Err(WireError::Truncated));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            xid in 0u32..1 << 24,
            id in prop::collection::vec(any::<u8>(), 1..130),
            ia in any::<Option<(u32, u32, u32, u16, Option<(u128, u32, u32)>)>>(),
            preference: u8,
            elapsed: Option<u16>,
            refresh: Option<u32>,
            servers in prop::collection::vec(any::<u8>(), 0..4),
        ) {
            let ia = ia.map(|(iaid, renew, rebind, status, address)| IaNa {
                iaid,
                renew,
                rebind,
                status,
                address: address.map(|(addr, preferred, valid)| IaAddress { addr: addr.into(), preferred, valid }),
            });
            let servers = servers.repeat(16);
            let message = Repr {
                ia,
                preference,
                elapsed,
                refresh,
                name_servers: &servers,
                requests: &REQUESTS,
                ..Repr::new(MessageType::Request, xid, &id)
            };
            let mut bytes = vec![0; message.len()];
            message.emit(&mut bytes).unwrap();
            prop_assert_eq!(Repr::parse(&bytes), Ok(message));
            prop_assert!(message.emit(&mut bytes[1..]).is_err());
        }

        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Repr::parse(&bytes);
        }
    }
}
