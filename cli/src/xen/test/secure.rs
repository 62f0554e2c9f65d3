//! TLS in a guest: what it adds to the image, and a page over HTTPS.
use super::{configuration, guest, that, wait};
use crate::{
    failure::{Context, Result},
    workspace::Workspace,
    xen::{
        dom0::Dom0,
        kernel,
        machine::{self, Forward, Machine},
        run,
    },
};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// What TLS may add to what is loaded of the image, in bytes. Measured, and a little air.
const MOST: u64 = 104 * 1024;

/// curl reads the page over TLS 1.3, with each AEAD and in both groups.
pub fn serves(workspace: &Workspace, dom0: &Dom0, kernel: &Path) -> Result {
    let elf = fs::read(kernel).context(kernel.display())?;
    let loaded = kernel::loaded(kernel)?;
    let plain = kernel::without_default_features(workspace, &workspace.app(Some("https-page"))?)?;
    let plain = kernel::loaded(&plain)?;
    println!("   loaded: {loaded} bytes with TLS, {plain} without");
    let tls = loaded.saturating_sub(plain);
    that(tls <= MOST, || format!("TLS adds {tls} bytes to the image, and may add {MOST}"))?;

    let port = run::free("tcp", 0).context("no free port")?;
    let words = format!("ipv4={}/24 gateway=10.0.2.2", machine::GUEST);
    let text = configuration("page.elf", 16, &words, "destroy");
    let files = [("page.elf", elf.as_slice()), ("page.cfg", text.as_bytes())];
    let mut machine =
        Machine::start(dom0, &files, &[], &[Forward { protocol: "tcp", here: port, there: 443 }])?;
    let mut guest = guest(&mut machine);
    guest.start("page")?;
    guest.says("serving at port 443")?;
    let curl = |words: &[&str]| {
        Command::new("curl")
            // The certificate is one that nobody trusts; that the guest has its key is checked all the same.
            .args([
                "--silent",
                "--show-error",
                "--insecure",
                "--verbose",
                "--noproxy",
                "*",
                "--max-time",
                "20",
            ])
            .args(words)
            .arg(format!("https://127.0.0.1:{port}/"))
            .stdin(Stdio::null())
            .output()
            .context("curl")
    };
    wait("the first page over HTTPS", || Ok(curl(&[])?.status.success()))?;
    for words in [
        ["--tls13-ciphers", "TLS_AES_128_GCM_SHA256"],
        ["--tls13-ciphers", "TLS_AES_256_GCM_SHA384"],
        ["--tls13-ciphers", "TLS_CHACHA20_POLY1305_SHA256"],
        ["--curves", "X25519"],
        ["--curves", "P-256"],
    ] {
        let output = curl(&words)?;
        let (page, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let suite = words[1].strip_prefix("TLS_").map_or("TLSv1.3", |_| words[1]);
        that(
            page.contains("that is all there is") && said.contains("TLSv1.3") && said.contains(suite),
            || format!("{words:?}: {page}{said}"),
        )?;
    }
    guest.machine.must("xl shutdown guest")?;
    let reason = guest.ended()?;
    that(reason == 0, || format!("xl shutdown ended the guest with reason {reason} and not 0"))
}
