//! Matches as OXM: OpenFlow 1.3 section 7.2.3; and as NXM, Nicira's extension of 1.0 that OXM grew from.
use super::{
    Fault, Reader, Version,
    fault::ONF,
    field::{FIELDS, Field, Key, Match, NXM_1, REGISTERS, fits, full_mask},
    port,
};
use alloc::vec::Vec;

/// Fields of experimenters.
const EXPERIMENTER: u16 = 0xffff;
/// The number of the flags of TCP, in OXM's own class and in the ONF's extension.
const TCP_FLAGS: u8 = 42;

/// One field of a match or of a set-field action.
#[derive(Clone, Copy, Debug)]
pub struct Oxm<'a> {
    /// The field.
    pub field: Field,
    /// Its value.
    pub value: &'a [u8],
    /// Its mask, when it has one.
    pub mask: Option<&'a [u8]>,
}

impl<'a> Oxm<'a> {
    /// Reads one field.
    ///
    /// # Errors
    /// [`Fault::BadMatchField`], [`Fault::BadMatchLength`].
    pub fn parse(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let header = FieldHeader::parse(reader)?;
        let payload = reader.take(header.length).map_err(|_| Fault::BadMatchLength)?;
        let field = header.field.ok_or(Fault::BadMatchField)?;
        let width = field.layout().width;
        if payload.len() != width * (1 + usize::from(header.masked)) {
            return Err(Fault::BadMatchLength);
        }
        let (value, mask) = payload.split_at(width);
        Ok(Self { field, value, mask: header.masked.then_some(mask) })
    }

    /// Writes one field, as `version` names it.
    pub fn emit(&self, version: Version, out: &mut Vec<u8>) {
        let masked = self.mask.is_some();
        emit_header(version, self.field, masked, self.value.len() * (1 + usize::from(masked)), out);
        out.extend_from_slice(self.value);
        out.extend_from_slice(self.mask.unwrap_or(&[]));
    }
}

/// What stands before a field's value; alone it names the field, as in copy-field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldHeader {
    /// The field, if it is known.
    pub field: Option<Field>,
    /// Its class.
    pub class: u16,
    /// Its number in the class.
    pub number: u8,
    /// A mask follows the value.
    pub masked: bool,
    /// Bytes of value and mask.
    pub length: usize,
}

impl FieldHeader {
    /// Reads a header.
    ///
    /// # Errors
    /// [`Fault::BadMatchLength`].
    pub fn parse(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let bad_length = |_| Fault::BadMatchLength;
        let class = reader.u16().map_err(bad_length)?;
        let [number, length] = reader.array().map_err(bad_length)?;
        let (masked, number) = (number & 1 != 0, number >> 1);
        let mut length = usize::from(length);
        let mut field = Field::from_header(class, number);
        if class == EXPERIMENTER {
            let experimenter = reader.u32().map_err(bad_length)?;
            length = length.checked_sub(4).ok_or(Fault::BadMatchLength)?;
            field = (experimenter == ONF && number == TCP_FLAGS).then_some(Field::TcpFlags);
        }
        Ok(Self { field, class, number, masked, length })
    }
}

/// Writes the header of a field whose value and mask have `length` bytes.
pub fn emit_header(version: Version, field: Field, masked: bool, length: usize, out: &mut Vec<u8>) {
    let early = field == Field::TcpFlags && matches!(version, Version::V13 | Version::V14);
    let (class, number) = match version {
        Version::V10 => field.nxm().unwrap_or(field.header()),
        _ if early => (EXPERIMENTER, TCP_FLAGS),
        _ => field.header(),
    };
    out.extend_from_slice(&class.to_be_bytes());
    out.push(number << 1 | u8::from(masked));
    out.push((length + if early { 4 } else { 0 }) as u8);
    if early {
        out.extend_from_slice(&ONF.to_be_bytes());
    }
}

/// Reads a match with its header and padding.
///
/// # Errors
/// The fault that the specification names for what is wrong (section 7.4.4, `OFPET_BAD_MATCH`).
pub fn parse_match(reader: &mut Reader<'_>) -> Result<Match, Fault> {
    let kind = reader.u16().map_err(|_| Fault::BadMatchLength)?;
    let length = usize::from(reader.u16().map_err(|_| Fault::BadMatchLength)?);
    if kind != 1 {
        return Err(Fault::BadMatchType);
    }
    let fields = length.checked_sub(4).ok_or(Fault::BadMatchLength)?;
    let fields = Reader(reader.take(fields).map_err(|_| Fault::BadMatchLength)?);
    reader.skip(length.next_multiple_of(8) - length).map_err(|_| Fault::BadMatchLength)?;
    parse_fields(fields, None)
}

/// Reads `length` bytes of fields and the padding behind them, as Nicira's messages have them. Cookie and mask may be among them.
///
/// # Errors
/// As [`parse_match`].
pub fn parse_nxm(reader: &mut Reader<'_>, length: usize, cookie: &mut (u64, u64)) -> Result<Match, Fault> {
    let fields = Reader(reader.take(length).map_err(|_| Fault::BadMatchLength)?);
    reader.skip(length.next_multiple_of(8) - length).map_err(|_| Fault::BadMatchLength)?;
    parse_fields(fields, Some(cookie))
}

/// Reads the fields that fill `fields`.
///
/// # Errors
/// As [`parse_match`].
pub fn parse_fields(mut fields: Reader<'_>, mut cookie: Option<&mut (u64, u64)>) -> Result<Match, Fault> {
    let mut found = Match::ANY;
    let mut seen = 0_u128;
    while !fields.is_empty() {
        let mut ahead = fields;
        let header = FieldHeader::parse(&mut ahead)?;
        if header.field.is_none() && header.class <= NXM_1 {
            let payload = ahead.take(header.length).map_err(|_| Fault::BadMatchLength)?;
            fields = ahead;
            let taken = match &mut cookie {
                Some(cookie) if (header.class, header.number) == (NXM_1, 30) => {
                    let mut payload = Reader(payload);
                    let value = payload.u64().map_err(|_| Fault::BadMatchLength)?;
                    **cookie = (value, if header.masked { payload.u64()? } else { u64::MAX });
                    payload.is_empty()
                }
                _ => special(&header, Reader(payload), &mut found)?,
            };
            if !taken {
                return Err(Fault::BadMatchLength);
            }
            continue;
        }
        let oxm = Oxm::parse(&mut fields)?;
        let layout = oxm.field.layout();
        // A register may be named in two ways.
        let register = REGISTERS.contains(&layout.offset) && found.tests(oxm.field);
        if seen & 1 << oxm.field as u8 != 0 || register {
            return Err(Fault::DuplicateField);
        }
        if !layout.needs.is_empty() && !layout.needs.iter().any(|(field, value)| has(&found, *field, *value))
        {
            return Err(Fault::BadPrerequisite);
        }
        if oxm.field == Field::VlanPcp
            && !(found.tests(Field::VlanVid) && found.value.number(Field::VlanVid) & 0x1000 != 0)
        {
            return Err(Fault::BadPrerequisite);
        }
        seen |= 1 << oxm.field as u8;
        if oxm.mask.is_some() && !layout.maskable {
            return Err(Fault::BadMatchMask);
        }
        put(&mut found, &oxm)?;
    }
    Ok(found)
}

/// Fields of NXM that write their value otherwise than OXM; `false`: of another length.
fn special(header: &FieldHeader, mut payload: Reader<'_>, found: &mut Match) -> Result<bool, Fault> {
    let bad_length = |_| Fault::BadMatchLength;
    match (header.class, header.number, header.masked) {
        // NXM_OF_IN_PORT: a port of 1.0.
        (0, 0, false) => {
            let port = port::from_10(payload.u16().map_err(bad_length)?);
            *found = found.exact(Field::InPort, port.into());
        }
        // NXM_OF_VLAN_TCI: the tag with its CFI set, all zero without a tag.
        (0, 4, masked) => {
            let tag = payload.u16().map_err(bad_length)?;
            let mask = if masked { payload.u16().map_err(bad_length)? } else { 0xffff };
            if tag & !mask != 0 {
                return Err(Fault::BadMatchMask);
            }
            for (field, shift, bits) in [(Field::VlanVid, 0, 0x1fff), (Field::VlanPcp, 13, 7)] {
                found.value.set(field, u64::from(tag >> shift & bits));
                found.mask.set(field, u64::from(mask >> shift & bits));
            }
        }
        // NXM_OF_IP_TOS: the DSCP with two zeros behind.
        (0, 5, false) => {
            let tos = payload.u8().map_err(bad_length)?;
            if !has(found, Field::EthType, 0x0800) && !has(found, Field::EthType, 0x86dd) {
                return Err(Fault::BadPrerequisite);
            }
            if tos & 3 != 0 {
                return Err(Fault::BadMatchValue);
            }
            *found = found.exact(Field::IpDscp, u64::from(tos >> 2));
        }
        (0, 0 | 5, true) => return Err(Fault::BadMatchMask),
        _ => return Err(Fault::BadMatchField),
    }
    Ok(payload.is_empty())
}

fn has(found: &Match, field: Field, value: u16) -> bool {
    found.is_exact(field) && found.value.number(field) == u64::from(value)
}

fn put(found: &mut Match, oxm: &Oxm<'_>) -> Result<(), Fault> {
    let layout = oxm.field.layout();
    if !fits(oxm.field, oxm.value) {
        return Err(Fault::BadMatchValue);
    }
    match oxm.mask {
        None => {
            let full = u128::MAX >> (128 - layout.bits);
            found.mask.get_mut(oxm.field).copy_from_slice(&full.to_be_bytes()[16 - layout.width..]);
        }
        Some(mask) => found.mask.get_mut(oxm.field).copy_from_slice(mask),
    }
    found.value.get_mut(oxm.field).copy_from_slice(oxm.value);
    let outside = oxm.value.iter().zip(found.mask.get(oxm.field)).any(|(value, mask)| value & !mask != 0);
    if outside { Err(Fault::BadMatchMask) } else { Ok(()) }
}

/// Writes a match with its header and padding.
pub fn emit_match(version: Version, found: &Match, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0, 1, 0, 0]);
    emit_fields(version, found, out);
    let length = out.len() - start;
    out[start + 2..start + 4].copy_from_slice(&(length as u16).to_be_bytes());
    out.resize(start + length.next_multiple_of(8), 0);
}

/// Writes the fields of a match one after the other, those that others need first; in 1.0 as NXM.
pub fn emit_fields(version: Version, found: &Match, out: &mut Vec<u8>) {
    let nxm = version == Version::V10;
    for layout in &FIELDS {
        let mask = found.mask.get(layout.field);
        // 1.5 has the registers as pairs.
        let other = if version == Version::V15 {
            layout.field.is_register()
        } else {
            layout.field.is_wide_register()
        };
        if other || mask.iter().all(|byte| *byte == 0) {
            // Nothing of it counts.
        } else if nxm && layout.field == Field::InPort {
            out.extend_from_slice(&[0, 0, 0, 2]);
            out.extend_from_slice(&port::to_10(found.value.number(Field::InPort) as u32).to_be_bytes());
        } else if nxm && layout.field == Field::IpDscp {
            out.extend_from_slice(&[0, 0, 5 << 1, 1, (found.value.number(Field::IpDscp) as u8) << 2]);
        } else if nxm && matches!(layout.field, Field::VlanVid | Field::VlanPcp) {
            if layout.field == Field::VlanVid || !found.tests(Field::VlanVid) {
                emit_tag(found, out);
            }
        } else {
            let exact = full_mask(layout.field, mask);
            let mask = (!exact).then_some(mask);
            Oxm { field: layout.field, value: found.value.get(layout.field), mask }.emit(version, out);
        }
    }
}

/// NXM_OF_VLAN_TCI.
fn emit_tag(found: &Match, out: &mut Vec<u8>) {
    let tag = |key: &Key| (key.number(Field::VlanPcp) << 13 | key.number(Field::VlanVid)) as u16;
    let mask = tag(&found.mask);
    let masked = mask != 0xffff;
    out.extend_from_slice(&[0, 0, 4 << 1 | u8::from(masked), if masked { 4 } else { 2 }]);
    out.extend_from_slice(&tag(&found.value).to_be_bytes());
    if masked {
        out.extend_from_slice(&mask.to_be_bytes());
    }
}

/// The fields of a packet that a packet-in tells: where it came in and what the pipeline added.
pub fn packet_fields(key: &Key) -> Match {
    let mut told = Match::ANY.exact(Field::InPort, key.number(Field::InPort));
    let added = FIELDS
        .iter()
        .map(|layout| layout.field)
        .filter(|field| matches!(field, Field::Metadata | Field::TunnelId) || field.is_register());
    for field in added {
        let value = key.number(field);
        if value != 0 {
            told = told.exact(field, value);
        }
    }
    told
}
