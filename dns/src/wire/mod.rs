//! Codecs: names, messages, records, EDNS(0). Views over packets, nothing allocated.
mod builder;
mod edns;
mod message;
mod name;
pub mod rdata;
mod rtype;

pub use builder::{Builder, Mark};
pub use edns::{Edns, Options, option};
pub use message::{Flags, HEADER, Message, Opcode, Question, Rcode, Record, Records, Section};
#[cfg(feature = "alloc")]
pub(crate) use name::hash_letters;
pub use name::{MAX_NAME, Name, NameBuf, SuffixHashes};
pub(crate) use name::{same_letters, unescape};
#[cfg(feature = "alloc")]
pub(crate) use rdata::base64;
pub use rtype::{Class, RecordType};
