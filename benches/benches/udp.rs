//! UDP echo of 64-byte datagrams: airglow's stack on AF_XDP, AF_PACKET and a tap device, answering where the question lies, against a C program that
//! moves 64 datagrams in a call (`recvmmsg`, `sendmmsg`) over the kernel's stack. All servers run from the beginning, and the program that asks, which
//! keeps 128 questions on their way and passes its own kernel by, goes round them several times; medians count.
use airglow_benches::{Better, Cable, Join, Table, median};
use airglow_testbed::example;
use std::{error::Error, process::Command};

const ROUNDS: usize = 5;
const SECONDS: u64 = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let ours = example("airglow-platform-unix", "echo", "release").display().to_string();
    let theirs = std::env::temp_dir().join(format!("airglow-echo-{}", std::process::id()));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/echo.c");
    let compiled = Command::new("cc").args(["-O2", "-Wall", "-o"]).arg(&theirs).arg(source).status()?;
    assert!(compiled.success(), "cc {source}");
    let program = theirs.display().to_string();

    let own = |net: &str, join| {
        let net = net.to_owned();
        let words = |device: &str| {
            let device = format!("device={device}");
            [&ours, &net, &device, "ipv4=10.0.0.2/24", "port=7"].map(str::to_owned).to_vec()
        };
        Cable::start(join, None, words, "echo on port 7")
    };
    let servers = [
        Cable::start(Join::Veth, Some("10.0.0.2/24"), |_| vec![program, "7".to_owned()], "echo on port 7"),
        own("net=xdp", Join::Veth),
        own("net=packet", Join::Veth),
        own("net=tap", Join::Tap),
    ];
    std::fs::remove_file(&theirs)?;
    let mut all = [const { (Vec::new(), Vec::new()) }; 4];
    for _ in 0..ROUNDS {
        for (server, (rate, cost)) in servers.iter().zip(&mut all) {
            let answers = server.ask(&["port=7", "size=64", "window=128"], SECONDS);
            rate.push(answers.rate);
            cost.push(answers.per_cpu_second);
        }
    }
    let [kernel, own @ ..] = all.map(|(rate, cost)| (median(&rate), median(&cost)));
    let mut table = Table::new("udp");
    for (name, (rate, cost)) in ["AF_XDP", "AF_PACKET", "tap"].into_iter().zip(own) {
        const PEER: &str = "recvmmsg over the kernel, veth";
        let row = |what: &str| format!("{name}, {what}");
        table.row(&row("per CPU second"), "echoes", Better::More, cost, PEER, kernel.1);
        table.row(&row("per second"), "echoes", Better::More, rate, PEER, kernel.0);
    }
    Ok(table.finish()?)
}
