//! One bulk flow over the kernel's TCP: `flow serve`, `flow send ADDRESS SECONDS`, `flow receive ADDRESS SECONDS`; or many that do nothing:
//! `flow hold ADDRESS PORT COUNT`.
//!
//! The server discards what comes to port 9 (RFC 863) and sends without end on port 19 (RFC 864); the clients print
//! the rate as `N bytes/s`. `hold` sends a byte on each connection, waits for its echo (RFC 862), keeps them all, and says `holding`.
use std::{
    env,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

const CHUNK: usize = 128 * 1024;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["serve"] => serve(),
        ["send", address, seconds] => timed(address, 9, seconds, send),
        ["receive", address, seconds] => timed(address, 19, seconds, receive),
        ["hold", address, port, count] => hold(address, port, count),
        _ => Err(io::Error::other(
            "flow serve | flow send ADDRESS SECONDS | flow receive ADDRESS SECONDS | flow hold ADDRESS PORT COUNT",
        )),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("flow: {why}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    let discard = TcpListener::bind(("0.0.0.0", 9))?;
    let source = TcpListener::bind(("0.0.0.0", 19))?;
    println!("listening");
    thread::spawn(move || {
        source.incoming().flatten().for_each(|mut stream| while send(&mut stream).is_ok() {})
    });
    discard.incoming().flatten().for_each(|mut stream| while receive(&mut stream).is_ok_and(|n| n > 0) {});
    Ok(())
}

/// Until it is ended.
fn hold(address: &str, port: &str, count: &str) -> io::Result<()> {
    let (port, count): (u16, usize) =
        (port.parse().map_err(io::Error::other)?, count.parse().map_err(io::Error::other)?);
    let mut held = Vec::with_capacity(count);
    while held.len() < count {
        let mut stream = TcpStream::connect((address, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(b"x")?;
        stream.read_exact(&mut [0; 1])?;
        held.push(stream);
    }
    println!("holding");
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}

fn send(stream: &mut TcpStream) -> io::Result<usize> {
    static BYTES: [u8; CHUNK] = [0x55; CHUNK];
    stream.write(&BYTES)
}

fn receive(stream: &mut TcpStream) -> io::Result<usize> {
    thread_local!(static BUFFER: std::cell::RefCell<Vec<u8>> = std::cell::RefCell::new(vec![0; CHUNK]));
    BUFFER.with_borrow_mut(|buffer| stream.read(buffer))
}

fn timed(
    address: &str,
    port: u16,
    seconds: &str,
    step: fn(&mut TcpStream) -> io::Result<usize>,
) -> io::Result<()> {
    let seconds: f64 = seconds.parse().map_err(io::Error::other)?;
    let mut stream = TcpStream::connect((address, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    // Slow start and growing buffers do not count.
    let warm = Instant::now() + Duration::from_secs_f64(seconds / 5.0);
    while Instant::now() < warm {
        step(&mut stream)?;
    }
    let (start, mut bytes) = (Instant::now(), 0);
    while start.elapsed().as_secs_f64() < seconds {
        match step(&mut stream)? {
            0 => return Err(io::Error::other("the peer closed the connection")),
            n => bytes += n,
        }
    }
    println!("{:.0} bytes/s", bytes as f64 / start.elapsed().as_secs_f64());
    Ok(())
}
