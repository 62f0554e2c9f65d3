//! Chromium shows the site that airglow's own stack serves, over HTTP and HTTPS. Needs root, iproute2, chromium and
//! libnss3-tools: `cargo airglow test peers`.
mod certificates;

use airglow_testbed::Namespace;
use certificates::Certificates;
use std::{collections::HashMap, fs, io::BufReader, path::Path, time::Duration};

const WEBSITE: &str = env!("CARGO_BIN_EXE_airglow-website");

/// Where Chromium writes what its network does.
const NET_LOG: &str = "net-log.json";

/// A namespace with a tap device, and a folder.
fn network() -> Namespace {
    let namespace = Namespace::new("browser");
    namespace.tap("tap0");
    namespace.address("tap0", "10.0.0.1/24");
    namespace
}

/// How often each colour is on the picture that Chromium makes of a page; `home` is where it finds authorities.
fn look(namespace: &Namespace, home: &Path, url: &str) -> HashMap<[u8; 3], u32> {
    let picture = home.join("page.png");
    let profile = format!("--user-data-dir={}", home.join("profile").display());
    let screenshot = format!("--screenshot={}", picture.display());
    let net_log = format!("--log-net-log={}", home.join(NET_LOG).display());
    let home = format!("HOME={}", home.display());
    let said = namespace.run_for(
        Duration::from_secs(120),
        "env",
        &[
            &home,
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-sync",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--window-size=1280,900",
            &profile,
            &screenshot,
            &net_log,
            url,
        ],
    );
    assert!(said.success(), "{said}");
    // Of a page that it refuses to show it makes no picture.
    if !picture.exists() {
        return HashMap::new();
    }
    let colours = colours(&picture);
    fs::remove_file(picture).unwrap();
    colours
}

#[test]
fn chromium_shows_the_site() {
    let folder = Certificates::folder("browser");
    let namespace = network();
    let mut website = namespace.start(WEBSITE, &["net=tap", "device=tap0", "ipv4=10.0.0.2/24"]);
    website.wait_for("http://", Duration::from_secs(10));
    for (page, least_colours) in [("index.html", 2_000), ("architecture.html", 60)] {
        let colours = look(&namespace, &folder, &format!("http://10.0.0.2/{page}"));
        let pixels: u32 = colours.values().sum();
        let most = colours.values().max().copied().unwrap_or(0);
        assert!(
            colours.len() >= least_colours && most < pixels / 20 * 19,
            "{page}: {} colours, one of them on {most} of {pixels} pixels\n{}",
            colours.len(),
            website.so_far()
        );
    }
    let _ = fs::remove_dir_all(folder);
}

#[test]
fn chromium_trusts_a_local_authority() {
    let certificates = Certificates::new("chromium", &["10.0.0.2"]);
    let namespace = network();
    let words = ["net=tap", "device=tap0", "ipv4=10.0.0.2/24", "tls=on", "hsts=on", "redirect=80"];
    let mut website = namespace.start(WEBSITE, &[&words[..], &certificates.words()].concat());
    website.wait_for("https://", Duration::from_secs(10));
    // Not before it is told to: this is no picture of the site.
    let refused = look(&namespace, &certificates.folder, "https://10.0.0.2/index.html");
    assert!(refused.len() < 1_000, "{} colours", refused.len());
    let database = format!("sql:{}", certificates.folder.join(".pki/nssdb").display());
    fs::create_dir_all(certificates.folder.join(".pki/nssdb")).unwrap();
    let ca = certificates.path("ca.pem");
    for arguments in [
        &["-N", "-d", &database, "--empty-password"][..],
        &["-A", "-d", &database, "-n", "airglow", "-t", "C,,", "-i", &ca],
    ] {
        let said = namespace.run("certutil", arguments);
        assert!(said.success(), "{said}");
    }
    // The redirect leads there too.
    for url in ["https://10.0.0.2/index.html", "http://10.0.0.2/index.html"] {
        let colours = look(&namespace, &certificates.folder, url);
        assert!(colours.len() >= 2_000, "{url}: {} colours\n{}", colours.len(), website.so_far());
        // X25519MLKEM768, which both sides put first.
        let log = fs::read_to_string(certificates.folder.join(NET_LOG)).unwrap();
        assert!(log.contains(&format!("\"key_exchange_group\":{}", 0x11ec)), "{url}");
    }
}

/// How often each colour is there.
fn colours(picture: &Path) -> HashMap<[u8; 3], u32> {
    let mut reader = png::Decoder::new(BufReader::new(fs::File::open(picture).unwrap())).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    let samples = frame.color_type.samples();
    assert!(samples >= 3, "{:?}", frame.color_type);
    let mut colours = HashMap::new();
    for pixel in pixels[..frame.buffer_size()].chunks_exact(samples) {
        *colours.entry([pixel[0], pixel[1], pixel[2]]).or_insert(0) += 1;
    }
    colours
}
