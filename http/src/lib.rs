//! HTTP
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![allow(async_fn_in_trait)]

pub mod conditional;
mod error;
mod files;
mod limits;
mod refusal;
pub mod router;
pub mod server;
pub mod wire;

pub use error::Error;
pub use files::{Files, files};
pub use limits::Limits;
pub use refusal::Refusal;
pub use router::Router;
pub use server::{Access, Exchange, Handler, Response, Server, Statistics, Writer};
pub use wire::{Method, Methods, Status};
