//! An OpenFlow switch appliance, over AF_PACKET interfaces.
#[cfg(target_os = "linux")]
airglow::main!(|platform| airglow_openflow_switch::run(platform, |name| {
    use airglow::device::Platform;
    airglow::platform::Packet::open_promiscuous(platform.timer(), name).map_err(|error| error.to_string())
}));

/// The ports of a switch are Linux's interfaces so far.
#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("the switch joins Linux interfaces: there are none here");
    std::process::exit(1);
}
