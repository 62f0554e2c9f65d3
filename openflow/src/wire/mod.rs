//! Codecs: messages, matches, actions, instructions of OpenFlow 1.0, 1.3, 1.4 and 1.5.
pub mod action;
mod asynchronous;
mod build;
mod fault;
pub mod field;
pub mod flow_mod;
pub mod group;
mod instruction;
pub mod match10;
mod message;
pub mod nicira;
pub mod oxm;
mod oxs;
pub mod port;
pub mod properties;
mod role;

pub use action::{Action, CopyField, FieldValue};
pub use asynchronous::{Features, FlowRemoved, PacketIn, PacketOut, PortReason, emit_packet_out};
pub use fault::{Fault, ONF};
pub use field::{Field, Key, Match};
pub use flow_mod::{Command, FlowMod};
pub use group::{Band, Bucket, GroupCommand, GroupMod, GroupType, MeterMod};
pub use instruction::{Instructions, Trigger};
pub use message::{HEADER, Header, Kind, Reader, Version, common_version};
pub use oxs::Statistics;
pub use role::{Role, RoleState};

use alloc::vec::Vec;

/// Appends a message with what `body` writes.
pub fn emit(version: Version, kind: Kind, xid: u32, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[version as u8, kind.number(version), 0, 0]);
    out.extend_from_slice(&xid.to_be_bytes());
    body(out);
    let length = u16::try_from(out.len() - at).unwrap_or(u16::MAX);
    out[at + 2..at + 4].copy_from_slice(&length.to_be_bytes());
}
