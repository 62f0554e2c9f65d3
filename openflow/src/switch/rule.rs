//! A flow as a table holds it, and requests that pick some of them.
use super::tuple::{FIRST_WORDS, first_words};
use crate::wire::{
    Action, Instructions, Match,
    flow_mod::{self, Command, FlowMod},
    port,
};
use airglow_device::Instant;
use alloc::{boxed::Box, rc::Rc};
use core::time::Duration;

/// A flow.
///
/// What a packet touches comes first and fills one line of the processor's cache; what is asked for more seldom follows, the match
/// behind a pointer: with many flows in use, it is the lines and pages that each packet touches that a look-up costs.
#[derive(Clone, Debug)]
#[repr(C, align(128))]
pub struct Rule {
    /// What of the match is looked at first.
    pub(super) first_words: [u64; FIRST_WORDS],
    /// Packets that matched.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When a packet last matched.
    pub used: Instant,
    /// What is done.
    pub instructions: Rc<Instructions>,
    /// The controller's mark.
    pub cookie: u64,
    /// The larger wins.
    pub priority: u16,
    /// Seconds, 0 for never.
    pub idle_timeout: u16,
    /// Seconds, 0 for never.
    pub hard_timeout: u16,
    /// See [`flow_mod::flags`].
    pub flags: u16,
    /// Which packets.
    pub matches: Box<Match>,
    /// Flows of the least go first when a full table makes room.
    pub importance: u16,
    /// When it was added.
    pub since: Instant,
    /// When its instructions were last changed.
    pub modified: Instant,
    /// When it is looked at to see whether its time is up.
    pub(super) due: Option<Instant>,
}

/// Why a flow went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Removed {
    /// No packet for its idle timeout.
    Idle = 0,
    /// Its hard timeout.
    Hard = 1,
    /// A controller deleted it.
    Delete = 2,
    /// A group it leads to was deleted.
    Group = 3,
    /// A meter it goes through was deleted.
    Meter = 4,
    /// It made room for another.
    Eviction = 5,
}

impl Rule {
    pub(super) fn new(change: &FlowMod, instructions: Rc<Instructions>, now: Instant) -> Self {
        Self {
            first_words: first_words(&change.matches),
            matches: Box::new(change.matches),
            priority: change.priority,
            cookie: change.cookie,
            idle_timeout: change.idle_timeout,
            hard_timeout: change.hard_timeout,
            flags: change.flags,
            importance: change.importance,
            instructions,
            packets: 0,
            bytes: 0,
            since: now,
            modified: now,
            used: now,
            due: None,
        }
    }

    pub(super) fn sends_to(&self, out_port: u32, out_group: u32) -> bool {
        let actions = || self.instructions.applied().iter().chain(self.instructions.written());
        let to_port = out_port == port::ANY
            || actions().any(|a| matches!(a, Action::Output { port, .. } | Action::Enqueue { port, .. } if *port == out_port));
        let to_group = out_group == flow_mod::ANY_GROUP || actions().any(|a| *a == Action::Group(out_group));
        to_port && to_group
    }

    /// Whether a packet goes through this meter.
    pub fn is_metered(&self, meter: u32) -> bool {
        let by_action = self.instructions.applied().iter().chain(self.instructions.written());
        self.instructions.meter == Some(meter) || by_action.into_iter().any(|a| *a == Action::Meter(meter))
    }

    /// The instant at which it goes if nothing happens, and why.
    pub(super) fn end(&self) -> Option<(Instant, Removed)> {
        let after = |start: Instant, seconds: u16| start + Duration::from_secs(seconds.into());
        let hard = (self.hard_timeout > 0).then(|| (after(self.since, self.hard_timeout), Removed::Hard));
        let idle = (self.idle_timeout > 0).then(|| (after(self.used, self.idle_timeout), Removed::Idle));
        [hard, idle].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}

/// A request that picks rules: to delete, modify or count.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'m> {
    /// Rules within this match, or with exactly this one.
    pub matches: &'m Match,
    /// Exactly this match and priority.
    pub strict: Option<u16>,
    /// Only those that send here.
    pub out_port: u32,
    /// Only those that lead here.
    pub out_group: u32,
    /// Only those with this cookie ...
    pub cookie: u64,
    /// ... in these bits.
    pub cookie_mask: u64,
}

impl Selection<'_> {
    /// Every rule.
    pub const ALL: Self = Self {
        matches: &Match::ANY,
        strict: None,
        out_port: port::ANY,
        out_group: flow_mod::ANY_GROUP,
        cookie: 0,
        cookie_mask: 0,
    };

    /// Whether a request picks this rule.
    pub fn picks(&self, rule: &Rule) -> bool {
        let matches = match self.strict {
            Some(priority) => rule.priority == priority && *rule.matches == *self.matches,
            None => rule.matches.is_within(self.matches),
        };
        matches
            && rule.sends_to(self.out_port, self.out_group)
            && (rule.cookie ^ self.cookie) & self.cookie_mask == 0
    }
}

/// What a change picks.
pub fn selection(change: &FlowMod) -> Selection<'_> {
    let strict = matches!(change.command, Command::ModifyStrict | Command::DeleteStrict);
    let delete = matches!(change.command, Command::Delete | Command::DeleteStrict);
    Selection {
        matches: &change.matches,
        strict: strict.then_some(change.priority),
        // Output port and group filter deletions only.
        out_port: if delete { change.out_port } else { port::ANY },
        out_group: if delete { change.out_group } else { flow_mod::ANY_GROUP },
        cookie: change.cookie,
        cookie_mask: change.cookie_mask,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_packet_touches_of_a_rule_is_one_line() {
        assert_eq!(size_of::<Option<Rule>>(), 128);
        assert_eq!(core::mem::offset_of!(Rule, matches), 64);
    }
}
