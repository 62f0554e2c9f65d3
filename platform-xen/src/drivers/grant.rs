//! What drivers ask of the grant table and of event channels.
use core::{fmt, task::Waker};

/// A number by which another domain finds a page of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantRef(pub u32);

/// A domain's number.
pub type DomainId = u16;

/// What the other domain may do with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read it.
    Read,
    /// Read and write it.
    ReadWrite,
}

/// The table of pages that other domains may use. Giving and taking back are stores to shared memory, no hypercalls.
pub trait Grants {
    /// Reserves a reference; `None` when the table is full.
    fn reserve(&self) -> Option<GrantRef>;
    /// Gives a reserved reference back. It must not be permitted.
    fn release(&self, grant: GrantRef);
    /// Lets `domain` use the page that begins at `page`.
    fn permit(&self, grant: GrantRef, domain: DomainId, page: *const u8, access: Access);
    /// Ends that. `false`: the domain has the page mapped or is copying just now, so nothing was changed.
    #[must_use]
    fn revoke(&self, grant: GrantRef) -> bool;
}

/// One end of an event channel.
pub trait Doorbell {
    /// Rings the other end.
    fn ring(&self);
    /// Wakes `waker` when the other end has rung; once.
    fn register(&self, waker: &Waker);
}

/// Why a device was closed: what its backend did that no backend does. The guest goes on without the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// More responses than there are requests.
    TooManyResponses,
    /// A response to a request that was never made, or was answered before.
    UnknownId(u16),
    /// A length or offset beyond the page it speaks of.
    OutOfBounds {
        /// First byte.
        offset: u16,
        /// Bytes.
        size: u16,
    },
    /// A frame in more pieces than any backend makes.
    TooManyFragments,
    /// It still uses a page after it said it was done.
    PageInUse,
    /// Nothing but to be gone: it was taken away, or never there.
    Gone,
}

impl fmt::Display for Misbehaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyResponses => f.write_str("the backend answers requests that were not made"),
            Self::UnknownId(id) => write!(f, "the backend answers request {id}, which is not open"),
            Self::OutOfBounds { offset, size } => {
                write!(f, "the backend speaks of {size} bytes at {offset} of a page")
            }
            Self::TooManyFragments => f.write_str("the backend sends a frame in too many pieces"),
            Self::Gone => f.write_str("the backend is gone"),
            Self::PageInUse => f.write_str("the backend keeps a page that it has given back"),
        }
    }
}
impl core::error::Error for Misbehaviour {}
