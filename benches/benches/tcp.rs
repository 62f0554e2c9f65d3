//! One bulk TCP flow, each way: airglow's stack against the kernel's, beside two kernels over the same kind of link and
//! smoltcp on the same tap.
use airglow_benches::{Better, Table, application, flow, own_program};
use airglow_testbed::{Namespace, Process, veth};
use std::{error::Error, path::Path, time::Duration};

const SECONDS: &str = "5";
const MIB: f64 = 1048576.0;

/// MiB per second that the server at 10.0.0.2 took and gave.
struct Flows {
    taken: f64,
    given: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut table = Table::new("tcp");
    let pump = application("pump").display().to_string();

    // veth: the kernel at one end, and at the other the kernel, then airglow on AF_PACKET.
    let (client, server) = link();
    server.address("s0", "10.0.0.2/24");
    let kernel = flows(&client, server.start(own_program("flow"), &["serve"]));
    let (client, server) = link();
    server.silence("s0");
    let ours = flows(&client, server.start(&pump, &["net=packet", "device=s0", "ipv4=10.0.0.2/24"]));
    rows(&mut table, "veth", &ours, "Linux to Linux", &kernel);

    // tap: the kernel at the device's one end; whoever opened it at the other.
    let ours = on_tap(&pump, &["net=tap", "device=tap0", "ipv4=10.0.0.2/24"]);
    let smoltcp = on_tap(own_program("smoltcp-peer"), &["tap0"]);
    rows(&mut table, "tap", &ours, "smoltcp 0.14, same tap", &smoltcp);
    rows(&mut table, "tap", &ours, "Linux to Linux, veth", &kernel);
    Ok(table.finish()?)
}

fn rows(table: &mut Table, link: &str, ours: &Flows, peer: &str, theirs: &Flows) {
    table.row(&format!("{link}, receive"), "MiB/s", Better::More, ours.taken, peer, theirs.taken);
    table.row(&format!("{link}, send"), "MiB/s", Better::More, ours.given, peer, theirs.given);
}

fn link() -> (Namespace, Namespace) {
    let (client, server) = (Namespace::new("client"), Namespace::new("server"));
    veth(&client, "c0", &server, "s0");
    client.address("c0", "10.0.0.1/24");
    (client, server)
}

fn on_tap(program: impl AsRef<Path>, words: &[&str]) -> Flows {
    let namespace = Namespace::new("tap");
    namespace.tap("tap0");
    namespace.address("tap0", "10.0.0.1/24");
    flows(&namespace, namespace.start(program.as_ref(), words))
}

fn flows(client: &Namespace, mut server: Process) -> Flows {
    server.wait_for("listening", Duration::from_secs(10));
    let one = |way: &str| {
        let process = client.start(own_program("flow"), &[way, "10.0.0.2", SECONDS]);
        flow(process, Duration::from_secs(30)) / MIB
    };
    let flows = Flows { taken: one("send"), given: one("receive") };
    assert!(server.runs(), "{}", server.so_far());
    flows
}
