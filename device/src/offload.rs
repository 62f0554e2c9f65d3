//! In software, what a network card with offloads does: complete checksums, cut TCP segments.
//!
//! For devices that advertise more in their [`Caps`](crate::Caps) than the wire below them can do.
use crate::TxMeta;

/// The Internet checksum's sum (RFC 1071) of `bytes` on top of `sum`, not yet complemented. `bytes` start at an even
/// offset of what is summed.
fn sum(sum: u32, bytes: &[u8]) -> u32 {
    let mut total = u64::from(sum);
    let mut chunks = bytes.chunks_exact(2);
    for pair in &mut chunks {
        if let [high, low] = *pair {
            total += u64::from(u16::from_be_bytes([high, low]));
        }
    }
    if let [last] = *chunks.remainder() {
        total += u64::from(last) << 8;
    }
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u32
}

fn complement(sum: u32) -> u16 {
    !(((sum & 0xffff) + (sum >> 16)) as u16)
}

fn put16(bytes: &mut [u8], at: usize, value: u16) -> Option<()> {
    bytes.get_mut(at..)?.get_mut(..2)?.copy_from_slice(&value.to_be_bytes());
    Some(())
}

/// Stores the checksum that `meta` describes: the field holds the sum of the pseudo-header, and the frame from
/// [`checksum_start`](TxMeta::checksum_start) on is summed into it. Does nothing when `meta` asks for none.
///
/// `false` when the place lies outside the frame.
pub fn complete_checksum(frame: &mut [u8], meta: TxMeta) -> bool {
    if meta.checksum_start == 0 && meta.checksum_offset == 0 {
        return true;
    }
    let start = usize::from(meta.checksum_start);
    let field = start + usize::from(meta.checksum_offset);
    let Some(covered) = frame.get(start..) else { return false };
    // RFC 768: a sum of zero is sent as all ones. For TCP the two are the same number.
    let checksum = match complement(sum(0, covered)) {
        0 => 0xffff,
        checksum => checksum,
    };
    put16(frame, field, checksum).is_some()
}

/// Describes the transport checksum of a frame that came with [`checksum_ok`](crate::RxMeta::checksum_ok) and may so hold
/// only part of it: finds TCP or UDP over IPv4 or IPv6, puts the pseudo-header's sum into the field, and returns what
/// [`complete_checksum`], [`cut_segments`] or a device with offload needs to finish it.
///
/// `None`, and an unchanged frame, where there is nothing to finish: another protocol, a fragment, an extension header,
/// UDP without a checksum.
pub fn describe_checksum(frame: &mut [u8]) -> Option<TxMeta> {
    let (meta, pseudo) = transport_checksum(frame)?;
    put16(frame, field(meta), pseudo)?;
    Some(meta)
}

/// Describes the transport checksum of a frame whose sender left it to a card and only summed the pseudo-header; `None` when it is
/// complete, or wrong, or there is none.
///
/// For devices that get such frames from the other end of a virtual cable without being told. A frame of which this is said by
/// accident has one chance in 65,535, as has a damaged one that its checksum does not show.
pub fn partial_checksum(frame: &[u8]) -> Option<TxMeta> {
    let (meta, pseudo) = transport_checksum(frame)?;
    let at = field(meta);
    (frame.get(at..at + 2)? == pseudo.to_be_bytes()).then_some(meta)
}

/// Where the checksum is.
fn field(meta: TxMeta) -> usize {
    usize::from(meta.checksum_start) + usize::from(meta.checksum_offset)
}

/// The transport checksum of a frame and the pseudo-header's sum.
fn transport_checksum(frame: &[u8]) -> Option<(TxMeta, u16)> {
    let (transport, protocol, addresses) = match frame.get(12..ETHERNET)? {
        [0x08, 0x00] => {
            let header = usize::from(frame.get(ETHERNET)? & 0x0f) * 4;
            // More fragments, or an offset.
            let fragment =
                u16::from_be_bytes(frame.get(ETHERNET + 6..ETHERNET + 8)?.try_into().ok()?) & 0x3fff;
            if header < 20 || fragment != 0 {
                return None;
            }
            (ETHERNET + header, *frame.get(ETHERNET + 9)?, ETHERNET + 12..ETHERNET + 20)
        }
        [0x86, 0xdd] => (ETHERNET + 40, *frame.get(ETHERNET + 6)?, ETHERNET + 8..ETHERNET + 40),
        _ => return None,
    };
    let offset = match protocol {
        6 => 16,
        17 => 6,
        _ => return None,
    };
    // The packet may be shorter than the frame, which is padded to 60 bytes: those are zeros and sum to nothing.
    let len = match frame.get(12)? {
        0x08 => {
            let total = u16::from_be_bytes(frame.get(ETHERNET + 2..ETHERNET + 4)?.try_into().ok()?);
            usize::from(total).checked_sub(transport - ETHERNET)?
        }
        _ => usize::from(u16::from_be_bytes(frame.get(ETHERNET + 4..ETHERNET + 6)?.try_into().ok()?)),
    };
    let field = transport + offset;
    let old = frame.get(field..field + 2)?;
    if protocol == 17 && old == [0, 0] {
        return None;
    }
    let pseudo = sum(sum(0, frame.get(addresses)?), &[0, protocol]);
    let pseudo = sum(pseudo, &u32::try_from(len).ok()?.to_be_bytes()) as u16;
    Some((TxMeta::checksum(u16::try_from(transport).ok()?, offset as u16), pseudo))
}

const ETHERNET: usize = 14;
const FIN_PSH: u8 = 0x09;
const CWR: u8 = 0x80;

/// Cuts the TCP frame `frame` into segments of [`tso_segment`](TxMeta::tso_segment) payload bytes, as a card with TSO does:
/// lengths, IPv4 identification and header checksum, sequence number, flags (FIN and PSH on the last, CWR on the first) and TCP
/// checksum of each are right. `segment` is room for one of them.
///
/// A frame that asks for no cutting is emitted once, with its checksum completed. `None` when the frame is not
/// TCP over IPv4 or IPv6 in Ethernet as `meta` says, or `segment` is too short.
pub fn cut_segments(
    frame: &mut [u8],
    meta: TxMeta,
    segment: &mut [u8],
    mut emit: impl FnMut(&mut [u8]),
) -> Option<()> {
    let tcp = usize::from(meta.checksum_start);
    if meta.tso_segment == 0 {
        complete_checksum(frame, meta).then_some(())?;
        emit(frame);
        return Some(());
    }
    let v6 = match frame.get(12..14)? {
        [0x08, 0x00] => false,
        [0x86, 0xdd] => true,
        _ => return None,
    };
    let headers = tcp + usize::from(frame.get(tcp + 12)? >> 4) * 4;
    if tcp < ETHERNET + 20 || headers < tcp + 20 || headers > frame.len() {
        return None;
    }
    let (headers, payload) = frame.split_at(headers);
    let first_sequence = u32::from_be_bytes(headers.get(tcp + 4..tcp + 8)?.try_into().ok()?);
    let identification = u16::from_be_bytes(headers.get(ETHERNET + 4..ETHERNET + 6)?.try_into().ok()?);
    let ip_header = tcp - ETHERNET;
    let size = usize::from(meta.tso_segment);
    let count = payload.len().div_ceil(size).max(1);
    for number in 0..count {
        let offset = number * size;
        let part = payload.get(offset..payload.len().min(offset + size))?;
        let out = segment.get_mut(..headers.len() + part.len())?;
        let (out_headers, out_payload) = out.split_at_mut_checked(headers.len())?;
        out_headers.copy_from_slice(headers);
        out_payload.copy_from_slice(part);
        let tcp_len = out.len() - tcp;
        let pseudo = if v6 {
            put16(out, ETHERNET + 4, u16::try_from(out.len() - ETHERNET - 40).ok()?)?;
            sum(0, out.get(ETHERNET + 8..ETHERNET + 40)?)
        } else {
            put16(out, ETHERNET + 2, u16::try_from(out.len() - ETHERNET).ok()?)?;
            put16(out, ETHERNET + 4, identification.wrapping_add(number as u16))?;
            put16(out, ETHERNET + 10, 0)?;
            let header = complement(sum(0, out.get(ETHERNET..ETHERNET + ip_header)?));
            put16(out, ETHERNET + 10, header)?;
            sum(0, out.get(ETHERNET + 12..ETHERNET + 20)?)
        };
        let sequence = first_sequence.wrapping_add(offset as u32);
        out.get_mut(tcp + 4..tcp + 8)?.copy_from_slice(&sequence.to_be_bytes());
        let flags = out.get_mut(tcp + 13)?;
        if number + 1 < count {
            *flags &= !FIN_PSH;
        }
        if number > 0 {
            *flags &= !CWR;
        }
        // The pseudo-header ends with the protocol and the length (RFC 9293 section 3.1).
        let pseudo = sum(pseudo, &[0, 6]);
        let pseudo = sum(pseudo, &u32::try_from(tcp_len).ok()?.to_be_bytes());
        put16(out, tcp + 16, 0)?;
        let checksum = complement(sum(pseudo, out.get(tcp..)?));
        put16(out, tcp + 16, checksum)?;
        emit(out);
    }
    Some(())
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use alloc::{vec, vec::Vec};

    /// A TCP frame with `payload`, its checksum field holding the pseudo-header's sum as a stack with offload leaves it.
    fn frame(v6: bool, payload: &[u8], flags: u8) -> (Vec<u8>, TxMeta) {
        let tcp_len = 20 + payload.len();
        let mut frame = vec![0x02; 12];
        let addresses = if v6 {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend((tcp_len as u16).to_be_bytes());
            frame.extend([6, 64]);
            (1..33).collect::<Vec<u8>>()
        } else {
            frame.extend([0x08, 0x00, 0x45, 0]);
            frame.extend((20 + tcp_len as u16).to_be_bytes());
            frame.extend([0xff, 0xff, 0x40, 0, 64, 6, 0, 0]);
            vec![10, 0, 0, 1, 10, 0, 0, 2]
        };
        frame.extend(&addresses);
        let tcp = frame.len();
        let pseudo = sum(sum(sum(0, &addresses), &[0, 6]), &(tcp_len as u32).to_be_bytes());
        frame.extend([0, 80, 0x1f, 0x90]);
        frame.extend(0xffff_fff0_u32.to_be_bytes());
        frame.extend([0, 0, 0, 1, 0x50, flags, 0xff, 0xff]);
        frame.extend((pseudo as u16).to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(payload);
        (frame, TxMeta::checksum(tcp as u16, 16))
    }

    fn check(frame: &[u8], tcp: usize) {
        let v6 = frame[12] == 0x86;
        let addresses = if v6 { &frame[22..54] } else { &frame[26..34] };
        let tcp_len = frame.len() - tcp;
        let total = sum(sum(sum(0, addresses), &[0, 6]), &(tcp_len as u32).to_be_bytes());
        assert_eq!(complement(sum(total, &frame[tcp..])), 0, "the TCP checksum");
        if v6 {
            assert_eq!(usize::from(u16::from_be_bytes([frame[18], frame[19]])), tcp_len);
        } else {
            assert_eq!(complement(sum(0, &frame[14..34])), 0, "the IPv4 header checksum");
            assert_eq!(usize::from(u16::from_be_bytes([frame[16], frame[17]])), frame.len() - 14);
        }
    }

    #[test]
    fn checksums_are_completed() {
        for v6 in [false, true] {
            for len in [0, 1, 2, 1001] {
                let (mut frame, meta) = frame(v6, &vec![0xab; len], 0x10);
                assert!(complete_checksum(&mut frame, meta));
                let tcp = usize::from(meta.checksum_start);
                let addresses = if v6 { 22..54 } else { 26..34 };
                let total = sum(sum(sum(0, &frame[addresses]), &[0, 6]), &(20 + len as u32).to_be_bytes());
                assert_eq!(complement(sum(total, &frame[tcp..])), 0);
            }
        }
        assert!(!complete_checksum(&mut [0; 20], TxMeta::checksum(19, 6)));
        assert!(!complete_checksum(&mut [0; 20], TxMeta::checksum(200, 6)));
    }

    #[test]
    fn a_large_frame_is_cut() {
        let payload: Vec<u8> = (0..3500_u32).map(|n| n as u8).collect();
        for v6 in [false, true] {
            let (mut frame, meta) = frame(v6, &payload, 0x99); // CWR ACK PSH FIN
            let tcp = usize::from(meta.checksum_start);
            let mut out = Vec::new();
            cut_segments(&mut frame, meta.segments(1000), &mut [0; 1514], |segment| {
                out.push(segment.to_vec())
            })
            .unwrap();
            assert_eq!(out.len(), 4);
            let mut sequence = 0xffff_fff0_u32;
            let mut back: Vec<u8> = Vec::new();
            for (number, segment) in out.iter().enumerate() {
                check(segment, tcp);
                assert_eq!(segment[tcp + 4..tcp + 8], sequence.to_be_bytes());
                assert_eq!(segment[tcp + 13], [0x90, 0x10, 0x10, 0x19][number]);
                if !v6 {
                    assert_eq!(segment[18..20], 0xffff_u16.wrapping_add(number as u16).to_be_bytes());
                }
                sequence = sequence.wrapping_add((segment.len() - tcp - 20) as u32);
                back.extend(&segment[tcp + 20..]);
            }
            assert_eq!(back, payload);
        }
    }

    #[test]
    fn a_partial_checksum_is_described_and_a_whole_one_stays() {
        for v6 in [false, true] {
            let (partial, meta) = frame(v6, &[0xcd; 333], 0x18);
            let mut whole = partial.clone();
            assert_eq!(partial_checksum(&whole), Some(meta));
            assert!(complete_checksum(&mut whole, meta));
            assert_eq!(partial_checksum(&whole), None);
            // Either way, and with the padding of a short frame, the same comes out.
            for mut frame in [partial, whole.clone()] {
                assert_eq!(describe_checksum(&mut frame), Some(meta));
                assert!(complete_checksum(&mut frame, meta));
                assert_eq!(frame, whole);
            }
            whole[if v6 { 20 } else { 23 }] = 58;
            let before = whole.clone();
            assert_eq!((describe_checksum(&mut whole), whole), (None, before));
        }
        for len in 0..60 {
            let (mut frame, _) = frame(false, &[1; 6], 0x10);
            describe_checksum(&mut frame[..len]);
            partial_checksum(&frame[..len]);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let (mut frame, meta) = frame(false, &[1; 3000], 0x10);
        let none = |_: &mut [u8]| panic!("nothing is to be sent");
        assert_eq!(cut_segments(&mut frame, meta.segments(1000), &mut [0; 1000], none), None);
        assert_eq!(cut_segments(&mut frame[..40], meta.segments(1000), &mut [0; 1514], none), None);
        assert_eq!(
            cut_segments(&mut frame, TxMeta::checksum(4000, 16).segments(9), &mut [0; 1514], none),
            None
        );
        frame[12] = 0x99;
        assert_eq!(cut_segments(&mut frame, meta.segments(1000), &mut [0; 1514], none), None);
    }
}
