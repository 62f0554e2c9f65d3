//! Processes that end with the test.
use std::{
    fmt,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

/// A process whose output is collected as it comes. Killed, by its own id, when dropped.
pub struct Process {
    name: String,
    child: Child,
    output: Arc<Output>,
}

#[derive(Default)]
struct Output {
    text: Mutex<Collected>,
    changed: Condvar,
}

#[derive(Default)]
struct Collected {
    stdout: String,
    stderr: String,
    ended: u8,
}

/// What a process said until it ended, and how it ended.
pub struct Said {
    name: String,
    /// Its exit status; `None` when it had to be ended.
    pub status: Option<ExitStatus>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Process {
    /// Starts `command` with nothing to read.
    ///
    /// # Panics
    /// When there is no such program.
    pub fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let name = command.get_args().fold(name, |name, word| name + " " + &word.to_string_lossy());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|why| panic!("{name}: {why}"));
        let output = Arc::<Output>::default();
        if let Some(pipe) = child.stdout.take() {
            collect(pipe, Arc::clone(&output), |text| &mut text.stdout);
        }
        if let Some(pipe) = child.stderr.take() {
            collect(pipe, Arc::clone(&output), |text| &mut text.stderr);
        }
        Self { name, child, output }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until its output contains `text`, on either stream.
    ///
    /// # Panics
    /// After `limit`, or when it ends before.
    pub fn wait_for(&mut self, text: &str, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut collected = self.output.text.lock().unwrap();
        while !collected.stdout.contains(text) && !collected.stderr.contains(text) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero() && collected.ended < 2,
                "{}: did not say `{text}`\n{}\n{}",
                self.name,
                collected.stdout,
                collected.stderr
            );
            collected = self.output.changed.wait_timeout(collected, left).unwrap().0;
        }
    }

    /// What it has said so far.
    pub fn so_far(&self) -> String {
        let collected = self.output.text.lock().unwrap();
        format!("{}{}", collected.stdout, collected.stderr)
    }

    /// Whether it runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_none())
    }

    /// Waits for its end; after `limit` ends it.
    pub fn wait(mut self, limit: Duration) -> Said {
        let deadline = Instant::now() + limit;
        let mut collected = self.output.text.lock().unwrap();
        while collected.ended < 2 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            collected = self.output.changed.wait_timeout(collected, left).unwrap().0;
        }
        drop(collected);
        let mut status = self.child.try_wait().ok().flatten();
        while status.is_none() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
            status = self.child.try_wait().ok().flatten();
        }
        let collected = self.output.text.lock().unwrap();
        Said {
            name: self.name.clone(),
            status,
            stdout: collected.stdout.clone(),
            stderr: collected.stderr.clone(),
        }
    }

    /// Sends it the signal `name`, such as `INT`.
    pub fn signal(&self, name: &str) {
        let _ = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status();
    }

    /// Seconds of processor time it has used, in user and kernel mode, with its threads.
    pub fn cpu_seconds(&self) -> f64 {
        cpu_seconds(self.id())
    }

    /// Bytes of memory it holds: resident, not counting pages of files.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let kib =
            |line: &str| line.strip_prefix("RssAnon:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok();
        status.lines().find_map(kib).unwrap_or(0) * 1024
    }
}

/// Seconds of processor time that the process `id` has used, in user and kernel mode, with its threads.
pub fn cpu_seconds(id: u32) -> f64 {
    // /proc/PID/stat: fields 14 and 15, in ticks of 1/100 s; the name in field 2 may hold spaces.
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = |n: usize| after_name.split_whitespace().nth(n).and_then(|t| t.parse::<f64>().ok());
    (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0
}

/// Bytes of memory that the process `id` holds: resident, not counting pages of files.
pub fn memory(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let kib =
        |line: &str| line.strip_prefix("RssAnon:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok();
    status.lines().find_map(kib).unwrap_or(0) * 1024
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Said {
    /// Whether it ended by itself and was content.
    pub fn success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status.map_or("ended after its time".to_owned(), |status| status.to_string());
        write!(f, "{}: {status}\n{}\n{}", self.name, self.stdout, self.stderr)
    }
}

fn collect(pipe: impl Read + Send + 'static, output: Arc<Output>, which: fn(&mut Collected) -> &mut String) {
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            which(&mut output.text.lock().unwrap()).push_str(&String::from_utf8_lossy(&line));
            output.changed.notify_all();
            line.clear();
        }
        output.text.lock().unwrap().ended += 1;
        output.changed.notify_all();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Process {
        Process::start(Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn what_a_process_says_is_kept() {
        let said = sh("echo out; echo err >&2; exit 3").wait(Duration::from_secs(10));
        assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("out\n", "err\n"));
        assert_eq!(said.status.and_then(|s| s.code()), Some(3));
    }

    #[test]
    fn a_process_that_hangs_is_ended() {
        let start = Instant::now();
        let said = sh("exec sleep 30").wait(Duration::from_millis(300));
        assert!(said.status.is_none() && !said.success());
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_word_is_waited_for() {
        let mut process = sh("sleep 0.1; echo ready; exec sleep 30");
        process.wait_for("ready", Duration::from_secs(10));
        assert!(process.runs());
        assert!(process.memory() > 0);
    }
}
