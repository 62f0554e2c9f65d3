//! `cargo airglow bench xen`: kernels of ours beside a Linux guest in the same hypervisor, in the same run.
//!
//! The machine is emulated, so no absolute number means much; both sides run under the same emulation, by turns, and the table
//! has the medians and their ratio.
use super::{
    dom0::{self, Dom0},
    kernel, linux,
    machine::{self, Machine},
    run,
};
use crate::{
    failure::{Context, Failure, Result},
    packages,
    workspace::Workspace,
};
use serde_json::{Value, json};
use std::{fs, time::Duration};

/// Megabytes of each guest.
const MEMORY: u32 = 128;
/// Bytes of the block device, which lies in dom0's memory.
const DISK_KIB: u32 = 65_536;
/// Seconds of each measurement of a rate.
const SECONDS: &str = "3";
/// Turns that each side gets.
const ROUNDS: usize = 3;

const MAC: &str = "00:16:3e:00:00:50";
const LIMIT: Duration = Duration::from_secs(180);

/// A quantity on both sides.
struct Row {
    name: &'static str,
    unit: &'static str,
    ours: Vec<f64>,
    theirs: Vec<f64>,
    more_is_better: bool,
}

struct Bench {
    machine: Machine,
    rows: Vec<Row>,
}

/// Measures and prints a table; `words` may have the number of rounds.
pub fn bench(workspace: &Workspace, words: &[String]) -> Result {
    packages::need(run::PACKAGES)?;
    packages::need(linux::PACKAGES)?;
    let rounds = match words {
        [] => ROUNDS,
        [word] => word
            .parse()
            .ok()
            .context("the number of rounds is a number; with 0 only the smallest memory is searched")?,
        _ => return Err(Failure::new("bench xen takes one word, the number of rounds")),
    };
    let dom0 = dom0::prepare()?;
    let kernels = [
        ("website", kernel::build(workspace, &workspace.app(Some("website"))?)?),
        ("pump", kernel::build(workspace, &workspace.app(Some("pump"))?)?),
        ("disk", kernel::example(workspace, "airglow-platform-xen", "disk_rate")?),
        ("vchan", kernel::example(workspace, "airglow-platform-xen", "vchan_echo")?),
    ];
    let mut files = Vec::new();
    for (name, path) in &kernels {
        files.push((format!("{name}.elf"), fs::read(path).context(path.display())?));
    }
    let site = workspace.app(Some("website"))?.package.folder.join("site");
    let page = fs::read(site.join("index.html")).context("index.html")?;
    files.extend(guests(&dom0, &page)?);
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
    let mut bench = Bench { machine: Machine::start(&dom0, &files, &[], &[])?, rows: Vec::new() };
    // Off the outside: QEMU's network answers for addresses that are not there yet.
    bench.machine.must(&format!(
        "ip link set eth0 nomaster; ip neigh add {} lladdr {MAC} dev xenbr0 nud permanent; insmod /job/brd.ko rd_nr=1 rd_size={DISK_KIB}; \
         [ -b /dev/ram0 ] && cp /job/peer /bin/peer",
        machine::GUEST
    ))?;
    let ticks = bench.rates(rounds)?;
    let least = bench.least_memory(&super::test::pages(&site)?)?;
    bench.print(rounds, ticks, least, workspace)
}

/// The configurations of all guests, and what the Linux one and dom0 need.
fn guests(dom0: &Dom0, page: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
    let peer = linux::peer()?;
    let file_system = linux::file_system(dom0, machine::GUEST, &peer, page)?;
    let module = dom0::module(&dom0.root, "brd").context("Debian's kernel has no module brd")?;
    let address = format!("ipv4={}/24", machine::GUEST);
    let disk = "disk = ['format=raw,vdev=xvda,access=rw,backendtype=phy,target=/dev/ram0']\n";
    let ramdisk = format!("ramdisk = '/job/linux.cpio'\n{disk}");
    let guest = |name: &str, kernel: &str, memory: u32, words: &str, more: &str| {
        let text = kernel::xl(run::NAME, &format!("/job/{kernel}"), memory, words, more, "destroy");
        let text = text.replace("bridge=xenbr0", &format!("bridge=xenbr0,mac={MAC}"));
        (format!("{name}.cfg"), text.into_bytes())
    };
    let mut files = vec![
        ("peer".to_owned(), peer),
        ("linux.cpio".to_owned(), file_system),
        ("linux.gz".to_owned(), linux::kernel(dom0)?),
        ("brd.ko".to_owned(), fs::read(&module).context(module.display())?),
        guest("linux", "linux.gz", MEMORY, linux::WORDS, &ramdisk),
        guest("website", "website.elf", MEMORY, &address, ""),
        guest("pump", "pump.elf", MEMORY, &address, ""),
        guest("disk", "disk.elf", MEMORY, &address, disk),
        guest("vchan", "vchan.elf", MEMORY, &format!("{address} serve=data/echo ring=8192"), ""),
    ];
    for memory in 2..=32 {
        files.push(guest(&format!("website-{memory}"), "website.elf", memory, &address, ""));
    }
    Ok(files)
}

impl Bench {
    /// Starts a guest and measures until it answers.
    fn boot(&mut self, name: &str, ours: bool) -> Result {
        self.create(name)?;
        let line = format!("peer boot $(xl domid guest) {}", machine::GUEST);
        match numbers(&self.must(&line)?)?.as_slice() {
            [ping, page, processor] => {
                self.add("from unpause to the first ping reply", "ms", false, ours, ping / 1e3);
                self.add("from unpause to the first page", "ms", false, ours, page / 1e3);
                self.add("processor time of the guest until then", "ms", false, ours, processor / 1e3);
                Ok(())
            }
            other => Err(Failure::new(format!("not three times: {other:?}"))),
        }
    }

    fn create(&mut self, name: &str) -> Result {
        self.must(&format!(
            "rm -f /job/console; cd /job && xl create -p -q /job/{name}.cfg && id=$(xl domid guest) && \
             {{ xenconsole --type pv --num 0 $id </dev/null >/job/console 2>/dev/null & }} && usleep 300000"
        ))?;
        Ok(())
    }

    fn must(&mut self, line: &str) -> Result<String> {
        match self.machine.command_within(line, LIMIT)? {
            (0, output) => Ok(output),
            (status, output) => {
                let console = self.machine.command("tail -c 2000 /job/console")?.1;
                Err(Failure::new(format!(
                    "dom0: `{line}` failed with {status}: {}\nthe guest's console:\n{console}\n{}",
                    output.trim(),
                    self.machine.xen_log()
                )))
            }
        }
    }

    fn number(&mut self, line: &str) -> Result<f64> {
        numbers(&self.must(line)?)?.first().copied().context_with(|| format!("`{line}` printed no number"))
    }

    fn destroy(&mut self) -> Result {
        self.machine.must("xl destroy guest; while xl domid guest >/dev/null 2>&1; do usleep 50000; done")?;
        Ok(())
    }

    fn wait_for(&mut self, words: &str) -> Result {
        self.must(&format!(
            "n=0; until grep -q '{words}' /job/console; do n=$((n+1)); [ $n -gt 600 ] && exit 1; usleep 100000; done"
        ))?;
        Ok(())
    }

    fn add(&mut self, name: &'static str, unit: &'static str, more_is_better: bool, ours: bool, value: f64) {
        eprintln!("{name}: {} {value:.1} {unit}", if ours { "airglow" } else { "Linux  " });
        let index = self.rows.iter().position(|row| row.name == name).unwrap_or_else(|| {
            self.rows.push(Row { name, unit, ours: Vec::new(), theirs: Vec::new(), more_is_better });
            self.rows.len() - 1
        });
        let row = &mut self.rows[index];
        if ours { &mut row.ours } else { &mut row.theirs }.push(value);
    }

    /// Everything that is measured on both sides, by turns. The ticks of the time stamp counter from our kernel's entry to
    /// its listening.
    fn rates(&mut self, rounds: usize) -> Result<Vec<f64>> {
        let mut ticks = Vec::new();
        for round in 1..=rounds {
            eprintln!("round {round} of {rounds}");
            self.boot("website", true)?;
            self.must("xl sysrq guest s")?;
            self.wait_for("first wait: ")?;
            ticks.push(self.number("sed -n 's/.*first wait: //p' /job/console")?);
            self.destroy()?;

            self.boot_pump()?;
            self.network(true)?;
            self.destroy()?;

            self.create("disk")?;
            self.must("xl unpause guest")?;
            self.wait_for("wrote .* bytes in")?;
            for (name, what) in [(READ, "read"), (WRITE, "wrote")] {
                let line = format!(
                    "sed -n 's/.*{what} \\([0-9]*\\) bytes in \\([0-9]*\\) us.*/\\1 \\2/p' /job/console"
                );
                let rate = rate(&numbers(&self.must(&line)?)?)?;
                self.add(name, "MB/s", true, true, rate);
            }
            self.must("while xl domid guest >/dev/null 2>&1; do usleep 50000; done")?;

            self.create("vchan")?;
            self.must("xl unpause guest")?;
            self.wait_for("offering")?;
            self.vchan(true)?;
            self.must("while xl domid guest >/dev/null 2>&1; do usleep 50000; done")?;

            self.boot("linux", false)?;
            self.wait_for("the Linux guest serves")?;
            self.network(false)?;
            // dd's own seconds have too few digits.
            for (name, line) in [
                (READ, "dd if=/dev/xvda of=/dev/null bs=1M iflag=direct"),
                (WRITE, "dd if=/dev/zero of=/dev/xvda bs=1M count=64 oflag=direct"),
            ] {
                let script = format!(
                    "a=$(cut -d\" \" -f1 /proc/uptime); {line} 2>/dev/null; echo $a $(cut -d\" \" -f1 /proc/uptime)"
                );
                let output = self.must(&format!("peer ask {} '{script}'", machine::GUEST))?;
                let times = numbers(&output)?;
                let seconds = times.last().copied().unwrap_or(0.0) - times.first().copied().unwrap_or(0.0);
                self.add(name, "MB/s", true, false, rate(&[f64::from(DISK_KIB) * 1024.0, seconds * 1e6])?);
            }
            self.must(&format!(
                "peer ask {} 'mkdir -p /run; peer vserve 0 data/echo >/dev/null 2>&1 &'; usleep 500000",
                machine::GUEST
            ))?;
            self.vchan(false)?;
            self.destroy()?;
        }
        Ok(ticks)
    }

    fn boot_pump(&mut self) -> Result {
        self.create("pump")?;
        self.must("xl unpause guest")?;
        self.wait_for("listening: ")
    }

    fn network(&mut self, ours: bool) -> Result {
        let guest = machine::GUEST;
        for (name, what) in
            [("TCP into the guest", "send"), ("TCP out of the guest", "receive"), (DATAGRAMS, "udp")]
        {
            let value = self.number(&format!("peer {what} {guest} {SECONDS}"))?;
            if what == "udp" {
                self.add(name, "/s", true, ours, value);
            } else {
                self.add(name, "MB/s", true, ours, value / 1e6);
            }
        }
        Ok(())
    }

    fn vchan(&mut self, ours: bool) -> Result {
        let value = self.number(&format!(
            "id=$(xl domid guest); peer vclient $id /local/domain/$id/data/echo {SECONDS}"
        ))?;
        self.add("vchan: 64 bytes there and back", "/s", true, ours, value);
        Ok(())
    }

    /// The least megabytes with which the whole site can be read.
    fn least_memory(&mut self, pages: &[String]) -> Result<Option<u32>> {
        let pages = pages.join(" ");
        let mut least = None;
        for memory in [32, 24, 16, 12, 10, 8, 7, 6, 5, 4, 3, 2] {
            let line = format!(
                "cd /job && xl create -p -q /job/website-{memory}.cfg && xl unpause guest && sleep 3 && peer get {} {pages}",
                machine::GUEST
            );
            let (status, output) = self.machine.command_within(&line, LIMIT)?;
            eprintln!("memory = {memory}: {}", if status == 0 { "serves the site" } else { output.trim() });
            let _ = self.machine.command(
                "xl destroy guest 2>/dev/null; while xl domid guest >/dev/null 2>&1; do usleep 50000; done",
            )?;
            if status != 0 {
                break;
            }
            least = Some(memory);
        }
        Ok(least)
    }

    fn print(&self, rounds: usize, ticks: Vec<f64>, least: Option<u32>, workspace: &Workspace) -> Result {
        println!("| medians of {rounds} rounds | unit | airglow | Linux | ratio |");
        println!("|---|---|---|---|---|");
        let mut all: Vec<Value> = Vec::new();
        for row in &self.rows {
            let (ours, theirs) = (median(&row.ours), median(&row.theirs));
            let ratio = if row.more_is_better { ours / theirs } else { theirs / ours };
            println!("| {} | {} | {ours:.1} | {theirs:.1} | **{ratio:.2}** |", row.name, row.unit);
            all.push(json!({
                "case": row.name, "unit": row.unit, "ours": row.ours, "peer": "Linux", "peer_value": row.theirs, "ratio": ratio,
            }));
        }
        if rounds > 0 {
            println!("| from entry to listening | ticks | {:.0} | | |", median(&ticks));
        }
        let least = least.map_or("more than 32".to_owned(), |memory| memory.to_string());
        println!("| smallest memory that serves the site | MB | {least} | | |");
        let folder = workspace.target.join("bench");
        fs::create_dir_all(&folder).context(folder.display())?;
        let path = folder.join("xen.json");
        let text = serde_json::to_string_pretty(&all).context("the table")?;
        fs::write(&path, text + "\n").context(path.display())?;
        eprintln!("written to {}", path.display());
        Ok(())
    }
}

const DATAGRAMS: &str = "UDP datagrams of 64 bytes answered";
const READ: &str = "block device read, 1 MiB at a time";
const WRITE: &str = "block device written, 1 MiB at a time";

/// All words of `text`, which are numbers.
fn numbers(text: &str) -> Result<Vec<f64>> {
    let numbers: Option<Vec<f64>> = text.split_whitespace().map(|word| word.parse().ok()).collect();
    numbers.context_with(|| format!("these are no numbers: {}", text.trim()))
}

/// Megabytes a second, of bytes and microseconds.
fn rate(bytes_and_micros: &[f64]) -> Result<f64> {
    match bytes_and_micros {
        [bytes, micros] if *micros > 0.0 => Ok(bytes / micros),
        other => Err(Failure::new(format!("no bytes and microseconds: {other:?}"))),
    }
}

/// The value in the middle.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
