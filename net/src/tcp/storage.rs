//! Where connections and their buffers live.
use super::{
    connection::Connection,
    listener::{HalfOpen, Listening},
    table::{ArrayRows, Inline, Queue, Rows, Table},
    time_wait::TimeWait,
};
use airglow_device::Instant;
use core::ops::DerefMut;

/// The memory of one ring.
pub trait Memory: Default {
    /// The bytes there are now.
    fn bytes(&self) -> &[u8];
    /// The bytes there are now.
    fn bytes_mut(&mut self) -> &mut [u8];
    /// Makes it at least `capacity` bytes long, at most `most`. What lay at `head` (and wrapped) lies at the start afterwards when
    /// this returns `true`; `false`: nothing changed.
    fn grow(&mut self, pool: &mut Pool, capacity: usize, most: usize, head: usize) -> bool;
    /// The ring is empty: the memory may serve others.
    fn release(&mut self, pool: &mut Pool);
}

/// A fixed array.
#[derive(Debug)]
pub struct Array<const N: usize>([u8; N]);
impl<const N: usize> Default for Array<N> {
    fn default() -> Self {
        Self([0; N])
    }
}
impl<const N: usize> Memory for Array<N> {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
    fn grow(&mut self, _pool: &mut Pool, _capacity: usize, _most: usize, _head: usize) -> bool {
        false
    }
    fn release(&mut self, _pool: &mut Pool) {}
}

/// Heap memory that grows by doubling and goes back to the pool when its ring is empty.
#[cfg(feature = "alloc")]
#[derive(Debug, Default)]
pub struct Growing {
    bytes: alloc::boxed::Box<[u8]>,
    /// What was needed last time.
    hint: usize,
    /// The most that was needed since the last release.
    peak: usize,
}
#[cfg(feature = "alloc")]
impl Memory for Growing {
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
    fn grow(&mut self, pool: &mut Pool, capacity: usize, most: usize, head: usize) -> bool {
        self.peak = self.peak.max(capacity);
        if capacity <= self.bytes.len() || self.bytes.len() >= most {
            return false;
        }
        let wanted = capacity.max(self.hint).max(LEAST).next_power_of_two().min(most);
        let Some(mut new) = pool.take(wanted) else { return false };
        let (wrapped, first) = self.bytes.split_at(head.min(self.bytes.len()));
        new[..first.len()].copy_from_slice(first);
        new[first.len()..first.len() + wrapped.len()].copy_from_slice(wrapped);
        pool.give(core::mem::replace(&mut self.bytes, new));
        true
    }
    fn release(&mut self, pool: &mut Pool) {
        if self.bytes.is_empty() {
            return;
        }
        // What a busy connection needs comes back at once; a quieter one sinks to what it needs now.
        self.hint = self.peak.max(self.hint / 2);
        self.peak = 0;
        pool.give(core::mem::take(&mut self.bytes));
    }
}

/// The smallest buffer.
#[cfg(feature = "alloc")]
const LEAST: usize = 2048;
/// Sizes of buffers: powers of two from [`LEAST`] on.
#[cfg(feature = "alloc")]
const CLASSES: usize = 16;
/// Bytes kept for reuse.
#[cfg(feature = "alloc")]
const KEPT: usize = 4 << 20;

/// The budget that all buffers share, and those kept for the next user.
#[derive(Debug, Default)]
pub struct Pool {
    #[cfg(feature = "alloc")]
    most: usize,
    #[cfg(feature = "alloc")]
    kept: usize,
    #[cfg(feature = "alloc")]
    free: [alloc::vec::Vec<alloc::boxed::Box<[u8]>>; CLASSES],
    used: usize,
    /// How often the budget said no.
    refused: u64,
}

impl Pool {
    /// Bytes of buffers in use.
    pub fn used(&self) -> usize {
        self.used
    }
    /// So many bytes more leave half of the budget free: a connection that does well may be offered them.
    pub(crate) fn has_plenty(&self, bytes: usize) -> bool {
        #[cfg(feature = "alloc")]
        return self.used.saturating_add(bytes) <= self.most / 2;
        #[cfg(not(feature = "alloc"))]
        {
            let _ = bytes;
            true
        }
    }
    /// How often a buffer was refused because the budget was spent.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(feature = "alloc")]
impl Pool {
    fn class(len: usize) -> Option<usize> {
        let class = len.checked_ilog2()?.checked_sub(LEAST.ilog2())? as usize;
        (len.is_power_of_two() && class < CLASSES).then_some(class)
    }
    fn take(&mut self, len: usize) -> Option<alloc::boxed::Box<[u8]>> {
        if self.used + len > self.most {
            self.refused += 1;
            return None;
        }
        self.used += len;
        if let Some(bytes) = Self::class(len).and_then(|class| self.free[class].pop()) {
            self.kept -= len;
            return Some(bytes);
        }
        Some(alloc::vec![0; len].into_boxed_slice())
    }
    fn give(&mut self, bytes: alloc::boxed::Box<[u8]>) {
        let len = bytes.len();
        self.used -= len;
        if let Some(class) = Self::class(len)
            && self.kept + len <= KEPT.min(self.most - self.used)
        {
            self.kept += len;
            self.free[class].push(bytes);
        }
    }
}

/// A connection with its buffers and what the caller keeps beside it.
#[derive(Debug)]
pub struct Record<U, R, W> {
    pub(crate) connection: Connection,
    pub(crate) user: U,
    pub(crate) receive: R,
    pub(crate) send: W,
}

impl<U: Default, R: Memory, W: Memory> Record<U, R, W> {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, user: U::default(), receive: R::default(), send: W::default() }
    }
}

/// A listener and what the caller keeps beside it.
#[derive(Debug)]
pub struct ListenerRecord<L> {
    pub(crate) listening: Listening,
    pub(crate) user: L,
}

/// Bounds of one connection's buffers, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The receive buffer, and so the largest window.
    pub receive: usize,
    /// Copied bytes that wait to be sent or acknowledged.
    pub send: usize,
}

/// Where the memory of connections lives: [`Heap`], [`Fixed`], or a `&mut` to one.
pub trait Storage {
    /// What the caller keeps beside each connection (the async shell: its wakers).
    type Connection: Default;
    /// What the caller keeps beside each listener.
    type Listener: Default;
    /// Memory of a receive ring.
    type Receive: Memory;
    /// Memory of a send ring.
    type Send: Memory;
    /// Rows of connections.
    type Connections: Rows<
        Cell: DerefMut<Target = Record<Self::Connection, Self::Receive, Self::Send>>
                  + From<Record<Self::Connection, Self::Receive, Self::Send>>,
    >;
    /// Rows of the SYN queue.
    type HalfOpen: Rows<Cell = Inline<HalfOpen>>;
    /// Rows of TIME-WAIT.
    type TimeWait: Rows<Cell = Inline<TimeWait>>;
    /// Rows of listeners.
    type Listeners: Rows<Cell = Inline<ListenerRecord<Self::Listener>>>;
    /// Whether there can be connections at all. A stack whose storage has no room for one does not link TCP.
    const SOME: bool = true;

    /// Bounds of one connection's buffers.
    fn limits(&self) -> Limits;
    /// The tables.
    fn parts(&mut self) -> Parts<'_, Self>;
    /// The earliest deadline in them.
    fn next_deadline(&self) -> Option<Instant>;
    /// Some connection may have something to send.
    fn has_output(&self) -> bool;
}

/// The tables of a [`Storage`].
#[derive(Debug)]
pub struct Parts<'a, S: Storage + ?Sized> {
    /// Connections.
    pub connections: &'a mut Table<S::Connections>,
    /// The SYN queue.
    pub half_open: &'a mut Table<S::HalfOpen>,
    /// What is left of finished connections.
    pub time_wait: &'a mut Table<S::TimeWait>,
    /// Listeners.
    pub listeners: &'a mut Table<S::Listeners>,
    /// The budget.
    pub pool: &'a mut Pool,
}

impl<T> From<T> for Inline<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

macro_rules! storage_methods {
    () => {
        fn parts(&mut self) -> Parts<'_, Self> {
            Parts {
                connections: &mut self.connections,
                half_open: &mut self.half_open,
                time_wait: &mut self.time_wait,
                listeners: &mut self.listeners,
                pool: &mut self.pool,
            }
        }
        fn next_deadline(&self) -> Option<Instant> {
            // Asked several times with every segment: compared one by one, which takes the fewest instructions.
            let or_never = |at: Option<Instant>| at.unwrap_or(Instant::MAX);
            let at = or_never(self.connections.next_deadline())
                .min(or_never(self.half_open.next_deadline()))
                .min(or_never(self.time_wait.next_deadline()));
            (at < Instant::MAX).then_some(at)
        }
        fn has_output(&self) -> bool {
            self.connections.has_queued(Queue::Transmit)
        }
    };
}

/// How much a [`Heap`] may take.
#[cfg(feature = "alloc")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeapLimits {
    /// Connections.
    pub connections: usize,
    /// Half-open connections of all listeners.
    pub half_open: usize,
    /// Connections in TIME-WAIT; the oldest gives way.
    pub time_wait: usize,
    /// Listeners.
    pub listeners: usize,
    /// Bytes of all buffers together.
    pub memory: usize,
    /// Bounds of one connection's buffers.
    pub buffers: Limits,
}

#[cfg(feature = "alloc")]
impl Default for HeapLimits {
    /// 16,384 connections, 1,024 half-open, 4,096 in TIME-WAIT, 64 listeners, 64 MiB of buffers, of which a connection
    /// gets 128 KiB each way at first and up to 4 MiB while it uses them and half of the budget is free.
    fn default() -> Self {
        Self {
            connections: 16_384,
            half_open: 1_024,
            time_wait: 4_096,
            listeners: 64,
            memory: 64 << 20,
            buffers: Limits { receive: 4 << 20, send: 4 << 20 },
        }
    }
}

#[cfg(feature = "alloc")]
type HeapRecord<C> = alloc::boxed::Box<Record<C, Growing, Growing>>;

/// Memory from the heap, as much as there are connections and bytes under way, up to [`HeapLimits`].
///
/// A connection costs a little over a kibibyte; its buffers come when there are bytes to hold and go when they are read or
/// acknowledged.
#[cfg(feature = "alloc")]
#[derive(Debug)]
pub struct Heap<C = crate::socket::tcp::StreamWakers, L = crate::socket::tcp::ListenerWakers> {
    limits: Limits,
    connections: Table<super::table::VecRows<HeapRecord<C>>>,
    half_open: Table<super::table::VecRows<Inline<HalfOpen>>>,
    time_wait: Table<super::table::VecRows<Inline<TimeWait>>>,
    listeners: Table<super::table::VecRows<Inline<ListenerRecord<L>>>>,
    pool: Pool,
}

#[cfg(feature = "alloc")]
impl<C, L> Heap<C, L> {
    /// Takes nothing yet.
    pub fn new(limits: HeapLimits) -> Self {
        use super::table::VecRows;
        Self {
            limits: limits.buffers,
            connections: Table::new(VecRows::new(limits.connections)),
            half_open: Table::new(VecRows::new(limits.half_open)),
            time_wait: Table::new(VecRows::new(limits.time_wait)),
            listeners: Table::new(VecRows::new(limits.listeners)),
            pool: Pool { most: limits.memory, ..Pool::default() },
        }
    }
}

#[cfg(feature = "alloc")]
impl<C, L> Default for Heap<C, L> {
    fn default() -> Self {
        Self::new(HeapLimits::default())
    }
}

#[cfg(feature = "alloc")]
impl<C: Default, L: Default> Storage for Heap<C, L> {
    type Connection = C;
    type Listener = L;
    type Receive = Growing;
    type Send = Growing;
    type Connections = super::table::VecRows<HeapRecord<C>>;
    type HalfOpen = super::table::VecRows<Inline<HalfOpen>>;
    type TimeWait = super::table::VecRows<Inline<TimeWait>>;
    type Listeners = super::table::VecRows<Inline<ListenerRecord<L>>>;
    fn limits(&self) -> Limits {
        self.limits
    }
    storage_methods!();
}

type FixedRecord<C, const RX: usize, const TX: usize> = Inline<Record<C, Array<RX>, Array<TX>>>;

/// Arrays: `CONNECTIONS` connections with `RX` bytes of receive and `TX` bytes of send buffer each; as many half-open and
/// as many in TIME-WAIT; `LISTENERS` listeners. Never allocates.
#[derive(Debug)]
pub struct Fixed<
    const CONNECTIONS: usize,
    const RX: usize,
    const TX: usize,
    const LISTENERS: usize = 4,
    C = crate::socket::tcp::StreamWakers,
    L = crate::socket::tcp::ListenerWakers,
> {
    connections: Table<ArrayRows<FixedRecord<C, RX, TX>, CONNECTIONS>>,
    half_open: Table<ArrayRows<Inline<HalfOpen>, CONNECTIONS>>,
    time_wait: Table<ArrayRows<Inline<TimeWait>, CONNECTIONS>>,
    listeners: Table<ArrayRows<Inline<ListenerRecord<L>>, LISTENERS>>,
    pool: Pool,
}

impl<const CONNECTIONS: usize, const RX: usize, const TX: usize, const LISTENERS: usize, C, L>
    Fixed<CONNECTIONS, RX, TX, LISTENERS, C, L>
{
    /// All of it, empty, and without `alloc` all zeros: a `static` takes no room in an image.
    pub const fn new() -> Self {
        Self {
            connections: Table::new(ArrayRows::new()),
            half_open: Table::new(ArrayRows::new()),
            time_wait: Table::new(ArrayRows::new()),
            listeners: Table::new(ArrayRows::new()),
            pool: Pool::new(),
        }
    }
}

impl Pool {
    const fn new() -> Self {
        Self {
            #[cfg(feature = "alloc")]
            most: 0,
            #[cfg(feature = "alloc")]
            kept: 0,
            #[cfg(feature = "alloc")]
            free: [const { alloc::vec::Vec::new() }; CLASSES],
            used: 0,
            refused: 0,
        }
    }
}

impl<const CONNECTIONS: usize, const RX: usize, const TX: usize, const LISTENERS: usize, C, L> Default
    for Fixed<CONNECTIONS, RX, TX, LISTENERS, C, L>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<
    const CONNECTIONS: usize,
    const RX: usize,
    const TX: usize,
    const LISTENERS: usize,
    C: Default,
    L: Default,
> Storage for Fixed<CONNECTIONS, RX, TX, LISTENERS, C, L>
{
    type Connection = C;
    type Listener = L;
    type Receive = Array<RX>;
    type Send = Array<TX>;
    type Connections = ArrayRows<FixedRecord<C, RX, TX>, CONNECTIONS>;
    type HalfOpen = ArrayRows<Inline<HalfOpen>, CONNECTIONS>;
    type TimeWait = ArrayRows<Inline<TimeWait>, CONNECTIONS>;
    type Listeners = ArrayRows<Inline<ListenerRecord<L>>, LISTENERS>;
    const SOME: bool = CONNECTIONS > 0;
    fn limits(&self) -> Limits {
        Limits { receive: RX, send: TX }
    }
    storage_methods!();
}

impl<S: Storage> Storage for &mut S {
    type Connection = S::Connection;
    type Listener = S::Listener;
    type Receive = S::Receive;
    type Send = S::Send;
    type Connections = S::Connections;
    type HalfOpen = S::HalfOpen;
    type TimeWait = S::TimeWait;
    type Listeners = S::Listeners;
    const SOME: bool = S::SOME;
    fn limits(&self) -> Limits {
        (**self).limits()
    }
    fn parts(&mut self) -> Parts<'_, Self> {
        let Parts { connections, half_open, time_wait, listeners, pool } = (**self).parts();
        Parts { connections, half_open, time_wait, listeners, pool }
    }
    fn next_deadline(&self) -> Option<Instant> {
        (**self).next_deadline()
    }
    fn has_output(&self) -> bool {
        (**self).has_output()
    }
}
