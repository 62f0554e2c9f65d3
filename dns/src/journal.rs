//! Changes to zones on a disk, so that what was answered survives a power cut at any byte.
//!
//! The disk has two superblocks (sectors 0 and 1) and two halves. Entries are appended to one half, each in sectors of its own,
//! written and flushed before the change counts; each carries the epoch, its number and a keyed hash of all of it, so that the first
//! entry that is not whole is the end. When the half is full, the zones are written whole to the other, and then the other
//! superblock, with the next epoch: whichever of the two superblocks is whole and newer says which half counts.
use crate::{
    server::Zones,
    wire::{Name, NameBuf, RecordType},
    zone::{Change, Records, Zone, ZoneBuilder, is_newer},
};
use airglow_device::{BlockDevice, Entropy, siphash};
use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};
use core::fmt;

mod copies;

pub use copies::Copy;

/// A journal of changes that this server made itself, ...
const MAGIC: [u8; 8] = *b"AGDNSJ1\n";
/// ... and one of zones from elsewhere.
const COPIES: [u8; 8] = *b"AGDNSC1\n";
/// Bytes in front of an entry's payload: hash, epoch, number, length.
const HEAD: usize = 24;
/// Records of a whole zone are written in pieces of about this many bytes.
const PIECE: usize = 32 << 10;

const CHANGE: u8 = 0;
const SNAPSHOT: u8 = 1;
const SNAPSHOT_END: u8 = 2;
/// In front of a snapshot: whatever came before it of one that was cut short is forgotten.
const SNAPSHOT_BEGIN: u8 = 3;
/// The primary was known to have nothing newer at this time.
const CONFIRMED: u8 = 4;
/// The zone is kept no longer.
const FORGOTTEN: u8 = 5;

/// Why a journal cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JournalError<E> {
    /// The disk's own.
    Device(E),
    /// What is on the disk is no journal, and not nothing either.
    NotAJournal,
    /// The disk is read-only or has fewer than 16 sectors.
    Unfit,
    /// What must be kept does not fit into half of the disk.
    Full,
    /// Changes of a zone that is not here, or not in a version that they fit.
    Mismatch,
    /// The disk failed at the one moment after which it is not known what counts: open the journal again.
    Unsure,
}

impl<E: fmt::Debug> fmt::Display for JournalError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(error) => write!(f, "the disk fails: {error:?}"),
            Self::NotAJournal => {
                f.write_str("what is on the disk is no journal; overwrite it with zeros to begin one")
            }
            Self::Unfit => f.write_str("a journal needs a writable disk of at least 16 sectors"),
            Self::Full => f.write_str("the disk is too small"),
            Self::Mismatch => f.write_str("the journal's changes do not fit the zone that was loaded"),
            Self::Unsure => f.write_str("the disk failed while the journal was written anew; restart"),
        }
    }
}
impl<E: fmt::Debug> core::error::Error for JournalError<E> {}

/// The journal of all zones of a server.
pub struct Journal<B> {
    device: B,
    magic: [u8; 8],
    at: Position,
    /// The disk failed when a superblock was written: which half counts is not known until it is read again.
    unsure: bool,
}

/// Where the journal stands: the epoch and its key, the next entry's place and number.
#[derive(Clone, Copy)]
struct Position {
    epoch: u64,
    key: [u8; 16],
    sector: u64,
    number: u32,
}

/// What the journal says of a zone.
#[derive(Default)]
struct Kept {
    builder: Option<ZoneBuilder>,
    snapshot: Option<Zone>,
    changes: Vec<Change>,
    confirmed: Option<u64>,
}

impl<B: BlockDevice> Journal<B> {
    /// Opens the journal on `device`, or begins one where there is nothing but zeros, and brings `zones` to where it ends.
    /// A zone that was loaded in a version newer than the journal's last stays as it is: somebody has written it by hand.
    ///
    /// # Errors
    /// [`JournalError`]; the zones are then as they were.
    pub async fn open(
        device: B,
        zones: &mut Zones,
        history: usize,
        entropy: &impl Entropy,
    ) -> Result<Self, JournalError<B::Error>> {
        let (journal, kept) = Self::begin(device, MAGIC, entropy).await?;
        restore(kept, zones, history)?;
        Ok(journal)
    }

    /// The journal on `device` and what it says; a new one where there is nothing but zeros.
    async fn begin(
        device: B,
        magic: [u8; 8],
        entropy: &impl Entropy,
    ) -> Result<(Self, BTreeMap<Vec<u8>, Kept>), JournalError<B::Error>> {
        let info = device.info();
        if info.read_only || info.sectors < 16 || info.sector_size < 64 {
            return Err(JournalError::Unfit);
        }
        let at = Position { epoch: 0, key: [0; 16], sector: 0, number: 0 };
        let mut journal = Self { device, magic, at, unsure: false };
        let mut newest = None;
        let mut blank = true;
        for slot in 0..2 {
            let sector = journal.read(slot, 1).await?;
            let found = superblock(&magic, &sector);
            // A cut during the very first write leaves the beginning of ours and zeros.
            let begun = sector.iter().zip(magic).take_while(|(a, b)| **a == *b).count();
            blank &= found.is_none()
                && (begun == magic.len() && slot == 1 || sector.iter().skip(begun).all(|byte| *byte == 0));
            if let Some((epoch, key)) = found
                && newest.is_none_or(|(other, _)| epoch > other)
            {
                newest = Some((epoch, key));
            }
        }
        match newest {
            Some((epoch, key)) => {
                journal.at = Position { epoch, key, sector: journal.half(epoch).0, number: 0 };
                let kept = journal.entries().await?;
                Ok((journal, kept))
            }
            None if blank => {
                journal.rewrite(&[], entropy).await?;
                Ok((journal, BTreeMap::new()))
            }
            None => Err(JournalError::NotAJournal),
        }
    }

    /// First sector and the one behind the last of the half that an epoch uses.
    fn half(&self, epoch: u64) -> (u64, u64) {
        let sectors = self.device.info().sectors;
        let middle = 2 + (sectors - 2) / 2;
        if epoch.is_multiple_of(2) { (2, middle) } else { (middle, sectors) }
    }

    async fn read(&mut self, sector: u64, count: u64) -> Result<Vec<u8>, JournalError<B::Error>> {
        let mut bytes = alloc::vec![0; self.device.info().sector_size * count as usize];
        self.device.read(sector, &mut bytes).await.map_err(JournalError::Device)?;
        Ok(bytes)
    }

    /// Reads entries up to the first that is not whole.
    async fn entries(&mut self) -> Result<BTreeMap<Vec<u8>, Kept>, JournalError<B::Error>> {
        let size = self.device.info().sector_size as u64;
        let (_, end) = self.half(self.at.epoch);
        let mut zones: BTreeMap<Vec<u8>, Kept> = BTreeMap::new();
        while self.at.sector < end {
            let first = self.read(self.at.sector, 1).await?;
            let length = first.get(20..24).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
            let Some(length) = length.map(|length| u64::from(u32::from_be_bytes(length))) else { break };
            let sectors = (HEAD as u64 + length).div_ceil(size);
            if sectors > end - self.at.sector || self.at.hash_of(&first).is_none() {
                break;
            }
            let whole = self.read(self.at.sector, sectors).await?;
            let entry = whole.get(..HEAD + length as usize).filter(|entry| self.at.is_whole(entry));
            let Some(entry) = entry else { break };
            take(entry.get(HEAD..).unwrap_or(&[]), &mut zones).ok_or(JournalError::NotAJournal)?;
            self.at.sector += sectors;
            self.at.number = self.at.number.wrapping_add(1);
        }
        Ok(zones)
    }

    /// Writes one entry at `at`, without a flush, and moves `at` behind it.
    async fn write(&mut self, at: &mut Position, payload: &[u8]) -> Result<(), JournalError<B::Error>> {
        let size = self.device.info().sector_size;
        let (_, end) = self.half(at.epoch);
        let mut entry = alloc::vec![0; (HEAD + payload.len()).next_multiple_of(size)];
        let sectors = (entry.len() / size) as u64;
        if sectors > end.saturating_sub(at.sector) {
            return Err(JournalError::Full);
        }
        let length = u32::try_from(payload.len()).map_err(|_| JournalError::Full)?;
        entry[8..16].copy_from_slice(&at.epoch.to_be_bytes());
        entry[16..20].copy_from_slice(&at.number.to_be_bytes());
        entry[20..24].copy_from_slice(&length.to_be_bytes());
        entry[HEAD..HEAD + payload.len()].copy_from_slice(payload);
        let hash = siphash::of_bytes(&at.key, &[&entry[8..HEAD + payload.len()]]);
        entry[..8].copy_from_slice(&hash.to_be_bytes());
        self.device.write(at.sector, &entry).await.map_err(JournalError::Device)?;
        at.sector += sectors;
        at.number = at.number.wrapping_add(1);
        Ok(())
    }

    /// Keeps a change; when this returns, it is durable. [`JournalError::Full`]: nothing was written, and
    /// [`Self::rewrite`] makes room.
    ///
    /// # Errors
    /// [`JournalError::Full`], [`JournalError::Unsure`], [`JournalError::Device`]. After the last, and after a future that
    /// was dropped, the change may or may not be found when the journal is opened, until another one is kept in its place.
    pub async fn append(&mut self, apex: Name<'_>, change: &Change) -> Result<(), JournalError<B::Error>> {
        self.keep(&change_payload(apex, change)).await
    }

    /// Writes an entry; when this returns, it is durable.
    async fn keep(&mut self, payload: &[u8]) -> Result<(), JournalError<B::Error>> {
        if self.unsure {
            return Err(JournalError::Unsure);
        }
        let mut at = self.at;
        self.write(&mut at, payload).await?;
        self.device.flush().await.map_err(JournalError::Device)?;
        self.at = at;
        Ok(())
    }

    /// Writes `zones` whole to the other half and goes on there. When this returns, they are durable; until then the
    /// old half counts.
    ///
    /// # Errors
    /// [`JournalError::Full`], [`JournalError::Device`]: the journal goes on as before, or, when the very last writes failed,
    /// is [`JournalError::Unsure`] from then on.
    pub async fn rewrite(
        &mut self,
        zones: &[Arc<Zone>],
        entropy: &impl Entropy,
    ) -> Result<(), JournalError<B::Error>> {
        let mut at = self.other_half(entropy)?;
        for zone in zones {
            let mut pieces = Pieces::new(zone, PIECE);
            while let Some(payload) = pieces.next_payload() {
                self.write(&mut at, &payload).await?;
            }
        }
        self.turn_to(at).await
    }

    /// The beginning of the half that does not count, under a new key.
    fn other_half(&self, entropy: &impl Entropy) -> Result<Position, JournalError<B::Error>> {
        if self.unsure {
            return Err(JournalError::Unsure);
        }
        let epoch = self.at.epoch + 1;
        let mut at = Position { epoch, key: [0; 16], sector: self.half(epoch).0, number: 0 };
        entropy.fill(&mut at.key);
        Ok(at)
    }

    /// Makes the half that was written up to `at` the one that counts.
    async fn turn_to(&mut self, at: Position) -> Result<(), JournalError<B::Error>> {
        let epoch = at.epoch;
        // The half must be whole before a superblock says that it counts.
        self.device.flush().await.map_err(JournalError::Device)?;
        let mut sector = alloc::vec![0; self.device.info().sector_size];
        sector[..8].copy_from_slice(&self.magic);
        sector[8..16].copy_from_slice(&epoch.to_be_bytes());
        sector[16..32].copy_from_slice(&at.key);
        let hash = siphash::of_bytes(&at.key, &[&sector[..32]]);
        sector[32..40].copy_from_slice(&hash.to_be_bytes());
        self.unsure = true;
        self.device.write(epoch % 2, &sector).await.map_err(JournalError::Device)?;
        self.device.flush().await.map_err(JournalError::Device)?;
        self.unsure = false;
        self.at = at;
        Ok(())
    }

    /// The disk.
    pub fn into_device(self) -> B {
        self.device
    }
}

impl Position {
    /// The hash that an entry says, if it has the epoch and the number that is due.
    fn hash_of(&self, entry: &[u8]) -> Option<u64> {
        let (hash, rest) = entry.split_first_chunk::<8>()?;
        let (epoch, rest) = rest.split_first_chunk::<8>()?;
        let number = rest.first_chunk::<4>()?;
        let due = u64::from_be_bytes(*epoch) == self.epoch && u32::from_be_bytes(*number) == self.number;
        due.then_some(u64::from_be_bytes(*hash))
    }

    fn is_whole(&self, entry: &[u8]) -> bool {
        self.hash_of(entry) == entry.get(8..).map(|rest| siphash::of_bytes(&self.key, &[rest]))
    }
}

fn superblock(magic: &[u8; 8], sector: &[u8]) -> Option<(u64, [u8; 16])> {
    let (head, hash) = sector.get(..40)?.split_at_checked(32)?;
    let key: [u8; 16] = head.get(16..)?.try_into().ok()?;
    let good = head.starts_with(magic) && siphash::of_bytes(&key, &[head]).to_be_bytes() == hash;
    let epoch = head.get(8..16)?.try_into().ok()?;
    good.then_some((u64::from_be_bytes(epoch), key))
}

/// The entries of a whole zone.
struct Pieces<'z> {
    apex: Name<'z>,
    records: alloc::boxed::Box<dyn Iterator<Item = (Name<'z>, RecordType, u32, &'z [u8])> + 'z>,
    size: usize,
    ended: bool,
}

impl<'z> Pieces<'z> {
    /// Those of `zone`, each of about `size` bytes.
    fn new(zone: &'z Zone, size: usize) -> Self {
        let sets = zone.nodes().flat_map(|node| node.sets().map(move |set| (node.name(), set)));
        let records =
            sets.flat_map(|(name, set)| set.data().map(move |data| (name, set.rtype, set.ttl, data)));
        Self { apex: zone.apex().name(), records: alloc::boxed::Box::new(records), size, ended: false }
    }

    fn next_payload(&mut self) -> Option<Vec<u8>> {
        if self.ended {
            return None;
        }
        let mut piece = Records::default();
        while piece.as_bytes().len() <= self.size {
            let Some((name, rtype, ttl, data)) = self.records.next() else {
                self.ended = true;
                break;
            };
            piece.push(name, rtype, ttl, data);
        }
        let kind = if self.ended { SNAPSHOT_END } else { SNAPSHOT };
        Some([&[kind][..], self.apex.as_bytes(), piece.as_bytes()].concat())
    }
}

/// The payload of an entry with a change.
fn change_payload(apex: Name<'_>, change: &Change) -> Vec<u8> {
    let mut payload = alloc::vec![CHANGE];
    payload.extend_from_slice(apex.as_bytes());
    payload.extend_from_slice(&(change.deleted.as_bytes().len() as u32).to_be_bytes());
    payload.extend_from_slice(change.deleted.as_bytes());
    payload.extend_from_slice(change.added.as_bytes());
    payload
}

/// Takes in the payload of an entry.
fn take(payload: &[u8], zones: &mut BTreeMap<Vec<u8>, Kept>) -> Option<()> {
    let (kind, rest) = payload.split_first()?;
    let apex = Name::parse(rest).ok()?;
    let rest = rest.get(apex.len()..)?;
    let kept = zones.entry(apex.as_bytes().to_ascii_lowercase()).or_default();
    match *kind {
        SNAPSHOT_BEGIN => kept.builder = None,
        FORGOTTEN => *kept = Kept::default(),
        CONFIRMED => kept.confirmed = Some(u64::from_be_bytes(rest.try_into().ok()?)),
        _ => {}
    }
    if matches!(*kind, FORGOTTEN | CONFIRMED) {
        return Some(());
    }
    if *kind == CHANGE {
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (deleted, added) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        let deleted = Records::from_bytes(deleted).ok()?;
        kept.changes.push(Change { deleted, added: Records::from_bytes(added).ok()? });
        return Some(());
    }
    let builder = kept.builder.get_or_insert_with(|| ZoneBuilder::new(apex));
    for entry in Records::from_bytes(rest).ok()?.iter() {
        builder.add(entry.owner, entry.rtype, entry.ttl, entry.data).ok()?;
    }
    if *kind == SNAPSHOT_END {
        kept.snapshot = Some(kept.builder.take()?.finish().ok()?);
        kept.changes.clear();
    }
    Some(())
}

/// What the last of `changes` makes of `base`, if one of them leads on from it or there are none.
fn end(base: Arc<Zone>, changes: &[Change], history: usize) -> Option<Arc<Zone>> {
    let first = changes.iter().position(|change| change.from() == Some(base.serial()));
    let due = changes.get(first.unwrap_or(changes.len())..)?;
    let zone = match due {
        [] => base,
        due => Arc::new(base.apply(due.to_vec(), history).ok()?),
    };
    changes.last().is_none_or(|last| last.to() == Some(zone.serial())).then_some(zone)
}

/// Brings `zones` to where the journal ends.
fn restore<E>(
    kept: BTreeMap<Vec<u8>, Kept>,
    zones: &mut Zones,
    history: usize,
) -> Result<(), JournalError<E>> {
    let mut restored = Vec::new();
    for (apex, kept) in kept {
        let apex = NameBuf::from_name(Name::parse(&apex).map_err(|_| JournalError::NotAJournal)?);
        let loaded = zones.get(apex.as_name()).cloned();
        let last = kept.changes.last().and_then(Change::to);
        let last = last.or_else(|| kept.snapshot.as_ref().map(Zone::serial));
        // A file that is newer than all of it counts.
        if let (Some(loaded), Some(last)) = (&loaded, last)
            && (is_newer(loaded.serial(), last) || loaded.serial() == last)
        {
            continue;
        }
        // The zone that the changes lead on from: the one written here whole, or the one that was loaded.
        let mut bases = [kept.snapshot.map(Arc::new), loaded].into_iter().flatten();
        let zone = bases.find_map(|base| end(base, &kept.changes, history));
        restored.push(zone.ok_or(JournalError::Mismatch)?);
    }
    for zone in restored {
        zones.insert(zone);
    }
    Ok(())
}

#[cfg(test)]
mod copies_tests;
#[cfg(test)]
mod tests;
