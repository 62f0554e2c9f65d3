//! OCSP responses that `openssl ocsp` makes and `openssl s_server` staples, looked at by our client.
use crate::ours::{BOTH, PATIENCE, Random, SUITES, only};
use airglow_testbed::name_servers::free_port;
use airglow_tls::{Alert, Authorities, BUFFER, ClientConfig, Connection, Error, Event, Stapling, Version};
use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant, SystemTime},
};

/// An authority and what it issues, in a folder of its own.
struct Authority(PathBuf);

impl Authority {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("airglow-ocsp-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let authority = Self(folder);
        authority.request("ca", "");
        authority.openssl("x509 -req -in ca.csr -signkey ca.key -days 100 -extfile ca.ext -out ca.pem");
        let server = "subjectAltName=DNS:localhost\n";
        authority.issue("good", server);
        authority.issue("revoked", server);
        authority.issue("staple", "subjectAltName=DNS:localhost\ntlsfeature=status_request\n");
        authority.issue("responder", "extendedKeyUsage=OCSPSigning\n");
        authority.issue("impostor", "extendedKeyUsage=serverAuth\n");
        authority
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
    fn openssl(&self, arguments: &str) -> String {
        let mut command = Command::new("openssl");
        command.args(arguments.split_ascii_whitespace()).current_dir(&self.0).stdin(Stdio::null());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "openssl {arguments}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
    /// A key and a request for it.
    fn request(&self, name: &str, extensions: &str) {
        let extensions = if name == "ca" { "basicConstraints=critical,CA:true\n" } else { extensions };
        fs::write(self.path(&format!("{name}.ext")), extensions).unwrap();
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        self.openssl(&format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
    }
    fn issue(&self, name: &str, extensions: &str) {
        self.request(name, extensions);
        let issuer = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 100";
        self.openssl(&format!("x509 -req -in {name}.csr {issuer} -extfile {name}.ext -out {name}.pem"));
    }
    /// What `signer` says of a certificate, into a file.
    fn respond(&self, name: &str, signer: &str, more: &str) -> PathBuf {
        // status, expiry, revocation, serial, file, subject
        let index: String = ["good", "revoked", "staple"]
            .map(|name| {
                let serial = self.openssl(&format!("x509 -in {name}.pem -noout -serial"));
                let serial = serial.trim().trim_start_matches("serial=").to_owned();
                let (status, when) = if name == "revoked" { ("R", "250101000000Z") } else { ("V", "") };
                format!("{status}\t491231235959Z\t{when}\t{serial}\tunknown\t/CN={name}\n")
            })
            .concat();
        fs::write(self.path("index.txt"), index).unwrap();
        let out = format!("{name}-{signer}.ocsp");
        self.openssl(&format!(
            "ocsp -index index.txt -CA ca.pem -rsigner {signer}.pem -rkey {signer}.key -issuer ca.pem -cert {name}.pem \
             -respout {out} -noverify {more}"
        ));
        self.path(&out)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Server(Child);
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Now, and so many days later.
struct InDays(u64);
impl airglow_device::WallClock for InDays {
    fn unix_now(&self) -> Option<Duration> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Some(now + Duration::from_secs(self.0 * 86_400))
    }
}

/// How our client ends with a server that has `certificate` and staples `response`.
fn connect(
    authority: &Authority,
    certificate: &str,
    response: Option<&PathBuf>,
    stapling: Stapling,
    version: &str,
    days: u64,
) -> Result<(), Error> {
    let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut command = Command::new("openssl");
    command.args(["s_server", "-www", version, "-accept", &addr.to_string()]).current_dir(&authority.0);
    command.args(["-cert", &format!("{certificate}.pem"), "-key", &format!("{certificate}.key")]);
    if let Some(response) = response {
        command.arg("-status_file").arg(response);
    }
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let _server = Server(child);
    let start = Instant::now();
    while TcpStream::connect(addr).is_err() {
        assert!(start.elapsed() < PATIENCE, "openssl s_server does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    let root = fs::read(authority.path("ca.pem")).unwrap();
    let root = airglow_tls::pem::certificates(&root).unwrap();
    let clock = InDays(days);
    let authorities = Authorities::new(&[&root[0]], &clock).unwrap().with_stapling(stapling);
    let config = ClientConfig {
        minimum_version: Version::Tls12,
        ..ClientConfig::new(only(SUITES[0], BOTH), &authorities)
    };
    let mut tls =
        Connection::client(&config, "localhost", &Random, vec![0; BUFFER], vec![0; 17_000]).unwrap();
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    loop {
        let event = tls.process();
        let _ = stream.write_all(tls.output());
        tls.sent(tls.output().len());
        assert_eq!(event?, Event::Idle);
        if tls.is_connected() {
            return Ok(());
        }
        // In small pieces: the response need not come with the certificate.
        let space = tls.space();
        let len = space.len().min(100);
        match stream.read(&mut space[..len]).unwrap_or(0) {
            0 => tls.received_end()?,
            count => tls.received(count),
        }
    }
}

#[test]
fn what_openssl_staples_is_looked_at() {
    let authority = Authority::new();
    let week = "-ndays 7";
    let good = authority.respond("good", "ca", week);
    let delegated = authority.respond("good", "responder", week);
    let impostor = authority.respond("good", "impostor", week);
    let revoked = authority.respond("revoked", "ca", week);
    let revoked_delegated = authority.respond("revoked", "responder", week);
    let staple = authority.respond("staple", "ca", week);
    let sha256 = {
        let file = authority.respond("good", "ca", week);
        let kept = file.with_extension("sha1");
        fs::rename(&file, &kept).unwrap();
        // The digest of the CertID is that of the option before the certificate.
        authority.openssl(
            "ocsp -index index.txt -CA ca.pem -rsigner ca.pem -rkey ca.key -issuer ca.pem -sha256 -cert good.pem \
             -respout sha256.ocsp -noverify -ndays 7",
        );
        fs::rename(&kept, &file).unwrap();
        authority.path("sha256.ocsp")
    };
    let endless = {
        let kept = fs::read(&good).unwrap();
        let file = authority.respond("good", "ca", "");
        let endless = authority.path("endless.ocsp");
        fs::rename(file, &endless).unwrap();
        fs::write(&good, kept).unwrap();
        endless
    };
    let bad = Err(Error::Sent(Alert::BAD_CERTIFICATE_STATUS_RESPONSE));
    let taken_back = Err(Error::Sent(Alert::CERTIFICATE_REVOKED));
    for version in ["-tls1_3", "-tls1_2"] {
        for (what, certificate, response, stapling, days, expected) in [
            ("good", "good", Some(&good), Stapling::Required, 0, Ok(())),
            ("named by SHA-256", "good", Some(&sha256), Stapling::Required, 0, Ok(())),
            ("delegated", "good", Some(&delegated), Stapling::Required, 0, Ok(())),
            ("not a responder", "good", Some(&impostor), Stapling::Checked, 0, bad),
            ("of another", "good", Some(&staple), Stapling::Checked, 0, bad),
            ("revoked", "revoked", Some(&revoked), Stapling::Checked, 0, taken_back),
            ("revoked, delegated", "revoked", Some(&revoked_delegated), Stapling::Checked, 0, taken_back),
            ("too old", "good", Some(&good), Stapling::Checked, 8, bad),
            ("of no end", "good", Some(&endless), Stapling::Checked, 0, bad),
            ("none", "good", None, Stapling::Checked, 0, Ok(())),
            ("none", "good", None, Stapling::Required, 0, bad),
            ("must staple", "staple", Some(&staple), Stapling::Checked, 0, Ok(())),
            ("must staple and does not", "staple", None, Stapling::Checked, 0, bad),
        ] {
            let outcome = connect(&authority, certificate, response, stapling, version, days);
            assert_eq!(outcome, expected, "{what}, {version}");
        }
    }
}
