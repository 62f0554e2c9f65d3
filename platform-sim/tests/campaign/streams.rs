//! Random networks with random faults: every byte stream arrives intact, or the connection ends with an error on both sides, datagrams arrive
//! intact or not at all, and memory stays in its bounds.
use crate::{
    datagrams::{self, Datagrams},
    internet::{FAULTS, Fault, Internet, ROUTERS, cable, faults, host_address, v4, v6},
};
use airglow_device::{Clock, Platform, Read, Stream, Tcp, Write};
use airglow_net::{
    Error,
    tcp::{Config, Ecn, HeapLimits, Limits, State, congestion::Congestion},
};
use airglow_platform_sim::{Host, Machine, Outcome, Simulation, seeds};
use airglow_runtime::{TaskSet, for_each_connection, sleep};
use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

/// Bytes of buffers that each host may have.
const MEMORY: usize = 512 << 10;
/// Connections that each host may have.
const CONNECTIONS: usize = 12;
const PORT: u16 = 80;
/// By then all connections have ended, whatever happened: the longest wait is that for a peer that says nothing.
const END: u64 = 2400;

/// Byte number `at` of the stream `flow`, each way.
pub fn byte(flow: u64, way: u64, at: u64) -> u8 {
    let x = (at / 8 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ (flow << 32 | way << 16).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((x ^ x >> 29).wrapping_mul(0x94d0_49bb_1331_11eb) >> (at % 8 * 8)) as u8
}

/// One flow: so many bytes there, then so many back.
#[derive(Clone, Copy, Debug)]
struct Flow {
    client: usize,
    server: usize,
    there: u64,
    back: u64,
    v6: bool,
}

/// How one side of a flow ended.
#[derive(Clone, Debug)]
struct End {
    flow: u64,
    server: bool,
    outcome: Outcome,
}

type Ends = RefCell<Vec<End>>;

pub async fn send<S: Stream>(stream: &mut S, flow: u64, way: u64, len: u64) -> Outcome {
    let mut at = 0;
    while at < len {
        let chunk: Vec<u8> = (at..len.min(at + 3000)).map(|at| byte(flow, way, at)).collect();
        stream.write_all(&chunk).await.map_err(|e| format!("sending at {at}: {e:?}"))?;
        at += chunk.len() as u64;
    }
    Ok(())
}

/// Reads `len` bytes, which must be right.
pub async fn receive<S: Stream>(stream: &mut S, flow: u64, way: u64, len: u64) -> Outcome {
    let (mut at, mut buf) = (0, [0; 5000]);
    while at < len {
        let most = buf.len().min((len - at) as usize);
        let got = stream.read(&mut buf[..most]).await.map_err(|e| format!("receiving at {at}: {e:?}"))?;
        assert!(got > 0, "flow {flow}, way {way}: an end at {at} of {len}");
        for (offset, got) in buf[..got].iter().enumerate() {
            let at = at + offset as u64;
            assert!(*got == byte(flow, way, at), "flow {flow}, way {way}: byte {at} of {len} is wrong");
        }
        at += got as u64;
    }
    Ok(())
}

/// The end, and nothing before it.
async fn end<S: Stream>(stream: &mut S, flow: u64) -> Outcome {
    match stream.read(&mut [0; 1]).await {
        Ok(0) => Ok(()),
        Ok(_) => panic!("flow {flow}: bytes after the end"),
        Err(error) => Err(format!("at the end: {error:?}")),
    }
}

/// Waits until the connection is over: all is acknowledged and both have closed, or there is an error.
macro_rules! over {
    ($machine:expr, $stream:expr) => {
        loop {
            match $stream.state() {
                Ok(State::Closed | State::TimeWait) => break Ok(()),
                Err(Error::NotConnected) => break Ok(()),
                Err(error) => break Err(format!("closing: {error}")),
                Ok(_) => sleep($machine.timer(), Duration::from_millis(200)).await,
            }
        }
    };
}

/// Serves all flows.
async fn serve(machine: &Machine<'_>, flows: &[Flow], ends: &Ends) -> Outcome {
    let listener = machine.tcp().listen(PORT).await.map_err(|e| e.to_string())?;
    match for_each_connection::<64, _>(&listener, machine.timer(), async |mut stream| {
        stream.set_keep_alive(Some(Duration::from_secs(60)));
        let mut number = [0; 2];
        if stream.read_exact(&mut number).await.is_err() {
            return;
        }
        let number = u64::from(u16::from_be_bytes(number));
        let flow = flows[number as usize];
        let outcome = async {
            receive(&mut stream, number, 0, flow.there).await?;
            end(&mut stream, number).await?;
            send(&mut stream, number, 1, flow.back).await?;
            stream.close().await.map_err(|e| format!("closing: {e}"))?;
            over!(machine, stream)
        };
        let outcome = outcome.await;
        ends.borrow_mut().push(End { flow: number, server: true, outcome });
    })
    .await {}
}

/// The client of one flow.
async fn ask(machine: &Machine<'_>, number: u64, flow: Flow, to: SocketAddr, ends: &Ends) {
    let outcome = async {
        let mut stream = loop {
            let begun = machine.timer().now();
            match machine.tcp().connect(to).await {
                // Our own card is unplugged, and we are told at once.
                Err(Error::NoRoute) if machine.timer().now() == begun => {
                    sleep(machine.timer(), Duration::from_secs(1)).await;
                }
                connected => break connected.map_err(|e| format!("connecting: {e}"))?,
            }
        };
        stream.set_keep_alive(Some(Duration::from_secs(60)));
        stream.write_all(&(number as u16).to_be_bytes()).await.map_err(|e| format!("sending: {e:?}"))?;
        send(&mut stream, number, 0, flow.there).await?;
        stream.close().await.map_err(|e| format!("closing: {e}"))?;
        receive(&mut stream, number, 1, flow.back).await?;
        end(&mut stream, number).await?;
        over!(machine, stream)
    };
    let outcome = outcome.await;
    ends.borrow_mut().push(End { flow: number, server: false, outcome });
}

fn config(simulation: &Simulation<'_>) -> Config {
    let mut config = Config::default();
    // A line that is cut for a minute and then loses what is sent again once or twice is no reason to give up.
    (config.user_timeout, config.syn_ack_retries) = (Duration::from_secs(600), 8);
    let choices = [Congestion::Cubic, Congestion::Cubic, Congestion::NewReno, Congestion::Westwood];
    config.congestion = choices[simulation.below(4) as usize];
    config.sack = simulation.below(8) > 0;
    config.timestamps = simulation.below(8) > 0;
    if simulation.below(3) == 0 {
        config.ecn = Ecn::Offer;
    }
    config
}

#[test]
fn streams_arrive_intact_or_end_with_an_error_on_both_sides() {
    let (bytes, errors, most) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let all_datagrams = Datagrams::default();
    seeds("campaign", 1..=40, |run| {
        let (ends, datagrams) = (Ends::default(), Datagrams::default());
        let simulation = run.simulation();
        let internet = Rc::new(Internet::random(&simulation));
        let mut flows = Vec::new();
        let below = |bound: usize| simulation.below(bound as u64) as usize;
        for _ in 0..1 + below(5) {
            let client = below(internet.hosts.len());
            let server = (client + 1 + below(internet.hosts.len() - 1)) % internet.hosts.len();
            let len = || [0, 1, 100, 3_000, 30_000, 150_000][below(6)] + below(2000) as u64;
            flows.push(Flow { client, server, there: len(), back: len(), v6: below(2) == 0 });
        }
        let flows: Rc<[Flow]> = flows.into();
        let segments: Vec<_> =
            (0..internet.mtus.len()).map(|n| simulation.segment(&format!("network-{n}"))).collect();
        let corrupt = below(internet.hosts.len() * 2);
        let mut cables = Vec::new();
        let mut hosts: Vec<Host<'_, '_>> = Vec::new();
        let mut plug = |host: &Host<'_, '_>, network: usize, number: usize| {
            let words = cable(&simulation, internet.mtus[network], cables.len() == corrupt);
            let addresses = format!("ipv4={}/24 ipv6={}/64", v4(network, number), v6(network, number));
            cables.push(host.plug(&segments[network], &format!("{addresses} {words}")));
        };
        let route = |host: &Host<'_, '_>, networks: &[usize]| {
            for (to, router, near) in internet.routes(networks) {
                host.route(&format!("{}/24", v4(to, 0)), &v4(near, ROUTERS + router).to_string());
                host.route(&format!("{}/64", v6(to, 0)), &v6(near, ROUTERS + router).to_string());
            }
        };
        for (number, network) in internet.hosts.iter().enumerate() {
            let host = simulation.host(&format!("host-{number}"), "");
            plug(&host, *network, 10 + number);
            route(&host, &[*network]);
            let mut limits = HeapLimits::default();
            (limits.connections, limits.memory) = (CONNECTIONS, MEMORY);
            limits.buffers = Limits { receive: 128 << 10, send: 128 << 10 };
            host.tcp_limits(limits).tcp_config(config(&simulation));
            let starts: Vec<_> = flows.iter().map(|_| 3_000 + simulation.below(20_000)).collect();
            let (flows, ends, datagrams, internet) =
                (Rc::clone(&flows), &ends, &datagrams, Rc::clone(&internet));
            hosts.push(host);
            host.run(async move |machine: &Machine<'_>| {
                let tasks = TaskSet::new(64);
                let _ = tasks.spawn(async {
                    let _ = serve(machine, &flows, ends).await;
                });
                let _ = tasks.spawn(datagrams::echo(machine));
                let peer = host_address(&internet, (number + 1) % internet.hosts.len(), number % 2 == 0);
                let _ = tasks.spawn(datagrams::ask(machine, peer, datagrams));
                for (flow_number, flow) in flows.iter().enumerate().filter(|(_, flow)| flow.client == number)
                {
                    let to = SocketAddr::new(host_address(&internet, flow.server, flow.v6), PORT);
                    let start = Duration::from_millis(starts[flow_number]);
                    let _ = tasks.spawn(async move {
                        sleep(machine.timer(), start).await;
                        ask(machine, flow_number as u64, *flow, to, ends).await;
                    });
                }
                (&tasks).await;
                Ok(())
            });
        }
        for (number, networks) in internet.routers.iter().enumerate() {
            let router = simulation.host(&format!("router-{number}"), "").forwarding();
            networks.iter().for_each(|network| plug(&router, *network, ROUTERS + number));
            route(&router, networks);
            hosts.push(router.idle());
        }
        let (faults, lasting) = faults(&simulation, cables.len(), hosts.len());

        let bounded = || {
            for usage in hosts.iter().filter_map(|host| host.with_stack(|stack| stack.tcp_usage())) {
                assert!(usage.buffers <= MEMORY && usage.connections <= CONNECTIONS, "{usage:?}");
                most.set(most.get().max(usage.buffers));
            }
        };
        let mut faults = faults.into_iter().peekable();
        for millis in (0..2 * FAULTS * 1000).step_by(100) {
            while let Some((_, fault)) = faults.next_if(|(at, _)| *at <= millis) {
                match fault {
                    Fault::Cut(cable) => cables[cable].cut(),
                    Fault::Mend(cable) => cables[cable].mend(),
                    Fault::Unplug(cable) => cables[cable].unplug(),
                    Fault::Plug(cable) => cables[cable].plug(),
                    Fault::Reboot(host) => hosts[host].reboot(),
                }
            }
            simulation.run_for(Duration::from_millis(100));
            bounded();
        }
        simulation.run_for(Duration::from_secs(END - 2 * FAULTS));
        bounded();

        let ends = ends.borrow();
        for (number, flow) in flows.iter().enumerate() {
            let of = |server: bool| {
                ends.iter()
                    .filter(move |e| e.server == server && e.flow == number as u64)
                    .map(|end| &end.outcome)
            };
            let seen = || {
                format!(
                    "{flow:?}: client {:?}, server {:?}",
                    of(false).collect::<Vec<_>>(),
                    of(true).collect::<Vec<_>>()
                )
            };
            if lasting {
                // A client that was rebooted asked twice, and a host that was switched off says nothing.
                assert!(of(false).count() >= 1, "{}", seen());
            } else {
                assert!(of(false).count() == 1, "a client without an end: {}", seen());
                assert!(of(false).all(Result::is_ok), "{}", seen());
                assert!(of(true).count() == 1, "a server without an end: {}", seen());
            }
            for (there, other) in [(false, true), (true, false)] {
                let failed = of(there).filter(|o| o.is_err()).count();
                let fine = of(other).filter(|o| o.is_ok()).count();
                // One that waits for the last acknowledgment may hear no more when the other has heard all.
                let late = of(there).filter(|o| o.as_ref().is_err_and(|e| e.starts_with("closing"))).count();
                let connections = of(there).count().max(of(other).count());
                assert!(fine + failed - late <= connections, "an error on one side only: {}", seen());
            }
            errors.set(errors.get() + of(false).filter(|o| o.is_err()).count());
            bytes.set(bytes.get() + if of(false).any(Result::is_ok) { flow.there + flow.back } else { 0 });
        }
        if !lasting {
            assert_eq!(
                datagrams.last.get(),
                internet.hosts.len() as u64,
                "the last question of each host is answered"
            );
        }
        all_datagrams.add(&datagrams);
        for host in &hosts {
            let usage = host.with_stack(|stack| stack.tcp_usage()).unwrap_or_default();
            let left = (usage.connections, usage.half_open, usage.time_wait, usage.buffers);
            assert_eq!(left, (0, 0, 0, 0), "{} keeps what is over", host.name());
        }
    });
    println!(
        "{} MB intact, {} clients with an error, {} of {} datagrams answered, at most {} KiB of buffers in a host of {}",
        bytes.get() / 1_000_000,
        errors.get(),
        all_datagrams.answered.get(),
        all_datagrams.asked.get(),
        most.get() >> 10,
        MEMORY >> 10
    );
}
