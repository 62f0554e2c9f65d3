//! What passes over dom0's bridge: from this machine through a tap device, from dom0, and from a Linux guest; with the xenstore daemon in OCaml.
use super::{Guest, configuration, that};
use crate::{
    failure::{Context, Failure, Result},
    workspace::Workspace,
    xen::{
        dom0::{self, Dom0},
        kernel, linux,
        machine::{self, Machine},
    },
};
use std::{fs, path::Path, process::Command};

/// Bytes of a transfer, and the digest of as many bytes of what the pump gives.
const BYTES: usize = 8 << 20;
const DIGEST: &str = "b2e274f4a6b182342072ef57e4ab1af833f10f6215bb2a4eb36bea40f47fa648";

const LINUX: &str = "10.0.2.51";

/// A network namespace with `tap0`, which is at 10.0.2.1. It goes when this is dropped.
struct Namespace(String);

impl Namespace {
    fn new() -> Result<Self> {
        let name = format!("airglow-xen-{}", std::process::id());
        dom0::run(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self(name);
        for words in ["tuntap add dev tap0 mode tap", "addr add 10.0.2.1/24 dev tap0", "link set tap0 up"] {
            dom0::run(Command::new("ip").args(["-n", &namespace.0]).args(words.split(' ')))?;
        }
        Ok(namespace)
    }

    /// What a program prints that is run there.
    fn run(&self, words: &[&str]) -> Result<Vec<u8>> {
        dom0::run(Command::new("ip").args(["netns", "exec", &self.0]).args(words))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// Bulk both ways between the guest and each of the others, every byte right.
pub fn carries(_: &Workspace, dom0: &Dom0, kernel: &Path) -> Result {
    let elf = fs::read(kernel).context(kernel.display())?;
    let peer = linux::peer()?;
    let ours = configuration("pump.elf", 64, &format!("ipv4={}/24", machine::GUEST), "destroy");
    let ours = ours.replace(super::DISK, "");
    let theirs =
        kernel::xl("linux", "/job/linux.gz", 128, linux::WORDS, "ramdisk = '/job/linux.cpio'\n", "destroy");
    let file_system = linux::file_system(dom0, LINUX, &peer, b"Linux")?;
    let linux_kernel = linux::kernel(dom0)?;
    let files = [
        ("pump.elf", elf.as_slice()),
        ("pump.cfg", ours.as_bytes()),
        ("linux.gz", &linux_kernel),
        ("linux.cpio", &file_system),
        ("linux.cfg", theirs.as_bytes()),
        ("peer", &peer),
    ];
    let namespace = Namespace::new()?;
    let mut machine = Machine::cold(dom0, &files, &namespace.0, dom0::oxenstored(dom0)?)?;
    machine.must("pidof oxenstored && ! pidof xenstored")?;
    Guest { machine: &mut machine, name: "linux" }.start("linux")?;
    let mut guest = Guest { machine: &mut machine, name: "guest" };
    guest.start("pump")?;
    guest.says("listening: ")?;

    let address = machine::GUEST;
    namespace.run(&["ping", "-c", "3", "-W", "10", address])?;
    let file = std::env::temp_dir().join(format!("{}.bytes", namespace.0));
    let path = file.display().to_string();
    let bulk = through_the_tap(&namespace, address, &path);
    let _ = fs::remove_file(file);
    bulk.map_err(|why| guest.with_console(&why))?;

    let rate = |text: String| text.trim().parse::<f64>().map(|rate| rate / 1e6).context(text);
    for what in ["send", "receive"] {
        let rate = rate(guest.machine.must(&format!("/job/peer {what} {address} 1"))?)?;
        println!("   dom0: {what} {rate:.1} MB/s");
    }
    let mut linux = Guest { machine: guest.machine, name: "linux" };
    linux.says("the Linux guest serves")?;
    let line = format!("peer fetch {address} bytes/{BYTES} | sha256sum");
    let digest = linux.machine.must(&format!("/job/peer ask {LINUX} '{line}'"))?;
    that(digest.starts_with(DIGEST), || format!("the Linux guest fetched something else: {digest}"))?;
    let sent = rate(linux.machine.must(&format!("/job/peer ask {LINUX} 'peer send {address} 1'"))?)?;
    println!("   Linux guest: fetched {BYTES} bytes, sent {sent:.1} MB/s");
    linux.machine.must("xl destroy linux; xl shutdown guest")?;
    let mut guest = Guest { machine: linux.machine, name: "guest" };
    let reason = guest.ended()?;
    that(reason == 0, || format!("xl shutdown ended the guest with reason {reason} and not 0"))
}

/// Down and up again with `curl`.
fn through_the_tap(namespace: &Namespace, address: &str, path: &str) -> Result {
    let curl = ["curl", "--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "100"];
    let fetched = namespace.run(
        &[&curl[..], &["-w", "%{speed_download}", "-o", path, &format!("http://{address}/bytes/{BYTES}")]]
            .concat(),
    )?;
    let digest = dom0::run(Command::new("sha256sum").arg(path))?;
    that(digest.starts_with(DIGEST.as_bytes()), || "the file that came is another".to_owned())?;
    let (data, url) = (format!("@{path}"), format!("http://{address}/sha256"));
    let seen = namespace.run(
        &[&curl[..], &["-H", "Expect:", "-w", "%{speed_upload}", "--data-binary", &data, &url]].concat(),
    )?;
    let seen = String::from_utf8_lossy(&seen).into_owned();
    let (digest, speed) = seen.split_once('\n').context("an answer of two lines")?;
    if digest != DIGEST {
        return Err(Failure::new(format!("the guest got something else: {digest}")));
    }
    let down = String::from_utf8_lossy(&fetched).into_owned();
    println!("   tap: {BYTES} bytes down at {down} bytes/s, up at {speed}");
    Ok(())
}
