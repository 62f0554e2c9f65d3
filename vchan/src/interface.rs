//! The shared page (`io/libxenvchan.h`, `struct vchan_interface`) and where its rings lie.
#[cfg(not(loom))]
use crate::sync::Ordering;
use crate::sync::{AtomicU8, AtomicU16, AtomicU32, AtomicU64};

/// One ring's indices; both only ever grow, modulo 2^32.
#[derive(Debug)]
#[repr(C)]
pub struct Indices {
    /// Bytes that the reader has taken.
    pub cons: AtomicU32,
    /// Bytes that the writer has put in.
    pub prod: AtomicU32,
}

/// The first 24 bytes of the shared page.
///
/// `left` is the ring that the client writes and the server reads, `right` the other.
#[derive(Debug)]
#[repr(C)]
pub struct Header {
    /// Client to server.
    pub left: Indices,
    /// Server to client.
    pub right: Indices,
    /// log2 of the left ring's bytes.
    pub left_order: AtomicU16,
    /// log2 of the right ring's bytes.
    pub right_order: AtomicU16,
    /// 2: the server waits for a client; 1: the client is there; 0: it has gone.
    pub cli_live: AtomicU8,
    /// 1: the server is there; 0: it has gone.
    pub srv_live: AtomicU8,
    /// The notifications that the client is asked for, by the server.
    pub cli_notify: AtomicU8,
    /// The notifications that the server is asked for, by the client.
    pub srv_notify: AtomicU8,
}

/// "Ring me when you have written."
pub const NOTIFY_WRITE: u8 = 1;
/// "Ring me when you have read."
pub const NOTIFY_READ: u8 = 2;

/// Grant references that fit the page.
const GRANTS: usize = (1024 - 24) / 4;
/// log2 of the two rings inside the page.
const SMALL: u16 = 10;
const LARGE: u16 = 11;
const PAGE: u16 = 12;

/// The shared page.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Interface {
    /// Indices and flags.
    pub header: Header,
    /// The pages of the rings that lie outside: the left one's, then the right one's.
    pub grants: [AtomicU32; GRANTS],
    /// A ring of 1 KiB, if one of the two is so small.
    pub small: [AtomicU64; 1024 / 8],
    /// A ring of 2 KiB.
    pub large: [AtomicU64; 2048 / 8],
}

/// The sizes of the two rings, as log2 of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orders {
    /// Of the ring from client to server.
    pub left: u16,
    /// Of the ring from server to client.
    pub right: u16,
}

impl Orders {
    /// The smallest rings of at least `left` and `right` bytes, inside the page where both fit there, chosen as `libxenvchan` does.
    /// `None`: too large for the page's list of grants.
    pub fn at_least(left: usize, right: usize) -> Option<Self> {
        let pages = |bytes: usize| Some((bytes.max(1).checked_next_power_of_two()?.ilog2() as u16).max(PAGE));
        let (mut orders, small, large) =
            (Self { left: pages(left)?, right: pages(right)? }, 1 << SMALL, 1 << LARGE);
        if left <= small && right <= large {
            orders = Self { left: SMALL, right: LARGE };
        } else if left <= large && right <= small {
            orders = Self { left: LARGE, right: SMALL };
        } else if left <= large {
            orders.left = LARGE;
        } else if right <= large {
            orders.right = LARGE;
        }
        orders.is_possible().then_some(orders)
    }

    /// A server could have written these: each ring in its place in the page, the two places not the same, or in as many pages as
    /// the page can list.
    pub fn is_possible(self) -> bool {
        let each = |order: u16| matches!(order, SMALL | LARGE) || (PAGE..=20).contains(&order);
        let distinct = self.left != self.right || self.left >= PAGE;
        each(self.left)
            && each(self.right)
            && distinct
            && self.pages(self.left) + self.pages(self.right) <= GRANTS
    }

    /// Pages outside the shared page that a ring of this order takes.
    pub fn pages(self, order: u16) -> usize {
        if order < PAGE { 0 } else { 1usize.checked_shl(u32::from(order - PAGE)).unwrap_or(usize::MAX / 4) }
    }
}

#[cfg(not(loom))]
impl Interface {
    /// An empty page.
    pub const fn new() -> Self {
        const fn indices() -> Indices {
            Indices { cons: AtomicU32::new(0), prod: AtomicU32::new(0) }
        }
        Self {
            header: Header {
                left: indices(),
                right: indices(),
                left_order: AtomicU16::new(0),
                right_order: AtomicU16::new(0),
                cli_live: AtomicU8::new(0),
                srv_live: AtomicU8::new(0),
                cli_notify: AtomicU8::new(0),
                srv_notify: AtomicU8::new(0),
            },
            grants: [const { AtomicU32::new(0) }; GRANTS],
            small: [const { AtomicU64::new(0) }; 1024 / 8],
            large: [const { AtomicU64::new(0) }; 2048 / 8],
        }
    }

    /// The server's preparation: sizes, and "waiting for a client".
    pub fn offer(&self, orders: Orders) {
        self.header.left_order.store(orders.left, Ordering::Relaxed);
        self.header.right_order.store(orders.right, Ordering::Relaxed);
        self.header.cli_live.store(2, Ordering::Relaxed);
        self.header.srv_live.store(1, Ordering::Relaxed);
        self.header.cli_notify.store(NOTIFY_WRITE, Ordering::Release);
    }

    /// The sizes that the server wrote, once, checked. `None`: nonsense.
    pub fn orders(&self) -> Option<Orders> {
        let left = self.header.left_order.load(Ordering::Acquire);
        let right = self.header.right_order.load(Ordering::Acquire);
        Some(Orders { left, right }).filter(|orders| orders.is_possible())
    }

    /// A ring that lies in this page; `None` when its order says that it has pages of its own.
    pub fn inside(&self, order: u16) -> Option<&[AtomicU64]> {
        match order {
            SMALL => Some(&self.small),
            LARGE => Some(&self.large),
            _ => None,
        }
    }
}

#[cfg(not(loom))]
impl Default for Interface {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use core::mem::{offset_of, size_of};

    #[test]
    fn layout_is_the_headers() {
        assert_eq!(size_of::<Header>(), 24);
        assert_eq!(offset_of!(Header, right), 8);
        assert_eq!(offset_of!(Header, left_order), 16);
        assert_eq!(offset_of!(Header, cli_live), 20);
        assert_eq!(offset_of!(Header, srv_notify), 23);
        assert_eq!(offset_of!(Interface, grants), 24);
        assert_eq!(offset_of!(Interface, small), 1024);
        assert_eq!(offset_of!(Interface, large), 2048);
        assert_eq!(size_of::<Interface>(), 4096);
    }

    #[test]
    fn sizes_are_chosen_as_libxenvchan_does() {
        let orders = |left, right| Orders::at_least(left, right).map(|o| (o.left, o.right));
        assert_eq!(orders(1, 1), Some((10, 11)));
        assert_eq!(orders(1024, 2048), Some((10, 11)));
        assert_eq!(orders(2048, 1024), Some((11, 10)));
        assert_eq!(orders(2048, 2048), Some((11, 12)));
        assert_eq!(orders(8192, 8192), Some((13, 13)));
        assert_eq!(orders(8192, 100), Some((13, 11)));
        assert_eq!(orders(4097, 1 << 19), Some((13, 19)));
        assert_eq!(orders(1 << 20, 1 << 20), None);
        assert_eq!(orders(usize::MAX, 1), None);
    }

    #[test]
    fn a_server_cannot_offer_nonsense() {
        for (left, right) in [(0, 0), (9, 11), (10, 10), (11, 11), (12, 21), (0xffff, 12), (20, 12)] {
            let page = Interface::new();
            page.offer(Orders { left, right });
            assert_eq!(page.orders(), None, "{left} {right}");
        }
        let page = Interface::new();
        page.offer(Orders { left: 11, right: 10 });
        assert_eq!(page.orders(), Some(Orders { left: 11, right: 10 }));
        assert_eq!(page.inside(11).map(<[_]>::len), Some(2048 / 8));
    }
}
