//! What an application is handed in a simulation.
use crate::{Disk, VirtualClock};
use airglow_device::{Parameters, Platform, SeededEntropy, SegmentPort};
use airglow_net::{Stack, tcp::Heap};
use std::{fmt, rc::Rc};

/// Cards that a host may have.
pub const SLOTS: usize = 8;

/// The stack of every host: airglow's own, the same code as on every other platform.
pub type SimStack = Stack<'static, SegmentPort, VirtualClock, Heap, SLOTS>;

/// A host that is switched on: the [`Platform`] of the application that runs on it.
pub struct Machine<'p> {
    pub(crate) name: &'p str,
    pub(crate) stack: Rc<SimStack>,
    pub(crate) clock: VirtualClock,
    pub(crate) entropy: SeededEntropy,
    pub(crate) parameters: Parameters<'p>,
    pub(crate) disks: &'p [Disk],
    pub(crate) boots: u64,
}

impl Machine<'_> {
    /// The host's name.
    pub fn name(&self) -> &str {
        self.name
    }
    /// The stack, for what the signatures do not have.
    pub fn stack(&self) -> &SimStack {
        &self.stack
    }
    /// Disk number `number`, in the order in which they were built in.
    pub fn disk(&self, number: usize) -> Option<Disk> {
        self.disks.get(number).cloned()
    }
    /// How often the host was switched on before.
    pub fn boots(&self) -> u64 {
        self.boots
    }
}

impl Platform for Machine<'_> {
    type Tcp = SimStack;
    type Udp = SimStack;
    type Timer = VirtualClock;
    type WallClock = VirtualClock;
    type Entropy = SeededEntropy;

    fn tcp(&self) -> &SimStack {
        &self.stack
    }
    fn udp(&self) -> &SimStack {
        &self.stack
    }
    fn timer(&self) -> &VirtualClock {
        &self.clock
    }
    fn wall_clock(&self) -> &VirtualClock {
        &self.clock
    }
    fn entropy(&self) -> &SeededEntropy {
        &self.entropy
    }
    fn parameters(&self) -> &Parameters<'_> {
        &self.parameters
    }
}

impl fmt::Debug for Machine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine")
            .field("name", &self.name)
            .field("boots", &self.boots)
            .finish_non_exhaustive()
    }
}
