//! What a request costs the server itself: parse, look up, answer, over a stream in memory. Run it under
//! `valgrind --tool=callgrind` or `perf stat` with a number of requests, twice, and divide the difference
//! of the instruction counts by
//! the difference of the numbers.
use airglow_device::{Clock, Entry, ErrorType, Instant, KeyValue, Read, Stream, Timer, WallClock, Write};
use airglow_http::{Limits, Server, files};
use core::{
    convert::Infallible, future::Future, pin::pin, task::Context, task::Poll, task::Waker, time::Duration,
};

const PLAIN: &[u8] = b"GET /index.html HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";
const BROWSER: &[u8] = b"GET /index.html HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\nUpgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\n\r\n";
static PAGE: [u8; 4096] = [b'x'; 4096];

/// One request a read, `left` times; then the end.
struct Memory {
    request: &'static [u8],
    left: u64,
    written: u64,
    writes: u64,
}
impl ErrorType for Memory {
    type Error = Infallible;
}
impl Read for Memory {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Infallible> {
        if self.left == 0 {
            return Ok(0);
        }
        self.left -= 1;
        buf[..self.request.len()].copy_from_slice(self.request);
        Ok(self.request.len())
    }
}
impl Write for Memory {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.written += bytes.len() as u64;
        self.writes += 1;
        Ok(bytes.len())
    }
    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
impl Stream for &mut Memory {
    async fn read_with<R>(&mut self, mut f: impl FnMut(&mut [u8]) -> (usize, R)) -> Result<R, Infallible> {
        let mut buf = [0; 1024];
        let n = self.read(&mut buf).await?;
        Ok(f(&mut buf[..n]).1)
    }
    async fn close(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

struct Site;
impl KeyValue for Site {
    type Error = Infallible;
    async fn entry(&self, key: &str) -> Result<Option<Entry>, Infallible> {
        Ok((key == "index.html")
            .then(|| Entry::new(4096).digest(1).modified(Duration::from_secs(784_111_777))))
    }
    async fn read(&self, _: &str, _: u64, _: &mut [u8]) -> Result<usize, Infallible> {
        Ok(0)
    }
    fn lend(&self, _: &str) -> Option<&'static [u8]> {
        Some(&PAGE)
    }
    async fn list(&self, _: &str, _: impl FnMut(&str)) -> Result<(), Infallible> {
        Ok(())
    }
}

struct Start(std::time::Instant);
impl Clock for Start {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.0.elapsed().as_nanos() as u64)
    }
}
impl Timer for Start {
    fn wake_at(&self, _: Instant, _: &Waker) {}
}
struct Wall;
impl WallClock for Wall {
    fn unix_now(&self) -> Option<Duration> {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()
    }
}

fn main() {
    let mut words = std::env::args().skip(1);
    let requests: u64 = words.next().and_then(|word| word.parse().ok()).unwrap_or(1_000_000);
    let request = if words.next().as_deref() == Some("browser") { BROWSER } else { PLAIN };
    let mut limits = Limits::default();
    limits.requests = u32::MAX;
    let server = Server::new(limits).wall_clock(&Wall);
    let clock = Start(std::time::Instant::now());
    let mut memory = Memory { request, left: requests, written: 0, writes: 0 };
    {
        let site = files(Site);
        let mut serving = pin!(server.serve_connection(&mut memory, &site, &clock));
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(serving.as_mut().poll(&mut cx), Poll::Ready(()), "nothing waits");
    }
    let time = clock.now().as_nanos();
    assert_eq!(server.statistics().requests(), requests);
    println!(
        "{requests} requests, {} ns and {} octets of answer each, {} writes in all",
        time / requests,
        memory.written / requests,
        memory.writes
    );
}
