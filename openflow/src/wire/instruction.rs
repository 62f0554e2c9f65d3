//! Instructions: what a flow does with a packet (OpenFlow 1.3 section 7.2.4, 1.5 section 7.2.5). A flow of OpenFlow 1.0 is one list of
//! actions that are applied.
use super::{
    Fault, Reader, Statistics, Version,
    action::{self, Action},
};
use alloc::{boxed::Box, vec::Vec};

/// When controllers are told of a flow's counters (1.5 section 7.2.5.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// At each multiple of a threshold, and not only when it is reached first.
    pub periodic: bool,
    /// Packets and octets; 0 and `None` are never reached.
    pub thresholds: Statistics,
}

impl Trigger {
    fn parse(body: &[u8]) -> Result<Self, Fault> {
        let mut reader = Reader(body);
        let bad = |_| Fault::BadInstructionLength;
        let flags = reader.u32().map_err(bad)?;
        let thresholds = Statistics::parse(&mut reader).map_err(bad)?;
        if !reader.is_empty() {
            return Err(Fault::BadInstructionLength);
        }
        // What does not change with a packet would take a clock for each flow.
        let timed = thresholds.duration.is_some() || thresholds.idle.is_some() || thresholds.flows.is_some();
        if timed || flags & !(PERIODIC | ONLY_FIRST) != 0 {
            return Err(Fault::UnsupportedInstruction);
        }
        Ok(Self { periodic: flags & (PERIODIC | ONLY_FIRST) == PERIODIC, thresholds })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        let flags = if self.periodic { PERIODIC } else { ONLY_FIRST };
        out.extend_from_slice(&flags.to_be_bytes());
        self.thresholds.emit(out);
    }

    /// Whether counters that were `before` and are now `after`, packets and octets each, have reached a threshold.
    pub fn is_reached(&self, before: (u64, u64), after: (u64, u64)) -> bool {
        let reached = |threshold: Option<u64>, before: u64, after: u64| match threshold.unwrap_or(0) {
            0 => false,
            threshold if self.periodic => before / threshold != after / threshold,
            threshold => before < threshold && threshold <= after,
        };
        reached(self.thresholds.packets, before.0, after.0)
            || reached(self.thresholds.bytes, before.1, after.1)
    }
}

/// Flags of a trigger.
const PERIODIC: u32 = 1;
const ONLY_FIRST: u32 = 1 << 1;

/// The instructions of a flow, in the order in which they are carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instructions {
    /// First through this meter.
    pub meter: Option<u32>,
    /// Then these actions at once; `None` differs from an empty list on the wire only.
    pub apply: Option<Vec<Action>>,
    /// Then the action set is emptied.
    pub clear: bool,
    /// Then these actions go into the action set.
    pub write: Option<Vec<Action>>,
    /// Then the metadata change: value and mask.
    pub metadata: Option<(u64, u64)>,
    /// Controllers are told when the flow's counters reach something (1.5).
    pub trigger: Option<Box<Trigger>>,
    /// And at last another table.
    pub goto: Option<u8>,
}

impl Instructions {
    /// Reads the instructions that fill `bytes`.
    ///
    /// # Errors
    /// The fault that the specification names (`OFPET_BAD_INSTRUCTION`), or an action's.
    pub fn parse(version: Version, bytes: &[u8]) -> Result<Self, Fault> {
        let mut reader = Reader(bytes);
        let mut found = Self::default();
        let mut seen = 0_u8;
        while !reader.is_empty() {
            let bad = |_| Fault::BadInstructionLength;
            let kind = reader.u16().map_err(bad)?;
            let length = usize::from(reader.u16().map_err(bad)?);
            if length < 8 || length % 8 != 0 {
                return Err(Fault::BadInstructionLength);
            }
            let body = reader.take(length - 4).map_err(bad)?;
            if (1..=7).contains(&kind) {
                if seen & 1 << kind != 0 {
                    return Err(Fault::DuplicateInstruction);
                }
                seen |= 1 << kind;
            }
            let exact = |length: usize| {
                if body.len() == length { Ok(Reader(body)) } else { Err(Fault::BadInstructionLength) }
            };
            let actions = || action::parse_list(version, body.get(4..).unwrap_or(&[]));
            match kind {
                1 => found.goto = Some(exact(4)?.u8().map_err(bad)?),
                2 => {
                    let mut body = exact(20)?;
                    body.skip(4).map_err(bad)?;
                    found.metadata = Some((body.u64().map_err(bad)?, body.u64().map_err(bad)?));
                }
                3 => found.write = Some(actions()?),
                4 => found.apply = Some(actions()?),
                5 => {
                    exact(4)?;
                    found.clear = true;
                }
                // In 1.5 a meter is an action.
                6 if version != Version::V15 => found.meter = Some(exact(4)?.u32().map_err(bad)?),
                7 if version == Version::V15 => found.trigger = Some(Box::new(Trigger::parse(body)?)),
                0xffff => return Err(Fault::UnsupportedInstruction),
                _ => return Err(Fault::UnknownInstruction),
            }
        }
        Ok(found)
    }

    /// Those of a flow of OpenFlow 1.0.
    pub fn of_actions(actions: Vec<Action>) -> Self {
        Self { apply: Some(actions), ..Self::default() }
    }

    /// Writes the instructions, or the actions that are applied (1.0). The meter is an instruction in 1.3 and 1.4, an action in 1.5.
    pub fn emit(&self, version: Version, out: &mut Vec<u8>) {
        if version == Version::V10 {
            return self.applied().iter().for_each(|action| action.emit(version, out));
        }
        let start = |kind: u16, out: &mut Vec<u8>| {
            let at = out.len();
            out.extend_from_slice(&kind.to_be_bytes());
            out.extend_from_slice(&[0; 2]);
            at
        };
        let end = |at: usize, out: &mut Vec<u8>| {
            let length = (out.len() - at).next_multiple_of(8);
            out.resize(at + length, 0);
            out[at + 2..at + 4].copy_from_slice(&(length as u16).to_be_bytes());
        };
        let as_action = match version {
            Version::V15 => self.meter,
            _ => None,
        };
        let metered = self.applied().iter().find_map(|action| match action {
            Action::Meter(meter) => Some(*meter),
            _ => None,
        });
        if let Some(meter) = self.meter.or(metered).filter(|_| version != Version::V15) {
            let at = start(6, out);
            out.extend_from_slice(&meter.to_be_bytes());
            end(at, out);
        }
        let list = |kind: u16, actions: Option<&[Action]>, meter: Option<u32>, out: &mut Vec<u8>| {
            if actions.is_some() || meter.is_some() {
                let actions = actions.unwrap_or(&[]);
                let at = start(kind, out);
                out.extend_from_slice(&[0; 4]);
                meter.inspect(|meter| Action::Meter(*meter).emit(version, out));
                actions.iter().for_each(|action| action.emit(version, out));
                end(at, out);
            }
        };
        list(4, self.apply.as_deref(), as_action, out);
        if self.clear {
            let at = start(5, out);
            end(at, out);
            out.resize(at + 8, 0);
            out[at + 2..at + 4].copy_from_slice(&8_u16.to_be_bytes());
        }
        list(3, self.write.as_deref(), None, out);
        if let Some((value, mask)) = self.metadata {
            let at = start(2, out);
            out.extend_from_slice(&[0; 4]);
            out.extend_from_slice(&value.to_be_bytes());
            out.extend_from_slice(&mask.to_be_bytes());
            end(at, out);
        }
        if let Some(trigger) = self.trigger.as_ref().filter(|_| version == Version::V15) {
            let at = start(7, out);
            trigger.emit(out);
            end(at, out);
        }
        if let Some(table) = self.goto {
            let at = start(1, out);
            out.push(table);
            end(at, out);
        }
    }

    /// The actions that are applied at once.
    pub fn applied(&self) -> &[Action] {
        self.apply.as_deref().unwrap_or(&[])
    }
    /// The actions that go into the action set.
    pub fn written(&self) -> &[Action] {
        self.write.as_deref().unwrap_or(&[])
    }
}
