//! From `main` to the application and back.
use crate::{HostPlatform, HostTcp, HostUdp, Reactor, logger, network::Network, signals::Termination};
use airglow_device::Parameters;
use airglow_runtime::{Either, block_on, select};
use std::{fmt::Display, future::poll_fn, io, pin::pin, process::ExitCode, task::Poll};

/// Makes `main` of an application: `airglow::main!(|platform| website::run(platform, &website::SITE));`
///
/// `platform` is a reference to an [`airglow_device::Platform`]; the body is a future of `Result<(), E>` with an `E`
/// that can be shown. It is compiled once for each kind of network, since the boot parameter `net=` chooses at run time.
#[macro_export]
macro_rules! main {
    (|$platform:pat_param| $app:expr) => {
        fn main() -> ::std::process::ExitCode {
            $crate::start(async |$platform: &$crate::HostPlatform<'_>| $crate::told($app.await))
        }
    };
}

/// The application's error in words, so that it may borrow from the platform.
#[doc(hidden)]
pub fn told<E: Display>(result: Result<(), E>) -> Result<(), String> {
    result.map_err(|error| error.to_string())
}

/// Boots: reads the parameters from the command line, opens the network, and runs the application until it
/// ends, fails, or SIGINT or SIGTERM arrives. Exit code 0, or 1 with one line on standard error.
///
/// The application reads its boot parameters before it first waits; words that nobody has asked for by then
/// are refused.
#[doc(hidden)]
pub fn start(host: impl AsyncFnOnce(&HostPlatform<'_>) -> Result<(), String>) -> ExitCode {
    let mut arguments = std::env::args();
    let program = arguments.next().unwrap_or_default();
    let words: Vec<String> = arguments.collect();
    match boot(words.join(" ").leak(), host) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let name = program.rsplit('/').next().unwrap_or_default();
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn boot(
    words: &'static str,
    host: impl AsyncFnOnce(&HostPlatform<'_>) -> Result<(), String>,
) -> Result<(), String> {
    let parameters = Parameters::new(words);
    logger::log_to_stderr(&parameters).map_err(|error| error.to_string())?;
    let network = Network::read(&parameters).map_err(|error| error.to_string())?;
    let reactor = Reactor::new().map_err(system)?;
    let termination = Termination::listen(&reactor).map_err(system)?;
    let outcome = match network {
        Network::Host => {
            let (tcp, udp) = (HostTcp::new(&reactor), HostUdp::new(&reactor));
            let platform = HostPlatform::new(&tcp, &udp, &reactor, &parameters);
            let app = refuse_unknown(host(&platform), &parameters);
            block_on(&reactor, select(app, termination.requested()))
        }
    };
    // What the application wrote in its last turn.
    reactor.end_of_turn();
    match outcome {
        Either::Left(result) => result,
        Either::Right(signal) => {
            log::info!("{signal}: shutting down");
            Ok(())
        }
    }
}

fn system(error: io::Error) -> String {
    format!("the system refuses what airglow needs to start: {error}")
}

/// `app`; after its first poll, by which it has read its parameters, it fails if a word is left over.
async fn refuse_unknown(
    app: impl Future<Output = Result<(), String>>,
    parameters: &Parameters<'_>,
) -> Result<(), String> {
    let mut app = pin!(app);
    let mut checked = false;
    poll_fn(|cx| {
        let polled = app.as_mut().poll(cx);
        if !std::mem::replace(&mut checked, true)
            && !matches!(polled, Poll::Ready(Err(_)))
            && let Some(word) = parameters.unknown()
        {
            return Poll::Ready(Err(format!("boot parameter `{word}`: nobody asks for a word of this name")));
        }
        polled
    })
    .await
}
