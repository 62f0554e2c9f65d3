//! What controllers change: flows, groups, meters, ports; and the packets that they send out. A change that is refused leaves
//! everything as it was.
use super::{
    Group, Output, Removed, Switch,
    events::MODIFIED,
    meter::Meter,
    monitor::FlowEvent,
    pipeline::{Origin, Reason},
    rule::{Selection, selection},
    table::Change,
};
use crate::{
    packet::Packet,
    wire::{
        self, Action, Bucket, Command, Fault, Field, FlowMod, GroupCommand, GroupMod, GroupType,
        Instructions, MeterMod, PacketOut, Reader, Version, flow_mod, group, port, properties,
    },
};
use airglow_device::{Instant, RxMeta};
use alloc::{boxed::Box, vec::Vec};

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
                Action::Meter(id) if !self.meters.contains_key(&id) => return Err(Fault::BadMeter),
                Action::Resubmit { table: Some(table), .. } if usize::from(table) >= self.tables.len() => {
                    return Err(Fault::BadArgument);
                }
                Action::SetField(field, _) | Action::SetMaskedField(field, ..) => {
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
        let modify = matches!(change.command, Command::Modify | Command::ModifyStrict);
        if every && !delete && !(modify && version == Version::V10)
            || !every && usize::from(change.table) >= self.tables.len()
        {
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
        let number = if every { 0 } else { change.table };
        self.check_instructions(&change.instructions, number, &change.matches, version)?;
        let mut changed = Vec::new();
        let tables = match (modify, every) {
            (true, true) => 0..self.tables.len(),
            (true, false) => usize::from(number)..usize::from(number) + 1,
            (false, _) => 0..0,
        };
        for table in tables {
            let modified = self.tables[table].modify(now, &selection, change, version);
            changed.extend(modified.into_iter().map(|index| (table as u8, index)));
        }
        // In 1.0 a change of what is not there adds it (section 4.6).
        let mut event = FlowEvent::Modified;
        if change.command == Command::Add || changed.is_empty() && version == Version::V10 {
            if change.command != Command::Add && change.cookie_mask != 0 {
                // Picked by a cookie that no flow has: there is nothing to be added.
                return Ok(());
            }
            let cookie = if change.cookie == u64::MAX && modify { 0 } else { change.cookie };
            let changed_copy;
            let change = if cookie != change.cookie || number != change.table {
                changed_copy = FlowMod { cookie, table: number, ..change.clone() };
                &changed_copy
            } else {
                change
            };
            let (index, what) = self.add_flow(now, version, change)?;
            changed.push((number, index));
            if what == Change::Added {
                event = FlowEvent::Added;
            }
        }
        for (table, index) in changed {
            self.monitor_index(event, table, index);
        }
        self.watch_vacancy(number.into());
        self.schedule(now);
        if change.buffer != flow_mod::NO_BUFFER {
            if let Some(later) = &mut self.later {
                later.push(Later::Buffer(change.buffer));
                return Ok(());
            }
            let (in_port, bytes) = self.unbuffer(change.buffer)?;
            let mut packet = Packet::default();
            packet.read(in_port, &bytes, RxMeta::default());
            self.run(now, &mut packet, out);
        }
        Ok(())
    }

    /// Adds a flow; a full table that may evict makes room for one that is no less important.
    fn add_flow(&mut self, now: Instant, version: Version, change: &FlowMod) -> Result<(u32, Change), Fault> {
        let (limit, evicts) = (self.config.flows, self.table_config(change.table).evicts);
        let table = self.tables.get_mut(usize::from(change.table)).ok_or(Fault::FlowBadTable)?;
        let added = table.add(change, now, limit, version);
        if added != Err(Fault::TableFull) || !evicts {
            return added;
        }
        let Some((index, importance)) = table.least() else { return added };
        if importance > change.importance {
            return added;
        }
        if let Some(rule) = table.remove(index) {
            self.flow_removed(now, change.table, &rule, Removed::Eviction);
        }
        let table = self.tables.get_mut(usize::from(change.table)).ok_or(Fault::FlowBadTable)?;
        table.add(change, now, limit, version)
    }

    pub(super) fn packet_out(
        &mut self,
        now: Instant,
        version: Version,
        body: &[u8],
        out: &mut impl Output,
    ) -> Result<(), Fault> {
        let request = PacketOut::parse(version, body)?;
        self.check_actions(&request.actions, None, version)?;
        let buffered;
        let mut fields = request.fields;
        let bytes = match request.buffer {
            flow_mod::NO_BUFFER => request.data,
            id => {
                buffered = self.unbuffer(id)?;
                fields = fields.in_port(buffered.0);
                &buffered.1[..]
            }
        };
        if bytes.len() < 14 {
            return Err(Fault::BadPacket);
        }
        if let Some(later) = &mut self.later {
            later.push(Later::Packet(Box::new(fields), request.actions, bytes.to_vec()));
            return Ok(());
        }
        self.send_out(now, &fields, &request.actions, bytes, out);
        Ok(())
    }

    /// Does `actions` to a packet of a controller's.
    pub(super) fn send_out(
        &mut self,
        now: Instant,
        fields: &wire::Match,
        actions: &[Action],
        bytes: &[u8],
        out: &mut impl Output,
    ) {
        let mut packet = Packet::default();
        packet.read(fields.value.number(Field::InPort) as u32, bytes, RxMeta::default());
        packet.set_pipeline(fields);
        self.look_ups = 0;
        let origin = Origin::outside(0, Reason::PacketOut);
        // OFPP_TABLE sends the packet through the flow tables; it stands alone or last.
        for action in actions {
            if matches!(action, Action::Output { port: port::TABLE, .. }) {
                let mut copy = packet.clone();
                self.run(now, &mut copy, out);
            } else if !self.apply(now, core::slice::from_ref(action), &mut packet, origin, out) {
                break;
            }
        }
    }

    pub(super) fn port_mod(&mut self, version: Version, body: &[u8]) -> Result<(), Fault> {
        let mut reader = Reader(body);
        let number = match version {
            Version::V10 => port::from_10(reader.u16()?),
            _ => {
                let number = reader.u32()?;
                reader.skip(4)?;
                number
            }
        };
        let address = reader.array::<6>()?;
        if version != Version::V10 {
            reader.skip(2)?;
        }
        let (config, mask) = (reader.u32()?, reader.u32()?);
        while version >= Version::V14 && !reader.is_empty() {
            // What an Ethernet port offers its neighbour is the device's own matter here.
            match properties::parse(&mut reader)?.0 {
                port::ETHERNET => {}
                0xffff => return Err(Fault::PropertyExperimenter),
                _ => return Err(Fault::BadPropertyType),
            }
        }
        let port = self.ports.get_mut(&number).ok_or(Fault::BadPort)?;
        if port.description.address.0 != address {
            return Err(Fault::BadHardwareAddress);
        }
        let known = match version {
            Version::V10 => 0x7f,
            _ => {
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

    pub(super) fn group_mod(
        &mut self,
        now: Instant,
        version: Version,
        mut change: GroupMod,
    ) -> Result<(), Fault> {
        if change.command == GroupCommand::Delete {
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
            (GroupCommand::Add, true) => return Err(Fault::GroupExists),
            (GroupCommand::Add | GroupCommand::AddOrModify, false)
                if self.groups.len() >= self.config.groups =>
            {
                return Err(Fault::OutOfGroups);
            }
            (GroupCommand::Add | GroupCommand::AddOrModify, false) => {}
            (_, false) => return Err(Fault::UnknownGroup),
            _ => {}
        }
        if let (GroupCommand::InsertBucket | GroupCommand::RemoveBucket, Some(group)) =
            (change.command, self.groups.get(&change.id))
        {
            let buckets = edit_buckets(&group.buckets, &change)?;
            change = GroupMod { kind: group.kind, buckets, ..change };
        }
        self.check_buckets(version, &change)?;
        if change.kind == GroupType::Indirect && change.buckets.len() != 1 {
            return Err(Fault::InvalidGroup);
        }
        // Counters of buckets that stay go on when buckets come or go.
        let old = self.groups.remove(&change.id);
        let edited = matches!(change.command, GroupCommand::InsertBucket | GroupCommand::RemoveBucket);
        let old = old.filter(|_| edited);
        let count = |bucket: &Bucket| {
            let old = old.as_ref()?;
            old.counts.get(old.buckets.iter().position(|other| other.id == bucket.id)?).copied()
        };
        let counts = change.buckets.iter().map(|bucket| count(bucket).unwrap_or((0, 0))).collect();
        let (packets, bytes, since) = old.map_or((0, 0, now), |old| (old.packets, old.bytes, old.since));
        let group = Group { kind: change.kind, buckets: change.buckets, counts, packets, bytes, since };
        self.groups.insert(change.id, group);
        Ok(())
    }

    fn check_buckets(&self, version: Version, change: &GroupMod) -> Result<(), Fault> {
        if change.buckets.len() > self.config.groups {
            return Err(Fault::OutOfBuckets);
        }
        let mut ids = alloc::collections::BTreeSet::new();
        for bucket in &change.buckets {
            if bucket.id > group::MAX_BUCKET {
                return Err(Fault::BadBucket);
            }
            if !ids.insert(bucket.id) {
                return Err(Fault::BucketExists);
            }
            if change.kind != GroupType::Select && bucket.weight != 0 {
                return Err(Fault::InvalidGroup);
            }
            if change.kind == GroupType::FastFailover
                && bucket.watch_port == port::ANY
                && bucket.watch_group == port::ANY
            {
                return Err(Fault::WatchUnsupported);
            }
            self.check_actions(&bucket.actions, None, version)?;
            for action in &bucket.actions {
                if let Action::Group(next) = action
                    && self.leads_to(*next, change.id, 0)
                {
                    return Err(Fault::GroupLoop);
                }
            }
        }
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
            let removed: Vec<u32> = match change.id {
                group::ALL_METERS => self.meters.keys().copied().collect(),
                id => self.meters.contains_key(&id).then_some(id).into_iter().collect(),
            };
            removed.iter().for_each(|meter| drop(self.meters.remove(meter)));
            // Flows that go through it go with it.
            for number in 0..self.tables.len() {
                let table = &self.tables[number];
                let gone: Vec<u32> = table
                    .select(&Selection::ALL)
                    .filter(|(_, rule)| removed.iter().any(|meter| rule.is_metered(*meter)))
                    .map(|(index, _)| index)
                    .collect();
                for index in gone {
                    if let Some(rule) = self.tables[number].remove(index) {
                        self.flow_removed(now, number as u8, &rule, Removed::Meter);
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

/// What is done once all of a bundle has been accepted.
pub(super) enum Later {
    /// A packet goes out.
    Packet(Box<wire::Match>, Vec<Action>, Vec<u8>),
    /// A packet that waits goes through the tables.
    Buffer(u32),
}

/// The buckets of a group after buckets have come in or gone out (1.5 section 7.3.4.3).
fn edit_buckets(old: &[Bucket], change: &GroupMod) -> Result<Vec<Bucket>, Fault> {
    let place = |id: u32| old.iter().position(|bucket| bucket.id == id).ok_or(Fault::UnknownBucket);
    let mut buckets = old.to_vec();
    if change.command == GroupCommand::RemoveBucket {
        if !change.buckets.is_empty() {
            return Err(Fault::BadBucket);
        }
        match change.command_bucket {
            group::ALL_BUCKETS => buckets.clear(),
            group::FIRST_BUCKET => drop(buckets.drain(..old.len().min(1))),
            group::LAST_BUCKET => drop(buckets.pop()),
            id => drop(buckets.remove(place(id)?)),
        }
        return Ok(buckets);
    }
    if change.buckets.iter().any(|bucket| old.iter().any(|other| other.id == bucket.id)) {
        return Err(Fault::BucketExists);
    }
    let at = match change.command_bucket {
        group::FIRST_BUCKET => 0,
        group::LAST_BUCKET => old.len(),
        group::ALL_BUCKETS => return Err(Fault::BadBucket),
        id => place(id)? + 1,
    };
    buckets.splice(at..at, change.buckets.iter().cloned());
    Ok(buckets)
}
