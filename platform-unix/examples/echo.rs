//! RFC 862 over TCP and UDP: `cargo run -p airglow-platform-unix --example echo -- port=7777`.
use airglow_device::{Error, Listener, Platform, Read, Stream, Tcp, Udp, Write};
use airglow_runtime::{Either, for_each_connection, select};
use core::future::pending;

async fn run<P: Platform>(platform: &P) -> Result<(), String> {
    let port =
        platform.parameters().get("port", "a port number (0 to 65535)").map_err(|error| error.to_string())?;
    let port: u16 = port.unwrap_or(7777);
    let failed = |what: &str, error: &dyn Error| format!("{what} on port {port}: {error}");
    let listener = platform.tcp().listen(port).await.map_err(|error| failed("TCP", &error))?;
    let port = listener.local().map_or(port, |local| local.port());
    let tcp = for_each_connection::<16_384, _>(&listener, platform.timer(), async |mut stream| {
        let mut buf = vec![0; 4096];
        while let Ok(len @ 1..) = stream.read(&mut buf).await {
            if stream.write_all(&buf[..len]).await.is_err() {
                return;
            }
        }
        let _ = stream.close().await;
    });
    let udp = platform.udp().respond(port, |_, question, reply| {
        reply.get_mut(..question.len())?.copy_from_slice(question);
        Some(question.len())
    });
    // Polled last: by then both ports are open.
    let said = async {
        log::info!("echo on port {port}");
        pending::<()>().await
    };
    match select(udp, select(tcp, said)).await {
        Either::Left(Err(error)) => Err(failed("UDP", &error)),
        _ => Ok(()),
    }
}

airglow_platform_unix::main!(|platform| run(platform));
