//! The website over HTTPS, on host sockets and on a tap device, asked by curl and examined by sslscan and testssl.sh.
//! Needs root, iproute2, curl, openssl, sslscan and testssl.sh: `cargo airglow test peers`.
mod certificates;

use airglow_testbed::{Namespace, Process, Said, veth};
use certificates::Certificates;
use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

const WEBSITE: &str = env!("CARGO_BIN_EXE_airglow-website");
const TLS: [&str; 3] = ["tls=on", "hsts=on", "redirect=80"];

struct Served {
    client: Namespace,
    website: Process,
    certificates: Certificates,
    _server: Option<Namespace>,
}

fn tap() -> Served {
    tap_with(&[])
}

fn tap_with(words: &[&str]) -> Served {
    let certificates = Certificates::new("tap", &["10.0.0.2", "fd00::2", "site.example"]);
    let client = Namespace::new("https");
    client.tap("tap0");
    client.address("tap0", "10.0.0.1/24");
    let own = ["net=tap", "device=tap0", "ipv4=10.0.0.2/24"];
    let mut website = client.start(WEBSITE, &[&own[..], &TLS, words, &certificates.words()].concat());
    website.wait_for("https://", Duration::from_secs(10));
    Served { client, website, certificates, _server: None }
}

fn host_sockets() -> Served {
    let certificates = Certificates::new("host", &["10.0.0.2"]);
    let (client, server) = (Namespace::new("https-c"), Namespace::new("https-s"));
    veth(&client, "c0", &server, "s0");
    client.address("c0", "10.0.0.1/24");
    server.address("s0", "10.0.0.2/24");
    let mut website = server.start(WEBSITE, &[&["port=443"][..], &TLS, &certificates.words()].concat());
    website.wait_for("https://", Duration::from_secs(10));
    Served { client, website, certificates, _server: Some(server) }
}

impl Served {
    fn curl(&self, arguments: &[&str]) -> Said {
        let ca = self.certificates.path("ca.pem");
        self.client.run("curl", &[&["-sv", "--max-time", "60", "--cacert", &ca], arguments].concat())
    }
}

#[test]
fn curl_reads_the_site_over_https() {
    for served in [host_sockets(), tap()] {
        let said = served.curl(&["https://10.0.0.2/"]);
        assert!(said.stdout.contains("</html>"), "{said}\n{}", served.website.so_far());
        for part in [
            "TLSv1.3",
            "SSL certificate verify ok",
            "ALPN: server accepted http/1.1",
            "< Strict-Transport-Security: max-age=31536000",
        ] {
            assert!(said.stderr.contains(part), "{part}: {said}");
        }
        let said = served.curl(&["-o", "/dev/null", "http://10.0.0.2/start.html?a=b"]);
        assert!(said.stderr.contains("< Location: https://10.0.0.2/start.html?a=b"), "{said}");
        let said = served.curl(&["-L", "http://10.0.0.2/"]);
        assert!(said.stdout.contains("</html>") && said.stderr.contains("TLSv1.3"), "{said}");
        // Without the authority, and by a name that the certificate does not have.
        let said = served.client.run("curl", &["-sS", "--max-time", "20", "https://10.0.0.2/"]);
        assert!(!said.success() && said.stderr.contains("certificate"), "{said}");
        let said =
            served.curl(&["--connect-to", "other.example::10.0.0.2:", "https://other.example/index.html"]);
        assert!(!said.success(), "{said}");
        // Many at once, whole.
        let url = "https://10.0.0.2/sky.png";
        let many: Vec<_> = (0..6).flat_map(|_| ["-o", "/dev/null", url]).collect();
        let said = served.curl(&[&["-Z", "-w", "%{http_code} %{size_download}\n"][..], &many].concat());
        let size = fs::metadata(concat!(env!("CARGO_MANIFEST_DIR"), "/site/sky.png")).unwrap().len();
        assert_eq!(said.stdout.matches(&format!("200 {size}\n")).count(), 6, "{said}");
    }
}

#[test]
fn openssl_resumes_a_session_of_the_website_once() {
    let served = tap();
    let (ca, session) = (served.certificates.path("ca.pem"), served.certificates.path("session"));
    let request = |file: &str| {
        let script = format!(
            "(printf 'GET /icon.svg HTTP/1.0\\r\\n\\r\\n'; sleep 1) | openssl s_client -connect 10.0.0.2:443 -CAfile {ca} \
             -verify_return_error {file} {session} 2>&1"
        );
        served.client.run("sh", &["-c", &script])
    };
    let said = request("-sess_out");
    assert!(said.stdout.contains("New, TLSv1.3") && said.stdout.contains("</svg>"), "{said}");
    let said = request("-sess_in");
    assert!(said.stdout.contains("Reused, TLSv1.3") && said.stdout.contains("</svg>"), "{said}");
    let said = request("-sess_in");
    assert!(said.stdout.contains("New, TLSv1.3") && said.stdout.contains("</svg>"), "{said}");
}

#[test]
fn openssl_is_answered_a_round_trip_earlier() {
    let served = tap_with(&["early=on"]);
    let path = |name| served.certificates.path(name);
    let (ca, session, early) = (path("ca.pem"), path("session"), path("early"));
    fs::write(&early, "GET /icon.svg HTTP/1.1\r\nHost: site.example\r\nConnection: close\r\n\r\n").unwrap();
    let connect = |more: &str| {
        let script = format!(
            "(sleep 1; printf 'GET /none HTTP/1.0\\r\\n\\r\\n'; sleep 1) | openssl s_client -connect 10.0.0.2:443 -CAfile {ca} \
             -servername site.example -alpn http/1.1 -verify_return_error {more} 2>&1"
        );
        served.client.run("sh", &["-c", &script])
    };
    let said = connect(&format!("-sess_out {session}"));
    assert!(said.stdout.contains("New, TLSv1.3") && said.stdout.contains("Max Early Data: 8192"), "{said}");
    let again = format!("-sess_in {session} -early_data {early}");
    let said = connect(&again);
    assert!(said.stdout.contains("Early data was accepted") && said.stdout.contains("</svg>"), "{said}");
    // The same ticket again, as a replay would have it.
    let said = connect(&again);
    assert!(said.stdout.contains("Early data was rejected") && !said.stdout.contains("</svg>"), "{said}");
    assert!(said.stdout.contains("404 Not Found"), "{said}");
}

#[test]
fn sslscan_finds_tls_1_3_only() {
    let served = tap();
    let said = served.client.run_for(
        Duration::from_secs(120),
        "sslscan",
        &["--no-colour", "--no-check-certificate", "10.0.0.2:443"],
    );
    for version in ["SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2"] {
        assert!(said.stdout.contains(&format!("{version:<8}  disabled")), "{version}: {said}");
    }
    assert!(said.stdout.contains("TLSv1.3   enabled"), "{said}");
    for suite in ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"] {
        assert!(said.stdout.contains(suite), "{said}");
    }
    assert!(
        !said.stdout.contains(" vulnerable to heartbleed\n") || said.stdout.contains("not vulnerable"),
        "{said}"
    );
}

#[test]
fn tls_1_2_is_there_when_it_is_wanted() {
    let served = tap_with(&["tls12=on"]);
    let said = served.curl(&["--tls-max", "1.2", "https://10.0.0.2/"]);
    assert!(said.stdout.contains("</html>") && said.stderr.contains("TLSv1.2"), "{said}");
    let said = served.curl(&["https://10.0.0.2/"]);
    assert!(
        said.stdout.contains("</html>") && said.stderr.contains("SSL connection using TLSv1.3"),
        "{said}"
    );
    // sslscan's own hello for TLS 1.2 lacks the extended master secret, so that it is OpenSSL that tries every suite.
    let script = "for suite in $(openssl ciphers -s -tls1_2 ALL:@SECLEVEL=0 | tr : ' '); do \
        openssl s_client -connect 10.0.0.2:443 -tls1_2 -cipher $suite:@SECLEVEL=0 </dev/null 2>&1 \
        | grep -q 'New, TLSv1.2' && echo $suite; done";
    let said = served.client.run_for(Duration::from_secs(200), "sh", &["-c", script]);
    let mut suites: Vec<_> = said.stdout.lines().collect();
    suites.sort_unstable();
    let expected =
        ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"];
    assert_eq!(suites, expected, "{said}");
}

/// What testssl.sh rates above "info", and why it is so.
const EXPLAINED: &[(&str, &str)] = &[
    ("cert_revocation", "the test's own authority publishes no revocations"),
    ("DNS_CAArecord", "the test's address has no name"),
    ("BREACH", "the pages are compressed at build time, hold no secrets and repeat nothing of a request"),
];

/// testssl.sh ends the input of `openssl s_client -sess_out` at once, upon which s_client leaves: a ticket that comes later
/// than that is lost, whoever the server is, and testssl.sh calls it a connect problem. This one's input ends with the ticket.
const PATIENT: &str = r#"#!/bin/sh
session= before=
for word; do
    [ "$before" = -sess_out ] && session=$word
    before=$word
done
[ "$session" ] || exec openssl "$@"
tries=100
until [ -s "$session" ] || [ $tries = 0 ]; do
    sleep 0.1
    tries=$((tries - 1))
done | openssl "$@"
"#;

#[test]
fn testssl_finds_nothing_that_is_not_explained() {
    let versions = testssl(&tap(), &[]);
    assert_eq!(versions, ["TLS1_3"]);
}

#[test]
fn testssl_finds_nothing_more_in_tls_1_2() {
    // Its own hellos for TLS 1.2 lack the extended master secret: OpenSSL's have it.
    let versions = testssl(&tap_with(&["tls12=on"]), &["--ssl-native"]);
    assert_eq!(versions, ["TLS1_2", "TLS1_3"]);
}

/// The versions that are offered.
fn testssl(served: &Served, more: &[&str]) -> Vec<String> {
    let file = served.certificates.path("findings.json");
    let ca = served.certificates.path("ca.pem");
    let arguments = "NO_ENGINE=true testssl --protocols --std --fs --server-defaults --header --vulnerable --warnings off --color 0 --quiet --ip one";
    let mut arguments: Vec<_> = arguments.split(' ').collect();
    let openssl = served.certificates.path("openssl");
    fs::write(&openssl, PATIENT).unwrap();
    fs::set_permissions(&openssl, fs::Permissions::from_mode(0o755)).unwrap();
    arguments.extend(more);
    arguments.extend(["--openssl", &openssl, "--add-ca", &ca, "--jsonfile", &file, "10.0.0.2:443"]);
    let said = served.client.run_for(Duration::from_secs(400), "env", &arguments);
    let findings = fs::read_to_string(&file).unwrap_or_default();
    let (mut unexplained, mut versions) = (Vec::new(), Vec::new());
    let mut count = 0;
    for finding in findings.split('{').skip(1) {
        let value = |key: &str| {
            let rest = finding.split_once(&format!("\"{key}\""))?.1;
            rest.split('"').nth(1)
        };
        let (Some(id), Some(severity)) = (value("id"), value("severity")) else { continue };
        count += 1;
        let finding = value("finding").unwrap_or_default();
        if finding.starts_with("offered")
            && ["SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2", "TLS1_3"].contains(&id)
        {
            versions.push(id.to_owned());
        }
        // What Debian's OpenSSL cannot do at all: the other run asks for it without OpenSSL.
        let unable = ["lack of local support", "not supported by local OpenSSL", "Not tested."];
        let untested = !more.is_empty() && unable.iter().any(|words| finding.contains(words));
        let explained = EXPLAINED.iter().any(|(known, _)| *known == id);
        if !["OK", "INFO"].contains(&severity) && !explained && !untested {
            unexplained.push(format!("{id} {severity} {finding}"));
        }
    }
    assert!(count > 50 && unexplained.is_empty(), "{count} findings; {unexplained:#?}\n{said}");
    versions
}
