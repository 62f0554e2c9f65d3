//! Compiles a certificate and its key in.
fn main() {
    #[cfg(feature = "tls")]
    certificate::compile_in();
}

#[cfg(feature = "tls")]
mod certificate {
    use airglow_device::Entropy;
    use airglow_tls::pem;
    use airglow_tls_cert::{Authority, Validity};
    use std::{
        env,
        fs::{self, File},
        io::Read,
        path::{Path, PathBuf},
        time::SystemTime,
    };

    struct Random;
    impl Entropy for Random {
        fn fill(&self, out: &mut [u8]) {
            let filled = File::open("/dev/urandom").and_then(|mut file| file.read_exact(out));
            filled.expect("random bytes from /dev/urandom");
        }
    }

    pub(super) fn compile_in() {
        let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
        let (chain, key) = match (named("AIRGLOW_CERTIFICATE"), named("AIRGLOW_KEY")) {
            (Some(certificate), Some(key)) => {
                let chain = pem::certificates(&certificate);
                let key = pem::private_key(&key).and_then(|_| pem::private_key_der(&key));
                let chain = chain.expect("AIRGLOW_CERTIFICATE names a file of certificates, PEM or DER");
                (
                    chain,
                    key.expect("AIRGLOW_KEY names a file with a key for ECDSA or Ed25519, PEM or DER")
                        .to_vec(),
                )
            }
            (None, None) => of_nobody(),
            _ => panic!("AIRGLOW_CERTIFICATE and AIRGLOW_KEY go together"),
        };
        let mut text = String::from("static CHAIN: &[&[u8]] = &[");
        for (number, certificate) in chain.iter().enumerate() {
            let file = folder.join(format!("certificate-{number}.der"));
            text += &include(&file);
            write(&file, certificate);
        }
        write(&folder.join("key.der"), &key);
        text += &format!(
            "];\nstatic KEY: &[u8] = {};\n",
            include(&folder.join("key.der")).trim_end_matches(", ")
        );
        write(&folder.join("certificate.rs"), text.as_bytes());
    }

    /// The content of the file that the environment names.
    fn named(variable: &str) -> Option<Vec<u8>> {
        println!("cargo::rerun-if-env-changed={variable}");
        let file = env::var(variable).ok()?;
        println!("cargo::rerun-if-changed={file}");
        Some(fs::read(&file).unwrap_or_else(|why| panic!("{variable}={file}: {why}")))
    }

    /// A certificate for localhost that nobody trusts: its authority is forgotten at once.
    fn of_nobody() -> (Vec<Vec<u8>>, Vec<u8>) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let validity = Validity { from: now.saturating_sub(3_600), days: 90 };
        let authority = Authority::new("nobody", validity, &Random);
        let issued = authority.issue(&["localhost", "127.0.0.1"], validity, &Random);
        (vec![issued.certificate], issued.key)
    }

    fn include(file: &Path) -> String {
        format!("include_bytes!({:?}), ", file.display().to_string())
    }
    fn write(file: &Path, content: &[u8]) {
        fs::write(file, content).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
    }
}
