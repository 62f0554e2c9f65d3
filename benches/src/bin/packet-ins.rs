//! Many switches that ask one controller: `packet-ins ADDRESS:PORT throughput|latency SWITCHES ADDRESSES SECONDS`.
//!
//! Each of them is an OpenFlow 1.0 switch with four ports behind which `ADDRESSES` Ethernet addresses live. When the controller
//! has heard of all of them, every switch sends packet-ins from one known address to another on another port. A flow-mod
//! answers one. `latency` waits for each answer before the next question; `throughput` asks as fast as the connection takes it, as
//! cbench does: what a controller leaves unanswered is its own affair.
//! It prints `N flow-mods/s`.
use std::{
    env,
    error::Error,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

/// Bytes that wait to be written in `throughput`.
const BACKLOG: usize = 16384;
const PORTS: u16 = 4;
/// Longer than this no controller takes for an answer: then another question is asked.
const LOST: Duration = Duration::from_millis(500);

const HELLO: u8 = 0;
const ECHO_REQUEST: u8 = 2;
const FEATURES_REQUEST: u8 = 5;
const GET_CONFIG_REQUEST: u8 = 7;
const PACKET_IN: u8 = 10;
const FLOW_MOD: u8 = 14;
const STATS_REQUEST: u8 = 16;
const BARRIER_REQUEST: u8 = 18;

fn main() -> ExitCode {
    match run() {
        Ok(rate) => {
            println!("{rate:.0} flow-mods/s");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("packet-ins: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<f64, Box<dyn Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [address, mode, switches, addresses, seconds] = &words[..] else {
        return Err("packet-ins ADDRESS:PORT throughput|latency SWITCHES ADDRESSES SECONDS".into());
    };
    let one_by_one = mode == "latency";
    let (count, addresses): (u64, u32) = (switches.parse()?, addresses.parse()?);
    let mut switches =
        (1..=count).map(|id| Switch::join(address, id, addresses)).collect::<Result<Vec<_>, _>>()?;
    let settle = |switches: &mut [Switch], time| -> Result<(), Box<dyn Error>> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            for switch in switches.iter_mut() {
                switch.turn()?;
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    };
    // The handshakes, then all addresses are heard of once.
    settle(&mut switches, Duration::from_secs(2))?;
    for switch in &mut switches {
        (0..addresses).for_each(|from| switch.packet_in(from, None));
    }
    settle(&mut switches, Duration::from_secs(2))?;
    switches.iter_mut().for_each(|switch| switch.answers = 0);
    let start = Instant::now();
    let length = Duration::from_secs(seconds.parse()?);
    while start.elapsed() < length {
        let mut idle = true;
        for switch in &mut switches {
            switch.ask(one_by_one);
            idle &= !switch.turn()?;
        }
        if idle {
            thread::yield_now();
        }
    }
    let answers: u64 = switches.iter().map(|switch| switch.answers).sum();
    Ok(answers as f64 / start.elapsed().as_secs_f64())
}

struct Switch {
    stream: TcpStream,
    id: u64,
    addresses: u32,
    input: Vec<u8>,
    output: Vec<u8>,
    next: u32,
    asked: u64,
    answers: u64,
    last: Instant,
}

impl Switch {
    fn join(address: &str, id: u64, addresses: u32) -> Result<Self, Box<dyn Error>> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let (input, output) = (Vec::new(), Vec::new());
        let last = Instant::now();
        let mut this = Self { stream, id, addresses, input, output, next: 0, asked: 0, answers: 0, last };
        // At once: there are controllers that wait a second for it and no longer.
        this.message(HELLO, 0, &[]);
        this.turn()?;
        Ok(this)
    }

    fn message(&mut self, kind: u8, xid: u32, body: &[u8]) {
        self.output.extend_from_slice(&[1, kind]);
        self.output.extend_from_slice(&(8 + body.len() as u16).to_be_bytes());
        self.output.extend_from_slice(&xid.to_be_bytes());
        self.output.extend_from_slice(body);
    }

    /// An address with this number and the port it is behind.
    const fn place(number: u32) -> ([u8; 6], u16) {
        let [a, b, c, d] = number.to_be_bytes();
        ([2, 1, a, b, c, d], (number % PORTS as u32) as u16 + 1)
    }

    /// A packet from one address to another, or to all.
    fn packet_in(&mut self, from: u32, to: Option<u32>) {
        let (source, port) = Self::place(from);
        let mut body = [0; 10 + 60];
        body[..4].copy_from_slice(&(self.next % 256 + 1).to_be_bytes());
        body[5] = 60;
        body[6..8].copy_from_slice(&port.to_be_bytes());
        body[10..16].copy_from_slice(&to.map_or([0xff; 6], |to| Self::place(to).0));
        body[16..22].copy_from_slice(&source);
        // An experimental Ethernet type: nothing more to look at (IEEE 802, section 9.2.3).
        body[22..24].copy_from_slice(&[0x88, 0xb5]);
        self.next = self.next.wrapping_add(1);
        self.message(PACKET_IN, 0, &body);
    }

    /// Asks, if the last question has its answer, or as much as the connection takes.
    fn ask(&mut self, one_by_one: bool) {
        let may = |this: &Self| match one_by_one {
            true => this.asked == this.answers || this.last.elapsed() > LOST,
            false => this.output.len() < BACKLOG,
        };
        while may(self) {
            let from = self.next % self.addresses;
            self.packet_in(from, Some((from + 1) % self.addresses));
            (self.asked, self.last) = (self.answers + 1, Instant::now());
        }
    }

    /// Sends and receives what is there; `false` when nothing moved.
    fn turn(&mut self) -> Result<bool, Box<dyn Error>> {
        let mut moved = false;
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(count) => {
                    self.output.drain(..count);
                    moved = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        let mut chunk = [0; 65536];
        match self.stream.read(&mut chunk) {
            Ok(0) => return Err("the controller closed a connection".into()),
            Ok(count) => {
                self.input.extend_from_slice(&chunk[..count]);
                moved = true;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        let input = std::mem::take(&mut self.input);
        let mut rest = &input[..];
        while let Some(&[_, kind, a, b, c, d, e, f]) = rest.first_chunk::<8>() {
            let length = usize::from(u16::from_be_bytes([a, b])).max(8);
            let Some((message, behind)) = rest.split_at_checked(length) else { break };
            self.heard(kind, u32::from_be_bytes([c, d, e, f]), &message[8..]);
            rest = behind;
        }
        self.input.extend_from_slice(rest);
        Ok(moved)
    }

    fn heard(&mut self, kind: u8, xid: u32, body: &[u8]) {
        match kind {
            // Deletions (commands 3 and 4) are no answers.
            FLOW_MOD if body.get(49).is_some_and(|command| *command < 3) => {
                self.answers += 1;
            }
            ECHO_REQUEST => self.message(ECHO_REQUEST + 1, xid, body),
            FEATURES_REQUEST => {
                let mut features = vec![0; 24];
                features[..8].copy_from_slice(&self.id.to_be_bytes());
                features[8..12].copy_from_slice(&256_u32.to_be_bytes());
                features[12] = 1;
                features[20..24].copy_from_slice(&0xfff_u32.to_be_bytes());
                for number in 1..=PORTS {
                    let mut port = [0; 48];
                    port[..2].copy_from_slice(&number.to_be_bytes());
                    port[2..8].copy_from_slice(&[2, 2, 0, 0, self.id as u8, number as u8]);
                    port[8] = b'p';
                    port[9] = b'0' + number as u8;
                    features.extend_from_slice(&port);
                }
                self.message(FEATURES_REQUEST + 1, xid, &features);
            }
            GET_CONFIG_REQUEST => self.message(GET_CONFIG_REQUEST + 1, xid, &[0, 0, 0, 128]),
            BARRIER_REQUEST => self.message(BARRIER_REQUEST + 1, xid, &[]),
            STATS_REQUEST => {
                // A description is asked for; of all else there is none.
                let mut reply = body.get(..4).unwrap_or(&[0; 4]).to_vec();
                if reply[..2] == [0, 0] {
                    reply.resize(4 + 1056, 0);
                }
                self.message(STATS_REQUEST + 1, xid, &reply);
            }
            _ => {}
        }
    }
}
