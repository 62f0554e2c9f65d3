//! Opening the network card.
use super::{
    event_loop::EventLoop,
    keeper::Kept,
    xenbus::{Device, State},
    xenstore::Xenstore,
};
use crate::{
    boot::{self, events::EventChannel, grants::GrantTable, hypercall},
    drivers::{
        grant::{Access, DomainId, Doorbell, GrantRef, Grants, Misbehaviour},
        netfront::{Features, Netfront, Sizes},
        ring::RingPage,
        xenstore::Error,
    },
};
use airglow_device::{Caps, Entropy, LinkState, MacAddr, NetDevice, NetStats};
use airglow_runtime::sleep;
use alloc::{
    boxed::Box,
    format,
    rc::Rc,
    string::{String, ToString},
};
use core::{
    cell::{Cell, RefCell},
    fmt,
    task::{Context, Poll, Waker},
    time::Duration,
};

type Front = Netfront<'static, GrantTable, EventChannel>;

/// The kernel's network card: a place that a backend serves, or for the time being none does.
///
/// What the stack knows of it, its address and its offloads, is the first backend's; a card without one at the start has an address
/// made up at random, and no offloads but checksums.
#[derive(Debug)]
pub struct Card {
    front: Front,
    link: Rc<Link>,
}

/// The card's connection to its backend, by which it is let go and connected again.
#[derive(Debug)]
pub struct Link {
    index: String,
    // Of received frames, and of those that are sent.
    rings: [&'static RingPage; 2],
    grants: [GrantRef; 2],
    connected: Cell<bool>,
    // There are no pages but the rings yet.
    empty: Cell<bool>,
    pending: RefCell<Option<Pending>>,
    // The stack's, to have the card do what is pending.
    waker: RefCell<Option<Waker>>,
}

/// What the card, which belongs to the stack, is to do at its next turn.
#[derive(Debug)]
enum Pending {
    /// Let the backend go, and take everything back from it.
    Close,
    /// Start over with this one.
    Reset(DomainId, EventChannel),
    /// Be this card.
    Replace(Box<Front>),
}

impl NetDevice for Card {
    type Rx = <Front as NetDevice>::Rx;
    type Tx = <Front as NetDevice>::Tx;
    fn caps(&self) -> Caps {
        self.front.caps()
    }
    fn mac(&self) -> MacAddr {
        self.front.mac()
    }
    fn link(&self) -> LinkState {
        if self.link.connected.get() { self.front.link() } else { LinkState::Down }
    }
    fn stats(&self) -> NetStats {
        self.front.stats()
    }
    fn split(&mut self) -> (&mut Self::Rx, &mut Self::Tx) {
        self.attend();
        self.front.split()
    }
    fn poll_ready(&mut self, cx: &mut Context<'_>, want_tx: bool) -> Poll<()> {
        let mut waker = self.link.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        drop(waker);
        self.attend();
        self.front.poll_ready(cx, want_tx)
    }
}

impl Card {
    fn attend(&mut self) {
        let mut pending = self.link.pending.borrow_mut();
        let done = match &mut *pending {
            None => return,
            Some(Pending::Close) => self.front.close(Misbehaviour::Gone),
            Some(Pending::Reset(backend, channel)) => {
                self.front.reset(*backend, *channel);
                true
            }
            Some(Pending::Replace(front)) => {
                core::mem::swap(&mut self.front, front);
                true
            }
        };
        if done {
            *pending = None;
        }
    }

    /// The connection, to be kept by [`keep`](super::keeper::keep).
    pub fn link_handle(&self) -> Rc<Link> {
        self.link.clone()
    }
}

impl Link {
    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Grants the rings to the backend, and opens an event channel to it.
    fn open(&self, device: &Device<'_>) -> Result<EventChannel, OpenError> {
        for (grant, ring) in self.grants.iter().zip(self.rings) {
            GrantTable.permit(*grant, device.backend, core::ptr::from_ref(ring).cast(), Access::ReadWrite);
        }
        let port = hypercall::alloc_unbound(device.backend).map_err(|_| OpenError::Resources)?;
        EventChannel::new(port).ok_or(OpenError::Resources)
    }

    /// Has the card do it at its next turn.
    fn ask(&self, what: Pending) {
        *self.pending.borrow_mut() = Some(what);
        self.wake();
    }

    /// Waits until it has.
    async fn done(&self, timer: &EventLoop) {
        while self.pending.borrow().is_some() {
            self.wake();
            sleep(timer, Duration::from_millis(20)).await;
        }
    }
}

/// Finds the backend, and waits until it has said what it offers.
async fn meet<'s>(store: &'s Xenstore, index: &str) -> Result<Device<'s>, OpenError> {
    let device = match Device::find(store, "vif", index).await {
        Err(Error::NotFound) => return Err(OpenError::None),
        other => other?,
    };
    device.set_state(State::Initialising).await?;
    match device.wait_for(&[State::InitWait, State::Connected, State::Closing, State::Closed]).await? {
        State::InitWait | State::Connected => Ok(device),
        _ => Err(OpenError::Backend),
    }
}

/// Tells the backend where the rings are, and waits until it uses them.
async fn announce(device: &Device<'_>, rings: [GrantRef; 2], port: u32) -> Result<(), OpenError> {
    let [rx, tx] = rings;
    let nodes: [(&str, &dyn fmt::Display); 9] = [
        ("rx-ring-ref", &rx.0),
        ("tx-ring-ref", &tx.0),
        ("event-channel", &port),
        ("request-rx-copy", &1),
        ("feature-rx-notify", &1),
        ("feature-sg", &1),
        ("feature-gso-tcpv4", &1),
        ("feature-gso-tcpv6", &1),
        ("feature-ipv6-csum-offload", &1),
    ];
    device.say(&nodes).await?;
    device.set_state(State::Connected).await?;
    match device.wait_for(&[State::Connected, State::Closing, State::Closed, State::Unknown]).await? {
        State::Connected => Ok(()),
        _ => Err(OpenError::Backend),
    }
}

impl Kept for Link {
    const KIND: &'static str = "vif";
    type Error = OpenError;

    fn index(&self) -> &str {
        &self.index
    }
    fn rings(&self) -> &[GrantRef] {
        &self.grants
    }
    fn is_connected(&self) -> bool {
        self.connected.get()
    }

    async fn connect(&self, device: &Device<'_>, timer: &EventLoop) -> Result<(), OpenError> {
        let channel = self.open(device)?;
        if self.empty.replace(false) {
            let front = front(device, self.rings, MacAddr::default(), channel).await?;
            self.ask(Pending::Replace(Box::new(front)));
        } else {
            self.ask(Pending::Reset(device.backend, channel));
        }
        self.done(timer).await;
        announce(device, self.grants, channel.port()).await?;
        Doorbell::ring(&channel);
        self.connected.set(true);
        self.wake();
        Ok(())
    }

    async fn look(&self, _: &Device<'_>) -> Result<(), OpenError> {
        Ok(())
    }

    async fn stop(&self, _: bool, _: &EventLoop) {
        self.connected.set(false);
        self.ask(Pending::Close);
    }

    fn take_back(&self) -> bool {
        self.wake();
        self.pending.borrow().is_none()
    }
}

/// Why it could not be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The domain has no network interface.
    None,
    /// Xenstore said no.
    Xenstore(Error),
    /// The interface has no proper address.
    Mac,
    /// The backend wants to write into our memory itself, which no backend in use does.
    NoCopy,
    /// The backend did not come up.
    Backend,
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
            Self::None => f.write_str("this domain has no network interface; give it one with vif=[...]"),
            Self::Xenstore(error) => write!(f, "the network interface: {error}"),
            Self::Mac => f.write_str("the network interface has no MAC address"),
            Self::NoCopy => f.write_str("the network backend cannot copy (feature-rx-copy)"),
            Self::Backend => f.write_str("the network backend is gone"),
            Self::Resources => f.write_str("no grants or event channels are left for the network"),
        }
    }
}
impl core::error::Error for OpenError {}

/// Pages for the card, by how much memory there is: the largest sizes only pay where they are a small part.
fn sizes() -> Sizes {
    match boot::info().nr_pages {
        0..2_048 => Sizes { rx_pages: 32, tx_pages: 32 },
        2_048..4_096 => Sizes { rx_pages: 128, tx_pages: 64 },
        _ => Sizes { rx_pages: 256, tx_pages: 128 },
    }
}

/// A card for the backend of `device`.
async fn front(
    device: &Device<'_>,
    [rx, tx]: [&'static RingPage; 2],
    mac: MacAddr,
    channel: EventChannel,
) -> Result<Front, OpenError> {
    let offered = [
        "feature-rx-copy",
        "feature-no-csum-offload",
        "feature-ipv6-csum-offload",
        "feature-sg",
        "feature-gso-tcpv4",
        "feature-gso-tcpv6",
    ];
    let [copies, no_checksum_v4, checksum_v6, scatter_gather, gso_v4, gso_v6] =
        device.offers(offered).await?;
    if !copies {
        return Err(OpenError::NoCopy);
    }
    let features = Features { checksum_v4: !no_checksum_v4, checksum_v6, scatter_gather, gso_v4, gso_v6 };
    let mtu = device.store.number(&format!("{}/mtu", device.front)).await.map_or(1500, |mtu| mtu as usize);
    let mtu = mtu.clamp(576, 65_521);
    Netfront::new((rx, tx), mac, mtu, features, sizes(), device.backend, GrantTable, channel)
        .ok_or(OpenError::Resources)
}

/// A card that nobody serves, with an address made up at random.
fn nobodys([rx, tx]: [&'static RingPage; 2], entropy: &impl Entropy) -> Result<Front, OpenError> {
    let mut mac = [0; 6];
    entropy.fill(&mut mac);
    // Locally administered, and one station's.
    mac[0] = mac[0] & !1 | 2;
    let (sizes, features) = (Sizes { rx_pages: 1, tx_pages: 1 }, Features::default());
    let none = EventChannel::none();
    let front = Netfront::new((rx, tx), MacAddr(mac), 1500, features, sizes, 0, GrantTable, none);
    let mut front = front.ok_or(OpenError::Resources)?;
    let _ = front.close(Misbehaviour::Gone);
    Ok(front)
}

/// Opens the domain's interface `index`, or its place if there is none yet.
///
/// # Errors
/// What is missing.
pub async fn open(store: &Xenstore, index: &str, entropy: &impl Entropy) -> Result<Card, OpenError> {
    let device = match meet(store, index).await {
        Err(OpenError::None) => None,
        other => Some(other?),
    };
    let grant = || GrantTable.reserve().ok_or(OpenError::Resources);
    // The card lives as long as the kernel.
    let ring = || -> &'static RingPage { Box::leak(Box::default()) };
    let link = Link {
        index: index.to_string(),
        rings: [ring(), ring()],
        grants: [grant()?, grant()?],
        connected: Cell::new(device.is_some()),
        empty: Cell::new(device.is_none()),
        pending: RefCell::default(),
        waker: RefCell::default(),
    };
    let front = match &device {
        Some(device) => {
            let mac = store.read(&format!("{}/mac", device.front)).await?;
            let mac: MacAddr = mac.trim().parse().map_err(|_| OpenError::Mac)?;
            let channel = link.open(device)?;
            let front = front(device, link.rings, mac, channel).await?;
            announce(device, link.grants, channel.port()).await?;
            front
        }
        None => {
            log::info!("no network interface; one that is attached later will be used");
            nobodys(link.rings, entropy)?
        }
    };
    Ok(Card { front, link: Rc::new(link) })
}
