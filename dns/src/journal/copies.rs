//! Zones from elsewhere, kept so that a secondary has them after a restart, and knows how old they are.
use super::{
    CONFIRMED, COPIES, FORGOTTEN, Journal, JournalError, Kept, Pieces, SNAPSHOT_BEGIN, change_payload, end,
};
use crate::{wire::Name, zone::Zone};
use airglow_device::{BlockDevice, Entropy};
use alloc::{sync::Arc, vec::Vec};

/// Bytes of one entry of a whole zone: each is flushed before the next is written, so that nothing stands behind a torn one.
const PIECE: usize = 1 << 20;

/// A zone as its primary had it.
#[derive(Clone)]
pub struct Copy {
    /// The zone.
    pub zone: Arc<Zone>,
    /// When the primary was last known to have no newer version, in seconds since 1970: from then on the zone's expire time
    /// runs (RFC 1034 section 4.3.5).
    pub confirmed: u64,
}

impl<B: BlockDevice> Journal<B> {
    /// Opens the journal of zones from elsewhere on `device`, or begins one where there is nothing but zeros, and returns
    /// what it keeps. `history` bounds what each zone remembers for IXFR.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn open_copies(
        device: B,
        history: usize,
        entropy: &impl Entropy,
    ) -> Result<(Self, Vec<Copy>), JournalError<B::Error>> {
        let (journal, kept) = Self::begin(device, COPIES, entropy).await?;
        Ok((journal, kept.into_values().filter_map(|kept| copy(kept, history)).collect()))
    }

    /// Keeps `copy` in the place of `old`, the version that is kept now: what has changed, if the zone knows it, otherwise
    /// all of it. When this returns, it is durable.
    ///
    /// # Errors
    /// [`JournalError::Full`]: [`Self::rewrite_copies`] makes room. After any error the version before is kept, or this one.
    pub async fn keep_copy(&mut self, old: Option<&Zone>, copy: &Copy) -> Result<(), JournalError<B::Error>> {
        let apex = copy.zone.apex().name();
        match old.and_then(|old| copy.zone.changes_since(old.serial())) {
            Some(changes) => {
                for change in changes {
                    self.keep(&change_payload(apex, change)).await?;
                }
            }
            None => {
                self.keep(&[&[SNAPSHOT_BEGIN], apex.as_bytes()].concat()).await?;
                let mut pieces = Pieces::new(&copy.zone, PIECE);
                while let Some(payload) = pieces.next_payload() {
                    self.keep(&payload).await?;
                }
            }
        }
        self.confirm(apex, copy.confirmed).await
    }

    /// Keeps that the primary had nothing newer at this time, in seconds since 1970.
    ///
    /// # Errors
    /// As [`Self::keep_copy`].
    pub async fn confirm(&mut self, apex: Name<'_>, unix: u64) -> Result<(), JournalError<B::Error>> {
        self.keep(&[&[CONFIRMED], apex.as_bytes(), &unix.to_be_bytes()].concat()).await
    }

    /// Keeps a zone no longer.
    ///
    /// # Errors
    /// As [`Self::keep_copy`].
    pub async fn forget(&mut self, apex: Name<'_>) -> Result<(), JournalError<B::Error>> {
        self.keep(&[&[FORGOTTEN], apex.as_bytes()].concat()).await
    }

    /// Writes `copies` whole to the other half, and goes on there. When this returns, they and no others are kept.
    ///
    /// # Errors
    /// As [`Self::rewrite`].
    pub async fn rewrite_copies(
        &mut self,
        copies: &[Copy],
        entropy: &impl Entropy,
    ) -> Result<(), JournalError<B::Error>> {
        let mut at = self.other_half(entropy)?;
        for copy in copies {
            let mut pieces = Pieces::new(&copy.zone, PIECE);
            while let Some(payload) = pieces.next_payload() {
                self.write(&mut at, &payload).await?;
            }
            let apex = copy.zone.apex().name();
            let payload = [&[CONFIRMED], apex.as_bytes(), &copy.confirmed.to_be_bytes()].concat();
            self.write(&mut at, &payload).await?;
        }
        self.turn_to(at).await
    }
}

/// What was kept of a zone, if that is one: what is not is transferred again.
fn copy(kept: Kept, history: usize) -> Option<Copy> {
    let confirmed = kept.confirmed?;
    let zone = end(Arc::new(kept.snapshot?), &kept.changes, history)?;
    Some(Copy { zone, confirmed })
}
