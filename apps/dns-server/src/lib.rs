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
//! | `ca=FILE` | for primaries over TLS: the authorities' certificates, PEM or DER; a primary must show one that they vouch for under the name behind `#` (where there is a host) | none |
//! | `keep=FILE` | where zones of `secondary` and `catalog` are over a restart: a file, made if it is not there, or a disk; without it they are transferred again | none |
//! | `forward=on` | signed updates of those zones go on to their primary (RFC 2136 section 6); not together with `update`, `workers` | off |
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
mod files;
#[cfg(unix)]
mod main_thread;
#[cfg(feature = "replication")]
mod peers;
#[cfg(unix)]
mod statistics;
#[cfg(unix)]
pub mod tls;
#[cfg(unix)]
mod updates;
#[cfg(unix)]
mod workers;

use airglow::{
    device::{Entropy, Listener, Platform, Stream, Tcp, Udp, WallClock},
    runtime::{Either, for_each_connection, join, select, sleep, yield_now},
};
#[cfg(feature = "replication")]
use airglow_dns::{
    secondary::Bounds,
    shell::{Event, Replication, framed, serve_udp_forwarding},
};
use airglow_dns::{
    server::{Config, CookieSecrets, Key, Origin, Prefix, RateLimit, Server, Zones},
    shell::{Dial, Limits, Reply, serve_stream_by, serve_udp},
    wire::{Name, NameBuf},
    zone,
};
use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::{cell::RefCell, fmt::Display, str::FromStr, time::Duration};

/// The zone that is served where no other is named.
const COMPILED_IN: (&str, &[u8]) = ("example.com", include_bytes!("../zones/example.com.zone"));

/// TCP connections at once; more wait in the listener's backlog.
const CONNECTIONS: usize = 1024;

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
    let parameters = platform.parameters();
    let wrong = |error: airglow::device::ParameterError<'_>| error.to_string();
    let default = if cfg!(unix) { 5353 } else { 53 };
    let port: u16 = parameters.get("port", "a port number (1 to 65535)").map_err(wrong)?.unwrap_or(default);
    let nsid = parameters.text("nsid").unwrap_or("").as_bytes();
    let allow: Vec<Prefix> = list("allow", parameters.text("allow"))?;
    let transfers: Vec<Prefix> = match parameters.text("transfers") {
        Some("on" | "") => list("transfers", Some("127.0.0.0/8,::1"))?,
        other => list("transfers", other.filter(|words| *words != "off"))?,
    };
    let keys: Vec<Key> = list("key", parameters.text("key"))?;
    if !keys.is_empty() && platform.wall_clock().unix_now().is_none() {
        return Err(
            "boot parameter `key`: signatures need the time of day, and this platform does not know it"
                .into(),
        );
    }
    let random = || {
        let mut secret = [0; 16];
        platform.entropy().fill(&mut secret);
        secret
    };
    let cookies = parameters.switch("cookies").map_err(wrong)?.unwrap_or(true);
    let cookies = cookies.then(|| CookieSecrets::new(random()));
    let rate_limit = parameters.get("rrl", "a number of replies a second").map_err(wrong)?;
    let rate_limit = rate_limit.filter(|rate| *rate > 0).map(|rate| RateLimit::new(rate, random()));
    let origin = parameters.get::<NameBuf>("origin", "a domain name").map_err(wrong)?;
    #[cfg(feature = "replication")]
    let kept = peers::kept(parameters.text("secondary"), parameters.text("catalog"), &keys)?;
    #[cfg(feature = "replication")]
    let targets = peers::targets(parameters.text("notify"), &keys)?;
    #[cfg(feature = "replication")]
    let forward = parameters.switch("forward").map_err(wrong)?.unwrap_or(false);
    #[cfg(not(feature = "replication"))]
    let kept: [(); 0] = [];
    #[cfg(unix)]
    let worker_count: usize =
        parameters.get("workers", "a number of threads (1 to 256)").map_err(wrong)?.unwrap_or(0).min(256);
    #[cfg(unix)]
    let statistics: Option<u16> = parameters.get("stats", "a port number (1 to 65535)").map_err(wrong)?;
    let reload: Option<u64> = parameters.get("reload", "a number of seconds").map_err(wrong)?;
    let files: Vec<&str> = parameters.text("zone").into_iter().flat_map(|files| files.split(',')).collect();
    let mut zones = Zones::new();
    // Looked at before they are read: what changes meanwhile is loaded again.
    #[cfg(unix)]
    let watched: Vec<_> = files.iter().map(|file| (*file, files::state(file))).collect();
    for file in &files {
        zones.insert(read(file, origin)?);
    }
    if files.is_empty() && kept.is_empty() {
        let (name, text) = COMPILED_IN;
        let name = name.parse().map_err(|error| format!("{name}: {error}"))?;
        let none = |_: &str| Err("there are no files".into());
        let zone = zone::load("compiled in", text, &origin.unwrap_or(name), none);
        zones.insert(zone.map_err(|error| error.to_string())?);
    }
    #[cfg(feature = "replication")]
    let report = |apex: Name<'_>, event: Event| log::info!("{apex}: {event}");
    #[cfg(feature = "replication")]
    let replication = Replication::new(targets, Bounds::default(), platform.timer(), &report);
    let changed = |apex: Name<'_>| {
        #[cfg(feature = "replication")]
        replication.changed(apex);
        let _ = apex;
    };
    #[cfg(unix)]
    let updates = updates::open(platform, parameters, &keys, &mut zones, &changed).await?;
    #[cfg(all(unix, feature = "replication"))]
    let disk = copies::open(platform, parameters, !kept.is_empty()).await?;
    #[cfg(all(unix, feature = "replication"))]
    if forward && (updates.is_some() || worker_count > 0) {
        return Err("boot parameter `forward`: not together with `update` or `workers`".into());
    }
    #[cfg(all(unix, feature = "replication"))]
    if kept.iter().flat_map(|zone| &zone.primaries).any(|primary| primary.server.tls.is_some())
        && parameters.text("ca").is_none()
    {
        return Err("boot parameter `secondary`: a primary over TLS wants `ca=FILE` too".into());
    }
    if let Some(word) = parameters.unknown() {
        return Err(format!("boot parameter `{word}`: nobody knows this word"));
    }
    let count = zones.len();
    let config = Config {
        nsid,
        allow: &allow,
        transfers: &transfers,
        keys: &keys,
        cookies,
        rate_limit,
        #[cfg(feature = "replication")]
        notified: Some(&replication),
        ..Config::default()
    };
    #[cfg(unix)]
    let (workers, main_thread) = {
        let on_host = parameters.text("net").is_none_or(|net| net == "host");
        if worker_count > 0 && !on_host {
            return Err("boot parameter `workers`: only with host sockets".into());
        }
        #[cfg(feature = "replication")]
        let primaries = kept.iter().flat_map(|zone| &zone.primaries);
        #[cfg(not(feature = "replication"))]
        let primaries = [].iter();
        let main_thread = main_thread::MainThread::new(primaries, updates.is_some());
        let main_thread = Arc::new(main_thread.map_err(|error| format!("a UDP port on loopback: {error}"))?);
        (workers::Workers::start(worker_count, port, &zones, &config, &main_thread)?, main_thread)
    };
    #[cfg(unix)]
    let config = Config { mirror: (!workers.is_empty()).then_some(&workers as _), ..config };
    #[cfg(unix)]
    let answers_here = workers.is_empty();
    #[cfg(not(unix))]
    let answers_here = true;
    #[cfg(unix)]
    let notified = config.notified;
    let server = RefCell::new(Server::new(zones, config));
    let listener = match answers_here {
        true => Some(platform.tcp().listen(port).await.map_err(|error| format!("TCP port {port}: {error}"))?),
        false => None,
    };
    #[cfg(unix)]
    let tls_listener = match tls {
        Some(tls::Options { port, .. }) => {
            let listener = platform.tcp().listen(*port).await;
            log::info!("TLS on port {port}");
            Some(listener.map_err(|error| format!("TCP port {port}: {error}"))?)
        }
        None => None,
    };
    let names: Vec<NameBuf> =
        server.borrow().zones().iter().map(|zone| NameBuf::from_name(zone.apex().name())).collect();
    for name in names {
        changed(name.as_name());
    }
    #[cfg(feature = "replication")]
    for zone in kept {
        replication.add(&server, zone.apex.as_name(), zone.primaries.into(), zone.catalog);
    }
    #[cfg(all(unix, feature = "replication"))]
    if let Some(disk) = &disk {
        replication.restore(&server, &disk.found, disk.now.as_secs());
    }
    let (timer, wall_clock, udp) = (platform.timer(), platform.wall_clock(), platform.udp());
    let replicating = async {
        #[cfg(feature = "replication")]
        {
            #[cfg(unix)]
            let copies = disk.as_ref().map(|disk| &disk.copies);
            #[cfg(not(unix))]
            let copies = None::<&airglow_dns::shell::Copies<airglow::device::RamDisk>>;
            replication.run(&server, copies, dial, udp, wall_clock, platform.entropy()).await;
        }
        core::future::pending::<()>().await;
    };
    let reloading = async {
        #[cfg(unix)]
        if let Some(seconds) = reload.filter(|seconds| *seconds > 0) {
            let changing = |apex: Name<'_>| updates.as_ref().is_some_and(|updates| updates.covers(apex));
            let pause = Duration::from_secs(seconds);
            let loaded = |zone: &Arc<Zone>| changed(zone.apex().name());
            files::watch(timer, pause, watched, origin, &server, loaded, changing).await;
        }
        core::future::pending::<()>().await;
    };
    let _ = (reload, &files);
    #[cfg(feature = "replication")]
    let forwarding = forward.then_some(&replication);
    #[cfg(not(feature = "replication"))]
    let forwarding = None;
    let limits = Limits::default();
    let streams = async {
        #[cfg(unix)]
        let updates = updates.as_ref();
        #[cfg(not(unix))]
        let updates = None;
        let serve = async |stream: <<P::Tcp as Tcp>::Listener<'_> as Listener>::Stream<'_>| {
            serve_one(platform, dial, stream, &server, updates, forwarding, limits).await;
        };
        match &listener {
            Some(listener) => for_each_connection::<CONNECTIONS, _>(listener, timer, serve).await,
            None => core::future::pending().await,
        }
    };
    #[cfg(unix)]
    let secure = async {
        let (Some(options), Some(listener)) = (tls, tls_listener) else {
            return core::future::pending().await;
        };
        tls::accept(platform, options, listener, async |acceptor| {
            let limits = Limits { encrypted: true, ..limits };
            let serve = async |stream| {
                serve_one(platform, dial, stream, &server, updates.as_ref(), forwarding, limits).await;
            };
            for_each_connection::<CONNECTIONS, _>(acceptor, timer, serve).await
        })
        .await
    };
    #[cfg(not(unix))]
    let secure = core::future::pending::<()>();
    let rotation = async {
        loop {
            sleep(timer, COOKIE_SECRET).await;
            let secret = random();
            server.borrow_mut().rotate_cookie_secret(secret);
            #[cfg(unix)]
            workers.rotate_cookie_secret(secret);
        }
    };
    let page = async {
        #[cfg(unix)]
        if let Some(port) = statistics {
            let state = || {
                let server = server.borrow();
                // The main thread's own is what comes over TLS.
                let mut traffic = server.traffic().clone();
                workers.traffic().iter().for_each(|workers| traffic.add(workers));
                (traffic, server.zones().clone())
            };
            match platform.tcp().listen(port).await {
                Ok(listener) => drop(statistics::serve(&listener, timer, wall_clock, state).await),
                Err(error) => log::error!("stats={port}: {error}"),
            }
        }
        core::future::pending::<()>().await;
    };
    let announcement = async {
        // Here the ports are open.
        yield_now().await;
        log::info!("serving {count} zones on port {port}");
    };
    let failed = |error: <P::Udp as Udp>::Error| format!("UDP port {port}: {error}");
    let datagrams = async {
        #[cfg(unix)]
        if !answers_here {
            let watching = async {
                loop {
                    sleep(timer, Duration::from_secs(1)).await;
                    if let Some(failed) = workers.failed() {
                        return Err(failed);
                    }
                }
            };
            let working = main_thread
                .work(udp, async |job| do_job(job, notified, &server, updates.as_ref(), platform).await);
            return select(watching, working).await.into_inner();
        }
        #[cfg(unix)]
        if let Some(updates) = &updates {
            return serve_udp_with_updates(udp, port, &server, updates, timer, wall_clock)
                .await
                .map_err(failed);
        }
        #[cfg(feature = "replication")]
        if let Some(replication) = forwarding {
            let forwarding = serve_udp_forwarding(udp, port, &server, replication, dial, timer, wall_clock);
            return forwarding.await.map_err(failed);
        }
        serve_udp(udp, port, &server, timer, wall_clock).await.map_err(failed)
    };
    match select(
        datagrams,
        join(
            streams,
            join(join(rotation, secure), join(replicating, join(reloading, join(page, announcement)))),
        ),
    )
    .await
    {
        Either::Left(Ok(never)) => match never {},
        Either::Left(Err(error)) => Err(error),
        Either::Right((never, _)) => match never {},
    }
}

/// Changes that a disk of this platform keeps.
#[cfg(unix)]
type Updates<'u, P> = airglow_dns::shell::Updates<'u, airglow::platform::FileDisk, <P as Platform>::Entropy>;
#[cfg(not(unix))]
type Updates<'u, P> = core::marker::PhantomData<&'u P>;

/// Who hands updates on.
#[cfg(feature = "replication")]
type Forwarding<'f> = Option<&'f Replication<'f>>;
#[cfg(not(feature = "replication"))]
type Forwarding<'f> = Option<core::marker::PhantomData<&'f ()>>;

/// Answers what comes over one stream.
async fn serve_one<P: Platform>(
    platform: &P,
    dial: &impl Dial,
    stream: impl Stream,
    server: &RefCell<Server<'_>>,
    updates: Option<&Updates<'_, P>>,
    forwarding: Forwarding<'_>,
    limits: Limits,
) {
    let (timer, wall_clock) = (platform.timer(), platform.wall_clock());
    // An update may be as long as a message can be.
    let long = updates.is_some() || forwarding.is_some();
    let limits = Limits { query: if long { usize::from(u16::MAX) } else { limits.query }, ..limits };
    let respond = async |origin: &Origin<'_>, query: &[u8]| {
        #[cfg(feature = "replication")]
        if let Some(replication) = forwarding
            && replication.takes_update(query)
        {
            return framed(&replication.forward(dial, query).await?).map(Reply::Framed);
        }
        Reply::of(server, origin, query)
    };
    #[cfg(unix)]
    let served = match updates {
        Some(updates) => serve_stream_with_updates(stream, server, updates, timer, wall_clock, &limits).await,
        None => serve_stream_by(stream, respond, timer, wall_clock, &limits).await,
    };
    #[cfg(not(unix))]
    let served = serve_stream_by(stream, respond, timer, wall_clock, &limits).await;
    if let Err(ended) = served {
        log::debug!("a connection ended: {ended:?}");
    }
}

/// What a worker has left to the main thread.
#[cfg(unix)]
async fn do_job<P: Platform>(
    job: Job,
    notified: Option<&dyn Notified>,
    server: &RefCell<Server<'_>>,
    updates: Option<&Updates<'_, P>>,
    platform: &P,
) {
    match job {
        Job::Notified { zone, peer, signed_by } => {
            let signed_by = signed_by.as_ref().map(NameBuf::as_name);
            let zone = zone.as_name();
            let notification = Notification { zone, peer, signed_by, serial: None };
            let _ = notified.map(|notified| notified.notified(&notification));
        }
        Job::Update { query, peer, transport, reply } => {
            let now = || Now { monotonic: platform.timer().now(), unix: platform.wall_clock().unix_now() };
            let origin = Origin { peer, transport, now: &now };
            let mut bytes = alloc::vec![0; 4096];
            let length = match updates {
                Some(updates) => updates.respond(server, &origin, &query, &mut bytes).await,
                None => None,
            };
            bytes.truncate(length.unwrap_or(0));
            // Whoever does not wait any longer has told its client nothing.
            let _ = reply.send(length.map(|_| bytes));
        }
    }
}

/// The values of a list with commas.
fn list<T: FromStr<Err: Display>>(key: &str, list: Option<&str>) -> Result<Vec<T>, String> {
    let words = list.into_iter().flat_map(|list| list.split(','));
    words.map(|word| word.parse().map_err(|error| format!("boot parameter `{key}`: {error}"))).collect()
}

#[cfg(unix)]
use airglow::device::Clock;
#[cfg(unix)]
use airglow_dns::{
    server::{Notification, Notified, Now},
    shell::{serve_stream_with_updates, serve_udp_with_updates},
    zone::Zone,
};
#[cfg(unix)]
use alloc::sync::Arc;
#[cfg(unix)]
use files::read;
#[cfg(unix)]
use main_thread::Job;

#[cfg(not(unix))]
fn read(file: &str, _: Option<NameBuf>) -> Result<zone::Zone, String> {
    Err(format!("zone={file}: this platform has no files; compile the zone in"))
}
