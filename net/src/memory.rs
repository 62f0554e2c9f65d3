//! Where a stack's tables live: in memory the caller owns, or on the heap within limits.
use crate::{
    address::Address,
    interface::Interface,
    loopback::{Loopback, LoopbackMemory},
    multicast::Membership,
    neighbor::Neighbor,
    output::PendingPacket,
    path_mtu::PathMtu,
    reassembly::{Reassembly, ReassemblyMemory, Slot},
    route::RouteEntry,
    udp::UdpSlot,
};

use core::{
    ops::{Deref, DerefMut},
    task::Waker,
};

/// The largest frame that waits for a neighbour's address: Ethernet's 1,500 bytes, the header and a VLAN tag.
pub(crate) const PENDING_FRAME: usize = 1518;

pub(crate) enum Slice<'m, T> {
    Borrowed(&'m mut [T]),
    #[cfg(feature = "alloc")]
    Owned(alloc::vec::Vec<T>),
}

impl<T> Deref for Slice<'_, T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        match self {
            Self::Borrowed(slice) => slice,
            #[cfg(feature = "alloc")]
            Self::Owned(vec) => vec,
        }
    }
}
impl<T> DerefMut for Slice<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::Borrowed(slice) => slice,
            #[cfg(feature = "alloc")]
            Self::Owned(vec) => vec,
        }
    }
}

/// The wakers of one UDP socket: a task that waits for a datagram, a task that waits for room to send.
#[derive(Default)]
pub(crate) struct UdpWakers {
    pub receive: Option<Waker>,
    pub send: Option<Waker>,
}

/// The tables of a stack. Made from a [`StackMemory`] or from [`Limits`].
pub struct Memory<'m> {
    pub(crate) interfaces: Slice<'m, Interface>,
    pub(crate) addresses: Slice<'m, Option<Address>>,
    pub(crate) neighbors: Slice<'m, Option<Neighbor>>,
    pub(crate) routes: Slice<'m, Option<RouteEntry>>,
    pub(crate) pending: Slice<'m, PendingPacket>,
    pub(crate) sockets: Slice<'m, UdpSlot>,
    // `datagrams_len` bytes for each socket; empty when sockets allocate their own.
    pub(crate) datagrams: Slice<'m, u8>,
    pub(crate) datagrams_len: usize,
    pub(crate) wakers: Slice<'m, UdpWakers>,
    pub(crate) reassembly: Reassembly<'m>,
    pub(crate) loopback: Loopback<'m>,
    pub(crate) path_mtus: Slice<'m, Option<PathMtu>>,
    pub(crate) groups: Slice<'m, Option<Membership>>,
}

impl<'m> Memory<'m> {
    /// Puts fragments together in these buffers. Without any, fragments are dropped.
    pub fn with_reassembly<const PACKETS: usize, const BYTES: usize>(
        mut self,
        memory: &'m mut ReassemblyMemory<PACKETS, BYTES>,
    ) -> Self {
        let ReassemblyMemory { slots, bytes } = memory;
        let bytes = Slice::Borrowed(bytes.as_flattened_mut());
        self.reassembly = Reassembly::new(slots.make(|| Slot::FREE), bytes, BYTES);
        self
    }

    /// Lets the stack listen to groups that sockets join, and report them with those of its own IPv6 addresses, each of which takes
    /// one of `GROUPS`. Without it there are only the groups of IP itself, unreported.
    pub fn with_groups<const GROUPS: usize>(mut self, memory: &'m mut GroupMemory<GROUPS>) -> Self {
        self.groups = memory.0.make(|| None);
        self
    }

    /// Lets the stack talk to itself through these buffers, in packets of at most a quarter of one. Without any, there is no way to
    /// one's own addresses.
    pub fn with_loopback<const BYTES: usize>(mut self, memory: &'m mut LoopbackMemory<BYTES>) -> Self {
        self.loopback = Loopback::borrowed(&mut memory.filling, &mut memory.draining);
        self
    }
}

/// Room for groups, for a stack that does not allocate. See [`Memory::with_groups`].
pub struct GroupMemory<const GROUPS: usize>(Later<[Option<Membership>; GROUPS]>);

impl<const GROUPS: usize> GroupMemory<GROUPS> {
    /// No groups.
    pub const fn new() -> Self {
        Self(Later::Unused)
    }
}

impl<const GROUPS: usize> Default for GroupMemory<GROUPS> {
    fn default() -> Self {
        Self::new()
    }
}

/// A table that is made when a stack takes its memory. Until then it is all zeros whatever `T` is, so that a `static` takes no
/// room in an image.
#[repr(u8)]
pub(crate) enum Later<T> {
    Unused = 0,
    Made(T),
}

impl<T, const N: usize> Later<[T; N]> {
    /// Makes the table of empty rows, in its place.
    pub fn make(&mut self, row: impl Fn() -> T) -> Slice<'_, T> {
        *self = Self::Made(core::array::from_fn(|_| row()));
        match self {
            Self::Unused => Slice::default(),
            Self::Made(rows) => Slice::Borrowed(rows),
        }
    }
}

/// Memory for a stack that does not allocate; a board keeps one in a `static`, where it is all zeros until a stack takes it.
///
/// | parameter | of | bytes each, on 64 bits |
/// |---|---|---|
/// | `INTERFACES` | interfaces, with DHCP and autoconfiguration state | 400 |
/// | `ADDRESSES` | addresses, all interfaces together; IPv6 takes one for the link-local address | 72 |
/// | `NEIGHBORS` | entries of the ARP and neighbour cache | 56 |
/// | `ROUTES` | routes; each address's own network takes one, so does each gateway | 64 |
/// | `SOCKETS` | UDP sockets and responders | 160 + `DATAGRAMS` |
/// | `DATAGRAMS` | bytes of queue of each UDP socket, 24 of which go to each datagram's header | |
/// | `PENDING` | packets that wait for a neighbour's address | 1,568 |
pub struct StackMemory<
    const INTERFACES: usize = 1,
    const ADDRESSES: usize = 4,
    const NEIGHBORS: usize = 8,
    const ROUTES: usize = 6,
    const SOCKETS: usize = 2,
    const DATAGRAMS: usize = 1536,
    const PENDING: usize = 1,
> {
    interfaces: Later<[Interface; INTERFACES]>,
    addresses: Later<[Option<Address>; ADDRESSES]>,
    neighbors: Later<[Option<Neighbor>; NEIGHBORS]>,
    routes: Later<[Option<RouteEntry>; ROUTES]>,
    pending: [PendingPacket; PENDING],
    sockets: Later<[UdpSlot; SOCKETS]>,
    datagrams: [[u8; DATAGRAMS]; SOCKETS],
    wakers: Later<[UdpWakers; SOCKETS]>,
}

impl<
    const INTERFACES: usize,
    const ADDRESSES: usize,
    const NEIGHBORS: usize,
    const ROUTES: usize,
    const SOCKETS: usize,
    const DATAGRAMS: usize,
    const PENDING: usize,
> StackMemory<INTERFACES, ADDRESSES, NEIGHBORS, ROUTES, SOCKETS, DATAGRAMS, PENDING>
{
    /// Empty tables.
    pub const fn new() -> Self {
        Self {
            interfaces: Later::Unused,
            addresses: Later::Unused,
            neighbors: Later::Unused,
            routes: Later::Unused,
            pending: [const { PendingPacket::EMPTY }; PENDING],
            sockets: Later::Unused,
            datagrams: [[0; DATAGRAMS]; SOCKETS],
            wakers: Later::Unused,
        }
    }
}

impl<
    const INTERFACES: usize,
    const ADDRESSES: usize,
    const NEIGHBORS: usize,
    const ROUTES: usize,
    const SOCKETS: usize,
    const DATAGRAMS: usize,
    const PENDING: usize,
> Default for StackMemory<INTERFACES, ADDRESSES, NEIGHBORS, ROUTES, SOCKETS, DATAGRAMS, PENDING>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<
    'm,
    const INTERFACES: usize,
    const ADDRESSES: usize,
    const NEIGHBORS: usize,
    const ROUTES: usize,
    const SOCKETS: usize,
    const DATAGRAMS: usize,
    const PENDING: usize,
> From<&'m mut StackMemory<INTERFACES, ADDRESSES, NEIGHBORS, ROUTES, SOCKETS, DATAGRAMS, PENDING>>
    for Memory<'m>
{
    fn from(
        memory: &'m mut StackMemory<INTERFACES, ADDRESSES, NEIGHBORS, ROUTES, SOCKETS, DATAGRAMS, PENDING>,
    ) -> Self {
        Self {
            interfaces: memory.interfaces.make(|| Interface::NONE),
            addresses: memory.addresses.make(|| None),
            neighbors: memory.neighbors.make(|| None),
            routes: memory.routes.make(|| None),
            pending: Slice::Borrowed(&mut memory.pending),
            sockets: memory.sockets.make(|| UdpSlot::CLOSED),
            datagrams: Slice::Borrowed(memory.datagrams.as_flattened_mut()),
            datagrams_len: DATAGRAMS,
            wakers: memory.wakers.make(UdpWakers::default),
            reassembly: Reassembly::default(),
            loopback: Loopback::default(),
            path_mtus: Slice::default(),
            groups: Slice::default(),
        }
    }
}

/// How large the tables of a stack on the heap are. They are allocated once, when the stack is made; the queues of
/// UDP sockets when a socket is bound.
#[cfg(feature = "alloc")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Addresses, all interfaces together.
    pub addresses: usize,
    /// Entries of the ARP and neighbour cache.
    pub neighbors: usize,
    /// Routes.
    pub routes: usize,
    /// Packets that wait for a neighbour's address, one for each neighbour at most.
    pub pending: usize,
    /// UDP sockets and responders.
    pub sockets: usize,
    /// Bytes of queue of each UDP socket.
    pub datagrams: usize,
    /// Packets that are put together of fragments at a time; each takes as much as its fragments need, at most 64 KiB.
    pub reassembly: usize,
    /// Bytes of packets to ourselves that wait, twice; taken from the heap when the first one is sent.
    pub loopback: usize,
    /// Destinations whose path is known to be narrower than our link.
    pub path_mtus: usize,
    /// Groups that are listened to, counted once for each socket; each IPv6 address takes one too.
    pub groups: usize,
}

#[cfg(feature = "alloc")]
impl Default for Limits {
    /// 16 addresses, 512 neighbours, 64 routes, 32 packets that wait, 64 sockets with up to 256 KiB each, 32 packets in
    /// fragments, 256 KiB to ourselves, 64 narrow paths, 48 groups.
    fn default() -> Self {
        Self {
            addresses: 16,
            neighbors: 512,
            routes: 64,
            pending: 32,
            sockets: 64,
            datagrams: 256 * 1024,
            reassembly: 32,
            loopback: 256 * 1024,
            path_mtus: 64,
            groups: 48,
        }
    }
}

#[cfg(feature = "alloc")]
impl From<Limits> for Memory<'_> {
    fn from(limits: Limits) -> Self {
        fn table<'m, T>(len: usize, one: fn() -> T) -> Slice<'m, T> {
            Slice::Owned(core::iter::repeat_with(one).take(len).collect())
        }
        Self {
            interfaces: table(0, || Interface::NONE),
            addresses: table(limits.addresses, || None),
            neighbors: table(limits.neighbors, || None),
            routes: table(limits.routes, || None),
            pending: table(limits.pending, || PendingPacket::EMPTY),
            sockets: table(limits.sockets, || UdpSlot::CLOSED),
            datagrams: table(0, || 0),
            datagrams_len: limits.datagrams,
            wakers: table(limits.sockets, UdpWakers::default),
            reassembly: Reassembly::new(table(limits.reassembly, || Slot::FREE), table(0, || 0), 0),
            loopback: Loopback::owned(limits.loopback),
            path_mtus: table(limits.path_mtus, || None),
            groups: table(limits.groups, || None),
        }
    }
}

impl<T> Default for Slice<'_, T> {
    fn default() -> Self {
        Self::Borrowed(&mut [])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_has_room_for_the_default_tables() {
        // On 64 bits; pointers and so the tables are smaller on a board.
        // A board does without these two, which every interface has room for.
        let dhcpv6 = if cfg!(feature = "dhcpv6") { 256 } else { 0 };
        let search_list = if cfg!(feature = "search-list") { 1_120 } else { 0 };
        let interface = 408 + dhcpv6 + search_list;
        assert!(size_of::<Interface>() <= interface, "{} > {interface}", size_of::<Interface>());
        let all = 6_600 + dhcpv6 + search_list;
        assert!(size_of::<StackMemory>() <= all, "{} > {all}", size_of::<StackMemory>());
        assert!(size_of::<Option<Address>>() <= 72 && size_of::<Option<RouteEntry>>() <= 64);
        assert!(size_of::<Option<Neighbor>>() <= 56);
    }
}
