//! The processor's AES instructions in a guest, and a guest that is told that there are none.
use super::{configuration, guest, that};
use crate::{
    failure::{Context, Result},
    workspace::Workspace,
    xen::{
        dom0::Dom0,
        kernel,
        machine::{self, Machine},
    },
};
use std::{fs, path::Path};

const NAME: &str = "cipher_rate";

/// Whether AESENC is among the instructions: with the prefixes that registers from xmm8 on ask for, as AVX encodes it, or neither.
fn has_aes(kernel: &[u8]) -> bool {
    kernel.windows(5).any(|code| {
        matches!(code, [0x66, 0x40..=0x4f, 0x0f, 0x38, 0xdc] | [0x66, 0x0f, 0x38, 0xdc, _])
            || matches!(code, [0xc4, 0xe2, prefix, 0xdc, _] if prefix & 0x87 == 1)
    })
}

/// The same kernel compiled for any processor and for one with AES encrypts to the same, and only the second has AES instructions;
/// where AES is hidden from it, it says so and ends. How much faster it is, an emulated processor does not tell.
pub fn is_used(workspace: &Workspace, dom0: &Dom0, kernel: &Path) -> Result {
    let any = fs::read(kernel).context(kernel.display())?;
    let aes = kernel::example_for(workspace, "airglow-platform-xen", NAME, &["aes".into()])?;
    let aes = fs::read(&aes).context(aes.display())?;
    let uses = (has_aes(&any), has_aes(&aes));
    that(uses == (false, true), || format!("AES instructions without and with wanting them: {uses:?}"))?;
    let words = format!("ipv4={}/24", machine::GUEST);
    let plain = |kernel: &str| configuration(kernel, 16, &words, "destroy");
    let hidden = format!("{}cpuid = 'host,aesni=0'\n", plain("aes.elf"));
    let texts = [plain("any.elf"), plain("aes.elf"), hidden];
    let files = [
        ("any.elf", any.as_slice()),
        ("aes.elf", aes.as_slice()),
        ("any.cfg", texts[0].as_bytes()),
        ("aes.cfg", texts[1].as_bytes()),
        ("hidden.cfg", texts[2].as_bytes()),
    ];
    let mut machine = Machine::start(dom0, &files, &[], &[])?;
    let mut guest = guest(&mut machine);
    let mut sealed = |configuration: &str| {
        guest.start(configuration)?;
        let reason = guest.ended()?;
        let console = guest.console()?;
        that(reason == 0, || format!("{configuration} ended with reason {reason}:\n{console}"))?;
        let line = console.lines().find_map(|line| line.split_once("sealed in "));
        let (_, tag) = line.and_then(|(_, rest)| rest.split_once(" us, ")).context("no `sealed in`")?;
        Ok(tag.trim().to_owned())
    };
    let (slow, fast) = (sealed("any")?, sealed("aes")?);
    that(slow == fast, || format!("the tags differ: {slow} {fast}"))?;

    guest.start("hidden")?;
    let reason = guest.ended()?;
    let console = guest.console()?;
    that(
        reason == 3 && console.contains("compiled for a processor that has AES, and this one has not"),
        || format!("without AES: reason {reason}:\n{console}"),
    )
}
