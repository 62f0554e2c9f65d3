//! Our ends against the TLS libraries people use, over loopback.
mod authentication;
mod clients;
mod https;
mod matrix;
mod ocsp;
mod ours;
mod rustls_peers;
mod servers;
