//! A minimal Linux guest to compare with and to talk to: Debian's kernel, busybox, and Xen's frontends.
use super::{
    archive::Archive,
    dom0::{self, Dom0},
};
use crate::failure::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What it needs to serve pages.
const FIRST: &[&str] = &["xen-netfront"];
/// What it needs besides, once it serves.
const LATER: &[&str] = &["xen-privcmd", "xenfs", "xen-evtchn", "xen-gntdev", "xen-gntalloc", "xen-blkfront"];

/// Xen's own libraries, in the order that a linker wants.
const LIBRARIES: &[&str] = &[
    "xenvchan",
    "xenstore",
    "xengnttab",
    "xenevtchn",
    "xentoollog",
    "xentoolcore",
    "xenctrl",
    "xencall",
    "xenforeignmemory",
    "xendevicemodel",
];

/// What the compiler of [`peer`] needs.
pub const PACKAGES: &[&str] = &["gcc", "libc6-dev"];

/// Boot parameters under which it starts soonest.
pub const WORDS: &str = "console=hvc0 quiet loglevel=1 rodata=off mitigations=off apparmor=0 lsm= audit=0 init_on_alloc=0 \
                         cryptomgr.notests tsc=reliable random.trust_cpu=on";

/// Compiles the program that measures from dom0, and whose services the Linux guest offers.
pub fn peer() -> Result<Vec<u8>> {
    const SOURCE: &str = include_str!("peer.c");
    let xen = dom0::development()?;
    let source = xen.join(format!("peer-{}.c", std::process::id()));
    let program = source.with_extension("");
    fs::write(&source, SOURCE).context(source.display())?;
    let mut command = Command::new("gcc");
    command.args(["-O2", "-static", "-D__XEN_TOOLS__", "-I"]).arg(xen.join("usr/include"));
    command.arg(&source).arg("-o").arg(&program).arg("-L").arg(xen.join("usr/lib/x86_64-linux-gnu"));
    command.args(LIBRARIES.iter().map(|library| format!("-l{library}")));
    let made = dom0::run(&mut command).and_then(|_| fs::read(&program).context(program.display()));
    let _ = fs::remove_file(source);
    let _ = fs::remove_file(program);
    made
}

/// Debian's kernel in the form that the domain builder unpacks soonest.
pub fn kernel(dom0: &Dom0) -> Result<Vec<u8>> {
    let packed: PathBuf = dom0.kernel.with_extension("gz");
    if !packed.exists() {
        let bytes = dom0::run(Command::new("gzip").arg("-c").arg(&dom0.kernel))?;
        let fresh = packed.with_extension("new");
        fs::write(&fresh, bytes).context(fresh.display())?;
        fs::rename(&fresh, &packed).context(packed.display())?;
    }
    fs::read(&packed).context(packed.display())
}

/// Its root file system, with the `address` of its network card and a page that its web server serves.
pub fn file_system(dom0: &Dom0, address: &str, peer: &[u8], page: &[u8]) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for folder in ["bin", "dev", "proc", "sys", "lib", "www"] {
        archive.folder(folder);
    }
    let busybox = dom0.root.join("bin/busybox");
    archive.copy("bin/busybox", &busybox)?;
    let applets = dom0::run(Command::new(&busybox).arg("--list"))?;
    for applet in String::from_utf8_lossy(&applets).lines().filter(|name| *name != "busybox") {
        archive.link(&format!("bin/{applet}"), "busybox");
    }
    for name in FIRST.iter().chain(LATER) {
        let path = dom0::module(&dom0.root, name)
            .context_with(|| format!("Debian's kernel has no module {name}"))?;
        archive.file(&format!("lib/{name}.ko"), &stripped(&path)?);
    }
    archive.program("bin/peer", peer);
    archive.file("www/index.html", page);
    let load =
        |names: &[&str]| -> String { names.iter().map(|name| format!("insmod /lib/{name}.ko\n")).collect() };
    let init = format!(
        "#!/bin/sh
export PATH=/bin
mount -t devtmpfs dev /dev
{}until ip addr add {address}/24 dev eth0 2>/dev/null; do usleep 2000; done
ip link set eth0 up
httpd -h /www
mount -t proc proc /proc; mount -t sysfs sys /sys
ip link set lo up
{}mount -t xenfs xenfs /proc/xen
peer serve &
echo the Linux guest serves >/dev/hvc0
while :; do sleep 1000; done
",
        load(FIRST),
        load(LATER)
    );
    archive.program("init", init.as_bytes());
    Ok(archive.finish())
}

/// A module without what debuggers want, which would only take time to load.
fn stripped(path: &Path) -> Result<Vec<u8>> {
    let copy = std::env::temp_dir().join(format!("cargo-airglow-module-{}.ko", std::process::id()));
    let done = Command::new("strip").arg("-g").arg("-o").arg(&copy).arg(path).status();
    let from = if done.is_ok_and(|status| status.success()) { copy.as_path() } else { path };
    let bytes = fs::read(from).context(from.display());
    let _ = fs::remove_file(&copy);
    bytes
}
