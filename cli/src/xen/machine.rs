//! A PC under emulation with Xen and dom0 running: booted once and saved, restored from then on in under a second.
//!
//! Always TCG, never KVM: Xen wants the whole processor, and what offers `/dev/kvm` may itself be virtual and unable to run it.
use super::{archive::Archive, dom0::Dom0};
use crate::{
    failure::{Context, Failure, Result},
    process,
    progress::Step,
};
use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Bytes of the disk on which files come into dom0.
const JOB_DISK: u64 = 256 << 20;
/// Bytes of the disk for guests' block devices.
pub const GUEST_DISK: u64 = 16 << 20;

/// The machine's address on dom0's bridge, and the guest's.
pub const GUEST: &str = "10.0.2.50";

const XEN_WORDS: &str = "console=com1 com1=115200,8n1 noreboot edd=off spec-ctrl=no loglvl=warning guest_loglvl=warning \
                         dom0_mem=512M,max:512M dom0_max_vcpus=1";
const DOM0_WORDS: &str = "console=hvc0 quiet loglevel=3 rodata=off mitigations=off apparmor=0 lsm= audit=0 init_on_alloc=0 \
                          cryptomgr.notests tsc=reliable swiotlb=2048";

/// A port of this machine that leads to one of the guest.
#[derive(Clone, Copy, Debug)]
pub struct Forward {
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// On 127.0.0.1.
    pub here: u16,
    /// At the guest.
    pub there: u16,
}

/// A running machine. It ends when this is dropped.
pub struct Machine {
    child: Child,
    folder: PathBuf,
    control: BufReader<UnixStream>,
}

/// The guest's console, both ways.
pub fn console(machine: &Machine) -> Result<UnixStream> {
    connect(&machine.folder.join("console"))
}

/// How long dom0 may take to come up from nothing.
const BOOT: Duration = Duration::from_secs(120);
/// How long a command in dom0 may take.
const COMMAND: Duration = Duration::from_secs(120);

impl Machine {
    /// Starts a machine with these files in dom0's `/job` (names and contents) and these ports forwarded. `disk` is the
    /// content of the guests' disk, `/dev/vdb` in dom0.
    pub fn start(dom0: &Dom0, files: &[(&str, &[u8])], disk: &[u8], forwards: &[Forward]) -> Result<Self> {
        let cache = super::dom0::cache()?;
        clean(&cache);
        let state = cache.join(format!("state-{}-{}", dom0.stamp, qemu_version()?));
        for attempt in 0..3 {
            if !state.exists() {
                save(dom0, &cache, &state)?;
            }
            let mut machine = Self::spawn(&cache, files, disk, Network::User(forwards), |qemu, _| {
                qemu.arg("-incoming").arg(format!("exec:cat {}", quoted(&state)));
                Ok(())
            })?;
            // One saved state in ten is bad, for reasons that lie in the emulation of timers: dom0 dies soon after it
            // is restored. Such a state is made anew.
            match machine.unpack() {
                Ok(()) => return Ok(machine),
                Err(why) if attempt == 2 => return Err(why),
                Err(_) => {
                    drop(machine);
                    let _ = fs::remove_file(&state);
                }
            }
        }
        Err(Failure::new("dom0 does not run"))
    }

    /// Boots a machine from nothing, with more `files` in dom0, its network card the device `tap0` of the network namespace `namespace`
    /// and what `more` adds to dom0's file system.
    pub fn cold(dom0: &Dom0, files: &[(&str, &[u8])], namespace: &str, more: Archive) -> Result<Self> {
        let cache = super::dom0::cache()?;
        clean(&cache);
        let mut machine = Self::spawn(&cache, files, &[], Network::Tap(namespace), |qemu, folder| {
            // Linux unpacks archives that lie one behind the other.
            let mut initrd = fs::read(&dom0.initrd).context(dom0.initrd.display())?;
            initrd.extend(more.finish());
            let path = folder.join("initrd");
            fs::write(&path, initrd).context(path.display())?;
            boots(qemu, dom0, &path);
            Ok(())
        })?;
        machine.ready(Instant::now() + BOOT)?;
        machine.unpack()?;
        Ok(machine)
    }

    /// Waits until dom0 takes commands.
    fn ready(&mut self, deadline: Instant) -> Result {
        while self.line(deadline)?.trim() != "AIRGLOW-READY" {}
        Ok(())
    }

    fn spawn(
        cache: &Path,
        files: &[(&str, &[u8])],
        disk: &[u8],
        network: Network<'_>,
        more: impl FnOnce(&mut Command, &Path) -> Result,
    ) -> Result<Self> {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = cache.join(format!("run-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).context(folder.display())?;
        let file = |name: &str| folder.join(name);
        write_disk(&file("job.img"), JOB_DISK, &job(files))?;
        write_disk(&file("guest.img"), GUEST_DISK, disk)?;
        let mut qemu = match network {
            Network::User(_) => process::tied("qemu-system-x86_64"),
            Network::Tap(namespace) => {
                let mut ip = process::tied("ip");
                ip.args(["netns", "exec", namespace, "qemu-system-x86_64"]);
                ip
            }
        };
        let network = match network {
            Network::Tap(_) => "tap,id=net,ifname=tap0,script=no,downscript=no".to_owned(),
            Network::User(forwards) => forwards.iter().fold("user,id=net".to_owned(), |network, f| {
                network + &format!(",hostfwd={}:127.0.0.1:{}-{GUEST}:{}", f.protocol, f.here, f.there)
            }),
        };
        let socket = |name: &str| format!("socket,id={name},path={},server=on,wait=off", comma(&file(name)));
        let drive = |id: &str| {
            format!("if=none,id={id},file={},format=raw,cache=unsafe", comma(&file(&format!("{id}.img"))))
        };
        let log = fs::File::create(file("qemu.log")).context("qemu.log")?;
        // SMAP off: QEMU's emulation takes an IRET in ring 3 for a supervisor access, of which a PV kernel dies.
        qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max,-smap", "-smp", "2", "-m", "1024"])
            .args(["-nodefaults", "-nographic", "-no-reboot"])
            .args(["-drive", &drive("job"), "-device", "virtio-blk-pci,drive=job"])
            .args(["-drive", &drive("guest"), "-device", "virtio-blk-pci,drive=guest"])
            .args(["-netdev", &network, "-device", "virtio-net-pci,netdev=net,romfile="])
            .arg("-serial")
            .arg(format!("file:{}", file("xen.log").display()))
            .args(["-chardev", &socket("console"), "-serial", "chardev:console"])
            .args(["-device", "virtio-serial-pci", "-chardev", &socket("control")])
            .args(["-device", "virtserialport,chardev=control,name=control"])
            .args(["-chardev", &socket("monitor"), "-mon", "chardev=monitor"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        more(&mut qemu, &folder)?;
        let child = qemu.spawn().context("qemu-system-x86_64")?;
        let mut guard = Ending(Some(child));
        let control = connect(&file("control"))?;
        let child = guard.0.take().context("no process")?;
        Ok(Self { child, folder, control: BufReader::new(control) })
    }

    /// Takes the files off the exchanged disk: also the proof that dom0 is alive.
    fn unpack(&mut self) -> Result {
        let command = "blockdev --flushbufs /dev/vda; blockdev --flushbufs /dev/vdb; \
                       n=$(dd if=/dev/vda bs=512 count=1 2>/dev/null | tr -d '\\000'); cd /job && \
                       dd if=/dev/vda bs=4k skip=1 count=$n 2>/dev/null | cpio -i -m 2>/dev/null; usleep 200000";
        let (status, output) = self.command_within(command, Duration::from_secs(20))?;
        if status == 0 { Ok(()) } else { Err(Failure::new(format!("dom0: {output}"))) }
    }

    /// Runs a command line in dom0's shell; its status and output.
    pub fn command(&mut self, line: &str) -> Result<(i32, String)> {
        self.command_within(line, COMMAND)
    }

    /// The same with another time limit.
    pub fn command_within(&mut self, line: &str, limit: Duration) -> Result<(i32, String)> {
        debug_assert!(!line.contains('\n'));
        // The reading shell takes a backslash as it is (`read -r`).
        let stream = self.control.get_mut();
        stream.write_all(format!("{line}\n").as_bytes()).context("dom0's control port")?;
        let mut output = String::new();
        let deadline = Instant::now() + limit;
        loop {
            let text = self
                .line(deadline)
                .map_err(|why| Failure::new(format!("dom0: `{line}`: {why}\n{output}")))?;
            if let Some(status) = text.strip_prefix("AIRGLOW-STATUS ") {
                return Ok((status.trim().parse().unwrap_or(-1), output));
            }
            output += &text;
            output.push('\n');
        }
    }

    /// Runs a command in dom0 that must succeed; its output.
    pub fn must(&mut self, line: &str) -> Result<String> {
        match self.command(line)? {
            (0, output) => Ok(output),
            (status, output) => {
                Err(Failure::new(format!("dom0: `{line}` failed with {status}: {}", output.trim())))
            }
        }
    }

    /// The next line on the control port.
    fn line(&mut self, deadline: Instant) -> Result<String> {
        let mut bytes = Vec::new();
        loop {
            match self.control.read_until(b'\n', &mut bytes) {
                Ok(0) => return Err(self.obituary()),
                Ok(_) if bytes.ends_with(b"\n") => {
                    let text = String::from_utf8_lossy(&bytes);
                    return Ok(text.trim_end_matches(['\n', '\r']).to_owned());
                }
                Ok(_) => {}
                Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(why) => return Err(why).context("dom0's control port"),
            }
            if self.xen_log().contains("Hardware Dom0 crashed") {
                return Err(Failure::new("dom0 crashed"));
            }
            if Instant::now() > deadline {
                return Err(Failure::new(format!("no answer in time; {}", self.obituary())));
            }
        }
    }

    fn obituary(&mut self) -> Failure {
        let qemu = fs::read_to_string(self.folder.join("qemu.log")).unwrap_or_default();
        Failure::new(format!(
            "{}{}",
            qemu.trim(),
            self.xen_log().lines().rev().take(5).collect::<Vec<_>>().join(" / ")
        ))
    }

    /// What Xen itself has said.
    pub fn xen_log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.join("xen.log")).unwrap_or_default()).into_owned()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Ends a process that nobody took over.
struct Ending(Option<Child>);

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What dom0's network card is connected to.
#[derive(Clone, Copy)]
enum Network<'a> {
    /// QEMU's own network, with these ports.
    User(&'a [Forward]),
    /// `tap0` in this network namespace.
    Tap(&'a str),
}

/// Has QEMU boot the hypervisor with dom0.
fn boots(qemu: &mut Command, dom0: &Dom0, initrd: &Path) {
    qemu.arg("-kernel").arg(&dom0.xen).args(["-append", XEN_WORDS, "-initrd"]);
    qemu.arg(format!("{} {},{}", comma(&dom0.kernel), DOM0_WORDS.replace(',', ",,"), comma(initrd)));
}

/// Boots Xen and dom0 and saves the machine's state.
fn save(dom0: &Dom0, cache: &Path, state: &Path) -> Result {
    let step = Step::new("booting Xen and dom0 once");
    // States of older versions are of no use.
    for entry in fs::read_dir(cache).context(cache.display())?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("state-") {
            let _ = fs::remove_file(entry.path());
        }
    }
    let mut machine = Machine::spawn(cache, &[], &[], Network::User(&[]), |qemu, _| {
        boots(qemu, dom0, &dom0.initrd);
        Ok(())
    })?;
    let deadline = Instant::now() + BOOT;
    machine.ready(deadline)?;
    std::thread::sleep(Duration::from_millis(300));
    step.doing("saving the machine's state");
    let fresh = cache.join(format!("state-{}.new", std::process::id()));
    let mut monitor = connect(&machine.folder.join("monitor"))?;
    // Not stopped before: a state saved while the machine stands still stands still when it is restored.
    let commands = format!(
        "migrate_set_parameter max-bandwidth 100G\nmigrate \"exec:cat > {}\"\nquit\n",
        quoted(&fresh)
    );
    monitor.write_all(commands.as_bytes()).context("QEMU's monitor")?;
    let mut text = Vec::new();
    while machine.child.try_wait().context("qemu")?.is_none() {
        let mut buffer = [0; 4096];
        if let Ok(count) = monitor.read(&mut buffer) {
            text.extend(buffer.iter().take(count));
        }
        if Instant::now() > deadline {
            return Err(Failure::new(format!(
                "the machine's state was not saved: {}",
                String::from_utf8_lossy(&text)
            )));
        }
    }
    fs::rename(&fresh, state).context(state.display())?;
    step.end("saved");
    Ok(())
}

/// The files as an archive behind one page that says how long it is, in blocks of 4096 bytes.
fn job(files: &[(&str, &[u8])]) -> Vec<u8> {
    if files.is_empty() {
        return Vec::new();
    }
    let mut archive = Archive::default();
    for (name, content) in files {
        archive.program(name, content);
    }
    let archive = archive.finish();
    let mut disk = archive.len().div_ceil(4096).to_string().into_bytes();
    disk.resize(4096, 0);
    disk.extend(archive);
    disk
}

fn write_disk(path: &Path, size: u64, content: &[u8]) -> Result {
    if content.len() as u64 > size {
        return Err(Failure::new(format!("{} bytes do not fit the disk of {size}", content.len())));
    }
    fs::write(path, content).context(path.display())?;
    fs::File::options().write(true).open(path).and_then(|f| f.set_len(size)).context(path.display())
}

fn connect(path: &Path) -> Result<UnixStream> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => {
                stream.set_read_timeout(Some(Duration::from_millis(100))).context(path.display())?;
                return Ok(stream);
            }
            Err(why) if Instant::now() > deadline => return Err(why).context("QEMU does not start"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// The folders of runs whose process is gone.
fn clean(cache: &Path) {
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(process) = name.strip_prefix("run-").and_then(|rest| rest.split('-').next()) else {
            continue;
        };
        if !Path::new("/proc").join(process).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn qemu_version() -> Result<String> {
    let output =
        Command::new("qemu-system-x86_64").arg("--version").output().context("qemu-system-x86_64")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split_whitespace().nth(3).context("qemu-system-x86_64 --version")?;
    Ok(version.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').collect())
}

/// QEMU's way to write a comma in a value.
fn comma(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// A word for the shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}
