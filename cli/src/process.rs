//! Runs a program to its end, with a time limit, its output kept in a file and shown as it moves.
use crate::{
    failure::{Context, Failure, Result},
    progress::Step,
};
use std::{
    fs::File,
    io::{BufRead, BufReader, IsTerminal, Read, Write, stderr},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// A command for `program` whose process ends when this one does, however that ends. Start it from a thread that lives as long.
pub fn tied(program: &str) -> Command {
    if cfg!(target_os = "linux") {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", program]);
        command
    } else {
        Command::new(program)
    }
}

/// Runs `command`, its standard output and error together in the file `log`, for at most `limit`;
/// `line` sees every line. Nothing is read from the terminal.
pub fn logged(
    command: &mut Command,
    log: &Path,
    limit: Duration,
    step: &Step,
    mut line: impl FnMut(&str),
) -> Result<ExitStatus> {
    let mut file = File::create(log).context(log.display())?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // At a terminal Ctrl-C must reach the children, so they stay in our group; elsewhere they get one
    // of their own, and a step that hangs is ended with everything it started.
    let own_group = !stderr().is_terminal();
    if own_group {
        command.process_group(0);
    }
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().context(&program)?;
    let (lines, from_child) = mpsc::channel();
    for pipe in [child.stdout.take().map(boxed), child.stderr.take().map(boxed)].into_iter().flatten() {
        let lines = lines.clone();
        thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut bytes = Vec::new();
            while pipe.read_until(b'\n', &mut bytes).is_ok_and(|n| n > 0) {
                if lines.send(String::from_utf8_lossy(&bytes).into_owned()).is_err() {
                    break;
                }
                bytes.clear();
            }
        });
    }
    drop(lines);
    let deadline = Instant::now() + limit;
    let mut ended = None;
    loop {
        match from_child.recv_timeout(Duration::from_millis(200)) {
            Ok(text) => {
                file.write_all(text.as_bytes()).context(log.display())?;
                let text = text.trim_end();
                step.doing(text);
                line(text);
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            // A daemon that outlives its parent may hold the pipe open: do not wait for it for ever.
            Err(mpsc::RecvTimeoutError::Timeout) => match &ended {
                Some(at) if Instant::now() > *at => break,
                Some(_) => {}
                None if child.try_wait().context(&program)?.is_some() => {
                    ended = Some(Instant::now() + Duration::from_secs(3));
                }
                None => {}
            },
        }
        if Instant::now() > deadline {
            end(&mut child, own_group);
            let _ = writeln!(file, "ended after {} s", limit.as_secs());
            return Err(Failure::new(format!("{program} was ended after {} s", limit.as_secs())));
        }
    }
    child.wait().context(&program)
}

fn boxed(pipe: impl Read + Send + 'static) -> Box<dyn Read + Send> {
    Box::new(pipe)
}

fn end(child: &mut Child, group: bool) {
    if group {
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]).status();
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Runs `command` with its output on our own, and fails when it does.
pub fn checked(command: &mut Command) -> Result {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().context(&program)?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("{program}: {status}"))) }
}
