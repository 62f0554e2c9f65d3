//! Opening the network card.
use super::{
    xenbus::{Device, State},
    xenstore::Xenstore,
};
use crate::{
    boot::{self, events::EventChannel, grants::GrantTable, hypercall},
    drivers::{
        grant::{Access, Grants},
        netfront::{Features, Netfront, Sizes},
        ring::RingPage,
        xenstore::Error,
    },
};
use airglow_device::MacAddr;
use alloc::boxed::Box;
use core::fmt;

/// The kernel's network card.
pub type Card = Netfront<'static, GrantTable, EventChannel>;

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
    let device = match Device::find(store, "vif", index).await {
        Err(Error::NotFound) => return Err(OpenError::None),
        other => other?,
    };
    let mac: MacAddr = store
        .read(&alloc::format!("{}/mac", device.front))
        .await?
        .trim()
        .parse()
        .map_err(|_| OpenError::Mac)?;
    device.set_state(State::Initialising).await?;
    match device.wait_for(&[State::InitWait, State::Connected, State::Closing, State::Closed]).await? {
        State::InitWait | State::Connected => {}
        _ => return Err(OpenError::Backend),
    }
    if !device.offers("feature-rx-copy", false).await? {
        return Err(OpenError::NoCopy);
    }
    let scatter_gather = device.offers("feature-sg", false).await?;
    let features = Features {
        checksum_v4: !device.offers("feature-no-csum-offload", false).await?,
        checksum_v6: device.offers("feature-ipv6-csum-offload", false).await?,
        scatter_gather,
        gso_v4: device.offers("feature-gso-tcpv4", false).await?,
        gso_v6: device.offers("feature-gso-tcpv6", false).await?,
    };
    let mtu =
        store.get(&alloc::format!("{}/mtu", device.front)).await.unwrap_or(1500usize).clamp(576, 65_521);

    let port = hypercall::alloc_unbound(device.backend).map_err(|_| OpenError::Resources)?;
    let channel = EventChannel::new(port).ok_or(OpenError::Resources)?;
    // The card lives as long as the kernel.
    let rings: [&'static RingPage; 2] = [Box::leak(Box::default()), Box::leak(Box::default())];
    let mut refs = [0; 2];
    for (ring, number) in rings.iter().zip(&mut refs) {
        let grant = GrantTable.reserve().ok_or(OpenError::Resources)?;
        GrantTable.permit(grant, device.backend, core::ptr::from_ref(*ring).cast(), Access::ReadWrite);
        *number = grant.0;
    }
    let card =
        Netfront::new((rings[0], rings[1]), mac, mtu, features, sizes(), device.backend, GrantTable, channel)
            .ok_or(OpenError::Resources)?;

    device.say("rx-ring-ref", refs[0]).await?;
    device.say("tx-ring-ref", refs[1]).await?;
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
        State::Connected => Ok(card),
        _ => Err(OpenError::Backend),
    }
}
