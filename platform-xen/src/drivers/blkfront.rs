//! The disk (`io/blkif.h`): read, write, flush, discard, over a pool of pages that stay granted.
use super::{
    grant::{Access, DomainId, Doorbell, GrantRef, Grants, Misbehaviour},
    pages::{PAGE, Pages},
    ring::{FrontRing, RingPage},
};
use airglow_device::{BlockDevice, BlockInfo, Error, ErrorKind};
use alloc::{collections::VecDeque, vec::Vec};
use core::{fmt, future::poll_fn, task::Poll};

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
const FLUSH: u8 = 3;
const DISCARD: u8 = 5;

/// What the backend offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// It can be told to make writes durable.
    pub flush: bool,
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
    /// On the ring; whether somebody waits for it.
    Open { wanted: bool },
    /// Answered.
    Done { ok: bool },
}

/// A virtual disk.
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
    closed: Option<Misbehaviour>,
    _grants: G,
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
        let slots = [Slot::Free; REQUESTS];
        Some(Self {
            ring: FrontRing::new(page),
            pool,
            refs,
            doorbell,
            handle,
            info,
            features,
            slots,
            closed: None,
            _grants: grants,
        })
    }

    /// Why the disk was closed, if it was.
    pub fn closed(&self) -> Option<Misbehaviour> {
        self.closed
    }

    fn reap(&mut self) {
        if self.closed.is_none()
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
                        Slot::Open { wanted: true } => Slot::Done { ok: status == 0 },
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
        let slot = self.slots.get_mut(index)?;
        *slot = Slot::Open { wanted: true };
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
        self.ring.push(words);
        Some(index)
    }

    fn submit_discard(&mut self, sector: u64, count: u64) -> Option<usize> {
        let index = self.slots.iter().position(|slot| *slot == Slot::Free)?;
        *self.slots.get_mut(index)? = Slot::Open { wanted: true };
        let mut words = [0; WORDS];
        words[0] = u32::from(DISCARD) | u32::from(self.handle) << 16;
        words[2] = index as u32;
        (words[4], words[5]) = (sector as u32, (sector >> 32) as u32);
        (words[6], words[7]) = (count as u32, (count >> 32) as u32);
        self.ring.push(words);
        Some(index)
    }

    fn publish(&mut self) {
        if self.ring.publish() {
            self.doorbell.ring();
        }
    }

    /// Waits until slot `index` is answered, and frees it.
    async fn finished(&mut self, index: usize) -> Result<(), BlockError> {
        poll_fn(|cx| {
            for _ in 0..2 {
                self.reap();
                if let Some(why) = self.closed {
                    return Poll::Ready(Err(BlockError::Closed(why)));
                }
                if let Some(slot @ Slot::Done { .. }) = self.slots.get_mut(index) {
                    let ok = *slot == Slot::Done { ok: true };
                    *slot = Slot::Free;
                    return Poll::Ready(if ok { Ok(()) } else { Err(BlockError::Failed) });
                }
                self.doorbell.register(cx.waker());
                if !self.ring.arm(1) {
                    return Poll::Pending;
                }
            }
            // The backend and this loop race; let others run.
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }

    /// Requests of futures that were dropped: their answers interest nobody.
    fn abandon(&mut self) {
        for slot in &mut self.slots {
            *slot = match *slot {
                Slot::Open { .. } => Slot::Open { wanted: false },
                _ => Slot::Free,
            };
        }
    }

    /// Waits for a free slot.
    async fn room(&mut self) -> Result<(), BlockError> {
        poll_fn(|cx| {
            for _ in 0..2 {
                self.reap();
                if let Some(why) = self.closed {
                    return Poll::Ready(Err(BlockError::Closed(why)));
                }
                if self.slots.contains(&Slot::Free) {
                    return Poll::Ready(Ok(()));
                }
                self.doorbell.register(cx.waker());
                if !self.ring.arm(1) {
                    return Poll::Pending;
                }
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
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

    /// One request without data.
    async fn simple(&mut self, submit: impl FnOnce(&mut Self) -> Option<usize>) -> Result<(), BlockError> {
        self.abandon();
        self.room().await?;
        let index = submit(self).ok_or(BlockError::Failed)?;
        self.publish();
        self.finished(index).await
    }
}

/// Bytes of one request.
const CHUNK: usize = SEGMENTS * PAGE;

impl<G: Grants, D: Doorbell> BlockDevice for Blkfront<'_, G, D> {
    type Error = BlockError;

    fn info(&self) -> BlockInfo {
        self.info
    }

    async fn read(&mut self, sector: u64, buf: &mut [u8]) -> Result<(), BlockError> {
        let first = self.check(sector, self.sectors(buf.len())?)?;
        self.abandon();
        // Requests are answered in any order and finished in theirs.
        let (mut asked, mut got) = (0, 0);
        let mut open = VecDeque::with_capacity(REQUESTS);
        while got < buf.len() {
            while asked < buf.len() && open.len() < REQUESTS {
                let size = CHUNK.min(buf.len() - asked);
                if open.is_empty() {
                    self.room().await?;
                }
                let Some(index) = self.submit(READ, first + (asked / UNIT) as u64, size) else { break };
                open.push_back(index);
                asked += size;
            }
            self.publish();
            let Some(index) = open.pop_front() else { return Err(BlockError::Failed) };
            let size = CHUNK.min(buf.len() - got);
            let finished = self.finished(index).await;
            if finished.is_ok()
                && let Some(to) = buf.get_mut(got..got + size)
            {
                self.pool.copy_out(index * CHUNK, to);
            }
            finished?;
            got += size;
        }
        Ok(())
    }

    async fn write(&mut self, sector: u64, buf: &[u8]) -> Result<(), BlockError> {
        self.writable()?;
        let first = self.check(sector, self.sectors(buf.len())?)?;
        self.abandon();
        let mut open = VecDeque::with_capacity(REQUESTS);
        let mut chunks = buf.chunks(CHUNK).enumerate().peekable();
        loop {
            while let Some((number, chunk)) = chunks.peek()
                && open.len() < REQUESTS
            {
                if open.is_empty() {
                    self.room().await?;
                }
                // The slot decides the pages, so the data goes in after the request and before it is shown.
                let Some(index) = self.submit(WRITE, first + (number * CHUNK / UNIT) as u64, chunk.len())
                else {
                    break;
                };
                self.pool.copy_in(index * CHUNK, chunk);
                open.push_back(index);
                chunks.next();
            }
            self.publish();
            let Some(index) = open.pop_front() else { return Ok(()) };
            self.finished(index).await?;
        }
    }

    async fn flush(&mut self) -> Result<(), BlockError> {
        if !self.features.flush || self.info.read_only {
            return Ok(());
        }
        self.simple(|disk| disk.submit(FLUSH, 0, 0)).await
    }

    async fn discard(&mut self, sector: u64, count: u64) -> Result<(), BlockError> {
        self.writable()?;
        let first = self.check(sector, count)?;
        if !self.features.discard || count == 0 {
            return Ok(());
        }
        let units = count * (self.info.sector_size / UNIT) as u64;
        self.simple(|disk| disk.submit_discard(first, units)).await
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
                    FLUSH => self.flushes += 1,
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

    fn bench(info: BlockInfo) -> (Blkfront<'static, Table, Bell>, Backend) {
        let page: &'static RingPage = Box::leak(Box::default());
        let table = Table::default();
        let features = Features { flush: true, discard: true };
        let disk = Blkfront::new(page, 51712, info, features, 0, table.clone(), Bell).unwrap();
        let content = (0..info.sectors as usize * info.sector_size).map(|i| (i / 7) as u8).collect();
        (
            disk,
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
            let mut buffer = vec![0; 100 * 512];
            let mut future = pin!(disk.read(0, &mut buffer));
            for _ in 0..50 {
                if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                    break;
                }
                match random() % 4 {
                    0 => backend.ring.scribble((random() % 1024) as usize, random() as u32),
                    1 => {
                        let mut response = [0; WORDS];
                        (response[0], response[2]) = ((random() % 6) as u32, random() as u32);
                        backend.ring.respond(response);
                    }
                    2 => backend.ring.respond(core::array::from_fn(|_| random() as u32)),
                    _ => {
                        backend.ring.publish();
                    }
                }
            }
        }
    }
}
