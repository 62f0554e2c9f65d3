//! Tests of the whole of TCP, without I/O and in virtual time.
mod bottleneck;
mod hostile;
mod link;
mod packets;
mod pair;
mod scenarios;
