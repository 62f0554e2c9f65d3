//! An OpenFlow controller appliance.
#![cfg_attr(target_os = "none", no_std, no_main)]

airglow::main!(|platform| airglow_openflow_controller::run(platform));
