//! An authority of the test's own, and a certificate of its making.
use airglow_device::Entropy;
use airglow_tls_cert::{Authority, Validity};
use std::{
    fs::{self, File},
    io::Read,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::SystemTime,
};

/// `ca.pem`, `cert.pem` and `key.pem` in a folder that goes away with it.
pub struct Certificates {
    pub folder: PathBuf,
    words: [String; 2],
}

struct Random;
impl Entropy for Random {
    fn fill(&self, out: &mut [u8]) {
        File::open("/dev/urandom").and_then(|mut file| file.read_exact(out)).unwrap();
    }
}

impl Certificates {
    /// A folder for this process.
    pub fn folder(label: &str) -> PathBuf {
        // Tests of one process run side by side.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("airglow-{label}-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }
    pub fn new(label: &str, names: &[&str]) -> Self {
        let folder = Self::folder(label);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let validity = Validity { from: now - 3_600, days: 365 };
        let authority = Authority::new("airglow's test authority", validity, &Random);
        let server = authority.issue(names, validity, &Random);
        for (name, text) in [
            ("ca.pem", authority.issued.certificate_pem()),
            ("cert.pem", server.certificate_pem()),
            ("key.pem", server.key_pem()),
        ] {
            fs::write(folder.join(name), text).unwrap();
        }
        let words =
            ["cert", "key"].map(|what| format!("{what}={}", folder.join(format!("{what}.pem")).display()));
        Self { folder, words }
    }
    /// The boot parameters that name the files.
    pub fn words(&self) -> [&str; 2] {
        [&self.words[0], &self.words[1]]
    }
    pub fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
