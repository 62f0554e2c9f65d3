//! The server: a core that knows no stream and no clock, and a thin shell around it.
mod buffers;
mod connection;
mod exchange;
mod requests;
mod response;
mod shell;
mod statistics;

pub use connection::{Connection, Content, Delimiter, Framing};
pub use exchange::Exchange;
pub use response::{Response, Writer};
pub use shell::{Access, Handler, Server};
pub use statistics::Statistics;
