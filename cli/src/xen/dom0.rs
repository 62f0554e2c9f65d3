//! The hypervisor and a small dom0 for it, out of Debian's packages: fetched and unpacked into the cache, never installed.
use super::archive::Archive;
use crate::{
    failure::{Context, Failure, Result},
    packages, process,
    progress::Step,
};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// The Xen of Debian 12.
const XEN: &str = "4.17";

/// What dom0 is made of.
const PACKAGES: &[&str] = &[
    "xen-hypervisor-4.17-amd64",
    "xen-utils-4.17",
    "xenstore-utils",
    "libxenmisc4.17",
    "libxencall1",
    "libxendevicemodel1",
    "libxenevtchn1",
    "libxenforeignmemory1",
    "libxengnttab1",
    "libxenhypfs1",
    "libxenstore4",
    "libxentoolcore1",
    "libxentoollog1",
    "libyajl2",
    "libuuid1",
    "zlib1g",
    "liblzma5",
    "libzstd1",
    "libgcc-s1",
    "libc6",
    "busybox-static",
];

/// Drivers of Debian's kernel that dom0 loads, in this order.
const MODULES: &[&str] = &[
    "xen-privcmd",
    "xenfs",
    "xen-evtchn",
    "xen-gntdev",
    "xen-gntalloc",
    "llc",
    "stp",
    "bridge",
    "loop",
    "xen-netback",
    "xen-blkback",
    "failover",
    "net_failover",
    "virtio_ring",
    "virtio",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "virtio_net",
    "virtio_blk",
    "virtio_console",
];

/// Xen's own programs in dom0.
const PROGRAMS: &[&str] =
    &["xl", "xenstored", "xenconsoled", "xenconsole", "libxl-save-helper", "vchan-socket-proxy"];

/// Libraries of `xl` and its company.
const LIBRARIES: &[&str] =
    &["libxl", "libxen", "libyajl", "libuuid", "libz.", "liblzma", "libzstd", "libgcc_s"];

/// What QEMU boots.
pub struct Dom0 {
    /// The hypervisor, as a multiboot image.
    pub xen: PathBuf,
    /// Debian's kernel, not compressed: under emulation, Xen would take seconds to unpack it.
    pub kernel: PathBuf,
    /// Its root file system.
    pub initrd: PathBuf,
    /// Changes whenever one of them does.
    pub stamp: String,
    /// Where Debian's packages lie unpacked.
    pub root: PathBuf,
}

/// `$AIRGLOW_CACHE`, else `airglow` in the user's cache folder.
pub fn cache() -> Result<PathBuf> {
    let cache = env::var_os("AIRGLOW_CACHE")
        .map(PathBuf::from)
        .or_else(|| env::var_os("XDG_CACHE_HOME").map(|cache| PathBuf::from(cache).join("airglow")))
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/airglow")))
        .context("where to keep what is fetched? Set AIRGLOW_CACHE to a folder")?
        .join("xen");
    fs::create_dir_all(&cache).context(cache.display())?;
    Ok(cache)
}

/// A short number for `text`: FNV-1a.
fn stamp(text: &str) -> String {
    let hash =
        text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    format!("{hash:016x}")
}

/// What `command` prints; it must succeed.
pub fn run(command: &mut Command) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().context(&program)?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!("{program}: {}: {}", output.status, why.trim())));
    }
    Ok(output.stdout)
}

/// Fetches and assembles what is not in the cache yet.
pub fn prepare() -> Result<Dom0> {
    let cache = cache()?;
    // Emptied and refilled as one: the folder is renamed into place when it is complete.
    let parts = cache.join(format!("parts-{}", stamp(&PACKAGES.join(" "))));
    if !parts.is_dir() {
        fetch(&cache, &parts)?;
    }
    let init = init();
    let stamp = stamp(&format!("{init}{VIF}{BLOCK}{MODULES:?}{PROGRAMS:?}{LIBRARIES:?}{}", parts.display()));
    let root = parts.join("root");
    let initrd = cache.join(format!("dom0-{stamp}.cpio"));
    if !initrd.exists() {
        let step = Step::new("dom0's file system");
        let fresh = cache.join(format!("dom0-{}.new", std::process::id()));
        fs::write(&fresh, file_system(&root, &init)?).context(fresh.display())?;
        fs::rename(&fresh, &initrd).context(initrd.display())?;
        step.end("made");
    }
    Ok(Dom0 { xen: parts.join("xen"), kernel: parts.join("vmlinux"), initrd, stamp, root })
}

/// The other daemon for xenstore, the one in OCaml, as an addition to dom0's file system: dom0 takes it if it is there.
pub fn oxenstored(dom0: &Dom0) -> Result<Archive> {
    // What xen-utils-common would install.
    const CONFIGURATION: &str = "xenstored-kva = /proc/xen/xsd_kva\nxenstored-port = /proc/xen/xsd_port\n";
    let mut archive = Archive::default();
    archive.file("etc/xen/oxenstored.conf", CONFIGURATION.as_bytes());
    archive.copy("bin/oxenstored", &dom0.root.join(format!("usr/lib/xen-{XEN}/bin/oxenstored")))?;
    Ok(archive)
}

/// The headers and static libraries of Xen's tools: the folder that they were unpacked into.
pub fn development() -> Result<PathBuf> {
    const PACKAGE: &str = "libxen-dev";
    let folder = cache()?.join(format!("{PACKAGE}-{XEN}"));
    if !folder.is_dir() {
        let work = cache()?.join(format!("{PACKAGE}-{}.new", std::process::id()));
        let _ = fs::remove_dir_all(&work);
        let step = Step::new(format!("Debian's {PACKAGE}"));
        unpack_packages(&[PACKAGE], &work, &work, &step)?;
        fs::rename(&work, &folder).context(folder.display())?;
        step.end("fetched");
    }
    Ok(folder)
}

fn fetch(cache: &Path, parts: &Path) -> Result {
    if !packages::in_path("apt-get") || !packages::in_path("dpkg") {
        return Err(Failure::new(
            "Xen, its tools and a kernel for dom0 are taken from Debian 12's packages with apt-get and dpkg; \
             on another system, run this in a Debian container, or boot the kernel of `cargo airglow build --on xen` \
             with your own Xen and the xl configuration beside it",
        ));
    }
    packages::need(&["xz-utils"])?;
    let kernel =
        String::from_utf8_lossy(&run(Command::new("apt-cache").args(["depends", "linux-image-amd64"]))?)
            .lines()
            .find_map(|line| {
                Some(line.trim().strip_prefix("Depends: ")?.to_owned())
                    .filter(|n| n.starts_with("linux-image-"))
            })
            .context(
                "apt knows no linux-image-amd64; `apt-get update` may help, and it must be Debian on a PC",
            )?;
    let work = cache.join(format!("parts-{}.new", std::process::id()));
    let _ = fs::remove_dir_all(&work);
    let root = work.join("root");
    let names: Vec<&str> = PACKAGES.iter().copied().chain([kernel.as_str()]).collect();
    let step = Step::of(format!("{} Debian packages for Xen and dom0", names.len()), names.len() as u64 * 2);
    unpack_packages(&names, &work, &root, &step)?;

    let xen = run(Command::new("zcat").arg(root.join(format!("boot/xen-{XEN}-amd64.gz"))))?;
    fs::write(work.join("xen"), xen).context("xen")?;
    fs::write(work.join("vmlinux"), unpack_kernel(&root)?).context("vmlinux")?;
    strip_modules(&root);
    fs::rename(&work, parts).context(parts.display())?;
    step.end("fetched");
    Ok(())
}

/// Fetches Debian packages into `work` and unpacks them into `root`.
fn unpack_packages(names: &[&str], work: &Path, root: &Path, step: &Step) -> Result {
    let debs = work.join("debs");
    fs::create_dir_all(&debs).context(debs.display())?;
    fs::create_dir_all(root).context(root.display())?;
    let log = work.join("log");
    let limit = Duration::from_secs(900);
    for (i, name) in names.iter().enumerate() {
        step.doing(name);
        let download = || {
            let mut command = Command::new("apt-get");
            command.current_dir(&debs).args(["-q", "-o", "APT::Sandbox::User=root", "download", name]);
            process::logged(&mut command, &log, limit, step, |_| {})
        };
        if !download()?.success() {
            // Old package lists name files that are gone.
            if packages::root() {
                process::logged(Command::new("apt-get").args(["-q", "update"]), &log, limit, step, |_| {})?;
            }
            if !download()?.success() {
                let text = fs::read_to_string(&log).unwrap_or_default();
                return Err(Failure::new(format!("apt-get download {name} failed:\n{}", text.trim())));
            }
        }
        step.at(i as u64 + 1);
    }
    let list: Vec<_> = fs::read_dir(&debs).context(debs.display())?.flatten().map(|e| e.path()).collect();
    for (i, deb) in list.iter().enumerate() {
        run(Command::new("dpkg").arg("-x").arg(deb).arg(root))?;
        step.at((names.len() + i + 1) as u64);
    }
    fs::remove_dir_all(&debs).context(debs.display())?;
    Ok(())
}

fn kernel_image(root: &Path) -> Result<PathBuf> {
    let boot = root.join("boot");
    let entries = fs::read_dir(&boot).context(boot.display())?.flatten();
    entries
        .map(|entry| entry.path())
        .find(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("vmlinuz-")))
        .context("the kernel package has no kernel")
}

/// Finds the xz stream in the kernel's self-extracting image and unpacks it.
fn unpack_kernel(root: &Path) -> Result<Vec<u8>> {
    const XZ: &[u8] = b"\xfd7zXZ\0";
    let path = kernel_image(root)?;
    let image = fs::read(&path).context(path.display())?;
    let start =
        image.windows(XZ.len()).position(|w| w == XZ).context("the kernel is not compressed with xz")?;
    let packed = path.with_extension("xz");
    fs::write(&packed, &image[start..]).context(packed.display())?;
    // What follows the stream makes xz complain after it has unpacked it.
    let output = Command::new("xz")
        .args(["-dc", "--format=xz"])
        .arg(&packed)
        .stderr(Stdio::null())
        .stdin(Stdio::null())
        .output()
        .context("xz")?;
    let _ = fs::remove_file(&packed);
    if output.stdout.starts_with(b"\x7fELF") {
        Ok(output.stdout)
    } else {
        Err(Failure::new("the kernel could not be unpacked"))
    }
}

/// The file of one of the modules of Debian's kernel.
pub fn module(root: &Path, name: &str) -> Option<PathBuf> {
    let mut folders = vec![root.join("lib/modules")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).ok()?.flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                folders.push(path);
            } else if path.file_name().is_some_and(|n| n.to_string_lossy() == format!("{name}.ko")) {
                return Some(path);
            }
        }
    }
    None
}

/// Without debugging data and signatures modules load faster; where there is no `strip`, they load as they are.
fn strip_modules(root: &Path) {
    for path in MODULES.iter().filter_map(|name| module(root, name)) {
        let _ = Command::new("strip").arg("-g").arg(path).stderr(Stdio::null()).status();
    }
}

/// Dom0's root file system.
fn file_system(root: &Path, init: &str) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for folder in [
        "bin",
        "dev",
        "proc",
        "sys",
        "tmp",
        "run",
        "root",
        "job",
        "lib",
        "lib/modules",
        "lib64",
        "usr",
        "usr/lib",
        "var",
        "var/lib",
        "var/lib/xen",
        "var/lib/xenstored",
        "var/log",
        "var/log/xen",
        "etc",
        "etc/xen",
        "etc/xen/scripts",
    ] {
        archive.folder(folder);
    }
    let xen_bin = format!("usr/lib/xen-{XEN}/bin");
    archive.folder(&format!("usr/lib/xen-{XEN}"));
    archive.folder(&xen_bin);
    archive.link("var/run", "/run");
    archive.link("var/lock", "/run/lock");
    archive.link("usr/lib/x86_64-linux-gnu", "../../lib");

    let busybox = root.join("bin/busybox");
    archive.copy("bin/busybox", &busybox)?;
    let applets = run(Command::new(&busybox).arg("--list"))?;
    for applet in String::from_utf8_lossy(&applets).lines().filter(|name| *name != "busybox") {
        archive.link(&format!("bin/{applet}"), "busybox");
    }
    for program in PROGRAMS {
        archive.copy(&format!("{xen_bin}/{program}"), &root.join(&xen_bin).join(program))?;
        archive.link(&format!("bin/{program}"), &format!("/{xen_bin}/{program}"));
    }
    for tool in ["", "-exists", "-list", "-ls", "-read", "-rm", "-watch", "-write", "-chmod"] {
        archive.copy(&format!("bin/xenstore{tool}"), &root.join(format!("usr/bin/xenstore{tool}")))?;
    }
    for folder in ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"] {
        let folder = root.join(folder);
        for entry in fs::read_dir(&folder).context(folder.display())?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let wanted = LIBRARIES.iter().any(|library| name.starts_with(library)) && name.contains(".so.");
            if wanted || name == "libc.so.6" || name == "libm.so.6" {
                archive.copy(&format!("lib/{name}"), &entry.path())?;
            }
        }
    }
    archive.copy("lib64/ld-linux-x86-64.so.2", &root.join("lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"))?;
    for name in MODULES {
        let path = module(root, name).context_with(|| format!("Debian's kernel has no module {name}"))?;
        archive.copy(&format!("lib/modules/{name}.ko"), &path)?;
    }
    archive.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n");
    archive.file("etc/group", b"root:x:0:\n");
    let xl = "autoballoon=\"off\"\nlockfile=\"/run/xl.lock\"\nvif.default.script=\"/etc/xen/scripts/vif-airglow\"\n";
    archive.file("etc/xen/xl.conf", xl.as_bytes());
    archive.program("etc/xen/scripts/vif-airglow", VIF.as_bytes());
    archive.program("etc/xen/scripts/block", BLOCK.as_bytes());
    archive.program("init", init.as_bytes());
    Ok(archive.finish())
}

/// What xl runs for a network interface: puts it on its bridge. Debian's own script is bash and slow under emulation.
const VIF: &str = "#!/bin/sh
PATH=/bin
case \"$1\" in online|add)
  bridge=$(xenstore-read $XENBUS_PATH/bridge 2>/dev/null)
  ip link set \"$vif\" up
  [ -n \"$bridge\" ] && ip link set \"$vif\" master \"$bridge\"
  xenstore-write $XENBUS_PATH/hotplug-status connected;;
esac
exit 0
";

/// What xl runs for a disk: a block device as it is, a file through a loop device.
const BLOCK: &str = "#!/bin/sh
PATH=/bin
case \"$1\" in
add)
  device=$(xenstore-read $XENBUS_PATH/params)
  if [ -f \"$device\" ]; then
    loop=$(losetup -f); losetup $loop \"$device\"; xenstore-write $XENBUS_PATH/node $loop; device=$loop
  fi
  xenstore-write $XENBUS_PATH/physical-device $(stat -L -c '%t:%T' $device) \\
    $XENBUS_PATH/physical-device-path $device $XENBUS_PATH/hotplug-status connected;;
remove)
  loop=$(xenstore-read $XENBUS_PATH/node 2>/dev/null)
  [ -n \"$loop\" ] && losetup -d $loop;;
esac
exit 0
";

/// Dom0's first process: brings up xenstore, consoles and the bridge, then runs each line that comes in on the control port
/// as a command and answers with its output and `AIRGLOW-STATUS` and its status.
fn init() -> String {
    format!(
        "#!/bin/sh
export PATH=/bin HOME=/root
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mkdir -p /dev/pts
mount -t devpts pts /dev/pts; mount -t tmpfs run /run; mkdir -p /run/xen /run/xenstored /run/lock
for module in {}; do insmod /lib/modules/$module.ko; done
mount -t xenfs xenfs /proc/xen
if [ -x /bin/oxenstored ]; then oxenstored; else xenstored --pid-file /run/xenstored.pid; fi
# What xen-init-dom0 would write.
xenstore-write /local/domain/0/domid 0 /local/domain/0/name Domain-0 /local/pool/0/name Pool-0 /local/domain/0/data ''
xenconsoled --pid-file=/run/xenconsoled.pid
ip link set lo up; ip link add xenbr0 type bridge; ip link set xenbr0 up; ip addr add 10.0.2.15/24 dev xenbr0
[ -e /sys/class/net/eth0 ] && {{ ip link set eth0 up; ip link set eth0 master xenbr0; }}
stty -F /dev/ttyS1 raw -echo
n=0
while set -- /dev/vport*p1; [ ! -c \"$1\" ]; do
  n=$((n+1)); [ $n -gt 500 ] && {{ echo 'no control port'; poweroff -f; }}; usleep 20000
done
exec 3<>$1
stty -F $1 raw -echo 2>/dev/null
echo AIRGLOW-READY >&3
while read -r line <&3; do
  sh -c \"$line\" >&3 2>&1 </dev/null
  echo \"AIRGLOW-STATUS $?\" >&3
done
poweroff -f
",
        MODULES.join(" ")
    )
}
