//! A website: the pages in `site/`, and a greeting that is made for each request.
//!
//! The same source is a process of this machine, a kernel for Xen, and the flash of a board: the target alone decides.
#![cfg_attr(not(unix), no_std)]
#![forbid(unsafe_code)]

use airglow::device::{ParameterError, Platform, Tcp};
use airglow_http::{Error, Exchange, Limits, Method, Router, Server, Status, files};
use airglow_store::Store;

/// The folder `site/`.
pub static SITE: Store = airglow_store::embedded!("site");

/// Connections at once; more of them wait. A board's memory is small.
const CONNECTIONS: usize = if cfg!(target_arch = "arm") { 4 } else { 1_024 };
/// Octets for the head of a request, and for what is sent and not yet acknowledged, of each connection.
const HEAD: usize = 1_024;
const OUT: usize = if cfg!(target_arch = "arm") {
    512
} else {
    4_096
};

/// Serves until the platform stops it.
///
/// # Errors
/// Says what is wrong with which boot parameter.
pub async fn run(platform: &impl Platform) -> Result<(), ParameterError<'_>> {
    // On a host's own sockets port 80 needs rights; on airglow's own TCP/IP it does not.
    let port = platform
        .parameters()
        .get("port", "a port number (1 to 65535)")?;
    let port = port.unwrap_or(if cfg!(unix) { 8080 } else { 80 });
    let taken = ParameterError {
        word: "port",
        expected: "a free port, and the rights to open it",
    };
    let listener = platform.tcp().listen(port).await.map_err(|_| taken)?;
    log::info!("serving on port {port}");
    let router = Router::new()
        .route(Method::Get, "/hello/{name}", hello)
        .otherwise(files(&SITE));
    let server = Server::<HEAD, OUT>::sized(Limits::DEFAULT).wall_clock(platform.wall_clock());
    server
        .serve::<CONNECTIONS, _, _>(&listener, &router, platform.timer())
        .await;
    Ok(())
}

async fn hello(exchange: &mut Exchange<'_>) -> Result<(), Error> {
    let name = exchange.parameter("name").unwrap_or("nobody");
    let mut text = [0; 128];
    let text = greeting(name, &mut text);
    exchange
        .respond(Status::OK)
        .content_type("text/plain; charset=utf-8")
        .send(text)
        .await
}

/// "Hello, NAME!\n" in `room`, or just "Hello!\n" when the name is too long for it.
fn greeting<'r>(name: &str, room: &'r mut [u8]) -> &'r [u8] {
    let mut end = 0;
    for part in ["Hello, ", name, "!\n"] {
        let Some(place) = room.get_mut(end..end + part.len()) else {
            return b"Hello!\n";
        };
        place.copy_from_slice(part.as_bytes());
        end += part.len();
    }
    &room[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use airglow::device::KeyValue;

    #[test]
    fn the_greeting_fits() {
        let mut room = [0; 16];
        assert_eq!(greeting("you", &mut room), b"Hello, you!\n");
        assert_eq!(greeting("someone with a long name", &mut room), b"Hello!\n");
    }

    #[test]
    fn the_site_is_compiled_in() {
        assert!(SITE.lend("index.html").is_some());
    }
}
