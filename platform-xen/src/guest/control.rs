//! What the toolstack asks of the domain: `xl shutdown`, `xl reboot`, `xl sysrq`.
use super::xenstore::Xenstore;
use crate::{drivers::xenstore::Error, interface::ShutdownReason};

/// A request of the toolstack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// To end, for this reason.
    End(ShutdownReason),
    /// To be saved.
    Suspend,
}

const SHUTDOWN: &str = "control/shutdown";
const SYSRQ: &str = "control/sysrq";

/// Waits for the request to end; calls `sysrq` for each key of `xl sysrq` in the meantime.
///
/// # Errors
/// What xenstore says.
pub async fn requests(store: &Xenstore, mut sysrq: impl FnMut(char)) -> Result<Request, Error> {
    // The toolstack makes these nodes writable, each since some version of it; where it has not, it does not ask either.
    for feature in ["feature-poweroff", "feature-reboot", "feature-suspend", "feature-sysrq"] {
        match store.write(&alloc::format!("control/{feature}"), &1).await {
            Ok(()) | Err(Error::PermissionDenied) => {}
            Err(error) => return Err(error),
        }
    }
    // One watch over both nodes.
    let watch = store.watch("control").await?;
    loop {
        watch.changed().await;
        if let Some(key) = take(store, SYSRQ).await?.and_then(|text| text.chars().next()) {
            sysrq(key);
        }
        let Some(word) = take(store, SHUTDOWN).await? else { continue };
        match word.as_str() {
            "poweroff" | "halt" => return Ok(Request::End(ShutdownReason::PowerOff)),
            "reboot" => return Ok(Request::End(ShutdownReason::Reboot)),
            "suspend" => return Ok(Request::Suspend),
            "crash" => return Ok(Request::End(ShutdownReason::Crash)),
            other => log::warn!("the toolstack asks for `{other}`, which this kernel cannot do"),
        }
    }
}

/// Reads `node` and empties it, which tells the toolstack that it was read.
async fn take(store: &Xenstore, node: &str) -> Result<Option<alloc::string::String>, Error> {
    for _ in 0..100 {
        let transaction = store.transaction().await?;
        let value = match store.read_in(transaction, node).await {
            Ok(value) => value,
            Err(Error::NotFound) => Default::default(),
            Err(error) => {
                let _ = store.end_transaction(transaction, false).await;
                return Err(error);
            }
        };
        if value.is_empty() || value.starts_with('\0') {
            let _ = store.end_transaction(transaction, false).await;
            return Ok(None);
        }
        store.write_in(transaction, node, &"").await?;
        match store.end_transaction(transaction, true).await {
            Ok(()) => return Ok(Some(value)),
            Err(Error::Again) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::Again)
}
