//! Telling others that a zone has changed: NOTIFY, RFC 1996.
use super::Peer;
use crate::wire::{Builder, Class, Flags, Message, Name, NameBuf, Opcode, RecordType, Section};
use crate::zone::Zone;
use airglow_device::Instant;
use alloc::vec::Vec;
use core::time::Duration;

/// How often a target is told that does not answer (RFC 1996 section 3.6 leaves both to the sender).
const TRIES: u32 = 5;
/// The pause after the first time; each further one is twice as long.
const PAUSE: Duration = Duration::from_secs(2);
/// Zones and targets that wait at once; when there are more, the oldest are forgotten: the others' refresh finds them.
const WAITING: usize = 65_536;

/// One telling: this zone to this target, and then [`Notifier::answered`] or nothing.
#[derive(Debug)]
pub struct Notice {
    /// The zone that has changed.
    pub apex: NameBuf,
    /// Whom to tell.
    pub target: Peer,
    number: usize,
}

struct Waiting {
    apex: NameBuf,
    target: usize,
    tries: u32,
    at: Instant,
}

/// Who is to be told of which zones.
#[derive(Default)]
pub struct Notifier {
    targets: Vec<Peer>,
    waiting: Vec<Waiting>,
}

impl Notifier {
    /// Tells `targets`.
    pub const fn new(targets: Vec<Peer>) -> Self {
        Self { targets, waiting: Vec::new() }
    }

    /// A zone has changed.
    pub fn changed(&mut self, apex: Name<'_>, now: Instant) {
        self.waiting.retain(|waiting| waiting.apex.as_name() != apex);
        for target in 0..self.targets.len() {
            if self.waiting.len() >= WAITING {
                self.waiting.remove(0);
            }
            self.waiting.push(Waiting { apex: NameBuf::from_name(apex), target, tries: 0, at: now });
        }
    }

    /// What is to be told at `now`; otherwise when to ask again.
    ///
    /// # Errors
    /// Not an error: the instant at which there will be something.
    pub fn next(&mut self, now: Instant) -> Result<Notice, Instant> {
        self.waiting.retain(|waiting| waiting.tries < TRIES || waiting.at > now);
        let due = self.waiting.iter_mut().min_by_key(|waiting| waiting.at);
        let Some(due) = due else { return Err(Instant::MAX) };
        if due.at > now {
            return Err(due.at);
        }
        due.at = now + PAUSE.saturating_mul(1 << due.tries);
        due.tries += 1;
        match self.targets.get(due.target) {
            Some(target) => Ok(Notice { apex: due.apex, target: target.clone(), number: due.target }),
            None => Err(Instant::MAX),
        }
    }

    /// The target has answered; whatever it said, it knows.
    pub fn answered(&mut self, notice: &Notice) {
        self.waiting.retain(|waiting| waiting.target != notice.number || waiting.apex != notice.apex);
    }
}

impl Notice {
    /// Writes the message (RFC 1996 section 3.7): the question, and the SOA as a hint. `None` without room; 600 bytes do.
    pub fn write(&self, zone: &Zone, id: u16, out: &mut [u8]) -> Option<usize> {
        let mut builder = Builder::new(out, id, Flags(u16::from(Opcode::NOTIFY.0) << 11 | Flags::AA)).ok()?;
        let apex = zone.apex();
        builder.question(apex.name(), RecordType::SOA, Class::IN).ok()?;
        let soa = apex.set(RecordType::SOA)?;
        let data = soa.data().next()?;
        builder.record(Section::Answer, apex.name(), RecordType::SOA, Class::IN, soa.ttl, data).ok()?;
        Some(builder.finish())
    }

    /// Whether `message` answers the one with this id.
    pub fn is_answer(&self, id: u16, message: &[u8]) -> bool {
        Message::new(message).is_ok_and(|message| {
            let named = message.question().is_ok_and(|(question, _)| question.name == self.apex);
            message.id() == id
                && message.flags().has(Flags::QR)
                && message.flags().opcode() == Opcode::NOTIFY
                && (named || message.question_count() == 0)
        })
    }
}
