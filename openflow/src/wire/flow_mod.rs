//! Changes of the flow table: OpenFlow 1.0 section 5.3.3, 1.3 section 7.3.4.1.
use super::{Fault, Instructions, Match, Reader, Version, action, match10, oxm, port};
use alloc::vec::Vec;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub enum Command {
    Add,
    Modify,
    ModifyStrict,
    Delete,
    DeleteStrict,
}

/// Flags of a flow.
pub mod flags {
    /// Say when the flow goes.
    pub const SEND_FLOW_REM: u16 = 1;
    /// Refuse if it overlaps a flow of the same priority.
    pub const CHECK_OVERLAP: u16 = 1 << 1;
    /// Start the counters anew (1.3).
    pub const RESET_COUNTS: u16 = 1 << 2;
    /// Every flag that is known.
    pub const ALL: u16 = 0x1f;
}

/// Every table, in requests that delete.
pub const ALL_TABLES: u8 = 0xff;
/// No buffered packet.
pub const NO_BUFFER: u32 = 0xffff_ffff;
/// Any group, in requests that delete.
pub const ANY_GROUP: u32 = 0xffff_ffff;

/// A change of the flow table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowMod {
    /// A mark that the controller chose.
    pub cookie: u64,
    /// Which bits of the cookie a flow must share to be modified or deleted.
    pub cookie_mask: u64,
    /// The table; [`ALL_TABLES`] when deleting in all of them.
    pub table: u8,
    /// What to do.
    pub command: Command,
    /// Seconds without a packet after which the flow goes; 0: never.
    pub idle_timeout: u16,
    /// Seconds after which it goes in any case; 0: never.
    pub hard_timeout: u16,
    /// The larger wins.
    pub priority: u16,
    /// A packet that waits in the switch for this flow.
    pub buffer: u32,
    /// Delete only flows that send to this port; [`port::ANY`]: all.
    pub out_port: u32,
    /// Delete only flows that send to this group.
    pub out_group: u32,
    /// See [`flags`].
    pub flags: u16,
    /// Which packets.
    pub matches: Match,
    /// What is done to them.
    pub instructions: Instructions,
}

impl FlowMod {
    /// Reads the body of a message.
    ///
    /// # Errors
    /// The fault that the specification names.
    pub fn parse(version: Version, body: &[u8]) -> Result<Self, Fault> {
        let mut reader = Reader(body);
        match version {
            Version::V10 => {
                let matches = match10::parse_match(&mut reader)?;
                let cookie = reader.u64()?;
                let command = command(reader.u16()?)?;
                let (idle_timeout, hard_timeout, priority) = (reader.u16()?, reader.u16()?, reader.u16()?);
                let buffer = reader.u32()?;
                let out_port = port::from_10(reader.u16()?);
                let found = reader.u16()?;
                // Bit 2 is "emergency flow", which nobody keeps (the specification dropped it).
                if found & !3 != 0 {
                    return Err(Fault::BadFlowFlags);
                }
                let instructions = Instructions::of_actions(action::parse_list(version, reader.rest())?);
                Ok(Self {
                    cookie,
                    cookie_mask: 0,
                    table: if matches!(command, Command::Delete | Command::DeleteStrict) {
                        ALL_TABLES
                    } else {
                        0
                    },
                    command,
                    idle_timeout,
                    hard_timeout,
                    priority,
                    buffer,
                    out_port,
                    out_group: ANY_GROUP,
                    flags: found,
                    matches,
                    instructions,
                })
            }
            Version::V13 => {
                let (cookie, cookie_mask) = (reader.u64()?, reader.u64()?);
                let table = reader.u8()?;
                let command = command(reader.u8()?.into())?;
                let (idle_timeout, hard_timeout, priority) = (reader.u16()?, reader.u16()?, reader.u16()?);
                let buffer = reader.u32()?;
                let (out_port, out_group) = (reader.u32()?, reader.u32()?);
                let found = reader.u16()?;
                if found & !flags::ALL != 0 {
                    return Err(Fault::BadFlowFlags);
                }
                reader.skip(2)?;
                let matches = oxm::parse_match(&mut reader)?;
                let instructions = Instructions::parse(reader.rest())?;
                Ok(Self {
                    cookie,
                    cookie_mask,
                    table,
                    command,
                    idle_timeout,
                    hard_timeout,
                    priority,
                    buffer,
                    out_port,
                    out_group,
                    flags: found,
                    matches,
                    instructions,
                })
            }
        }
    }

    /// Writes the body of a message.
    pub fn emit(&self, version: Version, out: &mut Vec<u8>) {
        let mut put = |bytes: &[u8]| out.extend_from_slice(bytes);
        let command = self.command as u8;
        let times = [self.idle_timeout, self.hard_timeout, self.priority];
        match version {
            Version::V10 => {
                match10::emit_match(&self.matches, out);
                let mut put = |bytes: &[u8]| out.extend_from_slice(bytes);
                put(&self.cookie.to_be_bytes());
                put(&[0, command]);
                times.iter().for_each(|time| put(&time.to_be_bytes()));
                put(&self.buffer.to_be_bytes());
                put(&port::to_10(self.out_port).to_be_bytes());
                put(&self.flags.to_be_bytes());
            }
            Version::V13 => {
                put(&self.cookie.to_be_bytes());
                put(&self.cookie_mask.to_be_bytes());
                put(&[self.table, command]);
                times.iter().for_each(|time| put(&time.to_be_bytes()));
                put(&self.buffer.to_be_bytes());
                put(&self.out_port.to_be_bytes());
                put(&self.out_group.to_be_bytes());
                put(&self.flags.to_be_bytes());
                put(&[0; 2]);
                oxm::emit_match(&self.matches, out);
            }
        }
        self.instructions.emit(version, out);
    }
}

fn command(number: u16) -> Result<Command, Fault> {
    Ok(match number {
        0 => Command::Add,
        1 => Command::Modify,
        2 => Command::ModifyStrict,
        3 => Command::Delete,
        4 => Command::DeleteStrict,
        _ => return Err(Fault::BadFlowCommand),
    })
}
