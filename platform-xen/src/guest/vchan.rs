//! Channels to other domains: `airglow-vchan` over the grant table and event channels, found through xenstore as `libxenvchan` does.
use super::xenstore::Xenstore;
use crate::{
    boot::{events::EventChannel, foreign::Mapping, grants::GrantTable, hypercall},
    drivers::{
        grant::{Access, DomainId, Doorbell, GrantRef, Grants},
        pages::{PAGE, Pages},
        xenstore::Error,
    },
};
use airglow_device::{ErrorType, Read, Stream, Write};
use airglow_vchan::{Channel, Interface, Orders, Role};
use alloc::{format, vec::Vec};
use core::{
    fmt,
    mem::ManuallyDrop,
    sync::atomic::{AtomicU8, Ordering},
    task::Waker,
};

/// Why a channel could not be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// Xenstore said no.
    Xenstore(Error),
    /// Rings of that size do not exist, or the server offers nonsense.
    Size,
    /// The server's memory cannot be mapped: it is gone, or it does not permit it.
    Memory,
    /// Grants or event channels are used up.
    Resources,
}

impl From<Error> for OpenError {
    fn from(error: Error) -> Self {
        Self::Xenstore(error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Xenstore(error) => write!(f, "the vchan: {error}"),
            Self::Size => f.write_str("a vchan cannot have rings of that size"),
            Self::Memory => f.write_str("the vchan server's memory cannot be mapped"),
            Self::Resources => f.write_str("no grants or event channels are left for a vchan"),
        }
    }
}
impl core::error::Error for OpenError {}

/// An event channel as the doorbell of a vchan.
#[derive(Clone, Copy, Debug)]
pub struct Bell(EventChannel);

impl airglow_vchan::Doorbell for Bell {
    fn ring(&self) {
        Doorbell::ring(&self.0);
    }
    fn register(&self, waker: &Waker) {
        Doorbell::register(&self.0, waker);
    }
}

/// What the channel's memory is to this domain.
#[derive(Debug)]
enum Memory {
    /// Ours, and granted.
    Ours { pages: ManuallyDrop<Pages>, grants: Vec<GrantRef> },
    /// The server's, mapped.
    Theirs { _mappings: Vec<Mapping> },
}

/// A channel to another domain. Closed, and its memory given back, when it is dropped.
#[derive(Debug)]
pub struct Vchan {
    // Before the memory, into which it points.
    channel: ManuallyDrop<Channel<'static, Bell>>,
    bell: Bell,
    memory: Memory,
}

/// The pages from `page` on, as atomics.
///
/// # Safety
/// They stay mapped as long as the result is used, and are accessed as atomics only.
unsafe fn cells(page: *const u8, bytes: usize) -> &'static [AtomicU8] {
    // SAFETY: the caller's promise; an `AtomicU8` is a byte.
    unsafe { core::slice::from_raw_parts(page.cast(), bytes) }
}

impl Vchan {
    /// Offers a channel to the domain `peer` under `path` in xenstore, with rings of at least `left` bytes towards this
    /// end and `right` from it. The client may come at any time: [`connected`](Self::connected).
    ///
    /// # Errors
    /// What is missing.
    pub async fn serve(
        store: &Xenstore,
        peer: DomainId,
        path: &str,
        left: usize,
        right: usize,
    ) -> Result<Self, OpenError> {
        let orders = Orders::at_least(left, right).ok_or(OpenError::Size)?;
        let (left_pages, right_pages) = (orders.pages(orders.left), orders.pages(orders.right));
        let count = 1 + left_pages + right_pages;
        let port = hypercall::alloc_unbound(peer).map_err(|_| OpenError::Resources)?;
        let bell = Bell(EventChannel::new(port).ok_or(OpenError::Resources)?);
        let pages = ManuallyDrop::new(Pages::new(count));
        let mut grants = Vec::with_capacity(count);
        for index in 0..count {
            let Some(grant) = GrantTable.reserve() else { break };
            GrantTable.permit(grant, peer, pages.page(index), Access::ReadWrite);
            grants.push(grant);
        }
        // SAFETY: the pages are zeroed, aligned, and live until `drop` has ended the channel.
        let interface: &'static Interface = unsafe { &*pages.page(0).cast() };
        let ring = |order, first: usize, pages_of: usize| match interface.inside(order) {
            Some(inside) => inside,
            // SAFETY: as above.
            None => unsafe { cells(pages.page(first), pages_of * PAGE) },
        };
        let (left, right) =
            (ring(orders.left, 1, left_pages), ring(orders.right, 1 + left_pages, right_pages));
        let complete = grants.len() == count;
        for (slot, grant) in interface.grants.iter().zip(grants.iter().skip(1)) {
            slot.store(grant.0, Ordering::Relaxed);
        }
        interface.offer(orders);
        let first = grants.first().map_or(0, |grant| grant.0);
        let channel = ManuallyDrop::new(Channel::new(&interface.header, Role::Server, left, right, bell));
        let vchan = Self { channel, bell, memory: Memory::Ours { pages, grants } };
        if !complete {
            return Err(OpenError::Resources);
        }
        // Only the client may read where it is.
        let own: DomainId = store.get("domid").await?;
        for (node, value) in [("ring-ref", first), ("event-channel", port)] {
            let node = format!("{path}/{node}");
            store.write(&node, value).await?;
            store.set_permissions(&node, &[&format!("n{own}"), &format!("r{peer}")]).await?;
        }
        Ok(vchan)
    }

    /// Opens the channel that the domain `server` offers under `path`.
    ///
    /// # Errors
    /// [`Error::NotFound`] in [`OpenError::Xenstore`] when it offers none, or what else is missing.
    pub async fn connect(store: &Xenstore, server: DomainId, path: &str) -> Result<Self, OpenError> {
        let ring: u32 = store.get(&format!("{path}/ring-ref")).await?;
        let remote: u32 = store.get(&format!("{path}/event-channel")).await?;
        let map = |grants: &[u32]| Mapping::new(server, grants).ok_or(OpenError::Memory);
        let first = map(&[ring])?;
        // SAFETY: mapped until `drop` has ended the channel.
        let interface: &'static Interface = unsafe { &*first.start().cast() };
        let orders = interface.orders().ok_or(OpenError::Size)?;
        let mut mappings = Vec::from([first]);
        let mut rings = [None; 2];
        let mut at = 0;
        for (ring, order) in rings.iter_mut().zip([orders.left, orders.right]) {
            *ring = match interface.inside(order) {
                Some(inside) => Some(inside),
                None => {
                    let count = orders.pages(order);
                    let refs: Vec<u32> = interface
                        .grants
                        .iter()
                        .skip(at)
                        .take(count)
                        .map(|g| g.load(Ordering::Relaxed))
                        .collect();
                    at += count;
                    let mapping = map(&refs)?;
                    // SAFETY: as above.
                    let cells = unsafe { cells(mapping.start(), count * PAGE) };
                    mappings.push(mapping);
                    Some(cells)
                }
            };
        }
        let [Some(left), Some(right)] = rings else { return Err(OpenError::Size) };
        let port = hypercall::bind_interdomain(server, remote).map_err(|_| OpenError::Resources)?;
        let bell = Bell(EventChannel::new(port).ok_or(OpenError::Resources)?);
        let channel = ManuallyDrop::new(Channel::new(&interface.header, Role::Client, left, right, bell));
        Ok(Self { channel, bell, memory: Memory::Theirs { _mappings: mappings } })
    }

    /// Waits for the client.
    pub async fn connected(&mut self) {
        self.channel.connected().await;
    }
}

impl Drop for Vchan {
    fn drop(&mut self) {
        // SAFETY: dropped here and nowhere else; the memory that it points to goes after it.
        unsafe { ManuallyDrop::drop(&mut self.channel) };
        self.bell.0.close();
        if let Memory::Ours { pages, grants } = &mut self.memory {
            let mut free = true;
            for grant in grants.drain(..) {
                if GrantTable.revoke(grant) {
                    GrantTable.release(grant);
                } else {
                    free = false;
                }
            }
            // Pages that the client still has mapped are lost: nobody else may get them.
            if free {
                // SAFETY: dropped here and nowhere else; nothing points to them any more.
                unsafe { ManuallyDrop::drop(pages) };
            }
        }
    }
}

impl ErrorType for Vchan {
    type Error = airglow_vchan::Error;
}
impl Read for Vchan {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Self::Error> {
        self.channel.read(buf).await
    }
}
impl Write for Vchan {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, Self::Error> {
        self.channel.write(buf).await
    }
    async fn flush(&mut self) -> Result<(), Self::Error> {
        self.channel.flush().await
    }
}
impl Stream for Vchan {
    async fn read_with<R>(&mut self, f: impl FnMut(&mut [u8]) -> (usize, R)) -> Result<R, Self::Error> {
        self.channel.read_with(f).await
    }
    async fn close(&mut self) -> Result<(), Self::Error> {
        self.channel.close().await
    }
}
