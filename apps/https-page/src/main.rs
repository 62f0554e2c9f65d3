//! One page over HTTPS, as an image.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(not(all(feature = "tls", target_os = "none", target_arch = "arm")))]
airglow::main!(|platform| airglow_https_page::run(platform));

#[cfg(all(feature = "tls", target_os = "none", target_arch = "arm"))]
airglow::main!(airglow::platform::NetMemory<2, 1460, 1460, 1, 640, 8>; |platform| async {
    airglow_https_page::seed::keep_once(platform).await?;
    airglow_https_page::run(platform).await
});
