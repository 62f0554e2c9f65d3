//! A packet's way through groups (OpenFlow 1.3 section 5.6, 1.5 section 5.10).
use super::{
    Group, Output, Switch,
    action_set::ActionSet,
    pipeline::{Origin, Reason},
    tuple::hash_key,
};
use crate::{
    packet::Packet,
    wire::{Field, GroupType, port},
};
use airglow_device::Instant;
use alloc::vec::Vec;

/// Deepest nesting of groups that a packet follows.
const DEEPEST: u8 = 8;

impl Switch {
    fn lives(&self, bucket: &crate::wire::Bucket, depth: u8) -> bool {
        let port_lives = |number: u32| {
            self.ports.get(&number).is_some_and(|port| {
                !port.description.link_down && port.description.config & port::config::PORT_DOWN == 0
            })
        };
        let by_port = bucket.watch_port != port::ANY && port_lives(bucket.watch_port);
        let by_group = bucket.watch_group != port::ANY
            && depth < DEEPEST
            && self
                .groups
                .get(&bucket.watch_group)
                .is_some_and(|group| group.buckets.iter().any(|bucket| self.lives(bucket, depth + 1)));
        by_port || by_group
    }

    pub(super) fn group(
        &mut self,
        now: Instant,
        id: u32,
        packet: &mut Packet,
        origin: Origin,
        out: &mut dyn Output,
    ) {
        if origin.groups >= DEEPEST {
            self.stats.loops += 1;
            return;
        }
        let chosen: Vec<usize> = match self.groups.get(&id) {
            None => return,
            Some(group) => match group.kind {
                GroupType::All => (0..group.buckets.len()).collect(),
                GroupType::Indirect => (0..group.buckets.len().min(1)).collect(),
                GroupType::FastFailover => {
                    group.buckets.iter().position(|bucket| self.lives(bucket, 0)).into_iter().collect()
                }
                GroupType::Select => self.select(group, packet).into_iter().collect(),
            },
        };
        let size = packet.bytes().len() as u64;
        if let Some(group) = self.groups.get_mut(&id) {
            group.packets += 1;
            group.bytes += size;
        }
        for index in chosen {
            let Some(group) = self.groups.get_mut(&id) else { return };
            if let Some(count) = group.counts.get_mut(index) {
                *count = (count.0 + 1, count.1 + size);
            }
            let Some(bucket) = group.buckets.get(index) else { continue };
            let mut set = ActionSet::default();
            set.write(&bucket.actions);
            // Each bucket works on a copy of its own.
            let mut copy = packet.clone();
            let inside = Origin { reason: Reason::Group, groups: origin.groups + 1, ..origin };
            self.apply(now, &set.ordered(), &mut copy, inside, out);
        }
    }

    /// The bucket of a flow: by the hash of its addresses and ports, so that a flow keeps its order. Buckets that watch something and
    /// are dead take no part.
    fn select(&self, group: &Group, packet: &Packet) -> Option<usize> {
        let watched =
            |bucket: &crate::wire::Bucket| bucket.watch_port != port::ANY || bucket.watch_group != port::ANY;
        let weight = |bucket: &crate::wire::Bucket| {
            if watched(bucket) && !self.lives(bucket, 0) { 0 } else { u64::from(bucket.weight) }
        };
        let total: u64 = group.buckets.iter().map(weight).sum();
        let mut key = *packet.key();
        for field in [Field::InPort, Field::Metadata, Field::IpEcn] {
            key.get_mut(field).fill(0);
        }
        let mut point = (hash_key(&key) ^ self.random).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        point = point.checked_rem(total)?;
        group.buckets.iter().position(|bucket| {
            let weight = weight(bucket);
            let here = point < weight;
            point = point.wrapping_sub(weight);
            here
        })
    }
}
