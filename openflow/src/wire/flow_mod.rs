//! Changes of the flow table: OpenFlow 1.0 section 5.3.3, 1.3 section 7.3.4.1, 1.5 section 7.3.4.2; and Nicira's form of 1.0's.
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
    /// The table; [`ALL_TABLES`] when deleting in all of them, in 1.0 also when modifying.
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
    /// Flows of the least go first when a full table makes room (1.4).
    pub importance: u16,
    /// The mark of flows that are modified by their old one (Nicira).
    pub new_cookie: Option<u64>,
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
        Self::parse_with(version, false, body)
    }

    /// The same where the command of 1.0 names the table, as Nicira's extension has it.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_with(version: Version, with_table: bool, body: &[u8]) -> Result<Self, Fault> {
        let mut reader = Reader(body);
        match version {
            Version::V10 => {
                let matches = match10::parse_match(&mut reader)?;
                let cookie = reader.u64()?;
                let rest = Rest10::parse(&mut reader)?;
                let actions = action::parse_list(version, reader.rest())?;
                rest.finish(with_table, cookie, 0, matches, actions)
            }
            _ => {
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
                let importance = reader.u16()?;
                let importance = if version == Version::V13 { 0 } else { importance };
                let matches = oxm::parse_match(&mut reader)?;
                let instructions = Instructions::parse(version, reader.rest())?;
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
                    importance,
                    new_cookie: None,
                    matches,
                    instructions,
                })
            }
        }
    }

    /// Reads the body of Nicira's flow change, which matches in NXM.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_nicira(version: Version, with_table: bool, body: &[u8]) -> Result<Self, Fault> {
        let mut reader = Reader(body);
        let new_cookie = reader.u64()?;
        let rest = Rest10::parse(&mut reader)?;
        let length = usize::from(reader.u16()?);
        reader.skip(6)?;
        // The cookie among the fields picks the flows to be changed.
        let mut picked = (0, 0);
        let matches = oxm::parse_nxm(&mut reader, length, &mut picked)?;
        let actions = action::parse_list(version, reader.rest())?;
        let add = rest.command & 0xff == 0;
        if add && picked.1 != 0 {
            return Err(Fault::BadMatchField);
        }
        let (cookie, mask) = if picked.1 != 0 { picked } else { (new_cookie, 0) };
        let mut change = rest.finish(with_table, cookie, mask, matches, actions)?;
        if picked.1 != 0 && matches!(change.command, Command::Modify | Command::ModifyStrict) {
            change.new_cookie = Some(new_cookie).filter(|cookie| *cookie != u64::MAX);
        }
        Ok(change)
    }

    /// Writes the body of Nicira's flow change.
    pub fn emit_nicira(&self, version: Version, with_table: bool, out: &mut Vec<u8>) {
        let add = self.command == Command::Add;
        let cookie = if self.cookie_mask == 0 { self.cookie } else { self.new_cookie.unwrap_or(u64::MAX) };
        out.extend_from_slice(&cookie.to_be_bytes());
        out.extend_from_slice(&[if with_table { self.table } else { 0 }, self.command as u8]);
        for time in [self.idle_timeout, self.hard_timeout, self.priority] {
            out.extend_from_slice(&time.to_be_bytes());
        }
        out.extend_from_slice(&self.buffer.to_be_bytes());
        out.extend_from_slice(&port::to_10(self.out_port).to_be_bytes());
        out.extend_from_slice(&self.flags.to_be_bytes());
        let at = out.len();
        out.extend_from_slice(&[0; 8]);
        let start = out.len();
        oxm::emit_fields(Version::V10, &self.matches, out);
        if self.cookie_mask != 0 && !add {
            out.extend_from_slice(&[0, 1, 30 << 1 | 1, 16]);
            out.extend_from_slice(&self.cookie.to_be_bytes());
            out.extend_from_slice(&self.cookie_mask.to_be_bytes());
        }
        let length = out.len() - start;
        out[at..at + 2].copy_from_slice(&(length as u16).to_be_bytes());
        out.resize(start + length.next_multiple_of(8), 0);
        self.instructions.applied().iter().for_each(|action| action.emit(version, out));
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
            _ => {
                put(&self.cookie.to_be_bytes());
                put(&self.cookie_mask.to_be_bytes());
                put(&[self.table, command]);
                times.iter().for_each(|time| put(&time.to_be_bytes()));
                put(&self.buffer.to_be_bytes());
                put(&self.out_port.to_be_bytes());
                put(&self.out_group.to_be_bytes());
                put(&self.flags.to_be_bytes());
                put(&if version == Version::V13 { 0 } else { self.importance }.to_be_bytes());
                oxm::emit_match(version, &self.matches, out);
            }
        }
        self.instructions.emit(version, out);
    }
}

/// What 1.0 and Nicira's form of it have between cookie and actions.
struct Rest10 {
    command: u16,
    times: [u16; 3],
    buffer: u32,
    out_port: u32,
    flags: u16,
}

impl Rest10 {
    fn parse(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let rest = Self {
            command: reader.u16()?,
            times: [reader.u16()?, reader.u16()?, reader.u16()?],
            buffer: reader.u32()?,
            out_port: port::from_10(reader.u16()?),
            flags: reader.u16()?,
        };
        // Bit 2 is "emergency flow", which nobody keeps (the specification dropped it).
        if rest.flags & !3 != 0 { Err(Fault::BadFlowFlags) } else { Ok(rest) }
    }

    fn finish(
        self,
        with_table: bool,
        cookie: u64,
        cookie_mask: u64,
        matches: Match,
        actions: Vec<super::Action>,
    ) -> Result<FlowMod, Fault> {
        let [table, number] = self.command.to_be_bytes();
        let command = command(if with_table { number.into() } else { self.command })?;
        let [idle_timeout, hard_timeout, priority] = self.times;
        Ok(FlowMod {
            cookie,
            cookie_mask,
            // No table in particular: the first for a new flow, all for what is there.
            table: match (with_table, command) {
                (true, Command::Add) if table == ALL_TABLES => 0,
                (true, _) => table,
                (false, Command::Add) => 0,
                (false, _) => ALL_TABLES,
            },
            command,
            idle_timeout,
            hard_timeout,
            priority,
            buffer: self.buffer,
            out_port: self.out_port,
            out_group: ANY_GROUP,
            flags: self.flags,
            importance: 0,
            new_cookie: None,
            matches,
            instructions: Instructions::of_actions(actions),
        })
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
