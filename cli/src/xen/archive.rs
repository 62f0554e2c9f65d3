//! A `cpio` archive in the form that Linux unpacks at boot ("newc").
use crate::failure::{Context, Result};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

/// An archive that is being made, in memory.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

const FOLDER: u32 = 0o040_755;
const LINK: u32 = 0o120_777;
const FILE: u32 = 0o100_644;
const PROGRAM: u32 = 0o100_755;

impl Archive {
    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let links = if mode & 0o170_000 == 0o040_000 { 2 } else { 1 };
        let fields =
            [self.entries, mode, 0, 0, links, 0, content.len() as u32, 0, 0, 0, 0, path.len() as u32 + 1, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08X}").bytes());
        }
        self.bytes.extend(path.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// A folder; its parents come first.
    pub fn folder(&mut self, path: &str) {
        self.entry(path, FOLDER, b"");
    }
    /// A symbolic link.
    pub fn link(&mut self, path: &str, to: &str) {
        self.entry(path, LINK, to.as_bytes());
    }
    /// A file.
    pub fn file(&mut self, path: &str, content: &[u8]) {
        self.entry(path, FILE, content);
    }
    /// A file that can be run.
    pub fn program(&mut self, path: &str, content: &[u8]) {
        self.entry(path, PROGRAM, content);
    }
    /// A copy of the file `from`.
    pub fn copy(&mut self, path: &str, from: &Path) -> Result {
        let content = fs::read(from).context(from.display())?;
        let mode = fs::metadata(from).context(from.display())?.permissions().mode();
        self.entry(path, if mode & 0o111 == 0 { FILE } else { PROGRAM }, &content);
        Ok(())
    }
    /// The whole.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, b"");
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::Archive;
    use std::{
        io::Write,
        process::{Command, Stdio},
    };

    #[test]
    fn entries_are_aligned_and_complete() {
        let mut archive = Archive::default();
        archive.folder("etc");
        archive.file("etc/name", b"airglow");
        archive.link("name", "etc/name");
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        assert!(bytes.starts_with(b"070701"));
        // Where there is a cpio, it agrees.
        let Ok(mut cpio) =
            Command::new("cpio").args(["-t", "--quiet"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
        else {
            return;
        };
        cpio.stdin.take().unwrap().write_all(&bytes).unwrap();
        assert_eq!(cpio.wait_with_output().unwrap().stdout, b"etc\netc/name\nname\n");
    }
}
