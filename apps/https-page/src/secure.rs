//! The page over TLS.
use crate::{Failed, serve as serve_page};
use airglow::device::{Listener, Platform};
use airglow_tls::{
    Certificate, FixedAcceptor, ServerConfig, TicketKeys,
    crypto::{PrivateKey, RustCrypto},
};
use core::time::Duration;

// `CHAIN` and `KEY`.
include!(concat!(env!("OUT_DIR"), "/certificate.rs"));

/// For how long a session may be resumed.
const TICKETS: Duration = Duration::from_secs(3_600);
/// From a connection's opening to the end of its handshake: a Cortex-M3 takes seconds.
const HANDSHAKE: Duration = Duration::from_secs(20);
/// Octets of each of a connection's two TLS buffers: a browser's hello, a request, a chain of one or two certificates.
const BUFFER: usize = 2_560;

/// Serves the page to whom TLS connects.
pub(crate) async fn serve<P: Platform>(platform: &P, listener: impl Listener) -> Result<(), Failed<'_>> {
    let key = PrivateKey::from_der(KEY).ok_or(Failed::Key)?;
    let certificates = [Certificate::new(CHAIN, &key, &[])];
    let (timer, entropy) = (platform.timer(), platform.entropy());
    let tickets = TicketKeys::<_, 8>::new(RustCrypto, timer, entropy, TICKETS);
    let config = ServerConfig {
        protocols: &[b"http/1.1"],
        tickets: Some(&tickets),
        ..ServerConfig::new(RustCrypto, &certificates)
    };
    let acceptor =
        FixedAcceptor::<_, _, _, _, BUFFER> { listener, config: &config, timer, entropy, limit: HANDSHAKE };
    serve_page(platform, &acceptor).await;
    Ok(())
}
