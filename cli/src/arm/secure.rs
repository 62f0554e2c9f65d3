//! TLS on boards: `apps/https-page` with and without, for the size; connected to by OpenSSL and curl.
use super::{
    boards::{self, Board},
    emulator::{self, Running},
    image, size,
};
use crate::{
    failure::{Context, Failure, Result},
    test::Tests,
};
use std::{
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

/// What TLS may add to the page's image, in bytes of flash, and how deep the stack may be. Measured, and a little air.
const FLASH: u64 = 113 * 1024;
const STACK: u64 = 85_000;

/// What the board says that has no randomness which is fit for secrets: where it stopped.
const REFUSED: &str = "panic at platform-arm/src/entropy.rs";

/// The tests.
pub fn test(tests: &mut Tests, decoder: &Path) -> Result {
    tests.need(&["curl", "openssl"])?;
    let Some(board) = boards::find("mps2-an385") else { return Ok(()) };
    tests.check("mps2-an385: TLS, its size, and none without randomness", |workspace| {
        let app = workspace.app(Some("https-page"))?;
        let (plain, _) = size::measure(&image::without_default_features(workspace, &app, board)?)?;
        let image = image::build(workspace, &app, board)?;
        let (size, _) = size::measure(&image)?;
        let tls = size.flash.saturating_sub(plain.flash);
        println!("   flash {} bytes, of these TLS {tls}; variables {} bytes", size.flash, size.ram);
        if tls > FLASH {
            return Err(Failure::new(format!("TLS has {tls} bytes of flash; the bound is {FLASH}")));
        }
        refuses(board, &image, decoder)?;
        serves(board, &image, decoder)
    });
    Ok(())
}

/// A board with `image`, its port 443 forwarded.
fn boot(board: &Board, image: &Path, words: &[&str], decoder: &Path) -> Result<(Running, u16)> {
    let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
    let image = image::with_parameters(image, &words)?;
    let port = emulator::free_port()?;
    let netdev = format!("user,hostfwd=tcp:127.0.0.1:{port}-:443");
    let log = std::env::temp_dir().join(format!("airglow-{}-tls-{}.log", board.name, std::process::id()));
    let running = Running::start(board, &image, &netdev, decoder, &log)?;
    says(&running, "serving at port 443")?;
    Ok((running, port))
}

fn says(running: &Running, words: &str) -> Result {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !running.log().contains(words) {
        if Instant::now() > deadline {
            return Err(Failure::new(format!("the board does not say `{words}`:\n{}", running.log())));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn curl(port: u16, more: &[&str]) -> Result<Output> {
    // The certificate is one that nobody trusts; that the board has its key is checked all the same.
    Command::new("curl")
        .args(["--silent", "--show-error", "--insecure", "--verbose", "--noproxy", "*", "--max-time", "30"])
        .args(more)
        .arg(format!("https://127.0.0.1:{port}/"))
        .stdin(Stdio::null())
        .output()
        .context("curl")
}

/// Without a seed that is fit for keys there is no TLS.
fn refuses(board: &Board, image: &Path, decoder: &Path) -> Result {
    let (running, port) = boot(board, image, &[], decoder)?;
    let output = curl(port, &[])?;
    if output.status.success() {
        return Err(Failure::new("the board makes keys of a seed that it has at every boot"));
    }
    says(&running, REFUSED)
}

/// A full handshake in each group, a resumed one, and how deep the stack has been then.
fn serves(board: &Board, image: &Path, decoder: &Path) -> Result {
    let (running, port) = boot(board, image, &["seed=once"], decoder)?;
    let with_log = |why: String| Failure::new(format!("{why}\nthe board's log:\n{}", running.log()));
    for group in ["X25519", "P-256"] {
        let output = curl(port, &["--curves", group])?;
        let (page, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if !page.contains("that is all there is") || !said.contains("SSL connection using TLSv1.3") {
            return Err(with_log(format!("{group}: {page}{said}")));
        }
    }
    let session = std::env::temp_dir().join(format!("airglow-session-{}", std::process::id()));
    let mut said = Vec::new();
    for option in ["-sess_out", "-sess_in"] {
        // The input ends after the answer, which comes after the ticket.
        let script = format!(
            "(printf 'GET / HTTP/1.0\\r\\n\\r\\n'; sleep 3) | \
             timeout 30 openssl s_client -connect 127.0.0.1:{port} {option} {} 2>&1",
            session.display()
        );
        let output = Command::new("sh").args(["-c", &script]).output().context("openssl")?;
        said.push(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let _ = std::fs::remove_file(session);
    for (said, kind) in said.iter().zip(["New, TLSv1.3", "Reused, TLSv1.3"]) {
        if !said.contains(kind) || !said.contains("that is all there is") {
            return Err(with_log(format!("OpenSSL does not say `{kind}` and the page: {said}")));
        }
    }
    let deepest =
        running.deepest_stack().context_with(|| format!("no depth in the log:\n{}", running.log()))?;
    println!("   stack {deepest} bytes at most");
    if deepest < STACK { Ok(()) } else { Err(with_log(format!("the stack was {deepest} bytes deep"))) }
}
