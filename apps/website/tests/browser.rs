//! Chromium shows the site that airglow's own stack serves. Needs root, iproute2 and chromium: `cargo airglow test peers`.
use airglow_testbed::Namespace;
use std::{collections::HashMap, fs, io::BufReader, path::Path, time::Duration};

const WEBSITE: &str = env!("CARGO_BIN_EXE_airglow-website");

#[test]
fn chromium_shows_the_site() {
    let folder = std::env::temp_dir().join(format!("airglow-browser-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let namespace = Namespace::new("browser");
    namespace.tap("tap0");
    namespace.address("tap0", "10.0.0.1/24");
    let mut website = namespace.start(WEBSITE, &["net=tap", "device=tap0", "ipv4=10.0.0.2/24"]);
    website.wait_for("http://", Duration::from_secs(10));
    for (page, least_colours) in [("index.html", 2_000), ("architecture.html", 60)] {
        let picture = folder.join("page.png");
        let profile = format!("--user-data-dir={}", folder.join(page).display());
        let screenshot = format!("--screenshot={}", picture.display());
        let url = format!("http://10.0.0.2/{page}");
        let said = namespace.run_for(
            Duration::from_secs(120),
            "chromium",
            &[
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
                &url,
            ],
        );
        assert!(said.success(), "{said}\n{}", website.so_far());
        let colours = colours(&picture);
        let pixels: u32 = colours.values().sum();
        let most = colours.values().max().copied().unwrap_or(0);
        assert!(
            colours.len() >= least_colours && most < pixels / 20 * 19,
            "{page}: {} colours, one of them on {most} of {pixels} pixels",
            colours.len()
        );
        fs::remove_file(picture).unwrap();
    }
    let _ = fs::remove_dir_all(folder);
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
