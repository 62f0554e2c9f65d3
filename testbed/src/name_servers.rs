//! Name servers on loopback, each with the same zones: BIND, NSD and Knot as Debian has them, and our own.
use crate::Process;
use std::{
    ffi::OsStr,
    fs,
    net::{TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Command, id},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

/// A temporary folder that goes away when dropped.
pub struct Folder(PathBuf);

impl Folder {
    /// A new one.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("airglow-{name}-{}", id()));
        fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
    /// Writes a file in it.
    ///
    /// # Panics
    /// When it cannot be written.
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

/// A zone to serve.
#[derive(Clone, Debug)]
pub struct ZoneFile {
    /// The zone's name.
    pub origin: String,
    /// The path of its master file.
    pub file: String,
}

/// A running name server.
pub struct NameServer {
    /// What it is called.
    pub name: &'static str,
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// Its (first) process.
    pub process: Process,
}

/// A port of UDP and TCP that nobody has just now. It is none of those that the kernel gives to whoever asks for any, so
/// that nobody else gets it meanwhile, and this process hands it out once.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let ports =
        (0..COUNT).map(|_| FIRST + id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Relaxed)) % COUNT);
    let free = |port: &u16| {
        let everywhere = ("0.0.0.0", *port);
        UdpSocket::bind(everywhere).is_ok() && TcpListener::bind(everywhere).is_ok()
    };
    ports.filter_map(|port| u16::try_from(port).ok()).find(free).expect("a free port")
}

fn wrapped(wrapper: &[&str], program: &OsStr) -> Command {
    match wrapper {
        [] => Command::new(program),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
    }
}

fn start(name: &'static str, port: u16, zones: &[ZoneFile], command: &mut Command) -> NameServer {
    let mut process = Process::start(command);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    // Up when it answers for the last of the zones: a query for its SOA.
    let mut probe = b"\0\0\0\0\0\x01\0\0\0\0\0\0".to_vec();
    for label in zones.last().map_or("", |zone| &zone.origin).split('.') {
        probe.push(label.len() as u8);
        probe.extend(label.bytes());
    }
    probe.extend(b"\0\0\x06\0\x01");
    let mut reply = [0; 512];
    loop {
        let _ = socket.send(&probe);
        if socket.recv(&mut reply).is_ok() && reply[3] & 15 == 0 {
            return NameServer { name, port, process };
        }
        assert!(process.runs() && Instant::now() < deadline, "{name} does not answer: {}", process.so_far());
        thread::sleep(Duration::from_millis(50));
    }
}

/// Our appliance, whose executable is `program`; `wrapper` is put before the command, as `taskset -c 0` may be.
/// Clients on the host may transfer its zones.
pub fn airglow(program: &Path, wrapper: &[&str], zones: &[ZoneFile], port: u16) -> NameServer {
    airglow_with(program, wrapper, zones, port, &["transfers=on"])
}

/// Our appliance with these boot parameters besides `zone` and `port`.
pub fn airglow_with(
    program: &Path,
    wrapper: &[&str],
    zones: &[ZoneFile],
    port: u16,
    parameters: &[&str],
) -> NameServer {
    // Zones are named by their files, `NAME.zone` or `NAME.zone.signed`: give each a link that says the name alone.
    let mut words = Vec::new();
    for ZoneFile { origin, file } in zones {
        let link = Path::new(file).with_file_name(origin);
        let _ = fs::hard_link(file, &link);
        words.push(link.display().to_string());
    }
    let zone = format!("zone={}", words.join(","));
    let words = [zone, format!("port={port}")];
    start("airglow", port, zones, wrapped(wrapper, program.as_os_str()).args(words).args(parameters))
}

/// NSD, one worker, minimal responses, 1,232 bytes over UDP.
pub fn nsd(folder: &Folder, wrapper: &[&str], zones: &[ZoneFile], port: u16) -> NameServer {
    let mut text = format!(
        "server:\n ip-address: 127.0.0.1@{port}\n server-count: 1\n username: \"\"\n database: \"\"\n pidfile: \"{}\"\n \
         xfrdfile: \"{}\"\n zonelistfile: \"{}\"\n rrl-ratelimit: 0\n ipv4-edns-size: 1232\n minimal-responses: yes\n \
         refuse-any: no\nremote-control:\n control-enable: no\n",
        folder.name("nsd.pid"),
        folder.name("nsd.xfrd"),
        folder.name("nsd.zones")
    );
    for ZoneFile { origin, file } in zones {
        text += &format!("zone:\n name: {origin}\n zonefile: {file}\n");
    }
    folder.write("nsd.conf", &text);
    start("NSD", port, zones, wrapped(wrapper, "nsd".as_ref()).args(["-d", "-c", &folder.name("nsd.conf")]))
}

/// Knot, one worker, minimal responses, 1,232 bytes over UDP.
pub fn knot(folder: &Folder, wrapper: &[&str], zones: &[ZoneFile], port: u16) -> NameServer {
    let here = folder.path().display();
    let mut text = format!(
        "server:\n  rundir: {here}\n  listen: 127.0.0.1@{port}\n  udp-max-payload: 1232\n  udp-workers: 1\n  tcp-workers: 1\n  \
         background-workers: 1\ndatabase:\n  storage: {here}/knot\nlog:\n  - target: stderr\n    any: warning\nzone:\n"
    );
    for ZoneFile { origin, file } in zones {
        text += &format!(
            "  - domain: {origin}\n    file: {file}\n    semantic-checks: off\n    journal-content: none\n    zonefile-sync: -1\n"
        );
    }
    folder.write("knot.conf", &text);
    start("Knot", port, zones, wrapped(wrapper, "knotd".as_ref()).args(["-c", &folder.name("knot.conf")]))
}

/// BIND, one worker, minimal responses, 1,232 bytes over UDP.
pub fn bind(folder: &Folder, wrapper: &[&str], zones: &[ZoneFile], port: u16) -> NameServer {
    let here = folder.path().display();
    let mut text = format!(
        "options {{ directory \"{here}\"; pid-file \"{here}/named.pid\"; session-keyfile \"{here}/named.key\"; \
         listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; edns-udp-size 1232; max-udp-size 1232; \
         minimal-responses yes; minimal-any no; notify no; dnssec-validation no; empty-zones-enable no; check-integrity no; }};\n\
         controls {{ }};\n"
    );
    for ZoneFile { origin, file } in zones {
        text += &format!("zone \"{origin}\" {{ type primary; file \"{file}\"; check-names ignore; }};\n");
    }
    folder.write("named.conf", &text);
    start(
        "BIND",
        port,
        zones,
        wrapped(wrapper, "named".as_ref()).args(["-g", "-n", "1", "-c", &folder.name("named.conf")]),
    )
}
