//! What an application is handed on Xen.
use super::{
    block,
    event_loop::EventLoop,
    keeper::Devices,
    network::{self, Card},
    vchan::{self, Vchan, VchanListener},
    xenstore::Xenstore,
};
use crate::{
    boot::{entropy::XenEntropy, time::XenWallClock},
    drivers::grant::DomainId,
};
use airglow_device::{Parameters, Platform};
use airglow_net::{Stack, tcp::Heap};
use alloc::string::ToString;

/// The kernel's TCP/IP stack.
pub type NetStack<'a> = Stack<'a, Card, &'a EventLoop, Heap>;

/// Everything this platform gives.
pub struct Xen<'a> {
    pub(super) stack: &'a NetStack<'a>,
    pub(super) event_loop: &'static EventLoop,
    pub(super) store: &'static Xenstore,
    pub(super) devices: &'static Devices,
    pub(super) parameters: &'a Parameters<'a>,
}

impl<'a> Xen<'a> {
    /// The connection to xenstore.
    pub fn store(&self) -> &'static Xenstore {
        self.store
    }

    /// Opens the disk `name`, such as `xvda`; once.
    ///
    /// # Errors
    /// What is missing.
    pub async fn disk(&self, name: &str) -> Result<block::Disk, block::OpenError> {
        block::open(self.store, self.event_loop, self.devices, name).await
    }

    /// Opens the network interface `index` of this domain, such as `1` for the second of `vif=[...]`; once. The first, 0, is the stack's.
    /// Every frame is heard, whoever it is for. One that is not there may be attached later.
    ///
    /// # Errors
    /// What is missing.
    pub async fn card(&self, index: &str) -> Result<Card, network::OpenError> {
        if index.parse::<u16>().is_ok_and(|number| number != 0 && number.to_string() == index) {
            let card = network::open(self.store, index, &XenEntropy).await?;
            self.devices.add(card.link_handle(), self.store, self.event_loop);
            return Ok(card);
        }
        Err(network::OpenError::None)
    }

    /// Offers channels to the domain `peer` under `path` in xenstore, one behind the other, at most `most` at once, with rings of at
    /// least `ring` bytes each way.
    pub fn vchan_listener(&self, peer: DomainId, path: &str, ring: usize, most: usize) -> VchanListener<'a> {
        VchanListener {
            store: self.store,
            timer: self.event_loop,
            peer,
            path: path.into(),
            rings: (ring, ring),
            most,
            token: Default::default(),
            offer: Default::default(),
            offering: Default::default(),
        }
    }

    /// Opens a channel that the domain `server` offers under `path` in xenstore; waits until it does.
    ///
    /// # Errors
    /// What is missing.
    pub async fn vchan(&self, server: DomainId, path: &str) -> Result<Vchan<'a>, vchan::OpenError> {
        Vchan::connect(self.store, server, path).await
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
