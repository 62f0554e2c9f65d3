//! The switch in the middle of a network.
use airglow_device::EthernetSegment;
use std::{fmt, rc::Rc};

/// An Ethernet: a perfect switch that [`Host`](crate::Host)s are plugged into, each by a [`Cable`](crate::Cable) that need not be perfect.
#[derive(Clone)]
pub struct Segment {
    pub(crate) name: Rc<str>,
    pub(crate) ethernet: EthernetSegment,
}

impl Segment {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.into(), ethernet: EthernetSegment::new() }
    }

    /// What it was called.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// The Ethernet itself, for devices of one's own.
    pub fn ethernet(&self) -> &EthernetSegment {
        &self.ethernet
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Segment").field(&self.name).finish()
    }
}
