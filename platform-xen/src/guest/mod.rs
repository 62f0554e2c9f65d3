//! The drivers connected to the hypervisor, and what an application is handed.
pub mod block;
pub mod control;
pub mod event_loop;
mod keeper;
mod logger;
pub mod network;
pub mod platform;
pub mod start;
pub mod vchan;
pub mod xenbus;
pub mod xenstore;
