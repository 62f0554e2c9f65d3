//! Ping and echo on airglow's stack.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(all(target_os = "none", target_arch = "arm"))]
mod image {
    use airglow_bench_boards::{ADDRESS, BUFFER, DATAGRAMS};
    use airglow_device::SeededEntropy;
    #[cfg(not(feature = "tcp"))]
    use airglow_device::Udp;
    #[cfg(feature = "tcp")]
    use airglow_device::{Listener, Stream, Tcp, Write};
    use airglow_net::{InterfaceConfig, Ipv4Cidr, Ipv4Config, Stack, StackMemory, tcp::Fixed};
    use airglow_platform_arm::cortex_m;
    use core::{future::Future, future::poll_fn, net::Ipv4Addr, pin::pin};

    const CONNECTIONS: usize = if cfg!(feature = "tcp") { 1 } else { 0 };
    const SOCKETS: usize = if cfg!(feature = "tcp") { 0 } else { 1 };
    type Tables = StackMemory<1, 1, 8, 2, SOCKETS, DATAGRAMS, 1>;
    type Connections = Fixed<CONNECTIONS, BUFFER, BUFFER, 1>;

    #[unsafe(no_mangle)]
    extern "C" fn main() -> ! {
        static TABLES: cortex_m::Once<Tables> = cortex_m::Once::new(Tables::new());
        static CONNECTIONS: cortex_m::Once<Connections> = cortex_m::Once::new(Connections::new());
        let kernel = cortex_m::start();
        let (Some(device), Some(tables), Some(connections)) =
            (cortex_m::net(kernel), TABLES.take(), CONNECTIONS.take())
        else {
            cortex_m::reset()
        };
        let entropy = SeededEntropy::predictable(1);
        let stack = Stack::new([device], kernel, &entropy, tables, connections);
        let address = Ipv4Cidr { addr: Ipv4Addr::from(ADDRESS), prefix_len: 24 };
        let config = InterfaceConfig::ipv4(Ipv4Config::new(address));
        if stack.configure(0, &config).is_err() {
            cortex_m::reset()
        }
        #[cfg(not(feature = "tcp"))]
        let app = stack.respond(7, |_, question, reply| {
            reply.get_mut(..question.len())?.copy_from_slice(question);
            Some(question.len())
        });
        #[cfg(feature = "tcp")]
        let app = async {
            let Ok(listener) = stack.listen(7).await else { return };
            loop {
                let Ok(mut stream) = listener.accept().await else { continue };
                let mut bytes = [0; 536];
                while let Ok(len @ 1..) = stream
                    .read_with(|from| {
                        let len = from.len().min(bytes.len());
                        bytes[..len].copy_from_slice(&from[..len]);
                        (len, len)
                    })
                    .await
                {
                    if stream.write_all(&bytes[..len]).await.is_err() {
                        break;
                    }
                }
                let _ = stream.close().await;
            }
        };
        let (mut app, mut run) = (pin!(app), pin!(stack.run()));
        airglow_runtime::block_on(
            kernel,
            poll_fn(|cx| {
                let _ = run.as_mut().poll(cx);
                app.as_mut().poll(cx).map(|_| ())
            }),
        );
        cortex_m::reset()
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("this is an image for a board: cargo airglow bench arm");
}
