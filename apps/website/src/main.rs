//! A website about airglow, as an image.
#![cfg_attr(target_os = "none", no_std, no_main)]
airglow::main!(|platform| airglow_website::run(platform, &airglow_website::SITE));
