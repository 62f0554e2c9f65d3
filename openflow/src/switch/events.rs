//! What the switch tells its controllers of its own accord: packets, flows that have gone, ports.
use super::{Removed, Rule, Switch, pipeline::Origin, protocol::Connection};
use crate::{
    packet::Packet,
    wire::{self, Fault, Field, Kind, Version, flow_mod, match10, oxm, port},
};
use airglow_device::Instant;
use alloc::vec::Vec;

/// Port status: the port is new.
pub(super) const ADDED: u8 = 0;
/// Port status: something about it changed.
pub(super) const MODIFIED: u8 = 2;

impl Switch {
    /// A controller is there and may decide.
    pub(super) fn has_controller(&self) -> bool {
        self.connections.iter().flatten().any(|connection| connection.version.is_some())
    }

    /// Keeps a packet until a controller says what to do with it. The oldest makes room.
    pub(super) fn buffer(&mut self, packet: &Packet) -> u32 {
        if self.buffers.is_empty() {
            return flow_mod::NO_BUFFER;
        }
        let id = self.next_buffer;
        self.next_buffer = if id >= u32::MAX - 1 { 1 } else { id + 1 };
        let slot = id as usize % self.buffers.len();
        self.buffers[slot] = Some((id, packet.key().number(Field::InPort) as u32, packet.bytes().to_vec()));
        id
    }

    pub(super) fn unbuffer(&mut self, id: u32) -> Result<(u32, Vec<u8>), Fault> {
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

    pub(super) fn packet_in_where(
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
