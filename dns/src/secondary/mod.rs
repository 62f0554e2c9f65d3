//! Zones that are kept from elsewhere: when to ask whom (RFC 1034 section 4.3.5), NOTIFY in and out (RFC 1996), what comes
//! in ([`Incoming`]), and which zones a catalog lists (RFC 9432). No I/O: [`shell`](crate::shell) does that.
mod catalog;
mod incoming;
mod notify;

pub use catalog::{CatalogError, Member, members};
pub use incoming::{Bounds, Incoming, Received, TransferError, ask};
pub use notify::{Notice, Notifier};

use crate::{
    NameServer,
    server::{Key, Notification},
    wire::{Name, NameBuf, Rcode, RecordType},
    zone::{Zone, is_newer},
};
use airglow_device::Instant;
use alloc::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec::Vec,
};
use core::time::Duration;

/// Another name server and the key that both know.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where it is, and how it is spoken to.
    pub server: NameServer,
    /// What signs what is said to it, and must sign what it answers.
    pub key: Option<Key>,
}

impl From<NameServer> for Peer {
    fn from(server: NameServer) -> Self {
        Self { server, key: None }
    }
}

/// Before the first transfer came: how soon to try again after the first failure, and at most how late.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LAST_RETRY: Duration = Duration::from_secs(900);
/// What an SOA's times are taken for at least and at most, seconds.
const SHORTEST: u32 = 1;
const LONGEST: u32 = 4 * 7 * 86_400;

/// What a zone's SOA says about keeping it: RFC 1035 section 3.3.13.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    refresh: Duration,
    retry: Duration,
    expire: Duration,
}

fn times(zone: &Zone) -> Option<Times> {
    let soa = zone.apex().set(RecordType::SOA)?;
    let numbers = soa.data().next()?.last_chunk::<16>()?;
    let seconds = |at: usize| {
        let word = u32::from_be_bytes([numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3]]);
        Duration::from_secs(u64::from(word.clamp(SHORTEST, LONGEST)))
    };
    Some(Times { refresh: seconds(0), retry: seconds(4), expire: seconds(8) })
}

struct Secondary {
    apex: NameBuf,
    /// What was begun under another number is no longer about this.
    number: u64,
    primaries: Arc<[Peer]>,
    /// Which primary is next.
    turn: usize,
    /// The times of the version that is here.
    times: Option<Times>,
    expires: Instant,
    /// When something is due; as it stands in the queue.
    due: Instant,
    failures: u32,
    running: bool,
    /// A NOTIFY came while a refresh was under way.
    again: bool,
    catalog: bool,
    /// The catalog that lists it.
    listed: Option<Listing>,
}

/// How a catalog lists a zone.
struct Listing {
    catalog: Vec<u8>,
    label: Vec<u8>,
    /// The catalog that may take it over.
    owner: Option<Vec<u8>>,
}

/// What a catalog's new version means for zones that were kept.
#[derive(Debug, Default)]
pub struct Listed {
    /// It no longer lists these: they are kept no longer.
    pub gone: Vec<NameBuf>,
    /// What was kept of these is forgotten (RFC 9432 section 5.4); they are kept anew.
    pub reset: Vec<NameBuf>,
    /// These are here already and not from this catalog, whose entries are ignored (section 5.2).
    pub clashing: Vec<NameBuf>,
}

/// What to do next.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time, and not for long")]
pub enum Next {
    /// Ask this primary about this zone, and then say [`Secondaries::succeeded`] or [`Secondaries::failed`].
    Refresh {
        /// The zone.
        apex: NameBuf,
        /// Whom to ask.
        primary: Peer,
    },
    /// No primary has been reached for the zone's expire time: it may no longer be served.
    Expired(NameBuf),
    /// Nothing before this instant.
    At(Instant),
}

/// The zones that are kept from elsewhere, by name.
#[derive(Default)]
pub struct Secondaries {
    zones: BTreeMap<Vec<u8>, Secondary>,
    queue: BTreeSet<(Instant, Vec<u8>)>,
    /// Whom members of a group are kept from.
    groups: BTreeMap<Vec<u8>, Arc<[Peer]>>,
    numbers: u64,
}

impl Secondaries {
    /// None yet.
    pub const fn new() -> Self {
        Self { zones: BTreeMap::new(), queue: BTreeSet::new(), groups: BTreeMap::new(), numbers: 0 }
    }
    /// Number of zones.
    pub fn len(&self) -> usize {
        self.zones.len()
    }
    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.zones.is_empty()
    }
    /// The names of the zones.
    pub fn names(&self) -> impl Iterator<Item = Name<'_>> {
        self.zones.values().map(|zone| zone.apex.as_name())
    }
    /// Whether this zone is kept from elsewhere, and whether it is a catalog.
    pub fn get(&self, apex: Name<'_>) -> Option<bool> {
        self.zones.get(&key(apex)).map(|zone| zone.catalog)
    }

    fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Changes when a zone is kept from others, or anew: what a refresh brings that began under another number is not to be
    /// taken, nor said to have [`succeeded`](Self::succeeded) or [`failed`](Self::failed).
    pub fn number(&self, apex: Name<'_>) -> Option<u64> {
        self.zones.get(&key(apex)).map(|zone| zone.number)
    }

    /// Whom a zone is kept from.
    pub fn primaries(&self, apex: Name<'_>) -> Option<Arc<[Peer]>> {
        self.zones.get(&key(apex)).map(|zone| zone.primaries.clone())
    }

    /// Keeps `apex` from `primaries`, of which the first that answers is asked. With `catalog` the zone is a catalog
    /// zone, whose members [`Self::list`] takes. What was there under this name is replaced.
    pub fn add(&mut self, apex: Name<'_>, primaries: Arc<[Peer]>, catalog: bool, now: Instant) {
        self.remove(apex);
        let zone = Secondary {
            apex: NameBuf::from_name(apex),
            number: self.next_number(),
            primaries,
            turn: 0,
            times: None,
            expires: Instant::MAX,
            due: now,
            failures: 0,
            running: false,
            again: false,
            catalog,
            listed: None,
        };
        self.queue.insert((now, key(apex)));
        self.zones.insert(key(apex), zone);
    }

    /// Keeps `apex` no longer.
    pub fn remove(&mut self, apex: Name<'_>) {
        if let Some(zone) = self.zones.remove(&key(apex)) {
            self.queue.remove(&(zone.due, key(apex)));
        }
    }

    /// Members of catalogs that are in this group (RFC 9432 section 4.4.2) are kept from `primaries`; the first group that is
    /// known counts. Others are kept from their catalog's own.
    pub fn set_group(&mut self, group: &[u8], primaries: Arc<[Peer]>) {
        self.groups.insert(group.to_vec(), primaries);
    }

    /// Takes the members of a catalog: new ones are kept from its primaries or their group's, and those that it no longer
    /// lists are kept no longer. A zone that is kept for another reason, or is `here`, stays as it is; one of another catalog
    /// too, unless that lets this one have it.
    pub fn list(
        &mut self,
        catalog: Name<'_>,
        members: &[Member],
        here: impl Fn(Name<'_>) -> bool,
        now: Instant,
    ) -> Listed {
        let own = key(catalog);
        let mut listed = Listed::default();
        let Some(default) = self.zones.get(&own).map(|zone| zone.primaries.clone()) else { return listed };
        let names: BTreeSet<Vec<u8>> = members.iter().map(|member| key(member.zone.as_name())).collect();
        let ours = |zone: &Secondary| zone.listed.as_ref().is_some_and(|listed| listed.catalog == own);
        let gone = self.zones.iter().filter(|(name, zone)| ours(zone) && !names.contains(*name));
        listed.gone = gone.map(|(_, zone)| zone.apex).collect();
        listed.gone.iter().for_each(|apex| self.remove(apex.as_name()));
        for member in members {
            let name = member.zone.as_name();
            let known = member.groups.iter().find_map(|group| self.groups.get(group));
            let primaries = known.unwrap_or(&default).clone();
            let listing = Listing {
                catalog: own.clone(),
                label: member.label.clone(),
                owner: member.owner.as_ref().map(|owner| key(owner.as_name())),
            };
            match self.zones.get_mut(&key(name)) {
                None if here(name) => {
                    listed.clashing.push(member.zone);
                    continue;
                }
                None => {}
                Some(zone) => {
                    let before = zone.listed.as_ref();
                    // Another catalog's member moves here only while that one's `coo` says so.
                    let before = before.filter(|old| old.catalog == own || old.owner.as_ref() == Some(&own));
                    let Some(before) = before else {
                        listed.clashing.push(member.zone);
                        continue;
                    };
                    // Under the same label what is kept of the zone moves with it.
                    if before.label == listing.label {
                        let moved = !same_servers(&zone.primaries, &primaries);
                        zone.listed = Some(listing);
                        if moved {
                            self.numbers += 1;
                            (zone.number, zone.running, zone.again) = (self.numbers, false, false);
                            (zone.primaries, zone.turn) = (primaries, 0);
                            self.schedule(&key(name), now);
                        }
                        continue;
                    }
                    listed.reset.push(member.zone);
                }
            }
            self.add(name, primaries, false, now);
            if let Some(zone) = self.zones.get_mut(&key(name)) {
                zone.listed = Some(listing);
            }
        }
        listed
    }

    /// The code of the reply to a NOTIFY. From a primary of the zone it makes a refresh due at once
    /// (RFC 1996 section 3.11); others are refused (section 3.10).
    pub fn notified(&mut self, notification: &Notification<'_>, now: Instant) -> Rcode {
        let key = key(notification.zone);
        let Some(zone) = self.zones.get_mut(&key) else { return Rcode::NOTAUTH };
        let known = zone.primaries.iter().any(|primary| match &primary.key {
            Some(key) => notification.signed_by == Some(key.name().as_name()),
            None => notification.peer.is_some_and(|peer| peer == primary.server.address.ip().to_canonical()),
        });
        if !known {
            return Rcode::REFUSED;
        }
        if zone.running {
            zone.again = true;
        } else {
            zone.failures = 0;
            self.schedule(&key, now);
        }
        Rcode::NOERROR
    }

    fn schedule(&mut self, key: &[u8], at: Instant) {
        if let Some(zone) = self.zones.get_mut(key) {
            self.queue.remove(&(zone.due, key.to_vec()));
            zone.due = at;
            self.queue.insert((at, key.to_vec()));
        }
    }

    /// What is due at `now`. Call it again until it says [`Next::At`], then at that instant or after any other call.
    #[must_use]
    pub fn next(&mut self, now: Instant) -> Next {
        let Some((due, key)) = self.queue.first().cloned() else { return Next::At(Instant::MAX) };
        if due > now {
            return Next::At(due);
        }
        self.queue.pop_first();
        let Some(zone) = self.zones.get_mut(&key) else { return Next::At(now) };
        if zone.expires <= now {
            zone.expires = Instant::MAX;
            zone.times = None;
            // Unless a refresh is under way, one is due as before.
            zone.due = if zone.running { Instant::MAX } else { due };
            self.queue.insert((zone.due, key));
            return Next::Expired(zone.apex);
        }
        zone.running = true;
        // However long that takes, the zone expires in time.
        zone.due = zone.expires;
        self.queue.insert((zone.due, key));
        let primary = zone.primaries.get(zone.turn % zone.primaries.len().max(1)).cloned();
        match primary {
            Some(primary) => Next::Refresh { apex: zone.apex, primary },
            // Without a primary there is nothing to do, ever.
            None => Next::At(now),
        }
    }

    /// `zone` is what the primary has now, whether it came just now or was here before.
    pub fn succeeded(&mut self, zone: &Zone, now: Instant) {
        let key = key(zone.apex().name());
        let Some(secondary) = self.zones.get_mut(&key) else { return };
        let Some(times) = times(zone) else { return };
        secondary.times = Some(times);
        secondary.expires = now + times.expire;
        secondary.failures = 0;
        secondary.running = false;
        let again = core::mem::take(&mut secondary.again);
        let at = if again { now } else { (now + times.refresh).min(secondary.expires) };
        self.schedule(&key, at);
    }

    /// `zone` was kept from before this server was started, and its primary had nothing newer `age` ago: it is asked at once.
    /// `false` when the zone has expired since, and may not be served.
    #[must_use]
    pub fn restored(&mut self, zone: &Zone, age: Duration, now: Instant) -> bool {
        let key = key(zone.apex().name());
        let (Some(secondary), Some(times)) = (self.zones.get_mut(&key), times(zone)) else { return false };
        let Some(left) = times.expire.checked_sub(age).filter(|left| !left.is_zero()) else { return false };
        secondary.times = Some(times);
        secondary.expires = now + left;
        true
    }

    /// The primary could not be asked, or gave no zone: the next one is asked, or after all of them again later.
    pub fn failed(&mut self, apex: Name<'_>, now: Instant) {
        let key = key(apex);
        let Some(zone) = self.zones.get_mut(&key) else { return };
        zone.running = false;
        zone.again = false;
        zone.turn = (zone.turn + 1) % zone.primaries.len().max(1);
        zone.failures = zone.failures.saturating_add(1);
        let rounds = zone.failures / zone.primaries.len().max(1) as u32;
        let at = if zone.turn != 0 {
            now
        } else {
            let pause = match zone.times {
                Some(times) => times.retry,
                None => FIRST_RETRY.saturating_mul(1 << rounds.saturating_sub(1).min(16)).min(LAST_RETRY),
            };
            (now + pause).min(zone.expires)
        };
        self.schedule(&key, at);
    }
}

fn same_servers(some: &[Peer], others: &[Peer]) -> bool {
    some.iter().map(|peer| &peer.server).eq(others.iter().map(|peer| &peer.server))
}

/// Whether the serial that a primary tells means that there is something to transfer.
pub fn is_behind(have: &Zone, serial: u32) -> bool {
    is_newer(serial, have.serial())
}

fn key(apex: Name<'_>) -> Vec<u8> {
    apex.as_bytes().to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
