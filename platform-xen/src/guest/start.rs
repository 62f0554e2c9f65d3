//! From the kernel's start to the application and back.
use super::{
    control::{self, Request},
    event_loop::EventLoop,
    keeper::{self, Devices},
    logger, network,
    platform::{NetStack, Xen},
    vchan,
    xenstore::Xenstore,
};
use crate::{
    boot::{self, entropy, events::EventChannel, report::Out, suspend::Woken, time},
    interface::ShutdownReason,
};
use airglow_device::Parameters;
use airglow_net::{InterfaceConfig, Limits, tcp};
use airglow_runtime::{Either, block_on, select};
use alloc::{
    boxed::Box,
    string::{String, ToString},
};
use core::{
    convert::Infallible,
    fmt::{Display, Write},
    future::{pending, poll_fn},
    net::IpAddr,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::Poll,
};

/// The application's error in words, so that it may borrow from the platform.
#[doc(hidden)]
pub fn told<E: Display>(result: Result<(), E>) -> Result<(), String> {
    result.map_err(|error| error.to_string())
}

/// Makes the kernel's main function of an application:
/// `airglow::main!(|platform| website::run(platform, &website::SITE));`
#[macro_export]
macro_rules! main {
    (|$platform:pat_param| $app:expr) => {
        // What the boot code calls.
        #[unsafe(no_mangle)]
        extern "C" fn airglow_main() {
            $crate::start(async |$platform: &$crate::Xen<'_>| $crate::told($app.await))
        }
    };
}

/// Runs the application until it ends, fails, or the toolstack asks the domain to end.
///
/// The application reads its boot parameters before it first waits; words that nobody has asked for by then
/// are refused.
#[doc(hidden)]
pub fn start(app: impl AsyncFnOnce(&Xen<'_>) -> Result<(), String>) -> ! {
    let event_loop: &EventLoop = Box::leak(Box::new(EventLoop::new()));
    let parameters = Parameters::new(boot::info().command_line());
    match block_on(event_loop, kept(run(event_loop, &parameters, app))) {
        Ok(reason) => boot::end(reason),
        Err(error) => {
            let _ = writeln!(Out, "airglow: {error}");
            boot::end(ShutdownReason::Crash)
        }
    }
}

/// A future that lives as long as the kernel: no code is linked that would take it apart.
fn kept<'a, F: Future + 'a>(future: F) -> Pin<&'a mut F> {
    // SAFETY: it stays where it is, and its memory is given to nobody else.
    unsafe { Pin::new_unchecked(Box::leak(Box::new(future))) }
}

async fn run(
    event_loop: &'static EventLoop,
    parameters: &Parameters<'_>,
    app: impl AsyncFnOnce(&Xen<'_>) -> Result<(), String>,
) -> Result<ShutdownReason, String> {
    let words = |error: &dyn Display| error.to_string();
    logger::start(parameters).map_err(|e| words(&e))?;
    let config = InterfaceConfig::from_parameters(parameters).map_err(|e| words(&e))?;
    if !entropy::start() {
        return Err(
            "this processor has no random numbers (RDRAND or RDSEED), without which nothing is secret".into(),
        );
    }
    let store = boot::xenstore().ok_or("this is dom0 or there is no xenstore, so there are no devices")?;
    let store: &Xenstore = Box::leak(Box::new(store));
    let card = network::open(store, "0", &entropy::XenEntropy).await.map_err(|e| words(&e))?;
    let link = card.link_handle();
    let stack =
        NetStack::new([card], event_loop, &entropy::XenEntropy, Limits::default(), tcp::Heap::default());
    let stack: &NetStack<'_> = Box::leak(Box::new(stack));
    stack.configure(0, &config).map_err(|e| words(&e))?;
    stack.with_addresses(|address| match address.cidr.addr {
        IpAddr::V4(ipv4) => log::info!("address {ipv4}/{}", address.cidr.prefix_len),
        IpAddr::V6(_) if !cfg!(feature = "ipv6") => {}
        IpAddr::V6(ipv6) => log::info!("address {ipv6}/{}", address.cidr.prefix_len),
    });

    let opened: &Devices = Box::leak(Box::default());
    let platform = Xen { stack, event_loop, store, devices: opened, parameters };
    let app = kept(refuse_unknown(kept(app(&platform)), parameters));
    let control = kept(async {
        loop {
            match control::requests(store, |key| statistics(key, stack)).await {
                Ok(Request::End(reason)) => break Ok(reason),
                Ok(Request::Suspend) => {
                    if let Err(why) = suspended(store).await {
                        break Err(why);
                    }
                }
                Err(error) => {
                    log::warn!("the toolstack cannot be heard: {error}");
                    pending().await
                }
            }
        }
    });
    let network = kept(async {
        let Err(why) = keeper::keep(&*link, store, event_loop).await;
        log::warn!("the network is not looked after any more: {why}");
        pending::<Infallible>().await
    });
    let devices = kept(async {
        match select(select(stack.run(), network), opened.keep()).await {
            Either::Left(Either::Left(never) | Either::Right(never)) | Either::Right(never) => match never {},
        }
    });
    match select(select(app, control), devices).await {
        Either::Left(Either::Left(result)) => result.map(|()| ShutdownReason::PowerOff),
        Either::Left(Either::Right(request)) => {
            // The application is not asked: its peers are told.
            vchan::leave();
            if let Ok(reason) = request {
                log::info!("the toolstack ends this domain: {reason:?}");
            }
            request
        }
        Either::Right(never) => match never {},
    }
}

/// `xl save`, and `xl restore`: everything that was open before is open after it.
async fn suspended(store: &Xenstore) -> Result<(), String> {
    log::info!("the toolstack saves this domain");
    vchan::leave();
    let woken = boot::suspend::suspend()
        .map_err(|e| alloc::format!("after it was saved, the kernel cannot go on: {e}"))?;
    vchan::left();
    if woken == Woken::Cancelled {
        log::info!("the domain goes on: it was not saved");
        return Ok(());
    }
    log::info!("restored");
    let channel = EventChannel::new(boot::info().store_evtchn).ok_or("no event channel for xenstore")?;
    store.restored(channel).await.map_err(|e| e.to_string())?;
    // Whoever watches a backend finds another one.
    Ok(())
}

/// Ticks of the time stamp counter from the kernel's first instruction to the application's first wait.
static STARTED: AtomicU64 = AtomicU64::new(0);

/// `xl sysrq`: prints counters.
fn statistics(key: char, stack: &NetStack<'_>) {
    log::info!("sysrq `{key}`");
    if !cfg!(feature = "statistics") {
        return;
    }
    log::info!("ticks from entry to the application's first wait: {}", STARTED.load(Ordering::Relaxed));
    log::info!("network card: {:?}", stack.device_stats(0).unwrap_or_default());
    log::info!("IP: {:?}", stack.ip_stats());
    log::info!("TCP: {:?}", stack.tcp_stats());
}

/// `app`; after its first poll, by which it has read its parameters, it fails if a word is left over.
async fn refuse_unknown(
    mut app: Pin<&mut impl Future<Output = Result<(), String>>>,
    parameters: &Parameters<'_>,
) -> Result<(), String> {
    let mut checked = false;
    poll_fn(|cx| {
        let polled = app.as_mut().poll(cx);
        if !checked {
            // An application that serves has opened its ports by now.
            STARTED.store(time::since_entry(), Ordering::Relaxed);
        }
        if !core::mem::replace(&mut checked, true)
            && !matches!(polled, Poll::Ready(Err(_)))
            && let Some(word) = parameters.unknown()
        {
            return Poll::Ready(Err(alloc::format!(
                "boot parameter `{word}`: nobody asks for a word of this name"
            )));
        }
        polled
    })
    .await
}
