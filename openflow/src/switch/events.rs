//! What the switch tells its controllers of its own accord: packets, flows that have gone, ports.
use super::{
    Removed, Rule, Switch,
    monitor::FlowEvent,
    pipeline::{Origin, Reason},
    protocol::{Connection, PacketInFormat, event},
};
use crate::{
    packet::Packet,
    wire::{self, Fault, Field, Kind, Statistics, Version, flow_mod, match10, nicira, oxm, port, properties},
};
use airglow_device::Instant;
use alloc::vec::Vec;

/// Bytes of a packet in a message, whose length has sixteen bits, beside its fields.
const MOST_OF_A_PACKET: usize = 0xffff - 1024;
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
        let wanted = |connection: &Connection| connection.version == Some(Version::V10);
        self.packet_in_where(packet, origin, None, None, wanted)
    }

    /// A packet for the controllers, as much of it as `max_len` says.
    pub(super) fn packet_in(&mut self, packet: &Packet, origin: Origin, max_len: u16) {
        self.packet_in_to(packet, origin, max_len, 0, None);
    }

    /// A packet for the controllers with a number, perhaps for a reason of the flow's own.
    pub(super) fn packet_in_to(
        &mut self,
        packet: &Packet,
        origin: Origin,
        max_len: u16,
        controller: u16,
        reason: Option<u8>,
    ) {
        let wanted = |connection: &Connection| connection.nicira.controller == controller;
        // "No match" is the table-miss flow's own; that a flow says it changes nothing.
        let reason = reason.filter(|reason| *reason != Reason::Action as u8);
        self.packet_in_where(packet, origin, Some(max_len), reason, wanted);
    }

    fn packet_in_where(
        &mut self,
        packet: &Packet,
        origin: Origin,
        max_len: Option<u16>,
        reason: Option<u8>,
        wanted: impl Fn(&Connection) -> bool,
    ) -> bool {
        // Controllers know nothing of offloads: they are told of each segment, with its checksum.
        let mut told = false;
        packet.complete(|packet| told |= self.packet_in_complete(packet, origin, max_len, reason, &wanted));
        told
    }

    fn packet_in_complete(
        &mut self,
        packet: &Packet,
        origin: Origin,
        max_len: Option<u16>,
        reason: Option<u8>,
        wanted: impl Fn(&Connection) -> bool,
    ) -> bool {
        let in_port = packet.key().number(Field::InPort) as u32;
        let quiet =
            self.ports.get(&in_port).is_some_and(|p| p.description.config & port::config::NO_PACKET_IN != 0);
        let backlog = self.config.backlog;
        let reason_for = |version| reason.unwrap_or_else(|| origin.reason.number(version));
        let told = |connection: &Connection| {
            connection.version.is_some_and(|version| {
                wanted(connection) && connection.tells(event::PACKET_IN, reason_for(version).into())
            })
        };
        if quiet || !self.connections.iter().flatten().any(told) {
            return false;
        }
        // 0xffff asks for the whole packet, without a buffer (section 7.2.5).
        let whole = max_len == Some(u16::MAX);
        let buffer = if whole { flow_mod::NO_BUFFER } else { self.buffer(packet) };
        let bytes = packet.bytes();
        for connection in self.connections.iter_mut().flatten().filter(|connection| told(connection)) {
            if connection.out.len() + bytes.len() + 256 > backlog {
                self.stats.packet_ins_dropped += 1;
                continue;
            }
            let most = usize::from(max_len.unwrap_or(connection.miss_send_len));
            let most = if buffer == flow_mod::NO_BUFFER { MOST_OF_A_PACKET } else { most };
            let part = &bytes[..bytes.len().min(most)];
            let Some(version) = connection.version else { continue };
            let told = Told { packet, origin, buffer, part, reason: reason_for(version), version };
            let (kind, out) = (Kind::PacketIn, &mut connection.out);
            match connection.nicira.packet_in {
                PacketInFormat::Standard => wire::emit(version, kind, 0, out, |out| told.standard(out)),
                PacketInFormat::Nicira => {
                    wire::emit(version, Kind::Experimenter, 0, out, |out| told.nicira(out))
                }
                PacketInFormat::Nicira2 => {
                    wire::emit(version, Kind::Experimenter, 0, out, |out| told.nicira2(out))
                }
            }
        }
        true
    }

    /// Tells the controllers that a flow has gone, if it wanted that.
    pub(super) fn flow_removed(&mut self, now: Instant, table: u8, rule: &Rule, why: Removed) {
        self.monitor(FlowEvent::Removed(why), table, rule);
        if rule.flags & flow_mod::flags::SEND_FLOW_REM == 0 {
            return;
        }
        let life = now.since(rule.since);
        for connection in self.connections.iter_mut().flatten() {
            let Some(version) = connection.version else { continue };
            // 1.0 knows three reasons, 1.3 four.
            let reason = match version {
                Version::V10 => (why as u8).min(2),
                Version::V13 if why as u8 > 3 => 2,
                _ => why as u8,
            };
            if !connection.tells(event::FLOW_REMOVED, reason.into())
                || connection.out.len() > self.config.backlog
            {
                continue;
            }
            let nxm = version == Version::V10 && connection.nicira.nxm;
            let kind = if nxm { Kind::Experimenter } else { Kind::FlowRemoved };
            wire::emit(version, kind, 0, &mut connection.out, |out| {
                let times = |out: &mut Vec<u8>| {
                    out.extend_from_slice(&(life.as_secs() as u32).to_be_bytes());
                    out.extend_from_slice(&life.subsec_nanos().to_be_bytes());
                    out.extend_from_slice(&rule.idle_timeout.to_be_bytes());
                };
                if version == Version::V15 {
                    out.extend_from_slice(&[table, reason]);
                    for number in [rule.priority, rule.idle_timeout, rule.hard_timeout] {
                        out.extend_from_slice(&number.to_be_bytes());
                    }
                    out.extend_from_slice(&rule.cookie.to_be_bytes());
                    oxm::emit_match(version, &rule.matches, out);
                    let (packets, bytes) = (Some(rule.packets), Some(rule.bytes));
                    let counted =
                        Statistics { duration: Some(life), packets, bytes, ..Statistics::default() };
                    return counted.emit(out);
                }
                if nxm {
                    out.extend_from_slice(&nicira::NICIRA.to_be_bytes());
                    out.extend_from_slice(&nicira::message::FLOW_REMOVED.to_be_bytes());
                } else if version == Version::V10 {
                    match10::emit_match(&rule.matches, out);
                }
                out.extend_from_slice(&rule.cookie.to_be_bytes());
                out.extend_from_slice(&rule.priority.to_be_bytes());
                let told = match version {
                    // One more than the table's number.
                    Version::V10 if nxm => table.wrapping_add(1),
                    Version::V10 => 0,
                    _ => table,
                };
                out.extend_from_slice(&[reason, told]);
                times(out);
                let at = out.len();
                match version {
                    Version::V10 => out.extend_from_slice(&[0; 2]),
                    _ => out.extend_from_slice(&rule.hard_timeout.to_be_bytes()),
                }
                out.extend_from_slice(&rule.packets.to_be_bytes());
                out.extend_from_slice(&rule.bytes.to_be_bytes());
                if nxm {
                    let length = nxm_padded(&rule.matches, out);
                    out[at..at + 2].copy_from_slice(&length.to_be_bytes());
                } else if version != Version::V10 {
                    oxm::emit_match(version, &rule.matches, out);
                }
            });
        }
    }

    /// Tells the controllers of a port.
    pub(super) fn port_changed(&mut self, number: u32, reason: u8) {
        let Some(port) = self.ports.get(&number) else { return };
        for connection in self.connections.iter_mut().flatten() {
            let Some(version) = connection.version else { continue };
            if connection.tells(event::PORT_STATUS, u32::from(reason)) {
                wire::emit(version, Kind::PortStatus, 0, &mut connection.out, |out| {
                    out.extend_from_slice(&[reason, 0, 0, 0, 0, 0, 0, 0]);
                    port.description.emit(version, out);
                });
            }
        }
    }
}

/// Writes a match in NXM with the padding behind it; returns its length without.
pub(super) fn nxm_padded(matches: &wire::Match, out: &mut Vec<u8>) -> u16 {
    let start = out.len();
    oxm::emit_fields(Version::V10, matches, out);
    let length = out.len() - start;
    out.resize(start + length.next_multiple_of(8), 0);
    length as u16
}

/// The length of a packet as messages have it.
fn total_len(packet: &Packet) -> u16 {
    u16::try_from(packet.bytes().len()).unwrap_or(u16::MAX)
}

/// A packet on its way to a controller.
struct Told<'p> {
    packet: &'p Packet,
    origin: Origin,
    buffer: u32,
    part: &'p [u8],
    reason: u8,
    version: Version,
}

impl Told<'_> {
    fn standard(&self, out: &mut Vec<u8>) {
        let Self { packet, origin, version, .. } = self;
        out.extend_from_slice(&self.buffer.to_be_bytes());
        out.extend_from_slice(&total_len(packet).to_be_bytes());
        match version {
            Version::V10 => {
                let in_port = packet.key().number(Field::InPort) as u32;
                out.extend_from_slice(&port::to_10(in_port).to_be_bytes());
                // 1.0 knows no third reason.
                out.extend_from_slice(&[self.reason.min(1), 0]);
            }
            _ => {
                out.extend_from_slice(&[self.reason, origin.table]);
                out.extend_from_slice(&origin.cookie.to_be_bytes());
                oxm::emit_match(*version, &oxm::packet_fields(packet.key()), out);
                out.extend_from_slice(&[0; 2]);
            }
        }
        out.extend_from_slice(self.part);
    }

    /// `NXT_PACKET_IN`.
    fn nicira(&self, out: &mut Vec<u8>) {
        let Self { packet, origin, .. } = self;
        out.extend_from_slice(&nicira::NICIRA.to_be_bytes());
        out.extend_from_slice(&nicira::message::PACKET_IN.to_be_bytes());
        out.extend_from_slice(&self.buffer.to_be_bytes());
        out.extend_from_slice(&total_len(packet).to_be_bytes());
        out.extend_from_slice(&[self.reason, origin.table]);
        out.extend_from_slice(&origin.cookie.to_be_bytes());
        let at = out.len();
        out.extend_from_slice(&[0; 8]);
        let length = nxm_padded(&oxm::packet_fields(packet.key()), out);
        out[at..at + 2].copy_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(self.part);
    }

    /// `NXT_PACKET_IN2`: properties, those that say nothing left out.
    fn nicira2(&self, out: &mut Vec<u8>) {
        let Self { packet, origin, .. } = self;
        out.extend_from_slice(&nicira::NICIRA.to_be_bytes());
        out.extend_from_slice(&nicira::message::PACKET_IN2.to_be_bytes());
        properties::emit(0, out, |out| out.extend_from_slice(self.part));
        if self.part.len() != packet.bytes().len() {
            let length = packet.bytes().len() as u32;
            properties::emit(1, out, |out| out.extend_from_slice(&length.to_be_bytes()));
        }
        if self.buffer != flow_mod::NO_BUFFER {
            properties::emit(2, out, |out| out.extend_from_slice(&self.buffer.to_be_bytes()));
        }
        properties::emit(3, out, |out| out.push(origin.table));
        if origin.cookie != u64::MAX {
            properties::emit(4, out, |out| {
                out.extend_from_slice(&[0; 4]);
                out.extend_from_slice(&origin.cookie.to_be_bytes());
            });
        }
        properties::emit(5, out, |out| out.push(self.reason));
        properties::emit(6, out, |out| {
            oxm::emit_fields(self.version, &oxm::packet_fields(packet.key()), out);
        });
    }
}
