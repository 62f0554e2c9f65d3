//! The addresses of the stack's interfaces, and which of them to send from.
use crate::{config::IpCidr, policy::policy};
use airglow_device::Instant;
use core::net::{IpAddr, Ipv6Addr};

/// Who gave an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The application or its boot parameters.
    Static,
    /// A DHCP server.
    Dhcp,
    /// A DHCPv6 server.
    Dhcpv6,
    /// This stack, for use on the link alone (RFC 4291 section 2.5.6).
    LinkLocal,
    /// A router's prefix (RFC 4862).
    Slaac,
    /// The same for a day, so that it names nobody for long (RFC 8981).
    Temporary,
}

/// What may be done with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressState {
    /// Being checked for another owner; not used (RFC 5227 section 2.1.1, RFC 4862 section 5.4).
    Tentative,
    /// In use, and being announced (RFC 5227 section 2.3).
    Announcing,
    /// In use.
    Ready,
    /// Another host has it; not used.
    Duplicate,
}

/// One address of an interface.
#[derive(Clone, Copy, Debug)]
pub struct Address {
    /// The interface's number.
    pub interface: usize,
    /// The address and its network.
    pub cidr: IpCidr,
    /// Who gave it.
    pub origin: Origin,
    /// What may be done with it.
    pub state: AddressState,
    /// Not chosen for new conversations any more after this (RFC 4862 section 5.5.4).
    pub preferred_until: Instant,
    /// Removed after this.
    pub valid_until: Instant,
    /// When the next probe or announcement goes out.
    pub(crate) next: Instant,
    /// How many went out.
    pub(crate) sent: u8,
    /// How many addresses of the same prefix were another host's already (RFC 7217 section 6).
    pub(crate) duplicates: u8,
    /// When it was last defended (RFC 5227 section 2.4).
    pub(crate) conflict: Option<Instant>,
}

impl Address {
    /// May be sent from and received on.
    pub fn is_usable(&self) -> bool {
        matches!(self.state, AddressState::Announcing | AddressState::Ready)
    }
}

/// The scope of an address: the larger the further it reaches (RFC 6724 section 3.1, RFC 4291 section 2.7).
pub(crate) fn scope(addr: IpAddr) -> u8 {
    match addr {
        IpAddr::V4(addr) if addr.is_loopback() || addr.is_link_local() => 2,
        IpAddr::V4(_) => 14,
        IpAddr::V6(addr) if addr.is_multicast() => addr.octets()[1] & 0x0f,
        IpAddr::V6(addr) if addr.is_unicast_link_local() || addr.is_loopback() => 2,
        IpAddr::V6(_) => 14,
    }
}

pub(crate) fn common_prefix(a: IpAddr, b: IpAddr) -> u32 {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => 0,
    }
}

/// Chooses the address to send from to `dst` over `interface`: rules 1, 2, 3, 6, 7 and 8 of RFC 6724 section 5 (5 holds since
/// only the outgoing interface's addresses are looked at).
pub(crate) fn choose_source(
    addresses: &[Option<Address>],
    interface: usize,
    dst: IpAddr,
    now: Instant,
) -> Option<IpAddr> {
    let mut best: Option<(&Address, [u32; 6])> = None;
    let wanted = scope(dst);
    for address in addresses.iter().flatten() {
        let addr = address.cidr.addr;
        if address.interface != interface || addr.is_ipv4() != dst.is_ipv4() || !address.is_usable() {
            continue;
        }
        let has = scope(addr);
        // Rule 2: the smallest scope that reaches; if none reaches, the largest.
        let reach = if has >= wanted { 0x100 - u32::from(has) } else { u32::from(has) };
        let rank = [
            u32::from(addr == dst),
            reach,
            u32::from(address.preferred_until > now),
            u32::from(policy(addr).1 == policy(dst).1),
            u32::from(address.origin == Origin::Temporary),
            common_prefix(addr, dst).min(u32::from(address.cidr.prefix_len)),
        ];
        if best.is_none_or(|(_, best)| rank > best) {
            best = Some((address, rank));
        }
    }
    best.map(|(address, _)| address.cidr.addr)
}

/// The solicited-node multicast address of `addr` (RFC 4291 section 2.7.1).
pub(crate) fn solicited_node(addr: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = addr.octets();
    Ipv6Addr::from_bits(
        0xff02_0000_0000_0000_0000_0001_ff00_0000 | u128::from(u32::from_be_bytes([0, a, b, c])),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(addresses: &[&str]) -> Vec<Option<Address>> {
        let address = |text: &&str| {
            Some(Address {
                interface: 0,
                cidr: text.parse().unwrap(),
                origin: Origin::Static,
                state: AddressState::Ready,
                preferred_until: Instant::MAX,
                valid_until: Instant::MAX,
                next: Instant::MAX,
                sent: 0,
                duplicates: 0,
                conflict: None,
            })
        };
        addresses.iter().map(address).collect()
    }

    #[test]
    fn the_source_has_the_scope_and_the_longest_prefix() {
        let all = ["fe80::1/64", "2001:db8:1::1/64", "2001:db8:2::1/64", "10.0.0.1/24", "192.168.1.1/24"];
        let table = table(&all);
        let from =
            |dst: &str| choose_source(&table, 0, dst.parse().unwrap(), Instant::ZERO).unwrap().to_string();
        assert_eq!(from("fe80::9"), "fe80::1");
        assert_eq!(from("ff02::1"), "fe80::1");
        assert_eq!(from("2001:db8:2::9"), "2001:db8:2::1");
        assert_eq!(from("2001:db8:1::9"), "2001:db8:1::1");
        assert_eq!(from("192.168.1.77"), "192.168.1.1");
        assert_eq!(from("fe80::1"), "fe80::1");
    }

    #[test]
    fn labels_and_temporary_addresses() {
        let mut table = table(&["2002:a00:1::1/64", "2001:db8::1/64", "2001:db8::2/64", "fd00::1/64"]);
        table[2].as_mut().unwrap().origin = Origin::Temporary;
        let from =
            |dst: &str| choose_source(&table, 0, dst.parse().unwrap(), Instant::ZERO).unwrap().to_string();
        assert_eq!(from("2002:b00:1::9"), "2002:a00:1::1");
        assert_eq!(from("2600::9"), "2001:db8::2");
        assert_eq!(from("fd99::9"), "fd00::1");
        assert_eq!(from("2001:db8::1"), "2001:db8::1");
    }

    #[test]
    fn tentative_and_deprecated_addresses_come_last_or_not_at_all() {
        let mut table = table(&["2001:db8::1/64", "2001:db8::2/64"]);
        let dst = "2001:db8::2:0".parse().unwrap();
        table[0].as_mut().unwrap().preferred_until = Instant::from_secs(1);
        let from = |table: &[_], now| choose_source(table, 0, dst, now).map(|a| a.to_string());
        assert_eq!(from(&table, Instant::from_secs(2)).unwrap(), "2001:db8::2");
        table[1].as_mut().unwrap().state = AddressState::Tentative;
        assert_eq!(from(&table, Instant::from_secs(2)).unwrap(), "2001:db8::1");
        table[0].as_mut().unwrap().state = AddressState::Duplicate;
        assert_eq!(from(&table, Instant::ZERO), None);
    }

    #[test]
    fn solicited_node_addresses() {
        let group = solicited_node("fe80::2aa:ff:fe28:9c5a".parse().unwrap());
        assert_eq!(group.to_string(), "ff02::1:ff28:9c5a");
    }
}
