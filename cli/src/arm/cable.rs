//! The 64 KiB board on a real Ethernet: a tap device in a network namespace, with the programs that people have at the other end of
//! the cable, and with what happens to cables.
use super::{
    boards::Board,
    emulator::{self, Running},
    image,
};
use crate::{
    failure::{Context, Failure, Result},
    workspace::Workspace,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// What the checks call, and the Debian packages they need.
pub const NEEDS: &[&str] = &["chromium", "curl", "dnsmasq", "iproute2", "iputils-ping", "tshark"];

const OWN: &str = "10.77.0.1";
const BOARD: &str = "10.77.0.50";

/// How bad the bad cable is, in the words of `cargo airglow wire`: each way alike.
const LOSS: &str = "loss=10%";

/// The namespace, with its end of the cable; the emulator's is `tap0`.
struct Ethernet {
    name: String,
    folder: PathBuf,
    dhcp: Option<Child>,
    /// What the frames go through, if the cable is a bad one.
    line: Option<Child>,
    /// Downloads so far: each has files of its own.
    downloads: AtomicU32,
}

impl Ethernet {
    /// With a cable that behaves as the words of `cargo airglow wire` say, or a good one.
    fn new(line: &[&str]) -> Result<Self> {
        let name = format!("airglow-{}-board", std::process::id());
        let folder = std::env::temp_dir().join(&name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).context(folder.display())?;
        let made = Command::new("ip").args(["netns", "add", &name]).status().context("ip netns add")?;
        let mut ethernet = Self { name, folder, dhcp: None, line: None, downloads: AtomicU32::new(0) };
        if !made.success() {
            return Err(Failure::new("cannot make a network namespace; that takes root"));
        }
        ethernet.run("ip tuntap add tap0 mode tap")?;
        ethernet.run("ip link set lo up")?;
        ethernet.run("ip link set tap0 up")?;
        let near = if line.is_empty() { "tap0" } else { ethernet.insert(line)? };
        ethernet.run(&format!("ip address add {OWN}/24 dev {near}"))?;
        let range = format!("--dhcp-range={BOARD},{BOARD},255.255.255.0,1h");
        let leases = format!("--dhcp-leasefile={}", ethernet.folder.join("leases").display());
        let mut dhcp = ethernet.command("dnsmasq");
        dhcp.args(["--keep-in-foreground", "--port=0", "--conf-file=/dev/null"]);
        dhcp.arg(format!("--interface={near}"));
        dhcp.args(["--user=root", "--pid-file=", "--bind-dynamic", "--dhcp-authoritative", &range, &leases]);
        dhcp.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        ethernet.dhcp = Some(dhcp.spawn().context("dnsmasq")?);
        Ok(ethernet)
    }

    /// Puts the relay between the emulator's end and a new one for this machine, whose name is returned. A tap device takes one
    /// program, so that a bridge joins the emulator's to the relay's; only through the relay may this machine be asked for its address.
    fn insert(&mut self, line: &[&str]) -> Result<&'static str> {
        for command in [
            "ip tuntap add near mode tap",
            "ip link add far type veth peer name middle",
            "ip link add joint type bridge",
            "ip link set joint arp off",
            "ip link set tap0 master joint",
            "ip link set middle master joint",
            "ip link set near up",
            "ip link set far arp off",
            "ip link set far up",
            "ip link set middle up",
            "ip link set joint up",
        ] {
            self.run(command)?;
        }
        let program = std::env::current_exe().context("this program")?;
        let mut relay = self.command(&program.to_string_lossy());
        relay.args(["wire", "near", "far"]).args(line);
        relay.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        self.line = Some(relay.spawn().context("cargo airglow wire")?);
        Ok("near")
    }

    /// Takes the relay out and returns what it says has become of the frames.
    fn take_out(&mut self) -> Result<String> {
        let line = self.line.take().context("a good cable has no relay")?;
        let status = Command::new("kill").arg(line.id().to_string()).status().context("kill")?;
        let output = line.wait_with_output().context("cargo airglow wire")?;
        if status.success() && output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Failure::new(format!("cargo airglow wire: {}", output.status)))
    }

    /// A command that runs in the namespace.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    fn output(&self, words: &[&str]) -> Result<Output> {
        let (program, rest) = words.split_first().context("no command")?;
        self.command(program).args(rest).stdin(Stdio::null()).output().context(program)
    }

    fn run(&self, words: &str) -> Result<String> {
        let output = self.output(&words.split(' ').collect::<Vec<_>>())?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Failure::new(format!("`{words}`: {}", String::from_utf8_lossy(&output.stderr).trim())))
    }

    /// Fetches `pages` over one connection, each compared with the file it is made of.
    fn fetch(&self, site: &Path, pages: &[String], more: &[&str]) -> Result {
        let number = self.downloads.fetch_add(1, Ordering::Relaxed);
        let place = |page: &str| self.folder.join(format!("{number}-{page}"));
        let mut curl = self.command("curl");
        curl.args(["--silent", "--show-error", "--fail", "--compressed", "--max-time", "90"]).args(more);
        for page in pages {
            curl.arg("--output").arg(place(page)).arg(format!("http://{BOARD}/{page}"));
        }
        let output = curl.output().context("curl")?;
        if !output.status.success() {
            return Err(Failure::new(format!("curl: {}", String::from_utf8_lossy(&output.stderr).trim())));
        }
        for page in pages {
            if fs::read(place(page)).context(page)? != fs::read(site.join(page)).context(page)? {
                return Err(Failure::new(format!("/{page} is not what is in the tree")));
            }
            fs::remove_file(place(page)).context(page)?;
        }
        Ok(())
    }
}

impl Drop for Ethernet {
    fn drop(&mut self) {
        for child in [&mut self.dhcp, &mut self.line].into_iter().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What curl says when it could not even begin.
const NO_WAY: &str = "curl: (7)";

/// A board on such a cable, and the pages it serves.
struct Served<'a> {
    ethernet: &'a Ethernet,
    running: Running,
    site: PathBuf,
    pages: Vec<String>,
}

impl<'a> Served<'a> {
    /// Boots `image`; the first page has come when this returns. Further arguments are QEMU's.
    fn boot(
        workspace: &Workspace,
        board: &Board,
        image: &Path,
        decoder: &Path,
        ethernet: &'a Ethernet,
        more: &[String],
    ) -> Result<Self> {
        let image = image::with_parameters(image, &[])?;
        let qemu = emulator::command(board, &image, "tap,ifname=tap0,script=no,downscript=no");
        let mut inside = ethernet.command(&qemu.get_program().to_string_lossy());
        inside.args(qemu.get_args()).args(more);
        let log = ethernet.folder.join("log");
        let running = Running::start_command(inside, board, &image, decoder, &log)?;
        let site = workspace.root.join("apps/website/site");
        let mut pages: Vec<String> = fs::read_dir(&site)
            .context(site.display())?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.ends_with(".html"))
            .collect();
        pages.sort();
        let served = Self { ethernet, running, site, pages };
        let deadline = Instant::now() + Duration::from_secs(60);
        while let Err(why) = ethernet.fetch(&served.site, &served.pages[..1], &["--connect-timeout", "2"]) {
            if Instant::now() > deadline {
                return Err(served.tell("no page with an address from dnsmasq", why));
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        Ok(served)
    }

    fn fetch(&self) -> Result {
        self.ethernet.fetch(&self.site, &self.pages, &[])
    }

    fn tell(&self, what: &str, why: Failure) -> Failure {
        Failure::new(format!("{what}: {why}; the board's log:\n{}", self.running.log()))
    }

    /// The board has started once, and goes on: neither a panic nor its watchdog has reset it.
    fn has_not_reset(&mut self) -> Result {
        let starts = self.running.log().matches("airglow on").count();
        if starts == 1 && !self.running.ended() {
            return Ok(());
        }
        Err(self.tell("not without a reset", Failure::new(format!("{starts} starts"))))
    }
}

/// Pages, over and over, through a cable that loses each tenth frame each way: every one of them comes to the byte, and the board
/// starts once.
pub fn loses(workspace: &Workspace, board: &Board, image: &Path, decoder: &Path) -> Result {
    let mut ethernet = Ethernet::new(&[LOSS, "seed=7"])?;
    let started = Instant::now();
    let mut served = Served::boot(workspace, board, image, decoder, &ethernet, &[])?;
    // Two at once, so that one connection's losses do not make the other's wait.
    std::thread::scope(|scope| {
        let downloads = [(); 2].map(|()| scope.spawn(|| (0..DOWNLOADS).try_for_each(|_| served.fetch())));
        downloads
            .into_iter()
            .try_for_each(|download| download.join().map_err(|_| Failure::new("the download panicked"))?)
    })
    .map_err(|why| served.tell("with 10 % of the frames lost", why))?;
    served.has_not_reset()?;
    drop(served);
    let said = ethernet.take_out()?;
    println!("   {} s; {}", started.elapsed().as_secs(), said.trim().replace('\n', "; "));
    let lost = |line: &str| line.split_once(" lost")?.0.rsplit(' ').next()?.parse::<u32>().ok();
    let enough = said.lines().filter(|line| lost(line) >= Some(LOST)).count();
    if enough == 2 { Ok(()) } else { Err(Failure::new(format!("the cable was not bad enough:\n{said}"))) }
}

/// How often all pages are fetched over each of two connections with 10 % loss, and how many frames must have been lost each way for that
/// to say something.
const DOWNLOADS: u32 = 6;
const LOST: u32 = 40;

/// Boots the board with an address from dnsmasq and puts it through a full ARP table and a pulled cable; then
/// Chromium must show the site, tshark find no fault in the board's frames, and the board have started once.
pub fn endures(workspace: &Workspace, board: &Board, image: &Path, decoder: &Path) -> Result {
    let ethernet = Ethernet::new(&[])?;
    let capture = ethernet.folder.join("wire.pcap");
    let dump = ["-object".to_owned(), format!("filter-dump,id=d0,netdev=n0,file={}", capture.display())];
    let mut served = Served::boot(workspace, board, image, decoder, &ethernet, &dump)?;

    // More neighbours than the table has rows, each of whom the board has answered.
    for host in 100..130 {
        ethernet.run(&format!("ip address add 10.77.0.{host}/24 dev tap0"))?;
        ethernet
            .run(&format!("ping -c 1 -W 5 -I 10.77.0.{host} {BOARD}"))
            .map_err(|why| served.tell("no answer to one of 30 neighbours", why))?;
    }
    served.fetch().map_err(|why| served.tell("with a full ARP table", why))?;

    let deadline = Instant::now() + Duration::from_secs(90);
    // Downloads, in the midst of which the cable is out for two seconds; they go on until it has been in again for a moment.
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let download = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                match served.fetch() {
                    // Without its cable this machine has no way to the board: nothing was sent that the board could lose.
                    Err(why) if why.to_string().contains(NO_WAY) && Instant::now() < deadline => {
                        std::thread::sleep(Duration::from_millis(200));
                    }
                    end => end?,
                }
            }
            // Whole, and with the cable in.
            served.fetch()
        });
        std::thread::sleep(Duration::from_millis(300));
        let pulled = ["down", "up"].into_iter().try_for_each(|what| {
            let done = ethernet.run(&format!("ip link set tap0 {what}"));
            std::thread::sleep(Duration::from_secs(2));
            done.map(drop)
        });
        over.store(true, Ordering::Relaxed);
        let ended = download.join().map_err(|_| Failure::new("the download panicked"))?;
        pulled?;
        ended.map_err(|why| served.tell("with the cable out for two seconds", why))
    })?;

    chromium(&ethernet).map_err(|why| served.tell("Chromium", why))?;
    let faults = faults(&capture)?;
    if !faults.trim().is_empty() {
        return Err(Failure::new(format!("tshark finds fault with frames of the board:\n{faults}")));
    }
    served.has_not_reset()
}

/// The picture that Chromium makes of the first page is one of a page: an empty one of that size has some 5 KB.
fn chromium(ethernet: &Ethernet) -> Result {
    let (picture, profile) = (ethernet.folder.join("page.png"), ethernet.folder.join("profile"));
    let mut chromium = ethernet.command("timeout");
    chromium.args(["60", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]);
    chromium.args(["--disable-background-networking", "--disable-dev-shm-usage", "--window-size=1280,900"]);
    chromium.arg(format!("--user-data-dir={}", profile.display()));
    chromium.arg(format!("--screenshot={}", picture.display())).arg(format!("http://{BOARD}/index.html"));
    let output = chromium.env("HOME", &ethernet.folder).stdin(Stdio::null()).output().context("chromium")?;
    let size = fs::metadata(&picture).map_or(0, |file| file.len());
    if output.status.success() && size > 40_000 {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Failure::new(format!("{}, a picture of {size} bytes\n{said}", output.status)))
}

/// The board's frames that tshark calls malformed or erroneous, or whose checksum is wrong.
fn faults(capture: &Path) -> Result<String> {
    let from_the_board = format!("(ip.src == {BOARD} || ip.src == 0.0.0.0 || arp.src.proto_ipv4 == {BOARD})");
    let tshark = |filter: &str| -> Result<String> {
        let checks = ["ip.check_checksum:TRUE", "tcp.check_checksum:TRUE", "udp.check_checksum:TRUE"];
        let mut tshark = Command::new("tshark");
        tshark.arg("-r").arg(capture).args(checks.iter().flat_map(|check| ["-o", check]));
        let output = tshark.args(["-Y", filter]).stdin(Stdio::null()).output().context("tshark")?;
        if !output.status.success() {
            return Err(Failure::new(format!("tshark: {}", String::from_utf8_lossy(&output.stderr).trim())));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let frames = tshark(&from_the_board)?.lines().count();
    if frames < 300 {
        return Err(Failure::new(format!("tshark sees {frames} frames of the board")));
    }
    println!("   {frames} frames of the board, by tshark");
    // 0x800000 is Wireshark's severity "Error".
    tshark(&format!("{from_the_board} && (_ws.malformed || _ws.expert.severity >= 0x800000)"))
}
