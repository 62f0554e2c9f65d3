//! Controllers: the handshake, requests and their replies, what the switch tells of its own accord.
use super::{
    Group, Output, Removed, Rule, Switch,
    meter::Meter,
    pipeline::{Origin, Reason},
    table::{Selection, selection},
};
use crate::{
    packet::Packet,
    wire::{
        self, Action, Command, Fault, Field, FlowMod, GroupMod, GroupType, HEADER, Header, Instructions,
        Kind, MeterMod, Reader, Version, action, flow_mod, group, match10, oxm, port,
    },
};
use airglow_device::Instant;
use alloc::vec::Vec;

/// Names a controller's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionId(pub(super) usize);

/// The connection must end; what is left in its output says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// Port status: the port is new.
pub(super) const ADDED: u8 = 0;
/// Port status: something about it changed.
pub(super) const MODIFIED: u8 = 2;

/// What a controller may do (OpenFlow 1.3 section 6.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Role {
    Equal = 1,
    Master = 2,
    Slave = 3,
}

/// A controller's connection.
pub(super) struct Connection {
    /// Agreed on after both hellos.
    version: Option<Version>,
    role: Role,
    out: Vec<u8>,
    // Packet-in, port-status and flow-removed: which reasons are told, as master or equal and as slave.
    told: [[u32; 2]; 3],
    miss_send_len: u16,
}

impl Switch {
    /// A controller's stream is open: greets it.
    pub fn connected(&mut self) -> ConnectionId {
        let mut connection = Connection {
            version: None,
            role: Role::Equal,
            out: Vec::new(),
            told: [[0b111, 0], [0b111, 0b111], [0b1111, 0]],
            miss_send_len: self.miss_send_len,
        };
        wire::emit(Version::V13, Kind::Hello, 1, &mut connection.out, |out| {
            // The versions that are spoken, as a bitmap (section 7.5.1).
            out.extend_from_slice(&[0, 1, 0, 8]);
            out.extend_from_slice(&(1_u32 << 1 | 1 << 4).to_be_bytes());
        });
        let free = self.connections.iter().position(Option::is_none);
        let index = free.unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        self.connections[index] = Some(connection);
        ConnectionId(index)
    }

    /// A controller's stream is gone.
    pub fn disconnected(&mut self, id: ConnectionId) {
        if let Some(slot) = self.connections.get_mut(id.0) {
            *slot = None;
        }
    }

    /// What is to be sent to a controller; it is taken away.
    pub fn take_output(&mut self, id: ConnectionId) -> Vec<u8> {
        self.connections
            .get_mut(id.0)
            .and_then(Option::as_mut)
            .map_or_else(Vec::new, |c| core::mem::take(&mut c.out))
    }

    /// Asks a silent controller whether it is there.
    pub fn ask(&mut self, id: ConnectionId) {
        if let Some(version) = self.connection(id).and_then(|connection| connection.version) {
            self.reply(id, version, Kind::EchoRequest, 0, |_| {});
        }
    }

    /// Something is to be sent to a controller.
    pub fn has_output(&self, id: ConnectionId) -> bool {
        self.connections.get(id.0).and_then(Option::as_ref).is_some_and(|c| !c.out.is_empty())
    }

    /// Takes one whole message, as long as its header says.
    ///
    /// # Errors
    /// [`Closed`] when the versions do not fit, or the message is not one.
    pub fn message(
        &mut self,
        now: Instant,
        id: ConnectionId,
        bytes: &[u8],
        out: &mut impl Output,
    ) -> Result<(), Closed> {
        let header =
            Header::parse(bytes).filter(|header| usize::from(header.length) == bytes.len()).ok_or(Closed)?;
        let connection = self.connections.get_mut(id.0).and_then(Option::as_mut).ok_or(Closed)?;
        let Some(version) = connection.version else { return self.greeting(id, header, bytes) };
        let kind = Kind::from_number(version, header.kind);
        let result = match kind {
            _ if header.version != version as u8 => Err(Fault::BadVersion),
            None => Err(Fault::BadType),
            Some(kind) => self.request(now, id, version, kind, header.xid, &bytes[HEADER..], out),
        };
        if let Err(fault) = result {
            self.error(id, version, header.xid, fault, bytes);
        }
        Ok(())
    }

    /// The first message of a controller must be its hello.
    fn greeting(&mut self, id: ConnectionId, header: Header, bytes: &[u8]) -> Result<(), Closed> {
        let common =
            if header.kind == 0 { wire::common_version(header.version, &bytes[HEADER..]) } else { None };
        let Some(connection) = self.connections.get_mut(id.0).and_then(Option::as_mut) else {
            return Err(Closed);
        };
        connection.version = common;
        if common.is_none() {
            let version = Version::from_number(header.version).unwrap_or(Version::V13);
            self.error(id, version, header.xid, Fault::Incompatible, b"airglow speaks OpenFlow 1.0 and 1.3");
            return Err(Closed);
        }
        Ok(())
    }

    fn error(&mut self, id: ConnectionId, version: Version, xid: u32, fault: Fault, request: &[u8]) {
        let (kind, code) = fault.numbers(version);
        self.reply(id, version, Kind::Error, xid, |out| {
            out.extend_from_slice(&kind.to_be_bytes());
            out.extend_from_slice(&code.to_be_bytes());
            out.extend_from_slice(&request[..request.len().min(64)]);
        });
    }

    pub(super) fn reply(
        &mut self,
        id: ConnectionId,
        version: Version,
        kind: Kind,
        xid: u32,
        body: impl FnOnce(&mut Vec<u8>),
    ) {
        if let Some(connection) = self.connections.get_mut(id.0).and_then(Option::as_mut) {
            wire::emit(version, kind, xid, &mut connection.out, body);
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn request(
        &mut self,
        now: Instant,
        id: ConnectionId,
        version: Version,
        kind: Kind,
        xid: u32,
        body: &[u8],
        out: &mut impl Output,
    ) -> Result<(), Fault> {
        let slave = self.connection(id).is_some_and(|connection| connection.role == Role::Slave);
        let changes = matches!(
            kind,
            Kind::PacketOut
                | Kind::FlowMod
                | Kind::GroupMod
                | Kind::PortMod
                | Kind::TableMod
                | Kind::MeterMod
        );
        if slave && changes {
            return Err(Fault::IsSlave);
        }
        match kind {
            Kind::Hello | Kind::EchoReply | Kind::Error => {}
            Kind::EchoRequest => {
                self.reply(id, version, Kind::EchoReply, xid, |out| out.extend_from_slice(body))
            }
            Kind::Experimenter => return Err(Fault::BadExperimenter),
            Kind::FeaturesRequest => self.features(id, version, xid),
            Kind::GetConfigRequest => {
                let length = self.connection(id).map_or(128, |connection| connection.miss_send_len);
                self.reply(id, version, Kind::GetConfigReply, xid, |out| {
                    out.extend_from_slice(&[0; 2]);
                    out.extend_from_slice(&length.to_be_bytes());
                });
            }
            Kind::SetConfig => {
                let mut reader = Reader(body);
                let (flags, length) = (reader.u16()?, reader.u16()?);
                // Fragments are handled in the usual way only.
                if flags & 3 != 0 {
                    return Err(Fault::BadConfigFlags);
                }
                if let Some(connection) = self.connections.get_mut(id.0).and_then(Option::as_mut) {
                    connection.miss_send_len = length;
                }
            }
            Kind::PacketOut => self.packet_out(now, version, body, out)?,
            Kind::FlowMod => {
                let change = FlowMod::parse(version, body)?;
                self.flow_mod(now, version, &change, out)?;
            }
            Kind::GroupMod => {
                let change = GroupMod::parse(body)?;
                self.group_mod(now, change)?;
            }
            Kind::MeterMod => {
                let change = MeterMod::parse(body)?;
                self.meter_mod(now, change)?;
            }
            Kind::PortMod => self.port_mod(version, body)?,
            Kind::TableMod => {
                let mut reader = Reader(body);
                let table = reader.u8()?;
                reader.skip(3)?;
                reader.u32()?;
                if table != flow_mod::ALL_TABLES && usize::from(table) >= self.tables.len() {
                    return Err(Fault::TableModBadTable);
                }
            }
            Kind::MultipartRequest => self.multipart(now, id, version, xid, body)?,
            // Every request is finished before the next is looked at.
            Kind::BarrierRequest => self.reply(id, version, Kind::BarrierReply, xid, |_| {}),
            Kind::QueueGetConfigRequest => {
                let mut reader = Reader(body);
                let number = match version {
                    Version::V10 => port::from_10(reader.u16()?),
                    Version::V13 => reader.u32()?,
                };
                if number != port::ANY && !self.ports.contains_key(&number) {
                    return Err(Fault::QueueBadPort);
                }
                self.reply(id, version, Kind::QueueGetConfigReply, xid, |out| match version {
                    Version::V10 => {
                        out.extend_from_slice(&port::to_10(number).to_be_bytes());
                        out.extend_from_slice(&[0; 6]);
                    }
                    Version::V13 => {
                        out.extend_from_slice(&number.to_be_bytes());
                        out.extend_from_slice(&[0; 4]);
                    }
                });
            }
            Kind::RoleRequest => self.role(id, version, xid, body)?,
            Kind::GetAsyncRequest => {
                let told = self.connection(id).map_or([[0; 2]; 3], |connection| connection.told);
                self.reply(id, version, Kind::GetAsyncReply, xid, |out| {
                    told.iter().flatten().for_each(|mask| out.extend_from_slice(&mask.to_be_bytes()));
                });
            }
            Kind::SetAsync => {
                let mut reader = Reader(body);
                let mut told = [[0; 2]; 3];
                for mask in told.iter_mut().flatten() {
                    *mask = reader.u32()?;
                }
                if let Some(connection) = self.connections.get_mut(id.0).and_then(Option::as_mut) {
                    connection.told = told;
                }
            }
            _ => return Err(Fault::BadType),
        }
        Ok(())
    }

    fn connection(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections.get(id.0)?.as_ref()
    }

    fn features(&mut self, id: ConnectionId, version: Version, xid: u32) {
        let ports: Vec<_> = self.ports.values().map(|port| port.description.clone()).collect();
        let (datapath, buffers, tables) =
            (self.config.datapath_id, self.config.buffers as u32, self.config.tables);
        self.reply(id, version, Kind::FeaturesReply, xid, |out| {
            out.extend_from_slice(&datapath.to_be_bytes());
            out.extend_from_slice(&buffers.to_be_bytes());
            match version {
                Version::V10 => {
                    out.extend_from_slice(&[tables, 0, 0, 0]);
                    // Flow, table and port statistics, match on ARP's addresses.
                    out.extend_from_slice(&0b1000_0111_u32.to_be_bytes());
                    out.extend_from_slice(&0b0111_1111_1111_u32.to_be_bytes());
                    ports.iter().for_each(|port| port.emit(version, out));
                }
                Version::V13 => {
                    out.extend_from_slice(&[tables, 0, 0, 0]);
                    // Flow, table, port and group statistics.
                    out.extend_from_slice(&0b1111_u32.to_be_bytes());
                    out.extend_from_slice(&[0; 4]);
                }
            }
        });
    }

    fn role(&mut self, id: ConnectionId, version: Version, xid: u32, body: &[u8]) -> Result<(), Fault> {
        let mut reader = Reader(body);
        let role = reader.u32()?;
        reader.skip(4)?;
        let generation = reader.u64()?;
        let role = match role {
            0 => self.connection(id).map_or(Role::Equal, |connection| connection.role),
            1 => Role::Equal,
            2 => Role::Master,
            3 => Role::Slave,
            _ => return Err(Fault::RoleBad),
        };
        if matches!(role, Role::Master | Role::Slave) && Reader(body).u32()? != 0 {
            //= https://opennetworking.org/wp-content/uploads/2014/10/openflow-spec-v1.3.0.pdf#section-6.3.5
            //# the switch must compare it with the largest generation_id seen so far
            if self.generation.is_some_and(|seen| (generation.wrapping_sub(seen) as i64) < 0) {
                return Err(Fault::RoleStale);
            }
            self.generation = Some(generation);
            if role == Role::Master {
                for other in self.connections.iter_mut().flatten().filter(|other| other.role == Role::Master)
                {
                    other.role = Role::Slave;
                }
            }
        }
        if let Some(connection) = self.connections.get_mut(id.0).and_then(Option::as_mut) {
            connection.role = role;
        }
        let generation = self.generation.unwrap_or(u64::MAX);
        self.reply(id, version, Kind::RoleReply, xid, |out| {
            out.extend_from_slice(&(role as u32).to_be_bytes());
            out.extend_from_slice(&[0; 4]);
            out.extend_from_slice(&generation.to_be_bytes());
        });
        Ok(())
    }

    fn check_actions(&self, actions: &[Action], matches: Option<&wire::Match>) -> Result<(), Fault> {
        for action in actions {
            match *action {
                Action::Output { port: to, .. } => {
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
                    // The field must be there in every packet that matches (section 7.2.5.11), unless a push makes it.
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

    fn check_instructions(
        &self,
        instructions: &Instructions,
        table: u8,
        matches: &wire::Match,
    ) -> Result<(), Fault> {
        self.check_actions(instructions.applied(), Some(matches))?;
        self.check_actions(instructions.written(), Some(matches))?;
        if let Some(next) = instructions.goto
            && (next <= table || usize::from(next) >= self.tables.len())
        {
            return Err(Fault::BadGotoTable);
        }
        match instructions.meter {
            Some(id) if !self.meters.contains_key(&id) => Err(Fault::UnknownMeter),
            _ => Ok(()),
        }
    }

    fn flow_mod(
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
            return Ok(());
        }
        self.check_instructions(&change.instructions, change.table, &change.matches)?;
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

    fn packet_out(
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
        self.check_actions(&actions, None)?;
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

    fn port_mod(&mut self, version: Version, body: &[u8]) -> Result<(), Fault> {
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

    fn group_mod(&mut self, now: Instant, change: GroupMod) -> Result<(), Fault> {
        if change.command == 2 {
            let ids: Vec<u32> = match change.id {
                group::ALL_GROUPS => self.groups.keys().copied().collect(),
                id => self.groups.contains_key(&id).then_some(id).into_iter().collect(),
            };
            for id in ids {
                self.groups.remove(&id);
                // Flows that lead to it go with it.
                let selection = Selection {
                    matches: &wire::Match::ANY,
                    strict: None,
                    out_port: port::ANY,
                    out_group: id,
                    cookie: 0,
                    cookie_mask: 0,
                };
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
            self.check_actions(&bucket.actions, None)?;
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
    fn leads_to(&self, from: u32, to: u32, depth: u8) -> bool {
        from == to
            || depth > 32
            || self.groups.get(&from).is_some_and(|group| {
                let actions = group.buckets.iter().flat_map(|bucket| &bucket.actions);
                actions
                    .into_iter()
                    .any(|a| matches!(a, Action::Group(next) if self.leads_to(*next, to, depth + 1)))
            })
    }

    fn meter_mod(&mut self, now: Instant, change: MeterMod) -> Result<(), Fault> {
        if change.command == 2 {
            match change.id {
                group::ALL_METERS => self.meters.clear(),
                id => drop(self.meters.remove(&id)),
            }
            // Flows that go through it go with it.
            for number in 0..self.tables.len() {
                let metered =
                    |rule: &Rule| rule.instructions.meter.is_some_and(|id| !self.meters.contains_key(&id));
                let all = Selection {
                    matches: &wire::Match::ANY,
                    strict: None,
                    out_port: port::ANY,
                    out_group: flow_mod::ANY_GROUP,
                    cookie: 0,
                    cookie_mask: 0,
                };
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

    /// A controller is there and may decide.
    pub(super) fn has_controller(&self) -> bool {
        self.connections.iter().flatten().any(|connection| connection.version.is_some())
    }

    /// Keeps a packet until a controller says what to do with it. The oldest makes room.
    fn buffer(&mut self, packet: &Packet) -> u32 {
        if self.buffers.is_empty() {
            return flow_mod::NO_BUFFER;
        }
        let id = self.next_buffer;
        self.next_buffer = if id >= u32::MAX - 1 { 1 } else { id + 1 };
        let slot = id as usize % self.buffers.len();
        self.buffers[slot] = Some((id, packet.key().number(Field::InPort) as u32, packet.bytes().to_vec()));
        id
    }

    fn unbuffer(&mut self, id: u32) -> Result<(u32, Vec<u8>), Fault> {
        let count = self.buffers.len();
        let slot = self.buffers.get_mut(id as usize % count.max(1)).ok_or(Fault::BufferUnknown)?;
        match slot.take() {
            Some((found, port, bytes)) if found == id => Ok((port, bytes)),
            other => {
                *slot = other;
                Err(Fault::BufferUnknown)
            }
        }
    }

    /// A packet that no flow matched, to the controllers of OpenFlow 1.0: those of 1.3 ask with a table-miss flow. `false`: nobody
    /// was told.
    pub(super) fn packet_in_missed(&mut self, packet: &Packet, origin: Origin) -> bool {
        self.packet_in_where(packet, origin, None, |connection| connection.version == Some(Version::V10))
    }

    /// A packet for the controllers, as much of it as `max_len` says.
    pub(super) fn packet_in(&mut self, packet: &Packet, origin: Origin, max_len: u16) {
        self.packet_in_where(packet, origin, Some(max_len), |_| true);
    }

    fn packet_in_where(
        &mut self,
        packet: &Packet,
        origin: Origin,
        max_len: Option<u16>,
        wanted: impl Fn(&Connection) -> bool,
    ) -> bool {
        let in_port = packet.key().number(Field::InPort) as u32;
        let quiet =
            self.ports.get(&in_port).is_some_and(|p| p.description.config & port::config::NO_PACKET_IN != 0);
        let backlog = self.config.backlog;
        let told = |connection: &Connection| {
            wanted(connection) && connection.version.is_some() && connection.tells(0, origin.reason as u32)
        };
        if quiet || !self.connections.iter().flatten().any(told) {
            return false;
        }
        // 0xffff asks for the whole packet, without a buffer (section 7.2.5).
        let whole = max_len == Some(u16::MAX);
        let buffer = if whole { flow_mod::NO_BUFFER } else { self.buffer(packet) };
        let bytes = packet.bytes();
        for connection in self.connections.iter_mut().flatten().filter(|connection| told(connection)) {
            if connection.out.len() + bytes.len() + 128 > backlog {
                self.stats.packet_ins_dropped += 1;
                continue;
            }
            let most = usize::from(max_len.unwrap_or(connection.miss_send_len));
            let part = if buffer == flow_mod::NO_BUFFER { bytes } else { &bytes[..bytes.len().min(most)] };
            let Some(version) = connection.version else { continue };
            wire::emit(version, Kind::PacketIn, 0, &mut connection.out, |out| {
                out.extend_from_slice(&buffer.to_be_bytes());
                out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
                match version {
                    Version::V10 => {
                        out.extend_from_slice(&port::to_10(in_port).to_be_bytes());
                        // 1.0 knows no third reason.
                        out.extend_from_slice(&[(origin.reason as u8).min(1), 0]);
                    }
                    Version::V13 => {
                        out.extend_from_slice(&[origin.reason as u8, origin.table]);
                        out.extend_from_slice(&origin.cookie.to_be_bytes());
                        oxm::emit_packet_fields(packet.key(), out);
                        out.extend_from_slice(&[0; 2]);
                    }
                }
                out.extend_from_slice(part);
            });
        }
        true
    }

    /// Tells the controllers that a flow has gone, if it wanted that.
    pub(super) fn flow_removed(&mut self, now: Instant, table: u8, rule: &Rule, why: Removed) {
        if rule.flags & flow_mod::flags::SEND_FLOW_REM == 0 {
            return;
        }
        let life = now.since(rule.since);
        for connection in self.connections.iter_mut().flatten() {
            let Some(version) = connection.version else { continue };
            if !connection.tells(2, why as u32) || connection.out.len() > self.config.backlog {
                continue;
            }
            wire::emit(version, Kind::FlowRemoved, 0, &mut connection.out, |out| {
                if version == Version::V10 {
                    match10::emit_match(&rule.matches, out);
                }
                out.extend_from_slice(&rule.cookie.to_be_bytes());
                out.extend_from_slice(&rule.priority.to_be_bytes());
                // 1.0 knows no deletion with a group.
                let reason = if version == Version::V10 { (why as u8).min(2) } else { why as u8 };
                out.extend_from_slice(&[reason, if version == Version::V10 { 0 } else { table }]);
                out.extend_from_slice(&(life.as_secs() as u32).to_be_bytes());
                out.extend_from_slice(&life.subsec_nanos().to_be_bytes());
                out.extend_from_slice(&rule.idle_timeout.to_be_bytes());
                match version {
                    Version::V10 => out.extend_from_slice(&[0; 2]),
                    Version::V13 => out.extend_from_slice(&rule.hard_timeout.to_be_bytes()),
                }
                out.extend_from_slice(&rule.packets.to_be_bytes());
                out.extend_from_slice(&rule.bytes.to_be_bytes());
                if version == Version::V13 {
                    oxm::emit_match(&rule.matches, out);
                }
            });
        }
    }

    /// Tells the controllers of a port.
    pub(super) fn port_changed(&mut self, number: u32, reason: u8) {
        let Some(port) = self.ports.get(&number) else { return };
        for connection in self.connections.iter_mut().flatten() {
            let Some(version) = connection.version else { continue };
            if connection.tells(1, u32::from(reason)) {
                wire::emit(version, Kind::PortStatus, 0, &mut connection.out, |out| {
                    out.extend_from_slice(&[reason, 0, 0, 0, 0, 0, 0, 0]);
                    port.description.emit(version, out);
                });
            }
        }
    }
}

impl Connection {
    /// Whether this controller is told of an event of this kind and reason.
    const fn tells(&self, kind: usize, reason: u32) -> bool {
        let slave = matches!(self.role, Role::Slave);
        self.told[kind][slave as usize] & 1 << reason != 0
    }
}
