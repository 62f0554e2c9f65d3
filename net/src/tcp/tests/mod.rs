//! Tests of the whole of TCP, without I/O and in virtual time.
mod bottleneck;
mod details;
mod extensions;
#[cfg(feature = "f-rto")]
mod frto;
mod hostile;
mod link;
mod loss;
mod overload;
mod packets;
mod pair;
#[cfg(feature = "plpmtud")]
mod path;
mod requirements;
mod scenarios;
