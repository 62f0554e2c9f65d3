//! Name servers on loopback, each with the same zones.
use airglow_testbed::{Process, program};
use std::{
    fs,
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Command, id},
    thread,
    time::{Duration, Instant},
};

/// A folder that goes away.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("airglow-dns-{name}-{}", id()));
        fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }
    pub fn path(&self) -> &Path {
        &self.0
    }
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).expect("a file in a temporary folder");
    }
    fn name(&self, file: &str) -> String {
        self.0.join(file).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running name server.
pub struct Server {
    pub name: &'static str,
    pub port: u16,
    pub process: Process,
}

/// A port that nobody has just now.
pub fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port()
}

fn start(name: &'static str, port: u16, command: &mut Command) -> Server {
    let mut process = Process::start(command);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    // Up when it answers for the last of the zones.
    let probe = b"\0\0\0\0\0\x01\0\0\0\0\0\0\x06optout\x07example\0\0\x06\0\x01";
    let mut reply = [0; 512];
    loop {
        let _ = socket.send(probe);
        if socket.recv(&mut reply).is_ok() && reply[3] & 15 == 0 {
            return Server { name, port, process };
        }
        assert!(process.runs() && Instant::now() < deadline, "{name} does not answer: {}", process.so_far());
        thread::sleep(Duration::from_millis(50));
    }
}

/// The appliance.
pub fn ours(_: &Folder, zones: &[(String, String)], port: u16) -> Server {
    // Zones are named by their files, `NAME.zone` or `NAME.zone.signed`: give each a link that says the name alone.
    let mut words = Vec::new();
    for (origin, file) in zones {
        let link = Path::new(file).with_file_name(origin);
        let _ = fs::hard_link(file, &link);
        words.push(link.display().to_string());
    }
    let zone = format!("zone={}", words.join(","));
    let words = [zone, format!("port={port}"), "transfers=on".into()];
    start("airglow", port, Command::new(program("airglow-dns-server", "dev")).args(words))
}

pub fn nsd(folder: &Folder, zones: &[(String, String)], port: u16) -> Server {
    let mut text = format!(
        "server:\n ip-address: 127.0.0.1@{port}\n server-count: 1\n username: \"\"\n database: \"\"\n pidfile: \"{}\"\n \
         xfrdfile: \"{}\"\n zonelistfile: \"{}\"\n rrl-ratelimit: 0\n ipv4-edns-size: 1232\n minimal-responses: yes\n \
         refuse-any: no\nremote-control:\n control-enable: no\n",
        folder.name("nsd.pid"),
        folder.name("nsd.xfrd"),
        folder.name("nsd.zones")
    );
    for (origin, file) in zones {
        text += &format!("zone:\n name: {origin}\n zonefile: {file}\n");
    }
    folder.write("nsd.conf", &text);
    start("NSD", port, Command::new("nsd").args(["-d", "-c", &folder.name("nsd.conf")]))
}

pub fn knot(folder: &Folder, zones: &[(String, String)], port: u16) -> Server {
    let here = folder.path().display();
    let mut text = format!(
        "server:\n  rundir: {here}\n  listen: 127.0.0.1@{port}\n  udp-max-payload: 1232\n  udp-workers: 1\n  tcp-workers: 1\n  \
         background-workers: 1\ndatabase:\n  storage: {here}/knot\nlog:\n  - target: stderr\n    any: warning\nzone:\n"
    );
    for (origin, file) in zones {
        text += &format!(
            "  - domain: {origin}\n    file: {file}\n    semantic-checks: off\n    journal-content: none\n    zonefile-sync: -1\n"
        );
    }
    folder.write("knot.conf", &text);
    start("Knot", port, Command::new("knotd").args(["-c", &folder.name("knot.conf")]))
}

pub fn bind(folder: &Folder, zones: &[(String, String)], port: u16) -> Server {
    let here = folder.path().display();
    let mut text = format!(
        "options {{ directory \"{here}\"; pid-file \"{here}/named.pid\"; session-keyfile \"{here}/named.key\"; \
         listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; edns-udp-size 1232; max-udp-size 1232; \
         minimal-responses yes; minimal-any no; notify no; dnssec-validation no; empty-zones-enable no; check-integrity no; }};\n\
         controls {{ }};\n"
    );
    for (origin, file) in zones {
        text += &format!("zone \"{origin}\" {{ type primary; file \"{file}\"; check-names ignore; }};\n");
    }
    folder.write("named.conf", &text);
    start("BIND", port, Command::new("named").args(["-g", "-n", "1", "-c", &folder.name("named.conf")]))
}
