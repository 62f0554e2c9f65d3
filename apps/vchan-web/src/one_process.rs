//! Both halves in one process, over a channel in its memory.
use crate::{Failed, answer, ask};
use airglow::{device::Platform, runtime::join};
use airglow_http::{Limits, Server};
use airglow_vchan::memory::Shared;

/// Serves and asks, and prints what came of it.
///
/// # Errors
/// A wrong boot parameter, or what went wrong in between.
pub async fn run<P: Platform>(platform: &P) -> Result<(), Failed<'_>> {
    let requests = platform.parameters().get("requests", "a number").map_err(Failed::Parameter)?;
    let shared = Shared::new(8192, 8192);
    let (server_end, client_end) = shared.ends();
    let server: Server = Server::new(Limits::default());
    let serving = server.serve_connection(server_end, &answer, platform.timer());
    let asking = ask(client_end, platform.timer(), requests.unwrap_or(100));
    let ((), report) = join(serving, asking).await;
    log::info!("{}", report?);
    Ok(())
}
