//! Extensions that Open vSwitch's programs use in every version, as its `nicira-ext.h` describes them; the actions first.
use super::{
    Action, Fault, Field, Reader, Version,
    action::{CopyField, FieldValue, may_be_set},
    fault::ONF,
    field::{fits, full_mask},
    oxm::{FieldHeader, Oxm, emit_header},
    port,
};
use alloc::vec::Vec;

/// Nicira as an experimenter.
pub const NICIRA: u32 = 0x2320;

/// Kinds of messages, by their numbers.
pub mod message {
    /// Asks for a role.
    pub const ROLE_REQUEST: u32 = 10;
    /// Answers that.
    pub const ROLE_REPLY: u32 = 11;
    /// Whether flows are told as NXM (1.0).
    pub const SET_FLOW_FORMAT: u32 = 12;
    /// A change of the flow table with a match in NXM.
    pub const FLOW_MOD: u32 = 13;
    /// A flow has gone, told in NXM.
    pub const FLOW_REMOVED: u32 = 14;
    /// Whether flow changes of 1.0 name their table.
    pub const FLOW_MOD_TABLE_ID: u32 = 15;
    /// How packets are told.
    pub const SET_PACKET_IN_FORMAT: u32 = 16;
    /// A packet with its metadata.
    pub const PACKET_IN: u32 = 17;
    /// Says that ages of flows are wanted: they always come.
    pub const FLOW_AGE: u32 = 18;
    /// Which reasons are told.
    pub const SET_ASYNC_CONFIG: u32 = 19;
    /// The controller's number, for `controller` actions.
    pub const SET_CONTROLLER_ID: u32 = 20;
    /// Ends a flow monitor.
    pub const FLOW_MONITOR_CANCEL: u32 = 21;
    /// Nothing more is told of flows.
    pub const FLOW_MONITOR_PAUSED: u32 = 22;
    /// They are told again.
    pub const FLOW_MONITOR_RESUMED: u32 = 23;
    /// As [`SET_ASYNC_CONFIG`], with properties as in 1.4.
    pub const SET_ASYNC_CONFIG2: u32 = 27;
    /// A packet as properties.
    pub const PACKET_IN2: u32 = 30;
}

mod kind {
    pub const RESUBMIT: u16 = 1;
    pub const SET_TUNNEL: u16 = 2;
    pub const SET_QUEUE: u16 = 4;
    pub const POP_QUEUE: u16 = 5;
    pub const REG_MOVE: u16 = 6;
    pub const REG_LOAD: u16 = 7;
    pub const SET_TUNNEL64: u16 = 9;
    pub const RESUBMIT_TABLE: u16 = 14;
    pub const EXIT: u16 = 17;
    pub const DEC_TTL: u16 = 18;
    pub const CONTROLLER: u16 = 20;
    pub const WRITE_METADATA: u16 = 22;
    pub const PUSH_MPLS: u16 = 23;
    pub const POP_MPLS: u16 = 24;
    pub const SET_MPLS_TTL: u16 = 25;
    pub const DEC_MPLS_TTL: u16 = 26;
    pub const SET_MPLS_LABEL: u16 = 30;
    pub const SET_MPLS_TC: u16 = 31;
    pub const REG_LOAD2: u16 = 33;
}

/// The ONF's extension 320.
const COPY_FIELD: u16 = 3200;

fn number(value: &FieldValue, field: Field) -> u128 {
    value.bytes(field).iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
}

fn value(field: Field, number: u128) -> FieldValue {
    let width = field.layout().width;
    FieldValue::new(number.to_be_bytes().get(16 - width..).unwrap_or(&[]))
}

/// A field under a mask; all of it as [`Action::SetField`], but for what 1.0 has an action of its own for, which means something else.
fn set(version: Version, field: Field, bits: FieldValue, mask: FieldValue) -> Action {
    let own = matches!(
        field,
        Field::TcpSrc | Field::TcpDst | Field::UdpSrc | Field::UdpDst | Field::VlanVid | Field::Metadata
    );
    if full_mask(field, mask.bytes(field)) && !(own && version == Version::V10) && may_be_set(field) {
        Action::SetField(field, bits)
    } else {
        Action::SetMaskedField(field, bits, mask)
    }
}

/// Reads what follows type and length of an action of an experimenter's.
pub(super) fn parse_action(version: Version, mut body: Reader<'_>) -> Result<Action, Fault> {
    let length = body.rest().len();
    let (experimenter, kind) = (body.u32()?, body.u16()?);
    match (experimenter, kind) {
        (ONF, COPY_FIELD) if matches!(version, Version::V13 | Version::V14) => {
            body.skip(2)?;
            let copy = CopyField::parse(&mut body, 2)?;
            return if body.rest().len() > 7 {
                Err(Fault::BadActionLength)
            } else {
                Ok(Action::CopyField(copy))
            };
        }
        (NICIRA, _) => {}
        _ => return Err(Fault::BadActionExperimenter),
    }
    let wanted = match kind {
        kind::REG_MOVE | kind::REG_LOAD2 => length,
        kind::REG_LOAD | kind::SET_TUNNEL64 => 20,
        kind::WRITE_METADATA => 28,
        _ => 12,
    };
    if length != wanted {
        return Err(Fault::BadActionLength);
    }
    let field = |body: &mut Reader<'_>| {
        let header = FieldHeader::parse(body).map_err(|_| Fault::BadActionLength)?;
        header.field.filter(|field| !header.masked && may_be_set(*field)).ok_or(Fault::BadSetType)
    };
    Ok(match kind {
        kind::RESUBMIT => Action::Resubmit { port: Some(port::from_10(body.u16()?)), table: None },
        kind::RESUBMIT_TABLE => {
            let (port, table) = (port::from_10(body.u16()?), body.u8()?);
            let port = (port != port::IN_PORT).then_some(port);
            Action::Resubmit { port, table: (table != 0xff).then_some(table) }
        }
        kind::SET_TUNNEL => {
            body.skip(2)?;
            Action::SetField(Field::TunnelId, value(Field::TunnelId, body.u32()?.into()))
        }
        kind::SET_TUNNEL64 => {
            body.skip(6)?;
            Action::SetField(Field::TunnelId, value(Field::TunnelId, body.u64()?.into()))
        }
        kind::SET_QUEUE => {
            body.skip(2)?;
            Action::SetQueue(body.u32()?)
        }
        kind::POP_QUEUE => Action::PopQueue,
        kind::REG_MOVE => {
            let copy = CopyField::parse(&mut body, 0)?;
            if body.rest().len() > 7 {
                return Err(Fault::BadActionLength);
            }
            Action::CopyField(copy)
        }
        kind::REG_LOAD => {
            let place = body.u16()?;
            let field = field(&mut body)?;
            let (offset, bits) = (u32::from(place >> 6), u32::from(place & 63) + 1);
            let load = u128::from(body.u64()?);
            if offset + bits > field.layout().bits || load >> bits != 0 {
                return Err(Fault::BadArgument);
            }
            let mask = u128::MAX >> (128 - bits);
            set(version, field, value(field, load << offset), value(field, mask << offset))
        }
        kind::REG_LOAD2 => {
            body.skip(6)?;
            let oxm = Oxm::parse(&mut body).map_err(|_| Fault::BadSetType)?;
            let field = oxm.field;
            let mut full = [0; 16];
            full[..field.layout().width].fill(0xff);
            let mask = oxm.mask.map_or(FieldValue(full), FieldValue::new);
            let fitting = fits(field, oxm.value) && (oxm.mask.is_none() || fits(field, mask.bytes(field)));
            let outside = oxm.value.iter().zip(mask.bytes(field)).any(|(value, mask)| value & !mask != 0);
            if !may_be_set(field) || body.rest().len() > 7 {
                return Err(Fault::BadSetType);
            }
            if !fitting || outside {
                return Err(Fault::BadSetArgument);
            }
            let mask = match oxm.mask {
                Some(_) => mask,
                None => value(field, u128::MAX >> (128 - field.layout().bits)),
            };
            set(version, field, FieldValue::new(oxm.value), mask)
        }
        kind::EXIT => Action::Exit,
        kind::DEC_TTL => Action::DecIpTtl,
        kind::CONTROLLER => Action::Controller { max_len: body.u16()?, id: body.u16()?, reason: body.u8()? },
        kind::WRITE_METADATA => {
            body.skip(6)?;
            let (bits, mask) = (body.u64()?, body.u64()?);
            let [bits, mask] = [bits & mask, mask].map(|number| value(Field::Metadata, number.into()));
            Action::SetMaskedField(Field::Metadata, bits, mask)
        }
        kind::PUSH_MPLS => match body.u16()? {
            tag @ (0x8847 | 0x8848) => Action::PushMpls(tag),
            _ => return Err(Fault::BadArgument),
        },
        kind::POP_MPLS => Action::PopMpls(body.u16()?),
        kind::SET_MPLS_TTL => Action::SetMplsTtl(body.u8()?),
        kind::DEC_MPLS_TTL => Action::DecMplsTtl,
        kind::SET_MPLS_LABEL => {
            body.skip(2)?;
            match body.u32()? {
                label @ 0..0x10_0000 => {
                    Action::SetField(Field::MplsLabel, value(Field::MplsLabel, label.into()))
                }
                _ => return Err(Fault::BadArgument),
            }
        }
        kind::SET_MPLS_TC => match body.u8()? {
            class @ 0..8 => Action::SetField(Field::MplsTc, value(Field::MplsTc, class.into())),
            _ => return Err(Fault::BadArgument),
        },
        _ => return Err(Fault::BadActionExperimenterType),
    })
}

/// Writes what follows type and length; `false`: there is no such action.
pub(super) fn emit_action(action: &Action, version: Version, out: &mut Vec<u8>) -> bool {
    let put = |out: &mut Vec<u8>, kind: u16, parts: &[&[u8]]| {
        out.extend_from_slice(&NICIRA.to_be_bytes());
        out.extend_from_slice(&kind.to_be_bytes());
        parts.iter().for_each(|part| out.extend_from_slice(part));
        // Sixteen octets at least, with type and length.
        let least = if parts.is_empty() { 6 } else { 0 };
        out.resize(out.len() + least, 0);
    };
    match *action {
        Action::CopyField(copy) if matches!(version, Version::V13 | Version::V14) => {
            out.extend_from_slice(&ONF.to_be_bytes());
            out.extend_from_slice(&COPY_FIELD.to_be_bytes());
            out.extend_from_slice(&[0; 2]);
            copy.emit(version, 2, out);
        }
        Action::CopyField(copy) => {
            put(out, kind::REG_MOVE, &[&[]]);
            copy.emit(version, 0, out);
        }
        Action::Resubmit { port, table: None } if port.is_some() => {
            let port = port::to_10(port.unwrap_or(port::IN_PORT));
            put(out, kind::RESUBMIT, &[&port.to_be_bytes(), &[0; 4]]);
        }
        Action::Resubmit { port, table } => {
            let port = port::to_10(port.unwrap_or(port::IN_PORT));
            put(out, kind::RESUBMIT_TABLE, &[&port.to_be_bytes(), &[table.unwrap_or(0xff), 0, 0, 0]]);
        }
        Action::Controller { max_len, id, reason } => {
            put(out, kind::CONTROLLER, &[&max_len.to_be_bytes(), &id.to_be_bytes(), &[reason, 0]]);
        }
        Action::PopQueue => put(out, kind::POP_QUEUE, &[]),
        Action::Exit => put(out, kind::EXIT, &[]),
        Action::DecIpTtl => put(out, kind::DEC_TTL, &[]),
        Action::SetQueue(queue) => put(out, kind::SET_QUEUE, &[&[0; 2], &queue.to_be_bytes()]),
        Action::PushMpls(tag) => put(out, kind::PUSH_MPLS, &[&tag.to_be_bytes(), &[0; 4]]),
        Action::PopMpls(tag) => put(out, kind::POP_MPLS, &[&tag.to_be_bytes(), &[0; 4]]),
        Action::SetMplsTtl(ttl) => put(out, kind::SET_MPLS_TTL, &[&[ttl, 0, 0, 0, 0, 0]]),
        Action::DecMplsTtl => put(out, kind::DEC_MPLS_TTL, &[]),
        Action::SetField(Field::TunnelId, tunnel) => match number(&tunnel, Field::TunnelId) as u64 {
            id @ 0..=0xffff_ffff => {
                put(out, kind::SET_TUNNEL, &[&[0; 2], &(id as u32).to_be_bytes()]);
            }
            id => put(out, kind::SET_TUNNEL64, &[&[0; 6], &id.to_be_bytes()]),
        },
        Action::SetMaskedField(Field::Metadata, bits, mask) => {
            let [bits, mask] = [bits, mask].map(|v| (number(&v, Field::Metadata) as u64).to_be_bytes());
            put(out, kind::WRITE_METADATA, &[&[0; 6], &bits, &mask]);
        }
        Action::SetField(field, bits) => {
            let mask = value(field, u128::MAX >> (128 - field.layout().bits));
            load(version, field, bits, mask, out);
        }
        Action::SetMaskedField(field, bits, mask) => load(version, field, bits, mask, out),
        _ => return false,
    }
    true
}

/// One run of at most 64 bits by `reg_load`, others by `reg_load2`.
fn load(version: Version, field: Field, bits: FieldValue, mask: FieldValue, out: &mut Vec<u8>) {
    let places = number(&mask, field);
    let (offset, count) = (places.trailing_zeros(), places.count_ones());
    out.extend_from_slice(&NICIRA.to_be_bytes());
    let run = count > 0 && count <= 64 && u128::MAX >> (128 - count) << offset == places;
    if run {
        out.extend_from_slice(&kind::REG_LOAD.to_be_bytes());
        out.extend_from_slice(&((offset as u16) << 6 | (count as u16 - 1)).to_be_bytes());
        emit_header(version, field, false, field.layout().width, out);
        out.extend_from_slice(&((number(&bits, field) >> offset) as u64).to_be_bytes());
    } else {
        out.extend_from_slice(&kind::REG_LOAD2.to_be_bytes());
        out.extend_from_slice(&[0; 6]);
        Oxm { field, value: bits.bytes(field), mask: Some(mask.bytes(field)) }.emit(version, out);
    }
}
