//! Opening the network card.
use super::{
    xenbus::{Device, State},
    xenstore::Xenstore,
};
use crate::{
    boot::{self, events::EventChannel, grants::GrantTable, hypercall},
    drivers::{
        grant::{Access, DomainId, Doorbell, GrantRef, Grants},
        netfront::{Features, Netfront, Sizes},
        ring::RingPage,
        xenstore::Error,
    },
};
use airglow_device::{Caps, LinkState, MacAddr, NetDevice, NetStats};
use airglow_runtime::yield_now;
use alloc::{
    boxed::Box,
    format,
    rc::Rc,
    string::{String, ToString},
};
use core::{
    cell::Cell,
    fmt,
    task::{Context, Poll},
};

type Front = Netfront<'static, GrantTable, EventChannel>;

/// The kernel's network card.
#[derive(Debug)]
pub struct Card {
    front: Front,
    link: Rc<Link>,
}

/// The card's connection to its backend, by which it is connected again after the domain was restored.
#[derive(Debug)]
pub struct Link {
    index: String,
    rings: [(GrantRef, &'static RingPage); 2],
    connected: Cell<bool>,
    // The backend to start over with, until the card has done it.
    pending: Cell<Option<(DomainId, EventChannel)>>,
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
        self.start_over();
        self.front.split()
    }
    fn poll_ready(&mut self, cx: &mut Context<'_>, want_tx: bool) -> Poll<()> {
        self.start_over();
        self.front.poll_ready(cx, want_tx)
    }
}

impl Card {
    fn start_over(&mut self) {
        if let Some((backend, channel)) = self.link.pending.take() {
            self.front.reset(backend, channel);
        }
    }

    /// The connection, to be kept for [`reconnect`].
    pub fn link_handle(&self) -> Rc<Link> {
        self.link.clone()
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
        State::InitWait | State::Connected => {}
        _ => return Err(OpenError::Backend),
    }
    if !device.offers("feature-rx-copy", false).await? {
        return Err(OpenError::NoCopy);
    }
    Ok(device)
}

/// Tells the backend where the rings are, and waits until it uses them.
async fn announce(device: &Device<'_>, rings: [GrantRef; 2], port: u32) -> Result<(), OpenError> {
    let [rx, tx] = rings;
    device.say("rx-ring-ref", rx.0).await?;
    device.say("tx-ring-ref", tx.0).await?;
    device.say("event-channel", port).await?;
    for feature in [
        "request-rx-copy",
        "feature-rx-notify",
        "feature-sg",
        "feature-gso-tcpv4",
        "feature-gso-tcpv6",
        "feature-ipv6-csum-offload",
    ] {
        device.say(feature, 1).await?;
    }
    device.set_state(State::Connected).await?;
    match device.wait_for(&[State::Connected, State::Closing, State::Closed, State::Unknown]).await? {
        State::Connected => Ok(()),
        _ => Err(OpenError::Backend),
    }
}

/// Connects the card of `link` again, after the domain was restored.
///
/// # Errors
/// What is missing.
pub async fn reconnect(store: &Xenstore, link: &Link) -> Result<(), OpenError> {
    link.connected.set(false);
    let device = meet(store, &link.index).await?;
    let port = hypercall::alloc_unbound(device.backend).map_err(|_| OpenError::Resources)?;
    let channel = EventChannel::new(port).ok_or(OpenError::Resources)?;
    link.pending.set(Some((device.backend, channel)));
    // The card belongs to the stack, which asks it at its next turn.
    while link.pending.get().is_some() {
        yield_now().await;
    }
    for (grant, ring) in link.rings {
        GrantTable.permit(grant, device.backend, core::ptr::from_ref(ring).cast(), Access::ReadWrite);
    }
    announce(&device, link.rings.map(|(grant, _)| grant), port).await?;
    link.connected.set(true);
    Doorbell::ring(&channel);
    Ok(())
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

/// Opens the domain's interface `index`.
///
/// # Errors
/// What is missing.
pub async fn open(store: &Xenstore, index: &str) -> Result<Card, OpenError> {
    let device = meet(store, index).await?;
    let mac = store.read(&format!("{}/mac", device.front)).await?;
    let mac: MacAddr = mac.trim().parse().map_err(|_| OpenError::Mac)?;
    let features = Features {
        checksum_v4: !device.offers("feature-no-csum-offload", false).await?,
        checksum_v6: device.offers("feature-ipv6-csum-offload", false).await?,
        scatter_gather: device.offers("feature-sg", false).await?,
        gso_v4: device.offers("feature-gso-tcpv4", false).await?,
        gso_v6: device.offers("feature-gso-tcpv6", false).await?,
    };
    let mtu = store.get(&format!("{}/mtu", device.front)).await.unwrap_or(1500usize).clamp(576, 65_521);

    let port = hypercall::alloc_unbound(device.backend).map_err(|_| OpenError::Resources)?;
    let channel = EventChannel::new(port).ok_or(OpenError::Resources)?;
    let ring = || -> Result<(GrantRef, &'static RingPage), OpenError> {
        // The card lives as long as the kernel.
        let ring: &'static RingPage = Box::leak(Box::default());
        let grant = GrantTable.reserve().ok_or(OpenError::Resources)?;
        GrantTable.permit(grant, device.backend, core::ptr::from_ref(ring).cast(), Access::ReadWrite);
        Ok((grant, ring))
    };
    let rings = [ring()?, ring()?];
    let pages = (rings[0].1, rings[1].1);
    let front = Netfront::new(pages, mac, mtu, features, sizes(), device.backend, GrantTable, channel)
        .ok_or(OpenError::Resources)?;
    announce(&device, rings.map(|(grant, _)| grant), port).await?;
    let link = Link { index: index.to_string(), rings, connected: Cell::new(true), pending: Cell::new(None) };
    Ok(Card { front, link: Rc::new(link) })
}
