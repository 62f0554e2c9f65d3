//! An OpenFlow switch appliance, over the host's interfaces.
#[cfg(target_os = "linux")]
airglow::main!(|platform| linux::run(platform));

#[cfg(target_os = "linux")]
mod linux {
    use airglow::{
        device::Platform,
        platform::{Packet, Reactor, Tap, Xdp},
    };

    /// Runs the switch with ports of the kind that `card=` says.
    pub async fn run<P: Platform<Timer = Reactor>>(platform: &P) -> Result<(), String> {
        use airglow_openflow_switch::run;
        let reactor = platform.timer();
        match platform.parameters().text("card") {
            None | Some("packet") => {
                let open = |name: &str| Packet::open_promiscuous(reactor, name, true);
                run(platform, |name| open(name).map_err(|error| error.to_string())).await
            }
            Some("xdp") => {
                let open = |name: &str| Xdp::open_promiscuous(reactor, name, true);
                run(platform, |name| open(name).map_err(|error| error.to_string())).await
            }
            Some("tap") => {
                let open = |name: &str| Tap::open(reactor, name, None, true);
                run(platform, |name| open(name).map_err(|error| error.to_string())).await
            }
            Some(other) => Err(format!("boot parameter `card={other}`: expected `packet`, `xdp` or `tap`")),
        }
    }
}

/// The ports of a switch are Linux's interfaces so far.
#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("the switch joins Linux interfaces: there are none here");
    std::process::exit(1);
}
