//! Statistics of flows, and of them together.
use super::{FLOW_STATS, Parts, put};
use crate::{
    switch::{
        Switch,
        events::nxm_padded,
        protocol::event,
        rule::{Rule, Selection},
    },
    wire::{self, Fault, Kind, Match, Reader, Statistics, Version, flow_mod, match10, oxm, port},
};
use airglow_device::Instant;
use alloc::vec::Vec;

/// Which flows a request is about.
pub(super) struct Asked {
    table: u8,
    matches: Match,
    out_port: u32,
    out_group: u32,
    cookie: (u64, u64),
}

impl Asked {
    pub(super) fn parse(version: Version, reader: &mut Reader<'_>) -> Result<Self, Fault> {
        if version == Version::V10 {
            let matches = match10::parse_match(reader)?;
            let table = reader.u8()?;
            reader.skip(1)?;
            let out_port = port::from_10(reader.u16()?);
            return Ok(Self { table, matches, out_port, out_group: flow_mod::ANY_GROUP, cookie: (0, 0) });
        }
        let table = reader.u8()?;
        reader.skip(3)?;
        let (out_port, out_group) = (reader.u32()?, reader.u32()?);
        reader.skip(4)?;
        let cookie = (reader.u64()?, reader.u64()?);
        Ok(Self { table, matches: oxm::parse_match(reader)?, out_port, out_group, cookie })
    }

    /// As Nicira's requests have it.
    pub(super) fn parse_nicira(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let out_port = port::from_10(reader.u16()?);
        let length = usize::from(reader.u16()?);
        let table = reader.u8()?;
        reader.skip(3)?;
        let mut cookie = (0, 0);
        let matches = oxm::parse_nxm(reader, length, &mut cookie)?;
        Ok(Self { table, matches, out_port, out_group: flow_mod::ANY_GROUP, cookie })
    }
}

impl Switch {
    /// Passes each rule that a request picks, with its table, to `each`.
    pub(super) fn picked(&self, asked: &Asked, mut each: impl FnMut(u8, &Rule)) -> Result<(), Fault> {
        let Asked { table, matches, out_port, out_group, cookie: (cookie, cookie_mask) } = *asked;
        if table != flow_mod::ALL_TABLES && usize::from(table) >= self.tables.len() {
            return Err(Fault::BadTableId);
        }
        let selection =
            Selection { matches: &matches, strict: None, out_port, out_group, cookie, cookie_mask };
        for (number, rules) in self.tables.iter().enumerate() {
            if table == flow_mod::ALL_TABLES || usize::from(table) == number {
                rules.select(&selection).for_each(|(_, rule)| each(number as u8, rule));
            }
        }
        Ok(())
    }

    pub(super) fn flow_stats(
        &self,
        now: Instant,
        version: Version,
        asked: &Asked,
        parts: &mut Parts,
    ) -> Result<(), Fault> {
        self.picked(asked, |table, rule| {
            let life = now.since(rule.since);
            parts.sized(|out| {
                if version == Version::V15 {
                    put(out, &[0, 0, table, 0]);
                    for number in
                        [rule.priority, rule.idle_timeout, rule.hard_timeout, rule.flags, rule.importance]
                    {
                        put(out, &number.to_be_bytes());
                    }
                    put(out, &rule.cookie.to_be_bytes());
                    oxm::emit_match(version, &rule.matches, out);
                    counted(now, rule).emit(out);
                    return rule.instructions.emit(version, out);
                }
                put(out, &[table, 0]);
                if version == Version::V10 {
                    match10::emit_match(&rule.matches, out);
                }
                put(out, &(life.as_secs() as u32).to_be_bytes());
                put(out, &life.subsec_nanos().to_be_bytes());
                put(out, &rule.priority.to_be_bytes());
                put(out, &rule.idle_timeout.to_be_bytes());
                put(out, &rule.hard_timeout.to_be_bytes());
                match version {
                    Version::V10 => put(out, &[0; 6]),
                    _ => {
                        put(out, &rule.flags.to_be_bytes());
                        let importance = if version == Version::V13 { 0 } else { rule.importance };
                        put(out, &importance.to_be_bytes());
                        put(out, &[0; 2]);
                    }
                }
                put(out, &rule.cookie.to_be_bytes());
                put(out, &rule.packets.to_be_bytes());
                put(out, &rule.bytes.to_be_bytes());
                if version != Version::V10 {
                    oxm::emit_match(version, &rule.matches, out);
                }
                rule.instructions.emit(version, out);
            });
        })
    }

    /// Flows as Nicira's extension of 1.0 has them.
    pub(super) fn nicira_flows(&self, now: Instant, asked: &Asked, parts: &mut Parts) -> Result<(), Fault> {
        self.picked(asked, |table, rule| {
            let life = now.since(rule.since);
            // Seconds since then, plus one; 0 would say that they are not known.
            let age = |then| (now.since(then).as_secs() + 1).min(0xffff) as u16;
            parts.sized(|out| {
                put(out, &[table, 0]);
                put(out, &(life.as_secs() as u32).to_be_bytes());
                put(out, &life.subsec_nanos().to_be_bytes());
                for number in [rule.priority, rule.idle_timeout, rule.hard_timeout, 0] {
                    put(out, &number.to_be_bytes());
                }
                let at = out.len() - 2;
                put(out, &age(rule.used).to_be_bytes());
                put(out, &age(rule.modified).to_be_bytes());
                for number in [rule.cookie, rule.packets, rule.bytes] {
                    put(out, &number.to_be_bytes());
                }
                let length = nxm_padded(&rule.matches, out);
                out[at..at + 2].copy_from_slice(&length.to_be_bytes());
                rule.instructions.emit(Version::V10, out);
            });
        })
    }

    /// The counters of flows without what they do (1.5).
    pub(super) fn flow_counts(&self, now: Instant, asked: &Asked, parts: &mut Parts) -> Result<(), Fault> {
        self.picked(asked, |table, rule| parts.sized(|out| emit_counts(now, table, rule, ASKED, out)))
    }

    /// Tells the controllers of a flow whose counters have reached what it says.
    pub(in crate::switch) fn flow_triggered(&mut self, now: Instant, table: u8, index: u32) {
        let Self { connections, tables, stats, config, .. } = self;
        let Some(rule) = tables.get(usize::from(table)).and_then(|table| table.rule(index)) else { return };
        for connection in connections.iter_mut().flatten() {
            if connection.version != Some(Version::V15)
                || !connection.tells(event::FLOW_STATS, TRIGGERED.into())
            {
                continue;
            }
            if connection.out.len() > config.backlog {
                stats.triggers_dropped += 1;
                continue;
            }
            let mut parts = Parts::new();
            parts.sized(|out| emit_counts(now, table, rule, TRIGGERED, out));
            wire::emit(Version::V15, Kind::MultipartReply, 0, &mut connection.out, |out| {
                put(out, &FLOW_STATS.to_be_bytes());
                put(out, &[0; 6]);
                put(out, &parts.current);
            });
        }
    }

    pub(super) fn aggregate(&self, version: Version, asked: &Asked, parts: &mut Parts) -> Result<(), Fault> {
        let (mut packets, mut bytes, mut flows) = (0_u64, 0_u64, 0_u32);
        self.picked(asked, |_, rule| {
            packets += rule.packets;
            bytes += rule.bytes;
            flows += 1;
        })?;
        parts.entry(|out| {
            if version == Version::V15 {
                let (packets, bytes, flows) = (Some(packets), Some(bytes), Some(flows));
                return Statistics { packets, bytes, flows, ..Statistics::default() }.emit(out);
            }
            put(out, &packets.to_be_bytes());
            put(out, &bytes.to_be_bytes());
            put(out, &flows.to_be_bytes());
            put(out, &[0; 4]);
        });
        Ok(())
    }
}

/// Why counters are told: they were asked for, or have reached a threshold.
const ASKED: u8 = 0;
const TRIGGERED: u8 = 1;

/// Writes the counters of a flow behind their length (1.5 section 7.3.5.3).
fn emit_counts(now: Instant, table: u8, rule: &Rule, reason: u8, out: &mut Vec<u8>) {
    put(out, &[0, 0, table, reason]);
    put(out, &rule.priority.to_be_bytes());
    oxm::emit_match(Version::V15, &rule.matches, out);
    counted(now, rule).emit(out);
}

/// What is counted of a rule.
fn counted(now: Instant, rule: &Rule) -> Statistics {
    Statistics {
        duration: Some(now.since(rule.since)),
        idle: Some(core::time::Duration::from_secs(now.since(rule.used).as_secs())),
        packets: Some(rule.packets),
        bytes: Some(rule.bytes),
        flows: None,
    }
}
