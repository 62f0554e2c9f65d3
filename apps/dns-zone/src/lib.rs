//! An authoritative DNS server for one zone, which is made of a zone file when the image is compiled: the smallest appliance. For
//! zone files at run time, transfers and signed requests there is `apps/dns-server`.
//!
//! | boot parameter | meaning | default |
//! |---|---|---|
//! | `port=N` | UDP and TCP port | 53 (5353 where a port below 1024 may be refused) |
//!
//! The zone is the file that `AIRGLOW_ZONE` names while it is compiled, `example.com.zone` for the zone `example.com`.
#![cfg_attr(not(unix), no_std)]
#![forbid(unsafe_code)]

use airglow::{
    device::{Entropy, ParameterError, Platform, Tcp},
    runtime::{Either, for_each_connection, select},
};
use airglow_dns::{
    server::{Config, CookieSecrets, Server, Zones},
    shell::{Limits, serve_stream, serve_udp},
    wire::{Name, RecordType},
    zone::{Zone, ZoneBuilder},
};
use core::{cell::RefCell, fmt};

/// What `build.rs` made of the zone file.
static RECORDS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/zone"));

/// Whether this is the image of a board with little memory.
const BOARD: bool = cfg!(all(target_os = "none", target_arch = "arm"));
/// TCP connections at once; more wait in the listener's backlog.
const CONNECTIONS: usize = if BOARD { 2 } else { 64 };
/// Bytes of memory for replies kept ready.
const PRECOMPUTED: usize = if BOARD { 0 } else { 16 << 20 };
/// Longest reply over TCP, ...
const STREAM: u16 = if BOARD { 2048 } else { u16::MAX };
/// ... and longest query.
const QUERY: usize = if BOARD { 512 } else { 4096 };

/// Why the server stopped.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failed<'p> {
    /// A boot parameter is wrong.
    Parameter(ParameterError<'p>),
    /// The port could not be opened.
    Port(u16),
    /// The zone that was compiled in is none, which the build does not let happen.
    Zone,
}

impl fmt::Display for Failed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter(error) => error.fmt(f),
            Self::Port(port) => write!(f, "port {port} cannot be opened: it is taken, or this needs rights"),
            Self::Zone => f.write_str("the zone that was compiled in is damaged"),
        }
    }
}
impl core::error::Error for Failed<'_> {}

/// Serves until the platform stops it.
///
/// # Errors
/// A wrong boot parameter, or a port that is taken.
pub async fn run<P: Platform>(platform: &P) -> Result<(), Failed<'_>> {
    let default = if cfg!(unix) { 5353 } else { 53 };
    let port = platform.parameters().get("port", "a port number (1 to 65535)").map_err(Failed::Parameter)?;
    let port = port.unwrap_or(default);
    // A board may have no randomness that is fit for secrets.
    let cookies = (!BOARD).then(|| {
        let mut secret = [0; 16];
        platform.entropy().fill(&mut secret);
        CookieSecrets::new(secret)
    });
    let mut zones = Zones::new();
    zones.insert(zone(RECORDS).ok_or(Failed::Zone)?);
    let config = Config { cookies, precomputed: PRECOMPUTED, stream_payload: STREAM, ..Config::default() };
    let server = RefCell::new(Server::new(zones, config));
    let listener = platform.tcp().listen(port).await.map_err(|_| Failed::Port(port))?;
    log::info!("serving on port {port}");
    let limits = Limits { query: QUERY, ..Limits::default() };
    let streams = for_each_connection::<CONNECTIONS, _>(&listener, platform.timer(), async |stream| {
        let _ = serve_stream(stream, &server, platform.timer(), platform.wall_clock(), &limits).await;
    });
    let datagrams = serve_udp(platform.udp(), port, &server, platform.timer(), platform.wall_clock());
    match select(datagrams, streams).await {
        Either::Left(Ok(never)) => match never {},
        Either::Left(Err(_)) => Err(Failed::Port(port)),
        Either::Right(never) => match never {},
    }
}

/// The zone of `build.rs`'s records.
fn zone(mut records: &[u8]) -> Option<Zone> {
    let mut builder = ZoneBuilder::new(name(&mut records)?);
    while !records.is_empty() {
        let owner = name(&mut records)?;
        let ([t0, t1, l0, l1, l2, l3, n0, n1], rest) = records.split_first_chunk()?;
        let (data, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*n0, *n1])))?;
        records = rest;
        let rtype = RecordType(u16::from_be_bytes([*t0, *t1]));
        builder.add_valid(owner, rtype, u32::from_be_bytes([*l0, *l1, *l2, *l3]), data).ok()?;
    }
    builder.finish().ok()
}

/// The name in front of `bytes`, which it is taken from.
fn name<'a>(bytes: &mut &'a [u8]) -> Option<Name<'a>> {
    let mut end = 0;
    loop {
        let length = usize::from(*bytes.get(end)?);
        end += length + 1;
        if length == 0 {
            break;
        }
    }
    let (front, rest) = bytes.split_at_checked(end)?;
    *bytes = rest;
    Name::parse(front).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiled_zone_is_that_of_the_file() {
        let text = include_bytes!("../../dns-server/zones/example.com.zone");
        let none = |_: &str| Err("there are no files".into());
        let origin = "example.com".parse().unwrap();
        let loaded = airglow_dns::zone::load("example", text, &origin, none).unwrap();
        let made = zone(RECORDS).unwrap();
        let all = |zone: &Zone| -> Vec<String> {
            let sets = zone.nodes().flat_map(|node| node.sets().map(move |set| (node.name(), set)));
            let mut lines: Vec<_> = sets
                .map(|(name, set)| {
                    format!("{name} {:?} {} {:?}", set.rtype, set.ttl, set.data().collect::<Vec<_>>())
                })
                .collect();
            lines.sort();
            lines
        };
        assert_eq!(all(&made), all(&loaded));
        assert!(all(&made).len() > 10);
        assert!(zone(&RECORDS[..RECORDS.len() - 1]).is_none(), "a damaged one is seen");
    }
}
