//! An authoritative DNS server appliance.
#![cfg_attr(target_os = "none", no_std, no_main)]

airglow::main!(|platform| airglow_dns_server::run(platform));
