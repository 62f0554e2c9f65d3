//! The Internet checksum (RFC 1071), in words of 64 bits.
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A running one's complement sum; fold it with [`Sum::finish`].
///
/// Parts may be added in any order as long as each but the last has even length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(u64);

#[inline]
const fn add(a: u64, b: u64) -> u64 {
    // 2^64 = 1 modulo 2^16 - 1, so the carry out of the top comes in again at the bottom.
    let (sum, carry) = a.overflowing_add(b);
    sum + carry as u64
}

impl Sum {
    /// Nothing summed yet.
    pub const ZERO: Self = Self(0);

    /// Adds `bytes`, as 16-bit big-endian words; an odd last byte is padded with zero.
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        // The sum of native-endian lanes is the byte-swapped sum (RFC 1071 section 2 (B)), so the swap is done once, at the end.
        // Four accumulators let the additions overlap.
        let mut lanes = [0u64; 4];
        let (blocks, rest) = bytes.as_chunks::<32>();
        for block in blocks {
            let (words, _) = block.as_chunks::<8>();
            for (lane, word) in lanes.iter_mut().zip(words) {
                let word = u64::from_ne_bytes(*word);
                // Two additions of 32 bits never carry out of 64 for any length an IP packet can have.
                *lane += (word & 0xffff_ffff) + (word >> 32);
            }
        }
        let mut native = add(add(lanes[0], lanes[1]), add(lanes[2], lanes[3]));
        let (words, tail) = rest.as_chunks::<8>();
        for word in words {
            native = add(native, u64::from_ne_bytes(*word));
        }
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(tail) {
            *to = *from;
        }
        native = add(native, u64::from_ne_bytes(last));
        let folded = u16::from_be(fold(native));
        Self(add(self.0, folded as u64))
    }

    /// Adds one 16-bit word.
    #[must_use]
    pub const fn word(self, word: u16) -> Self {
        Self(add(self.0, word as u64))
    }

    /// The pseudo-header of TCP, UDP and ICMPv6 (RFC 768, RFC 9293 section 3.1, RFC 8200 section 8.1): both addresses, the protocol, the
    /// length of header and data. Addresses of different versions give the sum of what each contributes.
    #[must_use]
    pub fn pseudo_header(src: IpAddr, dst: IpAddr, protocol: u8, len: usize) -> Self {
        let mut sum = Self((len >> 16) as u64).word(len as u16).word(protocol as u16);
        for addr in [src, dst] {
            sum = match addr {
                IpAddr::V4(addr) => sum.ipv4(addr),
                IpAddr::V6(addr) => sum.ipv6(addr),
            };
        }
        sum
    }

    fn ipv4(self, addr: Ipv4Addr) -> Self {
        Self(add(self.0, addr.to_bits() as u64))
    }

    fn ipv6(self, addr: Ipv6Addr) -> Self {
        let bits = addr.to_bits();
        Self(add(add(self.0, bits as u64), (bits >> 64) as u64))
    }

    /// The sum, folded to 16 bits and not complemented: what a device that completes the checksum expects in the field.
    #[must_use]
    pub const fn fold(self) -> u16 {
        fold(self.0)
    }

    /// The checksum: the folded sum's complement.
    #[must_use]
    pub const fn finish(self) -> u16 {
        !fold(self.0)
    }

    /// The sum covers its own checksum field and comes out right.
    #[must_use]
    pub const fn is_correct(self) -> bool {
        fold(self.0) == 0xffff
    }
}

const fn fold(mut sum: u64) -> u16 {
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn the_example_of_rfc_1071() {
        let sum = Sum::ZERO.bytes(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.fold(), 0xddf2);
        assert!(sum.word(sum.finish()).is_correct());
    }

    #[test]
    fn a_full_packet_of_ones() {
        let bytes = [0xff; 65_535];
        assert_eq!(Sum::ZERO.bytes(&bytes).finish(), naive(&bytes));
    }

    proptest! {
        #[test]
        fn agrees_with_the_naive_sum(bytes in proptest::collection::vec(any::<u8>(), 0..2000), start in 0usize..40) {
            let bytes = bytes.get(start..).unwrap_or(&[]);
            prop_assert_eq!(Sum::ZERO.bytes(bytes).finish(), naive(bytes));
        }

        #[test]
        fn parts_sum_to_the_whole(bytes in proptest::collection::vec(any::<u8>(), 0..500), cut in 0usize..250) {
            let (a, b) = bytes.split_at((cut * 2).min(bytes.len() & !1));
            prop_assert_eq!(Sum::ZERO.bytes(a).bytes(b).finish(), naive(&bytes));
            prop_assert_eq!(Sum::ZERO.bytes(b).bytes(a).finish() == naive(&bytes) || b.len() % 2 == 1, true);
        }

        #[test]
        fn the_pseudo_header_is_its_bytes(src: [u8; 16], dst: [u8; 16], protocol: u8, len in 0u32..100_000) {
            let mut bytes = src.to_vec();
            bytes.extend(dst);
            bytes.extend(len.to_be_bytes());
            bytes.extend([0, 0, 0, protocol]);
            let sum = Sum::pseudo_header(IpAddr::from(src), IpAddr::from(dst), protocol, len as usize);
            prop_assert_eq!(sum.finish(), naive(&bytes));
        }
    }
}
