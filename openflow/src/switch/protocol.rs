//! Controllers: the handshake, requests and their replies, what the switch tells of its own accord.
use super::{Output, Switch};
use crate::wire::{
    self, Fault, FlowMod, GroupMod, HEADER, Header, Kind, MeterMod, Reader, Version, flow_mod, port,
};
use airglow_device::Instant;
use alloc::vec::Vec;

/// Names a controller's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionId(pub(super) usize);

/// The connection must end; what is left in its output says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

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
    pub(super) version: Option<Version>,
    role: Role,
    pub(super) out: Vec<u8>,
    // Packet-in, port-status and flow-removed: which reasons are told, as master or equal and as slave.
    pub(super) told: [[u32; 2]; 3],
    pub(super) miss_send_len: u16,
}

/// Bytes of a refused request that its error quotes: what a message's length can say, less header, type and code.
const MOST_OF_A_REQUEST: usize = 0xffff - 12;

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
        self.output_len(id) > 0
    }

    /// Bytes that are to be sent to a controller.
    pub fn output_len(&self, id: ConnectionId) -> usize {
        self.connection(id).map_or(0, |connection| connection.out.len())
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
    pub(super) fn greeting(&mut self, id: ConnectionId, header: Header, bytes: &[u8]) -> Result<(), Closed> {
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

    pub(super) fn error(
        &mut self,
        id: ConnectionId,
        version: Version,
        xid: u32,
        fault: Fault,
        request: &[u8],
    ) {
        let (kind, code) = fault.numbers(version);
        self.reply(id, version, Kind::Error, xid, |out| {
            out.extend_from_slice(&kind.to_be_bytes());
            out.extend_from_slice(&code.to_be_bytes());
            // At least 64 bytes of the request are asked for; all that a message has room for can be read by the one who sent it.
            out.extend_from_slice(&request[..request.len().min(MOST_OF_A_REQUEST)]);
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
    pub(super) fn request(
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

    pub(super) fn connection(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections.get(id.0)?.as_ref()
    }

    pub(super) fn features(&mut self, id: ConnectionId, version: Version, xid: u32) {
        let ports: Vec<_> = self.ports.values().map(|port| port.description.clone()).collect();
        let (datapath, buffers, tables) =
            (self.config.datapath_id, self.config.buffers as u32, self.config.tables);
        self.reply(id, version, Kind::FeaturesReply, xid, |out| {
            out.extend_from_slice(&datapath.to_be_bytes());
            out.extend_from_slice(&buffers.to_be_bytes());
            match version {
                Version::V10 => {
                    out.extend_from_slice(&[tables, 0, 0, 0]);
                    // Flow, table, port and queue statistics, match on ARP's addresses.
                    out.extend_from_slice(&0b1100_0111_u32.to_be_bytes());
                    out.extend_from_slice(&0b1111_1111_1111_u32.to_be_bytes());
                    ports.iter().for_each(|port| port.emit(version, out));
                }
                Version::V13 => {
                    out.extend_from_slice(&[tables, 0, 0, 0]);
                    // Flow, table, port, group and queue statistics.
                    out.extend_from_slice(&0b100_1111_u32.to_be_bytes());
                    out.extend_from_slice(&[0; 4]);
                }
            }
        });
    }

    pub(super) fn role(
        &mut self,
        id: ConnectionId,
        version: Version,
        xid: u32,
        body: &[u8],
    ) -> Result<(), Fault> {
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
}

impl Connection {
    /// Whether this controller is told of an event of this kind and reason.
    pub(super) const fn tells(&self, kind: usize, reason: u32) -> bool {
        let slave = matches!(self.role, Role::Slave);
        self.told[kind][slave as usize] & 1 << reason != 0
    }
}
