//! Roles of controllers, what each of them is told, and what is told of the others: OpenFlow 1.3 section 7.3.9, 1.5 sections 7.3.8,
//! 7.3.10 and 7.4.
use super::{
    ConnectionId, Switch,
    protocol::{Asker, event},
};
use crate::wire::{self, Fault, Kind, Reader, Role, Version, nicira, properties};
use alloc::vec::Vec;

/// Why a controller's status is told (1.5 section 7.4.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum ControllerReason {
    /// Somebody asks for it.
    Request = 0,
    /// Its role is another.
    Role = 2,
    /// It has connected.
    Added = 3,
    /// It is gone.
    Removed = 4,
}

impl Switch {
    /// A request for a role as OpenFlow 1.2 and later have it.
    pub(super) fn role(
        &mut self,
        asker @ Asker { id, version, .. }: Asker,
        body: &[u8],
    ) -> Result<(), Fault> {
        let mut reader = Reader(body);
        let (asked, short_id) = (reader.u32()?, reader.u32()?);
        let generation = reader.u64()?;
        let role = match asked {
            0 => self.connection(id).map_or(Role::Equal, |connection| connection.role),
            1 => Role::Equal,
            2 => Role::Master,
            3 => Role::Slave,
            _ => return Err(Fault::RoleBad),
        };
        if matches!(role, Role::Master | Role::Slave) && asked != 0 {
            //= https://opennetworking.org/wp-content/uploads/2014/10/openflow-spec-v1.3.0.pdf#section-6.3.5
            //# the switch must compare it with the largest generation_id seen so far
            if self.generation.is_some_and(|seen| (generation.wrapping_sub(seen) as i64) < 0) {
                return Err(Fault::RoleStale);
            }
            self.generation = Some(generation);
        }
        self.take_role(id, role);
        let generation = self.generation.unwrap_or(u64::MAX);
        self.reply(asker, Kind::RoleReply, |out| {
            out.extend_from_slice(&(role as u32).to_be_bytes());
            // In 1.5 the number that the controller has chosen for itself; padding before.
            out.extend_from_slice(&if version == Version::V15 { short_id } else { 0 }.to_be_bytes());
            out.extend_from_slice(&generation.to_be_bytes());
        });
        Ok(())
    }

    /// The same as Nicira's extension, without generations.
    pub(super) fn nicira_role(
        &mut self,
        asker @ Asker { id, .. }: Asker,
        mut body: Reader<'_>,
    ) -> Result<(), Fault> {
        let asked = body.u32()?;
        let role = match asked {
            0 => Role::Equal,
            1 => Role::Master,
            2 => Role::Slave,
            _ => return Err(Fault::RoleBad),
        };
        self.take_role(id, role);
        self.reply(asker, Kind::Experimenter, |out| {
            out.extend_from_slice(&nicira::NICIRA.to_be_bytes());
            out.extend_from_slice(&nicira::message::ROLE_REPLY.to_be_bytes());
            out.extend_from_slice(&asked.to_be_bytes());
        });
        Ok(())
    }

    fn take_role(&mut self, id: ConnectionId, role: Role) {
        let generation = self.generation.unwrap_or(u64::MAX);
        let mut changed = Vec::new();
        for (index, other) in self.connections.iter_mut().enumerate() {
            let Some(other) = other else { continue };
            let new = match (index == id.0, other.role, role) {
                (true, ..) => role,
                (false, Role::Master, Role::Master) => Role::Slave,
                _ => continue,
            };
            if new == other.role {
                continue;
            }
            other.role = new;
            changed.push(ConnectionId(index));
            // A controller that loses its role to another is told (1.4 section 7.4.4).
            let tells = index != id.0 && other.tells(event::ROLE_STATUS, 0);
            if let Some(version @ (Version::V14 | Version::V15)) = other.version.filter(|_| tells) {
                wire::emit(version, Kind::RoleStatus, 0, &mut other.out, |out| {
                    out.extend_from_slice(&(new as u32).to_be_bytes());
                    out.extend_from_slice(&[0; 4]);
                    out.extend_from_slice(&generation.to_be_bytes());
                });
            }
        }
        for id in changed {
            self.controller_status(id, ControllerReason::Role);
        }
    }

    /// Tells the controllers that want to know of one of them.
    pub(super) fn controller_status(&mut self, id: ConnectionId, reason: ControllerReason) {
        let mut status = Vec::new();
        self.describe_controller(id, reason, &mut status);
        if status.is_empty() {
            return;
        }
        for (index, other) in self.connections.iter_mut().enumerate() {
            let Some(other) = other else { continue };
            if index != id.0
                && other.version == Some(Version::V15)
                && other.tells(event::CONTROLLER_STATUS, reason as u32)
            {
                wire::emit(Version::V15, Kind::ControllerStatus, 0, &mut other.out, |out| {
                    out.extend_from_slice(&status);
                });
            }
        }
    }

    /// Writes what a controller's status tells: its number, role and channel (1.5 section 7.3.5.18).
    pub(super) fn describe_controller(&self, id: ConnectionId, reason: ControllerReason, out: &mut Vec<u8>) {
        let Some(connection) = self.connection(id).filter(|connection| connection.version.is_some()) else {
            return;
        };
        out.extend_from_slice(&16_u16.to_be_bytes());
        out.extend_from_slice(&(id.0 as u16 + 1).to_be_bytes());
        out.extend_from_slice(&(connection.role as u32).to_be_bytes());
        let down = reason == ControllerReason::Removed;
        out.extend_from_slice(&[reason as u8, u8::from(down), 0, 0, 0, 0, 0, 0]);
    }

    /// Passes on what a controller has changed to those who want to hear of it (1.4 section 7.4.5).
    pub(super) fn forward_request(
        &mut self,
        id: ConnectionId,
        xid: u32,
        kind: Kind,
        reason: u32,
        body: impl Fn(Version, &mut Vec<u8>),
    ) {
        let backlog = self.config.backlog;
        for (index, other) in self.connections.iter_mut().enumerate() {
            let Some(other) = other else { continue };
            let Some(version @ (Version::V14 | Version::V15)) = other.version else { continue };
            let full = other.out.len() > backlog;
            if index == id.0 || full || !other.tells(event::REQUEST_FORWARD, reason) {
                continue;
            }
            let mut request = Vec::new();
            wire::emit(version, kind, xid, &mut request, |out| body(version, out));
            wire::emit(version, Kind::RequestForward, 0, &mut other.out, |out| {
                out.extend_from_slice(&request);
            });
        }
    }

    /// Which reasons are told, to the controller that asks.
    pub(super) fn tell_asynchronous(&mut self, asker @ Asker { id, version, .. }: Asker) {
        let told = self.connection(id).map_or(event::USUAL, |connection| connection.told);
        self.reply(asker, Kind::GetAsyncReply, |out| {
            if version == Version::V13 {
                // 1.3 knows three reasons of packets and four of flows.
                for (masks, known) in told.iter().zip([7, 7, 15]) {
                    masks.iter().for_each(|mask| out.extend_from_slice(&(mask & known).to_be_bytes()));
                }
                return;
            }
            let count = if version == Version::V15 { event::COUNT } else { event::REQUEST_FORWARD + 1 };
            for (kind, [master, slave]) in told.iter().take(count).enumerate() {
                for (number, mask) in [(0, slave), (1, master)] {
                    properties::emit(kind as u16 * 2 + number, out, |out| {
                        out.extend_from_slice(&mask.to_be_bytes());
                    });
                }
            }
        });
    }

    /// The six masks of 1.3, and of Nicira's extension.
    pub(super) fn set_asynchronous_13(&mut self, id: ConnectionId, body: &[u8]) -> Result<(), Fault> {
        let mut reader = Reader(body);
        let mut told = [[0; 2]; 3];
        for mask in told.iter_mut().flatten() {
            *mask = reader.u32()?;
        }
        // The later reasons of packets go with "action".
        for mask in &mut told[event::PACKET_IN] {
            *mask |= if *mask & 2 != 0 { 0x38 } else { 0 };
        }
        if let Some(connection) = self.connection_mut(id) {
            connection.told[..3].copy_from_slice(&told);
        }
        Ok(())
    }

    /// The properties of 1.4 and later: what is not named stays.
    pub(super) fn set_asynchronous(
        &mut self,
        id: ConnectionId,
        version: Version,
        body: &[u8],
    ) -> Result<(), Fault> {
        let mut reader = Reader(body);
        let mut told = self.connection(id).map_or(event::USUAL, |connection| connection.told);
        let mut seen = 0_u32;
        let count = if version == Version::V15 { event::COUNT } else { event::REQUEST_FORWARD + 1 };
        while !reader.is_empty() {
            let (kind, mut property) = properties::parse(&mut reader)?;
            if matches!(kind, 0xfffe | 0xffff) {
                return Err(Fault::PropertyExperimenter);
            }
            let masks = told.get_mut(..count).and_then(|told| told.get_mut(usize::from(kind / 2)));
            let mask = masks.and_then(|masks| masks.get_mut(usize::from(kind & 1 == 0)));
            let mask = mask.ok_or(Fault::BadPropertyType)?;
            if seen & 1 << kind != 0 {
                return Err(Fault::DuplicateProperty);
            }
            seen |= 1 << kind;
            let new = property.u32().map_err(|_| Fault::BadPropertyLength)?;
            if !property.is_empty() {
                return Err(Fault::BadPropertyLength);
            }
            if new >> 6 != 0 {
                return Err(Fault::BadAsync);
            }
            *mask = new;
        }
        if let Some(connection) = self.connection_mut(id) {
            connection.told = told;
        }
        Ok(())
    }
}
