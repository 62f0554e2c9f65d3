//! Statistics and descriptions: OpenFlow 1.0 section 5.3.5, 1.3 section 7.3.5, 1.5 section 7.3.5.
mod flows;
mod groups;
mod ports;
mod tables;

use super::{
    ConnectionId, Switch,
    asynchronous::ControllerReason,
    monitor::{self, FLOW_MONITOR},
    protocol::Asker,
};
use crate::wire::{Fault, Kind, ONF, Reader, Version, group, nicira::NICIRA, port};
use airglow_device::Instant;
use alloc::vec::Vec;
use flows::Asked;
use tables::actions_of;

/// Bytes of a part; a longer reply is several of them.
const PART: usize = 60_000;

/// The counters of flows (1.5).
const FLOW_STATS: u16 = 17;
/// Descriptions of experimenters.
const EXPERIMENTER: u16 = 0xffff;

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
        asker @ Asker { id, version, .. }: Asker,
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
            FLOW_STATS if version == Version::V15 => {
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
                    (NICIRA, monitor::NICIRA_MONITOR, Version::V10)
                    | (ONF, monitor::ONF_MONITOR, Version::V13) => {
                        let updates = self.flow_monitor(id, version, reader)?;
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
            self.reply(asker, Kind::MultipartReply, |out| {
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
}
