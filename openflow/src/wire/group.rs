//! Groups and meters: OpenFlow 1.3 sections 7.3.4.2 and 7.3.4.4.
use super::{
    Fault, Reader, Version,
    action::{self, Action},
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
    /// Its share in a select group.
    pub weight: u16,
    /// The port whose life it shares, in a fast-failover group.
    pub watch_port: u32,
    /// The group whose life it shares.
    pub watch_group: u32,
    /// Its action set.
    pub actions: Vec<Action>,
}

/// A change of the group table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMod {
    /// 0 add, 1 modify, 2 delete.
    pub command: u16,
    /// How it chooses.
    pub kind: GroupType,
    /// Its number; 0xfffffffc: all, when deleting.
    pub id: u32,
    /// Its buckets.
    pub buckets: Vec<Bucket>,
}

/// All groups, in requests.
pub const ALL_GROUPS: u32 = 0xffff_fffc;
/// Largest number of a group.
pub const MAX_GROUP: u32 = 0xffff_ff00;
/// Largest number of a meter.
pub const MAX_METER: u32 = 0xffff_0000;
/// All meters, in requests.
pub const ALL_METERS: u32 = 0xffff_ffff;

impl GroupMod {
    /// Reads the body of a message.
    ///
    /// # Errors
    /// The fault that the specification names (`OFPET_GROUP_MOD_FAILED`), or an action's.
    pub fn parse(body: &[u8]) -> Result<Self, Fault> {
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
        let mut buckets = Vec::new();
        while !reader.is_empty() {
            let length = usize::from(reader.u16()?);
            let mut bucket = Reader(
                reader.take(length.checked_sub(2).ok_or(Fault::BadBucket)?).map_err(|_| Fault::BadBucket)?,
            );
            let weight = bucket.u16().map_err(|_| Fault::BadBucket)?;
            let (watch_port, watch_group) =
                (bucket.u32().map_err(|_| Fault::BadBucket)?, bucket.u32().map_err(|_| Fault::BadBucket)?);
            bucket.skip(4).map_err(|_| Fault::BadBucket)?;
            buckets.push(Bucket {
                weight,
                watch_port,
                watch_group,
                actions: action::parse_list(Version::V13, bucket.rest())?,
            });
        }
        if command > 2 {
            return Err(Fault::BadGroupCommand);
        }
        Ok(Self { command, kind, id, buckets })
    }
}

/// Writes buckets as group descriptions and changes have them.
pub fn emit_buckets(buckets: &[Bucket], out: &mut Vec<u8>) {
    for bucket in buckets {
        let at = out.len();
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&bucket.weight.to_be_bytes());
        out.extend_from_slice(&bucket.watch_port.to_be_bytes());
        out.extend_from_slice(&bucket.watch_group.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        bucket.actions.iter().for_each(|action| action.emit(Version::V13, out));
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
