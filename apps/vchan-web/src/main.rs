//! HTTP over vchan, as an image.
#![cfg_attr(target_os = "none", no_std, no_main)]
airglow::main!(|platform| airglow_vchan_web::run(platform));
