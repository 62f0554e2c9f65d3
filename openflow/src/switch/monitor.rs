//! Flow monitors: controllers that want to hear of every change of the flow table (OpenFlow 1.4 section 7.3.5.17, 1.5 section
//! 7.3.5.19), also as Nicira's extension of 1.0.
use super::{ConnectionId, Removed, Rule, Switch, events::nxm_padded, protocol::Connection, rule::Selection};
use crate::wire::{self, Fault, Kind, Match, ONF, Reader, Version, flow_mod, nicira, oxm, port};
use airglow_device::Instant;
use alloc::{collections::BTreeMap, vec::Vec};

/// Most flow monitors of one controller.
const MONITORS: usize = 64;
/// Bytes of a part of a reply; a longer one is several.
const PART: usize = 60_000;
/// The kind of these multipart messages.
pub(super) const FLOW_MONITOR: u16 = 16;

/// The same of experimenters.
pub(super) const NICIRA_MONITOR: u32 = 2;
pub(super) const ONF_MONITOR: u32 = 1870;

/// When to tell, and what; numbers as in OpenFlow 1.4, which Nicira's begin alike.
mod flags {
    pub const INITIAL: u16 = 1;
    pub const ADD: u16 = 1 << 1;
    pub const REMOVED: u16 = 1 << 2;
    pub const MODIFY: u16 = 1 << 3;
    pub const INSTRUCTIONS: u16 = 1 << 4;
    pub const NO_ABBREV: u16 = 1 << 5;
    pub const ONLY_OWN: u16 = 1 << 6;
}

/// What happened to a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FlowEvent {
    Initial,
    Added,
    Removed(Removed),
    Modified,
}

/// The monitors of one controller.
#[derive(Default)]
pub(super) struct Monitors {
    all: BTreeMap<u32, Monitor>,
    /// Too much waits to be sent: only what has gone is told until there is room.
    paused: bool,
    /// What is to be sent with the next message.
    updates: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Monitor {
    flags: u16,
    table: u8,
    out_port: u32,
    out_group: u32,
    matches: Match,
}

impl Monitor {
    /// Reads a request with its number and command: as Nicira's extension of 1.0 has it, as the ONF's extension 187 of 1.3, or as the
    /// specifications since 1.4, which alone have commands other than 0, to add.
    fn parse(version: Version, reader: &mut Reader<'_>) -> Result<(u32, u8, Self), Fault> {
        let number = reader.u32()?;
        let (mut out_group, mut command) = (flow_mod::ANY_GROUP, 0);
        let (flags, out_port, table, matches);
        match version {
            Version::V10 => {
                flags = reader.u16()?;
                out_port = port::from_10(reader.u16()?);
                let length = usize::from(reader.u16()?);
                table = reader.u8()?;
                reader.skip(5)?;
                matches = oxm::parse_nxm(reader, length, &mut (0, 0))?;
            }
            Version::V13 => {
                flags = reader.u16()?;
                reader.skip(2)?;
                (out_port, table) = (reader.u32()?, reader.u8()?);
                reader.skip(3)?;
                matches = oxm::parse_match(reader)?;
            }
            _ => {
                (out_port, out_group) = (reader.u32()?, reader.u32()?);
                (flags, table, command) = (reader.u16()?, reader.u8()?, reader.u8()?);
                matches = oxm::parse_match(reader)?;
            }
        }
        Ok((number, command, Self { flags, table, out_port, out_group, matches }))
    }

    fn selection(&self) -> Selection<'_> {
        let (out_port, out_group) = (self.out_port, self.out_group);
        Selection { matches: &self.matches, out_port, out_group, ..Selection::ALL }
    }

    fn wants(&self, event: FlowEvent, own: bool, table: u8, rule: &Rule) -> bool {
        let when = match event {
            FlowEvent::Initial => flags::INITIAL,
            FlowEvent::Added => flags::ADD,
            FlowEvent::Removed(_) => flags::REMOVED,
            FlowEvent::Modified => flags::MODIFY,
        };
        self.flags & when != 0
            && (own || self.flags & flags::ONLY_OWN == 0)
            && (self.table == flow_mod::ALL_TABLES || self.table == table)
            && self.selection().picks(rule)
    }
}

impl Switch {
    /// Tells the monitors of a flow by its place.
    pub(super) fn monitor_index(&mut self, event: FlowEvent, table: u8, index: u32) {
        if self.connections.iter().flatten().all(|connection| connection.monitors.all.is_empty()) {
            return;
        }
        if let Some(rule) = self.tables.get(usize::from(table)).and_then(|table| table.rule(index)).cloned() {
            self.monitor(event, table, &rule);
        }
    }

    /// Tells the monitors of a flow.
    pub(super) fn monitor(&mut self, event: FlowEvent, table: u8, rule: &Rule) {
        let by = self.changed_by;
        for (index, connection) in self.connections.iter_mut().enumerate() {
            let Some(connection) = connection else { continue };
            let Some(version) = connection.version else { continue };
            let own = by.filter(|(id, _)| id.0 == index).map(|(_, xid)| xid);
            let monitors = connection.monitors.all.values();
            let wanted = monitors.filter(|monitor| monitor.wants(event, own.is_some(), table, rule));
            let Some(all) = wanted.map(|monitor| monitor.flags).reduce(|one, other| one | other) else {
                continue;
            };
            if connection.monitors.paused && !matches!(event, FlowEvent::Removed(_)) {
                continue;
            }
            let updates = &mut connection.monitors.updates;
            match own {
                // One's own change is known by its xid.
                Some(xid) if all & flags::NO_ABBREV == 0 => abbreviated(version, xid, updates),
                _ => update(version, event, table, rule, all & flags::INSTRUCTIONS != 0, updates),
            }
        }
    }

    /// Sends what the monitors have been told of.
    pub(super) fn tell_monitors(&mut self, _now: Instant) {
        self.changed_by = None;
        let backlog = self.config.backlog;
        for connection in self.connections.iter_mut().flatten() {
            connection.send_updates(backlog);
        }
    }

    /// There is room again: all flows are told once more, for some may have changed meanwhile.
    pub(super) fn resume_monitors(&mut self, id: ConnectionId) {
        let Self { connections, tables, config, .. } = self;
        let Some(connection) = connections.get_mut(id.0).and_then(Option::as_mut) else { return };
        let Some(version) = connection.version.filter(|_| connection.monitors.paused) else { return };
        if connection.out.len() > config.backlog / 2 {
            return;
        }
        connection.monitors.paused = false;
        for (number, table) in tables.iter().enumerate() {
            for (_, rule) in table.select(&Selection::ALL) {
                let wanted = connection
                    .monitors
                    .all
                    .values()
                    .filter(|monitor| monitor.wants(FlowEvent::Modified, true, number as u8, rule));
                if let Some(all) = wanted.map(|monitor| monitor.flags).reduce(|one, other| one | other) {
                    let updates = &mut connection.monitors.updates;
                    let instructions = all & flags::INSTRUCTIONS != 0;
                    update(version, FlowEvent::Modified, number as u8, rule, instructions, updates);
                    if updates.len() > PART {
                        connection.send_part();
                    }
                }
            }
        }
        connection.send_part();
        connection.pause(6, nicira::message::FLOW_MONITOR_RESUMED);
    }

    /// Takes requests in the form of a version: the updates that are told at once.
    pub(super) fn flow_monitor(
        &mut self,
        id: ConnectionId,
        version: Version,
        mut reader: Reader<'_>,
    ) -> Result<Vec<u8>, Fault> {
        let mut initial = Vec::new();
        while !reader.is_empty() {
            let (number, command, monitor) = Monitor::parse(version, &mut reader)?;
            match command {
                0 => self.add_monitor(id, version, number, monitor, false, &mut initial)?,
                1 => self.add_monitor(id, version, number, monitor, true, &mut initial)?,
                2 => self.cancel_monitor(id, number)?,
                _ => return Err(Fault::BadMonitorCommand),
            }
        }
        Ok(initial)
    }

    fn add_monitor(
        &mut self,
        id: ConnectionId,
        version: Version,
        number: u32,
        monitor: Monitor,
        modify: bool,
        initial: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let events = flags::INITIAL | flags::ADD | flags::REMOVED | flags::MODIFY;
        if monitor.flags & !0x7f != 0 || monitor.flags & events == 0 {
            return Err(Fault::BadMonitorFlags);
        }
        if monitor.table != flow_mod::ALL_TABLES && usize::from(monitor.table) >= self.tables.len() {
            return Err(Fault::BadMonitorTable);
        }
        let monitors = &mut self.connection_mut(id).ok_or(Fault::Permission)?.monitors;
        match (monitors.all.contains_key(&number), modify) {
            (true, false) => return Err(Fault::MonitorExists),
            (false, true) => return Err(Fault::UnknownMonitor),
            (false, false) if monitors.all.len() >= MONITORS => return Err(Fault::OutOfMonitors),
            _ => {}
        }
        monitors.all.insert(number, monitor);
        if monitor.flags & flags::INITIAL == 0 {
            return Ok(());
        }
        for (table, rules) in self.tables.iter().enumerate() {
            let table = table as u8;
            if monitor.table == flow_mod::ALL_TABLES || monitor.table == table {
                for (_, rule) in rules.select(&monitor.selection()) {
                    let instructions = monitor.flags & flags::INSTRUCTIONS != 0;
                    update(version, FlowEvent::Initial, table, rule, instructions, initial);
                }
            }
        }
        Ok(())
    }

    pub(super) fn cancel_monitor(&mut self, id: ConnectionId, number: u32) -> Result<(), Fault> {
        let connection = self.connection_mut(id).ok_or(Fault::Permission)?;
        connection.monitors.all.remove(&number).map(|_| ()).ok_or(Fault::UnknownMonitor)
    }
}

impl Connection {
    fn send_updates(&mut self, backlog: usize) {
        if self.monitors.updates.is_empty() {
            return;
        }
        self.send_part();
        if self.out.len() > backlog && !self.monitors.paused {
            self.monitors.paused = true;
            self.pause(5, nicira::message::FLOW_MONITOR_PAUSED);
        }
    }

    /// Sends what has been gathered.
    fn send_part(&mut self) {
        let Some(version) = self.version else { return };
        let updates = core::mem::take(&mut self.monitors.updates);
        let mut rest = &updates[..];
        while !rest.is_empty() {
            // Whole updates, each of which begins with its length.
            let mut end = 0;
            while let Some([a, b]) = rest.get(end..).and_then(|rest| rest.first_chunk::<2>()) {
                let next = end + usize::from(u16::from_be_bytes([*a, *b])).max(8);
                if next > PART && end > 0 {
                    break;
                }
                end = next;
            }
            let (part, more) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            rest = more;
            wire::emit(version, Kind::MultipartReply, 0, &mut self.out, |out| {
                head(version, 0, out);
                out.extend_from_slice(part);
            });
        }
    }

    fn pause(&mut self, event: u16, message: u32) {
        let Some(version) = self.version else { return };
        if version >= Version::V14 {
            wire::emit(version, Kind::MultipartReply, 0, &mut self.out, |out| {
                head(version, 0, out);
                out.extend_from_slice(&8_u16.to_be_bytes());
                out.extend_from_slice(&event.to_be_bytes());
                out.extend_from_slice(&[0; 4]);
            });
        } else {
            wire::emit(version, Kind::Experimenter, 0, &mut self.out, |out| {
                out.extend_from_slice(&nicira::NICIRA.to_be_bytes());
                out.extend_from_slice(&message.to_be_bytes());
            });
        }
    }
}

/// What stands before updates.
pub(super) fn head(version: Version, flags: u16, out: &mut Vec<u8>) {
    let standard = version >= Version::V14;
    out.extend_from_slice(&if standard { FLOW_MONITOR } else { 0xffff }.to_be_bytes());
    out.extend_from_slice(&flags.to_be_bytes());
    if version != Version::V10 {
        out.extend_from_slice(&[0; 4]);
    }
    if !standard {
        let (experimenter, kind) =
            if version == Version::V10 { (nicira::NICIRA, NICIRA_MONITOR) } else { (ONF, ONF_MONITOR) };
        out.extend_from_slice(&experimenter.to_be_bytes());
        out.extend_from_slice(&kind.to_be_bytes());
        if version == Version::V10 {
            out.extend_from_slice(&[0; 4]);
        }
    }
}

fn abbreviated(version: Version, xid: u32, out: &mut Vec<u8>) {
    let last = out.len().checked_sub(8).and_then(|at| out.get(at..));
    let event: u16 = if version >= Version::V14 { 4 } else { 3 };
    let mut entry = [0, 8, 0, event as u8, 0, 0, 0, 0];
    entry[4..].copy_from_slice(&xid.to_be_bytes());
    // Once for each request.
    if last != Some(&entry[..]) {
        out.extend_from_slice(&entry);
    }
}

fn update(version: Version, event: FlowEvent, table: u8, rule: &Rule, instructions: bool, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; 2]);
    let standard = version >= Version::V14;
    let number: u16 = match event {
        FlowEvent::Initial => 0,
        FlowEvent::Added => u16::from(standard),
        FlowEvent::Removed(_) => {
            if standard {
                2
            } else {
                1
            }
        }
        FlowEvent::Modified => {
            if standard {
                3
            } else {
                2
            }
        }
    };
    let reason = match event {
        FlowEvent::Removed(why) => why as u8,
        _ => 0,
    };
    out.extend_from_slice(&number.to_be_bytes());
    if standard {
        out.extend_from_slice(&[table, reason]);
        for number in [rule.idle_timeout, rule.hard_timeout, rule.priority] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&rule.cookie.to_be_bytes());
        oxm::emit_match(version, &rule.matches, out);
        if instructions {
            rule.instructions.emit(version, out);
        }
    } else {
        for number in [reason.into(), rule.priority, rule.idle_timeout, rule.hard_timeout, 0] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        let at = out.len() - 2;
        out.extend_from_slice(&[table, 0]);
        out.extend_from_slice(&rule.cookie.to_be_bytes());
        if version == Version::V10 {
            let length = nxm_padded(&rule.matches, out);
            out[at..at + 2].copy_from_slice(&length.to_be_bytes());
        } else {
            // The length that stands in the match itself.
            let place = out.len();
            oxm::emit_match(version, &rule.matches, out);
            out.copy_within(place + 2..place + 4, at);
        }
        if instructions {
            rule.instructions.emit(version, out);
        }
    }
    let length = (out.len() - start) as u16;
    out[start..start + 2].copy_from_slice(&length.to_be_bytes());
}
