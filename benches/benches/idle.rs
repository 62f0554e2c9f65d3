//! Memory of idle keep-alive connections: 10,000 of them, each after one request and its answer. Ours on host sockets is without the kernel's
//! part, as nginx's is; ours on our own stack is all there is.
//!
//! `cargo airglow bench idle -- many`: 100,000 connections on one stack of ours, each after a byte and its echo, TCP and nothing else.
use airglow_benches::{Better, Nginx, Table, application, own_program};
use airglow_testbed::{Namespace, Process, allow_open_files, memory, veth};
use std::{
    env,
    error::Error,
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::id,
    time::Duration,
};

const CONNECTIONS: u32 = 10_000;

/// Connections of the long form, and of one client in it: so many files a process may open.
const MANY: usize = 100_000;
const OF_ONE: usize = 12_500;

fn main() -> Result<(), Box<dyn Error>> {
    if env::args().any(|word| word == "many") {
        return many();
    }
    allow_open_files(15_000);
    let mut table = Table::new("idle");
    let pump = application("pump").display().to_string();
    let folder = std::env::temp_dir().join(format!("airglow-bench-idle-{}", id()));

    let (client, server) = link();
    server.address("s0", "10.0.0.2/24");
    let nginx = Nginx::start(&server, &folder, "");
    let theirs = bytes_each(&client, nginx.worker());
    drop(nginx);
    fs::remove_dir_all(folder)?;
    let mut process = server.start(&pump, &[]);
    process.wait_for("listening", Duration::from_secs(10));
    let ours = bytes_each(&client, process.id());
    table.row("host sockets", "bytes per connection", Better::Less, ours, "nginx", theirs);
    drop(process);

    let (client, server) = link();
    server.silence("s0");
    let mut process = server.start(&pump, &["net=packet", "device=s0", "ipv4=10.0.0.2/24"]);
    process.wait_for("listening", Duration::from_secs(10));
    let ours = bytes_each(&client, process.id());
    table.row(
        "own stack, TCP included",
        "bytes per connection",
        Better::Less,
        ours,
        "nginx, without TCP",
        theirs,
    );
    drop(process);
    Ok(table.finish()?)
}

/// By how many bytes the process grows with each of [`MANY`] connections.
fn many() -> Result<(), Box<dyn Error>> {
    let (client, server) = link();
    client.set("net/ipv4/ip_local_port_range", "'1024 65535'");
    server.silence("s0");
    let holder = own_program("holder").display().to_string();
    let count = format!("count={MANY}");
    let mut process = server.start(&holder, &["on=s0", "own=10.0.0.2/24", &count]);
    process.wait_for("listening", Duration::from_secs(10));
    let hold = |index: usize, count: usize| {
        let flow = own_program("flow").display().to_string();
        let port = if index.is_multiple_of(2) { 80 } else { 81 };
        let files = count + 100;
        let command = format!("ulimit -n {files} && exec {flow} hold 10.0.0.2 {port} {count}");
        let mut process: Process = client.start("sh", &["-c", &command]);
        process.wait_for("holding", Duration::from_secs(300));
        process
    };
    // What the first connections make the server set up does not count.
    let first = hold(0, 16);
    let before = memory(process.id());
    let all: Vec<Process> = (0..MANY / OF_ONE).map(|index| hold(index, OF_ONE)).collect();
    let after = memory(process.id());
    let ours = after.saturating_sub(before) as f64 / MANY as f64;
    let slabs = fs::read_to_string("/proc/slabinfo")?;
    let size = |line: &str| line.strip_prefix("TCP ")?.split_whitespace().nth(2)?.parse::<f64>().ok();
    let theirs = slabs.lines().find_map(size).ok_or("the kernel says how large its sockets are")?;
    drop((first, all));
    let mut table = Table::new("idle-many");
    table.row(
        "100,000 on one stack",
        "bytes per connection",
        Better::Less,
        ours,
        "Linux, its socket's slab alone",
        theirs,
    );
    Ok(table.finish()?)
}

fn link() -> (Namespace, Namespace) {
    let (client, server) = (Namespace::new("client"), Namespace::new("server"));
    veth(&client, "c0", &server, "s0");
    client.address("c0", "10.0.0.1/24");
    (client, server)
}

/// By how many bytes the process `server` grows with each connection.
fn bytes_each(client: &Namespace, server: u32) -> f64 {
    let ask = || -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect(("10.0.0.2", 80))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(b"GET /page HTTP/1.1\r\nHost: bench\r\n\r\n")?;
        let (mut answer, mut got) = ([0; 8192], 0);
        while !answer[..got].ends_with(&[b'x'; 4096]) {
            match stream.read(&mut answer[got..])? {
                0 => return Err(std::io::Error::other("the connection was closed")),
                n => got += n,
            }
        }
        Ok(stream)
    };
    client.enter(|| {
        // What the first connections make the server set up does not count.
        let first: Vec<_> = (0..16).map(|_| ask().expect("an answer")).collect();
        let before = memory(server);
        let all: Vec<_> = (0..CONNECTIONS).map(|_| ask().expect("an answer")).collect();
        let after = memory(server);
        drop((first, all));
        after.saturating_sub(before) as f64 / f64::from(CONNECTIONS)
    })
}
