//! `cargo airglow bench arm`: ping and echo on the 64 KiB board, on our stack and on smoltcp, over the same driver: flash, RAM, and
//! instructions as the emulator executes them.
use super::{
    boards::{self, Board},
    emulator, image, size,
};
use crate::{
    failure::{Context, Failure, Result},
    process,
    workspace::Workspace,
};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    net::{TcpStream, UdpSocket},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

const BOARD: &str = "lm3s6965evb";
/// What the stack is painted with at boot, see `platform-arm/src/cortex_m/stack_use.rs`.
const PAINT: u32 = 0xacce_55ed;
/// Echoes before the count begins, and those that are counted.
const WARM_UP: u32 = 20;
const COUNTED: u32 = 100;
/// Bytes of an echo.
const LARGE: usize = 1024;
const SMALL: usize = 64;
const SEGMENT: usize = 256;

/// One image.
struct Candidate {
    function: &'static str,
    stack: &'static str,
    binary: &'static str,
    features: &'static [&'static str],
}

const CANDIDATES: &[Candidate] = &[
    Candidate { function: "ping, UDP echo", stack: "airglow", binary: "echo-airglow", features: &["udp"] },
    Candidate {
        function: "ping, UDP echo",
        stack: "smoltcp",
        binary: "echo-smoltcp",
        features: &["smoltcp", "udp"],
    },
    Candidate { function: "ping, TCP echo", stack: "airglow", binary: "echo-airglow", features: &["tcp"] },
    Candidate {
        function: "ping, TCP echo",
        stack: "smoltcp",
        binary: "echo-smoltcp",
        features: &["smoltcp", "tcp"],
    },
];

/// What is measured of one image, in bytes and instructions.
struct Measured {
    flash: u64,
    variables: u64,
    stack: u64,
    /// What was done, and what each cost.
    counts: Vec<(String, f64)>,
}

/// Measures, prints the table, writes `target/bench/arm.json`.
pub fn bench(workspace: &Workspace) -> Result {
    let board = boards::find(BOARD).context("no such board")?;
    emulator::ready(board)?;
    let mut rows = Vec::new();
    for candidate in CANDIDATES {
        let mut app = workspace.app(Some("airglow-bench-boards"))?;
        app.binary = candidate.binary.into();
        let image = image::build_with(workspace, &app, board, candidate.features)?;
        rows.push((candidate, measure(board, &image, candidate.features.contains(&"tcp"))?));
    }
    let ours = |function: &str| rows.iter().find(|(c, _)| c.function == function).map(|(_, m)| m);
    println!("| {BOARD} | stack | flash | variables | deepest stack | instructions |");
    println!("|---|---|---|---|---|---|");
    let mut json = Vec::new();
    for (candidate, measured) in &rows {
        let Measured { flash, variables, stack, counts } = measured;
        let counts: Vec<_> = counts
            .iter()
            .enumerate()
            .map(|(index, (what, count))| {
                let own =
                    ours(candidate.function).and_then(|m| m.counts.get(index)).map_or(*count, |(_, n)| *n);
                format!("{what} {count:.0} ({:.2} of airglow's)", count / own)
            })
            .collect();
        let Candidate { function, stack: name, .. } = candidate;
        println!("| {function} | {name} | {flash} | {variables} | {stack} | {} |", counts.join(", "));
        json.push(serde_json::json!({
            "function": function, "stack": name, "flash": flash, "variables": variables, "deepest_stack": stack,
            "instructions": measured.counts.iter().map(|(w, n)| (w.clone(), (*n).into())).collect::<serde_json::Map<_, serde_json::Value>>(),
        }));
    }
    let folder = workspace.target.join("bench");
    fs::create_dir_all(&folder).context(folder.display())?;
    fs::write(folder.join("arm.json"), serde_json::Value::from(json).to_string()).context("arm.json")
}

fn measure(board: &Board, image: &Path, tcp: bool) -> Result<Measured> {
    let (size, _) = size::measure(image)?;
    let mut running = Counting::start(board, image, tcp)?;
    let mut counts = Vec::new();
    if tcp {
        let (cost, segments) = running.tcp()?;
        counts.push((format!("{SEGMENT}-byte echo"), cost / f64::from(COUNTED)));
        counts.push((format!("segment, {:.1} an echo,", segments / f64::from(COUNTED)), cost / segments));
    } else {
        for bytes in [SMALL, LARGE] {
            counts.push((format!("{bytes}-byte echo"), running.udp(bytes)?));
        }
    }
    let stack = running.stack()?;
    Ok(Measured { flash: size.flash, variables: size.ram, stack, counts })
}

/// QEMU, which writes down each instruction while it is told to.
struct Counting {
    qemu: Child,
    monitor: BufReader<UnixStream>,
    folder: PathBuf,
    port: u16,
}

impl Counting {
    fn start(board: &Board, image: &Path, tcp: bool) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("airglow-bench-arm-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).context(folder.display())?;
        let port = if tcp { emulator::free_port()? } else { free_datagram_port()? };
        let protocol = if tcp { "tcp" } else { "udp" };
        let mut qemu = process::tied(board.qemu[0]);
        qemu.args(&board.qemu[1..]).args(["-display", "none", "-serial", "null", "-singlestep", "-D"]);
        qemu.arg(folder.join("trace")).arg("-monitor");
        qemu.arg(format!("unix:{},server=on,wait=off", folder.join("monitor").display()));
        qemu.arg("-nic").arg(format!("user,id=n0,hostfwd={protocol}:127.0.0.1:{port}-:7"));
        let capture = folder.join("wire.pcap");
        qemu.arg("-object").arg(format!("filter-dump,id=d0,netdev=n0,file={}", capture.display()));
        qemu.arg("-kernel").arg(image).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut qemu = qemu.spawn().context(board.qemu[0])?;
        let deadline = Instant::now() + Duration::from_secs(20);
        let monitor = loop {
            match UnixStream::connect(folder.join("monitor")) {
                Ok(monitor) => break monitor,
                Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(50)),
                Err(why) => {
                    let _ = qemu.kill();
                    let _ = qemu.wait();
                    return Err(why).context("QEMU's monitor");
                }
            }
        };
        monitor.set_read_timeout(Some(Duration::from_secs(60))).context("QEMU's monitor")?;
        let mut running = Self { qemu, monitor: BufReader::new(monitor), folder, port };
        running.prompt()?;
        Ok(running)
    }

    fn prompt(&mut self) -> Result {
        let mut said = Vec::new();
        while !said.ends_with(b"(qemu) ") {
            if self.monitor.read_until(b' ', &mut said).context("QEMU's monitor")? == 0 {
                return Err(Failure::new("QEMU has ended"));
            }
        }
        Ok(())
    }

    fn tell(&mut self, command: &str) -> Result {
        writeln!(self.monitor.get_mut(), "{command}").context("QEMU's monitor")?;
        self.prompt()
    }

    /// The instructions executed while `work` runs.
    fn count<T>(&mut self, work: impl FnOnce() -> Result<T>) -> Result<(f64, T)> {
        let trace = self.folder.join("trace");
        let before = fs::metadata(&trace).map_or(0, |file| file.len());
        self.tell("log exec")?;
        let done = work();
        self.tell("log none")?;
        let mut trace = fs::File::open(&trace).context("QEMU's trace")?;
        trace.seek(SeekFrom::Start(before)).context("QEMU's trace")?;
        let (mut lines, mut chunk) = (0, vec![0; 1 << 20]);
        loop {
            match trace.read(&mut chunk).context("QEMU's trace")? {
                0 => return Ok((lines as f64, done?)),
                n => lines += chunk[..n].iter().filter(|&&b| b == b'\n').count(),
            }
        }
    }

    /// Instructions of one echo.
    fn udp(&mut self, bytes: usize) -> Result<f64> {
        let socket = UdpSocket::bind("127.0.0.1:0").context("a UDP port")?;
        socket.connect(("127.0.0.1", self.port)).context("a UDP port")?;
        let mut payload = vec![0x5a; bytes];
        let mut reply = vec![0; bytes + 1];
        let mut number = 0u32;
        // One at a time, each with its number: what was answered late is not taken for the answer to the next. Every instruction is
        // written down, so that on a busy machine an echo takes its time; sent again it would be counted twice.
        let mut echo = |tries: u32, patience: Duration| -> Result {
            for _ in 0..tries {
                number += 1;
                payload[..4].copy_from_slice(&number.to_be_bytes());
                socket.send(&payload).context("send")?;
                let deadline = Instant::now() + patience;
                while let Some(left) = deadline.checked_duration_since(Instant::now()) {
                    let left = left.max(Duration::from_millis(1));
                    socket.set_read_timeout(Some(left)).context("a UDP port")?;
                    if socket.recv(&mut reply).is_ok_and(|n| reply[..n] == payload) {
                        return Ok(());
                    }
                }
            }
            Err(Failure::new("the board does not echo datagrams"))
        };
        for _ in 0..WARM_UP {
            echo(30, Duration::from_secs(2))?;
        }
        let (count, ()) = self.count(|| (0..COUNTED).try_for_each(|_| echo(1, Duration::from_secs(30))))?;
        Ok(count / f64::from(COUNTED))
    }

    /// Instructions of all echoes over one connection, and the segments in both directions.
    fn tcp(&mut self) -> Result<(f64, f64)> {
        let deadline = Instant::now() + Duration::from_secs(120);
        let mut round = [0; SEGMENT];
        // QEMU accepts before the board is there.
        let mut stream = loop {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).context("connect")?;
            stream.set_nodelay(true).context("connect")?;
            stream.set_read_timeout(Some(Duration::from_secs(30))).context("connect")?;
            if stream.write_all(&round).is_ok() && stream.read_exact(&mut round).is_ok() {
                break stream;
            }
            if Instant::now() > deadline {
                return Err(Failure::new("the board does not echo over TCP"));
            }
            std::thread::sleep(Duration::from_millis(300));
        };
        let mut echo = move || -> Result {
            stream.write_all(&round).context("write")?;
            stream.read_exact(&mut round).context("read")?;
            // The acknowledgment of the echo, and one that our side delayed, come before the next round.
            std::thread::sleep(Duration::from_millis(5));
            Ok(())
        };
        for _ in 0..WARM_UP {
            echo()?;
        }
        let before = self.segments()?;
        let (count, ()) = self.count(|| (0..COUNTED).try_for_each(|_| echo()))?;
        Ok((count, self.segments()? - before))
    }

    /// TCP segments on the wire so far.
    fn segments(&self) -> Result<f64> {
        let capture = fs::read(self.folder.join("wire.pcap")).context("QEMU's capture")?;
        let (mut at, mut segments) = (24, 0.0);
        while let Some(header) = capture.get(at..at + 16) {
            let len = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
            let Some(frame) = capture.get(at + 16..at + 16 + len) else { break };
            if frame.get(12..14) == Some(&[8, 0]) && frame.get(23) == Some(&6) {
                segments += 1.0;
            }
            at += 16 + len;
        }
        Ok(segments)
    }

    /// The most bytes of stack that were in use: what is left of the paint, from the stack's far end on.
    fn stack(&mut self) -> Result<u64> {
        let file = self.folder.join("stack");
        self.tell(&format!("pmemsave {:#x} {} \"{}\"", size::RAM, size::STACK, file.display()))?;
        let memory = fs::read(&file).context("the board's memory")?;
        let whole = |word: &&[u8]| **word == PAINT.to_le_bytes();
        Ok(size::STACK - 4 * memory.chunks(4).take_while(whole).count() as u64)
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn free_datagram_port() -> Result<u16> {
    let socket = UdpSocket::bind("127.0.0.1:0").context("a UDP port")?;
    Ok(socket.local_addr().context("a UDP port")?.port())
}
