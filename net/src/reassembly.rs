//! Fragments become packets again (RFC 791 section 3.2, RFC 8200 section 4.5), in a bounded number of buffers.
use crate::{
    checksum::Sum,
    memory::{Later, Slice},
};
use airglow_device::Instant;
use core::{net::IpAddr, ops::Range, time::Duration};
use heapless::Vec;

//= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
//# If insufficient fragments are received to complete reassembly
//# of a packet within 60 seconds of the reception of the first-
//# arriving fragment of that packet, reassembly of that packet
//# must be abandoned and all the fragments that have been received
//# for that packet must be discarded.
const LIFETIME: Duration = Duration::from_secs(60);
/// Parts of one packet that lie apart from each other; a sender that needs more of them is not waited for.
const PARTS: usize = 32;
/// Room in front of the payload for the headers that come before it: IPv4 with options, or IPv6 with a few extension headers.
pub(crate) const HEADERS: usize = 80;
/// The largest packet there is, and its headers.
#[cfg(feature = "alloc")]
const LARGEST: usize = HEADERS + 65_535;

/// What tells the fragments of one packet from those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub interface: usize,
    pub src: IpAddr,
    pub dst: IpAddr,
    pub identification: u32,
    /// Of IPv4 only.
    pub protocol: u8,
}

/// One fragment.
pub(crate) struct Fragment<'a> {
    pub key: Key,
    /// All that comes before the payload; of IPv6 the fragment header is the last of it.
    pub headers: &'a [u8],
    /// Where in the headers the octet is that names the fragment header (IPv6).
    pub named_at: usize,
    pub offset: usize,
    pub more: bool,
    pub ecn: u8,
    pub unicast: bool,
    pub payload: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Collecting,
    /// Fragments contradicted one another: what still comes of the packet is dropped.
    Refused,
    /// Whole, and not yet taken.
    Whole,
}

/// The fragments of one packet.
pub(crate) struct Slot {
    state: State,
    key: Key,
    /// What is there of the payload, from where to where, in order.
    parts: Vec<(u16, u16), PARTS>,
    /// Length of the payload, when the last fragment has told it.
    total: Option<u16>,
    /// Length of the headers; 0 until the first fragment came.
    headers: u8,
    named_at: u8,
    /// Bit `n`: a fragment had the ECN bits `n`.
    ecn: u8,
    unicast: bool,
    expires: Instant,
    used: Instant,
    #[cfg(feature = "alloc")]
    own: alloc::vec::Vec<u8>,
}

impl Slot {
    pub const FREE: Self = Self {
        state: State::Free,
        key: Key {
            interface: 0,
            src: IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED),
            dst: IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED),
            identification: 0,
            protocol: 0,
        },
        parts: Vec::new(),
        total: None,
        headers: 0,
        named_at: 0,
        ecn: 0,
        unicast: false,
        expires: Instant::ZERO,
        used: Instant::ZERO,
        #[cfg(feature = "alloc")]
        own: alloc::vec::Vec::new(),
    };

    fn reset(&mut self, state: State) {
        self.state = state;
        self.parts.clear();
        #[cfg(feature = "alloc")]
        {
            self.own = alloc::vec::Vec::new();
        }
    }
}

/// Buffers for fragments, for a stack that does not allocate: `PACKETS` packets at a time, of up to `BYTES` - 80 bytes of payload.
/// See [`Memory::with_reassembly`](crate::Memory::with_reassembly).
pub struct ReassemblyMemory<const PACKETS: usize, const BYTES: usize> {
    pub(crate) slots: Later<[Slot; PACKETS]>,
    pub(crate) bytes: [[u8; BYTES]; PACKETS],
}

impl<const PACKETS: usize, const BYTES: usize> ReassemblyMemory<PACKETS, BYTES> {
    /// Empty buffers.
    pub const fn new() -> Self {
        Self { slots: Later::Unused, bytes: [[0; BYTES]; PACKETS] }
    }
}

impl<const PACKETS: usize, const BYTES: usize> Default for ReassemblyMemory<PACKETS, BYTES> {
    fn default() -> Self {
        Self::new()
    }
}

/// What became of a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is kept, or was there already.
    Kept,
    /// It is kept, and an older packet had to make room.
    Evicted,
    /// It completed its packet.
    Whole,
    /// It and its packet were dropped: overlap, contradiction, too many parts, no room.
    Refused,
}

/// The packets that are being put together.
#[derive(Default)]
pub(crate) struct Reassembly<'m> {
    pub slots: Slice<'m, Slot>,
    /// `size` bytes for each slot; empty when slots allocate their own.
    pub bytes: Slice<'m, u8>,
    pub size: usize,
    /// No slot expires before this.
    next: Option<Instant>,
    /// A packet is whole and not yet taken.
    pub has_whole: bool,
}

impl<'m> Reassembly<'m> {
    pub fn new(slots: Slice<'m, Slot>, bytes: Slice<'m, u8>, size: usize) -> Self {
        Self { slots, bytes, size, next: None, has_whole: false }
    }

    /// The buffer of a slot, at least `len` bytes long if it can be.
    fn buffer(&mut self, index: usize, len: usize) -> Option<&mut [u8]> {
        #[cfg(feature = "alloc")]
        if self.bytes.is_empty() {
            let own = &mut self.slots.get_mut(index)?.own;
            if own.len() < len && len <= LARGEST {
                own.resize(len, 0);
            }
            return own.get_mut(..);
        }
        let _ = len;
        self.bytes.get_mut(index * self.size..(index + 1) * self.size)
    }

    /// Takes in a fragment. Its payload is not empty, ends within 65,535 bytes, and is a multiple of 8 long unless it is the last.
    pub fn add(&mut self, now: Instant, fragment: &Fragment<'_>) -> Outcome {
        let (start, len) = (fragment.offset, fragment.payload.len());
        let end = start + len;
        let (Ok(start16), Ok(end16)) = (u16::try_from(start), u16::try_from(end)) else {
            return Outcome::Refused;
        };
        let mut outcome = Outcome::Kept;
        let known = |s: &Slot| s.state != State::Free && s.key == fragment.key;
        let index = match self.slots.iter().position(known) {
            Some(index) => index,
            None => {
                // A free one, else the one that got nothing for the longest time. A whole one is about to be taken.
                let rank = |s: &Slot| (s.state != State::Free).then_some(s.used);
                let usable = self.slots.iter().enumerate().filter(|(_, s)| s.state != State::Whole);
                let Some((index, _)) = usable.min_by_key(|(_, s)| rank(s)) else { return Outcome::Refused };
                let Some(slot) = self.slots.get_mut(index) else { return Outcome::Refused };
                if slot.state == State::Collecting {
                    outcome = Outcome::Evicted;
                }
                slot.reset(State::Collecting);
                (slot.key, slot.total, slot.headers, slot.ecn) = (fragment.key, None, 0, 0);
                slot.unicast = fragment.unicast;
                slot.expires = now + LIFETIME;
                self.next = Some(self.next.map_or(slot.expires, |next| next.min(slot.expires)));
                index
            }
        };
        match self.place(now, index, fragment, start16, end16) {
            Some(true) => Outcome::Whole,
            Some(false) => outcome,
            None => {
                if let Some(slot) = self.slots.get_mut(index)
                    && slot.state != State::Whole
                {
                    //= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
                    //# If any of the fragments being reassembled overlap with any
                    //# other fragments being reassembled for the same packet,
                    //# reassembly of that packet must be abandoned and all the
                    //# fragments that have been received for that packet must be
                    //# discarded, and no ICMP error messages should be sent.
                    slot.reset(State::Refused);
                }
                Outcome::Refused
            }
        }
    }

    /// Puts a fragment into its slot: whether the packet is whole now, or `None` if it cannot become whole any more.
    fn place(&mut self, now: Instant, index: usize, f: &Fragment<'_>, start: u16, end: u16) -> Option<bool> {
        let slot = self.slots.get_mut(index)?;
        slot.used = now;
        if slot.state != State::Collecting {
            return None;
        }
        let farthest = slot.parts.last().map_or(0, |part| part.1);
        match slot.total {
            Some(total) if end > total || (!f.more && end != total) => return None,
            None if !f.more && farthest > end => return None,
            _ => {}
        }
        if let Some(&part) = slot.parts.iter().find(|part| start < part.1 && part.0 < end) {
            // A copy of what is there already does no harm; anything else that overlaps ends the packet.
            let within = part.0 <= start && end <= part.1;
            let range = HEADERS + usize::from(start)..HEADERS + usize::from(end);
            let same = within && self.buffer(index, 0)?.get(range)? == f.payload;
            return same.then_some(false);
        }
        if f.offset == 0 && f.headers.len() > HEADERS {
            return None;
        }
        let buffer = self.buffer(index, HEADERS + usize::from(end))?;
        buffer.get_mut(HEADERS + usize::from(start)..HEADERS + usize::from(end))?.copy_from_slice(f.payload);
        if f.offset == 0 {
            buffer.get_mut(HEADERS - f.headers.len()..HEADERS)?.copy_from_slice(f.headers);
        }

        let slot = self.slots.get_mut(index)?;
        slot.ecn |= 1 << (f.ecn & 3);
        slot.unicast &= f.unicast;
        if f.offset == 0 {
            (slot.headers, slot.named_at) = (f.headers.len() as u8, f.named_at as u8);
        }
        if !f.more {
            slot.total = Some(end);
        }
        let at = slot.parts.iter().position(|part| part.0 >= end).unwrap_or(slot.parts.len());
        let joins_next = slot.parts.get(at).is_some_and(|next| next.0 == end);
        let joins_last = at.checked_sub(1).filter(|last| slot.parts.get(*last).is_some_and(|l| l.1 == start));
        match (joins_last, joins_next) {
            (Some(last), true) => {
                let (_, next_end) = slot.parts.remove(at);
                slot.parts.get_mut(last)?.1 = next_end;
            }
            (Some(last), false) => slot.parts.get_mut(last)?.1 = end,
            (None, true) => slot.parts.get_mut(at)?.0 = start,
            (None, false) => slot.parts.insert(at, (start, end)).ok()?,
        }
        let whole = slot.total.is_some_and(|total| slot.parts.as_slice() == [(0, total)]);
        if !whole {
            return Some(false);
        }
        self.finish(index)?;
        self.slots.get_mut(index)?.state = State::Whole;
        self.has_whole = true;
        Some(true)
    }

    /// Makes the headers those of a whole packet.
    fn finish(&mut self, index: usize) -> Option<()> {
        let slot = self.slots.get(index)?;
        let (headers, named_at) = (usize::from(slot.headers), usize::from(slot.named_at));
        let (total, ecn, is_ipv4) = (usize::from(slot.total?), slot.ecn, slot.key.src.is_ipv4());
        // RFC 3168 section 5.3: congestion that one fragment met is the packet's; together with a fragment that does not
        // know of ECN the packet is dropped.
        let congested = ecn & 0b1000 != 0;
        if congested && ecn & 1 != 0 {
            return None;
        }
        let buffer = self.buffer(index, 0)?;
        let start = HEADERS.checked_sub(headers)?;
        if is_ipv4 {
            let header = buffer.get_mut(start..HEADERS)?;
            let len = u16::try_from(headers + total).ok()?;
            header.get_mut(2..4)?.copy_from_slice(&len.to_be_bytes());
            header.get_mut(6..8)?.fill(0);
            header.get_mut(10..12)?.fill(0);
            *header.get_mut(1)? |= if congested { 3 } else { 0 };
            let checksum = Sum::ZERO.bytes(header).finish();
            header.get_mut(10..12)?.copy_from_slice(&checksum.to_be_bytes());
        } else {
            let next = *buffer.get(HEADERS - 8)?;
            *buffer.get_mut(start + named_at)? = next;
            buffer.copy_within(start..HEADERS - 8, start + 8);
            let header = buffer.get_mut(start + 8..HEADERS)?;
            let len = u16::try_from(header.len().checked_sub(40)? + total).ok()?;
            header.get_mut(4..6)?.copy_from_slice(&len.to_be_bytes());
            *header.get_mut(1)? |= if congested { 0x30 } else { 0 };
        }
        Some(())
    }

    /// Lends a whole packet to `f`, then frees its buffer; `None` when no packet is whole.
    pub fn take_whole(&mut self) -> Option<Taken<'m>> {
        if !self.has_whole {
            return None;
        }
        let Some(index) = self.slots.iter().position(|s| s.state == State::Whole) else {
            self.has_whole = false;
            return None;
        };
        let slot = self.slots.get_mut(index)?;
        slot.state = State::Free;
        let start = HEADERS - usize::from(slot.headers) + if slot.key.src.is_ipv4() { 0 } else { 8 };
        let range = start..HEADERS + usize::from(slot.total.unwrap_or(0));
        let (interface, unicast) = (slot.key.interface, slot.unicast);
        #[cfg(feature = "alloc")]
        if self.bytes.is_empty() {
            let bytes = Slice::Owned(core::mem::take(&mut slot.own));
            return Some(Taken { interface, unicast, bytes, range });
        }
        let offset = index * self.size;
        let range = offset + range.start..offset + range.end;
        Some(Taken { interface, unicast, bytes: core::mem::take(&mut self.bytes), range })
    }

    /// Gives back what [`take_whole`](Self::take_whole) lent.
    pub fn put_back(&mut self, taken: Taken<'m>) {
        if matches!(taken.bytes, Slice::Borrowed(_)) {
            self.bytes = taken.bytes;
        }
    }

    /// When a packet is given up.
    pub fn poll_timeout(&self) -> Instant {
        self.next.unwrap_or(Instant::MAX)
    }

    /// The next packet whose time is over: `Some(None)`, or with the key and what is there of it from its IP header on if its
    /// first fragment came and went to us alone. Call until `None`.
    pub fn expire(&mut self, now: Instant, mut complain: impl FnMut(&Key, &[u8])) -> u64 {
        if self.next.is_none_or(|next| now < next) {
            return 0;
        }
        let mut count = 0;
        self.next = None;
        for index in 0..self.slots.len() {
            let Some(slot) = self.slots.get(index) else { break };
            if matches!(slot.state, State::Free | State::Whole) {
                continue;
            }
            if now < slot.expires {
                self.next = Some(self.next.map_or(slot.expires, |next| next.min(slot.expires)));
                continue;
            }
            let (key, headers) = (slot.key, usize::from(slot.headers));
            count += u64::from(slot.state == State::Collecting);
            let first = slot.parts.first().filter(|part| part.0 == 0).map(|part| usize::from(part.1));
            if let (State::Collecting, true, true, Some(end)) = (slot.state, slot.unicast, headers > 0, first)
                && let Some(bytes) = self.buffer(index, 0)
                && let Some(packet) = bytes.get(HEADERS.saturating_sub(headers)..HEADERS + end)
            {
                complain(&key, packet);
            }
            if let Some(slot) = self.slots.get_mut(index) {
                slot.reset(State::Free);
            }
        }
        count
    }
}

/// A packet that was put together, out of its buffer.
pub(crate) struct Taken<'m> {
    pub interface: usize,
    pub unicast: bool,
    bytes: Slice<'m, u8>,
    range: Range<usize>,
}

impl Taken<'_> {
    /// The packet, from its IP header on.
    pub fn packet(&self) -> &[u8] {
        self.bytes.get(self.range.clone()).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ipv4;
    use proptest::prelude::*;

    fn fragment(offset: usize, more: bool, payload: &[u8]) -> Fragment<'_> {
        let (src, dst) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        Fragment {
            key: Key { interface: 0, src, dst, identification: 1, protocol: 17 },
            headers: &[0x45, 0, 0, 0, 0, 0, 0x20, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2],
            named_at: 0,
            offset,
            more,
            ecn: 0,
            unicast: true,
            payload,
        }
    }

    fn slots<'m>(count: usize) -> Reassembly<'m> {
        let slots = core::iter::repeat_with(|| Slot::FREE).take(count).collect();
        Reassembly::new(Slice::Owned(slots), Slice::default(), 0)
    }

    proptest! {
        #[test]
        fn any_cut_in_any_order_comes_out_whole(
            len in 9usize..9000,
            cuts in proptest::collection::vec(1usize..9000, 0..20),
            order in proptest::collection::vec(any::<u16>(), 40),
            borrowed: bool,
        ) {
            let payload: std::vec::Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
            let mut cuts: std::vec::Vec<usize> = cuts.iter().map(|c| c % len / 8 * 8).chain([0]).collect();
            cuts.sort_unstable();
            cuts.dedup();
            let mut pieces: std::vec::Vec<(usize, usize)> = cuts
                .iter()
                .enumerate()
                .map(|(i, start)| (*start, cuts.get(i + 1).copied().unwrap_or(len)))
                .collect();
            // Some twice.
            pieces.extend(pieces.clone().into_iter().step_by(3));
            pieces.sort_by_key(|(start, _)| order[start % 40]);
            let mut memory = ReassemblyMemory::<2, 10_000>::new();
            let mut table = if borrowed {
                let ReassemblyMemory { slots, bytes } = &mut memory;
                Reassembly::new(slots.make(|| Slot::FREE), Slice::Borrowed(bytes.as_flattened_mut()), 10_000)
            } else {
                slots(2)
            };
            let mut whole = 0;
            for (start, end) in pieces {
                match table.add(Instant::ZERO, &fragment(start, end < len, &payload[start..end])) {
                    Outcome::Whole => {
                        whole += 1;
                        let taken = table.take_whole().unwrap();
                        let packet = ipv4::Packet::new_checked(taken.packet()).unwrap();
                        prop_assert!(!packet.is_fragment());
                        prop_assert_eq!(packet.payload(), &payload[..]);
                        table.put_back(taken);
                        break;
                    }
                    outcome => prop_assert_eq!(outcome, Outcome::Kept),
                }
            }
            prop_assert_eq!(whole, 1);
        }

        #[test]
        fn any_fragments_stay_within_the_bounds(
            pieces in proptest::collection::vec((0usize..8200, 1usize..3000, any::<bool>(), 0u32..4), 1..200),
        ) {
            let mut table = slots(2);
            let bytes = [5; 3000];
            for (block, len, more, identification) in pieces {
                let len = if more { len / 8 * 8 + 8 } else { len };
                let end = (block * 8 + len).min(65_515);
                let Some(len) = end.checked_sub(block * 8).filter(|len| *len > 0 && *len <= 3000) else { continue };
                let mut fragment = fragment(block * 8, more, &bytes[..len]);
                fragment.key.identification = identification;
                if table.add(Instant::ZERO, &fragment) == Outcome::Whole {
                    let taken = table.take_whole().unwrap();
                    prop_assert!(taken.packet().len() <= 65_535);
                    table.put_back(taken);
                }
                let held: usize = table.slots.iter().map(|slot| slot.own.capacity()).sum();
                prop_assert!(held <= 2 * 2 * LARGEST);
            }
        }
    }
}
