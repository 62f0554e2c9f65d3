//! An authoritative DNS server, generic over the platform it runs on.
//!
//! | boot parameter | meaning | default |
//! |---|---|---|
//! | `zone=FILE` | a master file (where there is a file system); repeatable with commas | the zone that is compiled in |
//! | `origin=NAME` | the zone's name | the file's name without `.zone` |
//! | `port=N` | UDP and TCP port | 53 (5353 where a port below 1024 may be refused) |
//! | `nsid=TEXT` | answer to the NSID option | none |
//! | `transfers=on` | clients on the same host may transfer zones (AXFR) | off |
#![cfg_attr(not(unix), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

use airglow::{
    device::{Platform, Stream, Tcp},
    runtime::{Either, for_each_connection, select},
};
use airglow_dns::{
    server::{Config, Server, Zones},
    shell::{Limits, serve_stream, serve_udp},
    wire::NameBuf,
    zone,
};
use alloc::{
    format,
    string::{String, ToString},
};
use core::cell::RefCell;

/// The zone that is served where no other is named.
const COMPILED_IN: (&str, &[u8]) = ("example.com", include_bytes!("../zones/example.com.zone"));

/// TCP connections at once; more wait in the listener's backlog.
const CONNECTIONS: usize = 1024;

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
    let transfers = parameters.switch("transfers").map_err(wrong)?.unwrap_or(false);
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
    let server = RefCell::new(Server::new(&zones, Config { nsid, ..Config::default() }));
    let listener = platform.tcp().listen(port).await.map_err(|error| format!("TCP port {port}: {error}"))?;
    log::info!("serving {} zones on port {port}", zones.len());
    let limits = Limits::default();
    let streams = for_each_connection::<CONNECTIONS, _>(&listener, platform.timer(), async |stream| {
        let trusted = transfers && stream.peer().is_some_and(|peer| peer.ip().to_canonical().is_loopback());
        if let Err(ended) = serve_stream(stream, &zones, &server, platform.timer(), &limits, trusted).await {
            log::debug!("a connection ended: {ended:?}");
        }
    });
    match select(serve_udp(platform.udp(), port, &server), streams).await {
        Either::Left(Ok(never)) => match never {},
        Either::Left(Err(error)) => Err(format!("UDP port {port}: {error}")),
        Either::Right(never) => match never {},
    }
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
