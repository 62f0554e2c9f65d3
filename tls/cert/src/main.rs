//! `cargo airglow cert`: an authority and a server's certificate, as PEM files in a folder.
use airglow_device::Entropy;
use airglow_tls_cert::{Authority, Validity, request, request_pem};
use std::{
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

const USAGE: &str = "usage: cargo airglow cert [--folder FOLDER] [--days DAYS] [--request] [NAME...]

Makes an authority for development (ca.pem, ca.key.pem), unless FOLDER has one, and with it a certificate for the
NAMEs, host names or addresses (cert.pem, key.pem). FOLDER is `certificates`, DAYS 90, the NAME localhost and its
addresses. With --request nothing is signed: cert.csr.pem is for another authority.";

struct Random(File);
impl Entropy for Random {
    fn fill(&self, out: &mut [u8]) {
        if let Err(why) = (&self.0).read_exact(out) {
            // There is no certificate without random numbers.
            eprintln!("error: /dev/urandom: {why}");
            std::process::exit(1);
        }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let (mut folder, mut days, mut names, mut only_request) =
        (PathBuf::from("certificates"), 90, Vec::new(), false);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a value\n{USAGE}"));
        match word.as_str() {
            "--folder" => folder = value()?.into(),
            "--days" => days = value()?.parse().map_err(|_| format!("--days wants a number\n{USAGE}"))?,
            "--request" => only_request = true,
            "--help" | "-h" => {
                println!("{USAGE}");
                return Ok(());
            }
            option if option.starts_with('-') => return Err(format!("what is {option}?\n{USAGE}")),
            _ => names.push(word),
        }
    }
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    if names.is_empty() {
        names = vec!["localhost", "127.0.0.1", "::1"];
    }
    let urandom = File::open("/dev/urandom").map_err(|why| format!("/dev/urandom: {why}"))?;
    let entropy = Random(urandom);
    fs::create_dir_all(&folder).map_err(|why| format!("{}: {why}", folder.display()))?;
    let file = |name: &str| folder.join(name);
    if only_request {
        let made = request(&names, &entropy);
        write(&file("key.pem"), &made.key_pem(), true)?;
        return write(&file("cert.csr.pem"), &request_pem(&made), false);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    // Clocks differ.
    let validity = |days| Validity { from: now.saturating_sub(3_600), days };
    let (ca, ca_key) = (file("ca.pem"), file("ca.key.pem"));
    let authority = if ca.exists() || ca_key.exists() {
        let read = |path: &Path| fs::read(path).map_err(|why| format!("{}: {why}", path.display()));
        Authority::load(&read(&ca)?, &read(&ca_key)?).ok_or_else(|| {
            format!("{} and {} are no certificate and its P-256 key", ca.display(), ca_key.display())
        })?
    } else {
        let authority = Authority::new("airglow development authority", validity(3_650), &entropy);
        write(&ca, &authority.issued.certificate_pem(), false)?;
        write(&ca_key, &authority.issued.key_pem(), true)?;
        authority
    };
    let made = authority.issue(&names, validity(days), &entropy);
    write(&file("cert.pem"), &made.certificate_pem(), false)?;
    write(&file("key.pem"), &made.key_pem(), true)
}

fn write(path: &Path, text: &str, secret: bool) -> Result<(), String> {
    let write = || {
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        if secret {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        options.open(path)?.write_all(text.as_bytes())
    };
    write().map_err(|why: std::io::Error| format!("{}: {why}", path.display()))?;
    println!("{}", path.display());
    Ok(())
}
