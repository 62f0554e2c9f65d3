//! The switch, over AF_PACKET and over AF_XDP, against Open vSwitch's userspace datapath on the same kind of veth pairs, and the controller against Open vSwitch's
//! and os-ken's. What is measured has the first core for itself, who drives it the second; each case goes round its peers
//! several times and medians count. The words after `--` choose parts: `forward`, `flow-mods`, `controller`.
use airglow_benches::{Better, Table, application, median, own_program};
use airglow_testbed::{Namespace, OpenVswitch, OsKen, Process, veth};
use std::{env, error::Error, fs, net::Ipv4Addr, path::Path, process::Command, thread, time::Duration};

const ROUNDS: usize = 5;
const SECONDS: &str = "2";
const FLOWS: [usize; 3] = [10, 1_000, 100_000];
const LIMIT: Duration = Duration::from_secs(120);
/// Who is measured, and who drives it, both before anything else that the machine has to do.
const MEASURED: [&str; 6] = ["nice", "-n", "-15", "taskset", "-c", "0"];
const DRIVING: [&str; 6] = ["nice", "-n", "-15", "taskset", "-c", "1"];

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |part: &str| words.is_empty() || words.iter().any(|word| word == part);
    let mut table = Table::new("openflow");
    if wanted("forward") || wanted("flow-mods") {
        switches(&mut table, wanted("forward"))?;
    }
    if wanted("controller") {
        controllers(&mut table);
    }
    Ok(table.finish()?)
}

/// A switch between the ends of two veth pairs: frames go in at `g0` and come out at `s0`.
struct Place {
    generator: Namespace,
    switch: Namespace,
    sink: Namespace,
}

impl Place {
    fn new() -> Self {
        let [generator, switch, sink] = ["generator", "switch", "sink"].map(Namespace::new);
        veth(&generator, "g0", &switch, "p1");
        veth(&sink, "s0", &switch, "p2");
        for (space, interface) in [(&generator, "g0"), (&switch, "p1"), (&switch, "p2"), (&sink, "s0")] {
            space.silence(interface);
        }
        Self { generator, switch, sink }
    }

    fn arrived(&self) -> f64 {
        let said = self.sink.run("cat", &["/sys/class/net/s0/statistics/rx_packets"]);
        said.stdout.trim().parse().unwrap_or(0.0)
    }
}

/// A switch that is measured.
struct Subject<'a> {
    place: &'a Place,
    /// Where `ovs-ofctl` reaches it.
    at: String,
    process: &'a Process,
}

impl Subject<'_> {
    fn ofctl(&self, words: &[&str]) -> Duration {
        let start = std::time::Instant::now();
        let words = [&DRIVING[1..], &["ovs-ofctl", "--protocols=OpenFlow13"], words].concat();
        let said = self.place.switch.run_for(LIMIT, DRIVING[0], &words);
        assert!(said.success(), "{said}");
        start.elapsed()
    }

    /// Frames that came out for each second of the switch's processor time.
    fn forward(&self, size: usize, flows: usize) -> f64 {
        let (arrived, seconds) = (self.place.arrived(), self.process.cpu_seconds());
        let frames = own_program("frames").display().to_string();
        let words = [format!("size={size}"), format!("flows={flows}"), format!("seconds={SECONDS}")];
        let mut all = [&DRIVING[1..], &[&frames, "on=g0"]].concat();
        all.extend(words.iter().map(String::as_str));
        let said = self.place.generator.run_for(LIMIT, DRIVING[0], &all);
        assert!(said.success(), "{said}");
        thread::sleep(Duration::from_millis(100));
        (self.place.arrived() - arrived) / (self.process.cpu_seconds() - seconds)
    }
}

fn switches(table: &mut Table, forward: bool) -> Result<(), Box<dyn Error>> {
    let places = [Place::new(), Place::new(), Place::new()];
    let program = application("openflow-switch").display().to_string();
    let start = |place: &Place, card: &str| {
        let words = [&MEASURED[1..], &[&program, "ports=p1,p2", "listen=127.0.0.1:6653", card]].concat();
        let mut process = place.switch.start(MEASURED[0], &words);
        process.wait_for("listening", LIMIT);
        process
    };
    let (ours, by_xdp) = (start(&places[0], "card=packet"), start(&places[2], "card=xdp"));
    let open = OpenVswitch::new(&places[1].switch);
    open.bridge("br1", &["p1".into(), "p2".into()], "OpenFlow13", &[]);
    let pinned =
        Command::new("taskset").args(["-a", "-p", "1", &open.process().id().to_string()]).output()?;
    assert!(pinned.status.success(), "{pinned:?}");
    let subjects = [
        Subject { place: &places[0], at: "tcp:127.0.0.1:6653".into(), process: &ours },
        Subject { place: &places[1], at: open.management("br1"), process: open.process() },
        Subject { place: &places[2], at: "tcp:127.0.0.1:6653".into(), process: &by_xdp },
    ];
    let file = env::temp_dir().join(format!("airglow-bench-flows-{}", std::process::id()));
    for flows in FLOWS {
        fs::write(&file, rules(flows))?;
        let mut loading = [const { Vec::new() }; 3];
        let mut cost = [const { Vec::new() }; 3];
        for _ in 0..if flows == FLOWS[2] { 3 } else { 1 } {
            for (index, subject) in subjects.iter().enumerate() {
                subject.ofctl(&["del-flows", &subject.at]);
                let before = subject.process.cpu_seconds();
                let time = subject.ofctl(&["add-flows", &subject.at, path(&file)]);
                loading[index].push(flows as f64 / time.as_secs_f64());
                cost[index].push(flows as f64 / (subject.process.cpu_seconds() - before));
            }
        }
        if flows == FLOWS[2] {
            let rates = loading.map(|values| median(&values));
            table.row("flow-mods", "flow-mods/s", Better::More, rates[0], "Open vSwitch", rates[1]);
            let costs = cost.map(|values| median(&values));
            table.row("flow-mods", "flow-mods/CPU s", Better::More, costs[0], "Open vSwitch", costs[1]);
        }
        for size in [60, 1500].into_iter().filter(|_| forward) {
            let mut rates = [const { Vec::new() }; 3];
            for _ in 0..ROUNDS {
                for (index, subject) in subjects.iter().enumerate() {
                    rates[index].push(subject.forward(size, flows));
                }
            }
            let [ours, theirs, by_xdp] = rates.map(|values| median(&values));
            let case = format!("forward, {} bytes, {flows} rules in use", size + 4);
            table.row(&case, "frames/CPU s", Better::More, ours, "Open vSwitch", theirs);
            let case = format!("{case}, AF_XDP");
            table.row(&case, "frames/CPU s", Better::More, by_xdp, "Open vSwitch", theirs);
            table.row(&case, "frames/CPU s", Better::More, by_xdp, "AF_PACKET", ours);
        }
    }
    fs::remove_file(file)?;
    Ok(())
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

/// One rule for each address that the flood goes to.
fn rules(count: usize) -> String {
    let rule = |n: usize| {
        let to = Ipv4Addr::from(0x0a40_0000 + n as u32);
        format!("priority=10,ip,nw_dst={to},actions=output:2\n")
    };
    (0..count).map(rule).collect()
}

fn controllers(table: &mut Table) {
    let space = Namespace::new("controllers");
    let ken = OsKen::fetch();
    let ours = application("openflow-controller").display().to_string();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let programs = [
        ("airglow", "127.0.0.1:6653", words(&[&ours, "app=learning", "listen=127.0.0.1:6653"])),
        (
            "ovs-testcontroller",
            "127.0.0.1:6654",
            words(&["ovs-testcontroller", "--unixctl=none", "ptcp:6654:127.0.0.1"]),
        ),
        ("os-ken", "127.0.0.1:6655", ken.words(6655, &["os_ken.app.simple_switch"])),
    ];
    let start = |words: &[String]| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        space.start(MEASURED[0], &[&MEASURED[1..], &words].concat())
    };
    let running: Vec<Process> = programs.iter().map(|(_, _, words)| start(words)).collect();
    thread::sleep(Duration::from_secs(5));
    for mode in ["throughput", "latency"] {
        let mut rates = [const { Vec::new() }; 3];
        let mut costs = [const { Vec::new() }; 3];
        for _ in 0..3 {
            for (index, (name, at, _)) in programs.iter().enumerate() {
                let before = running[index].cpu_seconds();
                let generator = own_program("packet-ins").display().to_string();
                let words = [&DRIVING[1..], &[&generator, at, mode, "16", "100", "3"]].concat();
                let said = space.run_for(LIMIT, DRIVING[0], &words);
                let rate = said.stdout.trim().strip_suffix(" flow-mods/s").and_then(|n| n.parse().ok());
                let rate: f64 = rate.unwrap_or_else(|| panic!("{name}: {said}\n{}", running[index].so_far()));
                rates[index].push(rate);
                costs[index].push(rate * 3.0 / (running[index].cpu_seconds() - before));
            }
        }
        for peer in [1, 2] {
            let name = programs[peer].0;
            let case = format!("controller, {mode}");
            let [ours, theirs] = [0, peer].map(|n| median(&rates[n]));
            table.row(&case, "flow-mods/s", Better::More, ours, name, theirs);
            let [ours, theirs] = [0, peer].map(|n| median(&costs[n]));
            table.row(&case, "flow-mods/CPU s", Better::More, ours, name, theirs);
        }
    }
}
