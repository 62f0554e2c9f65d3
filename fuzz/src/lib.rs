//! Fuzz bodies: plain functions over any bytes.
//!
//! `cargo test -p airglow-fuzz` runs each on stable over the committed corpus and over what a seeded generator makes of it;
//! cargo-fuzz drives the same functions with coverage (see the README). A body panics when a rule is broken; it is
//! not enough that nothing crashes: what parses must emit to the same, pieces must mean what the whole means, and what the stack
//! sends must be well formed.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod corpus;
mod dns;
mod dns_server;
mod frames;
pub mod generator;
mod http;
mod openflow;
mod tls;
mod tls_ocsp;
mod wire_codecs;
mod words;

pub use dns::{dns_message, dns_zone};
pub use dns_server::dns_server;
pub use frames::{Host, Said, frames, offload};
pub use http::{http_request, http_response, http_server, http_values};
pub use openflow::{openflow_codec, openflow_switch};
pub use tls::{tls_client, tls_messages, tls_server};
pub use tls_ocsp::tls_ocsp;
pub use wire_codecs::wire_codecs;
pub use words::{link, parameters};

/// A fuzz body and how often the tests run it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: that of the function, of its folder under `corpus/`, and of its binary for cargo-fuzz.
    pub name: &'static str,
    /// The body.
    pub body: fn(&[u8]),
    /// Generated inputs in a test run.
    pub count: u32,
}

/// Every body.
pub const TARGETS: &[Target] = &[
    Target { name: "frames", body: frames, count: 1_500 },
    Target { name: "offload", body: offload, count: 20_000 },
    Target { name: "wire_codecs", body: wire_codecs, count: 40_000 },
    Target { name: "http_request", body: http_request, count: 10_000 },
    Target { name: "http_response", body: http_response, count: 10_000 },
    Target { name: "http_server", body: http_server, count: 2_000 },
    Target { name: "http_values", body: http_values, count: 20_000 },
    Target { name: "dns_message", body: dns_message, count: 1_000 },
    Target { name: "dns_zone", body: dns_zone, count: 10_000 },
    Target { name: "dns_server", body: dns_server, count: 2_000 },
    Target { name: "tls_messages", body: tls_messages, count: 20_000 },
    Target { name: "tls_server", body: tls_server, count: 300 },
    Target { name: "tls_client", body: tls_client, count: 300 },
    Target { name: "tls_ocsp", body: tls_ocsp, count: 2_000 },
    Target { name: "openflow_codec", body: openflow_codec, count: 40_000 },
    Target { name: "openflow_switch", body: openflow_switch, count: 5_000 },
    Target { name: "parameters", body: parameters, count: 20_000 },
    Target { name: "link", body: link, count: 5_000 },
];
