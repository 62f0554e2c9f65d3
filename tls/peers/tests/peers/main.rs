//! Our ends against the TLS libraries people use, over loopback.
mod clients;
mod https;
mod ours;
mod servers;
