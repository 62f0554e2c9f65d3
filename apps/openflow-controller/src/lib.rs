//! An OpenFlow controller, generic over the platform.
//!
//! | boot parameter | meaning | default |
//! |---|---|---|
//! | `listen=ADDR:PORT` | waits for switches there | every address, port 6653 |
//! | `app=learning` | each switch learns which address is behind which port; for networks without loops | |
//! | `app=routing` | links found by LLDP, shortest paths, broadcast over a spanning tree; for any network | `learning` |
//! | `addresses=N` | most addresses that are remembered: at each switch (`learning`), or of all hosts (`routing`) | 65536 |
#![cfg_attr(not(unix), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

use airglow::device::{Endpoint, Entropy, Instant, Listener, ParameterError, Platform, Tcp};
use airglow_openflow::controller::{
    Application, Config, Event, Learning, Routing, Server, SwitchId, Switches,
};
use alloc::{
    format,
    string::{String, ToString},
};
use core::net::SocketAddr;

/// OpenFlow's port (OpenFlow 1.3 section 6.3.3).
const PORT: u16 = 6653;

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
    let listen = async || {
        let listener = platform.tcp().listen(on).await.map_err(|error| format!("listen={on:?}: {error}"))?;
        log::info!("listening for switches on {on:?}");
        Ok::<_, String>(listener)
    };
    match parameters.text("app") {
        None | Some("learning") => serve(platform, &listen().await?, Learning::new(most)).await,
        Some("routing") => {
            let routing = Routing::new(most, || platform.entropy().u64());
            serve(platform, &listen().await?, routing).await
        }
        Some(other) => Err(format!("boot parameter `app={other}`: expected `learning` or `routing`")),
    }
}

async fn serve<P: Platform>(
    platform: &P,
    listener: &impl Listener,
    application: impl Application,
) -> Result<(), String> {
    let server = Server::new(Config::default(), Logged(application), platform.timer());
    match server.serve(listener).await {}
}

/// Says which switches come and go.
struct Logged<A>(A);

impl<A: Application> Application for Logged<A> {
    fn event(&mut self, now: Instant, switches: &mut Switches, from: SwitchId, event: &Event<'_>) {
        match event {
            Event::Joined => {
                if let Some(session) = switches.get(from) {
                    let (datapath, ports) = (session.datapath_id(), session.ports().count());
                    log::info!(
                        "{from:?}: datapath {datapath:016x} joined with {ports} ports, {:?}",
                        session.version()
                    );
                }
            }
            Event::Left => log::warn!("{from:?} left"),
            Event::Error { kind, code, .. } => {
                log::warn!("{from:?} refused a message: error {kind}, code {code}")
            }
            _ => {}
        }
        self.0.event(now, switches, from, event);
    }
    fn poll(&mut self, now: Instant, switches: &mut Switches) {
        self.0.poll(now, switches);
    }
    fn poll_timeout(&self) -> Option<Instant> {
        self.0.poll_timeout()
    }
}
