//! Holds connections: `holder on=IF own=10.0.0.2/24 count=100000` takes as many on our own stack over AF_PACKET, at ports 80 and 81, sends back
//! the byte that each begins with, and keeps them all open and idle.
use airglow::{
    device::{Endpoint, Listener, Platform, Read, Tcp, Write},
    platform::{Packet, SystemEntropy},
    runtime::{join, select},
};
use airglow_net::{
    InterfaceConfig, Ipv4Cidr, Ipv4Config, Limits, Stack,
    tcp::{Heap, HeapLimits},
};

airglow::main!(|platform| hold(platform));

async fn hold<P: Platform<Timer = airglow::platform::Reactor>>(platform: &P) -> Result<(), String> {
    let words = platform.parameters();
    let missing = |name: &str| format!("`{name}=` is missing or wrong");
    let device = words.text("on").ok_or(missing("on"))?;
    let own: Option<Ipv4Cidr> = words.get("own", "an address").ok().flatten();
    let count: Option<usize> = words.get("count", "a number").ok().flatten();
    let (address, count) = (own.ok_or(missing("own"))?, count.ok_or(missing("count"))?);
    let timer = platform.timer();
    let ipv4 = Some(Ipv4Config { address, gateway: None, probe: false });
    let config = InterfaceConfig { ipv4, ..InterfaceConfig::default() };
    let card = Packet::open(timer, device, None, true).map_err(|e| e.to_string())?;
    let mut limits = HeapLimits::default();
    limits.connections = count + 100;
    let stack = Stack::new([card], timer.clone(), &SystemEntropy, Limits::default(), Heap::new(limits));
    stack.configure(0, &config).map_err(|e| e.to_string())?;
    let serve = async |port: u16| -> Result<(), String> {
        let listener = stack.listen(Endpoint::from(port)).await.map_err(|e| e.to_string())?;
        let mut held = Vec::with_capacity(count / 2 + 50);
        loop {
            let mut stream = listener.accept().await.map_err(|e| e.to_string())?;
            let mut byte = [0; 1];
            if stream.read_exact(&mut byte).await.is_ok() && stream.write_all(&byte).await.is_ok() {
                held.push(stream);
            }
        }
    };
    println!("listening on ports 80 and 81");
    select(stack.run(), join(serve(80), serve(81))).await;
    Ok(())
}
