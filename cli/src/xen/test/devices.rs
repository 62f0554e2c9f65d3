//! Devices whose backends go and come, and what was under way on them.
use super::{Guest, PATIENCE, configuration, guest, that, wait};
use crate::{
    failure::{Context, Failure, Result},
    workspace::Workspace,
    xen::{
        dom0::Dom0,
        machine::{self, Forward, Machine},
        run,
    },
};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    time::Instant,
};

/// Bytes of the download.
const DOWNLOAD: usize = 12 << 20;

/// One download, in the middle of which the guest is saved and restored: it is byte by byte what another one is that nobody disturbs.
pub fn downloads(_: &Workspace, dom0: &Dom0, kernel: &Path) -> Result {
    let elf = fs::read(kernel).context(kernel.display())?;
    let port = run::free("tcp", 0).context("no free port")?;
    let words = format!("ipv4={}/24 gateway=10.0.2.2", machine::GUEST);
    let guest_configuration = configuration("pump.elf", 32, &words, "destroy");
    let files = [("pump.elf", elf.as_slice()), ("pump.cfg", guest_configuration.as_bytes())];
    let mut machine =
        Machine::start(dom0, &files, &[], &[Forward { protocol: "tcp", here: port, there: 80 }])?;
    let mut guest = guest(&mut machine);
    guest.start("pump")?;
    guest.says("listening: HTTP")?;
    let mut disturbed = ask(port)?;
    let mut content = Vec::new();
    receive(&mut disturbed, &mut content, 1 << 20)?;
    let started = Instant::now();
    guest.save_and_restore()?;
    let before = content.len();
    let all = receive(&mut disturbed, &mut content, usize::MAX);
    all.map_err(|why| guest.with_console(&why))?;
    let seconds = started.elapsed().as_secs_f64();
    let mut whole = Vec::new();
    receive(&mut ask(port)?, &mut whole, usize::MAX)?;
    let body = |answer: &[u8]| {
        let head = answer.windows(4).position(|w| w == b"\r\n\r\n")?;
        Some(answer[head + 4..].to_vec())
    };
    let (body, other) = (body(&content).context("no answer")?, body(&whole).context("no answer")?);
    that(body.len() == DOWNLOAD && body == other, || {
        let at = body.iter().zip(&other).position(|(a, b)| a != b);
        format!("{} and {} bytes came, which differ at {at:?}", body.len(), other.len())
    })?;
    println!(
        "   {} of {DOWNLOAD} bytes before the save; all of them {seconds:.1} s later, and all right",
        before
    );
    guest.machine.must("xl shutdown guest")?;
    let reason = guest.ended()?;
    that(reason == 0, || format!("xl shutdown ended the restored guest with reason {reason}"))
}

/// Asks the pump for the download.
fn ask(port: u16) -> Result<TcpStream> {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).context("127.0.0.1")?;
    connection.set_read_timeout(Some(PATIENCE)).context("127.0.0.1")?;
    let request = format!("GET /bytes/{DOWNLOAD} HTTP/1.1\r\nHost: guest\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).context("the request")?;
    Ok(connection)
}

/// Reads until there are `enough` bytes, or the end.
fn receive(connection: &mut TcpStream, content: &mut Vec<u8>, enough: usize) -> Result {
    let mut buffer = vec![0; 1 << 16];
    while content.len() < enough {
        match connection.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => content.extend(&buffer[..count]),
            Err(why) => return Err(Failure::new(format!("after {} bytes: {why}", content.len()))),
        }
    }
    Ok(())
}

/// The last round of the disk's test that the guest has spoken of.
fn round(guest: &mut Guest<'_>) -> Result<u32> {
    let console = guest.console()?;
    let rounds = console
        .lines()
        .rev()
        .filter_map(|line| line.split_once("round ")?.1.split_once(" right")?.0.parse().ok());
    Ok(rounds.take(1).next().unwrap_or(0))
}

/// Waits for three rounds more, of which at least the last two began after now.
fn goes_on(guest: &mut Guest<'_>) -> Result {
    let now = round(guest)?;
    let waited = wait("the disk's next rounds", || Ok(round(guest)? >= now + 3));
    waited.map_err(|why| guest.with_console(&why))
}

/// How often the console says `words`.
fn count(guest: &mut Guest<'_>, words: &str) -> Result<usize> {
    Ok(guest.console()?.matches(words).count())
}

/// Waits until the console says `words` for the `times`th time.
fn says(guest: &mut Guest<'_>, words: &str, times: usize) -> Result {
    let waited = wait(&format!("`{words}`, {times} times"), || Ok(count(guest, words)? >= times));
    waited.map_err(|why| guest.with_console(&why))
}

/// A guest that writes and reads without pause, while it is saved and restored, its disk and its network are detached and attached:
/// everything that it reads is what it wrote, and it answers.
pub fn go_and_come(_: &Workspace, dom0: &Dom0, kernel: &Path) -> Result {
    let elf = fs::read(kernel).context(kernel.display())?;
    let words = format!("ipv4={}/24 rounds=100000", machine::GUEST);
    let guest_configuration = configuration("disk.elf", 64, &words, "destroy");
    let files = [("disk.elf", elf.as_slice()), ("disk.cfg", guest_configuration.as_bytes())];
    let mut machine = Machine::start(dom0, &files, &[], &[])?;
    let mut guest = guest(&mut machine);
    guest.start("disk")?;
    goes_on(&mut guest)?;
    let (disk, network) = ("vbd/51712: connected again", "vif/0: connected again");

    guest.save_and_restore()?;
    says(&mut guest, disk, 1)?;
    says(&mut guest, network, 1)?;
    goes_on(&mut guest)?;
    println!("   disk and network are back after a restore");

    guest.machine.must("xl block-detach guest xvda 2>&1")?;
    guest.says("vbd/51712: the backend goes")?;
    let still = round(&mut guest)?;
    guest
        .machine
        .must("xl block-attach guest format=raw,vdev=xvda,access=rw,backendtype=phy,target=/dev/vdb 2>&1")?;
    says(&mut guest, disk, 2)?;
    goes_on(&mut guest)?;
    println!("   the disk is back after it was detached in round {}", still + 1);

    guest.machine.must("xl network-detach guest 0 2>&1")?;
    guest.says("vif/0: the backend goes")?;
    guest.machine.must("xl network-attach guest bridge=xenbr0 2>&1")?;
    says(&mut guest, network, 2)?;
    let ping = guest.machine.must(&format!("ping -c 5 -W 10 {}", machine::GUEST));
    ping.map_err(|why| guest.with_console(&why))?;
    println!("   the network is back after it was detached");

    guest.machine.must("xl shutdown guest")?;
    let reason = guest.ended()?;
    that(reason == 0, || format!("xl shutdown ended the guest with reason {reason}"))
}
