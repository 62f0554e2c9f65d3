//! HTTP/1.1 (RFC 9110, RFC 9112): a server and a client over any byte stream, without an allocator.
//!
//! ```
//! use airglow_device::{KeyValue, Listener, Timer, WallClock};
//! use airglow_http::{Error, Exchange, Limits, Method, Router, Server, Status, files};
//!
//! async fn hello(exchange: &mut Exchange<'_>) -> Result<(), Error> {
//!     let name = exchange.parameter("name").unwrap_or("nobody");
//!     exchange.respond(Status::OK).content_type("text/plain").send(name.as_bytes()).await
//! }
//!
//! /// Up to 1,024 connections at once.
//! async fn run(listener: &impl Listener, site: &impl KeyValue, timer: &impl Timer, clock: &impl WallClock) {
//!     let router = Router::new().route(Method::Get, "/hello/{name}", hello).otherwise(files(site));
//!     Server::new(Limits::default()).wall_clock(clock).serve::<1024, _, _>(listener, &router, timer).await;
//! }
//! ```
//!
//! | layer | what it is |
//! |---|---|
//! | [`wire`] | the grammar over byte slices: heads, chunks, dates, tags, ranges, paths |
//! | [`server::Connection`], [`client::Conversation`] | the protocol's state, without bytes, clock or stream |
//! | [`Server`], [`Client`] | the async shells over any [`Stream`](airglow_device::Stream) |
//! | [`files()`], [`Router`], [`Handler`] | what an application says |
//!
//! # How a request is handled
//!
//! A connection has two buffers of fixed size. A request's head stays where it was received while its
//! [`Handler`] runs; the handler
//! writes the answer's head, and as much of the content as fits, straight into the other buffer. It does no
//! I/O:
//! when it needs some it says so and waits, and the connection's own future, which knows the stream, does
//! it. So handlers are not generic over
//! streams, a small answer is one read and one write, and pipelined answers leave together.
//!
//! # What a peer can use up
//!
//! [`Limits`] and the sizes of the buffers bound it all: no call here allocates. Whoever breaks the
//! grammar, a limit or a timeout gets the
//! status of the [`Refusal`] and a closed connection; [`Statistics`] count each reason.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![allow(async_fn_in_trait)]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod client;
pub mod conditional;
mod deadline;
mod error;
mod files;
mod input;
mod limits;
mod refusal;
pub mod router;
pub mod server;
pub mod wire;

pub use client::{Answer, Client, Request};
pub use error::Error;
pub use files::{Files, files};
pub use limits::Limits;
pub use refusal::Refusal;
pub use router::Router;
pub use server::{Access, Exchange, Handler, Response, Server, Statistics, Writer};
pub use wire::{Method, Methods, Status};
