//! The domains in which to look for names without dots: from routers (DNSSL, RFC 8106 section 5.2) and DHCPv6 servers (RFC 3646 section 4).
use crate::{ip::Core, wire::ndp::lifetime};
use airglow_device::Instant;
use heapless::{String, Vec};

/// Search domains kept for each interface.
const DOMAINS: usize = 4;
/// The longest name, written with dots (RFC 1035 section 2.3.4).
const LONGEST: usize = 253;

/// A domain, and until when to look there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SearchDomain {
    name: String<LONGEST>,
    expires: Instant,
}

/// The domains of one interface.
pub(crate) type SearchList = Vec<SearchDomain, DOMAINS>;

/// One name at the start of `bytes`, not compressed, and what follows it; `None` when that is no name. The root is an empty one.
fn name(mut bytes: &[u8]) -> Option<(String<LONGEST>, &[u8])> {
    let mut name = String::new();
    loop {
        let (&len, rest) = bytes.split_first()?;
        if len == 0 {
            return Some((name, rest));
        }
        // A length above 63 is a pointer, which has nothing to point into here.
        let (label, rest) = rest.split_at_checked(usize::from(len).min(64)).filter(|_| len < 64)?;
        // What comes from the network and may end up in files and logs is a host's name (RFC 1123 section 2.1) or nothing.
        let plain = |c: &u8| c.is_ascii_alphanumeric() || *c == b'-' || *c == b'_';
        let label = core::str::from_utf8(label).ok().filter(|label| label.bytes().all(|c| plain(&c)))?;
        if !name.is_empty() {
            name.push('.').ok()?;
        }
        name.push_str(label).ok()?;
        bytes = rest;
    }
}

impl Core<'_> {
    /// Takes in the option of a router or server: names one after the other, zeros behind them. Those that are known keep their place
    /// and get the new lifetime; 0 removes them.
    pub(crate) fn learn_search_domains(
        &mut self,
        now: Instant,
        interface: usize,
        mut names: &[u8],
        seconds: u32,
    ) {
        let expires = now + lifetime(seconds);
        let Some(card) = self.interfaces.get_mut(interface) else { return };
        while let Some((name, rest)) = name(names) {
            names = rest;
            if name.is_empty() {
                continue;
            }
            match card.search_list.iter_mut().find(|known| known.name.eq_ignore_ascii_case(&name)) {
                Some(known) => known.expires = expires,
                None if seconds > 0 => {
                    let _ = card.search_list.push(SearchDomain { name, expires });
                }
                None => {}
            }
        }
        self.next = self.next.min(expires);
    }

    /// Forgets what has come to its end.
    pub(crate) fn expire_search_domains(&mut self, now: Instant) {
        for card in self.interfaces.iter_mut() {
            card.search_list.retain(|domain| domain.expires > now);
            for domain in &card.search_list {
                self.next = self.next.min(domain.expires);
            }
        }
    }

    /// The domains, in the order in which they came.
    pub(crate) fn search_domains(&self) -> impl Iterator<Item = &str> {
        self.interfaces.iter().flat_map(|card| card.search_list.iter()).map(|domain| domain.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn names_are_read_and_others_not() {
        assert_eq!(
            name(b"\x07example\x03com\0rest").map(|(n, rest)| (n.to_string(), rest)),
            Some(("example.com".into(), &b"rest"[..]))
        );
        assert_eq!(name(b"\0").map(|(n, _)| n.len()), Some(0));
        for bad in [&b"\x07exam"[..], b"\x03com", b"\xc0\x04", b"\x04a b\n\0", b"\x02\xff\xfe\0", b""] {
            assert_eq!(name(bad), None, "{bad:?}");
        }
        let long = [&[63u8][..], &[b'a'; 63]].concat().repeat(4);
        assert_eq!(name(&[long, vec![0]].concat()), None, "255 octets with the dots");
    }
}
