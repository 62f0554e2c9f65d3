//! Networks to test in: Linux network namespaces joined by veth pairs and tap devices, and processes in them
//! that end with the test.
//!
//! Everything that a test makes carries the test's process id in its name and goes away when its value is dropped,
//! also when the test panics. Making namespaces needs root.
//!
//! ```no_run
//! use airglow_testbed::{Namespace, veth};
//!
//! let (client, server) = (Namespace::new("client"), Namespace::new("server"));
//! veth(&client, "c0", &server, "s0");
//! client.address("c0", "10.0.0.1/24");
//! server.address("s0", "10.0.0.2/24");
//! let said = client.run("ping", &["-c", "1", "-W", "2", "10.0.0.2"]);
//! assert!(said.success(), "{said}");
//! ```
#![deny(unsafe_code)]

mod authority;
mod enter;
pub mod name_servers;
mod namespace;
mod open_vswitch;
mod os_ken;
mod process;
mod program;

pub use authority::Authority;
pub use namespace::{Namespace, veth};
pub use open_vswitch::OpenVswitch;
pub use os_ken::OsKen;
pub use process::{Process, Said, cpu_seconds, memory};
pub use program::{allow_open_files, example, program};
