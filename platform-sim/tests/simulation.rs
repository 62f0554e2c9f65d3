//! What a simulation promises: the same run from the same seed, time that costs nothing, hosts that come and go.
use airglow_device::{
    BlockDevice, Clock, Entropy, Listener, Platform, RamDisk, Read, Stream, Tcp, Udp, UdpSocket, WallClock,
    Write,
};
use airglow_platform_sim::{Host, Machine, Outcome, Run, Simulation, seeds};
use airglow_runtime::{for_each_connection, join, sleep};
use std::{cell::RefCell, fmt::Display, net::SocketAddr, time::Duration};

fn told(error: impl Display) -> String {
    error.to_string()
}

/// RFC 862.
async fn echo<P: Platform>(platform: &P) -> Outcome {
    let listener = platform.tcp().listen(7).await.map_err(told)?;
    match for_each_connection::<16, _>(&listener, platform.timer(), async |mut stream| {
        let mut buf = [0; 4096];
        while let Ok(len @ 1..) = stream.read(&mut buf).await {
            if stream.write_all(&buf[..len]).await.is_err() {
                return;
            }
        }
        let _ = stream.close().await;
    })
    .await {}
}

/// Sends `bytes` random ones to an echo and compares what comes back.
async fn ask<P: Platform>(platform: &P, to: SocketAddr, bytes: usize) -> Outcome {
    let mut stream = platform.tcp().connect(to).await.map_err(told)?;
    stream.set_keep_alive(Some(Duration::from_secs(10)));
    let mut question = vec![0; bytes];
    platform.entropy().fill(&mut question);
    let (mut sent, mut answer) = (0, Vec::new());
    while answer.len() < bytes {
        // No more than fits the buffers on the way, or both would write and neither read.
        if sent < bytes && sent - answer.len() < 16_384 {
            sent += stream.write(&question[sent..(sent + 4096).min(bytes)]).await.map_err(told)?;
            continue;
        }
        let mut buf = [0; 4096];
        match stream.read(&mut buf).await.map_err(told)? {
            0 => return Err("the answer is too short".into()),
            len => answer.extend_from_slice(&buf[..len]),
        }
    }
    stream.close().await.map_err(told)?;
    if answer == question { Ok(()) } else { Err("that is another answer".into()) }
}

fn at(host: [u8; 4]) -> SocketAddr {
    (host, 7).into()
}

/// A client and a server on two networks with a router between them, which loses and damages frames.
fn two_networks<'s, 'a>(simulation: &'s Simulation<'a>) -> (Host<'s, 'a>, Host<'s, 'a>, Host<'s, 'a>) {
    let (left, right) = (simulation.segment("left"), simulation.segment("right"));
    let server = simulation.host("server", "");
    server
        .plug(&right, "ipv4=10.0.2.1/24 gateway=10.0.2.254 ipv6=fd00:2::1/64 gateway6=fd00:2::fe offload=on");
    let router = simulation.host("router", "").forwarding();
    router.plug(&left, "ipv4=10.0.1.254/24 ipv6=fd00:1::fe/64");
    router.plug(
        &right,
        "ipv4=10.0.2.254/24 ipv6=fd00:2::fe/64 delay=10ms jitter=3ms loss=2% reorder=1% duplicate=1% corrupt=1% rate=20mbit",
    );
    let client = simulation.host("client", "");
    client.plug(&left, "ipv4=10.0.1.1/24 gateway=10.0.1.254 ipv6=fd00:1::1/64 gateway6=fd00:1::fe");
    server.run(async |machine| echo(machine).await);
    router.idle();
    (client, router, server)
}

#[test]
fn the_same_seed_is_the_same_run_byte_for_byte() {
    let run = |seed| {
        let simulation = Simulation::new(seed);
        let recording = simulation.record();
        let (client, ..) = two_networks(&simulation);
        client.run(async |machine| {
            ask(machine, at([10, 0, 2, 1]), 100_000).await?;
            sleep(machine.timer(), Duration::from_secs(3)).await;
            ask(machine, "[fd00:2::1]:7".parse().unwrap(), 100_000).await
        });
        assert_eq!(simulation.block_on(client.ended()), Ok(()), "seed {seed}");
        simulation.run_for(Duration::from_secs(200));
        recording.bytes()
    };
    let first = run(1);
    assert!(first.len() > 400_000, "{}", first.len());
    assert!(run(1) == first, "another run");
    assert!(run(2) != first, "the seed means nothing");
}

#[test]
fn a_year_of_nothing_is_short() {
    let simulation = Simulation::new(1);
    simulation.set_limit(Duration::from_secs(400 * 86_400));
    let (client, ..) = two_networks(&simulation);
    client.run(async |machine| {
        ask(machine, at([10, 0, 2, 1]), 1000).await?;
        sleep(machine.timer(), Duration::from_secs(365 * 86_400)).await;
        ask(machine, at([10, 0, 2, 1]), 1000).await
    });
    let begun = std::time::Instant::now();
    assert_eq!(simulation.block_on(client.ended()), Ok(()));
    assert!(simulation.now().since(airglow_device::Instant::ZERO) > Duration::from_secs(365 * 86_400));
    println!("a year of an idle network in {:?}", begun.elapsed());
    assert_eq!(simulation.clock().unix_now().unwrap().as_secs() / 86_400, 1_767_225_600 / 86_400 + 365);
}

/// Both ends of a connection through a network that stays cut learn of it.
#[test]
fn a_cut_for_good_ends_connections_at_both_ends() {
    // What an application borrows is there before the simulation.
    let server_saw = RefCell::new(None);
    let simulation = Simulation::new(3);
    let lan = simulation.segment("lan");
    let (server, client) = (simulation.host("server", ""), simulation.host("client", ""));
    server.plug(&lan, "ipv4=10.0.0.1/24");
    let cable = client.plug(&lan, "ipv4=10.0.0.2/24 delay=10ms");
    server.run(async |machine: &Machine<'_>| {
        let listener = machine.tcp().listen(7).await.map_err(told)?;
        let mut stream = listener.accept().await.map_err(told)?;
        stream.set_keep_alive(Some(Duration::from_secs(300)));
        let end = loop {
            match stream.read(&mut [0; 999]).await {
                Ok(0) => break Ok(()),
                Ok(_) => {}
                Err(error) => break Err(error.to_string()),
            }
        };
        *server_saw.borrow_mut() = Some(end);
        Ok(())
    });
    client.run(async |machine| {
        let mut stream = machine.tcp().connect(at([10, 0, 0, 1])).await.map_err(told)?;
        loop {
            stream.write_all(&[7; 1000]).await.map_err(told)?;
            sleep(machine.timer(), Duration::from_millis(100)).await;
        }
    });
    simulation.run_for(Duration::from_secs(5));
    assert_eq!((client.outcome(), server.outcome()), (None, None));
    cable.cut();
    simulation.run_for(Duration::from_secs(100));
    cable.mend();
    simulation.run_for(Duration::from_secs(60));
    assert_eq!((client.outcome(), server.outcome()), (None, None), "a hundred seconds are nothing to TCP");
    cable.cut();
    let ended = simulation.block_on(client.ended()).unwrap_err();
    assert!(ended.contains("did not answer in time"), "{ended}");
    assert_eq!(simulation.block_on(server.ended()), Ok(()));
    assert!(server_saw.borrow().clone().unwrap().is_err());
}

/// Counts its starts on its disk.
async fn count<'p>(machine: &Machine<'p>, flush: bool) -> Outcome {
    let mut disk = machine.disk(0).ok_or("no disk")?;
    let mut sector = [0; 512];
    disk.read(0, &mut sector).await.map_err(told)?;
    sector[0] += 1;
    disk.write(0, &sector).await.map_err(told)?;
    if flush {
        disk.flush().await.map_err(told)?;
    }
    echo(machine).await
}

#[test]
fn hosts_stop_and_start_with_their_disks() {
    let simulation = Simulation::new(5);
    let (client, router, server) = two_networks(&simulation);
    let disk = server.disk(RamDisk::new(512, 8));
    server.run(async |machine| count(machine, true).await);
    client.run(async |machine| {
        sleep(machine.timer(), Duration::from_secs(1)).await;
        ask(machine, at([10, 0, 2, 1]), 10_000_000).await
    });
    simulation.run_for(Duration::from_secs(3));
    assert!(server.is_on() && server.with_stack(|stack| stack.tcp_usage().connections) == Some(1));
    server.power_off();
    assert!(!server.is_on() && server.with_stack(|_| ()).is_none());
    simulation.run_for(Duration::from_secs(5));
    server.power_on();
    let ended = simulation.block_on(client.ended()).unwrap_err();
    assert!(ended.contains("reset"), "a server that has forgotten everything resets: {ended}");
    assert_eq!(disk.with(|disk| disk.image()[0]), 2);
    for _ in 0..5 {
        server.reboot();
        simulation.run_for(Duration::from_millis(1));
    }
    assert_eq!(disk.with(|disk| disk.image()[0]), 7);
    // The router too, and the client anew.
    router.reboot();
    client.run(async |machine| ask(machine, at([10, 0, 2, 1]), 100_000).await);
    assert_eq!(simulation.block_on(client.ended()), Ok(()));
    // What was not flushed may be lost with the power.
    server.run(async |machine| count(machine, false).await);
    let counts: Vec<u8> = (0..20)
        .map(|_| {
            server.reboot();
            simulation.run_for(Duration::from_millis(1));
            disk.with(|disk| disk.image()[0])
        })
        .collect();
    assert!((9..25).contains(counts.last().unwrap()), "{counts:?}");
}

#[test]
fn what_somebody_waits_for_ends_with_the_power() {
    let simulation = Simulation::new(1);
    let host = simulation.host("host", "");
    host.plug(&simulation.segment("lan"), "ipv4=10.0.0.1/24");
    host.run(async |machine| echo(machine).await);
    let (outcome, ()) = simulation.block_on(join(host.ended(), async {
        simulation.sleep(Duration::from_secs(1)).await;
        host.power_off();
    }));
    assert!(outcome.unwrap_err().contains("switched off"));
}

#[test]
fn a_plug_that_is_out_stays_out_when_the_host_starts_again() {
    let simulation = Simulation::new(1);
    let lan = simulation.segment("lan");
    let (server, client) = (simulation.host("server", ""), simulation.host("client", ""));
    server.plug(&lan, "ipv4=10.0.0.1/24");
    server.run(async |machine| echo(machine).await);
    let cable = client.plug(&lan, "ipv4=10.0.0.2/24");
    cable.unplug();
    client.run(async |machine| ask(machine, at([10, 0, 0, 1]), 1000).await);
    assert!(simulation.block_on(client.ended()).unwrap_err().contains("no route"));
    client.reboot();
    assert!(simulation.block_on(client.ended()).unwrap_err().contains("no route"));
    cable.plug();
    client.reboot();
    assert_eq!(simulation.block_on(client.ended()), Ok(()));
}

#[test]
fn words_are_read_or_refused() {
    let simulation = Simulation::new(1);
    let host = simulation.host("host", "port=80 prot=81");
    host.plug(&simulation.segment("lan"), "ipv4=10.0.0.1/24");
    host.run(async |machine| {
        assert_eq!(machine.parameters().get::<u16>("port", "a port"), Ok(Some(80)));
        sleep(machine.timer(), Duration::from_secs(1)).await;
        Ok(())
    });
    assert!(simulation.block_on(host.ended()).unwrap_err().contains("`prot=81`"));
}

#[test]
fn groups_and_datagrams_reach_who_listens() {
    let heard = RefCell::new(Vec::new());
    let simulation = Simulation::new(1);
    let lan = simulation.segment("lan");
    for number in 1..=3_u8 {
        let host = simulation.host(&format!("host-{number}"), "");
        host.plug(&lan, &format!("ipv4=10.0.0.{number}/24 delay={number}ms"));
        let heard = &heard;
        host.run(async move |machine: &Machine<'_>| {
            let socket = machine.udp().bind(5000).await.map_err(told)?;
            let (_, from) = socket.recv_from(&mut [0; 100]).await.map_err(told)?;
            heard.borrow_mut().push((number, from.ip().to_string(), machine.timer().now().as_millis()));
            Ok(())
        });
    }
    let sender = simulation.host("sender", "");
    sender.plug(&lan, "ipv4=10.0.0.9/24 delay=1ms");
    sender.run(async |machine| {
        sleep(machine.timer(), Duration::from_secs(1)).await;
        let socket = machine.udp().bind(0).await.map_err(told)?;
        socket.send_to(b"all", ([10, 0, 0, 255], 5000).into()).await.map_err(told)
    });
    simulation.run_for(Duration::from_secs(2));
    let from = || "10.0.0.9".to_string();
    assert_eq!(*heard.borrow(), [(1, from(), 1002), (2, from(), 1003), (3, from(), 1004)]);
}

#[test]
fn a_run_that_fails_is_named_recorded_and_replayed() {
    let scenario = |run: &Run| {
        let simulation = run.simulation();
        let (client, ..) = two_networks(&simulation);
        client.run(async |machine| ask(machine, at([10, 0, 2, 1]), 1000).await);
        assert_eq!(simulation.block_on(client.ended()), Ok(()));
        assert!(run.seed() != 3, "three is unlucky");
    };
    let failed = std::panic::catch_unwind(|| seeds("unlucky", 1..=4, scenario)).unwrap_err();
    let message = failed.downcast_ref::<String>().unwrap();
    assert!(message.contains("seed 3 of unlucky: three is unlucky; AIRGLOW_SEED=3 replays it"), "{message}");
    let path = message.rsplit(' ').next().unwrap();
    let file = std::fs::read(path).unwrap();
    std::fs::remove_file(path).unwrap();
    let simulation = Simulation::new(3);
    let recording = simulation.record();
    let (client, ..) = two_networks(&simulation);
    client.run(async |machine| ask(machine, at([10, 0, 2, 1]), 1000).await);
    assert_eq!(simulation.block_on(client.ended()), Ok(()));
    assert!(recording.bytes() == file, "the file is that run's");
    let chance = std::panic::catch_unwind(|| {
        let count = RefCell::new(0);
        seeds("chance", 1..=1, |_: &Run| {
            *count.borrow_mut() += 1;
            assert!(*count.borrow() != 1);
        });
    });
    let message = chance.unwrap_err();
    assert!(message.downcast_ref::<String>().unwrap().contains("depends on more than its seed"));
}

#[test]
#[should_panic(expected = "everybody waits for ever")]
fn nobody_waits_for_ever_unnoticed() {
    Simulation::new(1).block_on(std::future::pending::<()>());
}
