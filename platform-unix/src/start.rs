//! From `main` to the application and back.
use crate::{HostPlatform, HostTcp, HostUdp, Reactor, logger, network::Network, signals::Termination};
use airglow_device::Parameters;
use airglow_runtime::{Either, block_on, refuse_unknown, select};
use std::{fmt::Display, io, process::ExitCode};
#[cfg(target_os = "linux")]
use {
    crate::{
        CardPlatform, OpenError, Packet, SystemEntropy, Tap, Xdp,
        card::Card,
        network::{Interface, Kind, Own},
        recording::Recordings,
        turns::in_turns,
    },
    airglow_device::{MacAddr, NetDevice},
    airglow_net::{
        Limits, Stack,
        tcp::{Config, Heap},
    },
};

/// Makes `main` of an application: `airglow::main!(|platform| website::run(platform, &website::SITE));`
///
/// `platform` is a reference to an [`airglow_device::Platform`]; the body is a future of `Result<(), E>` with an `E`
/// that can be shown. It is compiled once for each kind of network, since the boot parameter `net=` chooses at run time.
#[cfg(target_os = "linux")]
#[macro_export]
macro_rules! main {
    (|$platform:pat_param| $app:expr) => {
        fn main() -> ::std::process::ExitCode {
            $crate::start(
                async |$platform: &$crate::HostPlatform<'_>| $crate::told($app.await),
                async |$platform: &$crate::CardPlatform<'_, $crate::Tap>| $crate::told($app.await),
                async |$platform: &$crate::CardPlatform<'_, $crate::Packet>| $crate::told($app.await),
                async |$platform: &$crate::CardPlatform<'_, $crate::Xdp>| $crate::told($app.await),
            )
        }
    };
}

/// Makes `main` of an application: `airglow::main!(|platform| website::run(platform, &website::SITE));`
///
/// `platform` is a reference to an [`airglow_device::Platform`]; the body is a future of `Result<(), E>` with an `E`
/// that can be shown.
#[cfg(not(target_os = "linux"))]
#[macro_export]
macro_rules! main {
    (|$platform:pat_param| $app:expr) => {
        fn main() -> ::std::process::ExitCode {
            $crate::start(async |$platform: &$crate::HostPlatform<'_>| $crate::told($app.await))
        }
    };
}

/// How an application ends, its error in words so that it may borrow from the platform.
type Outcome = Result<(), String>;

/// The application's error in words.
#[doc(hidden)]
pub fn told<E: Display>(result: Result<(), E>) -> Outcome {
    result.map_err(|error| error.to_string())
}

/// Boots: reads the parameters from the command line, opens the network, and runs the application until it
/// ends, fails, or SIGINT or SIGTERM arrives. Exit code 0, or 1 with one line on standard error.
///
/// The application reads its boot parameters before it first waits; words that nobody has asked for by then
/// are refused.
#[doc(hidden)]
pub fn start(
    host: impl AsyncFnOnce(&HostPlatform<'_>) -> Outcome,
    #[cfg(target_os = "linux")] tap: impl AsyncFnOnce(&CardPlatform<'_, Tap>) -> Outcome,
    #[cfg(target_os = "linux")] packet: impl AsyncFnOnce(&CardPlatform<'_, Packet>) -> Outcome,
    #[cfg(target_os = "linux")] xdp: impl AsyncFnOnce(&CardPlatform<'_, Xdp>) -> Outcome,
) -> ExitCode {
    let mut arguments = std::env::args();
    let program = arguments.next().unwrap_or_default();
    let words: Vec<String> = arguments.collect();
    let ended = Boot::new(words.join(" ").leak()).and_then(|(boot, network)| match network {
        Network::Host => boot.on_host(host),
        #[cfg(target_os = "linux")]
        Network::Own(Kind::Tap, own) => boot.on_cards(&own, Tap::open, tap),
        #[cfg(target_os = "linux")]
        Network::Own(Kind::Packet, own) => boot.on_cards(&own, Packet::open, packet),
        #[cfg(target_os = "linux")]
        Network::Own(Kind::Xdp, own) => boot.on_cards(&own, Xdp::open, xdp),
        #[cfg(not(target_os = "linux"))]
        Network::Never(never, _) => match never {},
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let name = program.rsplit('/').next().unwrap_or_default();
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What every kind of network needs.
struct Boot {
    parameters: Parameters<'static>,
    reactor: Reactor,
    termination: Termination,
}

impl Boot {
    fn new(words: &'static str) -> Result<(Self, Network<'static>), String> {
        let parameters = Parameters::new(words);
        logger::log_to_stderr(&parameters).map_err(|error| error.to_string())?;
        let network = Network::read(&parameters).map_err(|error| error.to_string())?;
        let reactor = Reactor::new().map_err(system)?;
        let termination = Termination::listen(&reactor).map_err(system)?;
        Ok((Self { parameters, reactor, termination }, network))
    }

    fn on_host(&self, app: impl AsyncFnOnce(&HostPlatform<'_>) -> Outcome) -> Outcome {
        let (tcp, udp) = (HostTcp::new(&self.reactor), HostUdp::new(&self.reactor));
        let platform = HostPlatform::new(&tcp, &udp, &self.reactor, &self.parameters);
        self.run(refuse_unknown(app(&platform), &self.parameters))
    }

    #[cfg(target_os = "linux")]
    fn on_cards<D: Card>(
        &self,
        own: &Own<'_>,
        open: impl Fn(&Reactor, &str, Option<MacAddr>, bool) -> Result<D, OpenError>,
        app: impl AsyncFnOnce(&CardPlatform<'_, D>) -> Outcome,
    ) -> Outcome {
        let mut config = Config::default();
        if let Some(congestion) = self
            .parameters
            .get("congestion", "cubic, newreno or westwood")
            .map_err(|error| error.to_string())?
        {
            config.congestion = congestion;
        }
        let recordings = Recordings::create(own.capture, own.trace)?;
        let mut cards = Vec::with_capacity(own.interfaces.len());
        for interface in &own.interfaces {
            let card = open(&self.reactor, interface.device, interface.mac, own.offload)
                .map_err(|error| error.to_string())?;
            if let Some(recorder) = recordings.recorder(interface.device) {
                card.record(&recorder);
            }
            cards.push(card);
        }
        let macs: Vec<_> = cards.iter().map(NetDevice::mac).collect();
        let (limits, storage) = (Limits::default(), Heap::default());
        let stack =
            Stack::with_tcp_config(cards, self.reactor.clone(), &SystemEntropy, limits, storage, config);
        let dhcp = own.interfaces.iter().any(|interface| interface.addresses.dhcp);
        for (index, Interface { device, addresses, .. }) in own.interfaces.iter().enumerate() {
            stack.configure(index, addresses).map_err(|error| format!("{device}: {error}"))?;
            if addresses.ipv4.is_none() && !addresses.dhcp {
                log::warn!("{device}: neither `ipv4=` nor `dhcp` is given: IPv6 only");
            }
        }
        stack.set_forwarding(own.forward);
        stack.set_trace(recordings.traces());
        let platform = CardPlatform::new(&stack, &stack, &self.reactor, &self.parameters);
        let named = |index: usize| own.interfaces.get(index).zip(macs.get(index));
        let app = async {
            if dhcp {
                log::info!("asking for an address");
                stack.wait_address().await;
            }
            stack.with_addresses(|address| {
                if let Some((interface, mac)) = named(address.interface) {
                    log::info!("{}: {mac}, {}", interface.device, address.cidr);
                }
            });
            refuse_unknown(app(&platform), &self.parameters).await
        };
        let outcome =
            self.run(in_turns(&self.reactor, recordings.of(&stack, stack.run()), recordings.of(&stack, app)));
        log_counters(&stack, own);
        outcome
    }

    /// Runs `app` until it ends or a signal arrives.
    fn run(&self, app: impl Future<Output = Outcome>) -> Outcome {
        let outcome = block_on(&self.reactor, select(app, self.termination.requested()));
        // What the application wrote in its last turn.
        self.reactor.end_of_turn();
        match outcome {
            Either::Left(outcome) => outcome,
            Either::Right(signal) => {
                log::info!("{signal}: shutting down");
                Ok(())
            }
        }
    }
}

/// At the end, what was counted: with `log=debug`.
#[cfg(target_os = "linux")]
fn log_counters<D: Card>(stack: &crate::CardStack<D>, own: &Own<'_>) {
    for (index, interface) in own.interfaces.iter().enumerate() {
        if let Some(stats) = stack.device_stats(index) {
            log::debug!("{}: {stats:?}", interface.device);
        }
    }
    log::debug!("{:?}", stack.ip_stats());
    log::debug!("{:?}", stack.tcp_stats());
    log::debug!("{:?}", stack.tcp_usage());
}

fn system(error: io::Error) -> String {
    format!("the system refuses what airglow needs to start: {error}")
}
