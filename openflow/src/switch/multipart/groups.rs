//! Statistics and descriptions of groups and meters.
use super::{Parts, put};
use crate::{
    switch::{Meter, Switch, Table, rule::Selection},
    wire::{Fault, Version, group},
};
use airglow_device::Instant;

impl Switch {
    pub(super) fn group_stats(&self, now: Instant, asked: u32, parts: &mut Parts) {
        for (id, found) in self.groups.iter().filter(|(id, _)| asked == group::ALL_GROUPS || asked == **id) {
            let references = self.tables.iter().map(|table| {
                let selection = Selection { out_group: *id, ..Selection::ALL };
                table.select(&selection).count() as u32
            });
            let references: u32 = references.sum();
            let life = now.since(found.since);
            parts.sized(|out| {
                put(out, &[0; 2]);
                put(out, &id.to_be_bytes());
                put(out, &references.to_be_bytes());
                put(out, &[0; 4]);
                put(out, &found.packets.to_be_bytes());
                put(out, &found.bytes.to_be_bytes());
                put(out, &(life.as_secs() as u32).to_be_bytes());
                put(out, &life.subsec_nanos().to_be_bytes());
                for (packets, bytes) in &found.counts {
                    put(out, &packets.to_be_bytes());
                    put(out, &bytes.to_be_bytes());
                }
            });
        }
    }

    pub(super) fn group_descriptions(&self, version: Version, asked: u32, parts: &mut Parts) {
        for (id, found) in self.groups.iter().filter(|(id, _)| asked == group::ALL_GROUPS || asked == **id) {
            parts.sized(|out| {
                put(out, &[found.kind as u8, 0]);
                put(out, &id.to_be_bytes());
                let at = out.len();
                if version == Version::V15 {
                    put(out, &[0; 8]);
                }
                let start = out.len();
                group::emit_buckets(version, found.kind, &found.buckets, out);
                if version == Version::V15 {
                    let length = (out.len() - start) as u16;
                    out[at..at + 2].copy_from_slice(&length.to_be_bytes());
                }
            });
        }
    }

    pub(super) fn meters_asked(&self, asked: u32) -> Result<impl Iterator<Item = (&u32, &Meter)>, Fault> {
        if asked != group::ALL_METERS && !self.meters.contains_key(&asked) {
            return Err(Fault::UnknownMeter);
        }
        Ok(self.meters.iter().filter(move |(id, _)| asked == group::ALL_METERS || asked == **id))
    }

    pub(super) fn meter_stats(&self, now: Instant, asked: u32, parts: &mut Parts) -> Result<(), Fault> {
        for (id, meter) in self.meters_asked(asked)? {
            let flows = |table: &Table| {
                let selection = Selection::ALL;
                table.select(&selection).filter(|(_, rule)| rule.is_metered(*id)).count() as u32
            };
            let flows: u32 = self.tables.iter().map(flows).sum();
            let life = now.since(meter.since);
            parts.entry(|out| {
                put(out, &id.to_be_bytes());
                put(out, &(40 + 16 * meter.counts.len() as u16).to_be_bytes());
                put(out, &[0; 6]);
                put(out, &flows.to_be_bytes());
                put(out, &meter.input.0.to_be_bytes());
                put(out, &meter.input.1.to_be_bytes());
                put(out, &(life.as_secs() as u32).to_be_bytes());
                put(out, &life.subsec_nanos().to_be_bytes());
                for (packets, bytes) in &meter.counts {
                    put(out, &packets.to_be_bytes());
                    put(out, &bytes.to_be_bytes());
                }
            });
        }
        Ok(())
    }

    pub(super) fn meter_configurations(&self, asked: u32, parts: &mut Parts) -> Result<(), Fault> {
        for (id, meter) in self.meters_asked(asked)? {
            parts.sized(|out| {
                put(out, &meter.flags.to_be_bytes());
                put(out, &id.to_be_bytes());
                group::emit_bands(&meter.bands, out);
            });
        }
        Ok(())
    }
}
