//! `cargo airglow test xen`: kernels in the real hypervisor, under emulation, with Linux's own backends in dom0.
mod bridge;
mod cipher;
mod devices;
mod dns;
mod secure;
mod switch;
mod vchan;

use super::{
    dom0, kernel, linux,
    machine::{self, Forward, Machine},
    run,
    symbols::Symbols,
};
use crate::{
    failure::{Context, Failure, Result},
    ofctl,
    test::Tests,
    workspace::Workspace,
};
use std::{
    collections::BTreeMap,
    env, fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Under emulation on a loaded machine everything takes long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The area `xen`.
pub fn test(tests: &mut Tests) -> Result {
    tests.need(run::PACKAGES)?;
    tests.need(&["bind9-dnsutils", "curl", "iproute2"])?;
    tests.need(linux::PACKAGES)?;
    tests.need(ofctl::PACKAGES)?;
    tests.cargo("Xen: rings and protocols, on this machine", "test --package airglow-platform-xen");
    // While one of them is being worked on: AIRGLOW_XEN=disk runs those with `disk` in their name.
    let only = env::var("AIRGLOW_XEN").unwrap_or_default();
    let mut kernels = None;
    tests.check("Xen: kernels", |workspace| {
        kernels = Some(Kernels::build(workspace, &only)?);
        Ok(())
    });
    let Some(kernels) = kernels else { return Ok(()) };
    let mut dom0 = None;
    tests.check("Xen: dom0", |_| {
        dom0 = Some(dom0::prepare()?);
        Ok(())
    });
    let Some(dom0) = dom0 else { return Ok(()) };
    for Check { title, kernel, check } in CHECKS.iter().filter(|check| check.title.contains(&only)) {
        tests.check(&format!("Xen: {title}"), |workspace| check(workspace, &dom0, kernels.path(kernel)?));
    }
    Ok(())
}

/// What is tried in the hypervisor, and with which kernel: an application's or an example's of `platform-xen`.
struct Check {
    title: &'static str,
    kernel: &'static str,
    check: fn(&Workspace, &dom0::Dom0, &Path) -> Result,
}

const fn check(
    title: &'static str,
    kernel: &'static str,
    check: fn(&Workspace, &dom0::Dom0, &Path) -> Result,
) -> Check {
    Check { title, kernel, check }
}

const CHECKS: &[Check] = &[
    check("the website", "website", serves),
    check("save and restore", "website", survives),
    check("how faults end", "faults", faults_end),
    check("a disk", "disk", counts_starts),
    check("a download across save and restore", "pump", devices::downloads),
    check("devices that go and come", "disk", devices::go_and_come),
    check("a name server", "dns-zone", dns::answers),
    check("TLS", "https-page", secure::serves),
    check("AES instructions", "cipher_rate", cipher::is_used),
    check("an OpenFlow switch", "openflow-switch", switch::switches),
    check("a tap, a Linux guest and oxenstored", "pump", bridge::carries),
    check("vchan, libxenvchan is the client", "vchan_echo", vchan::serves_libxenvchan),
    check("vchan, libxenvchan is the server", "vchan_echo", vchan::is_served_by_libxenvchan),
    check("two guests, HTTP over vchan", "vchan-web", vchan::carries_http),
];

/// The kernels that the checks need, by their names.
struct Kernels(BTreeMap<&'static str, PathBuf>);

impl Kernels {
    /// Builds those of the checks with `only` in their name, and prints some sizes.
    fn build(workspace: &Workspace, only: &str) -> Result<Self> {
        let mut kernels = BTreeMap::new();
        for Check { kernel, .. } in CHECKS.iter().filter(|check| check.title.contains(only)) {
            if kernels.contains_key(kernel) {
                continue;
            }
            let path = match workspace.app(Some(kernel)) {
                Ok(app) => kernel::build(workspace, &app)?,
                Err(_) => kernel::example(workspace, "airglow-platform-xen", kernel)?,
            };
            let sized = match *kernel {
                "faults" => Some("the platform, no application"),
                "website" => Some("with its content"),
                "dns-zone" => Some("with its zone"),
                "https-page" => Some("one page over TLS"),
                _ => None,
            };
            if let Some(what) = sized {
                println!("   {kernel} ({what}): {}", kernel::sizes(&path)?);
            }
            kernels.insert(*kernel, path);
        }
        Ok(Self(kernels))
    }

    fn path(&self, name: &str) -> Result<&Path> {
        self.0.get(name).map(PathBuf::as_path).context(name)
    }
}

/// The guest of one name: it is started, and its console read, by this name.
struct Guest<'a> {
    machine: &'a mut Machine,
    name: &'a str,
}

/// The one guest of most checks.
fn guest(machine: &mut Machine) -> Guest<'_> {
    Guest { machine, name: run::NAME }
}

impl Guest<'_> {
    /// Starts what `/job/CONFIGURATION.cfg` describes.
    fn start(&mut self, configuration: &str) -> Result {
        let name = self.name;
        self.machine.must(&format!(
            "rm -f /var/log/xen/xl-{name}.log /job/console-{name}; xl create -p -q /job/{configuration}.cfg && \
             id=$(xl domid {name}) && \
             {{ xenconsole --type pv --num 0 $id </dev/null >/job/console-{name} 2>/dev/null & }} && \
             usleep 100000 && xl unpause {name}"
        ))?;
        Ok(())
    }

    fn console(&mut self) -> Result<String> {
        Ok(self.machine.command(&format!("cat /job/console-{}", self.name))?.1)
    }

    /// Waits until `words` are on the console.
    fn says(&mut self, words: &str) -> Result {
        let waited = wait(&format!("`{words}` on the console of {}", self.name), || {
            Ok(self.console()?.contains(words))
        });
        waited.map_err(|why| self.with_console(&why))
    }

    /// An error, and what the guest and the hypervisor have said.
    fn with_console(&mut self, why: &Failure) -> Failure {
        let console = self.console().unwrap_or_default();
        Failure::new(format!("{why}; the console of {}:\n{console}\n{}", self.name, self.machine.xen_log()))
    }

    /// Saves it and restores it, and follows its console further.
    fn save_and_restore(&mut self) -> Result {
        let name = self.name;
        let saved = self.machine.must(&format!(
            "cd /job; xl save {name} /tmp/saved 2>&1 && wc -c </tmp/saved && xl restore -p /tmp/saved 2>&1 && id=$(xl domid {name}) && \
             {{ xenconsole --type pv --num 0 $id </dev/null >>/job/console-{name} 2>/dev/null & }} && usleep 100000 && \
             xl unpause {name} && rm /tmp/saved"
        ));
        saved.map(drop).map_err(|why| self.with_console(&why))
    }

    /// Waits for the end and returns the reason code.
    fn ended(&mut self) -> Result<i32> {
        let name = self.name;
        let (status, output) = self.machine.command(&format!(
            "n=0; log=/var/log/xen/xl-{name}.log; \
             while xl domid {name} >/dev/null 2>&1 || ! grep -q 'reason code' $log; do \
             n=$((n+1)); [ $n -gt 300 ] && exit 1; usleep 100000; done; \
             sed -n 's/.*has shut down, reason code \\([0-9]*\\).*/\\1/p' $log | tail -n 1"
        ))?;
        if status != 0 {
            return Err(self.with_console(&Failure::new(format!("{name} does not end"))));
        }
        output.trim().parse().map_err(|_| {
            let log = self.machine.command(&format!("cat /var/log/xen/xl-{name}.log")).unwrap_or_default().1;
            self.with_console(&Failure::new(format!("xl's log has no reason:\n{log}")))
        })
    }

    /// Seconds of processor time, as `xl list` has them.
    fn processor_time(&mut self) -> Result<f64> {
        let list = self.machine.must(&format!("xl list {}", self.name))?;
        list.split_whitespace().next_back().and_then(|t| t.parse().ok()).context("xl list")
    }
}

/// The disk of all guests here.
const DISK: &str = "disk = ['format=raw,vdev=xvda,access=rw,backendtype=phy,target=/dev/vdb']\n";

fn configuration(kernel: &str, memory: u32, words: &str, on_reboot: &str) -> String {
    kernel::xl(run::NAME, &format!("/job/{kernel}"), memory, words, DISK, on_reboot)
}

fn that(holds: bool, what: impl FnOnce() -> String) -> Result {
    if holds { Ok(()) } else { Err(Failure::new(what())) }
}

/// The website under Xen: pages, ping, idleness, statistics, reboot, shutdown.
fn serves(workspace: &Workspace, dom0: &dom0::Dom0, kernel: &Path) -> Result {
    let elf = fs::read(kernel).context(kernel.display())?;
    let port = run::free("tcp", 0).context("no free port")?;
    let words = format!("ipv4={}/24 gateway=10.0.2.2", machine::GUEST);
    let guest_configuration = configuration("website.elf", 32, &words, "restart");
    let files = [("website.elf", elf.as_slice()), ("website.cfg", guest_configuration.as_bytes())];
    let forward = Forward { protocol: "tcp", here: port, there: 80 };
    let mut machine = Machine::start(dom0, &files, &[], &[forward])?;
    let mut guest = guest(&mut machine);
    guest.start("website")?;

    let site = workspace.app(Some("website"))?.package.folder.join("site");
    let pages = pages(&site)?;
    that(!pages.is_empty(), || "the site has no pages".to_owned())?;
    guest.says("serving at")?;
    let started = Instant::now();
    if let Err(why) = fetch(port, "", PATIENCE) {
        return Err(guest.with_console(&why));
    }
    println!("   first page {:.2} s after it listened", started.elapsed().as_secs_f64());
    let mut bytes = 0;
    for page in &pages {
        let content = fs::read(site.join(page)).context(page)?;
        let got = fetch(port, page, PATIENCE)?;
        bytes += got.len();
        that(got == content, || {
            format!("/{page}: {} bytes came, which are not the file's {}", got.len(), content.len())
        })?;
    }
    println!("   {} files, {bytes} bytes, all as on the disk", pages.len());

    let ping = guest.machine.must(&format!("ping -c 5 -W 10 {}", machine::GUEST))?;
    that(ping.contains(" 0% packet loss"), || ping.clone())?;

    // Two seconds for connections to end, then ten in which nothing happens.
    thread::sleep(Duration::from_secs(2));
    let before = guest.processor_time()?;
    thread::sleep(Duration::from_secs(10));
    let used = guest.processor_time()? - before;
    println!("   idle: {used:.1} s of processor time in 10 s");
    that(used < 0.2, || format!("an idle guest used {used} s of processor time in 10 s"))?;

    guest.machine.must("xl sysrq guest s")?;
    guest.says("TCP: ")?;

    let old = guest.machine.must("xl domid guest")?;
    guest.machine.must("xl reboot guest")?;
    wait("the guest to start again", || {
        let now = guest.machine.command("xl domid guest")?;
        Ok(now.0 == 0 && now.1 != old)
    })?;
    let index = fetch(port, "", PATIENCE)?;
    that(index == fs::read(site.join("index.html")).context("index.html")?, || {
        "after a reboot the page is another".into()
    })?;

    guest.machine.must("xl shutdown guest")?;
    let reason = guest.ended()?;
    that(reason == 0, || format!("xl shutdown ended the guest with reason {reason} and not 0"))
}

/// `xl save` and `xl restore` with an open connection, on which the next request is answered as the first one was.
fn survives(workspace: &Workspace, dom0: &dom0::Dom0, kernel: &Path) -> Result {
    let elf = fs::read(kernel).context(kernel.display())?;
    let port = run::free("tcp", 0).context("no free port")?;
    let words = format!("ipv4={}/24 gateway=10.0.2.2", machine::GUEST);
    let guest_configuration = configuration("website.elf", 32, &words, "destroy");
    let files = [("website.elf", elf.as_slice()), ("website.cfg", guest_configuration.as_bytes())];
    let mut machine =
        Machine::start(dom0, &files, &[], &[Forward { protocol: "tcp", here: port, there: 80 }])?;
    let mut guest = guest(&mut machine);
    guest.start("website")?;
    guest.says("serving at")?;
    let index = fs::read(workspace.app(Some("website"))?.package.folder.join("site/index.html"))
        .context("index.html")?;

    let mut connection = TcpStream::connect(("127.0.0.1", port)).context("127.0.0.1")?;
    connection.set_read_timeout(Some(PATIENCE)).context("127.0.0.1")?;
    let first = request(&mut connection)?;
    that(first == index, || format!("before the save {} bytes came", first.len()))?;
    let started = Instant::now();
    guest.save_and_restore()?;
    let second = match request(&mut connection) {
        Ok(page) => page,
        Err(why) => return Err(guest.with_console(&why)),
    };
    that(second == index, || format!("after the restore {} bytes came", second.len()))?;
    println!(
        "   saved, restored and answering on the same connection after {:.1} s",
        started.elapsed().as_secs_f64()
    );
    let other = fetch(port, "", PATIENCE)?;
    that(other == index, || "a new connection gets another page".to_owned())?;
    guest.machine.must("xl shutdown guest")?;
    let reason = guest.ended()?;
    that(reason == 0, || format!("xl shutdown ended the restored guest with reason {reason}"))
}

/// One request on an open connection; the body of its answer.
fn request(connection: &mut TcpStream) -> Result<Vec<u8>> {
    connection.write_all(b"GET / HTTP/1.1\r\nHost: guest\r\n\r\n").context("request")?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&answer).into_owned();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            let length = length.context_with(|| format!("an answer without a length: {head}"))?;
            if answer.len() >= head.len() + 4 + length {
                return Ok(answer[head.len() + 4..].to_vec());
            }
        }
        match connection.read(&mut buffer).context("answer")? {
            0 => return Err(Failure::new(format!("the connection ended after {} bytes", answer.len()))),
            count => answer.extend(&buffer[..count]),
        }
    }
}

/// The files of the site, by their paths.
pub fn pages(site: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![site.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).context(folder.display())?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(name) = path.strip_prefix(site) {
                found.push(name.display().to_string());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// What `curl` gets for a path, tried again until the guest answers.
fn fetch(port: u16, path: &str, limit: Duration) -> Result<Vec<u8>> {
    let deadline = Instant::now() + limit;
    let url = format!("http://127.0.0.1:{port}/{path}");
    loop {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "20", &url])
            .stdin(Stdio::null())
            .output()
            .context("curl")?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let why = String::from_utf8_lossy(&output.stderr);
        // 22 is an answer: an HTTP error.
        if output.status.code() == Some(22) || Instant::now() > deadline {
            return Err(Failure::new(format!("{url}: {}", why.trim())));
        }
        thread::sleep(Duration::from_millis(200));
    }
}

fn wait(what: &str, mut done: impl FnMut() -> Result<bool>) -> Result {
    let deadline = Instant::now() + PATIENCE;
    while !done()? {
        if Instant::now() > deadline {
            return Err(Failure::new(format!("waited {} s in vain for {what}", PATIENCE.as_secs())));
        }
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// What each fault prints, and the reason with which the domain ends.
const FAULTS: &[(&str, i32, &[&str])] = &[
    ("", 0, &[]),
    ("error", 3, &["airglow: the application's own words"]),
    ("panic", 3, &["as the boot parameters ask", "faults.rs", "backtrace", "the domain ends: crash"]),
    ("null", 3, &["page fault", "writing address 0x0000000000000018", "a null pointer", "rip", "backtrace"]),
    ("text", 3, &["page fault", "writing address"]),
    ("constant", 3, &["page fault", "writing address"]),
    ("execute", 3, &["page fault", "executing address"]),
    ("divide", 3, &["divide error", "rax", "backtrace"]),
    ("memory", 3, &["memory allocation of 65536 bytes failed", "the domain ends: crash"]),
    // The stack's guard page leaves no room even for the exception: Xen itself ends the domain.
    ("stack", 3, &[]),
];

/// Kernels that go wrong: each ends in its way, and says why.
fn faults_end(_: &Workspace, dom0: &dom0::Dom0, kernel: &Path) -> Result {
    let elf = fs::read(kernel).context(kernel.display())?;
    let mut files = vec![("faults.elf".to_owned(), elf)];
    for (fault, ..) in FAULTS {
        let words = format!("ipv4={}/24 fault={fault}", machine::GUEST);
        files.push((
            format!("faults-{fault}.cfg"),
            configuration("faults.elf", 16, &words, "destroy").into_bytes(),
        ));
    }
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
    let mut machine = Machine::start(dom0, &files, &[], &[])?;
    let mut guest = guest(&mut machine);
    let symbols = Symbols::read(kernel)?;
    for (fault, reason, words) in FAULTS {
        guest.start(&format!("faults-{fault}"))?;
        let ended = guest.ended()?;
        let console = guest.console()?;
        that(ended == *reason, || {
            format!("fault={fault} ended with reason {ended} and not {reason}:\n{console}")
        })?;
        // The report's addresses are those of functions of this kernel.
        if words.contains(&"backtrace") {
            let named = console.lines().filter(|line| symbols.annotate(line).contains("+0x")).count();
            that(named >= 3, || {
                format!("fault={fault}: only {named} functions of the backtrace are known:\n{console}")
            })?;
        }
        for word in *words {
            that(console.contains(word), || {
                format!("fault={fault}: no `{word}` on the console:\n{console}")
            })?;
        }
    }
    let log = guest.machine.xen_log();
    that(log.contains("domain_crash_sync"), || format!("Xen did not see the stack run over:\n{log}"))?;
    that(symbols.stack_overflow(&log).is_some(), || format!("the stack is not told by Xen's words:\n{log}"))
}

/// Linux's blkback under our blkfront: every byte is read, what is written is there in dom0 and at the next start.
fn counts_starts(_: &Workspace, dom0: &dom0::Dom0, kernel: &Path) -> Result {
    let elf = fs::read(kernel).context(kernel.display())?;
    let words = format!("ipv4={}/24", machine::GUEST);
    let guest_configuration = configuration("disk.elf", 64, &words, "destroy");
    let mut content: Vec<u8> =
        (0..machine::GUEST_DISK as u32).map(|i| (i / 3).wrapping_mul(0x9e37_79b1).to_be_bytes()[0]).collect();
    content[512] = 0;
    let files = [("disk.elf", elf.as_slice()), ("disk.cfg", guest_configuration.as_bytes())];
    let mut machine = Machine::start(dom0, &files, &content, &[])?;
    let mut guest = guest(&mut machine);
    for start in 1..=2u8 {
        let sum = content
            .iter()
            .fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3));
        guest.start("disk")?;
        let ended = guest.ended()?;
        let console = guest.console()?;
        for line in console.lines().filter(|line| line.contains("read ")) {
            println!("   {}", line.trim());
        }
        that(ended == 0, || format!("reason {ended}:\n{console}"))?;
        let expected = [
            format!("sum {sum:016x}"),
            format!("start number {start}"),
            "beyond the end: Err(OutOfRange)".into(),
        ];
        for words in expected {
            that(console.contains(&words), || format!("no `{words}` on the console:\n{console}"))?;
        }
        content[512] = start;
        let written = guest.machine.must("blockdev --flushbufs /dev/vdb; dd if=/dev/vdb bs=512 skip=1 count=1 2>/dev/null | od -An -tu1 -N1")?;
        that(written.trim() == start.to_string(), || {
            format!("in dom0 the disk has {} and not {start}", written.trim())
        })?;
    }
    Ok(())
}
