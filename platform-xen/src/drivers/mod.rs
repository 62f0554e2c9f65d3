//! The halves of Xen's device protocols that run in a guest, without hypercalls: each core works on shared memory and
//! says what to do (ring the backend, copy these bytes). They compile and are tested on the host with a peer that
//! keeps to no rule; `guest` connects them to the hypervisor.
pub mod blkfront;
pub mod console;
pub mod grant;
pub mod netfront;
pub mod pages;
pub mod ring;
pub mod xenstore;
