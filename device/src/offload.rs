//! In software, what a network card with offloads does: complete checksums, cut TCP segments.
//!
//! For devices that advertise more in their [`Caps`] than the wire below them can do, and for who passes frames on between devices
//! of which one can do more than the other.
use crate::{Caps, NetTx, RxMeta, TxMeta};

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
    let (network, v6) = network_header(frame)?;
    let ip = frame.get(network..)?;
    let (header, protocol, len, addresses) = if v6 {
        (40, *ip.get(6)?, usize::from(word(ip, 4)?), 8..40)
    } else {
        let header = usize::from(ip.first()? & 0x0f) * 4;
        // More fragments, or an offset.
        if header < 20 || word(ip, 6)? & 0x3fff != 0 {
            return None;
        }
        // The packet may be shorter than the frame, which is padded to 60 bytes: those are zeros and sum to nothing.
        (header, *ip.get(9)?, usize::from(word(ip, 2)?).checked_sub(header)?, 12..20)
    };
    let transport = network + header;
    let offset = match protocol {
        6 => 16,
        17 => 6,
        _ => return None,
    };
    let field = transport + offset;
    let old = frame.get(field..field + 2)?;
    if protocol == 17 && old == [0, 0] {
        return None;
    }
    let pseudo = sum(sum(0, ip.get(addresses)?), &[0, protocol]);
    let pseudo = sum(pseudo, &u32::try_from(len).ok()?.to_be_bytes()) as u16;
    Some((TxMeta::checksum(u16::try_from(transport).ok()?, offset as u16), pseudo))
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|word| u16::from_be_bytes(*word))
}

/// Where the IP header of a frame begins, behind 802.1Q tags and MPLS labels, and whether it is IPv6's.
fn network_header(frame: &[u8]) -> Option<(usize, bool)> {
    let mut at = 12;
    while matches!(word(frame, at)?, VLAN | VLAN_SERVICE) {
        at += 4;
    }
    let kind = word(frame, at)?;
    at += 2;
    match kind {
        0x0800 => Some((at, false)),
        0x86dd => Some((at, true)),
        0x8847 | 0x8848 => {
            // The last label has the bottom-of-stack bit; IP says its version itself.
            while frame.get(at + 2)? & 1 == 0 {
                at += 4;
            }
            match frame.get(at + 4)? >> 4 {
                4 => Some((at + 4, false)),
                6 => Some((at + 4, true)),
                _ => None,
            }
        }
        _ => None,
    }
}

const ETHERNET: usize = 14;
const VLAN: u16 = 0x8100;
const VLAN_SERVICE: u16 = 0x88a8;
const TAG: usize = 4;
const FIN_PSH: u8 = 0x09;
const CWR: u8 = 0x80;

/// A TCP packet that is to be cut into segments, as a card with TSO does it.
#[derive(Clone, Copy, Debug)]
pub struct Cut<'f> {
    headers: &'f [u8],
    payload: &'f [u8],
    network: usize,
    tcp: usize,
    size: usize,
}

impl<'f> Cut<'f> {
    /// Of a frame, or a packet, whose IP header begins at `network` and whose TCP header at `tcp`; each segment has `size` bytes of
    /// payload. `None` where the headers are not whole, or `size` is 0.
    pub fn new(frame: &'f [u8], network: usize, tcp: usize, size: usize) -> Option<Self> {
        let header = usize::from(frame.get(tcp + 12)? >> 4) * 4;
        if tcp < network + 20 || header < 20 || size == 0 {
            return None;
        }
        let (headers, payload) = frame.split_at_checked(tcp + header)?;
        Some(Self { headers, payload, network, tcp, size })
    }

    /// Of an Ethernet frame that is TCP, behind tags and labels, too.
    pub fn of_frame(frame: &'f [u8], size: usize) -> Option<Self> {
        let (network, _) = network_header(frame)?;
        let (described, _) =
            transport_checksum(frame).filter(|(described, _)| described.checksum_offset == 16)?;
        Self::new(frame, network, described.checksum_start.into(), size)
    }

    /// How many segments there are.
    pub fn count(&self) -> usize {
        self.payload.len().div_ceil(self.size).max(1)
    }

    fn part(&self, number: usize) -> &'f [u8] {
        let start = number.saturating_mul(self.size).min(self.payload.len());
        let end = start.saturating_add(self.size).min(self.payload.len());
        self.payload.get(start..end).unwrap_or(&[])
    }

    /// The length of a segment with its headers.
    #[allow(clippy::len_without_is_empty, reason = "each has headers")]
    pub fn len(&self, number: usize) -> usize {
        self.headers.len() + self.part(number).len()
    }

    /// Writes a segment into `out`, which is as long as it: lengths, IPv4 identification, sequence number and flags (FIN and PSH on the
    /// last, CWR on the first) are right, the checksums are not. `None` where the packet is not IP, or too long for its field.
    pub fn write(&self, number: usize, out: &mut [u8]) -> Option<()> {
        let (headers, payload) = out.split_at_mut_checked(self.headers.len())?;
        headers.copy_from_slice(self.headers);
        let part = self.part(number);
        payload.get_mut(..part.len())?.copy_from_slice(part);
        let (ip, tcp) = headers.get_mut(self.network..)?.split_at_mut_checked(self.tcp - self.network)?;
        let len = ip.len() + tcp.len() + part.len();
        if ip.first()? >> 4 == 6 {
            put16(ip, 4, u16::try_from(len - 40).ok()?)?;
        } else {
            let identification = word(ip, 4)?.wrapping_add(number as u16);
            put16(ip, 2, u16::try_from(len).ok()?)?;
            put16(ip, 4, identification)?;
        }
        let sequence = tcp.get_mut(4..8)?.first_chunk_mut::<4>()?;
        let add = number.wrapping_mul(self.size) as u32;
        *sequence = u32::from_be_bytes(*sequence).wrapping_add(add).to_be_bytes();
        let flags = tcp.get_mut(13)?;
        *flags &= !(if number + 1 < self.count() { FIN_PSH } else { 0 } | if number > 0 { CWR } else { 0 });
        Some(())
    }

    /// The same with the IPv4 header's checksum, and TCP's as [`describe_checksum`] leaves it.
    pub fn write_described(&self, number: usize, out: &mut [u8]) -> Option<TxMeta> {
        self.write(number, out)?;
        let ip = out.get_mut(self.network..self.tcp)?;
        let v6 = ip.first()? >> 4 == 6;
        if !v6 {
            put16(ip, 10, 0)?;
            let header = complement(sum(0, ip));
            put16(ip, 10, header)?;
        }
        let addresses = sum(0, ip.get(if v6 { 8..40 } else { 12..20 })?);
        // The pseudo-header ends with the protocol and the length (RFC 9293 section 3.1).
        let len = u32::try_from(out.len() - self.tcp).ok()?;
        put16(out, self.tcp + 16, sum(sum(addresses, &[0, 6]), &len.to_be_bytes()) as u16)?;
        Some(TxMeta::checksum(u16::try_from(self.tcp).ok()?, 16))
    }
}

/// Sends a frame that one card received, as `meta` says, out of another with these `caps`: what is left to be done to it the card does
/// if it can, and otherwise it is done here: checksums, and the cutting of coalesced TCP segments. A frame with tags or labels is left
/// to no card.
///
/// `false` when not all of it went: the ring is full, or the frame is longer than the MTU and no coalesced TCP.
pub fn pass_on(tx: &mut impl NetTx, caps: &Caps, frame: &[u8], meta: RxMeta) -> bool {
    let tag = if matches!(word(frame, 12), Some(VLAN | VLAN_SERVICE)) { TAG } else { 0 };
    let longest = ETHERNET + tag + caps.mtu;
    let size = usize::from(meta.gro_segment);
    if frame.len() <= longest && !meta.checksum_ok && size == 0 {
        return tx.transmit(frame.len(), |slot| slot.bytes.copy_from_slice(frame)).is_ok();
    }
    let network = network_header(frame);
    let offload = caps.checksums.tx && matches!(network, Some((ETHERNET, _)));
    let tso = match network {
        Some((_, false)) if offload => caps.tso_v4,
        Some((_, true)) if offload => caps.tso_v6,
        _ => 0,
    };
    let cut = if frame.len() > longest { Cut::of_frame(frame, size) } else { None };
    match cut {
        None if frame.len() > longest => false,
        Some(cut) if cut.len(0) > longest => false,
        Some(cut) if frame.len() - ETHERNET > tso => (0..cut.count()).all(|number| {
            let sent = tx.transmit(cut.len(number), |slot| match cut.write_described(number, slot.bytes) {
                Some(described) if offload => slot.meta = described,
                Some(described) if complete_checksum(slot.bytes, described) => {}
                _ => slot.len = 0,
            });
            sent.is_ok()
        }),
        whole_or_cut_by_the_card => {
            let segment = if whole_or_cut_by_the_card.is_some() { meta.gro_segment } else { 0 };
            let sent = tx.transmit(frame.len(), |slot| {
                slot.bytes.copy_from_slice(frame);
                match describe_checksum(slot.bytes) {
                    Some(described) if offload => slot.meta = described.segments(segment),
                    Some(described) => drop(complete_checksum(slot.bytes, described)),
                    None => {}
                }
            });
            sent.is_ok()
        }
    }
}

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
    let (network, _) = network_header(frame)?;
    let cut = Cut::new(frame, network, tcp, meta.tso_segment.into())?;
    for number in 0..cut.count() {
        let out = segment.get_mut(..cut.len(number))?;
        let described = cut.write_described(number, out)?;
        complete_checksum(out, described).then_some(())?;
        emit(out);
    }
    Some(())
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use crate::{Full, TxFrame};
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

    /// A ring that keeps what is sent, as the card then puts it on the wire.
    struct Wire {
        mtu: usize,
        slots: usize,
        frames: Vec<Vec<u8>>,
    }

    impl NetTx for Wire {
        fn capacity(&self) -> usize {
            self.slots
        }
        fn transmit<R>(&mut self, len: usize, fill: impl FnOnce(&mut TxFrame<'_>) -> R) -> Result<R, Full> {
            self.slots = self.slots.checked_sub(1).ok_or(Full)?;
            let mut bytes = vec![0; len];
            let mut slot = TxFrame::new(&mut bytes);
            let result = fill(&mut slot);
            let (len, meta) = (slot.len, slot.meta);
            cut_segments(&mut bytes[..len], meta, &mut vec![0; self.mtu + 18], |part| {
                self.frames.push(part.to_vec());
            })
            .unwrap();
            Ok(result)
        }
        fn flush(&mut self) {}
    }

    #[test]
    fn what_one_card_coalesced_goes_out_of_any_other() {
        let tags: [&[u8]; 4] =
            [&[], &[0x81, 0, 0x20, 7], &[0x88, 0xa8, 0, 9, 0x81, 0, 0, 7], &[0x88, 0x47, 0, 1, 0x01, 64]];
        let caps = [
            Caps::new(1500),
            Caps::new(1500).with_checksums(true, false),
            Caps::new(1500).with_checksums(true, false).with_tso(65_535, 65_535),
            Caps::new(1500).with_checksums(true, false).with_tso(3000, 3000),
            Caps::new(9000).with_checksums(true, false),
        ];
        for (tag, v6) in tags.iter().flat_map(|tag| [(tag, false), (tag, true)]) {
            let (mut plain, _) = frame(v6, &vec![0x5a; 5000], 0x18);
            if !v6 {
                // As a card gives it: only the transport's checksum is left to do.
                let header = complement(sum(0, &plain[14..34]));
                plain[24..26].copy_from_slice(&header.to_be_bytes());
            }
            let mut sent = plain[..12].to_vec();
            sent.extend(*tag);
            // A label takes the type's place.
            sent.extend(&plain[if tag.starts_with(&[0x88, 0x47]) { 14 } else { 12 }..]);
            for caps in caps {
                let mut wire = Wire { mtu: caps.mtu, slots: 64, frames: Vec::new() };
                assert!(pass_on(&mut wire, &caps, &sent, RxMeta::new(true, 1000)));
                assert_eq!(wire.frames.len(), if caps.mtu == 9000 { 1 } else { 5 }, "{tag:x?} {v6}");
                let mut back: Vec<u8> = Vec::new();
                for segment in &mut wire.frames {
                    let (network, _) = network_header(segment).unwrap();
                    // Without tags and labels it is as `check` knows frames.
                    segment.drain(12..network);
                    let kind: &[u8] = if v6 { &[0x86, 0xdd] } else { &[8, 0] };
                    segment.splice(12..12, kind.iter().copied());
                    let tcp = if v6 { 54 } else { 34 };
                    check(segment, tcp);
                    back.extend(&segment[tcp + 20..]);
                }
                assert_eq!(back, [0x5a; 5000]);
            }
            // Of a ring that is full, and of what cannot be cut, it is said.
            let lost = |slots, mtu, meta| {
                let mut wire = Wire { mtu: 1500, slots, frames: Vec::new() };
                !pass_on(&mut wire, &Caps::new(mtu), &sent, meta)
            };
            assert!(lost(4, 1500, RxMeta::new(true, 1000)));
            assert!(lost(64, 1500, RxMeta::new(true, 0)) && lost(64, 1500, RxMeta::new(true, 2000)));
        }
        // What is complete, or no TCP, goes as it is; what only lacks its checksum gets it.
        for (mut bytes, ok) in
            [(vec![7; 60], false), (vec![7; 60], true), (frame(false, &[1; 99], 0x10).0, true)]
        {
            let mut wire = Wire { mtu: 1500, slots: 1, frames: Vec::new() };
            assert!(pass_on(&mut wire, &Caps::new(1500), &bytes, RxMeta::new(ok, 0)));
            if let Some(meta) = describe_checksum(&mut bytes) {
                complete_checksum(&mut bytes, meta);
            }
            assert_eq!(wire.frames, [bytes]);
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
