//! What netback can complete in a frame and what the driver must do itself.

const ETHERNET: usize = 14;
const TCP: u8 = 6;
const UDP: u8 = 17;

fn be16(frame: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(frame.get(at..at + 2)?.try_into().ok()?))
}

/// How Linux's netback sees the frame: it finds the checksum by parsing, so only TCP and UDP directly after the IP header
/// (with options) can be left to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP or UDP over IPv4.
    V4,
    /// TCP or UDP over IPv6.
    V6,
    /// Anything else.
    Other,
}

/// What the frame carries; `start` is where its transport header begins.
pub fn transport(frame: &[u8], start: usize) -> Transport {
    let known = |protocol: Option<&u8>| matches!(protocol, Some(&TCP | &UDP));
    match be16(frame, 12) {
        Some(0x0800) => {
            let header = frame.get(ETHERNET).map_or(0, |b| usize::from(b & 15) * 4);
            let whole = be16(frame, ETHERNET + 6).is_some_and(|fragment| fragment & 0x3fff == 0);
            if whole && start == ETHERNET + header && known(frame.get(ETHERNET + 9)) {
                return Transport::V4;
            }
        }
        Some(0x86dd) if start == ETHERNET + 40 && known(frame.get(ETHERNET + 6)) => return Transport::V6,
        _ => {}
    }
    Transport::Other
}

/// Completes the Internet checksum (RFC 1071) of `frame` from `start` on, in the field at `start + offset`, which holds the
/// pseudo-header's sum.
pub fn complete(frame: &mut [u8], start: usize, offset: usize) {
    let Some(data) = frame.get(start..) else { return };
    let mut pairs = data.chunks_exact(2);
    let mut sum: u64 = pairs.by_ref().map(|p| u64::from(p[0]) << 8 | u64::from(p[1])).sum();
    if let [last] = pairs.remainder() {
        sum += u64::from(*last) << 8;
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // RFC 768: a UDP checksum of zero is sent as all ones, which means the same to everybody else.
    let checksum = match !(sum as u16) {
        0 => 0xffff,
        other => other,
    };
    if let Some(field) = frame.get_mut(start + offset..start + offset + 2) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_completed_checksum_sums_to_ones() {
        for len in [20, 21, 60, 1480] {
            let mut frame: alloc::vec::Vec<u8> = (0..14 + 20 + len).map(|i| (i * 7) as u8).collect();
            frame[40..42].fill(0);
            complete(&mut frame, 34, 6);
            let mut sum: u32 = frame[34..]
                .chunks(2)
                .map(|p| u32::from(p[0]) << 8 | u32::from(*p.get(1).unwrap_or(&0)))
                .sum();
            while sum > 0xffff {
                sum = (sum & 0xffff) + (sum >> 16);
            }
            assert_eq!(sum, 0xffff);
        }
        complete(&mut [0; 10], 20, 6);
        complete(&mut [0; 10], 8, 6);
    }

    #[test]
    fn only_what_netback_parses_is_left_to_it() {
        let mut frame = [0; 80];
        (frame[12], frame[13], frame[14], frame[23]) = (0x08, 0x00, 0x45, TCP);
        assert_eq!(transport(&frame, 34), Transport::V4);
        assert_eq!(transport(&frame, 38), Transport::Other);
        frame[20] = 0x20; // a fragment
        assert_eq!(transport(&frame, 34), Transport::Other);
        frame[20] = 0x40; // DF
        assert_eq!(transport(&frame, 34), Transport::V4);
        frame[23] = 1; // ICMP
        assert_eq!(transport(&frame, 34), Transport::Other);
        (frame[12], frame[13], frame[20]) = (0x86, 0xdd, UDP);
        assert_eq!(transport(&frame, 54), Transport::V6);
        frame[20] = 58; // ICMPv6
        assert_eq!(transport(&frame, 54), Transport::Other);
        assert_eq!(transport(&[], 54), Transport::Other);
    }
}
