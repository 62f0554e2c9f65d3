//! What an application is handed on Unix.
use crate::{HostTcp, HostUdp, Reactor, SystemClock, SystemEntropy};
use airglow_device::{Parameters, Platform, Tcp, Udp};

/// Everything this platform gives, over any network.
pub struct Unix<'a, T, U> {
    tcp: &'a T,
    udp: &'a U,
    reactor: &'a Reactor,
    parameters: &'a Parameters<'static>,
}

/// The platform whose network is the host's sockets.
pub type HostPlatform<'a> = Unix<'a, HostTcp, HostUdp>;

/// Cards that a stack may have.
#[cfg(target_os = "linux")]
pub(crate) const MOST_CARDS: usize = 8;

/// Airglow's own stack over up to eight cards of this platform.
#[cfg(target_os = "linux")]
pub type CardStack<D> = airglow_net::Stack<'static, D, Reactor, airglow_net::tcp::Heap, MOST_CARDS>;

/// The platform whose network is airglow's own stack over cards.
#[cfg(target_os = "linux")]
pub type CardPlatform<'a, D> = Unix<'a, CardStack<D>, CardStack<D>>;

impl<'a, T: Tcp, U: Udp> Unix<'a, T, U> {
    /// The platform over this network.
    pub const fn new(
        tcp: &'a T,
        udp: &'a U,
        reactor: &'a Reactor,
        parameters: &'a Parameters<'static>,
    ) -> Self {
        Self { tcp, udp, reactor, parameters }
    }
}

impl<T: Tcp, U: Udp> Platform for Unix<'_, T, U> {
    type Tcp = T;
    type Udp = U;
    type Timer = Reactor;
    type WallClock = SystemClock;
    type Entropy = SystemEntropy;

    fn tcp(&self) -> &T {
        self.tcp
    }
    fn udp(&self) -> &U {
        self.udp
    }
    fn timer(&self) -> &Reactor {
        self.reactor
    }
    fn wall_clock(&self) -> &SystemClock {
        &SystemClock
    }
    fn entropy(&self) -> &SystemEntropy {
        &SystemEntropy
    }
    fn parameters(&self) -> &Parameters<'_> {
        self.parameters
    }
}
