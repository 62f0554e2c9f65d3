//! SipHash-2-4 (Aumasson and Bernstein), the keyed hash of server cookies (RFC 9018 section 4.4) and of the rate limiter.

/// SipHash-2-4 of `parts` one behind the other.
pub(crate) fn siphash24(key: &[u8; 16], parts: &[&[u8]]) -> u64 {
    let (low, high) = key.split_at(8);
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
    let (k0, k1) = (word(low), word(high));
    let mut state = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let mut length = 0u64;
    let mut pending = 0u64;
    for byte in parts.iter().copied().flatten() {
        pending |= u64::from(*byte) << (8 * (length % 8));
        length += 1;
        if length.is_multiple_of(8) {
            compress(&mut state, pending);
            pending = 0;
        }
    }
    compress(&mut state, pending | length << 56);
    state[2] ^= 0xff;
    for _ in 0..4 {
        round(&mut state);
    }
    state[0] ^ state[1] ^ state[2] ^ state[3]
}

const fn compress(state: &mut [u64; 4], word: u64) {
    state[3] ^= word;
    round(state);
    round(state);
    state[0] ^= word;
}

const fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[2] = v[2].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[1]);
    v[0] = v[0].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the SipHash paper, appendix A.
    #[test]
    fn the_papers_example() {
        let bytes: [u8; 16] = core::array::from_fn(|at| at as u8);
        assert_eq!(siphash24(&bytes, &[&bytes[..7], &bytes[7..15]]), 0xa129_ca61_49be_45e5);
    }
}
