//! The website over HTTPS beside nginx and `openssl s_server`, as processes.
use crate::{CERTIFICATE, KEY, client};
use airglow_benches::{Better, Nginx, Table, application};
use airglow_testbed::{Namespace, Process, cpu_seconds, memory, veth};
use std::{
    error::Error,
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::{Command, id},
    sync::Arc,
    time::{Duration, Instant},
};

const ADDRESS: &str = "10.0.0.2:443";
const PAGE: &str = "/device.html";

struct Served {
    client: Namespace,
    _server: Namespace,
    process: u32,
}

fn link() -> (Namespace, Namespace) {
    let (client, server) = (Namespace::new("client"), Namespace::new("server"));
    veth(&client, "c0", &server, "s0");
    client.address("c0", "10.0.0.1/24");
    server.address("s0", "10.0.0.2/24");
    (client, server)
}

/// Everything that is measured between processes.
pub fn https(table: &mut Table) -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("airglow-bench-tls-{}", id()));
    fs::create_dir_all(folder.join("nginx"))?;
    let (cert, key) = (pem(&folder, "x509", CERTIFICATE)?, pem(&folder, "pkey", KEY)?);

    let (client, server) = link();
    let words =
        ["-c", "0", &application("website").display().to_string(), "tls=on", "port=443"].map(str::to_owned);
    let words = [&words[..], &[format!("cert={cert}"), format!("key={key}")]].concat();
    let mut website: Process = server.start("taskset", &words.iter().map(String::as_str).collect::<Vec<_>>());
    website.wait_for("https://", Duration::from_secs(10));
    let ours = Served { client, _server: server, process: website.id() };

    let (client, server) = link();
    let directives = format!(
        "server {{ listen 443 ssl; ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;
           root {}; }}",
        folder.join("nginx").display()
    );
    let nginx = Nginx::start(&server, &folder.join("nginx"), &directives);
    let theirs = Served { client, _server: server, process: nginx.worker() };

    let (client, server) = link();
    let words =
        ["-c", "0", "openssl", "s_server", "-www", "-quiet", "-accept", "443", "-cert", &cert, "-key", &key];
    let openssl = server.start("taskset", &words);
    std::thread::sleep(Duration::from_millis(500));
    let s_server = Served { client, _server: server, process: openssl.id() };

    for (case, resumed) in [("HTTPS, full handshakes", false), ("HTTPS, resumed handshakes", true)] {
        let [ours, nginx, openssl] = [&ours, &theirs, &s_server].map(|served| served.handshakes(resumed));
        table.row(case, "per CPU s", Better::More, ours, "nginx", nginx);
        table.row(case, "per CPU s", Better::More, ours, "openssl s_server", openssl);
    }
    // The same bytes from nginx's file.
    let page = ours.client.run("curl", &["-sk", &format!("https://10.0.0.2{PAGE}")]).stdout;
    assert!(page.contains("</html>"), "{page}");
    fs::write(folder.join("nginx").join(&PAGE[1..]), &page)?;
    let mut rates = [vec![], vec![]];
    for _ in 0..3 {
        for (served, rates) in [&ours, &theirs].iter().zip(&mut rates) {
            rates.push(served.keep_alive()?);
        }
    }
    let [ours_rate, nginx_rate] = rates.map(|rates| airglow_benches::median(&rates));
    let case = format!("HTTPS keep-alive, {} bytes", page.len());
    table.row(&case, "requests per CPU s", Better::More, ours_rate, "nginx", nginx_rate);
    let [ours, nginx] = [&ours, &theirs].map(Served::idle);
    table.row("idle HTTPS connection", "bytes", Better::Less, ours, "nginx", nginx);
    drop((website, nginx, openssl));
    Ok(fs::remove_dir_all(folder)?)
}

/// A DER file as PEM.
fn pem(folder: &Path, kind: &str, der: &[u8]) -> Result<String, Box<dyn Error>> {
    let (from, to) = (folder.join(format!("{kind}.der")), folder.join(format!("{kind}.pem")));
    fs::write(&from, der)?;
    let done = Command::new("openssl")
        .args([kind, "-inform", "DER", "-in"])
        .arg(from)
        .arg("-out")
        .arg(&to)
        .status()?;
    assert!(done.success());
    Ok(to.display().to_string())
}

impl Served {
    fn connect(
        config: &Arc<rustls::ClientConfig>,
    ) -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
        let socket = TcpStream::connect(ADDRESS).expect("a connection");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a limit");
        let name = "localhost".try_into().expect("a name");
        let tls = rustls::ClientConnection::new(config.clone(), name).expect("a client");
        rustls::StreamOwned::new(tls, socket)
    }

    /// One request, whole, on a connection.
    fn ask(stream: &mut rustls::StreamOwned<rustls::ClientConnection, TcpStream>) {
        stream.write_all(b"GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("TLS");
        let (mut answer, mut len) = ([0; 16_384], 0);
        while !answer[..len].windows(4).any(|end| end == b"\r\n\r\n") && len < answer.len() {
            match stream.read(&mut answer[len..]) {
                Ok(count @ 1..) => len += count,
                _ => break,
            }
        }
        assert!(len > 0);
    }

    /// Handshakes, each with one request, for each second of the server's processor time.
    fn handshakes(&self, resumed: bool) -> f64 {
        let mut config = client(rustls::crypto::ring::default_provider());
        if !resumed {
            config.resumption = rustls::client::Resumption::disabled();
        }
        let config = Arc::new(config);
        self.client.enter(move || {
            Self::ask(&mut Self::connect(&config));
            let (before, start) = (cpu_seconds(self.process), Instant::now());
            let mut count = 0;
            while start.elapsed() < Duration::from_secs(3) {
                let mut stream = Self::connect(&config);
                Self::ask(&mut stream);
                let kind = stream.conn.handshake_kind();
                assert_eq!(kind == Some(rustls::HandshakeKind::Resumed), resumed, "{kind:?}");
                count += 1;
            }
            f64::from(count) / (cpu_seconds(self.process) - before).max(0.01)
        })
    }

    fn keep_alive(&self) -> Result<f64, Box<dyn Error>> {
        let before = cpu_seconds(self.process);
        let url = format!("https://10.0.0.2{PAGE}");
        let words = ["-c", "1", "wrk", "-t1", "-c64", "-d", "3s", &url];
        let said = self.client.run_for(Duration::from_secs(60), "taskset", &words);
        let used = cpu_seconds(self.process) - before;
        assert!(said.success() && !said.stdout.contains("Non-2xx"), "{said}");
        let line = said.stdout.lines().find(|line| line.contains(" requests in ")).ok_or("wrk")?;
        Ok(line.split_whitespace().next().ok_or("wrk")?.parse::<f64>()? / used)
    }

    /// By how many bytes the server grows with each idle connection.
    fn idle(&self) -> f64 {
        const COUNT: usize = 500;
        let config = Arc::new(client(rustls::crypto::ring::default_provider()));
        self.client.enter(move || {
            let open = || {
                let mut stream = Self::connect(&config);
                Self::ask(&mut stream);
                stream
            };
            let first: Vec<_> = (0..16).map(|_| open()).collect();
            let before = memory(self.process);
            let all: Vec<_> = (0..COUNT).map(|_| open()).collect();
            std::thread::sleep(Duration::from_millis(300));
            let after = memory(self.process);
            drop((first, all));
            after.saturating_sub(before) as f64 / COUNT as f64
        })
    }
}
