//! Keep-alive GET of a 4 KiB page: airglow's HTTP server against nginx, over host sockets and over airglow's own stack.
//!
//! The server has the first processor to itself and wrk the second. nginx runs one worker with `sendfile` and without an access
//! log and serves the same bytes from a file; once as that, and once with `open_file_cache` too. All servers run from the beginning, and the
//! load goes round them several times, so that whatever else the machine does meets all of them; medians count.
use airglow_benches::{Better, Nginx, Table, application, median};
use airglow_testbed::{Namespace, Process, cpu_seconds, veth};
use std::{error::Error, fs, process::id, time::Duration};

const ROUNDS: usize = 5;
const SECONDS: u32 = 3;

/// A server that waits for load at 10.0.0.2, and what it took in each round.
struct Server<'a> {
    client: &'a Namespace,
    process: u32,
    requests_per_second: Vec<f64>,
    cpu_per_million: Vec<f64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let pump = application("pump").display().to_string();
    let start = |namespace: &Namespace, words: &[&str]| -> Process {
        let mut process = namespace.start("taskset", &[&["-c", "0", &pump][..], words].concat());
        process.wait_for("listening", Duration::from_secs(10));
        process
    };
    let folder = std::env::temp_dir().join(format!("airglow-bench-http-{}", id()));

    let kernels = [(); 3].map(|()| link());
    kernels.iter().for_each(|(_, server)| server.address("s0", "10.0.0.2/24"));
    let plain = Nginx::start(&kernels[0].1, &folder.join("plain"), "");
    let cached = Nginx::start(&kernels[1].1, &folder.join("cached"), "open_file_cache max=16;");
    let sockets = start(&kernels[2].1, &[]);
    // The same kind of link, but the kernel on the server's side has no address there and keeps quiet.
    let (veth_client, veth_server) = link();
    veth_server.silence("s0");
    let packet = start(&veth_server, &["net=packet", "device=s0", "ipv4=10.0.0.2/24"]);
    let alone = Namespace::new("tap");
    alone.tap("tap0");
    alone.address("tap0", "10.0.0.1/24");
    let tap = start(&alone, &["net=tap", "device=tap0", "ipv4=10.0.0.2/24"]);

    let server = |client, process| Server {
        client,
        process,
        requests_per_second: Vec::new(),
        cpu_per_million: Vec::new(),
    };
    let mut servers = [
        server(&kernels[0].0, plain.worker()),
        server(&kernels[1].0, cached.worker()),
        server(&kernels[2].0, sockets.id()),
        server(&veth_client, packet.id()),
        server(&alone, tap.id()),
    ];
    for round in 0..=ROUNDS {
        for server in &mut servers {
            // The first round is short and does not count.
            server.load(if round == 0 { 1 } else { SECONDS }, round > 0);
        }
    }
    let mut table = Table::new("http");
    let [plain_nginx, cached_nginx, ours @ ..] = &servers;
    let peers = [("nginx", plain_nginx), ("nginx, open_file_cache", cached_nginx)];
    for (case, ours) in ["host sockets", "own stack on AF_PACKET", "own stack on tap"].iter().zip(ours) {
        for (peer, theirs) in peers {
            let rates = [ours, theirs].map(|server| median(&server.requests_per_second));
            table.row(case, "requests/s", Better::More, rates[0], peer, rates[1]);
            let costs = [ours, theirs].map(|server| median(&server.cpu_per_million));
            table.row(case, "CPU s per million requests", Better::Less, costs[0], peer, costs[1]);
        }
    }
    table.finish()?;
    drop((plain, cached));
    Ok(fs::remove_dir_all(folder)?)
}

fn link() -> (Namespace, Namespace) {
    let (client, server) = (Namespace::new("client"), Namespace::new("server"));
    veth(&client, "c0", &server, "s0");
    client.address("c0", "10.0.0.1/24");
    (client, server)
}

impl Server<'_> {
    /// Loads the server with wrk and asks the kernel how long its process was on a processor.
    fn load(&mut self, seconds: u32, counts: bool) {
        let before = cpu_seconds(self.process);
        let duration = format!("{seconds}s");
        let words = ["-c", "1", "wrk", "-t1", "-c64", "-d", &duration, "http://10.0.0.2/page"];
        let said = self.client.run_for(Duration::from_secs(60), "taskset", &words);
        let used = cpu_seconds(self.process) - before;
        assert!(said.success() && used > 0.0, "{said}");
        assert!(!said.stdout.contains("Non-2xx") && !said.stdout.contains("Socket errors"), "{said}");
        let line = said.stdout.lines().find(|line| line.contains(" requests in "));
        let requests = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        let requests = requests.unwrap_or_else(|| panic!("{said}"));
        if counts {
            self.requests_per_second.push(requests / f64::from(seconds));
            self.cpu_per_million.push(used / requests * 1e6);
        }
    }
}
