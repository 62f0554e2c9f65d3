//! DNS cookies (RFC 7873) in the interoperable form of RFC 9018: a client that shows the server cookie it was given has
//! not forged its address.
use airglow_device::siphash;
use core::net::IpAddr;

/// Bytes of the COOKIE option's value that this server sends: client cookie and server cookie.
pub(super) const LENGTH: usize = 24;

/// Version 1 and three reserved bytes.
const HEAD: [u8; 4] = [1, 0, 0, 0];

/// Seconds for which a server cookie holds (RFC 9018 section 4.3).
const LIFETIME: i32 = 3600;
/// Seconds after which a fresh one is given.
const RENEWAL: i32 = 1800;
/// Seconds by which a cookie may be ahead of this server's clock: the clocks of servers that share a secret differ.
const AHEAD: i32 = 300;

/// The secrets that make server cookies: the present one, and the one before it, whose cookies still hold.
#[derive(Clone, Copy)]
pub struct CookieSecrets {
    current: [u8; 16],
    previous: Option<[u8; 16]>,
}

/// The secrets stay unseen.
impl core::fmt::Debug for CookieSecrets {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("CookieSecrets")
    }
}

impl CookieSecrets {
    /// Cookies made with `secret`: 16 random bytes, the same on all servers behind one address.
    pub const fn new(secret: [u8; 16]) -> Self {
        Self { current: secret, previous: None }
    }

    /// From now on cookies are made with `secret`; those of the secret before hold until they expire or the next rotation.
    pub const fn rotate(&mut self, secret: [u8; 16]) {
        self.previous = Some(self.current);
        self.current = secret;
    }

    /// The COOKIE option's value for a client that sent `offered`, and whether the server cookie in that was right.
    pub(super) fn answer(&self, offered: &Offered, peer: IpAddr, now: u32) -> ([u8; LENGTH], bool) {
        let made = |secret: &[u8; 16], head: [u8; 4], time: u32| {
            let mut cookie = [0; LENGTH];
            cookie[..8].copy_from_slice(&offered.client);
            cookie[8..12].copy_from_slice(&head);
            cookie[12..16].copy_from_slice(&time.to_be_bytes());
            let hash = match peer {
                IpAddr::V4(peer) => siphash::of_bytes(secret, &[&cookie[..16], &peer.octets()]),
                IpAddr::V6(peer) => siphash::of_bytes(secret, &[&cookie[..16], &peer.octets()]),
            };
            cookie[16..].copy_from_slice(&hash.to_le_bytes());
            cookie
        };
        let shown =
            offered.server.map(|server| u32::from_be_bytes([server[4], server[5], server[6], server[7]]));
        if let (Some(server @ [1, ..]), Some(time)) = (offered.server, shown) {
            // RFC 1982 arithmetic, as RFC 9018 section 4.3 has it.
            let age = now.wrapping_sub(time) as i32;
            if (-AHEAD..=LIFETIME).contains(&age) {
                // The reserved bytes count as they came (RFC 9018 section 4.2).
                let head = [server[0], server[1], server[2], server[3]];
                let current = made(&self.current, head, time);
                if same(&current[8..], &server) {
                    let fresh = age < RENEWAL && head == HEAD;
                    return (if fresh { current } else { made(&self.current, HEAD, now) }, true);
                }
                if self.previous.is_some_and(|previous| same(&made(&previous, head, time)[8..], &server)) {
                    return (made(&self.current, HEAD, now), true);
                }
            }
        }
        (made(&self.current, HEAD, now), false)
    }
}

/// Without telling by the time it takes how much was right.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

/// What a client's COOKIE option holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offered {
    client: [u8; 8],
    /// The server cookie, if it has the form of ours.
    server: Option<[u8; 16]>,
}

impl Offered {
    /// The option's value; `None` when its length is none that a cookie has.
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        //= https://www.rfc-editor.org/rfc/rfc7873#section-5.2.2
        //# If the COOKIE option is too short to contain a Client Cookie, then
        //# FORMERR is generated.
        let (client, server) = value.split_first_chunk::<8>()?;
        if !matches!(server.len(), 0 | 8..=32) {
            return None;
        }
        Some(Self { client: *client, server: server.try_into().ok() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        core::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
    }

    /// RFC 9018 appendix A, examples 1 to 4.
    #[test]
    fn the_examples_of_the_standard() {
        let secrets = CookieSecrets::new(bytes("e5e973e5a6b2a43f48e7dc849e37bfcf"));
        let answer = |offered: &str, peer: &str, now| {
            let value: std::vec::Vec<u8> =
                (0..offered.len() / 2).map(|at| bytes::<1>(&offered[2 * at..])[0]).collect();
            secrets.answer(&Offered::read(&value).unwrap(), peer.parse().unwrap(), now)
        };
        let first = bytes("2464c4abcf10c957010000005cf79f111f8130c3eee29480");
        assert_eq!(answer("2464c4abcf10c957", "198.51.100.100", 1_559_731_985), (first, false));
        // The same again is good for half an hour.
        let shown = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
        assert_eq!(answer(shown, "198.51.100.100", 1_559_731_985 + 1799), (first, true));
        assert!(!answer(shown, "198.51.100.101", 1_559_731_985).1, "another address");
        assert!(!answer(shown, "198.51.100.100", 1_559_731_985 + 3601).1, "too old");
        assert!(!answer(shown, "198.51.100.100", 1_559_731_985 - 301).1, "from the future");
        let shown = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
        let renewed = bytes("2464c4abcf10c957010000005cf7a871d4a564a1442aca77");
        assert_eq!(answer(shown, "198.51.100.100", 1_559_734_385), (renewed, true));
        // With reserved bytes set; the standard's own reply to it comes when the hour is over.
        let shown = "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5";
        assert!(answer(shown, "203.0.113.203", 1_559_727_985).1);
        let renewed = bytes("fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e");
        assert_eq!(answer(shown, "203.0.113.203", 1_559_734_700), (renewed, false));
        let mut rotated = CookieSecrets::new(bytes("dd3bdf9344b678b185a6f5cb60fca715"));
        rotated.rotate(bytes("445536bcd2513298075a5d379663c962"));
        let offered = bytes::<24>("22681ab97d52c298010000005cf7c57926556bd0934c72f8");
        let peer = "2001:db8:220:1:59de:d0f4:8769:82b8".parse().unwrap();
        assert_eq!(
            rotated.answer(&Offered::read(&offered).unwrap(), peer, 1_559_741_961),
            (bytes("22681ab97d52c298010000005cf7c609a6bb79d16625507a"), true)
        );
    }

    #[test]
    fn lengths_that_no_cookie_has() {
        for length in 0..48 {
            let good = length == 8 || (16..=40).contains(&length);
            assert_eq!(Offered::read(&[7; 48][..length]).is_some(), good, "{length}");
        }
    }
}
