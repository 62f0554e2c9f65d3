//! A cable between a machine that asks and one that answers, each with a processor of its own, and what the answers cost.
//!
//! On a veth pair the kernel by default does the receiver's work on the sender's processor and in the sender's name. So that it counts
//! with who causes it, both ends have a kernel thread for it (threaded NAPI), bound to the processor of their end: the server's cost is the processor
//! time of its process and of that thread. Generic receive offload, and no segmentation offload at the other end, switch this on for interfaces without
//! an XDP program; datagrams are not merged by it.
use airglow_testbed::{Namespace, Process, veth};
use std::{
    fs,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// The processor of who answers, and of who asks.
const SERVER: &str = "0";
const CLIENT: &str = "1";
const LIMIT: Duration = Duration::from_secs(60);

/// How the two are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// A veth pair.
    Veth,
    /// A tap device, whose other end a program on the client's machine holds. All of the server's work is in its own system calls.
    Tap,
}

/// The two machines, the server running.
pub struct Cable {
    client: Namespace,
    server: Option<Namespace>,
    ends: [String; 2],
    process: Process,
}

/// What one run gave.
#[derive(Clone, Copy, Debug)]
pub struct Answers {
    /// Answers per second of the clock.
    pub rate: f64,
    /// Answers per second of the server's processor time.
    pub per_cpu_second: f64,
}

impl Cable {
    /// Starts the server with the words that `words` gives for the name of its interface, in the namespace of the far end; with `address` the
    /// kernel there has that address, without it the program has the interface to itself. Waits until it has said `ready`, or for a second when that is empty.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(
        join: Join,
        address: Option<&str>,
        words: impl FnOnce(&str) -> Vec<String>,
        ready: &str,
    ) -> Self {
        // Names of their own, as their threads are found by name.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = format!("{}{}", COUNT.fetch_add(1, Ordering::Relaxed), std::process::id() % 1000);
        let ends = [format!("c{number}"), format!("s{number}")];
        let [near, far] = [ends[0].as_str(), ends[1].as_str()];
        let client = Namespace::new("client");
        let server = match join {
            Join::Veth => {
                let server = Namespace::new("server");
                veth(&client, near, &server, far);
                // No duplicate of the client's kernel beside the program that asks.
                client.silence(near);
                match address {
                    Some(address) => server.address(far, address),
                    None => server.silence(far),
                }
                for (end, interface) in [(&client, near), (&server, far)] {
                    let said = end.run("ethtool", &["-K", interface, "gro", "on", "tso", "off"]);
                    assert!(said.success(), "{said}");
                }
                Some(server)
            }
            Join::Tap => {
                client.tap(near);
                client.silence(near);
                None
            }
        };
        let place = server.as_ref().unwrap_or(&client);
        let words = words(if server.is_some() { far } else { near });
        let words: Vec<_> = ["-c", SERVER].into_iter().chain(words.iter().map(String::as_str)).collect();
        let mut process = place.start("taskset", &words);
        match ready {
            "" => std::thread::sleep(Duration::from_secs(1)),
            ready => process.wait_for(ready, LIMIT),
        }
        Self { client, server, ends, process }
    }

    /// Where who asks is.
    pub fn client(&self) -> &Namespace {
        &self.client
    }

    /// The interface there.
    pub fn near(&self) -> &str {
        &self.ends[0]
    }

    /// What `run` gives, and the processor time in seconds that the server has used meanwhile.
    ///
    /// # Panics
    /// When the ends have no threads of their own.
    pub fn cost<R>(&self, run: impl FnOnce() -> R) -> (R, f64) {
        let client = thread_of(&self.client, &self.ends[0], CLIENT);
        let server = self.server.as_ref().and_then(|server| thread_of(server, &self.ends[1], SERVER));
        assert!(
            self.server.is_none() || (client.is_some() && server.is_some()),
            "the threads of the cable's ends"
        );
        let used = || processes(self.process.id()).into_iter().chain(server).map(nanoseconds).sum::<u64>();
        let before = used();
        let result = run();
        (result, (used() - before) as f64 / 1e9)
    }

    /// Asks for `seconds` with the words of `asker`.
    ///
    /// # Panics
    /// When the server or the asker fails, or more than one answer in a hundred is wrong.
    pub fn ask(&self, words: &[&str], seconds: u64) -> Answers {
        let asker = crate::own_program("asker").display().to_string();
        let (seconds, on) = (format!("seconds={seconds}"), format!("on={}", self.ends[0]));
        let all = [&["-c", CLIENT, &asker, &on, "own=10.0.0.1", "to=10.0.0.2", &seconds], words].concat();
        let mut asking = self.client.start("taskset", &all);
        // The asker's program is at its end by now, and with it the thread there.
        asking.wait_for("AF_XDP", LIMIT);
        let (said, used) = self.cost(|| asking.wait(LIMIT));
        let numbers: Vec<f64> = said.stdout.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [answers, took, wrong, lost] = numbers[..] else { panic!("{said} {}", self.process.so_far()) };
        assert!(answers > 0.0 && wrong <= answers / 100.0, "{said} {}", self.process.so_far());
        if lost > answers / 100.0 {
            eprintln!("{lost} of {answers} lost");
        }
        Answers { rate: answers / took, per_cpu_second: answers / used }
    }
}

/// The calling thread, and those it starts from now on, run on the processor of who asks.
///
/// # Panics
/// When the machine has only one.
pub fn ask_from_here() {
    let id = std::process::id().to_string();
    let said = std::process::Command::new("taskset").args(["-cp", CLIENT, &id]).output();
    assert!(said.as_ref().is_ok_and(|said| said.status.success()), "{said:?}");
}

/// The kernel thread that receives for `interface`, made and bound to `processor` if it is not yet.
fn thread_of(namespace: &Namespace, interface: &str, processor: &str) -> Option<u32> {
    let switch = format!("echo 1 > /sys/class/net/{interface}/threaded");
    let said = namespace.run("sh", &["-c", &switch]);
    // A tap device has none.
    if !said.success() {
        return None;
    }
    let name = format!("napi/{interface}-");
    let mut found = None;
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let comm = fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
        if comm.starts_with(&name) {
            found = found.max(Some(id));
        }
    }
    let id = found?.to_string();
    let said = namespace.run("taskset", &["-cp", processor, &id]);
    assert!(said.success(), "{said}");
    found
}

/// The process `id` and all that it has started.
pub fn processes(id: u32) -> Vec<u32> {
    let mut all = vec![id];
    let mut at = 0;
    while let Some(id) = all.get(at).copied() {
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        at += 1;
    }
    all
}

/// Processor time that a process or thread has used.
fn nanoseconds(id: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{id}/schedstat")).unwrap_or_default();
    text.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
