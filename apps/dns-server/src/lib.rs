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
//! | `cookies=off` | give no DNS cookies | on, the secret changed daily |
//! | `rrl=N` | replies a second over UDP to one network and of one kind; one of two over that is sent truncated | no limit |
#![cfg_attr(not(unix), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

use airglow::{
    device::{Entropy, Platform, Tcp, WallClock},
    runtime::{Either, for_each_connection, join, select, sleep},
};
use airglow_dns::{
    server::{Config, CookieSecrets, Key, Prefix, RateLimit, Server, Zones},
    shell::{Limits, serve_stream, serve_udp},
    wire::NameBuf,
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
    let mut zones = Zones::new();
    match parameters.text("zone") {
        Some(files) => {
            for file in files.split(',') {
                zones.insert(read(file, origin)?);
            }
        }
        None => {
            let (name, text) = COMPILED_IN;
            let name = name.parse().map_err(|error| format!("{name}: {error}"))?;
            let zone =
                zone::load(
                    "compiled in",
                    text,
                    &origin.unwrap_or(name),
                    |_| Err("there are no files".into()),
                );
            zones.insert(zone.map_err(|error| error.to_string())?);
        }
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
        ..Config::default()
    };
    let server = RefCell::new(Server::new(zones, config));
    let listener = platform.tcp().listen(port).await.map_err(|error| format!("TCP port {port}: {error}"))?;
    log::info!("serving {count} zones on port {port}");
    let limits = Limits::default();
    let streams = for_each_connection::<CONNECTIONS, _>(&listener, platform.timer(), async |stream| {
        let served = serve_stream(stream, &server, platform.timer(), platform.wall_clock(), &limits).await;
        if let Err(ended) = served {
            log::debug!("a connection ended: {ended:?}");
        }
    });
    let rotation = async {
        loop {
            sleep(platform.timer(), COOKIE_SECRET).await;
            server.borrow_mut().rotate_cookie_secret(random());
        }
    };
    let datagrams = serve_udp(platform.udp(), port, &server, platform.timer(), platform.wall_clock());
    match select(datagrams, join(streams, rotation)).await {
        Either::Left(Ok(never)) => match never {},
        Either::Left(Err(error)) => Err(format!("UDP port {port}: {error}")),
        Either::Right((never, _)) => match never {},
    }
}

/// The values of a list with commas.
fn list<T: FromStr<Err: Display>>(key: &str, list: Option<&str>) -> Result<Vec<T>, String> {
    let words = list.into_iter().flat_map(|list| list.split(','));
    words.map(|word| word.parse().map_err(|error| format!("boot parameter `{key}`: {error}"))).collect()
}

#[cfg(unix)]
fn read(file: &str, origin: Option<NameBuf>) -> Result<zone::Zone, String> {
    use std::path::Path;

    let path = Path::new(file);
    let text = std::fs::read(path).map_err(|error| format!("{file}: {error}"))?;
    let origin = match origin {
        Some(origin) => origin,
        None => {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or(file);
            let name = name.strip_suffix(".zone").unwrap_or(name);
            name.parse().map_err(|_| format!("{file}: say the zone's name with origin=NAME"))?
        }
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let include = |name: &str| std::fs::read(folder.join(name)).map_err(|error| error.to_string());
    zone::load(file, &text, &origin, include).map_err(|error| error.to_string())
}

#[cfg(not(unix))]
fn read(file: &str, _: Option<NameBuf>) -> Result<zone::Zone, String> {
    Err(format!("zone={file}: this platform has no files; compile the zone in"))
}
