//! Statistics of tables, and what they can do.
use super::{Parts, put};
use crate::{
    switch::Switch,
    wire::{Field, Version, action::may_be_set, field::FIELDS, oxm, properties},
};
use alloc::vec::Vec;

impl Switch {
    pub(super) fn table_stats(&self, version: Version, parts: &mut Parts) {
        for (number, table) in self.tables.iter().enumerate() {
            parts.entry(|out| {
                put(out, &[number as u8, 0, 0, 0]);
                if version == Version::V10 {
                    // No name: tables have their numbers only.
                    put(out, &[0; 32]);
                    put(out, &0x3f_ffff_u32.to_be_bytes());
                    put(out, &(self.config.flows as u32).to_be_bytes());
                }
                put(out, &(table.len() as u32).to_be_bytes());
                put(out, &table.lookups.to_be_bytes());
                put(out, &table.matched.to_be_bytes());
            });
        }
    }

    pub(super) fn table_features(&self, version: Version, parts: &mut Parts) {
        let count = self.tables.len();
        for number in 0..count {
            parts.sized(|out| {
                put(out, &[number as u8, 0, 0, 0, 0, 0]);
                put(out, &[0; 32]);
                put(out, &u64::MAX.to_be_bytes());
                put(out, &u64::MAX.to_be_bytes());
                put(out, &[0; 4]);
                put(out, &(self.config.flows as u32).to_be_bytes());
                let property = |kind: u16, out: &mut Vec<u8>, write: &dyn Fn(&mut Vec<u8>)| {
                    properties::emit(kind, out, write);
                };
                let last = number + 1 == count;
                let instructions = |out: &mut Vec<u8>| {
                    // The meter became an action when triggers came.
                    let newest = if version == Version::V15 { 7 } else { 6 };
                    for kind in [1_u16, 2, 3, 4, 5, newest] {
                        if kind != 1 || !last {
                            put(out, &kind.to_be_bytes());
                            put(out, &4_u16.to_be_bytes());
                        }
                    }
                };
                let next = |out: &mut Vec<u8>| (number + 1..count).for_each(|next| out.push(next as u8));
                let actions = |out: &mut Vec<u8>| {
                    for kind in (0..32_u16).filter(|kind| actions_of(version) & 1 << kind != 0) {
                        put(out, &kind.to_be_bytes());
                        put(out, &4_u16.to_be_bytes());
                    }
                };
                let fields = |out: &mut Vec<u8>, masks: bool, settable: bool| {
                    for layout in &FIELDS {
                        let field = layout.field;
                        // 1.5 has the registers as pairs, and the type of packets.
                        let other = match version {
                            Version::V15 => field.is_register(),
                            _ => field.is_wide_register() || field == Field::PacketType,
                        };
                        let absent = matches!(field, Field::PbbIsid | Field::InPhyPort);
                        if other || absent || settable && !may_be_set(field) {
                            continue;
                        }
                        let masked = layout.maskable && masks;
                        let length = layout.width * (1 + usize::from(masked));
                        oxm::emit_header(version, field, masked, length, out);
                    }
                };
                // Each for flows, and again for the table-miss flow.
                for miss in 0..2 {
                    property(miss, out, &instructions);
                    property(2 + miss, out, &next);
                    property(4 + miss, out, &actions);
                    property(6 + miss, out, &actions);
                }
                property(8, out, &|out| fields(out, true, false));
                property(10, out, &|out| fields(out, false, false));
                for kind in [12, 13, 14, 15] {
                    property(kind, out, &|out| fields(out, false, true));
                }
            });
        }
    }
}

/// The actions of a version that there are, by their numbers; the meter is one since 1.5, as is the copying of fields.
pub(super) const fn actions_of(version: Version) -> u32 {
    ACTIONS | if matches!(version, Version::V15) { 1 << 28 | 1 << 29 } else { 0 }
}

/// The actions of OpenFlow 1.3 that there are, by their numbers.
const ACTIONS: u32 = 1
    | 1 << 11
    | 1 << 12
    | 1 << 15
    | 1 << 16
    | 1 << 17
    | 1 << 18
    | 1 << 19
    | 1 << 20
    | 1 << 21
    | 1 << 22
    | 1 << 23
    | 1 << 24
    | 1 << 25;
