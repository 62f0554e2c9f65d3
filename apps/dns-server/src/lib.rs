//! An authoritative DNS server, generic over the platform it runs on.
//!
//! | boot parameter | meaning | default |
//! |---|---|---|
//! | `zone=FILE` | a master file (where there is a file system); repeatable with commas | the zone that is compiled in |
//! | `origin=NAME` | the zone's name | the file's name without `.zone` |
//! | `port=N` | UDP and TCP port | 53 (5353 where a port below 1024 may be refused) |
//! | `nsid=TEXT` | answer to the NSID option | none |
//! | `allow=PREFIXES` | who may ask, as `192.0.2.0/24,2001:db8::/32` | everybody |
//! | `transfers=PREFIXES` | who may transfer whole zones (AXFR); `on` is the host itself | nobody |
//! | `key=NAME:ALGORITHM:BASE64` | a TSIG key (`hmac-sha256`, `-sha384`, `-sha512`); who signs with it may transfer zones; repeatable with commas | none |
//! | `secondary=ZONE@ADDRESS` | keep ZONE from the primary there: `example.com@192.0.2.1`, `..@192.0.2.1:5300@KEY` when a key signs, `..@192.0.2.1#ns.example` (port 853) over TLS; repeatable with commas, a zone with several primaries too | none |
//! | `catalog=ZONE@ADDRESS` | the same, and the zone is a catalog (RFC 9432): its members are kept from there too | none |
//! | `group=GROUP@ADDRESS` | members of catalogs that are in GROUP (RFC 9432) are kept from there, and not from the catalog's primary; written as in `secondary`, repeatable with commas | none |
//! | `ca=FILE` | for primaries over TLS: the authorities' certificates, PEM or DER; a primary must show one that they vouch for under the name behind `#` (where there is a host) | none |
//! | `keep=FILE` | where zones of `secondary` and `catalog` are over a restart: a file, made if it is not there, or a disk; without it they are transferred again | none |
//! | `forward-updates=on` | signed updates of those zones go on to their primary (RFC 2136 section 6); not together with `update`, `workers` | off |
//! | `notify=ADDRESS` | whom to tell of changed zones: `192.0.2.2:53`, `192.0.2.2@KEY`; repeatable with commas | nobody |
//! | `reload=N` | every N seconds look whether zone files have changed, and load those that have (where there is a file system); replace a file by renaming another | never |
//! | `update=ZONE@KEY` | who signs with KEY may change ZONE (RFC 2136); repeatable with commas | nobody |
//! | `journal=FILE` | where changes are kept before they are answered: a file, made if it is not there, or a disk; without it they end with the process | none |
//! | `tls=PORT` | DNS over TLS too (where there is a host); `on`: 853, or 8853 on host sockets | off |
//! | `cert=FILE`, `certkey=FILE` | for `tls`: the certificate chain and its key, PEM or DER, as `cargo airglow cert` makes them | none |
//! | `workers=N` | threads that share the port and the zones, one for each core (where there is a host with sockets); zones are changed by the main thread, which also serves `tls` | none: the main thread answers |
//! | `stats=PORT` | `http://HOST:PORT/metrics` says what the server does, as Prometheus reads it (where there is a host) | none |
//! | `cookies=off` | give no DNS cookies | on, the secret changed daily |
//! | `rrl=N` | replies a second over UDP to one network and of one kind; one of two over that is sent truncated | no limit |
#![cfg_attr(not(unix), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(all(unix, feature = "replication"))]
mod copies;
#[cfg(unix)]
mod doorbell;
#[cfg(unix)]
mod files;
#[cfg(unix)]
mod letter;
#[cfg(unix)]
mod main_thread;
mod options;
#[cfg(feature = "replication")]
mod peers;
mod service;
#[cfg(unix)]
mod statistics;
#[cfg(unix)]
pub mod tls;
#[cfg(unix)]
mod updates;
#[cfg(unix)]
mod workers;

use airglow::{
    device::Platform,
    runtime::{Either, join, select, sleep, yield_now},
};
#[cfg(feature = "replication")]
use airglow_dns::{
    secondary::Bounds,
    shell::{Event, Replication},
};
use airglow_dns::{
    server::{Config, Server, Zones},
    shell::Dial,
    wire::{Name, NameBuf},
    zone,
};
use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::{cell::RefCell, convert::Infallible, future::pending, time::Duration};
use options::{Options, secret};
use service::Service;

/// The zone that is served where no other is named.
const COMPILED_IN: (&str, &[u8]) = ("example.com", include_bytes!("../zones/example.com.zone"));

/// How long a secret makes cookies (RFC 7873 section 7.1 advises about a day).
const COOKIE_SECRET: Duration = Duration::from_secs(86_400);

/// Serves until the platform stops it.
///
/// # Errors
/// One line that says which boot parameter, file or port is wrong.
pub async fn run<P: Platform>(platform: &P) -> Result<(), String> {
    #[cfg(unix)]
    {
        let tls = tls::Options::read(platform.parameters())?;
        let authorities = tls::authorities(platform)?;
        // Boxed, for it has room for every connection and would be copied from stack frame to stack frame.
        let serve = async |dial: &tls::Dialer<'_, P>| {
            alloc::boxed::Box::pin(serve(platform, dial, tls.as_ref())).await
        };
        tls::dialing(platform, authorities.as_ref(), tls.as_ref(), serve).await
    }
    #[cfg(not(unix))]
    serve(platform, platform.tcp()).await
}

/// The same, with other servers reached by `dial`.
async fn serve<P: Platform>(
    platform: &P,
    dial: &impl Dial,
    #[cfg(unix)] tls: Option<&tls::Options>,
) -> Result<(), String> {
    let options = Options::read(platform)?;
    // Looked at before they are read: what changes meanwhile is loaded again.
    #[cfg(unix)]
    let watched: Vec<_> = options.files.iter().map(|file| (*file, files::state(file))).collect();
    #[cfg_attr(not(unix), expect(unused_mut, reason = "no journal changes them"))]
    let mut zones = load(&options)?;
    #[cfg(feature = "replication")]
    let report = |apex: Name<'_>, event: Event| log::info!("{apex}: {event}");
    #[cfg(feature = "replication")]
    let replication =
        Replication::new(options.replication.targets.clone(), Bounds::default(), platform.timer(), &report);
    let changed = |apex: Name<'_>| {
        #[cfg(feature = "replication")]
        replication.changed(apex);
        let _ = apex;
    };
    #[cfg(unix)]
    let updates = updates::open(platform, platform.parameters(), &options.keys, &mut zones, &changed).await?;
    #[cfg(not(unix))]
    let updates = None;
    #[cfg(all(unix, feature = "replication"))]
    let disk = copies::open(platform, platform.parameters(), options.keeps_zones()).await?;
    #[cfg(unix)]
    options.check(platform, updates.is_some())?;
    if let Some(word) = platform.parameters().unknown() {
        return Err(format!("boot parameter `{word}`: nobody knows this word"));
    }
    let names: Vec<NameBuf> = zones.iter().map(|zone| NameBuf::from_name(zone.apex().name())).collect();
    let config = Config {
        nsid: options.nsid,
        allow: &options.allow,
        transfers: &options.transfers,
        keys: &options.keys,
        cookies: options.cookies,
        rate_limit: options.rate_limit,
        #[cfg(feature = "replication")]
        notified: Some(&replication),
        ..Config::default()
    };
    #[cfg(unix)]
    let main_thread = Arc::new(main_thread::MainThread::new(options.primaries(), updates.is_some())?);
    #[cfg(unix)]
    let workers = workers::Workers::start(options.workers, options.port, &zones, &config, &main_thread)?;
    #[cfg(unix)]
    let config = Config { mirror: (!workers.is_empty()).then_some(&workers as _), ..config };
    #[cfg(unix)]
    let notified = config.notified;
    let server = RefCell::new(Server::new(zones, config));
    for name in &names {
        changed(name.as_name());
    }
    #[cfg(feature = "replication")]
    {
        for (group, primaries) in &options.replication.groups {
            replication.set_group(group.as_bytes(), primaries.as_slice().into());
        }
        for zone in &options.replication.kept {
            let primaries = zone.primaries.as_slice().into();
            replication.add(&server, zone.apex.as_name(), primaries, zone.catalog);
        }
        #[cfg(unix)]
        if let Some(disk) = &disk {
            replication.restore(&server, &disk.found, disk.now.as_secs());
        }
    }
    let service = Service {
        platform,
        dial,
        server: &server,
        updates: updates.as_ref(),
        #[cfg(feature = "replication")]
        forwarding: options.replication.forward.then_some(&replication),
        #[cfg(not(feature = "replication"))]
        forwarding: None,
    };
    let answering = async {
        // Workers have the port; what they leave to the main thread, it does.
        #[cfg(unix)]
        if !workers.is_empty() {
            let job = async |job| main_thread::work_on(job, notified, &service).await;
            return select(workers.watch(platform.timer()), main_thread.work(platform.udp(), job))
                .await
                .into_inner();
        }
        service.answer(options.port).await
    };
    let secure = async {
        #[cfg(unix)]
        if let Some(tls) = tls {
            return tls::answer(tls, &service).await;
        }
        pending::<Result<Infallible, String>>().await
    };
    let replicating = async {
        #[cfg(feature = "replication")]
        {
            #[cfg(unix)]
            let copies = disk.as_ref().map(|disk| &disk.copies);
            #[cfg(not(unix))]
            let copies = None::<&airglow_dns::shell::Copies<airglow::device::RamDisk>>;
            let (udp, wall_clock) = (platform.udp(), platform.wall_clock());
            replication.run(&server, copies, dial, udp, wall_clock, platform.entropy()).await;
        }
        pending::<Infallible>().await
    };
    let reloading = async {
        #[cfg(unix)]
        if let Some(pause) = options.reload {
            let changing = |apex: Name<'_>| updates.as_ref().is_some_and(|updates| updates.covers(apex));
            let loaded = |zone: &Arc<zone::Zone>| changed(zone.apex().name());
            files::watch(platform.timer(), pause, watched, options.origin, &server, loaded, changing).await;
        }
        pending::<Infallible>().await
    };
    let rotation = async {
        loop {
            sleep(platform.timer(), COOKIE_SECRET).await;
            let secret = secret(platform);
            server.borrow_mut().rotate_cookie_secret(secret);
            #[cfg(unix)]
            workers.rotate_cookie_secret(secret);
        }
    };
    let page = async {
        #[cfg(unix)]
        if let Some(port) = options.statistics {
            let state = || {
                let server = server.borrow();
                // The main thread's own is what comes over TLS.
                let mut traffic = server.traffic().clone();
                workers.traffic().iter().for_each(|workers| traffic.add(workers));
                (traffic, server.zones().clone())
            };
            statistics::serve(platform, port, state).await;
        }
        pending::<Infallible>().await
    };
    let announcement = async {
        // Here the ports are open.
        yield_now().await;
        log::info!("serving {} zones on port {}", names.len(), options.port);
        pending::<Infallible>().await
    };
    let upkeep = join(join(replicating, reloading), join(rotation, join(page, announcement)));
    match select(select(answering, secure), upkeep).await {
        Either::Left(served) => match served.into_inner() {
            Ok(never) => match never {},
            Err(error) => Err(error),
        },
        Either::Right(((never, _), _)) => match never {},
    }
}

/// The zones in files, or the one that is compiled in.
fn load(options: &Options<'_>) -> Result<Zones, String> {
    let mut zones = Zones::new();
    for file in &options.files {
        zones.insert(read(file, options.origin)?);
    }
    if options.files.is_empty() && !options.keeps_zones() {
        let (name, text) = COMPILED_IN;
        let name = name.parse().map_err(|error| format!("{name}: {error}"))?;
        let none = |_: &str| Err("there are no files".into());
        let zone = zone::load("compiled in", text, &options.origin.unwrap_or(name), none);
        zones.insert(zone.map_err(|error| error.to_string())?);
    }
    Ok(zones)
}

#[cfg(unix)]
use alloc::sync::Arc;
#[cfg(unix)]
use files::read;

#[cfg(not(unix))]
fn read(file: &str, _: Option<NameBuf>) -> Result<zone::Zone, String> {
    Err(format!("zone={file}: this platform has no files; compile the zone in"))
}
