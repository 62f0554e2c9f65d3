//! Statistics and descriptions: OpenFlow 1.0 section 5.3.5, 1.3 section 7.3.5.
use super::{
    ConnectionId, Switch,
    table::{Rule, Selection},
};
use crate::wire::{Fault, Field, Kind, Reader, Version, field::FIELDS, flow_mod, group, match10, oxm, port};
use airglow_device::Instant;
use alloc::vec::Vec;

/// Bytes of a part; a longer reply is several of them.
const PART: usize = 60_000;

/// A reply in parts, each of whole entries.
struct Parts {
    done: Vec<Vec<u8>>,
    current: Vec<u8>,
}

impl Parts {
    const fn new() -> Self {
        Self { done: Vec::new(), current: Vec::new() }
    }
    /// Adds an entry.
    fn entry(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.current);
        if self.current.len() > PART {
            self.done.push(core::mem::take(&mut self.current));
        }
    }
    /// Adds an entry that begins with its own length.
    fn sized(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.entry(|out| {
            let at = out.len();
            out.extend_from_slice(&[0; 2]);
            write(out);
            let length = (out.len() - at) as u16;
            out[at..at + 2].copy_from_slice(&length.to_be_bytes());
        });
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
}

fn text(out: &mut Vec<u8>, text: &str, width: usize) {
    let at = out.len();
    out.resize(at + width, 0);
    let length = text.len().min(width - 1);
    out[at..at + length].copy_from_slice(&text.as_bytes()[..length]);
}

impl Switch {
    pub(super) fn multipart(
        &mut self,
        now: Instant,
        id: ConnectionId,
        version: Version,
        xid: u32,
        body: &[u8],
    ) -> Result<(), Fault> {
        let mut reader = Reader(body);
        let kind = reader.u16()?;
        let flags = reader.u16()?;
        if flags & 1 != 0 {
            // Only table features may come in parts, and those are read-only here.
            return Err(Fault::MultipartOverflow);
        }
        if version == Version::V13 {
            reader.skip(4)?;
        }
        let mut parts = Parts::new();
        match (kind, version) {
            (0, _) => self.describe(&mut parts),
            (1, _) => self.flow_stats(now, version, &mut reader, &mut parts)?,
            (2, _) => self.aggregate(version, &mut reader, &mut parts)?,
            (3, _) => self.table_stats(version, &mut parts),
            (4, _) => self.port_stats(now, version, &mut reader, &mut parts)?,
            (5, _) => self.queue_stats(version, &mut reader)?,
            (6, Version::V13) => self.group_stats(now, reader.u32()?, &mut parts),
            (7, Version::V13) => self.group_descriptions(&mut parts),
            (8, Version::V13) => parts.entry(|out| {
                // All four types; weights, liveness and chaining, checked for loops.
                put(out, &0xf_u32.to_be_bytes());
                put(out, &0xf_u32.to_be_bytes());
                (0..4).for_each(|_| put(out, &(self.config.groups as u32).to_be_bytes()));
                (0..4).for_each(|_| put(out, &ACTIONS_13.to_be_bytes()));
            }),
            (9, Version::V13) => self.meter_stats(now, reader.u32()?, &mut parts)?,
            (10, Version::V13) => self.meter_configurations(reader.u32()?, &mut parts)?,
            (11, Version::V13) => parts.entry(|out| {
                put(out, &(self.config.meters as u32).to_be_bytes());
                // Drop and DSCP remark; kbit/s, packets/s, bursts, statistics.
                put(out, &0b110_u32.to_be_bytes());
                put(out, &0xf_u32.to_be_bytes());
                put(out, &[16, 8, 0, 0]);
            }),
            (12, Version::V13) => self.table_features(&mut parts),
            // In 1.0 an extension of Open vSwitch's.
            (13, _) => {
                for port in self.ports.values() {
                    parts.entry(|out| port.description.emit(version, out));
                }
            }
            (0xffff, _) => return Err(Fault::BadExperimenter),
            _ => return Err(Fault::BadMultipart),
        }
        let count = parts.done.len();
        let last = core::mem::take(&mut parts.current);
        for (index, part) in parts.done.into_iter().chain([last]).enumerate() {
            self.reply(id, version, Kind::MultipartReply, xid, |out| {
                put(out, &kind.to_be_bytes());
                put(out, &u16::from(index < count).to_be_bytes());
                if version == Version::V13 {
                    put(out, &[0; 4]);
                }
                put(out, &part);
            });
        }
        Ok(())
    }

    fn describe(&self, parts: &mut Parts) {
        parts.entry(|out| {
            text(out, "airglow", 256);
            text(out, "airglow OpenFlow switch", 256);
            text(out, env!("CARGO_PKG_VERSION"), 256);
            text(out, "none", 32);
            text(out, &self.config.description, 256);
        });
    }

    /// Reads what a flow or aggregate request picks, and passes each rule with its table to `each`.
    fn picked(
        &self,
        version: Version,
        reader: &mut Reader<'_>,
        mut each: impl FnMut(u8, &Rule),
    ) -> Result<(), Fault> {
        let (table, matches, out_port, out_group, cookie, cookie_mask);
        match version {
            Version::V10 => {
                matches = match10::parse_match(reader)?;
                table = reader.u8()?;
                reader.skip(1)?;
                out_port = port::from_10(reader.u16()?);
                (out_group, cookie, cookie_mask) = (flow_mod::ANY_GROUP, 0, 0);
            }
            Version::V13 => {
                table = reader.u8()?;
                reader.skip(3)?;
                (out_port, out_group) = (reader.u32()?, reader.u32()?);
                reader.skip(4)?;
                (cookie, cookie_mask) = (reader.u64()?, reader.u64()?);
                matches = oxm::parse_match(reader)?;
            }
        }
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

    fn flow_stats(
        &self,
        now: Instant,
        version: Version,
        reader: &mut Reader<'_>,
        parts: &mut Parts,
    ) -> Result<(), Fault> {
        self.picked(version, reader, |table, rule| {
            let life = now.since(rule.since);
            parts.sized(|out| {
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
                    Version::V13 => {
                        put(out, &rule.flags.to_be_bytes());
                        put(out, &[0; 4]);
                    }
                }
                put(out, &rule.cookie.to_be_bytes());
                put(out, &rule.packets.to_be_bytes());
                put(out, &rule.bytes.to_be_bytes());
                if version == Version::V13 {
                    oxm::emit_match(&rule.matches, out);
                }
                rule.instructions.emit(version, out);
            });
        })
    }

    fn aggregate(&self, version: Version, reader: &mut Reader<'_>, parts: &mut Parts) -> Result<(), Fault> {
        let (mut packets, mut bytes, mut flows) = (0_u64, 0_u64, 0_u32);
        self.picked(version, reader, |_, rule| {
            packets += rule.packets;
            bytes += rule.bytes;
            flows += 1;
        })?;
        parts.entry(|out| {
            put(out, &packets.to_be_bytes());
            put(out, &bytes.to_be_bytes());
            put(out, &flows.to_be_bytes());
            put(out, &[0; 4]);
        });
        Ok(())
    }

    fn table_stats(&self, version: Version, parts: &mut Parts) {
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

    fn port_stats(
        &self,
        now: Instant,
        version: Version,
        reader: &mut Reader<'_>,
        parts: &mut Parts,
    ) -> Result<(), Fault> {
        let asked = match version {
            Version::V10 => port::from_10(reader.u16()?),
            Version::V13 => reader.u32()?,
        };
        if asked != port::ANY && !self.ports.contains_key(&asked) {
            return Err(Fault::BadPortRequest);
        }
        for port in self.ports.values().filter(|port| asked == port::ANY || asked == port.description.number)
        {
            parts.entry(|out| {
                match version {
                    Version::V10 => {
                        put(out, &port::to_10(port.description.number).to_be_bytes());
                        put(out, &[0; 6]);
                    }
                    Version::V13 => {
                        put(out, &port.description.number.to_be_bytes());
                        put(out, &[0; 4]);
                    }
                }
                let stats = &port.stats;
                for counter in [
                    stats.rx_packets,
                    stats.tx_packets,
                    stats.rx_bytes,
                    stats.tx_bytes,
                    stats.rx_dropped,
                    stats.tx_dropped,
                ] {
                    put(out, &counter.to_be_bytes());
                }
                // Errors of six kinds: none is known of.
                put(out, &[0; 48]);
                if version == Version::V13 {
                    let life = now.since(port.since);
                    put(out, &(life.as_secs() as u32).to_be_bytes());
                    put(out, &life.subsec_nanos().to_be_bytes());
                }
            });
        }
        Ok(())
    }

    fn queue_stats(&self, version: Version, reader: &mut Reader<'_>) -> Result<(), Fault> {
        let (asked, queue) = match version {
            Version::V10 => {
                let port = port::from_10(reader.u16()?);
                reader.skip(2)?;
                (port, reader.u32()?)
            }
            Version::V13 => (reader.u32()?, reader.u32()?),
        };
        let every = asked == port::ANY || version == Version::V10 && asked == port::ALL;
        if !every && !self.ports.contains_key(&asked) {
            return Err(Fault::QueueBadPort);
        }
        if queue == u32::MAX { Ok(()) } else { Err(Fault::QueueBadQueue) }
    }

    fn group_stats(&self, now: Instant, asked: u32, parts: &mut Parts) {
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

    fn group_descriptions(&self, parts: &mut Parts) {
        for (id, found) in &self.groups {
            parts.sized(|out| {
                put(out, &[found.kind as u8, 0]);
                put(out, &id.to_be_bytes());
                group::emit_buckets(&found.buckets, out);
            });
        }
    }

    fn meters_asked(&self, asked: u32) -> Result<impl Iterator<Item = (&u32, &super::Meter)>, Fault> {
        if asked != group::ALL_METERS && !self.meters.contains_key(&asked) {
            return Err(Fault::UnknownMeter);
        }
        Ok(self.meters.iter().filter(move |(id, _)| asked == group::ALL_METERS || asked == **id))
    }

    fn meter_stats(&self, now: Instant, asked: u32, parts: &mut Parts) -> Result<(), Fault> {
        for (id, meter) in self.meters_asked(asked)? {
            let flows = |table: &super::Table| {
                let selection = Selection::ALL;
                table.select(&selection).filter(|(_, rule)| rule.instructions.meter == Some(*id)).count()
                    as u32
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

    fn meter_configurations(&self, asked: u32, parts: &mut Parts) -> Result<(), Fault> {
        for (id, meter) in self.meters_asked(asked)? {
            parts.sized(|out| {
                put(out, &meter.flags.to_be_bytes());
                put(out, &id.to_be_bytes());
                group::emit_bands(&meter.bands, out);
            });
        }
        Ok(())
    }

    fn table_features(&self, parts: &mut Parts) {
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
                    let at = out.len();
                    put(out, &kind.to_be_bytes());
                    put(out, &[0; 2]);
                    write(out);
                    let length = out.len() - at;
                    out[at + 2..at + 4].copy_from_slice(&(length as u16).to_be_bytes());
                    out.resize(at + length.next_multiple_of(8), 0);
                };
                let last = number + 1 == count;
                let instructions = |out: &mut Vec<u8>| {
                    for kind in [1_u16, 2, 3, 4, 5, 6] {
                        if kind != 1 || !last {
                            put(out, &kind.to_be_bytes());
                            put(out, &4_u16.to_be_bytes());
                        }
                    }
                };
                let next = |out: &mut Vec<u8>| (number + 1..count).for_each(|next| out.push(next as u8));
                let actions = |out: &mut Vec<u8>| {
                    for kind in (0..32_u16).filter(|kind| ACTIONS_13 & 1 << kind != 0) {
                        put(out, &kind.to_be_bytes());
                        put(out, &4_u16.to_be_bytes());
                    }
                };
                let fields = |out: &mut Vec<u8>, masks: bool, settable: bool| {
                    for layout in &FIELDS {
                        let fixed = matches!(
                            layout.field,
                            Field::InPort
                                | Field::InPhyPort
                                | Field::Metadata
                                | Field::EthType
                                | Field::PbbIsid
                                | Field::Ipv6Exthdr
                        );
                        if matches!(layout.field, Field::PbbIsid | Field::InPhyPort) || settable && fixed {
                            continue;
                        }
                        let masked = layout.maskable && masks;
                        put(out, &0x8000_u16.to_be_bytes());
                        out.push((layout.field as u8) << 1 | u8::from(masked));
                        out.push((layout.width * (1 + usize::from(masked))) as u8);
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

/// The actions of OpenFlow 1.3 that there are, by their numbers.
const ACTIONS_13: u32 = 1
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
