//! A whole program: boot parameters, signals, exit codes, many connections.
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

struct Echo {
    child: Child,
    port: u16,
    stderr: BufReader<ChildStderr>,
}

fn echo() -> Command {
    let path = airglow_testbed::example("airglow-platform-unix", "echo", "dev");
    let mut command = Command::new(path);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

impl Drop for Echo {
    // Also when a test fails halfway.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Echo {
    fn start() -> Self {
        let mut child = echo().arg("port=0").spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let port = line.trim_end().rsplit_once("echo on port ").expect(&line).1.parse().unwrap();
        Self { child, port, stderr }
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    fn end(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + Duration::from_secs(10);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                self.child.kill().unwrap();
                panic!("did not end");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        (status, rest)
    }
}

/// Runs with `words` to the end, which must be a failure; returns what it said.
fn refused(words: &[&str]) -> String {
    let output = echo().args(words).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{words:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn signals_end_it_cleanly() {
    for signal in ["-TERM", "-INT"] {
        let echo = Echo::start();
        let mut peer = TcpStream::connect(("127.0.0.1", echo.port)).unwrap();
        peer.write_all(b"still here").unwrap();
        let mut buf = [0; 10];
        peer.read_exact(&mut buf).unwrap();
        assert_eq!(&buf, b"still here");
        echo.signal(signal);
        let (status, said) = echo.end();
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(said.contains("shutting down"), "{said}");
    }
}

#[test]
fn both_versions_of_ip_reach_both_ports() {
    let echo = Echo::start();
    for host in ["127.0.0.1", "::1"] {
        let mut tcp = TcpStream::connect((host, echo.port)).unwrap();
        tcp.write_all(b"tcp").unwrap();
        tcp.shutdown(std::net::Shutdown::Write).unwrap();
        let mut all = String::new();
        tcp.read_to_string(&mut all).unwrap();
        assert_eq!(all, "tcp");

        let udp = UdpSocket::bind((host, 0)).unwrap();
        udp.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        udp.connect((host, echo.port)).unwrap();
        udp.send(b"udp").unwrap();
        let mut buf = [0; 16];
        assert_eq!(udp.recv(&mut buf).unwrap(), 3);
        assert_eq!(&buf[..3], b"udp");
    }
    echo.signal("-TERM");
    assert_eq!(echo.end().0.code(), Some(0));
}

#[test]
fn wrong_words_are_named_in_one_line() {
    for (words, expected) in [
        (&["port=http"][..], "echo: boot parameter `port=http`: expected a port number (0 to 65535)\n"),
        (&["port=0", "prot=80"], "`prot=80`"),
        (&["log=loud"], "`log=loud`: expected one of `off`, `error`, `warn`, `info`, `debug` and `trace`\n"),
        (
            &["net=carrier-pigeon"],
            "boot parameter `net=carrier-pigeon`: expected `host`, `tap`, `packet` or `xdp`",
        ),
        (
            &["ipv4=10.0.0.2/24"],
            "`ipv4=10.0.0.2/24`: expected `net=tap`, `net=packet` or `net=xdp` beside it",
        ),
    ] {
        let said = refused(words);
        let line = said.lines().last().unwrap_or_default().to_owned() + "\n";
        assert!(line.contains(expected), "{words:?}: {said}");
    }
}

#[test]
fn a_port_that_is_taken_is_said_in_one_line() {
    let taken = TcpListener::bind("[::]:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let said = refused(&[&format!("port={port}"), "log=off"]);
    assert!(said.starts_with(&format!("echo: TCP on port {port}: Address already in use")), "{said}");
    assert_eq!(said.lines().count(), 1);
}

#[test]
fn ten_thousand_connections_stay_open_and_cost_little() {
    const CONNECTIONS: usize = 10_000;
    // The limit is inherited by the program.
    airglow_testbed::allow_open_files(CONNECTIONS as u32 + 200);
    let echo = Echo::start();
    let resident = || airglow_testbed::memory(echo.child.id());
    let before = resident();
    let to = ("127.0.0.1", echo.port);
    let mut peers: Vec<_> = (0..CONNECTIONS).map(|_| TcpStream::connect(to).unwrap()).collect();
    let mut byte = [0];
    for round in 0..3u8 {
        for (number, peer) in peers.iter_mut().enumerate() {
            peer.write_all(&[round ^ number as u8]).unwrap();
        }
        for (number, peer) in peers.iter_mut().enumerate() {
            peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            peer.read_exact(&mut byte).unwrap();
            assert_eq!(byte, [round ^ number as u8]);
        }
    }
    let each = (resident() - before) / CONNECTIONS as u64;
    println!("{each} bytes for each connection, 4,096 of them the example's own");
    assert!(each < 6 * 1024, "{each} bytes for each connection");
    drop(peers);
    // One more, when all those have gone.
    let mut peer = TcpStream::connect(to).unwrap();
    peer.write_all(b"!").unwrap();
    peer.read_exact(&mut byte).unwrap();
    echo.signal("-TERM");
    assert_eq!(echo.end().0.code(), Some(0));
}
