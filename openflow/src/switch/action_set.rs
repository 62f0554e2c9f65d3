//! The action set: what is done to a packet at the end of the pipeline (OpenFlow 1.3 section 5.10, 1.5 section 5.6).
use crate::wire::Action;
use alloc::vec::Vec;

/// What a packet carries with it to the end of the pipeline.
#[derive(Default)]
pub(super) struct ActionSet {
    // One of each kind, the set-fields one of each field; carried out in the order of section 5.10.
    pub actions: Vec<Action>,
}

/// The order in which an action set is carried out.
const fn rank(action: &Action) -> u8 {
    match action {
        Action::CopyTtlIn => 0,
        Action::PopVlan | Action::PopMpls(_) => 1,
        Action::PushMpls(_) => 2,
        Action::PushVlan(_) => 4,
        Action::CopyTtlOut => 5,
        Action::DecMplsTtl | Action::DecIpTtl => 6,
        Action::SetQueue(_) | Action::PopQueue | Action::Meter(_) => 8,
        Action::Group(_) => 9,
        Action::Output { .. } | Action::Controller { .. } | Action::Resubmit { .. } => 10,
        Action::Exit => 11,
        _ => 7,
    }
}

impl ActionSet {
    pub fn write(&mut self, actions: &[Action]) {
        for action in actions {
            let same = |other: &Action| match (other, action) {
                (Action::SetField(a, _), Action::SetField(b, _))
                | (Action::SetMaskedField(a, ..), Action::SetMaskedField(b, ..)) => a == b,
                (Action::CopyField(a), Action::CopyField(b)) => a.destination == b.destination,
                _ => core::mem::discriminant(other) == core::mem::discriminant(action),
            };
            match self.actions.iter_mut().find(|other| same(other)) {
                Some(slot) => *slot = *action,
                None => self.actions.push(*action),
            }
        }
    }

    pub fn ordered(mut self) -> Vec<Action> {
        self.actions.sort_by_key(rank);
        // A group takes the place of an output port.
        if self.actions.iter().any(|action| matches!(action, Action::Group(_))) {
            self.actions.retain(|action| !matches!(action, Action::Output { .. }));
        }
        self.actions
    }
}
