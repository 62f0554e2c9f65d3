//! What a simulation records, read by Wireshark's own reader: every frame, its interface, time and direction, and streams that hang together.
use airglow_device::{Listener, Platform, Read, Stream, Tcp, Write};
use airglow_platform_sim::Simulation;
use std::{collections::BTreeMap, process::Command, time::Duration};

/// What tshark says of the frames in the file: one line each.
fn tshark(path: &str, arguments: &[&str]) -> Vec<String> {
    let output = Command::new("tshark")
        .args(["-n", "-r", path])
        .args(arguments)
        .output()
        .expect("tshark is installed");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !complaint.contains("error"), "{complaint}");
    String::from_utf8(output.stdout).unwrap().lines().map(String::from).collect()
}

#[test]
fn tshark_reads_a_recording() {
    let simulation = Simulation::new(11);
    let recording = simulation.record();
    let lan = simulation.segment("lan");
    let (server, client) = (simulation.host("server", ""), simulation.host("client", ""));
    server.plug(&lan, "ipv4=10.0.0.1/24 offload=on");
    client.plug(&lan, "ipv4=10.0.0.2/24 delay=25ms loss=2% corrupt=2%");
    server.run(async |machine| {
        let listener = machine.tcp().listen(80).await.map_err(|e| e.to_string())?;
        let mut stream = listener.accept().await.map_err(|e| e.to_string())?;
        stream.write_all(&[0x5a; 200_000]).await.map_err(|e| e.to_string())?;
        stream.close().await.map_err(|e| e.to_string())
    });
    client.run(async |machine| {
        let mut stream =
            machine.tcp().connect(([10, 0, 0, 1], 80).into()).await.map_err(|e| e.to_string())?;
        let (mut got, mut buf) = (0, [0; 9000]);
        while let len @ 1.. = stream.read(&mut buf).await.map_err(|e| e.to_string())? {
            got += len;
        }
        stream.close().await.map_err(|e| e.to_string())?;
        if got == 200_000 { Ok(()) } else { Err(format!("{got} bytes")) }
    });
    assert_eq!(simulation.block_on(client.ended()), Ok(()));
    simulation.run_for(Duration::from_secs(1));
    let path = format!("{}/recording.pcapng", env!("CARGO_TARGET_TMPDIR"));
    recording.save(&path).unwrap();

    let fields = [
        "-T",
        "fields",
        "-e",
        "frame.interface_name",
        "-e",
        "frame.time_epoch",
        "-e",
        "ip.src",
        "-e",
        "tcp.len",
        "-e",
        "tcp.seq",
    ];
    let check = [
        "-o",
        "tcp.check_checksum:TRUE",
        "-o",
        "ip.check_checksum:TRUE",
        "-e",
        "tcp.checksum.status",
        "-e",
        "frame.packet_flags_direction",
    ];
    let lines = tshark(&path, &[&fields[..], &check].concat());
    let (mut seen, mut sent, mut damaged, mut last) = (BTreeMap::new(), 0, 0, 0.0);
    for line in &lines {
        let field: Vec<&str> = line.split('\t').collect();
        let time: f64 = field[1].parse().unwrap();
        assert!(time >= last && (1_767_225_600.0..1_767_225_700.0).contains(&time), "{line}");
        last = time;
        *seen.entry(field[0].to_owned()).or_insert(0) += 1;
        if field[2] == "10.0.0.1" && field[0] == "server/lan" {
            // What leaves a card is right, and is marked as outgoing.
            assert_eq!(
                (field[5], field[6].trim_start_matches("0x").trim_start_matches('0')),
                ("1", "2"),
                "{line}"
            );
            sent += field[3].parse::<u32>().unwrap();
        }
        damaged += u32::from(field[5] == "0");
    }
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["client/lan", "server/lan"]);
    assert!(sent >= 200_000 && damaged > 0, "{sent} bytes, {damaged} damaged");
    // The payload put together again is the stream.
    let follow = tshark(&path, &["-Y", "frame.interface_name == \"server/lan\"", "-q", "-z", "conv,tcp"]);
    assert!(follow.iter().any(|line| line.contains("10.0.0.1:80")), "{follow:#?}");
    std::fs::remove_file(path).unwrap();
}
