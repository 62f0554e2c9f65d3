//! The boot parameter `page=`: the network as a browser draws it.
//!
//! `/` is the page, `/topology.json` what it draws: `switches`, each with `datapath`, its `ports`, and the `flows`, `packets` and
//! `bytes` of its flow tables; `links`, each once, `[datapath, port, datapath, port]`; and `hosts` with `address`, `ipv4` (or null),
//! `datapath` and `port`. Datapath ids are 16 hexadecimal digits.
use crate::watched::{Map, Watched};
use airglow::device::{Listener, Timer};
use airglow_http::{Error, Exchange, Limits, Method, Router, Server, Status};
use airglow_openflow::controller::{Application, Controller, SwitchId};
use alloc::string::{String, ToString};
use core::{convert::Infallible, fmt::Write};

/// Connections to the page at once.
const CONNECTIONS: usize = 8;

/// Serves the page until it is dropped; `topology` says what [`topology`] makes of the controller.
pub async fn serve(
    listener: &impl Listener,
    timer: &impl Timer,
    topology: impl Fn() -> String,
) -> Infallible {
    let page = async |exchange: &mut Exchange<'_>| -> Result<(), Error> {
        exchange
            .respond(Status::OK)
            .content_type("text/html; charset=utf-8")
            .send_static(include_bytes!("page.html"))
            .await
    };
    let json = async |exchange: &mut Exchange<'_>| -> Result<(), Error> {
        let text = topology();
        let response = exchange.respond(Status::OK).content_type("application/json");
        response.header("Cache-Control", "no-store").send(text.as_bytes()).await
    };
    let router = Router::new().route(Method::Get, "/", page).route(Method::Get, "/topology.json", json);
    let server: Server<'_> = Server::new(Limits::default());
    server.serve::<CONNECTIONS, _, _>(listener, &router, timer).await
}

/// The network, as JSON.
pub fn topology<A: Application + Map>(controller: &Controller<Watched<A>>) -> String {
    let (switches, watched) = (controller.switches(), controller.application());
    let datapath = |id: SwitchId| switches.get(id).map(|session| session.datapath_id());
    let mut text = String::from("{\"switches\":[");
    list(&mut text, switches.iter(), |text, (id, session)| {
        let counters = watched.counters(id);
        let (flows, packets, bytes) = (counters.flows, counters.packets, counters.bytes);
        write!(text, "{{\"datapath\":\"{:016x}\",\"ports\":[", session.datapath_id())?;
        list(text, session.ports(), |text, port| {
            write!(text, "{{\"number\":{},\"name\":{},", port.number, quoted(&port.name))?;
            write!(text, "\"up\":{}}}", port.is_up())
        });
        write!(text, "],\"flows\":{flows},\"packets\":{packets},\"bytes\":{bytes}}}")
    });
    text.push_str("],\"links\":[");
    let links = watched.application.links().into_iter().filter(|(from, to)| from < to);
    let links = links.filter_map(|(from, to)| Some(((datapath(from.0)?, from.1), (datapath(to.0)?, to.1))));
    list(&mut text, links, |text, (from, to)| {
        write!(text, "[\"{:016x}\",{},\"{:016x}\",{}]", from.0, from.1, to.0, to.1)
    });
    text.push_str("],\"hosts\":[");
    let hosts = watched.application.hosts().into_iter();
    let hosts =
        hosts.filter_map(|(address, (switch, port), ip)| Some((address, datapath(switch)?, port, ip)));
    list(&mut text, hosts, |text, (address, switch, port, ip)| {
        let ip = ip.map_or_else(|| String::from("null"), |ip| quoted(&ip.to_string()));
        write!(
            text,
            "{{\"address\":\"{address}\",\"ipv4\":{ip},\"datapath\":\"{switch:016x}\",\"port\":{port}}}"
        )
    });
    text.push_str("]}\n");
    text
}

/// The items with commas between them.
fn list<T>(
    text: &mut String,
    items: impl Iterator<Item = T>,
    mut item: impl FnMut(&mut String, T) -> core::fmt::Result,
) {
    for (number, value) in items.enumerate() {
        if number > 0 {
            text.push(',');
        }
        // A string takes everything.
        let _ = item(text, value);
    }
}

/// A string of JSON: a switch names its ports as it likes.
fn quoted(name: &str) -> String {
    let mut text = String::from('"');
    for char in name.chars() {
        match char {
            '"' | '\\' => text.extend(['\\', char]),
            char if char < ' ' => {
                let _ = write!(text, "\\u{:04x}", char as u32);
            }
            char => text.push(char),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_end_the_string_do_not() {
        assert_eq!(quoted("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000a\"");
    }
}
