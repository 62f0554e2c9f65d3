//! A shop that takes orders, tested on a network that is cut now and then and with a server that loses power.
//!
//! `cargo run -p airglow-platform-sim --example orders`; with `AIRGLOW_SEEDS=1000` for longer, and `cargo test --example orders` as a test.
//!
//! The application is the first half of this file. It knows nothing of the simulation: the same functions run on a Unix host, on Xen
//! or on a board. The second half is the test. Leave out the line that remembers the last order and it fails, with a seed that replays the
//! failure and a file for Wireshark.
use airglow_device::{BlockDevice, Listener, Platform, RamDisk, Read, Stream, Tcp, Write};
use airglow_platform_sim::{Run, seeds};
use airglow_runtime::{sleep, timeout};
use std::{net::SocketAddr, time::Duration};

const PORT: u16 = 4000;

/// Takes orders: each is a number, answered with how many orders there were. One that comes twice, because the answer was lost, counts once;
/// what was answered is on the disk.
async fn shop<P: Platform>(platform: &P, mut disk: impl BlockDevice) -> Result<(), String> {
    let mut sector = [0; 512];
    disk.read(0, &mut sector).await.map_err(|e| e.to_string())?;
    let number =
        |at: usize, sector: &[u8; 512]| u64::from_be_bytes(sector[at..at + 8].try_into().unwrap_or_default());
    let (mut last, mut count) = (number(0, &sector), number(8, &sector));
    let listener = platform.tcp().listen(PORT).await.map_err(|e| e.to_string())?;
    loop {
        let mut stream = listener.accept().await.map_err(|e| e.to_string())?;
        stream.set_keep_alive(Some(Duration::from_secs(2)));
        let mut order = [0; 8];
        while stream.read_exact(&mut order).await.is_ok() {
            let order = u64::from_be_bytes(order);
            if order > last {
                (last, count) = (order, count + 1);
                sector[..8].copy_from_slice(&last.to_be_bytes());
                sector[8..16].copy_from_slice(&count.to_be_bytes());
                disk.write(0, &sector).await.map_err(|e| e.to_string())?;
                disk.flush().await.map_err(|e| e.to_string())?;
            }
            if stream.write_all(&count.to_be_bytes()).await.is_err() {
                break;
            }
        }
    }
}

/// Places `orders` orders, each until it is answered; returns the last answer.
async fn customer<P: Platform>(platform: &P, shop: SocketAddr, orders: u64) -> u64 {
    let (mut next, mut answer) = (1, 0);
    while next <= orders {
        let attempt = async {
            let mut stream = platform.tcp().connect(shop).await.ok()?;
            while next <= orders {
                stream.write_all(&next.to_be_bytes()).await.ok()?;
                let mut bytes = [0; 8];
                timeout(platform.timer(), Duration::from_secs(5), stream.read_exact(&mut bytes))
                    .await
                    .ok()?
                    .ok()?;
                (answer, next) = (u64::from_be_bytes(bytes), next + 1);
                sleep(platform.timer(), Duration::from_millis(50)).await;
            }
            Some(())
        };
        let _ = timeout(platform.timer(), Duration::from_secs(30), attempt).await;
        sleep(platform.timer(), Duration::from_secs(1)).await;
    }
    answer
}

/// One run: a hundred orders over a bad line that is cut three times, to a server that loses power twice.
fn every_order_counts_once(run: &Run) {
    let simulation = run.simulation();
    let internet = simulation.segment("internet");
    let server = simulation.host("shop", "");
    server.plug(&internet, "ipv4=10.0.0.1/24 delay=5ms");
    server.disk(RamDisk::new(512, 1));
    server.run(async |machine| shop(machine, machine.disk(0).ok_or("no disk")?).await);
    let client = simulation.host("customer", "");
    let line = client.plug(&internet, "ipv4=10.0.0.2/24 delay=30ms jitter=10ms loss=3% duplicate=1%");
    client.run(async |machine| match customer(machine, ([10, 0, 0, 1], PORT).into(), 100).await {
        100 => Ok(()),
        answer => Err(format!("{answer} of 100 orders")),
    });
    let ended = simulation.block_on(async {
        for fault in 0..5 {
            simulation.sleep(Duration::from_millis(500 + simulation.below(3000))).await;
            if fault % 2 == 1 {
                server.reboot();
                continue;
            }
            line.cut();
            simulation.sleep(Duration::from_millis(simulation.below(20_000))).await;
            line.mend();
        }
        client.ended().await
    });
    assert_eq!(ended, Ok(()));
}

fn main() {
    seeds("orders", 1..=100, every_order_counts_once);
    println!("every order counted once");
}

#[test]
fn orders() {
    seeds("orders", 1..=5, every_order_counts_once);
}
