//! The drivers connected to the hypervisor, and what an application is handed.
pub mod event_loop;
pub mod network;
pub mod xenbus;
pub mod xenstore;
