//! Bulk data through airglow's stack, against the kernel's TCP: over a clean link, and over a wire that loses, delays and
//! reorders. Needs root, iproute2, curl and util-linux: `cargo airglow test unix`.
use airglow_testbed::{Namespace, Process, allow_open_files, program, veth};
use sha2::{Digest, Sha256};
use std::{
    fmt::Write as _,
    io::{self, Read, Write},
    net::TcpStream,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

const PUMP: &str = env!("CARGO_BIN_EXE_airglow-pump");
const MIB: u64 = 1 << 20;

/// The pump on airglow's own stack, over AF_PACKET, and the namespaces that keep it alive.
struct Pump {
    client: Namespace,
    server: Process,
    _wire: Option<(Namespace, Process)>,
    _place: Namespace,
}

/// On one end of a cable, or of two cables joined by a bad wire.
fn pump(impairments: Option<&[&str]>) -> Pump {
    pump_with(impairments, 1500, &[])
}

/// With packets of `mtu` bytes and more boot parameters.
fn pump_with(impairments: Option<&[&str]>, mtu: u32, more: &[&str]) -> Pump {
    let (client, place) = (Namespace::new("client"), Namespace::new("pump"));
    let wire = match impairments {
        None => {
            veth(&client, "c0", &place, "s0");
            None
        }
        Some(impairments) => {
            let middle = Namespace::new("wire");
            veth(&client, "c0", &middle, "w0");
            veth(&middle, "w1", &place, "s0");
            // Frames of 64 KiB that the kernel leaves uncut would cross a real wire as many.
            client.run("ethtool", &["-K", "c0", "tso", "off", "gso", "off", "gro", "off", "tx", "off"]);
            middle.silence("w0");
            middle.silence("w1");
            let words = [&["wire", "w0", "w1"], impairments].concat();
            let wire = middle.start(cargo_airglow(), &words);
            Some((middle, wire))
        }
    };
    client.ip(&format!("link set c0 mtu {mtu}"));
    place.ip(&format!("link set s0 mtu {mtu}"));
    client.address("c0", "10.0.0.1/24");
    place.silence("s0");
    let words = [&["net=packet", "device=s0", "ipv4=10.0.0.2/24"], more].concat();
    let mut server = place.start(PUMP, &words);
    server.wait_for("listening", Duration::from_secs(10));
    Pump { client, server, _wire: wire, _place: place }
}

fn cargo_airglow() -> PathBuf {
    program("cargo-airglow", "tool")
}

fn hex(digest: impl AsRef<[u8]>) -> String {
    digest.as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn expected(length: u64) -> String {
    let (mut hash, mut buffer, mut at) = (Sha256::new(), vec![0; 1 << 16], 0);
    while at < length {
        let len = buffer.len().min((length - at) as usize);
        airglow_pump::fill(at, &mut buffer[..len]);
        hash.update(&buffer[..len]);
        at += len as u64;
    }
    hex(hash.finalize())
}

fn connect() -> io::Result<TcpStream> {
    let stream = TcpStream::connect(("10.0.0.2", 80))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.set_write_timeout(Some(Duration::from_secs(60)))?;
    Ok(stream)
}

/// GETs `length` bytes and returns the digest of the content.
fn download(length: u64) -> io::Result<String> {
    let mut stream = connect()?;
    write!(stream, "GET /bytes/{length} HTTP/1.1\r\nHost: pump\r\nConnection: close\r\n\r\n")?;
    let (mut hash, mut buffer, mut head, mut body) = (Sha256::new(), vec![0; 1 << 16], Vec::new(), 0);
    loop {
        let n = stream.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        let mut data = &buffer[..n];
        if !head.ends_with(b"\r\n\r\n") {
            let before = head.len();
            head.extend_from_slice(data);
            let Some(end) = head.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
            head.truncate(end + 4);
            data = &data[end + 4 - before..];
        }
        hash.update(data);
        body += data.len() as u64;
    }
    if body != length {
        return Err(io::Error::other(format!("{body} of {length} bytes came")));
    }
    Ok(hex(hash.finalize()))
}

/// POSTs `length` bytes and returns the digest that the pump answers.
fn upload(length: u64) -> io::Result<String> {
    let mut stream = connect()?;
    write!(
        stream,
        "POST /sha256 HTTP/1.1\r\nHost: pump\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    let (mut buffer, mut at) = (vec![0; 1 << 16], 0);
    while at < length {
        let len = buffer.len().min((length - at) as usize);
        airglow_pump::fill(at, &mut buffer[..len]);
        stream.write_all(&buffer[..len])?;
        at += len as u64;
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.rsplit("\r\n\r\n").next().unwrap_or_default().trim().to_owned())
}

/// Moves `connections` times `length` bytes, all at once, and returns bytes per second.
fn flows(connections: u64, length: u64, one: fn(u64) -> io::Result<String>) -> f64 {
    let expected = expected(length);
    let start = Instant::now();
    thread::scope(|scope| {
        // The threads inherit the namespace of the one that starts them.
        let all: Vec<_> = (0..connections).map(|_| scope.spawn(move || one(length))).collect();
        for flow in all {
            assert_eq!(flow.join().unwrap().unwrap(), expected);
        }
    });
    (connections * length) as f64 / start.elapsed().as_secs_f64()
}

#[test]
fn a_gibibyte_each_way_over_a_clean_link_is_intact() {
    let mut pump = pump(None);
    for (way, one) in [("up", upload as fn(u64) -> _), ("down", download)] {
        let rate = pump.client.enter(|| flows(1, 1024 * MIB, one));
        println!("{way}: {:.0} MiB/s", rate / MIB as f64);
    }
    assert!(pump.server.runs(), "{}", pump.server.so_far());
}

#[test]
fn bulk_each_way_over_af_xdp_is_intact() {
    // The last two in several places to a packet.
    for mtu in [1500, 3500, 9000, 65_535] {
        let mut pump = pump_with(None, mtu, &["net=xdp"]);
        for (way, one) in [("up", upload as fn(u64) -> _), ("down", download)] {
            let rate = pump.client.enter(|| flows(2, 128 * MIB, one));
            println!("AF_XDP, packets of {mtu}, {way}: {:.0} MiB/s", rate / MIB as f64);
        }
        assert!(pump.server.so_far().contains("AF_XDP on 1 queue"), "{}", pump.server.so_far());
        assert!(pump.server.runs(), "{}", pump.server.so_far());
    }
}

/// One upload and one download, at the same time, each of one connection: 256 MiB, or `AIRGLOW_BULK_MIB` in the environment. The pump
/// is told that losses are no sign of a full queue here, or what `AIRGLOW_BULK_CONGESTION` says.
#[test]
fn bulk_each_way_over_a_bad_wire_is_intact() {
    let mebibytes = std::env::var("AIRGLOW_BULK_MIB").map_or(256, |n| n.parse().expect("a number of MiB"));
    let congestion = std::env::var("AIRGLOW_BULK_CONGESTION").unwrap_or("westwood".into());
    let words = ["delay=10ms", "loss=2%", "reorder=2%", "seed=7"];
    let mut pump = pump_with(Some(&words), 1500, &[&format!("congestion={congestion}")]);
    let rates = pump.client.enter(|| {
        thread::scope(|scope| {
            let ways = [upload as fn(u64) -> _, download]
                .map(|one| scope.spawn(move || flows(1, mebibytes * MIB, one)));
            ways.map(|way| way.join().unwrap())
        })
    });
    let [up, down] = rates.map(|rate| rate / MIB as f64);
    println!(
        "{mebibytes} MiB, {congestion}, a round trip of 20 ms, 2 % lost each way, 2 % late: up {up:.1} MiB/s, down {down:.1} MiB/s"
    );
    assert!(pump.server.runs(), "{}", pump.server.so_far());
}

#[test]
fn a_thousand_resets_leave_memory_where_it_was() {
    let mut pump = pump(None);
    let round = || {
        for _ in 0..1_000 {
            let mut stream = connect().unwrap();
            stream.write_all(b"GET /page HTTP/1.1\r\nHost: pump\r\n\r\n").unwrap();
            // Something has come and is not read: the kernel resets the connection when it is dropped.
            stream.peek(&mut [0]).unwrap();
        }
    };
    pump.client.enter(round);
    let before = pump.server.memory();
    pump.client.enter(|| (0..3).for_each(|_| round()));
    thread::sleep(Duration::from_millis(500));
    let after = pump.server.memory();
    println!("after 1,000 resets {before} bytes, after 4,000 {after}");
    assert!(pump.server.runs(), "{}", pump.server.so_far());
    assert!(after <= before + 128 * 1024, "memory grew from {before} to {after}");
}

#[test]
fn ten_thousand_idle_connections_are_kept() {
    const CONNECTIONS: u64 = 10_000;
    allow_open_files(15_000);
    let mut pump = pump(None);
    let before = pump.server.memory();
    let held = pump.client.enter(|| {
        let request = b"GET /page HTTP/1.1\r\nHost: pump\r\n\r\n";
        let mut open = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut stream = connect().unwrap();
            stream.write_all(request).unwrap();
            open.push(stream);
        }
        let mut answer = vec![0; 8192];
        let mut answered = |stream: &mut TcpStream| {
            let mut got = 0;
            while got < 4096 || !answer[..got].ends_with(b"xxxx") {
                let n = stream.read(&mut answer[got..]).unwrap();
                assert!(n > 0, "an idle connection was closed");
                got += n;
            }
        };
        open.iter_mut().for_each(&mut answered);
        let held = pump.server.memory();
        // They live: every hundredth is asked again.
        for stream in open.iter_mut().step_by(100) {
            stream.write_all(request).unwrap();
            answered(stream);
        }
        held
    });
    let each = held.saturating_sub(before) / CONNECTIONS;
    println!("{CONNECTIONS} idle connections: {each} bytes each");
    assert!(pump.server.runs(), "{}", pump.server.so_far());
    assert!(each < 16 * 1024, "{each} bytes each");
}
