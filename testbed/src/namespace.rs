//! Network namespaces and the links between them.
use crate::{Process, Said};
use std::{
    process::{Command, id},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// A network namespace: a machine of its own as far as the network is concerned. Deleted when dropped.
pub struct Namespace {
    name: String,
}

/// How long [`Namespace::run`] waits.
const LIMIT: Duration = Duration::from_secs(60);

impl Namespace {
    /// Makes a namespace with its loopback interface up.
    ///
    /// # Panics
    /// Without root: a test must fail and not pass by testing nothing.
    pub fn new(label: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("airglow-{}-{}-{label}", id(), COUNT.fetch_add(1, Ordering::Relaxed));
        ip(&["netns", "add", &name]);
        let namespace = Self { name };
        namespace.ip("link set lo up");
        namespace
    }

    /// Its name, for `ip netns exec`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run in this namespace.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        // `ip netns exec` becomes the program, so that the process id is the program's.
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs `program` to its end, for at most a minute.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Said {
        self.run_for(LIMIT, program, arguments)
    }

    /// Runs `program` to its end, for at most `limit`.
    pub fn run_for(&self, limit: Duration, program: &str, arguments: &[&str]) -> Said {
        let mut command = self.command(program);
        command.args(arguments);
        Process::start(&mut command).wait(limit)
    }

    /// Starts `program`, which runs until it ends or the value is dropped.
    pub fn start(&self, program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Process {
        let mut command = self.command(program);
        command.args(arguments);
        Process::start(&mut command)
    }

    /// Runs `f` on a thread that is in this namespace: what it opens with `std::net` is of this namespace.
    pub fn enter<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        crate::enter::enter(&self.name, f)
    }

    /// Runs `ip` with the words of `arguments` in this namespace.
    ///
    /// # Panics
    /// When `ip` fails.
    pub fn ip(&self, arguments: &str) {
        let words: Vec<_> = ["-n", &self.name].into_iter().chain(arguments.split(' ')).collect();
        ip(&words);
    }

    /// Gives `interface` an address, without the second of duplicate address detection, and turns it on.
    pub fn address(&self, interface: &str, address: &str) {
        let nodad = if address.contains(':') { " nodad" } else { "" };
        self.ip(&format!("address add {address} dev {interface}{nodad}"));
        self.ip(&format!("link set {interface} up"));
    }

    /// Makes the kernel keep out of `interface`: no IPv6 of its own, so that another stack has the link to itself.
    pub fn silence(&self, interface: &str) {
        self.set(&format!("net/ipv6/conf/{interface}/disable_ipv6"), "1");
        self.ip(&format!("link set {interface} up"));
    }

    /// Makes a tap device that another stack can attach to, and turns it on.
    pub fn tap(&self, name: &str) {
        self.ip(&format!("tuntap add dev {name} mode tap vnet_hdr"));
        self.ip(&format!("link set {name} up"));
    }

    /// Writes a kernel parameter below `/proc/sys`, such as `net/ipv4/ip_forward`.
    pub fn set(&self, parameter: &str, value: &str) {
        let said = self.run("sh", &["-c", &format!("echo {value} > /proc/sys/{parameter}")]);
        assert!(said.success(), "{parameter}: {said}");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).output();
    }
}

/// Joins two namespaces by an Ethernet cable with the ends `a_name` and `b_name`, both off.
pub fn veth(a: &Namespace, a_name: &str, b: &Namespace, b_name: &str) {
    a.ip(&format!("link add {a_name} type veth peer name {b_name} netns {}", b.name));
}

fn ip(arguments: &[&str]) {
    let said = Process::start(Command::new("ip").args(arguments)).wait(LIMIT);
    assert!(
        said.success(),
        "ip {} failed (network namespaces need root and iproute2): {said}",
        arguments.join(" ")
    );
}

#[cfg(test)]
mod tests {
    // The namespaces themselves are tested by every end-to-end test; without root there are none.
    use super::*;

    #[test]
    fn a_program_runs_in_its_namespace() {
        let namespace = Namespace { name: "none".to_owned() };
        let command = namespace.command("true");
        assert_eq!(command.get_args().collect::<Vec<_>>(), ["netns", "exec", "none", "true"]);
        std::mem::forget(namespace);
    }
}
