//! Channels to other domains: `airglow-vchan` over the grant table and event channels, found through xenstore as `libxenvchan` does.
//!
//! A channel does not survive that its domain is saved: both ends see it closed. A [`VchanListener`] offers a new one then.
mod granted;
mod listener;

pub use listener::VchanListener;

use super::xenstore::Xenstore;
use crate::{
    boot::{events::EventChannel, foreign::Mapping, hypercall, single::Single},
    drivers::{
        grant::{DomainId, Doorbell},
        pages::PAGE,
        xenstore::Error,
    },
};
use airglow_device::{ErrorType, Read, Stream, Write};
use airglow_vchan::{Channel, Header, Interface, Orders, Role};
use alloc::{
    boxed::Box,
    format,
    rc::Rc,
    string::{String, ToString},
    vec::Vec,
};
use core::{
    fmt,
    mem::ManuallyDrop,
    sync::atomic::{AtomicU64, Ordering},
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
    /// Somebody else has taken the channel.
    Taken,
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
            Self::Taken => f.write_str("the vchan is taken"),
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
    Ours { _granted: granted::Granted },
    /// The server's, mapped.
    Theirs { _mappings: Vec<Mapping> },
}

/// A channel to another domain. Closed, and its memory given back, when it is dropped.
#[derive(Debug)]
pub struct Vchan<'s> {
    // Before the memory, into which it points.
    channel: ManuallyDrop<Box<Channel<'static, Bell>>>,
    bell: Bell,
    header: &'static Header,
    _memory: Memory,
    // Where a server has announced it.
    announced: Option<(&'s Xenstore, String)>,
}

/// The headers of all channels, with this end's role and bell.
static OPEN: Single<Vec<(&'static Header, Role, Bell)>> = Single::new(Vec::new());

/// Tells the other ends that these are gone, before the domain is saved.
pub(super) fn leave() {
    OPEN.with(|open| {
        for (header, role, bell) in open {
            match role {
                Role::Server => header.srv_live.store(0, Ordering::SeqCst),
                Role::Client => header.cli_live.store(0, Ordering::SeqCst),
            }
            Doorbell::ring(&bell.0);
        }
    });
}

/// Notes that the other ends are gone, when the memory is this domain's alone.
pub(super) fn left() {
    OPEN.with(|open| {
        for (header, role, _) in open {
            match role {
                Role::Server => header.cli_live.store(0, Ordering::SeqCst),
                Role::Client => header.srv_live.store(0, Ordering::SeqCst),
            }
        }
    });
}

/// The pages from `page` on, as atomics.
///
/// # Safety
/// They stay mapped as long as the result is used, and are accessed as atomics only.
unsafe fn words(page: *const u8, bytes: usize) -> &'static [AtomicU64] {
    // SAFETY: the caller's promise; a page is aligned for an `AtomicU64`.
    unsafe { core::slice::from_raw_parts(page.cast(), bytes / 8) }
}

impl<'s> Vchan<'s> {
    /// Offers a channel to the domain `peer` under `path` in xenstore, with rings of at least `left` bytes towards this
    /// end and `right` from it. The client may come at any time: [`connected`](Self::connected).
    ///
    /// # Errors
    /// What is missing.
    pub async fn serve(
        store: &'s Xenstore,
        peer: DomainId,
        path: &str,
        left: usize,
        right: usize,
    ) -> Result<Self, OpenError> {
        Self::offer(store, peer, path, (left, right), Rc::new(())).await
    }

    /// The same; `token` is held as long as the memory is.
    async fn offer(
        store: &'s Xenstore,
        peer: DomainId,
        path: &str,
        (left, right): (usize, usize),
        token: Rc<()>,
    ) -> Result<Self, OpenError> {
        let orders = Orders::at_least(left, right).ok_or(OpenError::Size)?;
        let (left_pages, right_pages) = (orders.pages(orders.left), orders.pages(orders.right));
        let granted = granted::Granted::new(peer, 1 + left_pages + right_pages, token);
        let granted = granted.ok_or(OpenError::Resources)?;
        let port = hypercall::alloc_unbound(peer).map_err(|_| OpenError::Resources)?;
        let bell = Bell(EventChannel::new(port).ok_or(OpenError::Resources)?);
        // SAFETY: the pages are zeroed, aligned, and live until `drop` has ended the channel.
        let interface: &'static Interface = unsafe { &*granted.page(0).cast() };
        let ring = |order, first: usize, pages_of: usize| match interface.inside(order) {
            Some(inside) => inside,
            // SAFETY: as above.
            None => unsafe { words(granted.page(first), pages_of * PAGE) },
        };
        let (left, right) =
            (ring(orders.left, 1, left_pages), ring(orders.right, 1 + left_pages, right_pages));
        for (slot, grant) in interface.grants.iter().zip(granted.grants().skip(1)) {
            slot.store(grant, Ordering::Relaxed);
        }
        interface.offer(orders);
        let first = granted.grants().next().unwrap_or_default();
        let mut vchan =
            Self::new(interface, Role::Server, left, right, bell, Memory::Ours { _granted: granted });
        // Only the client may read where it is, and it reads both or none.
        let own: DomainId = store.get("domid").await?;
        loop {
            let transaction = store.transaction().await?;
            for (node, value) in [("ring-ref", first), ("event-channel", port)] {
                let node = format!("{path}/{node}");
                store.write_in(transaction, &node, &value).await?;
                let permissions = [&*format!("n{own}"), &*format!("r{peer}")];
                store.set_permissions_in(transaction, &node, &permissions).await?;
            }
            match store.end_transaction(transaction, true).await {
                Err(Error::Again) => {}
                other => break other?,
            }
        }
        vchan.announced = Some((store, path.to_string()));
        Ok(vchan)
    }

    fn new(
        interface: &'static Interface,
        role: Role,
        left: &'static [AtomicU64],
        right: &'static [AtomicU64],
        bell: Bell,
        memory: Memory,
    ) -> Self {
        let header = &interface.header;
        let channel = ManuallyDrop::new(Box::new(Channel::new(header, role, left, right, bell)));
        OPEN.with(|open| open.push((header, role, bell)));
        Self { channel, bell, header, _memory: memory, announced: None }
    }

    /// Opens the channel that the domain `server` offers under `path`, and waits until it offers one that nobody has taken.
    ///
    /// # Errors
    /// What is missing here; not that the server or its offer is.
    pub async fn connect(store: &'s Xenstore, server: DomainId, path: &str) -> Result<Self, OpenError> {
        // Fires at once, and when what is offered there changes.
        let watch = store.watch(path).await?;
        loop {
            watch.changed().await;
            match Self::try_connect(store, server, path).await {
                Err(
                    OpenError::Xenstore(Error::NotFound | Error::PermissionDenied | Error::Invalid)
                    | OpenError::Taken
                    | OpenError::Memory,
                ) => {}
                other => return other,
            }
        }
    }

    /// The same, at once or not at all.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::PermissionDenied`] in [`OpenError::Xenstore`] when it offers none to this domain, or what
    /// else is missing.
    pub async fn try_connect(store: &'s Xenstore, server: DomainId, path: &str) -> Result<Self, OpenError> {
        let ring: u32 = store.get(&format!("{path}/ring-ref")).await?;
        let remote: u32 = store.get(&format!("{path}/event-channel")).await?;
        // One domain's end can be bound once: from here on the offer is this client's.
        let port = hypercall::bind_interdomain(server, remote).map_err(|_| OpenError::Taken)?;
        let bell = Bell(EventChannel::new(port).ok_or(OpenError::Resources)?);
        let mapped = Self::map(server, ring, bell);
        if mapped.is_err() {
            bell.0.close();
        }
        mapped
    }

    /// Maps the rings of the page that is granted under `ring`.
    fn map(server: DomainId, ring: u32, bell: Bell) -> Result<Self, OpenError> {
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
                    let refs = interface.grants.iter().skip(at).take(count);
                    let refs: Vec<u32> = refs.map(|grant| grant.load(Ordering::Relaxed)).collect();
                    at += count;
                    let mapping = map(&refs)?;
                    // SAFETY: as above.
                    let words = unsafe { words(mapping.start(), count * PAGE) };
                    mappings.push(mapping);
                    Some(words)
                }
            };
        }
        let [Some(left), Some(right)] = rings else { return Err(OpenError::Size) };
        let memory = Memory::Theirs { _mappings: mappings };
        Ok(Self::new(interface, Role::Client, left, right, bell, memory))
    }

    /// Waits for the client.
    pub async fn connected(&mut self) {
        self.channel.connected().await;
    }
}

impl Drop for Vchan<'_> {
    fn drop(&mut self) {
        // SAFETY: dropped here and nowhere else; the memory that it points to goes after it.
        unsafe { ManuallyDrop::drop(&mut self.channel) };
        OPEN.with(|open| open.retain(|(header, ..)| !core::ptr::eq(*header, self.header)));
        self.bell.0.close();
        if let Some((store, path)) = self.announced.take() {
            store.forget(&path);
        }
    }
}

impl ErrorType for Vchan<'_> {
    type Error = airglow_vchan::Error;
}
impl Read for Vchan<'_> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Self::Error> {
        self.channel.read(buf).await
    }
}
impl Write for Vchan<'_> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, Self::Error> {
        self.channel.write(buf).await
    }
    async fn flush(&mut self) -> Result<(), Self::Error> {
        self.channel.flush().await
    }
}
impl Stream for Vchan<'_> {
    async fn read_with<R>(&mut self, f: impl FnMut(&mut [u8]) -> (usize, R)) -> Result<R, Self::Error> {
        self.channel.read_with(f).await
    }
    async fn close(&mut self) -> Result<(), Self::Error> {
        self.channel.close().await
    }
}
