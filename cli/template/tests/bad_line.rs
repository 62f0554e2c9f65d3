//! The application on a simulated line that loses every twentieth packet: virtual time, so it takes none, and a seed to replay it.
use airglow::device::{Platform, Read, Tcp, Write};
use airglow_platform_sim::{Run, seeds};

#[test]
fn a_greeting_arrives_all_the_same() {
    seeds("greeting", 1..=3, |run: &Run| {
        let simulation = run.simulation();
        let network = simulation.segment("network");
        let server = simulation.host("server", "port=80");
        server.plug(&network, "ipv4=10.0.0.1/24 delay=20ms loss=5%");
        server.run(async |machine| {
            {library}::run(machine)
                .await
                .map_err(|error| error.to_string())
        });
        let client = simulation.host("client", "");
        client.plug(&network, "ipv4=10.0.0.2/24");
        client.run(async |machine| {
            let server = ([10, 0, 0, 1], 80).into();
            let mut stream = machine
                .tcp()
                .connect(server)
                .await
                .map_err(|error| error.to_string())?;
            let request = b"GET /hello/you HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n";
            stream
                .write_all(request)
                .await
                .map_err(|error| error.to_string())?;
            let mut answer = Vec::new();
            let mut room = [0; 512];
            loop {
                match stream
                    .read(&mut room)
                    .await
                    .map_err(|error| error.to_string())?
                {
                    0 => break,
                    count => answer.extend_from_slice(&room[..count]),
                }
            }
            let answer = String::from_utf8_lossy(&answer);
            let right = answer.starts_with("HTTP/1.1 200") && answer.ends_with("Hello, you!\n");
            if right {
                Ok(())
            } else {
                Err(answer.into_owned())
            }
        });
        assert_eq!(simulation.block_on(client.ended()), Ok(()));
    });
}
