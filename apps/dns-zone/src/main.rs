//! A DNS server for one zone, as an image.
#![cfg_attr(target_os = "none", no_std, no_main)]

airglow::main!(|platform| airglow_dns_zone::run(platform));
