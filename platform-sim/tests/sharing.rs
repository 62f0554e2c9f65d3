//! What the whole stack carries through losses, kept as a snapshot, and how two flows share a line.
use airglow_device::{Instant, Platform, Read, Tcp, Write};
use airglow_platform_sim::{Host, Machine, Outcome, Simulation};
use airglow_runtime::{for_each_connection, sleep};
use std::{cell::Cell, time::Duration};

/// Reads from everybody, and counts by the last byte of their address.
async fn sink(machine: &Machine<'_>, read: &[Cell<u64>; 4]) -> Outcome {
    use airglow_device::Stream;
    let listener = machine.tcp().listen(80).await.map_err(|e| e.to_string())?;
    match for_each_connection::<8, _>(&listener, machine.timer(), async |mut stream| {
        let from = stream.peer().map(|peer| peer.ip().to_canonical().to_string()).unwrap_or_default();
        let counter = from.rsplit('.').next().and_then(|n| read.get(n.parse::<usize>().ok()?));
        while let Ok(len @ 1..) = stream.read(&mut [0; 16_384]).await {
            counter.inspect(|counter| counter.set(counter.get() + len as u64));
        }
    })
    .await {}
}

/// Sends without end.
async fn source(machine: &Machine<'_>, start: Duration) -> Outcome {
    sleep(machine.timer(), start).await;
    let mut stream = machine.tcp().connect(([10, 0, 0, 9], 80).into()).await.map_err(|e| e.to_string())?;
    loop {
        stream.write_all(&[0x5a; 16_384]).await.map_err(|e| e.to_string())?;
    }
}

/// A receiver behind a router, whose cable to the receiver's network is `line`; senders on the other side, one every three seconds.
fn bottleneck<'s, 'a>(
    simulation: &'s Simulation<'a>,
    line: &str,
    senders: usize,
    read: &'a [Cell<u64>; 4],
) -> Host<'s, 'a> {
    let (near, far) = (simulation.segment("near"), simulation.segment("far"));
    let router = simulation.host("router", "").forwarding();
    router.plug(&near, "ipv4=10.0.1.254/24");
    router.plug(&far, &format!("ipv4=10.0.0.254/24 {line}"));
    router.idle();
    let receiver = simulation.host("receiver", "");
    receiver.plug(&far, "ipv4=10.0.0.9/24 gateway=10.0.0.254");
    receiver.run(async |machine: &Machine<'_>| sink(machine, read).await);
    for number in 1..=senders {
        let sender = simulation.host(&format!("sender-{number}"), "");
        sender.plug(&near, &format!("ipv4=10.0.1.{number}/24 gateway=10.0.1.254 offload=on"));
        let start = Duration::from_secs(3 * (number as u64 - 1));
        sender.run(async move |machine: &Machine<'_>| source(machine, start).await);
    }
    router
}

/// Kilobytes a second of one flow through 100 Mbit/s and a queue of 200, with `loss` per cent each way: until enough came, or for a
/// minute.
fn goodput(loss: &str, round_trip: u64) -> f64 {
    let read = Default::default();
    let simulation = Simulation::new(1);
    let line = format!("delay={}ms loss={loss}% rate=100mbit queue=200", round_trip / 2);
    bottleneck(&simulation, &line, 1, &read);
    while read[1].get() < ENOUGH && simulation.now() < Instant::from_secs(60) {
        simulation.run_for(Duration::from_millis(100));
    }
    read[1].get() as f64 / simulation.now().as_millis() as f64
}

const ENOUGH: u64 = 3_000_000;
/// Other losses than before, because something else is sent at another time, move a figure by so much.
const CHANCE: f64 = 0.8;

/// What was reached, as `loss round-trip kB/s` a line. A run repeats itself exactly: only a change of the code moves the figures. One that
/// does it for good writes them anew: `AIRGLOW_SNAPSHOT=write cargo test -p airglow-platform-sim --test sharing`.
const SNAPSHOT: &str = include_str!("goodput.txt");

#[test]
fn goodput_through_loss_stays_above_the_snapshot() {
    let (mut table, mut below) = (String::new(), Vec::new());
    for loss in ["0.1", "1", "3", "10"] {
        for round_trip in [10, 50, 200] {
            let (rate, cell) = (goodput(loss, round_trip), format!("{loss} {round_trip}"));
            let kept =
                SNAPSHOT.lines().find_map(|line| line.strip_prefix(&cell)?.strip_prefix(' ')?.parse().ok());
            let kept: f64 = kept.unwrap_or(f64::INFINITY);
            println!("{loss:>4} % loss, {round_trip:3} ms: {rate:6.0} kB/s, kept {kept:6.0}");
            table += &format!("{cell} {rate:.0}\n");
            if rate < CHANCE * kept {
                below.push(format!("{cell}: {rate:.0} kB/s, kept {kept:.0}"));
            }
        }
    }
    if std::env::var("AIRGLOW_SNAPSHOT").is_ok_and(|what| what == "write") {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goodput.txt"), table).unwrap();
    } else {
        assert!(below.is_empty(), "below the snapshot: {below:#?}");
    }
}

/// Jain's fairness index: 1 when all get the same, 1/n when one gets all.
fn jain(rates: &[f64]) -> f64 {
    let (sum, squares) =
        rates.iter().fold((0.0, 0.0), |(sum, squares), rate| (sum + rate, squares + rate * rate));
    sum * sum / (rates.len() as f64 * squares)
}

#[test]
fn two_cubic_flows_share_a_line() {
    for (delay, queue) in [(5, 40), (25, 40)] {
        let read: [Cell<u64>; 4] = Default::default();
        let simulation = Simulation::new(1);
        // With a little jitter: without any, which flow's packet finds the full queue can repeat itself for ever.
        let line = format!("delay={delay}ms jitter=1ms rate=5mbit queue={queue}");
        let router = bottleneck(&simulation, &line, 2, &read);
        simulation.run_for(Duration::from_secs(13));
        let before = [read[1].get(), read[2].get()];
        simulation.run_for(Duration::from_secs(20));
        let rates = [read[1].get() - before[0], read[2].get() - before[1]].map(|bytes| bytes as f64 / 20.0);
        let (index, used) = (jain(&rates), rates.iter().sum::<f64>() * 8.0 / 5e6);
        println!(
            "5 Mbit/s, {} ms, queue of {queue}: {:.2} and {:.2} MB/s, Jain's index {index:.3}, {:.0} % of the line",
            2 * delay,
            rates[0] / 1e6,
            rates[1] / 1e6,
            100.0 * used
        );
        assert!(index > 0.9, "{rates:?}: {index}");
        assert!(used > 0.85, "{used}");
        assert!(router.with_stack(|stack| stack.ip_stats().forwarded).is_some_and(|count| count > 9_000));
    }
}
