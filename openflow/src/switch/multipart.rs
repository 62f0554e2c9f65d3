//! Statistics and descriptions: OpenFlow 1.0 section 5.3.5, 1.3 section 7.3.5, 1.5 section 7.3.5.
use super::{
    ConnectionId, Switch,
    asynchronous::ControllerReason,
    events::nxm_padded,
    monitor::{self, FLOW_MONITOR},
    rule::{Rule, Selection},
};
use crate::wire::{
    Fault, Field, Kind, Match, ONF, Reader, Statistics, Version, action::may_be_set, field::FIELDS, flow_mod,
    group, match10, nicira::NICIRA, oxm, port, properties,
};
use airglow_device::Instant;
use alloc::vec::Vec;

/// Bytes of a part; a longer reply is several of them.
const PART: usize = 60_000;

/// Descriptions of experimenters.
const EXPERIMENTER: u16 = 0xffff;

/// Which flows a request is about.
struct Asked {
    table: u8,
    matches: Match,
    out_port: u32,
    out_group: u32,
    cookie: (u64, u64),
}

impl Asked {
    fn parse(version: Version, reader: &mut Reader<'_>) -> Result<Self, Fault> {
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
    fn parse_nicira(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let out_port = port::from_10(reader.u16()?);
        let length = usize::from(reader.u16()?);
        let table = reader.u8()?;
        reader.skip(3)?;
        let mut cookie = (0, 0);
        let matches = oxm::parse_nxm(reader, length, &mut cookie)?;
        Ok(Self { table, matches, out_port, out_group: flow_mod::ANY_GROUP, cookie })
    }
}

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
    /// Takes over entries that begin with their own length.
    fn whole(&mut self, mut entries: &[u8]) {
        while let Some(length) = entries.first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length)).clamp(2, entries.len());
            let (entry, rest) = entries.split_at(length);
            self.entry(|out| out.extend_from_slice(entry));
            entries = rest;
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
        let later = version != Version::V10;
        if later {
            reader.skip(4)?;
        }
        let mut parts = Parts::new();
        // Of an experimenter's: what follows the header.
        let mut prefix = Vec::new();
        match kind {
            0 => self.describe(&mut parts),
            1 => self.flow_stats(now, version, &Asked::parse(version, &mut reader)?, &mut parts)?,
            2 => self.aggregate(version, &Asked::parse(version, &mut reader)?, &mut parts)?,
            3 => self.table_stats(version, &mut parts),
            4 => self.port_stats(now, version, &mut reader, &mut parts)?,
            5 => self.queues_asked(version, &mut reader)?,
            6 if later => self.group_stats(now, reader.u32()?, &mut parts),
            7 if later => {
                let asked = if version == Version::V15 { reader.u32()? } else { group::ALL_GROUPS };
                self.group_descriptions(version, asked, &mut parts);
            }
            8 if later => parts.entry(|out| {
                // All four types; weights, liveness and chaining, checked for loops.
                put(out, &0xf_u32.to_be_bytes());
                put(out, &0xf_u32.to_be_bytes());
                (0..4).for_each(|_| put(out, &(self.config.groups as u32).to_be_bytes()));
                (0..4).for_each(|_| put(out, &actions_of(version).to_be_bytes()));
            }),
            9 if later => self.meter_stats(now, reader.u32()?, &mut parts)?,
            10 if later => self.meter_configurations(reader.u32()?, &mut parts)?,
            // As 1.3 has it: Open vSwitch's programs know no other, though 1.5 puts eight octets behind it.
            11 if later => parts.entry(|out| {
                put(out, &(self.config.meters as u32).to_be_bytes());
                // Drop and DSCP remark; kbit/s, packets/s, bursts, statistics.
                put(out, &0b110_u32.to_be_bytes());
                put(out, &0xf_u32.to_be_bytes());
                put(out, &[16, 8, 0, 0]);
            }),
            12 if later && !reader.is_empty() => return Err(Fault::Permission),
            12 if later => self.table_features(version, &mut parts),
            // In 1.0 an extension of Open vSwitch's.
            13 => {
                let asked = if version == Version::V15 { reader.u32()? } else { port::ANY };
                if asked != port::ANY && !self.ports.contains_key(&asked) {
                    return Err(Fault::BadPortRequest);
                }
                for (_, port) in self.ports.iter().filter(|(n, _)| asked == port::ANY || asked == **n) {
                    parts.entry(|out| port.description.emit(version, out));
                }
            }
            14 if version >= Version::V14 => {
                for table in 0..self.tables.len() {
                    parts.entry(|out| self.describe_table(table, out));
                }
            }
            // Ports have no queues but their own, which have no properties.
            15 if version >= Version::V14 => self.queues_asked(version, &mut reader)?,
            FLOW_MONITOR if version >= Version::V14 => {
                let updates = self.flow_monitor(id, version, reader)?;
                parts.whole(&updates);
            }
            17 if version == Version::V15 => {
                self.flow_counts(now, &Asked::parse(version, &mut reader)?, &mut parts)?
            }
            18 if version == Version::V15 => {
                for index in 0..self.connections.len() {
                    let id = ConnectionId(index);
                    parts.entry(|out| self.describe_controller(id, ControllerReason::Request, out));
                }
            }
            19 if version == Version::V15 => {
                // Atomic and in order, never at a time of the controller's choice.
                let flags = reader.u32()?;
                if flags & !3 != 0 {
                    return Err(Fault::BadBundleFlags);
                }
                parts.entry(|out| put(out, &[0, 3, 0, 0, 0, 0, 0, 0]));
            }
            EXPERIMENTER => {
                let (experimenter, kind) = (reader.u32()?, reader.u32()?);
                if !matches!(experimenter, NICIRA | ONF) {
                    return Err(Fault::BadExperimenter);
                }
                put(&mut prefix, &experimenter.to_be_bytes());
                put(&mut prefix, &kind.to_be_bytes());
                if !later {
                    reader.skip(4)?;
                    put(&mut prefix, &[0; 4]);
                }
                match (experimenter, kind, version) {
                    (NICIRA, 0, Version::V10) => {
                        self.nicira_flows(now, &Asked::parse_nicira(&mut reader)?, &mut parts)?
                    }
                    (NICIRA, 1, Version::V10) => {
                        self.aggregate(version, &Asked::parse_nicira(&mut reader)?, &mut parts)?
                    }
                    (NICIRA, monitor::NICIRA_MONITOR, Version::V10) => {
                        let updates = self.nicira_monitor(id, version, reader)?;
                        parts.whole(&updates);
                    }
                    (ONF, monitor::ONF_MONITOR, Version::V13) => {
                        let updates = self.onf_monitor(id, version, reader)?;
                        parts.whole(&updates);
                    }
                    _ => return Err(Fault::BadExperimenterType),
                }
            }
            _ => return Err(Fault::BadMultipart),
        }
        let count = parts.done.len();
        let last = core::mem::take(&mut parts.current);
        for (index, part) in parts.done.into_iter().chain([last]).enumerate() {
            self.reply(id, version, Kind::MultipartReply, xid, |out| {
                let flags = u16::from(index < count);
                if kind == FLOW_MONITOR {
                    monitor::head(version, flags, out);
                } else {
                    put(out, &kind.to_be_bytes());
                    put(out, &flags.to_be_bytes());
                    if later {
                        put(out, &[0; 4]);
                    }
                    put(out, &prefix);
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

    /// Passes each rule that a request picks, with its table, to `each`.
    fn picked(&self, asked: &Asked, mut each: impl FnMut(u8, &Rule)) -> Result<(), Fault> {
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

    fn flow_stats(
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
    fn nicira_flows(&self, now: Instant, asked: &Asked, parts: &mut Parts) -> Result<(), Fault> {
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
    fn flow_counts(&self, now: Instant, asked: &Asked, parts: &mut Parts) -> Result<(), Fault> {
        self.picked(asked, |table, rule| {
            parts.sized(|out| {
                put(out, &[0, 0, table, 0]);
                put(out, &rule.priority.to_be_bytes());
                oxm::emit_match(Version::V15, &rule.matches, out);
                counted(now, rule).emit(out);
            });
        })
    }

    fn aggregate(&self, version: Version, asked: &Asked, parts: &mut Parts) -> Result<(), Fault> {
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
            _ => reader.u32()?,
        };
        if asked != port::ANY && !self.ports.contains_key(&asked) {
            return Err(Fault::BadPortRequest);
        }
        for port in self.ports.values().filter(|port| asked == port::ANY || asked == port.description.number)
        {
            let life = now.since(port.since);
            let lived = |out: &mut Vec<u8>| {
                put(out, &(life.as_secs() as u32).to_be_bytes());
                put(out, &life.subsec_nanos().to_be_bytes());
            };
            // Errors of six kinds: none is known of. Since 1.4 those that only Ethernet has are a property.
            let properties = version >= Version::V14;
            parts.entry(|out| {
                match version {
                    Version::V10 => {
                        put(out, &port::to_10(port.description.number).to_be_bytes());
                        put(out, &[0; 6]);
                    }
                    _ if properties => {
                        put(out, &[0, 120, 0, 0]);
                        put(out, &port.description.number.to_be_bytes());
                        lived(out);
                    }
                    _ => {
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
                if properties {
                    put(out, &[0; 16]);
                    properties::emit(port::ETHERNET, out, |out| put(out, &[0; 36]));
                } else {
                    put(out, &[0; 48]);
                }
                if version == Version::V13 {
                    lived(out);
                }
            });
        }
        Ok(())
    }

    /// Statistics and descriptions of queues are empty, for there are none; asked for one of them, it is not there.
    fn queues_asked(&self, version: Version, reader: &mut Reader<'_>) -> Result<(), Fault> {
        let (asked, queue) = match version {
            Version::V10 => {
                let port = port::from_10(reader.u16()?);
                reader.skip(2)?;
                (port, reader.u32()?)
            }
            _ => (reader.u32()?, reader.u32()?),
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

    fn group_descriptions(&self, version: Version, asked: u32, parts: &mut Parts) {
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

    fn table_features(&self, version: Version, parts: &mut Parts) {
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
                    for kind in [1_u16, 2, 3, 4, 5, 6] {
                        if (kind != 1 || !last) && (kind != 6 || version != Version::V15) {
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

/// The actions of a version that there are, by their numbers; the meter is one since 1.5, as is the copying of fields.
const fn actions_of(version: Version) -> u32 {
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
