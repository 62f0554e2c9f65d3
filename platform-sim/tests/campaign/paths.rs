//! Paths that take smaller packets than both ends' links and say nothing: black holes, and the search for what gets through (RFC 4821).
use crate::streams::{receive, send};
use airglow_device::{Listener, Platform, Stream, Tcp};
use airglow_net::tcp::Config;
use airglow_platform_sim::{Machine, Outcome, seeds};
use airglow_runtime::sleep;
use std::{cell::Cell, net::IpAddr, time::Duration};

const PORT: u16 = 80;
/// Enough to find the hole and to search.
const FIRST: u64 = 8_000_000;
const SECOND: u64 = 200_000;

fn told(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

/// Takes what two clients send, one after the other.
async fn serve(machine: &Machine<'_>) -> Outcome {
    let listener = machine.tcp().listen(PORT).await.map_err(told)?;
    for (flow, len) in [(1, FIRST), (2, SECOND)] {
        let mut stream = listener.accept().await.map_err(told)?;
        receive(&mut stream, flow, 0, len).await?;
        stream.close().await.map_err(told)?;
    }
    Ok(())
}

/// Sends, and notes the segment size at the end of the first connection and at the beginning of the second.
async fn ask(machine: &Machine<'_>, to: IpAddr, sizes: &[Cell<u32>; 2]) -> Outcome {
    for (flow, len, size) in [(1, FIRST, &sizes[0]), (2, SECOND, &sizes[1])] {
        let mut stream = machine.tcp().connect((to, PORT).into()).await.map_err(told)?;
        let first = stream.info().map_or(0, |info| info.mss);
        send(&mut stream, flow, 0, len).await?;
        let last = stream.info().map_or(0, |info| info.mss);
        size.set(if flow == 1 { last } else { first });
        stream.close().await.map_err(told)?;
        sleep(machine.timer(), Duration::from_secs(5)).await;
    }
    Ok(())
}

#[test]
fn the_largest_packet_that_a_silent_path_takes_is_found_and_remembered() {
    let (probes, worst, runs) = (Cell::new(0), Cell::new(0), Cell::new(0));
    seeds("paths", 1..=12, |run| {
        let sizes: [Cell<u32>; 2] = Default::default();
        let simulation = run.simulation();
        let v6 = simulation.below(2) == 0;
        // A tunnel takes something off, and its end says nothing.
        let least = if v6 { 1280 } else { 1040 };
        let takes = (least + simulation.below(1501 - least)) as u32;
        let lossy = simulation.below(3) == 0;
        let loss = if lossy { "loss=0.2%" } else { "loss=0%" };
        let lan = simulation.segment("lan");
        let server = simulation.host("server", "");
        let delay = 1 + simulation.below(15);
        let words = format!("delay={delay}ms rate=20mbit queue=400 {loss} mtu={takes}");
        server.plug(&lan, &format!("ipv4=10.0.0.1/24 ipv6=fd00::1/64 {words}"));
        server.run(async |machine: &Machine<'_>| serve(machine).await);
        let client = simulation.host("client", "");
        client.plug(&lan, "ipv4=10.0.0.2/24 ipv6=fd00::2/64 offload=on");
        let mut config = Config::default();
        config.timestamps = simulation.below(4) > 0;
        client.tcp_config(config);
        let to: IpAddr = if v6 { "fd00::1".parse().unwrap() } else { "10.0.0.1".parse().unwrap() };
        let options = if config.timestamps { 12 } else { 0 };
        let headers = options + if v6 { 60 } else { 40 };
        let seen = &sizes;
        client.run(async move |machine: &Machine<'_>| {
            sleep(machine.timer(), Duration::from_secs(3)).await;
            ask(machine, to, seen).await
        });
        assert_eq!(simulation.block_on(client.ended()), Ok(()));
        assert_eq!(simulation.block_on(server.ended()), Ok(()));
        let stats = client.with_stack(|stack| stack.tcp_stats()).unwrap();
        let [first, second] = sizes.each_ref().map(|size| size.get() + headers);
        let holes = u64::from(takes < 1500);
        let about = || format!("a path of {takes}, {words}: {first} and {second}, {stats:?}");
        assert!(first <= takes && second <= takes, "{}", about());
        assert_eq!(second, first, "what the first connection found is remembered: {}", about());
        assert!(stats.black_holes <= holes, "{}", about());
        assert!(stats.size_probes <= 20, "{}", about());
        if !lossy {
            assert!(first + 32 > takes, "{}", about());
            worst.set(worst.get().max(takes - first));
        }
        probes.set(probes.get() + stats.size_probes);
        runs.set(runs.get() + 1);
    });
    println!(
        "{:.1} probes a path, and without loss at most {} bytes were left",
        probes.get() as f64 / f64::from(runs.get().max(1)),
        worst.get()
    );
}
