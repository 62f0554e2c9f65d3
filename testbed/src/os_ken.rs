//! os-ken, the OpenFlow controller framework of OpenStack, with the example controllers that its releases had until 1.0.0.
use crate::{Process, name_servers::Folder};
use std::{
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// The release that is fetched, and one library that Debian lacks; everything else comes with Debian's `python3-os-ken`.
const RELEASES: [&str; 2] = ["os-ken==1.0.0", "tinyrpc==1.0.4"];

/// Starts it beside today's eventlet, which has no such name any more.
const START: &str = "import sys, eventlet.wsgi
eventlet.wsgi.ALREADY_HANDLED = []
from os_ken.cmd.manager import main
main(sys.argv[1:])";

/// os-ken in a folder of its own.
pub struct OsKen(Folder);

impl OsKen {
    /// Fetches it with pip.
    ///
    /// # Panics
    /// With what pip says when that fails.
    pub fn fetch() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let folder = Folder::new(&format!("os-ken-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        let mut pip = Command::new("/usr/bin/pip");
        pip.args(["install", "--quiet", "--no-deps", "--target"]).arg(folder.path()).args(RELEASES);
        let said = Process::start(&mut pip).wait(Duration::from_secs(120));
        assert!(said.success(), "{said}");
        Self(folder)
    }

    /// The words that start it, listening on `port` of loopback, with `applications` such as `os_ken.app.simple_switch_13`
    /// and further options.
    pub fn words(&self, port: u16, applications: &[&str]) -> Vec<String> {
        let mut words: Vec<String> = ["env".into(), format!("PYTHONPATH={}", self.0.path().display())].into();
        words.extend(["/usr/bin/python3", "-c", START, "--ofp-listen-host", "127.0.0.1"].map(String::from));
        words.extend(["--ofp-tcp-listen-port".into(), port.to_string()]);
        words.extend(applications.iter().map(|word| (*word).to_owned()));
        words
    }
}
