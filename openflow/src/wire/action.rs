//! Actions: OpenFlow 1.0 section 5.2.4, 1.3 section 7.2.5, 1.5 section 7.2.6; those of experimenters are in [`nicira`].
use super::{
    Fault, Reader, Version,
    field::{Field, fits},
    nicira,
    oxm::{FieldHeader, Oxm, emit_header},
    port,
};
use alloc::vec::Vec;

/// What is done to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub enum Action {
    /// Sends it; `max_len` is how much of it a controller gets.
    Output {
        port: u32,
        max_len: u16,
    },
    CopyTtlOut,
    CopyTtlIn,
    SetMplsTtl(u8),
    DecMplsTtl,
    /// With this tag type, 0x8100 or 0x88a8.
    PushVlan(u16),
    PopVlan,
    PushMpls(u16),
    /// What follows is this Ethernet type.
    PopMpls(u16),
    SetQueue(u32),
    /// OpenFlow 1.0: sends it through a queue of a port.
    Enqueue {
        port: u32,
        queue: u32,
    },
    Group(u32),
    SetIpTtl(u8),
    DecIpTtl,
    SetField(Field, FieldValue),
    /// Sets the bits of the mask: value, then mask (1.5; Nicira's `reg_load` before).
    SetMaskedField(Field, FieldValue, FieldValue),
    CopyField(CopyField),
    /// Through this meter (1.5).
    Meter(u32),
    /// Nicira: looks the packet up again, as if it had come in on this port, in this table; `None`: as it is.
    Resubmit {
        port: Option<u32>,
        table: Option<u8>,
    },
    /// Nicira: to the controllers with this number, with this reason.
    Controller {
        max_len: u16,
        id: u16,
        reason: u8,
    },
    /// Nicira: to the queue of before `SetQueue`.
    PopQueue,
    /// Nicira: nothing more is done.
    Exit,
    /// OpenFlow 1.0: the VLAN id, adding a tag where there is none.
    SetVlanVid(u16),
    /// OpenFlow 1.0: the VLAN priority, adding a tag where there is none.
    SetVlanPcp(u8),
    /// OpenFlow 1.0: the source port of TCP, UDP or SCTP, whichever it is.
    SetTransportSrc(u16),
    /// OpenFlow 1.0: the destination port.
    SetTransportDst(u16),
}

/// The value of a field of up to 16 bytes, at its front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldValue(pub [u8; 16]);

impl FieldValue {
    /// The bytes of `field`.
    pub fn bytes(&self, field: Field) -> &[u8] {
        &self.0[..field.layout().width]
    }
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut value = [0; 16];
        let width = bytes.len().min(16);
        value[..width].copy_from_slice(&bytes[..width]);
        Self(value)
    }
}

/// Bits that are copied from one field to another (1.5 section 7.2.6.9; the ONF's extension 320 and Nicira's `reg_move` before).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyField {
    /// How many.
    pub bits: u16,
    /// From which bit on, counted from the last.
    pub from: u16,
    /// To which bit on.
    pub to: u16,
    /// Out of this field ...
    pub source: Field,
    /// ... into this one.
    pub destination: Field,
}

impl CopyField {
    /// Reads what all three forms share; between counts and fields are `gap` bytes.
    pub(super) fn parse(body: &mut Reader<'_>, gap: usize) -> Result<Self, Fault> {
        let (bits, from, to) = (body.u16()?, body.u16()?, body.u16()?);
        body.skip(gap)?;
        let mut field = || {
            let header = FieldHeader::parse(body).map_err(|_| Fault::BadActionLength)?;
            header.field.filter(|_| !header.masked).ok_or(Fault::BadSetType)
        };
        let copy = Self { bits, from, to, source: field()?, destination: field()? };
        let fits = |at: u16, field: Field| u32::from(at) + u32::from(bits) <= field.layout().bits;
        if bits == 0 || !fits(from, copy.source) || !fits(to, copy.destination) {
            return Err(Fault::BadArgument);
        }
        if may_be_set(copy.destination) { Ok(copy) } else { Err(Fault::BadSetType) }
    }

    pub(super) fn emit(&self, version: Version, gap: usize, out: &mut Vec<u8>) {
        for number in [self.bits, self.from, self.to] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.resize(out.len() + gap, 0);
        for field in [self.source, self.destination] {
            emit_header(version, field, false, field.layout().width, out);
        }
    }
}

/// Whether an action may set the field (section 7.2.5.11: all but those that say where a packet came from).
pub const fn may_be_set(field: Field) -> bool {
    !matches!(
        field,
        Field::InPort
            | Field::InPhyPort
            | Field::Metadata
            | Field::Ipv6Exthdr
            | Field::EthType
            | Field::PbbIsid
            | Field::TcpFlags
            | Field::PacketType
    )
}

impl Action {
    /// Reads one action.
    ///
    /// # Errors
    /// The fault that the specification names (`OFPET_BAD_ACTION`).
    pub fn parse(version: Version, reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let kind = reader.u16().map_err(|_| Fault::BadActionLength)?;
        let length = usize::from(reader.u16().map_err(|_| Fault::BadActionLength)?);
        if length < 8 || length % 8 != 0 {
            return Err(Fault::BadActionLength);
        }
        let body = reader.take(length - 4).map_err(|_| Fault::BadActionLength)?;
        let action = match version {
            Version::V10 => Self::parse_10(kind, Reader(body)),
            _ => Self::parse_13(version, kind, Reader(body)),
        };
        action.map_err(|fault| if fault == Fault::BadLength { Fault::BadActionLength } else { fault })
    }

    fn parse_10(kind: u16, mut body: Reader<'_>) -> Result<Self, Fault> {
        let exact =
            |length: usize| if body.rest().len() == length { Ok(()) } else { Err(Fault::BadActionLength) };
        exact(if matches!(kind, 4 | 5 | 11) { 12 } else { 4 }).or(if kind == 0xffff {
            Ok(())
        } else {
            Err(Fault::BadActionLength)
        })?;
        let set = |field, bytes: &[u8]| Self::SetField(field, FieldValue::new(bytes));
        Ok(match kind {
            0 => Self::Output { port: port::from_10(body.u16()?), max_len: body.u16()? },
            1 => match body.u16()? {
                vid @ 0..=0xfff => Self::SetVlanVid(vid),
                _ => return Err(Fault::BadArgument),
            },
            2 => match body.u8()? {
                pcp @ 0..=7 => Self::SetVlanPcp(pcp),
                _ => return Err(Fault::BadArgument),
            },
            3 => Self::PopVlan,
            4 => set(Field::EthSrc, body.take(6)?),
            5 => set(Field::EthDst, body.take(6)?),
            6 => set(Field::Ipv4Src, body.take(4)?),
            7 => set(Field::Ipv4Dst, body.take(4)?),
            8 => match body.u8()? {
                tos if tos & 3 == 0 => set(Field::IpDscp, &[tos >> 2]),
                _ => return Err(Fault::BadArgument),
            },
            9 => Self::SetTransportSrc(body.u16()?),
            10 => Self::SetTransportDst(body.u16()?),
            11 => {
                let port = port::from_10(body.u16()?);
                body.skip(6)?;
                Self::Enqueue { port, queue: body.u32()? }
            }
            0xffff => return nicira::parse_action(Version::V10, body),
            _ => return Err(Fault::BadActionType),
        })
    }

    fn parse_13(version: Version, kind: u16, mut body: Reader<'_>) -> Result<Self, Fault> {
        let fixed = match kind {
            0 => 12,
            25 | 28 | 0xffff => body.rest().len(),
            _ => 4,
        };
        if body.rest().len() != fixed {
            return Err(Fault::BadActionLength);
        }
        Ok(match kind {
            0 => Self::Output { port: body.u32()?, max_len: body.u16()? },
            11 => Self::CopyTtlOut,
            12 => Self::CopyTtlIn,
            15 => Self::SetMplsTtl(body.u8()?),
            16 => Self::DecMplsTtl,
            17 => match body.u16()? {
                tag @ (0x8100 | 0x88a8) => Self::PushVlan(tag),
                _ => return Err(Fault::BadTag),
            },
            18 => Self::PopVlan,
            19 => match body.u16()? {
                tag @ (0x8847 | 0x8848) => Self::PushMpls(tag),
                _ => return Err(Fault::BadTag),
            },
            20 => Self::PopMpls(body.u16()?),
            21 => Self::SetQueue(body.u32()?),
            22 => Self::Group(body.u32()?),
            23 => Self::SetIpTtl(body.u8()?),
            24 => Self::DecIpTtl,
            25 => {
                let oxm = Oxm::parse(&mut body).map_err(|fault| match fault {
                    Fault::BadMatchLength => Fault::BadSetLength,
                    _ => Fault::BadSetType,
                })?;
                let padding = body.rest().len();
                if oxm.mask.is_some() && version != Version::V15 || !may_be_set(oxm.field) {
                    return Err(Fault::BadSetType);
                }
                if padding > 7 {
                    return Err(Fault::BadSetLength);
                }
                if !fits(oxm.field, oxm.value) {
                    return Err(Fault::BadSetArgument);
                }
                let value = FieldValue::new(oxm.value);
                match oxm.mask {
                    None => Self::SetField(oxm.field, value),
                    Some(mask) if !fits(oxm.field, mask) => return Err(Fault::BadSetMask),
                    Some(mask) if oxm.value.iter().zip(mask).any(|(value, mask)| value & !mask != 0) => {
                        return Err(Fault::BadSetMask);
                    }
                    Some(mask) => Self::SetMaskedField(oxm.field, value, FieldValue::new(mask)),
                }
            }
            28 if version == Version::V15 => {
                let copy = CopyField::parse(&mut body, 2)?;
                if body.rest().len() > 7 {
                    return Err(Fault::BadActionLength);
                }
                Self::CopyField(copy)
            }
            29 if version == Version::V15 => Self::Meter(body.u32()?),
            0xffff => return nicira::parse_action(version, body),
            _ => return Err(Fault::BadActionType),
        })
    }

    /// Writes the action as `version` has it; one that the version does not have is left out.
    pub fn emit(&self, version: Version, out: &mut Vec<u8>) {
        let set = |field, bytes: &[u8]| Self::SetField(field, FieldValue::new(bytes));
        match *self {
            Self::Enqueue { port, queue } if version != Version::V10 => {
                for part in [Self::SetQueue(queue), Self::Output { port, max_len: 0 }, Self::PopQueue] {
                    part.emit(version, out);
                }
            }
            // What 1.0 says without naming the protocol is said as for TCP, the VLAN as of a tag that is there.
            Self::SetVlanVid(vid) if version != Version::V10 => {
                set(Field::VlanVid, &(vid | 0x1000).to_be_bytes()).emit(version, out);
            }
            Self::SetVlanPcp(pcp) if version != Version::V10 => {
                set(Field::VlanPcp, &[pcp]).emit(version, out)
            }
            Self::SetTransportSrc(port) if version != Version::V10 => {
                set(Field::TcpSrc, &port.to_be_bytes()).emit(version, out);
            }
            Self::SetTransportDst(port) if version != Version::V10 => {
                set(Field::TcpDst, &port.to_be_bytes()).emit(version, out);
            }
            _ => self.emit_one(version, out),
        }
    }

    fn emit_one(&self, version: Version, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        let kind = match version {
            Version::V10 => self.emit_10(out),
            _ => self.emit_13(version, out),
        };
        let kind = kind.or_else(|| {
            out.truncate(start + 4);
            nicira::emit_action(self, version, out).then_some(0xffff)
        });
        let Some(kind) = kind else { return out.truncate(start) };
        let length = (out.len() - start).next_multiple_of(8);
        out.resize(start + length, 0);
        out[start..start + 2].copy_from_slice(&kind.to_be_bytes());
        out[start + 2..start + 4].copy_from_slice(&(length as u16).to_be_bytes());
    }

    fn emit_10(&self, out: &mut Vec<u8>) -> Option<u16> {
        let mut put = |bytes: &[u8]| out.extend_from_slice(bytes);
        Some(match *self {
            Self::Output { port, max_len } => {
                put(&port::to_10(port).to_be_bytes());
                put(&max_len.to_be_bytes());
                0
            }
            Self::SetVlanVid(vid) => {
                put(&vid.to_be_bytes());
                1
            }
            Self::SetVlanPcp(pcp) => {
                put(&[pcp]);
                2
            }
            Self::PopVlan => 3,
            Self::Enqueue { port, queue } => {
                put(&port::to_10(port).to_be_bytes());
                put(&[0; 6]);
                put(&queue.to_be_bytes());
                11
            }
            Self::SetTransportSrc(port) => {
                put(&port.to_be_bytes());
                9
            }
            Self::SetTransportDst(port) => {
                put(&port.to_be_bytes());
                10
            }
            Self::SetField(field, value) => {
                let bytes = value.bytes(field);
                match field {
                    Field::EthSrc | Field::EthDst => {
                        put(bytes);
                        if field == Field::EthSrc { 4 } else { 5 }
                    }
                    Field::Ipv4Src | Field::Ipv4Dst => {
                        put(bytes);
                        if field == Field::Ipv4Src { 6 } else { 7 }
                    }
                    Field::IpDscp => {
                        put(&[bytes[0] << 2]);
                        8
                    }
                    Field::VlanVid => {
                        put(&[bytes[0] & 0x0f, bytes[1]]);
                        1
                    }
                    Field::TcpSrc | Field::UdpSrc => {
                        put(bytes);
                        9
                    }
                    Field::TcpDst | Field::UdpDst => {
                        put(bytes);
                        10
                    }
                    _ => return None,
                }
            }
            _ => return None,
        })
    }

    fn emit_13(&self, version: Version, out: &mut Vec<u8>) -> Option<u16> {
        let mut put = |bytes: &[u8]| out.extend_from_slice(bytes);
        Some(match *self {
            Self::Output { port, max_len } => {
                put(&port.to_be_bytes());
                put(&max_len.to_be_bytes());
                put(&[0; 6]);
                0
            }
            Self::CopyTtlOut => 11,
            Self::CopyTtlIn => 12,
            Self::SetMplsTtl(ttl) => {
                put(&[ttl]);
                15
            }
            Self::DecMplsTtl => 16,
            Self::PushVlan(tag) => {
                put(&tag.to_be_bytes());
                17
            }
            Self::PopVlan => 18,
            Self::PushMpls(tag) => {
                put(&tag.to_be_bytes());
                19
            }
            Self::PopMpls(tag) => {
                put(&tag.to_be_bytes());
                20
            }
            Self::SetQueue(queue) => {
                put(&queue.to_be_bytes());
                21
            }
            Self::Group(group) => {
                put(&group.to_be_bytes());
                22
            }
            Self::SetIpTtl(ttl) => {
                put(&[ttl]);
                23
            }
            Self::DecIpTtl => 24,
            Self::SetField(field, value) => {
                Oxm { field, value: value.bytes(field), mask: None }.emit(version, out);
                25
            }
            Self::SetMaskedField(field, value, mask) if version == Version::V15 && may_be_set(field) => {
                Oxm { field, value: value.bytes(field), mask: Some(mask.bytes(field)) }.emit(version, out);
                25
            }
            Self::CopyField(copy) if version == Version::V15 => {
                copy.emit(version, 2, out);
                28
            }
            Self::Meter(meter) if version == Version::V15 => {
                put(&meter.to_be_bytes());
                29
            }
            _ => return None,
        })
    }
}

/// Reads a list of actions that fills `bytes`.
///
/// # Errors
/// The first action's that is wrong.
pub fn parse_list(version: Version, bytes: &[u8]) -> Result<Vec<Action>, Fault> {
    let mut reader = Reader(bytes);
    let mut actions = Vec::new();
    while !reader.is_empty() {
        actions.push(Action::parse(version, &mut reader)?);
    }
    Ok(actions)
}
