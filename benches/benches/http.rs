//! Keep-alive GET of a 4 KiB page: airglow's HTTP server against nginx, over host sockets and over airglow's own stack.
//!
//! The server has the first processor to itself and wrk the second. nginx runs one worker with `sendfile` and without an access
//! log and serves the same bytes from a file.
use airglow_benches::{Better, Table, application};
use airglow_testbed::{Namespace, Process, veth};
use std::{error::Error, fs, path::Path, process::id, time::Duration};

const SECONDS: u32 = 8;

struct Measured {
    requests_per_second: f64,
    cpu_per_million: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut table = Table::new("http");
    let pump = application("pump");
    let folder = std::env::temp_dir().join(format!("airglow-bench-http-{}", id()));
    fs::create_dir_all(&folder)?;

    let (client, server) = link();
    server.address("s0", "10.0.0.2/24");
    let nginx = nginx(&client, &server, &folder);
    let ours = measure(&client, server.start("taskset", &["-c", "0", &text(&pump), "port=80"]), None);
    rows(&mut table, "host sockets", &ours, &nginx);

    // The same link, but the kernel on the server's side has no address there and keeps quiet.
    let (client, server) = link();
    server.silence("s0");
    let words = ["-c", "0", &text(&pump), "net=packet", "device=s0", "ipv4=10.0.0.2/24", "port=80"];
    let ours = measure(&client, server.start("taskset", &words), None);
    rows(&mut table, "own stack, veth", &ours, &nginx);

    let alone = Namespace::new("tap");
    alone.tap("tap0");
    alone.address("tap0", "10.0.0.1/24");
    let words = ["-c", "0", &text(&pump), "net=tap", "device=tap0", "ipv4=10.0.0.2/24", "port=80"];
    let ours = measure(&alone, alone.start("taskset", &words), None);
    rows(&mut table, "own stack, tap", &ours, &nginx);

    fs::remove_dir_all(folder)?;
    Ok(table.finish()?)
}

fn rows(table: &mut Table, case: &str, ours: &Measured, nginx: &Measured) {
    let rate = (ours.requests_per_second, nginx.requests_per_second);
    table.row(case, "requests/s", Better::More, rate.0, "nginx, host sockets", rate.1);
    let cost = (ours.cpu_per_million, nginx.cpu_per_million);
    table.row(case, "CPU s per million requests", Better::Less, cost.0, "nginx, host sockets", cost.1);
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn link() -> (Namespace, Namespace) {
    let (client, server) = (Namespace::new("client"), Namespace::new("server"));
    veth(&client, "c0", &server, "s0");
    client.address("c0", "10.0.0.1/24");
    (client, server)
}

/// nginx with one worker, as its Debian package builds it.
fn nginx(client: &Namespace, server: &Namespace, folder: &Path) -> Measured {
    let place = folder.display();
    fs::write(folder.join("page"), vec![b'x'; 4096]).expect("a file");
    let configuration = format!(
        "worker_processes 1; worker_cpu_affinity 1; daemon off; user root; pid {place}/pid; error_log stderr;
         events {{ worker_connections 1024; }}
         http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; default_type text/plain;
           server {{ listen 80; root {place}; }} }}"
    );
    fs::write(folder.join("nginx.conf"), configuration).expect("a file");
    let master = server.start("nginx", &["-c", &format!("{place}/nginx.conf"), "-p", &text(folder)]);
    std::thread::sleep(Duration::from_millis(500));
    let worker = fs::read_to_string(format!("/proc/{0}/task/{0}/children", master.id())).unwrap_or_default();
    let worker = worker.split_whitespace().next().and_then(|id| id.parse().ok());
    let worker = worker.unwrap_or_else(|| panic!("nginx has no worker: {}", master.so_far()));
    measure(client, master, Some(worker))
}

/// Loads `server` with wrk and asks the kernel how long its process, or the process `worker`, was on a processor.
fn measure(client: &Namespace, mut server: Process, worker: Option<u32>) -> Measured {
    let cpu = |server: &Process| worker.map_or_else(|| server.cpu_seconds(), airglow_testbed::cpu_seconds);
    let ready = client.run(
        "curl",
        &[
            "-sf",
            "--retry",
            "50",
            "--retry-delay",
            "1",
            "--retry-connrefused",
            "-o",
            "/dev/null",
            "-w",
            "%{size_download}",
            "http://10.0.0.2/page",
        ],
    );
    assert!(ready.success() && ready.stdout == "4096", "{ready}\n{}", server.so_far());
    let load = |seconds: u32| {
        let duration = format!("{seconds}s");
        let words = ["-c", "1", "wrk", "-t1", "-c64", "-d", &duration, "http://10.0.0.2/page"];
        client.run_for(Duration::from_secs(60), "taskset", &words)
    };
    load(1);
    let before = cpu(&server);
    let said = load(SECONDS);
    let used = cpu(&server) - before;
    assert!(said.success() && server.runs(), "{said}\n{}", server.so_far());
    assert!(!said.stdout.contains("Non-2xx"), "{said}");
    let word_before = |mark: &str| -> f64 {
        let line = said.stdout.lines().find(|line| line.contains(mark)).unwrap_or_else(|| panic!("{said}"));
        line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{said}"))
    };
    let requests = word_before(" requests in ");
    Measured { requests_per_second: requests / f64::from(SECONDS), cpu_per_million: used / requests * 1e6 }
}
