//! An OpenFlow controller, generic over the platform.
//!
//! | boot parameter | meaning | default |
//! |---|---|---|
//! | `listen=ADDR:PORT` | waits for switches there | every address, port 6653 |
//! | `tls=on` | switches connect over TLS, with `cert=FILE key=FILE ca=FILE` (on Unix): [who one is and whom one trusts](airglow_openflow_tls) | `off` |
//! | `app=learning` | each switch learns which address is behind which port; for networks without loops | |
//! | `app=routing` | links found by LLDP, shortest paths, broadcast over a spanning tree; for any network | `learning` |
//! | `addresses=N` | most addresses that are remembered: at each switch (`learning`), or of all hosts (`routing`) | 65536 |
//! | `page=ADDR:PORT` | a page that shows switches, links, hosts and counters of flows, over HTTP | off |
#![cfg_attr(not(unix), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod page;
mod watched;

use airglow::{
    device::{Endpoint, Entropy, ParameterError, Platform, Tcp},
    runtime::select,
};
use airglow_openflow::controller::{Application, Config, Learning, Routing, Server};
use alloc::{
    format,
    string::{String, ToString},
};
use core::{future::pending, net::SocketAddr};
use watched::{Map, Watched};

/// OpenFlow's port (OpenFlow 1.3 section 6.3.3).
const PORT: u16 = 6653;

/// Switches at once over TLS; those beyond what the controller's own configuration says are closed.
#[cfg(unix)]
const SWITCHES: usize = 1024;

/// Speaks with switches, over TLS too.
#[cfg(unix)]
struct Switches<'s, A: Application, T: airglow::device::Timer>(&'s Server<A, T>);

#[cfg(unix)]
impl<A: Application, T: airglow::device::Timer> airglow_openflow_tls::Speak for Switches<'_, A, T> {
    async fn speak(&self, stream: impl airglow::device::Stream) {
        self.0.switch(stream).await
    }
}

/// Runs the controller until the platform stops it.
///
/// # Errors
/// One line that says which boot parameter is wrong.
pub async fn run<P: Platform>(platform: &P) -> Result<(), String> {
    let parameters = platform.parameters();
    let wrong = |error: ParameterError<'_>| error.to_string();
    let on =
        parameters.get::<SocketAddr>("listen", "an address and port, as in 127.0.0.1:6653").map_err(wrong)?;
    let most =
        parameters.get::<usize>("addresses", "a number, as in 1000").map_err(wrong)?.unwrap_or(1 << 16);
    let on = on.map_or(Endpoint::from(PORT), Endpoint::from);
    let page =
        parameters.get::<SocketAddr>("page", "an address and port, as in 127.0.0.1:8080").map_err(wrong)?;
    match parameters.text("app") {
        None | Some("learning") => serve(platform, on, page, Learning::new(most)).await,
        Some("routing") => {
            let routing = Routing::new(most, || platform.entropy().u64());
            serve(platform, on, page, routing).await
        }
        Some(other) => Err(format!("boot parameter `app={other}`: expected `learning` or `routing`")),
    }
}

async fn serve<P: Platform>(
    platform: &P,
    on: Endpoint,
    page: Option<SocketAddr>,
    application: impl Application + Map,
) -> Result<(), String> {
    let listener = platform.tcp().listen(on).await.map_err(|error| format!("listen={on:?}: {error}"))?;
    log::info!("listening for switches on {on:?}");
    #[cfg(unix)]
    let identity = match platform.parameters().switch("tls").map_err(|error| error.to_string())? {
        Some(true) => Some(airglow_openflow_tls::Identity::read(platform.parameters())?),
        _ => None,
    };
    #[cfg(not(unix))]
    if platform.parameters().switch("tls").map_err(|error| error.to_string())? == Some(true) {
        return Err(String::from("boot parameter `tls=on`: there are no files for the certificates here"));
    }
    let server = Server::new(Config::default(), Watched::new(application, page.is_some()), platform.timer());
    let showing = async {
        let Some(at) = page else { return pending::<Result<(), String>>().await };
        let listener = platform.tcp().listen(at).await.map_err(|error| format!("page={at}: {error}"))?;
        log::info!("the network is shown at http://{at}/");
        let topology = || server.with(|controller| page::topology(controller));
        match page::serve(&listener, platform.timer(), topology).await {}
    };
    let serving = async {
        #[cfg(unix)]
        if let Some(identity) = &identity {
            use airglow::runtime::Either;
            let speaker = Switches(&server);
            let listening = identity.listen::<SWITCHES, _>(platform, listener, &speaker);
            return match select(server.run(), listening).await {
                Either::Left(never) => match never {},
                Either::Right(result) => result.map(|never| match never {}),
            };
        }
        match server.serve(&listener).await {}
    };
    select(serving, showing).await.into_inner()
}
