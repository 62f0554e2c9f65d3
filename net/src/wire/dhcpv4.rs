//! The Dynamic Host Configuration Protocol (RFC 2131) and its options (RFC 2132, RFC 3396, RFC 3442).
use super::{WireError, split, split_mut};
use airglow_device::MacAddr;
use core::net::Ipv4Addr;
use heapless::Vec;

/// The server's port.
pub const SERVER_PORT: u16 = 67;
/// The client's port.
pub const CLIENT_PORT: u16 = 68;
/// Length of the fixed part, up to and with the magic cookie.
pub const FIXED_LEN: usize = 240;
/// Shorter messages are padded to this: relays drop less (RFC 1542 section 2.1).
const MIN_LEN: usize = 300;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Where the server name and the boot file name are; options may overflow into them (RFC 2132 section 9.3).
const SNAME: core::ops::Range<usize> = 44..108;
const FILE: core::ops::Range<usize> = 108..236;

mod option {
    pub const SUBNET_MASK: u8 = 1;
    pub const ROUTER: u8 = 3;
    pub const NAME_SERVERS: u8 = 6;
    pub const REQUESTED_IP: u8 = 50;
    pub const LEASE_TIME: u8 = 51;
    pub const OVERLOAD: u8 = 52;
    pub const MESSAGE_TYPE: u8 = 53;
    pub const SERVER_ID: u8 = 54;
    pub const PARAMETERS: u8 = 55;
    pub const MAX_SIZE: u8 = 57;
    pub const RENEWAL_TIME: u8 = 58;
    pub const REBINDING_TIME: u8 = 59;
    pub const CLIENT_ID: u8 = 61;
    pub const CLASSLESS_ROUTES: u8 = 121;
}

/// What a client asks for: mask, routers, name servers, classless routes.
pub const PARAMETERS: [u8; 4] =
    [option::SUBNET_MASK, option::CLASSLESS_ROUTES, option::ROUTER, option::NAME_SERVERS];

/// The kind of a message (RFC 2132 section 9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum MessageType {
    Discover = 1,
    Offer = 2,
    Request = 3,
    Decline = 4,
    Ack = 5,
    Nak = 6,
    Release = 7,
    Inform = 8,
}

impl MessageType {
    const ALL: [Self; 8] = [
        Self::Discover,
        Self::Offer,
        Self::Request,
        Self::Decline,
        Self::Ack,
        Self::Nak,
        Self::Release,
        Self::Inform,
    ];
    fn is_from_server(self) -> bool {
        matches!(self, Self::Offer | Self::Ack | Self::Nak)
    }
}

/// More pieces of an option are not taken.
const PIECES: usize = 6;

/// The content of an option, which a long one has in pieces of up to 255 bytes (RFC 3396).
#[derive(Clone, Copy, Debug, Default)]
pub struct LongOption<'a> {
    pieces: [&'a [u8]; PIECES],
}

impl<'a> LongOption<'a> {
    /// All of it, in order.
    pub fn bytes(self) -> impl Iterator<Item = u8> {
        self.pieces.into_iter().flatten().copied()
    }

    fn push(&mut self, piece: &'a [u8]) -> Result<(), WireError> {
        // An empty piece adds nothing and takes no place.
        *self.pieces.iter_mut().find(|place| place.is_empty()).ok_or(WireError::Unsupported)? = piece;
        Ok(())
    }
}

impl<'a> From<&'a [u8]> for LongOption<'a> {
    fn from(whole: &'a [u8]) -> Self {
        let mut option = Self::default();
        option.pieces[0] = whole;
        option
    }
}

impl PartialEq for LongOption<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes().eq(other.bytes())
    }
}
impl Eq for LongOption<'_> {}

/// A message: the fields and options that this stack uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repr<'a> {
    /// What it is; also says who sent it.
    pub message_type: MessageType,
    /// Transaction identifier.
    pub xid: u32,
    /// Seconds since the client began.
    pub secs: u16,
    /// The client cannot take unicast packets yet.
    pub broadcast: bool,
    /// The client's address, if it may use it.
    pub ciaddr: Ipv4Addr,
    /// "Your" address.
    pub yiaddr: Ipv4Addr,
    /// The client's Ethernet address.
    pub chaddr: MacAddr,
    /// Requested IP address.
    pub requested_ip: Option<Ipv4Addr>,
    /// Server identifier.
    pub server_id: Option<Ipv4Addr>,
    /// Lease time in seconds; `u32::MAX`: for ever.
    pub lease_time: Option<u32>,
    /// T1 in seconds.
    pub renewal_time: Option<u32>,
    /// T2 in seconds.
    pub rebinding_time: Option<u32>,
    /// Subnet mask.
    pub subnet_mask: Option<Ipv4Addr>,
    /// The first router.
    pub router: Option<Ipv4Addr>,
    /// The first name servers.
    pub name_servers: Vec<Ipv4Addr, 3>,
    /// Classless static routes (RFC 3442), as [`classless_routes`] reads them; empty: none.
    pub classless_routes: LongOption<'a>,
    /// The largest message the client takes.
    pub max_size: Option<u16>,
    /// The options the client wants; empty: it does not say.
    pub parameters: &'a [u8],
    /// Client identifier; empty: none.
    pub client_id: &'a [u8],
}

/// The options in one area, without padding.
fn options(mut bytes: &[u8]) -> impl Iterator<Item = Result<(u8, &[u8]), WireError>> {
    core::iter::from_fn(move || {
        loop {
            let (kind, rest) = bytes.split_first()?;
            match kind {
                0 => bytes = rest,
                255 => return None,
                _ => {
                    let option =
                        rest.split_first().and_then(|(len, rest)| rest.split_at_checked((*len).into()));
                    let Some((data, rest)) = option else {
                        bytes = &[];
                        return Some(Err(WireError::Truncated));
                    };
                    bytes = rest;
                    return Some(Ok((*kind, data)));
                }
            }
        }
    })
}

fn addr(data: &[u8]) -> Option<Ipv4Addr> {
    data.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets))
}
fn number(data: &[u8]) -> Option<u32> {
    data.first_chunk::<4>().map(|octets| u32::from_be_bytes(*octets))
}

/// The routes of a classless-static-routes option: destination, prefix length, router (unspecified: on the link).
pub fn classless_routes(
    mut bytes: impl Iterator<Item = u8>,
) -> impl Iterator<Item = (Ipv4Addr, u8, Ipv4Addr)> {
    core::iter::from_fn(move || {
        let prefix_len = bytes.next().filter(|len| *len <= 32)?;
        let mut read = |len: usize| {
            let mut octets = [0; 4];
            for octet in octets.iter_mut().take(len) {
                *octet = bytes.next()?;
            }
            Some(Ipv4Addr::from(octets))
        };
        let destination = read(usize::from(prefix_len).div_ceil(8))?;
        Some((destination, prefix_len, read(4)?))
    })
}

impl<'a> Repr<'a> {
    /// A message of a client without addresses or options.
    pub const fn client(message_type: MessageType, xid: u32, chaddr: MacAddr) -> Self {
        Self {
            message_type,
            xid,
            secs: 0,
            broadcast: false,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            chaddr,
            requested_ip: None,
            server_id: None,
            lease_time: None,
            renewal_time: None,
            rebinding_time: None,
            subnet_mask: None,
            router: None,
            name_servers: Vec::new(),
            classless_routes: LongOption { pieces: [&[]; PIECES] },
            max_size: None,
            parameters: &[],
            client_id: &[],
        }
    }

    /// # Errors
    /// [`WireError::Truncated`]; [`WireError::Malformed`] for a contradiction; [`WireError::Unsupported`] for plain BOOTP, other
    /// hardware than Ethernet, unknown types.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let (fixed, rest) = split::<FIXED_LEN>(bytes)?;
        if fixed[1..3] != [1, 6] || fixed[236..] != COOKIE {
            return Err(WireError::Unsupported);
        }
        let [_, _, _, _, a, b, c, d, e, f, flags, ..] = *fixed;
        let [m0, m1, m2, m3, m4, m5] = [fixed[28], fixed[29], fixed[30], fixed[31], fixed[32], fixed[33]];
        let mut repr = Self::client(
            MessageType::Discover,
            u32::from_be_bytes([a, b, c, d]),
            MacAddr([m0, m1, m2, m3, m4, m5]),
        );
        repr.secs = u16::from_be_bytes([e, f]);
        repr.broadcast = flags & 0x80 != 0;
        repr.ciaddr = addr(&fixed[12..16]).unwrap_or(Ipv4Addr::UNSPECIFIED);
        repr.yiaddr = addr(&fixed[16..20]).unwrap_or(Ipv4Addr::UNSPECIFIED);

        let mut message_type = None;
        let (mut overload, mut name_servers) = (0, LongOption::default());
        repr.read_options(rest, &mut message_type, &mut overload, &mut name_servers)?;
        for (bit, area) in [(1, FILE), (2, SNAME)] {
            if overload & bit != 0 {
                repr.read_options(&fixed[area], &mut message_type, &mut 0, &mut name_servers)?;
            }
        }
        let mut bytes = name_servers.bytes();
        while let (false, (Some(a), Some(b), Some(c), Some(d))) =
            (repr.name_servers.is_full(), (bytes.next(), bytes.next(), bytes.next(), bytes.next()))
        {
            let _ = repr.name_servers.push(Ipv4Addr::new(a, b, c, d));
        }
        repr.message_type = message_type.ok_or(WireError::Unsupported)?;
        let op = if repr.message_type.is_from_server() { 2 } else { 1 };
        if fixed[0] == op { Ok(repr) } else { Err(WireError::Malformed) }
    }

    fn read_options(
        &mut self,
        area: &'a [u8],
        message_type: &mut Option<MessageType>,
        overload: &mut u8,
        name_servers: &mut LongOption<'a>,
    ) -> Result<(), WireError> {
        for option in options(area) {
            let (kind, data) = option?;
            match (kind, data) {
                (option::MESSAGE_TYPE, &[kind]) => {
                    let known = MessageType::ALL.into_iter().find(|t| *t as u8 == kind);
                    *message_type = Some(known.ok_or(WireError::Unsupported)?);
                }
                (option::OVERLOAD, &[bits]) => *overload = bits,
                (option::SUBNET_MASK, _) => self.subnet_mask = addr(data),
                (option::ROUTER, _) => self.router = addr(data),
                //= https://www.rfc-editor.org/rfc/rfc3396#section-5
                //# The aggregate option buffer is made up of
                //# the optional parameters field, the file field, and the sname field,
                //# in that order.
                (option::NAME_SERVERS, _) => name_servers.push(data)?,
                (option::REQUESTED_IP, _) => self.requested_ip = addr(data),
                (option::SERVER_ID, _) => self.server_id = addr(data),
                (option::LEASE_TIME, _) => self.lease_time = number(data),
                (option::RENEWAL_TIME, _) => self.renewal_time = number(data),
                (option::REBINDING_TIME, _) => self.rebinding_time = number(data),
                (option::MAX_SIZE, &[a, b]) => self.max_size = Some(u16::from_be_bytes([a, b])),
                (option::PARAMETERS, _) => self.parameters = data,
                (option::CLIENT_ID, _) => self.client_id = data,
                (option::CLASSLESS_ROUTES, _) => self.classless_routes.push(data)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Calls `put` with each option that is there.
    fn each_option(&self, put: &mut dyn FnMut(u8, &[u8])) {
        put(option::MESSAGE_TYPE, &[self.message_type as u8]);
        let addresses = [
            (option::REQUESTED_IP, self.requested_ip),
            (option::SERVER_ID, self.server_id),
            (option::SUBNET_MASK, self.subnet_mask),
            (option::ROUTER, self.router),
        ];
        for (kind, addr) in addresses {
            if let Some(addr) = addr {
                put(kind, &addr.octets());
            }
        }
        let numbers = [
            (option::LEASE_TIME, self.lease_time),
            (option::RENEWAL_TIME, self.renewal_time),
            (option::REBINDING_TIME, self.rebinding_time),
        ];
        for (kind, number) in numbers {
            if let Some(number) = number {
                put(kind, &number.to_be_bytes());
            }
        }
        if let Some(size) = self.max_size {
            put(option::MAX_SIZE, &size.to_be_bytes());
        }
        if !self.name_servers.is_empty() {
            let mut octets = [0; 12];
            for (to, from) in octets.chunks_exact_mut(4).zip(&self.name_servers) {
                to.copy_from_slice(&from.octets());
            }
            put(option::NAME_SERVERS, octets.get(..self.name_servers.len() * 4).unwrap_or(&[]));
        }
        let routes = self.classless_routes.pieces.map(|piece| (option::CLASSLESS_ROUTES, piece));
        let runs = [(option::PARAMETERS, self.parameters), (option::CLIENT_ID, self.client_id)];
        // RFC 3396 section 4: what is longer than an option goes into several, one behind the other.
        for (kind, run) in routes.into_iter().chain(runs) {
            for piece in run.chunks(255) {
                put(kind, piece);
            }
        }
    }

    /// Bytes that [`emit`](Self::emit) writes, at least 300.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        let mut len = FIXED_LEN + 1;
        self.each_option(&mut |_, data| len += 2 + data.len());
        len.max(MIN_LEN)
    }

    /// Writes the message.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when `bytes` is shorter than [`len`](Self::len).
    pub fn emit(&self, bytes: &mut [u8]) -> Result<(), WireError> {
        let bytes = bytes.get_mut(..self.len()).ok_or(WireError::Truncated)?;
        bytes.fill(0);
        let (fixed, rest) = split_mut::<FIXED_LEN>(bytes)?;
        let op = if self.message_type.is_from_server() { 2 } else { 1 };
        fixed[..4].copy_from_slice(&[op, 1, 6, 0]);
        fixed[4..8].copy_from_slice(&self.xid.to_be_bytes());
        fixed[8..10].copy_from_slice(&self.secs.to_be_bytes());
        fixed[10] = u8::from(self.broadcast) << 7;
        fixed[12..16].copy_from_slice(&self.ciaddr.octets());
        fixed[16..20].copy_from_slice(&self.yiaddr.octets());
        fixed[28..34].copy_from_slice(&self.chaddr.0);
        fixed[236..].copy_from_slice(&COOKIE);
        let mut at = 0;
        self.each_option(&mut |kind, data| {
            if let Some(to) = rest.get_mut(at..at + 2 + data.len()) {
                to[..2].copy_from_slice(&[kind, data.len() as u8]);
                to[2..].copy_from_slice(data);
            }
            at += 2 + data.len();
        });
        if let Some(end) = rest.get_mut(at) {
            *end = 255;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_overflow_into_the_names() {
        let repr = Repr::client(MessageType::Request, 7, MacAddr([2; 6]));
        let mut bytes = vec![0; repr.len()];
        repr.emit(&mut bytes).unwrap();
        // Overload into both; the lease time in `file`, the router in `sname`.
        bytes[243..247].copy_from_slice(&[52, 1, 3, 255]);
        bytes[FILE][..7].copy_from_slice(&[51, 4, 0, 0, 0, 9, 255]);
        bytes[SNAME][..7].copy_from_slice(&[3, 4, 10, 0, 0, 1, 255]);
        let parsed = Repr::parse(&bytes).unwrap();
        assert_eq!((parsed.lease_time, parsed.router), (Some(9), Some(Ipv4Addr::new(10, 0, 0, 1))));
        bytes[SNAME][1] = 200;
        assert_eq!(Repr::parse(&bytes), Err(WireError::Truncated));
    }

    #[test]
    fn classless_routes_of_rfc_3442() {
        let bytes =
            [0, 10, 0, 0, 1, 8, 10, 10, 0, 0, 2, 24, 10, 17, 1, 10, 0, 0, 3, 32, 1, 2, 3, 4, 0, 0, 0, 0];
        let ip = Ipv4Addr::new;
        let want = [
            (ip(0, 0, 0, 0), 0, ip(10, 0, 0, 1)),
            (ip(10, 0, 0, 0), 8, ip(10, 0, 0, 2)),
            (ip(10, 17, 1, 0), 24, ip(10, 0, 0, 3)),
            (ip(1, 2, 3, 4), 32, ip(0, 0, 0, 0)),
        ];
        assert!(classless_routes(bytes.into_iter()).eq(want));
        assert_eq!(classless_routes([33, 1, 2, 3, 4, 5, 6, 7, 8].into_iter()).count(), 0);
        assert_eq!(classless_routes([24, 1].into_iter()).count(), 0);
    }

    //= https://www.rfc-editor.org/rfc/rfc3396#section-5
    //= type=test
    //# The aggregate option buffer is made up of
    //# the optional parameters field, the file field, and the sname field,
    //# in that order.
    #[test]
    fn long_options_come_and_go_in_pieces() {
        // Fifty routes of eight bytes each: 400 bytes, in options of 255 and 145.
        let routes: std::vec::Vec<u8> = (0..50).flat_map(|n| [24, 10, n, 0, 10, 0, 0, n]).collect();
        let repr = Repr {
            classless_routes: routes.as_slice().into(),
            ..Repr::client(MessageType::Ack, 7, MacAddr([2; 6]))
        };
        let mut bytes = vec![0; repr.len()];
        repr.emit(&mut bytes).unwrap();
        assert_eq!(bytes[FIXED_LEN..][..5], [53, 1, 5, 121, 255]);
        assert_eq!(bytes[FIXED_LEN + 3 + 257..][..2], [121, 145]);
        let parsed = Repr::parse(&bytes).unwrap();
        assert_eq!(parsed, repr);
        let read: std::vec::Vec<_> = classless_routes(parsed.classless_routes.bytes()).collect();
        assert_eq!(read.len(), 50);
        assert_eq!(read[31], (Ipv4Addr::new(10, 31, 0, 0), 24, Ipv4Addr::new(10, 0, 0, 31)), "cut in two");

        // One option over three areas, cut within addresses.
        let mut bytes = vec![0; 300];
        Repr::client(MessageType::Ack, 7, MacAddr([2; 6])).emit(&mut bytes).unwrap();
        bytes[243..].fill(0);
        bytes[243..252].copy_from_slice(&[52, 1, 3, 6, 3, 10, 0, 0, 255]);
        bytes[FILE][..6].copy_from_slice(&[6, 3, 1, 10, 0, 255]);
        bytes[SNAME][..5].copy_from_slice(&[6, 2, 0, 2, 255]);
        let parsed = Repr::parse(&bytes).unwrap();
        assert_eq!(parsed.name_servers[..], [[10, 0, 0, 1], [10, 0, 0, 2]].map(Ipv4Addr::from));

        // More pieces than there is room for are refused, not half understood.
        let mut bytes = vec![0; 300];
        Repr::client(MessageType::Ack, 7, MacAddr([2; 6])).emit(&mut bytes).unwrap();
        for (n, piece) in bytes[243..243 + 7 * 3].as_chunks_mut::<3>().0.iter_mut().enumerate() {
            *piece = [121, 1, n as u8];
        }
        bytes[243 + 21] = 255;
        assert_eq!(Repr::parse(&bytes), Err(WireError::Unsupported));
    }
}
