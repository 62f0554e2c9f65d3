//! curl over loopback, against a server on threads and blocking sockets.
#![cfg(feature = "std")]
mod support;

use airglow_device::{Error, ErrorKind, ErrorType, Read, Stream, Write};
use airglow_http::{Error as HttpError, Exchange, Limits, Method, Router, Server, Status, files};
use airglow_runtime::{ThreadPark, block_on};
use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    process::Command,
    thread,
    time::Duration,
};
use support::*;

/// A blocking socket: its waits are no waits to the executor.
struct Socket(TcpStream);

#[derive(Debug)]
struct Failed(std::io::Error);
impl core::fmt::Display for Failed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}
impl core::error::Error for Failed {}
impl Error for Failed {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}
impl ErrorType for Socket {
    type Error = Failed;
}
impl Read for Socket {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Failed> {
        self.0.read(buf).map_err(Failed)
    }
}
impl Write for Socket {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Failed> {
        self.0.write(bytes).map_err(Failed)
    }
    async fn flush(&mut self) -> Result<(), Failed> {
        Ok(())
    }
}
impl Stream for Socket {
    async fn read_with<R>(&mut self, mut f: impl FnMut(&mut [u8]) -> (usize, R)) -> Result<R, Failed> {
        let mut byte = [0; 200];
        let n = self.read(&mut byte).await?;
        Ok(f(&mut byte[..n]).1)
    }
    async fn close(&mut self) -> Result<(), Failed> {
        let _ = self.0.shutdown(Shutdown::Write);
        Ok(())
    }
}

async fn length(exchange: &mut Exchange<'_>) -> Result<(), HttpError> {
    let mut buf = [0; 1_000];
    let (mut octets, mut sum) = (0, 0u64);
    loop {
        let n = exchange.read(&mut buf).await?;
        if n == 0 {
            break;
        }
        octets += n;
        sum += buf[..n].iter().map(|&b| u64::from(b)).sum::<u64>();
    }
    let mut writer = exchange.respond(Status::OK).stream().await?;
    writer.write(format!("{octets} octets, ").as_bytes()).await?;
    writer.flush().await?;
    writer.write(format!("sum {sum}").as_bytes()).await?;
    writer.finish().await
}

fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            thread::spawn(move || {
                let park = ThreadPark::new();
                let site = files(Site { entries: PAGES, lends: true });
                let router = Router::new().route(Method::Post, "/length", length).otherwise(site);
                let server = Server::new(Limits::default());
                block_on(&park, server.serve_connection(Socket(stream), &router, &park));
            });
        }
    });
    addr
}

fn curl(arguments: &[&str]) -> String {
    let output =
        Command::new("curl").args(["-sS", "--max-time", "20", "--noproxy", "*"]).args(arguments).output();
    let output = output.expect("these tests need curl: apt-get install curl");
    assert!(output.status.success(), "curl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn curl_is_content() {
    let addr = start();
    let url = |path: &str| format!("http://{addr}{path}");
    assert_eq!(curl(&[&url("/")]), "<h1>Hello</h1>");
    assert_eq!(curl(&["--http1.0", &url("/ten.txt")]), "0123456789");
    assert_eq!(curl(&[&url("/big.bin")]).len(), 100_000);
    assert_eq!(curl(&["-r", "2-4", &url("/ten.txt")]), "234");
    assert_eq!(curl(&["-L", &url("/dir")]), "<p>dir");
    assert_eq!(curl(&["-o", "/dev/null", "-w", "%{http_code}", &url("/none")]), "404");
    assert_eq!(
        curl(&["-o", "/dev/null", "-w", "%{http_code}", "--path-as-is", &url("/../../etc/passwd")]),
        "404"
    );
    assert!(curl(&["-I", &url("/ten.txt")]).contains("Content-Length: 10\r\n"));
    // one connection for three requests
    let two = [url("/ten.txt"), url("/none"), url("/ten.txt")];
    let counts = curl(&["-w", " %{num_connects}\n", &two[0], &two[1], &two[2]]);
    assert_eq!(counts, "0123456789 1\nNot Found\n 0\n0123456789 0\n");
    // content: announced, with Expect (curl asks above 1 MB; here by hand), and in chunks
    let data = "d".repeat(200_000);
    let answer = format!("200000 octets, sum {}", 200_000 * u64::from(b'd'));
    let path = std::env::temp_dir().join(format!("airglow-curl-{}", std::process::id()));
    std::fs::write(&path, &data).unwrap();
    let from = format!("@{}", path.display());
    for fields in [&[][..], &["-H", "Expect: 100-continue"], &["-H", "Transfer-Encoding: chunked"]] {
        let mut arguments = vec!["--data-binary", &from];
        arguments.extend_from_slice(fields);
        let to = url("/length");
        arguments.push(&to);
        assert_eq!(curl(&arguments), answer, "{fields:?}");
    }
    std::fs::remove_file(&path).unwrap();
    // a validator comes back as 304
    let head = curl(&["-I", &url("/ten.txt")]);
    let tag = head.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap();
    let field = format!("If-None-Match: {tag}");
    assert_eq!(curl(&["-o", "/dev/null", "-w", "%{http_code}", "-H", &field, &url("/ten.txt")]), "304");
}
