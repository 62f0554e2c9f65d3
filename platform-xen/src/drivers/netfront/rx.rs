//! Receiving: pages lie ready in the ring, netback copies frames into them, and the stack reads them in place.
//!
//! A page is taken back from the backend before anybody looks at it, so that what was checked stays as it was.
use super::wire::{self, RxResponse};
use crate::drivers::{
    grant::{Access, DomainId, Doorbell, GrantRef, Grants, Misbehaviour},
    pages::{PAGE, Pages},
    ring::{FrontRing, RingPage},
};
use airglow_device::{NetRx, RxMeta};
use alloc::{boxed::Box, vec, vec::Vec};

/// The largest frame: 64 KiB of IP in an Ethernet frame with a VLAN tag.
const LARGEST: usize = 65_535 + 18;
/// Slots a frame may take: its pages (Linux sends up to 17 fragments and a head) and extra information.
const SLOTS: u32 = 24;

/// The receiving half.
#[derive(Debug)]
pub struct Rx<'p, G: Grants, D: Doorbell> {
    ring: FrontRing<'p, 2>,
    pages: Pages,
    grants: G,
    refs: Vec<GrantRef>,
    backend: DomainId,
    doorbell: D,
    // Frames in several pages are put together here.
    whole: Box<[u8]>,
    pub(super) closed: Option<Misbehaviour>,
    pub(super) frames: u64,
    pub(super) bytes: u64,
    pub(super) dropped: u64,
}

/// A frame's slots on the ring, checked.
struct Arrived {
    slots: u32,
    /// Page, first byte, length of each piece.
    pieces: [(u16, u16, u16); SLOTS as usize],
    count: usize,
    len: usize,
    error: bool,
    meta: RxMeta,
}

impl<'p, G: Grants, D: Doorbell> Rx<'p, G, D> {
    /// Over the ring `page` to `backend`, with `pages` pages lying ready (rounded down to a power of two, up to 256; fewer than 32
    /// cannot take every frame).
    /// `None`: the grant table is full.
    pub fn new(page: &'p RingPage, pages: usize, backend: DomainId, grants: G, doorbell: D) -> Option<Self> {
        let pages = 1 << pages.clamp(1, FrontRing::<2>::SIZE as usize).ilog2();
        let mut refs = Vec::with_capacity(pages);
        for _ in 0..pages {
            refs.push(grants.reserve()?);
        }
        let mut rx = Self {
            ring: FrontRing::new(page),
            pages: Pages::new(pages),
            grants,
            refs,
            backend,
            doorbell,
            whole: vec![0; LARGEST].into_boxed_slice(),
            closed: None,
            frames: 0,
            bytes: 0,
            dropped: 0,
        };
        for _ in 0..pages {
            rx.post();
        }
        let _ = rx.ring.publish();
        Some(rx)
    }

    /// Starts over with an empty ring and a new doorbell, after the backend has gone.
    pub(super) fn reset(&mut self, backend: DomainId, doorbell: D) {
        self.backend = backend;
        self.doorbell = doorbell;
        self.closed = None;
        self.ring.reset();
        for _ in 0..self.refs.len() {
            self.post();
        }
        let _ = self.ring.publish();
    }

    /// The page of the request or response with this number: as many are open as there are pages.
    fn page_of(&self, number: u32) -> usize {
        number as usize & (self.refs.len() - 1)
    }

    /// Gives the next page to the backend.
    fn post(&mut self) {
        let page = self.page_of(self.ring.next_request());
        if let Some(grant) = self.refs.get(page) {
            self.grants.permit(*grant, self.backend, self.pages.page(page), Access::ReadWrite);
            self.ring.push(wire::rx_request(page as u16, grant.0));
        }
    }

    /// Frames wait, or the backend is at fault, which `receive` finds out.
    pub(super) fn ready(&self) -> bool {
        self.closed.is_none() && self.ring.available() != Ok(0)
    }

    /// Asks to be rung at the next frame.
    pub(super) fn arm(&self) -> bool {
        self.closed.is_none() && self.ring.arm(1)
    }

    pub(super) fn doorbell(&self) -> &D {
        &self.doorbell
    }

    /// The next frame, its pages taken back. `None`: it has not arrived whole.
    fn arrived(&self, available: u32) -> Result<Option<Arrived>, Misbehaviour> {
        let mut frame = Arrived {
            slots: 0,
            pieces: [(0, 0, 0); SLOTS as usize],
            count: 0,
            len: 0,
            error: false,
            meta: RxMeta::default(),
        };
        let mut more = true;
        while more {
            if frame.slots == available {
                return Ok(None);
            }
            let response = RxResponse::new(self.ring.peek(frame.slots));
            let page = self.take_back(frame.slots)?;
            frame.slots += 1;
            if usize::from(response.id) != page {
                return Err(Misbehaviour::UnknownId(response.id));
            }
            let mut extra = response.flags & wire::EXTRA_INFO != 0 && frame.slots == 1;
            if frame.slots == 1 {
                let ok = response.flags & (wire::RX_CHECKSUM_BLANK | wire::RX_DATA_VALIDATED) != 0;
                frame.meta = RxMeta::new(ok, 0);
            }
            while extra {
                if frame.slots == available {
                    return Ok(None);
                }
                let (kind, flags, segment) = wire::rx_extra(self.ring.peek(frame.slots));
                self.take_back(frame.slots)?;
                frame.slots += 1;
                if kind == wire::EXTRA_GSO {
                    frame.meta = RxMeta::new(frame.meta.checksum_ok, segment);
                }
                extra = flags & wire::EXTRA_MORE != 0;
                if frame.slots >= SLOTS {
                    return Err(Misbehaviour::TooManyFragments);
                }
            }
            if response.status < 0 {
                frame.error = true;
            } else {
                let (offset, size) = (response.offset, response.status as u16);
                if usize::from(offset) + usize::from(size) > PAGE {
                    return Err(Misbehaviour::OutOfBounds { offset, size });
                }
                frame.len += usize::from(size);
                if let Some(piece) = frame.pieces.get_mut(frame.count) {
                    *piece = (page as u16, offset, size);
                    frame.count += 1;
                }
            }
            more = response.flags & wire::MORE_DATA != 0;
            if more && frame.slots >= SLOTS || frame.len > LARGEST {
                return Err(Misbehaviour::TooManyFragments);
            }
        }
        Ok(Some(frame))
    }

    /// Revokes the page of the `ahead`-th response. Doing it twice, for a frame that arrives in parts, does no harm.
    fn take_back(&self, ahead: u32) -> Result<usize, Misbehaviour> {
        let page = self.page_of(self.ring.next_response().wrapping_add(ahead));
        match self.refs.get(page) {
            Some(grant) if self.grants.revoke(*grant) => Ok(page),
            _ => Err(Misbehaviour::PageInUse),
        }
    }

    fn try_receive(
        &mut self,
        budget: usize,
        frame: &mut impl FnMut(&mut [u8], RxMeta),
    ) -> Result<usize, Misbehaviour> {
        let mut count = 0;
        let mut available = self.ring.available()?;
        while count < budget {
            if available == 0 {
                available = self.ring.available()?;
            }
            let Some(arrived) = (if available == 0 { None } else { self.arrived(available)? }) else { break };
            if arrived.error || arrived.len < 14 {
                self.dropped += 1;
            } else {
                let bytes = if arrived.count == 1 {
                    let (page, offset, size) = arrived.pieces[0];
                    self.pages.bytes(usize::from(page) * PAGE + usize::from(offset), usize::from(size))
                } else {
                    let mut at = 0;
                    for (page, offset, size) in arrived.pieces.iter().take(arrived.count) {
                        let size = usize::from(*size);
                        let from = self.pages.bytes(usize::from(*page) * PAGE + usize::from(*offset), size);
                        if let Some(to) = self.whole.get_mut(at..at + size) {
                            to.copy_from_slice(from);
                        }
                        at += size;
                    }
                    self.whole.get_mut(..arrived.len).unwrap_or_default()
                };
                self.frames += 1;
                self.bytes += bytes.len() as u64;
                frame(bytes, arrived.meta);
                count += 1;
            }
            self.ring.consume(arrived.slots);
            available -= arrived.slots;
            for _ in 0..arrived.slots {
                self.post();
            }
        }
        Ok(count)
    }

    /// Takes all pages back from the backend, as far as it lets go, and says whether it did of all of them.
    pub fn close(&mut self) -> bool {
        let mut free = true;
        for grant in &self.refs {
            free &= self.grants.revoke(*grant);
        }
        free
    }
}

impl<G: Grants, D: Doorbell> NetRx for Rx<'_, G, D> {
    fn receive(&mut self, budget: usize, mut frame: impl FnMut(&mut [u8], RxMeta)) -> usize {
        if self.closed.is_some() {
            return 0;
        }
        let mut count = 0;
        let result = self.try_receive(budget, &mut |bytes, meta| {
            count += 1;
            frame(bytes, meta);
        });
        match result {
            Ok(_) => {
                if self.ring.publish() {
                    self.doorbell.ring();
                }
            }
            Err(why) => self.closed = Some(why),
        }
        count
    }
}
