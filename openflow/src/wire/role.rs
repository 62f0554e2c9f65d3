//! What a controller may do: OpenFlow 1.3 section 7.3.9, 1.5 section 7.3.8, and Nicira's extension of 1.0.
use super::{Fault, Reader, Version, nicira};
use alloc::vec::Vec;

/// A controller's role at a switch (OpenFlow 1.3 section 6.3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Role {
    /// May do everything, as all others may.
    Equal = 1,
    /// May do everything; at most one.
    Master = 2,
    /// May look, and is told of ports only.
    Slave = 3,
}

/// A role with the generation of the election that gave it: a switch refuses an older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleState {
    /// The role.
    pub role: Role,
    /// The election's number; 1.0 has none.
    pub generation: u64,
}

impl RoleState {
    /// Writes the body of a request, which in 1.0 is an experimenter's message.
    pub fn emit(&self, version: Version, out: &mut Vec<u8>) {
        if version == Version::V10 {
            out.extend_from_slice(&nicira::NICIRA.to_be_bytes());
            out.extend_from_slice(&nicira::message::ROLE_REQUEST.to_be_bytes());
            return out.extend_from_slice(&(self.role as u32 - 1).to_be_bytes());
        }
        out.extend_from_slice(&(self.role as u32).to_be_bytes());
        // In 1.5 a number for the controller, all ones for none; padding before.
        out.extend_from_slice(if version == Version::V15 { &[0xff, 0xff, 0, 0] } else { &[0; 4] });
        out.extend_from_slice(&self.generation.to_be_bytes());
    }

    /// Reads the body of a reply, or of a role-status message (1.4), which has a reason where the other has padding.
    ///
    /// # Errors
    /// [`Fault::BadLength`]; [`Fault::RoleBad`]; [`Fault::BadExperimenter`] for an experimenter's message that is no reply.
    pub fn parse(version: Version, body: &[u8]) -> Result<Self, Fault> {
        let mut reader = Reader(body);
        if version == Version::V10
            && (reader.u32()?, reader.u32()?) != (nicira::NICIRA, nicira::message::ROLE_REPLY)
        {
            return Err(Fault::BadExperimenter);
        }
        let number = reader.u32()?;
        let role = match if version == Version::V10 { number.wrapping_add(1) } else { number } {
            1 => Role::Equal,
            2 => Role::Master,
            3 => Role::Slave,
            _ => return Err(Fault::RoleBad),
        };
        if version == Version::V10 {
            return Ok(Self { role, generation: 0 });
        }
        reader.skip(4)?;
        Ok(Self { role, generation: reader.u64()? })
    }
}
