//! Actions: OpenFlow 1.0 section 5.2.4, 1.3 section 7.2.5.
use super::{
    Fault, Reader, Version,
    field::{Field, fits},
    oxm::Oxm,
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
    fn new(bytes: &[u8]) -> Self {
        let mut value = [0; 16];
        let width = bytes.len().min(16);
        value[..width].copy_from_slice(&bytes[..width]);
        Self(value)
    }
}

/// Whether an action may set the field (section 7.2.5.11: all but those that say where a packet came from).
const fn may_be_set(field: Field) -> bool {
    !matches!(
        field,
        Field::InPort
            | Field::InPhyPort
            | Field::Metadata
            | Field::Ipv6Exthdr
            | Field::EthType
            | Field::PbbIsid
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
            Version::V13 => Self::parse_13(kind, Reader(body)),
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
            0xffff => return Err(Fault::BadActionExperimenter),
            _ => return Err(Fault::BadActionType),
        })
    }

    fn parse_13(kind: u16, mut body: Reader<'_>) -> Result<Self, Fault> {
        let fixed = match kind {
            0 => 12,
            25 | 0xffff => body.rest().len(),
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
                if oxm.mask.is_some() || !may_be_set(oxm.field) {
                    return Err(Fault::BadSetType);
                }
                if padding > 7 {
                    return Err(Fault::BadSetLength);
                }
                if !fits(oxm.field, oxm.value) {
                    return Err(Fault::BadSetArgument);
                }
                Self::SetField(oxm.field, FieldValue::new(oxm.value))
            }
            0xffff => return Err(Fault::BadActionExperimenter),
            _ => return Err(Fault::BadActionType),
        })
    }

    /// Writes the action as `version` has it; one that the version does not have is left out.
    pub fn emit(&self, version: Version, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        let kind = match version {
            Version::V10 => self.emit_10(out),
            Version::V13 => self.emit_13(out),
        };
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

    fn emit_13(&self, out: &mut Vec<u8>) -> Option<u16> {
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
                Oxm { field, value: value.bytes(field), mask: None }.emit(out);
                25
            }
            Self::Enqueue { .. }
            | Self::SetVlanVid(_)
            | Self::SetVlanPcp(_)
            | Self::SetTransportSrc(_)
            | Self::SetTransportDst(_) => return None,
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
