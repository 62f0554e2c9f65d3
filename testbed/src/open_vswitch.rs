//! Open vSwitch with its userspace datapath, in a namespace, with a database and a directory of its own.
use crate::{Namespace, Process, Said};
use std::{
    env::temp_dir,
    fs,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_secs(30);

/// A running Open vSwitch; nothing of the machine's own is touched.
pub struct OpenVswitch {
    directory: PathBuf,
    _database: Process,
    switch: Process,
}

impl OpenVswitch {
    /// Starts it in `space`.
    ///
    /// # Panics
    /// When it does not start within half a minute.
    pub fn new(space: &Namespace) -> Self {
        let directory = temp_dir().join(format!("airglow-ovs-{}", space.name()));
        fs::create_dir_all(&directory).expect("a temporary folder");
        let at = |name: &str| directory.join(name).display().to_string();
        let start = |program: &str, words: &[String]| {
            let mut command = space.command(program);
            for variable in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR"] {
                command.env(variable, &directory);
            }
            Process::start(command.args(words))
        };
        let schema = "/usr/share/openvswitch/vswitch.ovsschema".to_owned();
        let made = start("ovsdb-tool", &["create".into(), at("conf.db"), schema]).wait(LIMIT);
        assert!(made.success(), "{made}");
        let socket = format!("unix:{}", at("db.sock"));
        let _database = start("ovsdb-server", &[at("conf.db"), format!("--remote=p{socket}")]);
        let switch = start("ovs-vswitchd", &[socket, "--disable-system".into()]);
        let this = Self { directory, _database, switch };
        let deadline = Instant::now() + LIMIT;
        while !this.vsctl(&["--no-wait", "init"]).success() {
            assert!(Instant::now() < deadline, "{}", this.switch.so_far());
            thread::sleep(Duration::from_millis(100));
        }
        this
    }

    /// Runs `ovs-vsctl` with these words.
    pub fn vsctl(&self, words: &[&str]) -> Said {
        let socket = format!("--db=unix:{}/db.sock", self.directory.display());
        let mut command = Command::new("ovs-vsctl");
        Process::start(command.arg(socket).arg("--timeout=20").args(words)).wait(LIMIT)
    }

    /// Where a bridge waits for `ovs-ofctl`.
    pub fn management(&self, bridge: &str) -> String {
        format!("unix:{}/{bridge}.mgmt", self.directory.display())
    }

    /// Makes a bridge of interfaces, which become its ports 1, 2, ...; it does nothing without flows. `protocols` as
    /// `ovs-vsctl` writes them: `OpenFlow13`. `more` are further words of the same transaction.
    ///
    /// # Panics
    /// With what `ovs-vsctl` says when that fails.
    pub fn bridge(&self, name: &str, ports: &[String], protocols: &str, more: &[&str]) {
        let protocols = format!("protocols={protocols}");
        let mut words = vec!["--", "add-br", name, "--", "set", "bridge", name];
        words.extend(["datapath_type=netdev", "fail-mode=secure", &protocols]);
        let numbers: Vec<String> = (1..=ports.len()).map(|n| format!("ofport_request={n}")).collect();
        for (port, number) in ports.iter().zip(&numbers) {
            words.extend(["--", "add-port", name, port, "--", "set", "interface", port, number]);
        }
        words.extend(more);
        let made = self.vsctl(&words);
        assert!(made.success(), "{made}");
    }

    /// The switch's process, to measure.
    pub const fn process(&self) -> &Process {
        &self.switch
    }
}

impl Drop for OpenVswitch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}
