//! A site's own authority, as OpenFlow's switches and controllers trust it.
use crate::Namespace;
use std::{env::temp_dir, fs, path::PathBuf};

/// An authority of the site's, and certificates that it has signed, in a folder of the test's own.
pub struct Authority(PathBuf);

impl Authority {
    /// Makes them with OpenSSL, one for each name.
    ///
    /// # Panics
    /// When that fails.
    pub fn new(space: &Namespace, names: &[&str]) -> Self {
        let folder = temp_dir().join(format!("airglow-openflow-certificates-{}", space.name()));
        fs::create_dir_all(&folder).expect("a temporary folder");
        let this = Self(folder);
        let run = |words: &str| {
            let said = space.run("openssl", &words.split(' ').collect::<Vec<_>>());
            assert!(said.success(), "{said}");
        };
        let fresh = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj";
        let at = |name: &str| this.at(name);
        run(&format!("req -x509 {fresh} /CN=authority -keyout {} -out {}", at("ca.key"), at("ca.pem")));
        for name in names {
            let [key, request, file] = ["key", "csr", "pem"].map(|kind| at(&format!("{name}.{kind}")));
            run(&format!("req {fresh} /CN={name} -keyout {key} -out {request}").replace("-days 2 ", ""));
            let authority = format!("-CA {} -CAkey {} -CAcreateserial", at("ca.pem"), at("ca.key"));
            // Version 3 of X.509, as an extension makes it.
            fs::write(at("extensions"), "basicConstraints=CA:FALSE").expect("a file");
            let more = format!("-days 2 -extfile {}", at("extensions"));
            run(&format!("x509 -req -in {request} {authority} {more} -out {file}"));
        }
        this
    }
    /// A file: `ca.pem`, or `NAME.pem` and `NAME.key`.
    pub fn at(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
    /// As our programs' boot parameters.
    pub fn ours(&self, name: &str) -> [String; 3] {
        let [cert, key] = ["pem", "key"].map(|kind| self.at(&format!("{name}.{kind}")));
        [format!("cert={cert}"), format!("key={key}"), format!("ca={}", self.at("ca.pem"))]
    }
    /// As the options of Open vSwitch's programs.
    pub fn theirs(&self, name: &str) -> [String; 3] {
        let [cert, key] = ["pem", "key"].map(|kind| self.at(&format!("{name}.{kind}")));
        let authority = self.at("ca.pem");
        [format!("--certificate={cert}"), format!("--private-key={key}"), format!("--ca-cert={authority}")]
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
