//! A channel within one process, for tests and examples.
use crate::{Channel, Doorbell, Interface, Orders, Role, sync::AtomicU64};
use alloc::{boxed::Box, rc::Rc, vec::Vec};
use core::{cell::RefCell, task::Waker};

/// The memory that two ends share.
#[derive(Debug)]
pub struct Shared {
    interface: Box<Interface>,
    left: Vec<AtomicU64>,
    right: Vec<AtomicU64>,
    orders: Orders,
    bells: [Bell; 2],
}

/// A doorbell that wakes a task of this thread.
#[derive(Clone, Debug, Default)]
pub struct Bell {
    mine: Rc<RefCell<Vec<Waker>>>,
    theirs: Rc<RefCell<Vec<Waker>>>,
}

impl Doorbell for Bell {
    fn ring(&self) {
        // A waker may run any code: the list is not held meanwhile.
        let woken = self.theirs.take();
        woken.into_iter().for_each(Waker::wake);
    }
    fn register(&self, waker: &Waker) {
        let mut wakers = self.mine.borrow_mut();
        if !wakers.iter().any(|w| w.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }
}

impl Shared {
    /// Rings of at least `left` bytes from client to server and `right` back, at most a megabyte together.
    pub fn new(left: usize, right: usize) -> Self {
        let orders = Orders::at_least(left, right).unwrap_or(Orders { left: 18, right: 18 });
        let interface = Box::new(Interface::new());
        interface.offer(orders);
        let outside = |order| (0..orders.pages(order) * 4096 / 8).map(|_| AtomicU64::new(0)).collect();
        let server = Bell::default();
        let client = Bell { mine: server.theirs.clone(), theirs: server.mine.clone() };
        Self {
            interface,
            left: outside(orders.left),
            right: outside(orders.right),
            orders,
            bells: [server, client],
        }
    }

    /// The server's end and the client's.
    pub fn ends(&self) -> (Channel<'_, Bell>, Channel<'_, Bell>) {
        let left = self.interface.inside(self.orders.left).unwrap_or(&self.left);
        let right = self.interface.inside(self.orders.right).unwrap_or(&self.right);
        let end = |role, bell: &Bell| Channel::new(&self.interface.header, role, left, right, bell.clone());
        let [server, client] = &self.bells;
        (end(Role::Server, server), end(Role::Client, client))
    }

    /// The shared page, to do to it what a hostile end could.
    pub fn interface(&self) -> &Interface {
        &self.interface
    }
}
