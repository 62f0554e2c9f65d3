//! Zones from elsewhere: power cuts at every byte, and disks of other kinds.
use super::{
    tests::{Recorder, SECTOR, SECTORS, Said, entropy, every_cut, now},
    *,
};
use crate::zone::load;
use std::{format, string::String, vec};

/// The zone `name` in version `serial`, which grows with it and knows what has changed since the one before.
fn zone(name: &str, serial: u32, before: Option<&Zone>) -> Arc<Zone> {
    let mut text =
        format!("$TTL 60\n@ SOA ns admin {serial} 1 1 9 1\n@ NS ns\nns A 192.0.2.1\nnow TXT {serial}\n");
    for number in 0..serial % 7 {
        text += &format!("host{number} A 192.0.2.{number}\n");
    }
    let mut zone = load("test", text.as_bytes(), &name.parse().unwrap(), |_| Err(String::new())).unwrap();
    if let Some(before) = before {
        zone.succeed(before, 1 << 20);
    }
    Arc::new(zone)
}

/// What is kept: name, serial and when it was confirmed.
type State = Vec<(String, u32, u64)>;

fn state(copies: &[Copy]) -> State {
    let mut state: State = copies
        .iter()
        .map(|copy| (format!("{}", copy.zone.apex().name()), copy.zone.serial(), copy.confirmed))
        .collect();
    state.sort();
    state
}

/// Keeps two zones in many versions, one whole now and then and one forgotten for a while; the states after each step.
fn work(disk: &mut Recorder) -> (Vec<State>, u32) {
    let (mut journal, found) = now(Journal::open_copies(&mut *disk, 1 << 20, &entropy())).unwrap();
    assert!(found.is_empty());
    let (mut kept, mut states, mut rewritten): (Vec<Copy>, _, _) = (vec![], vec![State::new()], 0);
    for step in 1..25_u32 {
        let name = if step % 3 == 0 { "two.example" } else { "one.example" };
        let place = kept.iter().position(|copy| copy.zone.apex().name().to_string().starts_with(&name[..3]));
        let old = place.map(|place| kept.remove(place));
        let (confirmed, apex) = (u64::from(1000 + step), name.parse::<NameBuf>().unwrap());
        let written = if step % 11 == 0 && old.is_some() {
            now(journal.forget(apex.as_name()))
        } else if let (0, Some(old)) = (step % 5, &old) {
            kept.push(Copy { zone: old.zone.clone(), confirmed });
            now(journal.confirm(apex.as_name(), confirmed))
        } else {
            // Every other time as a version whose changes nobody knows, and as one two changes away.
            let before = old.as_ref().map(|old| &*old.zone);
            let serial = before.map_or(step, |before| before.serial() + 1);
            let middle = zone(name, serial, before.filter(|_| step % 2 == 0));
            let last = if step % 4 == 0 { zone(name, serial + 1, Some(&middle)) } else { middle };
            kept.push(Copy { zone: last, confirmed });
            now(journal.keep_copy(before, kept.last().unwrap()))
        };
        match written {
            Ok(()) => {}
            Err(JournalError::Full) => {
                now(journal.rewrite_copies(&kept, &entropy())).unwrap();
                rewritten += 1;
            }
            Err(error) => panic!("{error}"),
        }
        states.push(state(&kept));
        journal.device.said.push(Said::Answered(step));
    }
    (states, rewritten)
}

fn recovered(disk: Vec<u8>) -> Result<Vec<Copy>, JournalError<airglow_device::RamDiskError>> {
    let mut disk = Recorder { disk, said: vec![] };
    now(Journal::open_copies(&mut disk, 0, &entropy())).map(|(_, copies)| copies)
}

fn new_disk() -> Recorder {
    Recorder { disk: vec![0; SECTOR * SECTORS as usize], said: vec![] }
}

#[test]
fn after_a_power_cut_at_every_byte_a_secondary_has_what_it_had() {
    let mut disk = new_disk();
    let (states, rewritten) = work(&mut disk);
    assert!(rewritten >= 1, "the journal was full {rewritten} times");
    let (mut cuts, texts) = (0, std::cell::RefCell::new(BTreeMap::new()));
    let check = |image: Vec<u8>, answered: u32| {
        let copies = recovered(image).unwrap_or_else(|error| panic!("after {answered}: {error}"));
        for copy in &copies {
            let (name, serial) = (format!("{}", copy.zone.apex().name()), copy.zone.serial());
            let mut texts = texts.borrow_mut();
            let expected = texts
                .entry((name.clone(), serial))
                .or_insert_with(|| format!("{}", zone(name.trim_end_matches('.'), serial, None)));
            assert_eq!(format!("{}", copy.zone), *expected);
        }
        let found = state(&copies);
        let (before, after) = (&states[answered as usize], states.get(answered as usize + 1));
        for name in ["one.example.", "two.example."] {
            let of = |state: &State| state.iter().find(|entry| entry.0 == name).cloned();
            let (found, before, after) = (of(&found), of(before), after.and_then(of));
            // Between the two: a version on the way, with the time of the one before.
            let between =
                found.as_ref().zip(before.as_ref()).zip(after.as_ref()).is_some_and(|((f, b), a)| {
                    (b.1..=a.1).contains(&f.1) && (f.2 == b.2 || (f.1, f.2) == (a.1, a.2))
                });
            assert!(found == before || found == after || between, "{found:?}: {before:?}, {after:?}");
        }
    };
    let durable = every_cut(&disk.said, 0, &mut cuts, check);
    assert!(cuts > 5_000, "{cuts} cuts");
    assert_eq!(state(&recovered(durable).unwrap()), *states.last().unwrap());
}

#[test]
fn a_snapshot_that_was_cut_short_is_no_part_of_the_next() {
    let mut disk = new_disk();
    let (mut journal, _) = now(Journal::open_copies(&mut disk, 0, &entropy())).unwrap();
    let first = Copy { zone: zone("one.example", 6, None), confirmed: 1 };
    // The beginning and a piece, as a larger zone has them, and then no more.
    let apex = first.zone.apex().name();
    now(journal.keep(&[&[SNAPSHOT_BEGIN], apex.as_bytes()].concat())).unwrap();
    let piece = Pieces::new(&first.zone, 300).next_payload().unwrap();
    assert_eq!(piece[0], SNAPSHOT);
    now(journal.keep(&piece)).unwrap();
    let second = Copy { zone: zone("one.example", 14, None), confirmed: 2 };
    let (mut journal, found) = now(Journal::open_copies(&mut disk, 0, &entropy())).unwrap();
    assert!(found.is_empty());
    now(journal.keep_copy(None, &second)).unwrap();
    let found = recovered(disk.disk.clone()).unwrap();
    assert_eq!(format!("{}", found[0].zone), format!("{}", second.zone));
    // Neither kind of journal is taken for the other.
    let other = now(Journal::open(&mut disk, &mut Zones::new(), 0, &entropy())).err();
    assert_eq!(other, Some(JournalError::NotAJournal));
}

#[test]
fn damaged_copies_are_no_panic_and_no_other_zone() {
    let mut disk = new_disk();
    work(&mut disk);
    for at in 0..disk.disk.len() {
        let mut damaged = disk.disk.clone();
        damaged[at] ^= 0x81;
        for copy in recovered(damaged).unwrap_or_default() {
            let name = format!("{}", copy.zone.apex().name());
            let whole = zone(name.trim_end_matches('.'), copy.zone.serial(), None);
            assert_eq!(format!("{}", copy.zone), format!("{whole}"), "byte {at}");
        }
    }
}
