//! SipHash-2-4 (Aumasson and Bernstein): a short hash that nobody can guess without its key. Sequence numbers, cookies, ports and
//! transaction identifiers are made of it.

/// The hash under `key` of the eight bytes of each word, little-endian.
pub fn of_words(key: [u64; 2], words: &[u64]) -> u64 {
    let mut state = start(key);
    words.iter().for_each(|word| absorb(&mut state, *word));
    finish(state, 0, words.len() as u64 * 8)
}

/// The hash under `key` of `parts` one behind the other.
pub fn of_bytes(key: &[u8; 16], parts: &[&[u8]]) -> u64 {
    let key = u128::from_le_bytes(*key);
    let mut state = start([key as u64, (key >> 64) as u64]);
    let (mut pending, mut length) = (0u64, 0u64);
    for byte in parts.iter().copied().flatten() {
        pending |= u64::from(*byte) << (8 * (length % 8));
        length += 1;
        if length.is_multiple_of(8) {
            absorb(&mut state, pending);
            pending = 0;
        }
    }
    finish(state, pending, length)
}

const fn start([k0, k1]: [u64; 2]) -> [u64; 4] {
    [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ]
}

const fn absorb(state: &mut [u64; 4], word: u64) {
    state[3] ^= word;
    round(state);
    round(state);
    state[0] ^= word;
}

/// `pending`: the last `length` modulo 8 bytes.
fn finish(mut state: [u64; 4], pending: u64, length: u64) -> u64 {
    absorb(&mut state, pending | length << 56);
    state[2] ^= 0xff;
    (0..4).for_each(|_| round(&mut state));
    state[0] ^ state[1] ^ state[2] ^ state[3]
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

    const KEY: [u64; 2] = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];

    #[test]
    fn words_agree_with_the_authors_vectors() {
        // vectors_sip64[0], [8] and [16] of the reference implementation: key 00..0f, messages 00, 01, ...
        assert_eq!(of_words(KEY, &[]), 0x726f_db47_dd0e_0e31);
        assert_eq!(of_words(KEY, &KEY[..1]), 0x93f5_f579_9a93_2462);
        assert_eq!(of_words(KEY, &KEY), 0x3f2a_cc7f_57c2_9bdb);
    }

    #[test]
    fn bytes_agree_with_the_papers_example_and_with_words() {
        let bytes: [u8; 16] = core::array::from_fn(|at| at as u8);
        assert_eq!(of_bytes(&bytes, &[&bytes[..7], &bytes[7..15]]), 0xa129_ca61_49be_45e5);
        assert_eq!(of_bytes(&bytes, &[&bytes]), of_words(KEY, &KEY));
    }
}
