//! Controllers: the handshake, requests and their replies, what the switch tells of its own accord.
use super::{Output, Switch, asynchronous::ControllerReason, bundle::Bundle, monitor::Monitors};
use crate::wire::{
    self, Fault, FlowMod, GroupMod, HEADER, Header, Kind, MeterMod, Reader, Role, Version, port,
};
use airglow_device::Instant;
use alloc::{collections::BTreeMap, vec::Vec};

/// Names a controller's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionId(pub(super) usize);

/// Whom a reply is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asker {
    pub id: ConnectionId,
    /// What its connection speaks.
    pub version: Version,
    /// The number of its request, which the reply carries.
    pub xid: u32,
}

/// The connection must end; what is left in its output says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// A controller's connection.
pub(super) struct Connection {
    /// Agreed on after both hellos.
    pub(super) version: Option<Version>,
    pub(super) role: Role,
    pub(super) out: Vec<u8>,
    /// By [`event`]: which reasons are told, as master or equal and as slave.
    pub(super) told: [[u32; 2]; event::COUNT],
    pub(super) miss_send_len: u16,
    pub(super) nicira: Nicira,
    pub(super) bundles: BTreeMap<u32, Bundle>,
    pub(super) monitors: Monitors,
}

/// What a controller has asked for by Nicira's extensions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Nicira {
    /// Flows are told in NXM (1.0).
    pub nxm: bool,
    /// Flow changes of 1.0 name their table.
    pub table_id: bool,
    /// How packets are told.
    pub packet_in: PacketInFormat,
    /// To which `controller` actions packets are meant for it.
    pub controller: u16,
}

/// How packets are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum PacketInFormat {
    #[default]
    Standard,
    Nicira,
    Nicira2,
}

/// What a switch tells of its own accord, in the order of the properties that choose among it (1.5 section 7.3.10).
pub(super) mod event {
    pub const PACKET_IN: usize = 0;
    pub const PORT_STATUS: usize = 1;
    pub const FLOW_REMOVED: usize = 2;
    pub const ROLE_STATUS: usize = 3;
    pub const TABLE_STATUS: usize = 4;
    pub const REQUEST_FORWARD: usize = 5;
    pub const FLOW_STATS: usize = 6;
    pub const CONTROLLER_STATUS: usize = 7;
    pub const COUNT: usize = 8;
    /// What is told until a controller says otherwise.
    pub const USUAL: [[u32; 2]; COUNT] =
        [[0x3f, 0], [0b111, 0b111], [0x3f, 0], [0b111, 0b111], [0b11000, 0], [0, 0], [0b10, 0], [0, 0]];
}

/// Bytes of a refused request that its error quotes: what a message's length can say, less header, type, code and experimenter.
const MOST_OF_A_REQUEST: usize = 0xffff - 16;

impl Switch {
    /// A controller's stream is open: greets it.
    pub fn connected(&mut self) -> ConnectionId {
        let mut connection = Connection {
            version: None,
            role: Role::Equal,
            out: Vec::new(),
            told: event::USUAL,
            miss_send_len: self.miss_send_len,
            nicira: Nicira::default(),
            bundles: BTreeMap::new(),
            monitors: Monitors::default(),
        };
        wire::emit(Version::NEWEST, Kind::Hello, 1, &mut connection.out, |out| {
            // The versions that are spoken, as a bitmap (section 7.5.1).
            out.extend_from_slice(&[0, 1, 0, 8]);
            out.extend_from_slice(&Version::BITMAP.to_be_bytes());
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
        self.controller_status(id, ControllerReason::Removed);
        if let Some(slot) = self.connections.get_mut(id.0) {
            *slot = None;
        }
    }

    /// What is to be sent to a controller; it is taken away.
    pub fn take_output(&mut self, id: ConnectionId) -> Vec<u8> {
        self.resume_monitors(id);
        self.connections
            .get_mut(id.0)
            .and_then(Option::as_mut)
            .map_or_else(Vec::new, |c| core::mem::take(&mut c.out))
    }

    /// Asks a silent controller whether it is there.
    pub fn ask(&mut self, id: ConnectionId) {
        if let Some(version) = self.connection(id).and_then(|connection| connection.version) {
            self.reply(Asker { id, version, xid: 0 }, Kind::EchoRequest, |_| {});
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
        let asker = Asker { id, version, xid: header.xid };
        let kind = Kind::from_number(version, header.kind);
        let result = match kind {
            _ if header.version != version as u8 => Err(Fault::BadVersion),
            None => Err(Fault::BadType),
            Some(kind) => self.request(now, asker, kind, &bytes[HEADER..], out),
        };
        if let Err(fault) = result {
            self.error(asker, fault, bytes);
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
            let version = Version::from_number(header.version).unwrap_or(Version::NEWEST);
            let text = b"airglow speaks OpenFlow 1.0, 1.3, 1.4 and 1.5";
            self.error(Asker { id, version, xid: header.xid }, Fault::Incompatible, text);
            return Err(Closed);
        }
        self.controller_status(id, ControllerReason::Added);
        Ok(())
    }

    pub(super) fn error(&mut self, asker: Asker, fault: Fault, request: &[u8]) {
        let version = asker.version;
        let (kind, code) = fault.numbers(version);
        self.reply(asker, Kind::Error, |out| {
            out.extend_from_slice(&kind.to_be_bytes());
            out.extend_from_slice(&code.to_be_bytes());
            fault.experimenter(version).inspect(|whose| out.extend_from_slice(&whose.to_be_bytes()));
            // At least 64 bytes of the request are asked for; all that a message has room for can be read by the one who sent it.
            out.extend_from_slice(&request[..request.len().min(MOST_OF_A_REQUEST)]);
        });
    }

    pub(super) fn reply(&mut self, asker: Asker, kind: Kind, body: impl FnOnce(&mut Vec<u8>)) {
        if let Some(connection) = self.connection_mut(asker.id) {
            wire::emit(asker.version, kind, asker.xid, &mut connection.out, body);
        }
    }

    pub(super) fn request(
        &mut self,
        now: Instant,
        asker @ Asker { id, version, xid }: Asker,
        kind: Kind,
        body: &[u8],
        out: &mut impl Output,
    ) -> Result<(), Fault> {
        if self.is_slave(id) && kind.changes_something() {
            return Err(Fault::IsSlave);
        }
        match kind {
            Kind::Hello | Kind::EchoReply | Kind::Error => {}
            Kind::EchoRequest => self.reply(asker, Kind::EchoReply, |out| out.extend_from_slice(body)),
            Kind::Experimenter => self.experimenter(now, asker, body, out)?,
            Kind::FeaturesRequest => self.features(asker),
            Kind::GetConfigRequest => {
                let length = self.connection(id).map_or(128, |connection| connection.miss_send_len);
                self.reply(asker, Kind::GetConfigReply, |out| {
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
                let with_table = self.connection(id).is_some_and(|connection| connection.nicira.table_id);
                let change = FlowMod::parse_with(version, with_table, body)?;
                self.changed_by = Some((id, xid));
                let result = self.flow_mod(now, version, &change, out);
                self.tell_monitors(now);
                result?;
            }
            Kind::GroupMod => {
                let change = GroupMod::parse(version, body)?;
                let forward = change.clone();
                self.group_mod(now, version, change)?;
                self.tell_monitors(now);
                self.forward_request(id, xid, Kind::GroupMod, 0, |version, out| forward.emit(version, out));
            }
            Kind::MeterMod => {
                let change = MeterMod::parse(body)?;
                let forward = change.clone();
                self.meter_mod(now, change)?;
                self.tell_monitors(now);
                self.forward_request(id, xid, Kind::MeterMod, 1, |_, out| forward.emit(out));
            }
            Kind::PortMod => self.port_mod(version, body)?,
            Kind::TableMod => self.table_mod(version, body)?,
            Kind::BundleControl => self.bundle_control(now, asker, body, out)?,
            Kind::BundleAddMessage => self.bundle_add(asker, body)?,
            Kind::MultipartRequest => self.multipart(now, asker, body)?,
            // Every request is finished before the next is looked at.
            Kind::BarrierRequest => self.reply(asker, Kind::BarrierReply, |_| {}),
            Kind::QueueGetConfigRequest => {
                let mut reader = Reader(body);
                let number = match version {
                    Version::V10 => port::from_10(reader.u16()?),
                    _ => reader.u32()?,
                };
                if number != port::ANY && !self.ports.contains_key(&number) {
                    return Err(Fault::QueueBadPort);
                }
                self.reply(asker, Kind::QueueGetConfigReply, |out| match version {
                    Version::V10 => {
                        out.extend_from_slice(&port::to_10(number).to_be_bytes());
                        out.extend_from_slice(&[0; 6]);
                    }
                    _ => {
                        out.extend_from_slice(&number.to_be_bytes());
                        out.extend_from_slice(&[0; 4]);
                    }
                });
            }
            Kind::RoleRequest => self.role(asker, body)?,
            Kind::GetAsyncRequest => self.tell_asynchronous(asker),
            Kind::SetAsync if version == Version::V13 => self.set_asynchronous_13(id, body)?,
            Kind::SetAsync => self.set_asynchronous(id, version, body)?,
            _ => return Err(Fault::BadType),
        }
        Ok(())
    }

    pub(super) fn connection(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections.get(id.0)?.as_ref()
    }
    pub(super) fn connection_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.get_mut(id.0)?.as_mut()
    }
    pub(super) fn is_slave(&self, id: ConnectionId) -> bool {
        self.connection(id).is_some_and(|connection| connection.role == Role::Slave)
    }

    pub(super) fn features(&mut self, asker @ Asker { version, .. }: Asker) {
        let ports: Vec<_> = self.ports.values().map(|port| port.description.clone()).collect();
        let (datapath, buffers, tables) =
            (self.config.datapath_id, self.config.buffers as u32, self.config.tables);
        self.reply(asker, Kind::FeaturesReply, |out| {
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
                _ => {
                    out.extend_from_slice(&[tables, 0, 0, 0]);
                    // Flow, table, port, group and queue statistics; bundles and flow monitors since 1.4.
                    let more: u32 = if version >= Version::V14 { 1 << 9 | 1 << 10 } else { 0 };
                    out.extend_from_slice(&(0b100_1111 | more).to_be_bytes());
                    out.extend_from_slice(&[0; 4]);
                }
            }
        });
    }
}

impl Connection {
    /// Whether this controller is told of an event of this kind and reason.
    pub(super) const fn tells(&self, kind: usize, reason: u32) -> bool {
        let slave = matches!(self.role, Role::Slave);
        reason < 32 && self.told[kind][slave as usize] & 1 << reason != 0
    }
}
