//! Prints the trace of a connection that shares a line with another one, for `cargo airglow trace`:
//!
//! ```sh
//! cargo run -p airglow-platform-sim --example bottleneck > bottleneck.trace
//! cargo airglow trace bottleneck.trace
//! ```
use airglow_device::{Platform, Read, Tcp, Write};
use airglow_platform_sim::{Machine, Outcome, Simulation};
use airglow_runtime::{for_each_connection, sleep};
use std::time::Duration;

async fn sink(machine: &Machine<'_>) -> Outcome {
    let listener = machine.tcp().listen(80).await.map_err(|e| e.to_string())?;
    match for_each_connection::<8, _>(&listener, machine.timer(), async |mut stream| {
        while let Ok(1..) = stream.read(&mut [0; 9000]).await {}
    })
    .await {}
}

/// Sends without end, from `start` on.
async fn send(machine: &Machine<'_>, start: u64) -> Outcome {
    sleep(machine.timer(), Duration::from_secs(start)).await;
    let mut stream = machine.tcp().connect(([10, 0, 0, 9], 80).into()).await.map_err(|e| e.to_string())?;
    stream.set_trace(true);
    loop {
        stream.write_all(&[0; 16_384]).await.map_err(|e| e.to_string())?;
    }
}

fn main() {
    let simulation = Simulation::new(1);
    let (near, far) = (simulation.segment("near"), simulation.segment("far"));
    let router = simulation.host("router", "").forwarding();
    router.plug(&near, "ipv4=10.0.1.254/24");
    // The line both share.
    router.plug(&far, "ipv4=10.0.0.254/24 delay=20ms jitter=1ms rate=20mbit queue=100");
    router.idle();
    let receiver = simulation.host("receiver", "");
    receiver.plug(&far, "ipv4=10.0.0.9/24 gateway=10.0.0.254");
    receiver.run(async |machine| sink(machine).await);
    let senders = [0, 10].map(|start| {
        let host = simulation.host(&format!("sender-{start}"), "");
        host.plug(&near, &format!("ipv4=10.0.1.{}/24 gateway=10.0.1.254", start + 1));
        host.run(async move |machine: &Machine<'_>| send(machine, start).await)
    });
    simulation.run_for(Duration::from_secs(40));
    print!("{}", senders[0].trace());
}
