//! F-RTO (RFC 5682): whether a retransmission timeout was spurious, where there are no timestamps to tell.
//!
//! After the timeout one segment is sent again. If what is acknowledged next is not all there was, new data goes out instead of what is
//! taken for lost; when the acknowledgment after that covers something that was sent once and before the timeout, nothing was lost.
use super::{Phase, Plan, Sender, acknowledgment::Acknowledgment};
use crate::tcp::sequence::Seq;

/// How far the algorithm is, by the steps of section 3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frto {
    /// It is not at work: recovery goes its ordinary way.
    Off,
    /// Step 2: the first segment was sent again, and nothing has been acknowledged since.
    Again,
    /// Step 3: new segments may go; the next acknowledgment tells.
    New,
}

/// New segments that may go in step 2 (b).
const NEW_SEGMENTS: u32 = 2;

impl Sender {
    /// Step 1: the timer has expired, and what was before is noted if nothing was known to be lost. A second timeout in a row, or
    /// one in a recovery, is believed.
    pub(super) fn frto_timed_out(&mut self) {
        let first = self.phase == Phase::Open && self.before.is_some();
        self.frto = if first { Frto::Again } else { Frto::Off };
    }

    /// New data has its turn before what is taken for lost.
    pub(super) fn frto_waits(&self) -> bool {
        self.frto == Frto::New
    }

    /// A new segment that the peer's window takes.
    fn frto_segment(&self) -> u32 {
        let room = (self.unacknowledged + self.window).since(self.next);
        self.unsent().min(self.mss).min(room)
    }

    /// Step 2 (b): a new segment; then nothing until the next acknowledgment.
    pub(super) fn plan_frto(&self) -> Option<Plan> {
        let len = self.frto_segment();
        let may = len > 0 && self.next.since(self.recover) < NEW_SEGMENTS * self.mss;
        may.then(|| Plan {
            seq: self.next,
            len: len as usize,
            syn: false,
            fin: false,
            push: len == self.unsent(),
            again: false,
        })
    }

    /// Steps 2 and 3. `progress`: SND.UNA has moved; `news`: the peer has selectively acknowledged something.
    pub(super) fn frto_acknowledged(&mut self, a: &Acknowledgment<'_>, progress: bool, news: bool) {
        if self.frto == Frto::Off {
            return;
        }
        if self.phase != Phase::Loss {
            // Timestamps or a D-SACK have told already.
            return self.frto = Frto::Off;
        }
        match self.frto {
            Frto::Again if progress => {
                // Timestamps have said that it was no spurious timeout; all is acknowledged; or there is nothing new to send.
                let known = a.echo.is_some() || self.recover.up_to(a.ack) || self.frto_segment() == 0;
                self.frto = if known { Frto::Off } else { Frto::New };
            }
            // The basic algorithm: a duplicate is an answer to something sent before the loss. With SACK one waits on.
            Frto::Again if a.duplicate && !self.sack => self.frto = Frto::Off,
            Frto::New if progress || news || a.duplicate => {
                self.frto = Frto::Off;
                let beyond = a.ack.after(self.recover)
                    || a.sack.iter().any(|(_, right)| self.sack && Seq(*right).after(self.recover));
                if (progress || news) && !beyond {
                    self.undo();
                }
                // Otherwise the window is where slow start has brought it since the timeout: below three segments.
            }
            _ => {}
        }
    }
}
