//! What an application is handed on Xen.
use super::{block, event_loop::EventLoop, network::Card, xenstore::Xenstore};
use crate::boot::{entropy::XenEntropy, time::XenWallClock};
use airglow_device::{Parameters, Platform};
use airglow_net::{Stack, tcp::Heap};

/// The kernel's TCP/IP stack.
pub type NetStack<'a> = Stack<'a, Card, &'a EventLoop, Heap>;

/// Everything this platform gives.
pub struct Xen<'a> {
    pub(super) stack: &'a NetStack<'a>,
    pub(super) event_loop: &'a EventLoop,
    pub(super) store: &'a Xenstore,
    pub(super) parameters: &'a Parameters<'a>,
}

impl<'a> Xen<'a> {
    /// The connection to xenstore.
    pub fn store(&self) -> &'a Xenstore {
        self.store
    }

    /// Opens the disk `name`, such as `xvda`; once.
    ///
    /// # Errors
    /// What is missing.
    pub async fn disk(&self, name: &str) -> Result<block::Disk, block::OpenError> {
        block::open(self.store, name).await
    }
}

impl<'a> Platform for Xen<'a> {
    type Tcp = NetStack<'a>;
    type Udp = NetStack<'a>;
    type Timer = EventLoop;
    type WallClock = XenWallClock;
    type Entropy = XenEntropy;

    fn tcp(&self) -> &Self::Tcp {
        self.stack
    }
    fn udp(&self) -> &Self::Udp {
        self.stack
    }
    fn timer(&self) -> &EventLoop {
        self.event_loop
    }
    fn wall_clock(&self) -> &XenWallClock {
        &XenWallClock
    }
    fn entropy(&self) -> &XenEntropy {
        &XenEntropy
    }
    fn parameters(&self) -> &Parameters<'_> {
        self.parameters
    }
}
