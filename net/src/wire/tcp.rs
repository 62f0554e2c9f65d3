//! TCP segments (RFC 9293 section 3.1) and their options: RFC 7323 (window scale, timestamps), RFC 2018 (SACK).
//!
//! [`Segment`] is a view of received bytes; [`Header`] is what to send. Neither knows the checksum: it covers the IP
//! addresses, so the IP side computes and verifies it at [`CHECKSUM`].
use core::{fmt, ops::BitOr};

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;
/// Where the checksum field lies.
pub const CHECKSUM: core::ops::Range<usize> = 16..18;

mod field {
    use core::ops::Range;
    pub const SOURCE: Range<usize> = 0..2;
    pub const DESTINATION: Range<usize> = 2..4;
    pub const SEQUENCE: Range<usize> = 4..8;
    pub const ACKNOWLEDGMENT: Range<usize> = 8..12;
    pub const DATA_OFFSET: usize = 12;
    pub const FLAGS: usize = 13;
    pub const WINDOW: Range<usize> = 14..16;
    pub const OPTIONS: usize = 20;
}

mod kind {
    pub const END: u8 = 0;
    pub const NOP: u8 = 1;
    pub const MSS: u8 = 2;
    pub const WINDOW_SCALE: u8 = 3;
    pub const SACK_PERMITTED: u8 = 4;
    pub const SACK: u8 = 5;
    pub const TIMESTAMPS: u8 = 8;
    #[cfg(feature = "user-timeout")]
    pub const USER_TIMEOUT: u8 = 28;
}

/// The control bits.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronize sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment field is significant.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer is significant.
    pub const URG: Self = Self(0x20);
    /// ECN echo (RFC 3168).
    pub const ECE: Self = Self(0x40);
    /// Congestion window reduced (RFC 3168).
    pub const CWR: Self = Self(0x80);

    /// All the bits of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
    /// Any of the bits of `other` is set.
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Flags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bit, name) in "FSRPAUEC".chars().enumerate() {
            if self.0 & 1 << bit != 0 {
                write!(f, "{name}")?;
            }
        }
        if self.0 == 0 { write!(f, "-") } else { Ok(()) }
    }
}

/// Why bytes are no segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Up to four SACK blocks: left edge and right edge of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SackBlocks {
    blocks: [(u32, u32); 4],
    len: u8,
}

impl SackBlocks {
    /// Adds a block; a fifth is left out.
    pub fn push(&mut self, left: u32, right: u32) {
        if let Some(slot) = self.blocks.get_mut(usize::from(self.len)) {
            *slot = (left, right);
            self.len += 1;
        }
    }
    /// Keeps the first `most` blocks.
    pub fn truncate(&mut self, most: usize) {
        self.len = self.len.min(most.min(4) as u8);
    }
    /// The blocks, in the order of the option.
    pub fn as_slice(&self) -> &[(u32, u32)] {
        &self.blocks[..usize::from(self.len)]
    }
}

/// The options this stack knows. Others are skipped, as RFC 9293 section 3.1 (MUST-6) requires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Maximum segment size (only in a SYN).
    pub mss: Option<u16>,
    /// Window scale shift (only in a SYN), as received; more than 14 counts as 14.
    pub window_scale: Option<u8>,
    /// SACK permitted (only in a SYN).
    pub sack_permitted: bool,
    /// TSval and TSecr.
    pub timestamps: Option<(u32, u32)>,
    /// SACK blocks.
    pub sack: SackBlocks,
    /// The user timeout (RFC 5482): 15 bits, of minutes when the highest bit is set, else of seconds.
    #[cfg(feature = "user-timeout")]
    pub user_timeout: Option<u16>,
}

fn u16_at(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[0], bytes[1]])
}
fn u32_at(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

impl Options {
    /// Reads the option bytes of a header. An option with an impossible length ends the reading; what came before it counts.
    pub fn parse(mut bytes: &[u8]) -> Self {
        let mut options = Self::default();
        // The layout every common sender uses on every segment: NOP, NOP, timestamps.
        if let [kind::NOP, kind::NOP, kind::TIMESTAMPS, 10, a, b, c, d, e, f, g, h] = *bytes {
            options.timestamps = Some((u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])));
            return options;
        }
        while let [option, rest @ ..] = bytes {
            match *option {
                kind::END => break,
                kind::NOP => {
                    bytes = rest;
                    continue;
                }
                _ => {}
            }
            let Some(&len) = rest.first() else { break };
            let len = usize::from(len);
            if len < 2 || len > bytes.len() {
                break;
            }
            let (whole, after) = bytes.split_at(len);
            let value = &whole[2..];
            match (*option, value.len()) {
                (kind::MSS, 2) => options.mss = Some(u16_at(value)),
                (kind::WINDOW_SCALE, 1) => options.window_scale = Some(value[0]),
                (kind::SACK_PERMITTED, 0) => options.sack_permitted = true,
                (kind::TIMESTAMPS, 8) => options.timestamps = Some((u32_at(value), u32_at(&value[4..]))),
                #[cfg(feature = "user-timeout")]
                (kind::USER_TIMEOUT, 2) => options.user_timeout = Some(u16_at(value)),
                (kind::SACK, n) if n % 8 == 0 => {
                    for block in value.chunks_exact(8) {
                        options.sack.push(u32_at(block), u32_at(&block[4..]));
                    }
                }
                _ => {}
            }
            bytes = after;
        }
        options
    }

    /// Bytes these options take, a multiple of 4, at most 40 (SACK blocks that do not fit are left out).
    pub fn len(&self) -> usize {
        let fixed = self.fixed_len();
        fixed + sack_len(self.sack_blocks(fixed))
    }

    /// None is set.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn fixed_len(&self) -> usize {
        #[cfg(feature = "user-timeout")]
        let user_timeout = 4 * usize::from(self.user_timeout.is_some());
        #[cfg(not(feature = "user-timeout"))]
        let user_timeout = 0;
        user_timeout
            + 4 * usize::from(self.mss.is_some())
            + 4 * usize::from(self.window_scale.is_some())
            + 4 * usize::from(self.sack_permitted)
            + 12 * usize::from(self.timestamps.is_some())
    }

    fn sack_blocks(&self, fixed: usize) -> usize {
        usize::from(self.sack.len).min((40 - fixed).saturating_sub(4) / 8)
    }

    /// Writes the options to the first [`len`](Self::len) bytes of `out`; what does not fit is left out.
    pub fn emit(&self, out: &mut [u8]) {
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            if let Some(slot) = out.get_mut(at..at + bytes.len()) {
                slot.copy_from_slice(bytes);
                at += bytes.len();
            }
        };
        if let Some(mss) = self.mss {
            let [a, b] = mss.to_be_bytes();
            put(&[kind::MSS, 4, a, b]);
        }
        if let Some(shift) = self.window_scale {
            put(&[kind::NOP, kind::WINDOW_SCALE, 3, shift]);
        }
        if self.sack_permitted {
            put(&[kind::NOP, kind::NOP, kind::SACK_PERMITTED, 2]);
        }
        if let Some((value, echo)) = self.timestamps {
            put(&[kind::NOP, kind::NOP, kind::TIMESTAMPS, 10]);
            put(&value.to_be_bytes());
            put(&echo.to_be_bytes());
        }
        #[cfg(feature = "user-timeout")]
        if let Some(timeout) = self.user_timeout {
            let [a, b] = timeout.to_be_bytes();
            put(&[kind::USER_TIMEOUT, 4, a, b]);
        }
        let blocks = self.sack_blocks(self.fixed_len());
        if blocks > 0 {
            put(&[kind::NOP, kind::NOP, kind::SACK, 2 + 8 * blocks as u8]);
            for (left, right) in &self.sack.as_slice()[..blocks] {
                put(&left.to_be_bytes());
                put(&right.to_be_bytes());
            }
        }
    }
}

fn sack_len(blocks: usize) -> usize {
    if blocks == 0 { 0 } else { 4 + 8 * blocks }
}

/// A received segment: header and data in place.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    bytes: &'a [u8],
    header_len: usize,
}

impl<'a> Segment<'a> {
    /// Checks the length and the data offset; accessors cannot panic after that. The checksum is not checked here.
    ///
    /// # Errors
    /// [`Malformed`] for fewer than 20 bytes or a data offset outside the segment.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let offset = bytes.get(field::DATA_OFFSET).ok_or(Malformed)?;
        let header_len = usize::from(offset >> 4) * 4;
        if header_len < HEADER_LEN || header_len > bytes.len() {
            return Err(Malformed);
        }
        Ok(Self { bytes, header_len })
    }
    /// The sender's port.
    pub fn source_port(&self) -> u16 {
        u16_at(&self.bytes[field::SOURCE])
    }
    /// The receiver's port.
    pub fn destination_port(&self) -> u16 {
        u16_at(&self.bytes[field::DESTINATION])
    }
    /// SEG.SEQ.
    pub fn sequence(&self) -> u32 {
        u32_at(&self.bytes[field::SEQUENCE])
    }
    /// SEG.ACK.
    pub fn acknowledgment(&self) -> u32 {
        u32_at(&self.bytes[field::ACKNOWLEDGMENT])
    }
    /// The control bits.
    pub fn flags(&self) -> Flags {
        Flags(self.bytes[field::FLAGS])
    }
    /// SEG.WND as it stands, unscaled.
    pub fn window(&self) -> u16 {
        u16_at(&self.bytes[field::WINDOW])
    }
    /// The option bytes.
    pub fn option_bytes(&self) -> &'a [u8] {
        &self.bytes[field::OPTIONS..self.header_len]
    }
    /// The options, read.
    pub fn options(&self) -> Options {
        Options::parse(self.option_bytes())
    }
    /// The data.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[self.header_len..]
    }
}

/// The header of a segment to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// SEG.SEQ.
    pub sequence: u32,
    /// SEG.ACK.
    pub acknowledgment: u32,
    /// The control bits.
    pub flags: Flags,
    /// SEG.WND, already scaled down.
    pub window: u16,
    /// The options.
    pub options: Options,
}

impl Header {
    /// Reads the header of a segment.
    pub fn parse(segment: &Segment<'_>) -> Self {
        Self {
            source_port: segment.source_port(),
            destination_port: segment.destination_port(),
            sequence: segment.sequence(),
            acknowledgment: segment.acknowledgment(),
            flags: segment.flags(),
            window: segment.window(),
            options: segment.options(),
        }
    }

    /// Bytes of the header with its options.
    pub fn len(&self) -> usize {
        HEADER_LEN + self.options.len()
    }

    /// Never: a header has at least 20 bytes.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Writes the header, checksum and urgent pointer zero, to the first [`len`](Self::len) bytes of `out`.
    /// Does nothing when `out` is shorter.
    pub fn emit(&self, out: &mut [u8]) {
        let len = self.len();
        let Some(out) = out.get_mut(..len) else { return };
        out[field::SOURCE].copy_from_slice(&self.source_port.to_be_bytes());
        out[field::DESTINATION].copy_from_slice(&self.destination_port.to_be_bytes());
        out[field::SEQUENCE].copy_from_slice(&self.sequence.to_be_bytes());
        out[field::ACKNOWLEDGMENT].copy_from_slice(&self.acknowledgment.to_be_bytes());
        out[field::DATA_OFFSET] = (len as u8 / 4) << 4;
        out[field::FLAGS] = self.flags.0;
        out[field::WINDOW].copy_from_slice(&self.window.to_be_bytes());
        out[CHECKSUM.start..field::OPTIONS].fill(0);
        if len > HEADER_LEN {
            self.options.emit(&mut out[field::OPTIONS..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SYN: [u8; 40] = [
        0xc0, 0x00, 0x00, 0x50, 0x01, 0x02, 0x03, 0x04, 0, 0, 0, 0, 0xa0, 0x02, 0xfa, 0xf0, 0, 0, 0,
        0, // header
        2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 7, 0, 0, 0, 0, 1, 3, 3, 7, // Linux' order of options
    ];

    #[test]
    fn a_linux_syn_is_read() {
        let segment = Segment::new_checked(&SYN).unwrap();
        assert_eq!((segment.source_port(), segment.destination_port()), (49152, 80));
        assert_eq!(segment.flags(), Flags::SYN);
        let options = segment.options();
        assert_eq!(options.mss, Some(1460));
        assert_eq!(options.window_scale, Some(7));
        assert!(options.sack_permitted);
        assert_eq!(options.timestamps, Some((7, 0)));
        assert!(segment.payload().is_empty());
    }

    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.1
    //= type=test
    //# A TCP implementation MUST (MUST-6) ignore without error any TCP Option it does not implement,
    //# assuming that the option has a length field.
    #[test]
    fn unknown_and_broken_options_do_no_harm() {
        assert_eq!(Options::parse(&[254, 4, 9, 9, 2, 4, 1, 2]).mss, Some(0x102));
        for broken in [&[2, 0, 1, 2][..], &[2, 1, 1, 2], &[2, 9, 1, 2], &[2], &[254, 255, 0, 0]] {
            assert_eq!(Options::parse(broken), Options::default());
        }
    }

    #[test]
    fn bad_offsets_are_refused() {
        let mut bytes = SYN;
        for (offset, good) in [(0x40, false), (0x50, true), (0xa0, true), (0xb0, false), (0xf0, false)] {
            bytes[12] = offset;
            assert_eq!(Segment::new_checked(&bytes).is_ok(), good, "{offset:x}");
        }
        assert!(Segment::new_checked(&SYN[..19]).is_err());
        assert!(Segment::new_checked(&[]).is_err());
    }

    fn options() -> impl Strategy<Value = Options> {
        let blocks = prop::collection::vec(any::<(u32, u32)>(), 0..=3);
        let syn = (any::<Option<u16>>(), any::<Option<u8>>(), any::<bool>());
        (syn, any::<Option<(u32, u32)>>(), blocks).prop_map(|(syn, timestamps, blocks)| {
            let mut sack = SackBlocks::default();
            if syn == (None, None, false) {
                blocks.into_iter().for_each(|(left, right)| sack.push(left, right));
            }
            Options {
                mss: syn.0,
                window_scale: syn.1,
                sack_permitted: syn.2,
                timestamps,
                sack,
                ..Options::default()
            }
        })
    }

    proptest! {
        #[test]
        fn what_is_emitted_parses_to_the_same(
            ports in any::<(u16, u16)>(), numbers in any::<(u32, u32)>(), flags: u8, window: u16,
            options in options(), data in prop::collection::vec(any::<u8>(), 0..50),
        ) {
            let header = Header {
                source_port: ports.0, destination_port: ports.1, sequence: numbers.0, acknowledgment: numbers.1,
                flags: Flags(flags), window, options,
            };
            let mut bytes = vec![0xee; header.len()];
            header.emit(&mut bytes);
            bytes.extend(&data);
            let segment = Segment::new_checked(&bytes).unwrap();
            prop_assert_eq!(Header::parse(&segment), header);
            prop_assert_eq!(segment.payload(), &data[..]);
        }

        #[test]
        fn any_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(segment) = Segment::new_checked(&bytes) {
                let header = Header::parse(&segment);
                let mut again = vec![0; header.len()];
                header.emit(&mut again);
                prop_assert!(header.len() <= 60);
            }
        }
    }
}
