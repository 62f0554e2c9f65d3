//! All that passes the hosts' cards, for Wireshark.
use crate::{Cable, VirtualClock};
use airglow_device::{Caps, Capture, Direction, MacAddr, NetDevice, NetRx, WallClock};
use std::{cell::RefCell, fmt, future::poll_fn, io, path::Path, rc::Rc, task::Poll};

/// A recording does not grow beyond this; what comes later is left out.
const MOST: usize = 512 << 20;

type Sink = Box<dyn FnMut(&[u8])>;

/// What passed the cards of a simulation's hosts, as a pcapng file: each card is an interface called `HOST/SEGMENT`, so that a
/// frame is there once where it was sent and once wherever it came through.
#[derive(Clone)]
pub struct Recording {
    bytes: Rc<RefCell<Vec<u8>>>,
    capture: Rc<RefCell<Capture<Sink>>>,
}

impl Default for Recording {
    fn default() -> Self {
        let bytes = Rc::new(RefCell::new(Vec::new()));
        let file = Rc::clone(&bytes);
        let sink: Sink = Box::new(move |piece| file.borrow_mut().extend_from_slice(piece));
        Self { bytes, capture: Rc::new(RefCell::new(Capture::new(sink))) }
    }
}

impl Recording {
    /// The file so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes.borrow().clone()
    }

    /// Writes the file.
    ///
    /// # Errors
    /// The system's.
    pub fn save(&self, path: impl AsRef<Path>) -> io::Result<()> {
        std::fs::write(path, &*self.bytes.borrow())
    }

    /// Records what passes the card at the near end of `cable`, for ever.
    pub(crate) fn observe(
        &self,
        cable: &Cable,
        caps: Caps,
        clock: VirtualClock,
    ) -> impl Future<Output = ()> + use<> {
        let Self { bytes, capture } = self.clone();
        let interface = capture.borrow_mut().interface(cable.name());
        let card = cable.mac();
        // Plain, so that large segments are cut and checksums done: as on the wire.
        let port = cable.near().join(MacAddr([2, 0, 0, 0, 0, 0xff]), Caps::new(caps.mtu));
        let mut port = port.promiscuous();
        poll_fn(move |cx| {
            loop {
                let at = clock.unix_now().unwrap_or_default();
                port.split().0.receive(usize::MAX, |frame, _| {
                    let out = frame.get(6..12) == Some(&card.0);
                    let direction = if out { Direction::Out } else { Direction::In };
                    if bytes.borrow().len() < MOST {
                        capture.borrow_mut().frame(interface, at, direction, frame);
                    }
                });
                if port.poll_ready(cx, false).is_pending() {
                    return Poll::Pending;
                }
            }
        })
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").field("bytes", &self.bytes.borrow().len()).finish_non_exhaustive()
    }
}
