//! Tests of the whole of TCP, without I/O and in virtual time.
mod link;
mod pair;
