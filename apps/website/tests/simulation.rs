//! The website in a simulated network: every byte of it arrives over a bad line, over one that is cut, and from a server whose power fails.
use airglow_device::{KeyValue, Platform, Read, Tcp, Write};
use airglow_platform_sim::{Machine, Run, seeds};
use airglow_runtime::{sleep, timeout};
use airglow_website::SITE;
use std::time::Duration;

/// The page, as it is; one attempt.
async fn get(machine: &Machine<'_>, page: &str) -> Result<Vec<u8>, String> {
    let mut stream = machine.tcp().connect(([10, 0, 2, 1], 80).into()).await.map_err(|e| e.to_string())?;
    let request = format!("GET /{page} HTTP/1.1\r\nHost: 10.0.2.1\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|e| e.to_string())?;
    let (mut answer, mut buf) = (Vec::new(), [0; 8192]);
    while let len @ 1.. = stream.read(&mut buf).await.map_err(|e| e.to_string())? {
        answer.extend_from_slice(&buf[..len]);
    }
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or("no head")?;
    if !answer.starts_with(b"HTTP/1.1 200 ") {
        return Err(String::from_utf8_lossy(&answer[..head]).into_owned());
    }
    Ok(answer.split_off(head + 4))
}

/// Gets every page until it is there.
async fn read_all(machine: &Machine<'_>) -> Result<(), String> {
    for page in ["index.html", "style.css", "sky.png", "crates.svg"] {
        let expected = SITE.lend(page).ok_or("there is no such page")?;
        loop {
            match timeout(machine.timer(), Duration::from_secs(30), get(machine, page)).await {
                Ok(Ok(got)) if got == expected => break,
                Ok(Ok(got)) => return Err(format!("{page}: {} bytes of {}", got.len(), expected.len())),
                // Cut off or reset: a person tries again.
                Ok(Err(_)) | Err(_) => sleep(machine.timer(), Duration::from_secs(2)).await,
            }
        }
    }
    Ok(())
}

fn every_page_arrives(run: &Run) {
    let simulation = run.simulation();
    let (near, far) = (simulation.segment("near"), simulation.segment("far"));
    let server = simulation.host("server", "");
    server.plug(&far, "ipv4=10.0.2.1/24 gateway=10.0.2.254 offload=on");
    server.run(async |machine| airglow_website::run(machine, &SITE).await.map_err(|error| error.to_string()));
    let router = simulation.host("router", "").forwarding();
    router.plug(&far, "ipv4=10.0.2.254/24");
    let line = router.plug(
        &near,
        "ipv4=10.0.1.254/24 delay=20ms jitter=5ms loss=2% reorder=2% duplicate=1% corrupt=0.5% rate=20mbit queue=60",
    );
    router.idle();
    let reader = simulation.host("reader", "");
    reader.plug(&near, "ipv4=10.0.1.1/24 gateway=10.0.1.254");
    reader.run(async |machine| read_all(machine).await);
    let ended = simulation.block_on(async {
        simulation.sleep(Duration::from_millis(simulation.below(1000))).await;
        line.cut();
        simulation.sleep(Duration::from_millis(simulation.below(60_000))).await;
        line.mend();
        simulation.sleep(Duration::from_millis(simulation.below(2000))).await;
        server.reboot();
        reader.ended().await
    });
    assert_eq!(ended, Ok(()));
    assert_eq!(server.outcome(), None, "the server goes on");
}

#[test]
fn the_site_survives_a_bad_line_a_cut_and_a_reboot() {
    seeds("website", 1..=5, every_page_arrives);
}
