//! Tests of the whole of TCP, without I/O and in virtual time.
mod bottleneck;
mod extensions;
mod hostile;
mod link;
mod loss;
mod overload;
mod packets;
mod pair;
mod scenarios;
