//! Keep-alive GET of a 4 KiB page: airglow's HTTP server against nginx, over host sockets and over airglow's own stack.
//!
//! The server has the first processor to itself and wrk the second. nginx runs one worker with `sendfile` and without an access
//! log and serves the same bytes from a file.
use airglow_benches::{Better, Nginx, Table, application};
use airglow_testbed::{Namespace, Process, cpu_seconds, veth};
use std::{error::Error, fs, process::id, time::Duration};

const SECONDS: u32 = 8;
const OWN: [&str; 1] = ["ipv4=10.0.0.2/24"];

struct Measured {
    requests_per_second: f64,
    cpu_per_million: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut table = Table::new("http");
    let pump = application("pump").display().to_string();
    let start = |namespace: &Namespace, words: &[&str]| -> Process {
        let mut process = namespace.start("taskset", &[&["-c", "0", &pump][..], words].concat());
        process.wait_for("listening", Duration::from_secs(10));
        process
    };
    let folder = std::env::temp_dir().join(format!("airglow-bench-http-{}", id()));

    let (client, server) = link();
    server.address("s0", "10.0.0.2/24");
    let nginx = Nginx::start(&server, &folder);
    let theirs = measure(&client, nginx.worker());
    drop(nginx);
    fs::remove_dir_all(folder)?;
    let pump = start(&server, &[]);
    rows(&mut table, "host sockets", &measure(&client, pump.id()), &theirs);
    drop(pump);

    // The same kind of link, but the kernel on the server's side has no address there and keeps quiet.
    let (client, server) = link();
    server.silence("s0");
    let pump = start(&server, &[&["net=packet", "device=s0"][..], &OWN].concat());
    rows(&mut table, "own stack, veth", &measure(&client, pump.id()), &theirs);
    drop(pump);

    let alone = Namespace::new("tap");
    alone.tap("tap0");
    alone.address("tap0", "10.0.0.1/24");
    let pump = start(&alone, &[&["net=tap", "device=tap0"][..], &OWN].concat());
    rows(&mut table, "own stack, tap", &measure(&alone, pump.id()), &theirs);
    drop(pump);
    Ok(table.finish()?)
}

fn rows(table: &mut Table, case: &str, ours: &Measured, nginx: &Measured) {
    let rate = (ours.requests_per_second, nginx.requests_per_second);
    table.row(case, "requests/s", Better::More, rate.0, "nginx, host sockets", rate.1);
    let cost = (ours.cpu_per_million, nginx.cpu_per_million);
    table.row(case, "CPU s per million requests", Better::Less, cost.0, "nginx, host sockets", cost.1);
}

fn link() -> (Namespace, Namespace) {
    let (client, server) = (Namespace::new("client"), Namespace::new("server"));
    veth(&client, "c0", &server, "s0");
    client.address("c0", "10.0.0.1/24");
    (client, server)
}

/// Loads the server with wrk and asks the kernel how long the process `server` was on a processor.
fn measure(client: &Namespace, server: u32) -> Measured {
    let load = |seconds: u32| {
        let duration = format!("{seconds}s");
        let words = ["-c", "1", "wrk", "-t1", "-c64", "-d", &duration, "http://10.0.0.2/page"];
        client.run_for(Duration::from_secs(60), "taskset", &words)
    };
    load(1);
    let before = cpu_seconds(server);
    let said = load(SECONDS);
    let used = cpu_seconds(server) - before;
    assert!(said.success() && used > 0.0, "{said}");
    assert!(!said.stdout.contains("Non-2xx") && !said.stdout.contains("Socket errors"), "{said}");
    let line = said.stdout.lines().find(|line| line.contains(" requests in "));
    let requests = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    let requests = requests.unwrap_or_else(|| panic!("{said}"));
    Measured { requests_per_second: requests / f64::from(SECONDS), cpu_per_million: used / requests * 1e6 }
}
