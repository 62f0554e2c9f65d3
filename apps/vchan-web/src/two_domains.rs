//! Each half in a domain of its own.
use crate::{CHANNELS, Failed, ask, serve};
use airglow::{device::Platform, platform::Xen};

/// Bytes of each ring.
const RING: usize = 16 << 10;
extern crate alloc;

/// Is the half that `role=` names.
///
/// # Errors
/// A wrong boot parameter, or what went wrong in between.
pub async fn run<'p>(platform: &'p Xen<'_>) -> Result<(), Failed<'p>> {
    let parameters = platform.parameters();
    let server = match parameters.text("role") {
        Some("server") => true,
        Some("client") => false,
        _ => return Err(Failed::Role),
    };
    let requests = parameters.get("requests", "a number").map_err(Failed::Parameter)?.unwrap_or(100);
    let path = parameters.text("path").unwrap_or("data/web");
    let peer = parameters.get("peer", "a domain's number").map_err(Failed::Parameter)?;
    let peer: u16 = match peer {
        Some(peer) => peer,
        None => {
            let told = platform.store().wait_for("data/peer", |text| text.trim().parse().ok()).await;
            told.map_err(|error| Failed::Channel(error.into()))?
        }
    };
    if server {
        let listener = platform.vchan_listener(peer, path, RING, CHANNELS);
        log::info!("serving domain {peer} at {path}");
        match serve(&listener, platform.timer(), platform.wall_clock()).await {}
    } else {
        let path = alloc::format!("/local/domain/{peer}/{path}");
        // Twice: the second time over another channel.
        for channel in 1..=2 {
            let stream = platform.vchan(peer, &path).await.map_err(Failed::Channel)?;
            log::info!("channel {channel}: {}", ask(stream, platform.timer(), requests).await?);
        }
        Ok(())
    }
}
