//! Datagrams of any size by a socket: sends back what comes to `port`.
//! `cargo run -p airglow-platform-unix --example datagrams -- net=tap ipv4=10.0.0.2/24 port=7`
use airglow_device::{Error, Platform, Udp, UdpSocket};

async fn run<P: Platform>(platform: &P) -> Result<(), String> {
    let port: Option<u16> = platform.parameters().get("port", "a port number").map_err(|e| e.to_string())?;
    let failed = |error: &dyn Error| format!("{error}");
    let socket = platform.udp().bind(port.unwrap_or(7777)).await.map_err(|e| failed(&e))?;
    log::info!("datagrams on port {}", socket.local().port());
    let mut buf = vec![0; 65_536];
    loop {
        let (len, from) = socket.recv_from(&mut buf).await.map_err(|e| failed(&e))?;
        if let Err(error) = socket.send_to(&buf[..len], from).await {
            log::info!("{len} bytes to {from}: {error}");
        }
    }
}

airglow_platform_unix::main!(|platform| run(platform));
