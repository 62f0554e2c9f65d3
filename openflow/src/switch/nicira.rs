//! Messages of experimenters: Nicira's, which Open vSwitch's programs send in every version, and the ONF's bundles of 1.3.
use super::{
    Output, Switch, bundle,
    protocol::{Asker, PacketInFormat},
};
use crate::wire::{Fault, FlowMod, ONF, Reader, Version, nicira::NICIRA, nicira::message};
use airglow_device::Instant;

impl Switch {
    pub(super) fn experimenter(
        &mut self,
        now: Instant,
        asker @ Asker { id, version, xid }: Asker,
        body: &[u8],
        out: &mut impl Output,
    ) -> Result<(), Fault> {
        let mut reader = Reader(body);
        let (experimenter, kind) = (reader.u32()?, reader.u32()?);
        let changes = match experimenter {
            NICIRA => kind == message::FLOW_MOD,
            ONF => matches!(kind, bundle::CONTROL | bundle::ADD),
            _ => return Err(Fault::BadExperimenter),
        };
        if changes && self.is_slave(id) {
            return Err(Fault::IsSlave);
        }
        if experimenter == ONF {
            return match kind {
                bundle::CONTROL if version == Version::V13 => {
                    self.bundle_control(now, asker, reader.rest(), out)
                }
                bundle::ADD if version == Version::V13 => self.bundle_add(asker, reader.rest()),
                _ => Err(Fault::BadExperimenterType),
            };
        }
        match kind {
            message::ROLE_REQUEST => return self.nicira_role(asker, reader),
            message::FLOW_MOD => {
                let with_table = self.connection(id).is_some_and(|connection| connection.nicira.table_id);
                let change = FlowMod::parse_nicira(version, with_table, reader.rest())?;
                self.changed_by = Some((id, xid));
                let result = self.flow_mod(now, version, &change, out);
                self.tell_monitors(now);
                return result;
            }
            message::SET_ASYNC_CONFIG => return self.set_asynchronous_13(id, reader.rest()),
            message::SET_ASYNC_CONFIG2 if version <= Version::V13 => {
                return self.set_asynchronous(id, version, reader.rest());
            }
            message::FLOW_MONITOR_CANCEL => {
                let number = reader.u32()?;
                return self.cancel_monitor(id, number);
            }
            _ => {}
        }
        let connection = self.connection_mut(id).ok_or(Fault::Permission)?;
        match kind {
            message::SET_FLOW_FORMAT if version == Version::V10 => {
                connection.nicira.nxm = match reader.u32()? {
                    0 => false,
                    2 => true,
                    _ => return Err(Fault::Permission),
                };
            }
            message::FLOW_MOD_TABLE_ID => connection.nicira.table_id = reader.u8()? != 0,
            message::SET_PACKET_IN_FORMAT => {
                connection.nicira.packet_in = match reader.u32()? {
                    0 => PacketInFormat::Standard,
                    1 => PacketInFormat::Nicira,
                    2 => PacketInFormat::Nicira2,
                    _ => return Err(Fault::Permission),
                };
            }
            // The age of a flow comes in every description in NXM.
            message::FLOW_AGE => {}
            message::SET_CONTROLLER_ID => {
                reader.skip(6)?;
                connection.nicira.controller = reader.u16()?;
            }
            _ => return Err(Fault::BadExperimenterType),
        }
        Ok(())
    }
}
