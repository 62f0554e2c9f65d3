//! The request and response ring of all split drivers (`io/ring.h`), the guest's end.
//!
//! The page belongs to two parties of which one may be hostile: it is read and written by atomic accesses only, an
//! entry is copied out once before anybody looks at it, and the other side's index is believed only as far as it makes sense.
use super::grant::Misbehaviour;
use core::sync::atomic::{AtomicU32, Ordering, fence};

/// The page: four indices, then entries from byte 64 on.
#[repr(C, align(4096))]
pub struct RingPage {
    words: [AtomicU32; 1024],
}

const REQ_PROD: usize = 0;
const REQ_EVENT: usize = 1;
const RSP_PROD: usize = 2;
const RSP_EVENT: usize = 3;
const ENTRIES: usize = 16;

impl Default for RingPage {
    fn default() -> Self {
        Self { words: [const { AtomicU32::new(0) }; 1024] }
    }
}

impl core::fmt::Debug for RingPage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.words.iter().take(4)).finish()
    }
}

impl RingPage {
    /// Makes it an empty ring, before anybody is shown it.
    pub fn clear(&self) {
        for word in &self.words {
            word.store(0, Ordering::Relaxed);
        }
        self.word(REQ_EVENT).store(1, Ordering::Relaxed);
        self.word(RSP_EVENT).store(1, Ordering::Release);
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        // All callers stay inside; the remainder lets the compiler see it.
        &self.words[at % 1024]
    }
}

/// The requesting end of a ring whose entries are `WORDS` 32-bit words.
#[derive(Debug)]
pub struct FrontRing<'p, const WORDS: usize> {
    page: &'p RingPage,
    // Requests written, and those of them the backend may see.
    req_prod: u32,
    published: u32,
    rsp_cons: u32,
}

impl<'p, const WORDS: usize> FrontRing<'p, WORDS> {
    /// Entries: as many as fit the page, rounded down to a power of two.
    pub const SIZE: u32 = {
        let fit = (1024 - ENTRIES) / WORDS;
        1 << (usize::BITS - 1 - fit.leading_zeros())
    };

    /// An empty ring on `page`, whose content is lost.
    pub fn new(page: &'p RingPage) -> Self {
        page.clear();
        Self { page, req_prod: 0, published: 0, rsp_cons: 0 }
    }

    /// Starts over, as after [`new`](Self::new).
    pub fn reset(&mut self) {
        *self = Self::new(self.page);
    }

    /// The page, for the grant.
    pub fn page(&self) -> *const u8 {
        core::ptr::from_ref(self.page).cast()
    }

    /// Requests that fit just now.
    pub fn free(&self) -> u32 {
        Self::SIZE.saturating_sub(self.req_prod.wrapping_sub(self.rsp_cons))
    }

    /// Requests without a response.
    pub fn outstanding(&self) -> u32 {
        self.req_prod.wrapping_sub(self.rsp_cons)
    }

    /// The number of the request that is written next.
    pub fn next_request(&self) -> u32 {
        self.req_prod
    }

    /// The number of the response that is read next.
    pub fn next_response(&self) -> u32 {
        self.rsp_cons
    }

    fn entry(index: u32) -> usize {
        ENTRIES + (index & (Self::SIZE - 1)) as usize * WORDS
    }

    /// Writes a request; the backend sees it after [`publish`](Self::publish). Only with room ([`free`](Self::free)).
    pub fn push(&mut self, request: [u32; WORDS]) {
        debug_assert!(self.free() > 0);
        let at = Self::entry(self.req_prod);
        for (i, word) in request.iter().enumerate() {
            self.page.word(at + i).store(*word, Ordering::Relaxed);
        }
        self.req_prod = self.req_prod.wrapping_add(1);
    }

    /// Shows the backend what was pushed; `true`: it sleeps, ring it.
    #[must_use]
    pub fn publish(&mut self) -> bool {
        let (old, new) = (self.published, self.req_prod);
        if old == new {
            return false;
        }
        self.page.word(REQ_PROD).store(new, Ordering::Release);
        self.published = new;
        fence(Ordering::SeqCst);
        let event = self.page.word(REQ_EVENT).load(Ordering::Relaxed);
        new.wrapping_sub(event) < new.wrapping_sub(old)
    }

    /// Responses that wait.
    ///
    /// # Errors
    /// The backend claims more of them than there are requests.
    pub fn available(&self) -> Result<u32, Misbehaviour> {
        let waiting = self.page.word(RSP_PROD).load(Ordering::Acquire).wrapping_sub(self.rsp_cons);
        if waiting > self.published.wrapping_sub(self.rsp_cons) {
            return Err(Misbehaviour::TooManyResponses);
        }
        Ok(waiting)
    }

    /// A copy of the `ahead`-th response that waits. Only for `ahead` below [`available`](Self::available).
    pub fn peek(&self, ahead: u32) -> [u32; WORDS] {
        let at = Self::entry(self.rsp_cons.wrapping_add(ahead));
        core::array::from_fn(|i| self.page.word(at + i).load(Ordering::Relaxed))
    }

    /// Takes `count` responses off the ring. Only what is [`available`](Self::available).
    pub fn consume(&mut self, count: u32) {
        self.rsp_cons = self.rsp_cons.wrapping_add(count);
    }

    /// Asks to be rung at the `ahead`-th response from now (1: the next). `true`: there are that many already, so
    /// nobody will ring.
    #[must_use]
    pub fn arm(&self, ahead: u32) -> bool {
        self.page.word(RSP_EVENT).store(self.rsp_cons.wrapping_add(ahead), Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let waiting = self.page.word(RSP_PROD).load(Ordering::Acquire).wrapping_sub(self.rsp_cons);
        waiting >= ahead
    }
}

/// The other end, for tests: it does what it is told, sensible or not.
#[cfg(test)]
pub(crate) mod peer {
    use super::*;

    pub(crate) struct BackRing<'p, const WORDS: usize> {
        pub(crate) page: &'p RingPage,
        pub(crate) req_cons: u32,
        pub(crate) rsp_prod: u32,
    }

    impl<'p, const WORDS: usize> BackRing<'p, WORDS> {
        pub(crate) fn new(page: &'p RingPage) -> Self {
            Self { page, req_cons: 0, rsp_prod: 0 }
        }
        pub(crate) fn request(&mut self) -> Option<[u32; WORDS]> {
            if self.page.word(REQ_PROD).load(Ordering::Acquire) == self.req_cons {
                return None;
            }
            let at = FrontRing::<WORDS>::entry(self.req_cons);
            self.req_cons = self.req_cons.wrapping_add(1);
            Some(core::array::from_fn(|i| self.page.word(at + i).load(Ordering::Relaxed)))
        }
        pub(crate) fn respond(&mut self, response: [u32; WORDS]) {
            let at = FrontRing::<WORDS>::entry(self.rsp_prod);
            for (i, word) in response.iter().enumerate() {
                self.page.word(at + i).store(*word, Ordering::Relaxed);
            }
            self.rsp_prod = self.rsp_prod.wrapping_add(1);
        }
        /// Shows the guest the responses; `true`: it wants to be rung.
        pub(crate) fn publish(&mut self) -> bool {
            let old = self.page.word(RSP_PROD).swap(self.rsp_prod, Ordering::SeqCst);
            let event = self.page.word(RSP_EVENT).load(Ordering::SeqCst);
            self.rsp_prod.wrapping_sub(event) < self.rsp_prod.wrapping_sub(old)
        }
        /// Asks to be rung at the next request.
        pub(crate) fn sleep(&self) {
            self.page.word(REQ_EVENT).store(self.req_cons.wrapping_add(1), Ordering::SeqCst);
        }
        /// Writes anything anywhere in the page.
        pub(crate) fn scribble(&self, at: usize, value: u32) {
            self.page.word(at).store(value, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{peer::BackRing, *};

    #[test]
    fn sizes_are_those_of_the_devices() {
        assert_eq!(FrontRing::<3>::SIZE, 256); // netif_tx: 12 bytes
        assert_eq!(FrontRing::<2>::SIZE, 256); // netif_rx: 8 bytes
        assert_eq!(FrontRing::<28>::SIZE, 32); // blkif: 112 bytes
    }

    #[test]
    fn requests_go_out_and_responses_come_back_in_order() {
        let page = RingPage::default();
        let mut front = FrontRing::<2>::new(&page);
        let mut back = BackRing::<2>::new(&page);
        for round in 0..1000u32 {
            for i in 0..7 {
                front.push([round, i]);
            }
            assert!(back.request().is_none());
            back.sleep();
            assert!(front.publish());
            assert!(!front.publish());
            for i in 0..7 {
                assert_eq!(back.request(), Some([round, i]));
                back.respond([round ^ 1, i]);
            }
            assert!(!front.arm(1));
            assert!(back.publish());
            assert!(front.arm(1));
            assert_eq!(front.available(), Ok(7));
            assert_eq!(front.peek(6), [round ^ 1, 6]);
            front.consume(7);
            assert_eq!((front.outstanding(), front.available()), (0, Ok(0)));
        }
    }

    #[test]
    fn a_busy_backend_is_not_rung() {
        let page = RingPage::default();
        let mut front = FrontRing::<2>::new(&page);
        let mut back = BackRing::<2>::new(&page);
        front.push([1, 1]);
        assert!(front.publish());
        assert!(back.request().is_some());
        front.push([2, 2]);
        // It has not said that it sleeps again.
        assert!(!front.publish());
    }

    #[test]
    fn responses_that_nobody_asked_for_are_noticed() {
        let page = RingPage::default();
        let mut front = FrontRing::<2>::new(&page);
        let back = BackRing::<2>::new(&page);
        front.push([1, 1]);
        // Not published: not to be answered.
        back.scribble(RSP_PROD, 1);
        assert_eq!(front.available(), Err(Misbehaviour::TooManyResponses));
        let _ = front.publish();
        assert_eq!(front.available(), Ok(1));
        for absurd in [2, 257, u32::MAX] {
            back.scribble(RSP_PROD, absurd);
            assert_eq!(front.available(), Err(Misbehaviour::TooManyResponses));
        }
    }
}
