//! Dynamic updates: RFC 2136 section 3, from message to changed zone. Who may do it is for the caller to decide.
use crate::{
    wire::{Class, Message, NameBuf, Opcode, Rcode, Record, RecordType, Section, rdata},
    zone::{Change, Edit, Zone, is_newer, soa_numbers},
};
use alloc::{collections::BTreeMap, vec::Vec};

/// The zone that an UPDATE is for (section 2.3).
///
/// # Errors
/// The code of the reply.
pub fn zone_of(message: &Message<'_>) -> Result<NameBuf, Rcode> {
    if message.flags().opcode() != Opcode::UPDATE {
        return Err(Rcode::NOTIMP);
    }
    //= https://www.rfc-editor.org/rfc/rfc2136#section-3.1.1
    //# The Zone Section is checked to see that there is exactly one RR
    //# therein and that the RR's ZTYPE is SOA, else signal FORMERR to the
    //# requestor.
    let (zone, _) = message.question().map_err(|_| Rcode::FORMERR)?;
    if message.question_count() != 1 || zone.rtype != RecordType::SOA {
        return Err(Rcode::FORMERR);
    }
    if zone.class != Class::IN {
        return Err(Rcode::NOTAUTH);
    }
    Ok(zone.name)
}

/// What an UPDATE does to its zone: the new version and the change that leads to it, or `None` when nothing changes.
/// The zone gets a higher serial if the message does not give it one (section 3.6).
///
/// # Errors
/// The code of the reply: a prerequisite that does not hold (section 3.2), a record that is none or outside the zone
/// (3.4.1), REFUSED for a signed zone, whose signatures nobody would renew.
pub fn update(zone: &Zone, message: &Message<'_>) -> Result<Option<(Zone, Change)>, Rcode> {
    if zone.is_signed() {
        return Err(Rcode::REFUSED);
    }
    let mut edit = Edit::new(zone);
    let records = records(message)?;
    let apex = zone.apex().name();
    for record in &records {
        if record.section != Section::Additional && !record.name.as_name().is_within(apex) {
            return Err(Rcode::NOTZONE);
        }
    }
    prerequisites(&mut edit, &records)?;
    let changes: Vec<&Owned> = records.iter().filter(|record| record.section == Section::Authority).collect();
    changes.iter().try_for_each(|record| scan(record))?;
    for record in changes {
        apply(&mut edit, record);
    }
    if !edit.is_changed() {
        return Ok(None);
    }
    bump(&mut edit);
    let change = edit.change();
    let zone = edit.finish().map_err(|_| Rcode::SERVFAIL)?;
    Ok(Some((zone, change)))
}

/// A record of the message, its data without compression.
struct Owned {
    section: Section,
    name: NameBuf,
    rtype: RecordType,
    class: Class,
    ttl: u32,
    data: Vec<u8>,
}

fn records(message: &Message<'_>) -> Result<Vec<Owned>, Rcode> {
    let mut buffer = alloc::vec![0; 65_535];
    let mut owned = Vec::new();
    for record in message.records() {
        let record: Record<'_> = record.map_err(|_| Rcode::FORMERR)?;
        let data = if record.rdata.is_empty() || record.section == Section::Additional {
            Vec::new()
        } else {
            let (at, length) = (record.rdata_offset, record.rdata.len());
            let used = rdata::from_message(record.rtype, message.as_bytes(), at, length, &mut buffer)
                .map_err(|_| Rcode::FORMERR)?;
            buffer.get(..used).unwrap_or(&[]).to_vec()
        };
        owned.push(Owned {
            section: record.section,
            name: record.name,
            rtype: record.rtype,
            class: record.class,
            ttl: record.ttl,
            data,
        });
    }
    Ok(owned)
}

/// Section 3.2.
fn prerequisites(edit: &mut Edit<'_>, records: &[Owned]) -> Result<(), Rcode> {
    // Sets that must be there exactly as said, by owner and type.
    let mut sets: BTreeMap<(Vec<u8>, RecordType), Vec<&Owned>> = BTreeMap::new();
    for record in records.iter().filter(|record| record.section == Section::Answer) {
        if record.ttl != 0 {
            return Err(Rcode::FORMERR);
        }
        let name = record.name.as_name();
        let held = edit.records(name);
        let in_use = !held.is_empty();
        let set = held.iter().any(|held| held.rtype == record.rtype);
        match record.class {
            Class::ANY | Class::NONE if !record.data.is_empty() => return Err(Rcode::FORMERR),
            Class::ANY if record.rtype == RecordType::ANY && !in_use => return Err(Rcode::NXDOMAIN),
            Class::ANY if record.rtype != RecordType::ANY && !set => return Err(Rcode::NXRRSET),
            Class::NONE if record.rtype == RecordType::ANY && in_use => return Err(Rcode::YXDOMAIN),
            Class::NONE if record.rtype != RecordType::ANY && set => return Err(Rcode::YXRRSET),
            Class::ANY | Class::NONE => {}
            Class::IN if !record.rtype.is_meta() => {
                sets.entry((name.as_bytes().to_ascii_lowercase(), record.rtype)).or_default().push(record);
            }
            _ => return Err(Rcode::FORMERR),
        }
    }
    for ((_, rtype), wanted) in sets {
        let Some(first) = wanted.first() else { continue };
        let held = edit.records(first.name.as_name());
        let there = |data: &[u8]| wanted.iter().any(|record| rdata::equal(rtype, &record.data, data));
        let here = |data: &[u8]| {
            held.iter().any(|held| held.rtype == rtype && rdata::equal(rtype, &held.data, data))
        };
        let same = held.iter().filter(|held| held.rtype == rtype).all(|held| there(&held.data))
            && wanted.iter().all(|record| here(&record.data));
        if !same {
            return Err(Rcode::NXRRSET);
        }
    }
    Ok(())
}

/// Section 3.4.1: nothing is changed unless everything can be.
fn scan(record: &Owned) -> Result<(), Rcode> {
    let good = match record.class {
        Class::IN => {
            !record.rtype.is_meta()
                && !record.data.is_empty()
                && rdata::check(record.rtype, &record.data).is_ok()
        }
        Class::ANY => {
            record.ttl == 0
                && record.data.is_empty()
                && (!record.rtype.is_meta() || record.rtype == RecordType::ANY)
        }
        Class::NONE => record.ttl == 0 && !record.rtype.is_meta(),
        _ => false,
    };
    if good { Ok(()) } else { Err(Rcode::FORMERR) }
}

/// Section 3.4.2.
fn apply(edit: &mut Edit<'_>, record: &Owned) {
    let name = record.name.as_name();
    let at_apex = name == edit.before().apex().name();
    let rtype = record.rtype;
    match record.class {
        Class::IN => {
            let held = edit.records(name);
            let signature = |rtype| matches!(rtype, RecordType::RRSIG | RecordType::NSEC | RecordType::KEY);
            let others = held.iter().any(|held| held.rtype != RecordType::CNAME && !signature(held.rtype));
            let cname = held.iter().any(|held| held.rtype == RecordType::CNAME);
            let ignored = match rtype {
                RecordType::CNAME => others,
                RecordType::SOA => {
                    let serial = |data: &[u8]| soa_numbers(data).map(|(serial, _)| serial);
                    let old =
                        held.iter().find(|held| held.rtype == rtype).and_then(|held| serial(&held.data));
                    !old.zip(serial(&record.data)).is_some_and(|(old, new)| is_newer(new, old))
                }
                _ => cname && !signature(rtype),
            };
            if ignored {
                return;
            }
            // Of these a name has one: the new one takes the place of the old.
            if matches!(rtype, RecordType::CNAME | RecordType::SOA | RecordType::DNAME) {
                edit.retain(name, |held| held.rtype != rtype);
            }
            edit.add(name, rtype, if record.ttl > i32::MAX as u32 { 0 } else { record.ttl }, &record.data);
        }
        Class::ANY => {
            let stays = |held: RecordType| at_apex && matches!(held, RecordType::SOA | RecordType::NS);
            let meant = |held: RecordType| rtype == RecordType::ANY || held == rtype;
            edit.retain(name, |held| stays(held.rtype) || !meant(held.rtype));
        }
        _ => {
            let servers = edit.records(name).iter().filter(|held| held.rtype == RecordType::NS).count();
            let last = rtype == RecordType::NS && at_apex && servers <= 1;
            if rtype != RecordType::SOA && !last {
                edit.remove(name, rtype, &record.data);
            }
        }
    }
}

/// Gives the zone a higher serial, unless it has one already.
fn bump(edit: &mut Edit<'_>) {
    let (apex, before) = (edit.before().apex().name(), edit.before().serial());
    let soa = edit.records(apex).iter().find(|held| held.rtype == RecordType::SOA).cloned();
    let Some(mut soa) = soa.filter(|soa| soa_numbers(&soa.data).is_some_and(|(serial, _)| serial == before))
    else {
        return;
    };
    // Zero is skipped: some take it for "none" (RFC 2136 section 7.11).
    let next = before.wrapping_add(1).max(1);
    edit.remove(apex, RecordType::SOA, &soa.data);
    if let Some(numbers) = soa.data.last_chunk_mut::<20>() {
        numbers[..4].copy_from_slice(&next.to_be_bytes());
    }
    edit.add(apex, RecordType::SOA, soa.ttl, &soa.data);
}

#[cfg(test)]
mod tests;
