//! Keyed hashes of a connection's name: initial sequence numbers (RFC 6528), timestamp offsets (RFC 7323 section 5.4),
//! ephemeral ports (RFC 6056), places in hash tables.
use super::Tuple;
use airglow_device::{Instant, siphash};
use core::net::IpAddr;

/// The keys, made once from the platform's entropy.
#[derive(Clone)]
pub(crate) struct Secret {
    sequence: [u64; 2],
    table: [u64; 2],
}

impl core::fmt::Debug for Secret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    pub fn new(bytes: [u8; 32]) -> Self {
        let mut words = bytes.chunks_exact(8).map(|c| u64::from_le_bytes(c.try_into().unwrap_or_default()));
        let mut word = || words.next().unwrap_or_default();
        Self { sequence: [word(), word()], table: [word() | 1, word() | 1] }
    }

    //= https://www.rfc-editor.org/rfc/rfc6528#section-3
    //# TCP SHOULD generate its Initial Sequence Numbers with the expression:
    //# ISN = M + F(localip, localport, remoteip, remoteport, secretkey)
    /// Initial sequence number and offset of the timestamps of a connection opened now.
    pub fn initial(&self, tuple: &Tuple, now: Instant) -> (u32, u32) {
        let hash = siphash::of_words(self.sequence, &words(tuple));
        let four_microseconds = (now.as_micros() / 4) as u32;
        ((hash as u32).wrapping_add(four_microseconds), (hash >> 32) as u32)
    }

    /// Where to start looking for an ephemeral port towards this peer (RFC 6056 section 3.3.3).
    pub fn port_offset(&self, tuple: &Tuple) -> u32 {
        let mut words = words(tuple);
        words[4] ^= 1 << 40;
        siphash::of_words(self.sequence, &words) as u32
    }

    /// A hash of a SYN that nobody without the key can make (SYN cookies).
    #[cfg(feature = "syn-cookies")]
    pub fn cookie(&self, tuple: &Tuple, irs: u32, counted: u32) -> u32 {
        let [a, b, c, d, e] = words(tuple);
        siphash::of_words(
            self.sequence,
            &[a, b, c, d, e ^ 1 << 41, u64::from(irs) << 32 | u64::from(counted)],
        ) as u32
    }

    /// A hash for tables: quick, and unpredictable without the key.
    pub fn hash(&self, tuple: &Tuple) -> u32 {
        let [a, b, c, d, e] = words(tuple);
        let [k, l] = self.table;
        let mut x = fold(a ^ k, c ^ l) ^ fold(e ^ l, k.rotate_left(32) ^ e.rotate_left(17));
        if b | d != 0 {
            x ^= fold(b ^ l.rotate_left(32), d ^ k);
        }
        let x = fold(x, k);
        (x ^ x >> 32) as u32
    }
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// IPv4 addresses leave the second word of each address zero.
fn words(tuple: &Tuple) -> [u64; 5] {
    let address = |ip: &IpAddr| match ip {
        IpAddr::V4(v4) => (u64::from(v4.to_bits()) | 1 << 32, 0),
        IpAddr::V6(v6) => ((v6.to_bits() >> 64) as u64, v6.to_bits() as u64),
    };
    let ((a, b), (c, d)) = (address(&tuple.local), address(&tuple.remote));
    [a, b, c, d, u64::from(tuple.local_port) << 16 | u64::from(tuple.remote_port)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    fn tuple(remote_port: u16) -> Tuple {
        Tuple {
            local: Ipv4Addr::new(10, 0, 0, 1).into(),
            remote: Ipv4Addr::new(10, 0, 0, 2).into(),
            local_port: 80,
            remote_port,
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc6528#section-3
    //= type=test
    //# TCP SHOULD generate its Initial Sequence Numbers with the expression:
    //# ISN = M + F(localip, localport, remoteip, remoteport, secretkey)
    #[test]
    fn sequence_numbers_move_with_time_and_differ_by_peer_and_key() {
        let (one, other) = (Secret::new([1; 32]), Secret::new([2; 32]));
        let at = Instant::from_secs(5);
        let (isn, offset) = one.initial(&tuple(1000), at);
        assert_eq!(one.initial(&tuple(1000), at), (isn, offset));
        assert_eq!(
            one.initial(&tuple(1000), Instant::from_micros(5_000_040)),
            (isn.wrapping_add(10), offset)
        );
        assert_ne!(one.initial(&tuple(1001), at).0, isn);
        assert_ne!(other.initial(&tuple(1000), at).0, isn);
    }

    #[test]
    fn the_table_hash_spreads() {
        let secret = Secret::new(core::array::from_fn(|i| (i * 37 + 11) as u8));
        let mut buckets = [0; 64];
        for port in 0..6400 {
            buckets[(secret.hash(&tuple(port)) >> 26) as usize] += 1;
        }
        assert!(buckets.iter().all(|n| (50..170).contains(n)), "{buckets:?}");
    }
}
