//! Matches as OXM: OpenFlow 1.3 section 7.2.3.
use super::{
    Fault, Reader,
    field::{FIELDS, Field, Key, Match, fits, full_mask},
};
use alloc::vec::Vec;

/// The class of the specification's own fields.
const OPENFLOW_BASIC: u16 = 0x8000;

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
        let bad_length = |_| Fault::BadMatchLength;
        let class = reader.u16().map_err(bad_length)?;
        let [number, length] = reader.array().map_err(bad_length)?;
        let payload = reader.take(usize::from(length)).map_err(bad_length)?;
        let field = Field::from_number(number >> 1)
            .filter(|_| class == OPENFLOW_BASIC)
            .ok_or(Fault::BadMatchField)?;
        let has_mask = number & 1 != 0;
        let width = field.layout().width;
        if payload.len() != width * (1 + usize::from(has_mask)) {
            return Err(Fault::BadMatchLength);
        }
        let (value, mask) = payload.split_at(width);
        Ok(Self { field, value, mask: has_mask.then_some(mask) })
    }

    /// Writes one field.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&OPENFLOW_BASIC.to_be_bytes());
        out.push((self.field as u8) << 1 | u8::from(self.mask.is_some()));
        out.push((self.value.len() + self.mask.map_or(0, <[u8]>::len)) as u8);
        out.extend_from_slice(self.value);
        out.extend_from_slice(self.mask.unwrap_or(&[]));
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
    let mut fields = Reader(reader.take(fields).map_err(|_| Fault::BadMatchLength)?);
    reader.skip(length.next_multiple_of(8) - length).map_err(|_| Fault::BadMatchLength)?;
    let mut found = Match::ANY;
    let mut seen = 0_u64;
    while !fields.is_empty() {
        let oxm = Oxm::parse(&mut fields)?;
        let layout = oxm.field.layout();
        if seen & 1 << oxm.field as u8 != 0 {
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
pub fn emit_match(found: &Match, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0, 1, 0, 0]);
    emit_fields(found, out);
    let length = out.len() - start;
    out[start + 2..start + 4].copy_from_slice(&(length as u16).to_be_bytes());
    out.resize(start + length.next_multiple_of(8), 0);
}

/// Writes the fields of a match one after the other, those that others need first.
fn emit_fields(found: &Match, out: &mut Vec<u8>) {
    for layout in &FIELDS {
        let mask = found.mask.get(layout.field);
        if mask.iter().any(|byte| *byte != 0) {
            let exact = full_mask(layout.field, mask);
            let mask = (!exact).then_some(mask);
            Oxm { field: layout.field, value: found.value.get(layout.field), mask }.emit(out);
        }
    }
}

/// The fields of a packet that a packet-in tells: where it came in and what the pipeline added.
pub fn emit_packet_fields(key: &Key, out: &mut Vec<u8>) {
    let mut told = Match::ANY.exact(Field::InPort, key.number(Field::InPort));
    if key.number(Field::Metadata) != 0 {
        told = told.exact(Field::Metadata, key.number(Field::Metadata));
    }
    if key.number(Field::TunnelId) != 0 {
        told = told.exact(Field::TunnelId, key.number(Field::TunnelId));
    }
    emit_match(&told, out);
}
