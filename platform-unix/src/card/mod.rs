//! Network cards: a tap device, and any Ethernet interface through AF_PACKET or AF_XDP (Linux).
mod claim;
mod link;
mod open;
mod packet;
mod recorder;
mod tap;
mod transmit;
mod vnet;
mod xdp;

use crate::reactor::Reactor;
use airglow_device::{Direction, NetDevice};
use transmit::Count;

pub use open::OpenError;
pub use packet::Packet;
pub(crate) use recorder::Recorder;
pub use tap::Tap;
pub use xdp::Xdp;

/// Bytes of one turn from which on it is part of a bulk transfer.
const BULK: u64 = 32 * 1024;

/// `bytes` have come in one turn.
fn came(reactor: &Reactor, bytes: u64) {
    if bytes >= BULK {
        reactor.expect_more();
    }
}

/// What the cards have in common beside what every device has.
pub(crate) trait Card: NetDevice {
    /// The counters of what comes and of what goes.
    fn counts(&self) -> [&Count; 2];

    /// Writes down what passes from now on.
    fn record(&self, recorder: &Recorder) {
        for (count, direction) in self.counts().into_iter().zip([Direction::In, Direction::Out]) {
            count.record.begin(recorder.clone(), direction);
        }
    }
}

impl Card for Tap {
    fn counts(&self) -> [&Count; 2] {
        [&self.rx.count, &self.tx.count]
    }
}

impl Card for Packet {
    fn counts(&self) -> [&Count; 2] {
        [&self.rx.count, &self.tx.count]
    }
}

impl Card for Xdp {
    fn counts(&self) -> [&Count; 2] {
        [&self.rx.count, &self.tx.count]
    }
}
