//! Answers to random questions for existing names: airglow's DNS server over host sockets against NSD, Knot and BIND, with zones of
//! one record to a million.
//!
//! The server has the first processor to itself and dnsperf the second, which keeps 64 questions on their way, from one port, as
//! a load balancer before it would, or from fifty. All servers run one worker and read the same zone file. The first rows, or
//! all with `-- wire`, are over a wire between two namespaces, our own stack against the kernel's, asked by a program that passes the kernel by.
use airglow_benches::{Better, Cable, Join, Table, application, median, processes};
use airglow_testbed::{
    Process, cpu_seconds,
    name_servers::{Folder, NameServer, ZoneFile, airglow, bind, free_port, knot, nsd},
};
use std::{
    error::Error,
    fmt::Write,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

const ORIGIN: &str = "bench.example";
const SECONDS: &str = "5";
const FIRST_CORE: [&str; 3] = ["taskset", "-c", "0"];

struct Measured {
    rate: f64,
    cpu_per_million: f64,
    load: Duration,
    memory: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut table = Table::new("dns");
    let appliance = application("dns-server");
    wire(&mut table, &appliance);
    if std::env::args().any(|word| word == "wire") {
        return Ok(table.finish()?);
    }
    for (records, clients) in [(1, 1), (1_000, 1), (1_000, 50), (100_000, 1), (1_000_000, 1)] {
        let folder = Folder::new("bench-dns");
        write_zone(&folder, records);
        let file = folder.path().join("zone").display().to_string();
        let zones = [ZoneFile { origin: ORIGIN.to_owned(), file }];
        let ours = measure(&folder, clients, || airglow(&appliance, &FIRST_CORE, &zones, free_port()));
        for (name, start) in [
            ("NSD", nsd as fn(&Folder, &[&str], &[ZoneFile], u16) -> NameServer),
            ("Knot", knot),
            ("BIND", bind),
        ] {
            let peer = measure(&folder, clients, || start(&folder, &FIRST_CORE, &zones, free_port()));
            let ports = if clients == 1 { String::new() } else { format!("{clients} ports, ") };
            let row = |what: &str| format!("{records} records, {ports}{what}");
            table.row(&row("rate"), "answers/s", Better::More, ours.rate, name, peer.rate);
            let cost = (ours.cpu_per_million, peer.cpu_per_million);
            table.row(&row("cost"), "CPU s per million answers", Better::Less, cost.0, name, cost.1);
            if records == 1_000_000 {
                let load = (ours.load.as_secs_f64(), peer.load.as_secs_f64());
                table.row(&row("start to first answer"), "s", Better::Less, load.0, name, load.1);
                let memory = (ours.memory as f64 / 1e6, peer.memory as f64 / 1e6);
                table.row(
                    &row("memory after the run"),
                    "bytes per record",
                    Better::Less,
                    memory.0,
                    name,
                    memory.1,
                );
            }
        }
    }
    Ok(table.finish()?)
}

/// Answers over a wire between two machines: our own stack, answering where the question lies, against NSD over the kernel's. Who asks passes
/// its own kernel by, and the rounds take turns.
fn wire(table: &mut Table, appliance: &Path) {
    const RECORDS: u32 = 1000;
    let folder = Folder::new("bench-dns-wire");
    write_zone(&folder, RECORDS);
    let here = folder.path().display().to_string();
    let config = format!("{here}/nsd.conf");
    folder.write(
        "nsd.conf",
        &format!(
            "server:\n ip-address: 10.0.0.2\n server-count: 1\n username: \"\"\n database: \"\"\n pidfile: \"{here}/pid\"\n \
             xfrdfile: \"{here}/xfrd\"\n zonelistfile: \"{here}/list\"\n rrl-ratelimit: 0\n minimal-responses: yes\n\
             remote-control:\n control-enable: no\nzone:\n name: {ORIGIN}\n zonefile: {here}/zone\n"
        ),
    );
    let nsd = |_: &str| ["nsd", "-d", "-c", &config].map(str::to_owned).to_vec();
    let own = |net: &str| {
        let net = net.to_owned();
        let (zone, origin) = (format!("zone={here}/zone"), format!("origin={ORIGIN}"));
        let words = |device: &str| {
            let (program, device) = (appliance.display().to_string(), format!("device={device}"));
            vec![program, net, device, "ipv4=10.0.0.2/24".to_owned(), "port=53".to_owned(), zone, origin]
        };
        Cable::start(Join::Veth, None, words, "")
    };
    let servers = [Cable::start(Join::Veth, Some("10.0.0.2/24"), nsd, ""), own("net=xdp"), own("net=packet")];
    let names = format!("names={here}/questions");
    let mut all = [const { (Vec::new(), Vec::new()) }; 3];
    for _ in 0..5 {
        for (server, (rate, cost)) in servers.iter().zip(&mut all) {
            let answers = server.ask(&["port=53", "window=128", &names], 2);
            rate.push(answers.rate);
            cost.push(1e6 / answers.per_cpu_second);
        }
    }
    let [nsd, own @ ..] = all.map(|(rate, cost)| (median(&rate), median(&cost)));
    for (net, (rate, cost)) in ["AF_XDP", "AF_PACKET"].into_iter().zip(own) {
        let row = |what: &str| format!("own stack on {net}, {RECORDS} records, {what}");
        table.row(&row("rate"), "answers/s", Better::More, rate, "NSD, veth", nsd.0);
        table.row(&row("cost"), "CPU s per million answers", Better::Less, cost, "NSD, veth", nsd.1);
    }
}

/// A zone with `records` names, and as many questions about them as a run asks before it starts over.
fn write_zone(folder: &Folder, records: u32) {
    let mut zone = String::from("$TTL 1h\n@ SOA ns admin 1 1d 2h 4w 5m\n@ NS ns\nns A 192.0.2.1\n");
    let mut questions = String::new();
    for n in 0..records {
        let [_, a, b, c] = n.to_be_bytes();
        let _ = writeln!(zone, "host{n} A 10.{a}.{b}.{c}");
    }
    let mut state = 1_u64;
    for _ in 0..200_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let _ = writeln!(questions, "host{}.{ORIGIN} A", (state >> 33) % u64::from(records));
    }
    folder.write("zone", &zone);
    folder.write("questions", &questions);
}

/// Starts a server, loads it with dnsperf, which asks from as many ports as there are `clients`, and asks the kernel for the
/// server's processor time.
fn measure(folder: &Folder, clients: u32, start: impl FnOnce() -> NameServer) -> Measured {
    let begun = Instant::now();
    let server = start();
    let load_time = begun.elapsed();
    let (port, clients) = (server.port.to_string(), clients.to_string());
    let questions = folder.path().join("questions").display().to_string();
    let run = |seconds: &str| {
        let words = [
            "-c",
            "1",
            "dnsperf",
            "-s",
            "127.0.0.1",
            "-p",
            &port,
            "-d",
            &questions,
            "-c",
            &clients,
            "-q",
            "64",
            "-l",
            seconds,
        ];
        Process::start(Command::new("taskset").args(words)).wait(Duration::from_secs(60))
    };
    run("1");
    let before = processes(server.process.id()).iter().map(|id| cpu_seconds(*id)).sum::<f64>();
    let said = run(SECONDS);
    let used = processes(server.process.id()).iter().map(|id| cpu_seconds(*id)).sum::<f64>() - before;
    let number = |label: &str| {
        let line = said.stdout.lines().find_map(|line| line.trim().strip_prefix(label));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok())
            .unwrap_or_else(|| panic!("{said}"))
    };
    let (completed, lost) = (number("Queries completed:"), number("Queries lost:"));
    assert!(lost < completed / 1000.0 && used > 0.0, "{said}");
    Measured {
        rate: number("Queries per second:"),
        cpu_per_million: used / (completed / 1e6),
        load: load_time,
        memory: processes(server.process.id()).iter().map(|id| memory(*id)).sum(),
    }
}

/// Bytes of memory, what several processes share divided among them.
fn memory(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
    let pss =
        status.lines().find_map(|line| line.strip_prefix("Pss:")?.split_whitespace().next()?.parse().ok());
    pss.unwrap_or(0_u64) * 1024
}
