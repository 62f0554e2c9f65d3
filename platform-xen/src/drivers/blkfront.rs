//! The disk (`io/blkif.h`): read, write, flush, discard, over a pool of pages that stay granted.
//!
//! [`Blkfront`] is the ring and what is on it, without anybody who waits; [`Disk`] lets an application wait. A backend may go and another
//! one come: what it has not answered is asked of the next one.
use super::{
    grant::{Access, DomainId, Doorbell, GrantRef, Grants, Misbehaviour},
    pages::{PAGE, Pages},
    ring::{FrontRing, RingPage},
};
use airglow_device::{BlockDevice, BlockInfo, Error, ErrorKind};
use alloc::{collections::VecDeque, rc::Rc, vec::Vec};
use core::{
    cell::RefCell,
    fmt,
    future::poll_fn,
    task::{Context, Poll, Waker},
};

/// Words of a ring entry.
const WORDS: usize = 28;
/// Pages that one request may name.
const SEGMENTS: usize = 11;
/// Requests at once: 176 KiB on the way.
const REQUESTS: usize = 4;
/// The unit of all sector numbers on the ring, whatever the disk's own is.
const UNIT: usize = 512;

const READ: u8 = 0;
const WRITE: u8 = 1;
const BARRIER: u8 = 2;
const FLUSH: u8 = 3;
const DISCARD: u8 = 5;

/// What the backend offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// It can be told to make writes durable.
    pub flush: bool,
    /// It knows writes that come after all earlier ones and before all later ones, which makes those durable too.
    pub barrier: bool,
    /// It can be told what is of no value.
    pub discard: bool,
}

/// Why a transfer failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlockError {
    /// Not a whole number of sectors, or not on the disk.
    OutOfRange,
    /// The disk is read-only.
    ReadOnly,
    /// The disk failed.
    Failed,
    /// The backend broke the protocol and the disk is closed.
    Closed(Misbehaviour),
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange => f.write_str("the transfer is no whole number of sectors, or not on the disk"),
            Self::ReadOnly => f.write_str("the disk is read-only"),
            Self::Failed => f.write_str("the disk failed"),
            Self::Closed(why) => write!(f, "the disk is closed: {why}"),
        }
    }
}
impl core::error::Error for BlockError {}
impl Error for BlockError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::OutOfRange => ErrorKind::InvalidInput,
            Self::ReadOnly => ErrorKind::PermissionDenied,
            Self::Failed => ErrorKind::Other,
            Self::Closed(_) => ErrorKind::NotConnected,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Slot {
    #[default]
    Free,
    /// On the ring, or waiting for one; whether somebody waits for it.
    Open { request: [u32; WORDS], wanted: bool },
    /// Answered.
    Done { ok: bool },
}

/// A virtual disk's ring.
#[derive(Debug)]
pub struct Blkfront<'p, G: Grants, D: Doorbell> {
    ring: FrontRing<'p, WORDS>,
    pool: Pages,
    refs: Vec<GrantRef>,
    doorbell: D,
    handle: u16,
    info: BlockInfo,
    features: Features,
    slots: [Slot; REQUESTS],
    // There is a backend to ask.
    connected: bool,
    // The ring is still the one of a backend, whose answers count.
    attached: bool,
    waiting: Vec<Waker>,
    closed: Option<Misbehaviour>,
    grants: G,
}

impl<'p, G: Grants, D: Doorbell> Blkfront<'p, G, D> {
    /// Over the ring `page` to `backend`; `handle` is the device's number. `None`: the grant table is full.
    pub fn new(
        page: &'p RingPage,
        handle: u16,
        info: BlockInfo,
        features: Features,
        backend: DomainId,
        grants: G,
        doorbell: D,
    ) -> Option<Self> {
        let pool = Pages::new(REQUESTS * SEGMENTS);
        let mut refs = Vec::with_capacity(pool.count());
        for index in 0..pool.count() {
            let grant = grants.reserve()?;
            grants.permit(grant, backend, pool.page(index), Access::ReadWrite);
            refs.push(grant);
        }
        Some(Self {
            ring: FrontRing::new(page),
            pool,
            refs,
            doorbell,
            handle,
            info,
            features,
            slots: [Slot::Free; REQUESTS],
            connected: true,
            attached: true,
            waiting: Vec::new(),
            closed: None,
            grants,
        })
    }

    /// What is known of the disk.
    pub fn info(&self) -> BlockInfo {
        self.info
    }

    /// It has another size now, or other rights. Requests that are open are the backend's to refuse.
    pub fn set_info(&mut self, info: BlockInfo) {
        self.info = info;
    }

    /// Asks nothing more of the backend. Requests from now on wait for the next one.
    pub fn disconnect(&mut self) {
        self.connected = false;
    }

    /// Requests that the backend has not answered.
    pub fn is_idle(&mut self) -> bool {
        self.reap();
        !self.slots.iter().any(|slot| matches!(slot, Slot::Open { .. })) || self.closed.is_some()
    }

    /// Takes everything back from a backend that has gone; `true`: it has nothing of ours any more, so that [`reset`](Self::reset) may follow.
    pub fn take_back(&mut self) -> bool {
        self.attached = false;
        self.refs.iter().fold(true, |free, grant| free & self.grants.revoke(*grant))
    }

    /// Starts over with an empty ring to `backend`, rung by `doorbell`, and asks again what nobody has answered.
    pub fn reset(&mut self, backend: DomainId, info: BlockInfo, features: Features, doorbell: D) {
        for (index, grant) in self.refs.iter().enumerate() {
            self.grants.permit(*grant, backend, self.pool.page(index), Access::ReadWrite);
        }
        self.ring.reset();
        (self.info, self.features, self.doorbell) = (info, features, doorbell);
        (self.connected, self.attached, self.closed) = (true, true, None);
        for slot in &mut self.slots {
            match slot {
                Slot::Open { request, wanted } if *wanted || request[0] as u8 != READ => {
                    self.ring.push(*request);
                }
                Slot::Open { .. } => *slot = Slot::Free,
                _ => {}
            }
        }
        self.publish();
        self.waiting.drain(..).for_each(Waker::wake);
    }

    /// Wakes whoever waits, by the backend or by [`reset`](Self::reset).
    fn register(&mut self, cx: &Context<'_>) {
        self.doorbell.register(cx.waker());
        if !self.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.waiting.push(cx.waker().clone());
        }
    }

    /// Why the disk was closed, if it was.
    pub fn closed(&self) -> Option<Misbehaviour> {
        self.closed
    }

    fn reap(&mut self) {
        if self.closed.is_none()
            && self.attached
            && let Err(why) = self.try_reap()
        {
            self.closed = Some(why);
        }
    }

    fn try_reap(&mut self) -> Result<(), Misbehaviour> {
        for _ in 0..self.ring.available()? {
            let words = self.ring.peek(0);
            self.ring.consume(1);
            let id = words[0] as u16;
            let status = (words[2] >> 16) as i16;
            match self.slots.get_mut(words[0] as usize) {
                Some(slot @ Slot::Open { .. }) if words[1] == 0 => {
                    *slot = match slot {
                        Slot::Open { wanted: true, .. } => Slot::Done { ok: status == 0 },
                        _ => Slot::Free,
                    };
                }
                _ => return Err(Misbehaviour::UnknownId(id)),
            }
        }
        Ok(())
    }

    /// Puts a request on the ring and returns its slot; `None`: all are in use. `sector` and `bytes` are in the ring's units.
    fn submit(&mut self, operation: u8, sector: u64, bytes: usize) -> Option<usize> {
        let index = self.slots.iter().position(|slot| *slot == Slot::Free)?;
        let mut words = [0; WORDS];
        let segments = bytes.div_ceil(PAGE).min(SEGMENTS);
        words[0] = u32::from(operation) | (segments as u32) << 8 | u32::from(self.handle) << 16;
        words[2] = index as u32;
        (words[4], words[5]) = (sector as u32, (sector >> 32) as u32);
        let pages = self.refs.iter().skip(index * SEGMENTS).take(segments);
        let (_, segment_words) = words.split_at_mut(6);
        for (i, (grant, segment)) in pages.zip(segment_words.chunks_exact_mut(2)).enumerate() {
            // First and last sector of the page that the transfer touches.
            let last = ((bytes - i * PAGE).min(PAGE) / UNIT - 1) as u32;
            segment.copy_from_slice(&[grant.0, last << 8]);
        }
        self.push(index, words)
    }

    fn submit_discard(&mut self, sector: u64, count: u64) -> Option<usize> {
        let index = self.slots.iter().position(|slot| *slot == Slot::Free)?;
        let mut words = [0; WORDS];
        words[0] = u32::from(DISCARD) | u32::from(self.handle) << 16;
        words[2] = index as u32;
        (words[4], words[5]) = (sector as u32, (sector >> 32) as u32);
        (words[6], words[7]) = (count as u32, (count >> 32) as u32);
        self.push(index, words)
    }

    /// Remembers the request until it is answered, and puts it on the ring if there is a backend.
    fn push(&mut self, index: usize, request: [u32; WORDS]) -> Option<usize> {
        *self.slots.get_mut(index)? = Slot::Open { request, wanted: true };
        if self.connected {
            self.ring.push(request);
        }
        Some(index)
    }

    fn publish(&mut self) {
        if self.connected && self.ring.publish() {
            self.doorbell.ring();
        }
    }

    /// Whether slot `index` is answered; frees it then.
    fn poll_finished(&mut self, index: usize, cx: &Context<'_>) -> Poll<Result<(), BlockError>> {
        self.poll(cx, |disk| match disk.slots.get_mut(index) {
            Some(slot @ Slot::Done { .. }) => {
                let ok = *slot == Slot::Done { ok: true };
                *slot = Slot::Free;
                Some(if ok { Ok(()) } else { Err(BlockError::Failed) })
            }
            _ => None,
        })
    }

    /// Whether there is a free slot.
    fn poll_room(&mut self, cx: &Context<'_>) -> Poll<Result<(), BlockError>> {
        self.poll(cx, |disk| disk.slots.contains(&Slot::Free).then_some(Ok(())))
    }

    fn poll(
        &mut self,
        cx: &Context<'_>,
        mut look: impl FnMut(&mut Self) -> Option<Result<(), BlockError>>,
    ) -> Poll<Result<(), BlockError>> {
        for _ in 0..2 {
            self.reap();
            if let Some(why) = self.closed {
                return Poll::Ready(Err(BlockError::Closed(why)));
            }
            if let Some(result) = look(self) {
                self.waiting.clear();
                return Poll::Ready(result);
            }
            self.register(cx);
            if !self.connected || !self.ring.arm(1) {
                return Poll::Pending;
            }
        }
        // The backend and this loop race; let others run.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Requests of futures that were dropped: their answers interest nobody.
    fn abandon(&mut self) {
        for slot in &mut self.slots {
            *slot = match *slot {
                Slot::Open { request, .. } => Slot::Open { request, wanted: false },
                _ => Slot::Free,
            };
        }
    }

    /// The first sector of a transfer in the ring's unit, once the transfer is known to lie on the disk.
    fn check(&self, sector: u64, sectors: u64) -> Result<u64, BlockError> {
        let end = sector.checked_add(sectors).ok_or(BlockError::OutOfRange)?;
        if end > self.info.sectors {
            return Err(BlockError::OutOfRange);
        }
        Ok(sector * (self.info.sector_size / UNIT) as u64)
    }

    fn sectors(&self, bytes: usize) -> Result<u64, BlockError> {
        if bytes.is_multiple_of(self.info.sector_size) {
            Ok((bytes / self.info.sector_size) as u64)
        } else {
            Err(BlockError::OutOfRange)
        }
    }

    fn writable(&self) -> Result<(), BlockError> {
        if self.info.read_only { Err(BlockError::ReadOnly) } else { Ok(()) }
    }
}

/// A disk for an application, over a ring that somebody else may hold too, to connect it again.
#[derive(Debug)]
pub struct Disk<'p, G: Grants, D: Doorbell>(Rc<RefCell<Blkfront<'p, G, D>>>);

/// Bytes of one request.
const CHUNK: usize = SEGMENTS * PAGE;

impl<'p, G: Grants, D: Doorbell> Disk<'p, G, D> {
    /// The one user of `ring`.
    pub fn new(ring: Rc<RefCell<Blkfront<'p, G, D>>>) -> Self {
        Self(ring)
    }

    /// The ring; nothing waits while it is borrowed.
    fn with<R>(&self, f: impl FnOnce(&mut Blkfront<'p, G, D>) -> R) -> R {
        f(&mut self.0.borrow_mut())
    }

    async fn room(&self) -> Result<(), BlockError> {
        poll_fn(|cx| self.with(|ring| ring.poll_room(cx))).await
    }

    async fn finished(&self, index: usize) -> Result<(), BlockError> {
        poll_fn(|cx| self.with(|ring| ring.poll_finished(index, cx))).await
    }

    /// One request without data.
    async fn simple(
        &self,
        submit: impl FnOnce(&mut Blkfront<'p, G, D>) -> Option<usize>,
    ) -> Result<(), BlockError> {
        self.with(Blkfront::abandon);
        self.room().await?;
        let index = self.with(submit).ok_or(BlockError::Failed)?;
        self.with(Blkfront::publish);
        self.finished(index).await
    }
}

impl<G: Grants, D: Doorbell> BlockDevice for Disk<'_, G, D> {
    type Error = BlockError;

    fn info(&self) -> BlockInfo {
        self.with(|ring| ring.info)
    }

    async fn read(&mut self, sector: u64, buf: &mut [u8]) -> Result<(), BlockError> {
        let first = self.with(|ring| {
            ring.abandon();
            ring.check(sector, ring.sectors(buf.len())?)
        })?;
        // Requests are answered in any order and finished in theirs.
        let (mut asked, mut got) = (0, 0);
        let mut open = VecDeque::with_capacity(REQUESTS);
        while got < buf.len() {
            while asked < buf.len() && open.len() < REQUESTS {
                let size = CHUNK.min(buf.len() - asked);
                if open.is_empty() {
                    self.room().await?;
                }
                let at = first + (asked / UNIT) as u64;
                let Some(index) = self.with(|ring| ring.submit(READ, at, size)) else { break };
                open.push_back(index);
                asked += size;
            }
            self.with(Blkfront::publish);
            let Some(index) = open.pop_front() else { return Err(BlockError::Failed) };
            let size = CHUNK.min(buf.len() - got);
            self.finished(index).await?;
            if let Some(to) = buf.get_mut(got..got + size) {
                self.with(|ring| ring.pool.copy_out(index * CHUNK, to));
            }
            got += size;
        }
        Ok(())
    }

    async fn write(&mut self, sector: u64, buf: &[u8]) -> Result<(), BlockError> {
        let first = self.with(|ring| {
            ring.writable()?;
            ring.abandon();
            ring.check(sector, ring.sectors(buf.len())?)
        })?;
        let mut open = VecDeque::with_capacity(REQUESTS);
        let mut chunks = buf.chunks(CHUNK).enumerate().peekable();
        loop {
            while let Some((number, chunk)) = chunks.peek()
                && open.len() < REQUESTS
            {
                if open.is_empty() {
                    self.room().await?;
                }
                let at = first + (number * CHUNK / UNIT) as u64;
                let index = self.with(|ring| {
                    // The slot decides the pages, so the data goes in after the request and before it is shown.
                    let index = ring.submit(WRITE, at, chunk.len())?;
                    ring.pool.copy_in(index * CHUNK, chunk);
                    Some(index)
                });
                let Some(index) = index else { break };
                open.push_back(index);
                chunks.next();
            }
            self.with(Blkfront::publish);
            let Some(index) = open.pop_front() else { return Ok(()) };
            self.finished(index).await?;
        }
    }

    async fn flush(&mut self) -> Result<(), BlockError> {
        let operation = self.with(|ring| match ring.features {
            _ if ring.info.read_only => None,
            Features { flush: true, .. } => Some(FLUSH),
            Features { barrier: true, .. } => Some(BARRIER),
            _ => None,
        });
        let Some(operation) = operation else { return Ok(()) };
        self.simple(|ring| ring.submit(operation, 0, 0)).await
    }

    async fn discard(&mut self, sector: u64, count: u64) -> Result<(), BlockError> {
        let (first, units, can) = self.with(|ring| {
            ring.writable()?;
            let first = ring.check(sector, count)?;
            Ok((first, count * (ring.info.sector_size / UNIT) as u64, ring.features.discard))
        })?;
        if !can || count == 0 {
            return Ok(());
        }
        self.simple(|ring| ring.submit_discard(first, units)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::ring::peer::BackRing;
    use alloc::{boxed::Box, rc::Rc, vec};
    use core::{
        cell::RefCell,
        pin::pin,
        task::{Context, Waker},
    };

    #[derive(Clone, Default)]
    struct Table(Rc<RefCell<Vec<usize>>>);
    impl Grants for Table {
        fn reserve(&self) -> Option<GrantRef> {
            self.0.borrow_mut().push(0);
            Some(GrantRef(self.0.borrow().len() as u32 - 1))
        }
        fn release(&self, _: GrantRef) {}
        fn permit(&self, grant: GrantRef, _: DomainId, page: *const u8, _: Access) {
            self.0.borrow_mut()[grant.0 as usize] = page.expose_provenance();
        }
        fn revoke(&self, _: GrantRef) -> bool {
            true
        }
    }
    #[derive(Clone, Copy)]
    struct Bell;
    impl Doorbell for Bell {
        fn ring(&self) {}
        fn register(&self, _: &Waker) {}
    }

    struct Backend {
        ring: BackRing<'static, WORDS>,
        table: Table,
        disk: Vec<u8>,
        flushes: u32,
        discarded: u64,
        fail: bool,
    }

    impl Backend {
        /// Does what is asked, the newest request first.
        fn serve(&mut self) {
            let mut requests = Vec::new();
            while let Some(request) = self.ring.request() {
                requests.push(request);
            }
            for words in requests.iter().rev() {
                let sector = u64::from(words[4]) | u64::from(words[5]) << 32;
                let mut at = sector as usize * UNIT;
                match words[0] as u8 {
                    operation @ (READ | WRITE) => {
                        for segment in words[6..].chunks(2).take((words[0] >> 8 & 0xff) as usize) {
                            let (first, last) =
                                ((segment[1] & 0xff) as usize, (segment[1] >> 8 & 0xff) as usize);
                            let len = (last + 1 - first) * UNIT;
                            let page: *mut u8 = core::ptr::with_exposed_provenance_mut(
                                self.table.0.borrow()[segment[0] as usize],
                            );
                            // SAFETY: a granted page; one thread.
                            unsafe {
                                let page = page.add(first * UNIT);
                                if operation == READ {
                                    page.copy_from_nonoverlapping(self.disk[at..at + len].as_ptr(), len);
                                } else {
                                    self.disk[at..at + len].as_mut_ptr().copy_from_nonoverlapping(page, len);
                                }
                            }
                            at += len;
                        }
                    }
                    FLUSH | BARRIER => self.flushes += 1,
                    DISCARD => self.discarded += u64::from(words[6]),
                    other => panic!("operation {other}"),
                }
                let mut response = [0; WORDS];
                let status = if self.fail { -1i16 } else { 0 };
                (response[0], response[1]) = (words[2], words[3]);
                response[2] = u32::from(status as u16) << 16;
                self.ring.respond(response);
            }
            self.ring.publish();
        }
    }

    fn bench(info: BlockInfo) -> (Disk<'static, Table, Bell>, Backend) {
        let page: &'static RingPage = Box::leak(Box::default());
        let table = Table::default();
        let features = Features { flush: true, barrier: false, discard: true };
        let disk = Blkfront::new(page, 51712, info, features, 0, table.clone(), Bell).unwrap();
        let content = (0..info.sectors as usize * info.sector_size).map(|i| (i / 7) as u8).collect();
        (
            Disk::new(Rc::new(RefCell::new(disk))),
            Backend {
                ring: BackRing::new(page),
                table,
                disk: content,
                flushes: 0,
                discarded: 0,
                fail: false,
            },
        )
    }

    fn drive<T>(backend: &mut Backend, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..1000 {
            if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
                return value;
            }
            backend.serve();
        }
        panic!("it does not end");
    }

    #[test]
    fn transfers_of_all_sizes_move_the_right_bytes() {
        let (mut disk, mut backend) = bench(BlockInfo::new(512, 4096));
        for (sector, sectors) in [(0, 1), (3, 7), (8, 8), (100, 88), (5, 89), (0, 4096), (4095, 1)] {
            let mut buffer = vec![0; sectors * 512];
            drive(&mut backend, disk.read(sector, &mut buffer)).unwrap();
            let at = sector as usize * 512;
            assert_eq!(buffer, backend.disk[at..at + buffer.len()]);
            for (i, byte) in buffer.iter_mut().enumerate() {
                *byte = byte.wrapping_add(i as u8 ^ sectors as u8);
            }
            drive(&mut backend, disk.write(sector, &buffer)).unwrap();
            assert_eq!(buffer, backend.disk[at..at + buffer.len()]);
        }
        drive(&mut backend, disk.flush()).unwrap();
        drive(&mut backend, disk.discard(10, 20)).unwrap();
        assert_eq!((backend.flushes, backend.discarded), (1, 20));
    }

    #[test]
    fn large_sectors_are_counted_in_small_ones() {
        let (mut disk, mut backend) = bench(BlockInfo::new(4096, 64));
        let mut buffer = vec![0; 8192];
        drive(&mut backend, disk.read(62, &mut buffer)).unwrap();
        assert_eq!(buffer, backend.disk[62 * 4096..]);
        assert_eq!(drive(&mut backend, disk.read(0, &mut buffer[..512])), Err(BlockError::OutOfRange));
    }

    #[test]
    fn what_is_not_on_the_disk_is_refused() {
        let (mut disk, mut backend) = bench(BlockInfo::new(512, 16).read_only());
        let mut buffer = [0; 1024];
        for sector in [15, 16, u64::MAX] {
            assert_eq!(drive(&mut backend, disk.read(sector, &mut buffer)), Err(BlockError::OutOfRange));
        }
        assert_eq!(drive(&mut backend, disk.write(0, &buffer)), Err(BlockError::ReadOnly));
        assert_eq!(drive(&mut backend, disk.discard(0, 1)), Err(BlockError::ReadOnly));
        backend.fail = true;
        assert_eq!(drive(&mut backend, disk.read(0, &mut buffer)), Err(BlockError::Failed));
    }

    #[test]
    fn a_dropped_read_disturbs_no_later_one() {
        let (mut disk, mut backend) = bench(BlockInfo::new(512, 4096));
        for _ in 0..20 {
            let mut lost = vec![0; 200 * 512];
            {
                let future = pin!(disk.read(1000, &mut lost));
                assert!(future.poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
            let mut buffer = vec![0; 512];
            drive(&mut backend, disk.read(7, &mut buffer)).unwrap();
            assert_eq!(buffer, backend.disk[7 * 512..8 * 512]);
        }
    }

    #[test]
    fn what_a_backend_has_not_answered_is_asked_of_the_next_one() {
        let (mut disk, mut backend) = bench(BlockInfo::new(512, 4096));
        let ring = disk.0.clone();
        let content: Vec<u8> = (0..300 * 512).map(|i| (i * 31 / 7) as u8).collect();
        {
            let mut write = pin!(disk.write(100, &content));
            let mut cx = Context::from_waker(Waker::noop());
            assert!(write.as_mut().poll(&mut cx).is_pending());
            // All four slots are on the ring. The backend does the newest, and goes before it has said so.
            let (page, table) = (backend.ring.page, backend.table.clone());
            let mut lost = Vec::new();
            while let Some(request) = backend.ring.request() {
                lost.push(request);
            }
            assert_eq!(lost.len(), REQUESTS);
            ring.borrow_mut().disconnect();
            assert!(write.as_mut().poll(&mut cx).is_pending());
            assert!(!ring.borrow_mut().is_idle());
            assert!(ring.borrow_mut().take_back());
            // The page is prepared for the next one before that one is there.
            page.clear();
            assert!(write.as_mut().poll(&mut cx).is_pending());
            let features = Features { flush: false, barrier: true, discard: false };
            ring.borrow_mut().reset(0, BlockInfo::new(512, 5000), features, Bell);
            backend.ring = BackRing::new(page);
            backend.table = table;
            drive(&mut backend, write).unwrap();
        }
        assert_eq!(content, backend.disk[100 * 512..400 * 512]);
        assert_eq!(disk.info().sectors, 5000);
        // A read that waits for a backend, and one whose reader has gone meanwhile.
        ring.borrow_mut().disconnect();
        {
            let mut lost = vec![0; 512];
            let read = pin!(disk.read(0, &mut lost));
            assert!(read.poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        let mut buffer = vec![0; 512];
        {
            let mut read = pin!(disk.read(100, &mut buffer));
            assert!(read.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            let features = Features { flush: false, barrier: true, discard: false };
            let page = backend.ring.page;
            ring.borrow_mut().reset(0, BlockInfo::new(512, 4096), features, Bell);
            backend.ring = BackRing::new(page);
            drive(&mut backend, read).unwrap();
        }
        assert_eq!(buffer, content[..512]);
        drive(&mut backend, disk.flush()).unwrap();
        assert_eq!(backend.flushes, 1);
    }

    #[test]
    fn a_backend_that_does_anything_does_no_harm() {
        for seed in 0..100u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut random = move || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state
            };
            let (mut disk, mut backend) = bench(BlockInfo::new(512, 200));
            let ring = disk.0.clone();
            let mut buffer = vec![0; 100 * 512];
            let mut future = pin!(disk.read(0, &mut buffer));
            for _ in 0..50 {
                if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                    break;
                }
                match random() % 8 {
                    0 => backend.ring.scribble((random() % 1024) as usize, random() as u32),
                    1 => {
                        let mut response = [0; WORDS];
                        (response[0], response[2]) = ((random() % 6) as u32, random() as u32);
                        backend.ring.respond(response);
                    }
                    2 => backend.ring.respond(core::array::from_fn(|_| random() as u32)),
                    3 => ring.borrow_mut().disconnect(),
                    4 => {
                        let _ = ring.borrow_mut().is_idle();
                        let _ = ring.borrow_mut().take_back();
                    }
                    5 => {
                        let info = BlockInfo::new(512, random() % 300);
                        ring.borrow_mut().reset(0, info, Features::default(), Bell);
                    }
                    _ => {
                        backend.ring.publish();
                    }
                }
            }
        }
    }
}
