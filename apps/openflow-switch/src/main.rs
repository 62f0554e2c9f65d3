//! An OpenFlow switch appliance: over a Linux host's interfaces, the further network cards of a Xen guest, or those of a board.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "linux")]
airglow::main!(|platform| linux::run(platform));

#[cfg(target_os = "none")]
airglow::main!(|platform| airglow_openflow_switch::run(platform, async |name| platform.card(name).await));

#[cfg(target_os = "linux")]
mod linux {
    use airglow::{
        device::Platform,
        platform::{Packet, Reactor, Tap, Xdp},
    };
    use airglow_openflow_switch::run as switch;

    /// Runs the switch with ports of the kind that `card=` says.
    pub async fn run<P: Platform<Timer = Reactor>>(platform: &P) -> Result<(), String> {
        let reactor = platform.timer();
        match platform.parameters().text("card") {
            None | Some("packet") => {
                switch(platform, async |name| Packet::open_promiscuous(reactor, name, true)).await
            }
            Some("xdp") => switch(platform, async |name| Xdp::open_promiscuous(reactor, name, true)).await,
            Some("tap") => switch(platform, async |name| Tap::open(reactor, name, None, true)).await,
            Some(other) => Err(format!("boot parameter `card={other}`: expected `packet`, `xdp` or `tap`")),
        }
    }
}

/// Of the systems with host sockets only Linux has interfaces that a program can take over.
#[cfg(not(any(target_os = "linux", target_os = "none")))]
fn main() {
    eprintln!("the switch joins Linux interfaces: there are none here");
    std::process::exit(1);
}
