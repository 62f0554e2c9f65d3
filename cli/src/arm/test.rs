//! The area `arm`: every board that QEMU models, booted, fetched from, flooded and measured.
use super::{
    boards::{self, BOARDS, Board, Flashing},
    cable,
    emulator::{self, Running},
    flash,
    frames::Wire,
    image, kept, logs, secure, size, switch,
};
use crate::{
    failure::{Context, Failure, Result},
    ofctl,
    test::Tests,
    workspace::Workspace,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// What the website may take on a board, in bytes: flash without constants, which are the content for the most part and grow
/// with the site; variables. Measured, and a little air.
const BOUNDS: &[(&str, u64, u64)] = &[
    ("lm3s6965evb", 104 * 1024, 22 * 1024),
    ("mps2-an385", 134 * 1024, 22 * 1024),
    ("mps2-an386", 134 * 1024, 22 * 1024),
    ("mps2-an500", 134 * 1024, 22 * 1024),
];

/// The most bytes of stack the website may have used on the 64 KiB board when all is done: with its variables' bound less than 40 KiB.
const STACK: u64 = 18_400;

/// What the name server may take on the board of the tests, IPv6 included: flash, and variables. Measured, and a little air.
const NAMES: (u64, u64) = (136 * 1024, 39 * 1024);

/// A site's file, and whether a board with a small flash leaves it out.
const FILES: &[(&str, bool)] = &[("index.html", false), ("style.css", false), ("sky.png", true)];

/// The tests.
pub fn test(tests: &mut Tests) -> Result {
    // AIRGLOW_ARM=TLS runs those with `TLS` in their title, and says so.
    tests.only = std::env::var("AIRGLOW_ARM").unwrap_or_default();
    if !tests.only.is_empty() {
        println!("   only the checks with `{}` in their title", tests.only);
    }
    let result = all(tests);
    tests.only.clear();
    result
}

fn all(tests: &mut Tests) -> Result {
    tests.need(&["curl", "qemu-system-arm"])?;
    let decoder = emulator::decoder()?;
    for board in BOARDS.iter().filter(|board| board.emulated()) {
        let mut built = None;
        tests.check(&format!("{}: image and its size", board.name), |workspace| {
            let image = image::build(workspace, &workspace.app(Some("website"))?, board)?;
            built = Some(image.clone());
            bounded(&image, board)
        });
        let Some(image) = built else { continue };
        tests.check(&format!("{}: DHCP, and every page to the byte", board.name), |workspace| {
            serves(workspace, board, &image, &decoder)
        });
    }
    for board in BOARDS.iter().filter(|board| !board.emulated()) {
        tests.check(&format!("{}: the website links, and fits its flash", board.name), |workspace| {
            let image = image::build(workspace, &workspace.app(Some("website"))?, board)?;
            if let Flashing::Uf2 { .. } = board.flashing {
                flash::uf2(board, &image)?;
            }
            bounded(&image, board)
        });
    }
    tests.check("virt-aarch64: a disk counts the starts; a panic resets or halts", |workspace| {
        let board = boards::find("virt-aarch64").context("no such board")?;
        let image = image::example(workspace, "disk", board, "")?;
        counts_starts(&image, board, &decoder, 3_000, &VIRTIO_DISK)?;
        panics(&image, board, &decoder)
    });
    tests.check("virt-aarch64: a seed kept in flash, wherever the power fails", |workspace| {
        let board = boards::find("virt-aarch64").context("no such board")?;
        kept::survives(&image::example(workspace, "seed", board, "")?, board, &decoder)
    });
    tests.check("w5500-evb-pico: what keeps a seed in flash links", |workspace| {
        image::example(workspace, "seed", boards::find("w5500-evb-pico").context("no such board")?, "")
            .map(|_| ())
    });
    tests.check("lm3s6965evb: an SD card counts the starts", |workspace| {
        let board = boards::find("lm3s6965evb").context("no such board")?;
        let image = image::example(workspace, "disk", board, "")?;
        // The emulator wants a power of two.
        counts_starts(&image, board, &decoder, 4_096, &["-drive", "file={},format=raw,if=sd"])
    });
    tests.check(
        "lm3s6965evb: the same log on the serial port, by semihosting and in RTT's ring",
        |workspace| {
            let board = boards::find("lm3s6965evb").context("no such board")?;
            logs::agree(board, &image::example(workspace, "disk", board, "rtt,semihosting")?, &decoder)
        },
    );
    if let Some(board) = boards::find("lm3s6965evb") {
        tests.need(cable::NEEDS)?;
        tests.check(
            "lm3s6965evb: dnsmasq, a full ARP table, a pulled cable, Chromium, tshark",
            |workspace| {
                let image = image::build(workspace, &workspace.app(Some("website"))?, board)?;
                cable::endures(workspace, board, &image, &decoder)
            },
        );
        tests.check("lm3s6965evb: downloads through a cable that loses 10 % each way", |workspace| {
            let image = image::build(workspace, &workspace.app(Some("website"))?, board)?;
            cable::loses(workspace, board, &image, &decoder)
        });
    }
    if let Some(board) = boards::find("mps2-an385") {
        tests.need(&["bind9-dnsutils"])?;
        tests.check(&format!("{}: a name server for dig", board.name), |workspace| {
            let image = image::build(workspace, &workspace.app(Some("dns-zone"))?, board)?;
            names(board, &image, &decoder)
        });
    }
    if let Some(board) = boards::find("virt-aarch64") {
        tests.need(ofctl::PACKAGES)?;
        tests.check(&format!("{}: an OpenFlow switch", board.name), |workspace| {
            let image = image::build(workspace, &workspace.app(Some("openflow-switch"))?, board)?;
            switch::switches(board, &image, &decoder, &log_file(board, "switch"))
        });
    }
    secure::test(tests, &decoder)?;
    // One board for each network controller.
    for board in ["lm3s6965evb", "mps2-an385", "virt-aarch64"].into_iter().filter_map(boards::find) {
        tests.check(&format!("{}: ARP, ping, and both again after a flood", board.name), |workspace| {
            let image = image::build(workspace, &workspace.app(Some("website"))?, board)?;
            flooded(board, &image, &decoder)
        });
    }
    Ok(())
}

/// Flash and RAM within the bounds.
fn bounded(image: &Path, board: &Board) -> Result {
    let (size, _) = size::measure(image)?;
    let code = size.flash - size.constants;
    println!(
        "   {}: flash {} bytes, of these constants {}; variables {} bytes",
        board.name, size.flash, size.constants, size.ram
    );
    match BOUNDS.iter().find(|(name, ..)| *name == board.name) {
        Some(&(_, flash, ram)) if code > flash || size.ram > ram => Err(Failure::new(format!(
            "the image has {code} bytes of flash without constants and {} of variables; the bounds are {flash} and {ram}",
            size.ram
        ))),
        _ => Ok(()),
    }
}

pub(super) fn log_file(board: &Board, what: &str) -> PathBuf {
    std::env::temp_dir().join(format!("airglow-{}-{what}-{}.log", board.name, std::process::id()))
}

/// Boots with an address from DHCP, fetches each file and compares it with the one in the tree.
fn serves(workspace: &Workspace, board: &Board, image: &Path, decoder: &Path) -> Result {
    let image = image::with_parameters(image, &[])?;
    let port = emulator::free_port()?;
    let netdev = format!("user,hostfwd=tcp:127.0.0.1:{port}-:80");
    let log = log_file(board, "site");
    let running = Running::start(board, &image, &netdev, decoder, &log)?;
    let fetch = |file: &str| -> Result<(String, Vec<u8>)> {
        let body = log.with_extension("body");
        let output = Command::new("curl")
            .args(["--silent", "--compressed", "--max-time", "20", "--write-out", "%{http_code}", "--output"])
            .arg(&body)
            .arg(format!("http://127.0.0.1:{port}/{file}"))
            .output()
            .context("curl")?;
        Ok((String::from_utf8_lossy(&output.stdout).into_owned(), fs::read(&body).unwrap_or_default()))
    };
    // QEMU accepts before the board is there, so the first answer may be a while.
    let deadline = Instant::now() + Duration::from_secs(60);
    while fetch("")?.0 != "200" {
        if Instant::now() > deadline {
            return Err(Failure::new(format!("no answer within 60 s; the board's log:\n{}", running.log())));
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    for (file, large) in FILES {
        let (status, body) = fetch(file)?;
        let left_out = *large && board.largest_file.is_none() && board.ram == 64;
        let expected = fs::read(workspace.root.join("apps/website/site").join(file)).context(file)?;
        let right = if left_out { status == "404" } else { status == "200" && body == expected };
        if !right {
            return Err(Failure::new(format!(
                "/{file}: {status} and {} bytes of {}; the board's log:\n{}",
                body.len(),
                expected.len(),
                running.log()
            )));
        }
    }
    if board.ram == 64 {
        stack_bounded(&running)?;
    }
    Ok(())
}

/// Boots a name server and asks it over UDP and TCP; flash and variables stay within their bounds.
fn names(board: &Board, image: &Path, decoder: &Path) -> Result {
    let (size, _) = size::measure(image)?;
    println!("   {}: flash {} bytes; variables {} bytes", board.name, size.flash, size.ram);
    let image = image::with_parameters(image, &[])?;
    let port = emulator::free_port()?.to_string();
    let forward = |kind: &str| format!("hostfwd={kind}:127.0.0.1:{port}-:53");
    let netdev = format!("user,{},{}", forward("udp"), forward("tcp"));
    let running = Running::start(board, &image, &netdev, decoder, &log_file(board, "names"))?;
    let dig = |words: &[&str]| -> Result<String> {
        let mut command = Command::new("dig");
        command.args(["@127.0.0.1", "-p", &port, "+tries=1", "+timeout=2", "+norecurse"]).args(words);
        Ok(String::from_utf8_lossy(&command.output().context("dig")?.stdout).into_owned())
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while !dig(&["example.com", "SOA"])?.contains("status: NOERROR") {
        if Instant::now() > deadline {
            return Err(Failure::new(format!("no answer within 60 s; the board's log:\n{}", running.log())));
        }
    }
    // Each connection has its turn: more than there are at once.
    for round in 0..20 {
        for (words, expected) in [
            (&["www.example.com", "A"][..], "status: NOERROR"),
            (&["www.example.com", "A", "+tcp"], "status: NOERROR"),
            (&["example.com", "NS"], "status: NOERROR"),
            (&["nowhere.example.com", "A", "+tcp"], "status: NXDOMAIN"),
            (&["example.org", "A"], "status: REFUSED"),
        ] {
            let said = dig(words)?;
            if !said.contains(expected) {
                let log = running.log();
                return Err(Failure::new(format!(
                    "round {round}, {words:?}: {said}; the board's log:\n{log}"
                )));
            }
        }
    }
    let (flash, ram) = NAMES;
    if size.flash > flash || size.ram > ram {
        let (has, may) = ((size.flash, size.ram), NAMES);
        return Err(Failure::new(format!("flash and variables are {has:?} bytes; the bounds are {may:?}")));
    }
    Ok(())
}

/// The board says how deep its stack has been when it has nothing else to do.
fn stack_bounded(running: &Running) -> Result {
    std::thread::sleep(Duration::from_secs(3));
    let depth = running
        .deepest_stack()
        .context_with(|| format!("the board does not say how deep its stack has been:\n{}", running.log()))?;
    println!("   stack {depth} bytes at most");
    if depth < STACK { Ok(()) } else { Err(Failure::new(format!("the stack was {depth} bytes deep"))) }
}

/// How QEMU joins a file to `virt-aarch64` as a disk.
const VIRTIO_DISK: [&str; 4] =
    ["-drive", "file={},format=raw,if=none,id=d0", "-device", "virtio-blk-device,drive=d0"];

/// The words of `device` with `disk` in the place of `{}`.
fn with_disk(device: &[&str], disk: &Path) -> Vec<String> {
    device.iter().map(|word| word.replace("{}", &disk.display().to_string())).collect()
}

/// A board reads all of a disk as it is, and what it writes is there for the next start and for the host.
fn counts_starts(image: &Path, board: &Board, decoder: &Path, sectors: u32, device: &[&str]) -> Result {
    let image = image::with_parameters(image, &["ipv4=10.9.8.2/24".to_owned()])?;
    let log = log_file(board, "disk");
    let disk = log.with_extension("img");
    // Not a whole number of what the board reads at once.
    let mut content: Vec<u8> = (0..sectors * 512).map(|at| (at * 31 + at / 251) as u8).collect();
    content[512] = 41;
    fs::write(&disk, &content).context(disk.display())?;
    let result = [42, 43].into_iter().try_for_each(|start| {
        let running = Running::start_with(board, &image, "user", decoder, &log, &with_disk(device, &disk))?;
        let deadline = Instant::now() + Duration::from_secs(60);
        while !running.log().contains("the application has ended") && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(100));
        }
        let said = running.log();
        drop(running);
        let sum = content
            .iter()
            .fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3));
        let expected = [
            format!("{sectors} sectors of 512 bytes, read-only false"),
            format!("sum {sum:016x}"),
            format!("start number {start}"),
            "beyond the end: Err(OutOfRange)".to_owned(),
            "not whole: Err(Unaligned)".to_owned(),
        ];
        if let Some(missing) = expected.iter().find(|line| !said.contains(line.as_str())) {
            return Err(Failure::new(format!("the board does not say `{missing}`:\n{said}")));
        }
        content = fs::read(&disk).context(disk.display())?;
        if content[512] == start {
            Ok(())
        } else {
            Err(Failure::new(format!("on the disk stands {}", content[512])))
        }
    });
    let _ = fs::remove_file(&disk);
    result
}

/// A panic says its place; then the board resets, or stands still where the boot parameters say so.
fn panics(image: &Path, board: &Board, decoder: &Path) -> Result {
    let log = log_file(board, "panic");
    let disk = log.with_extension("img");
    fs::write(&disk, [0; 64 * 512]).context(disk.display())?;
    let devices = with_disk(&VIRTIO_DISK, &disk);
    let result = ["panic=reset", "panic=halt"].into_iter().try_for_each(|word| {
        let words = ["ipv4=10.9.8.2/24", "then=panic", word].map(str::to_owned);
        let image = image::with_parameters(image, &words)?;
        let mut running = Running::start_with(board, &image, "user", decoder, &log, &devices)?;
        let deadline = Instant::now() + Duration::from_secs(60);
        while !running.log().contains("as it was asked to") && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(100));
        }
        std::thread::sleep(Duration::from_secs(2));
        let (said, ended) = (running.log(), running.ended());
        if said.contains("disk.rs:") && ended == (word == "panic=reset") {
            return Ok(());
        }
        Err(Failure::new(format!("{word}: the board has ended: {ended}; its log:\n{said}")))
    });
    let _ = fs::remove_file(&disk);
    result
}

/// Frames straight onto the board's wire: it answers before and after a flood, and has not started again in between.
fn flooded(board: &Board, image: &Path, decoder: &Path) -> Result {
    let words = ["ipv4=10.9.8.2/24".to_owned(), "ipv6=off".to_owned()];
    let image = image::with_parameters(image, &words)?;
    let mut wire = Wire::new()?;
    let running = Running::start(board, &image, &wire.netdev(), decoder, &log_file(board, "flood"))?;
    let tell = |what: &str| Failure::new(format!("{what}; the board's log:\n{}", running.log()));
    wire.resolve(Duration::from_secs(30)).ok_or_else(|| tell("no ARP reply"))?;
    if !wire.ping(Duration::from_secs(5)) {
        return Err(tell("no echo reply"));
    }
    let sent = wire.flood(Duration::from_secs(5))?;
    let deadline = Instant::now() + Duration::from_secs(20);
    while !wire.ping(Duration::from_secs(1)) {
        if Instant::now() > deadline {
            return Err(tell(&format!("no echo reply after a flood of {sent} frames")));
        }
    }
    println!("   {sent} frames of flood in 5 s; answered again");
    let starts = running.log().matches("airglow on").count();
    if starts == 1 { Ok(()) } else { Err(tell(&format!("the board has started {starts} times"))) }
}
