//! The smallest appliance: a name server with its zone, asked by `dig`.
use super::{configuration, guest, that};
use crate::{
    failure::{Context, Result},
    workspace::Workspace,
    xen::{
        dom0::Dom0,
        machine::{self, Forward, Machine},
        run,
    },
};
use std::{fs, path::Path, process::Command};

/// Bytes that the image may have at most: the file that is copied, and so also what is loaded of it.
const MOST: usize = 200_000;

/// Questions, and what `dig +short` prints.
const QUESTIONS: &[(&[&str], &str)] = &[
    (&["www.example.com", "A"], "192.0.2.80\n"),
    (&["www.example.com", "AAAA", "+tcp"], "2001:db8::80\n"),
    (&["any.apps.example.com", "A"], "192.0.2.81\n"),
    (&["ftp.example.com", "A"], "www.example.com.\n192.0.2.80\n"),
    (&["example.com", "MX", "+tcp"], "10 mail.example.com.\n"),
    (&["none.example.com", "A"], ""),
];

/// Answers over UDP and TCP, in a small image.
pub fn answers(_: &Workspace, dom0: &Dom0, kernel: &Path) -> Result {
    let elf = fs::read(kernel).context(kernel.display())?;
    that(elf.len() <= MOST, || format!("the image has {} bytes, and may have {MOST}", elf.len()))?;
    let port = run::free("udp", 0).context("no free port")?;
    let words = format!("ipv4={}/24 gateway=10.0.2.2", machine::GUEST);
    let text = configuration("dns.elf", 8, &words, "destroy");
    let files = [("dns.elf", elf.as_slice()), ("dns.cfg", text.as_bytes())];
    let forward = |protocol| Forward { protocol, here: port, there: 53 };
    let mut machine = Machine::start(dom0, &files, &[], &[forward("udp"), forward("tcp")])?;
    let mut guest = guest(&mut machine);
    guest.start("dns")?;
    guest.says("serving on port 53")?;
    for (question, expected) in QUESTIONS {
        let output = Command::new("dig")
            .args(["@127.0.0.1", "-p", &port.to_string(), "+short", "+time=5", "+tries=6"])
            .args(*question)
            .output()
            .context("dig")?;
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        that(output.status.success() && answer == *expected, || {
            format!("dig {}: `{answer}` and not `{expected}`", question.join(" "))
        })?;
    }
    guest.machine.must("xl shutdown guest")?;
    let reason = guest.ended()?;
    that(reason == 0, || format!("xl shutdown ended the guest with reason {reason} and not 0"))
}
