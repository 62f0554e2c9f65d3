//! A download that goes on beside what a test does to the stack.
#![allow(dead_code)] // Not every test uses all.
use airglow_testbed::Namespace;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// A connection on which bytes come, every one of which is looked at. Ends when dropped.
pub struct Download {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    bytes: AtomicU64,
    /// The longest time in which nothing came, in milliseconds.
    pause: AtomicU64,
    ends: AtomicBool,
}

impl Download {
    /// Begins in `namespace`, from the pump at `from`, and returns when the first bytes are there. Between two looks for bytes `rest` passes.
    pub fn begin(namespace: &Namespace, from: SocketAddr, rest: Duration) -> Self {
        let shared = Arc::new(Shared::default());
        let thread = namespace.enter(|| {
            let shared = shared.clone();
            let mut stream = TcpStream::connect_timeout(&from, Duration::from_secs(10)).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            let request = b"GET /bytes/100000000000000 HTTP/1.1\r\nHost: pump\r\n\r\n";
            stream.write_all(request).unwrap();
            // The thread inherits the namespace of the one that starts it.
            thread::spawn(move || shared.read(&mut stream, rest))
        });
        let download = Self { shared, thread: Some(thread) };
        download.wait_for(1);
        download
    }

    /// The bytes that came so far.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Relaxed)
    }

    /// The longest time so far in which nothing came.
    pub fn longest_pause(&self) -> Duration {
        Duration::from_millis(self.shared.pause.load(Relaxed))
    }

    /// Waits until `more` bytes have come.
    ///
    /// # Panics
    /// When it ends before, or after half a minute.
    pub fn wait_for(&self, more: u64) {
        let (from, start) = (self.bytes(), Instant::now());
        while self.bytes() < from + more {
            assert!(start.elapsed() < Duration::from_secs(30), "{} bytes came", self.bytes() - from);
            let runs = self.thread.as_ref().is_some_and(|thread| !thread.is_finished());
            assert!(runs, "the download ended after {} bytes", self.bytes());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Bytes per second over the next `time`.
    pub fn rate(&self, time: Duration) -> f64 {
        let (from, start) = (self.bytes(), Instant::now());
        thread::sleep(time);
        (self.bytes() - from) as f64 / start.elapsed().as_secs_f64()
    }

    /// Ends it.
    ///
    /// # Panics
    /// When a byte was wrong, or the connection had ended.
    pub fn end(mut self) {
        self.shared.ends.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        self.shared.ends.store(true, Relaxed);
    }
}

impl Shared {
    fn read(&self, stream: &mut TcpStream, rest: Duration) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let (mut buffer, mut expected, mut at) = (vec![0; 1 << 16], vec![0; 1 << 16], 0);
        while !self.ends.load(Relaxed) {
            let start = Instant::now();
            let n = stream.read(&mut buffer).unwrap_or_else(|why| panic!("after {at} bytes: {why}"));
            assert!(n > 0, "closed after {at} bytes");
            airglow_pump::fill(at, &mut expected[..n]);
            assert!(buffer[..n] == expected[..n], "wrong bytes after {at}");
            at += n as u64;
            self.bytes.store(at, Relaxed);
            self.pause.fetch_max(start.elapsed().as_millis() as u64, Relaxed);
            thread::sleep(rest);
        }
    }
}
