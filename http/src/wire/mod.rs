//! The grammar: codecs over byte slices, each usable alone.
//!
//! Nothing here allocates, keeps state between messages (but for [`ChunkDecoder`]) or can panic on any input.
mod accept_encoding;
mod bytes;
mod chunked;
mod date;
mod entity_tag;
mod fields;
mod media_type;
mod method;
mod output;
mod range;
mod request;
mod response;
mod status;
mod target;

pub use accept_encoding::{Coding, CodingPreferences};
pub(crate) use bytes::{is_field_content, is_token};
pub use chunked::{BadChunk, ChunkDecoder, Decoded};
pub use date::{HttpDate, format_date, parse_date};
pub use entity_tag::{EntityTag, TagSpace, matches_any};
pub(crate) use fields::is_host;
pub use fields::{Field, Fields, FieldsIter, Known};
pub use media_type::media_type;
pub(crate) use media_type::of_octets as media_type_of_octets;
pub use method::{Method, Methods};
pub use output::Output;
pub use range::{ByteRange, Ranges, SelectedRanges};
pub use request::{RequestHead, Version, head_length};
pub use response::ResponseHead;
pub use status::Status;
pub use target::{BadPath, decode_path, encode_path};
