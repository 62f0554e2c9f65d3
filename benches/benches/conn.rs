//! Connections per second: connect, one byte, close both ways. Airglow's stack on AF_PACKET beside the kernel's, over the same kind of
//! link; the same client goes to each in turn, several times, and medians count.
use airglow_benches::{Better, Cable, Join, Table, application, ask_from_here, median, own_program};
use std::{
    error::Error,
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

const ROUNDS: usize = 5;
const TIME: Duration = Duration::from_secs(2);
/// Connections that one client has under way at once.
const CLIENTS: usize = 8;

/// A discard service at 10.0.0.2 and what it took in each round.
struct Server {
    cable: Cable,
    per_second: Vec<f64>,
    per_cpu_second: Vec<f64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut kernel = Server::start(Some("10.0.0.2/24"), |_| {
        vec![own_program("flow").display().to_string(), "serve".to_owned()]
    });
    let mut ours = Server::start(None, |device| {
        let words = ["net=packet", &format!("device={device}"), "ipv4=10.0.0.2/24"].map(str::to_owned);
        [vec![application("pump").display().to_string()], words.to_vec()].concat()
    });
    ask_from_here();
    for round in 0..=ROUNDS {
        for server in [&mut kernel, &mut ours] {
            // The first round does not count.
            server.load(round > 0);
        }
    }
    let mut table = Table::new("conn");
    let rates = [&ours, &kernel].map(|server| median(&server.per_second));
    table.row("veth", "connections/s", Better::More, rates[0], "Linux, one thread", rates[1]);
    let rates = [&ours, &kernel].map(|server| median(&server.per_cpu_second));
    table.row(
        "veth",
        "connections per CPU second of the server",
        Better::More,
        rates[0],
        "Linux, one thread",
        rates[1],
    );
    Ok(table.finish()?)
}

/// Connects, sends a byte, closes, and waits until the server has closed too.
fn one() -> io::Result<()> {
    let mut stream = TcpStream::connect(("10.0.0.2", 9))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"x")?;
    stream.shutdown(Shutdown::Write)?;
    match stream.read(&mut [0; 8])? {
        0 => Ok(()),
        _ => Err(io::Error::other("the discard service has answered")),
    }
}

impl Server {
    fn start(address: Option<&str>, words: impl FnOnce(&str) -> Vec<String>) -> Self {
        let cable = Cable::start(Join::Veth, address, words, "listening");
        let client = cable.client();
        client.address(cable.near(), "10.0.0.1/24");
        // The client closes first and keeps TIME-WAIT: its ports must not run out.
        client.set("net/ipv4/tcp_tw_reuse", "1");
        client.set("net/ipv4/ip_local_port_range", "'1024 65535'");
        Self { cable, per_second: Vec::new(), per_cpu_second: Vec::new() }
    }

    fn load(&mut self, counts: bool) {
        let (done, start) = (AtomicU64::new(0), Instant::now());
        let ((), used) = self.cable.cost(|| {
            self.cable.client().enter(|| {
                thread::scope(|scope| {
                    for _ in 0..CLIENTS {
                        scope.spawn(|| {
                            while start.elapsed() < TIME {
                                one().expect("a connection");
                                done.fetch_add(1, Ordering::Relaxed);
                            }
                        });
                    }
                });
            });
        });
        let (count, seconds) = (done.into_inner() as f64, start.elapsed().as_secs_f64());
        if counts {
            self.per_second.push(count / seconds);
            self.per_cpu_second.push(count / used.max(0.001));
        }
    }
}
