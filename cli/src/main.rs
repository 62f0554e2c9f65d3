//! cargo airglow: build, run, test and measure airglow applications on Unix, Xen and ARM boards.
fn main() {}
