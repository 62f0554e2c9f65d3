//! Groups and meters: OpenFlow 1.3 sections 7.3.4.2 and 7.3.4.4, 1.5 sections 7.3.4.3 and 7.3.4.5.
use super::{
    Fault, Reader, Version,
    action::{self, Action},
    port, properties,
};
use alloc::vec::Vec;

/// How a group chooses among its buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum GroupType {
    /// Every bucket gets a copy.
    All = 0,
    /// One bucket, by weight.
    Select = 1,
    /// The only bucket.
    Indirect = 2,
    /// The first bucket that lives.
    FastFailover = 3,
}

/// What a group may do with a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its number in the group (1.5); before, its place.
    pub id: u32,
    /// Its share in a select group.
    pub weight: u16,
    /// The port whose life it shares, in a fast-failover group.
    pub watch_port: u32,
    /// The group whose life it shares.
    pub watch_group: u32,
    /// Its action set.
    pub actions: Vec<Action>,
}

/// What becomes of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the specification's")]
#[repr(u16)]
pub enum GroupCommand {
    Add = 0,
    Modify = 1,
    Delete = 2,
    /// Puts buckets at a place in it (1.5).
    InsertBucket = 3,
    /// Takes buckets out of it (1.5).
    RemoveBucket = 5,
    /// Open vSwitch's: adds it or, when it is there, modifies it.
    AddOrModify = 0x8000,
}

/// A change of the group table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMod {
    /// What to do.
    pub command: GroupCommand,
    /// How it chooses.
    pub kind: GroupType,
    /// Its number; 0xfffffffc: all, when deleting.
    pub id: u32,
    /// Behind which bucket others go in, or which one goes out (1.5).
    pub command_bucket: u32,
    /// Its buckets.
    pub buckets: Vec<Bucket>,
}

/// All groups, in requests.
pub const ALL_GROUPS: u32 = 0xffff_fffc;
/// Largest number of a group.
pub const MAX_GROUP: u32 = 0xffff_ff00;
/// Largest number of a bucket.
pub const MAX_BUCKET: u32 = 0xffff_ff00;
/// The first bucket of a group, in requests.
pub const FIRST_BUCKET: u32 = 0xffff_fffd;
/// The last bucket of a group, in requests.
pub const LAST_BUCKET: u32 = 0xffff_fffe;
/// All buckets of a group, in requests.
pub const ALL_BUCKETS: u32 = 0xffff_ffff;
/// Largest number of a meter.
pub const MAX_METER: u32 = 0xffff_0000;
/// All meters, in requests.
pub const ALL_METERS: u32 = 0xffff_ffff;

/// Properties of a bucket.
const WEIGHT: u16 = 0;
const WATCH_PORT: u16 = 1;
const WATCH_GROUP: u16 = 2;

impl GroupMod {
    /// Reads the body of a message.
    ///
    /// # Errors
    /// The fault that the specification names (`OFPET_GROUP_MOD_FAILED`), or an action's.
    pub fn parse(version: Version, body: &[u8]) -> Result<Self, Fault> {
        let mut reader = Reader(body);
        let command = reader.u16()?;
        let kind = match reader.u8()? {
            0 => GroupType::All,
            1 => GroupType::Select,
            2 => GroupType::Indirect,
            3 => GroupType::FastFailover,
            _ => return Err(Fault::BadGroupType),
        };
        reader.skip(1)?;
        let id = reader.u32()?;
        let mut command_bucket = ALL_BUCKETS;
        let buckets = if version == Version::V15 {
            let length = usize::from(reader.u16()?);
            reader.skip(2)?;
            command_bucket = reader.u32()?;
            let buckets = parse_buckets(version, Reader(reader.take(length)?), kind)?;
            // Properties of the whole group are experimenters' alone.
            if !reader.is_empty() {
                return Err(match properties::parse(&mut reader)?.0 {
                    0xffff => Fault::PropertyExperimenter,
                    _ => Fault::BadPropertyType,
                });
            }
            buckets
        } else {
            parse_buckets(version, reader, kind)?
        };
        let command = match command {
            0 => GroupCommand::Add,
            1 => GroupCommand::Modify,
            2 => GroupCommand::Delete,
            3 if version == Version::V15 => GroupCommand::InsertBucket,
            5 if version == Version::V15 => GroupCommand::RemoveBucket,
            0x8000 => GroupCommand::AddOrModify,
            _ => return Err(Fault::BadGroupCommand),
        };
        Ok(Self { command, kind, id, command_bucket, buckets })
    }

    /// Writes the body of a message.
    pub fn emit(&self, version: Version, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.command as u16).to_be_bytes());
        out.extend_from_slice(&[self.kind as u8, 0]);
        out.extend_from_slice(&self.id.to_be_bytes());
        let at = out.len();
        if version == Version::V15 {
            out.extend_from_slice(&[0; 4]);
            out.extend_from_slice(&self.command_bucket.to_be_bytes());
        }
        let start = out.len();
        emit_buckets(version, self.kind, &self.buckets, out);
        if version == Version::V15 {
            let length = (out.len() - start) as u16;
            out[at..at + 2].copy_from_slice(&length.to_be_bytes());
        }
    }
}

fn parse_buckets(version: Version, mut reader: Reader<'_>, kind: GroupType) -> Result<Vec<Bucket>, Fault> {
    let bad = |_| Fault::BadBucket;
    let mut buckets = Vec::new();
    while !reader.is_empty() {
        let length = usize::from(reader.u16()?);
        let inside = reader.take(length.checked_sub(2).ok_or(Fault::BadBucket)?);
        let mut inside = Reader(inside.map_err(bad)?);
        if version == Version::V15 {
            let length = usize::from(inside.u16().map_err(bad)?);
            let id = inside.u32().map_err(bad)?;
            let actions = action::parse_list(version, inside.take(length).map_err(bad)?)?;
            // A share of one where none is named (section 7.3.4.3.1).
            let weight = u16::from(kind == GroupType::Select);
            let mut bucket = Bucket { id, weight, watch_port: port::ANY, watch_group: port::ANY, actions };
            while !inside.is_empty() {
                match properties::parse(&mut inside)? {
                    (WEIGHT, mut property) => {
                        bucket.weight = property.u16().map_err(|_| Fault::BadPropertyLength)?
                    }
                    (WATCH_PORT, mut property) => {
                        bucket.watch_port = property.u32().map_err(|_| Fault::BadPropertyLength)?
                    }
                    (WATCH_GROUP, mut property) => {
                        bucket.watch_group = property.u32().map_err(|_| Fault::BadPropertyLength)?
                    }
                    (0xffff, _) => return Err(Fault::PropertyExperimenter),
                    _ => return Err(Fault::BadPropertyType),
                }
            }
            buckets.push(bucket);
            continue;
        }
        let weight = inside.u16().map_err(bad)?;
        let (watch_port, watch_group) = (inside.u32().map_err(bad)?, inside.u32().map_err(bad)?);
        inside.skip(4).map_err(bad)?;
        let actions = action::parse_list(version, inside.rest())?;
        buckets.push(Bucket { id: buckets.len() as u32, weight, watch_port, watch_group, actions });
    }
    Ok(buckets)
}

/// Writes buckets as group descriptions and changes have them.
pub fn emit_buckets(version: Version, kind: GroupType, buckets: &[Bucket], out: &mut Vec<u8>) {
    for bucket in buckets {
        let at = out.len();
        out.extend_from_slice(&[0; 2]);
        let actions = |out: &mut Vec<u8>| bucket.actions.iter().for_each(|action| action.emit(version, out));
        if version == Version::V15 {
            out.extend_from_slice(&[0; 2]);
            out.extend_from_slice(&bucket.id.to_be_bytes());
            let start = out.len();
            actions(out);
            let length = (out.len() - start) as u16;
            out[at + 2..at + 4].copy_from_slice(&length.to_be_bytes());
            if kind == GroupType::Select || bucket.weight != 0 {
                properties::emit(WEIGHT, out, |out| {
                    out.extend_from_slice(&bucket.weight.to_be_bytes());
                    out.extend_from_slice(&[0; 2]);
                });
            }
            for (number, what) in [(WATCH_PORT, bucket.watch_port), (WATCH_GROUP, bucket.watch_group)] {
                if what != port::ANY {
                    properties::emit(number, out, |out| out.extend_from_slice(&what.to_be_bytes()));
                }
            }
        } else {
            out.extend_from_slice(&bucket.weight.to_be_bytes());
            out.extend_from_slice(&bucket.watch_port.to_be_bytes());
            out.extend_from_slice(&bucket.watch_group.to_be_bytes());
            out.extend_from_slice(&[0; 4]);
            actions(out);
        }
        let length = (out.len() - at) as u16;
        out[at..at + 2].copy_from_slice(&length.to_be_bytes());
    }
}

/// What a meter does beyond a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    /// Kilobits or packets a second.
    pub rate: u32,
    /// How much may come at once, in kilobits or packets.
    pub burst: u32,
    /// `None` drops; `Some(n)` raises the drop precedence of the DSCP by n.
    pub remark: Option<u8>,
}

/// A change of the meter table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterMod {
    /// 0 add, 1 modify, 2 delete.
    pub command: u16,
    /// Bit 0 kbit/s, bit 1 packets/s, bit 2 bursts, bit 3 statistics.
    pub flags: u16,
    /// Its number.
    pub id: u32,
    /// Its bands.
    pub bands: Vec<Band>,
}

impl MeterMod {
    /// Reads the body of a message.
    ///
    /// # Errors
    /// The fault that the specification names (`OFPET_METER_MOD_FAILED`).
    pub fn parse(body: &[u8]) -> Result<Self, Fault> {
        let mut reader = Reader(body);
        let (command, flags, id) = (reader.u16()?, reader.u16()?, reader.u32()?);
        let mut bands = Vec::new();
        while !reader.is_empty() {
            let (kind, length) = (reader.u16()?, reader.u16()?);
            let (rate, burst) = (reader.u32()?, reader.u32()?);
            if length != 16 {
                return Err(Fault::BadLength);
            }
            let [precedence, ..] = reader.array::<4>()?;
            let remark = match kind {
                1 => None,
                2 => Some(precedence),
                _ => return Err(Fault::BadBand),
            };
            bands.push(Band { rate, burst, remark });
        }
        if command > 2 {
            return Err(Fault::BadMeterCommand);
        }
        Ok(Self { command, flags, id, bands })
    }

    /// Writes the body of a message.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.command.to_be_bytes());
        out.extend_from_slice(&self.flags.to_be_bytes());
        out.extend_from_slice(&self.id.to_be_bytes());
        emit_bands(&self.bands, out);
    }
}

/// Writes bands as meter configurations and changes have them.
pub fn emit_bands(bands: &[Band], out: &mut Vec<u8>) {
    for band in bands {
        out.extend_from_slice(&if band.remark.is_some() { 2_u16 } else { 1 }.to_be_bytes());
        out.extend_from_slice(&16_u16.to_be_bytes());
        out.extend_from_slice(&band.rate.to_be_bytes());
        out.extend_from_slice(&band.burst.to_be_bytes());
        out.extend_from_slice(&[band.remark.unwrap_or(0), 0, 0, 0]);
    }
}
