//! Frames of a card on record.
use airglow_device::{Capture, Direction};
use std::{
    cell::{OnceCell, RefCell},
    fmt,
    rc::Rc,
    time::{Duration, SystemTime},
};

/// Where the pieces of a file go.
type Sink = Box<dyn FnMut(&[u8])>;

/// Where a card's frames are written down as they pass, in the format pcapng: as the card has them, so that checksums and segments that are left
/// to it are not yet done.
#[derive(Clone)]
pub(crate) struct Recorder {
    capture: Rc<RefCell<Capture<Sink>>>,
    interface: u32,
}

impl Recorder {
    /// For the card called `name`; the file's pieces go to `sink`.
    pub(crate) fn new(name: &str, sink: impl FnMut(&[u8]) + 'static) -> Self {
        let mut capture = Capture::new(Box::new(sink) as Sink);
        let interface = capture.interface(name);
        Self { capture: Rc::new(RefCell::new(capture)), interface }
    }

    fn frame(&self, direction: Direction, frame: &[u8]) {
        // A clock before 1970 is one that nobody has set.
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or(Duration::ZERO);
        self.capture.borrow_mut().frame(self.interface, now, direction, frame);
    }
}

/// One direction's frames on record, once that is asked for.
#[derive(Default)]
pub(crate) struct Record(OnceCell<(Recorder, Direction)>);

impl Record {
    pub(super) fn begin(&self, recorder: Recorder, direction: Direction) {
        let _ = self.0.set((recorder, direction));
    }

    #[inline]
    pub(super) fn frame(&self, frame: &[u8]) {
        if let Some((recorder, direction)) = self.0.get() {
            recorder.frame(*direction, frame);
        }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({})", self.0.get().is_some())
    }
}
