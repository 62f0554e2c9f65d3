//! The HTTP server as it is, over an acceptor, over the host's sockets, read by curl.
use crate::{
    clients::pem,
    ours::{P256_CERTIFICATE, P256_KEY, PATIENCE},
};
use airglow_device::{Listener, Tcp};
use airglow_http::{Error, Exchange, Method, Router, Server, Status};
use airglow_platform_unix::{HostTcp, Reactor, SystemEntropy};
use airglow_runtime::{block_on, select, sleep};
use airglow_tls::{
    Acceptor, Certificate, Limits, ServerConfig,
    crypto::{PrivateKey, RustCrypto},
};
use std::{
    net::SocketAddr,
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

async fn page(exchange: &mut Exchange<'_>) -> Result<(), Error> {
    let mut writer = exchange.respond(Status::OK).stream().await?;
    for _ in 0..100 {
        writer.write(&[b'x'; 10_000]).await?;
    }
    writer.finish().await
}

fn curl(ca: &Path, arguments: &[String]) -> String {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "20", "--noproxy", "*", "--cacert"]).arg(ca).args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn curl_reads_pages_over_https() {
    let ca = pem("https", P256_CERTIFICATE);
    let done = AtomicBool::new(false);
    let (sender, receiver) = std::sync::mpsc::channel::<SocketAddr>();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let reactor = Reactor::new().unwrap();
            let tcp = HostTcp::new(&reactor);
            let key = PrivateKey::from_der(P256_KEY).unwrap();
            let certificates = [Certificate::new(&[P256_CERTIFICATE], &key, &["localhost"])];
            let config =
                ServerConfig { protocols: &[b"http/1.1"], ..ServerConfig::new(RustCrypto, &certificates) };
            block_on(&reactor, async {
                let listener = tcp.listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
                sender.send(listener.local().unwrap()).unwrap();
                let entropy = SystemEntropy;
                let (timer, limits) = (&reactor, Limits::default());
                let acceptor = Acceptor { listener, config: &config, timer, entropy: &entropy, limits };
                let router = Router::new().route(Method::Get, "/page", page);
                let server = Server::new(airglow_http::Limits::default());
                let until = async {
                    while !done.load(Ordering::SeqCst) {
                        sleep(timer, Duration::from_millis(10)).await;
                    }
                };
                select(server.serve::<16, _, _>(&acceptor, &router, timer), until).await;
            });
        });
        let addr = receiver.recv_timeout(PATIENCE).unwrap();
        let url = |path: &str| format!("https://localhost:{}{path}", addr.port());
        let result = std::panic::catch_unwind(|| {
            let body = curl(&ca, &[url("/page")]);
            assert!(body.len() == 1_000_000 && body.bytes().all(|byte| byte == b'x'));
            // Two requests, one connection; six at once.
            let counts =
                ["-w".into(), "%{http_code} %{num_connects}\n".into(), "-o".into(), "/dev/null".into()];
            let twice =
                [&counts[..], &[url("/none"), "-o".into(), "/dev/null".into(), url("/page")]].concat();
            assert_eq!(curl(&ca, &twice), "404 1\n200 0\n");
            let many: Vec<_> = (0..6).flat_map(|_| ["-o".into(), "/dev/null".into(), url("/page")]).collect();
            curl(&ca, &[&["-Z".into()], &many[..]].concat());
        });
        done.store(true, Ordering::SeqCst);
        result.unwrap();
    });
    std::fs::remove_file(ca).unwrap();
}
