//! The messages of neighbour discovery (RFC 4861 section 4) and their options. They are ICMPv6 messages; their checksum
//! covers the IP addresses, so it is the IP layer's business.
use super::{WireError, split, split_mut};
use airglow_device::MacAddr;
use core::{net::Ipv6Addr, time::Duration};

/// A message. `options` is a sequence that was checked to be well formed; read it with [`options`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repr<'a> {
    /// Is there a router?
    RouterSolicitation {
        /// The sender's link-layer address, unless it has no address yet.
        options: &'a [u8],
    },
    /// A router says what the link is like.
    RouterAdvertisement {
        /// What to put into the hop limit; 0: the router does not say.
        hop_limit: u8,
        /// Addresses are to be had by DHCPv6.
        managed: bool,
        /// Other configuration is to be had by DHCPv6.
        other: bool,
        /// How it ranks among the routers of the link (RFC 4191).
        preference: Preference,
        /// For how many seconds it is a default router; 0: it is none.
        lifetime: u16,
        /// Milliseconds a neighbour counts as reachable; 0: the router does not say.
        reachable_time: u32,
        /// Milliseconds between solicitations; 0: the router does not say.
        retransmit_timer: u32,
        /// Prefixes, MTU, name servers.
        options: &'a [u8],
    },
    /// Who has `target`?
    NeighborSolicitation {
        /// The address asked for.
        target: Ipv6Addr,
        /// The sender's link-layer address, unless it has no address yet.
        options: &'a [u8],
    },
    /// `target` is here.
    NeighborAdvertisement {
        /// The sender is a router.
        router: bool,
        /// It answers a solicitation.
        solicited: bool,
        /// It overrides what was known.
        overrides: bool,
        /// The address.
        target: Ipv6Addr,
        /// The target's link-layer address.
        options: &'a [u8],
    },
    /// A router knows a better first hop.
    Redirect {
        /// The better first hop; the destination itself if that is a neighbour.
        target: Ipv6Addr,
        /// Where the packet was going.
        destination: Ipv6Addr,
        /// The target's link-layer address, the packet.
        options: &'a [u8],
    },
}

/// How a router or a route ranks among others (RFC 4191 section 2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preference {
    /// Before others.
    High,
    /// As usual.
    #[default]
    Medium,
    /// After others.
    Low,
}

impl Preference {
    /// From the bits 3 and 4 of a flags octet; `None` for the reserved value.
    fn parse(flags: u8) -> Option<Self> {
        match flags >> 3 & 3 {
            0 => Some(Self::Medium),
            1 => Some(Self::High),
            3 => Some(Self::Low),
            _ => None,
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Medium => 0,
            Self::High => 1 << 3,
            Self::Low => 3 << 3,
        }
    }
}

/// One option (RFC 4861 section 4.6, RFC 8106 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NdpOption<'a> {
    /// The sender's Ethernet address.
    SourceLinkLayer(MacAddr),
    /// The target's Ethernet address.
    TargetLinkLayer(MacAddr),
    /// A prefix of the link.
    Prefix {
        /// Length of the prefix in bits.
        prefix_len: u8,
        /// Hosts with the prefix are on the link.
        on_link: bool,
        /// Hosts may make addresses of it.
        autonomous: bool,
        /// How long the prefix is valid, in seconds; `u32::MAX`: for ever.
        valid: u32,
        /// How long addresses of it are preferred, in seconds.
        preferred: u32,
        /// The prefix.
        prefix: Ipv6Addr,
    },
    /// The link's MTU.
    Mtu(u32),
    /// A route over the router (RFC 4191 section 2.3).
    Route {
        /// Length of the prefix in bits.
        prefix_len: u8,
        /// How it ranks; `None`: the reserved value, with which the option is to be ignored.
        preference: Option<Preference>,
        /// For how many seconds; 0: no longer; `u32::MAX`: for ever.
        lifetime: u32,
        /// The prefix; zeros behind its length.
        prefix: Ipv6Addr,
    },
    /// Name servers: for how many seconds, and their addresses, 16 bytes each.
    NameServers {
        /// For how many seconds; 0: no longer.
        lifetime: u32,
        /// The addresses.
        addresses: &'a [u8],
    },
    /// Any other.
    Other {
        /// Its type.
        kind: u8,
        /// What follows type and length.
        data: &'a [u8],
    },
}

/// A lifetime in seconds; `u32::MAX` means for ever.
pub fn lifetime(seconds: u32) -> Duration {
    if seconds == u32::MAX { Duration::MAX } else { Duration::from_secs(seconds.into()) }
}

fn addr(octets: &[u8; 16]) -> Ipv6Addr {
    Ipv6Addr::from(*octets)
}

/// One option at the start of `bytes`, and what follows it.
fn split_option(bytes: &[u8]) -> Result<(u8, &[u8], &[u8]), WireError> {
    let (&[kind, len], _) = split::<2>(bytes)?;
    //= https://www.rfc-editor.org/rfc/rfc4861#section-4.6
    //# The value 0 is invalid.  Nodes MUST
    //# silently discard an ND packet that contains an
    //# option with length zero.
    if len == 0 {
        return Err(WireError::Malformed);
    }
    let (option, rest) = bytes.split_at_checked(usize::from(len) * 8).ok_or(WireError::Truncated)?;
    Ok((kind, option.get(2..).unwrap_or(&[]), rest))
}

/// The options of a message that [`Repr::parse`] has checked.
pub fn options(mut bytes: &[u8]) -> impl Iterator<Item = NdpOption<'_>> {
    core::iter::from_fn(move || {
        let (kind, data, rest) = split_option(bytes).ok()?;
        bytes = rest;
        Some(NdpOption::parse(kind, data))
    })
}

impl<'a> NdpOption<'a> {
    fn parse(kind: u8, data: &'a [u8]) -> Self {
        let other = Self::Other { kind, data };
        match (kind, data) {
            (1, &[a, b, c, d, e, f]) => Self::SourceLinkLayer(MacAddr([a, b, c, d, e, f])),
            (2, &[a, b, c, d, e, f]) => Self::TargetLinkLayer(MacAddr([a, b, c, d, e, f])),
            (3, &[prefix_len, flags, a, b, c, d, e, f, g, h, _, _, _, _, ref prefix @ ..]) => {
                let Some(prefix) = prefix.first_chunk::<16>().filter(|_| prefix.len() == 16) else {
                    return other;
                };
                Self::Prefix {
                    prefix_len,
                    on_link: flags & 0x80 != 0,
                    autonomous: flags & 0x40 != 0,
                    valid: u32::from_be_bytes([a, b, c, d]),
                    preferred: u32::from_be_bytes([e, f, g, h]),
                    prefix: addr(prefix),
                }
            }
            (5, &[_, _, a, b, c, d]) => Self::Mtu(u32::from_be_bytes([a, b, c, d])),
            (24, &[prefix_len, flags, a, b, c, d, ref rest @ ..])
                if matches!(rest.len(), 0 | 8 | 16) && usize::from(prefix_len) <= rest.len() * 8 =>
            {
                let mut prefix = [0; 16];
                for (to, from) in prefix.iter_mut().zip(rest) {
                    *to = *from;
                }
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix_len)).unwrap_or(0);
                Self::Route {
                    prefix_len,
                    preference: Preference::parse(flags),
                    lifetime: u32::from_be_bytes([a, b, c, d]),
                    prefix: Ipv6Addr::from_bits(u128::from_be_bytes(prefix) & mask),
                }
            }
            (25, &[_, _, a, b, c, d, ref addresses @ ..])
                if !addresses.is_empty() && addresses.len() % 16 == 0 =>
            {
                Self::NameServers { lifetime: u32::from_be_bytes([a, b, c, d]), addresses }
            }
            _ => other,
        }
    }

    /// Bytes that [`emit`](Self::emit) writes, a multiple of 8.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        match self {
            Self::SourceLinkLayer(_) | Self::TargetLinkLayer(_) | Self::Mtu(_) => 8,
            Self::Prefix { .. } => 32,
            Self::Route { .. } => 24,
            Self::NameServers { addresses, .. } => 8 + addresses.len(),
            Self::Other { data, .. } => 2 + data.len(),
        }
    }

    /// Writes the option and returns the rest of `bytes`.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when `bytes` is too short; [`WireError::Malformed`] when its length is not a multiple of 8 up to 2,040.
    pub fn emit<'b>(&self, bytes: &'b mut [u8]) -> Result<&'b mut [u8], WireError> {
        let len = self.len();
        let units = u8::try_from(len / 8).map_err(|_| WireError::Malformed)?;
        if !len.is_multiple_of(8) || units == 0 {
            return Err(WireError::Malformed);
        }
        let (option, rest) = bytes.split_at_mut_checked(len).ok_or(WireError::Truncated)?;
        let (head, data) = split_mut::<2>(option)?;
        let mut put = |kind: u8, parts: &[&[u8]]| {
            *head = [kind, units];
            let mut at = 0;
            for part in parts {
                if let Some(to) = data.get_mut(at..at + part.len()) {
                    to.copy_from_slice(part);
                }
                at += part.len();
            }
        };
        match *self {
            Self::SourceLinkLayer(mac) => put(1, &[&mac.0]),
            Self::TargetLinkLayer(mac) => put(2, &[&mac.0]),
            Self::Prefix { prefix_len, on_link, autonomous, valid, preferred, prefix } => {
                let flags = u8::from(on_link) << 7 | u8::from(autonomous) << 6;
                let head = [prefix_len, flags];
                put(3, &[&head, &valid.to_be_bytes(), &preferred.to_be_bytes(), &[0; 4], &prefix.octets()]);
            }
            Self::Route { prefix_len, preference, lifetime, prefix } => {
                let head = [prefix_len, preference.map_or(2 << 3, Preference::bits)];
                put(24, &[&head, &lifetime.to_be_bytes(), &prefix.octets()]);
            }
            Self::Mtu(mtu) => put(5, &[&[0; 2], &mtu.to_be_bytes()]),
            Self::NameServers { lifetime, addresses } => {
                put(25, &[&[0; 2], &lifetime.to_be_bytes(), addresses])
            }
            Self::Other { kind, data } => put(kind, &[data]),
        }
        Ok(rest)
    }
}

impl<'a> Repr<'a> {
    /// Reads a message whose checksum is right, and checks that its options are well formed.
    ///
    /// # Errors
    /// [`WireError::Truncated`], [`WireError::Malformed`]; [`WireError::Unsupported`] for other ICMPv6 types.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let (&[kind, code, _, _, a, b, c, d], rest) = split::<8>(bytes)?;
        if !(133..=137).contains(&kind) {
            return Err(WireError::Unsupported);
        }
        if code != 0 {
            return Err(WireError::Malformed);
        }
        let message = match kind {
            133 => Self::RouterSolicitation { options: rest },
            134 => {
                let (&[e, f, g, h, i, j, k, l], options) = split::<8>(rest)?;
                Self::RouterAdvertisement {
                    hop_limit: a,
                    managed: b & 0x80 != 0,
                    other: b & 0x40 != 0,
                    // RFC 4191 section 2.2: the reserved value counts as medium, and so does any of no default router.
                    preference: Preference::parse(b).filter(|_| [c, d] != [0, 0]).unwrap_or_default(),
                    lifetime: u16::from_be_bytes([c, d]),
                    reachable_time: u32::from_be_bytes([e, f, g, h]),
                    retransmit_timer: u32::from_be_bytes([i, j, k, l]),
                    options,
                }
            }
            135 => {
                let (target, options) = split::<16>(rest)?;
                Self::NeighborSolicitation { target: addr(target), options }
            }
            136 => {
                let (target, options) = split::<16>(rest)?;
                Self::NeighborAdvertisement {
                    router: a & 0x80 != 0,
                    solicited: a & 0x40 != 0,
                    overrides: a & 0x20 != 0,
                    target: addr(target),
                    options,
                }
            }
            _ => {
                let (target, rest) = split::<16>(rest)?;
                let (destination, options) = split::<16>(rest)?;
                Self::Redirect { target: addr(target), destination: addr(destination), options }
            }
        };
        let mut rest = message.options();
        while !rest.is_empty() {
            rest = split_option(rest)?.2;
        }
        Ok(message)
    }

    /// The options, as bytes.
    pub fn options(&self) -> &'a [u8] {
        match *self {
            Self::RouterSolicitation { options }
            | Self::RouterAdvertisement { options, .. }
            | Self::NeighborSolicitation { options, .. }
            | Self::NeighborAdvertisement { options, .. }
            | Self::Redirect { options, .. } => options,
        }
    }

    /// Bytes that [`emit`](Self::emit) writes.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        let fixed = match self {
            Self::RouterSolicitation { .. } => 8,
            Self::RouterAdvertisement { .. } => 16,
            Self::NeighborSolicitation { .. } | Self::NeighborAdvertisement { .. } => 24,
            Self::Redirect { .. } => 40,
        };
        fixed + self.options().len()
    }

    /// Writes the message, its checksum field zero.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when `bytes` is shorter than [`len`](Self::len).
    pub fn emit(&self, bytes: &mut [u8]) -> Result<(), WireError> {
        let options = self.options();
        let bytes = bytes.get_mut(..self.len()).ok_or(WireError::Truncated)?;
        let (body, tail) =
            bytes.split_at_mut_checked(bytes.len() - options.len()).ok_or(WireError::Truncated)?;
        tail.copy_from_slice(options);
        let (head, rest) = split_mut::<8>(body)?;
        let mut put = |at: usize, part: &[u8]| {
            if let Some(to) = rest.get_mut(at..at + part.len()) {
                to.copy_from_slice(part);
            }
        };
        *head = match *self {
            Self::RouterSolicitation { .. } => [133, 0, 0, 0, 0, 0, 0, 0],
            Self::RouterAdvertisement {
                hop_limit,
                managed,
                other,
                preference,
                lifetime,
                reachable_time,
                retransmit_timer,
                ..
            } => {
                put(0, &reachable_time.to_be_bytes());
                put(4, &retransmit_timer.to_be_bytes());
                let [c, d] = lifetime.to_be_bytes();
                let flags = u8::from(managed) << 7 | u8::from(other) << 6 | preference.bits();
                [134, 0, 0, 0, hop_limit, flags, c, d]
            }
            Self::NeighborSolicitation { target, .. } => {
                put(0, &target.octets());
                [135, 0, 0, 0, 0, 0, 0, 0]
            }
            Self::NeighborAdvertisement { router, solicited, overrides, target, .. } => {
                put(0, &target.octets());
                let flags = u8::from(router) << 7 | u8::from(solicited) << 6 | u8::from(overrides) << 5;
                [136, 0, 0, 0, flags, 0, 0, 0]
            }
            Self::Redirect { target, destination, .. } => {
                put(0, &target.octets());
                put(16, &destination.octets());
                [137, 0, 0, 0, 0, 0, 0, 0]
            }
        };
        Ok(())
    }
}
