//! The policy table of RFC 6724 section 2.1, and the order in which to try the addresses of a name (section 6).
use crate::address::{common_prefix, scope};
use core::{
    cmp::{Ordering, Reverse},
    net::IpAddr,
};

/// Prefix, its length, precedence, label: the default table.
const POLICY: [(u128, u32, u8, u8); 9] = [
    (1, 128, 50, 0),
    (0xffff_0000_0000, 96, 35, 4),
    (0, 96, 1, 3),
    (0x2001_0000 << 96, 32, 5, 5),
    (0x2002 << 112, 16, 30, 2),
    (0x3ffe << 112, 16, 1, 12),
    (0xfec0 << 112, 10, 1, 11),
    (0xfc00 << 112, 7, 3, 13),
    (0, 0, 40, 1),
];

/// Precedence and label of an address; one of IPv4 is looked up as `::ffff:a.b.c.d`. The table is in the order of prefix lengths, so
/// the first match is the longest.
pub(crate) fn policy(addr: IpAddr) -> (u8, u8) {
    let bits = match addr {
        IpAddr::V4(addr) => addr.to_ipv6_mapped().to_bits(),
        IpAddr::V6(addr) => addr.to_bits(),
    };
    let of =
        |(prefix, len, ..): &&(u128, u32, u8, u8)| (bits ^ prefix).checked_shr(128 - len).unwrap_or(0) == 0;
    POLICY.iter().find(of).map_or((40, 1), |(_, _, precedence, label)| (*precedence, *label))
}

/// Sorts the addresses of a name into the order in which to try them (RFC 6724 section 6, rules 1, 2, 5, 6, 8, 9 and 10), where `source`
/// says what would be sent from. Those without a source come last.
pub fn sort_destinations(addresses: &mut [IpAddr], source: impl Fn(IpAddr) -> Option<IpAddr>) {
    let better = |a: &IpAddr, b: &IpAddr| -> Ordering {
        let rank = |dst: IpAddr| {
            let from = source(dst);
            let same = |of: fn(IpAddr) -> u8| from.is_some_and(|from| of(from) == of(dst));
            let (precedence, _) = policy(dst);
            (from.is_none(), !same(scope), !same(|addr| policy(addr).1), Reverse(precedence), scope(dst))
        };
        rank(*a).cmp(&rank(*b)).then_with(|| {
            // Rule 9 is for IPv6; that the name server's order means more than IPv4's prefixes was learned the hard way.
            let near = |dst: IpAddr| source(dst).map_or(0, |from| common_prefix(from, dst));
            if a.is_ipv6() && b.is_ipv6() { near(*b).cmp(&near(*a)) } else { Ordering::Equal }
        })
    };
    // Stable, and the lists are short.
    for end in 1..addresses.len() {
        for at in (1..=end).rev() {
            match addresses.get(at - 1..=at) {
                Some([a, b]) if better(b, a).is_lt() => addresses.swap(at - 1, at),
                _ => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn labels_and_precedences() {
        let table = [
            ("::1", (50, 0)),
            ("2001:db8::1", (40, 1)),
            ("10.0.0.1", (35, 4)),
            ("2002:a00:1::1", (30, 2)),
            ("2001::1", (5, 5)),
            ("fd00::1", (3, 13)),
            ("::a00:1", (1, 3)),
            ("fec0::1", (1, 11)),
            ("3ffe::1", (1, 12)),
        ];
        for (addr, expected) in table {
            assert_eq!(policy(ip(addr)), expected, "{addr}");
        }
    }

    /// The examples of RFC 6724 section 10.2 that need no deprecated or home addresses.
    #[test]
    fn destinations_in_the_order_of_the_rfc() {
        let sorted = |destinations: &[&str], sources: &[(&str, &str)]| {
            let mut list: std::vec::Vec<IpAddr> = destinations.iter().map(|d| ip(d)).collect();
            sort_destinations(&mut list, |dst| {
                sources.iter().find(|(d, _)| ip(d) == dst).map(|(_, source)| ip(source))
            });
            list
        };
        type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);
        let table: [Case<'_>; 6] = [
            (
                &["2001:db8:1::1", "198.51.100.121"],
                &[("2001:db8:1::1", "2001:db8:1::2"), ("198.51.100.121", "169.254.13.78")],
            ),
            (
                &["198.51.100.121", "2001:db8:1::1"],
                &[("2001:db8:1::1", "fe80::1"), ("198.51.100.121", "198.51.100.117")],
            ),
            (&["2001:db8:1::1", "10.1.2.3"], &[("2001:db8:1::1", "2001:db8:1::2"), ("10.1.2.3", "10.1.2.4")]),
            (&["fe80::1", "2001:db8:1::1"], &[("2001:db8:1::1", "2001:db8:1::2"), ("fe80::1", "fe80::2")]),
            (
                &["2001:db8:1::1", "2002:c633:6401::1"],
                &[("2001:db8:1::1", "2001:db8:1::2"), ("2002:c633:6401::1", "2002:c633:6401::2")],
            ),
            (&["10.1.2.3", "2001:db8::9"], &[("10.1.2.3", "10.1.2.4")]),
        ];
        for (expected, sources) in table {
            let mut given = expected.to_vec();
            for _ in 0..2 {
                given.reverse();
                let expected: std::vec::Vec<IpAddr> = expected.iter().map(|d| ip(d)).collect();
                assert_eq!(sorted(&given, sources), expected);
            }
        }
    }
}
