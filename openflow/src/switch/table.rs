//! One flow table: rules by priority, found through one hash look-up for each different mask (tuple-space search), so that the
//! cost follows the number of masks in use and not the number of rules.
use super::{
    rule::{Removed, Rule, Selection},
    tuple::Tuple,
};
use crate::wire::{
    Fault, Instructions, Key, Version,
    flow_mod::{self, FlowMod},
};
use airglow_device::Instant;
use alloc::{collections::BTreeSet, rc::Rc, vec::Vec};

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
                if better && tuple.holds(rule, key) {
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
                |rule: &Rule| rule.priority == change.priority && *rule.matches != change.matches;
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
        let first = tuple.is_empty();
        tuple.insert(index, &rule.matches.value);
        if tuple.priority < rule.priority || first {
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
        tuple.remove(index, &rule.matches.value);
        // The tuple's priority may now be higher than its rules': a little more is looked at, nothing is missed.
        if tuple.is_empty() {
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
