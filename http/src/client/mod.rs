//! The client: a core that knows no stream and no clock, and a thin shell around it.
mod core;
mod shell;

pub use self::core::{Conversation, Request};
pub use shell::{Answer, Client, Upload};
