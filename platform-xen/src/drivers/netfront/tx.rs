//! Sending: a pool of pages that stay granted, so that a frame costs ring slots and no hypercall but the doorbell's.
use super::{
    Features,
    checksum::{self, Transport},
    wire::{self, TxRequest},
};
use crate::drivers::{
    grant::{Access, DomainId, Doorbell, GrantRef, Grants, Misbehaviour},
    pages::{PAGE, Pages},
    ring::{FrontRing, RingPage},
};
use airglow_device::{Full, NetTx, TxFrame};
use alloc::{vec, vec::Vec};

/// The pool's unit: an ordinary frame takes one, a larger one whole pages.
const UNIT: usize = PAGE / 2;
/// Pages a frame of 64 KiB can touch, and the slot of its extra information.
const SLOTS: u32 = 18;

/// The transmitting half.
#[derive(Debug)]
pub struct Tx<'p, G: Grants, D: Doorbell> {
    ring: FrontRing<'p, 3>,
    pool: Pages,
    grants: G,
    refs: Vec<GrantRef>,
    doorbell: D,
    features: Features,
    largest: usize,
    // The pool is used around, oldest to newest: `used` units from `tail` on, some of them answered already.
    head: usize,
    used: usize,
    // For each unit that begins a request: the units it covers, 0 when it is answered.
    open: Vec<u8>,
    extras: u32,
    ring_pending: bool,
    pub(super) closed: Option<Misbehaviour>,
    pub(super) frames: u64,
    pub(super) bytes: u64,
    pub(super) dropped: u64,
}

impl<'p, G: Grants, D: Doorbell> Tx<'p, G, D> {
    /// Over the ring `page` to `backend`, with a pool of `pages` pages. `None`: the grant table is full.
    pub fn new(
        page: &'p RingPage,
        pages: usize,
        backend: DomainId,
        features: Features,
        grants: G,
        doorbell: D,
    ) -> Option<Self> {
        let pool = Pages::new(pages);
        let mut refs = Vec::with_capacity(pages);
        for index in 0..pool.count() {
            let grant = grants.reserve()?;
            grants.permit(grant, backend, pool.page(index), Access::Read);
            refs.push(grant);
        }
        let units = pool.count() * 2;
        Some(Self {
            ring: FrontRing::new(page),
            open: vec![0; units],
            // Half the pool, so that one always fits when all is answered, and what netback takes at most.
            largest: (units / 2 * UNIT).min(65_535),
            pool,
            grants,
            refs,
            doorbell,
            features,
            head: 0,
            used: 0,
            extras: 0,
            ring_pending: false,
            closed: None,
            frames: 0,
            bytes: 0,
            dropped: 0,
        })
    }

    /// Starts over with an empty ring and a new doorbell, after the backend has gone; what was on the way is lost.
    pub(super) fn reset(&mut self, backend: DomainId, doorbell: D) {
        self.doorbell = doorbell;
        self.ring.reset();
        for (index, grant) in self.refs.iter().enumerate() {
            self.grants.permit(*grant, backend, self.pool.page(index), Access::Read);
        }
        self.open.fill(0);
        self.closed = None;
        (self.head, self.used, self.extras, self.ring_pending) = (0, 0, 0, false);
    }

    /// The largest frame, Ethernet header included.
    pub fn largest(&self) -> usize {
        self.largest
    }

    fn units(&self) -> usize {
        self.open.len()
    }

    /// Takes the responses that wait and frees what they answer.
    pub(super) fn reap(&mut self) {
        if self.closed.is_some() {
            return;
        }
        if let Err(why) = self.try_reap() {
            self.closed = Some(why);
        }
    }

    fn try_reap(&mut self) -> Result<(), Misbehaviour> {
        for _ in 0..self.ring.available()? {
            let (id, status) = wire::tx_response(self.ring.peek(0));
            self.ring.consume(1);
            if status == wire::STATUS_NULL {
                self.extras = self.extras.checked_sub(1).ok_or(Misbehaviour::TooManyResponses)?;
                continue;
            }
            match self.open.get_mut(usize::from(id)) {
                Some(units @ 1..) => *units = 0,
                _ => return Err(Misbehaviour::UnknownId(id)),
            }
            if status < 0 {
                self.dropped += 1;
            }
        }
        // Free in the order in which it was taken.
        while self.used > 0 {
            let tail = (self.head + self.units() - self.used) % self.units();
            if self.open[tail] != 0 {
                break;
            }
            // The second unit of a request of two has no mark of its own, but follows one that has.
            self.used -= 1;
        }
        if self.used == 0 {
            self.head = 0;
        }
        Ok(())
    }

    /// Where `len` bytes fit, and the units to skip before them.
    fn place(&self, len: usize) -> Option<(usize, usize)> {
        let count = len.div_ceil(UNIT).max(1);
        let mut start = self.head;
        if count > 1 {
            start += start % 2;
        }
        if start + count > self.units() {
            start = 0;
        }
        let skipped = (start + self.units() - self.head) % self.units();
        (self.used + skipped + count <= self.units()).then_some((start, skipped))
    }

    /// Room for a frame of `len` bytes, in pool and ring.
    pub(super) fn fits(&self, len: usize) -> bool {
        let slots = (len.div_ceil(PAGE) as u32 + 1).min(SLOTS);
        self.ring.free() >= slots && self.place(len).is_some()
    }

    /// Asks to be rung when there is more room.
    pub(super) fn arm(&self) -> bool {
        // Not at every response: when half of what is open is answered.
        self.ring.arm((self.ring.outstanding() / 2).max(1))
    }

    pub(super) fn doorbell(&self) -> &D {
        &self.doorbell
    }

    fn enqueue(&mut self, start: usize, len: usize, meta: airglow_device::TxMeta) {
        let frame = self.pool.bytes(start * UNIT, len);
        let checksum_start = usize::from(meta.checksum_start);
        let mut flags = 0;
        let mut kind = 0;
        if meta.checksum_start != 0 || meta.checksum_offset != 0 {
            let transport = checksum::transport(frame, checksum_start);
            kind = if transport == Transport::V6 { wire::GSO_TCPV6 } else { wire::GSO_TCPV4 };
            let can = match transport {
                Transport::V4 => self.features.checksum_v4,
                Transport::V6 => self.features.checksum_v6,
                Transport::Other => false,
            };
            if can {
                flags = wire::TX_CHECKSUM_BLANK | wire::TX_DATA_VALIDATED;
            } else {
                checksum::complete(frame, checksum_start, usize::from(meta.checksum_offset));
            }
        }
        let cut = meta.tso_segment != 0 && flags & wire::TX_CHECKSUM_BLANK != 0;
        let (mut at, end) = (start * UNIT, start * UNIT + len);
        let mut first = true;
        while at < end {
            let piece = (PAGE - at % PAGE).min(end - at);
            let unit = at / UNIT;
            let more = if at + piece < end { wire::MORE_DATA } else { 0 };
            let extra = if first && cut { wire::EXTRA_INFO } else { 0 };
            let request = TxRequest {
                grant: self.refs.get(at / PAGE).map_or(0, |r| r.0),
                offset: (at % PAGE) as u16,
                flags: more | extra | if first { flags } else { 0 },
                id: unit as u16,
                size: if first { len as u16 } else { piece as u16 },
            };
            self.ring.push(request.words());
            self.open[unit] = piece.div_ceil(UNIT) as u8;
            if extra != 0 {
                self.ring.push(wire::gso(meta.tso_segment, kind));
                self.extras += 1;
            }
            (at, first) = (at + piece, false);
        }
        self.frames += 1;
        self.bytes += len as u64;
    }

    /// Takes the pool back from the backend, as far as it lets go, and says whether it did of all of it.
    pub fn close(&mut self) -> bool {
        let mut free = true;
        for grant in &self.refs {
            free &= self.grants.revoke(*grant);
        }
        free
    }
}

impl<G: Grants, D: Doorbell> NetTx for Tx<'_, G, D> {
    fn capacity(&self) -> usize {
        if self.closed.is_some() {
            return usize::MAX;
        }
        (self.ring.free() as usize / 2).min((self.units() - self.used).saturating_sub(1))
    }

    fn transmit<R>(&mut self, len: usize, fill: impl FnOnce(&mut TxFrame<'_>) -> R) -> Result<R, Full> {
        if self.closed.is_some() {
            // Nobody is there: the stack notices by its own time-outs.
            self.dropped += 1;
            let len = len.min(self.pool.count() * PAGE);
            return Ok(fill(&mut TxFrame::new(self.pool.bytes(0, len))));
        }
        if len > self.largest {
            return Err(Full);
        }
        if !self.fits(len) {
            self.reap();
        }
        let (start, skipped) = match self.place(len) {
            Some(place) if self.fits(len) => place,
            _ => return Err(Full),
        };
        let mut frame = TxFrame::new(self.pool.bytes(start * UNIT, len));
        let result = fill(&mut frame);
        let (len, meta) = (frame.len.min(len), frame.meta);
        if len > 0 {
            let count = len.div_ceil(UNIT);
            self.used += skipped + count;
            self.head = (start + count) % self.units();
            self.enqueue(start, len, meta);
        }
        Ok(result)
    }

    fn flush(&mut self) {
        self.ring_pending |= self.ring.publish();
        if core::mem::take(&mut self.ring_pending) {
            self.doorbell.ring();
        }
    }
}
