//! A newcomer's first minutes: what `cargo airglow new` makes passes its tests and serves.
use super::Tests;
use crate::{
    failure::{Context, Failure, Result},
    process,
    workspace::{Workspace, cargo},
};
use std::{
    env,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Makes an application in a folder that ends with the test.
pub fn test(tests: &mut Tests) {
    let parent = tests.workspace.target.join(format!("airglow-test/new-{}", std::process::id()));
    let folder = parent.join("first-app");
    // The crates that the application shares with the workspace are compiled already.
    let target = tests.workspace.target.clone();
    tests.check("a new application is made", |_| {
        let mut command = tool()?;
        command.arg("new").arg(&folder).stdout(Stdio::null());
        succeed(&mut command)
    });
    let mut command = cargo();
    command.args(["test", "--manifest-path"]).arg(folder.join("Cargo.toml")).env("CARGO_TARGET_DIR", &target);
    tests.command("a new application's tests", &mut command, Duration::from_secs(300));
    tests.check("a new application serves", |workspace| serves(workspace, &folder));
    let _ = std::fs::remove_dir_all(parent);
}

fn tool() -> Result<Command> {
    Ok(Command::new(env::current_exe().context("this program")?))
}

fn succeed(command: &mut Command) -> Result {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.stdin(Stdio::null()).status().context(&program)?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("{program}: {status}"))) }
}

/// Builds it as its user would, runs it, and asks it for its page and a greeting.
fn serves(workspace: &Workspace, folder: &Path) -> Result {
    let mut build = tool()?;
    succeed(
        build
            .arg("build")
            .current_dir(folder)
            .env("CARGO_TARGET_DIR", &workspace.target)
            .stdout(Stdio::null()),
    )?;
    // Free at this moment; nobody else on this machine is told of it.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).context("127.0.0.1")?.port();
    let image = workspace.target.join("release/first-app");
    let mut command = process::tied(&image.to_string_lossy());
    let mut child = command
        .arg(format!("port={port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("first-app")?;
    let asked = [("/", "<h1>first-app</h1>"), ("/hello/you", "Hello, you!")].iter().try_for_each(
        |(path, expected)| {
            let answer = get(port, path)?;
            if answer.starts_with("HTTP/1.1 200") && answer.contains(expected) {
                Ok(())
            } else {
                Err(Failure::new(format!("{path}: {answer}")))
            }
        },
    );
    let _ = child.kill();
    let _ = child.wait();
    asked
}

/// The answer to one request, as soon as the server listens.
fn get(port: u16, path: &str) -> Result<String> {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut connection = loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(connection) => break connection,
            Err(why) if Instant::now() > deadline => return Err(Failure::new(format!("port {port}: {why}"))),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    connection.set_read_timeout(Some(Duration::from_secs(20))).context(path)?;
    write!(connection, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .context(path)?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).context(path)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
