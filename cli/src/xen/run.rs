//! `cargo airglow run --on xen`: the guest's console on the terminal, its ports on this machine.
use super::{
    dom0, kernel,
    machine::{self, Forward, Machine},
    symbols::{Annotator, Symbols},
};
use crate::{
    failure::{Context, Failure, Result},
    packages,
};
use std::{
    fs,
    io::{ErrorKind, IsTerminal, Read, Write, stdin, stdout},
    net::{TcpListener, UdpSocket},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

/// The guest's name for xl.
pub const NAME: &str = "guest";

/// Starts the guest that `/job/guest.cfg` describes, its console on the machine's second serial port, and lets it run.
pub const START: &str = "cd /job && xl create -p -q /job/guest.cfg && id=$(xl domid guest) && \
                         { xenconsole --type pv --num 0 $id </dev/ttyS1 >/dev/ttyS1 2>/dev/null & } && \
                         usleep 50000 && xl unpause guest";

/// Waits for the guest's end and prints the reason that it gave.
const WAIT: &str = "while xl domid guest >/dev/null 2>&1; do usleep 100000; done; \
                    sed -n 's/.*has shut down, reason code \\([0-9]*\\).*/\\1/p' /var/log/xen/xl-guest.log | tail -n 1";

/// A guest may run as long as it likes.
const FOR_EVER: Duration = Duration::from_secs(1 << 30);

/// What QEMU needs.
pub const PACKAGES: &[&str] = &["qemu-system-x86"];

/// Boots `image` with these boot parameters and forwards ports until it ends.
pub fn run(image: &Path, parameters: &[String]) -> Result {
    packages::need(PACKAGES)?;
    let dom0 = dom0::prepare()?;
    let elf = fs::read(image).context(image.display())?;
    let words = words(parameters);
    let forwards = forwards(parameters);
    let configuration = kernel::xl(NAME, "/job/guest.elf", 32, &words, "", "destroy");
    let files = [("guest.elf", elf.as_slice()), ("guest.cfg", configuration.as_bytes())];
    let mut machine = Machine::start(&dom0, &files, &[], &forwards)?;
    let console = machine::console(&machine)?;
    for f in &forwards {
        let scheme = if f.protocol == "tcp" && f.there == 80 { "http://127.0.0.1" } else { "127.0.0.1" };
        eprintln!("{scheme}:{} leads to the guest's {} port {}", f.here, f.protocol, f.there);
    }
    static ENDED: AtomicBool = AtomicBool::new(false);
    let output = thread::spawn({
        let mut console = console.try_clone().context("the console")?;
        let mut annotator = Annotator::new(Symbols::read(image)?);
        move || {
            let mut buffer = [0; 4096];
            loop {
                match console.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(count) => {
                        let _ = stdout().write_all(&annotator.pass(&buffer[..count]));
                        let _ = stdout().flush();
                    }
                    Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                        // What is left when the guest has ended has come within one time-out.
                        if ENDED.load(Ordering::Relaxed) {
                            return;
                        }
                    }
                    Err(_) => return,
                }
            }
        }
    });
    if stdin().is_terminal() {
        let mut console = console;
        thread::spawn(move || {
            let mut buffer = [0; 256];
            while let Ok(count @ 1..) = stdin().read(&mut buffer) {
                if console.write_all(&buffer[..count]).is_err() {
                    return;
                }
            }
        });
    }
    let (status, text) = machine.command(START)?;
    if status != 0 {
        return Err(Failure::new(format!(
            "xl cannot start the kernel: {}\n{}",
            text.trim(),
            machine.xen_log()
        )));
    }
    let (_, reason) = machine.command_within(WAIT, FOR_EVER)?;
    ENDED.store(true, Ordering::Relaxed);
    let _ = output.join();
    match reason.trim() {
        "0" => Ok(()),
        "1" => {
            eprintln!("the guest asks to be started again");
            Ok(())
        }
        "3" => {
            let log = machine.xen_log();
            let about =
                log.lines().filter(|l| l.contains("rashed") || l.contains("RIP") || l.contains("fault at"));
            let overflow = Symbols::read(image)?.stack_overflow(&log);
            let about: Vec<_> = about.chain(overflow.as_deref()).collect();
            Err(Failure::new(format!("the guest crashed\n{}", about.join("\n"))))
        }
        other => Err(Failure::new(format!("the guest ended, reason code {other}"))),
    }
}

/// The boot parameters, with an address in QEMU's network when they name none.
fn words(parameters: &[String]) -> String {
    let has = |key: &str| parameters.iter().any(|word| word == key || word.starts_with(&format!("{key}=")));
    let mut words = parameters.to_vec();
    if !has("ipv4") && !has("dhcp") {
        words.push(format!("ipv4={}/24", machine::GUEST));
        words.push("gateway=10.0.2.2".to_owned());
    }
    words.join(" ")
}

/// The port that `port=` names, on both protocols; without it the web's and the name service's. Each is met at itself, or
/// 8000 higher where it is a privileged one, or anywhere where that is taken.
fn forwards(parameters: &[String]) -> Vec<Forward> {
    let port = parameters.iter().rev().find_map(|word| word.strip_prefix("port=")?.parse().ok());
    let wanted = match port {
        Some(port) => vec![("tcp", port), ("udp", port)],
        None => vec![("tcp", 80), ("tcp", 53), ("udp", 53)],
    };
    wanted
        .into_iter()
        .filter_map(|(protocol, there)| {
            let here = if there < 1024 { there + 8000 } else { there };
            Some(Forward { protocol, here: free(protocol, here).or_else(|| free(protocol, 0))?, there })
        })
        .collect()
}

/// `port` if nobody has it, and some free port for 0.
pub fn free(protocol: &str, port: u16) -> Option<u16> {
    let address = ("127.0.0.1", port);
    let taken = if protocol == "tcp" {
        TcpListener::bind(address).and_then(|s| s.local_addr())
    } else {
        UdpSocket::bind(address).and_then(|s| s.local_addr())
    };
    taken.ok().map(|address| address.port())
}
