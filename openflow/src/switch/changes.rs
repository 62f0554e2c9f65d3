//! What controllers change: flows, groups, meters, ports; and the packets that they send out. A change that is refused leaves
//! everything as it was.
use super::{
    Group, Output, Removed, Rule, Switch,
    events::MODIFIED,
    meter::Meter,
    pipeline::{Origin, Reason},
    table::{Selection, selection},
};
use crate::{
    packet::Packet,
    wire::{
        self, Action, Command, Fault, Field, FlowMod, GroupMod, GroupType, Instructions, MeterMod, Reader,
        Version, action, flow_mod, group, port,
    },
};
use airglow_device::Instant;
use alloc::vec::Vec;

impl Switch {
    pub(super) fn check_actions(
        &self,
        actions: &[Action],
        matches: Option<&wire::Match>,
        version: Version,
    ) -> Result<(), Fault> {
        for action in actions {
            match *action {
                Action::Output { port: to, .. } | Action::Enqueue { port: to, .. } => {
                    let real = to <= port::MAX && to != 0;
                    let reserved = (port::IN_PORT..=port::LOCAL).contains(&to);
                    if !real && !reserved || to == port::TABLE && matches.is_some() {
                        return Err(Fault::BadOutPort);
                    }
                }
                Action::Group(id) if !self.groups.contains_key(&id) => return Err(Fault::BadOutGroup),
                Action::SetQueue(_) => {}
                Action::SetField(field, _) => {
                    let Some(matches) = matches else { continue };
                    // In 1.0 an action does nothing to packets without the field (section 3.3).
                    if version == Version::V10 {
                        continue;
                    }
                    // In 1.3 every packet that matches must have the field (section 7.2.5.11), unless a push makes it.
                    let needs = field.layout().needs;
                    let exact = |(needed, value): &(Field, u16)| {
                        matches.is_exact(*needed) && matches.value.number(*needed) == u64::from(*value)
                    };
                    let pushed = actions
                        .iter()
                        .any(|a| matches!(a, Action::PushVlan(_) | Action::PushMpls(_) | Action::PopMpls(_)));
                    if !needs.is_empty() && !needs.iter().any(exact) && !pushed {
                        return Err(Fault::MatchInconsistent);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn check_instructions(
        &self,
        instructions: &Instructions,
        table: u8,
        matches: &wire::Match,
        version: Version,
    ) -> Result<(), Fault> {
        self.check_actions(instructions.applied(), Some(matches), version)?;
        self.check_actions(instructions.written(), Some(matches), version)?;
        if let Some(next) = instructions.goto
            && (next <= table || usize::from(next) >= self.tables.len())
        {
            return Err(Fault::BadGotoTable);
        }
        match instructions.meter {
            Some(id) if !self.meters.contains_key(&id) => Err(Fault::InvalidMeter),
            _ => Ok(()),
        }
    }

    pub(super) fn flow_mod(
        &mut self,
        now: Instant,
        version: Version,
        change: &FlowMod,
        out: &mut impl Output,
    ) -> Result<(), Fault> {
        let delete = matches!(change.command, Command::Delete | Command::DeleteStrict);
        let every = change.table == flow_mod::ALL_TABLES;
        if every && !delete || !every && usize::from(change.table) >= self.tables.len() {
            return Err(Fault::FlowBadTable);
        }
        let selection = selection(change);
        self.exact.clear();
        if delete {
            let tables = if every {
                0..self.tables.len()
            } else {
                usize::from(change.table)..usize::from(change.table) + 1
            };
            for number in tables {
                for rule in self.tables[number].delete(&selection) {
                    self.flow_removed(now, number as u8, &rule, Removed::Delete);
                }
            }
            self.schedule(now);
            return Ok(());
        }
        self.check_instructions(&change.instructions, change.table, &change.matches, version)?;
        let limit = self.config.flows;
        let table = &mut self.tables[usize::from(change.table)];
        let modified = match change.command {
            Command::Add => 0,
            _ => table.modify(&selection, change, version),
        };
        // In 1.0 a change of what is not there adds it (section 4.6).
        if change.command == Command::Add || modified == 0 && version == Version::V10 {
            table.add(change, now, limit, version)?;
        }
        self.schedule(now);
        if change.buffer != flow_mod::NO_BUFFER {
            let (in_port, bytes) = self.unbuffer(change.buffer)?;
            let mut packet = Packet::default();
            packet.read(in_port, &bytes);
            self.run(now, &mut packet, out);
        }
        Ok(())
    }

    pub(super) fn packet_out(
        &mut self,
        now: Instant,
        version: Version,
        body: &[u8],
        out: &mut impl Output,
    ) -> Result<(), Fault> {
        let mut reader = Reader(body);
        let buffer = reader.u32()?;
        let (in_port, length) = match version {
            Version::V10 => (port::from_10(reader.u16()?), reader.u16()?),
            Version::V13 => {
                let head = (reader.u32()?, reader.u16()?);
                reader.skip(6)?;
                head
            }
        };
        let actions =
            action::parse_list(version, reader.take(usize::from(length)).map_err(|_| Fault::BadLength)?)?;
        self.check_actions(&actions, None, version)?;
        let buffered;
        let (in_port, bytes) = match buffer {
            flow_mod::NO_BUFFER => (in_port, reader.rest()),
            id => {
                buffered = self.unbuffer(id)?;
                (buffered.0, &buffered.1[..])
            }
        };
        if bytes.len() < 14 {
            return Err(Fault::BadPacket);
        }
        let mut packet = Packet::default();
        packet.read(in_port, bytes);
        let origin = Origin { table: 0, cookie: u64::MAX, reason: Reason::Action };
        // OFPP_TABLE sends the packet through the flow tables; it stands alone or last.
        for action in &actions {
            if matches!(action, Action::Output { port: port::TABLE, .. }) {
                let mut copy = packet.clone();
                self.run(now, &mut copy, out);
            } else if !self.apply(now, core::slice::from_ref(action), &mut packet, origin, 0, out) {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn port_mod(&mut self, version: Version, body: &[u8]) -> Result<(), Fault> {
        let mut reader = Reader(body);
        let number = match version {
            Version::V10 => port::from_10(reader.u16()?),
            Version::V13 => {
                let number = reader.u32()?;
                reader.skip(4)?;
                number
            }
        };
        let address = reader.array::<6>()?;
        if version == Version::V13 {
            reader.skip(2)?;
        }
        let (config, mask) = (reader.u32()?, reader.u32()?);
        let port = self.ports.get_mut(&number).ok_or(Fault::BadPort)?;
        if port.description.address.0 != address {
            return Err(Fault::BadHardwareAddress);
        }
        let known = match version {
            Version::V10 => 0x7f,
            Version::V13 => {
                port::config::PORT_DOWN
                    | port::config::NO_RECV
                    | port::config::NO_FWD
                    | port::config::NO_PACKET_IN
            }
        };
        if mask & !known != 0 {
            return Err(Fault::BadPortConfig);
        }
        port.description.config = port.description.config & !mask | config & mask;
        self.exact.clear();
        self.port_changed(number, MODIFIED);
        Ok(())
    }

    pub(super) fn group_mod(&mut self, now: Instant, change: GroupMod) -> Result<(), Fault> {
        if change.command == 2 {
            let ids: Vec<u32> = match change.id {
                group::ALL_GROUPS => self.groups.keys().copied().collect(),
                id => self.groups.contains_key(&id).then_some(id).into_iter().collect(),
            };
            for id in ids {
                self.groups.remove(&id);
                // Flows that lead to it go with it.
                let selection = Selection { out_group: id, ..Selection::ALL };
                for number in 0..self.tables.len() {
                    for rule in self.tables[number].delete(&selection) {
                        self.flow_removed(now, number as u8, &rule, Removed::Group);
                    }
                }
            }
            self.exact.clear();
            return Ok(());
        }
        if change.id > group::MAX_GROUP {
            return Err(Fault::InvalidGroup);
        }
        let there = self.groups.contains_key(&change.id);
        match (change.command, there) {
            (0, true) => return Err(Fault::GroupExists),
            (1, false) => return Err(Fault::UnknownGroup),
            (0, false) if self.groups.len() >= self.config.groups => return Err(Fault::OutOfGroups),
            _ => {}
        }
        if change.buckets.len() > self.config.groups {
            return Err(Fault::OutOfBuckets);
        }
        if change.kind == GroupType::Indirect && change.buckets.len() != 1 {
            return Err(Fault::InvalidGroup);
        }
        for bucket in &change.buckets {
            if change.kind != GroupType::Select && bucket.weight != 0 {
                return Err(Fault::InvalidGroup);
            }
            if change.kind == GroupType::FastFailover
                && bucket.watch_port == port::ANY
                && bucket.watch_group == port::ANY
            {
                return Err(Fault::WatchUnsupported);
            }
            self.check_actions(&bucket.actions, None, Version::V13)?;
            for action in &bucket.actions {
                if let Action::Group(next) = action
                    && self.leads_to(*next, change.id, 0)
                {
                    return Err(Fault::GroupLoop);
                }
            }
        }
        let counts = change.buckets.iter().map(|_| (0, 0)).collect();
        let group =
            Group { kind: change.kind, buckets: change.buckets, counts, packets: 0, bytes: 0, since: now };
        self.groups.insert(change.id, group);
        Ok(())
    }

    /// Whether group `from` is `to` or leads to it.
    pub(super) fn leads_to(&self, from: u32, to: u32, depth: u8) -> bool {
        from == to
            || depth > 32
            || self.groups.get(&from).is_some_and(|group| {
                let actions = group.buckets.iter().flat_map(|bucket| &bucket.actions);
                actions
                    .into_iter()
                    .any(|a| matches!(a, Action::Group(next) if self.leads_to(*next, to, depth + 1)))
            })
    }

    pub(super) fn meter_mod(&mut self, now: Instant, change: MeterMod) -> Result<(), Fault> {
        if change.command == 2 {
            match change.id {
                group::ALL_METERS => self.meters.clear(),
                id => drop(self.meters.remove(&id)),
            }
            // Flows that go through it go with it.
            for number in 0..self.tables.len() {
                let metered =
                    |rule: &Rule| rule.instructions.meter.is_some_and(|id| !self.meters.contains_key(&id));
                let all = Selection::ALL;
                let gone: Vec<u32> = self.tables[number]
                    .select(&all)
                    .filter(|(_, rule)| metered(rule))
                    .map(|(index, _)| index)
                    .collect();
                for index in gone {
                    if let Some(rule) = self.tables[number].remove(index) {
                        self.flow_removed(now, number as u8, &rule, Removed::Delete);
                    }
                }
            }
            self.exact.clear();
            return Ok(());
        }
        if change.id == 0 || change.id > group::MAX_METER {
            return Err(Fault::InvalidMeter);
        }
        if change.flags & !0xf != 0 || change.flags & 3 == 3 {
            return Err(Fault::BadMeterFlags);
        }
        match (change.command, self.meters.contains_key(&change.id)) {
            (0, true) => return Err(Fault::MeterExists),
            (1, false) => return Err(Fault::UnknownMeter),
            (0, false) if self.meters.len() >= self.config.meters => return Err(Fault::OutOfMeters),
            _ => {}
        }
        self.meters.insert(change.id, Meter::new(change.flags, change.bands, now));
        Ok(())
    }
}
