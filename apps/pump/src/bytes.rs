//! Bytes that both ends can compute: the words of SplitMix64 counted from zero, little endian.

/// Fills `out` with the bytes from `offset` on.
pub fn fill(offset: u64, out: &mut [u8]) {
    let mut at = offset;
    let mut rest = out;
    while !rest.is_empty() {
        let word = word(at / 8).to_le_bytes();
        let from = (at % 8) as usize;
        let part = word.get(from..).unwrap_or(&[]);
        let len = part.len().min(rest.len());
        let (front, back) = rest.split_at_mut(len);
        front.copy_from_slice(part.get(..len).unwrap_or(&[]));
        at += len as u64;
        rest = back;
    }
}

fn word(index: u64) -> u64 {
    let mut z = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn pieces_are_the_same_as_the_whole() {
        let mut whole = [0; 1000];
        fill(12345, &mut whole);
        let (mut pieces, mut at) = ([0; 1000], 0);
        for len in [1, 7, 8, 9, 64, 100, 811] {
            fill(12345 + at as u64, &mut pieces[at..at + len]);
            at += len;
        }
        assert_eq!((at, whole), (1000, pieces));
        // The first outputs of SplitMix64 from the seed 0.
        let mut first = [0; 16];
        fill(0, &mut first);
        assert_eq!(first[..8], 0xe220_a839_7b1d_cdaf_u64.to_le_bytes());
        assert_eq!(first[8..], 0x6e78_9e6a_a1b9_65f4_u64.to_le_bytes());
    }
}
