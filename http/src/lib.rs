//! HTTP
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![allow(async_fn_in_trait)]

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
