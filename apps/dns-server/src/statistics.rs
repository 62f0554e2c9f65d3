//! The boot parameter `stats=`: what the server does, over HTTP, as Prometheus reads it.
use airglow::device::{Platform, Tcp};
use airglow_dns::server::{Traffic, Zones};
use airglow_http::{Error, Exchange, Limits, Method, Router, Server, Status};
use core::fmt::Write;
use std::string::String;

/// Connections to the page at once.
const CONNECTIONS: usize = 8;
/// Zones whose serials are told; further ones are only counted.
const ZONES: usize = 1000;

/// Serves `/metrics` on `port` until it is dropped; ends, and says so, when it cannot.
pub(crate) async fn serve<P: Platform>(platform: &P, port: u16, state: impl Fn() -> (Traffic, Zones)) {
    let listener = match platform.tcp().listen(port).await {
        Ok(listener) => listener,
        Err(error) => return log::error!("stats={port}: {error}"),
    };
    let page = async |exchange: &mut Exchange<'_>| -> Result<(), Error> {
        let (traffic, zones) = state();
        let text = render(&traffic, &zones);
        exchange.respond(Status::OK).content_type("text/plain; version=0.0.4").send(text.as_bytes()).await
    };
    let router = Router::new().route(Method::Get, "/metrics", page);
    let server: Server<'_> = Server::new(Limits::default()).wall_clock(platform.wall_clock());
    let _ = server.serve::<CONNECTIONS, _, _>(&listener, &router, platform.timer()).await;
}

fn render(traffic: &Traffic, zones: &Zones) -> String {
    let mut text = String::new();
    let mut metric = |name: &str, kind: &str, help: &str, values: &[(String, u64)]| {
        let _ = writeln!(text, "# HELP airglow_dns_{name} {help}\n# TYPE airglow_dns_{name} {kind}");
        for (labels, value) in values {
            let _ = writeln!(text, "airglow_dns_{name}{labels} {value}");
        }
    };
    let one = |value: u64| [(String::new(), value)];
    let stats = &traffic.stats;
    let types: Vec<_> = traffic
        .types()
        .map(|(rtype, count)| match rtype {
            Some(rtype) => (format!("{{type=\"{rtype}\"}}"), count),
            None => ("{type=\"other\"}".to_owned(), count),
        })
        .collect();
    metric("queries_total", "counter", "Questions by type.", &types);
    let codes = [
        ("NOERROR", stats.answered),
        ("NXDOMAIN", stats.nxdomain),
        ("REFUSED", stats.refused),
        ("FORMERR", stats.formerr),
        ("NOTIMP", stats.notimp),
        ("other", stats.other),
    ];
    let codes = codes.map(|(code, count)| (format!("{{rcode=\"{code}\"}}"), count));
    metric("replies_total", "counter", "Replies by code.", &codes);
    metric("received_total", "counter", "Datagrams and stream messages.", &one(stats.received));
    metric("dropped_total", "counter", "Messages that were no query and got no reply.", &one(stats.dropped));
    metric(
        "rate_limited_total",
        "counter",
        "Replies held back or cut by the rate limit.",
        &one(stats.rate_limited),
    );
    metric("truncated_total", "counter", "Replies that did not fit.", &one(stats.truncated));
    metric("precomputed_total", "counter", "Replies that were ready.", &one(stats.precomputed));
    metric("good_cookies_total", "counter", "Queries with a good server cookie.", &one(stats.cookies));
    metric("zones", "gauge", "Zones served.", &one(zones.len() as u64));
    let serials: Vec<_> = zones
        .iter()
        .take(ZONES)
        .map(|zone| (format!("{{zone=\"{}\"}}", escaped(&zone.apex().name())), u64::from(zone.serial())))
        .collect();
    metric("zone_serial", "gauge", "Serial numbers.", &serials);
    let (counts, all, spent) = traffic.latency();
    let name = "airglow_dns_response_seconds";
    let _ = writeln!(text, "# HELP {name} From datagram to reply, of one in 64.\n# TYPE {name} histogram");
    for (bound, count) in traffic.bounds().zip(counts) {
        let _ = writeln!(text, "{name}_bucket{{le=\"{}\"}} {count}", bound.as_secs_f64());
    }
    let _ = writeln!(
        text,
        "{name}_bucket{{le=\"+Inf\"}} {all}\n{name}_sum {}\n{name}_count {all}",
        spent.as_secs_f64()
    );
    text
}

/// A label's value: a name's own escapes are escaped.
fn escaped(name: &impl std::fmt::Display) -> String {
    name.to_string().replace('\\', "\\\\").replace('"', "\\\"")
}
