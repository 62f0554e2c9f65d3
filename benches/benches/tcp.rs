//! One bulk TCP flow, each way: airglow's stack against the kernel's, beside two kernels over the same kind of link and
//! smoltcp on the same kind of tap. All servers run from the beginning, and the client goes round them several times, so that
//! whatever else the machine does meets all of them; medians count.
use airglow_benches::{Better, Table, application, flow, median, own_program};
use airglow_testbed::{Namespace, Process, veth};
use std::{error::Error, path::Path, time::Duration};

const ROUNDS: usize = 5;
const SECONDS: &str = "2";
const MIB: f64 = 1048576.0;

/// A server at 10.0.0.2, and the MiB per second that it took and gave in each round.
struct Server<'a> {
    client: &'a Namespace,
    process: Process,
    taken: Vec<f64>,
    given: Vec<f64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let pump = application("pump");
    let flow = own_program("flow");

    // veth: the kernel at one end, and at the other the kernel, or airglow on AF_PACKET or AF_XDP.
    let links = [link(), link(), link()];
    links[0].1.address("s0", "10.0.0.2/24");
    let kernel = Server::start(&links[0].0, &links[0].1, &flow, &["serve"]);
    links[1].1.silence("s0");
    let packet =
        Server::start(&links[1].0, &links[1].1, &pump, &["net=packet", "device=s0", "ipv4=10.0.0.2/24"]);
    links[2].1.silence("s0");
    let xdp = Server::start(&links[2].0, &links[2].1, &pump, &["net=xdp", "device=s0", "ipv4=10.0.0.2/24"]);
    // tap: the kernel at the device's one end, whoever opened it at the other.
    let taps = [Namespace::new("tap"), Namespace::new("tap")];
    for tap in &taps {
        tap.tap("tap0");
        tap.address("tap0", "10.0.0.1/24");
    }
    let ours = Server::start(&taps[0], &taps[0], &pump, &["net=tap", "device=tap0", "ipv4=10.0.0.2/24"]);
    let smoltcp = Server::start(&taps[1], &taps[1], &own_program("smoltcp-peer"), &["tap0"]);

    let mut servers = [kernel, packet, xdp, ours, smoltcp];
    for _ in 0..ROUNDS {
        for server in &mut servers {
            let (taken, given) = (server.flow("send"), server.flow("receive"));
            server.taken.push(taken);
            server.given.push(given);
        }
    }
    let [kernel, packet, xdp, tap, smoltcp] = &servers;
    let mut table = Table::new("tcp");
    for (link, ours, peer, theirs) in [
        ("veth, AF_PACKET", packet, "Linux to Linux, veth", kernel),
        ("veth, AF_XDP", xdp, "Linux to Linux, veth", kernel),
        ("tap", tap, "smoltcp 0.14, tap", smoltcp),
        ("tap", tap, "Linux to Linux, veth", kernel),
    ] {
        let taken = [ours, theirs].map(|server| median(&server.taken));
        table.row(&format!("{link}, receive"), "MiB/s", Better::More, taken[0], peer, taken[1]);
        let given = [ours, theirs].map(|server| median(&server.given));
        table.row(&format!("{link}, send"), "MiB/s", Better::More, given[0], peer, given[1]);
    }
    Ok(table.finish()?)
}

fn link() -> (Namespace, Namespace) {
    let (client, server) = (Namespace::new("client"), Namespace::new("server"));
    veth(&client, "c0", &server, "s0");
    client.address("c0", "10.0.0.1/24");
    (client, server)
}

impl<'a> Server<'a> {
    fn start(client: &'a Namespace, place: &Namespace, program: &Path, words: &[&str]) -> Self {
        let mut process = place.start(program, words);
        process.wait_for("listening", Duration::from_secs(10));
        Self { client, process, taken: Vec::new(), given: Vec::new() }
    }

    fn flow(&mut self, way: &str) -> f64 {
        let client = self.client.start(own_program("flow"), &[way, "10.0.0.2", SECONDS]);
        let rate = flow(client, Duration::from_secs(30)) / MIB;
        assert!(self.process.runs(), "{}", self.process.so_far());
        rate
    }
}
