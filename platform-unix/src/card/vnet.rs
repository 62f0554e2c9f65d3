//! `struct virtio_net_hdr`: what the kernel and we tell each other about a frame, in ten bytes before it
//! (virtio 1.2 section 5.1.6, in the byte order of this machine).
use airglow_device::{RxMeta, TxMeta, complete_checksum, partial_checksum};

/// Length of the header.
pub(super) const LEN: usize = 10;

const F_NEEDS_CSUM: u8 = 1;
const F_DATA_VALID: u8 = 2;
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_ECN: u8 = 0x80;

/// The header in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    flags: u8,
    gso_type: u8,
    gso_size: u16,
    checksum_start: u16,
    checksum_offset: u16,
}

impl Header {
    /// Splits what was read into header and frame; `None` when it is too short for both.
    pub(super) fn split(bytes: &mut [u8]) -> Option<(Self, &mut [u8])> {
        let (header, frame) = bytes.split_first_chunk_mut::<LEN>()?;
        let [flags, gso_type, _, _, g0, g1, s0, s1, o0, o1] = *header;
        let word = |a, b| u16::from_ne_bytes([a, b]);
        let header = Self {
            flags,
            gso_type,
            gso_size: word(g0, g1),
            checksum_start: word(s0, s1),
            checksum_offset: word(o0, o1),
        };
        (frame.len() >= 14).then_some((header, frame))
    }

    /// What the stack is told; `None` for a frame that is several datagrams in one, which no stack can take.
    pub(super) fn meta(&self) -> Option<RxMeta> {
        let segment = match self.gso_type & !GSO_ECN {
            GSO_NONE => 0,
            GSO_TCPV4 | GSO_TCPV6 => self.gso_size,
            _ => return None,
        };
        // A checksum that is yet to be completed was never on a wire: the sum cannot be wrong.
        Some(RxMeta::new(self.flags & (F_NEEDS_CSUM | F_DATA_VALID) != 0, segment))
    }

    /// Completes the checksum of a frame whose sender left that to the card.
    pub(super) fn complete(&self, frame: &mut [u8]) {
        if self.flags & F_NEEDS_CSUM != 0 {
            complete_checksum(frame, TxMeta::checksum(self.checksum_start, self.checksum_offset));
        }
    }

    /// The same, but for one that can be told from the frame alone.
    pub(super) fn complete_other(&self, frame: &mut [u8]) {
        let told = |meta: TxMeta| {
            (meta.checksum_start, meta.checksum_offset) == (self.checksum_start, self.checksum_offset)
        };
        if self.flags & F_NEEDS_CSUM != 0 && self.gso_size == 0 && !partial_checksum(frame).is_some_and(told)
        {
            self.complete(frame);
        }
    }
}

/// The header for a frame that goes out.
pub(super) fn header(meta: TxMeta, frame: &[u8]) -> [u8; LEN] {
    let mut header = [0; LEN];
    if meta.checksum_start == 0 && meta.checksum_offset == 0 {
        return header;
    }
    header[0] = F_NEEDS_CSUM;
    header[6..8].copy_from_slice(&meta.checksum_start.to_ne_bytes());
    header[8..10].copy_from_slice(&meta.checksum_offset.to_ne_bytes());
    if meta.tso_segment != 0 {
        // The checksum starts where TCP does; the high half of its byte 12 is its length in words.
        let start = usize::from(meta.checksum_start);
        let words = frame.get(start + 12).map_or(5, |byte| byte >> 4);
        let headers = meta.checksum_start + u16::from(words) * 4;
        let version = frame.get(14).map_or(4, |byte| byte >> 4);
        header[1] = if version == 6 { GSO_TCPV6 } else { GSO_TCPV4 };
        header[2..4].copy_from_slice(&headers.to_ne_bytes());
        header[4..6].copy_from_slice(&meta.tso_segment.to_ne_bytes());
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_out_comes_in() {
        let mut frame = vec![0; 100];
        frame[14] = 0x45;
        frame[14 + 20 + 12] = 8 << 4;
        let bytes = header(TxMeta::checksum(34, 16).segments(1448), &frame);
        assert_eq!(u16::from_ne_bytes([bytes[2], bytes[3]]), 34 + 32);
        let mut whole = [bytes.to_vec(), frame].concat();
        let (header, frame) = Header::split(&mut whole).unwrap();
        assert_eq!(frame.len(), 100);
        assert_eq!(header.meta(), Some(RxMeta::new(true, 1448)));
        assert_eq!(super::header(TxMeta::NONE, frame), [0; LEN]);
        assert!(Header::split(&mut [0; LEN + 13]).is_none());
        // Coalesced UDP datagrams.
        let mut whole = [0; 40];
        whole[1] = 5;
        assert_eq!(Header::split(&mut whole).unwrap().0.meta(), None);
    }

    #[test]
    fn a_partial_checksum_is_completed() {
        // RFC 1071 section 3: these eight bytes sum to ddf2 in one's complement.
        let data = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        let mut frame = [&[0; 14][..], &data, &[0, 0]].concat();
        let header =
            Header { flags: F_NEEDS_CSUM, gso_type: 0, gso_size: 0, checksum_start: 14, checksum_offset: 8 };
        header.complete(&mut frame);
        assert_eq!(frame[22..], [0x22, 0x0d]);
        // Offsets outside the frame change nothing.
        let mut short = [0; 20];
        Header { checksum_start: 15, checksum_offset: 4, ..header }.complete(&mut short);
        Header { checksum_start: u16::MAX, checksum_offset: u16::MAX, ..header }.complete(&mut short);
        assert_eq!(short, [0; 20]);
    }
}
