//! Bundles: messages that are carried out together or not at all (OpenFlow 1.5 section 7.3.9; in 1.3 by the ONF's extension 230).
use super::{Output, Switch, changes::Later, protocol::Asker};
use crate::{
    packet::Packet,
    wire::{Fault, FlowMod, GroupMod, HEADER, Header, Kind, MeterMod, ONF, PacketOut, Reader, Version},
};
use airglow_device::{Instant, RxMeta};
use alloc::vec::Vec;

/// Open bundles of one controller.
const BUNDLES: usize = 16;

/// The commands of a bundle, by their numbers; an answer's is one more.
mod command {
    pub const OPEN: u16 = 0;
    pub const CLOSE: u16 = 2;
    pub const COMMIT: u16 = 4;
    pub const DISCARD: u16 = 6;
}

/// Kinds of the ONF's extension.
pub(super) const CONTROL: u32 = 2300;
pub(super) const ADD: u32 = 2301;

/// What waits to be carried out.
pub(super) struct Bundle {
    flags: u16,
    closed: bool,
    messages: Vec<Vec<u8>>,
}

impl Switch {
    pub(super) fn bundle_control(
        &mut self,
        now: Instant,
        asker @ Asker { id, version, .. }: Asker,
        body: &[u8],
        out: &mut impl Output,
    ) -> Result<(), Fault> {
        let mut reader = Reader(body);
        let (number, kind, flags) = (reader.u32()?, reader.u16()?, reader.u16()?);
        // Atomic and in order they are in any case; at a time of the controller's choice they are not.
        if flags & !3 != 0 {
            return Err(Fault::BadBundleFlags);
        }
        let connection = self.connection_mut(id).ok_or(Fault::Permission)?;
        match kind {
            command::OPEN => {
                if connection.bundles.contains_key(&number) {
                    // As Open vSwitch does: the old one is gone, too.
                    connection.bundles.remove(&number);
                    return Err(Fault::BundleExists);
                }
                if connection.bundles.len() >= BUNDLES {
                    return Err(Fault::OutOfBundles);
                }
                connection.bundles.insert(number, Bundle { flags, closed: false, messages: Vec::new() });
            }
            command::CLOSE => {
                let bundle = connection.bundles.get_mut(&number).ok_or(Fault::BadBundleId)?;
                if bundle.closed || bundle.flags != flags {
                    let closed = bundle.closed;
                    connection.bundles.remove(&number);
                    return Err(if closed { Fault::BundleClosed } else { Fault::BadBundleFlags });
                }
                bundle.closed = true;
            }
            command::COMMIT => {
                let bundle = connection.bundles.remove(&number).ok_or(Fault::BadBundleId)?;
                if bundle.flags != flags {
                    return Err(Fault::BadBundleFlags);
                }
                self.commit(now, asker, &bundle.messages, out)?;
            }
            command::DISCARD => drop(connection.bundles.remove(&number).ok_or(Fault::BadBundleId)?),
            _ => return Err(Fault::BadBundleType),
        }
        let extension = version == Version::V13;
        let answer = if extension { Kind::Experimenter } else { Kind::BundleControl };
        self.reply(asker, answer, |out| {
            if extension {
                out.extend_from_slice(&ONF.to_be_bytes());
                out.extend_from_slice(&CONTROL.to_be_bytes());
            }
            out.extend_from_slice(&number.to_be_bytes());
            out.extend_from_slice(&(kind + 1).to_be_bytes());
            out.extend_from_slice(&flags.to_be_bytes());
        });
        Ok(())
    }

    /// Puts a message into a bundle, which is opened when it is not there.
    pub(super) fn bundle_add(&mut self, Asker { id, version, xid }: Asker, body: &[u8]) -> Result<(), Fault> {
        let mut reader = Reader(body);
        let number = reader.u32()?;
        reader.skip(2)?;
        let flags = reader.u16()?;
        if flags & !3 != 0 {
            return Err(Fault::BadBundleFlags);
        }
        let header = Header::parse(reader.rest()).ok_or(Fault::BundleLength)?;
        let message = reader.take(header.length.into()).map_err(|_| Fault::BundleLength)?;
        if header.version != version as u8 {
            return Err(Fault::BadVersion);
        }
        if header.xid != xid {
            return Err(Fault::BundleXid);
        }
        let inside = message.get(HEADER..).ok_or(Fault::BundleLength)?;
        // What cannot be read is refused at once.
        match Kind::from_number(version, header.kind) {
            Some(Kind::FlowMod) => drop(FlowMod::parse(version, inside)?),
            Some(Kind::GroupMod) => drop(GroupMod::parse(version, inside)?),
            Some(Kind::MeterMod) => drop(MeterMod::parse(inside)?),
            Some(Kind::PacketOut) => drop(PacketOut::parse(version, inside)?),
            Some(Kind::PortMod | Kind::TableMod) => {}
            _ => return Err(Fault::BundleUnsupported),
        }
        let most = self.config.bundles;
        let connection = self.connection_mut(id).ok_or(Fault::Permission)?;
        let held = connection.bundles.values().flat_map(|bundle| &bundle.messages);
        if held.map(Vec::len).sum::<usize>() + message.len() > most {
            return Err(Fault::BundleFull);
        }
        if !connection.bundles.contains_key(&number) && connection.bundles.len() >= BUNDLES {
            return Err(Fault::OutOfBundles);
        }
        let new = Bundle { flags, closed: false, messages: Vec::new() };
        let bundle = connection.bundles.entry(number).or_insert(new);
        if bundle.closed {
            return Err(Fault::BundleClosed);
        }
        if bundle.flags != flags {
            return Err(Fault::BadBundleFlags);
        }
        bundle.messages.push(message.to_vec());
        Ok(())
    }

    /// Carries out the messages of a bundle; when one is refused, everything is as it was, and what controllers were to hear is unsaid.
    fn commit(
        &mut self,
        now: Instant,
        asker @ Asker { version, .. }: Asker,
        messages: &[Vec<u8>],
        out: &mut impl Output,
    ) -> Result<(), Fault> {
        let said: Vec<usize> =
            self.connections.iter().map(|c| c.as_ref().map_or(0, |c| c.out.len())).collect();
        let (groups, meters) = (self.groups.clone(), self.meters.clone());
        let configs: Vec<_> =
            self.ports.iter().map(|(number, port)| (*number, port.description.config)).collect();
        let (table_configs, buffers) = (self.table_configs.clone(), self.buffers.clone());
        self.tables.iter_mut().for_each(super::Table::begin);
        self.later = Some(Vec::new());
        let mut refused = None;
        for message in messages {
            let Some(header) = Header::parse(message) else { continue };
            let Some(kind) = Kind::from_number(version, header.kind) else { continue };
            let body = message.get(HEADER..).unwrap_or(&[]);
            if let Err(fault) = self.request(now, Asker { xid: header.xid, ..asker }, kind, body, out) {
                refused = Some((fault, header.xid, message));
                break;
            }
        }
        let later = self.later.take().unwrap_or_default();
        let Some((fault, xid, message)) = refused else {
            self.tables.iter_mut().for_each(super::Table::commit);
            for later in later {
                match later {
                    Later::Packet(fields, actions, bytes) => {
                        self.send_out(now, &fields, &actions, &bytes, out)
                    }
                    Later::Buffer(buffer) => {
                        if let Ok((port, bytes)) = self.unbuffer(buffer) {
                            let mut packet = Packet::default();
                            packet.read(port, &bytes, RxMeta::default());
                            self.run(now, &mut packet, out);
                        }
                    }
                }
            }
            return Ok(());
        };
        self.tables.iter_mut().for_each(super::Table::roll_back);
        (self.groups, self.meters) = (groups, meters);
        (self.table_configs, self.buffers) = (table_configs, buffers);
        for (number, config) in configs {
            if let Some(port) = self.ports.get_mut(&number) {
                port.description.config = config;
            }
        }
        self.exact.clear();
        self.schedule(now);
        for (connection, said) in self.connections.iter_mut().zip(said) {
            if let Some(connection) = connection {
                connection.out.truncate(said);
            }
        }
        // First what was wrong, then that nothing was done because of it.
        self.error(Asker { xid, ..asker }, fault, message);
        Err(Fault::BundleFailed)
    }
}
