//! Takes and gives bytes, as an image.
#![cfg_attr(target_os = "none", no_std, no_main)]
airglow::main!(|platform| airglow_pump::run(platform));
