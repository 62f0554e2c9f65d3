//! One flow table: rules by priority, found through one hash look-up for each different mask (tuple-space search), so that the
//! cost follows the number of masks in use and not the number of rules.
use crate::wire::{
    Fault, Instructions, Key, Match, Version,
    field::KEY,
    flow_mod::{self, Command, FlowMod},
    port,
};
use airglow_device::Instant;
use alloc::{collections::BTreeSet, rc::Rc, vec::Vec};
use core::time::Duration;
use hashbrown::HashTable;

/// A flow.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Which packets.
    pub matches: Match,
    /// The larger wins.
    pub priority: u16,
    /// The controller's mark.
    pub cookie: u64,
    /// Seconds, 0 for never.
    pub idle_timeout: u16,
    /// Seconds, 0 for never.
    pub hard_timeout: u16,
    /// See [`flow_mod::flags`].
    pub flags: u16,
    /// Flows of the least go first when a full table makes room.
    pub importance: u16,
    /// What is done.
    pub instructions: Rc<Instructions>,
    /// Packets that matched.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When it was added.
    pub since: Instant,
    /// When its instructions were last changed.
    pub modified: Instant,
    /// When a packet last matched.
    pub used: Instant,
    /// When it is looked at to see whether its time is up.
    due: Option<Instant>,
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
    fn new(change: &FlowMod, instructions: Rc<Instructions>, now: Instant) -> Self {
        Self {
            matches: change.matches,
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

    fn sends_to(&self, out_port: u32, out_group: u32) -> bool {
        use crate::wire::Action;
        let actions = || self.instructions.applied().iter().chain(self.instructions.written());
        let to_port = out_port == port::ANY
            || actions().any(|a| matches!(a, Action::Output { port, .. } | Action::Enqueue { port, .. } if *port == out_port));
        let to_group = out_group == flow_mod::ANY_GROUP || actions().any(|a| *a == Action::Group(out_group));
        to_port && to_group
    }

    /// Whether a packet goes through this meter.
    pub fn is_metered(&self, meter: u32) -> bool {
        use crate::wire::Action;
        let by_action = self.instructions.applied().iter().chain(self.instructions.written());
        self.instructions.meter == Some(meter) || by_action.into_iter().any(|a| *a == Action::Meter(meter))
    }

    /// The instant at which it goes if nothing happens, and why.
    fn end(&self) -> Option<(Instant, Removed)> {
        let after = |start: Instant, seconds: u16| start + Duration::from_secs(seconds.into());
        let hard = (self.hard_timeout > 0).then(|| (after(self.since, self.hard_timeout), Removed::Hard));
        let idle = (self.idle_timeout > 0).then(|| (after(self.used, self.idle_timeout), Removed::Idle));
        [hard, idle].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}

/// The rules that share one mask.
struct Tuple {
    mask: Key,
    /// Which 8-byte words of the key the mask touches.
    words: Vec<u8>,
    /// The highest priority of its rules.
    priority: u16,
    /// Each rule's index, with the hash of its value: the rule itself is the only other memory that a look-up touches.
    rules: HashTable<(u64, u32)>,
}

impl Tuple {
    fn new(mask: Key) -> Self {
        let words = (0..WORDS).filter(|word| self::word(&mask, *word) != 0).collect();
        Self { mask, words, priority: 0, rules: HashTable::new() }
    }

    fn hash(&self, key: &Key) -> u64 {
        hash_words(key, self.words.iter().map(|word| (*word, self::word(&self.mask, *word))))
    }

    /// The rules whose value has this hash.
    fn candidates(&self, hash: u64) -> impl Iterator<Item = u32> {
        self.rules.iter_hash(hash).filter(move |(of, _)| *of == hash).map(|(_, index)| *index)
    }

    /// Whether a key has this value in the mask's bits.
    fn holds(&self, value: &Key, key: &Key) -> bool {
        let same = |index: &u8| (word(value, *index) ^ word(key, *index)) & word(&self.mask, *index) == 0;
        self.words.iter().all(same)
    }
}

/// Words of eight octets in a key.
const WORDS: u8 = (KEY / 8) as u8;

fn word(key: &Key, index: u8) -> u64 {
    let at = usize::from(index) * 8;
    key.0.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}

fn hash_words(key: &Key, words: impl Iterator<Item = (u8, u64)>) -> u64 {
    let mut hash = 0x9e37_79b9_7f4a_7c15_u64;
    for (index, mask) in words {
        let wide = u128::from(hash ^ (word(key, index) & mask)) * 0xd6e8_feb8_6659_fd93_u128;
        hash = (wide as u64) ^ ((wide >> 64) as u64);
    }
    hash
}

/// A hash of the whole key, for exact-match caches.
pub fn hash_key(key: &Key) -> u64 {
    hash_words(key, (0..WORDS).map(|word| (word, u64::MAX)))
}

/// How a change is taken back.
enum Undo {
    Added(u32),
    Removed(u32, Rule),
    Changed(u32, Rule),
}

/// What a change of the flow table did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The rule is new.
    Added,
    /// It takes the place of one with the same match and priority, or only does something else now.
    Modified,
}

/// A flow table.
#[derive(Default)]
pub struct Table {
    rules: Vec<Option<Rule>>,
    free: Vec<u32>,
    /// By falling priority.
    tuples: Vec<Tuple>,
    /// When which rule is looked at next: never later than its end. A packet that puts an idle timeout off leaves this as it is.
    due: BTreeSet<(Instant, u32)>,
    /// What undoes the changes since [`begin`](Self::begin), the last at the end; `None`: nothing is to be undone.
    journal: Option<Vec<Undo>>,
    /// What the rule added last does: rules that come in a row often do the same and share it, in memory and in the processor's cache.
    last: Rc<Instructions>,
    /// Packets looked up.
    pub lookups: u64,
    /// Packets that matched.
    pub matched: u64,
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
            Some(priority) => rule.priority == priority && rule.matches == *self.matches,
            None => rule.matches.is_within(self.matches),
        };
        matches
            && rule.sends_to(self.out_port, self.out_group)
            && (rule.cookie ^ self.cookie) & self.cookie_mask == 0
    }
}

impl Table {
    /// Number of rules.
    #[allow(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.rules.len() - self.free.len()
    }

    /// The rule with this index.
    pub fn rule(&self, index: u32) -> Option<&Rule> {
        self.rules.get(index as usize)?.as_ref()
    }

    /// The rule with this index.
    pub fn rule_mut(&mut self, index: u32) -> Option<&mut Rule> {
        self.rules.get_mut(index as usize)?.as_mut()
    }

    /// The rules that a request picks, with their indices.
    pub fn select<'t>(&'t self, selection: &'t Selection<'t>) -> impl Iterator<Item = (u32, &'t Rule)> {
        let rules = self.rules.iter().enumerate();
        rules
            .filter_map(|(index, rule)| Some((index as u32, rule.as_ref()?)))
            .filter(|(_, rule)| selection.picks(rule))
    }

    /// Whether a look-up costs less than one in the exact-match cache, which is larger than a processor's: few masks are in use.
    pub fn is_quick(&self) -> bool {
        self.tuples.len() <= 2
    }

    /// The matching rule of the highest priority.
    pub fn find(&self, key: &Key) -> Option<u32> {
        let mut best: Option<(u16, u32)> = None;
        for tuple in &self.tuples {
            if best.is_some_and(|(priority, _)| priority >= tuple.priority) {
                break;
            }
            for index in tuple.candidates(tuple.hash(key)) {
                let Some(Some(rule)) = self.rules.get(index as usize) else { continue };
                let better = best.is_none_or(|(priority, _)| rule.priority > priority);
                if better && tuple.holds(&rule.matches.value, key) {
                    best = Some((rule.priority, index));
                }
            }
        }
        best.map(|(_, index)| index)
    }

    /// Adds, or replaces the rule with the same match and priority, whose counters go on unless the flags say otherwise.
    ///
    /// # Errors
    /// [`Fault::Overlap`] when asked to check, [`Fault::TableFull`] above `limit` rules.
    pub fn add(
        &mut self,
        change: &FlowMod,
        now: Instant,
        limit: usize,
        version: Version,
    ) -> Result<(u32, Change), Fault> {
        if change.flags & flow_mod::flags::CHECK_OVERLAP != 0 {
            let mut others = self.rules.iter().flatten();
            let same_priority =
                |rule: &Rule| rule.priority == change.priority && rule.matches != change.matches;
            if others.any(|rule| same_priority(rule) && rule.matches.overlaps(&change.matches)) {
                return Err(Fault::Overlap);
            }
        }
        if *self.last != change.instructions {
            self.last = Rc::new(change.instructions.clone());
        }
        let mut rule = Rule::new(change, Rc::clone(&self.last), now);
        let selection =
            Selection { matches: &change.matches, strict: Some(change.priority), ..Selection::ALL };
        if let Some(index) = self.exactly(&selection)
            && let Some(slot) = self.rules.get_mut(index as usize).and_then(Option::as_mut)
        {
            // 1.0 clears the counters of an identical flow (section 4.6); 1.3 keeps them unless told.
            let reset = version == Version::V10 || change.flags & flow_mod::flags::RESET_COUNTS != 0;
            if !reset {
                (rule.packets, rule.bytes) = (slot.packets, slot.bytes);
            }
            rule.due = slot.due;
            let old = core::mem::replace(slot, rule);
            self.look_later(index);
            self.note(|| Undo::Changed(index, old));
            return Ok((index, Change::Modified));
        }
        if self.len() >= limit {
            return Err(Fault::TableFull);
        }
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.rules.push(None);
                self.rules.len() as u32 - 1
            }
        };
        self.link(index, &rule);
        self.rules[index as usize] = Some(rule);
        self.look_later(index);
        self.note(|| Undo::Added(index));
        Ok((index, Change::Added))
    }

    fn note(&mut self, undo: impl FnOnce() -> Undo) {
        if let Some(journal) = &mut self.journal {
            journal.push(undo());
        }
    }

    /// From now on changes can be taken back.
    pub fn begin(&mut self) {
        self.journal = Some(Vec::new());
    }
    /// What was changed since [`begin`](Self::begin) stays.
    pub fn commit(&mut self) {
        self.journal = None;
    }
    /// What was changed since [`begin`](Self::begin) is taken back.
    pub fn roll_back(&mut self) {
        for undo in self.journal.take().unwrap_or_default().into_iter().rev() {
            match undo {
                Undo::Added(index) => drop(self.remove(index)),
                Undo::Removed(index, mut rule) => {
                    // Taken back in the opposite order, the place is the one that came free last.
                    match self.free.pop() {
                        Some(free) if free == index => {}
                        other => {
                            self.free.extend(other);
                            self.free.retain(|free| *free != index);
                        }
                    }
                    rule.due = None;
                    self.link(index, &rule);
                    self.rules[index as usize] = Some(rule);
                    self.look_later(index);
                }
                Undo::Changed(index, mut rule) => {
                    if let Some(slot) = self.rule_mut(index) {
                        rule.due = slot.due;
                        *slot = rule;
                        self.look_later(index);
                    }
                }
            }
        }
    }

    /// The rule that goes first to make room: of the least importance, then the one whose time is up first.
    pub fn least(&self) -> Option<(u32, u16)> {
        let rules = self.rules.iter().enumerate().filter_map(|(index, rule)| Some((index, rule.as_ref()?)));
        let life = |rule: &Rule| rule.end().map_or((true, Instant::ZERO), |(at, _)| (false, at));
        rules
            .min_by_key(|(_, rule)| (rule.importance, life(rule)))
            .map(|(index, rule)| (index as u32, rule.importance))
    }

    /// Plans the next look at a rule, for its end as it is now.
    fn look_later(&mut self, index: u32) {
        let Some(rule) = self.rules.get_mut(index as usize).and_then(Option::as_mut) else { return };
        let next = rule.end().map(|(at, _)| at);
        if let Some(old) = core::mem::replace(&mut rule.due, next) {
            self.due.remove(&(old, index));
        }
        if let Some(at) = next {
            self.due.insert((at, index));
        }
    }

    /// The index of the rule with exactly this match and priority.
    fn exactly(&self, selection: &Selection<'_>) -> Option<u32> {
        let tuple = self.tuples.iter().find(|tuple| tuple.mask == selection.matches.mask)?;
        let picked = |index: &u32| {
            self.rules.get(*index as usize).and_then(Option::as_ref).is_some_and(|r| selection.picks(r))
        };
        tuple.candidates(tuple.hash(&selection.matches.value)).find(picked)
    }

    fn link(&mut self, index: u32, rule: &Rule) {
        let place = match self.tuples.iter().position(|tuple| tuple.mask == rule.matches.mask) {
            Some(place) => place,
            None => {
                self.tuples.push(Tuple::new(rule.matches.mask));
                self.tuples.len() - 1
            }
        };
        let tuple = &mut self.tuples[place];
        let hash = tuple.hash(&rule.matches.value);
        tuple.rules.insert_unique(hash, (hash, index), |(hash, _)| *hash);
        if tuple.priority < rule.priority || tuple.rules.len() == 1 {
            tuple.priority = rule.priority;
            self.tuples.sort_by_key(|tuple| core::cmp::Reverse(tuple.priority));
        }
    }

    /// Takes a rule out.
    pub fn remove(&mut self, index: u32) -> Option<Rule> {
        let rule = self.rules.get_mut(index as usize)?.take()?;
        self.free.push(index);
        if let Some(at) = rule.due {
            self.due.remove(&(at, index));
        }
        let place = self.tuples.iter().position(|tuple| tuple.mask == rule.matches.mask)?;
        let tuple = &mut self.tuples[place];
        let hash = tuple.hash(&rule.matches.value);
        if let Ok(entry) = tuple.rules.find_entry(hash, |(_, other)| *other == index) {
            entry.remove();
        }
        // The tuple's priority may now be higher than its rules': a little more is looked at, nothing is missed.
        if tuple.rules.is_empty() {
            self.tuples.remove(place);
        }
        if self.journal.is_some() {
            let kept = rule.clone();
            self.note(|| Undo::Removed(index, kept));
        }
        Some(rule)
    }

    /// Takes out every rule that a request picks.
    pub fn delete(&mut self, selection: &Selection<'_>) -> Vec<Rule> {
        self.picked(selection).into_iter().filter_map(|index| self.remove(index)).collect()
    }

    fn picked(&self, selection: &Selection<'_>) -> Vec<u32> {
        match selection.strict {
            Some(_) => self.exactly(selection).into_iter().collect(),
            None => self.select(selection).map(|(index, _)| index).collect(),
        }
    }

    /// Changes the instructions of the rules that a request picks; returns which they are.
    pub fn modify(
        &mut self,
        now: Instant,
        selection: &Selection<'_>,
        change: &FlowMod,
        version: Version,
    ) -> Vec<u32> {
        let instructions = Rc::new(change.instructions.clone());
        let picked = self.picked(selection);
        for index in &picked {
            let Some(old) = self.rule(*index).filter(|_| self.journal.is_some()).cloned() else {
                continue;
            };
            self.note(|| Undo::Changed(*index, old));
        }
        for index in &picked {
            let Some(rule) = self.rule_mut(*index) else { continue };
            rule.instructions = Rc::clone(&instructions);
            rule.modified = now;
            // All ones leave the mark as it is, as Open vSwitch has it.
            if version == Version::V10 && change.cookie_mask == 0 && change.cookie != u64::MAX {
                rule.cookie = change.cookie;
            } else if let Some(cookie) = change.new_cookie {
                rule.cookie = cookie;
            }
            if change.flags & flow_mod::flags::RESET_COUNTS != 0 {
                (rule.packets, rule.bytes) = (0, 0);
            }
        }
        picked
    }

    /// Takes out the rules whose time is up.
    pub fn expire(&mut self, now: Instant) -> Vec<(Rule, Removed)> {
        let mut gone = Vec::new();
        while let Some((_, index)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            let end = self.rules.get(index as usize).and_then(Option::as_ref).and_then(Rule::end);
            match end.filter(|(at, _)| *at <= now) {
                Some((_, why)) => gone.extend(self.remove(index).map(|rule| (rule, why))),
                None => self.look_later(index),
            }
        }
        gone
    }

    /// The first instant at which a rule may go.
    pub fn next_end(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
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
